//! The web configuration file: TLS, client certificates, passwords and headers, in the format of Prometheus' exporter-toolkit.

mod clients;
mod file;
mod tls;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::header::{HeaderName, HeaderValue};
use tokio_rustls::rustls::ServerConfig;

use super::auth::Users;
use super::warn;

/// What the files say, ready for use.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// TLS; `None`: clear text.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Who may ask; empty: everybody.
    pub(super) users: Users,
    /// Headers that answers get.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Every file that it was read from.
    files: Vec<PathBuf>,
}

/// The configuration as the files have it now: they are read again when they change. Where they cannot be used any more, what was read
/// last stays.
#[derive(Debug)]
pub(super) struct Live {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    settings: Arc<Settings>,
    /// The files as they were when they were read last, well or not.
    seen: Vec<Stamp>,
    error: Option<String>,
}

/// Says whether a file was changed or replaced.
type Stamp = Option<(u64, u64, u64, i64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    // A change that keeps the time of the last modification changes that of the last change.
    Some((found.dev(), found.ino(), found.size(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()))
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|path| stamp(path)).collect()
}

impl Live {
    /// Reads the file and those that it names.
    ///
    /// # Errors
    /// What is wrong, with file and line.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let settings = file::read(path)?;
        let state = State { seen: stamps(&settings.files), settings: Arc::new(settings), error: None };
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// The settings as the files have them now. Looking costs a few microseconds.
    pub(super) fn current(&self) -> Arc<Settings> {
        let mut state = self.state();
        let now = stamps(&state.settings.files);
        if now != state.seen {
            state.seen = now;
            match file::read(&self.path) {
                Ok(settings) => {
                    state.seen = stamps(&settings.files);
                    state.settings = Arc::new(settings);
                    state.error = None;
                }
                Err(error) => {
                    warn(&format!("{error}; the web port goes on with what was read before"));
                    state.error = Some(error);
                }
            }
        }
        Arc::clone(&state.settings)
    }

    /// Why the files cannot be used as they are now.
    pub(super) fn error(&self) -> Option<String> {
        self.state().error.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests;
