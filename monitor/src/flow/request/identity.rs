use super::{hash, names};
use crate::model::{Identity, IdentityKind};

/// Identities that are kept of one request.
pub(super) const KEPT: usize = 8;

/// What a retry keeps: the identity that a header field holds.
pub(super) fn of(mark: u8, value: &[u8]) -> Option<Identity> {
    let kind = kind(mark)?;
    let value = match mark {
        names::TRACEPARENT => traceparent(value)?,
        names::B3 => value.split(|&byte| byte == b'-').next()?,
        names::X_CLOUD_TRACE_CONTEXT => value.split(|&byte| byte == b'/').next()?,
        names::X_AMZN_TRACE_ID => {
            value.split(|&byte| byte == b';').find_map(|part| part.trim_ascii().strip_prefix(b"Root="))?
        }
        _ => value,
    };
    let value = value.trim_ascii();
    // A B3 value of one character is a sampling decision; no header of these has a meaningful shorter value.
    (value.len() > 1).then(|| Identity { kind, value: hash(kind_number(kind), value) })
}

const fn kind(mark: u8) -> Option<IdentityKind> {
    use IdentityKind::{RayId, RequestId, TraceId, Visitor};
    Some(match mark {
        names::REQUEST_ID | names::X_REQUEST_ID | names::CORRELATION_ID | names::X_CORRELATION_ID => RequestId,
        names::CF_RAY | names::X_AMZ_CF_ID | names::X_AZURE_REF | names::X_VERCEL_ID | names::X_FASTLY_TRACE_ID => {
            RayId
        }
        names::B3
        | names::TRACEPARENT
        | names::X_B3_TRACEID
        | names::X_AMZN_TRACE_ID
        | names::X_CLOUD_TRACE_CONTEXT => TraceId,
        names::FORWARDED
        | names::X_REAL_IP
        | names::TRUE_CLIENT_IP
        | names::X_FORWARDED_FOR
        | names::CF_CONNECTING_IP
        | names::FASTLY_CLIENT_IP => Visitor,
        _ => return None,
    })
}

const fn kind_number(kind: IdentityKind) -> u64 {
    match kind {
        IdentityKind::RequestId => 1,
        IdentityKind::RayId => 2,
        IdentityKind::TraceId => 3,
        IdentityKind::Visitor => 4,
    }
}

/// The trace id of a `traceparent` (W3C Trace Context section 3.2): version, trace id, parent id, flags.
fn traceparent(value: &[u8]) -> Option<&[u8]> {
    let id = value.trim_ascii().split(|&byte| byte == b'-').nth(1)?;
    (id.len() == 32 && id.iter().any(|&byte| byte != b'0')).then_some(id)
}
