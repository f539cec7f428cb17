//! The first line: what the person who was woken wants to know.

use anstyle::Style;

use super::page::{BAD, BOLD, GOOD, Page, WARN, counted, grouped};
use super::sections::joined;
use crate::model::{CaseKind, Outcome, Protocol, Stats, Unfinished, Unsure, Verdict};
use crate::sink::words;

/// Cases of one kind by outcome.
#[derive(Clone, Copy, Default)]
struct Tally {
    retried: u64,
    /// Of these, retries that failed their visitor as well.
    failed_again: u64,
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
        let again = stats.failed_retries.iter().filter(|((kind, _), _)| *kind == wanted);
        tally.failed_again = again.map(|(_, count)| count).sum();
        tally
    }

    /// What became of those that were asked again, where that failed as well, and the style that it deserves.
    fn again(&self) -> (String, Style) {
        let (again, all) = (self.failed_again, self.retried);
        let which = match (again, all) {
            (0, _) => return (".".to_owned(), WARN),
            (1, 1) => "that".to_owned(),
            (again, all) if again == all => "all of that".to_owned(),
            (again, _) => format!("{} of that", grouped(again)),
        };
        (format!("; {which} failed its visitor as well (a 5xx, no response, or one that was cut off)."), BAD)
    }
}

pub(super) fn verdict(page: &mut Page, stats: &Stats, verdict: Verdict) {
    match verdict {
        Verdict::Found => found(page, stats),
        Verdict::Nothing => nothing(page, stats),
        Verdict::Inconclusive(unsure) => {
            let (text, remedy) = inconclusive(unsure, stats);
            let and = if stats.input.damage.is_empty() { "" } else { ", and the input is damaged" };
            page.paragraph(0, WARN.bold(), &format!("Inconclusive{and}: {text}"));
            page.paragraph(0, BOLD, &format!("To do: {remedy}"));
        }
    }
}

/// A zero counts only as far as was seen: what is no case and has no complete response is named with it.
fn nothing(page: &mut Page, stats: &Stats) {
    let unfinished = |wanted| -> u64 {
        stats.unfinished.iter().filter(|((what, _), _)| *what == wanted).map(|(_, waits)| waits.count).sum()
    };
    let apart = joined(
        [
            (Unfinished::InFlight, "in flight at the end"),
            (Unfinished::Abandoned, "abandoned by the client"),
            (Unfinished::Unseen, "whose end was not seen"),
        ]
        .into_iter()
        .map(|(what, words)| (words.to_owned(), unfinished(what))),
    );
    let (damaged, style) =
        if stats.input.damage.is_empty() { ("", GOOD) } else { (" in what could be read; the input is damaged", WARN) };
    let requests = counted(stats.requests.values().sum(), "request");
    let apart = if apart.is_empty() { apart } else { format!(", apart from {apart}") };
    let text = format!("Nothing found{damaged}: of {requests} none was left without a complete response{apart}.");
    page.paragraph(0, style.bold(), &text);
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
        let (again, style) = downgrade.again();
        let what = counted(downgrade.retried, "request");
        page.paragraph(0, style, &format!("{what} {was} refused with HTTP_1_1_REQUIRED and asked again{again}"));
    }
    if failure.retried > 0 {
        let (again, style) = failure.again();
        let what = counted(failure.retried, "request");
        let was = if failure.retried == 1 { "was" } else { "were" };
        page.paragraph(0, style, &format!("{what} got no complete response at first, and {was} asked again{again}"));
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
fn inconclusive(unsure: Unsure, stats: &Stats) -> (String, String) {
    let both = one_way(stats).map(|text| format!("capture both directions: {text}."));
    let (text, remedy) = match unsure {
        Unsure::Empty if let Some(resets) = &stats.kernel_resets => (
            "no plaintext was read.".into(),
            match resets.alone {
                true => "kernel-only counts resets and reads nothing: leave it out to see requests.",
                false => {
                    "see whether the processes had traffic meanwhile, and whether h2watch doctor finds their library."
                }
            },
        ),
        Unsure::Empty => {
            ("the capture holds no packets.".into(), "check the interface and the filter that it was taken with.")
        }
        Unsure::NoHttp => no_http(stats),
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
        Unsure::Unanswered => (
            "no case was found, but too many requests have neither a response nor an end in the capture to say \"nothing\".".into(),
            "capture both directions, for longer than a request may take; a request that waits for long says that the origin hangs.",
        ),
    };
    (text, both.unwrap_or_else(|| remedy.to_owned()))
}

/// Most connections were captured in one direction only.
fn one_way(stats: &Stats) -> Option<String> {
    let seen = &stats.connections;
    let (side, &count) = seen.one_way.iter().max_by_key(|(_, count)| **count)?;
    let of = counted(count, "connection");
    let most = count.saturating_mul(2) >= seen.total;
    most.then(|| format!("no packet of the {}'s side is there on {of}", words::side(*side)))
}

/// Why no request was seen.
fn no_http(stats: &Stats) -> (String, &'static str) {
    let seen = &stats.connections;
    let cut = stats.gaps.get("truncated").is_some_and(|gap| gap.1.saturating_mul(100) > seen.bytes);
    let other = seen.protocols.get(&Protocol::Other).copied().unwrap_or(0);
    let tls = other.min(seen.versions.values().sum());
    let locked = ["no_key", "joined_late"].iter().any(|why| seen.dark.get(why).is_some_and(|&count| count > 0));
    match () {
        () if cut => (
            "no HTTP request could be seen: packets were cut off by the snap length.".into(),
            "capture whole packets (tcpdump -s 0).",
        ),
        () if locked => (
            "no HTTP request could be seen: TLS connections could not be read.".into(),
            "give their keys with --keylog; see under \"Not seen\" what each reason needs.",
        ),
        () if tls > 0 => (
            format!(
                "no HTTP request could be seen: {} read, and {} HTTP.",
                if tls == 1 {
                    "1 TLS connection was".to_owned()
                } else {
                    format!("{} were", counted(tls, "TLS connection"))
                },
                if tls == 1 { "it does not speak" } else { "none speaks" }
            ),
            "capture between the edge and the origin: this is other traffic.",
        ),
        () => (
            "no HTTP request could be seen.".into(),
            "capture between the edge and the origin; if that traffic is TLS, give its keys with --keylog.",
        ),
    }
}
