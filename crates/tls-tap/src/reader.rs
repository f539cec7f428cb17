use crate::keys::{Kind, Random};
use crate::{Secret, Session, Side, TranscriptName};

/// Protocol version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
    /// Another version, as on the wire (0x0301 is TLS 1.0): not decrypted.
    Other(u16),
}

/// What a ClientHello says (RFC 8446 section 4.1.2). Text from the wire is bounded and lossy UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// ClientHello.random: the name of the connection in a key log.
    pub random: [u8; 32],
    /// Server name (RFC 6066 section 3).
    pub sni: Option<Box<str>>,
    /// ALPN protocols offered (RFC 7301), in order, at most 16.
    pub alpn: Vec<Box<str>>,
    /// A session ticket, session id or PSK was offered.
    pub resumption_offered: bool,
}

/// What the ServerHello and, where readable, EncryptedExtensions settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// Version chosen.
    pub version: Version,
    /// Cipher suite, as registered with IANA.
    pub suite: u16,
    /// ALPN protocol chosen; `None` when none was chosen or it could not be read.
    pub alpn: Option<Box<str>>,
    /// The session was resumed.
    pub resumed: bool,
}

/// An alert (RFC 8446 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Who sent it.
    pub by: Side,
    /// 1 warning, 2 fatal.
    pub level: u8,
    /// Description; 0 is close_notify.
    pub description: u8,
}

/// Plaintext that was lost in front of what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Fewest plaintext bytes that can be missing.
    pub min: u64,
    /// Most plaintext bytes that can be missing. `min == max` when the number is known.
    pub max: u64,
}

/// A secret that followed from one that was known by its transcript ([`KeyStore::add_transcript`](crate::KeyStore::add_transcript)).
#[derive(Clone, Copy, Debug)]
pub struct Followed<'a> {
    /// The connection's name in a key log.
    pub random: &'a Random,
    /// The name of both hellos, under which its Handshake Secret was known.
    pub transcript: &'a TranscriptName,
    /// Which secret of the connection.
    pub kind: Kind,
    /// It.
    pub secret: &'a Secret,
}

/// Why a direction or a connection cannot be read from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dark {
    /// No key log has the secrets of this connection.
    NoKey,
    /// The handshake was before the capture and no secret in the key logs fits.
    JoinedLate,
    /// The handshake was before the capture and the connection is TLS 1.2, whose server random no key log holds.
    JoinedLateTls12,
    /// The handshake was seen in part only.
    HandshakeLost,
    /// A cipher suite that is not decrypted.
    Suite(u16),
    /// A version that is not decrypted.
    Version(u16),
    /// The key log has secrets under this connection's random, but they do not open its records.
    WrongKey,
    /// The place in the record sequence was lost and not found again.
    LostSync,
    /// What was held back while waiting for a key reached its cap.
    HeldTooMuch,
    /// Bytes that are not TLS records.
    NotTls,
}

/// Authenticates what was skipped or looked at without a check, when a finding rests on it.
pub trait Proof {
    /// Verifies the tags of every record that was used unverified on this side since the last call that did so.
    ///
    /// `Ok(true)`: all are authentic, and so is the place in the stream. `Ok(false)`: those whose bytes are still there are, but
    /// some were dropped at a cap ([`Limits::unverified_records`](crate::Limits::unverified_records),
    /// [`Limits::unverified_bytes`](crate::Limits::unverified_bytes)) and will never be verified: the finding stands, and is to be marked.
    /// Either way this is the new anchor: the next call answers for what comes after it alone. The bytes that the reader was just
    /// handed are authentic in any case.
    ///
    /// A record that fails its tag makes the tap drop the place in the stream: the reader then hears [`Reader::gap`], and must
    /// drop the finding, which the `Err` says.
    ///
    /// # Errors
    /// A record on which the place in the stream rested is forged or damaged.
    fn authenticate(&mut self) -> Result<bool, Forged>;
}

/// A record on which the place in the stream rested does not authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

/// Takes the plaintext of one connection.
pub trait Reader {
    /// How many of this side's coming plaintext bytes the reader will not look at. The tap skips them where it can, and then says so
    /// with [`skipped`](Self::skipped); it may deliver them all the same.
    fn skippable(&self, side: Side) -> u64;

    /// Looks at the next plaintext bytes before they are authenticated (at least 9 of them). Some(n): this many bytes from the start
    /// of `bytes` on, more than were shown or not, need not be delivered: the reader has taken from the shown ones what it
    /// wants. `None`: deliver everything, authenticated.
    fn peek(&mut self, time: u64, side: Side, bytes: &[u8]) -> Option<u64>;

    /// Authenticated plaintext, in order. `record_start`: the first byte begins a record.
    fn plaintext(&mut self, time: u64, side: Side, bytes: &[u8], record_start: bool, proof: &mut dyn Proof);

    /// This many bytes were passed over: what `skippable` or `peek` allowed.
    fn skipped(&mut self, side: Side, bytes: u64);

    /// Plaintext was lost here. What follows begins at a record's start.
    fn gap(&mut self, time: u64, side: Side, gap: Gap);

    /// The ClientHello.
    fn client_hello(&mut self, time: u64, hello: Hello);

    /// The handshake is settled as far as it can be read.
    fn secured(&mut self, time: u64, secured: Secured);

    /// A secret has followed from what is known by its transcript. Each is told once.
    fn followed(&mut self, followed: Followed<'_>) {
        let _ = followed;
    }

    /// A session of TLS 1.2 was made, or is resumed.
    fn session(&mut self, session: Session<'_>) {
        let _ = session;
    }

    /// An alert that could be read.
    fn alert(&mut self, time: u64, alert: Alert);

    /// `side` is not readable from here on (`None`: neither). A later key may end it.
    fn dark(&mut self, time: u64, side: Option<Side>, why: Dark);
}
