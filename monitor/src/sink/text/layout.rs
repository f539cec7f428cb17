use std::ffi::OsString;

/// How wide the summary may be and with which characters.
#[derive(Clone, Copy, Debug)]
pub(in crate::sink) struct Layout {
    /// Columns.
    pub(in crate::sink) width: usize,
    /// Block characters may be used.
    pub(in crate::sink) unicode: bool,
}

impl Layout {
    /// Without a terminal.
    const WIDTH: usize = 100;

    /// What standard output's terminal and the locale allow.
    #[must_use]
    pub(in crate::sink) fn of_terminal() -> Self {
        let width = terminal_size::terminal_size_of(std::io::stdout()).map_or(Self::WIDTH, |(width, _)| width.0.into());
        Self { width: width.clamp(60, 160), unicode: is_utf8(|name| std::env::var_os(name)) }
    }
}

/// The first of these variables that is set decides (POSIX, Environment Variables, 8.2).
fn is_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty())
        .is_some_and(|value| value.to_string_lossy().to_ascii_lowercase().replace('-', "").contains("utf8"))
}

#[cfg(test)]
mod tests {
    use super::is_utf8;

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        let with = |set: &'static [(&str, &str)]| {
            is_utf8(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        assert!(with(&[("LANG", "en_US.UTF-8")]));
        assert!(with(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert!(!with(&[]));
    }
}
