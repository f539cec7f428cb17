//! Which events the series count last.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{CaseKind, Edge, ErrorCode, Finding, Histogram, Outcome, Phase, Side, Time};

/// An event that a series counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// The letter of the event's id.
    pub letter: char,
    /// The number of the event's id.
    pub number: u64,
    /// What it added: 1, or a span in seconds.
    pub value: f64,
    /// When it was.
    pub time: Time,
}

impl Exemplar {
    /// The name of the only label.
    pub(super) const LABEL: &'static str = "event_id";

    /// The event's id, as events have it.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}{}", self.letter, self.number)
    }
}

/// Frame, code, sender and phase of a reset.
pub(super) type ResetKey = (&'static str, Option<&'static str>, Side, Phase);

/// The latest events, by the series that count them.
#[derive(Debug, Default)]
pub(super) struct Latest {
    pub(super) resets: BTreeMap<ResetKey, Exemplar>,
    pub(super) cases: BTreeMap<(CaseKind, Outcome, Option<Edge>), Exemplar>,
    pub(super) origin_errors: BTreeMap<u16, Exemplar>,
    pub(super) suspected: Option<Exemplar>,
    ages: BTreeMap<usize, Exemplar>,
    delays: BTreeMap<usize, Exemplar>,
}

impl Latest {
    /// Of findings, oldest first.
    pub(super) fn of(findings: &[Arc<Finding>]) -> Self {
        let mut this = Self::default();
        for finding in findings {
            this.add(finding);
        }
        this
    }

    fn add(&mut self, finding: &Finding) {
        match finding {
            Finding::Reset(reset) => {
                let one = Exemplar { letter: 'r', number: reset.id, value: 1.0, time: reset.time };
                self.resets.insert((reset.frame.name(), reset.code.name(), reset.sender, reset.phase), one);
                if let Some(age) = reset.age {
                    self.ages.insert(Histogram::bucket(age), Exemplar { value: age.as_secs_f64(), ..one });
                }
            }
            Finding::Case(case) => {
                let one = Exemplar { letter: 'c', number: case.id, value: 1.0, time: case.time };
                self.cases.insert((case.kind, case.outcome, case.edge), one);
                if let Some(retry) = &case.retry {
                    let value = retry.delay.as_secs_f64();
                    self.delays.insert(Histogram::bucket(retry.delay), Exemplar { value, ..one });
                }
            }
            Finding::OriginError(error) => {
                let one = Exemplar { letter: 'o', number: error.id, value: 1.0, time: error.time };
                self.origin_errors.insert(error.status, one);
            }
            Finding::Suspected(suspected) => {
                self.suspected = Some(Exemplar { letter: 's', number: suspected.id, value: 1.0, time: suspected.time });
            }
            Finding::Gap { .. } | Finding::Dark(_) | Finding::Anomaly { .. } => {}
        }
    }

    /// The latest reset of a series; a code without a name is `None`.
    pub(super) fn reset(
        &self,
        frame: &'static str,
        code: Option<ErrorCode>,
        by: Side,
        phase: Phase,
    ) -> Option<Exemplar> {
        self.resets.get(&(frame, code.and_then(ErrorCode::name), by, phase)).copied()
    }

    pub(super) fn ages(&self) -> Vec<(usize, Exemplar)> {
        self.ages.iter().map(|(&at, &exemplar)| (at, exemplar)).collect()
    }

    pub(super) fn delays(&self) -> Vec<(usize, Exemplar)> {
        self.delays.iter().map(|(&at, &exemplar)| (at, exemplar)).collect()
    }
}
