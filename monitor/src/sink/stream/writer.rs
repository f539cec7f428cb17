//! The thread of a target.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use nix::unistd::{Gid, Uid};

use super::{Encoding, Message, Record, Shared};

/// After an event others are waited for, so that they are written together.
const GATHER: Duration = Duration::from_millis(20);

/// A target that failed is tried again after this time; one that is only busy, after a part of it.
const RETRY: Duration = Duration::from_secs(1);

/// One look at whether the run is over.
const STEP: Duration = Duration::from_millis(20);

/// Bytes that are written together, about.
const BATCH: usize = 64 << 10;

/// Takes entries: lines, or datagrams.
pub(super) trait Output: Send {
    /// Writes the entries in `bytes`, which end at `ends`. Gives how many were written as a whole; the next call begins with the first
    /// that was not.
    fn write(&mut self, bytes: &[u8], ends: &[usize]) -> (usize, io::Result<()>);

    /// What was opened may have been moved away: the next write opens it again.
    fn reopen(&mut self) {}

    /// What was written should last.
    fn end(&mut self) {}

    /// Gives it to a user, where that makes sense.
    fn give_to(&self, user: Uid, group: Gid) -> io::Result<()> {
        let _ = (user, group);
        Ok(())
    }

    /// What will not be possible with the rights that there are.
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Entries to be written, oldest first.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Which of them are findings.
    findings: Vec<bool>,
}

impl Batch {
    fn push(&mut self, encoding: Encoding, record: &Record<'_>, run: &str) {
        encoding.write(&mut self.bytes, record, run);
        self.ends.push(self.bytes.len());
        self.findings.push(matches!(record, Record::Finding(_)));
    }

    /// Forgets the first entries; gives how many findings were among them.
    fn forget(&mut self, count: usize) -> u64 {
        let until = count.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
        self.bytes.drain(..until.min(self.bytes.len()));
        self.ends.drain(..count.min(self.ends.len()));
        self.ends.iter_mut().for_each(|end| *end -= until);
        self.findings.drain(..count.min(self.findings.len())).map(u64::from).sum()
    }
}

/// The writing side of a target.
pub(super) struct Writer {
    output: Box<dyn Output>,
    encoding: Encoding,
    shared: Arc<Shared>,
    run: Arc<str>,
    batch: Batch,
    /// The reader went away for good.
    gone: bool,
}

impl Writer {
    pub(super) fn new(output: Box<dyn Output>, encoding: Encoding, shared: Arc<Shared>, run: Arc<str>) -> Self {
        Self { output, encoding, shared, run, batch: Batch::default(), gone: false }
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
        let mut full = false;
        while let Ok(message) = inbox.recv() {
            self.take(&message);
            if !full && !self.closing() {
                thread::sleep(GATHER);
            }
            while self.batch.bytes.len() < BATCH
                && let Ok(message) = inbox.try_recv()
            {
                self.take(&message);
            }
            // More is waiting: it needs no gathering.
            full = self.batch.bytes.len() >= BATCH;
            self.deliver();
        }
        if let Some(last) = self.shared.last.lock().ok().and_then(|mut last| last.take()) {
            if let Some((since, count)) = last.missed {
                self.batch.push(self.encoding, &Record::Dropped(since, count), &self.run);
            }
            let summary = Record::Summary { json: &last.summary, sentence: &last.sentence };
            self.batch.push(self.encoding, &summary, &self.run);
            self.deliver();
        }
        self.output.end();
    }

    fn take(&mut self, message: &Message) {
        match message {
            Message::Finding(finding) => {
                self.batch.push(self.encoding, &Record::Finding(finding), &self.run);
            }
            Message::Dropped(since, count) => {
                self.batch.push(self.encoding, &Record::Dropped(*since, *count), &self.run);
            }
            Message::Wake => {}
        }
    }

    fn closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire)
    }

    /// Writes the batch, however long it takes; when the run is over, a failure is final.
    fn deliver(&mut self) {
        loop {
            let error = match self.once() {
                Ok(()) if self.batch.ends.is_empty() => return,
                Ok(()) => continue,
                Err(error) => error,
            };
            let busy = matches!(error.kind(), ErrorKind::WouldBlock);
            if error.kind() == ErrorKind::BrokenPipe {
                self.gone = true;
                self.shared.gone.store(true, Ordering::Release);
                self.shared.failed(Some("its reader has gone, nothing is written there any more".to_owned()));
            } else if !busy && !self.gone {
                self.shared.failed(Some(error.to_string()));
            }
            if self.batch.ends.is_empty() {
                // Everything was written all the same.
                return;
            }
            if self.gone || (self.closing() && !busy) {
                let lost = self.batch.forget(self.batch.ends.len());
                self.shared.queued.fetch_sub(lost, Ordering::Relaxed);
                self.shared.dropped.fetch_add(lost, Ordering::Relaxed);
                return;
            }
            self.pause(if busy { STEP } else { RETRY });
        }
    }

    fn once(&mut self) -> io::Result<()> {
        if self.shared.reopen.swap(false, Ordering::AcqRel) {
            self.output.reopen();
        }
        if self.gone {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.batch.ends.is_empty() {
            return Ok(());
        }
        let (count, result) = self.output.write(&self.batch.bytes, &self.batch.ends);
        let written = self.batch.forget(count);
        self.shared.queued.fetch_sub(written, Ordering::Relaxed);
        self.shared.written.fetch_add(written, Ordering::Relaxed);
        if result.is_ok() {
            self.shared.failed(None);
        }
        result
    }

    /// Waits, but not when the run is over, nor when the target is to be opened again.
    fn pause(&self, span: Duration) {
        let mut left = span;
        while !left.is_zero() {
            thread::sleep(left.min(STEP));
            left = left.saturating_sub(STEP);
            if self.closing() || self.shared.reopen.load(Ordering::Acquire) {
                return;
            }
        }
    }
}
