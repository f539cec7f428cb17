//! What `h2watch watch` is to do, once flags, environment and file are known to make sense together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::privileges::Capability;
use crate::detect;
use crate::limits::Limits;
use crate::sink;
use crate::sink::stream::EventsTarget;
use crate::source::live::{PacketFilter, PacketSource, Timestamps};
use crate::source::processes::{Processes, Target, Whose};

/// What `h2watch watch` is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// What packets are captured, and how.
    pub capture: CaptureOptions,
    /// Keys are taken from the processes that make them.
    pub probe: Option<ProbeTargets>,
    /// Plaintext is taken from the processes that encrypt it.
    pub plaintext: Option<PlaintextOptions>,
    /// Whether keys are taken from processes was left open: they may be, where that works.
    pub keys_left_open: bool,
    /// Key logs: files, directories or named pipes, there yet or not.
    pub keylogs: Vec<PathBuf>,
    /// Where metrics and the status page are served; empty: nowhere.
    pub listen: Vec<SocketAddr>,
    /// TLS, passwords and client certificates of the web port.
    pub web_config: Option<PathBuf>,
    /// Where events go.
    pub events: Vec<EventsTarget>,
    /// How long after a reset a retry is waited for.
    pub window: Duration,
    /// Threads that work on flows.
    pub threads: usize,
    /// Server addresses that have metric series of their own; empty: the first that are seen, up to a cap.
    pub servers: Vec<SocketAddr>,
    /// The user to become once everything is open.
    pub user: Option<String>,
    /// Every cap.
    pub limits: Limits,
    /// What standard output gets at the end.
    pub summary: sink::Options,
}

/// What plaintext is taken from processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaintextOptions {
    /// Whose.
    pub targets: ProbeTargets,
    /// Resets are counted in the kernel, by code, and nothing is handed up.
    pub kernel_only: bool,
    /// The kernel's buffer, in bytes.
    pub buffer: usize,
}

/// Whose keys or plaintext are taken from their processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeTargets {
    /// These processes and their children.
    pub pids: Vec<u32>,
    /// What runs in these systemd units.
    pub units: Vec<String>,
    /// What runs in these control groups or containers.
    pub cgroups: Vec<String>,
}

impl ProbeTargets {
    /// The processes that are meant: every one, where nothing is named.
    #[must_use]
    pub fn whose(&self) -> Whose {
        let pids = self.pids.iter().copied().map(Target::Pid);
        let units = self.units.iter().cloned().map(Target::Unit);
        let cgroups = self.cgroups.iter().cloned().map(Target::Cgroup);
        let targets: Vec<Target> = pids.chain(units).chain(cgroups).collect();
        if targets.is_empty() { Whose::All } else { Whose::Targets(targets) }
    }

    /// Says which process is not there, of those that are named by number.
    ///
    /// # Errors
    /// One is not there.
    pub fn are_there(&self) -> Result<(), String> {
        match Processes::new(self.whose()).missing().first() {
            Some(pid) => Err(format!("there is no process {pid}: name one that runs")),
            None => Ok(()),
        }
    }

    /// What it takes to load programs for the kernel and to set probes, and to read files and memory maps of processes of others. Some
    /// kernels want more: see [`probing`](super::probing).
    pub const CAPABILITIES: &[Capability] =
        &[Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH];
}

/// What packets are captured, and how.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// What takes them from the kernel.
    pub source: PacketSource,
    /// Interfaces by name; `any` is all of them.
    pub interfaces: Vec<String>,
    /// A filter in libpcap's language.
    pub filter: Option<String>,
    /// TCP ports that are taken, at either end; empty: all.
    pub ports: Vec<u16>,
    /// Bytes of each packet that are captured.
    pub snaplen: u32,
    /// The kernel's buffer for each interface, in bytes.
    pub buffer: usize,
    /// Capture what is not for this machine, too.
    pub promiscuous: bool,
    /// Hand over each packet at once instead of a few milliseconds' worth at a time.
    pub immediate: bool,
    /// Which clock stamps the packets.
    pub timestamps: Timestamps,
}

impl CaptureOptions {
    /// Which packets are wanted.
    #[must_use]
    pub fn filter(&self) -> PacketFilter {
        PacketFilter { expression: self.filter.clone(), ports: self.ports.clone() }
    }

    /// What it takes to open the capture, also again; where the source is left open, the least with which one may do.
    #[must_use]
    pub fn capabilities(&self) -> Vec<Capability> {
        self.capabilities_of(match self.source {
            PacketSource::Auto if cfg!(feature = "pcap") => PacketSource::Pcap,
            PacketSource::Auto => PacketSource::Tap,
            named => named,
        })
    }

    /// What it takes to open the capture by this source.
    #[must_use]
    pub fn capabilities_of(&self, source: PacketSource) -> Vec<Capability> {
        match self.timestamps {
            _ if source == PacketSource::Off => Vec::new(),
            _ if source == PacketSource::Tap => {
                vec![Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON]
            }
            Timestamps::Host => vec![Capability::CAP_NET_RAW],
            // The adapter has to be told to stamp.
            Timestamps::Adapter | Timestamps::AdapterUnsynced => {
                vec![Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN]
            }
        }
    }
}

impl Options {
    /// What `detect` is set to.
    #[must_use]
    pub fn detect(&self) -> detect::Settings {
        detect::Settings { window: self.window, servers: self.servers.clone() }
    }

    /// What it takes to go on: to open the capture again, and to probe what starts later.
    #[must_use]
    pub fn capabilities(&self) -> Vec<Capability> {
        let mut needed = self.capture.capabilities();
        if self.probe.is_some() || self.plaintext.is_some() {
            needed.extend(super::probing::capabilities());
        }
        needed
    }
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self {
            source: PacketSource::Auto,
            interfaces: Vec::new(),
            filter: None,
            ports: Vec::new(),
            snaplen: 262_144,
            buffer: 16 << 20,
            promiscuous: false,
            immediate: false,
            timestamps: Timestamps::Host,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            capture: CaptureOptions::default(),
            probe: None,
            plaintext: None,
            keys_left_open: false,
            keylogs: Vec::new(),
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9872))],
            web_config: None,
            events: Vec::new(),
            window: Duration::from_secs(2),
            threads: 1,
            servers: Vec::new(),
            user: None,
            limits: Limits::default(),
            summary: sink::Options::default(),
        }
    }
}
