//! What happened lately: the last half hour in steps, and the hosts and paths of the last hour. Everything here has a fixed size.

mod top;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{CaseKind, ErrorCode, Finding, Outcome, Stats, Time};
use crate::source::live::InterfaceHealth;

use top::Tops;
pub use top::{Entry, Hits, Top};

/// Codes that have a count of their own in a step, in the order of [`ErrorCode::ALL`], and one more for all others.
pub const CODES: usize = ErrorCode::ALL.len() + 1;

/// What was counted within one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Requests.
    pub requests: u64,
    /// 5xx that the server which was asked made itself.
    pub origin_errors: u64,
    /// RST_STREAM and GOAWAY by code: [`CODES`] of them.
    pub resets: [u64; CODES],
    /// Cases of kind downgrade by outcome: retried, given up, truncated, unknown.
    pub downgrade: [u64; 4],
    /// Cases of kind failure by outcome, in the same order.
    pub failure: [u64; 4],
    /// Of the retried, those whose retry failed the visitor as well: downgrades, failures.
    pub retry_failed: [u64; 2],
    /// Downgrades that are only suspected.
    pub suspected: u64,
    /// Connections.
    pub connections: u64,
    /// Connections that went dark and may hide HTTP.
    pub dark: u64,
    /// Packets that the kernel, a driver or the source lost.
    pub lost: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Of these, bytes that could not be read.
    pub unread: u64,
}

/// Packets that the kernel, a driver or the source lost since the start.
#[must_use]
pub fn lost(stats: &Stats, interfaces: &[InterfaceHealth]) -> u64 {
    let dropped: u64 = interfaces.iter().map(|it| it.dropped_kernel + it.dropped_interface).sum();
    // A source passes on what its interfaces dropped, or it does not: the same packets are not counted twice.
    dropped.max(stats.input.lost)
}

/// The outcomes in the order of [`Step::downgrade`] and [`Step::failure`].
const OUTCOMES: [Outcome; 4] = [Outcome::Retried, Outcome::GivenUp, Outcome::Truncated, Outcome::Unknown];

impl Step {
    /// Everything since the start.
    fn since_start(stats: &Stats, interfaces: &[InterfaceHealth]) -> Self {
        let mut resets = [0; CODES];
        for ((_, code, ..), count) in &stats.resets {
            let at = ErrorCode::ALL.iter().position(|known| known == code).unwrap_or(CODES - 1);
            if let Some(sum) = resets.get_mut(at) {
                *sum += count;
            }
        }
        if let Some(others) = resets.last_mut() {
            *others += stats.resets_beyond.values().sum::<u64>();
        }
        let cases = |kind: CaseKind| {
            OUTCOMES.map(|outcome| {
                let of = stats.cases.iter().filter(|((k, o, _), _)| *k == kind && *o == outcome);
                of.map(|(_, count)| count).sum()
            })
        };
        let retry_failed = |kind: CaseKind| {
            let of = stats.failed_retries.iter().filter(|((k, _), _)| *k == kind);
            of.map(|(_, count)| count).sum()
        };
        Self {
            requests: stats.requests.values().sum(),
            origin_errors: stats.origin_errors.values().sum(),
            resets,
            downgrade: cases(CaseKind::Downgrade),
            failure: cases(CaseKind::Failure),
            retry_failed: [CaseKind::Downgrade, CaseKind::Failure].map(retry_failed),
            suspected: stats.suspected,
            connections: stats.connections.total,
            dark: stats.connections.hiding(),
            lost: lost(stats, interfaces),
            bytes: stats.connections.bytes,
            unread: stats.connections.unread,
        }
    }

    /// Applies `with` to each count and the one in `other`.
    fn zip(mut self, other: &Self, with: fn(u64, u64) -> u64) -> Self {
        let pairs = [
            (&mut self.requests, other.requests),
            (&mut self.origin_errors, other.origin_errors),
            (&mut self.suspected, other.suspected),
            (&mut self.connections, other.connections),
            (&mut self.dark, other.dark),
            (&mut self.lost, other.lost),
            (&mut self.bytes, other.bytes),
            (&mut self.unread, other.unread),
        ];
        let lists = self.resets.iter_mut().zip(other.resets);
        let lists = lists.chain(self.downgrade.iter_mut().zip(other.downgrade));
        let lists = lists.chain(self.retry_failed.iter_mut().zip(other.retry_failed));
        for (mine, others) in pairs.into_iter().chain(lists).chain(self.failure.iter_mut().zip(other.failure)) {
            *mine = with(*mine, others);
        }
        self
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// Cases whose visitor was failed: given up, truncated, or asked again to no avail, of either kind.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        let ([_, given_up, truncated, _], [_, failed, cut, _]) = (self.downgrade, self.failure);
        let alone = given_up.saturating_add(truncated).saturating_add(failed).saturating_add(cut);
        alone.saturating_add(self.failed_again())
    }

    /// Cases that were asked again, and that failed as well.
    #[must_use]
    pub const fn failed_again(&self) -> u64 {
        let [downgrade, failure] = self.retry_failed;
        downgrade.saturating_add(failure)
    }
}

/// The last half hour.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// Steps that are over, oldest first: at most [`Steps::KEPT`].
    pub over: Arc<VecDeque<Step>>,
    /// The step that is not over yet.
    pub open: Step,
    /// When that began.
    pub open_since: Time,
}

impl Steps {
    /// Length of a step.
    pub const LENGTH: Duration = Duration::from_secs(5);

    /// Steps that are kept.
    pub const KEPT: usize = 360;

    /// Everything within the last `count` steps and the open one.
    #[must_use]
    pub fn last(&self, count: usize) -> Step {
        self.over.iter().rev().take(count).fold(self.open, Step::plus)
    }
}

/// Gathers what happened lately.
#[derive(Debug, Default)]
pub struct History {
    steps: Steps,
    /// Everything since the start, at the last look.
    before: Step,
    started: bool,
    tops: Tops,
}

impl History {
    /// Takes a finding.
    pub fn finding(&mut self, finding: &Finding) {
        self.tops.finding(finding);
    }

    /// Looks at the counts. `now` never goes back.
    pub fn observe(&mut self, now: Time, stats: &Stats, interfaces: &[InterfaceHealth]) {
        let since_start = Step::since_start(stats, interfaces);
        let new = since_start.zip(&self.before, u64::saturating_sub);
        self.before = since_start;
        if !self.started {
            self.started = true;
            self.steps.open_since = now;
        }
        // What is new happened since the last look, when the open step was open.
        self.steps.open = self.steps.open.plus(&new);
        let over = now.since(self.steps.open_since).as_nanos() / Steps::LENGTH.as_nanos();
        for _ in 0..over.min(Steps::KEPT as u128) {
            let kept = Arc::make_mut(&mut self.steps.over);
            if kept.len() >= Steps::KEPT {
                kept.pop_front();
            }
            kept.push_back(std::mem::take(&mut self.steps.open));
        }
        let over = u32::try_from(over).unwrap_or(u32::MAX);
        self.steps.open_since = self.steps.open_since.plus(Steps::LENGTH.saturating_mul(over));
        self.tops.at(now);
    }

    /// The last half hour; [`Steps::open_since`] is in the time that [`observe`](Self::observe) was given.
    #[must_use]
    pub fn steps(&self) -> Steps {
        self.steps.clone()
    }

    /// Hosts and paths of the last hour.
    #[must_use]
    pub fn top(&mut self) -> Arc<Top> {
        self.tops.top()
    }
}

#[cfg(test)]
mod tests {
    use super::{History, Steps};
    use crate::model::{CaseKind, ErrorCode, Outcome, Phase, Protocol, RetryFailure, Side, Stats, Time};
    use crate::source::live::InterfaceHealth;

    const SECOND: u64 = 1_000_000_000;

    fn requests(count: u64) -> Stats {
        let mut stats = Stats::default();
        stats.requests.insert(Protocol::H2, count);
        stats
    }

    #[test]
    fn steps_hold_what_was_new_in_them() {
        let mut history = History::default();
        history.observe(Time(100 * SECOND), &requests(3), &[]);
        history.observe(Time(104 * SECOND), &requests(10), &[]);
        assert_eq!((history.steps().over.len(), history.steps().open.requests), (0, 10));
        history.observe(Time(105 * SECOND), &requests(11), &[]);
        history.observe(Time(106 * SECOND), &requests(15), &[]);
        let steps = history.steps();
        assert_eq!(steps.over.iter().map(|step| step.requests).collect::<Vec<_>>(), [11]);
        assert_eq!((steps.open.requests, steps.open_since), (4, Time(105 * SECOND)));
        assert_eq!(steps.last(60).requests, 15);
        assert_eq!(steps.last(0).requests, 4);
    }

    #[test]
    fn a_long_pause_leaves_empty_steps_and_no_more_than_are_kept() {
        let mut history = History::default();
        history.observe(Time(0), &requests(1), &[]);
        history.observe(Time(17 * SECOND), &requests(2), &[]);
        assert_eq!(history.steps().over.iter().map(|step| step.requests).collect::<Vec<_>>(), [2, 0, 0]);
        history.observe(Time(u64::MAX), &requests(9), &[]);
        history.observe(Time(u64::MAX), &requests(9), &[]);
        assert_eq!(history.steps().over.len(), Steps::KEPT);
    }

    #[test]
    fn counts_are_spread_by_code_and_outcome() {
        let mut stats = Stats::default();
        for (code, count) in [(ErrorCode::HTTP_1_1_REQUIRED, 5), (ErrorCode(0xff), 2), (ErrorCode(0x100), 3)] {
            stats.resets.insert(("RST_STREAM", code, Side::Server, Phase::BeforeResponse), count);
        }
        stats.cases.insert((CaseKind::Downgrade, Outcome::GivenUp, None), 4);
        stats.cases.insert((CaseKind::Failure, Outcome::Truncated, None), 1);
        stats.cases.insert((CaseKind::Failure, Outcome::Retried, None), 7);
        stats.failed_retries = [
            ((CaseKind::Failure, RetryFailure::ServerError), 2),
            ((CaseKind::Failure, RetryFailure::Truncated), 1),
            ((CaseKind::Downgrade, RetryFailure::NoResponse), 4),
        ]
        .into();
        let mut history = History::default();
        let interface = InterfaceHealth { dropped_kernel: 3, dropped_interface: 1, ..Default::default() };
        history.observe(Time(0), &stats, &[interface]);
        let open = history.steps().open;
        assert_eq!((open.resets[13], open.resets[14], open.resets.iter().sum::<u64>()), (5, 5, 10));
        assert_eq!((open.downgrade, open.failure), ([0, 4, 0, 0], [7, 0, 1, 0]));
        assert_eq!(open.retry_failed, [4, 3]);
        assert_eq!((open.failed(), open.lost), (12, 4));
    }

    #[test]
    fn counts_that_fall_count_nothing() {
        let mut history = History::default();
        history.observe(Time(0), &requests(5), &[]);
        history.observe(Time(1), &requests(2), &[]);
        history.observe(Time(2), &requests(3), &[]);
        assert_eq!(history.steps().open.requests, 6);
    }
}
