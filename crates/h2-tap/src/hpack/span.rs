use super::static_table;

/// Where a name or a value stands: in the static table, in the arena, or nowhere known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// A part that is not known.
    pub(super) const UNKNOWN: Self = Self { start: u32::MAX, len: 0 };
    /// Starts from here on are offsets into the static table's bytes; the arena ends before.
    pub(super) const STATIC: u32 = u32::MAX - 0xffff;

    /// `len` bytes of the arena (or of the static table, from [`Self::STATIC`] on).
    pub(super) const fn new(start: u32, len: u32) -> Self {
        Self { start, len }
    }

    /// The start, if the span is in the arena.
    pub(super) const fn in_arena(self) -> Option<u32> {
        if self.start < Self::STATIC { Some(self.start) } else { None }
    }

    pub(super) const fn is_unknown(self) -> bool {
        self.start == u32::MAX
    }

    /// Bytes; none for an unknown part.
    pub(super) const fn len(self) -> usize {
        self.len as usize
    }

    /// The bytes, `None` when unknown.
    #[inline]
    pub(super) fn resolve(self, arena: &[u8]) -> Option<&[u8]> {
        let (bytes, start) = match self.start.checked_sub(Self::STATIC) {
            Some(offset) => (static_table::BYTES.as_slice(), offset as usize),
            None => (arena, self.start as usize),
        };
        // One that is unknown starts beyond the static table's bytes.
        bytes.get(start..)?.get(..self.len())
    }
}

/// A header field as its two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Span,
    pub(super) value: Span,
    /// The name's mark, looked for once for each entry of a table; 0 for none.
    pub(super) mark: u8,
}

/// The mark of names that are not known.
pub(super) const UNKNOWN_MARK: u8 = 63;

impl Entry {
    /// A field of which only the place in the table is known.
    pub(super) const UNKNOWN: Self = Self { name: Span::UNKNOWN, value: Span::UNKNOWN, mark: UNKNOWN_MARK };

    pub(super) const fn is_unknown(self) -> bool {
        self.name.is_unknown() || self.value.is_unknown()
    }

    /// Known bytes of name and value.
    pub(super) const fn len(self) -> usize {
        self.name.len() + self.value.len()
    }

    /// Size as RFC 7541 section 4.1 counts it; too small where a part is unknown.
    pub(super) const fn size(self) -> usize {
        self.len() + 32
    }
}
