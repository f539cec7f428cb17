//! Finding the frame boundaries again, after a gap or after joining late.
//!
//! A body can contain HTTP/2, so that a place where frame headers chain is a candidate and no more. What a candidate would say is
//! held until its chain is sure: it outran the largest frame (no body of one frame can hold it), or several of its headers in a row
//! name streams that live and its boundaries coincide with record boundaries, which a body does not decide. While two chains
//! survive, neither is believed.
//!
//! Where the bytes come in records, candidates begin at record starts. Elsewhere any offset may begin one, and record boundaries
//! cannot speak for it: then only the very first offset (the first byte after the gap, mostly a segment's) is believed early.

use crate::Side;
use crate::frame::{Head, flag, kind};

/// Candidates at a time; further ones wait for one of these to fail.
const CANDIDATES: usize = 8;
/// Bytes of held frames of one candidate. One that holds more forgets them and keeps its chain.
const HELD: usize = 64 << 10;

/// What the rest of the connection says about plausibility.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) side: Side,
    pub(crate) max_frame: u32,
    /// A frame may well name this stream.
    pub(crate) plausible: &'a dyn Fn(u32) -> bool,
    /// A client's HEADERS on this stream would be its next request.
    pub(crate) request: &'a dyn Fn(u32) -> bool,
}

/// A frame that is held: its bytes end at `end` of the held bytes, `passed` of its payload were not kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) time: u64,
    pub(crate) end: usize,
    pub(crate) passed: u64,
}

/// The chain that was found to be right, with all that it held, in order. The last frame may be unfinished.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) held: Vec<u8>,
    pub(crate) marks: Vec<Mark>,
    /// Payload that belongs to a frame whose beginning was not kept.
    pub(crate) rest: u64,
    /// Bytes of the search before it, or of what it held, were not read.
    pub(crate) unread: bool,
}

#[derive(Debug)]
struct Candidate {
    /// Offset of its first header in the search.
    start: u64,
    head: [u8; Head::LEN],
    filled: usize,
    /// Payload bytes left of the current frame, the next `keep` of which are held.
    left: u64,
    keep: u64,
    passed: u64,
    /// The current frame is not held: its beginning was let go.
    orphan: bool,
    /// Held frames were let go.
    forgot: bool,
    /// Offset of the last header.
    last: u64,
    /// Headers in a row that name what lives.
    row: u32,
    /// Record starts that were frame boundaries of this chain.
    aligned: u32,
    /// Stream of an unfinished header block.
    block: Option<u32>,
    held: Vec<u8>,
    marks: Vec<Mark>,
}

impl Candidate {
    fn new(start: u64) -> Self {
        Self {
            start,
            head: [0; Head::LEN],
            filled: 0,
            left: 0,
            keep: 0,
            passed: 0,
            orphan: false,
            forgot: false,
            last: start,
            row: 0,
            aligned: 0,
            block: None,
            held: Vec::new(),
            marks: Vec::new(),
        }
    }

    const fn at_boundary(&self) -> bool {
        self.filled == 0 && self.left == 0
    }

    /// Bytes until the header or the payload ends.
    const fn until_event(&self) -> u64 {
        if self.left > 0 { self.left } else { (Head::LEN - self.filled) as u64 }
    }

    fn forget(&mut self) {
        self.held = Vec::new();
        self.marks = Vec::new();
        self.orphan = !self.at_boundary();
        self.forgot = true;
    }

    /// Takes bytes up to the next event at most. `false`: the chain broke.
    fn take(&mut self, time: u64, bytes: &[u8], end: u64, view: View<'_>) -> bool {
        if self.left > 0 {
            let kept = self.keep.min(bytes.len() as u64);
            if !self.orphan {
                self.held.extend_from_slice(bytes.get(..kept as usize).unwrap_or_default());
            }
            self.keep -= kept;
            self.left = self.left.saturating_sub(bytes.len() as u64);
            self.passed += bytes.len() as u64 - kept;
            if self.left == 0 {
                self.frame_done(time);
            }
            return true;
        }
        if let Some(to) = self.head.get_mut(self.filled..self.filled + bytes.len()) {
            to.copy_from_slice(bytes);
        }
        self.filled += bytes.len();
        self.filled < Head::LEN || self.head_done(time, end, view)
    }

    fn head_done(&mut self, time: u64, end: u64, view: View<'_>) -> bool {
        self.filled = 0;
        let Some(head) = Head::read(&self.head) else { return false };
        let in_block = match self.block {
            Some(stream) => head.kind == kind::CONTINUATION && head.stream == stream,
            None => head.kind != kind::CONTINUATION,
        };
        if !in_block || !head.strict(view.side, view.max_frame) || !by_role(head, view.side) {
            return false;
        }
        if matches!(head.kind, kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION) {
            self.block = (!head.has(flag::END_HEADERS)).then_some(head.stream);
        }
        let lives = head.stream == 0
            || (view.plausible)(head.stream)
            || (view.side == Side::Client && head.kind == kind::HEADERS && (view.request)(head.stream));
        self.row = if lives { self.row.saturating_add(1) } else { 0 };
        self.last = end - Head::LEN as u64;
        self.left = u64::from(head.length);
        self.keep = match head.kind {
            // The pad length decides how much of the rest is body.
            kind::DATA => u64::from(head.prefix()),
            _ => self.left,
        };
        self.passed = 0;
        self.orphan = false;
        if self.held.len() as u64 + Head::LEN as u64 + self.keep > HELD as u64 {
            self.forget();
        } else {
            self.held.extend_from_slice(&self.head);
        }
        if self.left == 0 {
            self.frame_done(time);
        }
        true
    }

    fn frame_done(&mut self, time: u64) {
        if !self.orphan {
            self.marks.push(Mark { time, end: self.held.len(), passed: self.passed });
        }
        self.orphan = false;
    }

    /// The chain is sure while it runs.
    const fn sure(&self, records: bool, max_frame: u32) -> bool {
        if self.last.saturating_sub(self.start) > max_frame as u64 + Head::LEN as u64 {
            return true;
        }
        if records { self.aligned >= 1 && self.row + self.aligned >= 4 } else { self.start == 0 && self.row >= 3 }
    }

    /// The chain is sure now that nothing follows: its last frame ends where the bytes end, which a body does not decide. From a
    /// record's start to the end of the last one, even a single frame (a RST_STREAM mostly) is enough when it names what lives.
    const fn sure_at_end(&self, records: bool) -> bool {
        let whole = self.at_boundary() && self.block.is_none();
        whole && self.row >= if records || self.start == 0 { 1 } else { 3 }
    }

    fn chain(mut self, time: u64) -> Chain {
        let mut rest = self.left;
        if self.filled > 0 {
            // A header that is cut: what there is of it is the beginning of the next frame.
            self.held.extend_from_slice(self.head.get(..self.filled).unwrap_or_default());
            rest = 0;
        }
        if !self.orphan && (self.filled > 0 || self.left > 0) {
            self.marks.push(Mark { time, end: self.held.len(), passed: self.passed });
        }
        let rest = if self.orphan { rest } else { 0 };
        Chain { held: self.held, marks: self.marks, rest, unread: self.start > 0 || self.forgot }
    }
}

/// Streams of a client are odd (RFC 9113 section 5.1.1), so that it opens and fills no others.
const fn by_role(head: Head, side: Side) -> bool {
    !matches!((side, head.kind), (Side::Client, kind::DATA | kind::HEADERS | kind::CONTINUATION))
        || head.stream % 2 == 1
}

/// The search on one side.
#[derive(Debug)]
pub(crate) struct Search {
    candidates: Vec<Candidate>,
    /// Bytes seen in the search.
    offset: u64,
    /// The last nine bytes, where candidates may begin anywhere.
    window: [u8; Head::LEN],
    records: bool,
    /// Bytes were lost: not merely joined late.
    lost: bool,
}

impl Search {
    /// `records`: this side's bytes come in records whose starts are told.
    pub(crate) const fn new(records: bool, lost: bool) -> Self {
        Self { candidates: Vec::new(), offset: 0, window: [0; Head::LEN], records, lost }
    }

    /// Something of this side was not read.
    pub(crate) const fn blind(&self) -> bool {
        self.lost || self.offset > 0
    }

    /// Bytes went by in this search.
    pub(crate) const fn fed(&self) -> bool {
        self.offset > 0
    }

    pub(crate) fn memory(&self) -> usize {
        self.candidates
            .iter()
            .map(|one| size_of::<Candidate>() + one.held.capacity() + one.marks.capacity() * size_of::<Mark>())
            .sum()
    }

    /// A record begins here.
    fn record_start(&mut self) {
        if !self.records {
            self.records = true;
            self.candidates.clear();
        }
        let mut met = false;
        for candidate in self.candidates.iter_mut().filter(|candidate| candidate.at_boundary()) {
            candidate.aligned = candidate.aligned.saturating_add(1);
            met = true;
        }
        if !met && self.candidates.len() < CANDIDATES {
            self.candidates.push(Candidate::new(self.offset));
        }
    }

    /// Takes bytes of this side. A chain that is sure comes with the number of bytes that it took.
    pub(crate) fn feed(
        &mut self,
        time: u64,
        bytes: &[u8],
        record_start: bool,
        view: View<'_>,
    ) -> Option<(Chain, usize)> {
        if record_start && !bytes.is_empty() {
            self.record_start();
            if let Some(chain) = self.winner(time, view) {
                return Some((chain, 0));
            }
        }
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let step = if self.records {
                // Between record starts nothing begins: without a candidate there is nothing to read.
                self.candidates.iter().map(Candidate::until_event).min().unwrap_or(u64::MAX)
            } else {
                1
            };
            let step = usize::try_from(step).unwrap_or(usize::MAX).min(rest.len()).max(1);
            let part = rest.get(..step).unwrap_or_default();
            at += step;
            self.offset = self.offset.saturating_add(step as u64);
            let end = self.offset;
            self.candidates.retain_mut(|candidate| candidate.take(time, part, end, view));
            if !self.records {
                self.slide(time, part, view);
            }
            self.merge();
            if let Some(chain) = self.winner(time, view) {
                return Some((chain, at));
            }
        }
        None
    }

    /// Lets a candidate begin nine bytes back, if these are a header.
    fn slide(&mut self, time: u64, part: &[u8], view: View<'_>) {
        for &byte in part {
            self.window.rotate_left(1);
            if let Some(last) = self.window.last_mut() {
                *last = byte;
            }
        }
        let Some(start) = self.offset.checked_sub(Head::LEN as u64) else { return };
        if self.candidates.len() >= CANDIDATES || self.candidates.iter().any(|one| one.last == start) {
            return;
        }
        let mut candidate = Candidate::new(start);
        // So many offsets are tried that the first header, too, must name what lives.
        if candidate.take(time, &self.window, self.offset, view) && candidate.row > 0 {
            self.candidates.push(candidate);
        }
    }

    /// Chains that meet at a boundary are one from there on; what they said before contradicts, and none of it is believed.
    fn merge(&mut self) {
        if self.candidates.len() < 2 || self.candidates.iter().filter(|one| one.at_boundary()).count() < 2 {
            return;
        }
        let mut kept = false;
        self.candidates.retain_mut(|candidate| {
            if !candidate.at_boundary() {
                return true;
            }
            candidate.forget();
            !std::mem::replace(&mut kept, true)
        });
    }

    fn winner(&mut self, time: u64, view: View<'_>) -> Option<Chain> {
        let [only] = self.candidates.as_slice() else { return None };
        if !only.sure(self.records, view.max_frame) {
            return None;
        }
        self.candidates.pop().map(|candidate| candidate.chain(time))
    }

    /// Nothing follows, or nothing that belongs to it: what the only candidate held, if its frames fill its bytes exactly.
    pub(crate) fn close(&mut self, time: u64) -> Option<Chain> {
        let [only] = self.candidates.as_slice() else { return None };
        if !only.sure_at_end(self.records) || only.marks.is_empty() {
            return None;
        }
        self.candidates.pop().map(|candidate| candidate.chain(time))
    }

    /// Exactly `n` bytes are missing: chains whose current body has that much left go on.
    pub(crate) fn pass(&mut self, time: u64, n: u64) {
        self.candidates.retain_mut(|candidate| {
            if candidate.keep > 0 || candidate.left < n {
                return false;
            }
            candidate.left -= n;
            candidate.passed += n;
            if candidate.left == 0 {
                candidate.frame_done(time);
            }
            true
        });
        self.offset = self.offset.saturating_add(n);
        self.merge();
    }
}
