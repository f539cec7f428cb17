use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use super::mapped::{LINE, Mapping, Released};

/// Bytes read from a stream at a time.
const READ: usize = 128 << 10;

/// A stream's buffer that grew beyond this for one block is given back behind it.
const KEEP: usize = 1 << 20;

/// How far ahead memory of a mapped file is asked for, bytes. Where the next header is, the header before it says: one after the other
/// each would be waited for. To ask for every line between them takes less time than to guess where the next ones are, and what reads the
/// payload later finds it at hand. Of a packet that is longer than this only the beginning is asked for.
const AHEAD: usize = 2_048;

/// The plain bytes of one input, in order.
pub(super) enum Feed<'m> {
    Mapped(MappedFeed<'m>),
    Stream(StreamFeed<'m>),
}

pub(super) struct MappedFeed<'m> {
    mapping: &'m Mapping,
    bytes: &'m [u8],
    at: usize,
    /// Memory was asked for until here.
    asked: usize,
    released: Released,
}

pub(super) struct StreamFeed<'m> {
    reader: Box<dyn Read + Send + 'm>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes taken before `start`.
    taken: u64,
    ended: bool,
}

impl<'m> Feed<'m> {
    pub(super) fn mapped(mapping: &'m Mapping) -> Self {
        Self::Mapped(MappedFeed { mapping, bytes: mapping.bytes(), at: 0, asked: 0, released: Released::default() })
    }

    pub(super) fn stream(reader: Box<dyn Read + Send + 'm>) -> Self {
        Self::Stream(StreamFeed { reader, buffer: Vec::new(), start: 0, end: 0, taken: 0, ended: false })
    }

    /// The bytes at hand.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(feed) => feed.bytes.get(feed.at..).unwrap_or_default(),
            Self::Stream(feed) => feed.buffer.get(feed.start..feed.end).unwrap_or_default(),
        }
    }

    /// Part of the bytes at hand that outlives the feed; `None` for a stream.
    #[inline]
    pub(super) fn lasting(&self, offset: usize, len: usize) -> Option<&'m [u8]> {
        match self {
            Self::Mapped(feed) => feed.bytes.get(feed.at + offset..feed.at + offset + len),
            Self::Stream(_) => None,
        }
    }

    /// Offset of the bytes at hand in the plain input.
    pub(super) const fn offset(&self) -> u64 {
        match self {
            Self::Mapped(feed) => feed.at as u64,
            Self::Stream(feed) => feed.taken,
        }
    }

    /// Gets at least `wanted` bytes to hand; false when the input ends before.
    pub(super) fn want(&mut self, wanted: usize) -> io::Result<bool> {
        match self {
            Self::Mapped(feed) => Ok(feed.bytes.len() - feed.at >= wanted),
            Self::Stream(feed) => feed.want(wanted),
        }
    }

    /// Passes over bytes at hand.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) {
        match self {
            Self::Mapped(feed) => feed.take(bytes),
            Self::Stream(feed) => {
                let bytes = bytes.min(feed.end - feed.start);
                feed.start += bytes;
                feed.taken += bytes as u64;
            }
        }
    }

    /// Passes over any number of bytes; false when the input ends before.
    pub(super) fn skip(&mut self, mut bytes: u64) -> io::Result<bool> {
        loop {
            let now = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.bytes().len());
            self.take(now);
            bytes -= now as u64;
            if bytes == 0 {
                return Ok(true);
            }
            if !self.want(1)? {
                return Ok(false);
            }
        }
    }

    /// Gives back the memory of what lies before `until` in the plain input.
    pub(super) fn release(&mut self, until: u64, window: usize) {
        if let Self::Mapped(feed) = self {
            feed.released.release(feed.mapping, usize::try_from(until).unwrap_or(0).min(feed.at), window);
        }
    }
}

impl Feed<'_> {
    /// Gives back all memory of a mapped file.
    pub(super) fn release_all(&self) {
        if let Self::Mapped(feed) = self {
            feed.mapping.release();
        }
    }
}

impl MappedFeed<'_> {
    #[inline]
    fn take(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes).min(self.bytes.len());
        self.ask();
    }

    #[inline]
    fn ask(&mut self) {
        let from = self.asked.max(self.at - self.at % LINE);
        let until = self.at.saturating_add(AHEAD);
        self.mapping.ask(from, until);
        self.asked = until - until % LINE;
    }
}

impl StreamFeed<'_> {
    fn want(&mut self, wanted: usize) -> io::Result<bool> {
        while self.end - self.start < wanted {
            if self.ended {
                return Ok(false);
            }
            self.make_room(wanted);
            match self.reader.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => self.ended = true,
                Ok(bytes) => self.end += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    /// Makes room behind the bytes at hand: for a whole read, and for `wanted` bytes.
    fn make_room(&mut self, wanted: usize) {
        let held = self.end - self.start;
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        }
        let least = wanted.max(held + 1).max(READ);
        if self.buffer.len() < least {
            // Grown step by step: a length that a cut input only claims costs no memory.
            let step = least.min((self.buffer.len() * 2).max(READ));
            self.buffer.resize(step.max(held + 1), 0);
        } else if self.buffer.len() > KEEP && least <= KEEP {
            self.buffer.truncate(KEEP);
            self.buffer.shrink_to_fit();
        }
    }
}

/// Counts the bytes read.
pub(super) struct Counted<'m, R> {
    pub(super) inner: R,
    pub(super) done: Option<&'m AtomicU64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buf)?;
        if let Some(done) = self.done {
            done.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        Ok(bytes)
    }
}
