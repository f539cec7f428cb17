//! What is kept of one direction.

use crate::frame::{Head, flag, kind};
use crate::hpack::Decoder;
use crate::ledger::{Passed, Section};
use crate::resync::Search;
use crate::settings::{Allowance, Change};

/// The place in a side's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// In the client's preface, so many bytes of which were right.
    Preface(usize),
    /// At or in a frame header, so many bytes of which are there.
    Head([u8; Head::LEN], usize),
    /// In a frame, a few bytes of which are wanted before the rest.
    Scratch(Scratch),
    /// In a header block fragment.
    Fragment(Fragment),
    /// In DATA.
    Data(Body),
    /// In payload that nobody reads.
    Skip(u64),
}

impl Place {
    /// At a frame boundary.
    pub(super) const BOUNDARY: Self = Self::Head([0; Head::LEN], 0);
}

/// Wanted bytes of a frame's payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scratch {
    pub(super) head: Head,
    /// Payload left, these included.
    pub(super) left: u32,
    pub(super) want: usize,
    pub(super) have: usize,
    pub(super) bytes: [u8; 8],
}

impl Scratch {
    pub(super) fn new(head: Head, left: u32, want: u32) -> Self {
        Self { head, left, want: (want as usize).min(8), have: 0, bytes: [0; 8] }
    }
}

/// A header block fragment, then padding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment {
    pub(super) left: u32,
    pub(super) padding: u32,
    pub(super) end_headers: bool,
}

/// A DATA frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    /// When its header was seen.
    pub(super) time: u64,
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    /// Header bytes that are still to pass, when the frame was accepted unseen.
    pub(super) head: u64,
    /// Payload bytes to come.
    pub(super) payload: u64,
    /// Padding after them.
    pub(super) padding: u64,
    /// Payload bytes that passed and are not in the ledger yet.
    pub(super) passed: u64,
}

impl Body {
    pub(super) fn new(head: Head, time: u64, payload: u64, padding: u64) -> Self {
        let end_stream = head.has(flag::END_STREAM);
        Self { time, stream: head.stream, end_stream, head: 0, payload, padding, passed: 0 }
    }

    pub(super) const fn left(&self) -> u64 {
        self.head + self.payload + self.padding
    }

    /// What has passed and is not in the ledger yet. `end`: the frame's end too.
    pub(super) const fn gone(&self, end: bool) -> Passed {
        Passed { stream: self.stream, bytes: self.passed, end, began: self.time }
    }

    /// Passes `n` bytes, of at most [`left`](Self::left).
    pub(super) fn pass(&mut self, n: u64) {
        let head = self.head.min(n);
        self.head -= head;
        let payload = self.payload.min(n - head);
        self.payload -= payload;
        self.passed += payload;
        self.padding = self.padding.saturating_sub(n - head - payload);
    }
}

/// An unfinished header block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) section: Section,
    /// Its content is not to be had: too long, or torn.
    pub(super) bad: bool,
}

impl Block {
    pub(super) fn new(head: Head, promised: Option<u32>) -> Self {
        let end_stream = head.kind == kind::HEADERS && head.has(flag::END_STREAM);
        Self { section: Section { stream: head.stream, promised, end_stream }, bad: false }
    }
}

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) place: Place,
    pub(super) decoder: Decoder,
    pub(super) block: Option<Block>,
    /// Fragments of `block` so far.
    pub(super) fragments: Vec<u8>,
    pub(super) allowance: Allowance,
    /// The SETTINGS frame that is being read.
    pub(super) change: Change,
    pub(super) search: Option<Box<Search>>,
    /// Record starts are told.
    pub(super) records: bool,
    /// A DATA frame that ended where no observer was at hand.
    pub(super) ended: Option<Body>,
    /// More was skipped than was allowed.
    pub(super) overrun: bool,
}

impl Lane {
    pub(super) fn new(place: Place, decoder: Decoder, search: Option<Search>) -> Self {
        Self {
            place,
            decoder,
            block: None,
            fragments: Vec::new(),
            allowance: Allowance::new(search.is_none()),
            change: Change::default(),
            search: search.map(Box::new),
            records: false,
            ended: None,
            overrun: false,
        }
    }

    pub(super) fn in_sync(&self) -> bool {
        self.search.is_none() && !self.overrun
    }

    /// At a frame boundary, outside a header block.
    pub(super) const fn at_boundary(&self) -> bool {
        matches!(self.place, Place::Head(_, 0)) && self.search.is_none() && self.block.is_none()
    }

    pub(super) const fn skippable(&self) -> u64 {
        match (self.place, &self.search) {
            (Place::Data(body), None) => body.left(),
            (Place::Skip(left), None) => left,
            _ => 0,
        }
    }

    /// Passes over bytes that nobody reads; returns how many more there were than expected.
    pub(super) fn pass(&mut self, n: u64) -> u64 {
        let over = n.saturating_sub(self.skippable());
        let n = n - over;
        match &mut self.place {
            Place::Data(body) => {
                body.pass(n);
                if body.left() == 0 {
                    self.ended = Some(*body);
                    self.place = Place::BOUNDARY;
                }
            }
            Place::Skip(left) => {
                *left -= n;
                if *left == 0 {
                    self.place = Place::BOUNDARY;
                }
            }
            _ => {}
        }
        over
    }

    /// A change of this side's allowance is in force: its encoder may now use that table.
    pub(super) fn enforce(&mut self, change: Change) {
        if let Some((min, last)) = change.table {
            if min < last {
                self.decoder.set_max(min);
            }
            self.decoder.set_max(last);
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.decoder.memory() + self.fragments.capacity() + self.search.as_ref().map_or(0, |search| search.memory())
    }
}
