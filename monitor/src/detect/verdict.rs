//! What the counts say in the exit status.

use crate::model::{Stats, Unsure, Verdict};

/// One in this many connections, bytes or packets may be unreadable or lost before "nothing" cannot be said: 1 %.
const SHARE: u64 = 100;

/// What was lost.
pub(super) struct Lost {
    pub(super) bytes: u64,
    /// And more, of which nobody knows how much.
    pub(super) more: bool,
}

/// The verdict. A case decides; without one, anything that could have hidden one makes "nothing" unsure, in this order: no packets; no
/// request seen on any protocol; more than 1 % of the payload bytes on connections that are or may be HTTP unread, or more than 1 % of all
/// connections dark for a reason that may hide HTTP; more than 1 % of the payload bytes, or of the packets, lost, or an unknown number of
/// bytes; anything suspected.
pub(super) fn of(stats: &Stats, maybe_http_dark: u64, lost: Lost) -> Verdict {
    if stats.cases.values().any(|&count| count > 0) {
        return Verdict::Found;
    }
    let connections = &stats.connections;
    let share = |part: u64, of: u64| part > 0 && part.saturating_mul(SHARE) > of;
    let unsure = if stats.span.is_none() && connections.total == 0 {
        Unsure::Empty
    } else if stats.requests.values().all(|&count| count == 0) {
        if stats.suspected > 0 { Unsure::Suspected } else { Unsure::NoHttp }
    } else if lost.more
        || share(lost.bytes, connections.bytes)
        || share(stats.input.lost, stats.packets.packets.saturating_add(stats.input.lost))
    {
        Unsure::Lost
    } else if share(maybe_http_dark, connections.total) || share(connections.unread, connections.bytes) {
        Unsure::Dark
    } else if stats.suspected > 0 {
        Unsure::Suspected
    } else {
        return Verdict::Nothing;
    };
    Verdict::Inconclusive(unsure)
}
