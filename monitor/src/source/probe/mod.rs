//! Keys from the processes that make them: probes at the entry of functions that hold every secret of a handshake once.
//!
//! OpenSSL 3 derives secrets through `EVP_KDF_derive`, Go passes them to `writeKeyLog`. Nothing is probed that runs for each request.
//! Probes sit in files, by inode, so that one covers every process that runs the file, in whatever container, now and later.

mod elf;
mod line;
mod pclntab;
mod process;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::uprobe::{UProbeAttachLocation, UProbeScope};
use aya::programs::{ProgramError, UProbe};
use probe_abi::secret::{Counters, SecretRecord, counter};
use zeroize::Zeroize;

pub use elf::Function;

use super::SourceError;
use super::object::{self, failed, lacks};
use process::Inode;

/// Whose keys are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of every process.
    All,
    /// Those of these processes, and of their children.
    Processes(Vec<u32>),
}

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

/// A file that is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// A path that led to it.
    pub path: PathBuf,
    /// What is probed in it.
    pub function: Function,
    /// Why it is not.
    pub problem: Option<String>,
}

/// The probes. Dropping them detaches.
pub struct Probe {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, Counters>,
    whose: Whose,
    /// Processes that were looked at: when they started, when to look again, and after how long the time after that.
    known: HashMap<u32, Known>,
    roots: HashSet<Inode>,
    files: HashSet<Inode>,
    probed: Vec<Probed>,
    next_look: Instant,
    foreign: u64,
    malformed: u64,
}

#[derive(Debug)]
struct Known {
    started: u64,
    again: Instant,
    pause: Duration,
    wanted: bool,
}

/// How often new processes are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// A process may load libraries later: it is looked at again after this time, then after twice that, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Most files that are looked into.
const MAX_FILES: usize = 65_536;
/// Most files that are probed.
const MAX_PROBED: usize = 1_024;
/// Most steps from a process to the parent that is asked for.
const MAX_DEPTH: usize = 64;

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("whose", &self.whose).field("probed", &self.probed).finish_non_exhaustive()
    }
}

impl Probe {
    /// Loads the programs, and attaches them to what runs already.
    ///
    /// # Errors
    /// When the kernel refuses the programs.
    pub fn open(options: &ProbeOptions) -> Result<Self, SourceError> {
        let mut ebpf = object::open(0, options.buffer)?;
        for name in [Function::OpenSsl, Function::Go].map(program) {
            let program = uprobe(&mut ebpf, name)?;
            program.load().map_err(|error| {
                failed(format!("load {name} (needs CAP_BPF and CAP_PERFMON, or root; Linux 6.0 or later)"), error)
            })?;
        }
        let taken = |error: MapError| failed("open the probes' maps", error);
        let ring = RingBuf::try_from(ebpf.take_map("SECRET_RING").ok_or_else(|| lacks("SECRET_RING"))?);
        let counters = PerCpuArray::try_from(ebpf.take_map("SECRET_COUNTERS").ok_or_else(|| lacks("SECRET_COUNTERS"))?);
        let mut probe = Self {
            ring: ring.map_err(taken)?,
            counters: counters.map_err(taken)?,
            ebpf,
            whose: options.whose.clone(),
            known: HashMap::new(),
            roots: HashSet::new(),
            files: HashSet::new(),
            probed: Vec::new(),
            next_look: Instant::now(),
            foreign: 0,
            malformed: 0,
        };
        probe.look();
        Ok(probe)
    }

    /// Gives the secrets that came since the last call, without waiting: each as a line of a key log, wiped when `take` returns. Looks for
    /// new processes when it is time.
    pub fn poll(&mut self, take: &mut dyn FnMut(&[u8])) {
        while let Some(record) = self.ring.next().map(|bytes| SecretRecord::read(&bytes)) {
            let Some(mut record) = record else {
                self.malformed += 1;
                continue;
            };
            if !self.wants(record.pid) {
                self.foreign += 1;
            } else if let Some(line) = line::of(&record) {
                take(line.as_bytes());
            } else {
                self.malformed += 1;
            }
            record.secret.zeroize();
        }
        if Instant::now() >= self.next_look {
            self.look();
        }
    }

    /// The files that are probed.
    #[must_use]
    pub fn probed(&self) -> &[Probed] {
        &self.probed
    }

    /// What was counted since the start.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub fn counts(&self) -> Result<ProbeCounts, SourceError> {
        let each = self.counters.get(&0, 0).map_err(|error| failed("read the probes' counters", error))?;
        let sum = |at: usize| each.iter().filter_map(|counters| counters.get(at)).sum();
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

    /// The keys of this process are wanted.
    fn wants(&self, pid: u32) -> bool {
        match &self.whose {
            Whose::All => true,
            Whose::Processes(wanted) => {
                let known = self.known.get(&pid).map(|known| known.wanted);
                known.unwrap_or_else(|| descends(pid, wanted))
            }
        }
    }

    /// Looks for processes that are new, and into those whose time has come.
    fn look(&mut self) {
        let now = Instant::now();
        self.next_look = now + LOOK;
        let pids = process::all();
        let there: HashSet<u32> = pids.iter().copied().collect();
        self.known.retain(|pid, _| there.contains(pid));
        for pid in pids {
            let Some((_, started)) = process::stat(pid) else { continue };
            let known = self.known.get(&pid).filter(|known| known.started == started);
            if known.is_some_and(|known| now < known.again) {
                continue;
            }
            let pause = known.map_or(FIRST_PAUSE, |known| (known.pause * 2).min(LONGEST_PAUSE));
            let wanted = known.map(|known| known.wanted).unwrap_or_else(|| match &self.whose {
                Whose::All => true,
                Whose::Processes(wanted) => descends(pid, wanted),
            });
            self.known.insert(pid, Known { started, again: now + pause, pause, wanted });
            if wanted {
                self.process(pid);
            }
        }
    }

    /// Probes what a process runs, and what it may load later.
    fn process(&mut self, pid: u32) {
        for path in process::files(pid) {
            self.file(&path);
        }
        if let Some(root) = Inode::root_of(pid)
            && self.roots.insert(root)
        {
            if self.roots.len() > MAX_FILES {
                self.roots.clear();
            }
            for usual in process::USUAL {
                self.file(Path::new(&format!("/proc/{pid}/root/{usual}")));
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let Some(inode) = Inode::of(path) else { return };
        if self.files.len() >= MAX_FILES || !self.files.insert(inode) {
            return;
        }
        let Some(file) = process::open(path) else { return };
        for (function, offset) in elf::functions(file) {
            if self.probed.len() >= MAX_PROBED {
                return;
            }
            let problem = self.attach(path, function, offset).err().map(|error| error.to_string());
            self.probed.push(Probed { path: path.to_owned(), function, problem });
        }
    }

    fn attach(&mut self, path: &Path, function: Function, offset: u64) -> Result<(), SourceError> {
        let name = program(function);
        uprobe(&mut self.ebpf, name)?
            .attach(UProbeAttachLocation::AbsoluteOffset(offset), path, UProbeScope::AllProcesses)
            .map(|_| ())
            .map_err(|error| failed(format!("probe {}", path.display()), error))
    }
}

const fn program(function: Function) -> &'static str {
    match function {
        Function::OpenSsl => "h2watch_kdf",
        Function::Go => "h2watch_go",
    }
}

fn uprobe<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut UProbe, SourceError> {
    let program = ebpf.program_mut(name).ok_or_else(|| lacks(name))?;
    program.try_into().map_err(|error: ProgramError| failed(format!("use {name}"), error))
}

/// The process is one of these, or a child of one, or of its children.
fn descends(pid: u32, wanted: &[u32]) -> bool {
    let mut at = pid;
    for _ in 0..MAX_DEPTH {
        if wanted.contains(&at) {
            return true;
        }
        match process::stat(at) {
            Some((parent, _)) if parent > 0 => at = parent,
            _ => return false,
        }
    }
    false
}
