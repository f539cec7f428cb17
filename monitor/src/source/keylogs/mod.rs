//! Key logs that grow: files, directories and named pipes, followed.
//!
//! Nothing here waits: pipes are opened without blocking, and a call reads a bounded number of bytes. A file is read by offset, so that
//! one that came by its descriptor (`/dev/fd/3`) keeps the position that its other readers see.

mod follow;
#[cfg(test)]
mod tests;
mod watched;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use follow::Budget;
use watched::Watched;

/// What following the key logs gave.
#[derive(Debug)]
pub enum KeyLogNews<'b> {
    /// The next bytes of a log. Numbers are used again when a log was dropped.
    Bytes {
        /// Which log.
        log: usize,
        /// Its name, for messages.
        name: &'b str,
        /// The bytes; wiped when the call is over. A NUL stands for a hole of any length.
        bytes: &'b [u8],
    },
    /// The log was truncated, dropped, or closed by its writer: what it gave is complete, and the next bytes begin a new one.
    Restarted {
        /// Which log.
        log: usize,
    },
}

/// How a key log does: a path as it was given, with everything that is read under it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyLogHealth {
    /// Its path as it was given.
    pub path: PathBuf,
    /// It is there and can be read.
    pub readable: bool,
    /// What is wrong with it, in one line. It may be readable all the same: a file that was deleted and is still open.
    pub error: Option<String>,
    /// Others than its owner may read it.
    pub exposed: bool,
    /// Bytes read from it.
    pub bytes: u64,
    /// Lines that ended in them.
    pub lines: u64,
    /// Bytes of holes that were passed over: a writer that keeps its offset leaves one when somebody truncates its file.
    pub holes: u64,
    /// Times it was truncated or replaced.
    pub restarts: u64,
    /// Files and pipes that are open for it: several for a directory, and while a replaced file may still grow.
    pub files: u64,
    /// Bytes that are there and were not read yet, as of the last reading.
    pub behind: u64,
    /// Since its last growth; `None`: it has not grown since it was opened.
    pub quiet: Option<Duration>,
}

/// Bytes that one call reads: a few milliseconds of work.
const AT_ONCE: u64 = 1 << 20;

/// Bytes of one reading.
const BUFFER: usize = 64 << 10;

/// Open files are looked at this often where there are few of them; where there are many, each costs this much patience.
const PAUSE: Duration = Duration::from_millis(1);
const FEW: usize = 8;

/// Follows key logs.
#[derive(Debug)]
pub struct KeyLogs {
    watched: Vec<Watched>,
    numbers: Numbers,
    buffer: Zeroizing<Vec<u8>>,
    looked: Option<Instant>,
    /// The last call left something unread.
    more: bool,
    /// Where the next call begins, so that one log that grows fast does not starve the others.
    turn: usize,
}

/// Numbers of logs, used again when they are free.
#[derive(Debug, Default)]
struct Numbers {
    free: Vec<usize>,
    next: usize,
}

impl Numbers {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }

    fn give_back(&mut self, number: usize) {
        self.free.push(number);
    }
}

impl Default for KeyLogs {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl KeyLogs {
    /// Follows these paths, there yet or not.
    #[must_use]
    pub fn new(paths: &[PathBuf]) -> Self {
        Self {
            watched: paths.iter().map(|path| Watched::new(path.clone())).collect(),
            numbers: Numbers::default(),
            buffer: Zeroizing::new(vec![0; BUFFER]),
            looked: None,
            more: false,
            turn: 0,
        }
    }

    /// Reads what is new, without waiting. Called too soon after the last time it does nothing.
    pub fn poll(&mut self, take: &mut dyn FnMut(KeyLogNews<'_>)) {
        self.poll_at(Instant::now(), take);
    }

    fn poll_at(&mut self, now: Instant, take: &mut dyn FnMut(KeyLogNews<'_>)) {
        let open: usize = self.watched.iter().map(Watched::open).sum();
        let pause = PAUSE * u32::try_from(open.div_ceil(FEW)).unwrap_or(u32::MAX);
        let soon = self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < pause);
        if soon && !self.more {
            return;
        }
        self.looked = Some(now);
        let mut budget = Budget { bytes: AT_ONCE, more: false, now };
        let count = self.watched.len().max(1);
        for at in 0..self.watched.len() {
            if let Some(watched) = self.watched.get_mut((self.turn + at) % count) {
                watched.poll(&mut budget, &mut self.numbers, &mut self.buffer, take);
            }
        }
        self.turn = (self.turn + 1) % count;
        self.more = budget.more;
    }

    /// Opens every file anew at the next reading, and reads it from its beginning. Pipes stay open: what is in them would be lost.
    pub fn reopen(&mut self) {
        self.watched.iter_mut().for_each(Watched::reopen);
        self.looked = None;
    }

    /// How each log does.
    #[must_use]
    pub fn health(&self) -> Vec<KeyLogHealth> {
        let now = Instant::now();
        self.watched.iter().map(|watched| watched.health(now)).collect()
    }
}
