//! `/api/v1/events`: the latest findings, as the events file has them.

use serde::Serialize;

use crate::model::Finding;
use crate::sink::Line;
use crate::watch::Snapshot;
use crate::web::query::Query;

/// Events in an answer, unless another number is asked for; and the largest that can be.
const USUAL: usize = 50;
const MOST: usize = 300;

const KINDS: [&str; 7] = ["reset", "case", "origin_error", "suspected", "gap", "dark", "anomaly"];

/// Which events are wanted.
#[derive(Debug)]
pub(in crate::web) struct Wanted {
    limit: usize,
    /// Only events with a higher number.
    since: u64,
    /// By place in [`KINDS`].
    kinds: [bool; KINDS.len()],
}

/// The place of a finding's kind in [`KINDS`].
const fn kind(finding: &Finding) -> usize {
    match finding {
        Finding::Reset(_) => 0,
        Finding::Case(_) => 1,
        Finding::OriginError(_) => 2,
        Finding::Suspected(_) => 3,
        Finding::Gap { .. } => 4,
        Finding::Dark(_) => 5,
        Finding::Anomaly { .. } => 6,
    }
}

impl Wanted {
    pub(super) fn read(query: Query<'_>) -> Result<Self, String> {
        query.only(&["limit", "since", "kind"])?;
        let limit = query.number("limit")?.map_or(USUAL, |limit| usize::try_from(limit).unwrap_or(MOST).min(MOST));
        let mut kinds = [query.get("kind").is_none(); KINDS.len()];
        for name in query.get("kind").into_iter().flat_map(|names| names.split(',')) {
            let at = KINDS.iter().position(|known| *known == name);
            let wanted = at.and_then(|at| kinds.get_mut(at));
            *wanted.ok_or_else(|| format!("unknown kind: known are {}", KINDS.join(", ")))? = true;
        }
        Ok(Self { limit, since: query.number("since")?.unwrap_or(0), kinds })
    }
}

/// Events, the newest first.
#[derive(Debug, Serialize)]
pub(super) struct Events<'s> {
    /// The number of the newest finding of the run: `since` for the next request.
    newest: u64,
    events: Vec<Numbered<'s>>,
}

#[derive(Debug, Serialize)]
struct Numbered<'s> {
    number: u64,
    event: Line<'s>,
}

impl<'s> Events<'s> {
    pub(super) fn of(snapshot: &'s Snapshot, wanted: &Wanted) -> Self {
        let all = snapshot.latest_numbers.iter().zip(&snapshot.latest).rev();
        let matching = all.filter(|&(&number, finding)| {
            number > wanted.since && wanted.kinds.get(kind(finding)).copied().unwrap_or(false)
        });
        Self {
            newest: snapshot.latest_numbers.last().copied().unwrap_or(0),
            events: matching
                .take(wanted.limit)
                .map(|(&number, finding)| Numbered { number, event: Line::from(&**finding) })
                .collect(),
        }
    }
}
