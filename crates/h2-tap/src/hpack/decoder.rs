use std::fmt;

use super::{
    Fields,
    arena::Arena,
    integer,
    span::{Entry, Span},
    static_table,
    table::Table,
};
use crate::Limits;

/// Why a header block is not valid HPACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpackError {
    /// The block ends inside a field.
    Truncated,
    /// An integer beyond 32 bits, or with needless padding (RFC 7541 section 5.1).
    Integer,
    /// EOS or wrong padding in a Huffman-coded string (RFC 7541 section 5.2).
    Huffman,
    /// Index 0, or one beyond a table that is wholly known (RFC 7541 section 2.3.3).
    Index,
    /// A dynamic table size update not at the block's beginning, or above the allowed size (RFC 7541 section 6.3).
    TableSize,
    /// More bytes than can be addressed.
    TooLong,
}

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "header block ends inside a field",
            Self::Integer => "integer too large",
            Self::Huffman => "invalid Huffman code",
            Self::Index => "invalid index",
            Self::TableSize => "invalid dynamic table size update",
            Self::TooLong => "header block too long",
        })
    }
}

impl std::error::Error for HpackError {}

/// Decodes the header blocks that one side sends (RFC 7541).
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    arena: Arena,
    kept: Kept,
}

/// The fields of the current block, up to the caps.
#[derive(Debug)]
struct Kept {
    entries: Vec<Entry>,
    bytes: usize,
    complete: bool,
    /// A cap was met: no further field is kept.
    cut: bool,
    max_fields: usize,
    max_bytes: usize,
}

impl Decoder {
    /// For a connection that is seen from its start: the dynamic table is empty and of the initial size.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self::with_table(Table::new(limits.header_table), limits)
    }

    /// For a connection that is joined late: what the dynamic table holds, and its size, are unknown.
    #[must_use]
    pub fn midstream(limits: &Limits) -> Self {
        Self::with_table(Table::midstream(limits.header_table), limits)
    }

    fn with_table(table: Table, limits: &Limits) -> Self {
        let kept = Kept {
            entries: Vec::new(),
            bytes: 0,
            complete: true,
            cut: false,
            max_fields: limits.fields,
            max_bytes: limits.field_bytes,
        };
        Self { table, arena: Arena::default(), kept }
    }

    /// The side that encodes acknowledged this SETTINGS_HEADER_TABLE_SIZE. It bounds later dynamic table size updates; what is
    /// stored stays within [`Limits::header_table`].
    pub fn set_max(&mut self, settings_header_table_size: u32) {
        self.table.allow(settings_header_table_size);
    }

    /// A header block, or a SETTINGS acknowledgement with a size, may have been missed: goes on as after joining late.
    pub fn forget(&mut self) {
        self.table.forget();
    }

    /// Decodes a whole header block. After an error the decoder has forgotten its table, as by [`forget`](Self::forget).
    pub fn decode(&mut self, block: &[u8]) -> Result<Fields<'_>, HpackError> {
        self.table.tidy(&mut self.arena);
        self.kept.clear();
        if let Err(error) = self.block(block) {
            self.forget();
            return Err(error);
        }
        Ok(Fields::new(&self.kept.entries, self.arena.bytes(), self.kept.complete))
    }

    /// Bytes that the decoder holds, with itself.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.arena.capacity()
            + self.table.memory()
            + self.kept.entries.capacity() * size_of::<Entry>()
    }

    fn block(&mut self, mut input: &[u8]) -> Result<(), HpackError> {
        let mut beginning = true;
        while let Some((&first, rest)) = input.split_first() {
            input = rest;
            if first & 0x80 != 0 {
                let index = integer::decode(first, 7, &mut input)?;
                let entry = self.entry(index)?;
                self.kept.push(entry);
            } else if first & 0x40 != 0 {
                let entry = self.literal(first, 6, &mut input)?;
                self.table.insert(entry, self.arena.end());
                self.kept.push(entry);
            } else if first & 0x20 != 0 {
                if !beginning {
                    return Err(HpackError::TableSize);
                }
                self.table.resize(integer::decode(first, 5, &mut input)?)?;
                continue;
            } else {
                let end = self.arena.end();
                let entry = self.literal(first, 4, &mut input)?;
                if !self.kept.push(entry) {
                    self.arena.truncate(end);
                }
            }
            beginning = false;
        }
        Ok(())
    }

    /// A literal field (RFC 7541 section 6.2), whose first byte holds the name's index in its low `prefix` bits.
    #[inline]
    fn literal(&mut self, first: u8, prefix: u32, input: &mut &[u8]) -> Result<Entry, HpackError> {
        let name = match integer::decode(first, prefix, input)? {
            0 => self.string(input)?,
            index => self.entry(index)?.name,
        };
        Ok(Entry { name, value: self.string(input)? })
    }

    /// A string literal (RFC 7541 section 5.2), into the arena.
    #[inline]
    fn string(&mut self, input: &mut &[u8]) -> Result<Span, HpackError> {
        let (&first, mut rest) = input.split_first().ok_or(HpackError::Truncated)?;
        let len = integer::decode(first, 7, &mut rest)?;
        let (string, rest) = rest.split_at_checked(len as usize).ok_or(HpackError::Truncated)?;
        *input = rest;
        if first & 0x80 == 0 { self.arena.push(string) } else { self.arena.push_huffman(string) }
    }

    /// The entry at an index of the whole address space (RFC 7541 section 2.3.3).
    #[inline]
    fn entry(&self, index: u32) -> Result<Entry, HpackError> {
        let place = (index as usize).checked_sub(1).ok_or(HpackError::Index)?;
        match static_table::ENTRIES.get(place) {
            Some(&entry) => Ok(entry),
            None => self.table.get(place - static_table::ENTRIES.len()).ok_or(HpackError::Index),
        }
    }

    #[cfg(test)]
    pub(super) const fn table(&self) -> &Table {
        &self.table
    }

    #[cfg(test)]
    pub(super) fn arena(&self) -> &[u8] {
        self.arena.bytes()
    }
}

impl Kept {
    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
        self.complete = true;
        self.cut = false;
    }

    /// Keeps a field, unless a cap is met.
    #[inline]
    fn push(&mut self, entry: Entry) -> bool {
        self.bytes += entry.len();
        if self.cut || self.entries.len() >= self.max_fields || self.bytes > self.max_bytes {
            (self.cut, self.complete) = (true, false);
            return false;
        }
        if entry.is_unknown() {
            self.complete = false;
        }
        self.entries.push(entry);
        true
    }
}
