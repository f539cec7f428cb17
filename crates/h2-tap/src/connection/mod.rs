use crate::{Limits, Observer, Side};

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
#[derive(Debug)]
pub struct Connection<T> {
    limits: Limits,
    tag: Option<T>,
}

impl<T: Clone> Connection<T> {
    /// A connection from its start: the client's preface comes first (RFC 9113 section 3.4).
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, tag: None }
    }

    /// A connection joined after its start.
    #[must_use]
    pub fn midstream(limits: Limits) -> Self {
        Self { limits, tag: None }
    }

    /// A connection that began as HTTP/1.1 (`Upgrade: h2c`): stream 1 carries that request.
    #[must_use]
    pub fn upgraded(limits: Limits, time: u64, tag: T) -> Self {
        let _ = time;
        Self { limits, tag: Some(tag) }
    }

    /// How many of this side's coming bytes are not needed.
    #[must_use]
    pub fn skippable(&self, side: Side) -> u64 {
        let _ = side;
        0
    }

    /// Looks at the next bytes, not yet authenticated.
    pub fn peek<O: Observer<Tag = T>>(&mut self, time: u64, side: Side, bytes: &[u8], o: &mut O) -> Option<u64> {
        let _ = (time, side, bytes, o);
        None
    }

    /// The next bytes of one side.
    pub fn data<O: Observer<Tag = T>>(
        &mut self,
        time: u64,
        side: Side,
        bytes: &[u8],
        record_start: bool,
        auth: &mut dyn FnMut() -> Auth,
        o: &mut O,
    ) {
        let _ = (time, side, bytes, record_start, auth, o);
    }

    /// Bytes were passed over.
    pub fn skipped(&mut self, side: Side, n: u64) {
        let _ = (side, n);
    }

    /// Bytes were lost.
    pub fn gap<O: Observer<Tag = T>>(&mut self, time: u64, side: Side, min: u64, max: u64, o: &mut O) {
        let _ = (time, side, min, max, o);
    }

    /// The connection is over.
    pub fn finish<O: Observer<Tag = T>>(&mut self, time: u64, o: &mut O) {
        let _ = (time, o);
    }

    /// Streams in the ledger.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        0
    }

    /// The place in this side's frame sequence is known.
    #[must_use]
    pub fn in_sync(&self, side: Side) -> bool {
        let _ = side;
        true
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        0
    }
}
