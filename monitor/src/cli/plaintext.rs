//! The plaintext probes, with a line where something goes wrong with them.

use std::time::{Duration, Instant};

use super::complain;
use super::told::{self, Told};
use crate::model::{KernelResets, PacketBatch};
use crate::source::SourceError;
use crate::source::live::{InterfaceHealth, LiveSource};
use crate::source::plain::{Plain, PlainOptions};
use crate::watch::PlaintextOptions;

/// How often problems and losses are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Probes that say what they could not do.
pub(super) struct ToldPlaintext {
    plain: Plain,
    told: Told,
    /// Records that were lost, as told.
    lost: u64,
    next_look: Instant,
}

impl ToldPlaintext {
    /// `beside`: packets of the same connections are read as well.
    pub(super) fn open(options: &PlaintextOptions, beside: bool) -> Result<Self, String> {
        let options = PlainOptions {
            whose: options.targets.whose(),
            buffer: u32::try_from(options.buffer).unwrap_or(u32::MAX),
            kernel_only: options.kernel_only,
            names: beside,
            ..PlainOptions::default()
        };
        let plain = Plain::open(&options).map_err(|error| error.to_string())?;
        told::targets(plain.processes());
        let mut this = Self { plain, told: Told::default(), lost: 0, next_look: Instant::now() + LOOK };
        this.look();
        Ok(this)
    }

    fn look(&mut self) {
        for problem in self.plain.probed().filter_map(|probed| probed.problem.as_ref()) {
            self.told.problem(problem);
        }
        self.told.left_out(self.plain.left_out());
        for health in self.plain.health() {
            if let Some(error) = health.error.filter(|_| !health.up)
                && self.told.is_new(&error)
            {
                complain(&format!("plaintext: {error}"));
            }
            if health.dropped_kernel > self.lost {
                self.lost = health.dropped_kernel;
                complain(&format!("{} records of plaintext were lost so far: raise --buffer", self.lost));
            }
        }
    }
}

impl LiveSource for ToldPlaintext {
    fn fill(&mut self, batch: &mut PacketBatch<'static>, wait: Duration) -> Result<bool, SourceError> {
        if Instant::now() >= self.next_look {
            self.next_look = Instant::now() + LOOK;
            self.look();
        }
        self.plain.fill(batch, wait)
    }

    fn lag(&self) -> Duration {
        self.plain.lag()
    }

    fn health(&mut self) -> Vec<InterfaceHealth> {
        self.plain.health()
    }

    fn kernel_resets(&mut self) -> Option<KernelResets> {
        self.plain.kernel_resets()
    }
}
