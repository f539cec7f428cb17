use std::net::SocketAddr;

/// Names a connection within one run: the ordinal of the first packet of its flow in the merged input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// The two ends of a connection by role (RFC 9293): the client opened it. Where the SYN was not seen the role is taken from the TLS
/// handshake, the HTTP/2 frames or, last, the lower port, before the first event of the connection is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// Who opened it. With PROXY protocol in front: still the TCP peer.
    pub client: SocketAddr,
    /// Who accepted it.
    pub server: SocketAddr,
    /// The source address that a PROXY protocol header names.
    pub proxied: Option<SocketAddr>,
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
