use std::fmt;

use super::{
    Fields, Wanted,
    arena::Arena,
    integer,
    span::{Entry, Span, UNKNOWN_MARK},
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
        self.decode_wanted(block, Wanted::ALL)
    }

    /// As [`decode`](Self::decode), as far as fields are wanted. Pseudo-header fields (RFC 9113 section 8.3) and `content-length` always
    /// are; the others are left out.
    ///
    /// A value that is passed over is not looked into, so that a wrong Huffman code in it, which is an error of decoding for its receiver
    /// (RFC 7541 section 5.2), goes unnoticed here: to find it would cost as much as to decode it. Nothing follows for later fields, as
    /// its length is known and it goes into no table; the GOAWAY with COMPRESSION_ERROR of a receiver that minds tells of it.
    pub fn decode_wanted(&mut self, block: &[u8], wanted: Wanted) -> Result<Fields<'_>, HpackError> {
        self.table.tidy(&mut self.arena);
        self.kept.clear();
        if let Err(error) = self.block(block, wanted) {
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

    fn block(&mut self, mut input: &[u8], wanted: Wanted) -> Result<(), HpackError> {
        let Self { table, arena, kept } = self;
        while let Some((&first, rest)) = input.split_first()
            && first & 0xe0 == 0x20
        {
            input = rest;
            table.resize(integer::decode(first, 5, &mut input)?)?;
        }
        while let Some((&first, rest)) = input.split_first() {
            input = rest;
            if first & 0x80 != 0 {
                let index = integer::decode(first, 7, &mut input)?;
                let entry = table.entry(index)?;
                if wanted.keeps(entry.mark) {
                    kept.push(entry);
                }
            } else if first & 0x40 != 0 {
                let (name, mark) = name(table, arena, first, 6, &mut input, wanted)?;
                let entry = Entry { name, value: string(arena, &mut input)?, mark };
                table.insert(entry, arena.end());
                if wanted.keeps(entry.mark) {
                    kept.push(&entry);
                }
            } else if first & 0x20 != 0 {
                // Not at the block's beginning.
                return Err(HpackError::TableSize);
            } else {
                let end = arena.end();
                let (name, mark) = name(table, arena, first, 4, &mut input, wanted)?;
                // It goes into no table.
                if !wanted.keeps(mark) {
                    take(&mut input)?;
                    arena.truncate(end);
                } else if !kept.push(&Entry { name, value: string(arena, &mut input)?, mark }) {
                    arena.truncate(end);
                }
            }
        }
        Ok(())
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

/// The name of a literal field (RFC 7541 section 6.2), whose first byte holds the name's index in its low `prefix` bits, and its mark.
#[inline]
fn name(
    table: &Table,
    arena: &mut Arena,
    first: u8,
    prefix: u32,
    input: &mut &[u8],
    wanted: Wanted,
) -> Result<(Span, u8), HpackError> {
    match integer::decode(first, prefix, input)? {
        0 => {
            let name = string(arena, input)?;
            Ok((name, name.resolve(arena.bytes()).map_or(UNKNOWN_MARK, |name| wanted.mark(name))))
        }
        index => table.entry(index).map(|entry| (entry.name, entry.mark)),
    }
}

/// A string literal (RFC 7541 section 5.2), into the arena.
#[inline]
fn string(arena: &mut Arena, input: &mut &[u8]) -> Result<Span, HpackError> {
    let (huffman, string, all) = take(input)?;
    if huffman { arena.push_huffman(all, string.len()) } else { arena.push(string) }
}

/// Passes over a string literal: whether it is in the Huffman code, its bytes, and these with all that follows them.
#[inline]
fn take<'a>(input: &mut &'a [u8]) -> Result<(bool, &'a [u8], &'a [u8]), HpackError> {
    let (&first, mut all) = input.split_first().ok_or(HpackError::Truncated)?;
    let len = integer::decode(first, 7, &mut all)?;
    let (string, rest) = all.split_at_checked(len as usize).ok_or(HpackError::Truncated)?;
    *input = rest;
    Ok((first & 0x80 != 0, string, all))
}

impl Kept {
    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
        self.complete = true;
    }

    /// Keeps a field, unless a cap is met; then no later one is kept either.
    #[inline]
    fn push(&mut self, entry: &Entry) -> bool {
        self.bytes += entry.len();
        let room = self.entries.len() < self.max_fields && self.bytes <= self.max_bytes;
        self.complete &= room && !entry.is_unknown();
        if room {
            self.entries.push(*entry);
        }
        room
    }
}
