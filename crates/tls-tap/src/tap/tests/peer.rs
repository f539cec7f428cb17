//! Makes what TLS 1.3 endpoints send.

use crate::cipher::tests::seal13;
use crate::keys::Kind;
use crate::schedule::tls13::next_secret;
use crate::{KeyStore, Secret, Side, Suite};

pub(super) const RANDOM: [u8; 32] = [7; 32];

/// One side's stream in the making.
pub(super) struct Peer {
    suite: &'static Suite,
    secret: Secret,
    sequence: u64,
    pub(super) wire: Vec<u8>,
    pub(super) plain: Vec<u8>,
    /// Wire ranges of records of application data, with where their content begins in `plain`.
    pub(super) records: Vec<(std::ops::Range<usize>, usize)>,
}

pub(super) fn secret(suite: &Suite, name: u8) -> Secret {
    Secret::new(&vec![name; suite.hash.output_len()]).unwrap()
}

pub(super) fn keys(suite: &Suite) -> KeyStore {
    let mut keys = KeyStore::new(10);
    for (kind, name) in [
        (Kind::Handshake(Side::Client), 1),
        (Kind::Handshake(Side::Server), 2),
        (Kind::Traffic(Side::Client), 3),
        (Kind::Traffic(Side::Server), 4),
    ] {
        keys.add(RANDOM, kind, secret(suite, name));
    }
    keys
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), body].concat()
}

fn vec16(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes()[..], body].concat()
}

pub(super) fn client_hello() -> Vec<u8> {
    let name = vec16(&[&[0][..], &vec16(b"origin.test")].concat());
    let extensions =
        [extension(0, &name), extension(16, &vec16(b"\x02h2\x08http/1.1")), extension(43, &[2, 3, 4])].concat();
    let body = [&[3, 3][..], &RANDOM, &[0], &[0, 2, 0x13, 1], &[1, 0], &vec16(&extensions)].concat();
    message(1, &body)
}

pub(super) fn server_hello(suite: u16) -> Vec<u8> {
    let extensions = extension(43, &[3, 4]);
    message(2, &[&[3, 3][..], &[9; 32], &[0], &suite.to_be_bytes(), &[0], &vec16(&extensions)].concat())
}

impl Peer {
    /// A side that has said hello, and its encrypted handshake up to Finished.
    pub(super) fn new(side: Side, suite: &'static Suite) -> Self {
        let hello = match side {
            Side::Client => client_hello(),
            Side::Server => server_hello(suite.id),
        };
        let handshake = secret(suite, if side == Side::Client { 1 } else { 2 });
        let mut peer = Self { suite, secret: handshake, sequence: 0, wire: vec![], plain: vec![], records: vec![] };
        for part in hello.chunks(40) {
            peer.wire.extend([22, 3, 1, 0, part.len() as u8]);
            peer.wire.extend(part);
        }
        peer.wire.extend([20, 3, 3, 0, 1, 1]);
        if side == Side::Server {
            let extensions = message(8, &vec16(&extension(16, &vec16(b"\x02h2"))));
            peer.seal(22, &extensions, 0);
            let rest = [message(11, &[5; 3_000]), message(20, &[6; 32])].concat();
            let (a, b) = rest.split_at(1_000);
            peer.seal(22, a, 3);
            peer.seal(22, b, 0);
        } else {
            peer.seal(22, &message(20, &[6; 32]), 0);
        }
        peer.secret = secret(suite, if side == Side::Client { 3 } else { 4 });
        peer.sequence = 0;
        peer
    }

    pub(super) fn seal(&mut self, content_type: u8, content: &[u8], padding: usize) {
        let (header, fragment) =
            seal13(self.suite, self.secret.as_bytes(), self.sequence, content_type, content, padding);
        self.wire.extend(header);
        self.wire.extend(fragment);
        self.sequence += 1;
    }

    pub(super) fn data(&mut self, content: &[u8], padding: usize) {
        let (wire, plain) = (self.wire.len(), self.plain.len());
        self.seal(23, content, padding);
        self.plain.extend(content);
        self.records.push((wire..self.wire.len(), plain));
    }

    pub(super) fn key_update(&mut self, cut: bool) {
        let update = message(24, &[0]);
        if cut {
            self.seal(22, &update[..2], 0);
            self.seal(22, &update[2..], 0);
        } else {
            self.seal(22, &update, 0);
        }
        self.secret = next_secret(self.suite.hash, self.secret.as_bytes()).unwrap();
        self.sequence = 0;
    }

    pub(super) fn ticket(&mut self) {
        self.seal(22, &message(4, &[1; 200]), 0);
    }
}

/// Bytes that differ from place to place.
pub(super) fn filler(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ seed).collect()
}
