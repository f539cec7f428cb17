//! The names of what the model holds, the same in every output.

use crate::model::{Basis, CaseKind, Edge, Outcome, Phase, RetryResult, Side, Unsure, Verdict, Why, Writer};

pub(crate) const SIDES: [Side; 2] = [Side::Client, Side::Server];
pub(crate) const PHASES: [Phase; 4] = [Phase::BeforeResponse, Phase::InBody, Phase::AfterEnd, Phase::Unknown];
pub(crate) const KINDS: [CaseKind; 2] = [CaseKind::Downgrade, CaseKind::Failure];
pub(crate) const OUTCOMES: [Outcome; 4] = [Outcome::Retried, Outcome::GivenUp, Outcome::Truncated, Outcome::Unknown];
pub(crate) const BASES: [Basis; 4] = [Basis::Identity, Basis::ProtocolSwitch, Basis::Sequence, Basis::Absence];
pub(crate) const RESULTS: [RetryResult; 3] = [RetryResult::Ok, RetryResult::HttpError, RetryResult::NoResponse];
pub(crate) const WHYS: [Why; 8] = [
    Why::InputEnded,
    Why::ClientBlind,
    Why::ClientUnknown,
    Why::Ambiguous,
    Why::OtherOrigin,
    Why::RequestUnseen,
    Why::Cap,
    Why::CaptureLoss,
];

pub(crate) const fn side(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// Who wrote plaintext, as seen from the process.
pub(crate) const fn writer(by: Writer) -> &'static str {
    match by {
        Writer::Local => "local",
        Writer::Peer => "peer",
    }
}

pub(crate) const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::BeforeResponse => "before_response",
        Phase::InBody => "in_body",
        Phase::AfterEnd => "after_end",
        Phase::Unknown => "unknown",
    }
}

pub(crate) const fn kind(kind: CaseKind) -> &'static str {
    match kind {
        CaseKind::Downgrade => "downgrade",
        CaseKind::Failure => "failure",
    }
}

pub(crate) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Retried => "retried",
        Outcome::GivenUp => "given_up",
        Outcome::Truncated => "truncated",
        Outcome::Unknown => "unknown",
    }
}

pub(crate) const fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Identity => "identity",
        Basis::ProtocolSwitch => "protocol_switch",
        Basis::Sequence => "sequence",
        Basis::Absence => "absence",
    }
}

pub(crate) const fn why(why: Why) -> &'static str {
    match why {
        Why::InputEnded => "input_ended",
        Why::ClientBlind => "client_blind",
        Why::ClientUnknown => "client_unknown",
        Why::Ambiguous => "ambiguous",
        Why::OtherOrigin => "other_origin",
        Why::RequestUnseen => "request_unseen",
        Why::Cap => "cap",
        Why::CaptureLoss => "capture_loss",
    }
}

pub(crate) const fn result(result: RetryResult) -> &'static str {
    match result {
        RetryResult::Ok => "ok",
        RetryResult::HttpError => "http_error",
        RetryResult::NoResponse => "no_response",
    }
}

/// The edge's name where "not recognised" needs one.
pub(crate) fn edge(edge: Option<Edge>) -> &'static str {
    edge.map_or("none", Edge::name)
}

/// A status class of [`Stats::responses`](crate::model::Stats::responses).
pub(crate) const fn class(class: u8) -> &'static str {
    match class {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "unknown",
    }
}

pub(crate) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Nothing => "nothing",
        Verdict::Found => "found",
        Verdict::Inconclusive(_) => "inconclusive",
    }
}

pub(crate) const fn unsure(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Inconclusive(unsure) => Some(match unsure {
            Unsure::Empty => "empty",
            Unsure::NoHttp => "no_http",
            Unsure::Dark => "dark",
            Unsure::Lost => "lost",
            Unsure::Suspected => "suspected",
            Unsure::Unanswered => "unanswered",
        }),
        Verdict::Nothing | Verdict::Found => None,
    }
}
