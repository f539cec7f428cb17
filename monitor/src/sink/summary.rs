//! The counts as the schema shows them: the last line of the events and the JSON document. `docs/events.md` describes every field.

use std::collections::BTreeMap;

use serde::Serialize;

use super::view::millis;
use super::words;
use crate::model::{
    CaseCounts, ErrorCode, Histogram, KernelFrame, KernelResets, Phase, Stats, Time, Unfinished, Verdict, Waits, Writer,
};

/// Entries of each list of [`WorstView`].
const WORST: usize = 10;

#[derive(Debug, Serialize)]
pub(crate) struct Summary<'s> {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_packet: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_packet: Option<Time>,
    input: Input<'s>,
    packets: Packets,
    keys: Keys<'s>,
    connections: Connections,
    requests: Vec<Count>,
    responses: Vec<Count>,
    pub(crate) resets: Vec<Count>,
    pub(crate) unverified_resets: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_resets: Option<Vec<Count>>,
    pub(crate) cases: Vec<Count>,
    pub(crate) bases: Vec<Count>,
    pub(crate) unknown: Vec<Count>,
    pub(crate) retries: Vec<Count>,
    pub(crate) origin_errors: Vec<Count>,
    pub(crate) unattributed_errors: Vec<Count>,
    pub(crate) unfinished: Vec<Count>,
    pub(crate) suspected: u64,
    gaps: Vec<Count>,
    anomalies: Vec<Count>,
    capped: Vec<Count>,
    pub(crate) request_to_reset: Spans,
    pub(crate) reset_to_retry: Spans,
    worst: WorstView<'s>,
    timeline: TimelineView,
}

/// A count and what it is a count of.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Count {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edge: Option<&'static str>,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Input<'s> {
    files: u64,
    damage: &'s [String],
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    missed_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Packets {
    count: u64,
    bytes: u64,
    tcp: u64,
    not_tcp: u64,
    not_ip: u64,
    malformed: u64,
    unsupported_link: u64,
    truncated: u64,
    fragments: u64,
    fragments_lost: u64,
    too_deep: u64,
}

#[derive(Debug, Serialize)]
struct Keys<'s> {
    secrets: u64,
    malformed: u64,
    malformed_lines: &'s [String],
    hole_bytes: u64,
    randoms: u64,
    matched: u64,
    found_late: u64,
    trials: u64,
    exhausted: bool,
}

#[derive(Debug, Serialize)]
struct Connections {
    count: u64,
    joined_late: u64,
    bytes: u64,
    unread_bytes: u64,
    protocols: Vec<Count>,
    tls_versions: Vec<Count>,
    closed: Vec<Count>,
    one_way: Vec<Count>,
    dark: Vec<Count>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plaintext: Vec<Count>,
}

/// A histogram.
#[derive(Debug, Serialize)]
pub(crate) struct Spans {
    count: u64,
    sum_ms: f64,
    buckets: Vec<Bucket>,
}

#[derive(Debug, Serialize)]
struct Bucket {
    #[serde(skip_serializing_if = "Option::is_none")]
    le_ms: Option<f64>,
    count: u64,
}

#[derive(Debug, Serialize)]
struct WorstView<'s> {
    paths: Vec<Worst<'s>>,
    hosts: Vec<Worst<'s>>,
    clients: Vec<Worst<'s>>,
    servers: Vec<Worst<'s>>,
}

#[derive(Debug, Serialize)]
struct Worst<'s> {
    name: std::borrow::Cow<'s, str>,
    downgrade: u64,
    failure: u64,
    failed: u64,
}

#[derive(Debug, Serialize)]
struct TimelineView {
    start: Time,
    step_ms: f64,
    steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    requests: u64,
    downgrade: u64,
    failure: u64,
}

impl<'s> Summary<'s> {
    pub(crate) fn of(stats: &'s Stats, verdict: Verdict) -> Self {
        Self {
            verdict: words::verdict(verdict),
            why: words::unsure(verdict),
            first_packet: stats.span.map(|span| span.0),
            last_packet: stats.span.map(|span| span.1),
            input: input(stats),
            packets: packets(stats),
            keys: keys(stats),
            connections: connections(stats),
            requests: list(&stats.requests, |protocol| Count { protocol: Some(protocol.name()), ..Count::default() }),
            responses: list(&stats.responses, |(protocol, class)| Count {
                protocol: Some(protocol.name()),
                class: Some(words::class(*class)),
                ..Count::default()
            }),
            resets: resets(stats),
            unverified_resets: stats.unverified_resets,
            kernel_resets: stats.kernel_resets.as_ref().map(kernel_resets),
            cases: list(&stats.cases, |(kind, outcome, edge)| Count {
                kind: Some(words::kind(*kind)),
                outcome: Some(words::outcome(*outcome)),
                edge: edge.map(|edge| edge.name()),
                ..Count::default()
            }),
            bases: list(&stats.bases, |(kind, basis)| Count {
                kind: Some(words::kind(*kind)),
                basis: Some(words::basis(*basis)),
                ..Count::default()
            }),
            unknown: list(&stats.unknown, |(kind, why)| Count {
                kind: Some(words::kind(*kind)),
                why: Some(words::why(*why)),
                ..Count::default()
            }),
            retries: list(&stats.retries, |(protocol, result)| Count {
                protocol: Some(protocol.name()),
                result: Some(words::result(*result)),
                ..Count::default()
            }),
            origin_errors: list(&stats.origin_errors, |status| Count { status: Some(*status), ..Count::default() }),
            unattributed_errors: list(&stats.unattributed_errors, |status| Count {
                status: Some(*status),
                ..Count::default()
            }),
            unfinished: unfinished(stats),
            suspected: stats.suspected,
            gaps: stats
                .gaps
                .iter()
                .map(|(why, (count, bytes))| Count {
                    why: Some(why),
                    count: *count,
                    bytes: Some(*bytes),
                    ..Count::default()
                })
                .collect(),
            anomalies: list(&stats.anomalies, |what| Count { what: Some(what), ..Count::default() }),
            capped: list(&stats.capped, |what| Count { what: Some(what), ..Count::default() }),
            request_to_reset: Spans::from(&stats.reset_age),
            reset_to_retry: Spans::from(&stats.retry_delay),
            worst: WorstView {
                paths: worst(&stats.worst.paths),
                hosts: worst(&stats.worst.hosts),
                clients: worst(&stats.worst.clients),
                servers: top(&stats.worst.servers, WORST)
                    .into_iter()
                    .map(|(name, counts)| named(name.to_string().into(), counts))
                    .collect(),
            },
            timeline: TimelineView {
                start: stats.timeline.start,
                step_ms: millis(stats.timeline.step),
                steps: stats
                    .timeline
                    .steps
                    .iter()
                    .map(|&(requests, downgrade, failure)| Step { requests, downgrade, failure })
                    .collect(),
            },
        }
    }
}

fn list<K>(counts: &BTreeMap<K, u64>, what: impl Fn(&K) -> Count) -> Vec<Count> {
    counts.iter().map(|(key, &count)| Count { count, ..what(key) }).collect()
}

fn kernel_resets(resets: &KernelResets) -> Vec<Count> {
    let counted = resets.iter().filter(|&(.., count)| count > 0);
    let count = |(frame, code, by, count): (KernelFrame, Option<ErrorCode>, Writer, u64)| Count {
        frame: Some(frame.name()),
        error_code: code.map(|code| code.0),
        error_name: Some(code.map_or_else(|| "other".to_owned(), |code| code.to_string())),
        sender: Some(words::writer(by)),
        count,
        ..Count::default()
    };
    counted.map(count).collect()
}

fn resets(stats: &Stats) -> Vec<Count> {
    let mut resets = list(&stats.resets, |(frame, code, sender, phase)| Count {
        frame: Some(frame),
        error_code: Some(code.0),
        error_name: Some(code.to_string()),
        sender: Some(words::side(*sender)),
        phase: Some(words::phase(*phase)),
        ..Count::default()
    });
    resets.extend(list(&stats.resets_beyond, |(frame, sender, phase)| Count {
        frame: Some(frame),
        error_name: Some("other".to_owned()),
        sender: Some(words::side(*sender)),
        phase: Some(words::phase(*phase)),
        ..Count::default()
    }));
    resets
}

fn unfinished(stats: &Stats) -> Vec<Count> {
    let count = |(&(what, phase), waits): (&(Unfinished, Phase), &Waits)| Count {
        what: Some(what.name()),
        phase: Some(words::phase(phase)),
        count: waits.count,
        longest_ms: Some(millis(waits.longest)),
        ..Count::default()
    };
    stats.unfinished.iter().map(count).collect()
}

fn packets(stats: &Stats) -> Packets {
    let counts = &stats.packets;
    Packets {
        count: counts.packets,
        bytes: counts.bytes,
        tcp: counts.tcp,
        not_tcp: counts.not_tcp,
        not_ip: counts.not_ip,
        malformed: counts.malformed,
        unsupported_link: counts.unsupported_link,
        truncated: counts.truncated,
        fragments: counts.fragments,
        fragments_lost: counts.fragments_lost,
        too_deep: counts.too_deep,
    }
}

fn keys(stats: &Stats) -> Keys<'_> {
    let keys = &stats.keys;
    Keys {
        secrets: keys.secrets,
        malformed: keys.malformed.1,
        malformed_lines: &keys.malformed.0,
        hole_bytes: keys.holes,
        randoms: keys.named(),
        matched: keys.matched,
        found_late: keys.found_late,
        trials: keys.trials,
        exhausted: keys.exhausted,
    }
}

fn input(stats: &Stats) -> Input<'_> {
    let input = &stats.input;
    Input {
        files: input.files,
        damage: &input.damage,
        lost: input.lost,
        missed_ms: (!input.missed.is_zero()).then(|| millis(input.missed)),
    }
}

fn connections(stats: &Stats) -> Connections {
    let seen = &stats.connections;
    Connections {
        count: seen.total,
        joined_late: seen.joined_late,
        bytes: seen.bytes,
        unread_bytes: seen.unread,
        protocols: list(&seen.protocols, |protocol| Count { protocol: Some(protocol.name()), ..Count::default() }),
        tls_versions: list(&seen.versions, |version| Count { version: Some(version), ..Count::default() }),
        closed: list(&seen.closed, |why| Count { why: Some(why), ..Count::default() }),
        one_way: list(&seen.one_way, |side| Count { sender: Some(words::side(*side)), ..Count::default() }),
        dark: list(&seen.dark, |why| Count { why: Some(why), ..Count::default() }),
        plaintext: list(&seen.plaintext, |what| Count { what: Some(what.name()), ..Count::default() }),
    }
}

impl From<&Histogram> for Spans {
    fn from(histogram: &Histogram) -> Self {
        let bounds = Histogram::BOUNDS.iter().map(|bound| Some(bound * 1e3)).chain([None]);
        Self {
            count: histogram.count(),
            sum_ms: millis(histogram.sum),
            buckets: bounds.zip(histogram.counts).map(|(le_ms, count)| Bucket { le_ms, count }).collect(),
        }
    }
}

fn worst(counts: &BTreeMap<String, CaseCounts>) -> Vec<Worst<'_>> {
    top(counts, WORST).into_iter().map(|(name, counts)| named(name.as_str().into(), counts)).collect()
}

fn named(name: std::borrow::Cow<'_, str>, counts: CaseCounts) -> Worst<'_> {
    Worst { name, downgrade: counts.downgrade, failure: counts.failure, failed: counts.failed }
}

/// The `n` entries with the most failed visitors, then the most cases, then by name.
pub(super) fn top<K: Ord>(counts: &BTreeMap<K, CaseCounts>, n: usize) -> Vec<(&K, CaseCounts)> {
    let mut all: Vec<_> = counts.iter().map(|(name, counts)| (name, *counts)).collect();
    all.sort_by_key(|(_, counts)| std::cmp::Reverse((counts.failed, counts.downgrade.saturating_add(counts.failure))));
    all.truncate(n);
    all
}
