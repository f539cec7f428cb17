//! The key probes, with a line where something goes wrong with them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::complain;
use crate::source::live::{KeyProbe, KeyProbeHealth, ProbedSecret};
use crate::source::probe::{Probe, ProbeOptions};
use crate::watch::ProbeTargets;

/// How often losses are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Most problems that are told.
const MAX_TOLD: usize = 256;

/// Probes that say what they could not do.
pub(super) struct Told {
    probe: Probe,
    health: KeyProbeHealth,
    /// Problems that were told.
    told: HashSet<String>,
    /// That there was too much was told.
    left_out: bool,
    next_look: Instant,
}

impl Told {
    pub(super) fn open(targets: &ProbeTargets) -> Result<Self, String> {
        let options = ProbeOptions { whose: targets.whose(), ..ProbeOptions::default() };
        let probe = Probe::open(&options).map_err(|error| error.to_string())?;
        if let Some(pid) = probe.processes().missing().first() {
            return Err(format!("there is no process {pid}: name one that runs"));
        }
        if probe.processes().wanted() == 0 {
            complain("no process is in what unit and cgroup name: the probe waits for one");
        }
        let mut told = Self {
            probe,
            health: KeyProbeHealth::default(),
            told: HashSet::new(),
            left_out: false,
            next_look: Instant::now() + LOOK,
        };
        told.look();
        Ok(told)
    }

    fn look(&mut self) {
        self.health.probed = 0;
        for probed in self.probe.probed() {
            self.health.probed += u64::from(probed.problem.is_none());
            if let Some(problem) = &probed.problem
                && self.told.len() < MAX_TOLD
                && self.told.insert(problem.clone())
            {
                complain(&format!("cannot probe {}: {problem}", probed.path.display()));
            }
        }
        if self.probe.left_out() > 0 && !std::mem::replace(&mut self.left_out, true) {
            complain(
                "there are more processes and files than the probe can hold: name the ones that matter, by pid, unit or cgroup",
            );
        }
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
