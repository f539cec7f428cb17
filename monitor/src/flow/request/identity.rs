use super::name;
use crate::model::{Identity, IdentityKind};

/// Identities that are kept of one request.
pub(super) const KEPT: usize = 8;

/// What a retry keeps: the identity that a header field holds.
pub(super) fn of(field: &[u8], value: &[u8]) -> Option<Identity> {
    let kind = kind(field)?;
    let value = match (kind, field) {
        (IdentityKind::TraceId, b"traceparent") => traceparent(value)?,
        (IdentityKind::TraceId, b"b3") => value.split(|&byte| byte == b'-').next()?,
        (IdentityKind::TraceId, b"x-cloud-trace-context") => value.split(|&byte| byte == b'/').next()?,
        (IdentityKind::TraceId, b"x-amzn-trace-id") => {
            value.split(|&byte| byte == b';').find_map(|part| part.trim_ascii().strip_prefix(b"Root="))?
        }
        _ => value,
    };
    let value = value.trim_ascii();
    // A B3 value of one character is a sampling decision; no header of these has a meaningful shorter value.
    (value.len() > 1).then(|| Identity { kind, value: name(kind_number(kind), &[value]) })
}

fn kind(field: &[u8]) -> Option<IdentityKind> {
    use IdentityKind::{RayId, RequestId, TraceId, Visitor};
    Some(match (field.len(), field) {
        (2, b"b3") => TraceId,
        (6, b"cf-ray") => RayId,
        (9, b"forwarded" | b"x-real-ip") => Visitor,
        (10, b"request-id") => RequestId,
        (11, b"x-amz-cf-id" | b"x-azure-ref" | b"x-vercel-id") => RayId,
        (11, b"traceparent") => TraceId,
        (12, b"x-request-id") => RequestId,
        (12, b"x-b3-traceid") => TraceId,
        (14, b"true-client-ip") => Visitor,
        (14, b"correlation-id") => RequestId,
        (15, b"x-forwarded-for") => Visitor,
        (15, b"x-amzn-trace-id") => TraceId,
        (16, b"cf-connecting-ip" | b"fastly-client-ip") => Visitor,
        (16, b"x-correlation-id") => RequestId,
        (17, b"x-fastly-trace-id") => RayId,
        (21, b"x-cloud-trace-context") => TraceId,
        _ => return None,
    })
}

const fn kind_number(kind: IdentityKind) -> u8 {
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
