//! `/api/v1/history` and `/api/v1/top`: what happened lately.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{ErrorCode, Time};
use crate::sink::millis;
use crate::watch::Snapshot;
use crate::watch::history::{Entry, Hits, Step, Steps};

/// One list for each count, with one number for each step: the oldest first, the last is the step that is not over.
#[derive(Debug, Serialize)]
pub(super) struct History {
    step_ms: f64,
    /// When the first step began.
    start: Time,
    requests: Vec<u64>,
    connections: Vec<u64>,
    dark: Vec<u64>,
    lost: Vec<u64>,
    suspected: Vec<u64>,
    origin_errors: Vec<u64>,
    /// By code; only codes that came.
    resets: BTreeMap<&'static str, Vec<u64>>,
    downgrade: Outcomes,
    failure: Outcomes,
    /// Of the retried of both kinds.
    retry_failed: Vec<u64>,
}

#[derive(Debug, Serialize)]
struct Outcomes {
    retried: Vec<u64>,
    given_up: Vec<u64>,
    truncated: Vec<u64>,
    unknown: Vec<u64>,
}

impl History {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let Steps { over, open, open_since } = &snapshot.history;
        let steps: Vec<&Step> = over.iter().chain([open]).collect();
        let list = |of: fn(&Step) -> u64| steps.iter().map(|step| of(step)).collect::<Vec<u64>>();
        let length = Steps::LENGTH.as_nanos() * over.len() as u128;
        let names = ErrorCode::ALL.iter().map(|code| code.name().unwrap_or("other")).chain(["other"]);
        let of_code = |at: usize| {
            let counts = steps.iter().map(|step| step.resets.get(at).copied().unwrap_or(0));
            counts.collect::<Vec<u64>>()
        };
        let resets = names.enumerate().map(|(at, name)| (name, of_code(at)));
        Self {
            step_ms: millis(Steps::LENGTH),
            start: Time(open_since.0.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX))),
            requests: list(|step| step.requests),
            connections: list(|step| step.connections),
            dark: list(|step| step.dark),
            lost: list(|step| step.lost),
            suspected: list(|step| step.suspected),
            origin_errors: list(|step| step.origin_errors),
            resets: resets.filter(|(_, counts)| counts.iter().any(|&count| count > 0)).collect(),
            downgrade: Outcomes {
                retried: list(|step| step.downgrade[0]),
                given_up: list(|step| step.downgrade[1]),
                truncated: list(|step| step.downgrade[2]),
                unknown: list(|step| step.downgrade[3]),
            },
            failure: Outcomes {
                retried: list(|step| step.failure[0]),
                given_up: list(|step| step.failure[1]),
                truncated: list(|step| step.failure[2]),
                unknown: list(|step| step.failure[3]),
            },
            retry_failed: list(Step::failed_again),
        }
    }
}

/// The worst hosts and paths of the last hour.
#[derive(Debug, Serialize)]
pub(super) struct Top<'s> {
    hosts: Vec<Named<'s>>,
    paths: Vec<Named<'s>>,
    other_hosts: Counts,
    other_paths: Counts,
}

#[derive(Debug, Serialize)]
struct Named<'s> {
    name: &'s str,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Serialize)]
struct Counts {
    downgrade: u64,
    failure: u64,
    failed: u64,
    origin_errors: u64,
}

impl From<Hits> for Counts {
    fn from(hits: Hits) -> Self {
        let Hits { downgrade, failure, failed, origin_errors } = hits;
        Self { downgrade, failure, failed, origin_errors }
    }
}

impl<'s> Top<'s> {
    pub(super) fn of(snapshot: &'s Snapshot) -> Self {
        let top = &snapshot.top;
        let named = |entry: &'s Entry| Named { name: &entry.name, counts: entry.hits.into() };
        Self {
            hosts: top.hosts.iter().map(named).collect(),
            paths: top.paths.iter().map(named).collect(),
            other_hosts: top.other_hosts.into(),
            other_paths: top.other_paths.into(),
        }
    }
}
