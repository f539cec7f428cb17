//! The program itself, live, with neither libpcap nor a key log.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use h2watch_tests::lab::observer::events;
use h2watch_tests::program;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::keys::{CURL, Server, free_port, have, kestrel, serve, shell};
use super::servers;

/// Asks until there is an answer, for twenty seconds.
pub(crate) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    (0..400).find_map(|_| {
        thread::sleep(Duration::from_millis(50));
        ask()
    })
}

/// Runs a server and the program beside it, has curl ask for a path that HTTP/2 is refused for, and wants the reset, its request, its
/// process and the retry, which curl makes by itself. Gives the status of the retry.
fn reset_and_retry(server: &str, path: &str, command_name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(server, place, port);
    let (found, said) = (place.join("events.jsonl"), place.join("watch.log"));
    let mut command = program::command();
    command.args(["watch", "--source", "tap", "--keys", "probe", "-i", "lo", "--listen", "127.0.0.1:0"]);
    command.args(["--format", "none", "--port", &port.to_string(), "--pid", &server.id().to_string()]);
    command.arg("--events").arg(&found).stdin(Stdio::null()).stdout(Stdio::null());
    let mut watch = Server::start(command.stderr(fs::File::create(&said).unwrap()));
    let printed = || fs::read_to_string(&said).unwrap_or_default();
    let ready = until(|| printed().contains("metrics and status page").then_some(()));
    assert!(ready.is_some(), "{}", printed());
    let ask = format!("{CURL} -w '%{{http_code}}' -o /dev/null https://localhost:$PORT{path}");
    let answer = shell(&ask, place, port).output().unwrap();
    let of = |event: &str| events(&found).into_iter().find(|one: &Value| one["event"] == event);
    let Some(case) = until(|| of("case")) else { panic!("no case\n{}\n{:#?}", printed(), events(&found)) };
    assert_eq!((case["outcome"].as_str(), case["kind"].as_str()), (Some("retried"), Some("downgrade")), "{case:#}");
    let reset = of("reset").unwrap();
    assert!(reset.to_string().contains("HTTP_1_1_REQUIRED") && reset.to_string().contains(path), "{reset:#}");
    let parent = |pid: &Value| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok())
    };
    for event in [&case, &reset] {
        let process = &event["process"];
        assert_eq!(process["command"], command_name, "{event:#}");
        assert!(process["pid"] == server.id() || parent(&process["pid"]) == Some(server.id()), "{event:#}");
    }
    let id = Pid::from_raw(i32::try_from(watch.id()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    assert_eq!(watch.wait(), Some(0), "{}", printed());
    let summary = of("summary").unwrap();
    assert_eq!(summary["verdict"], "found", "{summary:#}");
    String::from_utf8_lossy(&answer.stdout).into_owned()
}

#[test]
fn a_reset_of_kestrel_is_seen_and_its_retry() {
    if !have("a_reset_of_kestrel_is_seen_and_its_retry", &["curl", "openssl"]) {
        return;
    }
    let Some(origin) = kestrel() else { return };
    let server =
        format!("exec {} --address 127.0.0.1 --base-port $(($PORT-3)) --cert cert.pem --key key.pem", origin.display());
    assert_eq!(reset_and_retry(&server, "/h1only/x", "kestrel-origin"), "200");
}

#[test]
fn a_reset_of_apache_is_seen_and_its_retry() {
    if !have("a_reset_of_apache_is_seen_and_its_retry", &["apache2", "curl", "openssl"]) {
        return;
    }
    // curl has no certificate: what it gets in the end is no answer.
    reset_and_retry(&servers::apache(servers::SECURE), "/secure", "apache2");
}

/// The command under which the program has these capabilities alone.
pub(crate) fn with_capabilities(capabilities: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([&format!("--bounding-set=-all{capabilities}"), "--"]).arg(program::path());
    command
}

/// Starts a run without a word of how, and gives what it said when it was ready.
fn chosen(mut command: Command, settings: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("watch.log");
    command.args(["watch", "--config", "/dev/null", "-i", "lo", "--listen", "127.0.0.1:0", "--format", "none"]);
    command.args(settings);
    let mut watch = Server::start(command.stdin(Stdio::null()).stderr(fs::File::create(&said).unwrap()));
    let printed = || fs::read_to_string(&said).unwrap_or_default();
    assert!(until(|| printed().contains("metrics and status page").then_some(())).is_some(), "{}", printed());
    kill_process(Pid::from_raw(i32::try_from(watch.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(watch.wait(), Some(0), "{}", printed());
    printed()
}

#[test]
fn the_tap_and_the_probes_are_the_default_where_they_work() {
    if !have("the_tap_and_the_probes_are_the_default_where_they_work", &[]) {
        return;
    }
    let said = chosen(program::command(), &[]);
    assert!(said.contains("source auto: the kernel tap\n"), "{said}");
    assert!(said.contains("keys auto: by probe"), "{said}");
}

#[test]
fn without_their_privileges_libpcap_is_used_and_what_stays_dark_is_said() {
    if !have("without_their_privileges_libpcap_is_used_and_what_stays_dark_is_said", &["setpriv"]) {
        return;
    }
    if !program::live() {
        println!("skipped: without_their_privileges_libpcap_is_used_and_what_stays_dark_is_said: no libpcap");
        return;
    }
    for settings in [&[][..], &["--port", "443", "--port", "8443"]] {
        let said = chosen(with_capabilities(",+net_raw"), settings);
        assert!(said.contains("source auto: libpcap, because the tap cannot be used"), "{said}");
        assert!(said.contains("CAP_BPF is missing") && said.contains("TLS stays dark"), "{said}");
    }
}

/// What doctor checked.
pub(crate) fn doctor(mut command: Command, settings: &[&str]) -> Vec<Value> {
    command.args(["doctor", "--config", "/dev/null", "--listen", "none", "--format", "json"]).args(settings);
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["checks"].as_array().unwrap().clone()
}

/// Status of the first check of this name, and what was found.
pub(crate) fn of<'c>(checks: &'c [Value], name: &str) -> Option<(&'c str, &'c str)> {
    let check = checks.iter().find(|check| check["name"] == name)?;
    Some((check["status"].as_str()?, check["found"].as_str()?))
}

#[test]
fn doctor_says_how_a_server_will_be_seen() {
    if !have("doctor_says_how_a_server_will_be_seen", &["nghttpd", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve("exec nghttpd -d . --address=127.0.0.1 $PORT key.pem cert.pem", folder.path(), port);
    let checks = doctor(program::command(), &["-i", "lo", "--seconds", "0", "--port", &port.to_string()]);
    let named = |name: &str| checks.iter().filter(|check| check["name"] == name).collect::<Vec<_>>();
    let processes = named("process");
    let found = processes.first().unwrap()["found"].as_str().unwrap();
    assert_eq!(processes.len(), 1, "{processes:#?}");
    let expected = format!("nghttpd ({}), port {port}: OpenSSL 3: keys by probe", server.id());
    assert_eq!(found, expected);
    assert!(named("kernel programs").iter().all(|check| check["status"] == "ok"), "{checks:#?}");
    assert!(named("capability").len() >= 6, "{checks:#?}");
}

#[test]
fn doctor_says_of_a_setup_that_works_that_it_does() {
    if !have("doctor_says_of_a_setup_that_works_that_it_does", &["nghttpd", "curl", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(servers::NGHTTPD, place, port);
    let (pid, port_text) = (server.id().to_string(), port.to_string());
    let ask = format!("while ! [ -e enough ]; do {CURL} -o /dev/null https://localhost:$PORT/; sleep 0.2; done");
    let mut client = Server::start(shell(&ask, place, port).stdout(Stdio::null()));
    let examine =
        |settings: &[&str]| doctor(program::command(), &[&["--seconds", "3", "--pid", &pid], settings].concat());
    let keys = examine(&["--interface", "lo", "--port", &port_text]);
    for name in ["probes", "process"] {
        assert_eq!(of(&keys, name).unwrap().0, "ok", "{name}: {keys:#?}");
    }
    let expected = format!("nghttpd ({pid}), port {port}: OpenSSL 3: keys by probe");
    assert_eq!(of(&keys, "process").unwrap().1, expected);
    // What begins as the look ends may not be read any more.
    let matched = of(&keys, "key match").unwrap().1;
    let numbers: Vec<u64> = matched.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(matches!(numbers[..], [matched, all] if all > 2 && matched + 2 >= all), "{matched}");
    let plaintext = examine(&["--source", "plaintext"]);
    for name in ["probes", "process", "traffic", "readable"] {
        assert_eq!(of(&plaintext, name).unwrap().0, "ok", "{name}: {plaintext:#?}");
    }
    for name in ["key log", "key match", "filter", "interface"] {
        assert_eq!(of(&plaintext, name), None, "{plaintext:#?}");
    }
    assert!([keys, plaintext].iter().flatten().all(|check| check["status"] != "fail"));
    fs::write(place.join("enough"), "").unwrap();
    client.wait();
}
