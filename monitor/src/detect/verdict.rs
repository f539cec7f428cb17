//! What the counts say in the exit status.

use std::time::Duration;

use crate::model::{Phase, Stats, Unfinished, Unsure, Verdict};

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
/// bytes, or an interface not read for more than 1 % of the time; anything suspected; no response at all, or more than 1 % of the requests
/// without a response and without an end that was seen.
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
        || missed(stats)
        || share(lost.bytes, connections.bytes)
        || share(stats.input.lost, stats.packets.packets.saturating_add(stats.input.lost))
    {
        Unsure::Lost
    } else if share(maybe_http_dark, connections.total) || share(connections.unread, connections.bytes) {
        Unsure::Dark
    } else if stats.suspected > 0 {
        Unsure::Suspected
    } else if stats.responses.values().all(|&count| count == 0)
        || share(unanswered(stats), stats.requests.values().sum())
    {
        Unsure::Unanswered
    } else {
        return Verdict::Nothing;
    };
    Verdict::Inconclusive(unsure)
}

/// An interface was not read for more than 1 % of the time.
fn missed(stats: &Stats) -> bool {
    let all = stats.span.map_or(Duration::ZERO, |(first, last)| last.since(first));
    !stats.input.missed.is_zero() && stats.input.missed.saturating_mul(SHARE as u32) > all
}

/// Requests without a response that may yet have failed. Those that began just before the input ended are not among them: every capture
/// of busy traffic has some.
fn unanswered(stats: &Stats) -> u64 {
    let waits = |what, phase| stats.unfinished.get(&(what, phase)).copied().unwrap_or_default();
    let unseen = [Phase::BeforeResponse, Phase::Unknown].map(|phase| waits(Unfinished::Unseen, phase).count);
    waits(Unfinished::InFlight, Phase::BeforeResponse).long + unseen.iter().sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Protocol, Time};

    #[test]
    fn nothing_cannot_be_said_of_what_was_not_captured() {
        let second = Duration::from_secs(1);
        let mut stats = Stats { span: Some((Time(0), Time(0).plus(200 * second))), ..Stats::default() };
        stats.requests.insert(Protocol::H2, 5);
        stats.responses.insert((Protocol::H2, 2), 5);
        for (missed, verdict) in
            [(0, Verdict::Nothing), (2, Verdict::Nothing), (3, Verdict::Inconclusive(Unsure::Lost))]
        {
            stats.input.missed = missed * second;
            assert_eq!(of(&stats, 0, Lost { bytes: 0, more: false }), verdict, "{missed} of 200 s");
        }
    }
}
