//! Events of a live run: each target has a queue and a thread of its own, so that a slow or broken one stalls nothing.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::json;
use super::view::Line;
use crate::model::Finding;

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
    /// Events in the queue.
    pub queued: u64,
    /// What went wrong last, in one line; `None` when the last write went well.
    pub error: Option<String>,
}

/// Events waiting for a target, at most.
const QUEUE: usize = 8_192;

/// One target of events.
#[derive(Debug)]
pub struct Stream {
    name: String,
    kind: &'static str,
    queue: Option<SyncSender<Arc<Finding>>>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    queued: AtomicU64,
    error: Mutex<Option<String>>,
}

impl Stream {
    /// Opens a target and starts its thread.
    ///
    /// # Errors
    /// What could not be opened, in one line.
    pub fn open(target: &EventsTarget) -> Result<Self, String> {
        let (name, kind, mut out): (String, _, Box<dyn Write + Send>) = match target {
            EventsTarget::Stdout => ("stdout".to_owned(), "stdout", Box::new(io::stdout())),
            EventsTarget::File { path, .. } => {
                let file = File::options().create(true).append(true).open(path);
                let file = file.map_err(|error| format!("cannot open {} for the events: {error}", path.display()))?;
                (path.display().to_string(), "file", Box::new(file))
            }
            EventsTarget::Journal => return Err("the journal is not there".to_owned()),
        };
        let (queue, inbox) = sync_channel::<Arc<Finding>>(QUEUE);
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let thread = thread::Builder::new().name(format!("events-{kind}")).spawn(move || {
            while let Ok(finding) = inbox.recv() {
                shared.queued.fetch_sub(1, Ordering::Relaxed);
                let mut line = Vec::new();
                let written = json::write(&mut line, &Line::from(&*finding)).and_then(|()| {
                    line.push(b'\n');
                    out.write_all(&line).and_then(|()| out.flush())
                });
                let count = if written.is_ok() { &shared.written } else { &shared.dropped };
                count.fetch_add(1, Ordering::Relaxed);
                if let Ok(mut error) = shared.error.lock() {
                    *error = written.err().map(|error| error.to_string());
                }
            }
        });
        let thread = thread.map_err(|error| format!("cannot start a thread for the events: {error}"))?;
        Ok(Self { name, kind, queue: Some(queue), counts, thread: Some(thread) })
    }

    /// Queues an event; never waits. Where the queue is full it is dropped and counted.
    pub fn finding(&mut self, finding: &Arc<Finding>) {
        self.counts.queued.fetch_add(1, Ordering::Relaxed);
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(Arc::clone(finding)).is_err()) {
            self.counts.queued.fetch_sub(1, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A round is over: what is queued may be written out.
    pub fn flush(&mut self) {}

    /// Opens the target again (SIGHUP): its file may have been renamed.
    pub fn reopen(&mut self) {}

    /// How it does.
    #[must_use]
    pub fn health(&self) -> StreamHealth {
        StreamHealth {
            name: self.name.clone(),
            kind: self.kind,
            written: self.counts.written.load(Ordering::Relaxed),
            dropped: self.counts.dropped.load(Ordering::Relaxed),
            queued: self.counts.queued.load(Ordering::Relaxed),
            error: self.counts.error.lock().ok().and_then(|error| error.clone()),
        }
    }

    /// Writes what is queued and ends the thread.
    ///
    /// # Errors
    /// The target failed, in one line.
    pub fn finish(mut self) -> Result<(), String> {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        match self.health().error {
            Some(error) => Err(format!("cannot write the events to {}: {error}", self.name)),
            None => Ok(()),
        }
    }
}
