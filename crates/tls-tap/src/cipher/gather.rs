/// A record's fragment cut into its parts.
pub(super) struct Parts<'p> {
    explicit: [u8; 16],
    explicit_len: usize,
    /// The ciphertext where it lies in one piece; otherwise it was gathered.
    pub(super) contiguous: Option<&'p [u8]>,
    pub(super) len: usize,
    trailer: [u8; 48],
    trailer_len: usize,
}

impl<'p> Parts<'p> {
    /// Finds `explicit` bytes, `len` bytes of ciphertext and a trailer of what is left. A ciphertext that is cut is gathered at
    /// the end of `out`.
    pub(super) fn split(pieces: &[&'p [u8]], explicit: usize, len: usize, out: &mut Vec<u8>) -> Option<Self> {
        let mut parts =
            Self { explicit: [0; 16], explicit_len: explicit, contiguous: None, len, trailer: [0; 48], trailer_len: 0 };
        let mut to_explicit = parts.explicit.get_mut(..explicit)?;
        let mut to_trailer = &mut parts.trailer[..];
        let mut left = len;
        for &(mut piece) in pieces {
            let n = to_explicit.len().min(piece.len());
            let (front, back) = to_explicit.split_at_mut_checked(n)?;
            front.copy_from_slice(piece.get(..n)?);
            to_explicit = back;
            piece = piece.get(n..)?;

            let n = left.min(piece.len());
            let (ciphertext, trailer) = piece.split_at_checked(n)?;
            if n == len && left == len {
                parts.contiguous = Some(ciphertext);
            } else {
                out.extend_from_slice(ciphertext);
            }
            left -= n;

            let (front, back) = to_trailer.split_at_mut_checked(trailer.len())?;
            front.copy_from_slice(trailer);
            to_trailer = back;
            parts.trailer_len += trailer.len();
        }
        (left == 0 && to_explicit.is_empty()).then_some(parts)
    }

    pub(super) fn explicit(&self) -> &[u8] {
        self.explicit.get(..self.explicit_len).unwrap_or_default()
    }

    pub(super) fn trailer(&self) -> &[u8] {
        self.trailer.get(..self.trailer_len).unwrap_or_default()
    }

    /// Has the ciphertext at the end of `out`, from `start` on.
    pub(super) fn gather<'o>(&self, start: usize, out: &'o mut Vec<u8>) -> Option<&'o mut [u8]> {
        if let Some(ciphertext) = self.contiguous {
            out.extend_from_slice(ciphertext);
        }
        out.get_mut(start..)
    }
}
