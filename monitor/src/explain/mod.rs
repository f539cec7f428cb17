//! `h2watch explain`: what a code, an event, an outcome or a key log means, each fact with its source and its grade.

mod codes;
mod event;
mod keylog;
mod outcomes;
mod page;
#[cfg(test)]
mod tests;

pub use event::explain as event;

use h2_tap::ErrorCode;
use page::Page;

/// How well a fact is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    /// Seen on a wire, in the project's own tests.
    Seen,
    /// Read in the source code that is named.
    Source,
    /// Documented, or published, where it says.
    Documented,
    /// Not known.
    Unknown,
}

impl Grade {
    const fn label(self) -> &'static str {
        match self {
            Self::Seen => "seen on a wire",
            Self::Source => "read in source",
            Self::Documented => "documented",
            Self::Unknown => "not known",
        }
    }
}

/// One thing that is known, or known not to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fact {
    pub(crate) text: &'static str,
    pub(crate) grade: Grade,
    /// Where it comes from: a document, a file, versions.
    pub(crate) source: &'static str,
}

/// Explains what the words name: a code, `outcome`, or `keylog` with a server.
///
/// # Errors
/// Nothing has that name; with what there is.
pub fn explain(words: &[String]) -> Result<String, String> {
    let lower: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    match lower.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["keylog" | "key-log" | "keys"] => Ok(keylog::all()),
        ["keylog" | "key-log" | "keys", server] => keylog::one(server),
        ["outcome" | "outcomes"] => Ok(outcomes::all()),
        [word] => match code(word) {
            Some(code) => Ok(explain_code(code)),
            None if is_event(word) => Err(format!("{word} is an event of an events file: name the file with --events FILE")),
            None => outcomes::one(word).ok_or_else(|| {
                format!(
                    "nothing is known by the name \"{}\": give an error code (0xd, 13, HTTP_1_1_REQUIRED), an event's id with \
                     --events FILE (r1, c1, o1, s1), outcome, or keylog",
                    word.chars().take(80).collect::<String>()
                )
            }),
        },
        _ => Err("one thing at a time: give a code, an event's id, outcome, or keylog with a server".to_owned()),
    }
}

/// The id of an event: a letter for what it is, and a number.
pub(crate) fn is_event(word: &str) -> bool {
    let number = word.strip_prefix(['r', 'c', 'o', 's']);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A code by number, in hexadecimal, or by name.
fn code(word: &str) -> Option<ErrorCode> {
    if let Some(digits) = word.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')).map(ErrorCode);
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return word.parse().ok().map(ErrorCode);
    }
    let word = word.replace(['-', ' ', '.'], "_");
    ErrorCode::ALL.iter().copied().find(|code| code.name().is_some_and(|name| name.eq_ignore_ascii_case(&word)))
}

fn explain_code(code: ErrorCode) -> String {
    let mut page = Page::default();
    codes::write(&mut page, code);
    page.finish()
}
