use crate::keys::{Kind, Random};
use crate::secret::Secret;
use crate::side::Side;
use zeroize::Zeroizing;

/// One line of a key log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Empty,
    Comment,
    /// A label that is not known.
    Unknown,
    /// A label that is known and a secret that is of no use.
    Unused,
    /// `<label> <client random> <secret>`
    Connection(Random, Kind, Secret),
    /// `RSA Session-ID:<id> Master-Key:<master secret>`
    Session {
        id: Vec<u8>,
        master: Secret,
    },
    /// `TLS13_TRANSCRIPT_SECRET <transcript hash> <secret>`
    Transcript {
        hash: Vec<u8>,
        secret: Secret,
    },
    /// `RSA <first 8 bytes of the encrypted premaster secret> <premaster secret>`
    Premaster {
        encrypted: [u8; 8],
        premaster: Secret,
    },
}

/// What a label says about the line.
enum Label {
    Secret(Kind),
    Unused,
    Rsa,
    Transcript,
}

impl Line {
    /// `None`: malformed.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut words = text.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let Some(first) = words.next() else { return Some(Self::Empty) };
        if first.first() == Some(&b'#') {
            return Some(Self::Comment);
        }
        let Some(label) = label(first) else {
            return is_label(first).then_some(Self::Unknown);
        };
        let (name, value, None) = (words.next()?, words.next()?, words.next()) else { return None };
        match label {
            Label::Rsa => Self::rsa(name, value),
            Label::Transcript => {
                let mut bytes = [0; Secret::MAX];
                let hash = hex(name, &mut bytes)?;
                let secret = secret(value, &[hash.len()])?;
                matches!(hash.len(), 32 | 48).then(|| Self::Transcript { hash: hash.to_vec(), secret })
            }
            Label::Secret(kind) => {
                let secret = secret(value, if kind == Kind::Master { &[48] } else { &[32, 48] })?;
                Some(Self::Connection(fixed(name)?, kind, secret))
            }
            Label::Unused => {
                fixed::<32>(name)?;
                secret(value, &[32, 48]).map(|_| Self::Unused)
            }
        }
    }

    /// Whether this can be what is left of a line whose front is gone: the rest of its label, of its name, its secret.
    pub(super) fn is_rest(text: &[u8]) -> bool {
        let is_hex = |word: &[u8]| word.iter().all(u8::is_ascii_hexdigit);
        let mut words = text.rsplit(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let (secret, name, front, None) = (words.next(), words.next(), words.next(), words.next()) else {
            return false;
        };
        // With a whole label it is a whole line, and a wrong one.
        secret.is_some_and(is_hex)
            && name.is_none_or(is_hex)
            && front.is_none_or(|word| label(word).is_none() && word.iter().all(is_label_byte))
    }

    fn rsa(name: &[u8], value: &[u8]) -> Option<Self> {
        let Some(id) = name.strip_prefix(b"Session-ID:") else {
            return Some(Self::Premaster { encrypted: fixed(name)?, premaster: secret(value, &[48])? });
        };
        let mut bytes = [0; 32];
        let id = hex(id, &mut bytes)?.to_vec();
        let master = secret(value.strip_prefix(b"Master-Key:")?, &[48])?;
        // A session without an id has a name that cannot be looked up.
        Some(if id.is_empty() { Self::Unused } else { Self::Session { id, master } })
    }
}

fn label(word: &[u8]) -> Option<Label> {
    Some(match word {
        b"CLIENT_RANDOM" => Label::Secret(Kind::Master),
        b"CLIENT_EARLY_TRAFFIC_SECRET" => Label::Secret(Kind::Early),
        b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Label::Secret(Kind::Handshake(Side::Client)),
        b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => Label::Secret(Kind::Handshake(Side::Server)),
        b"CLIENT_TRAFFIC_SECRET_0" => Label::Secret(Kind::Traffic(Side::Client)),
        b"SERVER_TRAFFIC_SECRET_0" => Label::Secret(Kind::Traffic(Side::Server)),
        b"EARLY_EXPORTER_SECRET" | b"EXPORTER_SECRET" | b"EARLY_EXPORTER_MASTER_SECRET" | b"EXPORTER_MASTER_SECRET" => {
            Label::Unused
        }
        b"RSA" => Label::Rsa,
        b"TLS13_TRANSCRIPT_SECRET" => Label::Transcript,
        // Later generations follow from generation 0 (RFC 8446 section 7.2).
        _ => {
            let generation = word
                .strip_prefix(b"CLIENT_TRAFFIC_SECRET_")
                .or_else(|| word.strip_prefix(b"SERVER_TRAFFIC_SECRET_"))
                .filter(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit));
            return generation.map(|_| Label::Unused);
        }
    })
}

/// Has the form of a label: upper case, digits, underscores.
fn is_label(word: &[u8]) -> bool {
    word.first().is_some_and(u8::is_ascii_uppercase) && word.iter().all(is_label_byte)
}

const fn is_label_byte(byte: &u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_'
}

fn fixed<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (hex(text, &mut bytes)?.len() == N).then_some(bytes)
}

fn secret(text: &[u8], lengths: &[usize]) -> Option<Secret> {
    let mut bytes = Zeroizing::new([0; Secret::MAX]);
    let bytes = hex(text, &mut *bytes)?;
    lengths.contains(&bytes.len()).then(|| Secret::new(bytes))?
}

/// Decodes hexadecimal text; `None` when it is none or does not fit.
fn hex<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let out = out.get_mut(..pairs.len())?;
    for (byte, &[high, low]) in out.iter_mut().zip(pairs) {
        *byte = (digit(high)? << 4) | digit(low)?;
    }
    Some(out)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
