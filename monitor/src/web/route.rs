//! Which answer a request gets.

use std::net::IpAddr;
use std::time::Duration;

use hyper::body::Body;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};

use super::answer::{self, Answer, negotiated, plain, plain_with, takes_gzip};
use super::auth::Refusal;
use super::query::Query;
use super::serve::Shared;
use super::{api, page};
use crate::export;
use crate::source::live::InterfaceHealth;
use crate::watch::Snapshot;

/// A snapshot is waited for no longer; the run takes one within a few hundredths of a second.
const WAIT: Duration = Duration::from_secs(2);

/// The run gives a snapshot every second. Without one for this long it hangs.
const ALIVE: Duration = Duration::from_secs(10);

/// The answer to a request.
pub(super) async fn answer<B: Body>(shared: &Shared, loopback: bool, request: &Request<B>) -> Answer {
    let config = shared.config.as_ref().map(super::config::Live::current);
    let mut answer = match refused(loopback, request) {
        Some(refusal) => refusal,
        None => match &config {
            Some(config) if !config.users.is_empty() => {
                match shared.guard.check(&config.users, request.headers()).await {
                    Ok(()) => get(shared, request).await,
                    Err(Refusal::Unknown) => {
                        let realm = "Basic realm=\"h2watch\", charset=\"UTF-8\"";
                        plain_with(StatusCode::UNAUTHORIZED, "a password is needed", header::WWW_AUTHENTICATE, realm)
                    }
                    Err(Refusal::Busy) => {
                        let text = "too many passwords to check: try again";
                        plain_with(StatusCode::TOO_MANY_REQUESTS, text, header::RETRY_AFTER, "1")
                    }
                }
            }
            _ => get(shared, request).await,
        },
    };
    for (name, value) in config.iter().flat_map(|config| &config.headers) {
        answer.headers_mut().insert(name.clone(), value.clone());
    }
    answer
}

/// The refusal of a request that nobody should send.
fn refused<B: Body>(loopback: bool, request: &Request<B>) -> Option<Answer> {
    let headers = request.headers();
    let close = |status, text: &str| Some(plain_with(status, text, header::CONNECTION, "close"));
    let length = headers.get(header::CONTENT_LENGTH);
    let promised = headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != "0");
    if promised || !request.body().is_end_stream() {
        return close(StatusCode::PAYLOAD_TOO_LARGE, "a request has no body here");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = plain_with(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD", header::ALLOW, "GET, HEAD");
        refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return Some(refusal);
    }
    if loopback && !is_local(headers, request.uri().host()) {
        let text =
            "this port answers to localhost or an IP address in Host only, so that no web page can ask it by a name";
        return close(StatusCode::MISDIRECTED_REQUEST, text);
    }
    None
}

/// The host that is asked for is this machine by a name that no stranger can point here: a browser that shows a stranger's page sends the
/// name of that page (DNS rebinding).
fn is_local(headers: &HeaderMap, of_target: Option<&str>) -> bool {
    let mut named = headers.get_all(header::HOST).iter();
    let (host, more) = (named.next(), named.next());
    let local = |host: &str| {
        let name = match host.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((address, port)) if port.is_empty() || port.starts_with(':') => address,
                _ => return false,
            },
            None => host.split_once(':').map_or(host, |(name, _)| name),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
    };
    let in_header = match host.map(HeaderValue::to_str) {
        // Browsers always send one.
        None => true,
        Some(Ok(host)) => local(host),
        Some(Err(_)) => false,
    };
    more.is_none() && in_header && of_target.is_none_or(local)
}

async fn get<B>(shared: &Shared, request: &Request<B>) -> Answer {
    let path = request.uri().path();
    let query = Query::new(request.uri().query().unwrap_or_default());
    match path {
        "/" => page::answer(takes_gzip(request.headers())),
        "/metrics" => metrics(shared, request.headers()).await,
        "/-/healthy" => healthy(shared),
        "/-/ready" => ready(&*shared.board.fresh(WAIT).await, shared.board.age()),
        _ => match path.strip_prefix("/api/v1/").and_then(api::Part::by_name) {
            Some(part) => part_of_api(shared, part, query, request.headers()).await,
            None => plain(StatusCode::NOT_FOUND, "not found: / has the status page, docs/api.md the list"),
        },
    }
}

async fn metrics(shared: &Shared, headers: &HeaderMap) -> Answer {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = export::negotiate(Some(&accept.join(",")));
    let snapshot = shared.board.fresh(WAIT).await;
    let make = || export::encode(&snapshot, shared.config_error().is_some(), format);
    let body = shared.cache.body(snapshot.number, format.content_type(), takes_gzip(headers), make);
    negotiated(format.content_type(), body)
}

fn healthy(shared: &Shared) -> Answer {
    let age = shared.board.age();
    if age < ALIVE {
        return plain(StatusCode::OK, "healthy");
    }
    plain(StatusCode::SERVICE_UNAVAILABLE, &format!("the run has given no sign for {} s", age.as_secs()))
}

fn ready(snapshot: &Snapshot, age: Duration) -> Answer {
    match not_ready(snapshot, age) {
        None => plain(StatusCode::OK, "ready"),
        Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

/// Why nothing is being captured.
fn not_ready(snapshot: &Snapshot, age: Duration) -> Option<String> {
    if age >= ALIVE {
        return Some(format!("the run has given no sign for {} s", age.as_secs()));
    }
    if snapshot.capturing {
        return None;
    }
    let down = snapshot.interfaces.iter().filter(|interface| !interface.up);
    let down: Vec<String> = down.map(InterfaceHealth::why).collect();
    Some(match down.is_empty() {
        true => "not capturing yet".to_owned(),
        false => format!("not capturing: {}", down.join("; ")),
    })
}

async fn part_of_api(shared: &Shared, part: api::Part, query: Query<'_>, headers: &HeaderMap) -> Answer {
    const JSON: &str = "application/json";
    let request = match part.request(query) {
        Ok(request) => request,
        Err(why) => {
            let mut body = Vec::new();
            // Into memory: cannot fail.
            let _ = crate::sink::write_json(&mut body, &api::Refused::new(&why));
            return answer::answer(StatusCode::BAD_REQUEST, JSON, body);
        }
    };
    let snapshot = shared.board.fresh(WAIT).await;
    let about = api::About { snapshot: &snapshot, age: shared.board.age(), config_error: shared.config_error() };
    let make = || request.json(&about);
    let gzip = takes_gzip(headers);
    match request.cached() {
        Some(key) => negotiated(JSON, shared.cache.body(snapshot.number, key, gzip, make)),
        None => {
            let (body, zipped) = if gzip { answer::compressed(make()) } else { (make(), false) };
            negotiated(JSON, (body.into(), zipped))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
    use hyper::{Request, StatusCode};

    use super::{ALIVE, is_local, not_ready, refused};
    use crate::source::live::InterfaceHealth;
    use crate::watch::Snapshot;

    fn host(name: &str) -> HeaderMap {
        HeaderMap::from_iter([(HOST, HeaderValue::from_str(name).unwrap())])
    }

    #[test]
    fn names_of_strangers_are_not_local() {
        for yes in ["localhost", "LOCALHOST:9872", "127.0.0.1:9872", "[::1]:9872", "[::1]", "192.0.2.1", "a.localhost."]
        {
            assert!(is_local(&host(yes), None), "{yes}");
        }
        let no =
            ["evil.example", "localhost.evil.example:9872", "127.0.0.1.evil.example", "[::1", "[::1]x", "", "a:b:c"];
        for no in no {
            assert!(!is_local(&host(no), None), "{no}");
        }
        assert!(is_local(&HeaderMap::new(), None));
        assert!(!is_local(&host("localhost"), Some("evil.example")), "the target of the request counts");
        let mut two = host("localhost");
        two.append(HOST, HeaderValue::from_static("localhost"));
        assert!(!is_local(&two, None));
    }

    fn status(method: &str, header: Option<(&'static str, &'static str)>) -> Option<StatusCode> {
        status_with(method, header, b"")
    }

    fn status_with(
        method: &str,
        header: Option<(&'static str, &'static str)>,
        body: &'static [u8],
    ) -> Option<StatusCode> {
        let mut request = Request::builder().method(method).uri("/").body(Full::new(Bytes::from_static(body))).unwrap();
        if let Some((name, value)) = header {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        refused(true, &request).map(|answer| answer.status())
    }

    #[test]
    fn nothing_is_taken_in() {
        assert_eq!(status("GET", None), None);
        assert_eq!(status("HEAD", Some(("content-length", "0"))), None);
        assert_eq!(status("POST", None), Some(StatusCode::METHOD_NOT_ALLOWED));
        assert_eq!(status("BREW", None), Some(StatusCode::METHOD_NOT_ALLOWED));
        assert_eq!(status("GET", Some(("content-length", "1"))), Some(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(status("GET", Some(("transfer-encoding", "chunked"))), Some(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(status_with("GET", None, b"of HTTP/2, without a length"), Some(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(status("GET", Some(("host", "evil.example"))), Some(StatusCode::MISDIRECTED_REQUEST));
    }

    #[test]
    fn ready_is_what_captures() {
        let mut snapshot = Snapshot { capturing: true, ..Snapshot::default() };
        assert_eq!(not_ready(&snapshot, Duration::ZERO), None);
        assert!(not_ready(&snapshot, ALIVE).unwrap().contains("no sign for 10 s"));
        snapshot.capturing = false;
        assert_eq!(not_ready(&snapshot, Duration::ZERO).unwrap(), "not capturing yet");
        let error = Some("eth9 is gone".to_owned());
        snapshot.interfaces = vec![InterfaceHealth { name: "eth9".to_owned(), error, ..Default::default() }];
        assert_eq!(not_ready(&snapshot, Duration::ZERO).unwrap(), "not capturing: eth9 is gone");
    }
}
