use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Process;

/// Names a connection within one run: the ordinal of the first packet of its flow, or of its first plaintext, in the merged input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// The two ends of a connection by role (RFC 9293): the client opened it. Where the SYN was not seen the role is taken from the TLS
/// handshake, the HTTP/2 frames or, last, the lower port, before the first event of the connection is given.
///
/// Packets say both addresses; of plaintext that a probe takes they may not be known, and are never guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// Who opened it. With PROXY protocol in front: still the TCP peer.
    pub client: Option<SocketAddr>,
    /// Who accepted it.
    pub server: Option<SocketAddr>,
    /// The source address that a PROXY protocol header names.
    pub proxied: Option<SocketAddr>,
}

/// Who is who on the connection of a finding, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parties {
    /// Who opened it.
    pub client: Option<SocketAddr>,
    /// Who accepted it.
    pub server: Option<SocketAddr>,
    /// The process at one of its ends, where a probe knows it.
    pub process: Option<Arc<Process>>,
}

impl fmt::Display for Parties {
    /// `CLIENT to SERVER`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |end: Option<SocketAddr>| end.map_or_else(|| "unknown".to_owned(), |end| end.to_string());
        write!(f, "{} to {}", name(self.client), name(self.server))
    }
}

/// Application protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/2 in clear text.
    H2c,
    /// HTTP/1.x, clear or over TLS.
    Http1,
    /// Neither.
    Other,
}

impl Protocol {
    /// The name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::H2 => "h2",
            Self::H2c => "h2c",
            Self::Http1 => "http/1.1",
            Self::Other => "other",
        }
    }
}
