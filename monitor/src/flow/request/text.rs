use std::borrow::Cow;

use crate::model::Text;

/// Longest text that is kept of any one part, in bytes.
const KEPT: usize = 1_024;

/// Bytes from the wire as text: bounded, lossy UTF-8, control characters replaced.
pub(super) fn clean(bytes: &[u8]) -> Cow<'_, str> {
    let (bytes, cut) = match bytes.get(..KEPT) {
        Some(start) if bytes.len() > KEPT => (start, true),
        _ => (bytes, false),
    };
    // Looks at all bytes, so that many are compared at once.
    let printable = bytes.iter().fold(true, |all, byte| all & (0x20..0x7f).contains(byte));
    if printable
        && !cut
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Cow::Borrowed(text);
    }
    let mut text: String = String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if cut {
        text.push('…');
    }
    Cow::Owned(text)
}

/// A method; the usual ones without an allocation.
pub(super) fn method(bytes: &[u8]) -> Cow<'static, str> {
    const KNOWN: [&str; 9] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
    known(&KNOWN, bytes)
}

/// A scheme; the usual ones without an allocation.
pub(super) fn scheme(bytes: &[u8]) -> Cow<'static, str> {
    known(&["https", "http"], bytes)
}

fn known(names: &[&'static str], bytes: &[u8]) -> Cow<'static, str> {
    match names.iter().find(|name| name.as_bytes() == bytes) {
        Some(name) => Cow::Borrowed(*name),
        None => Cow::Owned(clean(bytes).into_owned()),
    }
}

/// `http` or `https` in lower case; other schemes say nothing of the transport.
pub(super) fn web_scheme(scheme: &[u8]) -> Option<&'static str> {
    if scheme.eq_ignore_ascii_case(b"https") {
        Some("https")
    } else if scheme.eq_ignore_ascii_case(b"http") {
        Some("http")
    } else {
        None
    }
}

/// A path.
pub(super) fn path(path: &[u8]) -> Text {
    let whole = if path.len() <= KEPT { Text::ascii(path) } else { None };
    whole.unwrap_or_else(|| Text::from(&*clean(path)))
}

/// The path without query and fragment.
pub(super) fn without_query(path: &[u8]) -> &[u8] {
    let ends = |byte: u8| byte == b'?' || byte == b'#';
    // Most have neither; looks at all bytes, so that many are compared at once.
    if !path.iter().fold(false, |any, &byte| any | ends(byte)) {
        return path;
    }
    let end = path.iter().position(|&byte| ends(byte)).unwrap_or(path.len());
    path.get(..end).unwrap_or_default()
}

/// An authority without user information, which may hold a password.
pub(super) fn without_user(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|&byte| byte == b'@') {
        Some(at) => authority.get(at + 1..).unwrap_or_default(),
        None => authority,
    }
}

/// Authority and path of an absolute URI.
pub(super) fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = target.iter().take(16).position(|&byte| byte == b':')?;
    let rest = target.get(colon..)?.strip_prefix(b"://")?;
    let slash = rest.iter().position(|&byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(slash)?;
    Some((authority, if path.starts_with(b"/") { path } else { b"/" }))
}

/// In lower case, for hashing: hosts do not differ by case (RFC 3986 section 3.2.2). Almost all are in lower case as they come.
pub(super) fn lower(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.iter().fold(false, |any, byte| any | byte.is_ascii_uppercase()) {
        Cow::Owned(bytes.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bytes)
    }
}
