//! RFC 8446 section 7.

use aws_lc_rs::{digest, hmac};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{digest_algorithm, hmac_algorithm};
use crate::secret::Secret;
use crate::suite::{Hash, Suite};

/// Key and IV of one direction (section 7.3). Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TrafficKeys {
    key: [u8; 32],
    key_len: usize,
    iv: [u8; 12],
}

impl TrafficKeys {
    /// Derives both from a traffic secret. `None`: the secret has not the length of the suite's hash.
    #[must_use]
    pub fn derive(suite: &Suite, secret: &[u8]) -> Option<Self> {
        let secret = Expander::new(suite.hash, secret)?;
        let mut keys = Self { key: [0; 32], key_len: suite.protection.key_len(), iv: [0; 12] };
        secret.expand(b"key", keys.key.get_mut(..keys.key_len)?)?;
        secret.expand(b"iv", &mut keys.iv)?;
        Some(keys)
    }

    /// The encryption key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.key.get(..self.key_len).unwrap_or_default()
    }

    /// The IV that the sequence number is mixed into.
    #[must_use]
    pub const fn iv(&self) -> &[u8; 12] {
        &self.iv
    }
}

/// The traffic secret after a KeyUpdate (section 7.2).
#[must_use]
pub fn next_secret(hash: Hash, secret: &[u8]) -> Option<Secret> {
    let mut next = zeroize::Zeroizing::new([0; Secret::MAX]);
    let next = next.get_mut(..hash.output_len())?;
    Expander::new(hash, secret)?.expand(b"traffic upd", next)?;
    Secret::new(next)
}

/// Derive-Secret of a transcript hash (section 7.1). `None`: one of the two has not the hash's length.
#[must_use]
pub fn derive_secret(hash: Hash, secret: &[u8], label: &[u8], transcript: &[u8]) -> Option<Secret> {
    let mut derived = zeroize::Zeroizing::new([0; Secret::MAX]);
    let derived = derived.get_mut(..hash.output_len())?;
    if transcript.len() != hash.output_len() {
        return None;
    }
    Expander::new(hash, secret)?.expand_context(label, transcript, derived)?;
    Secret::new(derived)
}

/// The Master Secret that follows from a Handshake Secret (section 7.1).
#[must_use]
pub fn master_secret(hash: Hash, handshake_secret: &[u8]) -> Option<Secret> {
    let nothing = digest::digest(digest_algorithm(hash), &[]);
    let salt = derive_secret(hash, handshake_secret, b"derived", nothing.as_ref())?;
    let zeros = [0; Secret::MAX];
    // HKDF-Extract (RFC 5869 section 2.2).
    let extracted = hmac::sign(&hmac::Key::new(hmac_algorithm(hash), salt.as_bytes()), zeros.get(..hash.output_len())?);
    Secret::new(extracted.as_ref())
}

/// The key of Finished.verify_data (section 4.4.4).
#[must_use]
pub fn finished_key(hash: Hash, secret: &[u8]) -> Option<Secret> {
    let mut key = zeroize::Zeroizing::new([0; Secret::MAX]);
    let key = key.get_mut(..hash.output_len())?;
    Expander::new(hash, secret)?.expand(b"finished", key)?;
    Secret::new(key)
}

/// HKDF-Expand-Label (section 7.1), for outputs of one block: all that is needed.
struct Expander {
    secret: hmac::Key,
    hash: Hash,
}

impl Expander {
    fn new(hash: Hash, secret: &[u8]) -> Option<Self> {
        (secret.len() == hash.output_len()).then(|| Self { secret: hmac::Key::new(hmac_algorithm(hash), secret), hash })
    }

    fn expand(&self, label: &[u8], out: &mut [u8]) -> Option<()> {
        self.expand_context(label, &[], out)
    }

    fn expand_context(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> Option<()> {
        if out.len() > self.hash.output_len() {
            return None;
        }
        // struct HkdfLabel { uint16 length; opaque label<7..255> = "tls13 " + label; opaque context<0..255> }
        let mut info = [0; 80];
        let mut len = 0;
        let parts: [&[u8]; 7] = [
            &u16::try_from(out.len()).ok()?.to_be_bytes(),
            &[u8::try_from(b"tls13 ".len() + label.len()).ok()?],
            b"tls13 ",
            label,
            &[u8::try_from(context.len()).ok()?],
            context,
            // HKDF-Expand's block counter (RFC 5869 section 2.3): the first block is enough.
            &[1],
        ];
        for part in parts {
            info.get_mut(len..len + part.len())?.copy_from_slice(part);
            len += part.len();
        }
        let block = hmac::sign(&self.secret, info.get(..len)?);
        out.copy_from_slice(block.as_ref().get(..out.len())?);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    /// RFC 8448 section 3, "derive write traffic keys".
    #[test]
    fn simple_handshake() {
        let suite = Suite::by_id(0x1301).unwrap();
        for (secret, key, iv) in [
            (
                "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38",
                "3fce516009c21727d0f2e4e86ee403bc",
                "5d313eb2671276ee13000b30",
            ),
            (
                "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
                "9f02283b6c9c07efc26bb9f2ac92e356",
                "cf782b88dd83549aadf1e984",
            ),
        ] {
            let keys = TrafficKeys::derive(suite, &hex(secret)).unwrap();
            assert_eq!(keys.key(), hex(key));
            assert_eq!(keys.iv()[..], hex(iv));
        }
    }

    /// RFC 8448 section 3, "calculate finished".
    #[test]
    fn finished() {
        let secret = hex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
        let expected = hex("008d3b66f816ea559f96b537e885c31fc068bf492c652f01f288a1d8cdc19fc8");
        assert_eq!(finished_key(Hash::Sha256, &secret).unwrap().as_bytes(), expected);
    }

    /// RFC 8448 section 3: from the handshake secret to every traffic secret.
    #[test]
    fn everything_follows_from_the_handshake_secret() {
        let handshake = hex("1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac");
        let hellos = hex("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8");
        let flight = hex("9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13");
        let derive = |secret: &[u8], label: &[u8], transcript: &[u8]| {
            derive_secret(Hash::Sha256, secret, label, transcript).unwrap().as_bytes().to_vec()
        };
        let expected = "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21";
        assert_eq!(derive(&handshake, b"c hs traffic", &hellos), hex(expected));
        let expected = "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38";
        assert_eq!(derive(&handshake, b"s hs traffic", &hellos), hex(expected));
        let master = master_secret(Hash::Sha256, &handshake).unwrap();
        assert_eq!(master.as_bytes(), hex("18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919"));
        let expected = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
        assert_eq!(derive(master.as_bytes(), b"c ap traffic", &flight), hex(expected));
        let expected = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
        assert_eq!(derive(master.as_bytes(), b"s ap traffic", &flight), hex(expected));
        assert!(derive_secret(Hash::Sha256, &handshake, b"s hs traffic", &[0; 48]).is_none());
    }

    #[test]
    fn a_secret_of_another_hash_is_refused() {
        assert!(TrafficKeys::derive(Suite::by_id(0x1302).unwrap(), &[0; 32]).is_none());
        assert!(TrafficKeys::derive(Suite::by_id(0x1301).unwrap(), &[0; 48]).is_none());
        assert!(next_secret(Hash::Sha256, &[]).is_none());
    }
}
