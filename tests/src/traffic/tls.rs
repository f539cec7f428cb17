use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, HKDF_SHA384, KeyType, Prk};

/// A TLS 1.3 cipher suite that the generator can seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// TLS_AES_128_GCM_SHA256.
    Aes128Gcm,
    /// TLS_AES_256_GCM_SHA384.
    Aes256Gcm,
    /// TLS_CHACHA20_POLY1305_SHA256.
    ChaCha20Poly1305,
}

impl Cipher {
    /// IANA number.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::Aes128Gcm => 0x1301,
            Self::Aes256Gcm => 0x1302,
            Self::ChaCha20Poly1305 => 0x1303,
        }
    }

    /// Bytes of a traffic secret.
    #[must_use]
    pub const fn secret_len(self) -> usize {
        match self {
            Self::Aes256Gcm => 48,
            Self::Aes128Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }

    const fn aead(self) -> &'static Algorithm {
        match self {
            Self::Aes128Gcm => &AES_128_GCM,
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }

    fn prk(self, secret: &[u8]) -> Prk {
        let hash = if self == Self::Aes256Gcm { HKDF_SHA384 } else { HKDF_SHA256 };
        Prk::new_less_safe(hash, secret)
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand_label(prk: &Prk, label: &str, len: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let info = [&(len as u16).to_be_bytes()[..], &[label.len() as u8], label.as_bytes(), &[0]];
    let mut out = vec![0; len];
    prk.expand(&info, Length(len)).and_then(|okm| okm.fill(&mut out)).expect("a short output");
    out
}

/// One direction's sealing key (RFC 8446 section 5.2).
pub struct Seal {
    cipher: Cipher,
    secret: Vec<u8>,
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Seal {
    /// From a traffic secret.
    #[must_use]
    pub fn new(cipher: Cipher, secret: &[u8]) -> Self {
        let prk = cipher.prk(secret);
        let key = expand_label(&prk, "key", cipher.aead().key_len());
        let mut iv = [0; 12];
        iv.copy_from_slice(&expand_label(&prk, "iv", 12));
        let key = LessSafeKey::new(UnboundKey::new(cipher.aead(), &key).expect("a key of the right length"));
        Self { cipher, secret: secret.to_vec(), key, iv, sequence: 0 }
    }

    /// Appends one record: `content` of type `kind`, and `padding` zero bytes.
    pub fn record(&mut self, kind: u8, content: &[u8], padding: usize, out: &mut Vec<u8>) {
        let mut inner = Vec::with_capacity(content.len() + 1 + padding + 16);
        inner.extend_from_slice(content);
        inner.push(kind);
        inner.resize(inner.len() + padding, 0);
        let length = (inner.len() + 16) as u16;
        let header = [0x17, 3, 3, (length >> 8) as u8, length as u8];
        let mut nonce = self.iv;
        for (byte, sequence) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= sequence;
        }
        self.sequence += 1;
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut inner).expect("a short record");
        out.extend_from_slice(&header);
        out.extend_from_slice(&inner);
    }

    /// Seals a KeyUpdate and goes on with the next generation (RFC 8446 section 7.2).
    pub fn key_update(&mut self, out: &mut Vec<u8>) {
        self.record(22, &[24, 0, 0, 1, 0], 0, out);
        let next = expand_label(&self.cipher.prk(&self.secret), "traffic upd", self.cipher.secret_len());
        *self = Self::new(self.cipher, &next);
    }
}

fn vector8(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8], bytes].concat()
}

fn vector16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(body)].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

fn plain_record(message: &[u8]) -> Vec<u8> {
    [&[22, 3, 3], &vector16(message)[..]].concat()
}

fn alpn_list(protocols: &[&str]) -> Vec<u8> {
    vector16(&protocols.iter().flat_map(|protocol| vector8(protocol.as_bytes())).collect::<Vec<_>>())
}

/// A ClientHello record.
#[must_use]
pub fn client_hello(random: &[u8; 32], sni: &str, alpn: &[&str], cipher: Cipher, share: &[u8; 32]) -> Vec<u8> {
    let name = [&[0], &vector16(sni.as_bytes())[..]].concat();
    let key_share = [&[0, 0x1d], &vector16(share)[..]].concat();
    let extensions = [
        extension(0, &vector16(&name)),
        extension(16, &alpn_list(alpn)),
        extension(43, &[2, 3, 4]),
        extension(10, &[0, 2, 0, 0x1d]),
        extension(13, &[0, 2, 4, 3]),
        extension(51, &vector16(&key_share)),
    ]
    .concat();
    let body = [
        &[3, 3],
        &random[..],
        &vector8(&[7; 32]),
        &vector16(&cipher.id().to_be_bytes()),
        &[1, 0],
        &vector16(&extensions),
    ]
    .concat();
    plain_record(&message(1, &body))
}

/// A ServerHello record.
#[must_use]
pub fn server_hello(random: &[u8; 32], cipher: Cipher, share: &[u8; 32]) -> Vec<u8> {
    let key_share = [&[0, 0x1d], &vector16(share)[..]].concat();
    let extensions = [extension(43, &[3, 4]), extension(51, &key_share)].concat();
    let body =
        [&[3, 3], &random[..], &vector8(&[7; 32]), &cipher.id().to_be_bytes(), &[0], &vector16(&extensions)].concat();
    plain_record(&message(2, &body))
}

/// EncryptedExtensions, Certificate (an empty chain: nobody who only listens checks it), CertificateVerify and Finished, to be sealed.
#[must_use]
pub fn server_flight(alpn: &str, cipher: Cipher) -> Vec<u8> {
    let extensions = vector16(&extension(16, &alpn_list(&[alpn])));
    let verify = [&[4, 3], &vector16(&[0x30; 70])[..]].concat();
    [message(8, &extensions), message(11, &[0; 4]), message(15, &verify), message(20, &vec![9; cipher.secret_len()])]
        .concat()
}

/// The client's Finished, to be sealed.
#[must_use]
pub fn client_finished(cipher: Cipher) -> Vec<u8> {
    message(20, &vec![8; cipher.secret_len()])
}
