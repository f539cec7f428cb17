//! Keys by probe in the handshakes that are not the usual one.

use std::fs;
use std::process::Stdio;

use h2watch::source::probe::{Probe, ProbeOptions};
use h2watch::source::processes::{Target, Whose};

use super::keys::{CURL, Caught, catch, free_port, have, kestrel, serve, shell};
use super::plaintext::{Watch, until};
use super::servers::{self, NGHTTPD, NODE};

/// Two connections by Node.js, the second with the session of the first: writes `reference.keys`, and to `reused` whether each was resumed.
const RESUMES: &str = "cat > client.js <<'END'
const http2 = require('http2'), tls = require('tls'), fs = require('fs');
const visit = session => new Promise(done => {
  let saved;
  const socket = tls.connect({ host: '127.0.0.1', port: +process.env.PORT, servername: 'localhost', ALPNProtocols: ['h2'],
    rejectUnauthorized: false, session, maxVersion: process.argv[2] });
  socket.on('keylog', line => fs.appendFileSync('reference.keys', line));
  const client = http2.connect('https://localhost', { createConnection: () => socket });
  const ready = new Promise(saving => socket.on('session', session => { saved = session; saving(); }));
  socket.on('secureConnect', () => {
    fs.appendFileSync('reused', socket.isSessionReused() + '\\n');
    const request = client.request({ ':path': '/index.html' });
    request.on('error', () => {});
    request.resume();
    // Of TLS 1.3 the ticket comes when it likes; a session that was resumed may have none.
    request.on('close', async () => { if (!session) await ready; client.close(); });
  });
  client.on('close', () => done(saved));
});
visit().then(visit);
END
timeout 60 node client.js";

const BOTH: [&str; 2] = ["TLSv1.3", "TLSv1.2"];

fn resumes(name: &str, server: &str, versions: &[&str]) {
    for version in versions {
        let caught = catch(server, &format!("{RESUMES} {version}"));
        assert_eq!(fs::read_to_string(caught.path("reused")).unwrap_or_default(), "false\ntrue\n", "{name} {version}");
        caught.agrees();
        assert_eq!(caught.handshakes(), 2, "{name} {version}: {:?}", caught.counts);
    }
}

#[test]
fn resumed_sessions_of_apache_nginx_haproxy_and_node() {
    if !have("resumed_sessions_of_apache_nginx_haproxy_and_node", &["apache2", "nginx", "haproxy", "node", "openssl"]) {
        return;
    }
    resumes("apache", &servers::apache("SSLSessionCache shmcb:$PWD/sessions(64000)"), &BOTH);
    resumes("nginx", &servers::nginx(""), &BOTH);
    resumes("haproxy", &servers::haproxy(""), &BOTH);
    resumes("node", NODE, &BOTH);
}

#[test]
fn resumed_sessions_of_kestrel_nghttpd_and_go() {
    if !have("resumed_sessions_of_kestrel_nghttpd_and_go", &["nghttpd", "go", "node", "openssl"]) {
        return;
    }
    resumes("nghttpd", NGHTTPD, &BOTH);
    // Go writes no key of a TLS 1.2 session that is resumed: see the next test.
    resumes("go", &servers::go(""), &BOTH[..1]);
    let Some(origin) = kestrel() else { return };
    resumes(
        "kestrel",
        &format!(
            "exec {} --address 127.0.0.1 --base-port $(($PORT-3)) --cert cert.pem --key key.pem",
            origin.display()
        ),
        &BOTH,
    );
}

#[test]
fn a_session_of_tls_1_2_that_go_resumes_is_read() {
    if !have("a_session_of_tls_1_2_that_go_resumes_is_read", &["go", "node", "openssl"]) || !super::may_load() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(&servers::go(""), place, port);
    let (pid, port_text) = (server.id().to_string(), port.to_string());
    let settings = ["--source", "tap", "-i", "lo", "--keys", "probe", "--pid", &pid, "--port", &port_text];
    let mut watch = Watch::start(place, &settings);
    assert!(shell(&format!("{RESUMES} TLSv1.2"), place, port).status().unwrap().success());
    assert_eq!(fs::read_to_string(place.join("reused")).unwrap_or_default(), "false\ntrue\n");
    let both = "h2watch_requests_total{protocol=\"h2\"} 2\n";
    let read = until(|| watch.metrics().contains(both).then_some(()));
    assert!(read.is_some(), "{}", watch.metrics());
    let summary = watch.stop();
    assert_eq!(summary["connections"]["dark"].as_array().map(Vec::len), Some(0), "{summary:#}");
}

#[test]
fn a_hello_that_is_to_be_repeated() {
    if !have("a_hello_that_is_to_be_repeated", &["apache2", "nginx", "haproxy", "curl", "openssl"]) {
        return;
    }
    let client = format!("for n in 1 2; do {CURL} --curves X25519:P-521 https://localhost:$PORT/index.html; done");
    for (name, server) in [
        ("apache", servers::apache("SSLOpenSSLConfCmd Groups P-521")),
        ("nginx", servers::nginx("ssl_ecdh_curve secp521r1;")),
        ("haproxy", servers::haproxy("curves P-521")),
        ("openssl", servers::openssl("-www -tls1_3 -groups P-521")),
    ] {
        let caught = catch(&server, &client);
        caught.agrees();
        assert_eq!(caught.handshakes(), 2, "{name}: {:?}", caught.counts);
        let capture = fs::read(caught.path("capture.pcap")).unwrap();
        // The random of a HelloRetryRequest (RFC 8446 section 4.1.3).
        let retry = [0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11];
        assert!(capture.windows(8).any(|bytes| bytes == retry), "{name} asks for another hello");
    }
}

/// A session of `openssl s_client`, which says what it did.
fn by_openssl(server: &str, client: &str, did: &str) -> Caught {
    let connect = "openssl s_client -connect 127.0.0.1:$PORT -tls1_3 -keylogfile reference.keys";
    let caught =
        catch(&servers::openssl(server), &format!("({}) > client.log 2>&1", client.replace("CONNECT", connect)));
    let said = fs::read_to_string(caught.path("client.log")).unwrap();
    assert!(said.contains(did), "{said}");
    caught
}

const GET: &str = "printf 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'";

#[test]
fn early_data() {
    if !have("early_data", &["openssl"]) {
        return;
    }
    let caught = by_openssl(
        "-early_data",
        &format!(
            "(sleep 1; echo Q) | CONNECT -sess_out session; {GET} > early; \
             (sleep 1; echo Q) | CONNECT -sess_in session -early_data early"
        ),
        "Early data was accepted",
    );
    let events = caught.agrees();
    assert!(
        events.contains("\"requests\":[{\"protocol\":\"http/1.1\",\"count\":1}]"),
        "the request in early data: {events}"
    );
    assert_eq!(caught.lines, 3, "two handshakes and an early secret: {:?}", caught.counts);
}

#[test]
fn a_key_update() {
    if !have("a_key_update", &["openssl"]) {
        return;
    }
    let caught = by_openssl(
        "-www",
        &format!("(sleep 1; echo K; sleep 1; echo k; sleep 1; {GET}; sleep 2) | CONNECT"),
        "KEYUPDATE",
    );
    let events = caught.agrees();
    assert!(
        events.contains("\"requests\":[{\"protocol\":\"http/1.1\",\"count\":1}]"),
        "the request behind it: {events}"
    );
    assert_eq!(caught.lines, 1, "{:?}", caught.counts);
}

#[test]
fn requests_pass_no_probe() {
    if !have("requests_pass_no_probe", &["nghttpd", "h2load", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(NGHTTPD, place, port);
    let whose = Whose::Targets(vec![Target::Pid(server.id())]);
    let mut probe = Probe::open(&ProbeOptions { whose, ..ProbeOptions::default() }).unwrap();
    let mut taken = |requests: u32| {
        let load = format!("h2load -n {requests} -c 1 -m 4 https://localhost:$PORT/index.html");
        let said = shell(&load, place, port).stderr(Stdio::null()).output().unwrap().stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains(&format!("{requests} succeeded")), "{said}");
        let mut own = 0;
        probe.poll(&mut |_| own += 1);
        let calls = probe.counts().unwrap().calls;
        (own, calls)
    };
    // Probes count the calls of every process: another's handshakes at the same time are no requests, so the fewest count.
    let mut least = |requests| {
        let calls = (0..5).map(|_| {
            let before = taken(1).1;
            let (own, after) = taken(requests);
            assert_eq!(own, 1, "one secret for the connection");
            after - before
        });
        calls.min().unwrap()
    };
    assert_eq!(least(10), least(5_000));
}
