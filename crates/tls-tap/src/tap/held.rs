//! What waits for a key or for the peer's hello, in the order in which it came.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::Chunk;
use crate::body::Body;
use crate::framer::{Item, TAIL};
use crate::record::{Header, content};

/// An item that waits.
#[derive(Debug)]
pub(super) struct Held<'m> {
    pub(super) time: u64,
    /// Rises over both sides.
    pub(super) order: u64,
    /// How many protected records this side held or dropped before.
    pub(super) index: u64,
    pub(super) what: Waiting<'m>,
}

#[derive(Debug)]
pub(super) enum Waiting<'m> {
    /// In one piece, so that what it takes does not hang on how it was cut.
    Record(Header, Cow<'m, [u8]>),
    Damaged(Header, Option<[u8; TAIL]>),
    Hole(u64),
}

impl<'m> Waiting<'m> {
    pub(super) fn item(&self) -> Item<'_, 'm> {
        match self {
            Self::Record(header, Cow::Borrowed(bytes)) => Item::Record(*header, Body::One(Chunk::Lasting(bytes))),
            Self::Record(header, Cow::Owned(bytes)) => Item::Record(*header, Body::One(Chunk::Passing(bytes))),
            Self::Damaged(header, tail) => Item::Damaged(*header, *tail),
            Self::Hole(bytes) => Item::Hole(*bytes),
        }
    }

    pub(super) const fn header(&self) -> Option<Header> {
        match self {
            Self::Record(header, _) | Self::Damaged(header, _) => Some(*header),
            Self::Hole(_) => None,
        }
    }

    /// Bytes that wait, whether they are copies or not.
    fn bytes(&self) -> usize {
        match self {
            Self::Record(_, bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// Protected payload that is there.
    fn payload(&self) -> u64 {
        match self {
            Self::Record(header, _) if header.content_type() == content::APPLICATION_DATA => header.len() as u64,
            _ => 0,
        }
    }
}

/// What was dropped from the front.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dropped {
    /// Records of protected data.
    pub(super) records: u64,
    /// Their payload.
    pub(super) payload: u64,
    /// Other stream bytes that were in holes.
    pub(super) holes: u64,
    /// A ChangeCipherSpec was dropped, and this many records behind it.
    pub(super) behind_ccs: Option<u64>,
}

/// One side's queue.
#[derive(Debug, Default)]
pub(super) struct Queue<'m> {
    items: VecDeque<Held<'m>>,
    bytes: usize,
    payload: u64,
    index: u64,
    dropped: Option<Dropped>,
    nonce: Option<u64>,
    tls12: bool,
}

impl<'m> Queue<'m> {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn front(&self) -> Option<&Held<'m>> {
        self.items.front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Held<'m>> {
        self.items.iter()
    }

    /// Adds an item, and drops from the front what is over the caps. `true`: something was dropped.
    pub(super) fn push(&mut self, time: u64, order: u64, item: Item<'_, 'm>, bytes: usize, items: usize) -> bool {
        let what = match item {
            Item::Record(header, mut body) => {
                self.watch(header, &body);
                Waiting::Record(header, body.keep_whole())
            }
            Item::Damaged(header, tail) => Waiting::Damaged(header, tail),
            Item::Hole(bytes) => Waiting::Hole(bytes),
            Item::NotTls => return false,
        };
        self.bytes += what.bytes();
        self.payload += what.payload();
        let index = self.index;
        self.index += u64::from(is_protected(&what));
        self.items.push_back(Held { time, order, index, what });
        let mut over = false;
        while self.bytes > bytes || self.items.len() > items {
            let Some(held) = self.pop() else { break };
            self.drop_item(&held);
            over = true;
        }
        over
    }

    pub(super) fn pop(&mut self) -> Option<Held<'m>> {
        let held = self.items.pop_front()?;
        self.bytes -= held.what.bytes();
        self.payload -= held.what.payload();
        Some(held)
    }

    /// Puts back what was popped last.
    pub(super) fn drop_item(&mut self, held: &Held<'_>) {
        let dropped = self.dropped.get_or_insert_default();
        match &held.what {
            Waiting::Hole(bytes) => dropped.holes = dropped.holes.saturating_add(*bytes),
            Waiting::Record(header, _) | Waiting::Damaged(header, _) => {
                if let Some(behind) = &mut dropped.behind_ccs {
                    *behind += 1;
                } else if header.content_type() == content::CHANGE_CIPHER_SPEC {
                    dropped.behind_ccs = Some(0);
                }
                if header.content_type() == content::APPLICATION_DATA {
                    dropped.records += 1;
                    dropped.payload = dropped.payload.saturating_add(header.len() as u64);
                }
            }
        }
    }

    /// What was dropped from the front; asked once, before the first item is popped.
    pub(super) const fn take_dropped(&mut self) -> Option<Dropped> {
        self.dropped.take()
    }

    /// Payload bytes that wait, and those that were dropped since.
    pub(super) fn unread(&self) -> u64 {
        self.payload + self.dropped_payload()
    }

    /// Payload bytes that were dropped since.
    pub(super) fn dropped_payload(&self) -> u64 {
        self.dropped.map_or(0, |dropped| dropped.payload)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes that wait, whether they are copies or not.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes + self.items.capacity() * size_of::<Held<'_>>()
    }

    /// A record was seen that TLS 1.3 would not send.
    pub(super) const fn looks_like_tls12(&self) -> bool {
        self.tls12
    }

    fn watch(&mut self, header: Header, body: &Body<'_, '_>) {
        match header.content_type() {
            // TLS 1.3 sends protected alerts as application data.
            content::ALERT => self.tls12 |= header.len() > 2,
            // AES-GCM and CCM of TLS 1.2 number their records in an explicit nonce (RFC 5288): by chance, two ciphertexts that
            // follow each other begin so once in 2^64.
            content::APPLICATION_DATA => {
                let mut nonce = [0; 8];
                if body.copy_at(0, &mut nonce) {
                    let nonce = u64::from_be_bytes(nonce);
                    self.tls12 |= self.nonce.is_some_and(|last| last.wrapping_add(1) == nonce);
                    self.nonce = Some(nonce);
                }
            }
            _ => {}
        }
    }
}

/// A record that counts in the sequence of TLS 1.3 application data.
pub(super) fn is_protected(what: &Waiting<'_>) -> bool {
    what.header().is_some_and(|header| header.content_type() == content::APPLICATION_DATA)
}
