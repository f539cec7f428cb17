//! Keys by probe: for each origin, the same events as with the key log that its client wrote, from the same packets.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use h2watch::model::PacketBatch;
use h2watch::source::live::LiveSource;
use h2watch::source::probe::{Probe, ProbeCounts, ProbeOptions};
use h2watch::source::processes::{Target, Whose};
use h2watch::source::tap::{Filter, Tap, TapOptions};
use h2watch_tests::{captures, program};
use rustix::process::{Pid, Signal, kill_process};

use super::servers::{self, NGHTTPD, NODE};

/// What a client left on the wire, and what the probes gave.
pub(crate) struct Caught {
    folder: tempfile::TempDir,
    pub(crate) lines: usize,
    pub(crate) counts: ProbeCounts,
}

/// A program, ended when dropped.
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Its exit status once it has ended.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked first: a server that is killed leaves its children behind.
        if let Ok(id) = i32::try_from(self.0.id())
            && let Some(id) = Pid::from_raw(id)
            && self.0.try_wait().is_ok_and(|ended| ended.is_none())
        {
            let _ = kill_process(id, Signal::TERM);
        }
        let ended = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(20));
            self.0.try_wait().is_ok_and(|ended| ended.is_some())
        });
        if !ended {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A port, with those around it free as well: a Kestrel here takes several in a row. Below those that the kernel gives to clients, which
/// the tests that run beside this one make in numbers.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 15_000;
    const APART: u32 = 16;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let spans = (0..1_000).map(|_| FIRST + APART * ((std::process::id() + NEXT.fetch_add(1, Relaxed)) % 1_000));
    let is_free = |port: u32| {
        let port = u16::try_from(port).unwrap();
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
    };
    let free = spans.into_iter().find(|first| (*first..first + APART).all(is_free));
    u16::try_from(free.unwrap() + APART / 2).unwrap()
}

/// Whether all of these are there. Prints what is missing.
pub(crate) fn have(test: &str, tools: &[&str]) -> bool {
    let missing = tools.iter().find(|tool| {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).stdout(Stdio::null()).status();
        !found.is_ok_and(|status| status.success())
    });
    if let Some(tool) = missing {
        println!("skipped: {test}: {tool} is not installed");
    }
    missing.is_none() && crate::may_load()
}

pub(crate) fn shell(script: &str, folder: &Path, port: u16) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(folder).env("PORT", port.to_string()).stdin(Stdio::null());
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    command
}

/// Runs a server (a script that ends in `exec`) with a certificate of its own, and waits until it listens.
pub(crate) fn serve(server: &str, place: &Path, port: u16) -> Server {
    let certificate = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem \
        -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null && echo hello > index.html";
    assert!(shell(certificate, place, port).status().unwrap().success());
    let log = fs::File::create(place.join("server.log")).unwrap();
    let server = Server::start(shell(server, place, port).stdout(log.try_clone().unwrap()).stderr(log));
    listens(port, &place.join("server.log"));
    server
}

/// Waits until a server listens.
fn listens(port: u16, log: &Path) {
    let listens = (0..2_400).any(|_| {
        thread::sleep(Duration::from_millis(50));
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    });
    assert!(listens, "{}", fs::read_to_string(log).unwrap_or_default());
}

/// A .NET program of the lab. Prints that it is not there.
fn lab_program(variable: &str, path: &str) -> Option<PathBuf> {
    let shared = captures::shared().map(|shared| shared.join("../origins").join(path));
    let program = std::env::var_os(variable).map(PathBuf::from).or(shared).filter(|path| path.exists());
    if program.is_none() {
        println!("skipped: no {path}");
    }
    program
}

/// The Kestrel of the lab. Prints that it is not there.
pub(crate) fn kestrel() -> Option<PathBuf> {
    lab_program("KESTREL_ORIGIN", "kestrel/kestrel-origin")
}

/// Runs a server (a script that ends in `exec`) and a client beside the tap and the probes of the server alone.
pub(crate) fn catch(server: &str, client: &str) -> Caught {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve(server, folder.path(), port);
    // The client alone writes a key log: the reference.
    let keys = folder.path().join("reference.keys");
    catch_of(&server, folder, port, |place| {
        let mut client = shell(client, place, port);
        client.env("SSLKEYLOGFILE", keys);
        client
    })
}

/// Runs a client beside the tap, on a port, and the probes of one program.
fn catch_of(probed: &Server, folder: tempfile::TempDir, port: u16, client: impl FnOnce(&Path) -> Command) -> Caught {
    let place = folder.path();
    let filter = Filter { ports: vec![port], addresses: Vec::new() };
    let mut tap = Tap::open(&TapOptions { interfaces: vec!["lo".into()], filter, ..TapOptions::default() }).unwrap();
    let whose = Whose::Targets(vec![Target::Pid(probed.id())]);
    let mut probe = Probe::open(&ProbeOptions { whose, ..ProbeOptions::default() }).unwrap();
    assert!(probe.probed().next().is_some(), "the server's library was found");
    for probed in probe.probed() {
        assert_eq!(probed.problem, None, "{probed:?}");
    }
    let mut client = client(place).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut capture, mut keys, mut lines) = (pcap_header(), Vec::new(), 0);
    let mut batch = PacketBatch::default();
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_millis(400) {
        tap.fill(&mut batch, Duration::from_millis(50)).unwrap();
        assert_eq!(batch.lost, 0);
        probe.poll(&mut |secret| {
            keys.extend_from_slice(secret.line.as_bytes());
            lines += 1;
        });
        if !batch.packets.is_empty() || client.try_wait().unwrap().is_none() {
            last = Instant::now();
        }
        add(&mut capture, &batch);
    }
    client.wait().unwrap();
    fs::write(place.join("capture.pcap"), capture).unwrap();
    fs::write(place.join("probe.keys"), keys).unwrap();
    let counts = probe.counts().unwrap();
    let ProbeCounts { calls, unwanted, taken, lost_full, lost_unread, .. } = counts;
    assert_eq!(calls, unwanted + taken + lost_full + lost_unread, "{counts:?}");
    assert_eq!((lost_full, lost_unread, counts.malformed), (0, 0, 0), "{counts:?}");
    Caught { folder, lines, counts }
}

/// A pcap file with nanoseconds, of Ethernet.
fn pcap_header() -> Vec<u8> {
    let words: [u32; 6] = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 1 << 20, 1];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn add(capture: &mut Vec<u8>, batch: &PacketBatch<'static>) {
    for packet in &batch.packets {
        let bytes = packet.data.chunk(&batch.arena).bytes();
        let (seconds, nanos) = (packet.time.0 / 1_000_000_000, packet.time.0 % 1_000_000_000);
        for word in [seconds as u32, nanos as u32, bytes.len() as u32, packet.wire_len] {
            capture.extend(word.to_le_bytes());
        }
        capture.extend_from_slice(bytes);
    }
}

impl Caught {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The events of the packets with these keys.
    fn events(&self, keys: &str) -> String {
        let run = program::events(&self.path("capture.pcap"), &[self.path(keys)]);
        // Some servers here never answer.
        let readable = run.status == 0 || run.status == 1 || run.stdout.contains("\"why\":\"unanswered\"");
        assert!(readable, "{}{}", run.stderr, run.stdout);
        run.stdout
    }

    /// Handshakes of the server: of each, one of these lines.
    pub(crate) fn handshakes(&self) -> usize {
        let keys = fs::read_to_string(self.path("probe.keys")).unwrap();
        let one = ["TLS13_TRANSCRIPT_SECRET ", "CLIENT_RANDOM ", "SERVER_TRAFFIC_SECRET_0 "];
        keys.lines().filter(|line| one.iter().any(|label| line.starts_with(label))).count()
    }

    /// The probe's events are the key log's, and nothing stayed dark.
    pub(crate) fn agrees(&self) -> String {
        let (probed, logged) = (without_keys(&self.events("probe.keys")), without_keys(&self.events("reference.keys")));
        assert!(!probed.is_empty() && probed.contains("\"dark\":[]"), "{probed}");
        if probed != logged {
            let mut differences = String::new();
            for (probed, logged) in probed.lines().zip(logged.lines()).filter(|(a, b)| a != b) {
                let _ = writeln!(differences, "probe  {probed}\nkeylog {logged}");
            }
            panic!("{differences}");
        }
        probed
    }
}

/// Without what the summary says of the keys themselves.
fn without_keys(events: &str) -> String {
    let Some((before, rest)) = events.split_once("\"keys\":{") else { return events.to_owned() };
    let Some((_, after)) = rest.split_once('}') else { return events.to_owned() };
    format!("{before}{after}")
}

pub(crate) const CURL: &str = "curl -sk --http2 --max-time 20";

#[test]
fn nghttpd_tls13() {
    if !have("nghttpd_tls13", &["nghttpd", "curl", "openssl"]) {
        return;
    }
    let caught = catch(
        NGHTTPD,
        &format!("for n in 1 2 3; do {CURL} https://localhost:$PORT/index.html https://localhost:$PORT/none; done"),
    );
    caught.agrees();
    assert_eq!(caught.lines, 3, "one secret for each handshake, and none for a request: {:?}", caught.counts);
    assert!(caught.counts.foreign >= 3, "the client's own secrets are not taken");
}

#[test]
fn nghttpd_tls12() {
    if !have("nghttpd_tls12", &["nghttpd", "curl", "openssl"]) {
        return;
    }
    let caught =
        catch(NGHTTPD, &format!("for n in 1 2; do {CURL} --tls-max 1.2 https://localhost:$PORT/index.html; done"));
    caught.agrees();
    assert_eq!(caught.lines, 2);
    // The same master secrets, under the same names.
    let sorted = |name: &str| {
        let text = fs::read_to_string(caught.path(name)).unwrap().to_lowercase();
        let mut lines: Vec<String> =
            text.lines().filter(|line| line.starts_with("client_random")).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted("probe.keys"), sorted("reference.keys"));
}

#[test]
fn kestrel_resets_are_the_same() {
    if !have("kestrel_resets_are_the_same", &["curl", "openssl"]) {
        return;
    }
    let Some(origin) = kestrel() else { return };
    for (version, offset) in [("", 3), ("--tls-max 1.2", 4)] {
        let caught = catch(
            &format!(
                "exec {} --address 127.0.0.1 --base-port $(($PORT-{offset})) --cert cert.pem --key key.pem",
                origin.display()
            ),
            &format!(
                "for path in / /h1only/x /big/300000 /reset/8; do {CURL} {version} -o /dev/null https://localhost:$PORT$path; done"
            ),
        );
        let events = caught.agrees();
        assert!(events.contains("HTTP_1_1_REQUIRED"), "{events}");
    }
}

#[test]
fn yarp_before_kestrel() {
    if !have("yarp_before_kestrel", &["curl", "openssl"]) {
        return;
    }
    let Some(origin) = kestrel() else { return };
    let Some(edge) = lab_program("YARP_EDGE", "yarp/yarp-edge") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (place, port, edge_port) = (folder.path(), free_port(), free_port());
    // The origin writes the reference; the edge is its client, and is probed.
    let server = format!(
        "SSLKEYLOGFILE=$PWD/reference.keys exec {} --address 127.0.0.1 --base-port $(($PORT-3)) --cert cert.pem --key key.pem",
        origin.display()
    );
    let _origin = serve(&server, place, port);
    let run = format!("exec {} --listen 127.0.0.1:{edge_port} --origin https://127.0.0.1:$PORT/", edge.display());
    let log = fs::File::create(place.join("edge.log")).unwrap();
    let edge = Server::start(shell(&run, place, port).stdout(log.try_clone().unwrap()).stderr(log));
    listens(edge_port, &place.join("edge.log"));
    let paths = format!(
        "for path in / /h1only/x /big/300000 /; do curl -s --max-time 20 http://127.0.0.1:{edge_port}$path; done"
    );
    let caught = catch_of(&edge, folder, port, |place| shell(&paths, place, port));
    assert!(caught.agrees().contains("HTTP_1_1_REQUIRED"));
    assert!(caught.handshakes() > 0);
}

#[test]
fn node_links_openssl_statically() {
    if !have("node_links_openssl_statically", &["node", "curl", "openssl"]) {
        return;
    }
    let caught = catch(NODE, &format!("for path in / /refused /; do {CURL} https://localhost:$PORT$path; done"));
    assert!(caught.agrees().contains("HTTP_1_1_REQUIRED"));
}

#[test]
fn apache_and_its_children() {
    if !have("apache_and_its_children", &["apache2", "curl", "openssl"]) {
        return;
    }
    let server = servers::apache(servers::SECURE);
    let caught =
        catch(&server, &format!("for path in /index.html /secure; do {CURL} https://localhost:$PORT$path; done"));
    assert!(caught.agrees().contains("HTTP_1_1_REQUIRED"));
}

#[test]
fn go_by_symbol_and_by_its_own_table() {
    if !have("go_by_symbol_and_by_its_own_table", &["go", "curl", "openssl"]) {
        return;
    }
    for flags in ["", "-ldflags=-s\\ -w", "-buildmode=pie"] {
        let server = servers::go(flags);
        let caught = catch(
            &server,
            &format!(
                "{CURL} https://localhost:$PORT/ https://localhost:$PORT/abort; {CURL} --tls-max 1.2 https://localhost:$PORT/"
            ),
        );
        assert!(caught.agrees().contains("INTERNAL_ERROR"));
    }
}
