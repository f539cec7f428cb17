//! The words that the parts share: times, connections, requests, events from `flow`, findings from `detect`.

mod connection;
mod event;
mod finding;
mod histogram;
mod kernel;
mod owners;
mod packet;
mod plaintext;
mod process;
mod request;
mod servers;
mod stats;
mod text;
mod time;

pub use connection::{ConnectionId, Endpoints, Parties, Protocol};
pub use event::{
    CloseHow, DarkWhy, Event, Exchange, ExchangeEnd, ExchangeId, GapWhere, GoAwaySeen, HelloSeen, Kind, ResetSeen,
    SecuredSeen,
};
pub use finding::{
    Basis, CaseFinding, CaseKind, DarkFinding, Finding, Frame, OriginErrorFinding, Outcome, ResetFinding, Retry,
    RetryResult, SuspectedFinding, Why,
};
pub use h2_tap::{ErrorCode, Phase, Side};
pub use histogram::Histogram;
pub use kernel::{KernelFrame, KernelResets};
pub use owners::{Owners, SecretName};
pub use packet::{
    Bytes, FlowKey, Interest, Packet, PacketBatch, PacketCounts, PlainItem, Segment, SegmentBatch, TcpFlags, hull,
    link_supported,
};
pub use plaintext::{HandshakeName, PlainEnd, PlainId, PlainWhat, Plaintext, Writer};
pub use process::Process;
pub use request::{Edge, Evidence, Identity, IdentityKind, Request, TargetKey};
pub use servers::{ServerCounts, ServerSlot, Servers};
pub use stats::{
    CaseCounts, ConnectionStats, InputStats, KeyStats, PlaintextUse, Stats, Timeline, Unfinished, Unsure, Verdict,
    Waits, Worst,
};
pub use text::Text;
pub use time::Time;
pub use tls_tap::Dark as TlsDark;
