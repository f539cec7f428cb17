//! A [`Request`] from header fields, the same for HTTP/2 and HTTP/1.

mod edge;
mod identity;
mod names;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::sync::Arc;

use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use self::edge::Seen;
pub(crate) use self::names::{WANTED, WWW_AUTHENTICATE};
use crate::model::{Evidence, Identity, Request, TargetKey};

/// Builds the requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// The authority of the request before: most connections ask one host only.
    authority: Option<Authority>,
}

/// An authority that came as it is kept.
#[derive(Debug)]
struct Authority {
    text: Arc<str>,
    /// Of the text in lower case.
    hash: u64,
}

/// Header fields of a request as they come.
#[derive(Debug, Default)]
pub(crate) struct Draft<'a> {
    /// `:method`, or from the request line.
    pub(crate) method: Option<&'a [u8]>,
    /// `:scheme`.
    pub(crate) scheme: Option<&'a [u8]>,
    /// `:authority`.
    pub(crate) authority: Option<&'a [u8]>,
    /// `:path`, or the request target of the request line.
    pub(crate) path: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    identity: SmallVec<[Identity; 2]>,
    edge: Seen,
    evidence: SmallVec<[Evidence; 2]>,
    extended_connect: bool,
    websocket: bool,
}

/// Fixed keys: the same value has the same hash in every run, and hashes are no plain hashes of secrets.
const KEYS: (u64, u64) = (0x6832_7761_7463_6821, 0x7265_7175_6573_7473);

/// A keyed hash of a value of some kind.
fn hash(kind: u64, value: &[u8]) -> u64 {
    SipHasher13::new_with_keys(KEYS.0, KEYS.1 ^ kind).hash(value)
}

/// Hosts do not differ by case (RFC 3986 section 3.2.2).
fn authority_hash(authority: &[u8]) -> u64 {
    hash(5, &text::lower(authority))
}

/// Names a target; `authority` is its [`authority_hash`].
fn target(method: &[u8], authority: u64, path: &[u8]) -> TargetKey {
    // A method of a few bytes, as almost all have, stands for itself.
    let method = match method.len() {
        len @ 0..8 => method.iter().fold(len as u64, |all, &byte| all << 8 | u64::from(byte)),
        _ => hash(6, method),
    };
    TargetKey(SipHasher13::new_with_keys(KEYS.0 ^ method, KEYS.1 ^ authority).hash(path))
}

impl<'a> Draft<'a> {
    /// Takes a field; `name` is in lower case.
    pub(crate) fn field(&mut self, name: &[u8], value: &'a [u8]) {
        self.marked(names::mark(name), value);
    }

    /// Takes a field by the mark of its name.
    #[inline]
    pub(crate) fn marked(&mut self, mark: u8, value: &'a [u8]) {
        match mark {
            names::METHOD => self.method = Some(value),
            names::SCHEME => self.scheme = Some(value),
            names::AUTHORITY => self.authority = Some(value),
            names::PATH => self.path = Some(value),
            names::HOST => self.host = Some(value),
            names::AUTHORIZATION => self.authorization(value),
            names::PROTOCOL => {
                self.extended_connect = true;
                self.evidence(Evidence::ExtendedConnect);
            }
            names::UPGRADE => {
                self.websocket |= value.eq_ignore_ascii_case(b"websocket");
                self.evidence(Evidence::Upgrade);
            }
            names::VIA | names::B3.. => self.sender(mark, value),
            _ => {}
        }
    }

    #[inline(never)]
    fn authorization(&mut self, value: &[u8]) {
        let scheme = value.split(|&byte| byte == b' ').next().unwrap_or_default();
        if scheme.eq_ignore_ascii_case(b"negotiate") {
            self.evidence(Evidence::AuthorizationNegotiate);
        } else if scheme.eq_ignore_ascii_case(b"ntlm") {
            self.evidence(Evidence::AuthorizationNtlm);
        }
    }

    /// A field that tells who sends, or which request it is.
    #[inline(never)]
    fn sender(&mut self, mark: u8, value: &[u8]) {
        if let Some(identity) = identity::of(mark, value)
            && self.identity.len() < identity::KEPT
            && !self.identity.contains(&identity)
        {
            self.identity.push(identity);
        }
        self.edge.field(mark, value);
    }

    fn evidence(&mut self, evidence: Evidence) {
        if !self.evidence.contains(&evidence) {
            self.evidence.push(evidence);
        }
    }
}

impl Builder {
    /// The request. `secure`: the transport is TLS.
    pub(crate) fn build(&mut self, mut draft: Draft<'_>, secure: bool) -> Arc<Request> {
        let (authority, path) = match (draft.path, draft.method) {
            // CONNECT names an authority where others name a path (RFC 9112 section 3.2.3).
            (Some(target), Some(b"CONNECT")) if !draft.extended_connect => (Some(target), None),
            // The absolute form names both (RFC 9112 section 3.2.2).
            (Some(target), _) if !target.starts_with(b"/") => match text::absolute(target) {
                Some((authority, path)) => (Some(authority), Some(path)),
                None => (draft.authority.or(draft.host), Some(target)),
            },
            (target, _) => (draft.authority.or(draft.host), target),
        };
        let authority = authority.map(|authority| self.authority(authority));
        let (authority, authority_hash) = authority.unwrap_or_default();
        let transport = if secure { "https" } else { "http" };
        if draft.scheme.is_some_and(|scheme| text::web_scheme(scheme).is_some_and(|scheme| scheme != transport)) {
            draft.evidence(Evidence::SchemeMismatch);
        }
        let target = match (draft.method, &authority, path) {
            (Some(method), Some(_), Some(path)) => Some(target(method, authority_hash, path)),
            _ => None,
        };
        let tunnel = draft.extended_connect || draft.websocket || draft.method == Some(b"CONNECT");
        Arc::new(Request {
            method: draft.method.map(text::method),
            scheme: draft.scheme.map(text::scheme),
            authority,
            path: path.map(|path| text::path(text::without_query(path))),
            target,
            identity: draft.identity,
            edge: draft.edge.edge(),
            evidence: draft.evidence,
            tunnel,
        })
    }

    /// An authority as text and the hash of all of it, kept from the request before where it is the same.
    fn authority(&mut self, authority: &[u8]) -> (Option<Arc<str>>, u64) {
        if let Some(last) = self.authority.as_ref().filter(|last| last.text.as_bytes() == authority) {
            return (Some(Arc::clone(&last.text)), last.hash);
        }
        let host = text::without_user(authority);
        if host.is_empty() {
            return (None, 0);
        }
        let text: Arc<str> = match text::clean(host) {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        };
        let hash = authority_hash(host);
        if text.as_bytes() == authority {
            self.authority = Some(Authority { text: Arc::clone(&text), hash });
        }
        (Some(text), hash)
    }
}
