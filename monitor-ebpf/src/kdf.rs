//! OpenSSL 3: `EVP_KDF_derive(ctx, key, keylen, params)`, through which libssl derives every secret of TLS.
//!
//! `params` is an array of `OSSL_PARAM`, a public structure. Of the calls of a handshake two or three matter; the rest are told apart
//! by the parameters' names and let go.

use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;
use probe_abi::secret::{MAX_NAME, kind};

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
    let kind = match found.kind() {
        Ok(kind) => kind,
        Err(outcome) => return outcome,
    };
    let secret = if kind == kind::TLS12 { found.secret } else { found.key };
    secrets::hand_up(kind, |record| {
        record.secret_len = secret.len as u32;
        record.name_len = found.name_len(kind);
        user::read_into(secret.at, secret.len, &mut record.secret) && found.name(kind, &mut record.name)
    })
}

/// What names the connection that the secrets of a handshake are derived for: its randoms, or the hash of its hellos.
pub(crate) struct Name {
    found: Found,
    kind: u32,
}

impl Name {
    /// Of a call of `EVP_KDF_derive` that derives them.
    #[inline(always)]
    pub(crate) fn of(ctx: &ProbeContext) -> Option<Self> {
        let params = ctx.arg::<u64>(3).filter(|params| *params != 0)?;
        let found = parameters(params)?;
        let kind = found.kind().ok()?;
        (kind != kind::EARLY).then_some(Self { found, kind })
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> u32 {
        self.found.name_len(self.kind)
    }

    /// Reads it. `false`: that cannot be.
    #[inline(always)]
    pub(crate) fn read(&self, name: &mut [u8; MAX_NAME]) -> bool {
        self.found.name(self.kind, name)
    }
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

impl Found {
    /// Which secret it is, of [`kind`].
    #[inline(always)]
    fn kind(&self) -> Result<u32, Outcome> {
        if self.secret.is_some() {
            return self.key_block();
        }
        if !self.prefix.is_some() || !self.label.is_some() || !self.key.is_some() || !self.data.is_some() {
            return Err(Outcome::Unwanted);
        }
        self.schedule()
    }

    /// HKDF-Expand-Label of the key schedule (RFC 8446 section 7.1).
    #[inline(always)]
    fn schedule(&self) -> Result<u32, Outcome> {
        match self.label.len {
            12 => match user::read::<[u8; 12]>(self.label.at) {
                Some(label) if label == *b"s hs traffic" => Ok(kind::HANDSHAKE),
                Some(_) => Err(Outcome::Unwanted),
                None => Err(Outcome::Unread),
            },
            11 => match user::read::<[u8; 11]>(self.label.at) {
                Some(label) if label == *b"c e traffic" => Ok(kind::EARLY),
                Some(_) => Err(Outcome::Unwanted),
                None => Err(Outcome::Unread),
            },
            _ => Err(Outcome::Unwanted),
        }
    }

    /// The key block (RFC 5246 section 6.3): PRF(master secret, "key expansion", server random, client random).
    #[inline(always)]
    fn key_block(&self) -> Result<u32, Outcome> {
        let [label, server, client] = self.seeds;
        if label.len != 13 || server.len != 32 || client.len != 32 {
            return Err(Outcome::Unwanted);
        }
        match user::read::<[u8; 13]>(label.at) {
            Some(label) if label == *b"key expansion" => Ok(kind::TLS12),
            Some(_) => Err(Outcome::Unwanted),
            None => Err(Outcome::Unread),
        }
    }

    #[inline(always)]
    fn name_len(&self, kind: u32) -> u32 {
        if kind == kind::TLS12 { MAX_NAME as u32 } else { self.data.len as u32 }
    }

    /// Reads what names the connection: both randoms, the server's first, or the hash. `false`: that cannot be.
    #[inline(always)]
    fn name(&self, kind: u32, name: &mut [u8; MAX_NAME]) -> bool {
        if kind != kind::TLS12 {
            return user::read_into(self.data.at, self.data.len, name);
        }
        let [_, server, client] = self.seeds;
        let (Some(server), Some(client)) = (user::read::<[u8; 32]>(server.at), user::read::<[u8; 32]>(client.at))
        else {
            return false;
        };
        name[..32].copy_from_slice(&server);
        name[32..].copy_from_slice(&client);
        true
    }
}
