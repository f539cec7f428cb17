//! Header sections (RFC 9113 section 8.1) and what they mean for their stream.

use super::{Ledger, fresh};
use crate::{Anomaly, Fields, HeadKind, Observer, Phase, Side};

/// A whole header block and where it belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    /// Stream of the frame.
    pub(crate) stream: u32,
    /// Stream that a PUSH_PROMISE promises.
    pub(crate) promised: Option<u32>,
    /// The HEADERS frame had END_STREAM.
    pub(crate) end_stream: bool,
}

/// What the pseudo-header fields (RFC 9113 section 8.3) say.
struct Pseudo {
    status: Option<u16>,
    /// There are some.
    any: bool,
    complete: bool,
}

impl Pseudo {
    fn of(fields: &Fields<'_>) -> Self {
        let mut found = Self { status: None, any: false, complete: fields.complete() };
        for field in fields.iter() {
            let Some(name) = field.name else { continue };
            // Pseudo-header fields come first.
            if name.first() != Some(&b':') {
                break;
            }
            found.any = true;
            if name == b":status" {
                found.status = field.value.and_then(status);
                break;
            }
        }
        found
    }
}

fn status(value: &[u8]) -> Option<u16> {
    match value {
        &[a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        _ => None,
    }
}

impl<T> Ledger<T> {
    /// A header section of either side.
    pub(crate) fn headers<O: Observer<Tag = T>>(
        &mut self,
        time: u64,
        side: Side,
        section: Section,
        fields: &Fields<'_>,
        o: &mut O,
    ) {
        match (side, section.promised) {
            (Side::Server, Some(promised)) => self.promise(time, promised, fields, o),
            (Side::Client, Some(_)) => o.anomaly(time, side, Anomaly::StreamId),
            (Side::Client, None) => self.client_headers(time, section, fields, o),
            (Side::Server, None) => self.server_headers(time, section, fields, o),
        }
    }

    /// A promised request has no body: its client side is ended from the beginning (RFC 9113 section 8.4).
    fn promise<O: Observer<Tag = T>>(&mut self, time: u64, id: u32, fields: &Fields<'_>, o: &mut O) {
        if id == 0 || id % 2 == 1 || self.open.contains(id) {
            return o.anomaly(time, Side::Server, Anomaly::StreamId);
        }
        let tag = o.request(time, id, HeadKind::Promise, fields, true);
        let mut stream = fresh(id, Some(tag), time);
        stream.client_ended = true;
        self.enter(time, Side::Server, stream, o);
    }

    fn client_headers<O: Observer<Tag = T>>(&mut self, time: u64, section: Section, fields: &Fields<'_>, o: &mut O) {
        let id = section.stream;
        if id.is_multiple_of(2) {
            return o.anomaly(time, Side::Client, Anomaly::StreamId);
        }
        let losses = self.losses;
        if !self.next_request(id) {
            match self.open.get_mut(id) {
                Some(entry) => {
                    entry.seen = losses;
                    entry.stream.client_ended |= section.end_stream;
                    o.response(time, &entry.stream, HeadKind::Trailers, Side::Client, fields);
                }
                None if self.unseen_requests || self.closed.iter().any(|closed| closed.stream.id == id) => {}
                None => o.anomaly(time, Side::Client, Anomaly::StreamId),
            }
            return;
        }
        let unknown = self.open.get(id).map(|_| true).or_else(|| self.ended_unasked(id).map(|_| false));
        if unknown.is_some() || self.unseen_requests {
            // What we have of this stream came from the server; the client's first HEADERS that we see may be trailers.
            let pseudo = Pseudo::of(fields);
            if !pseudo.any && pseudo.complete {
                if let Some(entry) = self.open.get_mut(id) {
                    entry.stream.client_ended |= section.end_stream;
                    o.response(time, &entry.stream, HeadKind::Trailers, Side::Client, fields);
                }
                return;
            }
        }
        self.highest_request = id;
        let tag = o.request(time, id, HeadKind::Request, fields, section.end_stream);
        match unknown {
            Some(true) => {
                if let Some(entry) = self.open.get_mut(id) {
                    entry.seen = losses;
                    entry.stream.tag = Some(tag);
                    entry.stream.client_ended |= section.end_stream;
                }
            }
            Some(false) => {
                // The response was over before the request came to light: it ends as its stream did.
                if let Some(closed) =
                    self.closed.iter_mut().find(|closed| closed.stream.id == id && closed.stream.tag.is_none())
                {
                    self.closed_unasked -= 1;
                    if closed.stream.phase == Phase::Unknown && self.server_losses == 0 {
                        // Its answer is not older than itself, and would have been seen.
                        closed.stream.phase = Phase::BeforeResponse;
                    }
                    closed.stream.tag = Some(tag);
                    closed.stream.client_ended |= section.end_stream;
                    o.end(time, &closed.stream, closed.end);
                }
            }
            None => {
                let mut stream = fresh(id, Some(tag), time);
                stream.client_ended = section.end_stream;
                self.enter(time, Side::Client, stream, o);
                if let Some(goaway) = self.refused(id) {
                    self.refuse(time, id, goaway, o);
                }
            }
        }
    }

    /// The stream ended without a request that we saw.
    fn ended_unasked(&self, id: u32) -> Option<()> {
        let found = |closed: &super::Closed<T>| closed.stream.id == id && closed.stream.tag.is_none();
        (self.closed_unasked > 0 && self.closed.iter().any(found)).then_some(())
    }

    fn server_headers<O: Observer<Tag = T>>(&mut self, time: u64, section: Section, fields: &Fields<'_>, o: &mut O) {
        let id = section.stream;
        if !self.open.contains(id) {
            if self.closed.iter().any(|closed| closed.stream.id == id) {
                // Sent before the server knew of the client's RST_STREAM.
                return;
            }
            if !self.unseen_requests && (id <= self.highest_request || id.is_multiple_of(2)) {
                return o.anomaly(time, Side::Server, Anomaly::StreamId);
            }
            let mut stream = fresh(id, None, time);
            stream.phase = Phase::Unknown;
            self.enter(time, Side::Server, stream, o);
        }
        let (losses, server_losses) = (self.losses, self.server_losses);
        let Some(entry) = self.open.get_mut(id) else { return };
        entry.seen = losses;
        let pseudo = Pseudo::of(fields);
        let stream = &mut entry.stream;
        // After a section whose status is unknown, another one with a status says that the first was a 1xx.
        let begun = stream.responded.is_some() && stream.status.is_some();
        let kind = match pseudo.status {
            Some(100..=199) if !section.end_stream && !begun => HeadKind::Informational,
            Some(_) if !begun => HeadKind::Response,
            Some(_) => HeadKind::Trailers,
            None if stream.responded.is_some() => HeadKind::Trailers,
            // The response's beginning was lost: a section without pseudo-header fields is trailers.
            None if !pseudo.any && pseudo.complete && section.end_stream => HeadKind::Trailers,
            // An unknown status may be a 1xx. Most are not, and to take a response for none would call a cut-off body an
            // error page; a later section corrects it.
            None => HeadKind::Response,
        };
        match kind {
            HeadKind::Informational => {
                stream.informational = pseudo.status;
                stream.responded = None;
                stream.phase = Phase::BeforeResponse;
                entry.certain = server_losses;
            }
            HeadKind::Response => {
                stream.status = pseudo.status;
                stream.content_length = fields.content_length();
                stream.responded = Some(time);
                stream.phase = Phase::InBody;
            }
            _ => stream.phase = Phase::InBody,
        }
        o.response(time, stream, kind, Side::Server, fields);
        if section.end_stream {
            self.complete(time, id, o);
        }
    }
}
