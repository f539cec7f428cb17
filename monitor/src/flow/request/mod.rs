//! A [`Request`] from header fields, the same for HTTP/2 and HTTP/1.

mod edge;
mod identity;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};
use smallvec::SmallVec;

pub(crate) use self::edge::Seen as EdgeSeen;
use crate::model::{Evidence, Identity, Request, TargetKey};

/// Builds the requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// The authority of the request before: most connections ask one host only.
    authority: Option<Arc<str>>,
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
    edge: EdgeSeen,
    evidence: SmallVec<[Evidence; 2]>,
    extended_connect: bool,
    websocket: bool,
}

/// Fixed keys: the same value has the same name in every run, and names are no plain hashes of secrets.
const KEYS: (u64, u64) = (0x6832_7761_7463_6821, 0x7265_7175_6573_7473);

/// A keyed hash of a few parts; their lengths are part of it.
fn name(kind: u8, parts: &[&[u8]]) -> u128 {
    use std::hash::Hasher as _;
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    hasher.write_u8(kind);
    for part in parts {
        hasher.write(part);
        hasher.write_u64(part.len() as u64);
    }
    hasher.finish128().as_u128()
}

impl<'a> Draft<'a> {
    /// Takes a field of HTTP/2; `name` is in lower case. Names are told apart by length first: most fields are of no interest.
    pub(crate) fn field(&mut self, name: &[u8], value: &'a [u8]) {
        if let [b':', pseudo @ ..] = name {
            match pseudo {
                b"method" => self.method = Some(value),
                b"scheme" => self.scheme = Some(value),
                b"authority" => self.authority = Some(value),
                b"path" => self.path = Some(value),
                b"protocol" => {
                    self.extended_connect = true;
                    self.evidence(Evidence::ExtendedConnect);
                }
                _ => {}
            }
            return;
        }
        match name.len() {
            4 if name == b"host" => self.host = Some(value),
            7 if name == b"upgrade" => {
                self.websocket |= value.eq_ignore_ascii_case(b"websocket");
                self.evidence(Evidence::Upgrade);
            }
            13 if name == b"authorization" => {
                let scheme = value.split(|&byte| byte == b' ').next().unwrap_or_default();
                if scheme.eq_ignore_ascii_case(b"negotiate") {
                    self.evidence(Evidence::AuthorizationNegotiate);
                } else if scheme.eq_ignore_ascii_case(b"ntlm") {
                    self.evidence(Evidence::AuthorizationNtlm);
                }
            }
            _ => {
                if let Some(identity) = identity::of(name, value)
                    && self.identity.len() < identity::KEPT
                    && !self.identity.contains(&identity)
                {
                    self.identity.push(identity);
                }
                self.edge.field(name, value);
            }
        }
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
        let authority = authority.map(text::without_user).filter(|authority| !authority.is_empty());
        let transport = if secure { "https" } else { "http" };
        if draft.scheme.is_some_and(|scheme| text::web_scheme(scheme).is_some_and(|scheme| scheme != transport)) {
            draft.evidence(Evidence::SchemeMismatch);
        }
        let target = match (draft.method, authority, path) {
            (Some(method), Some(authority), Some(path)) => {
                let lower = text::lower(authority);
                Some(TargetKey(name(0, &[method, &lower, path])))
            }
            _ => None,
        };
        let tunnel = draft.extended_connect || draft.websocket || draft.method == Some(b"CONNECT");
        Arc::new(Request {
            method: draft.method.map(text::method),
            scheme: draft.scheme.map(text::scheme),
            authority: authority.map(|authority| self.shared(authority)),
            path: path.map(|path| text::clean(text::without_query(path)).into()),
            target,
            identity: draft.identity,
            edge: draft.edge.edge(),
            evidence: draft.evidence,
            tunnel,
        })
    }

    /// The authority as text, kept from the request before where it is the same.
    fn shared(&mut self, authority: &[u8]) -> Arc<str> {
        if let Some(last) = self.authority.as_ref().filter(|last| last.as_bytes() == authority) {
            return Arc::clone(last);
        }
        let text: Arc<str> = match text::clean(authority) {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        };
        self.authority = Some(Arc::clone(&text));
        text
    }
}
