/// A record's fragment cut into its parts.
pub(super) struct Parts<'p> {
    /// What is sent in clear in front of the ciphertext.
    pub(super) explicit: &'p [u8],
    /// The ciphertext where it lies in one piece; otherwise it was gathered.
    pub(super) contiguous: Option<&'p [u8]>,
    pub(super) len: usize,
    /// What stands behind the ciphertext.
    pub(super) trailer: &'p [u8],
}

/// Room for the parts of a fragment that are cut: an IV, and the longest MAC.
#[derive(Default)]
pub(super) struct Ends {
    explicit: [u8; 16],
    trailer: Trailer,
}

type Trailer = [[u8; 16]; 3];

impl<'p> Parts<'p> {
    /// Finds `explicit` bytes, `len` bytes of ciphertext and a trailer of what is left. A ciphertext that is cut is gathered in `out`
    /// from `start` on.
    pub(super) fn split(
        pieces: &[&'p [u8]],
        explicit: usize,
        len: usize,
        ends: &'p mut Ends,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Option<Self> {
        if let [fragment] = pieces {
            let (explicit, rest) = fragment.split_at_checked(explicit)?;
            let (ciphertext, trailer) = rest.split_at_checked(len)?;
            return Some(Self { explicit, contiguous: Some(ciphertext), len, trailer });
        }
        out.truncate(start);
        let mut contiguous = None;
        let mut to_explicit = ends.explicit.get_mut(..explicit)?;
        let mut to_trailer = ends.trailer.as_flattened_mut();
        let mut trailer_len = 0;
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
                contiguous = Some(ciphertext);
            } else {
                out.extend_from_slice(ciphertext);
            }
            left -= n;

            let (front, back) = to_trailer.split_at_mut_checked(trailer.len())?;
            front.copy_from_slice(trailer);
            to_trailer = back;
            trailer_len += trailer.len();
        }
        if left > 0 || !to_explicit.is_empty() {
            return None;
        }
        let Ends { explicit: front, trailer } = ends;
        Some(Self {
            explicit: front.get(..explicit)?,
            contiguous,
            len,
            trailer: trailer.as_flattened().get(..trailer_len)?,
        })
    }

    /// Has the ciphertext at the end of `out`, from `start` on.
    pub(super) fn gather<'o>(&self, start: usize, out: &'o mut Vec<u8>) -> Option<&'o mut [u8]> {
        if let Some(ciphertext) = self.contiguous {
            out.truncate(start);
            out.extend_from_slice(ciphertext);
        }
        out.get_mut(start..)
    }
}
