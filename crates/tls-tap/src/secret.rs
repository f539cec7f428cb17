use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Key material of at most 48 bytes: a traffic secret (RFC 8446 section 7.1) or a master secret (RFC 5246 section 8.1).
///
/// Wiped when dropped; never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl Secret {
    /// Most bytes that a secret has: the output of SHA-384, or a master secret.
    pub const MAX: usize = 48;

    /// Takes a copy; `None` when there are none or too many bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self { len: 0, bytes: [0; Self::MAX] };
        let len = u8::try_from(bytes.len()).ok().filter(|&len| len > 0)?;
        secret.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        secret.len = len;
        Some(secret)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_length_alone() {
        let secret = Secret::new(&[0xab; 48]).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(48 bytes)");
    }

    #[test]
    fn bounds() {
        assert!(Secret::new(&[]).is_none());
        assert!(Secret::new(&[1; 49]).is_none());
        assert_eq!(Secret::new(&[1, 2, 3]).unwrap().as_bytes(), [1, 2, 3]);
    }

    #[test]
    fn zeroize_wipes_every_byte_and_drop_does_it() {
        const fn wipes_on_drop<T: ZeroizeOnDrop>() {}
        wipes_on_drop::<Secret>();
        let mut secret = Secret::new(&[7; 48]).unwrap();
        secret.zeroize();
        assert_eq!((secret.len, secret.bytes), (0, [0; 48]));
    }
}
