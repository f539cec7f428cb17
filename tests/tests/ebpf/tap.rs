//! The tap sees every byte once, and says exactly what it lost.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use h2watch::limits::Limits;
use h2watch::model::{PacketBatch, SegmentBatch, TcpFlags};
use h2watch::packet::Decoder;
use h2watch::source::live::LiveSource;
use h2watch::source::tap::{Filter, Hook, Tap, TapCounts, TapOptions};

use super::keys::have;

/// Bytes that differ everywhere.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).flat_map(|at| at.wrapping_mul(0x9e37_79b1).to_le_bytes()).take(len).collect()
}

/// What the tap gave.
#[derive(Default)]
struct Seen {
    packets: u64,
    lost: u64,
    truncated: u64,
    /// Payload by sender's port and sequence number.
    segments: BTreeMap<u16, BTreeMap<u32, Vec<u8>>>,
    syns: u64,
    missing: u64,
}

impl Seen {
    /// Reads until nothing came for a while.
    fn read(tap: &mut Tap) -> Self {
        let mut seen = Self::default();
        let mut decoder = Decoder::new(&Limits::default());
        let (mut batch, mut out) = (PacketBatch::default(), SegmentBatch::default());
        let mut last = Instant::now();
        while last.elapsed() < Duration::from_millis(300) {
            tap.fill(&mut batch, Duration::from_millis(100)).unwrap();
            if !batch.packets.is_empty() || batch.lost > 0 {
                last = Instant::now();
            }
            seen.packets += batch.packets.len() as u64;
            seen.lost += batch.lost;
            seen.truncated += batch
                .packets
                .iter()
                .filter(|packet| packet.data.chunk(&batch.arena).bytes().len() < packet.wire_len as usize)
                .count() as u64;
            decoder.decode(&mut batch, &mut out);
            for segment in out.shards.iter().flatten() {
                let payload = segment.payload.chunk(&out.arena).bytes();
                let port = if segment.from_low { segment.key.low.1 } else { segment.key.high.1 };
                seen.syns += u64::from(segment.flags.has(TcpFlags::SYN));
                seen.missing += u64::from(segment.missing);
                if !payload.is_empty() {
                    // What is sent again may be cut shorter.
                    let known = seen.segments.entry(port).or_default().entry(segment.seq).or_default();
                    if payload.len() > known.len() {
                        *known = payload.to_vec();
                    }
                }
            }
        }
        seen
    }

    /// The stream that a port sent, and how many of its bytes came more than once.
    fn stream(&self, port: u16) -> Vec<u8> {
        let Some(segments) = self.segments.get(&port) else { return Vec::new() };
        let Some(first) = segments.keys().next().copied() else { return Vec::new() };
        let mut stream = Vec::new();
        for (seq, payload) in segments {
            let at = seq.wrapping_sub(first) as usize;
            assert!(at <= stream.len(), "a hole at {} before {at}", stream.len());
            let known = stream.len() - at;
            stream.extend_from_slice(payload.get(known..).unwrap_or_default());
        }
        stream
    }
}

fn counts(tap: &Tap) -> TapCounts {
    let interfaces = tap.interfaces().unwrap();
    interfaces.iter().fold(TapCounts::default(), |mut sum, interface| {
        let counts = interface.counts;
        sum.seen += counts.seen;
        sum.filtered += counts.filtered;
        sum.taken += counts.taken;
        sum.cut += counts.cut;
        sum.lost_full += counts.lost_full;
        sum.lost_unread += counts.lost_unread;
        sum.bytes += counts.bytes;
        sum.bytes_snapped += counts.bytes_snapped;
        sum
    })
}

/// Every packet is accounted for, by the kernel and by what came up.
fn adds_up(tap: &Tap, seen: &Seen) -> TapCounts {
    let counts = counts(tap);
    let TapCounts { filtered, taken, cut, lost_full, lost_unread, .. } = counts;
    assert_eq!(counts.seen, filtered + taken + cut + lost_full + lost_unread, "{counts:?}");
    assert_eq!(seen.packets, taken + cut, "{counts:?}");
    assert_eq!(seen.lost, lost_full + lost_unread, "{counts:?}");
    counts
}

/// Sends `there` to a listener that answers with `back`.
fn exchange(listener: TcpListener, to: SocketAddr, there: &[u8], back: &[u8]) -> u16 {
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut got = vec![0; there.len()];
            socket.read_exact(&mut got).unwrap();
            assert!(got == there);
            socket.write_all(back).unwrap();
        });
        let mut socket = TcpStream::connect(to).unwrap();
        let port = socket.local_addr().unwrap().port();
        socket.write_all(there).unwrap();
        let mut got = Vec::new();
        socket.read_to_end(&mut got).unwrap();
        assert!(got == back);
        port
    })
}

fn options(interfaces: &[&str], port: u16) -> TapOptions {
    TapOptions {
        interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
        filter: Filter { ports: vec![port], addresses: Vec::new() },
        ..TapOptions::default()
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Linux 6.6 brought it.
fn has_tcx() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(6))
}

fn loopback(hook: Hook) {
    let (listener, address) = listen();
    let mut tap = Tap::open(&TapOptions { hook, ..options(&["lo"], address.port()) }).unwrap();
    let expected = if hook == Hook::Auto { if has_tcx() { Hook::Tcx } else { Hook::Clsact } } else { hook };
    assert_eq!(tap.interfaces().unwrap()[0].hook, Some(expected));
    let (there, back) = (pattern(3_000_000), pattern(5_000_001));
    let port = exchange(listener, address, &there, &back);
    let seen = Seen::read(&mut tap);
    let counts = adds_up(&tap, &seen);
    assert_eq!((counts.cut, seen.lost, seen.truncated), (0, 0, 0));
    assert_eq!(seen.syns, 2, "each packet of loopback once");
    assert!(seen.stream(port) == there && seen.stream(address.port()) == back);
}

#[test]
fn loopback_is_seen_once_and_whole() {
    if crate::may_load() {
        loopback(Hook::Auto);
    }
}

#[test]
fn loopback_is_seen_once_and_whole_by_clsact() {
    if crate::may_load() {
        loopback(Hook::Clsact);
        let left = Command::new("tc").args(["filter", "show", "dev", "lo", "ingress"]).output();
        assert!(
            left.is_err() || !String::from_utf8_lossy(&left.unwrap().stdout).contains("h2watch"),
            "detached on exit"
        );
    }
}

#[test]
fn a_ring_buffer_far_too_small_says_exactly_what_it_lost() {
    if !crate::may_load() {
        return;
    }
    let (listener, address) = listen();
    let mut tap = Tap::open(&TapOptions { buffer: 0, ..options(&["lo"], address.port()) }).unwrap();
    let (there, back) = (pattern(2_000_000), pattern(2_000_000));
    // Nobody reads meanwhile.
    exchange(listener, address, &there, &back);
    let seen = Seen::read(&mut tap);
    let counts = adds_up(&tap, &seen);
    assert!(counts.lost_full > 0 && seen.lost == counts.lost_full, "{counts:?}");
    assert_eq!(seen.truncated, counts.cut);
}

#[test]
fn a_snap_length_cuts_and_counts() {
    if !crate::may_load() {
        return;
    }
    let (listener, address) = listen();
    let mut tap = Tap::open(&TapOptions { snap: 96, ..options(&["lo"], address.port()) }).unwrap();
    let there = pattern(1_000_000);
    exchange(listener, address, &there, &[]);
    let seen = Seen::read(&mut tap);
    let counts = adds_up(&tap, &seen);
    let payload: usize = seen.segments.values().flat_map(BTreeMap::values).map(Vec::len).sum();
    assert!(payload as u64 + seen.missing >= there.len() as u64, "the rest is missing: more, where TCP sent again");
    assert_eq!(counts.bytes_snapped, seen.missing);
    assert!(seen.truncated > 0);
}

#[test]
fn a_flow_has_its_own_snap_length() {
    if !crate::may_load() {
        return;
    }
    let (listener, address) = listen();
    let mut tap = Tap::open(&options(&["lo"], address.port())).unwrap();
    let there = pattern(400_000);
    let mut socket = TcpStream::connect(address).unwrap();
    let local = socket.local_addr().unwrap();
    tap.snap_flow((local, address), 0).unwrap();
    let reader = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        socket.read_to_end(&mut got).unwrap();
        got.len()
    });
    socket.write_all(&there).unwrap();
    drop(socket);
    assert_eq!(reader.join().unwrap(), there.len());
    let seen = Seen::read(&mut tap);
    adds_up(&tap, &seen);
    assert!(seen.segments.is_empty());
    assert!(seen.missing >= there.len() as u64);
}

/// A network namespace with one end of a veth pair, and a server in it. Removed when dropped.
struct Lab {
    server: Child,
    number: u8,
}

const PORT: u16 = 39_443;

fn ip(arguments: &str) -> bool {
    let words = arguments.split_whitespace();
    Command::new("ip")
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl Lab {
    fn new(number: u8) -> Option<Self> {
        let (namespace, outside, inside) = (namespace(number), end(number, 0), end(number, 1));
        ip(&format!("netns del {namespace}"));
        let made = ip(&format!("netns add {namespace}"))
            && ip(&format!("link add {outside} type veth peer name {inside} netns {namespace}"))
            && ip(&format!("addr add 10.213.{number}.1/24 dev {outside}"))
            && ip(&format!("link set {outside} up"))
            && ip(&format!("-n {namespace} addr add 10.213.{number}.2/24 dev {inside}"))
            && ip(&format!("-n {namespace} link set {inside} up"));
        if !made {
            println!("skipped: cannot make a network namespace");
            ip(&format!("netns del {namespace}"));
            return None;
        }
        let server = inside_of(number, "serve").env("H2WATCH_TEST_SERVE", PORT.to_string()).spawn().unwrap();
        let lab = Self { server, number };
        drop(lab.connect());
        Some(lab)
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([10, 213, self.number, 2], PORT))
    }

    fn connect(&self) -> TcpStream {
        let connected = (0..200).find_map(|_| {
            thread::sleep(Duration::from_millis(50));
            TcpStream::connect(self.address()).ok()
        });
        connected.expect("the server listens")
    }
}

fn namespace(number: u8) -> String {
    format!("h2w-ebpf{number}")
}

/// An end of the pair: outside, or inside of the namespace.
fn end(number: u8, which: u8) -> String {
    format!("h2w-ebpf{number}-{which}")
}

/// Runs another function of this file inside of the namespace, with the sysfs of this one.
fn inside_of(number: u8, function: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", namespace(number))).arg(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("tap::{function}"), "--include-ignored", "--nocapture"]);
    command.stdout(Stdio::piped());
    command
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        ip(&format!("netns del {}", namespace(self.number)));
    }
}

/// Not a test: the server inside of the namespace. It sends back what it gets.
#[test]
#[ignore = "the server of another test"]
fn serve() {
    let Some(port) = std::env::var("H2WATCH_TEST_SERVE").ok().and_then(|port| port.parse::<u16>().ok()) else { return };
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    for socket in listener.incoming() {
        let mut socket = socket.unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        socket.write_all(&bytes).unwrap();
    }
}

#[test]
fn veth_is_seen_once_and_whole() {
    if !crate::may_load() {
        return;
    }
    let Some(lab) = Lab::new(7) else { return };
    for hook in [Hook::Tcx, Hook::Clsact] {
        let mut tap = Tap::open(&TapOptions { hook, ..options(&[&end(7, 0)], PORT) }).unwrap();
        let sent = pattern(2_000_000);
        let mut socket = TcpStream::connect(lab.address()).unwrap();
        let port = socket.local_addr().unwrap().port();
        socket.write_all(&sent).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut got = Vec::new();
        socket.read_to_end(&mut got).unwrap();
        assert!(got == sent);
        let seen = Seen::read(&mut tap);
        let counts = adds_up(&tap, &seen);
        assert_eq!((counts.cut, seen.lost, seen.syns), (0, 0, 2), "{hook:?}");
        assert!(seen.stream(port) == sent && seen.stream(PORT) == sent);
    }
}

/// Not a test: a monitor inside of the namespace. It waits for two packets with SYN.
#[test]
#[ignore = "the monitor of another test"]
fn watch_inside() {
    let Ok(interface) = std::env::var("H2WATCH_TEST_WATCH") else { return };
    let mut tap = Tap::open(&options(&[&interface], PORT)).unwrap();
    println!("attached");
    let (mut seen, start) = (Seen::default(), Instant::now());
    while seen.syns < 2 && start.elapsed() < Duration::from_secs(30) {
        seen = Seen::read(&mut tap);
    }
    assert_eq!(seen.syns, 2, "{:?}", tap.interfaces());
}

#[test]
fn interfaces_are_those_of_the_network_namespace_and_not_of_sysfs() {
    if !crate::may_load() {
        return;
    }
    let Some(lab) = Lab::new(8) else { return };
    let interface = end(8, 1);
    let mut watch = inside_of(8, "watch_inside").env("H2WATCH_TEST_WATCH", interface).spawn().unwrap();
    let mut said = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.ends_with("attached")), "it was attached");
    drop(lab.connect());
    let rest: Vec<String> = said.collect();
    assert!(watch.wait().unwrap().success(), "{rest:#?}");
}

/// Whether this is a process in a network namespace of its own; where not, one is made, and runs the test.
fn alone(test: &str) -> bool {
    const ALONE: &str = "H2WATCH_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return ip("link set lo up");
    }
    if !have(test, &["unshare", "ip", "tc"]) {
        return false;
    }
    let mut command = Command::new("unshare");
    command.arg("-n").arg(std::env::current_exe().unwrap());
    let output = command.args(["--exact", &format!("tap::{test}"), "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    false
}

#[test]
fn of_interfaces_that_are_gone_the_counts_are_kept_and_no_names() {
    if !alone("of_interfaces_that_are_gone_the_counts_are_kept_and_no_names") {
        return;
    }
    let mut tap = Tap::open(&options(&["any"], PORT)).unwrap();
    let mut batch = PacketBatch::default();
    let mut until = |what: &str, done: &dyn Fn(&Tap) -> bool| {
        let start = Instant::now();
        while !done(&tap) {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}: {:#?}", tap.interfaces());
            tap.fill(&mut batch, Duration::from_millis(100)).unwrap();
        }
        counts(&tap).seen
    };
    let before = until("the first", &|tap| tap.interfaces().unwrap().len() == 2);
    let mut last = before;
    for pair in ["h2w-one", "h2w-two"] {
        let pair = Pair::new(pair).unwrap();
        assert!(ip(&format!("link set {}1 up", pair.0)));
        // What each end says by itself, of which nothing is wanted.
        let seen = until("packets of the pair", &|tap| {
            tap.interfaces().unwrap().iter().any(|one| one.name.starts_with(pair.0) && one.counts.seen > 0)
        });
        assert!(seen > last);
        drop(pair);
        last = until("the pair is gone", &|tap| tap.interfaces().unwrap().len() == 2);
        assert!(last >= seen, "counts never go down");
    }
    let told: Vec<_> = tap.health().into_iter().map(|health| (health.name, health.up)).collect();
    assert_eq!(told, [("any".to_owned(), true), ("lo".to_owned(), true)]);
}

/// A veth pair, removed when dropped.
struct Pair(&'static str);

impl Pair {
    fn new(name: &'static str) -> Option<Self> {
        ip(&format!("link del {name}0"));
        let made = ip(&format!("link add {name}0 type veth peer name {name}1")) && ip(&format!("link set {name}0 up"));
        if !made {
            println!("skipped: cannot make a veth pair");
        }
        made.then_some(Self(name))
    }

    /// The end that the tap is attached to.
    fn end(&self) -> String {
        format!("{}0", self.0)
    }

    /// Filters of the tap at both hooks.
    fn filters(&self) -> usize {
        ["ingress", "egress"]
            .map(|hook| {
                let output = Command::new("tc").args(["filter", "show", "dev", &self.end(), hook]).output().unwrap();
                String::from_utf8_lossy(&output.stdout).matches("h2watch_").count()
            })
            .iter()
            .sum()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        ip(&format!("link del {}0", self.0));
    }
}

#[test]
fn an_interface_whose_packets_another_sees_is_read() {
    if !alone("an_interface_whose_packets_another_sees_is_read") {
        return;
    }
    let Some(pair) = Pair::new("h2w-both") else { return };
    assert!(ip("link set h2w-both1 up"));
    let mut tap = Tap::open(&options(&[&pair.end(), "h2w-both1"], PORT)).unwrap();
    type Told = (bool, Option<String>);
    let told = |tap: &mut Tap| -> Vec<Told> { tap.health().into_iter().map(|one| (one.up, one.error)).collect() };
    assert_eq!(told(&mut tap), [(true, None), (true, None)]);
    assert_eq!(tap.interfaces().unwrap().iter().filter(|interface| interface.hook.is_some()).count(), 1);
    let until = |tap: &mut Tap, good: &dyn Fn(&[Told]) -> bool| {
        let until = Instant::now() + Duration::from_secs(30);
        while !good(&told(tap)) {
            assert!(Instant::now() < until, "{:?}", told(tap));
            tap.fill(&mut PacketBatch::default(), Duration::from_millis(50)).unwrap();
        }
    };
    // Nothing can come on it.
    assert!(ip(&format!("link set {} down", pair.end())));
    let idle = |error: &Option<String>| {
        error.as_ref().is_some_and(|error| error.contains("is down") || error.contains("has no carrier"))
    };
    until(&mut tap, &|told| told.iter().any(|(up, error)| !up && idle(error)));
    assert!(ip(&format!("link set {} up", pair.end())));
    until(&mut tap, &|told| told == [(true, None), (true, None)]);
    drop(pair);
    until(&mut tap, &|told| told.iter().all(|(up, error)| !up && error.is_some()));
}

/// Not a test: a monitor that is going to be killed.
#[test]
#[ignore = "the monitor of another test"]
fn hold() {
    let Ok(interface) = std::env::var("H2WATCH_TEST_HOLD") else { return };
    let _tap = Tap::open(&TapOptions { hook: Hook::Clsact, ..options(&[&interface], PORT) }).unwrap();
    println!("attached");
    loop {
        thread::park();
    }
}

#[test]
fn what_a_killed_monitor_left_is_removed_by_the_next() {
    if !alone("what_a_killed_monitor_left_is_removed_by_the_next") {
        return;
    }
    let Some(pair) = Pair::new("h2w-kill") else { return };
    let mut held = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tap::hold", "--include-ignored", "--nocapture"])
        .env("H2WATCH_TEST_HOLD", pair.end())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(held.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.ends_with("attached")), "it was attached");
    let own = pair.filters();
    assert!(own > 0);
    // One that runs is left alone, whichever interface the other is for.
    let open = |interface: &str| Tap::open(&TapOptions { hook: Hook::Clsact, ..options(&[interface], PORT) }).unwrap();
    drop(open("lo"));
    assert_eq!(pair.filters(), own);
    let beside = open(&pair.end());
    assert_eq!(pair.filters(), 2 * own);
    drop(beside);
    assert_eq!(pair.filters(), own);
    held.kill().unwrap();
    held.wait().unwrap();
    assert_eq!(pair.filters(), own, "the kernel keeps a filter whose program was killed");
    let other = open("lo");
    assert_eq!(pair.filters(), 0, "removed, though the next is for another interface");
    assert_eq!(other.interfaces().unwrap()[0].problem, None);
}

/// A connection from a port that is named.
fn connect_from(local: SocketAddr, address: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &local).unwrap();
    connect(&socket, &address).unwrap();
    TcpStream::from(socket)
}

#[test]
fn a_syn_ends_the_snap_length_of_an_earlier_flow() {
    if !crate::may_load() {
        return;
    }
    let (listener, address) = listen();
    let local = listen().1;
    let mut tap = Tap::open(&options(&["lo"], address.port())).unwrap();
    tap.snap_flow((local, address), 0).unwrap();
    let sent = pattern(400_000);
    let mut socket = connect_from(local, address);
    let (mut other, _) = listener.accept().unwrap();
    let writer = thread::spawn(move || {
        socket.write_all(&sent).unwrap();
        sent
    });
    let mut got = vec![0; 400_000];
    other.read_exact(&mut got).unwrap();
    assert!(writer.join().unwrap() == got);
    let seen = Seen::read(&mut tap);
    let counts = adds_up(&tap, &seen);
    assert_eq!((seen.missing, counts.bytes_snapped), (0, 0));
    assert!(seen.stream(local.port()) == got);
}
