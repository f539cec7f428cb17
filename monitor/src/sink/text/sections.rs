//! What stands below the verdict, a section each. A section without content is left out.

use std::collections::BTreeMap;

use super::page::{BAD, Cell, DIM, GOOD, PLAIN, Page, WARN, counted, grouped, moment, span};
use crate::model::{CaseCounts, CaseKind, Edge, ErrorCode, KernelResets, Outcome, Stats, Why};
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
        .map(|((protocol, result), &n)| (format!("over {} {}", protocol.name(), words::result(*result)), n));
    parts_row(page, "retries", retries);
    if let Some(text) = spread(&stats.retry_delay.counts) {
        page.row("retry after", PLAIN, &text);
    }
    parts_row(
        page,
        "rests on",
        stats.bases.iter().map(|((kind, basis), &n)| (format!("{} ({})", words::basis(*basis), words::kind(*kind)), n)),
    );
    let mut unknown: BTreeMap<Why, u64> = BTreeMap::new();
    for (&(_, why), &count) in &stats.unknown {
        let sum = unknown.entry(why).or_default();
        *sum = sum.saturating_add(count);
    }
    for (why, count) in unknown {
        page.row("unknown", WARN, &format!("{} {}: {}", grouped(count), words::why(why), doubt(why)));
    }
    let mut edges: BTreeMap<&str, u64> = BTreeMap::new();
    for (&(_, _, edge), &count) in &stats.cases {
        let sum = edges.entry(edge.map_or("no edge recognised", Edge::name)).or_default();
        *sum = sum.saturating_add(count);
    }
    parts_row(page, "edge", edges.into_iter().map(|(edge, n)| (edge.to_owned(), n)));
    known_of_edges(page, stats);
}

/// Why an outcome is unknown, and what would tell.
fn doubt(why: Why) -> &'static str {
    match why {
        Why::InputEnded => "the capture ended before a retry could be ruled out; capture some seconds more",
        Why::ClientUnknown => "the client's address is not known, so that nobody can say whether it asked again",
        Why::ClientBlind => "the same client had connections that could not be read; see \"Not seen\"",
        Why::Ambiguous => "several later requests fit equally; a request id header at the edge would tell them apart",
        Why::OtherOrigin => "a CDN may have asked another origin; its own log knows",
        Why::RequestUnseen => "the request itself could not be read, so its retry cannot be told",
        Why::Cap => "too many cases at once, some were dropped",
        Why::CaptureLoss => {
            "the capture lost packets in the meantime, perhaps those of the retry; give it a larger buffer"
        }
    }
}

/// What edges like those that gave up are known to do: told apart from what this capture shows.
fn known_of_edges(page: &mut Page, stats: &Stats) {
    let gave_up = |wanted: fn(Option<Edge>) -> bool| {
        stats.cases.iter().any(|(&(kind, outcome, edge), &count)| {
            (kind, outcome) == (CaseKind::Downgrade, Outcome::GivenUp) && count > 0 && wanted(edge)
        })
    };
    if gave_up(|edge| edge == Some(Edge::Cloudflare)) {
        let text = "(not of this capture) Cloudflare Gateway does not ask again over HTTP/1.1 and answers 502; its advice is to \
                    turn HTTP/2 to the origin off. What Cloudflare's CDN does was not verified.";
        page.row("documented", DIM, text);
    }
    if gave_up(|edge| matches!(edge, None | Some(Edge::Proxy))) {
        let text = "(not of this capture) HAProxy, YARP and Apache mod_proxy_http2 answered the visitor 502, nghttpx closed \
                    without an answer.";
        page.row("in tests", DIM, text);
    }
}

/// Resets by code, sender, frame and phase: the most frequent.
pub(super) fn resets(page: &mut Page, stats: &Stats) {
    if let Some(resets) = &stats.kernel_resets {
        kernel_resets(page, resets);
    }
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

fn kernel_resets(page: &mut Page, resets: &KernelResets) {
    page.heading("Resets counted in the kernel", "by the plaintext probes; whether or not they were read as well");
    let counted = resets.iter().filter(|&(.., count)| count > 0);
    let rows: Vec<Vec<Cell>> = counted
        .map(|(frame, code, by, count)| {
            vec![
                Cell::number(count),
                Cell::text(code.map_or_else(|| "other".to_owned(), |code| code.to_string())),
                Cell::text(words::writer(by)),
                Cell::text(frame.name()),
            ]
        })
        .collect();
    if rows.is_empty() {
        page.paragraph(2, DIM, "none");
    } else {
        page.table(&["count", "code", "sent by", "frame"], &rows);
    }
}

/// The paths, hosts, clients and servers with the most cases.
pub(super) fn worst(page: &mut Page, stats: &Stats) {
    let worst = &stats.worst;
    if worst.paths.is_empty() && worst.hosts.is_empty() && worst.clients.is_empty() && worst.servers.is_empty() {
        return;
    }
    page.heading("Worst", "cases by what they hit");
    let mut rows = Vec::new();
    worst_rows(&mut rows, "path", &worst.paths);
    worst_rows(&mut rows, "host", &worst.hosts);
    worst_rows(&mut rows, "client", &worst.clients);
    worst_rows(&mut rows, "server", &worst.servers);
    page.table(&["failed", "downgrades", "failures", "", ""], &rows);
}

fn worst_rows<K: Ord + ToString>(rows: &mut Vec<Vec<Cell>>, what: &str, counts: &BTreeMap<K, CaseCounts>) {
    let mut what = match counts.len().saturating_sub(WORST) {
        0 => what.to_owned(),
        more => format!("{what} (and {} more)", grouped(more as u64)),
    };
    for (name, counts) in top(counts, WORST) {
        rows.push(vec![
            Cell::number(counts.failed).style(BAD),
            Cell::number(counts.downgrade),
            Cell::number(counts.failure),
            Cell::text(std::mem::take(&mut what)).style(DIM),
            Cell::text(printable(&name.to_string())),
        ]);
    }
}

/// Requests and cases over time.
pub(super) fn timeline(page: &mut Page, stats: &Stats) {
    let line = &stats.timeline;
    if line.steps.is_empty() {
        return;
    }
    page.heading("Timeline", &format!("each column is {}, from {} UTC", span(line.step), moment(line.start)));
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

/// A row of [`joined`] parts, left out when there is none.
pub(super) fn parts_row(page: &mut Page, label: &str, parts: impl Iterator<Item = (String, u64)>) {
    let text = joined(parts);
    if !text.is_empty() {
        page.row(label, PLAIN, &text);
    }
}

/// "3 h2, 1 http/1.1", without the zeros.
pub(super) fn joined(parts: impl Iterator<Item = (String, u64)>) -> String {
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
