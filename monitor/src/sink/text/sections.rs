//! What stands below the verdict, a section each. A section without content is left out, but what was seen and not seen never is.

use std::collections::BTreeMap;

use super::page::{BAD, Cell, DIM, GOOD, PLAIN, Page, WARN, counted, grouped, size, span};
use crate::model::{CaseCounts, CaseKind, Edge, ErrorCode, Outcome, Stats};
use crate::sink::printable;
use crate::sink::summary::top;
use crate::sink::words::{self, KINDS, OUTCOMES};

/// Entries of each "worst" list.
const WORST: usize = 5;
/// Rows of the table of resets.
const RESETS: usize = 12;

/// Cases by outcome, and what the outcomes rest on.
pub(super) fn cases(page: &mut Page, stats: &Stats) {
    if stats.cases.values().all(|&count| count == 0) {
        return;
    }
    page.heading("What became of the requests", "inferred from the wire");
    let sum = |kind, outcome| -> u64 {
        let these = stats.cases.iter().filter(|((k, o, _), _)| *k == kind && *o == outcome);
        these.map(|(_, count)| count).sum()
    };
    let rows: Vec<Vec<Cell>> = KINDS
        .into_iter()
        .map(|kind| {
            let name = match kind {
                CaseKind::Downgrade => "downgrade (HTTP_1_1_REQUIRED)",
                CaseKind::Failure => "failure (anything else)",
            };
            let counts = OUTCOMES.into_iter().map(|outcome| {
                Cell::number(sum(kind, outcome)).style(match outcome {
                    Outcome::Retried => GOOD,
                    Outcome::GivenUp | Outcome::Truncated => BAD,
                    Outcome::Unknown => WARN,
                })
            });
            [Cell::text(name)].into_iter().chain(counts).collect()
        })
        .collect();
    page.table(&["case", "retried", "given_up", "truncated", "unknown"], &rows);
    let retries = stats
        .retries
        .iter()
        .map(|((protocol, result), &n)| (format!("{} {}", protocol.name(), words::result(*result)), n));
    parts_row(page, "retries", retries);
    if let Some(text) = spread(&stats.retry_delay.counts) {
        page.row("retry after", PLAIN, &text);
    }
    parts_row(
        page,
        "rests on",
        stats.bases.iter().map(|((kind, basis), &n)| (format!("{} ({})", words::basis(*basis), words::kind(*kind)), n)),
    );
    parts_row(
        page,
        "unknown, for",
        stats.unknown.iter().map(|((kind, why), &n)| (format!("{} ({})", words::why(*why), words::kind(*kind)), n)),
    );
    let mut edges: BTreeMap<&str, u64> = BTreeMap::new();
    for (&(_, _, edge), &count) in &stats.cases {
        let sum = edges.entry(edge.map_or("no edge recognised", Edge::name)).or_default();
        *sum = sum.saturating_add(count);
    }
    parts_row(page, "edge", edges.into_iter().map(|(edge, n)| (edge.to_owned(), n)));
    if sum(CaseKind::Downgrade, Outcome::GivenUp) > 0 {
        page.row(
            "documented",
            DIM,
            "by Cloudflare for its Gateway, not of this capture: it does not ask again over HTTP/1.1 and answers 502; advice: turn \
             HTTP/2 to the origin off.",
        );
    }
}

/// Resets by code, sender, frame and phase: the most frequent.
pub(super) fn resets(page: &mut Page, stats: &Stats) {
    if stats.resets.is_empty() {
        return;
    }
    page.heading("Resets", "on the wire");
    let mut all: Vec<_> = stats.resets.iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .take(RESETS)
        .map(|((frame, code, sender, phase), count)| {
            let style = if *code == ErrorCode::HTTP_1_1_REQUIRED { BAD } else { PLAIN };
            vec![
                Cell::number(**count),
                Cell::text(code.to_string()).style(style),
                Cell::text(words::side(*sender)),
                Cell::text(*frame),
                Cell::text(words::phase(*phase)),
            ]
        })
        .collect();
    page.table(&["count", "code", "sent by", "frame", "phase"], &rows);
    if let Some(rest) = all.get(RESETS..).filter(|rest| !rest.is_empty()) {
        let count: u64 = rest.iter().map(|(_, count)| **count).sum();
        page.paragraph(2, DIM, &format!("and {} of {} further kinds", grouped(count), rest.len()));
    }
    if let Some(text) = spread(&stats.reset_age.counts) {
        page.row("reset after", PLAIN, &text);
    }
    if stats.unverified_resets > 0 {
        let text = format!("{} rest on bytes that could not be authenticated", grouped(stats.unverified_resets));
        page.row("unverified", WARN, &text);
    }
}

/// The paths, hosts, clients and servers with the most cases.
pub(super) fn worst(page: &mut Page, stats: &Stats) {
    let worst = &stats.worst;
    if worst.paths.is_empty() && worst.hosts.is_empty() && worst.clients.is_empty() && worst.servers.is_empty() {
        return;
    }
    page.heading("Worst", "cases by what they hit");
    worst_list(page, "path", &worst.paths);
    worst_list(page, "host", &worst.hosts);
    worst_list(page, "client", &worst.clients);
    worst_list(page, "server", &worst.servers);
}

fn worst_list<K: Ord + ToString>(page: &mut Page, what: &str, counts: &BTreeMap<K, CaseCounts>) {
    if counts.is_empty() {
        return;
    }
    let rows: Vec<Vec<Cell>> = top(counts, WORST)
        .into_iter()
        .map(|(name, counts)| {
            vec![
                Cell::number(counts.failed).style(BAD),
                Cell::number(counts.downgrade),
                Cell::number(counts.failure),
                Cell::text(printable(&name.to_string())),
            ]
        })
        .collect();
    page.table(&["failed", "downgrades", "failures", what], &rows);
    if counts.len() > WORST {
        page.paragraph(2, DIM, &format!("and {} more", grouped(counts.len().saturating_sub(WORST) as u64)));
    }
}

/// Requests and cases over time.
pub(super) fn timeline(page: &mut Page, stats: &Stats) {
    let line = &stats.timeline;
    if line.steps.is_empty() {
        return;
    }
    page.heading("Timeline", &format!("each column is {}, from {}", span(line.step), line.start));
    let counts = |of: fn((u64, u64, u64)) -> u64| -> Vec<u64> { line.steps.iter().copied().map(of).collect() };
    for (label, style, counts) in [
        ("requests", PLAIN, counts(|step| step.0)),
        ("downgrades", BAD, counts(|step| step.1)),
        ("failures", BAD, counts(|step| step.2)),
    ] {
        let most = counts.iter().copied().max().unwrap_or(0);
        if most > 0 {
            let bars: String = counts.iter().map(|&count| bar(count, most, page.layout.unicode)).collect();
            page.row(label, style, &format!("{bars}  at most {}", grouped(most)));
        }
    }
}

/// One column; what is not zero is never drawn as zero. (No spaces: the text beside it wraps at them.)
fn bar(count: u64, most: u64, unicode: bool) -> char {
    let heights: &[char] = if unicode {
        &['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
    } else {
        &['.', '1', '2', '3', '4', '5', '6', '7', '8']
    };
    let height = u128::from(count).saturating_mul(8).div_ceil(u128::from(most.max(1)));
    usize::try_from(height).ok().and_then(|height| heights.get(height)).copied().unwrap_or('?')
}

/// Downgrades that nobody can read.
pub(super) fn suspected(page: &mut Page, stats: &Stats) {
    if stats.suspected == 0 {
        return;
    }
    page.heading("Suspected", "inferred without keys; not counted as cases");
    let text = format!(
        "{}: a client that spoke h2 came back at once with a hello that offers only http/1.1. Give the keys with --keylog to know.",
        counted(stats.suspected, "downgrade")
    );
    page.paragraph(2, WARN, &text);
}

/// What the capture showed.
pub(super) fn seen(page: &mut Page, stats: &Stats) {
    page.heading("Seen", "on the wire");
    if let Some((from, to)) = stats.span {
        page.row("capture", PLAIN, &format!("{from} to {to} ({})", span(to.since(from))));
    }
    let packets = &stats.packets;
    page.row(
        "packets",
        PLAIN,
        &format!("{} ({}), {} of them TCP", grouped(packets.packets), size(packets.bytes), grouped(packets.tcp)),
    );
    let seen = &stats.connections;
    let mut text = grouped(seen.total);
    let protocols = joined(seen.protocols.iter().map(|(protocol, &n)| (protocol.name().to_owned(), n)));
    if !protocols.is_empty() {
        text = format!("{text}: {protocols}");
    }
    if seen.joined_late > 0 {
        text = format!("{text}; {} already open when the capture began", grouped(seen.joined_late));
    }
    page.row("connections", PLAIN, &text);
    parts_row(page, "TLS", seen.versions.iter().map(|(version, &n)| ((*version).to_owned(), n)));
    parts_row(page, "requests", stats.requests.iter().map(|(protocol, &n)| (protocol.name().to_owned(), n)));
    let answers = stats.responses.iter();
    parts_row(
        page,
        "responses",
        answers.map(|((protocol, class), &n)| (format!("{} {}", protocol.name(), words::class(*class)), n)),
    );
    let errors: u64 = stats.origin_errors.values().sum();
    if errors > 0 {
        let by_status = joined(stats.origin_errors.iter().map(|(status, &n)| (status.to_string(), n)));
        page.row(
            "5xx",
            BAD,
            &format!(
                "{by_status}: sent by the origin itself, no edge made {}",
                if errors == 1 { "it" } else { "them" }
            ),
        );
    } else if stats.responses.values().any(|&n| n > 0) {
        page.row("5xx", GOOD, "none by the origin itself");
    }
    let keys = &stats.keys;
    if keys.secrets > 0 || keys.malformed.1 > 0 {
        let mut text = format!(
            "{} for {}; {} of the capture matched",
            counted(keys.secrets, "secret"),
            counted(keys.randoms, "connection"),
            grouped(keys.matched)
        );
        if keys.found_late > 0 {
            text = format!("{text}, {} of them joined late and found by search", grouped(keys.found_late));
        }
        page.row("keys", if keys.matched == 0 { WARN } else { PLAIN }, &text);
    }
}

/// What the capture did not show, and what would.
pub(super) fn unseen(page: &mut Page, stats: &Stats) {
    page.heading("Not seen", "");
    let before = page.len();
    for damage in &stats.input.damage {
        page.row("damage", BAD, &printable(damage));
    }
    if stats.input.lost > 0 {
        page.row(
            "lost",
            WARN,
            &format!("{} that the capture itself says it dropped", counted(stats.input.lost, "packet")),
        );
    }
    let seen = &stats.connections;
    for (why, &count) in seen.dark.iter().filter(|(_, count)| **count > 0) {
        let text = format!("{}, {why}: {}", counted(count, "connection"), remedy(why));
        page.row("dark", if matches!(*why, "not_http" | "http1") { DIM } else { WARN }, &text);
    }
    if seen.unread > 0 {
        let text =
            format!("{} of {} payload on connections that are or may be HTTP", size(seen.unread), size(seen.bytes));
        page.row("not read", WARN, &text);
    }
    for (at, &(count, bytes)) in stats.gaps.iter().filter(|(_, gap)| gap.0 > 0) {
        page.row("gaps", WARN, &format!("{} of {}: {}", grouped(count), size(bytes), gap(at)));
    }
    let packets = &stats.packets;
    let fates = [
        (packets.malformed, "damaged or cut in a header"),
        (packets.unsupported_link, "with a link type that is not decoded"),
        (packets.fragments_lost, "fragments without the rest of their datagram"),
        (packets.too_deep, "in too many tunnels"),
    ];
    parts_row(page, "packets", fates.into_iter().map(|(n, what)| (what.to_owned(), n)));
    parts_row(page, "anomalies", stats.anomalies.iter().map(|(what, &n)| ((*what).to_owned(), n)));
    parts_row(page, "over a cap", stats.capped.iter().map(|(what, &n)| ((*what).to_owned(), n)));
    let keys = &stats.keys;
    if keys.malformed.1 > 0 {
        let lines = keys.malformed.0.join(", ");
        let text = format!("{} could not be read: {}", counted(keys.malformed.1, "line"), printable(&lines));
        page.row("key log", WARN, &text);
    }
    if keys.holes > 0 {
        page.row(
            "key log",
            DIM,
            &format!("{} of NUL passed over (a log that was emptied while in use)", size(keys.holes)),
        );
    }
    if keys.randoms > 0 && keys.matched == 0 {
        let text = "matches no connection of this capture: is it the same process and the same time?";
        page.row("key log", WARN, text);
    }
    if keys.exhausted {
        let text =
            format!("the search for connections joined late ended at its budget of {} trials", grouped(keys.trials));
        page.row("key search", WARN, &text);
    }
    if page.len() == before {
        page.paragraph(2, GOOD, "Nothing was missing.");
    }
}

/// What it takes to see what was dark.
fn remedy(why: &str) -> &'static str {
    match why {
        "no_key" => "give the origin's key log with --keylog (SSLKEYLOGFILE)",
        "joined_late" => "give a key log that goes back to their start, or capture from their start",
        "joined_late_tls12" => "TLS 1.2 needs the handshake in the capture: capture from their start",
        "handshake_lost" => "parts of the handshake are missing: capture without loss, whole packets",
        "suite" => "a cipher suite that is not decrypted; --verbose names it",
        "version" => "a TLS version that is not decrypted; --verbose names it",
        "wrong_key" => "the key log names them, but its secrets do not open them: is the log whole?",
        "lost_sync" | "h2_lost_sync" => "too much was lost in them: capture with a larger buffer (tcpdump -B 65536)",
        "held_too_much" => "their keys came too late: give the whole key log",
        "not_tls" => "neither TLS nor clear HTTP",
        "not_http" => "not HTTP, nothing to do",
        "http1" => "HTTP/1 that was upgraded to something else, or is damaged",
        _ => "too few of their packets are in the capture",
    }
}

fn gap(at: &str) -> &'static str {
    match at {
        "acknowledged" => "the receiver had these bytes, the capture has not",
        "cap" => "too much came after a missing packet to wait on",
        "truncated" => "cut off by the snap length: capture with -s 0",
        _ => "still missing when the connection ended",
    }
}

fn parts_row(page: &mut Page, label: &str, parts: impl Iterator<Item = (String, u64)>) {
    let text = joined(parts);
    if !text.is_empty() {
        page.row(label, PLAIN, &text);
    }
}

/// "3 h2, 1 http/1.1", without the zeros.
fn joined(parts: impl Iterator<Item = (String, u64)>) -> String {
    let parts: Vec<String> = parts.filter(|(_, n)| *n > 0).map(|(what, n)| format!("{} {what}", grouped(n))).collect();
    parts.join(", ")
}

/// Half and nearly all of a histogram: "half within 1 ms, 95 % within 25 ms".
fn spread(counts: &[u64; 13]) -> Option<String> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let within = |percent: u128| {
        let wanted = u128::from(total).saturating_mul(percent).div_ceil(100);
        let mut below: u128 = 0;
        for (count, bound) in counts.iter().zip(crate::model::Histogram::BOUNDS) {
            below = below.saturating_add(u128::from(*count));
            if below >= wanted {
                return format!("within {}", span(std::time::Duration::from_secs_f64(bound)));
            }
        }
        "after more than 2 s".to_owned()
    };
    Some(format!("half {}, 95 % {}", within(50), within(95)))
}
