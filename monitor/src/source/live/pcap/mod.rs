//! Live capture by libpcap.
//!
//! Packets come out of a ring that is shared with the kernel (TPACKET_V3), a block at a time: the kernel hands over a block when it is
//! full or [`RETIRE`] old. Rounds are at least [`PACE`] apart while there is little to read, so that a few packets do not cost a round
//! of the pipeline each, however many interfaces there are.

mod interface;
#[cfg(test)]
mod tests;

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Capture, Linktype};

use super::{InterfaceHealth, LiveSource, PacketFilter, Timestamps, wall};
use crate::model::{Bytes, Packet, PacketBatch};
use crate::source::{BATCH_BYTES, BATCH_PACKETS, SourceError};
use interface::Interface;

/// The kernel hands over a block of packets that is not full after this time.
const RETIRE: Duration = Duration::from_millis(5);

/// [`RETIRE`], and what the kernel's timer adds to it.
const LAG: Duration = Duration::from_millis(10);

/// From one round to the next while there is little to read.
const PACE: Duration = Duration::from_millis(5);

/// A round with more packets than this is followed by the next one at once.
const MANY: usize = BATCH_PACKETS / 4;

/// Interfaces are looked at this often: are they there, are they the same.
const LOOK: Duration = Duration::from_millis(200);

/// Whether they are up is asked this often: the system lists all that it has.
const LIST: Duration = Duration::from_secs(1);

/// How interfaces are captured on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which packets are wanted; without an expression and ports, everything that may carry TCP.
    pub filter: PacketFilter,
    /// Bytes of each packet that are captured.
    pub snaplen: u32,
    /// The kernel's buffer for each interface, in bytes.
    pub buffer: usize,
    /// Capture what is not for this machine, too.
    pub promiscuous: bool,
    /// Hand over each packet at once.
    pub immediate: bool,
    /// Which clock stamps the packets.
    pub timestamps: Timestamps,
}

/// Interfaces read by libpcap.
pub struct PcapSource {
    interfaces: Vec<Interface>,
    settings: Arc<Settings>,
    immediate: bool,
    /// Which interface is read first; each in turn, so that none starves.
    first: usize,
    /// The last round was a small one: there is no hurry.
    calm: bool,
    returned: Instant,
    looked: Instant,
    listed: Instant,
    /// Packets too young to know whether another interface has older ones.
    held: PacketBatch<'static>,
}

/// How long a filter's program is, where it can be compiled for one kind of link at least: some of the language is for some kinds alone,
/// and which one an interface has is only known when it is opened.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn compile(filter: &str) -> Result<usize, String> {
    const RAW_IP: Linktype = Linktype(12);
    let compile = |link: Linktype| {
        let program = Capture::dead(link)?.compile(filter, true)?;
        Ok(program.get_instructions().len())
    };
    compile(Linktype::ETHERNET)
        .or_else(|error| {
            let mut others = [Linktype::LINUX_SLL, Linktype::LINUX_SLL2, RAW_IP].into_iter();
            others.find_map(|link| compile(link).ok()).ok_or(error)
        })
        .map_err(|error| interface::plain(&error))
}

impl PcapSource {
    /// Opens the interfaces.
    ///
    /// # Errors
    /// Which could not be opened, or what is wrong with the filter, in one line.
    pub fn open(names: &[String], settings: Settings) -> Result<Self, String> {
        let immediate = settings.immediate;
        let settings = Arc::new(settings);
        let now = Instant::now();
        let mut interfaces: Vec<Interface> = Vec::new();
        for name in names {
            // Twice the same would count everything twice.
            if !interfaces.iter().any(|known| known.name() == name) {
                interfaces.push(Interface::open(name, &settings, now)?);
            }
        }
        let any = interfaces.iter().any(|interface| interface.name() == interface::ANY);
        if any && interfaces.len() > 1 {
            return Err("`any` is every interface: it cannot be captured on together with others".to_owned());
        }
        let mut this = Self {
            interfaces,
            settings,
            immediate,
            first: 0,
            calm: false,
            returned: now,
            looked: now,
            listed: now,
            held: PacketBatch::default(),
        };
        this.list(now);
        Ok(this)
    }

    /// Lets some time pass since the last round.
    fn pace(&self) {
        let since = self.returned.elapsed();
        if self.calm && since < PACE {
            thread::sleep(PACE - since);
        }
    }

    /// Waits until an interface has packets, or something happened to it.
    fn wait(&self, wait: Duration) {
        let wait = if self.held.packets.is_empty() { wait } else { wait.min(PACE) };
        let mut open: Vec<PollFd<'_>> = self
            .interfaces
            .iter()
            .filter_map(Interface::capture)
            .map(|capture| PollFd::new(capture.as_fd(), PollFlags::POLLIN))
            .collect();
        if open.is_empty() {
            return thread::sleep(wait);
        }
        // A signal ends the wait; anything else shows when the interface is read.
        let _ = poll(&mut open, PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO));
    }

    /// Looks after the interfaces: are they there, are they the same, are they up.
    fn look(&mut self, now: Instant) {
        self.looked = now;
        self.interfaces.iter_mut().for_each(|interface| interface.look(now));
        if now.duration_since(self.listed) >= LIST {
            self.list(now);
        }
    }

    /// Sees which interfaces are up.
    fn list(&mut self, now: Instant) {
        self.listed = now;
        for entry in getifaddrs().into_iter().flatten() {
            let named = |interface: &&mut Interface| interface.name() == entry.interface_name;
            if let Some(interface) = self.interfaces.iter_mut().find(named) {
                interface.has_flags(entry.flags);
            }
        }
    }

    /// Puts the packets in time order, and holds back those that are so young that an interface may still have older ones.
    fn merge(&mut self, batch: &mut PacketBatch<'static>, full: bool) {
        if !batch.packets.is_sorted_by_key(|packet| packet.time) {
            batch.packets.sort_by_key(|packet| packet.time);
        }
        if self.interfaces.len() < 2 || full {
            return;
        }
        let now = wall().0;
        // What seems to come from the future was stamped by another clock, or before this one was set back: it is not held.
        let young =
            |packet: &Packet<'_>| now.checked_sub(packet.time.0).is_some_and(|age| u128::from(age) < LAG.as_nanos());
        let from = batch.packets.iter().position(young).unwrap_or(batch.packets.len());
        for packet in batch.packets.drain(from..) {
            let start = u32::try_from(self.held.arena.len()).unwrap_or(u32::MAX);
            let bytes = packet.data.chunk(&batch.arena).bytes();
            let data = Bytes::Arena { start, len: u32::try_from(bytes.len()).unwrap_or(0) };
            self.held.arena.extend_from_slice(bytes);
            self.held.packets.push(Packet { data, ..packet });
        }
    }
}

impl LiveSource for PcapSource {
    fn fill(&mut self, batch: &mut PacketBatch<'static>, wait: Duration) -> Result<bool, SourceError> {
        batch.packets.clear();
        batch.arena.clear();
        batch.secrets.clear();
        batch.lost = 0;
        batch.lost_within = None;
        self.pace();
        self.wait(wait);
        std::mem::swap(&mut batch.packets, &mut self.held.packets);
        std::mem::swap(&mut batch.arena, &mut self.held.arena);
        let held = batch.packets.len();
        let count = self.interfaces.len();
        for turn in 0..count {
            if let Some(interface) = self.interfaces.get_mut((self.first + turn) % count.max(1)) {
                interface.read(batch);
            }
        }
        self.first = self.first.wrapping_add(1) % count.max(1);
        let full = is_full(batch);
        // In immediate mode only a round that gave nothing new is calm: an interface in trouble wakes without having packets.
        let new = batch.packets.len().saturating_sub(held);
        self.calm = !full && if self.immediate { new == 0 } else { new < MANY };
        self.merge(batch, full);
        let now = Instant::now();
        if now.duration_since(self.looked) >= LOOK {
            self.look(now);
        }
        // In every round: before anything is decided by packets or by the clock, it is known what is missing until then.
        let until = wall();
        self.interfaces.iter_mut().for_each(|interface| interface.tell_lost(batch, until));
        self.returned = now;
        Ok(full)
    }

    fn lag(&self) -> Duration {
        // A packet may lie in a block that is not handed over yet, or be held to be merged.
        match (self.immediate, self.interfaces.len() > 1) {
            (true, false) => Duration::ZERO,
            (false, false) | (true, true) => LAG,
            (false, true) => LAG + PACE,
        }
    }

    fn refilter(&mut self, filter: &PacketFilter) -> Result<(), String> {
        let settings = Arc::new(Settings { filter: filter.clone(), ..Settings::clone(&self.settings) });
        let refilter = |interface: &mut Interface| interface.refilter(&settings);
        if let Err(error) = self.interfaces.iter_mut().try_for_each(refilter) {
            // It was valid for those before.
            let _ = self.interfaces.iter_mut().try_for_each(|interface| interface.refilter(&self.settings));
            return Err(error);
        }
        self.settings = settings;
        Ok(())
    }

    fn health(&mut self) -> Vec<InterfaceHealth> {
        self.interfaces.iter_mut().map(Interface::health).collect()
    }
}

fn is_full(batch: &PacketBatch<'_>) -> bool {
    batch.packets.len() >= BATCH_PACKETS || batch.arena.len() >= BATCH_BYTES
}
