//! Times of which only one question is asked: does one lie in a given window?

use std::time::Duration;

use smallvec::SmallVec;

use crate::model::Time;

/// Any number of times in a handful of runs. A run is no longer than an eighth of a window, so a window that overlaps it holds its first
/// or its last time: the answer is exact.
#[derive(Debug, Default)]
pub(super) struct Runs(SmallVec<[(Time, Time); 2]>);

impl Runs {
    /// Adds a time; forgets runs that ended before `horizon`.
    pub(super) fn add(&mut self, at: Time, window: Duration, horizon: Time) {
        let most = window / 8;
        for (first, last) in self.0.iter_mut().rev() {
            let (low, high) = ((*first).min(at), (*last).max(at));
            if high.since(low) <= most {
                (*first, *last) = (low, high);
                return;
            }
        }
        self.0.retain(|&mut (_, last)| last >= horizon);
        self.0.push((at, at));
    }

    /// One of the times lies after `after` and not after `until`.
    pub(super) fn within(&self, after: Time, until: Time) -> bool {
        let holds = |at: Time| at > after && at <= until;
        self.0.iter().any(|&(first, last)| holds(first) || holds(last))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Runs;
    use crate::model::Time;

    #[test]
    fn runs_answer_as_the_times_themselves_would() {
        let window = Duration::from_nanos(80);
        let mut seed = 1_u64;
        for _ in 0..200 {
            let (mut runs, mut times) = (Runs::default(), Vec::new());
            for _ in 0..20 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = Time(1 + (seed >> 33) % 1_000);
                runs.add(at, window, Time(0));
                times.push(at);
            }
            for from in 0..1_000 {
                let (after, until) = (Time(from), Time(from + 80));
                assert_eq!(runs.within(after, until), times.iter().any(|&at| at > after && at <= until));
            }
        }
    }
}
