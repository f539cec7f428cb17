//! Plaintext from the processes that write it to their TLS library and read it from there: where keys cannot be had.
//!
//! Probes at OpenSSL's and GnuTLS's calls for reading and writing follow the HTTP/2 frames in the kernel, and hand up everything but the
//! payload of DATA. They cost the process at each call, and are for what the key probe does not reach.

mod hop;
mod library;
mod site;
mod socket;
mod streams;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{Array, HashMap as KernelMap, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::raw_trace_point::RawTracePointLinkId;
use aya::programs::{ProgramError, RawTracePoint};
use probe_abi::plain::{
    CODES, CONNECTION, Config, ConnectionKey, Counters, LOCAL, PEER, PlainHeader, Resets, Standing, config, counter,
    reset_at,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clock::Clock;
use super::live::{InterfaceHealth, LiveSource, wall};
use super::object::{self, Sizes, failed, lacks};
use super::processes::{FileId, News, Processes, Used, Whose};
use super::uprobes::{self, Link, Place, Uprobes};
use super::{BATCH_BYTES, BATCH_PACKETS, SourceError};
use crate::model::{self, ErrorCode, KernelFrame, PacketBatch, Writer};
use library::Program;
use streams::{Boundary, Hopeless, Streams};

/// How the probes are made.
#[derive(Clone, Debug)]
pub struct PlainOptions {
    /// Whose plaintext is wanted.
    pub whose: Whose,
    /// Bytes of the ring buffer: rounded up to a power of two.
    pub buffer: u32,
    /// Connections that are followed at a time. Each takes about 500 bytes of kernel memory.
    pub connections: u32,
    /// Count resets in the kernel, and hand nothing up.
    pub kernel_only: bool,
    /// Name handshakes, where the library is OpenSSL 3: for a connection whose packets are seen as well.
    pub names: bool,
    /// Set each probe by itself also where the kernel can set many at a time: as older kernels have it.
    pub single: bool,
}

impl Default for PlainOptions {
    fn default() -> Self {
        Self {
            whose: Whose::All,
            buffer: 16 << 20,
            connections: 32_768,
            kernel_only: false,
            names: false,
            single: false,
        }
    }
}

/// What the probes counted. Every record is taken or lost; every byte taken, skipped, left out or lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainCounts {
    /// Calls that moved bytes.
    pub calls: u64,
    /// Records that the kernel made.
    pub records: u64,
    /// Records taken.
    pub taken: u64,
    /// Records that found no room in the ring buffer.
    pub lost_full: u64,
    /// Records whose bytes the kernel could not read.
    pub lost_unread: u64,
    /// Bytes that the calls moved.
    pub bytes: u64,
    /// Bytes taken.
    pub bytes_taken: u64,
    /// Payload of DATA frames, left out.
    pub bytes_skipped: u64,
    /// Bytes left out because they are not HTTP/2, or because nothing is handed up.
    pub bytes_left: u64,
    /// Bytes of lost records.
    pub bytes_lost: u64,
    /// Times that the kernel lost its place among the frames of a stream.
    pub fell_out: u64,
    /// Connections seen.
    pub connections: u64,
    /// Connections forgotten because there were too many.
    pub evicted: u64,
    /// Records that were made and never came, found by their numbers.
    pub missed: u64,
    /// Records of no known form.
    pub malformed: u64,
}

/// RST_STREAM or GOAWAY frames that the kernel counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelResets {
    /// The probed process sent them.
    pub sent: bool,
    /// GOAWAY frames.
    pub goaway: bool,
    /// Error code (RFC 9113 section 7). `None`: all others.
    pub code: Option<u32>,
    /// How many.
    pub count: u64,
}

/// A file that is probed.
#[derive(Debug)]
pub struct Probed {
    /// A path that led to it.
    pub path: PathBuf,
    /// Places in it that are probed.
    pub places: usize,
    /// Why some are not.
    pub problem: Option<String>,
    links: Vec<Link>,
}

impl Probed {
    /// Links that hold the probes: one for each program, where the kernel can set many probes at a time.
    #[must_use]
    pub fn links(&self) -> usize {
        self.links.len()
    }
}

/// The probes. Dropping them detaches.
pub struct Plain {
    ebpf: Ebpf,
    uprobes: Uprobes,
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, Counters>,
    resets: PerCpuArray<MapData, Resets>,
    connections: KernelMap<MapData, [u64; 2], [u8; CONNECTION]>,
    boundaries: KernelMap<MapData, [u64; 4], u64>,
    listed: KernelMap<MapData, u32, u8>,
    list: Vec<u32>,
    all: bool,
    names: bool,
    processes: Processes,
    probed: HashMap<FileId, Probed>,
    left_out: u64,
    /// Processes that have ended since the ring buffer was last emptied.
    ended: Vec<u32>,
    streams: Streams,
    words: Config,
    /// While sockets are looked for.
    search: Option<RawTracePointLinkId>,
    hopeless: Hopeless,
    told_lost: u64,
    next_count: Instant,
}

/// Most files that are probed.
const MAX_PROBED: usize = 256;
/// How often losses are asked for, and processes and sockets looked for.
const COUNT: Duration = Duration::from_millis(100);
/// Longest wait without a look into the ring buffer: the kernel wakes the reader only for resets, new connections and much.
const NAP: Duration = Duration::from_millis(20);

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plain").field("probed", &self.probed).finish_non_exhaustive()
    }
}

impl Plain {
    /// Loads the programs, and attaches them to what runs already.
    ///
    /// # Errors
    /// When the kernel refuses the programs.
    pub fn open(options: &PlainOptions) -> Result<Self, SourceError> {
        let buffer = object::ring_size(options.buffer);
        let sizes = Sizes { plain_ring: buffer, plain_connections: options.connections, ..Sizes::default() };
        let mut ebpf = object::open(sizes)?;
        let all = options.whose == Whose::All;
        let words = words(all, options, buffer / 8);
        configure(&mut ebpf, words)?;
        let uprobes = Uprobes::load(&mut ebpf, &Program::ALL.map(Program::name), options.single)?;
        let program = syscalls(&mut ebpf)?;
        object::patiently(|| program.load()).map_err(|error| failed(format!("load {SYSCALLS}"), error))?;
        let taken = |error: MapError| failed("open the plaintext probes' maps", error);
        let mut take = |name: &'static str| ebpf.take_map(name).ok_or_else(|| lacks(name));
        let mut plain = Self {
            ring: RingBuf::try_from(take("PLAIN_RING")?).map_err(taken)?,
            counters: PerCpuArray::try_from(take("PLAIN_COUNTERS")?).map_err(taken)?,
            resets: PerCpuArray::try_from(take("PLAIN_RESETS")?).map_err(taken)?,
            connections: KernelMap::try_from(take("PLAIN_CONNECTIONS")?).map_err(taken)?,
            boundaries: KernelMap::try_from(take("PLAIN_BOUNDARIES")?).map_err(taken)?,
            listed: KernelMap::try_from(take("PLAIN_PROCESSES")?).map_err(taken)?,
            list: Vec::new(),
            all,
            names: options.names,
            ebpf,
            uprobes,
            processes: Processes::new(options.whose.clone()),
            probed: HashMap::new(),
            left_out: 0,
            ended: Vec::new(),
            streams: Streams::new(options.connections as usize),
            words,
            search: None,
            hopeless: Hopeless::default(),
            told_lost: 0,
            next_count: Instant::now(),
        };
        plain.look()?;
        Ok(plain)
    }

    /// As [`LiveSource::fill`].
    fn next(&mut self, batch: &mut PacketBatch<'static>, wait: Duration) -> Result<bool, SourceError> {
        batch.packets.clear();
        batch.plaintext.clear();
        batch.arena.clear();
        batch.secrets.clear();
        batch.lost = 0;
        let deadline = Instant::now() + wait;
        loop {
            let emptied = self.drain(batch);
            if emptied {
                // All that they said was in it.
                for process in self.ended.drain(..) {
                    for key in self.streams.ended(process, wall(), batch) {
                        // The kernel has it until there are too many; another process may get the same number.
                        let _ = self.connections.remove(&key.words());
                    }
                }
            }
            self.address(batch);
            let now = Instant::now();
            if now >= self.next_count {
                self.next_count = now + COUNT;
                if emptied {
                    self.catch_up(batch)?;
                }
                self.search()?;
                self.look()?;
            }
            if !batch.plaintext.is_empty() || now >= deadline {
                return Ok(!emptied);
            }
            self.nap(deadline.saturating_duration_since(now).min(NAP));
        }
    }

    /// Takes what is in the ring buffer. `true`: nothing is left in it.
    fn drain(&mut self, batch: &mut PacketBatch<'static>) -> bool {
        let clock = Clock::read();
        let Self { ring, streams, processes, boundaries, .. } = self;
        while batch.plaintext.len() < BATCH_PACKETS && batch.arena.len() < BATCH_BYTES {
            let Some(record) = ring.next() else { return true };
            let Some((header, bytes)) = PlainHeader::read(&record) else {
                streams.counts.malformed += 1;
                continue;
            };
            let time = clock.wall(header.time);
            let boundary = streams.take(&header, bytes, time, &mut |pid| processes.facts(pid), batch);
            drop(record);
            if let Some(boundary) = boundary {
                publish(boundaries, &boundary);
            }
        }
        false
    }

    /// After losses, tells what is known of them for connections of which no record comes any more.
    fn catch_up(&mut self, batch: &mut PacketBatch<'static>) -> Result<(), SourceError> {
        let lost = self.counts()?.lost_full;
        if lost == self.told_lost {
            return Ok(());
        }
        let all: Vec<_> = self.streams.keys().into_iter().map(|key| (key, standing(&self.connections, key))).collect();
        // Every record from before the kernel's table was read; where one came later, it tells the rest.
        if self.drain(batch) {
            self.told_lost = lost;
            for (key, standing) in all {
                self.streams.catch_up(key, standing, batch);
            }
        }
        Ok(())
    }

    /// Finds the addresses of connections whose sockets are known.
    fn address(&mut self, batch: &mut PacketBatch<'static>) {
        for socket in self.streams.sockets() {
            let ends = socket::ends(socket.key.process, socket.descriptor);
            // Still the same connection: so the descriptor was its own when it was asked.
            let same = standing(&self.connections, socket.key).is_some_and(|now| now.generation == socket.generation);
            if let Some(ends) = ends.filter(|_| same) {
                self.hopeless.found(socket.key.process);
                self.streams.address(&socket, ends, batch);
            }
        }
    }

    /// Looks for sockets in system calls while connections are new and theirs are not known.
    fn search(&mut self) -> Result<(), SourceError> {
        let now = Clock::read().now();
        let wanted = self.streams.searches(now, &mut self.hopeless);
        if wanted == self.search.is_some() {
            return Ok(());
        }
        if let Some(flags) = self.words.get_mut(config::FLAGS) {
            *flags ^= config::SOCKETS;
        }
        configure(&mut self.ebpf, self.words)?;
        let program = syscalls(&mut self.ebpf)?;
        match self.search.take() {
            Some(link) => {
                // It is detached when its descriptor is closed, which cannot fail.
                let _ = program.detach(link);
            }
            None => {
                let attached = program.attach("sys_enter");
                self.search = Some(attached.map_err(|error| failed(format!("attach {SYSCALLS}"), error))?);
            }
        }
        Ok(())
    }

    fn nap(&self, span: Duration) {
        let timeout = Timespec { tv_sec: 0, tv_nsec: span.subsec_nanos().into() };
        // Woken too early is no harm: the ring buffer is looked into again.
        let _ = poll(&mut [PollFd::new(&self.ring, PollFlags::IN)], Some(&timeout));
    }

    /// The files that are probed now.
    pub fn probed(&self) -> impl Iterator<Item = &Probed> {
        self.probed.values()
    }

    /// The processes whose plaintext is wanted.
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
    pub fn counts(&self) -> Result<PlainCounts, SourceError> {
        let sum = uprobes::totals(&self.counters, "the plaintext probes' counters")?;
        let streams = self.streams.counts;
        Ok(PlainCounts {
            calls: sum(counter::CALLS),
            records: sum(counter::RECORDS),
            taken: sum(counter::TAKEN),
            lost_full: sum(counter::LOST_FULL),
            lost_unread: sum(counter::LOST_UNREAD),
            bytes: sum(counter::BYTES),
            bytes_taken: sum(counter::BYTES_TAKEN),
            bytes_skipped: sum(counter::BYTES_SKIPPED),
            bytes_left: sum(counter::BYTES_LEFT),
            bytes_lost: sum(counter::BYTES_LOST),
            fell_out: sum(counter::FELL_OUT),
            connections: streams.opened,
            evicted: streams.evicted,
            missed: streams.lost_records,
            malformed: streams.malformed,
        })
    }

    /// The resets that the kernel counted, those that it did not see too.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub fn resets(&self) -> Result<Vec<KernelResets>, SourceError> {
        let sum = uprobes::totals(&self.resets, "the kernel's counts of resets")?;
        let mut resets = Vec::new();
        for (direction, sent) in [(LOCAL, true), (PEER, false)] {
            for goaway in [false, true] {
                for code in 0..CODES as u32 {
                    let count = sum(reset_at(direction, goaway, code));
                    let code = ((code as usize) < CODES - 1).then_some(code);
                    resets.push(KernelResets { sent, goaway, code, count });
                }
            }
        }
        Ok(resets)
    }

    /// Probes the files that came into use, and leaves those that went out of it.
    fn look(&mut self) -> Result<(), SourceError> {
        let Self { ebpf, uprobes, processes, probed, left_out, names, ended, .. } = self;
        processes.look(Instant::now(), &mut |news| match news {
            News::Used(used) => {
                let library = library::of(&used.file, *names);
                if library.places.is_empty() {
                    return;
                }
                if probed.len() >= MAX_PROBED {
                    *left_out += 1;
                    return;
                }
                probed.insert(used.id, attach(ebpf, uprobes, &used, &library));
            }
            News::Unused(file) => {
                probed.remove(&file);
            }
            News::Ended(process) => ended.push(process),
        });
        if self.all {
            return Ok(());
        }
        self.list()
    }

    /// Tells the kernel which processes are wanted.
    fn list(&mut self) -> Result<(), SourceError> {
        let mut wanted: Vec<u32> = self.probed.keys().flat_map(|file| self.processes.users(*file)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        for pid in self.list.iter().filter(|pid| wanted.binary_search(pid).is_err()) {
            // It may be gone already.
            let _ = self.listed.remove(pid);
        }
        for pid in wanted.iter().filter(|pid| self.list.binary_search(pid).is_err()) {
            self.listed.insert(pid, 1, 0).map_err(|error| failed("list a process for the probes", error))?;
        }
        self.list = wanted;
        Ok(())
    }
}

impl LiveSource for Plain {
    fn fill(&mut self, batch: &mut PacketBatch<'static>, wait: Duration) -> Result<bool, SourceError> {
        self.next(batch, wait)
    }

    fn health(&mut self) -> Vec<InterfaceHealth> {
        let counts = self.counts().unwrap_or_default();
        let places: usize = self.probed.values().map(|file| file.places).sum();
        let problem = self.probed.values().find_map(|file| file.problem.clone());
        let none = || "no process with a TLS library that is known".to_owned();
        vec![InterfaceHealth {
            name: "plaintext".to_owned(),
            kind: "plaintext",
            up: places > 0,
            error: problem.or_else(|| (places == 0).then(none)),
            received: counts.taken,
            dropped_kernel: counts.lost_full + counts.lost_unread,
            dropped_interface: 0,
            snapped_bytes: 0,
            reopened: 0,
        }]
    }

    fn kernel_resets(&mut self) -> Option<model::KernelResets> {
        let flags = self.words.get(config::FLAGS).copied().unwrap_or_default();
        let mut counted = model::KernelResets::new(flags & config::COUNT_ONLY != 0);
        for resets in self.resets().ok()? {
            let frame = if resets.goaway { KernelFrame::GoAway } else { KernelFrame::RstStream };
            let by = if resets.sent { Writer::Local } else { Writer::Peer };
            counted.add(frame, resets.code.map(ErrorCode), by, resets.count);
        }
        Some(counted)
    }
}

/// What steers the probes.
fn words(all: bool, options: &PlainOptions, wake: u32) -> Config {
    let listed = if all { 0 } else { config::LISTED };
    let count_only = if options.kernel_only { config::COUNT_ONLY } else { 0 };
    let names = if options.names { config::NAMES } else { 0 };
    let mut words: Config = [0; config::COUNT];
    for (at, word) in [(config::FLAGS, listed | count_only | names), (config::WAKE, wake)] {
        if let Some(place) = words.get_mut(at) {
            *place = word;
        }
    }
    words
}

fn configure(ebpf: &mut Ebpf, words: Config) -> Result<(), SourceError> {
    let map = |error: MapError| failed("configure the plaintext probes", error);
    let mut table: Array<_, Config> =
        ebpf.map_mut("PLAIN_CONFIG").ok_or_else(|| lacks("PLAIN_CONFIG"))?.try_into().map_err(map)?;
    table.set(0, words, 0).map_err(map)
}

/// What the kernel has of a connection.
fn standing(connections: &KernelMap<MapData, [u64; 2], [u8; CONNECTION]>, key: ConnectionKey) -> Option<Standing> {
    connections.get(&key.words(), 0).ok().and_then(|bytes| Standing::read(&bytes))
}

fn publish(boundaries: &mut KernelMap<MapData, [u64; 4], u64>, boundary: &Boundary) {
    let key = probe_abi::plain::BoundaryKey {
        connection: boundary.key,
        generation: boundary.generation,
        direction: boundary.direction.into(),
    };
    // Without it the kernel hands up more than it needs to, until a call begins with a frame.
    let _ = boundaries.insert(key.words(), boundary.offset, 0);
}

fn attach(ebpf: &mut Ebpf, uprobes: &Uprobes, used: &Used, library: &library::Library) -> Probed {
    let problem = (!library.unknown.is_empty())
        .then(|| format!("probe {}: {} is not as it is known", used.path.display(), library.unknown.join(", ")));
    let mut probed = Probed { path: used.path.clone(), places: 0, problem, links: Vec::new() };
    for program in Program::ALL {
        let its = library.places.iter().filter(|(of, _)| *of == program);
        let places: Vec<Place> = its.map(|(_, place)| *place).collect();
        let attached = uprobes.attach(ebpf, program.name(), used, &places);
        // What names handshakes alone shows no plaintext.
        if program != Program::Name {
            probed.places += places.len() - attached.problems.len();
        }
        if let Some(problem) = attached.problems.last() {
            probed.problem = Some(problem.to_string());
        }
        probed.links.extend(attached.links);
    }
    probed
}

/// The program at system calls.
const SYSCALLS: &str = "h2watch_plain_syscall";

fn syscalls(ebpf: &mut Ebpf) -> Result<&mut RawTracePoint, SourceError> {
    let found = ebpf.program_mut(SYSCALLS).ok_or_else(|| lacks(SYSCALLS))?;
    found.try_into().map_err(|error: ProgramError| failed(format!("use {SYSCALLS}"), error))
}
