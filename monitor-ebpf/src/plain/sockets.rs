//! The socket of a connection: the one that its thread reads or writes inside of a call of the TLS library.
//!
//! Only while user space looks for sockets: the tracepoint stands at every system call of the machine. Which connection a thread works
//! for also tells whose handshake it is.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_probe_read_kernel};
use aya_ebpf::macros::{map, raw_tracepoint};
use aya_ebpf::maps::LruHashMap;
use aya_ebpf::programs::RawTracePointContext;
use probe_abi::plain::{Connection, ConnectionKey, config};

use super::PLAIN_CONNECTIONS;

/// Connections by the thread that is inside of a call for one.
#[map]
static PLAIN_THREADS: LruHashMap<u64, ConnectionKey> = LruHashMap::with_max_entries(4_096, 0);

/// The thread enters a call for a connection.
#[inline(always)]
pub(super) fn enter(flags: u32, thread: u64, id: ConnectionKey) {
    if flags & config::SOCKETS != 0 || flags & config::NAMES != 0 && is_young(id) {
        let _ = PLAIN_THREADS.insert(thread, id, 0);
    } else if flags & config::NAMES != 0 {
        // Maybe from inside of a call for another.
        let _ = PLAIN_THREADS.remove(thread);
    }
}

/// The thread leaves it.
#[inline(always)]
pub(super) fn leave(flags: u32, thread: u64) {
    if flags & (config::SOCKETS | config::NAMES) != 0 {
        let _ = PLAIN_THREADS.remove(thread);
    }
}

/// The connection for which the thread is inside of a call.
#[inline(always)]
pub(super) fn inside(thread: u64) -> Option<ConnectionKey> {
    // SAFETY: a value of a map, which stays readable while the program runs.
    PLAIN_THREADS.get_ptr(thread).map(|id| unsafe { *id })
}

/// Nothing went over the connection yet: its handshake may be under way.
#[inline(always)]
fn is_young(id: ConnectionKey) -> bool {
    let Some(connection): Option<*mut Connection> = PLAIN_CONNECTIONS.get_ptr_mut(id) else { return false };
    // SAFETY: a value of a map, which stays readable while the program runs.
    unsafe { (*connection).streams[0].offset == 0 && (*connection).streams[1].offset == 0 }
}

/// A system call begins: `sys_enter(regs, number)`.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn h2watch_plain_syscall(ctx: RawTracePointContext) -> i32 {
    // SAFETY: the kernel gives a valid context, with the two arguments of this tracepoint.
    let [regs, number] = unsafe {
        let arguments = ctx.as_ptr().cast::<u64>();
        [*arguments, *arguments.add(1)]
    };
    if !moves_bytes(number) {
        return 0;
    }
    let Some(id) = inside(bpf_get_current_pid_tgid()) else { return 0 };
    let Some(connection): Option<*mut Connection> = PLAIN_CONNECTIONS.get_ptr_mut(id) else { return 0 };
    if let Some(descriptor) = descriptor(regs as *const pt_regs) {
        // SAFETY: a value of a map, which stays valid while the program runs.
        unsafe {
            if (*connection).descriptor < 0 {
                (*connection).descriptor = descriptor;
            }
        }
    }
    0
}

/// read, write, readv, writev, sendto, recvfrom, sendmsg, recvmsg.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
const fn moves_bytes(number: u64) -> bool {
    matches!(number, 0 | 1 | 19 | 20 | 44..=47)
}

/// Their first argument.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn descriptor(regs: *const pt_regs) -> Option<i32> {
    // SAFETY: the helper reads kernel memory, or fails.
    let first = unsafe { bpf_probe_read_kernel(&raw const (*regs).rdi) };
    first.ok().map(|first| first as i32)
}
