//! With real interfaces, where the rights are there: root in a network namespace of its own. The tests run in one process, so that
//! the namespace belongs to the thread of the test.

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

use super::interface::{Interface, Rising};
use super::{PcapSource, Settings};
use crate::model::{Packet, PacketBatch, Time};
use crate::source::live::{LiveSource as _, PacketFilter, Timestamps, wall};
use crate::source::{BATCH_BYTES, BATCH_PACKETS};

const WAIT: Duration = Duration::from_millis(20);
/// Longer than any test waits where nothing is wrong.
const LONG: Duration = Duration::from_secs(60);

fn settings(filter: Option<&str>) -> Settings {
    Settings {
        filter: PacketFilter { expression: filter.map(str::to_owned), ports: Vec::new() },
        snaplen: 262_144,
        buffer: 2 << 20,
        promiscuous: false,
        immediate: false,
        timestamps: Timestamps::Host,
    }
}

/// A network namespace for this thread, with `lo` up; `false`, and said so, where that is not allowed.
fn alone(test: &str) -> bool {
    let there = unshare(CloneFlags::CLONE_NEWNET).is_ok() && ip("link set lo up");
    if !there {
        println!("skipped: {test}: no right to make a network namespace");
    }
    there
}

fn ip(arguments: &str) -> bool {
    let mut ip = Command::new("ip");
    ip.args(arguments.split(' ')).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn open(names: &[&str], filter: Option<&str>) -> Result<PcapSource, String> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    PcapSource::open(&names, settings(filter))
}

/// A connection on `lo` that says `words`, each of them once; gives its port.
fn talk(words: usize) -> u16 {
    talk_at(&TcpListener::bind("127.0.0.1:0").unwrap(), words)
}

fn talk_at(listener: &TcpListener, words: usize) -> u16 {
    let port = listener.local_addr().unwrap().port();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_nodelay(true).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let mut word = [0; 5];
    for _ in 0..words {
        std::io::Write::write_all(&mut client, b"hello").unwrap();
        std::io::Read::read_exact(&mut server, &mut word).unwrap();
    }
    port
}

/// What comes until `enough` says so: link, time and bytes of each packet.
fn gather(
    source: &mut PcapSource,
    mut enough: impl FnMut(&[(u16, Time, Vec<u8>)], u64) -> bool,
) -> Vec<(u16, Time, Vec<u8>)> {
    let (mut batch, mut found, mut lost) = (PacketBatch::default(), Vec::new(), 0);
    let start = Instant::now();
    while !enough(&found, lost) {
        assert!(start.elapsed() < LONG, "{} packets, {:?}", found.len(), source.health());
        source.fill(&mut batch, WAIT).unwrap();
        lost += batch.lost;
        assert!(batch.packets.len() <= BATCH_PACKETS && batch.arena.len() < BATCH_BYTES + 262_144);
        assert!(batch.packets.is_sorted_by_key(|packet| packet.time));
        let bytes = |packet: &Packet<'_>| packet.data.chunk(&batch.arena).bytes().to_vec();
        found.extend(batch.packets.iter().map(|packet| (packet.link, packet.time, bytes(packet))));
    }
    found
}

fn hellos(packets: &[(u16, Time, Vec<u8>)]) -> usize {
    packets.iter().filter(|(_, _, bytes)| bytes.ends_with(b"hello")).count()
}

/// Both ends have closed, as seen: nothing more comes.
fn closed(packets: &[(u16, Time, Vec<u8>)]) -> bool {
    let fin = |(link, _, bytes): &(u16, Time, Vec<u8>)| {
        let at = if *link == 1 { 14 } else { 16 };
        bytes.get(at + 20 + 13).is_some_and(|flags| flags & 1 != 0)
    };
    packets.iter().filter(|packet| fin(packet)).count() >= 2
}

#[test]
fn lo_and_any_give_each_packet_once_with_its_time() {
    if !alone("lo_and_any_give_each_packet_once_with_its_time") {
        return;
    }
    for (name, link) in [("lo", 1), ("any", 113)] {
        let mut source = open(&[name], None).unwrap();
        let before = crate::watch::now();
        talk(50);
        let found = gather(&mut source, |found, _| closed(found));
        assert_eq!(hellos(&found), 50, "{name}");
        assert!(found.iter().all(|packet| packet.0 == link));
        assert!(found.iter().all(|packet| packet.1 >= before && packet.1 <= crate::watch::now()));
        // Microseconds would leave three zeros everywhere.
        assert!(found.iter().any(|packet| !packet.1.0.is_multiple_of(1_000)), "nanoseconds");
        let health = &source.health()[0];
        assert_eq!((health.received, health.up, &health.error), (found.len() as u64, true, &None));
        assert_eq!((health.dropped_kernel, health.reopened), (0, 0));
    }
}

#[test]
fn the_filter_decides() {
    if !alone("the_filter_decides") {
        return;
    }
    let told = open(&["lo"], Some("tcp prot 443")).err().unwrap();
    assert!(told.contains("the filter \"tcp prot 443\" is not valid on lo") && !told.contains('\n'), "{told}");
    let mut source = open(&["lo"], Some("tcp[tcpflags] & tcp-fin != 0")).unwrap();
    talk(5);
    let found = gather(&mut source, |found, _| found.len() >= 2);
    assert_eq!(hellos(&found), 0);
}

#[test]
fn ports_decide_where_there_is_no_filter() {
    if !alone("ports_decide_where_there_is_no_filter") {
        return;
    }
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [one, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    let filter = |port| PacketFilter { expression: None, ports: vec![port] };
    for name in ["lo", "any"] {
        let settings = Settings { filter: filter(one), ..settings(None) };
        let mut source = PcapSource::open(&[name.to_owned()], settings).unwrap();
        // The wanted one last: with it all that came before has come.
        talk_at(&listeners[1], 6);
        talk_at(&listeners[0], 5);
        assert_eq!(hellos(&gather(&mut source, |found, _| closed(found))), 5, "{name}");
        source.refilter(&filter(other)).unwrap();
        talk_at(&listeners[0], 3);
        talk_at(&listeners[1], 4);
        assert_eq!(hellos(&gather(&mut source, |found, _| closed(found))), 4, "{name}");
    }
}

#[test]
fn what_cannot_be_captured_is_told_in_one_line() {
    if !alone("what_cannot_be_captured_is_told_in_one_line") {
        return;
    }
    let told = open(&["h2lv-none"], None).err().unwrap();
    assert_eq!(told, "cannot capture on h2lv-none: there is no such interface");
    let told = open(&["any", "lo"], None).err().unwrap();
    assert!(told.contains("cannot be captured on together"), "{told}");
    let adapter = Settings { timestamps: Timestamps::Adapter, ..settings(None) };
    let told = PcapSource::open(&["lo".to_owned()], adapter).err().unwrap();
    assert!(told.contains("no clock of its own"), "{told}");
}

#[test]
fn several_interfaces_are_merged_by_time() {
    if !alone("several_interfaces_are_merged_by_time") || !ip("link add h2lv0 type veth peer name h2lv1") {
        return;
    }
    assert!(ip("link set h2lv0 up") && ip("link set h2lv1 up"));
    let mut source = open(&["h2lv0", "h2lv1", "lo", "lo"], Some("tcp")).unwrap();
    assert_eq!(source.health().len(), 3, "one of a name");
    talk(30);
    let found = gather(&mut source, |found, _| closed(found));
    assert_eq!(hellos(&found), 30);
    assert!(found.is_sorted_by_key(|packet| packet.1), "in order also from batch to batch");
}

#[test]
fn an_interface_that_goes_away_is_captured_on_again_when_it_is_back() {
    if !alone("an_interface_that_goes_away_is_captured_on_again_when_it_is_back") {
        return;
    }
    let create =
        || ip("link add h2lv2 type veth peer name h2lv3") && ip("link set h2lv2 up") && ip("link set h2lv3 up");
    assert!(create());
    let mut source = open(&["h2lv2"], Some("arp")).unwrap();
    let mut batch = PacketBatch::default();
    let mut missed = false;
    let mut until = |source: &mut PcapSource, what: &str, good: &dyn Fn(&super::InterfaceHealth) -> bool| {
        let start = Instant::now();
        loop {
            source.fill(&mut batch, WAIT).unwrap();
            missed |= batch.lost_within.is_some();
            let health = source.health().remove(0);
            if good(&health) {
                return std::mem::take(&mut missed);
            }
            assert!(start.elapsed() < LONG, "{what}: {health:?}");
        }
    };
    until(&mut source, "up", &|it| it.up);
    assert!(ip("link set h2lv2 down"));
    until(&mut source, "down", &|it| !it.up && it.error.as_ref().is_some_and(|error| error.contains("is down")));
    assert!(ip("link set h2lv2 up"));
    until(&mut source, "up again", &|it| it.up && it.error.is_none());
    let known = source.health().remove(0).reopened;
    assert!(ip("link del h2lv2"));
    until(&mut source, "gone", &|it| !it.up && it.error.is_some());
    let (mut batch, gone) = (PacketBatch::default(), wall());
    source.fill(&mut batch, WAIT).unwrap();
    assert!(batch.lost_within.is_some_and(|(since, until)| since <= gone && until >= gone), "everything is missed");
    assert!(create());
    assert!(until(&mut source, "back", &|it| it.up && it.reopened == known + 1), "blindness counts as loss");
    // Replaced so fast that it was never seen missing.
    assert!(ip("link del h2lv2") && create());
    until(&mut source, "replaced", &|it| it.up && it.reopened == known + 2);
    // It is read again: neighbours are asked for.
    assert!(ip("addr add 192.0.2.1/24 dev h2lv2"));
    let _ = std::net::UdpSocket::bind("192.0.2.1:0").unwrap().send_to(b"x", "192.0.2.2:9");
    gather(&mut source, |found, _| !found.is_empty());
}

#[test]
fn what_the_kernel_drops_is_counted_and_told() {
    if !alone("what_the_kernel_drops_is_counted_and_told") {
        return;
    }
    let mut source = open(&["lo"], Some("udp")).unwrap();
    let before = wall();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    // Four times what the buffer holds, before anything is read.
    for _ in 0..256 {
        let _ = socket.send_to(&[0; 32_000], "127.0.0.1:9");
    }
    let after = wall();
    let mut batch = PacketBatch::default();
    source.fill(&mut batch, WAIT).unwrap();
    // With the first packets, not after them: nothing is decided before it is known.
    assert!(batch.lost > 0);
    assert!(batch.lost_within.is_some_and(|(since, until)| since <= before && until >= after), "{batch:?}");
    assert_eq!(source.health().remove(0).dropped_kernel, batch.lost);
}

#[test]
fn counts_go_on_when_theirs_wrap() {
    let mut count = Rising::default();
    let rises: Vec<u64> = [5, 5, u32::MAX, 0, 10].into_iter().map(|now| count.by(now)).collect();
    assert_eq!(rises, [5, 0, u64::from(u32::MAX) - 5, 1, 10]);
}

#[test]
fn a_missing_interface_is_not_opened_at_the_start() {
    let settings = Arc::new(settings(None));
    assert!(Interface::open("h2lv-none", &settings, Instant::now()).is_err());
}
