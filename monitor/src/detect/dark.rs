//! Connections that cannot be read: when that is told, and what counts of them while they are open.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::Core;
use super::connections::Connection;
use crate::model::{ConnectionId, DarkFinding, DarkWhy, Finding, Protocol, Side, Time};

/// How a connection is dark.
#[derive(Debug, Default)]
pub(super) struct Darkness {
    /// What is not told yet: a key may come and make all of it readable.
    waiting: SmallVec<[(Time, Option<Side>, DarkWhy); 2]>,
    /// When it is told.
    due: Time,
    /// The reasons that it was counted under, by their place among all.
    counted: u16,
    /// The reason that it counts under among those that are open and dark.
    open: Option<&'static str>,
}

/// Connections that are dark and may still be lit, the first to be told of first.
#[derive(Debug, Default)]
pub(super) struct Grace(VecDeque<(Time, ConnectionId)>);

impl Grace {
    /// The next whose time is over, and when it was.
    pub(super) fn over(&mut self, now: Time) -> Option<(Time, ConnectionId)> {
        self.0.pop_front_if(|(due, _)| *due <= now)
    }
}

impl Core {
    /// The connection cannot be read from here on. That is told when it has lasted for the grace.
    pub(super) fn darken(
        &mut self,
        at: Time,
        connection: &mut Connection,
        by: Option<Side>,
        why: DarkWhy,
        out: &mut Vec<Finding>,
    ) {
        let first = connection.darkness.waiting.is_empty();
        connection.darkness.waiting.push((at, by, why));
        if self.limits.dark_grace.is_zero() {
            self.tell_dark(connection, out);
        } else if first {
            connection.darkness.due = self.now.plus(self.limits.dark_grace);
            self.grace.0.push_back((connection.darkness.due, connection.id));
        }
    }

    /// A grace is over that ended at `due`: the connection's, unless it was lit meanwhile.
    pub(super) fn grace_over(&mut self, connection: &mut Connection, due: Time, out: &mut Vec<Finding>) {
        if connection.darkness.due == due {
            self.tell_dark(connection, out);
        }
    }

    /// Tells and counts what waits: of a connection each reason once, whether one side was dark for it or both.
    pub(super) fn tell_dark(&mut self, connection: &mut Connection, out: &mut Vec<Finding>) {
        for (time, by, why) in std::mem::take(&mut connection.darkness.waiting) {
            let (name, darkness) = (why.name(), &mut connection.darkness);
            let bit = DarkWhy::NAMES.iter().position(|known| *known == name).map_or(0, |place| 1 << place);
            let stats = &mut self.stats.connections;
            if darkness.counted & bit == 0 {
                darkness.counted |= bit;
                *stats.dark.entry(name).or_default() += 1;
            }
            if darkness.open.is_none() {
                darkness.open = Some(name);
                *stats.dark_open.entry(name).or_default() += 1;
            }
            if self.noted(connection) {
                out.push(Finding::Dark(Box::new(DarkFinding {
                    time,
                    connection: connection.id,
                    parties: connection.parties(),
                    sni: connection.sni.clone(),
                    by,
                    why,
                })));
            }
        }
    }

    /// It can be read again, or is over.
    pub(super) fn lighten(&mut self, connection: &mut Connection) {
        connection.darkness.waiting.clear();
        if let Some(name) = connection.darkness.open.take()
            && let Some(count) = self.stats.connections.dark_open.get_mut(name)
        {
            *count = count.saturating_sub(1);
        }
    }

    /// Counts what a connection has carried so far.
    pub(super) fn carried(&mut self, connection: &mut Connection, bytes: u64, unread: u64) {
        let (stats, (told, not_read)) = (&mut self.stats.connections, &mut connection.carried);
        stats.bytes = stats.bytes.saturating_add(bytes.saturating_sub(*told));
        *told = bytes.max(*told);
        // What is not HTTP has nothing to be read.
        if connection.dark || !matches!(connection.protocol, None | Some(Protocol::Other)) {
            stats.unread = stats.unread.saturating_add(unread.saturating_sub(*not_read));
            *not_read = unread.max(*not_read);
        }
    }
}
