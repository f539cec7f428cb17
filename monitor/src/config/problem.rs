use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    #[default]
    Default,
    /// A line of the configuration file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// What is wrong with the configuration, where, and the fix: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was set; [`Origin::Default`] when it is about something that nobody set.
    pub origin: Origin,
    /// The setting, or the unknown key; empty when it is about the file as a whole.
    pub key: String,
    /// What is wrong, and the fix.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, text } = self;
        match origin {
            Origin::File { path, line } if key.is_empty() => write!(f, "{}:{line}: {text}", path.display()),
            Origin::File { path, line } => write!(f, "{}:{line}: {key}: {text}", path.display()),
            Origin::Environment(name) | Origin::Flag(name) => write!(f, "{name}: {text}"),
            Origin::Default if key.is_empty() => f.write_str(text),
            Origin::Default => write!(f, "{key}: {text}"),
        }
    }
}
