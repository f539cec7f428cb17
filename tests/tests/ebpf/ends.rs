//! How connections end, as far as probes at the plaintext can know.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::client::{Client, END_STREAM, HEADERS, frame};
use super::keys::{free_port, have, serve};
use super::plaintext::{Watch, until};
use super::servers::NGHTTPD;

/// Asks for a path and reads no further than the head of the answer.
fn begin(client: &mut Client, path: &str) {
    let mut block = vec![0x82, 0x87, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend(b"\x01\x09localhost");
    client.send(&frame(HEADERS, END_STREAM | 4, 1, &block));
    client.until(|kind, _, _| kind == HEADERS);
}

#[test]
fn a_request_that_was_open_when_the_server_was_killed_is_a_failure() {
    if !have("a_request_that_was_open_when_the_server_was_killed_is_a_failure", &["nghttpd", "openssl", "curl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(&format!("head -c 50000000 /dev/zero > big && {NGHTTPD}"), place, port);
    let mut watch = Watch::start(place, &["--source", "plaintext", "--pid", &server.id().to_string()]);
    let mut client = Client::connect(port);
    begin(&mut client, "/big");
    let seen = until(|| watch.metrics().contains("h2watch_requests_total{protocol=\"h2\"} 1").then_some(()));
    assert!(seen.is_some(), "{}", watch.metrics());
    // Nobody waits for it yet: it is dead, and still listed.
    kill_process(Pid::from_raw(i32::try_from(server.id()).unwrap()).unwrap(), Signal::KILL).unwrap();
    let killed = Instant::now();
    watch.wait_for("case", 1);
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    let summary = watch.stop();
    let case = watch.of("case").pop().unwrap();
    assert_eq!((&case["kind"], &case["ended_by"]), (&"failure".into(), &"process_ended".into()), "{case:#}");
    assert_eq!(case["process"]["pid"], server.id(), "{case:#}");
    let closed = serde_json::json!([{ "why": "process_ended", "count": 1 }]);
    assert_eq!(summary["connections"]["closed"], closed, "{summary:#}");
}

/// Answers `/cut` without an end, and closes the connection.
const CUT: &str = "cat > cut.py <<'END'
import os, socket, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert.pem', 'key.pem')
context.set_alpn_protocols(['h2'])
server = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))
while True:
    try:
        tls = context.wrap_socket(server.accept()[0], server_side=True)
        tls.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        asked = b''
        while b'/cut' not in asked:
            some = tls.recv(65536)
            if not some: break
            asked += some
        tls.sendall(bytes([0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88]))
        tls.close()
    except OSError:
        pass
END
exec python3 cut.py";

#[test]
fn beside_packets_these_say_who_ended_a_connection() {
    if !have("beside_packets_these_say_who_ended_a_connection", &["python3", "openssl", "curl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(CUT, place, port);
    let (pid, port_text) = (server.id().to_string(), port.to_string());
    let settings = ["--source", "tap,plaintext", "-i", "lo", "--keys", "none", "--pid", &pid, "--port", &port_text];
    let mut watch = Watch::start(place, &settings);
    let mut client = Client::connect(port);
    begin(&mut client, "/cut");
    drop(client);
    watch.wait_for("case", 1);
    let summary = watch.stop();
    let case = watch.of("case").pop().unwrap();
    assert_eq!(case["kind"], "failure", "{case:#}");
    assert!(case["ended_by"] == "fin" || case["ended_by"] == "rst", "{case:#}");
    assert!(case["client"].is_string() && case["process"]["pid"] == server.id(), "{case:#}");
    let read = serde_json::json!([{ "what": "instead", "count": 1 }]);
    assert_eq!(summary["connections"]["plaintext"], read, "{summary:#}");
}
