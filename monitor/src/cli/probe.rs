//! The key probes, with a line where something goes wrong with them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::complain;
use crate::source::live::{KeyProbe, KeyProbeHealth};
use crate::source::probe::{Probe, ProbeOptions, Whose};
use crate::watch::ProbeTargets;

/// How often losses are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Probes that say what they could not do.
pub(super) struct Told {
    probe: Probe,
    health: KeyProbeHealth,
    /// Places in the list of what is probed that were looked at.
    looked: usize,
    /// Problems that were told.
    told: HashSet<String>,
    next_look: Instant,
}

impl Told {
    pub(super) fn open(targets: &ProbeTargets) -> Result<Self, String> {
        let whose = if targets.pids.is_empty() { Whose::All } else { Whose::Processes(targets.pids.clone()) };
        let probe =
            Probe::open(&ProbeOptions { whose, ..ProbeOptions::default() }).map_err(|error| error.to_string())?;
        let mut told = Self {
            probe,
            health: KeyProbeHealth::default(),
            looked: 0,
            told: HashSet::new(),
            next_look: Instant::now() + LOOK,
        };
        told.look();
        Ok(told)
    }

    fn look(&mut self) {
        for probed in self.probe.probed().iter().skip(self.looked) {
            self.health.probed += u64::from(probed.problem.is_none());
            if let Some(problem) = &probed.problem
                && self.told.insert(problem.clone())
            {
                complain(&format!("cannot probe {}: {problem}", probed.path.display()));
            }
        }
        self.looked = self.probe.probed().len();
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
                if self.told.insert(error.clone()) {
                    complain(&error);
                }
            }
        }
    }
}

impl KeyProbe for Told {
    fn poll(&mut self, take: &mut dyn FnMut(&[u8])) {
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
