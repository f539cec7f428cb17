//! Where the findings of a live run go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;

use super::clock::Clock;
use super::system;
use crate::engine::Listener;
use crate::model::{Finding, Histogram, Stats, Time, Verdict};
use crate::sink::Outputs;
use crate::sink::stream::{EventsTarget, Opened, Stream, StreamHealth};

/// Findings that the status page shows.
const LATEST: usize = 200;

/// Takes the findings of a live run, with the system's time instead of the run's.
#[derive(Debug)]
pub struct Desk {
    streams: Vec<Stream>,
    /// The run's name in them.
    run: String,
    summary: Option<Outputs>,
    latest: VecDeque<Arc<Finding>>,
    delay: Histogram,
    /// The system's time is this much later than the run's, wrapping.
    ahead: u64,
}

impl Desk {
    /// A desk whose findings also go to these targets, which know the run by this name.
    #[must_use]
    pub fn new(streams: Vec<Stream>, run: &str) -> Self {
        Self {
            streams,
            run: run.to_owned(),
            summary: None,
            latest: VecDeque::new(),
            delay: Histogram::default(),
            ahead: 0,
        }
    }

    /// Findings also go into this summary, which is written at the end.
    pub fn sum_up(&mut self, summary: Outputs) {
        self.summary = Some(summary);
    }

    /// Findings go to other targets from now on; those before get the counts so far and end.
    ///
    /// # Errors
    /// A target cannot be opened; then nothing changes.
    pub(super) fn redirect(&mut self, targets: &[EventsTarget], stats: &Stats, verdict: Verdict) -> Result<(), String> {
        let opened = targets.iter().map(Opened::open).collect::<Result<Vec<_>, _>>()?;
        let streams = opened.into_iter().map(|target| target.start(&self.run)).collect::<Result<_, _>>()?;
        let before = std::mem::replace(&mut self.streams, streams);
        let stats = stats.clone();
        // A slow target is not waited for here.
        thread::spawn(move || before.into_iter().for_each(|stream| drop(stream.finish(&stats, verdict))));
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

    pub(super) fn latest(&self) -> Vec<Arc<Finding>> {
        self.latest.iter().cloned().collect()
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
        if self.latest.len() >= LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back(finding);
    }
}
