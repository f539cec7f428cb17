//! Events of a live run: each target has a queue and a thread of its own, so that a slow or broken one stalls nothing.
//!
//! While a target takes nothing its queue fills, and what does not fit is dropped and counted; where that happened, the target gets a
//! `dropped` event as soon as it takes events again. Nothing else is lost: what could not be written is tried again.

mod encode;
mod file;
mod journal;
mod pipe;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::unistd::{Gid, Uid};

use crate::model::{Finding, Stats, Time, Verdict};
use encode::{Encoding, Record};
use file::FileOutput;
use journal::Journal;
use pipe::Pipe;
use writer::Output;

/// Where the events of a live run go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventsTarget {
    /// JSON Lines on standard output.
    Stdout,
    /// JSON Lines in a file, which is appended to.
    File {
        /// Its path.
        path: PathBuf,
        /// A file that would grow beyond this is renamed to `path.1` (and so on), and a new one begun.
        rotate_bytes: u64,
        /// How many renamed files are kept.
        keep: u32,
    },
    /// systemd's journal, with the fields of the event.
    Journal,
}

/// How a target of events does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHealth {
    /// `stdout`, `journal`, or the path.
    pub name: String,
    /// `stdout`, `file` or `journal`.
    pub kind: &'static str,
    /// Events written.
    pub written: u64,
    /// Events dropped because the queue was full or the target failed.
    pub dropped: u64,
    /// Events that are queued, or being written.
    pub queued: u64,
    /// What went wrong last, in one line; `None` when the last write went well.
    pub error: Option<String>,
}

/// Events waiting for a target, at most.
const QUEUE: usize = 8_192;

/// What is queued is written within this time when the run ends, or dropped.
const FINISH: Duration = Duration::from_secs(2);

/// The name of a run that began at `start`: ids of events are unique together with it.
#[must_use]
pub fn run_name(start: Time) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(start.0)) {
        Ok(at) => at.strftime("%Y%m%dT%H%M%S.%3fZ").to_string(),
        Err(_) => start.0.to_string(),
    }
}

/// A target that is open, and has no thread yet.
pub struct Opened {
    target: EventsTarget,
    name: String,
    kind: &'static str,
    encoding: Encoding,
    output: Box<dyn Output>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Opened {
    /// Opens a target.
    ///
    /// # Errors
    /// What could not be opened, in one line.
    pub fn open(target: &EventsTarget) -> Result<Self, String> {
        let line = |name: &str, error: std::io::Error| format!("cannot open {name} for the events: {error}");
        Ok(match target {
            EventsTarget::Stdout => {
                let pipe = Pipe::stdout().map_err(|error| line("standard output", error))?;
                Self::new(target, "stdout".to_owned(), "stdout", Encoding::Lines, pipe)
            }
            EventsTarget::File { path, rotate_bytes, keep } => {
                let name = path.display().to_string();
                let file = FileOutput::open(path, *rotate_bytes, *keep).map_err(|error| line(&name, error))?;
                Self::new(target, name, "file", Encoding::Lines, file)
            }
            EventsTarget::Journal => {
                let journal = Journal::open(journal::SOCKET.as_ref()).map_err(|error| line("the journal", error))?;
                Self::new(target, "journal".to_owned(), "journal", Encoding::Journal, journal)
            }
        })
    }

    fn new(
        target: &EventsTarget,
        name: String,
        kind: &'static str,
        encoding: Encoding,
        output: impl Output + 'static,
    ) -> Self {
        Self { target: target.clone(), name, kind, encoding, output: Box::new(output) }
    }

    /// Gives a file that was created to the user who will write it.
    ///
    /// # Errors
    /// The system refuses, in one line.
    pub fn give_to(&self, user: Uid, group: Gid) -> Result<(), String> {
        self.output.give_to(user, group).map_err(|error| format!("cannot give {} to the user: {error}", self.name))
    }

    /// What the program, as the user that it now is, will not be able to do; in one line.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.output.trouble().map(|why| format!("{}: {why}", self.name))
    }

    /// Starts its thread. `run`: the name of the run, in every event.
    ///
    /// # Errors
    /// The system refuses a thread, in one line.
    pub fn start(self, run: &str) -> Result<Stream, String> {
        self.start_with(run, QUEUE)
    }

    fn start_with(self, run: &str, room: usize) -> Result<Stream, String> {
        let Self { target, name, kind, encoding, output } = self;
        let run: Arc<str> = run.into();
        let (queue, inbox) = sync_channel(room);
        let (done, ended) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let writer = writer::Writer::new(output, encoding, Arc::clone(&shared), Arc::clone(&run));
        thread::Builder::new()
            .name(format!("events-{kind}"))
            .spawn(move || {
                writer.run(&inbox);
                // Nobody listens when the end took too long.
                let _ = done.send(());
            })
            .map_err(|error| format!("cannot start a thread for the events: {error}"))?;
        Ok(Stream { target, name, kind, queue: Some(queue), shared, run, ended, missed: None })
    }
}

/// What goes through a queue.
#[derive(Debug)]
enum Message {
    Finding(Arc<Finding>),
    /// This many findings did not fit, the first of this time.
    Dropped(Time, u64),
    /// Nothing: there is something else to do.
    Wake,
}

/// What a target's two sides share.
#[derive(Debug, Default)]
struct Shared {
    written: AtomicU64,
    dropped: AtomicU64,
    queued: AtomicU64,
    error: Mutex<Option<String>>,
    /// Whoever read it has left for good.
    gone: AtomicBool,
    /// Open the target again.
    reopen: AtomicBool,
    /// The run is over: write what there is, and wait for nothing.
    closing: AtomicBool,
    /// What comes after the queue.
    last: Mutex<Option<Last>>,
}

/// What comes after the queue.
#[derive(Debug)]
struct Last {
    missed: Option<(Time, u64)>,
    summary: Vec<u8>,
    sentence: String,
}

impl Shared {
    fn failed(&self, error: Option<String>) {
        if let Ok(mut slot) = self.error.lock() {
            *slot = error;
        }
    }
}

/// One target of events.
#[derive(Debug)]
pub struct Stream {
    target: EventsTarget,
    name: String,
    kind: &'static str,
    queue: Option<SyncSender<Message>>,
    shared: Arc<Shared>,
    run: Arc<str>,
    ended: Receiver<()>,
    /// Findings dropped since the last that fitted, and the time of the first.
    missed: Option<(Time, u64)>,
}

impl Stream {
    /// Where its events go.
    #[must_use]
    pub const fn target(&self) -> &EventsTarget {
        &self.target
    }

    /// Queues an event; never waits. Where the queue is full it is dropped and counted.
    pub fn finding(&mut self, finding: &Arc<Finding>) {
        if let Some((since, count)) = self.missed {
            if self.send(Message::Dropped(since, count)) {
                self.missed = None;
            } else {
                return self.miss(finding);
            }
        }
        self.shared.queued.fetch_add(1, Ordering::Relaxed);
        if !self.send(Message::Finding(Arc::clone(finding))) {
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
            self.miss(finding);
        }
    }

    fn miss(&mut self, finding: &Finding) {
        let (since, count) = self.missed.unwrap_or_else(|| (encode::time(finding), 0));
        self.missed = Some((since, count + 1));
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn send(&self, message: Message) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.try_send(message).is_ok())
    }

    /// A round is over. What is queued goes out by itself within a fraction of a second; what did not fit is told.
    pub fn flush(&mut self) {
        if let Some((since, count)) = self.missed
            && self.send(Message::Dropped(since, count))
        {
            self.missed = None;
        }
    }

    /// Opens the target again (SIGHUP): its file may have been renamed.
    pub fn reopen(&mut self) {
        self.shared.reopen.store(true, Ordering::Release);
        // With a full queue the writer is awake, or waits for the target itself.
        self.send(Message::Wake);
    }

    /// How it does.
    #[must_use]
    pub fn health(&self) -> StreamHealth {
        StreamHealth {
            name: self.name.clone(),
            kind: self.kind,
            written: self.shared.written.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            queued: self.shared.queued.load(Ordering::Relaxed),
            error: self.shared.error.lock().ok().and_then(|error| error.clone()),
        }
    }

    /// Writes what is queued and the counts behind it, and ends the thread; waits for a target that takes nothing no longer than two
    /// seconds.
    ///
    /// # Errors
    /// The target failed, in one line.
    pub fn finish(mut self, stats: &Stats, verdict: Verdict) -> Result<(), String> {
        self.finish_within(stats, verdict, FINISH)
    }

    fn finish_within(&mut self, stats: &Stats, verdict: Verdict, within: Duration) -> Result<(), String> {
        let last = Last {
            missed: self.missed.take(),
            summary: encode::summary(stats, verdict, &self.run),
            sentence: encode::summary_sentence(stats, verdict),
        };
        if let Ok(mut slot) = self.shared.last.lock() {
            *slot = Some(last);
        }
        self.shared.closing.store(true, Ordering::Release);
        drop(self.queue.take());
        let ended = !matches!(self.ended.recv_timeout(within), Err(RecvTimeoutError::Timeout));
        let health = self.health();
        let what = format!("cannot write the events to {}, they are not complete", self.name);
        match health.error {
            // Whoever reads a pipe may have enough of it: `head` ends like this.
            _ if self.shared.gone.load(Ordering::Acquire) => Ok(()),
            Some(error) => Err(format!("{what}: {error}")),
            None if !ended => Err(format!("{what}: it takes nothing, {} are left", health.queued)),
            None => Ok(()),
        }
    }
}
