//! The web port, asked from outside: what it answers, whom it lets in, and that nobody keeps others out.

#[path = "web/browser.rs"]
mod browser;
#[path = "web/client.rs"]
mod client;
#[path = "web/driver.rs"]
mod driver;
#[path = "web/fake.rs"]
mod fake;
#[path = "web/http2.rs"]
mod http2;
#[path = "web/secure.rs"]
mod secure;

use std::io::{Read as _, Write as _};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use client::{connect, get, get_with, request, send};
use fake::Running;
use h2watch::watch::Snapshot;

/// The sum of a family's samples with these labels.
pub fn metric(text: &str, name: &str, labels: &[&str]) -> f64 {
    let of = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
            && labels.iter().all(|it| line.contains(it))
    };
    text.lines().filter(of).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let running = Running::start(fake::busy(), None);
    let text = get(running.address, "/metrics");
    assert_eq!((text.status, text.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(metric(&text.text(), "h2watch_requests_total", &[]) > 100_000.0);
    let open = get_with(running.address, "/metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n");
    assert!(open.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(open.text().ends_with("# EOF\n"));
    let zipped = get_with(running.address, "/metrics", "Accept-Encoding: gzip\r\n");
    assert_eq!((zipped.header("content-encoding"), zipped.header("vary")), ("gzip", "accept, accept-encoding"));
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_string(&mut plain).unwrap();
    let requests = |text: &str| metric(text, "h2watch_requests_total", &[]);
    assert_eq!(requests(&plain), requests(&text.text()));
}

#[test]
fn every_answer_is_kept_by_nobody_and_framed_by_nobody() {
    let running = Running::start(fake::quiet(), None);
    let parts = ["/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/status", "/api/v1/events?limit=x", "/nothing"];
    for path in parts {
        let answer = get(running.address, path);
        let expected = match path {
            "/nothing" => 404,
            "/api/v1/events?limit=x" => 400,
            _ => 200,
        };
        assert_eq!(answer.status, expected, "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe") && answer.header("access-control-allow-origin").is_empty(), "{path}");
        let head = send(&mut connect(running.address), &request("HEAD", path, "")).unwrap();
        assert_eq!((head.status, head.body.len()), (expected, 0), "{path}");
    }
}

#[test]
fn nothing_but_reading_is_allowed() {
    let running = Running::start(fake::quiet(), None);
    let ask = |text: &str| send(&mut connect(running.address), text).unwrap();
    let refused = ask(&request("DELETE", "/metrics", ""));
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD"));
    assert_eq!(ask(&request("GET", "/metrics", "Content-Length: 5\r\n")).status, 413);
    assert_eq!(ask(&request("GET", "/metrics", "Transfer-Encoding: chunked\r\n")).status, 413);
    assert_eq!(ask("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").status, 421);
    assert_eq!(ask("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 421);
    assert_eq!(ask("GET / HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(ask(&request("GET", &format!("/{}", "a".repeat(40_000)), "")).status / 100, 4);
    assert_eq!(ask(&request("GET", "/", &"A: b\r\n".repeat(200))).status, 431);
}

#[test]
fn one_connection_answers_many_requests() {
    let running = Running::start(fake::quiet(), None);
    let mut stream = connect(running.address);
    for _ in 0..50 {
        assert_eq!(send(&mut stream, &request("GET", "/api/v1/build", "")).unwrap().status, 200);
    }
}

#[test]
fn ready_is_what_captures_and_healthy_what_lives() {
    let mut down = fake::quiet();
    (down.capturing, down.interfaces[0].up) = (false, false);
    down.interfaces[0].error = Some("lo: The interface disappeared".to_owned());
    let running = Running::start(down, None);
    assert_eq!(get(running.address, "/-/healthy").status, 200);
    let ready = get(running.address, "/-/ready");
    assert_eq!((ready.status, ready.text().trim()), (503, "not capturing: lo: The interface disappeared"));
    let status = get(running.address, "/api/v1/status").json();
    assert_eq!(status["headline"]["level"], "stopped");
    let running = Running::start(fake::quiet(), None);
    assert_eq!(get(running.address, "/-/ready").status, 200);
}

#[test]
fn the_api_says_what_the_metrics_say() {
    let running = Running::start(fake::busy(), None);
    let text = get(running.address, "/metrics").text();
    let of = |list: &serde_json::Value, with: &[(&str, &str)]| -> f64 {
        let matching =
            list.as_array().unwrap().iter().filter(|one| with.iter().all(|(name, value)| one[*name] == *value));
        matching.map(|one| one["count"].as_f64().unwrap()).sum()
    };
    let resets = get(running.address, "/api/v1/resets").json();
    let cases = get(running.address, "/api/v1/cases").json();
    let counts = get(running.address, "/api/v1/status").json()["counts"].clone();
    for code in ["HTTP_1_1_REQUIRED", "CANCEL", "ENHANCE_YOUR_CALM"] {
        let metric = metric(&text, "h2watch_resets_total", &[&format!("error=\"{code}\"")]);
        assert!(metric > 0.0);
        assert_eq!(of(&resets["resets"], &[("error_name", code)]), metric, "{code}");
        assert_eq!(of(&counts["resets"], &[("error_name", code)]), metric, "{code}");
    }
    assert_eq!(of(&resets["resets"], &[]), metric(&text, "h2watch_resets_total", &[]));
    for outcome in ["retried", "given_up", "truncated", "unknown"] {
        let metric = metric(&text, "h2watch_cases_total", &[&format!("outcome=\"{outcome}\"")]);
        assert_eq!(of(&cases["cases"], &[("outcome", outcome)]), metric, "{outcome}");
    }
    let history = get(running.address, "/api/v1/history").json();
    assert_eq!(history["requests"].as_array().unwrap().len(), 360);
    let top = get(running.address, "/api/v1/top").json();
    assert_eq!(top["hosts"][0]["name"], "shop.example");
    let events = get(running.address, "/api/v1/events?limit=300&kind=dark").json();
    assert_eq!(events["events"][0]["event"]["why"], "no_key");
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
}

/// More connections than there are places, half of them with a request that never ends.
#[test]
fn connections_that_only_wait_keep_nobody_out() {
    let running = Running::start(fake::quiet(), None);
    let mut idle: Vec<_> = (0..500).map(|_| connect(running.address)).collect();
    for stream in idle.iter_mut().step_by(2) {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: loc").unwrap();
    }
    assert_eq!(get(running.address, "/metrics").status, 200);
    // Now there are more than there is room for.
    idle.extend((0..300).map(|_| connect(running.address)));
    for _ in 0..3 {
        assert_eq!(get(running.address, "/metrics").status, 200);
    }
    let started = Instant::now();
    assert_eq!(get(running.address, "/-/healthy").status, 200);
    assert!(started.elapsed() < Duration::from_secs(30));
    // The first of those that waited longest made room.
    let mut end = [0];
    assert!(matches!(idle[1].read(&mut end), Ok(0) | Err(_)));
}

#[test]
fn a_storm_of_scrapes_shares_snapshots() {
    const SCRAPES: usize = 1_000;
    let running = Running::start(fake::busy(), None);
    let address = running.address;
    let scrape = move |n: usize| {
        let extra = ["", "Accept-Encoding: gzip\r\n", "Accept: application/openmetrics-text\r\n"][n % 3];
        get_with(address, "/metrics", extra).status
    };
    let threads: Vec<_> =
        (0..SCRAPES).map(|n| thread::Builder::new().stack_size(256 << 10).spawn(move || scrape(n)).unwrap()).collect();
    let answered = threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|&status| status == 200).count();
    assert_eq!(answered, SCRAPES);
    let taken = running.taken.load(Ordering::Acquire);
    assert!(taken < SCRAPES as u64 / 4, "{taken} snapshots for {SCRAPES} scrapes");
}

#[test]
fn stopping_finishes_what_is_under_way_and_closes_the_port() {
    let mut running = Running::start(fake::quiet(), None);
    let mut open = connect(running.address);
    assert_eq!(send(&mut open, &request("GET", "/-/healthy", "")).unwrap().status, 200);
    running.close();
    assert!(send(&mut open, &request("GET", "/-/healthy", "")).is_err());
    assert!(std::net::TcpStream::connect(running.address).is_err());
}

#[test]
fn a_port_that_is_taken_is_known_at_once() {
    let running = Running::start(Snapshot::default(), None);
    let error = h2watch::web::Bound::bind(&[running.address], None).unwrap_err();
    assert!(error.contains("cannot listen on 127.0.0.1:") && error.contains("in use"), "{error}");
}
