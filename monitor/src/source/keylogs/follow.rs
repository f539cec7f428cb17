use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::{Whence, lseek};
use zeroize::{Zeroize as _, Zeroizing};

use super::KeyLogNews;
use super::exposed::exposed;

/// Device and inode: which file a path leads to.
pub(super) type Identity = (u64, u64);

pub(super) fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// How long one call may read on.
pub(super) struct Budget {
    within: Duration,
    begun: Instant,
    /// Something was read: a call reads one buffer at least, however little time it has.
    read: bool,
    pub(super) now: Instant,
}

impl Budget {
    pub(super) fn new(within: Duration, now: Instant) -> Self {
        Self { within, begun: Instant::now(), read: false, now }
    }

    pub(super) fn is_over(&self) -> bool {
        self.read && self.begun.elapsed() >= self.within
    }
}

/// Counts of what was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) holes: u64,
    pub(super) restarts: u64,
    pub(super) skipped: u64,
}

/// The last bytes before the offset: when they are others than were read, the file was truncated and has grown beyond it since.
const TAIL: usize = 32;

/// A file or a pipe that is open.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) number: usize,
    pub(super) identity: Identity,
    name: String,
    file: File,
    fifo: bool,
    offset: u64,
    tail: Zeroizing<Vec<u8>>,
    /// Something of it was read, or passed over.
    begun: bool,
    /// It may hold other bytes than were read, though it is as long as it was.
    doubted: bool,
    /// Bytes of it that are there and were not read; of a pipe nobody knows.
    pub(super) behind: u64,
    /// The last reading ended before the bytes did.
    pub(super) more: bool,
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
    pub(super) fn new(number: usize, path: &Path, file: File, metadata: &Metadata, now: Instant) -> Self {
        let fifo = metadata.file_type().is_fifo();
        Self {
            number,
            identity: identity(metadata),
            name: path.display().to_string(),
            file,
            fifo,
            offset: 0,
            tail: Zeroizing::new(Vec::with_capacity(TAIL)),
            begun: false,
            doubted: false,
            behind: if fifo { 0 } else { metadata.len() },
            more: true,
            opened: now,
            grown: None,
            error: None,
        }
    }

    /// Whether it still holds what was read is looked at by the next reading, also when its length says nothing.
    pub(super) const fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Reads what is new: one buffer at most. Of a file that is longer than `room` when it is first read, the part before is passed over.
    pub(super) fn poll(
        &mut self,
        room: u64,
        budget: &mut Budget,
        counts: &mut Counts,
        buffer: &mut [u8],
        take: &mut dyn FnMut(KeyLogNews<'_>),
    ) {
        self.more = false;
        let read = if self.fifo {
            self.read_pipe(budget, counts, buffer, take)
        } else {
            self.read_file(room, budget, counts, buffer, take)
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
        match self.file.read(buffer) {
            Ok(0) => {
                // No writer has it open: what was written is complete, the last line without its newline too.
                if std::mem::take(&mut self.begun) {
                    take(KeyLogNews::Restarted { log: self.number });
                }
                Ok(())
            }
            Ok(count) => {
                (self.begun, self.more) = (true, true);
                self.give(count, budget, counts, buffer, take);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.more = true;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn read_file(
        &mut self,
        room: u64,
        budget: &mut Budget,
        counts: &mut Counts,
        buffer: &mut [u8],
        take: &mut dyn FnMut(KeyLogNews<'_>),
    ) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        let doubted = std::mem::take(&mut self.doubted);
        if size < self.offset || ((size > self.offset || doubted) && !self.tail_is_there()?) {
            counts.restarts += 1;
            self.offset = 0;
            self.tail.zeroize();
            take(KeyLogNews::Restarted { log: self.number });
        }
        self.behind = size - self.offset;
        if self.behind == 0 {
            return Ok(());
        }
        let mut count = self.read_at(self.offset, buffer, size)?;
        if count > 0
            && buffer.first() == Some(&0)
            && let Some(hole) = self.hole(size)
        {
            counts.holes += hole;
            self.offset += hole;
            self.tail.zeroize();
            take(KeyLogNews::Bytes { log: self.number, name: &self.name, bytes: &[0] });
            count = self.read_at(self.offset, buffer, size)?;
        }
        if !std::mem::replace(&mut self.begun, true) && size - self.offset > room {
            counts.skipped += self.skip(size - room, buffer, size)?;
            count = self.read_at(self.offset, buffer, size)?;
        }
        if count > 0 {
            self.offset += count as u64;
            self.keep_tail(buffer.get(..count).unwrap_or_default());
            self.give(count, budget, counts, buffer, take);
        }
        self.behind = size.saturating_sub(self.offset);
        // Where nothing can be read though there should be something, the next call sees why.
        self.more = count > 0 && self.behind > 0;
        Ok(())
    }

    /// Fills the buffer from here on, as far as the file goes.
    fn read_at(&self, offset: u64, buffer: &mut [u8], size: u64) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX));
        let buffer = buffer.get_mut(..want).unwrap_or_default();
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Goes on behind the first line that ends after `from`. Gives how many bytes are passed over.
    fn skip(&mut self, from: u64, buffer: &mut [u8], size: u64) -> io::Result<u64> {
        let count = self.read_at(from, buffer, size)?;
        let cut = buffer.iter().take(count).position(|&byte| byte == b'\n').map_or(0, |end| end as u64 + 1);
        buffer.zeroize();
        let skipped = from + cut - self.offset;
        self.offset += skipped;
        // Lines are counted from here.
        self.name = format!("{} from byte {}", self.name, self.offset);
        Ok(skipped)
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
        budget.read = true;
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

    /// Where it is, when others than its owner may read it there.
    pub(super) fn exposed(&self) -> Option<PathBuf> {
        exposed(&self.file)
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
