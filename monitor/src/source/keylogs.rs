//! Key logs that grow: files, directories and named pipes, followed.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

/// What following the key logs gave.
#[derive(Debug)]
pub enum KeyLogNews<'b> {
    /// The next bytes of a log. Logs are numbered as they are found.
    Bytes {
        /// Which log.
        log: usize,
        /// Its name, for messages.
        name: &'b str,
        /// The bytes; wiped when the call is over.
        bytes: &'b [u8],
    },
    /// The log was truncated, replaced, or closed by its writer: the next bytes begin a new one.
    Restarted {
        /// Which log.
        log: usize,
    },
}

/// How a key log does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyLogHealth {
    /// Its path as it was given.
    pub path: PathBuf,
    /// It is there and can be read.
    pub readable: bool,
    /// Why not, in one line.
    pub error: Option<String>,
    /// Others than its owner may read it.
    pub exposed: bool,
    /// Bytes read from it.
    pub bytes: u64,
    /// Times it was truncated or replaced.
    pub restarts: u64,
    /// Since its last growth; `None`: it has not grown since it was opened.
    pub quiet: Option<Duration>,
}

/// Follows key logs.
#[derive(Debug, Default)]
pub struct KeyLogs {
    logs: Vec<Log>,
}

#[derive(Debug)]
struct Log {
    file: Option<File>,
    health: KeyLogHealth,
}

impl KeyLogs {
    /// Follows these paths, there yet or not.
    #[must_use]
    pub fn new(paths: &[PathBuf]) -> Self {
        let log =
            |path: &PathBuf| Log { file: None, health: KeyLogHealth { path: path.clone(), ..Default::default() } };
        Self { logs: paths.iter().map(log).collect() }
    }

    /// Reads what is new, without waiting.
    pub fn poll(&mut self, take: &mut dyn FnMut(KeyLogNews<'_>)) {
        let mut buffer = Zeroizing::new(vec![0; 64 << 10]);
        for (number, log) in self.logs.iter_mut().enumerate() {
            if log.file.is_none() {
                match File::open(&log.health.path) {
                    Ok(file) => (log.file, log.health.error) = (Some(file), None),
                    Err(error) => log.health.error = Some(error.to_string()),
                }
                log.health.readable = log.file.is_some();
            }
            let name = log.health.path.display().to_string();
            if let Some(file) = &mut log.file
                && let Ok(count) = file.read(&mut buffer)
                && count > 0
            {
                log.health.bytes += count as u64;
                take(KeyLogNews::Bytes { log: number, name: &name, bytes: buffer.get(..count).unwrap_or_default() });
            }
        }
    }

    /// Opens every log anew, and reads it from its beginning.
    pub fn reopen(&mut self) {
        self.logs.iter_mut().for_each(|log| log.file = None);
    }

    /// How each log does.
    #[must_use]
    pub fn health(&self) -> Vec<KeyLogHealth> {
        self.logs.iter().map(|log| log.health.clone()).collect()
    }
}
