//! From a logged secret to record keys.
//!
//! TLS 1.3 begins at the traffic secrets, which a key log holds; TLS 1.2 at the master secret.

pub mod tls12;
pub mod tls13;

use aws_lc_rs::{digest, hmac};

use crate::suite::Hash;

pub(crate) const fn hmac_algorithm(hash: Hash) -> hmac::Algorithm {
    match hash {
        Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => hmac::HMAC_SHA256,
        Hash::Sha384 => hmac::HMAC_SHA384,
    }
}

pub(crate) fn digest_algorithm(hash: Hash) -> &'static digest::Algorithm {
    match hash {
        Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
    }
}
