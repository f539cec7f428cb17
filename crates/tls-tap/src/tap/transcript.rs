//! RSA key exchange of TLS 1.2: which premaster secret, and what makes the master secret of it.

use aws_lc_rs::digest::{self, Digest};

use crate::cursor::Cursor;
use crate::handshake::messages::{Message, message};
use crate::schedule::tls12::{extended_master_secret, master_secret};
use crate::suite::Hash;
use crate::{Secret, Side, Suite};

/// One handshake's messages up to ClientKeyExchange, as the session hash takes them (RFC 7627 section 3).
#[derive(Debug)]
pub(super) struct Transcript {
    pub(super) epoch: usize,
    client_hello: Vec<u8>,
    /// ServerHello to ServerHelloDone.
    server: Vec<u8>,
    server_done: bool,
    /// Certificate and ClientKeyExchange.
    client: Vec<u8>,
    /// First bytes of the encrypted premaster secret.
    encrypted: Option<[u8; 8]>,
}

/// An RSA key exchange that was seen.
#[derive(Debug)]
pub(super) struct RsaExchange {
    pub(super) epoch: usize,
    pub(super) encrypted: [u8; 8],
    /// With extended master secret alone.
    session_hash: Option<Digest>,
}

impl Transcript {
    pub(super) const fn new(epoch: usize) -> Self {
        Self {
            epoch,
            client_hello: Vec::new(),
            server: Vec::new(),
            server_done: false,
            client: Vec::new(),
            encrypted: None,
        }
    }

    /// Adds a message. `false`: this is no RSA key exchange that can be followed.
    pub(super) fn push(&mut self, side: Side, message: &Message<'_>, cap: usize) -> bool {
        let bytes = match (side, message.kind) {
            (_, message::HELLO_REQUEST) => return true,
            (Side::Client, message::CLIENT_HELLO) => &mut self.client_hello,
            (Side::Client, _) if self.encrypted.is_none() => &mut self.client,
            (Side::Server, _) if !self.server_done => &mut self.server,
            _ => return true,
        };
        let kept = message.kept && bytes.len() + message.body.len() <= cap;
        let Some(length) = u32::try_from(message.body.len()).ok().filter(|_| kept) else { return false };
        let [_, length @ ..] = length.to_be_bytes();
        bytes.push(message.kind);
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(message.body);
        match (side, message.kind) {
            (Side::Server, message::SERVER_HELLO_DONE) => self.server_done = true,
            (Side::Client, message::CLIENT_KEY_EXCHANGE) => {
                // struct { opaque encrypted_premaster_secret<0..2^16-1> } (RFC 5246 section 7.4.7.1)
                self.encrypted =
                    Cursor::new(message.body).vec16().and_then(|encrypted| encrypted.first_chunk().copied());
                return self.encrypted.is_some();
            }
            _ => {}
        }
        true
    }

    /// The exchange, once both sides' parts are there.
    pub(super) fn finish(&self, suite: &Suite, extended_master_secret: bool) -> Option<RsaExchange> {
        let encrypted = self.encrypted.filter(|_| self.server_done)?;
        let session_hash = extended_master_secret.then(|| {
            let mut hash = digest::Context::new(match suite.hash {
                Hash::Sha384 => &digest::SHA384,
                Hash::Sha256 | Hash::Sha1 => &digest::SHA256,
            });
            for part in [&self.client_hello, &self.server, &self.client] {
                hash.update(part);
            }
            hash.finish()
        });
        Some(RsaExchange { epoch: self.epoch, encrypted, session_hash })
    }

    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.client_hello.capacity() + self.server.capacity() + self.client.capacity()
    }
}

impl RsaExchange {
    pub(super) fn master(
        &self,
        suite: &Suite,
        premaster: &Secret,
        client_random: &[u8; 32],
        server_random: &[u8; 32],
    ) -> Option<Secret> {
        match &self.session_hash {
            Some(hash) => extended_master_secret(suite.hash, premaster.as_bytes(), hash.as_ref()),
            None => master_secret(suite.hash, premaster.as_bytes(), client_random, server_random),
        }
    }
}
