//! Live sources: packets as they come.

mod beside;
#[cfg(feature = "pcap")]
pub mod pcap;

use std::sync::Arc;
use std::time::Duration;
#[cfg(any(feature = "ebpf", feature = "pcap"))]
use std::time::{SystemTime, UNIX_EPOCH};

pub use beside::Beside;

use super::SourceError;
#[cfg(any(feature = "ebpf", feature = "pcap"))]
use crate::model::Time;
use crate::model::{Interest, KernelResets, PacketBatch, Process, SecretName};

/// What takes packets from the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacketSource {
    /// The tap where it works, libpcap where not.
    #[default]
    Auto,
    /// libpcap.
    Pcap,
    /// Programs at the kernel's traffic control hooks.
    Tap,
    /// No packets: plaintext alone.
    Off,
}

/// Which clock stamps the packets of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// The system's, when the packet reaches the kernel.
    #[default]
    Host,
    /// The adapter's, which something keeps with the system's (`phc2sys`).
    Adapter,
    /// The adapter's, which nothing sets: times of several interfaces do not compare, nor do they with the system's.
    AdapterUnsynced,
}

/// Which packets are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketFilter {
    /// An expression in libpcap's language; without one, everything that may carry TCP. For libpcap alone.
    pub expression: Option<String>,
    /// TCP ports, at either end; empty: all. Not beside an expression.
    pub ports: Vec<u16>,
}

/// Yields packets as they are captured. One live source may read several interfaces.
pub trait LiveSource {
    /// Clears `batch`, waits up to `wait` for packets, and fills it with those that are there, in time order, within
    /// [`BATCH_PACKETS`](super::BATCH_PACKETS) and [`BATCH_BYTES`](super::BATCH_BYTES). `Ok(false)`: every packet that was captured
    /// [`lag`](Self::lag) before the call has been given. `Ok(true)`: there may be more at once.
    ///
    /// What was lost up to the call is told with it, in `lost` and `lost_within`, before the packets that came later; also what is
    /// missed while an interface that was asked for is not there.
    ///
    /// An interface that goes away is no error: its health says so, and it is opened again when it is back.
    ///
    /// # Errors
    /// The source as a whole has failed and will not come back.
    fn fill(&mut self, batch: &mut PacketBatch<'static>, wait: Duration) -> Result<bool, SourceError>;

    /// How long a packet may stay in the kernel before [`fill`](Self::fill) can see it.
    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    /// Takes other packets from now on.
    ///
    /// # Errors
    /// Why that cannot be, in one line; then everything stays as it is.
    fn refilter(&mut self, filter: &PacketFilter) -> Result<(), String> {
        let _ = filter;
        Err("this source takes no filter".to_owned())
    }

    /// Whether a flow's payload is read from here on: what nobody reads need not be copied.
    fn interest(&mut self, interest: &Interest) {
        let _ = interest;
    }

    /// How each interface does.
    fn health(&mut self) -> Vec<InterfaceHealth>;

    /// It gives packets and plaintext, so that one connection may come as both.
    fn gives_both(&self) -> bool {
        false
    }

    /// Resets that programs in the kernel have counted themselves since the start; `None`: they count none.
    fn kernel_resets(&mut self) -> Option<KernelResets> {
        None
    }
}

/// The system's time, which stamps packets.
#[cfg(any(feature = "ebpf", feature = "pcap"))]
pub(crate) fn wall() -> Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

/// Gives keys from the processes that make them.
pub trait KeyProbe {
    /// Gives the secrets that came since the last call, without waiting.
    fn poll(&mut self, take: &mut dyn FnMut(ProbedSecret<'_>));

    /// How it does.
    fn health(&mut self) -> KeyProbeHealth;
}

/// A secret that a probe took from a process.
#[derive(Clone, Copy)]
pub struct ProbedSecret<'a> {
    /// The secret as a line of a key log. Wiped when the call is over.
    pub line: &'a str,
    /// What names its connection.
    pub name: SecretName,
    /// The name is that of a transcript: no other program's key log has such a line.
    pub by_transcript: bool,
    /// The process that had it.
    pub process: &'a Arc<Process>,
}

/// How the probes do. Counts are since the start of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyProbeHealth {
    /// Secrets taken from processes.
    pub taken: u64,
    /// Secrets lost, because a buffer of the kernel was full or the process's memory could not be read: connections stay dark.
    pub lost: u64,
    /// Places in files that are probed.
    pub probed: u64,
}

/// How the capture of one interface does. Counts are since the start of the program, also when the interface was opened again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceHealth {
    /// Its name.
    pub name: String,
    /// What reads it: `pcap`, `tap`, or `plaintext` for the probes that take it from processes.
    pub kind: &'static str,
    /// It is being read.
    pub up: bool,
    /// Why not, in one line that names it.
    pub error: Option<String>,
    /// Packets that passed the filter and were given to the pipeline.
    pub received: u64,
    /// Packets that passed the filter and were lost because a buffer of the kernel was full.
    pub dropped_kernel: u64,
    /// Packets that the interface or its driver lost.
    pub dropped_interface: u64,
    /// Bytes of packets that a snap length left out, the source's or that of a flow that nobody reads, where the source counts them.
    pub snapped_bytes: u64,
    /// Times it was opened again.
    pub reopened: u64,
}

impl InterfaceHealth {
    /// Why it is not read, in one line that names it.
    #[must_use]
    pub fn why(&self) -> String {
        self.error.clone().unwrap_or_else(|| format!("{} is not open", self.name))
    }
}

/// Why nothing can come on an interface, by its flags `IFF_UP` and `IFF_RUNNING`.
#[cfg(any(feature = "ebpf", feature = "pcap"))]
pub(super) fn idle(name: &str, up: bool, running: bool) -> Option<String> {
    match (up, running) {
        (false, _) => Some(format!("{name} is down: ip link set {name} up")),
        (true, false) => Some(format!("{name} has no carrier")),
        (true, true) => None,
    }
}
