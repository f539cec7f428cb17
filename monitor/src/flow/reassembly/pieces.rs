use std::borrow::Cow;
use std::collections::VecDeque;

use tls_tap::Chunk;

use crate::model::Time;

/// A part of a stream that waits for what is missing in front of it.
#[derive(Debug)]
pub(crate) struct Piece<'m> {
    /// Its place in the stream.
    pub(crate) offset: u64,
    /// The bytes that were captured.
    pub(crate) data: Cow<'m, [u8]>,
    /// Bytes behind them that a snap length cut off.
    pub(crate) missing: u64,
    /// When it was captured.
    pub(crate) time: Time,
}

impl Piece<'_> {
    /// The place of the first byte behind it.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.data.len() as u64).saturating_add(self.missing)
    }
}

/// Capacity that an emptied queue may keep.
const KEPT_CAPACITY: usize = 16;

/// Pieces in the order of their places, without overlap: of bytes that came twice the first stay.
#[derive(Debug, Default)]
pub(crate) struct Pieces<'m> {
    list: VecDeque<Piece<'m>>,
    bytes: usize,
}

impl<'m> Pieces<'m> {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Captured bytes that wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn first(&self) -> Option<&Piece<'m>> {
        self.list.front()
    }

    /// The place behind the last piece.
    pub(crate) fn end(&self) -> Option<u64> {
        self.list.back().map(Piece::end)
    }

    pub(crate) fn pop(&mut self) -> Option<Piece<'m>> {
        let piece = self.list.pop_front()?;
        self.bytes = self.bytes.saturating_sub(piece.data.len());
        if self.list.is_empty() && self.list.capacity() > KEPT_CAPACITY {
            self.list = VecDeque::new();
        }
        Some(piece)
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds those parts of a segment that are new. `true`: a part that came before differs.
    ///
    /// Takes time linear in the segment's length, not in the number of pieces, but for one search and the moves of the insertions.
    pub(crate) fn insert(&mut self, offset: u64, chunk: Chunk<'m, '_>, missing: u64, time: Time) -> bool {
        let end = offset.saturating_add(chunk.len() as u64).saturating_add(missing);
        let mut rest = Rest { offset, chunk, missing };
        let mut conflict = false;
        let mut at = match self.list.back() {
            Some(last) if last.end() > offset => self.list.partition_point(|piece| piece.end() <= offset),
            _ => self.list.len(),
        };
        while rest.offset < end {
            let Some((start, stop)) = self.list.get(at).map(|piece| (piece.offset, piece.end())) else {
                self.put(at, rest.take(end), time);
                break;
            };
            if rest.offset < start {
                self.put(at, rest.take(start.min(end)), time);
                at += 1;
                continue;
            }
            let from = rest.offset;
            let again = rest.take(stop.min(end));
            if let Some(piece) = self.list.get(at) {
                let skip = usize::try_from(from - start).unwrap_or(usize::MAX);
                let known = piece.data.get(skip..).unwrap_or_default();
                conflict |= known.iter().zip(again.chunk.bytes()).any(|(a, b)| a != b);
            }
            at += 1;
        }
        conflict
    }

    fn put(&mut self, at: usize, part: Rest<'m, '_>, time: Time) {
        self.bytes = self.bytes.saturating_add(part.chunk.len());
        self.list.insert(
            at.min(self.list.len()),
            Piece { offset: part.offset, data: part.chunk.keep(), missing: part.missing, time },
        );
    }
}

/// What is left of a segment to be placed.
#[derive(Clone, Copy)]
struct Rest<'m, 'b> {
    offset: u64,
    chunk: Chunk<'m, 'b>,
    missing: u64,
}

impl<'m: 'b, 'b> Rest<'m, 'b> {
    /// Takes the part in front of `end`.
    fn take(&mut self, end: u64) -> Self {
        let wanted = end.saturating_sub(self.offset);
        let held = self.chunk.len();
        let cut = usize::try_from(wanted).unwrap_or(usize::MAX).min(held);
        let beyond = wanted.saturating_sub(cut as u64).min(self.missing);
        let part = Self { offset: self.offset, chunk: self.chunk.slice(0..cut), missing: beyond };
        self.chunk = self.chunk.slice(cut..held);
        self.missing -= beyond;
        self.offset = end;
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(pieces: &mut Pieces<'_>, offset: u64, bytes: &[u8]) -> bool {
        pieces.insert(offset, Chunk::Passing(bytes), 0, Time(0))
    }

    fn all(mut pieces: Pieces<'_>) -> Vec<(u64, Vec<u8>, u64)> {
        std::iter::from_fn(|| pieces.pop())
            .map(|piece| (piece.offset, piece.data.into_owned(), piece.missing))
            .collect()
    }

    #[test]
    fn what_came_first_stays_and_a_difference_is_said() {
        let mut pieces = Pieces::default();
        assert!(!put(&mut pieces, 10, b"cde"));
        assert!(!put(&mut pieces, 15, b"hi"));
        assert!(put(&mut pieces, 8, b"abXdefgh?j"));
        assert_eq!(pieces.bytes(), 10);
        let whole: Vec<u8> = all(pieces).into_iter().flat_map(|(_, data, _)| data).collect();
        assert_eq!(whole, b"abcdefghij");
    }

    #[test]
    fn a_copy_inside_a_piece_adds_nothing() {
        let mut pieces = Pieces::default();
        put(&mut pieces, 10, b"abcdef");
        assert!(!put(&mut pieces, 12, b"cd"));
        assert_eq!(all(pieces), [(10, b"abcdef".to_vec(), 0)]);
    }

    #[test]
    fn cut_off_bytes_keep_their_place() {
        let mut pieces = Pieces::default();
        pieces.insert(10, Chunk::Passing(b"ab"), 4, Time(0));
        pieces.insert(8, Chunk::Passing(b"yzab"), 8, Time(0));
        assert_eq!(all(pieces), [(8, b"yz".to_vec(), 0), (10, b"ab".to_vec(), 4), (16, vec![], 4)]);
    }
}
