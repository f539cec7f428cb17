//! How things stand, in words: what an operator wants to read first.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::model::{DarkWhy, ErrorCode};
use crate::watch::Snapshot;
use crate::watch::history::Step;

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// The run gives no sign, or captures nothing.
    Stopped,
    /// Visitors were failed.
    Failed,
    /// What happens cannot be seen.
    Blind,
    /// Something was found, or a part cannot be seen.
    Warning,
    /// Nothing to see yet.
    Waiting,
    /// Enough was seen, and nothing found.
    Good,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Note {
    pub(super) level: Level,
    pub(super) text: String,
}

/// What matters most, and what else matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Headline {
    #[serde(flatten)]
    pub(super) first: Note,
    pub(super) notes: Vec<Note>,
}

/// Steps in the last five minutes.
const RECENT: usize = 60;

/// Without a snapshot for this long the numbers are old.
const OLD: Duration = Duration::from_secs(5);

impl Headline {
    pub(super) fn of(snapshot: &Snapshot, age: Duration) -> Self {
        let recent = snapshot.history.last(RECENT);
        let half_hour = snapshot.history.last(usize::MAX);
        let mut notes = Vec::new();
        stopped(snapshot, age, &mut notes);
        failed(&recent, &mut notes);
        earlier(snapshot, &recent, &half_hour, &mut notes);
        others(&recent, &mut notes);
        unseen(snapshot, &half_hour, &mut notes);
        trouble(snapshot, &mut notes);
        if notes.iter().all(|note| note.level > Level::Blind) {
            notes.push(nothing(snapshot, &recent, &half_hour, notes.is_empty()));
        }
        notes.sort_by_key(|note| note.level);
        let first = notes.remove(0);
        Self { first, notes }
    }
}

fn say(notes: &mut Vec<Note>, level: Level, text: String) {
    notes.push(Note { level, text });
}

fn stopped(snapshot: &Snapshot, age: Duration, notes: &mut Vec<Note>) {
    if age >= OLD {
        let text = format!("The numbers are {} seconds old: the monitor hangs or has ended", age.as_secs());
        say(notes, Level::Stopped, text);
    }
    let down = snapshot.interfaces.iter().filter(|interface| !interface.up);
    for interface in down.clone() {
        let level = if snapshot.capturing { Level::Warning } else { Level::Stopped };
        say(notes, level, format!("Not capturing: {}", interface.why()));
    }
    if !snapshot.capturing && down.count() == 0 {
        say(notes, Level::Stopped, "Not capturing".to_owned());
    }
}

/// Visitors that were failed within the last five minutes, and how.
fn failed(recent: &Step, notes: &mut Vec<Note>) {
    let ([_, d_given_up, d_cut, _], [_, given_up, cut, _]) = (recent.downgrade, recent.failure);
    if recent.failed() == 0 {
        return;
    }
    let mut clauses = Vec::new();
    if d_given_up + d_cut > 0 {
        let of = of_which(d_given_up + d_cut, recent.failed());
        clauses.push(format!("{of}the origin refused HTTP/2 (HTTP_1_1_REQUIRED), and the edge did not retry"));
    }
    if given_up > 0 {
        let of = of_which(given_up, recent.failed());
        clauses
            .push(format!("{of}the request was reset or its connection closed before any response{}", codes(recent)));
    }
    if cut > 0 {
        let of = of_which(cut, recent.failed());
        clauses.push(format!("{of}the response was cut off"));
    }
    if recent.failed_again() > 0 {
        let of = of_which(recent.failed_again(), recent.failed());
        clauses.push(format!("{of}the edge asked again, and that failed"));
    }
    let text = format!("{} failed in the last 5 minutes: {}", visitors(recent.failed()), clauses.join("; "));
    say(notes, Level::Failed, text);
}

fn of_which(part: u64, of: u64) -> String {
    if part == of { String::new() } else { format!("for {part} ") }
}

/// The codes other than HTTP_1_1_REQUIRED, NO_ERROR and CANCEL that came most often.
fn codes(recent: &Step) -> String {
    let harmless = [ErrorCode::NO_ERROR, ErrorCode::CANCEL, ErrorCode::HTTP_1_1_REQUIRED];
    let telling = ErrorCode::ALL.iter().zip(recent.resets).filter(|(code, _)| !harmless.contains(code));
    let most = telling.filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count);
    most.and_then(|(code, _)| code.name()).map(|name| format!(" (most often {name})")).unwrap_or_default()
}

/// What was found before the last five minutes.
fn earlier(snapshot: &Snapshot, recent: &Step, half_hour: &Step, notes: &mut Vec<Note>) {
    let before = half_hour.failed() - recent.failed().min(half_hour.failed());
    if recent.failed() == 0 && before > 0 {
        let text = format!("{} failed in the half hour before the last 5 minutes", visitors(before));
        return say(notes, Level::Warning, text);
    }
    let ever: u64 = {
        use crate::model::Outcome::{GivenUp, Truncated};
        let cases = snapshot.stats.cases.iter().filter(|((_, outcome, _), _)| matches!(outcome, GivenUp | Truncated));
        let again = snapshot.stats.failed_retries.values();
        cases.map(|(_, count)| count).chain(again).sum()
    };
    if half_hour.failed() == 0 && ever > 0 {
        let text = format!("{} failed since the start, none in the last half hour", visitors(ever));
        say(notes, Level::Warning, text);
    }
}

/// Cases whose visitors were not failed, or may not have been.
fn others(recent: &Step, notes: &mut Vec<Note>) {
    let ([retried, .., unknown], [f_retried, .., f_unknown]) = (recent.downgrade, recent.failure);
    if retried > 0 {
        let text =
            format!("The origin refused HTTP/2 for {} in the last 5 minutes; the edge asked again", requests(retried));
        say(notes, Level::Warning, text);
    }
    if f_retried > 0 {
        let text = format!("{} failed in the last 5 minutes and were asked again", requests(f_retried));
        say(notes, Level::Warning, text);
    }
    if unknown + f_unknown > 0 {
        let text = format!(
            "What became of {} that failed in the last 5 minutes could not be seen",
            requests(unknown + f_unknown)
        );
        say(notes, Level::Warning, text);
    }
    if recent.origin_errors > 0 {
        let text = format!(
            "The server that was asked itself answered {} with a 5xx in the last 5 minutes",
            requests(recent.origin_errors)
        );
        say(notes, Level::Warning, text);
    }
    if recent.suspected > 0 {
        let text = format!(
            "{} on connections that cannot be read look like refused HTTP/2 in the last 5 minutes",
            requests(recent.suspected)
        );
        say(notes, Level::Warning, text);
    }
}

/// What cannot be seen now, and what could not within the last half hour.
fn unseen(snapshot: &Snapshot, half_hour: &Step, notes: &mut Vec<Note>) {
    let Sight { hidden, open } = Sight::of(snapshot);
    if hidden > 0 {
        // Whatever their age: what happens on them is not seen.
        let why = why(snapshot);
        let (level, text) = if hidden >= open && half_hour.requests == 0 {
            (Level::Blind, format!("Blind: none of {} can be read, {why}", opened(open)))
        } else if hidden > open / 2 {
            (Level::Blind, format!("Nearly blind: {hidden} of {} cannot be read, {why}", opened(open)))
        } else {
            (Level::Warning, format!("{hidden} of {} cannot be read, {why}", opened(open)))
        };
        say(notes, level, text);
    } else if half_hour.dark > 0 && half_hour.requests == 0 {
        let text = format!("Blind: none of {} could be read, {}", connections(half_hour.connections), why(snapshot));
        return say(notes, Level::Blind, text);
    }
    let Share { read, .. } = Share::of(half_hour);
    if read < 50 {
        let text = format!("Nearly blind: {read} % of the traffic of the last half hour could be read");
        say(notes, Level::Blind, text);
    } else if read < 99 {
        let mut text = format!("{read} % of the traffic of the last half hour could be read");
        if half_hour.dark > 0 {
            text += &format!(": {} could not", connections(half_hour.dark));
        }
        say(notes, Level::Warning, text);
    }
    if half_hour.lost > 0 {
        let text = format!("{} lost before they could be read in the last half hour", packets(half_hour.lost));
        say(notes, Level::Warning, text);
    }
}

/// Why most of the connections cannot be read that are dark now, or ever were.
fn why(snapshot: &Snapshot) -> String {
    let seen = &snapshot.stats.connections;
    let most = |dark: &BTreeMap<&'static str, u64>| {
        let hiding = dark.iter().filter(|(why, count)| **count > 0 && !DarkWhy::HARMLESS.contains(why));
        hiding.max_by_key(|(_, count)| **count).map(|(why, _)| *why)
    };
    match most(&seen.dark_open).or_else(|| most(&seen.dark)) {
        None | Some("no_key" | "joined_late") => match snapshot.keylogs.iter().any(|log| log.readable) {
            true => "no key log has their keys",
            false if !snapshot.keylogs.is_empty() => "no key log can be read",
            false if snapshot.probe.is_some() => "no probe has taken their keys",
            false => "no key log was given",
        }
        .to_owned(),
        Some("joined_late_tls12") => "they are TLS 1.2 and were open before the start".to_owned(),
        Some(why) => format!("mostly for the reason {why}"),
    }
}

/// What does not work as it should.
fn trouble(snapshot: &Snapshot, notes: &mut Vec<Note>) {
    for stream in &snapshot.streams {
        if let Some(error) = &stream.error {
            say(notes, Level::Warning, format!("Events cannot be written to {}: {error}", stream.name));
        }
    }
    for log in &snapshot.keylogs {
        let path = crate::sink::printable(&log.path.to_string_lossy()).into_owned();
        if !log.readable {
            let why = log.error.as_deref().unwrap_or("not there");
            say(notes, Level::Warning, format!("The key log {path} cannot be read: {why}"));
        } else if log.exposed {
            let file =
                log.exposed_file.as_ref().map(|file| crate::sink::printable(&file.to_string_lossy()).into_owned());
            let path = file.unwrap_or(path);
            say(notes, Level::Warning, format!("Others may read the key log {path}: chmod 600 it"));
        }
    }
    if let behind @ 1.. = snapshot.keylog_behind_bytes() >> 20 {
        say(
            notes,
            Level::Warning,
            format!("Still reading the key logs, {behind} MiB behind: what they open is dark until then"),
        );
    }
    if let Some(error) = &snapshot.reload_error {
        say(notes, Level::Warning, format!("The last reload failed: {error}"));
    }
}

/// That nothing was found, and how much that says.
fn nothing(snapshot: &Snapshot, recent: &Step, half_hour: &Step, alone: bool) -> Note {
    if snapshot.stats.connections.total == 0 {
        let text = match snapshot.stats.packets.packets {
            0 => "Waiting: no packet has come yet".to_owned(),
            packets => format!("Waiting: {packets} packets, but no TCP connection with data yet"),
        };
        return Note { level: Level::Waiting, text };
    }
    if snapshot.stats.requests.values().all(|&count| count == 0) {
        return Note { level: Level::Waiting, text: "Waiting: no request has been seen yet".to_owned() };
    }
    let Share { read, known } = Share::of(half_hour);
    let Sight { hidden, open } = Sight::of(snapshot);
    let seen = match (known, recent.requests) {
        (_, 0) => "but there was no request in the last 5 minutes".to_owned(),
        _ if hidden > 0 => format!("and {} of {} can be read", open.saturating_sub(hidden), opened(open)),
        (true, _) => format!("and {read} % of the traffic could be read"),
        (false, count) => format!("and {} came in the last 5 minutes", requests(count)),
    };
    let nothing = match (alone, half_hour.lost + hidden) {
        (true, _) => "Nothing found",
        (false, 0) => "Nobody failed in the last 5 minutes",
        (false, _) => "Nobody is known to have failed in the last 5 minutes",
    };
    Note { level: Level::Good, text: format!("{nothing}, {seen}") }
}

/// The connections that are open now.
struct Sight {
    /// Those that cannot be read and may hide HTTP.
    hidden: u64,
    open: u64,
}

impl Sight {
    fn of(snapshot: &Snapshot) -> Self {
        let seen = &snapshot.stats.connections;
        let hidden = seen.hiding_open();
        Self { hidden, open: seen.open.max(hidden) }
    }
}

/// How much of what was carried could be read, in whole percent, rounded down: 100 is all.
struct Share {
    read: u64,
    /// There was something to read.
    known: bool,
}

impl Share {
    fn of(step: &Step) -> Self {
        // Bytes are counted a little later than connections.
        let (part, of) = match step.bytes {
            0 => (step.dark, step.connections),
            bytes => (step.unread, bytes),
        };
        let read = of.saturating_sub(part).saturating_mul(100).checked_div(of);
        Self { read: read.unwrap_or(100), known: of > 0 }
    }
}

fn visitors(count: u64) -> String {
    if count == 1 { "1 visitor".to_owned() } else { format!("{count} visitors") }
}

fn requests(count: u64) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{count} requests") }
}

fn packets(count: u64) -> String {
    if count == 1 { "1 packet was".to_owned() } else { format!("{count} packets were") }
}

fn opened(count: u64) -> String {
    if count == 1 { "1 open connection".to_owned() } else { format!("{count} open connections") }
}

fn connections(count: u64) -> String {
    if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Headline, Level};
    use crate::model::{CaseKind, Outcome, Protocol, RetryFailure};
    use crate::source::keylogs::KeyLogHealth;
    use crate::watch::Snapshot;
    use crate::watch::history::{CODES, Step};

    /// A run that captures, with what happened within the last step.
    fn run(open: Step) -> Snapshot {
        let mut snapshot = Snapshot { capturing: true, ..Snapshot::default() };
        snapshot.history.open = open;
        snapshot.stats.connections.total = open.connections;
        snapshot.stats.requests.insert(Protocol::H2, open.requests);
        snapshot
    }

    fn said(snapshot: &Snapshot) -> (Level, String, usize) {
        let headline = Headline::of(snapshot, Duration::ZERO);
        (headline.first.level, headline.first.text, headline.notes.len())
    }

    const USUAL: Step = Step { requests: 100, connections: 50, bytes: 1_000, ..EMPTY };
    const EMPTY: Step = Step {
        requests: 0,
        origin_errors: 0,
        resets: [0; CODES],
        downgrade: [0; 4],
        failure: [0; 4],
        retry_failed: [0; 2],
        suspected: 0,
        connections: 0,
        dark: 0,
        lost: 0,
        bytes: 0,
        unread: 0,
    };

    #[test]
    fn nothing_found_says_how_much_was_seen() {
        assert_eq!(
            said(&run(USUAL)),
            (Level::Good, "Nothing found, and 100 % of the traffic could be read".to_owned(), 0)
        );
        let step = Step { unread: 15, dark: 1, ..USUAL };
        let (level, text, notes) = said(&run(step));
        assert_eq!((level, notes), (Level::Warning, 1));
        assert_eq!(text, "98 % of the traffic of the last half hour could be read: 1 connection could not");
    }

    #[test]
    fn what_was_lost_is_no_silence() {
        let headline = Headline::of(&run(Step { lost: 3, ..USUAL }), Duration::ZERO);
        assert_eq!(headline.first.text, "3 packets were lost before they could be read in the last half hour");
        let nothing = &headline.notes[0].text;
        assert!(nothing.starts_with("Nobody is known to have failed in the last 5 minutes"), "{nothing}");
    }

    #[test]
    fn failed_visitors_come_first() {
        let step = Step { downgrade: [4, 3, 0, 1], dark: 3, unread: 100, ..USUAL };
        let (level, text, notes) = said(&run(step));
        assert_eq!(level, Level::Failed);
        assert_eq!(
            text,
            "3 visitors failed in the last 5 minutes: the origin refused HTTP/2 (HTTP_1_1_REQUIRED), and the edge did not retry"
        );
        assert_eq!(notes, 3, "retried, unknown, partly dark");
        let mut step = Step { downgrade: [0, 1, 0, 0], failure: [0, 1, 1, 0], ..USUAL };
        step.resets[7] = 2;
        let (_, text, _) = said(&run(step));
        assert!(text.starts_with("3 visitors failed in the last 5 minutes: for 1 the origin refused"), "{text}");
        assert!(text.contains("(most often REFUSED_STREAM); for 1 the response was cut off"), "{text}");
    }

    #[test]
    fn a_retry_that_failed_is_no_comfort() {
        // Every visitor was failed: the edge asked again over HTTP/1.1, and that was answered 503 or cut off.
        let step = Step { downgrade: [5, 0, 0, 0], retry_failed: [5, 0], ..USUAL };
        let headline = Headline::of(&run(step), Duration::ZERO);
        assert_eq!(headline.first.level, Level::Failed);
        assert_eq!(
            headline.first.text,
            "5 visitors failed in the last 5 minutes: the edge asked again, and that failed"
        );
        assert!(headline.notes.iter().all(|note| !note.text.starts_with("Nobody failed")), "{headline:?}");
        let step = Step { downgrade: [5, 2, 0, 0], retry_failed: [1, 0], ..USUAL };
        let (_, text, _) = said(&run(step));
        assert!(text.ends_with("did not retry; for 1 the edge asked again, and that failed"), "{text}");
        let mut before = run(USUAL);
        before.stats.failed_retries.insert((CaseKind::Downgrade, RetryFailure::ServerError), 3);
        assert_eq!(said(&before).1, "3 visitors failed since the start, none in the last half hour");
    }

    #[test]
    fn blind_is_not_clean() {
        let step = Step { connections: 9, dark: 9, ..EMPTY };
        assert_eq!(said(&run(step)).1, "Blind: none of 9 connections could be read, no key log was given");
        let mut snapshot = run(step);
        snapshot.keylogs = vec![KeyLogHealth { readable: true, ..KeyLogHealth::default() }];
        let (level, text, _) = said(&snapshot);
        assert_eq!(
            (level, text.as_str()),
            (Level::Blind, "Blind: none of 9 connections could be read, no key log has their keys")
        );
        let (level, text, _) = said(&run(Step { unread: 600, ..USUAL }));
        assert_eq!(
            (level, text.as_str()),
            (Level::Blind, "Nearly blind: 40 % of the traffic of the last half hour could be read")
        );
    }

    #[test]
    fn what_is_dark_now_is_told_whatever_its_age_and_whatever_else_is_read() {
        // A pool that went dark hours ago, beside connections that end and are read.
        let dark_now = |dark: u64, open: u64, why: &'static str| {
            let mut snapshot = run(USUAL);
            snapshot.stats.connections.open = open;
            snapshot.stats.connections.dark_open.insert(why, dark);
            snapshot
        };
        let (level, text, _) = said(&dark_now(38, 40, "no_key"));
        assert_eq!(
            (level, text.as_str()),
            (Level::Blind, "Nearly blind: 38 of 40 open connections cannot be read, no key log was given")
        );
        let headline = Headline::of(&dark_now(1, 40, "joined_late_tls12"), Duration::ZERO);
        assert_eq!(headline.first.level, Level::Warning);
        assert_eq!(
            headline.first.text,
            "1 of 40 open connections cannot be read, they are TLS 1.2 and were open before the start"
        );
        assert_eq!(
            headline.notes[0].text,
            "Nobody is known to have failed in the last 5 minutes, and 39 of 40 open connections can be read"
        );
        let mut blind = dark_now(1, 1, "lost_sync");
        blind.history.open.requests = 0;
        assert_eq!(said(&blind).1, "Blind: none of 1 open connection can be read, mostly for the reason lost_sync");
        // Nothing is hidden by what is not HTTP.
        let (level, text, _) = said(&dark_now(40, 40, "upgraded"));
        assert_eq!((level, text.as_str()), (Level::Good, "Nothing found, and 100 % of the traffic could be read"));
    }

    #[test]
    fn a_run_that_gives_no_sign_has_stopped() {
        let old = Headline::of(&run(USUAL), Duration::from_secs(7));
        assert_eq!(old.first.level, Level::Stopped);
        assert!(old.first.text.contains("7 seconds old"));
        let (level, text, _) = said(&Snapshot::default());
        assert_eq!((level, text.as_str()), (Level::Stopped, "Not capturing"));
    }

    #[test]
    fn without_traffic_it_waits() {
        let waiting = Snapshot { capturing: true, ..Snapshot::default() };
        assert_eq!(said(&waiting), (Level::Waiting, "Waiting: no packet has come yet".to_owned(), 0));
    }

    #[test]
    fn what_was_before_is_not_forgotten() {
        let mut snapshot = run(USUAL);
        snapshot.stats.cases.insert((CaseKind::Failure, Outcome::Truncated, None), 2);
        let headline = Headline::of(&snapshot, Duration::ZERO);
        let texts: Vec<_> = headline.notes.iter().map(|note| note.text.as_str()).collect();
        assert_eq!(headline.first.text, "2 visitors failed since the start, none in the last half hour");
        assert_eq!(texts, ["Nobody failed in the last 5 minutes, and 100 % of the traffic could be read"]);
    }
}
