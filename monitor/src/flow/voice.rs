use std::sync::Arc;

use super::Events;
use crate::limits::Limits;
use crate::model::{CloseHow, ConnectionId, DarkWhy, Event, Kind, Side, Time};

/// What one connection has told so far.
#[derive(Debug)]
pub(crate) struct Voice {
    id: ConnectionId,
    /// Anomaly and dark events given.
    notes: u32,
    /// Such events that were not given because of the cap.
    unsaid: u64,
    /// Why each side is dark, as far as it was said.
    dark: [Option<DarkWhy>; 2],
    /// The first fatal alert.
    alert: Option<(Side, u8)>,
    /// How the connection ended and when, as far as it has.
    ended: Option<(CloseHow, Time)>,
    /// Bytes that could not be read, those left out that the TLS tap counts.
    unread: u64,
    /// The client has acknowledged bytes of the server that have not come.
    server_lags: bool,
}

impl Voice {
    pub(crate) const fn new(id: ConnectionId) -> Self {
        Self { id, notes: 0, unsaid: 0, dark: [None; 2], alert: None, ended: None, unread: 0, server_lags: false }
    }

    pub(crate) const fn unread(&self) -> u64 {
        self.unread
    }

    /// Events that the cap has kept back since the last call.
    pub(crate) const fn take_unsaid(&mut self) -> u64 {
        std::mem::replace(&mut self.unsaid, 0)
    }

    pub(crate) fn add_unread(&mut self, bytes: u64) {
        self.unread = self.unread.saturating_add(bytes);
    }

    pub(crate) const fn server_lags(&self) -> bool {
        self.server_lags
    }

    pub(crate) const fn set_server_lags(&mut self, lags: bool) {
        self.server_lags = lags;
    }

    /// Notes how TCP ended it. The first counts: who answers a FIN with a RST did not end the connection. A RST behind the same side's
    /// FIN says more than the FIN.
    ///
    /// `true`: it is the first.
    pub(crate) fn ended(&mut self, time: Time, how: CloseHow) -> bool {
        let first = self.ended.is_none();
        let more = matches!((self.ended, how), (Some((CloseHow::Fin(first), _)), CloseHow::Rst(then)) if first == then);
        if first || more {
            self.ended = Some((how, time));
        }
        first
    }

    /// When the client left what was not answered by then, where it ended the connection, which is closed at `time`.
    pub(crate) fn left(&self, time: Time) -> Time {
        match (self.alert, self.ended) {
            (None, Some((CloseHow::Fin(Side::Client), at))) => at,
            _ => time,
        }
    }

    /// How the connection ended: a fatal alert says more than the FIN or RST that follows it, and these more than silence.
    pub(crate) fn how(&self, otherwise: CloseHow) -> CloseHow {
        match (self.alert, self.ended) {
            (Some((by, description)), _) => CloseHow::Alert(by, description),
            (None, Some((how, _))) => how,
            (None, None) => otherwise,
        }
    }
}

/// A connection's voice, the place to speak to, and the caps.
pub(crate) struct Teller<'a> {
    pub(crate) voice: &'a mut Voice,
    pub(crate) out: &'a mut Events,
    pub(crate) limits: &'a Arc<Limits>,
    /// How the connection ends, when it ends now.
    pub(crate) ending: CloseHow,
}

impl Teller<'_> {
    pub(crate) fn tell(&mut self, time: Time, kind: Kind) {
        self.out.push(Event { time, connection: self.voice.id, kind });
    }

    fn noted(&mut self) -> bool {
        let room = self.voice.notes < self.limits.notes_per_connection;
        if room {
            self.voice.notes += 1;
        } else {
            self.voice.unsaid += 1;
        }
        room
    }

    pub(crate) fn anomaly(&mut self, time: Time, by: Option<Side>, what: &'static str) {
        if self.noted() {
            self.tell(time, Kind::Anomaly { by, what });
        }
    }

    /// `side` (`None`: neither) is not readable from here on. Said once until it is readable again.
    pub(crate) fn dark(&mut self, time: Time, by: Option<Side>, why: DarkWhy) {
        let [client, server] = &mut self.voice.dark;
        let known = match by {
            Some(Side::Client) => client.replace(why).is_some(),
            Some(Side::Server) => server.replace(why).is_some(),
            None => client.replace(why).is_some() & server.replace(why).is_some(),
        };
        if !known && self.noted() {
            self.tell(time, Kind::Dark { by, why });
        }
    }

    /// The records of `side` are readable. Costs nothing where they always were.
    pub(crate) fn lit_tls(&mut self, time: Time, side: Side) {
        self.lit(time, side, |why| matches!(why, DarkWhy::Tls(_)));
    }

    /// The HTTP messages of `side` are readable.
    pub(crate) fn lit_http(&mut self, time: Time, side: Side) {
        self.lit(time, side, |why| !matches!(why, DarkWhy::Tls(_)));
    }

    fn lit(&mut self, time: Time, side: Side, ends: impl Fn(DarkWhy) -> bool) {
        let [client, server] = &mut self.voice.dark;
        let (this, other) = match side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        if this.is_some_and(ends) {
            // Said of both sides at once: one word ends it.
            if *other == *this {
                *other = None;
            }
            *this = None;
            self.tell(time, Kind::Lit);
        }
    }

    pub(crate) const fn is_dark(&self, side: Side) -> bool {
        let [client, server] = &self.voice.dark;
        match side {
            Side::Client => client.is_some(),
            Side::Server => server.is_some(),
        }
    }

    /// A fatal alert ends the connection.
    pub(crate) fn alert(&mut self, time: Time, by: Side, level: u8, description: u8, tls13: bool) {
        /// TLS 1.3 has no warnings but these two: every other alert ends the connection (RFC 8446 section 6).
        const CLOSE_NOTIFY: u8 = 0;
        const USER_CANCELED: u8 = 90;
        let fatal = !matches!(description, CLOSE_NOTIFY | USER_CANCELED) && (level == 2 || tls13);
        if fatal {
            self.voice.alert.get_or_insert((by, description));
        }
        self.tell(time, Kind::Alert { by, description, fatal });
    }

    pub(crate) fn unread(&mut self, bytes: u64) {
        self.voice.add_unread(bytes);
    }

    /// How the connection ends, where it ends now.
    pub(crate) fn how(&self) -> CloseHow {
        self.voice.how(self.ending)
    }
}
