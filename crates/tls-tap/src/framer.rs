//! Cuts one side's bytes into records, and finds the next record after a hole. Knows no keys.

use std::borrow::Cow;

use crate::Chunk;
use crate::body::{self, Body};
use crate::record::{HEADER, Header};
use crate::scan::Scan;

/// Bytes at a record's end that are kept of a damaged record: the TLS 1.3 content type and a tag of 16 bytes.
pub(crate) const TAIL: usize = 17;

/// Pieces of a record at most: one of full size in segments of an Ethernet frame is cut in 13. One that is cut in more is copied.
pub(crate) const PIECES: usize = 16;

/// What the bytes amount to.
#[derive(Debug)]
pub(crate) enum Item<'r, 'm> {
    /// A whole record.
    Record(Header, Body<'r, 'm>),
    /// A record of which bytes are missing; its last bytes, if they are there.
    Damaged(Header, Option<[u8; TAIL]>),
    /// This many stream bytes, whole records, could not be told apart. A record follows.
    Hole(u64),
    /// The bytes are not TLS records, and none was seen before.
    NotTls,
}

/// One side's record layer.
#[derive(Debug)]
pub(crate) struct Framer<'m> {
    header: [u8; HEADER],
    have: u8,
    /// Bytes of the current body still to come.
    left: usize,
    pieces: Vec<Cow<'m, [u8]>>,
    /// Bytes of the current body are missing; `pieces` holds those behind the last hole.
    damaged: bool,
    /// The record in `pieces` was handed out.
    done: bool,
    scan: Option<Box<Scan>>,
    /// Bytes that a scan left behind, to be cut before what comes.
    replay: Option<Box<Replay>>,
    /// A record came in several chunks: room for pieces may have been made.
    assembled: bool,
    seen: bool,
    dead: bool,
    ends: bool,
}

#[derive(Debug)]
struct Replay {
    scan: Scan,
    at: usize,
}

impl<'m> Framer<'m> {
    /// `midstream`: a record boundary has to be found first.
    pub(crate) fn new(midstream: bool) -> Self {
        Self {
            header: [0; HEADER],
            have: 0,
            left: 0,
            pieces: Vec::new(),
            damaged: false,
            done: false,
            scan: midstream.then(|| Box::new(Scan::new(0))),
            replay: None,
            assembled: false,
            seen: midstream,
            dead: false,
            ends: false,
        }
    }

    /// The next item off the front of `chunk` with the time at which it was complete, or `None` when it takes more bytes.
    pub(crate) fn next<'r, 'b>(&'r mut self, time: u64, chunk: &mut Chunk<'m, 'b>) -> Option<(u64, Item<'r, 'm>)>
    where
        'b: 'r,
        'm: 'b,
    {
        if self.done {
            self.recycle();
        }
        if let Some((time, given)) = self.next_replayed() {
            return Some(self.give(time, given));
        }
        if self.scan.is_some() {
            return self.next_scanned(time, chunk);
        }
        if self.dead || chunk.is_empty() {
            return None;
        }
        if self.have == 0
            && let Some(header) = Header::at(chunk.bytes()).filter(|header| header.is_valid())
            && chunk.len() >= HEADER + header.len()
        {
            let end = HEADER + header.len();
            let body = chunk.slice(HEADER..end);
            *chunk = chunk.slice(end..chunk.len());
            self.seen = true;
            return Some((time, Item::Record(header, Body::One(body))));
        }
        match self.assemble(chunk) {
            Step::More => None,
            Step::Whole(header) => Some(self.give(time, Given::Whole(header))),
            Step::Damaged(header) => Some(self.give(time, Given::Damaged(header))),
            Step::NotTls if self.seen => {
                self.rescan(time);
                self.next_scanned(time, chunk)
            }
            Step::NotTls => {
                self.dead = true;
                Some((time, Item::NotTls))
            }
        }
    }

    /// No more bytes will come: what a search found is taken by [`next`](Self::next) though too little follows it to be sure.
    pub(crate) const fn end(&mut self) {
        self.ends = true;
    }

    /// `lost` bytes are missing here. Gives the header of a record that ends in the hole.
    pub(crate) fn gap(&mut self, lost: u64) -> Option<Header> {
        if self.done {
            self.recycle();
        }
        self.replay = None;
        if let Some(scan) = &mut self.scan {
            scan.gap(lost);
            return None;
        }
        if self.dead || lost == 0 {
            return None;
        }
        if usize::from(self.have) < HEADER {
            self.scan = Some(Box::new(Scan::new(u64::from(self.have) + lost)));
            self.have = 0;
            return None;
        }
        self.pieces.clear();
        if lost < self.left as u64 {
            self.damaged = true;
            self.left = self.left.saturating_sub(usize::try_from(lost).unwrap_or(usize::MAX));
            return None;
        }
        let behind = lost - self.left as u64;
        self.left = 0;
        self.have = 0;
        self.damaged = false;
        if behind > 0 {
            self.scan = Some(Box::new(Scan::new(behind)));
        }
        Some(Header(self.header))
    }

    /// Bytes behind a hole in which no record was found yet.
    pub(crate) fn pending_if_scanning(&self) -> u64 {
        self.scan.as_ref().map_or(0, |scan| scan.len() as u64)
    }

    /// The boundary is lost, and bytes with it.
    pub(crate) fn is_lost(&self) -> bool {
        self.scan.as_ref().is_some_and(|scan| !scan.is_untouched())
    }

    pub(crate) fn memory(&self) -> usize {
        // Bytes that last count as copied ones do.
        let room = if self.assembled { PIECES * size_of::<Cow<'_, [u8]>>() } else { 0 };
        room + self.pieces.iter().map(|piece| piece.len()).sum::<usize>()
            + self.scan.as_ref().map_or(0, |scan| scan.memory())
    }

    fn give(&mut self, time: u64, given: Given) -> (u64, Item<'_, 'm>) {
        self.done = true;
        let item = match given {
            Given::Whole(header) => Item::Record(header, Body::Many(&mut self.pieces)),
            Given::Damaged(header) => Item::Damaged(header, tail(&self.pieces)),
        };
        (time, item)
    }

    fn assemble<'b>(&mut self, chunk: &mut Chunk<'m, 'b>) -> Step
    where
        'm: 'b,
    {
        if usize::from(self.have) < HEADER {
            while let Some(slot) = self.header.get_mut(usize::from(self.have)) {
                let Some(byte) = chunk.bytes().first() else { return Step::More };
                *slot = *byte;
                self.have += 1;
                *chunk = chunk.slice(1..chunk.len());
            }
            let header = Header(self.header);
            if !header.is_valid() {
                return Step::NotTls;
            }
            self.seen = true;
            self.left = header.len();
            self.damaged = false;
        }
        let len = self.left.min(chunk.len());
        self.append(chunk.slice(0..len));
        *chunk = chunk.slice(len..chunk.len());
        self.left -= len;
        if self.left > 0 {
            return Step::More;
        }
        self.have = 0;
        if self.damaged { Step::Damaged(Header(self.header)) } else { Step::Whole(Header(self.header)) }
    }

    fn append(&mut self, chunk: Chunk<'m, '_>) {
        if chunk.is_empty() {
            return;
        }
        self.assembled = true;
        let pieces = self.pieces.len();
        match (chunk, self.pieces.last_mut()) {
            (chunk, Some(Cow::Owned(last))) => last.extend_from_slice(chunk.bytes()),
            (Chunk::Lasting(bytes), _) if pieces < PIECES => self.pieces.push(Cow::Borrowed(bytes)),
            (chunk, _) => {
                let mut whole = self.pieces.concat();
                self.pieces.clear();
                // A header that only claims a length makes no room for it.
                whole.reserve(self.left.min(whole.len() + 4 * chunk.len()));
                whole.extend_from_slice(chunk.bytes());
                self.pieces.push(Cow::Owned(whole));
            }
        }
    }

    fn recycle(&mut self) {
        self.done = false;
        self.damaged = false;
        self.pieces.clear();
    }

    /// The header in the making makes no sense: looks for a boundary from its second byte on.
    fn rescan(&mut self, time: u64) {
        let mut scan = Scan::new(1);
        let [_, rest @ ..] = self.header;
        scan.push(time, &rest);
        self.have = 0;
        self.left = 0;
        self.scan = Some(Box::new(scan));
    }

    fn next_scanned<'r, 'b>(&'r mut self, time: u64, chunk: &mut Chunk<'m, 'b>) -> Option<(u64, Item<'r, 'm>)>
    where
        'm: 'b,
    {
        let scan = self.scan.as_mut()?;
        scan.push(time, chunk.bytes());
        *chunk = chunk.slice(0..0);
        let (hole, at) = scan.find(self.ends)?;
        let scan = self.scan.take()?;
        let found = scan.time_at(at);
        self.have = 0;
        self.left = 0;
        self.replay = Some(Box::new(Replay { scan: *scan, at }));
        Some((found, Item::Hole(hole)))
    }

    fn next_replayed(&mut self) -> Option<(u64, Given)> {
        let mut replay = self.replay.take()?;
        let bytes = replay.scan.bytes();
        let rest = bytes.get(replay.at..).unwrap_or_default();
        let mut chunk = Chunk::Passing(rest);
        let step = self.assemble(&mut chunk);
        replay.at += rest.len() - chunk.len();
        let time = replay.scan.time_at(replay.at.saturating_sub(1));
        let given = match step {
            Step::Whole(header) => Some((time, Given::Whole(header))),
            Step::Damaged(header) => Some((time, Given::Damaged(header))),
            Step::More => None,
            Step::NotTls => {
                self.rescan(time);
                let rest = replay.scan.bytes().get(replay.at..).unwrap_or_default();
                if let Some(scan) = &mut self.scan {
                    scan.push(time, rest);
                }
                return None;
            }
        };
        if replay.at < replay.scan.bytes().len() {
            self.replay = Some(replay);
        }
        given
    }
}

enum Step {
    More,
    Whole(Header),
    Damaged(Header),
    NotTls,
}

enum Given {
    Whole(Header),
    Damaged(Header),
}

fn tail(pieces: &[Cow<'_, [u8]>]) -> Option<[u8; TAIL]> {
    let len: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut tail = [0; TAIL];
    body::copy_at(pieces.iter().map(|piece| &**piece), len.checked_sub(TAIL)?, &mut tail).then_some(tail)
}
