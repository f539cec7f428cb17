//! `h2watch keys`: what it writes is what the client itself logged, and decrypts in tshark.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use h2watch_tests::{program, skip, tshark};
use rustix::process::{Pid, Signal, kill_process};

use super::keys::{CURL, Server, free_port, have, kestrel, serve, shell};
use super::servers::{self, NGHTTPD};
use super::watch::until;

/// A program that says on standard error that it has begun.
fn begun(command: &mut Command, log: &Path, word: &str) -> Server {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(log).unwrap());
    let program = Server::start(command);
    let said = || fs::read_to_string(log).unwrap_or_default();
    assert!(until(|| said().contains(word).then_some(())).is_some(), "{}", said());
    program
}

/// HTTP/2 frames by type that tshark decrypts.
fn frames(capture: &Path, port: u16, keys: &Path) -> String {
    let mut tshark = Command::new("tshark");
    tshark.arg("-n").arg("-r").arg(capture).args(["-d", &format!("tcp.port=={port},tls"), "-Y", "http2"]);
    tshark.arg("-o").arg(format!("tls.keylog_file:{}", keys.display())).args(["-T", "fields", "-e", "http2.type"]);
    String::from_utf8(tshark.output().unwrap().stdout).unwrap()
}

/// The lines of a key log that lead to traffic, in one spelling.
fn lines(keys: &Path) -> Vec<String> {
    let text = fs::read_to_string(keys).unwrap_or_default().to_lowercase();
    let wanted = |line: &&str| !line.starts_with('#') && !line.contains("exporter");
    let mut lines: Vec<String> = text.lines().filter(wanted).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn writes(server: &str, client: &str, connections: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(server, place, port);
    let (capture, keys, reference) = (place.join("capture.pcap"), place.join("keys.log"), place.join("reference.keys"));
    let mut tcpdump = Command::new("tcpdump");
    tcpdump
        .args(["-i", "lo", "-U", "--immediate-mode", "-Z", "root", "-w"])
        .arg(&capture)
        .arg(format!("tcp port {port}"));
    let mut tcpdump = begun(&mut tcpdump, &place.join("tcpdump.log"), "listening on");
    let mut command = program::command();
    command.args(["keys", "-i", "lo", "--pid", &server.id().to_string(), "--port", &port.to_string()]);
    command.args(["--count", &connections.to_string(), "--duration", "60s", "--out"]).arg(&keys);
    let log = place.join("keys.err");
    let mut writer = begun(&mut command, &log, "taking keys");
    let mut asks = shell(client, place, port);
    assert!(
        asks.env("SSLKEYLOGFILE", &reference).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    );
    assert_eq!(writer.wait(), Some(0), "{}", fs::read_to_string(&log).unwrap());
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains(&format!("connections whose keys were written: {connections}")), "{said}");
    assert!(!said.contains("without packets"), "{said}");
    // Both ends of each connection have sent a FIN, the last packets.
    let fins = || {
        let output = Command::new("tshark").arg("-n").arg("-r").arg(&capture).args(["-Y", "tcp.flags.fin==1"]).output();
        String::from_utf8_lossy(&output.unwrap().stdout).lines().count()
    };
    assert!(until(|| (fins() >= 2 * connections).then_some(())).is_some(), "the capture ends too early");
    kill_process(Pid::from_raw(i32::try_from(tcpdump.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    tcpdump.wait();
    assert_eq!(keys.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(lines(&keys), lines(&reference));
    let (seen, expected) = (frames(&capture, port, &keys), frames(&capture, port, &reference));
    assert!(!seen.is_empty() && seen == expected, "{seen}\n{expected}");
}

fn can(test: &str, tools: &[&str]) -> bool {
    if !tshark::is_there() {
        skip(test, "tshark is not installed");
        return false;
    }
    have(test, &["tcpdump", "curl", "openssl"]) && have(test, tools)
}

#[test]
fn a_key_log_of_nghttpd_and_go_decrypts() {
    if !can("a_key_log_of_nghttpd_and_go_decrypts", &["nghttpd", "go"]) {
        return;
    }
    let ask =
        format!("{CURL} https://localhost:$PORT/index.html && {CURL} --tls-max 1.2 https://localhost:$PORT/index.html");
    writes(NGHTTPD, &ask, 2);
    writes(&servers::go(""), &ask, 2);
}

#[test]
fn a_key_log_of_kestrel_decrypts() {
    if !can("a_key_log_of_kestrel_decrypts", &[]) {
        return;
    }
    let Some(origin) = kestrel() else { return };
    for (version, offset) in [("", 3), ("--tls-max 1.2", 4)] {
        let server = format!(
            "exec {} --address 127.0.0.1 --base-port $(($PORT-{offset})) --cert cert.pem --key key.pem",
            origin.display()
        );
        writes(&server, &format!("for path in / /h1only/x; do {CURL} {version} https://localhost:$PORT$path; done"), 3);
    }
}

#[test]
fn mistakes_are_said_in_a_line() {
    let run = |arguments: &[&str]| {
        let output = program::command().arg("keys").args(arguments).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("keys.log");
    let out = out.to_str().unwrap();
    assert_eq!(run(&["--out", out]).0, Some(2), "whose");
    assert_eq!(run(&["--all", "--pid", "1", "--out", out]).0, Some(2), "both");
    assert_eq!(run(&["--all"]).0, Some(2), "where to");
    let (status, said) = run(&["--all", "--out", out, "--duration", "soon"]);
    assert_eq!((status, said.lines().count()), (Some(2), 1), "{said}");
    if !super::may_load() {
        return;
    }
    let (status, said) = run(&["--pid", "4194304", "--out", out]);
    assert_eq!((status, said.lines().count()), (Some(3), 1), "{said}");
    assert!(said.contains("there is no process 4194304"), "{said}");
    fs::set_permissions(out, fs::Permissions::from_mode(0o644)).unwrap();
    let (status, said) = run(&["--all", "--out", out]);
    assert!(status == Some(3) && said.contains("chmod go-rwx"), "{said}");
}
