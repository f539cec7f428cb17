//! What both sides' hellos settled.

use crate::cipher::RecordCipher;
use crate::handshake::hello::{ClientHello, EncryptedExtensions, ServerHello};
use crate::schedule::tls12::KeyBlock;
use crate::{KeyStore, Secret, Secrets, Secured, Side, Suite, Version};

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
    pub(super) secured: bool,
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

    pub(super) fn secrets<'k>(&self, keys: &'k KeyStore) -> Option<&'k Secrets> {
        keys.get(self.random.as_ref()?)
    }

    /// 0-RTT data was offered, and nothing says that it was refused.
    pub(super) fn early_accepted(&self) -> bool {
        let first_psk = self.servers.first().is_none_or(|server| server.psk == Some(0));
        !self.retried && first_psk && self.extensions.as_ref().is_none_or(|extensions| extensions.early_data)
    }

    pub(super) fn early_offered(&self) -> bool {
        self.clients.first().is_some_and(|client| client.early_data)
    }

    /// Suites to try with TLS 1.3 secrets.
    pub(super) fn suites(&self) -> impl Iterator<Item = &'static Suite> {
        let known = self.suite;
        TLS13_SUITES.into_iter().filter(move |suite| known.is_none_or(|known| known == *suite)).filter_map(Suite::by_id)
    }

    /// Both hellos of this TLS 1.2 handshake, the first being 0, and its master secret.
    fn epoch<'k>(&self, epoch: usize, keys: &'k KeyStore) -> Option<(&ClientHello, &ServerHello, &'k Secret)> {
        let (client, server) = (self.clients.get(epoch)?, self.servers.get(epoch)?);
        let by_random = keys.get(&client.hello.random).and_then(|secrets| secrets.master.as_ref());
        let master = by_random.or_else(|| keys.session(&server.session_id.0))?;
        Some((client, server, master))
    }

    pub(super) fn has_tls12_keys(&self, epoch: usize, keys: &KeyStore) -> bool {
        self.epoch(epoch, keys).is_some()
    }

    pub(super) fn tls12_cipher(&self, epoch: usize, side: Side, keys: &KeyStore) -> Option<RecordCipher> {
        let (client, server, master) = self.epoch(epoch, keys)?;
        let suite = Suite::by_id(server.suite)?;
        let block = KeyBlock::derive(suite, master.as_bytes(), &client.hello.random, &server.random);
        RecordCipher::tls12(suite, block.write_keys(side), server.encrypt_then_mac)
    }

    pub(super) fn settled(&self) -> Option<Secured> {
        let in_clear = || self.servers.first().and_then(|server| server.alpn.clone());
        Some(Secured {
            version: self.version?,
            suite: self.suite?,
            alpn: self.extensions.as_ref().map_or_else(in_clear, |extensions| extensions.alpn.clone()),
            resumed: self.resumed,
        })
    }

    pub(super) fn memory(&self) -> usize {
        self.clients.capacity() * size_of::<ClientHello>() + self.servers.capacity() * size_of::<ServerHello>()
    }
}
