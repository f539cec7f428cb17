//! Packets from the kernel's traffic control hooks.
//!
//! A program at each hook filters and copies packets into one ring buffer. What finds no room there is counted by the kernel, on each
//! processor, and told here as lost. TCX is used where the kernel has it (Linux 6.6), a clsact filter where not.

mod attach;
mod filter;
mod interface;
mod leftovers;
mod links;
mod parts;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{HashMap, MapData, MapError, PerCpuHashMap, PerCpuValues, RingBuf};
use probe_abi::tap::{Config, Counters, FlowName, PartHeader, config, counter, flow_name};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use attach::Hook;
pub use filter::Filter;
pub use leftovers::remove_leftovers;

use super::clock::Clock;
use super::live::{InterfaceHealth, LiveSource, PacketFilter, wall};
use super::object::{self, Sizes, failed, lacks};
use super::{BATCH_BYTES, BATCH_PACKETS, SourceError};
use crate::model::{FlowKey, Interest, PacketBatch, Time, hull};
use attach::Attached;
use interface::Interface;
use links::Links;
use parts::Parts;

/// The name of all interfaces together.
const ANY: &str = "any";

/// How the tap is made.
#[derive(Clone, Debug)]
pub struct TapOptions {
    /// Names of interfaces; `any` for all that are there.
    pub interfaces: Vec<String>,
    /// Which packets are wanted.
    pub filter: Filter,
    /// Bytes of the ring buffer: rounded up to a power of two.
    pub buffer: u32,
    /// Most bytes of a packet that are taken.
    pub snap: u32,
    /// Where the programs are attached.
    pub hook: Hook,
}

impl Default for TapOptions {
    fn default() -> Self {
        Self {
            interfaces: vec![ANY.to_owned()],
            filter: Filter::default(),
            buffer: 32 << 20,
            snap: 1 << 20,
            hook: Hook::Auto,
        }
    }
}

/// What the kernel counted on an interface. Every packet seen is filtered, taken, cut or lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapCounts {
    /// Packets that passed the hooks.
    pub seen: u64,
    /// Packets that the filter did not want.
    pub filtered: u64,
    /// Packets taken as far as their snap length goes.
    pub taken: u64,
    /// Packets whose first parts were taken, and whose rest found no room in the ring buffer.
    pub cut: u64,
    /// Packets that found no room in the ring buffer.
    pub lost_full: u64,
    /// Packets whose bytes the kernel could not read.
    pub lost_unread: u64,
    /// Bytes taken.
    pub bytes: u64,
    /// Bytes that a snap length left out.
    pub bytes_snapped: u64,
}

impl TapCounts {
    /// Packets of which nothing came.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost_full.saturating_add(self.lost_unread)
    }

    fn add(&mut self, counters: &Counters) {
        let at = |at: usize| counters.get(at).copied().unwrap_or(0);
        self.seen += at(counter::SEEN);
        self.filtered += at(counter::FILTERED);
        self.taken += at(counter::TAKEN);
        self.cut += at(counter::CUT);
        self.lost_full += at(counter::LOST_FULL);
        self.lost_unread += at(counter::LOST_UNREAD);
        self.bytes += at(counter::BYTES);
        self.bytes_snapped += at(counter::BYTES_SNAPPED);
    }
}

/// State of an interface that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapInterface {
    /// Its name.
    pub name: String,
    /// How the tap is attached; `None` while the interface is not there, or another one sees its packets.
    pub hook: Option<Hook>,
    /// Why it is not attached.
    pub problem: Option<String>,
    /// What was counted since the start.
    pub counts: TapCounts,
}

/// One that was asked for.
#[derive(Debug)]
struct Watched {
    name: String,
    /// It was asked for by its name.
    named: bool,
    at: Option<(u32, Attached)>,
    problem: Option<String>,
    /// Nobody sees its packets.
    missed: bool,
    /// Counted on earlier interfaces of this name.
    before: TapCounts,
    /// Times the tap was attached.
    opened: u64,
}

/// The tap. Dropping it detaches everything.
pub struct Tap {
    watched: Vec<Watched>,
    any: bool,
    /// With `any`: what was counted on interfaces that are gone.
    gone: TapCounts,
    links: Links,
    hook: Hook,
    filter: Filter,
    config: Config,
    ring: RingBuf<MapData>,
    counters: PerCpuHashMap<MapData, u32, Counters>,
    flows: HashMap<MapData, FlowName, u32>,
    ebpf: Ebpf,
    parts: Parts,
    told_lost: u64,
    /// Until when nothing is missing but what was told (the system's clock).
    whole: Time,
    next_look: Instant,
}

/// How often interfaces that come and go are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Longest wait without a look into the ring buffer: the kernel wakes the reader only for much.
const NAP: Duration = Duration::from_millis(50);

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl Tap {
    /// Loads the programs and attaches them.
    ///
    /// # Errors
    /// When the kernel refuses the programs, or not one interface could be attached to.
    pub fn open(options: &TapOptions) -> Result<Self, SourceError> {
        remove_leftovers();
        let buffer = object::ring_size(options.buffer);
        let mut ebpf = object::open(Sizes { tap_ring: buffer, ..Sizes::default() })?;
        // Woken at an eighth of the buffer, or a look each nap: few wake-ups, and room for what comes meanwhile.
        let config = options.filter.install(&mut ebpf, options.snap.max(1), buffer / 8)?;
        let taken = |error: MapError| failed("open the tap's maps", error);
        let mut take = |name: &'static str| ebpf.take_map(name).ok_or_else(|| lacks(name));
        let ring = RingBuf::try_from(take("TAP_RING")?).map_err(taken)?;
        let counters = PerCpuHashMap::try_from(take("TAP_COUNTERS")?).map_err(taken)?;
        let flows = HashMap::try_from(take("TAP_FLOWS")?).map_err(taken)?;
        let any = options.interfaces.iter().any(|name| name == ANY);
        let named = options.interfaces.iter().filter(|name| *name != ANY);
        let now = Instant::now();
        let mut tap = Self {
            watched: named.map(|name| Watched::new(name, true)).collect(),
            any,
            gone: TapCounts::default(),
            links: Links::open().map_err(listed)?,
            hook: options.hook,
            filter: options.filter.clone(),
            config,
            ring,
            counters,
            flows,
            ebpf,
            parts: Parts::default(),
            told_lost: 0,
            whole: wall(),
            next_look: now,
        };
        tap.look()?;
        if tap.watched.iter().all(|watched| watched.at.is_none()) {
            let problems: Vec<String> = tap.watched.iter().filter_map(|watched| watched.problem.clone()).collect();
            let error = std::io::Error::other(if problems.is_empty() {
                "no interface".to_owned()
            } else {
                problems.join("; ")
            });
            return Err(SourceError::Io { what: "attach the tap".to_owned(), error });
        }
        Ok(tap)
    }

    /// As [`LiveSource::fill`].
    fn next(&mut self, batch: &mut PacketBatch<'static>, wait: Duration) -> Result<bool, SourceError> {
        batch.packets.clear();
        batch.arena.clear();
        batch.secrets.clear();
        batch.lost = 0;
        batch.lost_within = None;
        let deadline = Instant::now() + wait;
        loop {
            let clock = Clock::read();
            let emptied = self.drain(batch, clock);
            let now = Instant::now();
            // In every round: before anything is decided by packets or by the clock, it is known what is missing until then.
            let counted = wall();
            let lost = self.total()?.lost();
            let new = lost.saturating_sub(std::mem::replace(&mut self.told_lost, lost));
            batch.lost += new;
            if new > 0 || (!self.any && self.watched.iter().any(|watched| watched.missed)) {
                batch.lost_within = hull(batch.lost_within, Some((self.whole.min(counted), counted)));
            } else {
                self.whole = counted;
            }
            if now >= self.next_look {
                self.next_look = now + LOOK;
                self.look()?;
            }
            if !batch.packets.is_empty() || batch.lost > 0 || now >= deadline {
                return Ok(!emptied);
            }
            self.nap(deadline.saturating_duration_since(now).min(NAP));
        }
    }

    /// Takes what is in the ring buffer. `true`: nothing is left in it.
    fn drain(&mut self, batch: &mut PacketBatch<'static>, clock: Clock) -> bool {
        while batch.packets.len() < BATCH_PACKETS && batch.arena.len() < BATCH_BYTES {
            let Some(record) = self.ring.next() else {
                self.parts.settle(batch);
                return true;
            };
            if let Some((header, bytes)) = PartHeader::read(&record) {
                self.parts.push(header, bytes, clock.wall(header.time), batch);
            }
        }
        false
    }

    fn nap(&self, span: Duration) {
        let timeout = Timespec { tv_sec: 0, tv_nsec: span.subsec_nanos().into() };
        // Woken too early is no harm: the ring buffer is looked into again.
        let _ = poll(&mut [PollFd::new(&self.ring, PollFlags::IN)], Some(&timeout));
    }

    /// Attaches to interfaces that came, and forgets those that went.
    fn look(&mut self) -> Result<(), SourceError> {
        let mut there = Interface::all(&self.links.all().map_err(listed)?);
        for interface in there.iter().filter(|_| self.any) {
            if !self.watched.iter().any(|watched| watched.name == interface.name) {
                self.watched.push(Watched::new(&interface.name, false));
            }
        }
        there.retain(|interface| self.watched.iter().any(|watched| watched.name == interface.name));
        let wanted = interface::once(there.clone());
        for place in 0..self.watched.len() {
            let Some(watched) = self.watched.get_mut(place) else { continue };
            let now = there.iter().find(|interface| interface.name == watched.name);
            if let Some((index, _)) = watched.at.as_ref()
                && now.is_none_or(|now| now.index != *index)
            {
                let gone = *index;
                watched.at = None;
                let counts = counted(&self.counters, gone)?;
                let _ = self.counters.remove(&gone);
                if let Some(watched) = self.watched.get_mut(place) {
                    watched.before.join(&counts);
                }
            }
            self.attach(place, now, &wanted)?;
        }
        // Names come and go without end with `any`: of what went, the counts are kept, and no name.
        for gone in
            self.watched.extract_if(.., |watched| !watched.named && !there.iter().any(|now| now.name == watched.name))
        {
            self.gone.join(&gone.before);
        }
        Ok(())
    }

    fn attach(&mut self, place: usize, now: Option<&Interface>, wanted: &[Interface]) -> Result<(), SourceError> {
        let Some(watched) = self.watched.get_mut(place) else { return Ok(()) };
        watched.missed = false;
        let Some(interface) = now else {
            watched.missed = true;
            watched.problem = Some(format!("{}: no such interface", watched.name));
            return Ok(());
        };
        if let Some((_, attached)) = &mut watched.at {
            attached.claim();
            watched.problem.clone_from(&interface.idle);
            return Ok(());
        }
        if !wanted.contains(interface) {
            watched.problem = Some(format!("{}: another interface sees its packets", watched.name));
            return Ok(());
        }
        let zeros = vec![[0; counter::COUNT]; processors()?];
        let zeros = PerCpuValues::try_from(zeros).map_err(|error| failed("count packets", error))?;
        self.counters.insert(interface.index, zeros, 0).map_err(|error| failed("count packets", error))?;
        match attach::attach(&mut self.ebpf, interface, self.hook) {
            Ok(attached) => {
                watched.problem.clone_from(&interface.idle);
                watched.opened += 1;
                watched.at = Some((interface.index, attached));
            }
            Err(error) => {
                watched.problem = Some(error.to_string());
                watched.missed = true;
            }
        }
        Ok(())
    }

    /// The interfaces that were asked for, and what the kernel counted on each; with `any` those that are there, and under this name
    /// together those that are gone.
    ///
    /// # Errors
    /// When the kernel's tables cannot be read.
    pub fn interfaces(&self) -> Result<Vec<TapInterface>, SourceError> {
        let state = |watched: &Watched| {
            Ok(TapInterface {
                name: watched.name.clone(),
                hook: watched.at.as_ref().map(|(_, attached)| attached.hook),
                problem: watched.problem.clone(),
                counts: self.counts(watched)?,
            })
        };
        let gone = TapInterface { name: ANY.to_owned(), hook: None, problem: None, counts: self.gone };
        self.any.then_some(Ok(gone)).into_iter().chain(self.watched.iter().map(state)).collect()
    }

    fn counts(&self, watched: &Watched) -> Result<TapCounts, SourceError> {
        let mut counts = watched.before;
        if let Some((index, _)) = &watched.at {
            counts.join(&counted(&self.counters, *index)?);
        }
        Ok(counts)
    }

    fn total(&self) -> Result<TapCounts, SourceError> {
        let mut total = self.gone;
        for watched in &self.watched {
            total.join(&self.counts(watched)?);
        }
        Ok(total)
    }

    /// From now on, takes only so many bytes of TCP payload of each packet of a flow, in both directions, until a SYN begins another one.
    /// The packets stay visible, and say that they were cut short on purpose.
    ///
    /// # Errors
    /// When the kernel's tables cannot be written.
    pub fn snap_flow(&mut self, ends: (SocketAddr, SocketAddr), payload: u32) -> Result<(), SourceError> {
        let map = |error: MapError| failed("shorten a flow", error);
        let (a, b) = (end(ends.0), end(ends.1));
        for name in [flow_name(a, b), flow_name(b, a)] {
            self.flows.insert(name, payload, 0).map_err(map)?;
        }
        if let Some(flags) = self.config.get_mut(config::FLAGS)
            && *flags & config::FLOWS == 0
        {
            *flags |= config::FLOWS;
            filter::configure(&mut self.ebpf, self.config)?;
        }
        Ok(())
    }

    /// Takes whole packets of a flow again.
    pub fn unsnap_flow(&mut self, ends: (SocketAddr, SocketAddr)) {
        if self.config.get(config::FLAGS).is_none_or(|flags| flags & config::FLOWS == 0) {
            return;
        }
        let (a, b) = (end(ends.0), end(ends.1));
        for name in [flow_name(a, b), flow_name(b, a)] {
            // The kernel may have dropped it already: the table keeps those used last.
            let _ = self.flows.remove(&name);
        }
    }
}

impl LiveSource for Tap {
    fn fill(&mut self, batch: &mut PacketBatch<'static>, wait: Duration) -> Result<bool, SourceError> {
        self.next(batch, wait)
    }

    fn refilter(&mut self, filter: &PacketFilter) -> Result<(), String> {
        if filter.expression.is_some() {
            return Err("the tap does not speak libpcap's filter language: use port instead of filter".to_owned());
        }
        let Self { filter: wanted, ebpf, config, .. } = self;
        wanted.change_ports(ebpf, config, &filter.ports).map_err(|error| error.to_string())
    }

    fn interest(&mut self, interest: &Interest) {
        let FlowKey { low, high, tunnel } = interest.key;
        // What a tunnel carries has no name in the kernel.
        if tunnel != 0 {
            return;
        }
        let ends = (FlowKey::address(low), FlowKey::address(high));
        if interest.payload {
            self.unsnap_flow(ends);
        } else {
            // Where the table cannot be written, the flow is copied whole, as before.
            let _ = self.snap_flow(ends, 0);
        }
    }

    fn health(&mut self) -> Vec<InterfaceHealth> {
        let health = |name: &str, up, error, counts: TapCounts, opened: u64| InterfaceHealth {
            name: name.to_owned(),
            kind: "tap",
            up,
            error,
            received: counts.seen.saturating_sub(counts.filtered),
            dropped_kernel: counts.lost(),
            dropped_interface: 0,
            snapped_bytes: counts.bytes_snapped,
            reopened: opened.saturating_sub(1),
        };
        let of = |watched: &Watched| {
            let counts = self.counts(watched).unwrap_or(watched.before);
            // Read, if not here then on the interface that sees its packets. Of all that there are, some are always down.
            let read = watched.at.is_some() && (watched.problem.is_none() || !watched.named);
            let up = read || watched.is_seen_elsewhere();
            health(&watched.name, up, watched.problem.clone().filter(|_| !up), counts, watched.opened)
        };
        let gone = self.any.then(|| {
            let up = self.watched.iter().any(|watched| watched.at.is_some());
            health(ANY, up, (!up).then(|| format!("{ANY}: no interface")), self.gone, 0)
        });
        gone.into_iter().chain(self.watched.iter().map(of)).collect()
    }
}

impl Watched {
    fn new(name: &str, named: bool) -> Self {
        Self {
            name: name.to_owned(),
            named,
            at: None,
            problem: None,
            missed: false,
            before: TapCounts::default(),
            opened: 0,
        }
    }

    /// Another interface sees its packets.
    const fn is_seen_elsewhere(&self) -> bool {
        self.at.is_none() && !self.missed && self.problem.is_some()
    }
}

impl TapCounts {
    const fn join(&mut self, other: &Self) {
        self.seen += other.seen;
        self.filtered += other.filtered;
        self.taken += other.taken;
        self.cut += other.cut;
        self.lost_full += other.lost_full;
        self.lost_unread += other.lost_unread;
        self.bytes += other.bytes;
        self.bytes_snapped += other.bytes_snapped;
    }
}

fn counted(counters: &PerCpuHashMap<MapData, u32, Counters>, index: u32) -> Result<TapCounts, SourceError> {
    let mut counts = TapCounts::default();
    match counters.get(&index, 0) {
        Ok(each) => each.iter().for_each(|counters| counts.add(counters)),
        Err(MapError::KeyNotFound) => {}
        Err(error) => return Err(failed("read the tap's counters", error)),
    }
    Ok(counts)
}

fn listed(error: std::io::Error) -> SourceError {
    SourceError::Io { what: "list the interfaces".to_owned(), error }
}

fn processors() -> Result<usize, SourceError> {
    aya::util::nr_cpus().map_err(|(what, error)| SourceError::Io { what: format!("read {what}"), error })
}

fn end(address: SocketAddr) -> ([u8; 16], u16) {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    (octets, address.port())
}
