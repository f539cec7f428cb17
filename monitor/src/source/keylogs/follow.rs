use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Instant;

use nix::unistd::{Whence, lseek};
use zeroize::{Zeroize as _, Zeroizing};

use super::KeyLogNews;

/// Device and inode: which file a path leads to.
pub(super) type Identity = (u64, u64);

pub(super) fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// What one call may still read.
pub(super) struct Budget {
    pub(super) bytes: u64,
    /// Something was left unread.
    pub(super) more: bool,
    pub(super) now: Instant,
}

/// Counts of what was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) holes: u64,
    pub(super) restarts: u64,
}

/// The last bytes before the offset: when they are others than were read, the file was truncated and has grown beyond it since.
const TAIL: usize = 32;

/// A file or a pipe that is open.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) number: usize,
    pub(super) identity: Identity,
    pub(super) name: String,
    file: File,
    fifo: bool,
    offset: u64,
    tail: Zeroizing<Vec<u8>>,
    /// A pipe gave bytes since it was last at its end.
    begun: bool,
    pub(super) exposed: bool,
    /// Bytes of it that are there and were not read.
    pub(super) behind: u64,
    pub(super) opened: Instant,
    pub(super) grown: Option<Instant>,
    /// Reading it failed, for good or for now.
    pub(super) error: Option<String>,
}

/// Opens a regular file or a named pipe, without waiting for anybody.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Devices may do something when they are opened: their kind is asked first.
    refuse_special(&std::fs::metadata(path)?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    refuse_special(&metadata)?;
    Ok((file, metadata))
}

fn refuse_special(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    let name = match () {
        () if kind.is_char_device() => "a character device",
        () if kind.is_block_device() => "a block device",
        () if kind.is_socket() => "a socket",
        () => return Ok(()),
    };
    Err(io::Error::other(format!("is {name}: a key log is a file, a directory or a named pipe")))
}

impl Follow {
    pub(super) fn new(number: usize, name: String, file: File, metadata: &Metadata, now: Instant) -> Self {
        Self {
            number,
            identity: identity(metadata),
            name,
            file,
            fifo: metadata.file_type().is_fifo(),
            offset: 0,
            tail: Zeroizing::new(Vec::with_capacity(TAIL)),
            begun: false,
            exposed: exposed(metadata),
            behind: 0,
            opened: now,
            grown: None,
            error: None,
        }
    }

    pub(super) const fn is_fifo(&self) -> bool {
        self.fifo
    }

    /// Reads what is new.
    pub(super) fn poll(
        &mut self,
        budget: &mut Budget,
        counts: &mut Counts,
        buffer: &mut [u8],
        take: &mut dyn FnMut(KeyLogNews<'_>),
    ) {
        let read = if self.fifo {
            self.read_pipe(budget, counts, buffer, take)
        } else {
            self.read_file(budget, counts, buffer, take)
        };
        self.error = read.err().map(|error| format!("cannot read {}: {error}", self.name));
    }

    fn read_pipe(
        &mut self,
        budget: &mut Budget,
        counts: &mut Counts,
        buffer: &mut [u8],
        take: &mut dyn FnMut(KeyLogNews<'_>),
    ) -> io::Result<()> {
        while budget.bytes > 0 {
            match self.file.read(buffer) {
                Ok(0) => {
                    // No writer has it open: what was written is complete, the last line without its newline too.
                    if std::mem::take(&mut self.begun) {
                        take(KeyLogNews::Restarted { log: self.number });
                    }
                    return Ok(());
                }
                Ok(count) => {
                    self.begun = true;
                    self.give(count, budget, counts, buffer, take);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        budget.more = true;
        Ok(())
    }

    fn read_file(
        &mut self,
        budget: &mut Budget,
        counts: &mut Counts,
        buffer: &mut [u8],
        take: &mut dyn FnMut(KeyLogNews<'_>),
    ) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        self.exposed = exposed(&metadata);
        let size = metadata.len();
        if size < self.offset || (size > self.offset && !self.tail_is_there()?) {
            counts.restarts += 1;
            self.offset = 0;
            self.tail.zeroize();
            take(KeyLogNews::Restarted { log: self.number });
        }
        while self.offset < size && budget.bytes > 0 {
            let want = buffer.len().min(usize::try_from(budget.bytes.min(size - self.offset)).unwrap_or(usize::MAX));
            let count = match self.file.read_at(buffer.get_mut(..want).unwrap_or_default(), self.offset) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.first() == Some(&0)
                && let Some(hole) = self.hole(size)
            {
                counts.holes += hole;
                self.offset += hole;
                self.tail.zeroize();
                take(KeyLogNews::Bytes { log: self.number, name: &self.name, bytes: &[0] });
                continue;
            }
            self.offset += count as u64;
            self.keep_tail(buffer.get(..count).unwrap_or_default());
            self.give(count, budget, counts, buffer, take);
        }
        self.behind = size.saturating_sub(self.offset);
        budget.more |= self.behind > 0 && budget.bytes == 0;
        Ok(())
    }

    /// Hands on the first bytes of the buffer, and wipes them.
    fn give(
        &mut self,
        count: usize,
        budget: &mut Budget,
        counts: &mut Counts,
        buffer: &mut [u8],
        take: &mut dyn FnMut(KeyLogNews<'_>),
    ) {
        let bytes = buffer.get_mut(..count).unwrap_or_default();
        self.grown = Some(budget.now);
        budget.bytes = budget.bytes.saturating_sub(count as u64);
        counts.bytes += count as u64;
        counts.lines += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        take(KeyLogNews::Bytes { log: self.number, name: &self.name, bytes });
        bytes.zeroize();
    }

    /// How far the hole reaches that begins at the offset; `None` where there is none, or where the file system knows of none.
    fn hole(&self, size: u64) -> Option<u64> {
        let offset = i64::try_from(self.offset).ok()?;
        let data = match lseek(&self.file, offset, Whence::SeekData) {
            Ok(data) => u64::try_from(data).ok()?,
            // A hole to the end.
            Err(nix::errno::Errno::ENXIO) => size,
            Err(_) => return None,
        };
        data.min(size).checked_sub(self.offset).filter(|&hole| hole > 0)
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        let keep = bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default();
        let over = (self.tail.len() + keep.len()).saturating_sub(TAIL).min(self.tail.len());
        self.tail.rotate_left(over);
        let left = self.tail.len() - over;
        self.tail.truncate(left);
        self.tail.extend_from_slice(keep);
    }

    /// What was read last is still in front of the offset.
    fn tail_is_there(&self) -> io::Result<bool> {
        let mut there = Zeroizing::new([0; TAIL]);
        let Some(there) = there.get_mut(..self.tail.len()) else { return Ok(true) };
        let Some(from) = self.offset.checked_sub(there.len() as u64) else { return Ok(true) };
        match self.file.read_exact_at(there, from) {
            Ok(()) => Ok(*there == **self.tail),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Others than the owner may read it.
fn exposed(metadata: &Metadata) -> bool {
    metadata.mode() & 0o044 != 0
}
