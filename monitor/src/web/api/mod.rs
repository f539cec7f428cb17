//! `/api/v1`: what the status page and other programs read. `docs/api.md` describes every field.

mod events;
mod health;
mod lately;

use std::time::Duration;

use serde::Serialize;

use super::headline::Headline;
use super::query::Query;
use crate::model::Time;
use crate::sink::{Count, SCHEMA, Spans, Summary, write_json};
use crate::watch::Snapshot;
use events::Wanted;

/// A part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Status,
    Resets,
    Cases,
    Events,
    History,
    Top,
    Build,
}

/// A part, with what was asked of it.
#[derive(Debug)]
pub(super) enum Request {
    Whole(Part),
    Events(Wanted),
}

/// What answers are made from.
#[derive(Debug)]
pub(super) struct About<'s> {
    pub(super) snapshot: &'s Snapshot,
    /// Since the snapshot.
    pub(super) age: Duration,
    /// Why the web configuration cannot be read again.
    pub(super) config_error: Option<String>,
}

/// A request that makes no sense.
#[derive(Debug, Serialize)]
pub(super) struct Refused<'w> {
    schema: &'static str,
    error: &'w str,
}

impl<'w> Refused<'w> {
    pub(super) const fn new(why: &'w str) -> Self {
        Self { schema: SCHEMA, error: why }
    }
}

/// What every answer begins with.
#[derive(Debug, Serialize)]
struct Head {
    schema: &'static str,
    snapshot: u64,
    time: Time,
}

impl From<&Snapshot> for Head {
    fn from(snapshot: &Snapshot) -> Self {
        Self { schema: SCHEMA, snapshot: snapshot.number, time: snapshot.at }
    }
}

#[derive(Debug, Serialize)]
struct With<T: Serialize> {
    #[serde(flatten)]
    head: Head,
    #[serde(flatten)]
    rest: T,
}

#[derive(Debug, Serialize)]
struct Status<'s> {
    headline: Headline,
    #[serde(flatten)]
    health: health::Health<'s>,
    counts: Option<Summary<'s>>,
}

#[derive(Debug, Serialize)]
struct Resets {
    resets: Vec<Count>,
    unverified_resets: u64,
    request_to_reset: Spans,
    detection_delay: Spans,
}

#[derive(Debug, Serialize)]
struct Cases {
    cases: Vec<Count>,
    bases: Vec<Count>,
    unknown: Vec<Count>,
    retries: Vec<Count>,
    reset_to_retry: Spans,
    origin_errors: Vec<Count>,
    unattributed_errors: Vec<Count>,
    suspected: u64,
}

#[derive(Debug, Serialize)]
struct Build {
    schema: &'static str,
    version: &'static str,
    capture: bool,
}

impl Part {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "status" => Self::Status,
            "resets" => Self::Resets,
            "cases" => Self::Cases,
            "events" => Self::Events,
            "history" => Self::History,
            "top" => Self::Top,
            "build" => Self::Build,
            _ => return None,
        })
    }

    /// Reads the parameters.
    pub(super) fn request(self, query: Query<'_>) -> Result<Request, String> {
        if self == Self::Events {
            return Wanted::read(query).map(Request::Events);
        }
        query.only(&[]).map(|()| Request::Whole(self))
    }
}

impl Request {
    /// The name under which the answer to all who ask for the same is kept.
    pub(super) fn cached(&self) -> Option<&'static str> {
        match self {
            // The age of the snapshot is in it.
            Self::Whole(Part::Status) | Self::Events(_) => None,
            Self::Whole(Part::Resets) => Some("resets"),
            Self::Whole(Part::Cases) => Some("cases"),
            Self::Whole(Part::History) => Some("history"),
            Self::Whole(Part::Top) => Some("top"),
            Self::Whole(Part::Build | Part::Events) => Some("build"),
        }
    }

    pub(super) fn json(&self, about: &About<'_>) -> Vec<u8> {
        let snapshot = about.snapshot;
        let part = match self {
            Self::Events(wanted) => return written(snapshot, events::Events::of(snapshot, wanted)),
            Self::Whole(part) => part,
        };
        let stats = &snapshot.stats;
        let summary = snapshot.verdict.map(|verdict| Summary::of(stats, verdict));
        match part {
            Part::Status => {
                let headline = Headline::of(snapshot, about.age);
                written(snapshot, Status { headline, health: health::Health::of(about), counts: summary })
            }
            Part::Resets => written(
                snapshot,
                summary.map(|summary| Resets {
                    resets: summary.resets,
                    unverified_resets: summary.unverified_resets,
                    request_to_reset: summary.request_to_reset,
                    detection_delay: Spans::from(&snapshot.delay),
                }),
            ),
            Part::Cases => written(
                snapshot,
                summary.map(|summary| Cases {
                    cases: summary.cases,
                    bases: summary.bases,
                    unknown: summary.unknown,
                    retries: summary.retries,
                    reset_to_retry: summary.reset_to_retry,
                    origin_errors: summary.origin_errors,
                    unattributed_errors: summary.unattributed_errors,
                    suspected: summary.suspected,
                }),
            ),
            Part::History => written(snapshot, lately::History::of(snapshot)),
            Part::Top => written(snapshot, lately::Top::of(snapshot)),
            Part::Build | Part::Events => {
                let capture = cfg!(feature = "pcap");
                let mut out = Vec::new();
                // Into memory: cannot fail.
                let _ = write_json(&mut out, &Build { schema: SCHEMA, version: env!("CARGO_PKG_VERSION"), capture });
                out
            }
        }
    }
}

fn written(snapshot: &Snapshot, rest: impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 << 10);
    // Into memory: cannot fail.
    let _ = write_json(&mut out, &With { head: Head::from(snapshot), rest });
    out
}

#[cfg(test)]
mod tests;
