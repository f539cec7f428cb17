//! Every form of TLS that is read, as a real server and client spoke it: `captures/tls`, made by `make.py` there. A file's name says
//! what it holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use h2watch::limits::Limits;
use h2watch::model::{Event, Finding, Kind};
use h2watch::replay::{Keys, Listener, Plan, run};
use h2watch::source::OpenedInputs;
use h2watch_tests::{captures, skip, tshark};

/// Suites by number (IANA "TLS Cipher Suites").
const ECDSA_AES128_GCM: u16 = 0xc02b;
const ECDSA_AES256_GCM: u16 = 0xc02c;
const ECDSA_AES128_CBC_SHA256: u16 = 0xc023;
const ECDSA_CHACHA20: u16 = 0xcca9;
const AES128_GCM: u16 = 0x1301;
const AES256_GCM: u16 = 0x1302;
const CHACHA20: u16 = 0x1303;

/// A capture's name, the suite, how many connections it holds, and how many exchanges.
const MATRIX: [(&str, u16, usize, usize); 42] = [
    ("tls12-client-certificate", ECDSA_AES128_GCM, 1, 1),
    ("tls12-dhe-aes128-gcm", 0x009e, 1, 1),
    ("tls12-ecdhe-aes128-ccm", 0xc0ac, 1, 1),
    ("tls12-ecdhe-aes128-gcm", ECDSA_AES128_GCM, 1, 1),
    ("tls12-ecdhe-aes256-ccm8", 0xc0af, 1, 1),
    ("tls12-ecdhe-aes256-gcm-no-ems", ECDSA_AES256_GCM, 1, 1),
    ("tls12-ecdhe-cbc-sha1", 0xc009, 1, 1),
    ("tls12-ecdhe-cbc-sha1-mac-then-encrypt", 0xc00a, 1, 1),
    ("tls12-ecdhe-cbc-sha256", ECDSA_AES128_CBC_SHA256, 1, 1),
    ("tls12-ecdhe-cbc-sha256-mac-then-encrypt", ECDSA_AES128_CBC_SHA256, 1, 1),
    ("tls12-ecdhe-cbc-sha256-no-ems", ECDSA_AES128_CBC_SHA256, 1, 1),
    ("tls12-ecdhe-cbc-sha384", 0xc024, 1, 1),
    ("tls12-ecdhe-cbc-sha384-mac-then-encrypt", 0xc024, 1, 1),
    ("tls12-ecdhe-chacha20", ECDSA_CHACHA20, 1, 1),
    ("tls12-key-log-premaster", 0x009d, 1, 1),
    ("tls12-key-log-premaster-no-ems", 0x002f, 1, 1),
    ("tls12-key-log-session-id", 0x009c, 1, 1),
    ("tls12-renegotiated-by-client", ECDSA_AES128_GCM, 1, 2),
    ("tls12-renegotiated-by-server", ECDSA_AES128_CBC_SHA256, 1, 2),
    ("tls12-renegotiated-for-certificate", ECDSA_CHACHA20, 1, 2),
    ("tls12-resumed-by-id", ECDSA_AES128_GCM, 2, 2),
    ("tls12-resumed-by-ticket", ECDSA_AES256_GCM, 2, 2),
    ("tls12-rsa-cbc-sha256-no-ems-mac-then-encrypt", 0x003c, 1, 1),
    ("tls12-split-handshake", 0xc02f, 1, 1),
    ("tls13-aes256-gcm", AES256_GCM, 1, 1),
    ("tls13-ccm", 0x1304, 1, 1),
    ("tls13-ccm8", 0x1305, 1, 1),
    ("tls13-certificate-later", AES128_GCM, 1, 2),
    ("tls13-chacha20", CHACHA20, 1, 1),
    ("tls13-client-certificate", AES128_GCM, 1, 1),
    ("tls13-early-data", AES128_GCM, 2, 3),
    ("tls13-early-data-refused", AES128_GCM, 2, 2),
    ("tls13-early-data-refused-by-retry", AES128_GCM, 2, 2),
    ("tls13-hello-retry", AES128_GCM, 1, 1),
    ("tls13-hello-retry-no-compat", AES128_GCM, 1, 1),
    ("tls13-key-update", CHACHA20, 1, 2),
    ("tls13-many-tickets", AES128_GCM, 1, 1),
    ("tls13-no-tickets", AES128_GCM, 1, 1),
    ("tls13-padded", AES128_GCM, 1, 2),
    ("tls13-psk-external", AES128_GCM, 1, 1),
    ("tls13-resumed", AES256_GCM, 2, 2),
    ("tls13-split-handshake", AES128_GCM, 1, 1),
];

/// What a replay shows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Version, suite, and whether the session was resumed, for every connection.
    secured: Vec<(&'static str, u16, bool)>,
    server_names: Vec<String>,
    paths: Vec<String>,
    statuses: Vec<u16>,
    /// Darkness and gaps.
    unseen: Vec<String>,
    unread: u64,
}

impl Listener for Seen {
    fn finding(&mut self, _: &Finding) {}

    fn event(&mut self, event: &Event) {
        match &event.kind {
            Kind::Hello(hello) => self.server_names.extend(hello.sni.as_deref().map(str::to_owned)),
            Kind::Secured(secured) => self.secured.push((secured.version, secured.suite, secured.resumed)),
            Kind::Request(exchange) => self.paths.extend(exchange.request.path.as_deref().map(str::to_owned)),
            Kind::Response { status, .. } => self.statuses.extend(status),
            Kind::Dark { .. } | Kind::Gap { .. } | Kind::Anomaly { .. } => {
                self.unseen.push(format!("{:?}", event.kind));
            }
            Kind::Closed { unread, .. } => self.unread += unread,
            _ => {}
        }
    }
}

fn see(capture: &Path, keys: &[PathBuf]) -> Seen {
    see_with(capture, keys, &|text| text.to_vec())
}

/// `choose`: what of the keys in the capture is used.
fn see_with(capture: &Path, keys: &[PathBuf], choose: &dyn Fn(&[u8]) -> Vec<u8>) -> Seen {
    let limits = Limits::default();
    let mut secrets = Keys::new(&limits);
    secrets.files(keys).unwrap();
    let mut inputs = OpenedInputs::open(&[capture.to_owned()]).unwrap();
    inputs.secrets(&mut |text| secrets.block(&choose(text)));
    let mut seen = Seen::default();
    run(&inputs, secrets, &Plan { threads: 1, settings: Default::default(), limits }, &mut seen);
    seen
}

fn folder() -> PathBuf {
    captures::shipped().join("tls")
}

/// What the matrix says that a capture holds.
fn expected(name: &str, suite: u16, connections: usize, exchanges: usize) -> Seen {
    let version = if name.starts_with("tls13") { "1.3" } else { "1.2" };
    let psk = name == "tls13-psk-external";
    let mut paths = vec![format!("/{name}"); exchanges];
    if name == "tls13-early-data" {
        paths[1] = format!("/{name}-early");
    }
    // A server that does not know the ticket begins a new session.
    let resumed = |connection| psk || (connection > 0 && !name.starts_with("tls13-early-data-refused"));
    Seen {
        secured: (0..connections).map(|connection| (version, suite, resumed(connection))).collect(),
        server_names: vec!["tls.test".to_owned(); connections],
        paths,
        statuses: vec![200; exchanges],
        unseen: Vec::new(),
        unread: 0,
    }
}

#[test]
fn every_form_of_tls_is_read() {
    let mut wrong = Vec::new();
    for (name, suite, connections, exchanges) in MATRIX {
        let seen = see(&folder().join(format!("{name}.pcapng")), &[]);
        let expected = expected(name, suite, connections, exchanges);
        if seen != expected {
            wrong.push(format!("{name}\n  seen     {seen:?}\n  expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), MATRIX.len(), wrong.join("\n"));
}

/// Go names a connection that resumes a session of TLS 1.2 in no key log: it has the master secret of the one that made it.
#[test]
fn the_key_of_a_session_opens_the_connections_that_resume_it() {
    for name in ["tls12-resumed-by-id", "tls12-resumed-by-ticket"] {
        let (_, suite, connections, exchanges) = MATRIX.into_iter().find(|(other, ..)| *other == name).unwrap();
        let capture = folder().join(format!("{name}.pcapng"));
        let first = |text: &[u8]| {
            let lines: Vec<_> = text.split_inclusive(|&byte| byte == b'\n').collect();
            assert!(lines.len() > 1 && lines.iter().all(|line| line.starts_with(b"CLIENT_RANDOM ")));
            lines[0].to_vec()
        };
        assert_eq!(see_with(&capture, &[], &first), expected(name, suite, connections, exchanges), "{name}");
        // Nothing leads from the one that resumes to the one that made it.
        let last = |text: &[u8]| text.split_inclusive(|&byte| byte == b'\n').next_back().unwrap().to_vec();
        let seen = see_with(&capture, &[], &last);
        assert!(seen.paths.len() < exchanges && seen.unread > 0, "{name}: {seen:?}");
    }
}

#[test]
fn every_capture_is_in_the_matrix() {
    let files = captures::files(&folder(), &[".pcapng"]);
    let mut names: Vec<_> = files.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, MATRIX.map(|(name, ..)| name));
    let bytes: u64 = files.iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(bytes < 256 << 10, "{bytes}");
}

/// The blocks of a little-endian pcapng file, and whether each holds a packet.
fn blocks(bytes: &[u8]) -> Vec<(bool, &[u8])> {
    const ENHANCED_PACKET: u32 = 6;
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + word(at + 4) as usize;
        blocks.push((word(at) == ENHANCED_PACKET, &bytes[at..end]));
        at = end;
    }
    blocks
}

/// Captures whose handshake leaves the most to guess when a part of it is missing.
const FRAGILE: [&str; 8] = [
    "tls12-ecdhe-cbc-sha384",
    "tls12-renegotiated-by-server",
    "tls12-resumed-by-id",
    "tls13-early-data",
    "tls13-early-data-refused",
    "tls13-early-data-refused-by-retry",
    "tls13-hello-retry",
    "tls13-key-update",
];

/// Whatever packet such a capture lacks: nothing is read that was not said, and what is not read is owned up to.
#[test]
fn a_lost_packet_makes_up_nothing() {
    let folder_of_cut = tempfile::tempdir().unwrap();
    let cut = folder_of_cut.path().join("cut.pcapng");
    let (mut whole, mut runs) = (0, 0);
    for (name, suite, connections, exchanges) in MATRIX.into_iter().filter(|(name, ..)| FRAGILE.contains(name)) {
        let expected = expected(name, suite, connections, exchanges);
        let bytes = std::fs::read(folder().join(format!("{name}.pcapng"))).unwrap();
        let blocks = blocks(&bytes);
        for lost in (0..blocks.len()).filter(|at| blocks[*at].0) {
            let kept: Vec<u8> = blocks
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != lost)
                .flat_map(|(_, (_, block))| *block)
                .copied()
                .collect();
            std::fs::write(&cut, kept).unwrap();
            let seen = see(&cut, &[]);
            let mut left = expected.paths.clone();
            for path in &seen.paths {
                let at = left.iter().position(|other| other == path);
                left.remove(at.unwrap_or_else(|| panic!("{name} without block {lost}: {seen:?}")));
            }
            let said = seen.statuses.iter().all(|status| *status == 200) && seen.statuses.len() <= exchanges;
            assert!(said, "{name} without block {lost}: {seen:?}");
            let complete = left.is_empty() && seen.statuses.len() == exchanges;
            assert!(complete || !seen.unseen.is_empty() || seen.unread > 0, "{name} without block {lost}: {seen:?}");
            whole += usize::from(complete);
            runs += 1;
        }
    }
    println!("{whole} of {runs} cut captures are read as a whole");
}

/// tshark reads no more than we do.
#[test]
fn tshark_sees_nothing_else() {
    if !tshark::is_there() {
        return skip("tshark_sees_nothing_else", "tshark is not installed");
    }
    let mut read = BTreeMap::new();
    for (name, suite, connections, exchanges) in MATRIX {
        let mut command = Command::new("tshark");
        command.arg("-n").arg("-r").arg(folder().join(format!("{name}.pcapng")));
        command.args(["-d", "tcp.port==4433,tls", "-Y", "http", "-T", "fields"]);
        command.args(["-e", "http.request.uri", "-e", "http.response.code"]);
        let output = String::from_utf8_lossy(&command.output().expect("tshark runs").stdout).into_owned();
        let expected = expected(name, suite, connections, exchanges);
        let mut ours: Vec<String> = expected.paths;
        ours.extend(expected.statuses.iter().map(u16::to_string));
        let theirs: Vec<_> = output.split_ascii_whitespace().collect();
        for one in &theirs {
            let at = ours.iter().position(|other| other == one);
            // It decrypts 0-RTT data that the server did not take.
            let refused = name.starts_with("tls13-early-data-refused") && one.ends_with("-early");
            assert!(at.is_some() || refused, "{name}: {one} in {theirs:?}");
            at.map(|at| ours.remove(at));
        }
        read.insert(name, ours.is_empty());
    }
    let all = read.values().filter(|all| **all).count();
    println!("tshark reads {all} of {} captures as a whole", read.len());
    assert!(all > MATRIX.len() / 2, "tshark is asked the wrong way: {read:?}");
}
