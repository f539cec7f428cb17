//! The header names that tell something, by number: the mark of [`h2_tap::Fields::marked`]. Those of HPACK's static table have their
//! index there (RFC 7541 appendix A); the others come after it.

use h2_tap::Wanted;

pub(super) const AUTHORITY: u8 = 1;
pub(super) const METHOD: u8 = 2;
pub(super) const PATH: u8 = 4;
pub(super) const SCHEME: u8 = 6;
pub(super) const AUTHORIZATION: u8 = 23;
pub(super) const HOST: u8 = 38;
pub(super) const VIA: u8 = 60;
pub(crate) const WWW_AUTHENTICATE: u8 = 61;

pub(super) const PROTOCOL: u8 = 64;
pub(super) const UPGRADE: u8 = 65;
pub(super) const B3: u8 = 66;
pub(super) const CF_RAY: u8 = 67;
pub(super) const CDN_LOOP: u8 = 68;
pub(super) const FORWARDED: u8 = 69;
pub(super) const X_REAL_IP: u8 = 70;
pub(super) const FASTLY_FF: u8 = 71;
pub(super) const REQUEST_ID: u8 = 72;
pub(super) const X_AMZ_CF_ID: u8 = 73;
pub(super) const X_AZURE_REF: u8 = 74;
pub(super) const X_VERCEL_ID: u8 = 75;
pub(super) const TRACEPARENT: u8 = 76;
pub(super) const X_REQUEST_ID: u8 = 77;
pub(super) const X_B3_TRACEID: u8 = 78;
pub(super) const X_AZURE_FDID: u8 = 79;
pub(super) const TRUE_CLIENT_IP: u8 = 80;
pub(super) const CORRELATION_ID: u8 = 81;
pub(super) const X_FORWARDED_FOR: u8 = 82;
pub(super) const X_AMZN_TRACE_ID: u8 = 83;
pub(super) const CF_CONNECTING_IP: u8 = 84;
pub(super) const FASTLY_CLIENT_IP: u8 = 85;
pub(super) const X_CORRELATION_ID: u8 = 86;
pub(super) const X_FASTLY_TRACE_ID: u8 = 87;
pub(super) const AKAMAI_ORIGIN_HOP: u8 = 88;
pub(super) const X_CLOUD_TRACE_CONTEXT: u8 = 89;

/// The fields that are looked at.
pub(crate) const WANTED: Wanted = Wanted {
    indexed: 1 << AUTHORITY
        | 1 << METHOD
        | 1 << PATH
        | 1 << SCHEME
        | 1 << AUTHORIZATION
        | 1 << HOST
        | 1 << VIA
        | 1 << WWW_AUTHENTICATE,
    literal: mark,
};

/// The mark of a name in lower case; 0 for one of no interest, which most are: they are told apart by length first.
pub(super) fn mark(name: &[u8]) -> u8 {
    match (name.len(), name) {
        (2, b"b3") => B3,
        (3, b"via") => VIA,
        (4, b"host") => HOST,
        (5, b":path") => PATH,
        (6, b"cf-ray") => CF_RAY,
        (7, b":method") => METHOD,
        (7, b":scheme") => SCHEME,
        (7, b"upgrade") => UPGRADE,
        (8, b"cdn-loop") => CDN_LOOP,
        (9, b":protocol") => PROTOCOL,
        (9, b"forwarded") => FORWARDED,
        (9, b"x-real-ip") => X_REAL_IP,
        (9, b"fastly-ff") => FASTLY_FF,
        (10, b":authority") => AUTHORITY,
        (10, b"request-id") => REQUEST_ID,
        (11, b"x-amz-cf-id") => X_AMZ_CF_ID,
        (11, b"x-azure-ref") => X_AZURE_REF,
        (11, b"x-vercel-id") => X_VERCEL_ID,
        (11, b"traceparent") => TRACEPARENT,
        (12, b"x-request-id") => X_REQUEST_ID,
        (12, b"x-b3-traceid") => X_B3_TRACEID,
        (12, b"x-azure-fdid") => X_AZURE_FDID,
        (13, b"authorization") => AUTHORIZATION,
        (14, b"true-client-ip") => TRUE_CLIENT_IP,
        (14, b"correlation-id") => CORRELATION_ID,
        (15, b"x-forwarded-for") => X_FORWARDED_FOR,
        (15, b"x-amzn-trace-id") => X_AMZN_TRACE_ID,
        (16, b"cf-connecting-ip") => CF_CONNECTING_IP,
        (16, b"fastly-client-ip") => FASTLY_CLIENT_IP,
        (16, b"x-correlation-id") => X_CORRELATION_ID,
        (16, b"www-authenticate") => WWW_AUTHENTICATE,
        (17, b"x-fastly-trace-id") => X_FASTLY_TRACE_ID,
        (17, b"akamai-origin-hop") => AKAMAI_ORIGIN_HOP,
        (21, b"x-cloud-trace-context") => X_CLOUD_TRACE_CONTEXT,
        _ => 0,
    }
}
