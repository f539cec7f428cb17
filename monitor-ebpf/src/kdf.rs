//! OpenSSL 3: `EVP_KDF_derive(ctx, key, keylen, params)`, through which libssl derives every secret of TLS.
//!
//! `params` is an array of `OSSL_PARAM`, a public structure. Of the calls of a handshake two or three matter; the rest are told apart
//! by the parameters' names and let go.

use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;
use probe_abi::secret::kind;

use crate::secrets::{self, Outcome};
use crate::{bounds, user};

/// `OSSL_PARAM` (openssl/core.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct Param {
    key: u64,
    data_type: u32,
    padding: u32,
    data: u64,
    data_size: u64,
    return_size: u64,
}

/// Bytes that a parameter refers to.
#[derive(Clone, Copy)]
struct Data {
    at: u64,
    len: u64,
}

impl Data {
    /// Takes what a parameter refers to, where `mask` has ones.
    #[inline(always)]
    fn take(&mut self, param: &Param, mask: u64) {
        self.at |= param.data & mask;
        self.len |= param.data_size & mask;
    }

    const fn is_some(self) -> bool {
        self.at != 0
    }
}

/// The parameters that matter.
struct Found {
    prefix: Data,
    label: Data,
    key: Data,
    data: Data,
    secret: Data,
    seeds: [Data; 3],
}

/// More parameters than a call of libssl has.
const MAX_PARAMS: u64 = 10;
/// Names of parameters (openssl/core_names.h).
const KEY: u64 = u64::from_ne_bytes(*b"key\0\0\0\0\0");
const DATA: u64 = u64::from_ne_bytes(*b"data\0\0\0\0");
const LABEL: u64 = u64::from_ne_bytes(*b"label\0\0\0");
const PREFIX: u64 = u64::from_ne_bytes(*b"prefix\0\0");
const SECRET: u64 = u64::from_ne_bytes(*b"secret\0\0");
const SEED: u64 = u64::from_ne_bytes(*b"seed\0\0\0\0");

/// `EVP_KDF_derive` is called.
#[uprobe(sleepable)]
fn h2watch_kdf(ctx: ProbeContext) -> u32 {
    let outcome = match ctx.arg::<u64>(3) {
        Some(params) => derive(params),
        None => Outcome::Unread,
    };
    secrets::counted(outcome);
    0
}

#[inline(always)]
fn derive(params: u64) -> Outcome {
    // A context may hold its parameters already.
    if params == 0 {
        return Outcome::Unwanted;
    }
    let Some(found) = parameters(params) else { return Outcome::Unread };
    if found.secret.is_some() {
        return tls12(&found);
    }
    if !found.prefix.is_some() || !found.label.is_some() || !found.key.is_some() || !found.data.is_some() {
        return Outcome::Unwanted;
    }
    tls13(&found)
}

/// Collects the parameters that matter. Without a branch for what each of them is: the verifier walks every path through the loop, and
/// paths that differ multiply with each turn.
#[inline(always)]
fn parameters(params: u64) -> Option<Found> {
    let none = Data { at: 0, len: 0 };
    let mut found = Found { prefix: none, label: none, key: none, data: none, secret: none, seeds: [none; 3] };
    let [mut first, mut second] = [0u64; 2];
    for at in 0..MAX_PARAMS {
        let param: Param = user::read(params + at * size_of::<Param>() as u64)?;
        if param.key == 0 {
            break;
        }
        let name = user::text(param.key)?;
        let seed = bounds::equal(name, SEED);
        found.key.take(&param, bounds::equal(name, KEY));
        found.data.take(&param, bounds::equal(name, DATA));
        found.label.take(&param, bounds::equal(name, LABEL));
        found.prefix.take(&param, bounds::equal(name, PREFIX));
        found.secret.take(&param, bounds::equal(name, SECRET));
        found.seeds[0].take(&param, seed & !first);
        found.seeds[1].take(&param, seed & first & !second);
        found.seeds[2].take(&param, seed & second & bounds::equal(found.seeds[2].at, 0));
        second |= seed & first;
        first |= seed;
    }
    Some(found)
}

/// HKDF-Expand-Label of the key schedule (RFC 8446 section 7.1).
#[inline(always)]
fn tls13(found: &Found) -> Outcome {
    let kind = match found.label.len {
        12 => match user::read::<[u8; 12]>(found.label.at) {
            Some(label) if label == *b"s hs traffic" => kind::HANDSHAKE,
            Some(_) => return Outcome::Unwanted,
            None => return Outcome::Unread,
        },
        11 => match user::read::<[u8; 11]>(found.label.at) {
            Some(label) if label == *b"c e traffic" => kind::EARLY,
            Some(_) => return Outcome::Unwanted,
            None => return Outcome::Unread,
        },
        _ => return Outcome::Unwanted,
    };
    secrets::hand_up(kind, |record| {
        record.secret_len = found.key.len as u32;
        record.name_len = found.data.len as u32;
        user::read_into(found.key.at, found.key.len, &mut record.secret)
            && user::read_into(found.data.at, found.data.len, &mut record.name)
    })
}

/// The key block (RFC 5246 section 6.3): PRF(master secret, "key expansion", server random, client random).
#[inline(always)]
fn tls12(found: &Found) -> Outcome {
    let [label, server, client] = found.seeds;
    if label.len != 13 || server.len != 32 || client.len != 32 {
        return Outcome::Unwanted;
    }
    match user::read::<[u8; 13]>(label.at) {
        Some(label) if label == *b"key expansion" => {}
        Some(_) => return Outcome::Unwanted,
        None => return Outcome::Unread,
    }
    secrets::hand_up(kind::TLS12, |record| {
        record.secret_len = found.secret.len as u32;
        record.name_len = 64;
        let (Some(server), Some(client)) = (user::read::<[u8; 32]>(server.at), user::read::<[u8; 32]>(client.at)) else {
            return false;
        };
        record.name[..32].copy_from_slice(&server);
        record.name[32..].copy_from_slice(&client);
        user::read_into(found.secret.at, found.secret.len, &mut record.secret)
    })
}
