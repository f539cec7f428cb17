//! Puts the sources together: a flag goes before the environment, that before the file, that before the default.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::near::nearest;
use super::problem::{Origin, Problem};
use super::settings::{SETTINGS, Setting};
use super::values::Values;
use super::{check, file, machine};
use crate::watch::Options;

/// The file that is read where none is named, if it is there.
pub const DEFAULT_FILE: &str = "/etc/h2watch/h2watch.toml";

/// The variable that names the file.
pub const FILE_VARIABLE: &str = "H2WATCH_CONFIG";

/// What settings may come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Flags by the place of their setting in [`SETTINGS`], with their values.
    pub flags: Vec<(usize, Vec<OsString>)>,
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The file that is read where none is named, if it is there.
    pub default_file: PathBuf,
    /// Environment variables.
    pub environment: Vec<(OsString, OsString)>,
}

impl Default for Sources {
    /// No flags, no variables, and the file at its usual place.
    fn default() -> Self {
        Self { flags: Vec::new(), file: None, default_file: DEFAULT_FILE.into(), environment: Vec::new() }
    }
}

/// A value for every setting, and where it comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub values: Values,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What is probably a mistake, one line each.
    pub notes: Vec<String>,
    pub(super) origins: Vec<Origin>,
}

impl Loaded {
    /// Where the value of a setting comes from.
    #[must_use]
    pub fn origin(&self, name: &str) -> Origin {
        Setting::position(name).and_then(|place| self.origins.get(place)).cloned().unwrap_or_default()
    }

    /// What the values mean for a run.
    ///
    /// # Errors
    /// Everything that is missing or does not make sense together.
    pub fn options(&self) -> Result<Options, Vec<Problem>> {
        let mut problems = check::problems(self, &[]);
        problems.extend(check::missing(self));
        if problems.is_empty() { Ok(self.values.options()) } else { Err(problems) }
    }

    /// Packets are to be captured, and nobody said where.
    #[must_use]
    pub fn lacks_interface(&self) -> bool {
        check::missing(self).is_some()
    }

    /// The filter, where it cannot be compiled whatever the interface.
    #[must_use]
    pub fn invalid_filter(&self) -> Option<Problem> {
        machine::filter(self)
    }

    /// What does not make sense by itself or together, whether or not it would be enough for a run.
    ///
    /// # Errors
    /// All of it.
    pub fn sensible(&self) -> Result<(), Vec<Problem>> {
        let problems = check::problems(self, &[]);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Reads every source.
///
/// # Errors
/// Everything that could not be read or understood.
pub fn load(sources: &Sources) -> Result<Loaded, Vec<Problem>> {
    let (loaded, problems) = read(sources);
    if problems.is_empty() { Ok(loaded) } else { Err(problems) }
}

/// Reads every source, and sees whether a run could use it on this machine.
///
/// # Errors
/// Everything that is wrong, by line: what could not be understood, what makes no sense, and what this machine does not have.
pub fn inspect(sources: &Sources) -> Result<Loaded, Vec<Problem>> {
    let (loaded, mut problems) = read(sources);
    problems.extend(check::problems(&loaded, &problems));
    problems.extend(machine::problems(&loaded));
    problems.sort_by_key(|problem| match problem.origin {
        Origin::File { line, .. } => line,
        _ => usize::MAX,
    });
    if problems.is_empty() { Ok(loaded) } else { Err(problems) }
}

/// What the sources say as far as it could be read, and what could not.
fn read(sources: &Sources) -> (Loaded, Vec<Problem>) {
    let mut loaded = Loaded {
        values: Values::default(),
        file: None,
        notes: Vec::new(),
        origins: vec![Origin::Default; SETTINGS.len()],
    };
    let mut problems = Vec::new();
    let variable = |name: &str| {
        let found = sources.environment.iter().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    };
    let named = sources.file.clone().map(|path| (path, Origin::Flag("--config".to_owned())));
    let named = named
        .or_else(|| variable(FILE_VARIABLE).map(|path| (path.into(), Origin::Environment(FILE_VARIABLE.to_owned()))));
    let (path, by) = named.unwrap_or_else(|| (sources.default_file.clone(), Origin::Default));
    match file::read(&path) {
        Ok(bytes) => {
            let (entries, wrong) = file::parse(&path, &bytes);
            problems.extend(wrong);
            for (place, line, raw) in entries {
                loaded.set(place, Origin::File { path: path.clone(), line }, &raw, &mut problems);
            }
            loaded.file = Some(path);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && by == Origin::Default => {}
        Err(error) => {
            let text = format!("cannot read the configuration {}: {error}", path.display());
            problems.push(Problem { origin: by, key: String::new(), text });
        }
    }
    for (place, setting) in SETTINGS.iter().enumerate() {
        let name = setting.variable();
        if let Some(value) = variable(&name) {
            let raw = if setting.list { split(value) } else { vec![value.to_owned()] };
            loaded.set(place, Origin::Environment(name), &raw, &mut problems);
        }
    }
    for (place, raw) in &sources.flags {
        if let Some(setting) = SETTINGS.get(*place) {
            loaded.set(*place, Origin::Flag(format!("--{}", setting.name)), raw, &mut problems);
        }
    }
    loaded.notes = near_misses(&sources.environment);
    (loaded, problems)
}

impl Loaded {
    fn set(&mut self, place: usize, origin: Origin, raw: &[OsString], problems: &mut Vec<Problem>) {
        let (Some(setting), Some(from)) = (SETTINGS.get(place), self.origins.get_mut(place)) else { return };
        match (setting.read)(&mut self.values, raw) {
            Ok(()) => *from = origin,
            Err(text) => problems.push(Problem { origin, key: setting.name.to_owned(), text }),
        }
    }
}

/// A list in a variable: separated by commas.
fn split(value: &OsStr) -> Vec<OsString> {
    use std::os::unix::ffi::OsStrExt as _;
    let parts = value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|part| !part.is_empty());
    parts.map(|part| OsStr::from_bytes(part).to_owned()).collect()
}

/// Variables that look like a setting misspelt. Others with our prefix are nobody's mistake: Kubernetes makes such for services.
fn near_misses(environment: &[(OsString, OsString)]) -> Vec<String> {
    let names: Vec<String> = SETTINGS.iter().map(Setting::variable).chain([FILE_VARIABLE.to_owned()]).collect();
    let ours = environment.iter().filter_map(|(name, _)| name.to_str()?.strip_prefix("H2WATCH_"));
    let unknown = ours.filter(|name| names.iter().all(|known| known.strip_prefix("H2WATCH_") != Some(name)));
    let keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).chain(["config"]).collect();
    let mut notes: Vec<String> = unknown
        .filter(|name| name.len() < 24)
        .filter_map(|name| {
            let near = nearest(name, keys.iter().copied()).filter(|near| near.len().abs_diff(name.len()) <= 2)?;
            let meant = near.to_ascii_uppercase().replace('-', "_");
            Some(format!("H2WATCH_{name}: no such setting: did you mean H2WATCH_{meant}?"))
        })
        .collect();
    notes.sort();
    notes
}

/// The file that would be read.
impl Sources {
    /// A file alone, without flags or environment.
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        Self { file: Some(path.to_owned()), ..Self::default() }
    }
}
