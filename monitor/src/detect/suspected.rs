//! What a downgrade looks like without keys.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::connections::{Connection, Map};
use crate::model::{ConnectionId, Time};

/// The last connection of a client to a server whose hello offered h2.
#[derive(Clone, Copy, Debug)]
struct Offer {
    connection: ConnectionId,
    last: Time,
    open: bool,
}

/// Connections that cannot be read and whose hello offered h2, by client host and server.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    offers: Map<(IpAddr, SocketAddr), Offer>,
    /// Hellos that offered only http/1.1 soon after one of them.
    pending: Map<ConnectionId, (Time, Duration)>,
    /// Since when offers are all younger: to look again is of no use before the window has moved on.
    trimmed: Time,
}

impl Suspicion {
    /// A hello: one that offers h2 is remembered, one that offers only http/1.1 is compared with it. False: a cap was reached.
    pub(super) fn hello(&mut self, connection: &Connection, time: Time, window: Duration, cap: usize) -> bool {
        let Some(pair) = pair(connection) else { return true };
        if connection.offers_h2 {
            if self.offers.len() >= cap && time >= self.trimmed.plus(window / 4) {
                self.offers.retain(|_, offer| offer.open || offer.last.plus(window) >= time);
                self.trimmed = time;
            }
            if self.offers.len() >= cap && !self.offers.contains_key(&pair) {
                return false;
            }
            self.offers.insert(pair, Offer { connection: connection.id, last: time, open: true });
        } else if connection.offers_only_http1
            && let Some(offer) = self.offers.get(&pair)
            && (offer.open || offer.last.plus(window) >= time)
        {
            if self.pending.len() >= cap {
                return false;
            }
            self.pending.insert(connection.id, (time, time.since(offer.last)));
        }
        true
    }

    /// The connection can be read after all: nothing about it needs to be suspected.
    pub(super) fn readable(&mut self, connection: &Connection) {
        let Some(pair) = pair(connection) else { return };
        if self.offers.get(&pair).is_some_and(|offer| offer.connection == connection.id) {
            self.offers.remove(&pair);
        }
        self.pending.remove(&connection.id);
    }

    /// The connection cannot be read: a suspicion about it holds.
    pub(super) fn dark(&mut self, connection: ConnectionId) -> Option<(Time, Duration)> {
        self.pending.remove(&connection)
    }

    /// The connection ended.
    pub(super) fn closed(&mut self, connection: &Connection, time: Time) {
        let Some(pair) = pair(connection) else { return };
        if let Some(offer) = self.offers.get_mut(&pair)
            && offer.connection == connection.id
        {
            offer.open = false;
            offer.last = time;
        }
        self.pending.remove(&connection.id);
    }
}

/// The client's host and the server. Hellos are seen in packets, which have both addresses.
fn pair(connection: &Connection) -> Option<(IpAddr, SocketAddr)> {
    Some((Connection::client_host(&connection.ends)?, connection.ends.server?))
}
