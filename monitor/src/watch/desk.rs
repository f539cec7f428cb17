//! Where the findings of a live run go.

use std::collections::VecDeque;
use std::sync::Arc;

use super::clock::Clock;
use super::history::History;
use super::system;
use crate::engine::Listener;
use crate::model::{Finding, Histogram, Stats, Time, Verdict};
use crate::sink::Outputs;
use crate::sink::stream::{EventsTarget, Opened, Stream, StreamHealth};

/// Resets, cases, origin errors and suspicions that the status page shows.
const LATEST: usize = 200;

/// Gaps, dark connections and anomalies that it shows: a flood of these leaves the others in sight.
const NOTES: usize = 100;

/// Takes the findings of a live run, with the system's time instead of the run's.
#[derive(Debug)]
pub struct Desk {
    streams: Vec<Stream>,
    /// The name of the run, in every event.
    run: String,
    summary: Option<Outputs>,
    latest: VecDeque<(u64, Arc<Finding>)>,
    notes: VecDeque<(u64, Arc<Finding>)>,
    /// Findings so far.
    found: u64,
    history: History,
    delay: Histogram,
    /// The system's time is this much later than the run's, wrapping.
    ahead: u64,
}

impl Desk {
    /// A desk whose findings also go to these targets, under the name of the run.
    #[must_use]
    pub fn new(run: String, streams: Vec<Stream>) -> Self {
        Self {
            streams,
            run,
            summary: None,
            latest: VecDeque::new(),
            notes: VecDeque::new(),
            found: 0,
            history: History::default(),
            delay: Histogram::default(),
            ahead: 0,
        }
    }

    /// Findings also go into this summary, which is written at the end.
    pub fn sum_up(&mut self, summary: Outputs) {
        self.summary = Some(summary);
    }

    /// Findings go to these targets from now on. One that stays goes on as it is, opened again; one that goes writes what is queued.
    ///
    /// # Errors
    /// A target cannot be opened; then nothing changes.
    pub(super) fn redirect(&mut self, targets: &[EventsTarget]) -> Result<(), String> {
        let new = targets.iter().filter(|target| self.streams.iter().all(|stream| stream.target() != *target));
        let new = new.map(|target| Opened::open(target)?.start(&self.run)).collect::<Result<Vec<_>, _>>()?;
        self.streams.retain(|stream| targets.contains(stream.target()));
        self.reopen();
        self.streams.extend(new);
        Ok(())
    }

    pub(super) fn at(&mut self, clock: &Clock) {
        self.ahead = clock.shown(Time(0)).0;
    }

    /// Opens what may have been moved away.
    pub(super) fn reopen(&mut self) {
        self.streams.iter_mut().for_each(Stream::reopen);
    }

    /// A round of the run is over.
    pub(super) fn flush(&mut self) {
        self.streams.iter_mut().for_each(Stream::flush);
    }

    pub(super) fn streams(&self) -> Vec<StreamHealth> {
        self.streams.iter().map(Stream::health).collect()
    }

    pub(super) const fn delay(&self) -> &Histogram {
        &self.delay
    }

    /// The latest findings with their numbers, oldest first.
    pub(super) fn latest(&self) -> (Vec<u64>, Vec<Arc<Finding>>) {
        let mut all: Vec<_> = self.latest.iter().chain(&self.notes).cloned().collect();
        all.sort_unstable_by_key(|&(number, _)| number);
        all.into_iter().unzip()
    }

    pub(super) const fn history(&mut self) -> &mut History {
        &mut self.history
    }

    /// The run is over: what is queued is written, the counts behind it, and the summary.
    ///
    /// # Errors
    /// Targets that failed, one line each.
    pub fn finish(self, stats: &Stats, verdict: Verdict) -> Result<(), Vec<String>> {
        let finish = |stream: Stream| stream.finish(stats, verdict).err();
        let mut failed: Vec<String> = self.streams.into_iter().filter_map(finish).collect();
        if let Some(summary) = self.summary {
            failed.extend(summary.finish(stats, verdict).err().into_iter().flatten());
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }
}

impl Listener for Desk {
    fn finding(&mut self, finding: &Finding) {
        let mut finding = finding.clone();
        finding.shift(self.ahead);
        if let Finding::Reset(reset) = &finding {
            self.delay.record(system::now().since(reset.time));
        }
        if let Some(summary) = &mut self.summary {
            summary.finding(&finding);
        }
        let finding = Arc::new(finding);
        for stream in &mut self.streams {
            stream.finding(&finding);
        }
        self.history.finding(&finding);
        self.found += 1;
        let (ring, cap) = match *finding {
            Finding::Gap { .. } | Finding::Dark(_) | Finding::Anomaly { .. } => (&mut self.notes, NOTES),
            _ => (&mut self.latest, LATEST),
        };
        if ring.len() >= cap {
            ring.pop_front();
        }
        ring.push_back((self.found, finding));
    }
}
