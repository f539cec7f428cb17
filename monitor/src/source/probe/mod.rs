//! Keys from the processes that make them: probes at the entry of functions that hold every secret of a handshake once.
//!
//! OpenSSL 3 derives secrets through `EVP_KDF_derive`, Go passes them to `writeKeyLog`. Nothing is probed that runs for each request.
//! Probes sit in files, by inode, so that one covers every process that runs the file, in whatever container, now and later.

mod elf;
mod line;
mod pclntab;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use aya::Ebpf;
use aya::maps::{MapData, MapError, PerCpuArray, RingBuf};
use probe_abi::secret::{Counters, SecretRecord, counter, kind};
use zeroize::Zeroize;

pub use elf::Function;
pub(in crate::source) use elf::functions;

use super::SourceError;
use super::live::ProbedSecret;
use super::object::{self, Sizes, failed, lacks};
use super::processes::{FileId, News, Processes, Whose};
use super::uprobes::{self, Attached, Place, Uprobes};

/// How the probes are made.
#[derive(Clone, Debug)]
pub struct ProbeOptions {
    /// Whose keys are wanted.
    pub whose: Whose,
    /// Bytes of the ring buffer: rounded up to a power of two.
    pub buffer: u32,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self { whose: Whose::All, buffer: 1 << 20 }
    }
}

/// What the probes counted. Every call is unwanted, taken or lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeCounts {
    /// Calls of the probed functions.
    pub calls: u64,
    /// Calls that derive something else.
    pub unwanted: u64,
    /// Secrets taken.
    pub taken: u64,
    /// Secrets that found no room in the ring buffer.
    pub lost_full: u64,
    /// Calls whose arguments could not be read.
    pub lost_unread: u64,
    /// Secrets of processes whose keys are not wanted: wiped at once.
    pub foreign: u64,
    /// Secrets of no known form.
    pub malformed: u64,
}

/// A place that is probed.
#[derive(Debug)]
pub struct Probed {
    /// A path that led to the file.
    pub path: PathBuf,
    /// What is probed in it.
    pub function: Function,
    /// Why it is not.
    pub problem: Option<String>,
    _attached: Attached,
}

/// The probes. Dropping them detaches.
pub struct Probe {
    ebpf: Ebpf,
    uprobes: Uprobes,
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, Counters>,
    processes: Processes,
    /// The places of each file that has some.
    probed: HashMap<FileId, Vec<Probed>>,
    left_out: u64,
    foreign: u64,
    malformed: u64,
}

/// Most files that are probed.
const MAX_PROBED: usize = 1_024;

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe")
            .field("processes", &self.processes)
            .field("probed", &self.probed)
            .finish_non_exhaustive()
    }
}

impl Probe {
    /// Loads the programs, and attaches them to what runs already.
    ///
    /// # Errors
    /// When the kernel refuses the programs.
    pub fn open(options: &ProbeOptions) -> Result<Self, SourceError> {
        let mut ebpf = object::open(Sizes { secret_ring: options.buffer, ..Sizes::default() })?;
        let uprobes = Uprobes::load(&mut ebpf, &[Function::OpenSsl, Function::Go].map(program), false)?;
        let taken = |error: MapError| failed("open the probes' maps", error);
        let ring = RingBuf::try_from(ebpf.take_map("SECRET_RING").ok_or_else(|| lacks("SECRET_RING"))?);
        let counters = PerCpuArray::try_from(ebpf.take_map("SECRET_COUNTERS").ok_or_else(|| lacks("SECRET_COUNTERS"))?);
        let mut probe = Self {
            ring: ring.map_err(taken)?,
            counters: counters.map_err(taken)?,
            ebpf,
            uprobes,
            processes: Processes::new(options.whose.clone()),
            probed: HashMap::new(),
            left_out: 0,
            foreign: 0,
            malformed: 0,
        };
        probe.look();
        Ok(probe)
    }

    /// Gives the secrets that came since the last call, without waiting. Looks for new processes when it is time.
    pub fn poll(&mut self, take: &mut dyn FnMut(ProbedSecret<'_>)) {
        while let Some(record) = self.ring.next().map(|bytes| SecretRecord::read(&bytes)) {
            let Some(mut record) = record else {
                self.malformed += 1;
                continue;
            };
            if !self.processes.wants(record.pid) {
                self.foreign += 1;
            } else if let Some((line, name)) = line::of(&record) {
                let process = self.processes.facts(record.pid);
                let by_transcript = matches!(record.kind, kind::HANDSHAKE | kind::EARLY);
                take(ProbedSecret { line: &line, name, by_transcript, process: &process });
            } else {
                self.malformed += 1;
            }
            record.secret.zeroize();
        }
        self.look();
    }

    /// The places that are probed now.
    pub fn probed(&self) -> impl Iterator<Item = &Probed> {
        self.probed.values().flatten()
    }

    /// The processes whose keys are wanted.
    #[must_use]
    pub const fn processes(&self) -> &Processes {
        &self.processes
    }

    /// Processes and files that were left out because there were too many.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out + self.processes.left_out()
    }

    /// What was counted since the start.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub fn counts(&self) -> Result<ProbeCounts, SourceError> {
        let sum = uprobes::totals(&self.counters, "the probes' counters")?;
        Ok(ProbeCounts {
            calls: sum(counter::CALLS),
            unwanted: sum(counter::UNWANTED),
            taken: sum(counter::TAKEN),
            lost_full: sum(counter::LOST_FULL),
            lost_unread: sum(counter::LOST_UNREAD),
            foreign: self.foreign,
            malformed: self.malformed,
        })
    }

    /// Probes the files that came into use, and leaves those that went out of it.
    fn look(&mut self) {
        let Self { ebpf, uprobes, processes, probed, left_out, .. } = self;
        processes.look(Instant::now(), &mut |news| match news {
            News::Used(used) if probed.len() >= MAX_PROBED => {
                *left_out += u64::from(!elf::functions(&used.file).is_empty())
            }
            News::Used(used) => {
                let places: Vec<Probed> = elf::functions(&used.file)
                    .into_iter()
                    .map(|(function, offset)| {
                        let place = Place { offset, cookie: 0 };
                        let attached = uprobes.attach(ebpf, program(function), &used, &[place]);
                        let problem = attached.problems.first().map(ToString::to_string);
                        Probed { path: used.path.clone(), function, problem, _attached: attached }
                    })
                    .collect();
                if !places.is_empty() {
                    probed.insert(used.id, places);
                }
            }
            News::Unused(file) => {
                probed.remove(&file);
            }
            News::Ended(_) => {}
        });
    }
}

const fn program(function: Function) -> &'static str {
    match function {
        Function::OpenSsl => "h2watch_kdf",
        Function::Go => "h2watch_go",
    }
}
