use super::names;
use crate::model::Edge;

/// Which edges the header fields so far name.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    edge: Option<Edge>,
}

impl Seen {
    /// Takes a field by the mark of its name.
    pub(crate) fn field(&mut self, mark: u8, value: &[u8]) {
        let edge = match mark {
            names::VIA => via(value),
            names::CF_RAY | names::CF_CONNECTING_IP => Edge::Cloudflare,
            names::CDN_LOOP => cdn_loop(value),
            names::FASTLY_FF | names::FASTLY_CLIENT_IP => Edge::Fastly,
            names::FORWARDED | names::X_FORWARDED_FOR => Edge::Proxy,
            names::X_AMZ_CF_ID => Edge::CloudFront,
            names::X_AZURE_REF | names::X_AZURE_FDID => Edge::AzureFrontDoor,
            names::AKAMAI_ORIGIN_HOP => Edge::Akamai,
            names::X_CLOUD_TRACE_CONTEXT => Edge::Google,
            _ => return,
        };
        if self.edge.is_none_or(|known| weight(edge) > weight(known)) {
            self.edge = Some(edge);
        }
    }

    /// The most telling one; among equals the first.
    pub(crate) const fn edge(self) -> Option<Edge> {
        self.edge
    }
}

/// A named CDN tells more than an unnamed one, and that more than a proxy.
const fn weight(edge: Edge) -> u8 {
    match edge {
        Edge::Proxy => 0,
        Edge::OtherCdn => 1,
        _ => 2,
    }
}

/// `Via` (RFC 9110 section 7.6.3).
fn via(value: &[u8]) -> Edge {
    if contains(value, b"cloudfront") {
        Edge::CloudFront
    } else if contains(value, b"akamai") {
        Edge::Akamai
    } else if contains(value, b"google") {
        Edge::Google
    } else {
        Edge::Proxy
    }
}

/// `CDN-Loop` (RFC 8586): a list of CDN ids; the last is the one that asks.
fn cdn_loop(value: &[u8]) -> Edge {
    let last = value.rsplit(|&byte| byte == b',').next().unwrap_or_default();
    if contains(last, b"cloudflare") {
        Edge::Cloudflare
    } else if contains(last, b"fastly") {
        Edge::Fastly
    } else if contains(last, b"cloudfront") {
        Edge::CloudFront
    } else if contains(last, b"akamai") {
        Edge::Akamai
    } else if contains(last, b"google") {
        Edge::Google
    } else {
        Edge::OtherCdn
    }
}

/// Longest value that is searched.
const SEARCHED: usize = 512;

fn contains(value: &[u8], word: &[u8]) -> bool {
    let value = value.get(..SEARCHED).unwrap_or(value);
    value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}
