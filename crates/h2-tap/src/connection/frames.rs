//! What each frame does.

use super::lane::{Block, Body, Fragment, Lane, Place, Scratch};
use super::{Auth, Connection, Context};
use crate::frame::{Head, Verdict, flag, kind};
use crate::ledger::Passed;
use crate::{Anomaly, ErrorCode, GoAway, Observer, Reset, Side};

/// A block of one field that is an entry of the dynamic table: after [`Decoder::forget`](crate::hpack::Decoder::forget), a field of
/// which nothing is known. Stands for a block whose content is not to be had.
const UNKNOWN_BLOCK: &[u8] = &[0xbe];

impl<T> Connection<T> {
    /// A whole frame header.
    pub(super) fn head<O: Observer<Tag = T>>(&mut self, head: Head, cx: &mut Context<'_, O>) {
        let lane = self.lane_mut(cx.side);
        let continues = lane.block.is_some_and(|block| block.section.stream == head.stream);
        let verdict = head.judge(lane.allowance.known_max_frame());
        if let Verdict::Implausible(anomaly) = verdict {
            cx.anomaly(anomaly);
            return self.lose(cx);
        }
        if lane.block.is_some() && !(head.kind == kind::CONTINUATION && continues) {
            cx.anomaly(Anomaly::Continuation);
            self.tear(cx);
        }
        if let Verdict::Odd(anomaly) = verdict {
            cx.anomaly(anomaly);
            if anomaly != Anomaly::FrameTooLong {
                return self.ignore(head, cx.side);
            }
        }
        let lane = self.lane_mut(cx.side);
        match head.kind {
            kind::DATA if head.has(flag::PADDED) => lane.place = Place::Scratch(Scratch::new(head, head.length, 1)),
            kind::DATA => self.body(Body::new(head, cx.time, u64::from(head.length), 0), cx),
            kind::RST_STREAM => lane.place = Place::Scratch(Scratch::new(head, head.length, 4)),
            kind::GOAWAY => lane.place = Place::Scratch(Scratch::new(head, head.length, 8)),
            kind::SETTINGS if head.has(flag::ACK) => {
                lane.place = Place::BOUNDARY;
                if let Some(change) = lane.allowance.ack() {
                    lane.enforce(change);
                }
            }
            kind::SETTINGS => {
                lane.change = Default::default();
                self.settings(head, head.length, cx.side);
            }
            kind::HEADERS | kind::PUSH_PROMISE if head.prefix() > 0 => {
                lane.place = Place::Scratch(Scratch::new(head, head.length, head.prefix()));
            }
            kind::HEADERS => {
                lane.block = Some(Block::new(head, None));
                self.fragment(head, head.length, 0, cx);
            }
            kind::CONTINUATION if lane.block.is_some() => self.fragment(head, head.length, 0, cx),
            kind::CONTINUATION => {
                if !continues {
                    cx.anomaly(Anomaly::Continuation);
                }
                self.ignore(head, cx.side);
            }
            _ => self.skip(u64::from(head.length), cx.side),
        }
    }

    /// Does a frame at once that is all there, is of the kinds that most are, and has nothing against it; returns its length. All others
    /// are read step by step.
    #[inline]
    pub(super) fn whole<O: Observer<Tag = T>>(
        &mut self,
        head: Head,
        bytes: &[u8],
        cx: &mut Context<'_, O>,
    ) -> Option<usize> {
        let end = Head::LEN + head.length as usize;
        let payload = bytes.get(Head::LEN..end)?;
        let lane = self.lane(cx.side);
        let long = lane.allowance.known_max_frame().is_some_and(|max| head.length > max);
        if long || head.stream == 0 || lane.block.is_some() || head.has(flag::PADDED) {
            return None;
        }
        match head.kind {
            kind::DATA => {
                let (bytes, end) = (u64::from(head.length), head.has(flag::END_STREAM));
                let passed = Passed { stream: head.stream, bytes, end, began: cx.time };
                self.ledger.data(cx.time, cx.side, passed, cx.observer);
            }
            kind::HEADERS if head.has(flag::END_HEADERS) => {
                let block =
                    payload.get(head.prefix() as usize..).filter(|block| block.len() <= self.limits.header_block)?;
                self.section(Block::new(head, None), block, cx);
            }
            _ => return None,
        }
        Some(end)
    }

    /// The bytes that a frame wanted are there.
    pub(super) fn scratch<O: Observer<Tag = T>>(&mut self, scratch: Scratch, cx: &mut Context<'_, O>) {
        let Scratch { head, bytes, .. } = scratch;
        let left = scratch.left.saturating_sub(scratch.want as u32);
        let [b0, b1, b2, b3, b4, b5, b6, b7] = bytes;
        match head.kind {
            kind::DATA => {
                let padding = u32::from(b0);
                if padding > left {
                    cx.anomaly(Anomaly::Padding);
                }
                let padding = padding.min(left);
                self.body(Body::new(head, cx.time, u64::from(left - padding), u64::from(padding)), cx);
            }
            kind::RST_STREAM => {
                self.skip(u64::from(left), cx.side);
                self.reset(head.stream, ErrorCode(u32::from_be_bytes([b0, b1, b2, b3])), cx);
            }
            kind::GOAWAY => {
                self.skip(u64::from(left), cx.side);
                let last_stream = u32::from_be_bytes([b0, b1, b2, b3]) & 0x7fff_ffff;
                self.goaway(last_stream, ErrorCode(u32::from_be_bytes([b4, b5, b6, b7])), left, cx);
            }
            kind::SETTINGS => {
                let id = u16::from_be_bytes([b0, b1]);
                self.lane_mut(cx.side).change.set(id, u32::from_be_bytes([b2, b3, b4, b5]));
                self.settings(head, left, cx.side);
            }
            _ => {
                let padding = if head.has(flag::PADDED) { u32::from(b0) } else { 0 };
                let promised = if head.has(flag::PADDED) { [b1, b2, b3, b4] } else { [b0, b1, b2, b3] };
                let promised = (head.kind == kind::PUSH_PROMISE).then(|| u32::from_be_bytes(promised) & 0x7fff_ffff);
                let mut block = Block::new(head, promised);
                if padding > left {
                    cx.anomaly(Anomaly::Padding);
                    block.bad = true;
                }
                self.lane_mut(cx.side).block = Some(block);
                self.fragment(head, left, padding.min(left), cx);
            }
        }
    }

    /// Goes on in a SETTINGS frame, each setting of which has six bytes.
    fn settings(&mut self, head: Head, left: u32, side: Side) {
        let lane = self.lane_mut(side);
        if left >= 6 {
            lane.place = Place::Scratch(Scratch::new(head, left, 6));
            return;
        }
        let change = lane.change;
        self.skip(u64::from(left), side);
        let peer = self.lane_mut(side.peer());
        if let Some(change) = peer.allowance.announce(change) {
            peer.enforce(change);
        }
    }

    /// Payload that nobody reads.
    fn skip(&mut self, left: u64, side: Side) {
        self.lane_mut(side).place = if left == 0 { Place::BOUNDARY } else { Place::Skip(left) };
    }

    /// A frame that is not what its type says. Where it may have held header fields, the HPACK state is unknown.
    fn ignore(&mut self, head: Head, side: Side) {
        if matches!(head.kind, kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION) {
            self.lane_mut(side).decoder.forget();
        }
        self.skip(u64::from(head.length), side);
    }

    /// Begins the payload of DATA.
    pub(super) fn body<O: Observer<Tag = T>>(&mut self, body: Body, cx: &mut Context<'_, O>) {
        let lane = self.lane_mut(cx.side);
        if body.left() > 0 {
            lane.place = Place::Data(body);
        } else {
            lane.place = Place::BOUNDARY;
            self.ledger.data(cx.time, cx.side, body.gone(body.end_stream), cx.observer);
        }
    }

    /// Begins a header block fragment; an empty one is over at once.
    fn fragment<O: Observer<Tag = T>>(&mut self, head: Head, left: u32, padding: u32, cx: &mut Context<'_, O>) {
        let fragment = Fragment { left: left - padding, padding, end_headers: head.has(flag::END_HEADERS) };
        self.lane_mut(cx.side).place = Place::Fragment(fragment);
        if fragment.left == 0 {
            self.fragment_bytes(fragment, &[], cx);
        }
    }

    /// Bytes of a header block fragment, at most what is left of it. A block that is all there is decoded where it lies.
    pub(super) fn fragment_bytes<O: Observer<Tag = T>>(
        &mut self,
        mut fragment: Fragment,
        bytes: &[u8],
        cx: &mut Context<'_, O>,
    ) {
        let cap = self.limits.header_block;
        let lane = self.lane_mut(cx.side);
        fragment.left -= bytes.len() as u32;
        let last = fragment.left == 0 && fragment.end_headers;
        let Some(mut block) = lane.block else {
            lane.place = Place::BOUNDARY;
            return;
        };
        let whole = last && lane.fragments.is_empty();
        if lane.fragments.len() + bytes.len() > cap && !block.bad {
            block.bad = true;
            lane.fragments = Vec::new();
            cx.observer.anomaly(cx.time, cx.side, Anomaly::HeaderBlockTooLong);
        } else if !whole && !block.bad {
            lane.fragments.extend_from_slice(bytes);
        }
        lane.block = (!last).then_some(block);
        if fragment.left > 0 {
            lane.place = Place::Fragment(fragment);
            return;
        }
        self.skip(u64::from(fragment.padding), cx.side);
        if last {
            self.section(block, if whole { bytes } else { &[] }, cx);
        }
    }

    /// A header block is over before its end.
    fn tear<O: Observer<Tag = T>>(&mut self, cx: &mut Context<'_, O>) {
        if let Some(block) = self.lane_mut(cx.side).block.take() {
            self.section(Block { bad: true, ..block }, &[], cx);
        }
    }

    /// A header block is over. `direct`: its bytes, when they were not collected.
    fn section<O: Observer<Tag = T>>(&mut self, block: Block, direct: &[u8], cx: &mut Context<'_, O>) {
        let Self { client, server, ledger, .. } = self;
        let lane: &mut Lane = match cx.side {
            Side::Client => client,
            Side::Server => server,
        };
        let bytes = if lane.fragments.is_empty() { direct } else { &lane.fragments };
        let decoded = if block.bad { None } else { Some(lane.decoder.decode_wanted(bytes, O::WANTED)) };
        let fields = match decoded {
            Some(Ok(fields)) => Some(fields),
            torn => {
                if torn.is_some() {
                    cx.observer.anomaly(cx.time, cx.side, Anomaly::Hpack);
                }
                lane.decoder.forget();
                lane.decoder.decode(UNKNOWN_BLOCK).ok()
            }
        };
        if let Some(fields) = fields {
            ledger.headers(cx.time, cx.side, block.section, &fields, cx.observer);
        }
        lane.fragments.clear();
    }

    fn reset<O: Observer<Tag = T>>(&mut self, stream: u32, code: ErrorCode, cx: &mut Context<'_, O>) {
        let Some(verified) = self.proven(cx) else { return };
        self.flush(cx.side.peer(), cx.observer);
        let reset = Reset { by: cx.side, stream, code, verified };
        self.ledger.reset(cx.time, reset, cx.observer);
    }

    fn goaway<O: Observer<Tag = T>>(&mut self, last: u32, code: ErrorCode, debug_len: u32, cx: &mut Context<'_, O>) {
        let Some(verified) = self.proven(cx) else { return };
        let goaway = GoAway { by: cx.side, last_stream: last, code, debug_len, verified };
        self.ledger.goaway(cx.time, goaway, cx.observer);
    }

    /// Asks the layer below for its word on what led here; `None`: it was forged, and the place with it.
    fn proven<O: Observer<Tag = T>>(&mut self, cx: &mut Context<'_, O>) -> Option<bool> {
        match (cx.auth)() {
            Auth::Verified => Some(true),
            Auth::Unverified => Some(false),
            Auth::Forged => {
                self.lose(cx);
                None
            }
        }
    }
}
