//! Answers: bytes that are made once for all who ask for the same, and the headers of all of them.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::page;

pub(super) type Answer = Response<Full<Bytes>>;

/// Bodies below this are not worth compressing.
const WORTH: usize = 1_024;

/// Bodies of one snapshot that are kept.
const KEPT: usize = 32;

/// What was made of the latest snapshot, so that any number of scrapes of it cost one.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    number: u64,
    bodies: Vec<(String, bool, Bytes)>,
}

impl Cache {
    /// The body that `make` gives for a snapshot, compressed if that is asked for and worth it. `key` names what is made. Whether it is
    /// compressed comes with it.
    pub(super) fn body(&self, number: u64, key: &str, gzip: bool, make: impl FnOnce() -> Vec<u8>) -> (Bytes, bool) {
        // Held while it is made: the others wait for it and do not make the same. A panic leaves nothing half done.
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if made.number != number || made.bodies.len() >= KEPT {
            made.number = number;
            made.bodies.clear();
        }
        if let Some((.., body)) = made.bodies.iter().find(|(kept, zipped, _)| kept == key && *zipped == gzip) {
            let zipped = gzip && body.starts_with(&[0x1f, 0x8b]);
            return (body.clone(), zipped);
        }
        let body = make();
        let (body, zipped) = if gzip { compressed(body) } else { (body, false) };
        let body = Bytes::from(body);
        made.bodies.push((key.to_owned(), gzip, body.clone()));
        (body, zipped)
    }
}

/// The body compressed, where that is worth it.
pub(super) fn compressed(body: Vec<u8>) -> (Vec<u8>, bool) {
    if body.len() < WORTH {
        return (body, false);
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Into memory: cannot fail.
    match encoder.write_all(&body).and_then(|()| encoder.finish()) {
        Ok(zipped) => (zipped, true),
        Err(_) => (body, false),
    }
}

/// Whether `Accept-Encoding` allows gzip (RFC 9110 section 12.5.3).
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for value in headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
        for coding in value.split(',') {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts.filter_map(|part| part.strip_prefix("q=")).any(|q| q.trim().parse() == Ok(0.0_f32));
            if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                return !refused;
            }
            if name == "*" {
                any = Some(!refused);
            }
        }
    }
    any.unwrap_or(false)
}

/// An answer with every header that all answers have.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, page::policy());
    answer
}

/// An answer in words.
pub(super) fn plain(status: StatusCode, text: &str) -> Answer {
    answer(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

/// The same, with a header.
pub(super) fn plain_with(status: StatusCode, text: &str, name: HeaderName, value: &'static str) -> Answer {
    let mut answer = plain(status, text);
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

/// An answer that depends on what the client accepts.
pub(super) fn negotiated(content_type: &'static str, (body, zipped): (Bytes, bool)) -> Answer {
    let mut answer = answer(StatusCode::OK, content_type, body);
    let headers = answer.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    if zipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use hyper::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

    use super::{Cache, takes_gzip};

    fn accepting(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for yes in ["gzip", "deflate, GZIP;q=0.5", "*", "br;q=1.0, gzip;q=0.8, *;q=0.1", "x-gzip"] {
            assert!(takes_gzip(&accepting(yes)), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "zip", ",;,"] {
            assert!(!takes_gzip(&accepting(no)), "{no}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_was_made_of_a_snapshot_is_made_once() {
        let cache = Cache::default();
        let long = || vec![b'a'; 5_000];
        let (zipped, true) = cache.body(1, "a", true, long) else { panic!("it is long enough") };
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text, long());
        assert_eq!(cache.body(1, "a", true, || unreachable!()), (zipped, true));
        assert_eq!(cache.body(1, "a", false, || b"short".to_vec()).0, "short");
        assert_eq!(cache.body(1, "b", true, || b"short".to_vec()), ("short".into(), false));
        assert_eq!(cache.body(1, "b", true, || unreachable!()), ("short".into(), false));
        assert_eq!(cache.body(2, "b", true, || b"new".to_vec()).0, "new");
        for key in 0..1_000 {
            cache.body(2, &key.to_string(), false, Vec::new);
        }
        assert!(cache.0.lock().unwrap().bodies.len() <= super::KEPT);
    }
}
