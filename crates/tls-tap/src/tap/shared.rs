//! What both sides' hellos settled.

use super::derived::Derived;
use super::transcript::{RsaExchange, Transcript};
use crate::cipher::RecordCipher;
use crate::handshake::hello::{self, ClientHello, EncryptedExtensions, ServerHello};
use crate::handshake::messages::{Message, message};
use crate::schedule::tls12::KeyBlock;
use crate::{KeyStore, Reader, Secret, Secrets, Secured, SessionName, SessionNames, Side, Suite, Version};

/// Handshakes of one connection that are remembered: TLS 1.2 may renegotiate.
const MAX_EPOCHS: usize = 32;

/// Suites of TLS 1.3, the most common first.
const TLS13_SUITES: [u16; 5] = [0x1302, 0x1301, 0x1303, 0x1304, 0x1305];

#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The client random that names the connection in key logs.
    pub(super) random: Option<[u8; 32]>,
    clients: Vec<ClientHello>,
    servers: Vec<ServerHello>,
    pub(super) extensions: Option<EncryptedExtensions>,
    pub(super) version: Option<Version>,
    pub(super) suite: Option<u16>,
    /// A HelloRetryRequest was seen, and no ServerHello since.
    pub(super) retry: bool,
    /// A HelloRetryRequest was seen: 0-RTT data is refused.
    retried: bool,
    /// The ServerHello was in bytes that are missing.
    pub(super) server_lost: bool,
    /// The handshake was not seen and a search found the secrets.
    pub(super) joined: bool,
    pub(super) resumed: bool,
    /// The session whose ticket the server has given last (RFC 5077).
    pub(super) ticket: Option<SessionName>,
    pub(super) secured: bool,
    /// The handshake at hand, while an RSA key exchange may follow or be under way.
    transcript: Option<Box<Transcript>>,
    exchanges: Vec<RsaExchange>,
    /// TLS 1.3 secrets by transcript.
    derived: Option<Box<Derived>>,
}

impl Shared {
    /// `true`: it begins a handshake; `false`: it repeats one after a HelloRetryRequest, or there were too many.
    pub(super) fn client_hello(&mut self, hello: ClientHello) -> bool {
        let repeats = self.clients.last().is_some_and(|last| last.hello.random == hello.hello.random);
        if repeats || self.clients.len() >= MAX_EPOCHS {
            return false;
        }
        self.random.get_or_insert(hello.hello.random);
        self.clients.push(hello);
        true
    }

    pub(super) fn server_hello(&mut self, hello: ServerHello) {
        if hello.retry {
            self.retry = true;
            self.retried = true;
            return;
        }
        self.retry = false;
        if self.servers.len() >= MAX_EPOCHS {
            return;
        }
        if self.version.is_none() {
            self.version = Some(hello.version);
            self.suite = Some(hello.suite);
            self.resumed = hello.version == Version::Tls13 && hello.psk.is_some();
        }
        self.servers.push(hello);
    }

    pub(super) fn has_server_hello(&self) -> bool {
        !self.servers.is_empty()
    }

    pub(super) fn randoms(&self) -> Option<(&[u8; 32], &[u8; 32])> {
        let older = self.version.is_some_and(|version| version != Version::Tls13);
        let (client, server) = (self.clients.first()?, self.servers.first()?);
        older.then_some((&client.hello.random, &server.random))
    }

    pub(super) fn secrets<'k>(&'k self, keys: &'k KeyStore) -> Option<&'k Secrets> {
        let logged = keys.get(self.random.as_ref()?);
        let derived =
            self.derived.as_ref().map(|derived| derived.secrets()).filter(|secrets| secrets.server_handshake.is_some());
        logged.filter(|logged| derived.is_none() || logged.server_traffic.is_some()).or(derived)
    }

    /// Both hellos were seen, as far as they ever will be, and neither the client's random nor the transcript leads to a secret. Where a
    /// session of TLS 1.2 may be resumed, its secret may yet come.
    pub(super) fn is_without_key(&self, keys: &KeyStore) -> bool {
        (self.has_server_hello() || self.server_lost)
            && !self.may_resume()
            && self.random.is_some_and(|random| keys.get(&random).is_none())
            && self.secrets(keys).is_none()
    }

    /// Takes down a message in the clear, and looks for the secret of both hellos.
    pub(super) fn derive(&mut self, side: Side, message: &Message<'_>, keys: &KeyStore) {
        let server = |body| hello::server_hello(body).map(|hello| (hello.suite, hello.retry));
        match (side, message.kind) {
            (Side::Client, message::CLIENT_HELLO) if self.servers.is_empty() => {
                self.derived.get_or_insert_default().hello(side, message, None);
            }
            (Side::Server, message::SERVER_HELLO) if self.version.is_none_or(|version| version == Version::Tls13) => {
                let hello = server(message.body);
                if let Some(derived) = &mut self.derived {
                    derived.hello(side, message, hello);
                    derived.look_up(keys);
                }
            }
            _ => self.derived = None,
        }
    }

    /// Looks for the secret of both hellos.
    pub(super) fn look_up(&mut self, keys: &KeyStore) {
        if let Some(derived) = &mut self.derived {
            derived.look_up(keys);
        }
    }

    /// Tells what has followed from secrets by transcript.
    pub(super) fn tell_followed<R: Reader>(&mut self, reader: &mut R) {
        if let (Some(random), Some(derived)) = (&self.random, &mut self.derived) {
            derived.tell(random, reader);
        }
    }

    /// Takes down decrypted handshake bytes of the server. `true`: the traffic secrets are there now.
    pub(super) fn flight(&mut self, bytes: &[u8], finished: bool) -> bool {
        self.derived.as_mut().is_some_and(|derived| derived.flight(bytes, finished))
    }

    /// The handshake is over: nothing more follows from its transcript.
    pub(super) fn drop_derived(&mut self) {
        self.derived = None;
    }

    pub(super) fn wanted_transcript(&self) -> Option<crate::TranscriptName> {
        self.derived.as_ref()?.wanted()?.first_chunk().copied()
    }

    /// The server took the 0-RTT data: its EncryptedExtensions alone say so (RFC 8446 section 4.2.10). What it refused is sent again.
    pub(super) fn early_accepted(&self) -> bool {
        self.extensions.as_ref().is_some_and(|extensions| extensions.early_data)
    }

    /// Nothing says whether the server took the 0-RTT data.
    pub(super) fn early_unknown(&self) -> bool {
        let first_psk = self.servers.first().is_none_or(|server| server.psk == Some(0));
        !self.retried && first_psk && self.extensions.is_none()
    }

    pub(super) fn early_offered(&self) -> bool {
        self.clients.first().is_some_and(|client| client.early_data)
    }

    /// Suites to try with TLS 1.3 secrets.
    pub(super) fn suites(&self) -> impl Iterator<Item = &'static Suite> {
        let known = self.suite;
        TLS13_SUITES.into_iter().filter(move |suite| known.is_none_or(|known| known == *suite)).filter_map(Suite::by_id)
    }

    /// Both hellos of this TLS 1.2 handshake, the first being 0.
    fn hellos(&self, epoch: usize) -> Option<(&ClientHello, &ServerHello)> {
        Some((self.clients.get(epoch)?, self.servers.get(epoch)?))
    }

    pub(super) fn has_hellos(&self, epoch: usize) -> bool {
        self.hellos(epoch).is_some()
    }

    fn master<'k>(&self, epoch: usize, keys: &'k KeyStore) -> Option<&'k Secret> {
        let (client, server) = self.hellos(epoch)?;
        let by_random = keys.get(&client.hello.random).and_then(|secrets| secrets.master.as_ref());
        by_random.or_else(|| keys.session(&server.session_id.0))
    }

    fn premaster<'k>(&self, epoch: usize, keys: &'k KeyStore) -> Option<(&RsaExchange, &'k Secret)> {
        let exchange = self.exchanges.iter().find(|exchange| exchange.epoch == epoch)?;
        Some((exchange, keys.premaster(&exchange.encrypted)?))
    }

    pub(super) fn has_tls12_keys(&self, epoch: usize, keys: &KeyStore) -> bool {
        self.master(epoch, keys).is_some() || (self.has_hellos(epoch) && self.premaster(epoch, keys).is_some())
    }

    /// The master secret of a TLS 1.2 handshake.
    pub(super) fn tls12_master(&self, epoch: usize, keys: &KeyStore) -> Option<Secret> {
        let (client, server) = self.hellos(epoch)?;
        let derived = || {
            let (exchange, premaster) = self.premaster(epoch, keys)?;
            exchange.master(Suite::by_id(server.suite)?, premaster, &client.hello.random, &server.random)
        };
        self.master(epoch, keys).cloned().or_else(derived)
    }

    /// By what a session that was made or resumed in this handshake can be resumed.
    pub(super) fn session_names(&mut self, epoch: usize) -> SessionNames {
        let id = self.hellos(epoch).and_then(|(_, server)| SessionName::id(&server.session_id.0));
        [self.ticket.take(), id]
    }

    fn may_resume(&self) -> bool {
        self.version == Some(Version::Tls12) && self.resumes().is_some_and(|(_, names)| names != [None, None])
    }

    /// If the first handshake resumes a session: the connection's name, and the names of the session.
    pub(super) fn resumes(&self) -> Option<(&[u8; 32], SessionNames)> {
        let (client, server) = self.hellos(0)?;
        // Who offers a ticket makes up an id, and the server that takes the ticket gives it back (RFC 5077 section 3.4).
        let id = SessionName::id(&server.session_id.0).filter(|_| server.session_id == client.session_id);
        Some((&client.hello.random, [client.ticket, id]))
    }

    pub(super) fn tls12_cipher(&self, epoch: usize, side: Side, master: &Secret) -> Option<RecordCipher> {
        let (client, server) = self.hellos(epoch)?;
        let suite = Suite::by_id(server.suite)?;
        let block = KeyBlock::derive(suite, master.as_bytes(), &client.hello.random, &server.random);
        RecordCipher::tls12(suite, block.write_keys(side), server.encrypt_then_mac)
    }

    pub(super) fn settled(&self) -> Option<Secured> {
        let version = self.version?;
        let in_clear = || self.servers.first().and_then(|server| server.alpn.clone());
        // EncryptedExtensions are of TLS 1.3 alone (RFC 8446 section 4.3.1): elsewhere a message that calls itself so says nothing.
        let extensions = self.extensions.as_ref().filter(|_| version == Version::Tls13);
        Some(Secured {
            version,
            suite: self.suite?,
            alpn: extensions.map_or_else(in_clear, |extensions| extensions.alpn.clone()),
            resumed: self.resumed,
        })
    }

    /// Whether whole messages are wanted.
    pub(super) const fn records_transcript(&self) -> bool {
        self.transcript.is_some()
    }

    /// Takes down a message of TLS 1.2, or of the hellos of any version.
    pub(super) fn transcribe(&mut self, side: Side, message: &Message<'_>, cap: usize) {
        if side == Side::Client && message.kind == message::CLIENT_HELLO {
            let epoch = self.clients.len().checked_sub(1);
            self.transcript = epoch.map(|epoch| Box::new(Transcript::new(epoch)));
        }
        let Some(transcript) = &mut self.transcript else { return };
        let goes_on = transcript.push(side, message, cap);
        let server = self.servers.get(transcript.epoch);
        let suite = server.map(|server| Suite::by_id(server.suite).filter(|suite| suite.has_rsa_key_exchange()));
        match (server, suite) {
            (Some(server), Some(Some(suite))) if goes_on => {
                if let Some(exchange) = transcript.finish(suite, server.extended_master_secret) {
                    self.exchanges.push(exchange);
                    self.transcript = None;
                }
            }
            (None, _) if goes_on => {}
            _ => self.transcript = None,
        }
    }

    /// Handshake bytes are missing.
    pub(super) fn drop_transcript(&mut self, side: Side) {
        self.transcript = None;
        if let Some(derived) = &mut self.derived {
            derived.lose(side);
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.transcript.as_ref().map_or(0, |transcript| transcript.memory())
            + self.derived.as_ref().map_or(0, |derived| derived.memory())
            + self.exchanges.capacity() * size_of::<RsaExchange>()
            + self.clients.capacity() * size_of::<ClientHello>()
            + self.servers.capacity() * size_of::<ServerHello>()
    }
}
