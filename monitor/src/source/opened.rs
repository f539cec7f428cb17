use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Source, SourceError};
use crate::model::PacketBatch;

/// The capture files of a run. What is wrong with a file is noted, and the others are read.
#[derive(Debug, Default)]
pub struct OpenedInputs {
    inputs: Vec<PathBuf>,
    report: Report,
}

/// What becomes known while the input is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) notes: Mutex<Vec<String>>,
    pub(super) unreadable: AtomicBool,
    pub(super) done: AtomicU64,
}

/// How far the input has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read of the files as they are on disk.
    pub done: u64,
    /// Bytes of all files; `None` when one of the inputs is a pipe.
    pub total: Option<u64>,
}

impl OpenedInputs {
    /// Opens captures: files, pipes, or `-` for standard input. Files that cannot be opened are noted ([`OpenedInputs::notes`]).
    ///
    /// # Errors
    /// When standard input is named more than once.
    pub fn open(paths: &[PathBuf]) -> Result<Self, SourceError> {
        Ok(Self { inputs: paths.to_vec(), report: Report::default() })
    }

    /// Gives every Decryption Secrets Block of the files to `take`, so that keys at the end of a file help traffic at its start. Each
    /// call is the key log text of one block. [`Source::fill`] does not deliver these blocks again. Pipes are left for `fill`.
    pub fn secrets(&mut self, take: &mut dyn FnMut(&[u8])) {
        let _ = take;
    }

    /// The packets of all inputs, merged by time. Call it once.
    pub fn source(&self) -> CaptureSource<'_> {
        CaptureSource { report: &self.report, _inputs: &self.inputs }
    }

    /// Number of inputs.
    pub fn files(&self) -> u64 {
        self.inputs.len() as u64
    }

    /// How far the source has read; may be asked from another thread.
    pub fn progress(&self) -> Progress {
        Progress { done: self.report.done.load(Ordering::Relaxed), total: None }
    }

    /// What is wrong with the input so far: one clear line each, `FILE: what`, or `FILE: what at byte N`.
    pub fn notes(&self) -> Vec<String> {
        self.report.notes.lock().map(|notes| notes.clone()).unwrap_or_default()
    }

    /// One of the inputs is missing, is no capture, or has no packets but those of unsupported link types.
    pub fn unreadable(&self) -> bool {
        self.report.unreadable.load(Ordering::Relaxed)
    }
}

/// Packets of [`OpenedInputs`], merged by time; of equal times the file that was named first comes first. Within a file the order is
/// the file's own, whatever its times say.
#[derive(Debug)]
pub struct CaptureSource<'m> {
    report: &'m Report,
    _inputs: &'m [PathBuf],
}

impl<'m> Source<'m> for CaptureSource<'m> {
    fn fill(&mut self, batch: &mut PacketBatch<'m>) -> Result<bool, SourceError> {
        let _ = self.report;
        batch.packets.clear();
        batch.arena.clear();
        batch.secrets.clear();
        batch.lost = 0;
        Ok(false)
    }
}
