//! The first line: what the person who was woken wants to know.

use super::page::{BAD, BOLD, GOOD, Page, WARN, counted};
use crate::model::{CaseKind, Outcome, Stats, Unsure, Verdict};

/// Cases of one kind by outcome.
#[derive(Clone, Copy, Default)]
struct Tally {
    retried: u64,
    failed: u64,
    unknown: u64,
    /// Every failed one came through an edge.
    by_edge: bool,
}

impl Tally {
    fn of(stats: &Stats, wanted: CaseKind) -> Self {
        let mut tally = Self { by_edge: true, ..Self::default() };
        for (&(kind, outcome, edge), &count) in &stats.cases {
            if kind != wanted || count == 0 {
                continue;
            }
            match outcome {
                Outcome::Retried => tally.retried = tally.retried.saturating_add(count),
                Outcome::Unknown => tally.unknown = tally.unknown.saturating_add(count),
                Outcome::GivenUp | Outcome::Truncated => {
                    tally.failed = tally.failed.saturating_add(count);
                    tally.by_edge &= edge.is_some();
                }
            }
        }
        tally
    }
}

pub(super) fn verdict(page: &mut Page, stats: &Stats, verdict: Verdict) {
    match verdict {
        Verdict::Found => found(page, stats),
        Verdict::Nothing => {
            let requests = stats.requests.values().sum();
            let text = format!(
                "Nothing found: of {} none was left without a complete response.",
                counted(requests, "request")
            );
            page.paragraph(0, GOOD.bold(), &text);
        }
        Verdict::Inconclusive(unsure) => {
            let (text, remedy) = inconclusive(unsure, stats);
            page.paragraph(0, WARN.bold(), &format!("Inconclusive: {text}"));
            page.paragraph(0, BOLD, &format!("To do: {remedy}"));
        }
    }
}

fn found(page: &mut Page, stats: &Stats) {
    let downgrade = Tally::of(stats, CaseKind::Downgrade);
    let failure = Tally::of(stats, CaseKind::Failure);
    if downgrade.failed > 0 {
        let who = if downgrade.by_edge { "the edge" } else { "the client" };
        let them = if downgrade.failed == 1 { "it" } else { "them" };
        let text = format!(
            "{} failed their visitor: the origin refused {them} with HTTP_1_1_REQUIRED and {who} did not ask again over HTTP/1.1.",
            counted(downgrade.failed, "request")
        );
        page.paragraph(0, BAD, &text.replace("1 request failed their", "1 request failed its"));
    }
    if failure.failed > 0 {
        let what = if downgrade.failed > 0 { "more request" } else { "request" };
        let text = format!(
            "{} failed: no complete response came, for a reason other than HTTP_1_1_REQUIRED.",
            counted(failure.failed, what)
        );
        page.paragraph(0, BAD, &text);
    }
    if downgrade.retried > 0 {
        let was = if downgrade.retried == 1 { "was" } else { "were" };
        let text =
            format!("{} {was} refused with HTTP_1_1_REQUIRED and asked again.", counted(downgrade.retried, "request"));
        page.paragraph(0, WARN, &text);
    }
    if failure.retried > 0 {
        let text =
            format!("{} got no complete response at first, and asked again.", counted(failure.retried, "request"));
        page.paragraph(0, WARN, &text);
    }
    if downgrade.unknown > 0 {
        let what = counted(downgrade.unknown, "request");
        page.paragraph(
            0,
            WARN,
            &format!("What became of {what} refused with HTTP_1_1_REQUIRED the capture does not say."),
        );
    }
    if failure.unknown > 0 {
        let what = counted(failure.unknown, "request");
        page.paragraph(
            0,
            WARN,
            &format!("What became of {what} without a complete response the capture does not say."),
        );
    }
}

/// What could not be seen, and what to do about it.
fn inconclusive(unsure: Unsure, stats: &Stats) -> (String, &'static str) {
    match unsure {
        Unsure::Empty if let Some(resets) = &stats.kernel_resets => (
            "no plaintext was read.".into(),
            match resets.alone {
                true => "kernel_only counts resets and reads nothing: leave it out to see requests.",
                false => {
                    "see whether the processes had traffic meanwhile, and whether h2watch doctor finds their library."
                }
            },
        ),
        Unsure::Empty => {
            ("the capture holds no packets.".into(), "check the interface and the filter that it was taken with.")
        }
        Unsure::NoHttp => (
            "no HTTP request could be seen.".into(),
            "capture between the edge and the origin; if that traffic is TLS, give its keys with --keylog.",
        ),
        Unsure::Dark => (
            "no case was found, but too much of the traffic could not be read to say \"nothing\".".into(),
            "see under \"Not seen\" what each reason needs; --verbose names the connections.",
        ),
        Unsure::Lost => (
            "no case was found, but too much is missing from the capture to say \"nothing\".".into(),
            "capture with a larger buffer and whole packets (tcpdump -B 65536 -s 0), close to the origin.",
        ),
        Unsure::Suspected => (
            format!("no case could be read, but {} suspected.", {
                let is = if stats.suspected == 1 { "is" } else { "are" };
                format!("{} {is}", counted(stats.suspected, "downgrade"))
            }),
            "give the keys of these connections with --keylog, and run again.",
        ),
    }
}
