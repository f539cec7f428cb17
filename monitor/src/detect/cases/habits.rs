//! Clients that ask every refused request the same number of times.
//!
//! On a busy machine the repeats of an edge come later than those of an idle one, and then nothing tells them from another visitor's
//! request but their number: an edge that asks four times asks four times. What is joined by that leaves the number of cases as it is,
//! whoever's requests they are, as long as the habit holds; and a single case that breaks it ends the trust in it.

use std::time::Duration;

use super::super::connections::Map;
use super::{Case, REPEAT_WITHIN};
use crate::model::Protocol;

/// How soon a repeat comes that has to come.
const DUE_WITHIN: Duration = Duration::from_millis(250);

/// Cases in a row that make a habit.
const PROOF: u8 = 3;

/// Clients that are known; when there are more, all of them have to prove themselves anew.
const KEPT: usize = 1_024;

/// How often a client asked each of its last refused requests.
#[derive(Clone, Copy, Debug, Default)]
struct Habit {
    attempts: u64,
    /// Cases in a row with that number.
    cases: u8,
}

/// What clients do, by who asks and whom.
#[derive(Debug, Default)]
pub(super) struct Habits(Map<(u64, u64), Habit>);

impl Habits {
    /// A case is decided.
    pub(super) fn learn(&mut self, case: &Case) {
        let brief = &case.loss.brief;
        if case.claim.is_some() || case.reset_count == 0 || brief.target == 0 || brief.protocol == Protocol::Http1 {
            return;
        }
        let who = (brief.who, brief.server);
        if self.0.len() >= KEPT && !self.0.contains_key(&who) {
            self.0.clear();
        }
        let habit = self.0.entry(who).or_default();
        let same = habit.attempts == case.attempts;
        *habit = Habit { attempts: case.attempts, cases: if same { habit.cases.saturating_add(1) } else { 1 } };
    }

    /// How soon after its last reset a repeat of this case comes.
    pub(super) fn within(&self, case: &Case) -> Duration {
        let brief = &case.loss.brief;
        let habit = self.0.get(&(brief.who, brief.server)).filter(|habit| habit.cases >= PROOF);
        // Asked less often than its client asks: there is more to come.
        if habit.is_some_and(|habit| case.attempts < habit.attempts) { DUE_WITHIN } else { REPEAT_WITHIN }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.0.len()
    }
}
