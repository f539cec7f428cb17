//! A live run beside connections that it cannot read: it says so while they are open, whatever else it reads.

#[path = "any.rs"]
mod any;
#[path = "blind/client.rs"]
mod client;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::Long;
use h2watch_tests::lab::observer::Watch;
use h2watch_tests::lab::visits::Way;
use h2watch_tests::lab::{Lab, OriginKind, lacking, wait};
use h2watch_tests::{program, skip};
use serde_json::Value;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{KeyLog, SupportedProtocolVersion};

/// Takes the secrets of a connection.
#[derive(Debug, Default)]
struct Keys(Mutex<String>);

impl KeyLog for Keys {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        *self.0.lock().unwrap() += &format!("{label} {} {}\n", hex(client_random), hex(secret));
    }
}

/// It logs no keys: what can be read is what visitors log.
const ORIGIN: OriginKind = OriginKind::Nghttpd;

/// A lab, or a line that says why there is none.
fn lab(test: &str) -> Option<Lab> {
    let lack = lacking(&[ORIGIN], &[]);
    let lack = lack.or_else(|| (!program::live()).then(|| "h2watch is built without live capture".to_owned()));
    if let Some(lack) = lack {
        skip(test, &lack);
        return None;
    }
    Some(Lab::start(&[ORIGIN], &[]).unwrap())
}

/// Connections that ask on and on, and their secrets.
fn pool(lab: &Lab, versions: &[&'static SupportedProtocolVersion]) -> Vec<(Long, Arc<Keys>)> {
    let open = |version: &&'static SupportedProtocolVersion| {
        let keys = Arc::new(Keys::default());
        (Long::open(lab, ORIGIN, version, Arc::clone(&keys) as Arc<dyn KeyLog>), keys)
    };
    versions.iter().map(open).collect()
}

/// Writes the secrets of connections to the key log.
fn log(lab: &Lab, pool: &[(Long, Arc<Keys>)]) {
    let mut log = OpenOptions::new().create(true).append(true).open(lab.visitors_keys()).unwrap();
    pool.iter().for_each(|(_, keys)| log.write_all(keys.0.lock().unwrap().as_bytes()).unwrap());
}

fn status(watch: &Watch) -> Value {
    serde_json::from_slice(&watch.get("/api/v1/status").unwrap().body).unwrap()
}

/// Waits until the headline is of a level, ten seconds at most, and gives its text.
fn headline(watch: &Watch, level: &str) -> String {
    let mut last = Value::Null;
    let found = wait(Duration::from_secs(10), || {
        last = status(watch)["headline"].clone();
        (last["level"] == level).then(|| last["text"].as_str().unwrap().to_owned())
    });
    found.unwrap_or_else(|| panic!("no headline of level {level}: {last:#}\n{}", watch.program.printed()))
}

fn dark_now(watch: &Watch, reason: &str, wanted: f64) {
    watch.until("h2watch_open_dark_connections", &[("reason", reason)], |dark| dark == wanted).unwrap();
}

/// Visitors whose connections end, and are read.
fn visit(lab: &Lab, watch: &Watch, count: usize) {
    let requests = || watch.scrape().unwrap().sum("h2watch_requests_total", &[]).unwrap();
    let before = requests();
    for _ in 0..count {
        assert_eq!(lab.visit(Way::Direct(ORIGIN), "/small").unwrap().status, 200);
    }
    let read = wait(Duration::from_secs(10), || (requests() >= before + count as f64).then_some(()));
    assert!(read.is_some(), "visitors whose keys are there are read");
}

#[test]
fn long_connections_without_keys_are_not_outshone() {
    let Some(lab) = lab("long_connections_without_keys_are_not_outshone") else { return };
    let watch = Watch::start(&lab).unwrap();
    let pool = pool(&lab, &[&TLS13; 5]);
    visit(&lab, &watch, 3);
    assert_eq!(
        headline(&watch, "blind"),
        "Nearly blind: 5 of 5 open connections cannot be read, no key log has their keys"
    );
    dark_now(&watch, "no_key", 5.0);
    let dark = status(&watch)["blindness"]["open_dark_connections"].clone();
    assert_eq!(dark, serde_json::json!([{"why": "no_key", "count": 5}]));
    // Readable connections come and go, and change nothing.
    visit(&lab, &watch, 3);
    headline(&watch, "blind");
    // What the pool carries counts while it is open.
    let carried = watch.scrape().unwrap().sum("h2watch_payload_bytes_total", &[]).unwrap();
    watch.until("h2watch_payload_bytes_total", &[], |bytes| bytes > carried).unwrap();
    drop(pool);
    dark_now(&watch, "no_key", 0.0);
    let seen = watch.finish().unwrap();
    assert_eq!(seen.scrape.sum("h2watch_dark_connections_total", &[("reason", "no_key")]), Some(5.0));
    assert_eq!(seen.of("dark").count(), 5);
}

#[test]
fn connections_joined_late_without_keys_are_told_of_while_they_are_open() {
    let Some(lab) = lab("connections_joined_late_without_keys_are_told_of_while_they_are_open") else { return };
    let pool = pool(&lab, &[&TLS13, &TLS13, &TLS12]);
    let watch = Watch::start(&lab).unwrap();
    assert!(headline(&watch, "blind").contains("of 3 open connections"));
    dark_now(&watch, "joined_late", 2.0);
    dark_now(&watch, "joined_late_tls12", 1.0);
    visit(&lab, &watch, 3);
    headline(&watch, "blind");
    // A key that is found lights a connection again.
    log(&lab, &pool[..1]);
    dark_now(&watch, "joined_late", 1.0);
    drop(pool);
    dark_now(&watch, "joined_late_tls12", 0.0);
    watch.finish().unwrap();
}

#[test]
fn keys_that_come_a_little_late_leave_nothing_dark() {
    let Some(lab) = lab("keys_that_come_a_little_late_leave_nothing_dark") else { return };
    let watch = Watch::start(&lab).unwrap();
    visit(&lab, &watch, 1);
    let pool = pool(&lab, &[&TLS13; 5]);
    std::thread::sleep(Duration::from_millis(300));
    log(&lab, &pool);
    watch.until("h2watch_requests_total", &[], |requests| requests > 100.0).unwrap();
    // There is more to say of the key logs of this lab, and nothing of what they do not open.
    let said = status(&watch)["headline"].to_string();
    assert!(said.contains("100 % of the traffic could be read"), "{said}");
    drop(pool);
    watch.until("h2watch_open_connections", &[], |open| open == 0.0).unwrap();
    let seen = watch.finish().unwrap();
    let sum = |what: &str| seen.scrape.sum(what, &[]);
    assert_eq!((sum("h2watch_dark_connections_total"), sum("h2watch_unread_bytes_total")), (Some(0.0), Some(0.0)));
    assert_eq!(seen.of("dark").count(), 0);
}
