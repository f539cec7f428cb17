use crate::model::{Event, Kind};

/// Events of one shard with the ordinal of the packet that gave rise to each: what a merge of shards orders by.
///
/// Ordinals never fall, so a merge of several shards by (ordinal, place) gives one order whatever the number of threads.
#[derive(Debug, Default)]
pub struct Events {
    ordinal: u64,
    weight: usize,
    items: Vec<(u64, Event)>,
}

impl Events {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// None yet, with room for so many.
    #[must_use]
    pub fn with_capacity(count: usize) -> Self {
        Self { ordinal: 0, weight: 0, items: Vec::with_capacity(count) }
    }

    /// The ordinal that events get from now on; one that is lower than the present one is ignored.
    pub(crate) fn at(&mut self, ordinal: u64) {
        self.ordinal = self.ordinal.max(ordinal);
    }

    pub(crate) fn push(&mut self, event: Event) {
        /// Text that weighs as much as an event.
        const TEXT: usize = 128;
        self.weight += 1;
        if let Kind::Request(exchange) = &event.kind {
            self.weight += 1 + exchange.request.text() / TEXT;
        }
        self.items.push((self.ordinal, event));
    }

    /// What the events since the beginning weigh: one each, and more for those that hold a request.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.weight
    }

    /// The events and their ordinals, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[(u64, Event)] {
        &self.items
    }

    /// Takes the events out; the room stays for the next ones.
    pub fn drain(&mut self) -> std::vec::Drain<'_, (u64, Event)> {
        self.items.drain(..)
    }

    /// The events and their ordinals, in order, as a list of their own.
    #[must_use]
    pub fn into_vec(self) -> Vec<(u64, Event)> {
        self.items
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
