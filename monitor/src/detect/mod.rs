//! What events mean: cases, outcomes, counts. Knows events, never bytes.

use std::sync::Arc;
use std::time::Duration;

use crate::limits::Limits;
use crate::model::{Event, Finding, Stats, Time, Verdict};

/// What an operator may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long after its last reset a request may be asked again and still be the same case (capture time).
    pub window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window: Duration::from_secs(2) }
    }
}

/// Takes events, gives findings and counts. Sans-IO: no bytes, no clock.
#[derive(Debug)]
pub struct Detector {
    settings: Settings,
    limits: Arc<Limits>,
    stats: Stats,
}

impl Detector {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(settings: Settings, limits: Arc<Limits>) -> Self {
        Self { settings, limits, stats: Stats::default() }
    }

    /// Takes the next event, in the order that [`Event`] describes.
    pub fn event(&mut self, event: Event, out: &mut Vec<Finding>) {
        let _ = (&self.settings, &self.limits, event, out);
    }

    /// The capture's clock: decides the cases whose window is over.
    pub fn advance(&mut self, now: Time, out: &mut Vec<Finding>) {
        let _ = (now, out);
    }

    /// The input ended: everything still open is decided.
    pub fn finish(&mut self, now: Time, out: &mut Vec<Finding>) {
        let _ = (now, out);
    }

    /// Every count so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// For what only the runner knows: packets, input, keys.
    pub const fn stats_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// What the counts say so far.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::Nothing
    }
}
