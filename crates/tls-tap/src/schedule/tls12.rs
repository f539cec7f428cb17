//! RFC 5246 sections 5, 6.3 and 8.1.

use aws_lc_rs::hmac;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::hmac_algorithm;
use crate::secret::Secret;
use crate::side::Side;
use crate::suite::{Hash, Suite};

/// The PRF (section 5): fills `out`.
pub fn prf(hash: Hash, secret: &[u8], label: &[u8], seeds: [&[u8]; 2], out: &mut [u8]) {
    let key = hmac::Key::new(hmac_algorithm(hash), secret);
    let sign = |a: Option<&hmac::Tag>| {
        let mut context = hmac::Context::with_key(&key);
        if let Some(a) = a {
            context.update(a.as_ref());
        }
        context
    };
    let seeded = |mut context: hmac::Context| {
        context.update(label);
        for seed in seeds {
            context.update(seed);
        }
        context.sign()
    };
    let mut a = seeded(sign(None));
    for piece in out.chunks_mut(hash.output_len()) {
        let block = seeded(sign(Some(&a)));
        for (to, from) in piece.iter_mut().zip(block.as_ref()) {
            *to = *from;
        }
        a = sign(Some(&a)).sign();
    }
}

/// The master secret of a premaster secret, without the extended master secret of RFC 7627 (section 8.1).
#[must_use]
pub fn master_secret(
    hash: Hash,
    premaster: &[u8],
    client_random: &[u8; 32],
    server_random: &[u8; 32],
) -> Option<Secret> {
    let mut master = Zeroizing::new([0; 48]);
    prf(hash, premaster, b"master secret", [client_random, server_random], &mut *master);
    Secret::new(&*master)
}

/// The master secret of a premaster secret and the hash of the handshake so far (RFC 7627 section 4).
#[must_use]
pub fn extended_master_secret(hash: Hash, premaster: &[u8], session_hash: &[u8]) -> Option<Secret> {
    let mut master = Zeroizing::new([0; 48]);
    prf(hash, premaster, b"extended master secret", [session_hash, &[]], &mut *master);
    Secret::new(&*master)
}

/// The key block cut into its parts (section 6.3). Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct KeyBlock {
    bytes: [u8; Self::MAX],
    mac_key_len: usize,
    key_len: usize,
    iv_len: usize,
}

/// One direction's part of a [`KeyBlock`].
#[derive(Clone, Copy)]
pub struct WriteKeys<'k> {
    /// MAC key; empty for an AEAD.
    pub mac_key: &'k [u8],
    /// Encryption key.
    pub key: &'k [u8],
    /// Implicit part of the nonce; empty for CBC.
    pub iv: &'k [u8],
}

impl KeyBlock {
    /// HMAC-SHA-384, AES-256 and no IV is the longest.
    const MAX: usize = 2 * (48 + 32 + 12);

    /// Expands a master secret.
    #[must_use]
    pub fn derive(suite: &Suite, master: &[u8], client_random: &[u8; 32], server_random: &[u8; 32]) -> Self {
        let mut block = Self {
            bytes: [0; Self::MAX],
            mac_key_len: suite.protection.mac_key_len(),
            key_len: suite.protection.key_len(),
            iv_len: suite.protection.fixed_iv_len(),
        };
        let len = 2 * (block.mac_key_len + block.key_len + block.iv_len);
        if let Some(out) = block.bytes.get_mut(..len) {
            prf(suite.hash, master, b"key expansion", [server_random, client_random], out);
        }
        block
    }

    /// The keys of what `side` sends.
    #[must_use]
    pub fn write_keys(&self, side: Side) -> WriteKeys<'_> {
        let mut at = 0;
        let mut next = |len: usize| {
            let start = at + if side == Side::Server { len } else { 0 };
            at += 2 * len;
            self.bytes.get(start..start + len).unwrap_or_default()
        };
        WriteKeys { mac_key: next(self.mac_key_len), key: next(self.key_len), iv: next(self.iv_len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    /// The vectors that the TLS working group's list has for P_SHA256 and P_SHA384 (ietf-tls, 2009).
    #[test]
    fn prf_vectors() {
        let mut out = [0; 100];
        prf(
            Hash::Sha256,
            &hex("9bbe436ba940f017b17652849a71db35"),
            b"test label",
            [&hex("a0ba9f936cda311827a6f796ffd5198c"), &[]],
            &mut out,
        );
        let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a\
                        6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab\
                        4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701\
                        87347b66";
        assert_eq!(out[..], hex(expected));
    }

    #[test]
    fn the_block_is_cut_in_pairs() {
        let suite = Suite::by_id(0xc027).unwrap();
        let block = KeyBlock::derive(suite, &[1; 48], &[2; 32], &[3; 32]);
        let mut all = [0; 96];
        prf(Hash::Sha256, &[1; 48], b"key expansion", [&[3; 32], &[2; 32]], &mut all);
        let (client, server) = (block.write_keys(Side::Client), block.write_keys(Side::Server));
        let joined = [client.mac_key, server.mac_key, client.key, server.key, client.iv, server.iv].concat();
        assert_eq!(joined, all);
    }
}
