//! What the capture showed and what it did not: never left out, for a zero counts only as far as was seen.

use std::collections::BTreeMap;

use super::page::{BAD, DIM, GOOD, PLAIN, Page, WARN, counted, grouped, moment, size, span};
use super::sections::{joined, parts_row};
use crate::model::{Phase, Stats, Unfinished};
use crate::sink::{printable, words};

/// What the capture showed.
pub(super) fn seen(page: &mut Page, stats: &Stats) {
    page.heading("Seen", "on the wire");
    if let Some((from, to)) = stats.span {
        page.row("capture", PLAIN, &format!("{} to {} UTC, {}", moment(from), moment(to), span(to.since(from))));
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
    parts_row(page, "TLS", seen.versions.iter().map(|(version, &n)| (format!("with {version}"), n)));
    parts_row(page, "requests", stats.requests.iter().map(|(protocol, &n)| (protocol.name().to_owned(), n)));
    let answers = stats.responses.iter();
    parts_row(
        page,
        "responses",
        answers.map(|((protocol, class), &n)| (format!("{} over {}", words::class(*class), protocol.name()), n)),
    );
    unanswered(page, stats);
    let by_status =
        |errors: &BTreeMap<u16, u64>| joined(errors.iter().map(|(status, &n)| (format!("with {status}"), n)));
    let (own, unattributed) = (&stats.origin_errors, &stats.unattributed_errors);
    if !own.is_empty() {
        let text = format!("{}: sent by the server that was asked, nothing in view stands behind it", by_status(own));
        page.row("5xx", BAD, &text);
    }
    if !unattributed.is_empty() {
        let text = format!(
            "{}: who made it cannot be told: the server may have asked another one, where it could not be seen",
            by_status(unattributed)
        );
        page.row("5xx", WARN, &text);
    }
    if own.is_empty() && unattributed.is_empty() && stats.responses.values().any(|&n| n > 0) {
        page.row(
            "5xx",
            GOOD,
            "none sent by the origin, as far as it could be read: one that a visitor got was made on the way",
        );
    }
    let keys = &stats.keys;
    if keys.secrets > 0 || keys.malformed.1 > 0 {
        let mut text = format!(
            "{} for {}; {} of the capture matched",
            counted(keys.secrets, "secret"),
            counted(keys.named(), "connection"),
            grouped(keys.matched)
        );
        if keys.found_late > 0 {
            text = format!("{text} by their handshake, {} joined late and found by search", grouped(keys.found_late));
        }
        page.row("keys", if keys.matched + keys.found_late == 0 { WARN } else { PLAIN }, &text);
    }
}

/// Requests that got no response and that nobody failed: whoever looks for a hanging origin looks for these.
fn unanswered(page: &mut Page, stats: &Stats) {
    let parts = stats.unfinished.iter().filter(|((_, phase), _)| *phase != Phase::InBody);
    let parts: Vec<String> = parts
        .map(|(&(what, phase), waits)| {
            let (count, longest) = (grouped(waits.count), span(waits.longest));
            match (what, phase) {
                (Unfinished::InFlight, _) => format!("{count} in flight at the end (longest {longest})"),
                (Unfinished::Abandoned, _) => {
                    format!("{count} abandoned by the client before a response (after up to {longest})")
                }
                (Unfinished::Unseen, Phase::Unknown) => format!("{count} whose response may have been lost"),
                (Unfinished::Unseen, _) => format!("{count} whose end was not seen"),
            }
        })
        .collect();
    if !parts.is_empty() {
        page.row("unanswered", WARN, &parts.join(", "));
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
    if !stats.input.missed.is_zero() {
        page.row("missed", WARN, &format!("{} for which an interface was not read", span(stats.input.missed)));
    }
    let seen = &stats.connections;
    for (side, &count) in &seen.one_way {
        let text = format!(
            "no packet of the {}'s side was captured on {}: capture both directions",
            words::side(*side),
            counted(count, "connection")
        );
        page.row("one way", WARN, &text);
    }
    for (why, &count) in seen.dark.iter().filter(|(_, count)| **count > 0) {
        let text = format!("{}, {why}: {}", counted(count, "connection"), remedy(why));
        page.row("dark", if matches!(*why, "not_http" | "http1" | "upgraded") { DIM } else { WARN }, &text);
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
    if keys.randoms > 0 && keys.matched + keys.found_late == 0 && seen.want_keys() {
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
        "http1" => "HTTP/1 that was left by CONNECT, or is damaged",
        "upgraded" => "HTTP/1 that was upgraded to something else, nothing to do",
        _ => "too few of their packets are in the capture",
    }
}

fn gap(at: &str) -> &'static str {
    match at {
        "acknowledged" => "the receiver had these bytes, the capture has not",
        "cap" => "too much came after a missing packet to wait on",
        "truncated" => "cut off by the snap length: capture with -s 0",
        "probe" => "a probe took these bytes, and there was no room for them",
        _ => "still missing when the connection ended",
    }
}
