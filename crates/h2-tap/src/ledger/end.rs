//! How streams end other than by END_STREAM: RST_STREAM, GOAWAY, and the connection's end.

use super::{Entry, Ledger, fresh};
use crate::{End, ErrorCode, GoAway, Observer, Phase, Reset, Side, Stream};

impl<T> Ledger<T> {
    /// An RST_STREAM (RFC 9113 section 6.4).
    pub(crate) fn reset<O: Observer<Tag = T>>(&mut self, time: u64, reset: Reset, o: &mut O) {
        if let Some(entry) = self.take(reset.stream) {
            let mut stream = self.settle(entry);
            let complete = reset.by == Side::Client && stream.has_body();
            if complete {
                stream.phase = Phase::AfterEnd;
            }
            o.reset(time, reset, Some(&stream));
            self.close(time, stream, if complete { End::Complete } else { End::Reset(reset) }, o);
        } else if let Some(closed) = self.closed.iter().rev().find(|closed| closed.stream.id == reset.stream) {
            o.reset(time, reset, Some(&closed.stream));
        } else {
            o.reset(time, reset, None);
            if self.may_be_unasked(reset.stream) {
                // The request was not seen, or is still on its way to us: its direction is read on its own.
                let mut stream = fresh(reset.stream, None, time);
                if self.joined || self.server_losses > 0 {
                    stream.phase = Phase::Unknown;
                }
                self.close(time, stream, End::Reset(reset), o);
            }
        }
    }

    /// A GOAWAY (RFC 9113 section 6.8). One with an error ends the streams above its last at once: they will not be processed. One
    /// without lets them end by themselves, or with the connection.
    pub(crate) fn goaway<O: Observer<Tag = T>>(&mut self, time: u64, goaway: GoAway, o: &mut O) {
        o.goaway(time, goaway, self.client_open);
        if goaway.by == Side::Client {
            return;
        }
        self.goaway = Some(goaway);
        if goaway.code == ErrorCode::NO_ERROR {
            return;
        }
        // What is above an earlier one was refused then, and stays refused: the last stream may only fall. So every stream is looked at
        // once, however many there are of them.
        let until = self.goaway_error.map_or(u32::MAX, |before| before.last_stream);
        if goaway.last_stream > until {
            return;
        }
        self.goaway_error = Some(goaway);
        if goaway.last_stream == until || self.client_open == 0 {
            return;
        }
        let refused = self.open.above(goaway.last_stream).take_while(|&id| id <= until);
        let above: Vec<u32> = refused.filter(|id| id % 2 == 1).collect();
        for id in above {
            self.refuse(time, id, goaway, o);
        }
    }

    /// The server's GOAWAY with an error that a stream opened now is above of.
    pub(super) fn refused(&self, id: u32) -> Option<GoAway> {
        self.goaway_error.filter(|goaway| goaway.last_stream < id)
    }

    pub(super) fn refuse<O: Observer<Tag = T>>(&mut self, time: u64, id: u32, goaway: GoAway, o: &mut O) {
        if let Some(entry) = self.take(id) {
            let stream = self.settle(entry);
            self.close(time, stream, End::Closed(Some(goaway)), o);
        }
    }

    /// The connection is over. `dark`: a side could not be read to its end, so that a stream's end may have been there.
    pub(crate) fn finish<O: Observer<Tag = T>>(&mut self, time: u64, dark: bool, o: &mut O) {
        while let Some(entry) = self.open.pop_first() {
            let id = entry.stream.id;
            let doubtful = dark || entry.seen != self.losses;
            let below = self.goaway.filter(|goaway| goaway.last_stream < id && id % 2 == 1);
            let end = match below.or(self.refused(id)) {
                Some(goaway) => End::Closed(Some(goaway)),
                None if doubtful => End::Unknown,
                None => End::Closed(self.goaway_error),
            };
            let stream = self.settle(entry);
            o.end(time, &stream, end);
        }
        self.client_open = 0;
    }

    /// The stream as it can be said to stand: after lost bytes of the server, "no response yet" is not certain.
    fn settle(&self, entry: Entry<T>) -> Stream<T> {
        let mut stream = entry.stream;
        if stream.phase == Phase::BeforeResponse && entry.certain != self.server_losses {
            stream.phase = Phase::Unknown;
        }
        stream
    }
}
