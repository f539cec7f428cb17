use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;

/// Parts of a table, and buckets of a part.
const FAN: usize = 64;

/// Names of a piece of the order.
const PIECE: usize = 256;

/// A capped map whose clones share what neither has changed: a change copies a bucket and the part that it is in. Knows the order in
/// which names were added; the oldest goes first.
#[derive(Clone)]
pub(super) struct Table<N, V> {
    capacity: usize,
    hasher: RandomState,
    parts: Vec<Arc<Part<N, V>>>,
    len: usize,
    order: Order<N>,
    next: u64,
}

type Part<N, V> = Vec<Arc<Bucket<N, V>>>;

type Bucket<N, V> = Vec<Entry<N, V>>;

#[derive(Clone)]
struct Entry<N, V> {
    name: N,
    number: u64,
    value: V,
}

impl<N: Copy + Eq + Hash, V: Clone> Table<N, V> {
    pub(super) fn new(capacity: usize) -> Self {
        let bucket = Arc::new(Bucket::new());
        let part = Arc::new(vec![bucket; FAN]);
        Self {
            capacity: capacity.max(1),
            hasher: RandomState::default(),
            parts: vec![part; FAN],
            len: 0,
            order: Order::default(),
            next: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// The number of the name that is added next: numbers rise.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Which part, and which of its buckets.
    fn place(&self, name: &N) -> (usize, usize) {
        let bits = |shift: u32| usize::from((self.hasher.hash_one(name) >> shift) as u8) % FAN;
        (bits(0), bits(8))
    }

    fn entry(&self, name: &N) -> Option<&Entry<N, V>> {
        let (part, bucket) = self.place(name);
        self.parts.get(part)?.get(bucket)?.iter().find(|entry| entry.name == *name)
    }

    pub(super) fn get(&self, name: &N) -> Option<&V> {
        self.entry(name).map(|entry| &entry.value)
    }

    pub(super) fn number(&self, name: &N) -> Option<u64> {
        self.entry(name).map(|entry| entry.number)
    }

    fn bucket(&mut self, name: &N) -> Option<&mut Bucket<N, V>> {
        let (part, bucket) = self.place(name);
        let part = Arc::make_mut(self.parts.get_mut(part)?);
        part.get_mut(bucket).map(Arc::make_mut)
    }

    pub(super) fn get_mut(&mut self, name: &N) -> Option<&mut V> {
        self.entry(name)?;
        self.bucket(name)?.iter_mut().find(|entry| entry.name == *name).map(|entry| &mut entry.value)
    }

    /// Adds a name that is not there. Returns its number, and whether the oldest had to go.
    pub(super) fn insert(&mut self, name: N, value: V) -> (u64, bool) {
        let full = self.len >= self.capacity && self.remove_oldest(u64::MAX).is_some();
        let number = self.next;
        self.next += 1;
        if let Some(bucket) = self.bucket(&name) {
            bucket.push(Entry { name, number, value });
            self.len += 1;
            self.order.push(number, name);
        }
        (number, full)
    }

    pub(super) fn remove(&mut self, name: &N) -> Option<V> {
        self.entry(name)?;
        let bucket = self.bucket(name)?;
        let at = bucket.iter().position(|entry| entry.name == *name)?;
        let entry = bucket.swap_remove(at);
        self.len -= 1;
        // Names of entries that are gone stay in the order until they are many.
        if self.order.len > self.len.saturating_mul(2).saturating_add(PIECE) {
            let mut order = Order::default();
            for (number, name) in self.order.iter().filter(|(number, name)| self.number(name) == Some(*number)) {
                order.push(number, name);
            }
            self.order = order;
        }
        Some(entry.value)
    }

    /// Removes the oldest entry, when its number is below another. Gives its name; `None`: there is none.
    pub(super) fn remove_oldest(&mut self, below: u64) -> Option<N> {
        while let Some((number, name)) = self.order.front().filter(|(number, _)| *number < below) {
            self.order.pop();
            if self.number(&name) == Some(number) {
                return self.remove(&name).map(|_| name);
            }
        }
        None
    }

    /// In the order of addition.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&N, &V)> {
        self.order.iter().filter_map(|(number, name)| {
            let entry = self.entry(&name)?;
            (entry.number == number).then_some((&entry.name, &entry.value))
        })
    }
}

/// Numbered names, oldest first, in pieces that clones share.
#[derive(Clone)]
struct Order<N> {
    pieces: VecDeque<Arc<Vec<(u64, N)>>>,
    /// Names of the first piece that were taken off.
    taken: usize,
    len: usize,
}

impl<N> Default for Order<N> {
    fn default() -> Self {
        Self { pieces: VecDeque::new(), taken: 0, len: 0 }
    }
}

impl<N: Copy> Order<N> {
    fn push(&mut self, number: u64, name: N) {
        self.len += 1;
        if let Some(last) = self.pieces.back_mut().filter(|last| last.len() < PIECE) {
            Arc::make_mut(last).push((number, name));
        } else {
            self.pieces.push_back(Arc::new(vec![(number, name)]));
        }
    }

    fn front(&self) -> Option<(u64, N)> {
        self.pieces.front()?.get(self.taken).copied()
    }

    fn pop(&mut self) {
        if self.front().is_none() {
            return;
        }
        self.len -= 1;
        self.taken += 1;
        if self.front().is_none() {
            self.pieces.pop_front();
            self.taken = 0;
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u64, N)> {
        self.pieces.iter().flat_map(|piece| piece.iter()).skip(self.taken).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Does what a plain map with a list does, and a clone stays what it was.
        #[test]
        fn is_a_capped_map_whose_clones_stand_still(
            steps in proptest::collection::vec((0u8..5, 0u16..600), 0..2_000),
            capacity in 1usize..400,
        ) {
            let mut table = Table::new(capacity);
            let (mut values, mut order) = (BTreeMap::new(), Vec::new());
            let mut copies = Vec::new();
            for (at, (what, name)) in steps.into_iter().enumerate() {
                match what {
                    0..3 if table.get(&name).is_none() => {
                        let (_, full) = table.insert(name, at);
                        prop_assert_eq!(full, order.len() == capacity);
                        if full {
                            values.remove(&order.remove(0));
                        }
                        values.insert(name, at);
                        order.push(name);
                    }
                    0..3 => {
                        *table.get_mut(&name).unwrap() = at;
                        values.insert(name, at);
                    }
                    3 => {
                        prop_assert_eq!(table.remove(&name), values.remove(&name));
                        order.retain(|other| *other != name);
                    }
                    _ if at % 7 == 0 => copies.push((table.clone(), values.clone(), order.clone())),
                    _ => {}
                }
                prop_assert_eq!(table.len(), order.len());
                prop_assert_eq!(table.get(&name), values.get(&name));
            }
            copies.push((table, values, order));
            for (table, values, order) in copies {
                let expected: Vec<_> = order.iter().map(|name| (name, &values[name])).collect();
                prop_assert_eq!(table.iter().collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn the_order_does_not_grow_with_what_comes_and_goes() {
        let mut table = Table::new(1_000);
        for name in 0..50_000_u32 {
            table.insert(name, ());
            table.remove(&name);
        }
        table.insert(7, ());
        assert!(table.order.len <= 2 * PIECE && table.order.pieces.len() <= 3);
    }

    #[test]
    fn what_is_older_than_a_number_goes() {
        let mut table = Table::new(100);
        for name in 0..10_u32 {
            table.insert(name, ());
        }
        let mark = table.next();
        table.insert(10, ());
        table.remove(&3);
        let mut removed = 0;
        while table.remove_oldest(mark).is_some() {
            removed += 1;
        }
        assert_eq!((removed, table.len(), table.get(&10)), (9, 1, Some(&())));
    }
}
