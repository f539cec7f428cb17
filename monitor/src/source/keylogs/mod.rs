//! Key logs that grow: files, directories and named pipes, followed.
//!
//! Nothing here waits: pipes are opened without blocking, and a call reads for a bounded time. A file is read by offset, so that one that
//! came by its descriptor (`/dev/fd/3`) keeps the position that its other readers see.

mod exposed;
mod follow;
#[cfg(test)]
mod tests;
mod watched;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

pub use exposed::{is_reachable, is_readable_by_others};
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
    /// Where what they may read is: the file itself, also in a directory.
    pub exposed_file: Option<PathBuf>,
    /// Bytes read from it.
    pub bytes: u64,
    /// Lines that ended in them.
    pub lines: u64,
    /// Bytes of holes that were passed over: a writer that keeps its offset leaves one when somebody truncates its file.
    pub holes: u64,
    /// Bytes at the beginning of long files that were not read: more keys stand behind them than are kept.
    pub skipped: u64,
    /// Times it was truncated or replaced.
    pub restarts: u64,
    /// Files and pipes that are open for it: several for a directory, and while a replaced file may still grow.
    pub files: u64,
    /// Bytes that are there and were not read yet, as of the last reading.
    pub behind: u64,
    /// Since its last growth; `None`: it has not grown since it was opened.
    pub quiet: Option<Duration>,
}

/// Bytes of one reading: less than a millisecond of work.
const BUFFER: usize = 64 << 10;

/// Most bytes that a key log has for one connection, about: of TLS 1.3 six lines of less than 200.
const CONNECTION: u64 = 2 << 10;

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
    /// No longer followed, which is still to be told.
    dropped: Vec<Watched>,
    /// Bytes at the end of a long file that hold all the keys that are kept.
    room: u64,
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
        Self::new(&[], 0)
    }
}

impl KeyLogs {
    /// Follows these paths, there yet or not. `connections`: those whose keys are kept. What stands in a file before so many is not read.
    #[must_use]
    pub fn new(paths: &[PathBuf], connections: usize) -> Self {
        Self {
            watched: paths.iter().map(|path| Watched::new(path.clone())).collect(),
            numbers: Numbers::default(),
            buffer: Zeroizing::new(vec![0; BUFFER]),
            looked: None,
            more: false,
            turn: 0,
            dropped: Vec::new(),
            room: CONNECTION.saturating_mul(connections as u64),
        }
    }

    /// Follows these paths from now on. One that stays goes on where it is.
    pub fn change(&mut self, paths: &[PathBuf]) {
        let mut before = std::mem::take(&mut self.watched);
        let mut kept = |path: &Path| before.iter().position(|one| one.path() == path).map(|at| before.swap_remove(at));
        self.watched = paths.iter().map(|path| kept(path).unwrap_or_else(|| Watched::new(path.clone()))).collect();
        self.dropped.append(&mut before);
        self.reopen();
    }

    /// Reads what is new, without waiting, for no longer than `within`. Called too soon after the last time it does nothing.
    pub fn poll(&mut self, within: Duration, take: &mut dyn FnMut(KeyLogNews<'_>)) {
        self.poll_at(Instant::now(), within, take);
    }

    /// The last call left something unread: the next one goes on at once.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.more
    }

    fn poll_at(&mut self, now: Instant, within: Duration, take: &mut dyn FnMut(KeyLogNews<'_>)) {
        let Self { watched, numbers, buffer, dropped, .. } = self;
        dropped.drain(..).for_each(|mut one| one.end(numbers, take));
        let open: usize = watched.iter().map(Watched::open).sum();
        let pause = PAUSE * u32::try_from(open.div_ceil(FEW)).unwrap_or(u32::MAX);
        let soon = self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < pause);
        if soon && !self.more {
            return;
        }
        self.looked = Some(now);
        watched.iter_mut().for_each(|one| one.attend(now, numbers, take));
        let mut budget = Budget::new(within, now);
        let count = watched.len().max(1);
        // One buffer of each in turn: a few lines that are new are not kept waiting by a long log beside them.
        for all in std::iter::once(true).chain(std::iter::repeat(false)) {
            self.more = false;
            for turn in (self.turn..).take(watched.len()) {
                if budget.is_over() {
                    (self.turn, self.more) = (turn % count, true);
                    return;
                }
                if let Some(one) = watched.get_mut(turn % count) {
                    self.more |= one.read(all, self.room, &mut budget, buffer, take);
                }
            }
            if !self.more {
                return;
            }
        }
    }

    /// Looks at every path at the next reading, and at whether its file still holds what was read of it: that it goes on from there. One
    /// that could not be read is opened anew.
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
