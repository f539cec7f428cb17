use std::borrow::Cow;

use crate::Chunk;
use crate::cipher::{Opened, RecordCipher};
use crate::record::Header;

/// The bytes of a record behind its header, where they lie.
#[derive(Debug)]
pub(crate) enum Body<'r, 'm> {
    /// In one chunk.
    One(Chunk<'m, 'r>),
    /// In pieces, which may be taken.
    Many(&'r mut Vec<Cow<'m, [u8]>>),
}

impl<'m> Body<'_, 'm> {
    /// Calls `with` on the pieces in order.
    pub(crate) fn pieces(&self) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
        let (one, many) = match self {
            Self::One(chunk) => (Some(chunk.bytes()), &[][..]),
            Self::Many(pieces) => (None, pieces.as_slice()),
        };
        one.into_iter().chain(many.iter().map(|piece| &**piece))
    }

    /// Moves the pieces to the end of `into`, copying what would not last. Returns how many pieces and bytes that were.
    pub(crate) fn keep(&mut self, into: &mut impl Extend<Cow<'m, [u8]>>) -> (usize, usize) {
        match self {
            Self::One(chunk) => {
                into.extend([chunk.keep()]);
                (1, chunk.len())
            }
            Self::Many(pieces) => {
                let kept = (pieces.len(), pieces.iter().map(|piece| piece.len()).sum());
                into.extend(pieces.drain(..));
                kept
            }
        }
    }

    /// Takes the record in one piece, without a copy where it lies in one that lasts.
    pub(crate) fn keep_whole(&mut self) -> Cow<'m, [u8]> {
        match self {
            Self::One(chunk) => chunk.keep(),
            Self::Many(pieces) => match pieces.as_slice() {
                [Cow::Borrowed(bytes)] => Cow::Borrowed(bytes),
                _ => Cow::Owned(pieces.concat()),
            },
        }
    }

    /// Opens and authenticates the record: `out` is its content, or empty.
    pub(crate) fn open(
        &self,
        cipher: &RecordCipher,
        sequence: u64,
        header: Header,
        out: &mut Vec<u8>,
    ) -> Option<Opened> {
        match self {
            Self::One(chunk) => cipher.open_over(sequence, header.0, &[chunk.bytes()], out).ok(),
            Self::Many(pieces) => open(cipher, sequence, header, pieces, out),
        }
    }

    /// Copies the bytes at `offset` to `out`; `false` when they are not all there.
    pub(crate) fn copy_at(&self, offset: usize, out: &mut [u8]) -> bool {
        copy_at(self.pieces(), offset, out)
    }
}

/// Opens and authenticates a record: `out` is its content, or empty.
pub(crate) fn open(
    cipher: &RecordCipher,
    sequence: u64,
    header: Header,
    pieces: &[Cow<'_, [u8]>],
    out: &mut Vec<u8>,
) -> Option<Opened> {
    /// Pieces that fit on the stack: a record of full size in segments of an Ethernet frame is cut in 13.
    const FEW: usize = 24;
    let mut few = [&[][..]; FEW];
    if let Some(few) = few.get_mut(..pieces.len()) {
        for (to, from) in few.iter_mut().zip(pieces) {
            *to = from;
        }
        return cipher.open_over(sequence, header.0, few, out).ok();
    }
    let many: Vec<&[u8]> = pieces.iter().map(|piece| &**piece).collect();
    cipher.open_over(sequence, header.0, &many, out).ok()
}

/// Copies the bytes at `offset` of `pieces` to `out`; `false` when they are not all there.
pub(crate) fn copy_at<'p>(pieces: impl Iterator<Item = &'p [u8]>, mut offset: usize, mut out: &mut [u8]) -> bool {
    for piece in pieces {
        let Some(from) = piece.get(offset..) else {
            offset -= piece.len();
            continue;
        };
        offset = 0;
        let len = from.len().min(out.len());
        let (Some(source), Some((target, rest))) = (from.get(..len), out.split_at_mut_checked(len)) else {
            return false;
        };
        target.copy_from_slice(source);
        out = rest;
        if out.is_empty() {
            return true;
        }
    }
    out.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_across_pieces() {
        let mut pieces: Vec<Cow<'_, [u8]>> =
            vec![Cow::Borrowed(&[0, 1, 2]), Cow::Owned(vec![3]), Cow::Borrowed(&[4, 5, 6])];
        let mut body = Body::Many(&mut pieces);
        for offset in 0..=4 {
            let mut out = [0; 3];
            assert!(body.copy_at(offset, &mut out));
            assert_eq!(out.map(usize::from), [offset, offset + 1, offset + 2]);
        }
        assert!(!body.copy_at(5, &mut [0; 3]));
        let mut kept = Vec::new();
        assert_eq!(body.keep(&mut kept), (3, 7));
        assert_eq!(kept.concat(), [0, 1, 2, 3, 4, 5, 6]);
    }
}
