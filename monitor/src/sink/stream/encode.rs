//! What a target gets for an event: a line of JSON, or a datagram of the journal's native protocol.

use serde::Serialize;

use crate::model::{CaseKind, Finding, Request, Stats, Time, Verdict};
use crate::sink::events::Last;
use crate::sink::view::Line;
use crate::sink::{SCHEMA, json, printable, words};

/// Something to write.
pub(super) enum Record<'r> {
    Finding(&'r Finding),
    /// This many findings were dropped, the first of this time.
    Dropped(Time, u64),
    Summary {
        json: &'r [u8],
        sentence: &'r str,
    },
}

/// What a target gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// JSON Lines.
    Lines,
    /// Datagrams for the journal.
    Journal,
}

/// Priorities of the journal, as in syslog.
const WARNING: &str = "4";
const NOTICE: &str = "5";
const INFO: &str = "6";

#[derive(Serialize)]
struct Dropped<'r> {
    schema: &'static str,
    event: &'static str,
    time: Time,
    run: &'r str,
    count: u64,
}

impl Encoding {
    /// Appends the entry for a record.
    pub(super) fn write(self, out: &mut Vec<u8>, record: &Record<'_>, run: &str) {
        match self {
            Self::Lines => {
                line(out, record, run);
                out.push(b'\n');
            }
            Self::Journal => datagram(out, record, run),
        }
    }
}

/// Appends the JSON of a record. Into memory: it cannot fail.
fn line(out: &mut Vec<u8>, record: &Record<'_>, run: &str) {
    let _ = match *record {
        Record::Finding(finding) => json::write(out, &Line::from(finding).of_run(Some(run))),
        Record::Dropped(time, count) => {
            json::write(out, &Dropped { schema: SCHEMA, event: "dropped", time, run, count })
        }
        Record::Summary { json, .. } => {
            out.extend_from_slice(json);
            Ok(())
        }
    };
}

/// The JSON of the last event.
pub(super) fn summary(stats: &Stats, verdict: Verdict, run: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = json::write(&mut out, &Last::of(stats, verdict, Some(run)));
    out
}

/// The last event in a sentence.
pub(super) fn summary_sentence(stats: &Stats, verdict: Verdict) -> String {
    let cases: u64 = stats.cases.values().sum();
    let resets: u64 = stats.resets.values().sum();
    let verdict = words::verdict(verdict);
    format!("stopped after {} packets: {resets} resets, {cases} cases; verdict: {verdict}", stats.packets.packets)
}

/// Appends a datagram of the journal: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.
fn datagram(out: &mut Vec<u8>, record: &Record<'_>, run: &str) {
    let mut field = |name: &str, value: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        if value.contains(&b'\n') {
            out.push(b'\n');
            out.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            out.push(b'=');
        }
        out.extend_from_slice(value);
        out.push(b'\n');
    };
    field("SYSLOG_IDENTIFIER", b"h2watch");
    field("H2WATCH_RUN", run.as_bytes());
    match record {
        Record::Finding(finding) => {
            field("MESSAGE", printable(&sentence(finding)).as_bytes());
            field("PRIORITY", priority(finding).as_bytes());
            for (name, value) in fields(finding) {
                field(name, value.as_bytes());
            }
        }
        Record::Dropped(time, count) => {
            field(
                "MESSAGE",
                format!("{count} events were dropped from {time} on: the journal was too slow").as_bytes(),
            );
            field("PRIORITY", WARNING.as_bytes());
            field("H2WATCH_EVENT", b"dropped");
        }
        Record::Summary { sentence, .. } => {
            field("MESSAGE", sentence.as_bytes());
            field("PRIORITY", INFO.as_bytes());
            field("H2WATCH_EVENT", b"summary");
        }
    }
    let mut text = Vec::new();
    line(&mut text, record, run);
    field("H2WATCH_EVENT_JSON", &text);
}

/// What can be searched for: names are the schema's.
fn fields(finding: &Finding) -> Vec<(&'static str, String)> {
    let event = |name: &'static str| ("H2WATCH_EVENT", name.to_owned());
    match finding {
        Finding::Reset(found) => vec![
            event("reset"),
            ("H2WATCH_ID", format!("r{}", found.id)),
            ("H2WATCH_ERROR", found.code.to_string()),
            ("H2WATCH_FRAME", found.frame.name().to_owned()),
        ],
        Finding::Case(found) => vec![
            event("case"),
            ("H2WATCH_ID", format!("c{}", found.id)),
            ("H2WATCH_KIND", words::kind(found.kind).to_owned()),
            ("H2WATCH_OUTCOME", words::outcome(found.outcome).to_owned()),
        ],
        Finding::OriginError(found) => vec![event("origin_error"), ("H2WATCH_ID", format!("o{}", found.id))],
        Finding::Suspected(found) => vec![event("suspected"), ("H2WATCH_ID", format!("s{}", found.id))],
        Finding::Gap { .. } => vec![event("gap")],
        Finding::Dark(found) => vec![event("dark"), ("H2WATCH_WHY", found.why.name().to_owned())],
        Finding::Anomaly { what, .. } => vec![event("anomaly"), ("H2WATCH_WHAT", (*what).to_owned())],
    }
}

fn priority(finding: &Finding) -> &'static str {
    match finding {
        Finding::Case(found) if found.failed_visitor() => WARNING,
        Finding::OriginError(_) => WARNING,
        Finding::Case(_) | Finding::Reset(_) | Finding::Suspected(_) => NOTICE,
        Finding::Gap { .. } | Finding::Dark(_) | Finding::Anomaly { .. } => INFO,
    }
}

/// The event for people.
fn sentence(finding: &Finding) -> String {
    match finding {
        Finding::Reset(found) => {
            let (frame, code, sender) = (found.frame.name(), found.code, words::side(found.sender));
            let request = asked(found.request.as_deref());
            format!("{frame} {code} from the {sender} ({}): {request}", found.parties)
        }
        Finding::Case(found) => {
            let kind = match found.kind {
                CaseKind::Downgrade => "downgrade",
                CaseKind::Failure => "failure",
            };
            let (request, outcome) = (asked(found.request.as_deref()), words::outcome(found.outcome));
            format!("{kind}, {outcome}: {request} ({}, {} attempts)", found.parties, found.attempts)
        }
        Finding::OriginError(found) => {
            let request = asked(found.request.as_deref());
            format!("the origin answered {}: {request} ({})", found.status, found.parties)
        }
        Finding::Suspected(found) => {
            format!("suspected downgrade: a hello offers only http/1.1 ({})", found.parties)
        }
        Finding::Gap { parties, by, bytes, .. } => {
            let bytes = bytes.map_or_else(String::new, |bytes| format!("{bytes} "));
            format!("{bytes}bytes of the {} are missing ({parties})", words::side(*by))
        }
        Finding::Dark(found) => {
            let side = found.by.map_or("both sides", words::side);
            format!("not readable, {side}: {} ({})", found.why.name(), found.parties)
        }
        Finding::Anomaly { parties, what, .. } => format!("anomaly: {what} ({parties})"),
    }
}

fn asked(request: Option<&Request>) -> String {
    let Some(request) = request else { return "request not known".to_owned() };
    let part = |part: Option<&str>| part.unwrap_or("?").to_owned();
    let (authority, path) = (part(request.authority.as_deref()), part(request.path.as_deref()));
    format!("{} {authority}{path}", part(request.method.as_deref()))
}

/// When it was.
pub(super) const fn time(finding: &Finding) -> Time {
    match finding {
        Finding::Reset(found) => found.time,
        Finding::Case(found) => found.time,
        Finding::OriginError(found) => found.time,
        Finding::Suspected(found) => found.time,
        Finding::Dark(found) => found.time,
        Finding::Gap { time, .. } | Finding::Anomaly { time, .. } => *time,
    }
}
