//! The key probes, with a line where something goes wrong with them.

use std::time::{Duration, Instant};

use super::complain;
use super::told::{self, Told};
use crate::source::live::{KeyProbe, KeyProbeHealth, ProbedSecret};
use crate::source::probe::{Probe, ProbeOptions};
use crate::watch::ProbeTargets;

/// How often losses are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Probes that say what they could not do.
pub(super) struct ToldProbe {
    probe: Probe,
    health: KeyProbeHealth,
    told: Told,
    next_look: Instant,
}

impl ToldProbe {
    pub(super) fn open(targets: &ProbeTargets) -> Result<Self, String> {
        let options = ProbeOptions { whose: targets.whose(), ..ProbeOptions::default() };
        let probe = Probe::open(&options).map_err(|error| error.to_string())?;
        told::targets(probe.processes());
        let next_look = Instant::now() + LOOK;
        let mut this = Self { probe, health: KeyProbeHealth::default(), told: Told::default(), next_look };
        this.look();
        Ok(this)
    }

    fn look(&mut self) {
        self.health.probed = 0;
        for probed in self.probe.probed() {
            self.health.probed += u64::from(probed.problem.is_none());
            if let Some(problem) = &probed.problem {
                self.told.problem(problem);
            }
        }
        self.told.left_out(self.probe.left_out());
        match self.probe.counts() {
            Ok(counts) => {
                let lost = counts.lost_full.saturating_add(counts.lost_unread);
                if lost > self.health.lost {
                    complain(&format!("{lost} secrets were lost by the key probes so far: connections stay dark"));
                }
                self.health = KeyProbeHealth {
                    taken: counts.taken.saturating_sub(counts.foreign),
                    lost,
                    probed: self.health.probed,
                };
            }
            Err(error) => {
                let error = error.to_string();
                if self.told.is_new(&error) {
                    complain(&error);
                }
            }
        }
    }
}

impl KeyProbe for ToldProbe {
    fn poll(&mut self, take: &mut dyn FnMut(ProbedSecret<'_>)) {
        self.probe.poll(take);
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + LOOK;
            self.look();
        }
    }

    fn health(&mut self) -> KeyProbeHealth {
        self.look();
        self.health
    }
}
