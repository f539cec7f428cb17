use std::borrow::Cow;
use std::ops::Range;

/// Bytes of a stream, and how long they may be kept without a copy.
#[derive(Clone, Copy, Debug)]
pub enum Chunk<'m, 'b> {
    /// Bytes that outlive the tap, for example a mapped file: kept by reference.
    Lasting(&'m [u8]),
    /// Bytes that are valid during the call only: kept by copy.
    Passing(&'b [u8]),
}

impl<'m, 'b> Chunk<'m, 'b>
where
    'm: 'b,
{
    /// The bytes.
    #[must_use]
    pub const fn bytes(self) -> &'b [u8] {
        match self {
            Self::Lasting(bytes) => bytes,
            Self::Passing(bytes) => bytes,
        }
    }

    /// A part of the bytes; empty when the range is not inside.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::Lasting(bytes) => Self::Lasting(bytes.get(range).unwrap_or_default()),
            Self::Passing(bytes) => Self::Passing(bytes.get(range).unwrap_or_default()),
        }
    }

    /// Number of bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.bytes().len()
    }

    /// No bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bytes().is_empty()
    }

    /// The bytes in a form that may be kept.
    #[must_use]
    pub fn keep(self) -> Cow<'m, [u8]> {
        match self {
            Self::Lasting(bytes) => Cow::Borrowed(bytes),
            Self::Passing(bytes) => Cow::Owned(bytes.to_vec()),
        }
    }
}
