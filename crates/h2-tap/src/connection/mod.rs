mod frames;
mod lane;

use lane::{Body, Lane, Place};

use crate::frame::{Head, PREFACE, flag, kind};
use crate::hpack::Decoder;
use crate::ledger::Ledger;
use crate::resync::{Chain, Search, View};
use crate::{Anomaly, Limits, Observer, Side};

/// What the layer below knows about the bytes that led to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Everything that led here was authenticated.
    Verified,
    /// The bytes that would prove it are gone: report, and mark the finding.
    Unverified,
    /// A record that the place in the stream rested on is forged: there is nothing to report, the place is lost.
    Forged,
}

/// One HTTP/2 connection, seen from outside.
///
/// Each side's bytes come in order, in any cut: through [`data`](Self::data), or passed over where
/// [`skippable`](Self::skippable) or [`peek`](Self::peek) allow it, or lost ([`gap`](Self::gap)). The two sides are independent of
/// each other: a response may come before its request does.
///
/// Tags of recently closed streams are kept, so that a late RST_STREAM still finds its request.
#[derive(Debug)]
pub struct Connection<T> {
    limits: Limits,
    client: Lane,
    server: Lane,
    ledger: Ledger<T>,
}

/// One call: when, who, and whom to tell.
struct Context<'a, O> {
    time: u64,
    side: Side,
    auth: &'a mut dyn FnMut() -> Auth,
    observer: &'a mut O,
}

impl<O: Observer> Context<'_, O> {
    fn anomaly(&mut self, anomaly: Anomaly) {
        self.observer.anomaly(self.time, self.side, anomaly);
    }
}

impl<T> Connection<T> {
    /// A connection from its start: the client's preface comes first (RFC 9113 section 3.4). A peer that leaves out the preface or
    /// the first SETTINGS is understood all the same.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            client: Lane::new(Place::Preface(0), Decoder::new(&limits), None),
            server: Lane::new(Place::BOUNDARY, Decoder::new(&limits), None),
            ledger: Ledger::new(&limits, false),
            limits,
        }
    }

    /// A connection joined after its start: no preface, unknown settings, HPACK state and streams; frame boundaries are searched.
    #[must_use]
    pub fn midstream(limits: Limits) -> Self {
        let lane = || Lane::new(Place::BOUNDARY, Decoder::midstream(&limits), Some(Search::new(false, false)));
        Self { client: lane(), server: lane(), ledger: Ledger::new(&limits, true), limits }
    }

    /// A connection that began as HTTP/1.1 (`Upgrade: h2c`, RFC 7540 section 3.2): stream 1 carries that request, which was made at
    /// `time` and is complete; the client's preface follows.
    #[must_use]
    pub fn upgraded(limits: Limits, time: u64, tag: T) -> Self {
        let mut connection = Self::new(limits);
        connection.ledger.upgraded(time, tag);
        connection
    }

    /// How many of this side's coming bytes are not needed: the rest of a DATA frame, or of one that nobody reads.
    #[inline]
    #[must_use]
    pub fn skippable(&self, side: Side) -> u64 {
        self.lane(side).skippable()
    }

    /// Looks at the next bytes, which are not authenticated yet. `Some(n)`: they begin a DATA frame that is right in every respect,
    /// and none of the `n` bytes from the first of `bytes` on (header and payload, shown or not) need be delivered. The caller
    /// accounts for all `n` with [`skipped`](Self::skipped), in any number of calls, [`skippable`](Self::skippable) saying what is
    /// left; what it delivers all the same counts as skipped. Its END_STREAM takes effect when the last byte went by, and is
    /// reported, with the time of this call, by the next call that has an observer. `None`: nothing changed, deliver.
    pub fn peek<O: Observer<Tag = T>>(&mut self, time: u64, side: Side, bytes: &[u8], o: &mut O) -> Option<u64> {
        self.settle(time, o);
        let lane = self.lane(side);
        let head = Head::read(bytes)?;
        let plain = head.kind == kind::DATA && !head.reserved && head.flags & !flag::END_STREAM == 0;
        let fits = head.length <= lane.allowance.max_frame();
        if !(plain && fits && lane.at_boundary() && self.ledger.takes_data(head.stream, side)) {
            return None;
        }
        let mut body = Body::new(head, time, u64::from(head.length), 0);
        body.head = Head::LEN as u64;
        let left = body.left();
        self.lane_mut(side).place = Place::Data(body);
        Some(left)
    }

    /// The next bytes of one side, in any cut. `record_start`: the first one begins a record of the layer below. `auth` is asked
    /// when an RST_STREAM or a GOAWAY is about to be reported, and not otherwise; after [`Auth::Forged`] the rest of `bytes` is not
    /// read as frames.
    pub fn data<O: Observer<Tag = T>>(
        &mut self,
        time: u64,
        side: Side,
        bytes: &[u8],
        record_start: bool,
        auth: &mut dyn FnMut() -> Auth,
        o: &mut O,
    ) {
        self.settle(time, o);
        self.lane_mut(side).records |= record_start;
        let mut cx = Context { time, side, auth, observer: o };
        self.feed(bytes, record_start, &mut cx);
    }

    /// This many bytes were passed over, as [`skippable`](Self::skippable) or [`peek`](Self::peek) allowed. To pass over more loses
    /// the place.
    #[inline]
    pub fn skipped(&mut self, side: Side, n: u64) {
        let lane = self.lane_mut(side);
        lane.overrun |= lane.pass(n) > 0;
    }

    /// Between `min` and `max` bytes of this side were lost here. When their number is known and all of them belong to the payload
    /// at hand, nothing that matters is lost; otherwise the place is, and the HPACK state. 0 to any number in front of a side's first byte
    /// is what came before the connection was joined.
    pub fn gap<O: Observer<Tag = T>>(&mut self, time: u64, side: Side, min: u64, max: u64, o: &mut O) {
        self.settle(time, o);
        if max == 0 {
            return;
        }
        let lane = self.lane_mut(side);
        let exact = min == max;
        if let Some(search) = &mut lane.search {
            let chain = search.close(time);
            if chain.is_none() && exact {
                return search.pass(time, max);
            }
            self.accept(chain, time, side, o);
        } else if exact && max <= lane.skippable() {
            lane.pass(max);
            return self.settle(time, o);
        }
        let records = self.lane(side).records;
        if let Some(search) = &mut self.lane_mut(side).search {
            // What may lie before the first byte of a side joined late is older than all that was seen of the connection.
            let before = min == 0 && max == u64::MAX && !search.fed();
            **search = Search::new(records, true);
            if !before {
                self.ledger.lost(side);
            }
        } else {
            self.lose(&mut Context { time, side, auth: &mut || Auth::Verified, observer: o });
        }
    }

    /// The connection is over: every open stream ends, in the order of their identifiers.
    pub fn finish<O: Observer<Tag = T>>(&mut self, time: u64, o: &mut O) {
        self.settle(time, o);
        let mut dark = false;
        for side in [Side::Client, Side::Server] {
            if let Some(search) = &mut self.lane_mut(side).search {
                let fed = search.fed();
                let chain = search.close(time);
                if fed && chain.is_none() {
                    o.anomaly(time, side, Anomaly::LostSync);
                }
                self.accept(chain, time, side, o);
            }
            self.flush(side, o);
            dark |= self.lane(side).search.as_ref().is_some_and(|search| search.blind());
        }
        self.ledger.finish(time, dark, o);
    }

    /// Streams in the ledger.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.ledger.len()
    }

    /// The place in this side's frame sequence is known.
    #[must_use]
    pub fn in_sync(&self, side: Side) -> bool {
        self.lane(side).in_sync()
    }

    /// Bytes of memory held, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.client.memory() + self.server.memory() + self.ledger.memory()
    }

    const fn lane(&self, side: Side) -> &Lane {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    const fn lane_mut(&mut self, side: Side) -> &mut Lane {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Walks bytes that are in order.
    fn feed<O: Observer<Tag = T>>(&mut self, mut bytes: &[u8], mut record_start: bool, cx: &mut Context<'_, O>) {
        while !bytes.is_empty() {
            let used = if self.lane(cx.side).search.is_some() {
                self.search(bytes, record_start, cx)
            } else {
                self.step(bytes, cx)
            };
            record_start &= used == 0;
            bytes = bytes.get(used..).unwrap_or_default();
        }
    }

    /// Takes the next bytes that belong together; returns how many.
    #[inline]
    fn step<O: Observer<Tag = T>>(&mut self, bytes: &[u8], cx: &mut Context<'_, O>) -> usize {
        let lane = self.lane_mut(cx.side);
        match lane.place {
            Place::Head(_, 0) if bytes.len() >= Head::LEN => {
                if let Some(head) = Head::read(bytes) {
                    if let Some(length) = self.whole(head, bytes, cx) {
                        return length;
                    }
                    self.head(head, cx);
                }
                Head::LEN
            }
            Place::Head(mut partial, have) => {
                let used = fill(&mut partial, have, bytes);
                lane.place = Place::Head(partial, have + used);
                if have + used == Head::LEN
                    && let Some(head) = Head::read(&partial)
                {
                    self.head(head, cx);
                }
                used
            }
            Place::Data(_) | Place::Skip(_) => {
                let used = lane.skippable().min(bytes.len() as u64);
                lane.pass(used);
                self.ended(cx.side, Some(cx.time), cx.observer);
                used as usize
            }
            Place::Scratch(mut scratch) => {
                let wanted = scratch.bytes.get_mut(..scratch.want).unwrap_or_default();
                let used = fill(wanted, scratch.have, bytes);
                scratch.have += used;
                lane.place = Place::Scratch(scratch);
                if scratch.have >= scratch.want {
                    self.scratch(scratch, cx);
                }
                used
            }
            Place::Fragment(fragment) => {
                let used = bytes.len().min(fragment.left as usize);
                self.fragment_bytes(fragment, bytes.get(..used).unwrap_or_default(), cx);
                used
            }
            Place::Preface(have) => {
                let expected = PREFACE.get(have..).unwrap_or_default();
                let used = expected.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                if have + used == PREFACE.len() {
                    lane.place = Place::BOUNDARY;
                } else if used < bytes.len() {
                    // No preface: what looked like one are frames.
                    lane.place = Place::BOUNDARY;
                    self.feed(PREFACE.get(..have + used).unwrap_or_default(), false, cx);
                } else {
                    lane.place = Place::Preface(have + used);
                }
                used
            }
        }
    }

    /// Hands bytes to the search; returns how many it took.
    fn search<O: Observer<Tag = T>>(&mut self, bytes: &[u8], record_start: bool, cx: &mut Context<'_, O>) -> usize {
        let Self { client, server, ledger, .. } = self;
        let lane = match cx.side {
            Side::Client => client,
            Side::Server => server,
        };
        let Some(search) = &mut lane.search else { return 0 };
        let view = View {
            side: cx.side,
            max_frame: lane.allowance.max_frame(),
            plausible: &|id| ledger.plausible(id),
            request: &|id| ledger.next_request(id),
        };
        let Some((chain, used)) = search.feed(cx.time, bytes, record_start, view) else { return bytes.len() };
        self.replay(chain, cx);
        used
    }

    /// What a search found at the end of its bytes.
    fn accept<O: Observer<Tag = T>>(&mut self, chain: Option<Chain>, time: u64, side: Side, o: &mut O) {
        if let Some(chain) = chain {
            // What the search held came authenticated, and it looks at nothing else.
            self.replay(chain, &mut Context { time, side, auth: &mut || Auth::Verified, observer: o });
            self.settle(time, o);
        }
    }

    /// The place is known again: what was held is read as though it came now, at its own times.
    fn replay<O: Observer<Tag = T>>(&mut self, chain: Chain, cx: &mut Context<'_, O>) {
        if cx.side == Side::Server
            && let Some(search) = &mut self.client.search
        {
            // The requests that this is about may be waiting on the other side.
            let requests = search.close(cx.time);
            self.accept(requests, cx.time, Side::Client, cx.observer);
        }
        self.lane_mut(cx.side).search = None;
        if chain.unread {
            // Streams that were opened during the search may have ended in what was not read.
            self.ledger.lost(cx.side);
        }
        let lane = self.lane_mut(cx.side);
        lane.place = Place::BOUNDARY;
        let now = cx.time;
        let mut begin = 0;
        for mark in chain.marks {
            cx.time = mark.time;
            self.feed(chain.held.get(begin..mark.end).unwrap_or_default(), false, cx);
            begin = mark.end;
            if self.lane(cx.side).search.is_some() {
                break;
            }
            self.lane_mut(cx.side).pass(mark.passed);
            self.ended(cx.side, Some(mark.time), cx.observer);
        }
        cx.time = now;
        if chain.rest > 0 && self.lane(cx.side).search.is_none() {
            self.lane_mut(cx.side).place = Place::Skip(chain.rest);
        }
    }

    /// The place in `cx.side`'s bytes is lost.
    fn lose<O: Observer<Tag = T>>(&mut self, cx: &mut Context<'_, O>) {
        self.flush(cx.side, cx.observer);
        let lane = self.lane_mut(cx.side);
        lane.place = Place::BOUNDARY;
        lane.block = None;
        lane.fragments = Vec::new();
        lane.decoder.forget();
        lane.allowance.lost();
        lane.search = Some(Box::new(Search::new(lane.records, true)));
        self.ledger.lost(cx.side);
        cx.anomaly(Anomaly::LostSync);
    }

    /// Does what waited for an observer.
    #[inline]
    fn settle<O: Observer<Tag = T>>(&mut self, time: u64, o: &mut O) {
        for side in [Side::Client, Side::Server] {
            let lane = self.lane_mut(side);
            if lane.ended.is_some() {
                self.ended(side, None, o);
            }
            if std::mem::take(&mut self.lane_mut(side).overrun) && self.lane(side).search.is_none() {
                self.lose(&mut Context { time, side, auth: &mut || Auth::Verified, observer: o });
            }
        }
    }

    /// A DATA frame is over. `now`: when its last byte was seen, where that is known.
    #[inline]
    fn ended<O: Observer<Tag = T>>(&mut self, side: Side, now: Option<u64>, o: &mut O) {
        if let Some(body) = self.lane_mut(side).ended.take() {
            let time = now.unwrap_or(body.time);
            self.ledger.data(time, side, body.gone(body.end_stream), o);
        }
    }

    /// Enters in the ledger what has passed of an unfinished DATA frame.
    fn flush<O: Observer<Tag = T>>(&mut self, side: Side, o: &mut O) {
        let lane = self.lane_mut(side);
        if let Place::Data(body) = &mut lane.place
            && body.passed > 0
        {
            let passed = body.gone(false);
            body.passed = 0;
            self.ledger.data(passed.began, side, passed, o);
        }
    }
}

/// Copies what fits behind the first `have` bytes; returns how many.
fn fill(to: &mut [u8], have: usize, from: &[u8]) -> usize {
    let room = to.get_mut(have..).unwrap_or_default();
    let used = room.len().min(from.len());
    if let (Some(room), Some(from)) = (room.get_mut(..used), from.get(..used)) {
        room.copy_from_slice(from);
    }
    used
}
