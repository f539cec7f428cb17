use std::collections::VecDeque;

use super::{
    HpackError,
    arena::Arena,
    span::{Entry, Span},
    static_table,
};

/// SETTINGS_HEADER_TABLE_SIZE until a SETTINGS frame says otherwise (RFC 9113 section 6.5.2).
const DEFAULT_SIZE: u32 = 4096;

/// Bytes that are added to the arena, at least, before the entries are moved to a new one. Moving copies no more than the table
/// holds, so the work per added byte is bounded.
const MOVE_AFTER: usize = 4096;
/// An arena of a large block is given back if it is this many times what the table needs.
const ROOMY: usize = 8;

/// The dynamic table (RFC 7541 section 2.3.2), as far as it is known.
///
/// The encoder's table is a queue: indices count from the newest entry, and only the oldest is evicted. So the entries kept here are
/// right at their indices whatever is unknown about older ones, as long as **no entry leaves here before it leaves there, but from the
/// oldest end**. An entry that stays too long does no harm: a valid encoder never refers to an index beyond its own table's end.
///
/// Therefore every doubt is resolved towards keeping:
/// - `size` counts an unknown name as empty, so it is never more than the encoder's count for the same entries. If it exceeds `max`,
///   then the oldest entry here is gone there.
/// - Where the table's size is not known, nothing is evicted but for storage.
/// - An entry that the encoder found too large for its table emptied that table. Where we cannot know that, it is kept here, and is
///   then, with all older ones, beyond the end of the encoder's table.
#[derive(Debug)]
pub(super) struct Table {
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// Size of the entries as RFC 7541 section 4.1 counts it, unknown names as empty.
    size: usize,
    /// The encoder's table is not larger than this; `None` after joining late, until a size is said.
    max: Option<u32>,
    /// What SETTINGS_HEADER_TABLE_SIZE allows; `None` when that is not known.
    allowed: Option<u32>,
    /// The encoder's table may have entries older than all of ours.
    older: bool,
    /// Bytes to store at most, counted as `size`.
    storage: usize,
    /// Where the entries' bytes end in the arena.
    end: usize,
    /// The entries are moved when `end` passes this.
    move_at: usize,
}

impl Table {
    pub(super) fn new(storage: usize) -> Self {
        Self { max: Some(DEFAULT_SIZE), allowed: Some(DEFAULT_SIZE), older: false, ..Self::midstream(storage) }
    }

    pub(super) const fn midstream(storage: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            max: None,
            allowed: None,
            older: true,
            storage,
            end: 0,
            move_at: MOVE_AFTER,
        }
    }

    /// Everything so far becomes unknown.
    pub(super) fn forget(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.clear();
        *self = Self { entries, ..Self::midstream(self.storage) };
    }

    /// SETTINGS_HEADER_TABLE_SIZE. A smaller table is announced in the next block (RFC 7541 section 4.2), and evicts only there.
    pub(super) fn allow(&mut self, size: u32) {
        self.allowed = Some(size);
        if self.max.is_none() {
            self.max = Some(size);
            self.evict(0);
        }
    }

    /// A dynamic table size update (RFC 7541 section 6.3).
    pub(super) fn resize(&mut self, max: u32) -> Result<(), HpackError> {
        if self.allowed.is_some_and(|allowed| max > allowed) {
            return Err(HpackError::TableSize);
        }
        self.max = Some(max);
        self.evict(0);
        Ok(())
    }

    /// The entry at an index of the whole address space (RFC 7541 section 2.3.3).
    #[inline]
    pub(super) fn entry(&self, index: u32) -> Result<&Entry, HpackError> {
        let place = (index as usize).checked_sub(1).ok_or(HpackError::Index)?;
        match static_table::ENTRIES.get(place) {
            Some(entry) => Ok(entry),
            None => self.get(place - static_table::ENTRIES.len()).ok_or(HpackError::Index),
        }
    }

    /// The entry at a dynamic index, 0 being the newest; [`Entry::UNKNOWN`] for one that may exist but was not seen or kept, `None`
    /// for one that cannot exist.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Entry> {
        let place = self.entries.len().checked_sub(index + 1);
        match place.and_then(|place| self.entries.get(place)) {
            Some(entry) => Some(entry),
            None => self.older.then_some(&Entry::UNKNOWN),
        }
    }

    /// Adds an entry whose bytes are in the arena, now up to `end`.
    pub(super) fn insert(&mut self, entry: Entry, end: usize) {
        let size = entry.size();
        self.evict(size);
        if size > self.storage {
            // It is there, or has emptied the encoder's table; either way only younger entries are known.
            self.older |= self.max.is_none_or(|max| size <= max as usize);
        } else if self.max.is_none_or(|max| size <= max as usize) {
            self.entries.push_back(entry);
            self.size += size;
            self.end = end;
            self.settle(0);
        }
    }

    /// Makes room for an entry (RFC 7541 section 4.4).
    fn evict(&mut self, room: usize) {
        let storage = self.storage;
        let max = self.max.map_or(usize::MAX, |max| max as usize);
        while self.size + room > max.min(storage) {
            let Some(entry) = self.entries.pop_front() else { break };
            // Gone for lack of storage only: the encoder may still have it.
            self.older |= self.size + room <= max;
            self.size -= entry.size();
        }
        self.settle(room);
    }

    /// No older entry exists if not even an empty one, of 32 bytes, fits.
    fn settle(&mut self, room: usize) {
        if self.max.is_some_and(|max| self.size + room + 32 > max as usize) {
            self.older = false;
        }
    }

    /// Drops from the arena what the table does not refer to, if that is worth it. Only between blocks.
    pub(super) fn tidy(&mut self, arena: &mut Arena) {
        if self.entries.is_empty() {
            self.end = 0;
        }
        arena.truncate(self.end);
        let roomy = ROOMY * self.size.max(MOVE_AFTER);
        if self.end > self.move_at || arena.bytes().len() > roomy {
            self.move_entries(arena);
        }
    }

    fn move_entries(&mut self, arena: &mut Arena) {
        let mut moved = Arena::with_room(self.size + MOVE_AFTER);
        // Neighbours that share a name go on sharing it; others get their own, which `size` has counted.
        let mut last = (Span::UNKNOWN, Span::UNKNOWN);
        let mut copy = |span: Span| match span.resolve(arena.bytes()) {
            Some(bytes) if span.in_arena().is_some() => moved.push(bytes).unwrap_or(Span::UNKNOWN),
            _ => span,
        };
        for entry in &mut self.entries {
            if entry.name != last.0 {
                last = (entry.name, copy(entry.name));
            }
            *entry = Entry { name: last.1, value: copy(entry.value), ..*entry };
        }
        self.end = moved.end();
        self.move_at = self.end + self.end.max(MOVE_AFTER);
        *arena = moved;
    }

    /// Bytes held from the heap.
    pub(super) fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }

    /// The table's size as RFC 7541 counts it, for tests.
    #[cfg(test)]
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
