use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::Text;

/// Names a request's target: a keyed hash of method, authority and full path with query, so that no query string is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey(pub u64);

/// Which kind of header names the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdentityKind {
    /// `x-request-id`, `x-correlation-id`, `request-id` and the like: one value a request, kept over its retries.
    RequestId,
    /// A CDN's own id: `cf-ray`, `x-amz-cf-id`, `x-azure-ref`, ...
    RayId,
    /// The trace id of `traceparent` or `b3` (the span id may change with a retry).
    TraceId,
    /// `x-forwarded-for`, `forwarded`, `cf-connecting-ip`, ...: names the visitor, not the request.
    Visitor,
}

/// A header value that a retry keeps, as a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Which kind of header.
    pub kind: IdentityKind,
    /// Keyed hash of the value.
    pub value: u64,
}

/// The edge that sent a request, recognised from its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Edge {
    /// `cf-ray`, `cf-connecting-ip`, `CDN-Loop: cloudflare`.
    Cloudflare,
    /// `x-amz-cf-id`, `via: … (CloudFront)`.
    CloudFront,
    /// `x-azure-ref`, `x-azure-fdid`.
    AzureFrontDoor,
    /// `fastly-client-ip`, `CDN-Loop: Fastly`, `fastly-ff`.
    Fastly,
    /// `akamai-origin-hop`, `via: … akamai…`.
    Akamai,
    /// `via: … google`, `x-cloud-trace-context`.
    Google,
    /// Another CDN by `CDN-Loop`.
    OtherCdn,
    /// A proxy by `via`, `forwarded` or `x-forwarded-for`.
    Proxy,
}

impl Edge {
    /// Every edge, for series that are there from the start.
    pub const ALL: [Self; 8] = [
        Self::Cloudflare,
        Self::CloudFront,
        Self::AzureFrontDoor,
        Self::Fastly,
        Self::Akamai,
        Self::Google,
        Self::OtherCdn,
        Self::Proxy,
    ];

    /// The name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cloudflare => "cloudflare",
            Self::CloudFront => "cloudfront",
            Self::AzureFrontDoor => "azure_front_door",
            Self::Fastly => "fastly",
            Self::Akamai => "akamai",
            Self::Google => "google",
            Self::OtherCdn => "other_cdn",
            Self::Proxy => "proxy",
        }
    }

    /// A CDN asks from many addresses and may ask another origin: the client is the edge, not one address.
    #[must_use]
    pub const fn is_cdn(self) -> bool {
        !matches!(self, Self::Proxy)
    }
}

/// Facts on the wire that point to a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Evidence {
    /// The request carried `Authorization: Negotiate`.
    AuthorizationNegotiate,
    /// The request carried `Authorization: NTLM`.
    AuthorizationNtlm,
    /// An earlier 401 with `WWW-Authenticate: Negotiate` or `NTLM` for the same target or connection.
    EarlierUnauthorized,
    /// The request asked for an upgrade (`Upgrade` header).
    Upgrade,
    /// Extended CONNECT (RFC 8441).
    ExtendedConnect,
    /// `:scheme` contradicts the transport.
    SchemeMismatch,
    /// No response header section came before the reset.
    NoResponseHeaders,
}

impl Evidence {
    /// The name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthorizationNegotiate => "authorization_negotiate",
            Self::AuthorizationNtlm => "authorization_ntlm",
            Self::EarlierUnauthorized => "earlier_401_www_authenticate",
            Self::Upgrade => "upgrade",
            Self::ExtendedConnect => "extended_connect",
            Self::SchemeMismatch => "scheme_mismatch",
            Self::NoResponseHeaders => "no_response_headers",
        }
    }
}

/// A request as the wire showed it. Text is bounded, lossy UTF-8, and has no query string, cookie or authorization value.
/// One that is not known (a gap, a late join) is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `:method`.
    pub method: Option<Cow<'static, str>>,
    /// `:scheme`; for HTTP/1 from the transport.
    pub scheme: Option<Cow<'static, str>>,
    /// `:authority` or `Host`, without user information. Shared by the requests of a connection.
    pub authority: Option<Arc<str>>,
    /// Path without query and fragment.
    pub path: Option<Text>,
    /// The target, where method, authority and path are known.
    pub target: Option<TargetKey>,
    /// What a retry keeps, where there is any.
    pub identity: SmallVec<[Identity; 2]>,
    /// The edge, where its headers name it.
    pub edge: Option<Edge>,
    /// What points to a cause.
    pub evidence: SmallVec<[Evidence; 2]>,
    /// The request expects no final response of the usual kind (an accepted CONNECT, a WebSocket).
    pub tunnel: bool,
}

impl Request {
    /// Bytes of text that it holds.
    #[must_use]
    pub fn text(&self) -> usize {
        let owned = |text: &Option<Cow<'static, str>>| match text {
            Some(Cow::Owned(text)) => text.len(),
            Some(Cow::Borrowed(_)) | None => 0,
        };
        let (authority, path) = (self.authority.as_ref().map_or(0, |text| text.len()), &self.path);
        owned(&self.method) + owned(&self.scheme) + authority + path.as_ref().map_or(0, |text| text.bytes().len())
    }
}
