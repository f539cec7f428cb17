//! The open streams of a connection, in the order of their identifiers.

use std::collections::VecDeque;

use super::Entry;

/// Streams open one above the other and few at a time, so their identifiers stand in a sorted queue: to add and to look up costs next to
/// nothing. Identifiers are a peer's choice, and one that is out of order moves others, but never more than half of those that
/// [`Limits::streams`](crate::Limits::streams) allows, of eight bytes each. The entries stay where they are.
#[derive(Debug)]
pub(super) struct Open<T> {
    /// Identifier and place of the entry.
    order: VecDeque<(u32, u32)>,
    entries: Vec<Option<Entry<T>>>,
    /// Places without an entry.
    free: Vec<u32>,
}

impl<T> Open<T> {
    pub(super) const fn new() -> Self {
        Self { order: VecDeque::new(), entries: Vec::new(), free: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Bytes held from the heap.
    pub(super) fn memory(&self) -> usize {
        self.order.capacity() * size_of::<(u32, u32)>()
            + self.entries.capacity() * size_of::<Option<Entry<T>>>()
            + self.free.capacity() * size_of::<u32>()
    }

    #[inline]
    fn find(&self, id: u32) -> Result<usize, usize> {
        // The oldest, which is often answered first, or above all others, as a new stream is.
        if self.order.front().is_some_and(|&(first, _)| first == id) {
            return Ok(0);
        }
        if self.order.back().is_none_or(|&(last, _)| last < id) {
            return Err(self.order.len());
        }
        self.order.binary_search_by_key(&id, |&(other, _)| other)
    }

    #[inline]
    pub(super) fn contains(&self, id: u32) -> bool {
        self.find(id).is_ok()
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&Entry<T>> {
        let &(_, place) = self.order.get(self.find(id).ok()?)?;
        self.entries.get(place as usize)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Entry<T>> {
        let &(_, place) = self.order.get(self.find(id).ok()?)?;
        self.entries.get_mut(place as usize)?.as_mut()
    }

    /// Enters a stream, in the place of one of the same identifier.
    pub(super) fn insert(&mut self, entry: Entry<T>) {
        let id = entry.stream.id;
        match self.find(id) {
            Ok(_) => {
                if let Some(old) = self.get_mut(id) {
                    *old = entry;
                }
            }
            Err(at) => {
                let place = if let Some(place) = self.free.pop() {
                    if let Some(room) = self.entries.get_mut(place as usize) {
                        *room = Some(entry);
                    }
                    place
                } else {
                    self.entries.push(Some(entry));
                    u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
                };
                if at == self.order.len() {
                    self.order.push_back((id, place));
                } else {
                    self.order.insert(at, (id, place));
                }
            }
        }
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Entry<T>> {
        let at = self.find(id).ok()?;
        let (_, place) = if at == 0 { self.order.pop_front() } else { self.order.remove(at) }?;
        self.leave(place)
    }

    /// Takes the stream of the lowest identifier out.
    pub(super) fn pop_first(&mut self) -> Option<Entry<T>> {
        let (_, place) = self.order.pop_front()?;
        self.leave(place)
    }

    fn leave(&mut self, place: u32) -> Option<Entry<T>> {
        self.free.push(place);
        self.entries.get_mut(place as usize)?.take()
    }

    /// Identifiers above `id`, in order.
    pub(super) fn above(&self, id: u32) -> impl Iterator<Item = u32> {
        let from = self.order.partition_point(|&(other, _)| other <= id);
        self.order.range(from..).map(|&(other, _)| other)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::fresh;
    use super::{Entry, Open};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// As a search tree does it, whatever the order of the identifiers.
        #[test]
        fn like_a_tree(steps in proptest::collection::vec((0_u8..4, 0_u32..24, any::<u64>()), 0..120)) {
            let mut open = Open::new();
            let mut tree = BTreeMap::new();
            for (what, id, mark) in steps {
                match what {
                    0 | 1 => {
                        open.insert(Entry { stream: fresh::<()>(id, None, mark), seen: 0, certain: 0 });
                        tree.insert(id, mark);
                    }
                    2 => prop_assert_eq!(open.remove(id).map(|entry| entry.stream.opened), tree.remove(&id)),
                    _ => {
                        let first = open.pop_first().map(|entry| (entry.stream.id, entry.stream.opened));
                        prop_assert_eq!(first, tree.pop_first());
                    }
                }
                prop_assert_eq!(open.len(), tree.len());
                prop_assert_eq!(open.contains(id), tree.contains_key(&id));
                prop_assert_eq!(open.get(id).map(|entry| entry.stream.opened), tree.get(&id).copied());
                let above: Vec<u32> = tree.range(id + 1..).map(|(&id, _)| id).collect();
                prop_assert_eq!(open.above(id).collect::<Vec<_>>(), above);
            }
        }
    }
}
