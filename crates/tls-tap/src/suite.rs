//! The cipher suites that are decrypted.

/// A hash function that a suite's key schedule or MAC uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1: a MAC of TLS 1.2 only.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl Hash {
    /// Output bytes.
    #[must_use]
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// AES key size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aes {
    /// 128 bits.
    Aes128,
    /// 256 bits.
    Aes256,
}

/// How records are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// AES-GCM (RFC 5288).
    Gcm(Aes),
    /// ChaCha20-Poly1305 (RFC 7905).
    ChaCha20Poly1305,
    /// AES-CCM (RFC 6655), 16-byte tag.
    Ccm(Aes),
    /// AES-CCM with an 8-byte tag.
    Ccm8(Aes),
    /// AES-CBC with an HMAC of this hash (RFC 5246 section 6.2.3.2).
    Cbc(Aes, Hash),
}

impl Protection {
    /// Bytes of the encryption key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Gcm(Aes::Aes128) | Self::Ccm(Aes::Aes128) | Self::Ccm8(Aes::Aes128) | Self::Cbc(Aes::Aes128, _) => 16,
            Self::ChaCha20Poly1305
            | Self::Gcm(Aes::Aes256)
            | Self::Ccm(Aes::Aes256)
            | Self::Ccm8(Aes::Aes256)
            | Self::Cbc(Aes::Aes256, _) => 32,
        }
    }

    /// Bytes of the MAC key; 0 for an AEAD.
    #[must_use]
    pub const fn mac_key_len(self) -> usize {
        match self {
            Self::Cbc(_, mac) => mac.output_len(),
            Self::Gcm(_) | Self::ChaCha20Poly1305 | Self::Ccm(_) | Self::Ccm8(_) => 0,
        }
    }

    /// Bytes of the implicit IV that TLS 1.2 takes from the key block (RFC 5246 section 6.3).
    #[must_use]
    pub const fn fixed_iv_len(self) -> usize {
        match self {
            Self::Gcm(_) | Self::Ccm(_) | Self::Ccm8(_) => 4,
            Self::ChaCha20Poly1305 => 12,
            Self::Cbc(..) => 0,
        }
    }

    /// Bytes of the authentication tag; 0 for CBC, whose MAC is inside.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Gcm(_) | Self::ChaCha20Poly1305 | Self::Ccm(_) => 16,
            Self::Ccm8(_) => 8,
            Self::Cbc(..) => 0,
        }
    }
}

/// A cipher suite that is decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    /// Number, as registered with IANA.
    pub id: u16,
    /// Name, as registered with IANA.
    pub name: &'static str,
    /// Record protection.
    pub protection: Protection,
    /// Hash of the key schedule: HKDF (TLS 1.3) or the PRF (TLS 1.2).
    pub hash: Hash,
}

impl Suite {
    /// Looks a suite up; `None`: not decrypted.
    #[must_use]
    pub fn by_id(id: u16) -> Option<&'static Self> {
        let at = SUITES.binary_search_by_key(&id, |suite| suite.id).ok()?;
        SUITES.get(at)
    }

    /// A suite of TLS 1.3 (RFC 8446 appendix B.4).
    #[must_use]
    pub const fn is_tls13(&self) -> bool {
        self.id >> 8 == 0x13
    }

    /// The client sends the premaster secret, encrypted for the server's RSA key (RFC 5246 section 7.4.7.1).
    #[must_use]
    pub fn has_rsa_key_exchange(&self) -> bool {
        self.name.starts_with("TLS_RSA_WITH_")
    }
}

use Aes::{Aes128, Aes256};
use Hash::{Sha1, Sha256, Sha384};
use Protection::{Cbc, Ccm, Ccm8, ChaCha20Poly1305, Gcm};

macro_rules! suites {
    ($($id:literal $name:ident $protection:expr, $hash:expr;)*) => {
        /// In the order of their numbers.
        static SUITES: &[Suite] = &[
            $(Suite { id: $id, name: stringify!($name), protection: $protection, hash: $hash },)*
        ];
    };
}

suites! {
    0x002f TLS_RSA_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0x0030 TLS_DH_DSS_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0x0031 TLS_DH_RSA_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0x0032 TLS_DHE_DSS_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0x0033 TLS_DHE_RSA_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0x0034 TLS_DH_anon_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0x0035 TLS_RSA_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0x0036 TLS_DH_DSS_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0x0037 TLS_DH_RSA_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0x0038 TLS_DHE_DSS_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0x0039 TLS_DHE_RSA_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0x003a TLS_DH_anon_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0x003c TLS_RSA_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0x003d TLS_RSA_WITH_AES_256_CBC_SHA256 Cbc(Aes256, Sha256), Sha256;
    0x003e TLS_DH_DSS_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0x003f TLS_DH_RSA_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0x0040 TLS_DHE_DSS_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0x0067 TLS_DHE_RSA_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0x0068 TLS_DH_DSS_WITH_AES_256_CBC_SHA256 Cbc(Aes256, Sha256), Sha256;
    0x0069 TLS_DH_RSA_WITH_AES_256_CBC_SHA256 Cbc(Aes256, Sha256), Sha256;
    0x006a TLS_DHE_DSS_WITH_AES_256_CBC_SHA256 Cbc(Aes256, Sha256), Sha256;
    0x006b TLS_DHE_RSA_WITH_AES_256_CBC_SHA256 Cbc(Aes256, Sha256), Sha256;
    0x006c TLS_DH_anon_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0x006d TLS_DH_anon_WITH_AES_256_CBC_SHA256 Cbc(Aes256, Sha256), Sha256;
    0x008c TLS_PSK_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0x008d TLS_PSK_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0x0090 TLS_DHE_PSK_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0x0091 TLS_DHE_PSK_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0x0094 TLS_RSA_PSK_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0x0095 TLS_RSA_PSK_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0x009c TLS_RSA_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0x009d TLS_RSA_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0x009e TLS_DHE_RSA_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0x009f TLS_DHE_RSA_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0x00a0 TLS_DH_RSA_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0x00a1 TLS_DH_RSA_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0x00a2 TLS_DHE_DSS_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0x00a3 TLS_DHE_DSS_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0x00a4 TLS_DH_DSS_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0x00a5 TLS_DH_DSS_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0x00a6 TLS_DH_anon_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0x00a7 TLS_DH_anon_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0x00a8 TLS_PSK_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0x00a9 TLS_PSK_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0x00aa TLS_DHE_PSK_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0x00ab TLS_DHE_PSK_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0x00ac TLS_RSA_PSK_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0x00ad TLS_RSA_PSK_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0x00ae TLS_PSK_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0x00af TLS_PSK_WITH_AES_256_CBC_SHA384 Cbc(Aes256, Sha384), Sha384;
    0x00b2 TLS_DHE_PSK_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0x00b3 TLS_DHE_PSK_WITH_AES_256_CBC_SHA384 Cbc(Aes256, Sha384), Sha384;
    0x00b6 TLS_RSA_PSK_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0x00b7 TLS_RSA_PSK_WITH_AES_256_CBC_SHA384 Cbc(Aes256, Sha384), Sha384;
    0x1301 TLS_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0x1302 TLS_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0x1303 TLS_CHACHA20_POLY1305_SHA256 ChaCha20Poly1305, Sha256;
    0x1304 TLS_AES_128_CCM_SHA256 Ccm(Aes128), Sha256;
    0x1305 TLS_AES_128_CCM_8_SHA256 Ccm8(Aes128), Sha256;
    0xc004 TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0xc005 TLS_ECDH_ECDSA_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0xc009 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0xc00a TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0xc00e TLS_ECDH_RSA_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0xc00f TLS_ECDH_RSA_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0xc013 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0xc014 TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0xc018 TLS_ECDH_anon_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0xc019 TLS_ECDH_anon_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0xc023 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0xc024 TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384 Cbc(Aes256, Sha384), Sha384;
    0xc025 TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0xc026 TLS_ECDH_ECDSA_WITH_AES_256_CBC_SHA384 Cbc(Aes256, Sha384), Sha384;
    0xc027 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0xc028 TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384 Cbc(Aes256, Sha384), Sha384;
    0xc029 TLS_ECDH_RSA_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0xc02a TLS_ECDH_RSA_WITH_AES_256_CBC_SHA384 Cbc(Aes256, Sha384), Sha384;
    0xc02b TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0xc02c TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0xc02d TLS_ECDH_ECDSA_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0xc02e TLS_ECDH_ECDSA_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0xc02f TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0xc030 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0xc031 TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0xc032 TLS_ECDH_RSA_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0xc035 TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA Cbc(Aes128, Sha1), Sha256;
    0xc036 TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA Cbc(Aes256, Sha1), Sha256;
    0xc037 TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256 Cbc(Aes128, Sha256), Sha256;
    0xc038 TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384 Cbc(Aes256, Sha384), Sha384;
    0xc09c TLS_RSA_WITH_AES_128_CCM Ccm(Aes128), Sha256;
    0xc09d TLS_RSA_WITH_AES_256_CCM Ccm(Aes256), Sha256;
    0xc09e TLS_DHE_RSA_WITH_AES_128_CCM Ccm(Aes128), Sha256;
    0xc09f TLS_DHE_RSA_WITH_AES_256_CCM Ccm(Aes256), Sha256;
    0xc0a0 TLS_RSA_WITH_AES_128_CCM_8 Ccm8(Aes128), Sha256;
    0xc0a1 TLS_RSA_WITH_AES_256_CCM_8 Ccm8(Aes256), Sha256;
    0xc0a2 TLS_DHE_RSA_WITH_AES_128_CCM_8 Ccm8(Aes128), Sha256;
    0xc0a3 TLS_DHE_RSA_WITH_AES_256_CCM_8 Ccm8(Aes256), Sha256;
    0xc0a4 TLS_PSK_WITH_AES_128_CCM Ccm(Aes128), Sha256;
    0xc0a5 TLS_PSK_WITH_AES_256_CCM Ccm(Aes256), Sha256;
    0xc0a6 TLS_DHE_PSK_WITH_AES_128_CCM Ccm(Aes128), Sha256;
    0xc0a7 TLS_DHE_PSK_WITH_AES_256_CCM Ccm(Aes256), Sha256;
    0xc0a8 TLS_PSK_WITH_AES_128_CCM_8 Ccm8(Aes128), Sha256;
    0xc0a9 TLS_PSK_WITH_AES_256_CCM_8 Ccm8(Aes256), Sha256;
    0xc0aa TLS_PSK_DHE_WITH_AES_128_CCM_8 Ccm8(Aes128), Sha256;
    0xc0ab TLS_PSK_DHE_WITH_AES_256_CCM_8 Ccm8(Aes256), Sha256;
    0xc0ac TLS_ECDHE_ECDSA_WITH_AES_128_CCM Ccm(Aes128), Sha256;
    0xc0ad TLS_ECDHE_ECDSA_WITH_AES_256_CCM Ccm(Aes256), Sha256;
    0xc0ae TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 Ccm8(Aes128), Sha256;
    0xc0af TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8 Ccm8(Aes256), Sha256;
    0xcca8 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 ChaCha20Poly1305, Sha256;
    0xcca9 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 ChaCha20Poly1305, Sha256;
    0xccaa TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256 ChaCha20Poly1305, Sha256;
    0xccab TLS_PSK_WITH_CHACHA20_POLY1305_SHA256 ChaCha20Poly1305, Sha256;
    0xccac TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256 ChaCha20Poly1305, Sha256;
    0xccad TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256 ChaCha20Poly1305, Sha256;
    0xccae TLS_RSA_PSK_WITH_CHACHA20_POLY1305_SHA256 ChaCha20Poly1305, Sha256;
    0xd001 TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256 Gcm(Aes128), Sha256;
    0xd002 TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384 Gcm(Aes256), Sha384;
    0xd003 TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256 Ccm8(Aes128), Sha256;
    0xd005 TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256 Ccm(Aes128), Sha256;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_names_agree_with_what_they_say() {
        assert!(SUITES.is_sorted_by(|a, b| a.id < b.id), "binary search needs it");
        for suite in SUITES {
            let says = |part| suite.name.contains(part);
            assert_eq!(says("AES_128"), suite.protection.key_len() == 16, "{}", suite.name);
            assert_eq!(says("_GCM_"), matches!(suite.protection, Gcm(_)), "{}", suite.name);
            assert_eq!(says("_CCM_8"), suite.protection.tag_len() == 8, "{}", suite.name);
            assert_eq!(says("_CBC_"), suite.protection.mac_key_len() != 0, "{}", suite.name);
            assert_eq!(suite.name.ends_with("SHA384"), suite.hash == Sha384, "{}", suite.name);
            assert_eq!(suite.name.contains("_WITH_"), !suite.is_tls13(), "{}", suite.name);
        }
    }

    #[test]
    fn lookup() {
        assert_eq!(Suite::by_id(0xc02f).unwrap().name, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
        assert_eq!(Suite::by_id(0x1303).unwrap().protection, ChaCha20Poly1305);
        assert!(Suite::by_id(0x009c).unwrap().has_rsa_key_exchange());
        assert!(!Suite::by_id(0xc02f).unwrap().has_rsa_key_exchange());
        assert!(Suite::by_id(0x000a).is_none(), "3DES");
    }
}
