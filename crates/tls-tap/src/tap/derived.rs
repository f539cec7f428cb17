//! TLS 1.3 secrets that follow from one that is known by its transcript (RFC 8446 sections 4.4.1 and 7.1).

use aws_lc_rs::digest;

use crate::handshake::messages::{Message, message};
use crate::keys::Kind;
use crate::keys::Random;
use crate::schedule::digest_algorithm;
use crate::schedule::tls13::{derive_secret, master_secret};
use crate::suite::Hash;
use crate::{Followed, KeyStore, Reader, Secret, Secrets, Side, Suite, TranscriptName};

/// A handshake's transcript, as far as it was seen, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Derived {
    stage: Stage,
    secrets: Secrets,
    /// The first bytes of Hash(ClientHello ‖ ServerHello), once its secret was found.
    name: TranscriptName,
    /// Hash(ClientHello), while its Early Secret was not found: that of 0-RTT data alone is ever known.
    early: Option<(Hash, digest::Digest)>,
    /// What has followed and was not told yet.
    untold: Vec<Kind>,
}

#[derive(Debug, Default)]
enum Stage {
    /// Nothing was seen.
    #[default]
    Start,
    /// Which hash is to be used is not known before the server has spoken.
    Client(Vec<u8>),
    /// A HelloRetryRequest was seen, and what followed it.
    Retried(Running),
    /// Both hellos.
    Hellos { running: Running, hellos: digest::Digest },
    /// The Handshake Secret was found: the server's encrypted messages are added.
    Handshake { running: Running, secret: Secret },
    /// All that can follow has followed, or it cannot be followed.
    Over,
}

/// A hash in the making.
#[derive(Clone)]
struct Running {
    hash: Hash,
    context: digest::Context,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({:?})", self.hash)
    }
}

impl Running {
    fn new(hash: Hash) -> Self {
        Self { hash, context: digest::Context::new(digest_algorithm(hash)) }
    }

    fn with(mut self, bytes: &[u8]) -> Self {
        self.context.update(bytes);
        self
    }

    fn so_far(&self) -> digest::Digest {
        self.context.clone().finish()
    }
}

impl Derived {
    /// What follows so far.
    pub(super) const fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Takes down a message in the clear. `hello`: of a server's hello its suite, and whether it is a HelloRetryRequest.
    pub(super) fn hello(&mut self, side: Side, message: &Message<'_>, hello: Option<(u16, bool)>) {
        let Some(bytes) = encoded(message) else {
            self.stage = Stage::Over;
            return;
        };
        self.stage = match (std::mem::take(&mut self.stage), side, hello) {
            (Stage::Start, Side::Client, _) if message.kind == message::CLIENT_HELLO => Stage::Client(bytes),
            (Stage::Client(client), Side::Server, Some((suite, retry))) => {
                let Some(hash) = Suite::by_id(suite).filter(|suite| suite.is_tls13()).map(|suite| suite.hash) else {
                    self.stage = Stage::Over;
                    return;
                };
                let running = Running::new(hash).with(&client);
                let client_hello = running.so_far();
                if retry {
                    // message_hash stands for the first ClientHello (section 4.4.1).
                    let length = u8::try_from(hash.output_len()).unwrap_or(0);
                    let stands = Running::new(hash).with(&[254, 0, 0, length]).with(client_hello.as_ref());
                    Stage::Retried(stands.with(&bytes))
                } else {
                    self.early = Some((hash, client_hello));
                    Self::hellos(running.with(&bytes))
                }
            }
            (Stage::Retried(running), Side::Client, _) if message.kind == message::CLIENT_HELLO => {
                Stage::Retried(running.with(&bytes))
            }
            (Stage::Retried(running), Side::Server, Some((_, false))) => Self::hellos(running.with(&bytes)),
            _ => Stage::Over,
        };
    }

    fn hellos(running: Running) -> Stage {
        let hellos = running.so_far();
        Stage::Hellos { running, hellos }
    }

    /// Hash(ClientHello ‖ ServerHello), while its secret is wanted.
    pub(super) fn wanted(&self) -> Option<&[u8]> {
        match &self.stage {
            Stage::Hellos { hellos, .. } => Some(hellos.as_ref()),
            _ => None,
        }
    }

    /// Looks for the secrets of the hellos.
    pub(super) fn look_up(&mut self, keys: &KeyStore) {
        if let Some((hash, client_hello)) = self.early
            && let Some(early) = keys.transcript(client_hello.as_ref())
        {
            self.early = None;
            self.follow(hash, Kind::Early, early, b"c e traffic", &client_hello);
        }
        let Stage::Hellos { running, hellos } = &self.stage else { return };
        let Some(secret) = keys.transcript(hellos.as_ref()).cloned() else { return };
        let (running, hellos, hash) = (running.clone(), *hellos, running.hash);
        self.name = hellos.as_ref().first_chunk().copied().unwrap_or_default();
        self.follow(hash, Kind::Handshake(Side::Client), &secret, b"c hs traffic", &hellos);
        self.follow(hash, Kind::Handshake(Side::Server), &secret, b"s hs traffic", &hellos);
        self.stage = Stage::Handshake { running, secret };
    }

    fn follow(&mut self, hash: Hash, kind: Kind, secret: &Secret, label: &[u8], transcript: &digest::Digest) {
        if let Some(derived) = derive_secret(hash, secret.as_bytes(), label, transcript.as_ref()) {
            self.secrets.set(kind, derived);
            self.untold.push(kind);
        }
    }

    /// Tells what has followed since the last call, once both hellos have a secret.
    pub(super) fn tell<R: Reader>(&mut self, random: &Random, reader: &mut R) {
        if self.secrets.server_handshake.is_none() {
            return;
        }
        for kind in std::mem::take(&mut self.untold) {
            if let Some(secret) = self.secrets.get(kind) {
                reader.followed(Followed { random, transcript: &self.name, kind, secret });
            }
        }
    }

    /// Takes down decrypted handshake bytes of the server. `finished`: they end with its Finished. `true`: the traffic secrets follow.
    pub(super) fn flight(&mut self, bytes: &[u8], finished: bool) -> bool {
        let Stage::Handshake { running, secret } = &mut self.stage else { return false };
        running.context.update(bytes);
        if !finished {
            return false;
        }
        let (hash, flight) = (running.hash, running.so_far());
        if let Some(master) = master_secret(hash, secret.as_bytes()) {
            for (side, label) in [(Side::Client, b"c ap traffic"), (Side::Server, b"s ap traffic")] {
                self.follow(hash, Kind::Traffic(side), &master, label, &flight);
            }
        }
        self.stage = Stage::Over;
        true
    }

    /// Handshake bytes are missing: no transcript hash can be right any more.
    pub(super) fn lose(&mut self, side: Side) {
        let hellos_seen = matches!(self.stage, Stage::Hellos { .. } | Stage::Handshake { .. });
        if !(hellos_seen && side == Side::Client) {
            self.stage = Stage::Over;
        }
    }

    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.untold.capacity() * size_of::<Kind>()
            + match &self.stage {
                Stage::Client(bytes) => bytes.capacity(),
                _ => 0,
            }
    }
}

/// The message as it went over the wire; `None`: it was too long to be kept.
fn encoded(message: &Message<'_>) -> Option<Vec<u8>> {
    let [0, a, b, c] = u32::try_from(message.body.len()).ok()?.to_be_bytes() else { return None };
    let header = [message.kind, a, b, c];
    message.kept.then(|| [&header, message.body].concat())
}
