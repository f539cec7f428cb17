//! Connections that begin, end, and get a socket.

use aya_ebpf::programs::ProbeContext;
use probe_abi::plain::{Connection, ConnectionKey, LOCAL, PEER, flag, function, kind, state};

use super::{PLAIN_CONNECTIONS, PLAIN_COUNTERS, Place, WHOLE, connection, hand_up};

/// The object keeps its role when it is cleared.
const ROLES: u32 = (flag::SERVER | flag::CLIENT) as u32;

#[inline(always)]
pub(super) fn life(ctx: &ProbeContext) {
    let place = Place::new(ctx);
    let Some(flags) = place.wanted() else { return };
    let id = place.id();
    match place.function {
        function::FREE => end(id, flags),
        function::CLEAR => clear(id, flags),
        function::DESCRIPTOR => {
            let Some(connection) = connection(id, state::FIRST, WHOLE) else { return };
            // SAFETY: a value of a map, which stays valid while the program runs.
            unsafe { (*connection).descriptor = place.second as i32 };
        }
        function::ACCEPT => begin(id, u32::from(flag::SERVER)),
        function::CONNECT => begin(id, u32::from(flag::CLIENT)),
        _ => begin(id, 0),
    }
}

/// A handshake begins, unless the connection is known already: then it is the same one that goes on.
#[inline(always)]
fn begin(id: ConnectionKey, role: u32) {
    let Some(connection) = connection(id, state::FIRST, WHOLE) else { return };
    // SAFETY: a value of a map, which stays valid while the program runs.
    unsafe { (*connection).flags |= role };
}

/// The object is as new. OpenSSL does that itself when it makes one, and when a handshake begins.
#[inline(always)]
fn clear(id: ConnectionKey, flags: u32) {
    if let Some(known) = PLAIN_CONNECTIONS.get_ptr_mut(id) {
        // SAFETY: a value of a map, which stays valid while the program runs.
        let known: &Connection = unsafe { &*known };
        if known.streams[0].offset == 0 && known.streams[1].offset == 0 {
            return;
        }
        let role = known.flags & ROLES;
        end(id, flags);
        return begin(id, role);
    }
    begin(id, 0);
}

/// The connection is over.
#[inline(always)]
fn end(id: ConnectionKey, flags: u32) {
    let Some(connection): Option<*mut Connection> = PLAIN_CONNECTIONS.get_ptr_mut(id) else { return };
    if let Some(counters) = PLAIN_COUNTERS.get_ptr_mut(0) {
        for direction in [LOCAL, PEER] {
            let mut last = hand_up::Run::new(id, connection, counters, flags, direction);
            last.kind = kind::END;
            // SAFETY: a value of a map, which stays valid while the program runs.
            unsafe {
                (*last.stream).walk.run = 0;
                (*last.stream).walk.after = 0;
            }
            hand_up::hand_up(&last);
        }
    }
    let _ = PLAIN_CONNECTIONS.remove(id);
}
