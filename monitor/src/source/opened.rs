use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::capture::{Capture, Report};
use super::compression::{self, Compression};
use super::feed::{Counted, Feed};
use super::mapped::{Mapping, WINDOW};
use super::merge::CaptureSource;
use super::{SourceError, prescan};

/// A file that changed within this time is not mapped: it may be changing still.
const SETTLED: Duration = Duration::from_secs(5);

/// The capture files of a run. What is wrong with a file is noted, and the others are read.
#[derive(Debug)]
pub struct OpenedInputs {
    inputs: Vec<Input>,
    report: Report,
}

/// How far the input has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read of the files as they are on disk.
    pub done: u64,
    /// Bytes of all files; `None` when one of the inputs is a pipe.
    pub total: Option<u64>,
}

/// One input.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: String,
    path: PathBuf,
    kind: InputKind,
    /// Its Decryption Secrets Blocks were given away before.
    secrets_given: bool,
}

#[derive(Debug)]
enum InputKind {
    /// A regular file, mapped.
    Mapped(Mapping),
    /// A regular file that is read: compressed, or changed lately.
    Read { len: u64 },
    /// A pipe or a device.
    Pipe,
    /// Standard input.
    Standard,
    /// Bytes in memory.
    Given(Vec<u8>),
    /// It could not be opened, which is noted.
    Failed,
}

impl OpenedInputs {
    /// Opens captures: files, pipes, or `-` for standard input. Files that cannot be opened are noted ([`OpenedInputs::notes`]).
    ///
    /// # Errors
    /// When standard input is named more than once.
    pub fn open(paths: &[PathBuf]) -> Result<Self, SourceError> {
        if paths.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
            return Err(SourceError::StandardInputTwice);
        }
        let report = Report::default();
        let inputs = paths.iter().map(|path| Input::open(path, &report)).collect();
        Ok(Self { inputs, report })
    }

    /// Captures that are in memory already, each with its name in [`OpenedInputs::notes`]. They are read as files are.
    #[must_use]
    pub fn given(captures: Vec<(String, Vec<u8>)>) -> Self {
        let given = |(name, bytes)| {
            let kind = InputKind::Given(bytes);
            Input { name, path: PathBuf::new(), kind, secrets_given: false }
        };
        Self { inputs: captures.into_iter().map(given).collect(), report: Report::default() }
    }

    /// Gives every Decryption Secrets Block of the files to `take`, so that keys at the end of a file help traffic at its start. Each
    /// call is the key log text of one block. [`Source::fill`](super::Source::fill) does not deliver these blocks again. Pipes and
    /// standard input are left for `fill`.
    pub fn secrets(&mut self, take: &mut dyn FnMut(&[u8])) {
        let window = self.window();
        for input in &mut self.inputs {
            if input.is_file()
                && let Ok(feed) = input.feed(None)
            {
                prescan::secrets(feed, window, take);
            }
            input.secrets_given = input.is_file();
        }
    }

    /// The packets of all inputs, merged by time. Call it once.
    pub fn source(&self) -> CaptureSource<'_> {
        CaptureSource::new(&self.inputs, &self.report, self.window())
    }

    /// Number of inputs.
    pub fn files(&self) -> u64 {
        self.inputs.len() as u64
    }

    /// How far the source has read; may be asked from another thread.
    pub fn progress(&self) -> Progress {
        Progress {
            done: self.report.done.load(Ordering::Relaxed),
            total: self.inputs.iter().map(Input::len).try_fold(0u64, |sum, len| Some(sum.saturating_add(len?))),
        }
    }

    /// What is wrong with the input so far: one clear line each, `FILE: what`, or `FILE: what at byte N`. Bytes of compressed input
    /// are those of what it holds.
    pub fn notes(&self) -> Vec<String> {
        self.report.notes()
    }

    /// One of the inputs is missing, is no capture, or has no packets but those of unsupported link types.
    pub fn unreadable(&self) -> bool {
        self.report.unreadable()
    }

    /// How much of each mapped file may be resident behind what is in use.
    fn window(&self) -> usize {
        let mapped = self.inputs.iter().filter(|input| matches!(input.kind, InputKind::Mapped(_))).count();
        WINDOW / mapped.max(1).next_power_of_two()
    }
}

impl Input {
    fn open(path: &Path, report: &Report) -> Self {
        let (name, kind) = if path.as_os_str() == "-" {
            ("standard input".to_owned(), Ok(InputKind::Standard))
        } else {
            (path.display().to_string(), Self::look(path))
        };
        let kind = kind.unwrap_or_else(|error| {
            report.note(format!("{name}: {}", said(&error)));
            report.set_unreadable();
            InputKind::Failed
        });
        Self { name, path: path.to_owned(), kind, secrets_given: false }
    }

    /// Decides how a file is read.
    fn look(path: &Path) -> io::Result<InputKind> {
        // Asked before it is opened: opening a pipe waits for its writer, and takes its bytes.
        let metadata = std::fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        if !metadata.is_file() {
            return Ok(InputKind::Pipe);
        }
        let file = File::open(path)?;
        let read = InputKind::Read { len: metadata.len() };
        // A time in the future counts as lately.
        let settled = metadata.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= SETTLED));
        if !settled || metadata.len() == 0 {
            return Ok(read);
        }
        // A file system that cannot map still reads.
        let Ok(mapping) = Mapping::new(&file) else { return Ok(read) };
        Ok(if Compression::of(mapping.bytes()) == Compression::None { InputKind::Mapped(mapping) } else { read })
    }

    /// Bytes on disk; `None` for a pipe.
    fn len(&self) -> Option<u64> {
        match &self.kind {
            InputKind::Mapped(mapping) => Some(mapping.bytes().len() as u64),
            InputKind::Read { len } => Some(*len),
            InputKind::Given(bytes) => Some(bytes.len() as u64),
            InputKind::Failed => Some(0),
            InputKind::Pipe | InputKind::Standard => None,
        }
    }

    /// A file that can be closed and read again from its start.
    pub(super) const fn is_file(&self) -> bool {
        matches!(self.kind, InputKind::Mapped(_) | InputKind::Read { .. } | InputKind::Given(_))
    }

    /// Its plain bytes from the start; read bytes are counted in `done`.
    fn feed<'m>(&'m self, done: Option<&'m AtomicU64>) -> io::Result<Feed<'m>> {
        let plain = match &self.kind {
            InputKind::Mapped(mapping) => return Ok(Feed::mapped(mapping)),
            InputKind::Failed => return Ok(Feed::stream(Box::new(io::empty()))),
            InputKind::Given(bytes) => compression::plain(Counted { inner: bytes.as_slice(), done }),
            InputKind::Standard => compression::plain(Counted { inner: io::stdin(), done }),
            InputKind::Read { .. } | InputKind::Pipe => {
                compression::plain(Counted { inner: File::open(&self.path)?, done })
            }
        };
        plain.map(Feed::stream)
    }

    /// Begins to read its packets. `None`: it cannot be read, which is noted.
    pub(super) fn capture<'m>(&'m self, report: &'m Report, count: bool) -> Option<Capture<'m>> {
        if matches!(self.kind, InputKind::Failed) {
            return None;
        }
        match self.feed(count.then_some(&report.done)) {
            Ok(feed) => Some(Capture::new(feed, !self.secrets_given)),
            Err(error) => {
                report.note(format!("{}: {}", self.name, said(&error)));
                report.set_unreadable();
                None
            }
        }
    }
}

/// What the system said, without its number.
fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => error.to_string(),
    }
}
