//! Where the findings of a live run go.

use std::collections::VecDeque;
use std::sync::Arc;

use super::clock::Clock;
use super::system;
use crate::engine::Listener;
use crate::model::{Finding, Histogram, Time};
use crate::sink::stream::{Stream, StreamHealth};

/// Findings that the status page shows.
const LATEST: usize = 200;

/// Takes the findings of a live run, with the system's time instead of the run's.
#[derive(Debug)]
pub struct Desk {
    streams: Vec<Stream>,
    latest: VecDeque<Arc<Finding>>,
    delay: Histogram,
    /// The system's time is this much later than the run's, wrapping.
    ahead: u64,
}

impl Desk {
    /// A desk whose findings also go to these targets.
    #[must_use]
    pub fn new(streams: Vec<Stream>) -> Self {
        Self { streams, latest: VecDeque::new(), delay: Histogram::default(), ahead: 0 }
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

    /// The run is over: what is queued is written.
    ///
    /// # Errors
    /// Targets that failed, one line each.
    pub fn finish(self) -> Result<(), Vec<String>> {
        let failed: Vec<String> = self.streams.into_iter().filter_map(|stream| stream.finish().err()).collect();
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
