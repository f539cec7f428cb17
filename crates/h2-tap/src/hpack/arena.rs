use super::{HpackError, huffman, span::Span};

/// Bytes of the table's entries and of the current block's literals. Within a block it only grows, so spans stay right; between
/// blocks the table may have its entries moved to a new one.
#[derive(Default)]
pub(super) struct Arena {
    /// Zeroes from `end` on: room that needs no growing.
    bytes: Vec<u8>,
    end: usize,
}

impl Arena {
    pub(super) fn with_room(room: usize) -> Self {
        Self { bytes: vec![0; room], end: 0 }
    }

    /// All bytes that a span may lie in.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) const fn end(&self) -> usize {
        self.end
    }

    /// Forgets what was added since the end was at `end`.
    pub(super) fn truncate(&mut self, end: usize) {
        self.end = self.end.min(end);
    }

    /// Bytes held from the heap.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends `bytes` as they are.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Span, HpackError> {
        self.room(bytes.len())?.copy_from_slice(bytes);
        self.close(bytes.len())
    }

    /// Appends what the first `len` bytes of `input` say in the Huffman code.
    pub(super) fn push_huffman(&mut self, input: &[u8], len: usize) -> Result<Span, HpackError> {
        let len = huffman::decode(input, len, self.room(huffman::longest(len) + huffman::SLACK)?)?;
        self.close(len)
    }

    fn room(&mut self, len: usize) -> Result<&mut [u8], HpackError> {
        let end = self.end.checked_add(len).filter(|&end| end < Span::STATIC as usize).ok_or(HpackError::TooLong)?;
        if end > self.bytes.len() {
            self.bytes.resize(end.next_power_of_two().max(1024), 0);
        }
        self.bytes.get_mut(self.end..end).ok_or(HpackError::TooLong)
    }

    fn close(&mut self, len: usize) -> Result<Span, HpackError> {
        let start = u32::try_from(self.end).map_err(|_| HpackError::TooLong)?;
        self.end += len;
        Ok(Span::new(start, u32::try_from(len).map_err(|_| HpackError::TooLong)?))
    }
}

impl std::fmt::Debug for Arena {
    /// How much it holds; what it holds may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arena").field("end", &self.end).finish_non_exhaustive()
    }
}
