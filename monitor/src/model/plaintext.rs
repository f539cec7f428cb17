use std::net::SocketAddr;
use std::sync::Arc;

use super::{Process, Side, Time};

/// Names a TLS connection whose plaintext a probe takes, within one run: never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlainId(pub u64);

/// Names a TLS handshake for both who sees its packets and who is the library that does it: no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeName {
    /// Of TLS 1.3: the first bytes of Hash(ClientHello ‖ ServerHello) (RFC 8446 section 4.4.1).
    Transcript([u8; 32]),
    /// Of TLS 1.2: both randoms (RFC 5246 section 7.4.1).
    Randoms {
        /// ClientHello.random.
        client: [u8; 32],
        /// ServerHello.random.
        server: [u8; 32],
    },
}

/// Who wrote plaintext: the process that is probed, or the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Writer {
    /// The process wrote it (`SSL_write`).
    Local,
    /// It came from the other end (`SSL_read`).
    Peer,
}

/// Something that a plaintext probe saw of a connection. What belongs to one connection and writer comes in order.
#[derive(Clone, Debug)]
pub struct Plaintext {
    /// When.
    pub time: Time,
    /// The connection.
    pub connection: PlainId,
    /// What.
    pub what: PlainWhat,
}

/// What a plaintext probe saw.
#[derive(Clone, Debug)]
pub enum PlainWhat {
    /// The first of every connection.
    Opened {
        /// Who is probed.
        process: Arc<Process>,
        /// Its handshake was not seen: bytes may begin anywhere in a frame.
        joined: bool,
        /// The process's own role, where the library said it.
        role: Option<Side>,
    },
    /// Its addresses became known. Without this event they are not.
    Ends {
        /// The process's end.
        local: SocketAddr,
        /// The other end.
        peer: SocketAddr,
    },
    /// What names its handshake, which the library was seen to do.
    Name(HandshakeName),
    /// Bytes, as a range of the batch's arena.
    Bytes {
        /// Who wrote them.
        by: Writer,
        /// Offset in the arena.
        start: u32,
        /// How many.
        len: u32,
    },
    /// Payload of DATA frames that the kernel counted and did not copy: all of it inside the frame whose header came before.
    Skipped {
        /// Who wrote it.
        by: Writer,
        /// How many bytes.
        bytes: u64,
    },
    /// Bytes that were lost between the kernel and here.
    Lost {
        /// Who wrote them.
        by: Writer,
        /// How many, where it is known.
        bytes: Option<u64>,
    },
    /// It is over.
    Closed(PlainEnd),
}

/// How a connection ended for the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainEnd {
    /// The library freed it or began another connection in its place.
    Freed,
    /// The process ended without having done so: it was killed, or crashed.
    ProcessEnded,
    /// There were too many.
    Evicted,
}
