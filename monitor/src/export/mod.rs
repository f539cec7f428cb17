//! Metrics out: one list of metric families, made from a snapshot of a live run or from the counts of a replay, in three formats.
//!
//! Every series whose labels are bounded is there from the start, at 0, so that the step from 0 to 1 is seen. No label has a value from
//! the wire without a bound: codes, statuses and edges come from closed lists with `other`, servers from a list with a cap.
//! `docs/metrics.md` says what each family means.

mod build;
mod exemplar;
mod family;
mod findings;
mod live;
mod negotiate;
mod openmetrics;
mod process;
mod protobuf;
#[cfg(test)]
mod tests;
mod text;
mod traffic;
mod unseen;

pub use exemplar::Exemplar;
pub use family::{Family, Kind, Labels, Series, Value};
pub use negotiate::{Format, negotiate};

use crate::model::Stats;
use crate::watch::Snapshot;
use exemplar::Latest;

/// Every family of a live run, of the program and of its process. `web_config_fails`: the web configuration cannot be used as it is now.
#[must_use]
pub fn families(snapshot: &Snapshot, web_config_fails: bool) -> Vec<Family> {
    let mut out = of_pipeline(&snapshot.stats, &Latest::of(&snapshot.latest));
    live::families(snapshot, &mut out);
    let help =
        "1 while the web configuration cannot be used as it is now; the web port goes on with what was read before.";
    out.push(Family::gauge("h2watch_web_config_failing", help).only(web_config_fails));
    build::families(&mut out);
    process::families(&mut out);
    out
}

/// The families that a replay has: the counts of the pipeline.
#[must_use]
pub fn families_of_stats(stats: &Stats) -> Vec<Family> {
    of_pipeline(stats, &Latest::default())
}

/// The metrics of a live run as a response's body.
#[must_use]
pub fn encode(snapshot: &Snapshot, web_config_fails: bool, format: Format) -> Vec<u8> {
    encode_families(families(snapshot, web_config_fails), format)
}

/// Families as a response's body.
#[must_use]
pub fn encode_families(families: Vec<Family>, format: Format) -> Vec<u8> {
    match format {
        Format::Text => text::encode(&families).into_bytes(),
        Format::OpenMetrics => openmetrics::encode(families).into_bytes(),
        Format::Protobuf => protobuf::encode(families),
    }
}

fn of_pipeline(stats: &Stats, latest: &Latest) -> Vec<Family> {
    let mut out = Vec::with_capacity(96);
    findings::families(stats, latest, &mut out);
    traffic::families(stats, &mut out);
    unseen::families(stats, &mut out);
    out
}
