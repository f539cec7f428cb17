//! What goes wrong around a monitor that is left running: it goes on, and says what it could not see.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use h2watch_tests::lab::observer::{LISTEN, Watch, events};
use h2watch_tests::lab::visits::Way;
use h2watch_tests::lab::{INTERFACE, Lab, OriginKind, lacking, wait};
use h2watch_tests::{captures, program, skip};
use rustix::process::Signal;

const KESTREL: Way<'static> = Way::Direct(OriginKind::Kestrel);

/// A lab with a Kestrel origin, or a line that says why there is none.
fn lab(test: &str) -> Option<Lab> {
    let lack = lacking(&[OriginKind::Kestrel], &[]);
    let lack = lack.or_else(|| (!program::live()).then(|| "h2watch is built without live capture".to_owned()));
    if let Some(lack) = lack {
        skip(test, &lack);
        return None;
    }
    Some(Lab::start(&[OriginKind::Kestrel], &[]).unwrap())
}

/// curl is refused, asks again, and is answered.
fn refused(lab: &Lab, path: &str) {
    let visitor = lab.visit(KESTREL, path).unwrap();
    assert_eq!((visitor.version.as_str(), visitor.status), ("1.1", 200), "{path}");
}

/// Waits for as many retries.
fn retries(watch: &Watch, count: f64) {
    watch.until("h2watch_cases_total", &[("outcome", "retried")], |retried| retried >= count).unwrap();
}

fn ready(watch: &Watch, wanted: bool) {
    let status = || watch.get("/-/ready").map(|answer| answer.status).ok();
    let became = wait(Duration::from_secs(20), || status().filter(|&status| (status == 200) == wanted));
    assert!(became.is_some(), "/-/ready stays at {:?}:\n{}", status(), watch.program.printed());
}

fn kestrel_keys(lab: &Lab) -> PathBuf {
    lab.keys().join("kestrel.keys")
}

#[test]
fn a_key_log_may_be_deleted_and_come_back() {
    let Some(lab) = lab("a_key_log_may_be_deleted_and_come_back") else { return };
    let (events, keys) = (lab.folder().join("events.jsonl"), lab.visitors_keys());
    let watch = Watch::run(&lab, &mut Watch::command(&events, std::slice::from_ref(&keys)), &events).unwrap();
    refused(&lab, "/h1only/before");
    retries(&watch, 1.0);
    fs::remove_file(&keys).unwrap();
    // curl makes the file again.
    refused(&lab, "/h1only/after");
    retries(&watch, 2.0);
    fs::rename(&keys, keys.with_extension("old")).unwrap();
    refused(&lab, "/h1only/rotated");
    retries(&watch, 3.0);
    assert_eq!(watch.finish().unwrap().of("case").count(), 3);
}

#[test]
fn a_key_log_may_be_truncated_under_its_writer() {
    let Some(lab) = lab("a_key_log_may_be_truncated_under_its_writer") else { return };
    let (events, keys) = (lab.folder().join("events.jsonl"), kestrel_keys(&lab));
    let watch = Watch::run(&lab, &mut Watch::command(&events, std::slice::from_ref(&keys)), &events).unwrap();
    refused(&lab, "/h1only/before");
    retries(&watch, 1.0);
    fs::OpenOptions::new().write(true).truncate(true).open(&keys).unwrap();
    // Kestrel goes on at its own place in the file, behind a hole of NUL bytes.
    refused(&lab, "/h1only/after");
    retries(&watch, 2.0);
    assert_eq!(watch.finish().unwrap().of("case").count(), 2);
}

#[test]
fn a_full_disk_costs_events_and_nothing_else() {
    let Some(lab) = lab("a_full_disk_costs_events_and_nothing_else") else { return };
    let place = lab.folder().join("full");
    fs::create_dir(&place).unwrap();
    let file = place.join("events.jsonl");
    // A disk of its own, which nobody else sees and which goes with the process.
    let script = "mount -t tmpfs -o size=64k none \"$0\" && head -c 65536 /dev/zero > \"$0/ballast\"; exec \"$@\"";
    let watch = Watch::command(&file, &[kestrel_keys(&lab)]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(&place).arg(watch.get_program()).args(watch.get_args());
    let watch = Watch::run(&lab, &mut command, &file).unwrap();
    let inside = |name: &str| {
        let place = place.join(name);
        PathBuf::from(format!("/proc/{}/root", watch.program.id())).join(place.strip_prefix("/").unwrap())
    };
    assert!(inside("ballast").exists(), "{}", watch.program.printed());
    for number in 0..5 {
        refused(&lab, &format!("/h1only/full{number}"));
    }
    retries(&watch, 5.0);
    ready(&watch, true);
    watch.until("h2watch_events_failing", &[], |failing| failing == 1.0).unwrap();
    fs::remove_file(inside("ballast")).unwrap();
    refused(&lab, "/h1only/space");
    retries(&watch, 6.0);
    let written = wait(Duration::from_secs(20), || {
        events(&inside("events.jsonl")).into_iter().find(|event| event["request"]["path"] == "/h1only/space")
    });
    assert!(written.is_some(), "nothing is written once there is space again:\n{}", watch.program.printed());
}

#[test]
fn killed_and_started_again_it_works() {
    let Some(lab) = lab("killed_and_started_again_it_works") else { return };
    let mut watch = Watch::start(&lab).unwrap();
    refused(&lab, "/h1only/first");
    retries(&watch, 1.0);
    watch.program.end(Signal::KILL, Duration::from_secs(5)).unwrap();
    let watch = Watch::start(&lab).unwrap();
    refused(&lab, "/h1only/second");
    retries(&watch, 1.0);
    // What was written before stays, and both runs' lines are whole.
    let path = watch.events.clone();
    assert_eq!(watch.finish().unwrap().status, 0);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("/h1only/first") && text.contains("/h1only/second"), "{text}");
}

#[test]
fn an_interface_may_go_down_and_come_up() {
    let Some(lab) = lab("an_interface_may_go_down_and_come_up") else { return };
    let watch = Watch::start(&lab).unwrap();
    refused(&lab, "/h1only/before");
    retries(&watch, 1.0);
    lab.origin.ip(&["link", "set", INTERFACE, "down"]).unwrap();
    ready(&watch, false);
    lab.origin.ip(&["link", "set", INTERFACE, "up"]).unwrap();
    ready(&watch, true);
    refused(&lab, "/h1only/after");
    retries(&watch, 2.0);
    assert_eq!(watch.finish().unwrap().status, 0);
}

#[test]
fn an_interface_may_be_deleted_and_made_again() {
    let Some(lab) = lab("an_interface_may_be_deleted_and_made_again") else { return };
    let watch = Watch::start(&lab).unwrap();
    refused(&lab, "/h1only/before");
    retries(&watch, 1.0);
    lab.origin.ip(&["link", "delete", INTERFACE]).unwrap();
    ready(&watch, false);
    lab.network.plug(&lab.origin).unwrap();
    ready(&watch, true);
    refused(&lab, "/h1only/after");
    retries(&watch, 2.0);
    assert_eq!(watch.finish().unwrap().status, 0);
}

/// The system's clock cannot be stepped for one program alone, and packets carry its time: a capture in which it steps does the same.
#[test]
fn a_clock_that_steps_loses_no_reset() {
    const HOUR: i64 = 3_600;
    let folder = tempfile::tempdir().unwrap();
    let capture = captures::shipped().join("kestrel-haproxy-502.pcapng");
    let whole = program::events(&capture, &[]);
    let resets = |text: &str| text.lines().filter(|line| line.contains("\"event\":\"reset\"")).count();
    assert_eq!(resets(&whole.stdout), 3);
    for step in [HOUR, -HOUR] {
        let stepped = folder.path().join(format!("stepped{step}.pcapng"));
        fs::write(&stepped, step_halfway(&fs::read(&capture).unwrap(), step)).unwrap();
        let run = program::events(&stepped, &[]);
        assert_eq!((run.status, resets(&run.stdout)), (1, 3), "{step}: {}", run.stderr);
        let cases = run.stdout.lines().filter(|line| line.contains("\"event\":\"case\"")).count();
        assert_eq!(cases, 3, "{step}: {}", run.stdout);
    }
}

/// The second half of a pcapng's packets, with their time (in microseconds) moved by `seconds`.
fn step_halfway(capture: &[u8], seconds: i64) -> Vec<u8> {
    const ENHANCED_PACKET: u32 = 6;
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut stepped = capture.to_vec();
    let (mut at, mut packets) = (0, Vec::new());
    while at < stepped.len() {
        if word(&stepped, at) == ENHANCED_PACKET {
            packets.push(at);
        }
        at += word(&stepped, at + 4) as usize;
    }
    for &at in &packets[packets.len() / 2..] {
        let time = u64::from(word(&stepped, at + 12)) << 32 | u64::from(word(&stepped, at + 16));
        let time = time.checked_add_signed(seconds * 1_000_000).unwrap();
        stepped[at + 12..at + 16].copy_from_slice(&u32::try_from(time >> 32).unwrap().to_le_bytes());
        stepped[at + 16..at + 20].copy_from_slice(&u32::try_from(time & 0xffff_ffff).unwrap().to_le_bytes());
    }
    stepped
}

/// Everybody scrapes at once.
#[test]
fn a_storm_of_scrapes_stops_nothing() {
    let Some(lab) = lab("a_storm_of_scrapes_stops_nothing") else { return };
    let watch = Watch::start(&lab).unwrap();
    let answers = std::thread::scope(|scope| {
        let scrape = || lab.origin.get(LISTEN, "/metrics", "*/*").map(|answer| answer.status);
        let storm: Vec<_> =
            (0..300).map(|_| scope.spawn(move || (0..3).map(|_| scrape()).collect::<Vec<_>>())).collect();
        // In the middle of it, a visitor is refused.
        refused(&lab, "/h1only/storm");
        storm.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    // One that is one too many may be turned away, at once.
    let answered = answers.iter().filter(|answer| matches!(answer, Ok(200))).count();
    assert!(
        answered >= answers.len() / 2,
        "{answered} of {}: {:?}",
        answers.len(),
        answers.iter().find(|answer| answer.is_err())
    );
    retries(&watch, 1.0);
    assert!(watch.program.memory() < 256 << 20, "{} bytes", watch.program.memory());
    assert_eq!(watch.finish().unwrap().status, 0);
}

/// Hundreds of connections that never finish their request.
#[test]
fn slow_visitors_of_the_web_port_stop_nothing() {
    let Some(lab) = lab("slow_visitors_of_the_web_port_stop_nothing") else { return };
    let watch = Watch::start(&lab).unwrap();
    let mut slow = Vec::new();
    for _ in 0..400 {
        // Beyond its cap the server may refuse.
        let Ok(mut connection) = lab.origin.connect(LISTEN) else { continue };
        let _ = connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: slow");
        slow.push(connection);
    }
    assert!(slow.len() >= 100, "only {} connections", slow.len());
    refused(&lab, "/h1only/slow");
    retries(&watch, 1.0);
    for connection in &mut slow {
        let _ = connection.write_all(b".");
    }
    ready(&watch, true);
    assert_eq!(watch.scrape().unwrap().sum("h2watch_cases_total", &[("outcome", "retried")]), Some(1.0));
    drop(slow);
    assert_eq!(watch.finish().unwrap().status, 0);
}

/// SIGHUP: window and servers hold from then on; a filter that is not valid changes nothing, and is said until it is put right.
#[test]
fn a_reload_changes_window_servers_and_filter() {
    let Some(lab) = lab("a_reload_changes_window_servers_and_filter") else { return };
    let (events, keys, config) =
        (lab.folder().join("events.jsonl"), kestrel_keys(&lab), lab.folder().join("h2watch.toml"));
    let origin = lab.origin.at(OriginKind::Kestrel.tls_port());
    let set = |text: &str| fs::write(&config, text).unwrap();
    set("window = \"10m\"\nfilter = \"tcp\"\n");
    let mut command = Watch::command(&events, std::slice::from_ref(&keys));
    let watch = Watch::run(&lab, command.arg("--config").arg(&config), &events).unwrap();
    let reload = |count: f64, successful: f64| {
        watch.program.signal(Signal::HUP);
        watch.until("h2watch_reloads_total", &[], |reloads| reloads >= count).unwrap();
        watch.until("h2watch_reload_successful", &[], |is| is == successful).unwrap();
    };
    let refusals = |count: f64| {
        let labels = [("error", "HTTP_1_1_REQUIRED"), ("sender", "server")];
        watch.until("h2watch_resets_total", &labels, |resets| resets >= count).unwrap();
    };
    refused(&lab, "/h1only/long");
    refusals(1.0);
    set(&format!("window = \"200ms\"\nserver = [\"192.0.2.1:443\", \"{origin}\"]\nfilter = \"tcp port 9\"\n"));
    reload(1.0, 1.0);
    assert_eq!(watch.scrape().unwrap().sum("h2watch_server_requests_total", &[("server", "192.0.2.1:443")]), Some(0.0));
    refused(&lab, "/h1only/unseen");
    set("window = \"200ms\"\nfilter = \"tcp prot 9\"\n");
    reload(2.0, 0.0);
    assert!(watch.program.printed().contains("\"tcp prot 9\" is not valid"), "{}", watch.program.printed());
    set("window = \"200ms\"\nfilter = \"tcp\"\nthreads = 2\n");
    reload(3.0, 0.0);
    assert!(watch.program.printed().contains("needs a restart to hold: threads"), "{}", watch.program.printed());
    refused(&lab, "/h1only/short");
    refusals(2.0);
    retries(&watch, 1.0);
    let seen = watch.finish().unwrap();
    let paths: Vec<_> = seen.of("case").filter_map(|case| case["request"]["path"].as_str()).collect();
    assert_eq!(paths, ["/h1only/short", "/h1only/long"], "the window that a case began with is its own");
}
