//! Plaintext: what a process writes to its TLS library and reads from it.
//!
//! A probe where a function's arguments are in place remembers the call, one where its result is in place follows the frames of the
//! bytes that it moved. Everything but the payload of DATA goes up. An application makes one call at a time for each connection and
//! direction, as the libraries demand; so what is kept of one needs no lock.

mod hand_up;
mod life;
mod names;
mod sockets;
mod walk;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_get_attach_cookie;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::macros::{map, uprobe};
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use aya_ebpf::programs::ProbeContext;
use probe_abi::plain::{
    BoundaryKey, Call, CallKey, Config, Connection, ConnectionKey, Counters, LOCAL, PEER, Resets, config, counter,
    flag, function, state,
};

use crate::count::Counts;
use crate::user;

/// What goes up. User space sets its size.
#[map]
static PLAIN_RING: RingBuf = RingBuf::with_byte_size(1 << 22, 0);

/// What steers the probes: one entry.
#[map]
static PLAIN_CONFIG: Array<Config> = Array::with_max_entries(1, 0);

/// Processes that are wanted.
#[map]
static PLAIN_PROCESSES: HashMap<u32, u8> = HashMap::with_max_entries(16_384, 0);

/// Calls under way. A call whose end no probe sees is overwritten or goes when the table is full.
#[map]
static PLAIN_CALLS: LruHashMap<CallKey, Call> = LruHashMap::with_max_entries(16_384, 0);

/// Connections. Those used longest ago go first when it is full. User space sets its size.
#[map]
static PLAIN_CONNECTIONS: LruHashMap<ConnectionKey, Connection> = LruHashMap::with_max_entries(32_768, 0);

/// Frame boundaries that user space found, as offsets in a stream.
#[map]
static PLAIN_BOUNDARIES: LruHashMap<BoundaryKey, u64> = LruHashMap::with_max_entries(8_192, 0);

/// Counters: one entry.
#[map]
static PLAIN_COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// RST_STREAM and GOAWAY frames: one entry.
#[map]
static PLAIN_RESETS: PerCpuArray<Resets> = PerCpuArray::with_max_entries(1, 0);

/// A connection of which nothing is known. In memory of its own: it does not fit on the stack.
static EMPTY: Connection = Connection::EMPTY;

/// A probed function, its arguments in place.
#[uprobe(sleepable)]
fn h2watch_plain_call(ctx: ProbeContext) -> u32 {
    call(&ctx);
    0
}

/// A probed function, its result in place.
#[uprobe(sleepable)]
fn h2watch_plain_done(ctx: ProbeContext) -> u32 {
    done(&ctx);
    0
}

/// Connections that begin and end.
#[uprobe(sleepable)]
fn h2watch_plain_life(ctx: ProbeContext) -> u32 {
    life::life(&ctx);
    0
}

/// What runs the probe, and where.
struct Place {
    function: u8,
    /// Process and thread.
    thread: u64,
    /// The stack pointer at the function's entry.
    frame: u64,
    object: u64,
    second: u64,
    fourth: u64,
    fifth: u64,
    result: u64,
}

impl Place {
    #[cfg(bpf_target_arch = "x86_64")]
    #[inline(always)]
    fn new(ctx: &ProbeContext) -> Self {
        // SAFETY: the kernel gives a valid context to a program that is attached with a cookie.
        let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
        // SAFETY: the kernel gives a valid context.
        let regs = unsafe { &*ctx.regs };
        Self {
            function: cookie as u8,
            thread: bpf_get_current_pid_tgid(),
            frame: regs.rsp + (cookie >> 16 & 0xffff),
            object: regs.rdi,
            second: regs.rsi,
            fourth: regs.rcx,
            fifth: regs.r8,
            result: regs.rax,
        }
    }

    #[inline(always)]
    const fn id(&self) -> ConnectionKey {
        ConnectionKey::new(self.process(), self.object)
    }

    #[inline(always)]
    const fn process(&self) -> u32 {
        (self.thread >> 32) as u32
    }

    /// Bits of the configuration. `None`: the process is not wanted.
    #[inline(always)]
    fn wanted(&self) -> Option<u32> {
        let flags = PLAIN_CONFIG.get(0)?[config::FLAGS];
        if flags & config::LISTED != 0 && PLAIN_PROCESSES.get_ptr(self.process()).is_none() {
            return None;
        }
        Some(flags)
    }
}

#[inline(always)]
fn call(ctx: &ProbeContext) {
    let place = Place::new(ctx);
    let Some(flags) = place.wanted() else { return };
    sockets::enter(flags, place.thread, place.id());
    let length = match place.function {
        function::WRITE_EX | function::READ_EX => place.fourth,
        function::WRITE_EX2 => place.fifth,
        _ => 0,
    };
    let function = u32::from(place.function);
    if place.function == function::UNCORK {
        inner(place.id(), place.thread);
    }
    let call = Call { object: place.object, buffer: place.second, length, function, padding: 0 };
    let _ = PLAIN_CALLS.insert(CallKey { thread: place.thread, frame: place.frame }, call, 0);
}

#[inline(always)]
fn done(ctx: &ProbeContext) {
    let place = Place::new(ctx);
    let key = CallKey { thread: place.thread, frame: place.frame };
    let Some(call) = PLAIN_CALLS.get_ptr(key) else { return };
    // SAFETY: a value of a map, which stays readable while the program runs.
    let call = unsafe { *call };
    let _ = PLAIN_CALLS.remove(key);
    let Some(flags) = PLAIN_CONFIG.get(0).map(|config| config[config::FLAGS]) else { return };
    sockets::leave(flags, place.thread);
    let id = ConnectionKey::new(place.process(), call.object);
    let direction = match call.function as u8 {
        function::WRITE | function::WRITE_EX | function::WRITE_EX2 => LOCAL,
        function::UNCORK => return inner(id, 0),
        function::STEP => return,
        _ => PEER,
    };
    let result = place.result as i32;
    if result <= 0 {
        return;
    }
    let moved = if call.length == 0 { Some(result as u64) } else { user::read::<u64>(call.length) };
    let Some(counters) = PLAIN_COUNTERS.get_ptr_mut(0) else { return };
    let Some(connection) = connection(id, state::UNSURE, 0) else { return };
    // SAFETY: a value of a map, which stays readable while the program runs.
    if unsafe { (*connection).inner_thread } == place.thread {
        return;
    }
    Counts::<{ counter::COUNT }>::new(counters).one::<{ counter::CALLS }>();
    let run = hand_up::Run::new(id, connection, counters, flags, direction);
    walk::walk(&run, call.buffer, moved);
}

/// The library writes what it was given before, in this thread, until that is 0 again.
#[inline(always)]
fn inner(id: ConnectionKey, thread: u64) {
    if let Some(connection) = PLAIN_CONNECTIONS.get_ptr_mut(id) {
        // SAFETY: a value of a map, which stays valid while the program runs.
        unsafe { (*connection).inner_thread = thread };
    }
}

/// What is kept of a connection; made when there is nothing, its streams in `begin`.
#[inline(always)]
fn connection(id: ConnectionKey, begin: u32, flags: u32) -> Option<*mut Connection> {
    if let Some(known) = PLAIN_CONNECTIONS.get_ptr_mut(id) {
        return Some(known);
    }
    // By reference: the stack has no room for a copy.
    #[allow(clippy::needless_borrows_for_generic_args)]
    let _ = PLAIN_CONNECTIONS.insert(id, &EMPTY, 0);
    let made = PLAIN_CONNECTIONS.get_ptr_mut(id)?;
    // SAFETY: a value of a map, which stays valid while the program runs; no other call of this connection is under way.
    unsafe {
        (*made).generation = bpf_ktime_get_ns();
        (*made).flags = flags;
        (*made).streams[0].state = begin;
        (*made).streams[1].state = begin;
    }
    Some(made)
}

/// The handshake of the connection was seen.
const WHOLE: u32 = flag::WHOLE as u32;
