//! ClientHello, ServerHello and EncryptedExtensions (RFC 8446 sections 4.1.2, 4.1.3 and 4.3.1; RFC 5246 section 7.4.1).

use crate::cursor::Cursor;
use crate::{Hello, SessionName, Version};

/// Extension types (IANA "TLS ExtensionType Values").
mod extension {
    pub(super) const SERVER_NAME: u16 = 0;
    pub(super) const ALPN: u16 = 16;
    pub(super) const ENCRYPT_THEN_MAC: u16 = 22;
    pub(super) const EXTENDED_MASTER_SECRET: u16 = 23;
    pub(super) const SESSION_TICKET: u16 = 35;
    pub(super) const PRE_SHARED_KEY: u16 = 41;
    pub(super) const EARLY_DATA: u16 = 42;
    pub(super) const SUPPORTED_VERSIONS: u16 = 43;
}

/// ServerHello.random of a HelloRetryRequest: SHA-256 of "HelloRetryRequest".
const HELLO_RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

const MAX_ALPN: usize = 16;

/// A session id of at most 32 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionId(pub(crate) Vec<u8>);

/// A ClientHello as far as decryption and the reader need it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientHello {
    pub(crate) hello: Hello,
    pub(crate) session_id: SessionId,
    pub(crate) early_data: bool,
    /// The session whose ticket it offers (RFC 5077).
    pub(crate) ticket: Option<SessionName>,
}

/// A ServerHello as far as decryption needs it.
#[derive(Clone, Debug)]
pub(crate) struct ServerHello {
    pub(crate) random: [u8; 32],
    pub(crate) retry: bool,
    pub(crate) version: Version,
    pub(crate) suite: u16,
    pub(crate) session_id: SessionId,
    /// TLS 1.2 only; TLS 1.3 sends it encrypted.
    pub(crate) alpn: Option<Box<str>>,
    pub(crate) encrypt_then_mac: bool,
    pub(crate) extended_master_secret: bool,
    /// Index of the PSK that the server took (TLS 1.3).
    pub(crate) psk: Option<u16>,
}

/// EncryptedExtensions as far as the reader needs them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EncryptedExtensions {
    pub(crate) alpn: Option<Box<str>>,
    pub(crate) early_data: bool,
}

fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

/// Calls `each` with every extension; a list that does not add up ends early.
fn extensions<'b>(cursor: &mut Cursor<'b>, mut each: impl FnMut(u16, &'b [u8])) {
    let mut list = Cursor::new(cursor.vec16().unwrap_or_default());
    while !list.is_empty() {
        let (Some(kind), Some(body)) = (list.u16(), list.vec16()) else { return };
        each(kind, body);
    }
}

fn server_name(body: &[u8]) -> Option<Box<str>> {
    let mut names = Cursor::new(Cursor::new(body).vec16()?);
    while !names.is_empty() {
        let kind = names.u8()?;
        let name = names.vec16()?;
        if kind == 0 {
            return (!name.is_empty() && name.len() <= 255).then(|| text(name));
        }
    }
    None
}

fn alpn(body: &[u8]) -> Vec<Box<str>> {
    let mut list = Cursor::new(Cursor::new(body).vec16().unwrap_or_default());
    let mut names = Vec::new();
    while names.len() < MAX_ALPN {
        match list.vec8() {
            Some(name) if !name.is_empty() => names.push(text(name)),
            _ => break,
        }
    }
    names
}

/// Reads a ClientHello body.
pub(crate) fn client_hello(body: &[u8]) -> Option<ClientHello> {
    let mut cursor = Cursor::new(body);
    let _legacy_version = cursor.u16()?;
    let mut read = ClientHello::default();
    read.hello.random = cursor.array()?;
    read.session_id = SessionId(cursor.vec8().filter(|id| id.len() <= 32)?.to_vec());
    let _suites = cursor.vec16()?;
    let _compressions = cursor.vec8()?;
    let mut psk = false;
    let mut tls13 = false;
    extensions(&mut cursor, |kind, body| match kind {
        extension::SERVER_NAME => read.hello.sni = server_name(body),
        extension::ALPN => read.hello.alpn = alpn(body),
        extension::SESSION_TICKET => read.ticket = SessionName::ticket(body),
        extension::PRE_SHARED_KEY => psk = true,
        extension::EARLY_DATA => read.early_data = true,
        extension::SUPPORTED_VERSIONS => {
            tls13 = Cursor::new(body).vec8().unwrap_or_default().chunks_exact(2).any(|version| version == [3, 4]);
        }
        _ => {}
    });
    // A client that offers TLS 1.3 sends a session id for the sake of middleboxes (RFC 8446 appendix D.4): it resumes nothing.
    read.hello.resumption_offered = psk || read.ticket.is_some() || (!tls13 && !read.session_id.0.is_empty());
    Some(read)
}

/// Reads a NewSessionTicket body (RFC 5077 section 3.3): the session that its ticket is for.
pub(crate) fn session_ticket(body: &[u8]) -> Option<SessionName> {
    let mut cursor = Cursor::new(body);
    let _lifetime_hint: [u8; 4] = cursor.array()?;
    SessionName::ticket(cursor.vec16()?)
}

/// Reads a ServerHello body, HelloRetryRequest among them.
pub(crate) fn server_hello(body: &[u8]) -> Option<ServerHello> {
    let mut cursor = Cursor::new(body);
    let legacy_version = cursor.u16()?;
    let random = cursor.array()?;
    let session_id = SessionId(cursor.vec8().filter(|id| id.len() <= 32)?.to_vec());
    let suite = cursor.u16()?;
    let _compression = cursor.u8()?;
    let mut read = ServerHello {
        random,
        retry: random == HELLO_RETRY_REQUEST,
        version: version(legacy_version),
        suite,
        session_id,
        alpn: None,
        encrypt_then_mac: false,
        extended_master_secret: false,
        psk: None,
    };
    extensions(&mut cursor, |kind, body| match kind {
        extension::ALPN => read.alpn = alpn(body).into_iter().next(),
        extension::ENCRYPT_THEN_MAC => read.encrypt_then_mac = true,
        extension::EXTENDED_MASTER_SECRET => read.extended_master_secret = true,
        extension::PRE_SHARED_KEY => read.psk = Cursor::new(body).u16(),
        extension::SUPPORTED_VERSIONS => {
            if let Some(chosen) = Cursor::new(body).u16() {
                read.version = version(chosen);
            }
        }
        _ => {}
    });
    Some(read)
}

const fn version(wire: u16) -> Version {
    match wire {
        0x0303 => Version::Tls12,
        0x0304 => Version::Tls13,
        other => Version::Other(other),
    }
}

/// Reads an EncryptedExtensions body.
pub(crate) fn encrypted_extensions(body: &[u8]) -> EncryptedExtensions {
    let mut read = EncryptedExtensions::default();
    extensions(&mut Cursor::new(body), |kind, body| match kind {
        extension::ALPN => read.alpn = alpn(body).into_iter().next(),
        extension::EARLY_DATA => read.early_data = true,
        _ => {}
    });
    read
}
