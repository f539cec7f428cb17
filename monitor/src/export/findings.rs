//! What the pipeline found: resets, cases, retries, by what they are and by server.

use std::borrow::Cow;

use super::exemplar::Latest;
use super::family::Family;
use crate::model::{CaseKind, Edge, ErrorCode, KernelResets, Outcome, Phase, Protocol, ServerCounts, Side, Stats};
use crate::sink::words::{self, BASES, KINDS, OUTCOMES, PHASES, RESULTS, SIDES, WHYS};

pub(super) const PROTOCOLS: [Protocol; 4] = [Protocol::H2, Protocol::H2c, Protocol::Http1, Protocol::Other];
const FRAMES: [&str; 2] = ["RST_STREAM", "GOAWAY"];

/// Statuses with a series of their own.
const STATUSES: [(u16, &str); 4] = [(500, "500"), (502, "502"), (503, "503"), (504, "504")];

/// What stands for everything without a series of its own.
pub(super) const OTHER: &str = "other";

pub(super) fn families(stats: &Stats, latest: &Latest, out: &mut Vec<Family>) {
    out.push(resets(stats, latest));
    out.extend(stats.kernel_resets.as_ref().map(kernel_resets));
    out.push(
        Family::counter(
            "h2watch_unverified_resets_total",
            "Resets that rest on bytes that could not be authenticated.",
        )
        .only(stats.unverified_resets),
    );
    cases(stats, latest, out);
    out.push(origin_errors(stats, latest));
    out.push(unattributed_errors(stats));
    let help = "Downgrades that are only suspected, because the connection could not be read.";
    let mut suspected = Family::counter("h2watch_suspected_total", help);
    suspected.add_with([], stats.suspected, latest.suspected);
    out.push(suspected);
    let help = "Time from a stream's first frame to its reset.";
    out.push(Family::histogram("h2watch_request_to_reset_seconds", help, &stats.reset_age, latest.ages()));
    let help = "Time from a request's last reset to its retry.";
    out.push(Family::histogram("h2watch_reset_to_retry_seconds", help, &stats.retry_delay, latest.delays()));
    servers(stats, out);
}

/// Every code that has a name, and `None` for the others.
fn codes() -> impl Iterator<Item = Option<ErrorCode>> {
    ErrorCode::ALL.iter().copied().map(Some).chain([None])
}

fn code_name(code: Option<ErrorCode>) -> &'static str {
    code.and_then(ErrorCode::name).unwrap_or(OTHER)
}

fn resets(stats: &Stats, latest: &Latest) -> Family {
    let mut family = Family::counter("h2watch_resets_total", "RST_STREAM and GOAWAY frames.");
    for frame in FRAMES {
        for code in codes() {
            for sender in SIDES {
                for phase in PHASES {
                    let count = match code {
                        Some(code) => stats.resets.get(&(frame, code, sender, phase)).copied().unwrap_or(0),
                        None => unknown_codes(stats, frame, sender, phase),
                    };
                    let labels = [
                        ("frame", frame),
                        ("error", code_name(code)),
                        ("sender", words::side(sender)),
                        ("phase", words::phase(phase)),
                    ];
                    let exemplar = latest.reset(frame, code, sender, phase);
                    family.add_with(labels.map(|(name, value)| (name, Cow::Borrowed(value))), count, exemplar);
                }
            }
        }
    }
    family
}

/// What programs in the kernel counted: a family of its own, as the same frames may have been read as well.
fn kernel_resets(resets: &KernelResets) -> Family {
    let help = "RST_STREAM and GOAWAY frames that the plaintext probes counted in the kernel.";
    let mut family = Family::counter("h2watch_kernel_resets_total", help);
    for (frame, code, by, count) in resets.iter() {
        family.add_fixed([("frame", frame.name()), ("error", code_name(code)), ("sender", words::writer(by))], count);
    }
    family
}

fn unknown_codes(stats: &Stats, frame: &'static str, sender: Side, phase: Phase) -> u64 {
    let listed = stats
        .resets
        .iter()
        .filter(|((f, code, s, p), _)| code.name().is_none() && (*f, *s, *p) == (frame, sender, phase));
    let beyond = stats.resets_beyond.get(&(frame, sender, phase)).copied().unwrap_or(0);
    listed.map(|(_, count)| count).sum::<u64>().saturating_add(beyond)
}

fn cases(stats: &Stats, latest: &Latest, out: &mut Vec<Family>) {
    let help = "Requests that were left without a complete response, by what became of them.";
    let mut family = Family::counter("h2watch_cases_total", help);
    for kind in KINDS {
        for outcome in OUTCOMES {
            for edge in Edge::ALL.into_iter().map(Some).chain([None]) {
                let key = (kind, outcome, edge);
                let count = stats.cases.get(&key).copied().unwrap_or(0);
                let labels =
                    [("kind", words::kind(kind)), ("outcome", words::outcome(outcome)), ("edge", words::edge(edge))];
                let labels = labels.map(|(name, value)| (name, Cow::Borrowed(value)));
                family.add_with(labels, count, latest.cases.get(&key).copied());
            }
        }
    }
    out.push(family);
    let mut family = Family::counter("h2watch_cases_by_basis_total", "Cases by what their outcome rests on.");
    for kind in KINDS {
        for basis in BASES {
            let count = stats.bases.get(&(kind, basis)).copied().unwrap_or(0);
            family.add_fixed([("kind", words::kind(kind)), ("basis", words::basis(basis))], count);
        }
    }
    out.push(family);
    let mut family = Family::counter("h2watch_unknown_cases_total", "Cases whose outcome is unknown, by reason.");
    for kind in KINDS {
        for why in WHYS {
            let count = stats.unknown.get(&(kind, why)).copied().unwrap_or(0);
            family.add_fixed([("kind", words::kind(kind)), ("reason", words::why(why))], count);
        }
    }
    out.push(family);
    let mut family = Family::counter("h2watch_retries_total", "Retries of cases by protocol and result.");
    for protocol in PROTOCOLS {
        for result in RESULTS {
            let count = stats.retries.get(&(protocol, result)).copied().unwrap_or(0);
            family.add_fixed([("protocol", protocol.name()), ("result", words::result(result))], count);
        }
    }
    out.push(family);
}

fn unattributed_errors(stats: &Stats) -> Family {
    let mut family = Family::counter(
        "h2watch_unattributed_errors_total",
        "5xx responses of a server that may have asked another one where it could not be seen.",
    );
    let errors = &stats.unattributed_errors;
    for (status, name) in STATUSES {
        family.add_fixed([("status", name)], errors.get(&status).copied().unwrap_or(0));
    }
    let named = |status: &u16| STATUSES.iter().any(|(named, _)| named == status);
    let others = errors.iter().filter(|(status, _)| !named(status)).map(|(_, count)| count).sum::<u64>();
    family.add_fixed([("status", OTHER)], others);
    family
}

fn origin_errors(stats: &Stats, latest: &Latest) -> Family {
    let mut family =
        Family::counter("h2watch_origin_errors_total", "5xx responses that the server which was asked made itself.");
    for (status, name) in STATUSES {
        let count = stats.origin_errors.get(&status).copied().unwrap_or(0);
        let labels = [("status", Cow::Borrowed(name))];
        family.add_with(labels, count, latest.origin_errors.get(&status).copied());
    }
    let other = |status: &u16| STATUSES.iter().all(|(named, _)| named != status);
    let count = stats.origin_errors.iter().filter(|(status, _)| other(status)).map(|(_, count)| count).sum::<u64>();
    let latest = latest.origin_errors.iter().filter(|(status, _)| other(status)).map(|(_, found)| *found);
    let exemplar = latest.max_by_key(|exemplar| exemplar.number);
    family.add_with([("status", Cow::Borrowed(OTHER))], count, exemplar);
    family
}

fn servers(stats: &Stats, out: &mut Vec<Family>) {
    let all = || {
        let named = stats.servers.named().map(|(address, counts)| (Cow::Owned(address.to_string()), counts));
        named.chain([(Cow::Borrowed(OTHER), stats.servers.rest())])
    };
    let mut family = Family::counter("h2watch_server_requests_total", "Requests by server address.");
    for (server, counts) in all() {
        family.add([("server", server)], counts.requests);
    }
    out.push(family);
    let help = "RST_STREAM and GOAWAY frames that a server sent, by its address.";
    let mut family = Family::counter("h2watch_server_resets_total", help);
    for (server, counts) in all() {
        for code in codes() {
            let labels = [("server", server.clone()), ("error", Cow::Borrowed(code_name(code)))];
            family.add(labels, counts.resets.get(ServerCounts::reset(code)).copied().unwrap_or(0));
        }
    }
    out.push(family);
    let help = "Requests that were left without a complete response, by server address and what became of them.";
    let mut family = Family::counter("h2watch_server_cases_total", help);
    for (server, counts) in all() {
        for kind in KINDS {
            for outcome in OUTCOMES {
                family.add(case_labels(server.clone(), kind, outcome), counts.case(kind, outcome));
            }
        }
    }
    out.push(family);
}

fn case_labels(server: Cow<'static, str>, kind: CaseKind, outcome: Outcome) -> [(&'static str, Cow<'static, str>); 3] {
    [
        ("server", server),
        ("kind", Cow::Borrowed(words::kind(kind))),
        ("outcome", Cow::Borrowed(words::outcome(outcome))),
    ]
}
