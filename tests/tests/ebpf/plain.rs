//! Plaintext by probe: what a process sends and receives, frame by frame, against what its client sent and received.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use h2watch::model::{HandshakeName, PacketBatch, PlainId, PlainWhat, Process, Side, Writer};
use h2watch::source::live::LiveSource;
use h2watch::source::plain::{Plain, PlainCounts, PlainOptions};
use h2watch::source::processes::{Target, Whose};

use super::client::{Client, DATA, RST_STREAM, WINDOW_UPDATE, frame};
use super::keys::{Server, free_port, have, kestrel, serve};
use super::servers::{SECURE, apache};

/// A stream without the payload of its DATA frames, and how much that is.
fn without_data(stream: &[u8]) -> (Vec<u8>, u64) {
    let mut rest = stream;
    let (mut kept, mut data) = (Vec::new(), 0);
    if let Some(after) = rest.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
        kept.extend_from_slice(&rest[..24]);
        rest = after;
    }
    while rest.len() >= 9 {
        let len = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
        let (frame, after) = rest.split_at((9 + len).min(rest.len()));
        if frame[3] == DATA {
            kept.extend_from_slice(&frame[..9]);
            data += len as u64;
        } else {
            kept.extend_from_slice(frame);
        }
        rest = after;
    }
    kept.extend_from_slice(rest);
    (kept, data)
}

/// What the probes gave of a connection.
#[derive(Default)]
pub(crate) struct Seen {
    process: Option<Arc<Process>>,
    joined: bool,
    role: Option<Side>,
    ends: Option<(SocketAddr, SocketAddr)>,
    name: Option<HandshakeName>,
    /// Bytes, skipped bytes and lost bytes: of what it wrote, and of what it read.
    bytes: [Vec<u8>; 2],
    skipped: [u64; 2],
    lost: [u64; 2],
    closed: bool,
}

#[derive(Default)]
pub(crate) struct Taken(HashMap<PlainId, Seen>);

impl Taken {
    pub(crate) fn take(&mut self, batch: &PacketBatch<'static>) {
        let mut before = h2watch::model::Time(0);
        for item in &batch.plaintext {
            assert!(item.time >= before, "in time order");
            before = item.time;
            let new = matches!(item.what, PlainWhat::Opened { .. });
            assert_eq!(self.0.contains_key(&item.connection), !new, "opened first, and once: {item:?}");
            let seen = self.0.entry(item.connection).or_default();
            assert!(!seen.closed, "nothing after the end: {item:?}");
            let at = |by: &Writer| usize::from(*by == Writer::Peer);
            match &item.what {
                PlainWhat::Opened { process, joined, role } => {
                    (seen.process, seen.joined, seen.role) = (Some(Arc::clone(process)), *joined, *role);
                }
                PlainWhat::Ends { local, peer } => seen.ends = Some((*local, *peer)),
                PlainWhat::Name(name) => seen.name = Some(*name),
                PlainWhat::Bytes { by, start, len } => {
                    let bytes = &batch.arena[*start as usize..][..*len as usize];
                    seen.bytes[at(by)].extend_from_slice(bytes);
                }
                PlainWhat::Skipped { by, bytes } => seen.skipped[at(by)] += bytes,
                PlainWhat::Lost { by, bytes } => seen.lost[at(by)] += bytes.unwrap_or(0),
                PlainWhat::Closed(_) => seen.closed = true,
            }
        }
    }

    /// Reads until it is as wanted, for thirty seconds.
    pub(crate) fn until(&mut self, plain: &mut Plain, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        let mut batch = PacketBatch::default();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(30), "{:?}", plain.counts());
            plain.fill(&mut batch, Duration::from_millis(50)).unwrap();
            self.take(&batch);
        }
    }

    /// The only connection that speaks HTTP/2.
    pub(crate) fn one(&self) -> &Seen {
        let mut with_bytes = self.0.values().filter(|seen| seen.bytes[1].starts_with(b"PRI") || seen.joined);
        let one = with_bytes.next().unwrap();
        assert!(with_bytes.next().is_none());
        one
    }

    fn closed(&self) -> bool {
        self.0.values().any(|seen| seen.closed && (seen.bytes[1].starts_with(b"PRI") || seen.joined))
    }
}

pub(crate) fn adds_up(plain: &Plain) -> PlainCounts {
    let counts = plain.counts().unwrap();
    let PlainCounts { taken, lost_full, lost_unread, .. } = counts;
    assert_eq!(counts.records, taken + lost_full + lost_unread, "{counts:?}");
    let PlainCounts { bytes_taken, bytes_skipped, bytes_left, bytes_lost, .. } = counts;
    assert_eq!(counts.bytes, bytes_taken + bytes_skipped + bytes_left + bytes_lost, "{counts:?}");
    assert_eq!(counts.malformed, 0, "{counts:?}");
    counts
}

pub(crate) fn probe(server: &Server, options: PlainOptions) -> Plain {
    let whose = Whose::Targets(vec![Target::Pid(server.id())]);
    let plain = Plain::open(&PlainOptions { whose, ..options }).unwrap();
    assert!(
        plain.probed().any(|file| file.places >= 4),
        "its library was found: {:?}",
        plain.probed().collect::<Vec<_>>()
    );
    for file in plain.probed() {
        assert_eq!(file.problem, None, "{file:?}");
    }
    plain
}

const NGHTTPD: &str =
    "head -c 300000 /dev/urandom > big && exec nghttpd -d . --address=127.0.0.1 $PORT key.pem cert.pem";

fn kestrel_command(origin: &std::path::Path) -> String {
    format!("exec {} --address 127.0.0.1 --base-port $(($PORT-3)) --cert cert.pem --key key.pem", origin.display())
}

/// Everything that the client saw is what the probes saw, and nothing was lost.
fn agrees(seen: &Seen, sent: &[u8], received: &[u8]) {
    for (at, stream) in [received, sent].into_iter().enumerate() {
        let (kept, data) = without_data(stream);
        assert_eq!(seen.lost[at], 0);
        assert_eq!(seen.skipped[at], data, "the payload of DATA is counted exactly");
        assert!(seen.bytes[at] == kept, "every other byte: {} and {}", seen.bytes[at].len(), kept.len());
    }
}

#[test]
fn plain_kestrel_frame_by_frame() {
    if !have("plain_kestrel_frame_by_frame", &["openssl"]) {
        return;
    }
    let Some(origin) = kestrel() else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve(&kestrel_command(&origin), folder.path(), port);
    let mut plain = probe(&server, PlainOptions::default());
    let mut client = Client::connect(port);
    assert!(!client.ask("/", &[]));
    assert!(client.ask("/h1only/x", &[]));
    assert!(!client.ask("/big/300000", &[]));
    client.ask("/", &[0x41; 100_000]);
    client.settle();
    let (sent, received) = client.close();
    let mut taken = Taken::default();
    taken.until(&mut plain, Taken::closed);
    let seen = taken.one();
    agrees(seen, &sent, &received);
    let process = seen.process.as_ref().unwrap();
    assert_eq!((process.pid, &*process.command), (server.id(), "kestrel-origin"));
    assert_eq!((seen.joined, seen.role), (false, Some(Side::Server)));
    assert_eq!(seen.ends, None, "memory BIOs: its socket is not known");
    adds_up(&plain);
    let resets = plain.resets().unwrap();
    let count = |code| resets.iter().find(|one| one.sent && !one.goaway && one.code == code).unwrap().count;
    assert_eq!((count(Some(13)), count(Some(1)), count(None)), (1, 0, 0));
}

#[test]
fn plain_nghttpd_with_its_addresses() {
    if !have("plain_nghttpd_with_its_addresses", &["nghttpd", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve(NGHTTPD, folder.path(), port);
    let mut plain = probe(&server, PlainOptions::default());
    let mut client = Client::connect(port);
    let address = client.address;
    client.ask("/index.html", &[]);
    client.ask("/big", &[]);
    client.settle();
    let mut taken = Taken::default();
    taken.until(&mut plain, |taken| taken.0.values().any(|seen| seen.ends.is_some_and(|(_, peer)| peer == address)));
    let (sent, received) = client.close();
    taken.until(&mut plain, Taken::closed);
    let seen = taken.one();
    agrees(seen, &sent, &received);
    assert_eq!(seen.ends, Some((SocketAddr::from((Ipv4Addr::LOCALHOST, port)), address)));
    assert_eq!((seen.joined, seen.role), (false, Some(Side::Server)));
    adds_up(&plain);
}

/// Whether the kernel that runs has links with many probes.
pub(crate) fn has_links_of_many() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().ok());
    (numbers.next().flatten(), numbers.next().flatten()) >= (Some(6), Some(6))
}

#[test]
fn plain_a_reset_of_apache_with_probes_set_together_and_one_by_one() {
    if !have("plain_a_reset_of_apache_with_probes_set_together_and_one_by_one", &["apache2", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve(&apache(SECURE), folder.path(), port);
    for single in [false, true] {
        let mut plain = probe(&server, PlainOptions { single, ..PlainOptions::default() });
        for file in plain.probed() {
            if single || !has_links_of_many() {
                assert_eq!(file.links(), file.places, "{file:?}");
            } else {
                assert!(file.links() <= 3, "one for each program: {file:?}");
            }
        }
        let mut client = Client::connect(port);
        assert!(!client.ask("/index.html", &[]));
        assert!(client.ask("/secure", &[]), "it is reset");
        client.settle();
        let (sent, received) = client.close();
        let mut taken = Taken::default();
        taken.until(&mut plain, Taken::closed);
        agrees(taken.one(), &sent, &received);
        adds_up(&plain);
        let resets = plain.resets().unwrap();
        let count = |code| resets.iter().find(|one| one.sent && !one.goaway && one.code == code).unwrap().count;
        assert_eq!((count(Some(13)), count(None)), (1, 0), "HTTP_1_1_REQUIRED, single: {single}");
    }
}

#[test]
fn plain_joined_between_requests() {
    if !have("plain_joined_between_requests", &["openssl"]) {
        return;
    }
    let Some(origin) = kestrel() else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve(&kestrel_command(&origin), folder.path(), port);
    let mut client = Client::connect(port);
    assert!(!client.ask("/", &[]));
    client.settle();
    let before = (client.sent.len(), client.received.len());
    let mut plain = probe(&server, PlainOptions::default());
    assert!(client.ask("/h1only/x", &[]));
    assert!(!client.ask("/big/300000", &[]));
    client.ask("/", &[0x41; 100_000]);
    client.settle();
    let (sent, received) = client.close();
    let mut taken = Taken::default();
    taken.until(&mut plain, Taken::closed);
    let seen = taken.one();
    assert_eq!((seen.joined, seen.role), (true, None));
    // Between requests a call begins with a frame: it is in step at once.
    agrees(seen, &sent[before.0..], &received[before.1..]);
    assert_eq!(adds_up(&plain).fell_out, 0);
}

#[test]
fn plain_more_frames_in_a_call_than_the_kernel_follows() {
    if !have("plain_more_frames_in_a_call_than_the_kernel_follows", &["nghttpd", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve(NGHTTPD, folder.path(), port);
    let mut plain = probe(&server, PlainOptions::default());
    let mut client = Client::connect(port);
    client.ask("/index.html", &[]);
    client.settle();
    let mut taken = Taken::default();
    // One record of TLS full of WINDOW_UPDATE frames: each adds a byte to the window.
    let burst: Vec<u8> = (0..1_200).flat_map(|_| frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes())).collect();
    assert!(burst.len() < 16_384);
    client.send(&burst);
    client.settle();
    let sent = client.sent.len();
    taken.until(&mut plain, |taken| {
        !taken.0.is_empty() && taken.one().bytes[1].len() + taken.one().lost[1] as usize >= sent
    });
    assert!(plain.counts().unwrap().fell_out > 0);
    // It is in step again with what comes next, and skips DATA.
    client.ask("/index.html", &[0x41; 50_000]);
    client.settle();
    let (sent, received) = client.close();
    taken.until(&mut plain, Taken::closed);
    agrees(taken.one(), &sent, &received);
    adds_up(&plain);
}

#[test]
fn plain_a_ring_buffer_far_too_small_says_what_it_lost() {
    if !have("plain_a_ring_buffer_far_too_small_says_what_it_lost", &["nghttpd", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve(NGHTTPD, folder.path(), port);
    let mut plain = probe(&server, PlainOptions { buffer: 0, ..PlainOptions::default() });
    let mut client = Client::connect(port);
    // Nobody reads meanwhile.
    for _ in 0..400 {
        client.ask("/index.html", &[]);
    }
    client.settle();
    let mut taken = Taken::default();
    let accounted = |taken: &Taken, client: &Client| {
        let one = taken.one();
        let all = |at: usize| one.bytes[at].len() as u64 + one.skipped[at] + one.lost[at];
        all(0) == client.received.len() as u64 && all(1) == client.sent.len() as u64
    };
    taken.until(&mut plain, |taken| !taken.0.is_empty() && accounted(taken, &client));
    let counts = adds_up(&plain);
    assert!(counts.lost_full > 0 && counts.missed == counts.lost_full, "{counts:?}");
    // What came is what was sent, and goes on to be.
    let (at, one) = (client.sent.len(), taken.one());
    assert!(client.sent.starts_with(&one.bytes[1][..100]));
    assert!(one.lost[1] > 0 && one.lost[0] > 0);
    let came = one.bytes[1].len();
    client.ask("/index.html", &[]);
    client.settle();
    let (sent, _) = client.close();
    taken.until(&mut plain, Taken::closed);
    assert!(taken.one().bytes[1][came..] == sent[at..]);
}

#[test]
fn plain_kernel_only_counts() {
    if !have("plain_kernel_only_counts", &["openssl"]) {
        return;
    }
    let Some(origin) = kestrel() else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve(&kestrel_command(&origin), folder.path(), port);
    let mut plain = probe(&server, PlainOptions { kernel_only: true, ..PlainOptions::default() });
    let mut client = Client::connect(port);
    for path in ["/h1only/x", "/reset/8", "/h1only/y", "/big/100000"] {
        client.ask(path, &[]);
    }
    // The client resets too: one with a code that nobody knows.
    client.send(&frame(RST_STREAM, 0, 7, &0x1234u32.to_be_bytes()));
    client.settle();
    let (_, received) = client.close();
    let mut batch = PacketBatch::default();
    plain.fill(&mut batch, Duration::from_millis(100)).unwrap();
    assert!(batch.plaintext.is_empty(), "nothing is handed up");
    let counts = adds_up(&plain);
    assert_eq!(counts.records, 0);
    assert!(counts.bytes_skipped >= 100_000, "{counts:?}");
    let resets = plain.resets().unwrap();
    let seen: Vec<_> =
        resets.iter().filter(|one| one.count > 0 && !one.goaway).map(|one| (one.sent, one.code, one.count)).collect();
    assert_eq!(seen, [(true, Some(8), 1), (true, Some(13), 2), (false, None, 1)]);
    let goaways = resets.iter().filter(|one| one.goaway && one.sent).map(|one| one.count).sum::<u64>();
    let (frames, _) = without_data(&received);
    assert_eq!(
        goaways,
        u64::from(frames.ends_with(&[0; 4]) && goaways > 0),
        "GOAWAY with NO_ERROR at the end, if at all"
    );
}

#[test]
fn plain_gnutls_and_http1() {
    if !have("plain_gnutls_and_http1", &["gnutls-serv", "gnutls-cli", "openssl", "curl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve(
        "exec gnutls-serv --http --port $PORT --x509keyfile key.pem --x509certfile cert.pem --quiet",
        folder.path(),
        port,
    );
    let mut plain = probe(&server, PlainOptions::default());
    let asked =
        super::keys::shell("curl -sk --http1.1 --max-time 20 https://localhost:$PORT/some/path", folder.path(), port)
            .output()
            .unwrap();
    assert!(!asked.stdout.is_empty());
    let mut taken = Taken::default();
    let asks = |seen: &Seen| seen.bytes[1].starts_with(b"GET /some/path HTTP/1.1\r\n");
    taken.until(&mut plain, |taken| taken.0.values().any(|seen| asks(seen) && seen.closed));
    let seen = taken.0.values().find(|seen| asks(seen)).unwrap();
    assert!(!seen.joined && seen.bytes[0].starts_with(b"HTTP/1."), "{:?}", seen.bytes[0]);
    let body = seen.bytes[0].windows(4).position(|at| at == b"\r\n\r\n").unwrap() + 4;
    let whole = seen.bytes[0].len() - body + seen.lost[0] as usize;
    assert_eq!(whole, asked.stdout.len(), "each byte once");
    assert!(asked.stdout.starts_with(&seen.bytes[0][body..]) || seen.lost[0] > 0);
    adds_up(&plain);
}

/// A server of Python's, whose `ssl` calls `SSL_read_ex` and `SSL_write_ex`.
const PYTHON: &str = "cat > server.py <<'END'
import http.server, os, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert.pem', 'key.pem')
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
END
exec /usr/bin/python3 server.py";

#[test]
fn plain_python_by_the_calls_that_write_the_length() {
    if !have("plain_python_by_the_calls_that_write_the_length", &["/usr/bin/python3", "openssl", "curl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = serve(PYTHON, folder.path(), port);
    let mut plain = probe(&server, PlainOptions { names: true, ..PlainOptions::default() });
    let asked = super::keys::shell("curl -sk --max-time 20 https://localhost:$PORT/index.html", folder.path(), port)
        .output()
        .unwrap();
    assert_eq!(asked.stdout, b"hello\n");
    let mut taken = Taken::default();
    let asks = |seen: &Seen| seen.bytes[1].starts_with(b"GET /index.html HTTP/1.1\r\n");
    taken.until(&mut plain, |taken| taken.0.values().any(|seen| asks(seen) && seen.closed));
    let seen = taken.0.values().find(|seen| asks(seen)).unwrap();
    assert!(!seen.joined && seen.role == Some(Side::Server) && seen.lost == [0, 0]);
    assert!(seen.bytes[1].ends_with(b"\r\n\r\n") && seen.bytes[0].ends_with(b"\r\n\r\nhello\n"));
    assert!(matches!(seen.name, Some(HandshakeName::Transcript(_))), "{:?}", seen.name);
    adds_up(&plain);
}

#[test]
fn plain_haproxy_by_the_system_calls_inside_of_its_calls() {
    if !have("plain_haproxy_by_the_system_calls_inside_of_its_calls", &["haproxy", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = "cat cert.pem key.pem > both.pem && cat > haproxy.cfg <<END
defaults
  mode http
  timeout client 60s
frontend here
  bind 127.0.0.1:$PORT ssl crt both.pem alpn h2
  http-request return status 200 content-type text/plain string hello
END
exec haproxy -db -f haproxy.cfg";
    let server = serve(server, folder.path(), port);
    let mut plain = probe(&server, PlainOptions::default());
    let mut client = Client::connect(port);
    let address = client.address;
    let mut taken = Taken::default();
    // The first records of the connection start the search, which later calls end.
    let found = |taken: &Taken| taken.0.values().any(|seen| seen.ends.is_some_and(|(_, peer)| peer == address));
    let start = Instant::now();
    let mut batch = PacketBatch::default();
    while !found(&taken) {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", plain.counts());
        client.ask("/", &[]);
        plain.fill(&mut batch, Duration::from_millis(50)).unwrap();
        taken.take(&batch);
    }
    let (sent, received) = client.close();
    taken.until(&mut plain, Taken::closed);
    let seen = taken.one();
    agrees(seen, &sent, &received);
    assert_eq!(seen.ends, Some((SocketAddr::from((Ipv4Addr::LOCALHOST, port)), address)));
    adds_up(&plain);
}

/// Runs a program under a filter that kills it for the system calls by which return probes work (`uretprobe`, `uprobe`), and for every
/// newer one.
const SECCOMP: &str = "import ctypes, os, struct, sys
rules = [(0x20, 0, 0, 0), (0x35, 0, 2, 335), (0x35, 1, 0, 424), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7fff0000)]
code = b''.join(struct.pack('HBBI', *rule) for rule in rules)
buffer = ctypes.create_string_buffer(code)
program = struct.pack('HxxxxxxQ', len(rules), ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
";

#[test]
fn plain_under_seccomp_and_load_while_attaching() {
    if !have("plain_under_seccomp_and_load_while_attaching", &["nghttpd", "openssl", "python3", "h2load"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("seccomp.py"), SECCOMP).unwrap();
    let port = free_port();
    let server = "exec python3 seccomp.py nghttpd -d . --address=127.0.0.1 $PORT key.pem cert.pem";
    let server = serve(server, folder.path(), port);
    let load = "exec h2load -q -n 100000000 -D 600 -c 4 -m 8 https://127.0.0.1:$PORT/index.html >load.log 2>&1";
    let load = Server::start(&mut super::keys::shell(load, folder.path(), port));
    let mut calls = 0;
    for round in 0..10 {
        let mut plain = probe(&server, PlainOptions::default());
        let mut batch = PacketBatch::default();
        let start = Instant::now();
        let mut bytes = 0;
        // Each time connections of its own are seen from their beginning, beside those that run already.
        let mut client = Client::connect(port);
        client.ask("/index.html", &[]);
        while bytes == 0 {
            assert!(start.elapsed() < Duration::from_secs(30), "round {round}: {:?}", plain.counts());
            plain.fill(&mut batch, Duration::from_millis(20)).unwrap();
            bytes = batch.arena.len();
        }
        client.ask("/index.html", &[]);
        calls += plain.counts().unwrap().calls;
    }
    assert!(calls > 0);
    drop(load);
    // It lives, and serves.
    let mut client = Client::connect(port);
    assert!(!client.ask("/index.html", &[]));
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    assert!(status.contains("Seccomp:\t2") && status.starts_with("Name:\tnghttpd"), "{status}");
}
