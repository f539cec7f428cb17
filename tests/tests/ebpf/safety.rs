//! What is probed goes on as if nothing were, and nothing is left behind.

use std::collections::HashSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use h2watch::model::PacketBatch;
use h2watch::source::live::LiveSource as _;
use h2watch::source::plain::{Plain, PlainOptions};
use h2watch::source::probe::{Probe, ProbeOptions};
use h2watch::source::processes::{Target, Whose};
use rustix::process::Signal;

use super::keys::{Server, free_port, have, serve, shell};
use super::servers::NGHTTPD;
use super::watch::until;

/// Runs a program under a filter that ends it at any of the system calls 335 to 423, of which the kernel has none but those of probes (335
/// `uretprobe`, 336 `uprobe`). Since Linux 6.14 no filter sees these two.
const STRICT: &str = r#"perl -e '
  my $filter = pack("SCCL" x 5, 0x20,0,0,0, 0x35,0,2,335, 0x35,1,0,424, 0x06,0,0,0x80000000, 0x06,0,0,0x7fff0000);
  my $program = pack("S x6 P", 5, $filter);
  syscall(157, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
  syscall(157, 22, 2, $program) == 0 or die "seccomp: $!";
  exec @ARGV or die "exec: $!";
'"#;

/// Requests on new connections all the time, until the file `enough` is there; writes a line for each that went wrong.
const LOAD: &str = "while ! [ -e enough ]; do h2load -n 20 -c 4 https://localhost:$PORT/index.html > load.log 2>&1; \
     grep -q '20 succeeded' load.log || cat load.log >> wrong; echo round >> rounds; sleep 0.05; done";

fn options(pid: u32) -> ProbeOptions {
    ProbeOptions { whose: Whose::Targets(vec![Target::Pid(pid)]), buffer: 0 }
}

#[test]
fn a_target_under_seccomp_and_load_goes_on() {
    if !have("a_target_under_seccomp_and_load_goes_on", &["nghttpd", "h2load", "perl", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let killed = shell(&format!("exec {STRICT} perl -e 'syscall(400); exit 0'"), place, port).status().unwrap();
    assert_eq!(killed.signal(), Some(Signal::SYS.as_raw()), "the filter holds");
    let server = serve(&format!("exec {STRICT} {}", NGHTTPD.trim_start_matches("exec ")), place, port);
    let mut load = Server::start(shell(LOAD, place, port).stdout(Stdio::null()).stderr(Stdio::null()));
    let rounds = || fs::read_to_string(place.join("rounds")).unwrap_or_default().lines().count();
    let mut taken = 0;
    for round in 0..20 {
        let mut probe = Probe::open(&options(server.id())).unwrap();
        let before = rounds();
        // A round that has begun may have had its handshakes: the one after it has them all.
        assert!(until(|| (rounds() >= before + 2).then_some(())).is_some(), "the load goes on in round {round}");
        probe.poll(&mut |_| taken += 1);
    }
    fs::write(place.join("enough"), "").unwrap();
    load.wait();
    assert!(taken >= 20 * 4, "{taken} secrets were taken");
    assert_eq!(fs::read_to_string(place.join("wrong")).unwrap_or_default(), "");
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    assert!(status.contains("Seccomp:\t2"), "it was under the filter: {status}");
}

#[test]
fn a_ring_buffer_far_too_small_says_exactly_what_it_lost() {
    const TEST: &str = "a_ring_buffer_far_too_small_says_exactly_what_it_lost";
    /// One secret at each end of each: more than the smallest ring buffer holds.
    const CONNECTIONS: u64 = 400;
    if !have(TEST, &["nghttpd", "h2load", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(NGHTTPD, place, port);
    // Probes count every process, and another test may make secrets at the same time: then there are more, never fewer.
    let exact = (0..10).any(|_| {
        let mut probe = Probe::open(&ProbeOptions { whose: Whose::All, buffer: 0 }).unwrap();
        // Nobody reads meanwhile.
        let load = format!("exec h2load -n {CONNECTIONS} -c {CONNECTIONS} https://localhost:$PORT/index.html");
        let mut load = Server::start(shell(&load, place, port).stdout(Stdio::null()).stderr(Stdio::null()));
        let pids = [server.id(), load.id()];
        assert_eq!(load.wait(), Some(0));
        let (mut lines, mut own) = (0, 0);
        probe.poll(&mut |secret| {
            lines += 1;
            own += u64::from(pids.contains(&secret.process.pid));
        });
        let counts = probe.counts().unwrap();
        assert_eq!(counts.taken, lines, "{counts:?}");
        assert_eq!(counts.calls, counts.unwanted + counts.taken + counts.lost_full + counts.lost_unread, "{counts:?}");
        assert!(counts.lost_full > 0 && own + counts.lost_full >= 2 * CONNECTIONS, "{own} {counts:?}");
        counts.taken + counts.lost_full == 2 * CONNECTIONS
    });
    assert!(exact, "every secret was taken or counted as lost");
}

/// The objects of the kernel that this process has a descriptor of, by kind and number.
fn own_objects() -> HashSet<(&'static str, u32)> {
    let descriptors = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let texts = descriptors.filter_map(|descriptor| fs::read_to_string(descriptor.path()).ok());
    let mut found = HashSet::new();
    for text in texts {
        for (kind, field) in [("program", "prog_id:"), ("map", "map_id:"), ("link", "link_id:")] {
            let number = text.lines().find_map(|line| line.strip_prefix(field)?.trim().parse().ok());
            found.extend(number.map(|number| (kind, number)));
        }
    }
    found
}

/// Those that the kernel still has.
fn in_the_kernel(objects: &HashSet<(&'static str, u32)>) -> HashSet<(&'static str, u32)> {
    let programs = aya::programs::loaded_programs().map(|program| ("program", program.unwrap().id()));
    let maps = aya::maps::loaded_maps().map(|map| ("map", map.unwrap().id()));
    let links = aya::programs::loaded_links().map(|link| ("link", link.unwrap().id()));
    programs.chain(maps).chain(links).filter(|object| objects.contains(object)).collect()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_thousand_times_leave_nothing_behind() {
    leaves_nothing_behind("a_thousand_times_leave_nothing_behind", 1_000, |pid| {
        let mut probe = Probe::open(&options(pid)).unwrap();
        assert!(probe.probed().all(|probed| probed.problem.is_none()) && probe.probed().next().is_some());
        let objects = own_objects();
        probe.poll(&mut |_| {});
        objects
    });
}

#[test]
fn plaintext_probes_leave_nothing_behind() {
    let mut batch = PacketBatch::default();
    // Each round sets some dozens of probes with a link for each program and file, and the kernel takes its time to remove each link.
    leaves_nothing_behind("plaintext_probes_leave_nothing_behind", 60, |pid| {
        let whose = Whose::Targets(vec![Target::Pid(pid)]);
        let options = PlainOptions { whose, names: true, buffer: 0, ..PlainOptions::default() };
        let mut plain = Plain::open(&options).unwrap();
        assert!(
            plain.probed().all(|probed| probed.problem.is_none()) && plain.probed().any(|probed| probed.places > 4)
        );
        let objects = own_objects();
        plain.fill(&mut batch, Duration::ZERO).unwrap();
        objects
    });
}

/// Attaches and detaches so many times, or as often as `$H2WATCH_ROUNDS` says, while the target is under load; `once` gives the objects of a round. In a process of its own, whose
/// descriptors and memory are its alone.
fn leaves_nothing_behind(test: &str, times: usize, mut once: impl FnMut(u32) -> HashSet<(&'static str, u32)>) {
    const ALONE: &str = "H2WATCH_TEST_ALONE";
    if !have(test, &["nghttpd", "h2load", "openssl"]) {
        return;
    }
    if std::env::var_os(ALONE).is_none() {
        let own = std::env::current_exe().unwrap();
        let name = format!("safety::{test}");
        let output = Command::new(own).args(["--exact", &name, "--nocapture"]).env(ALONE, "1").output().unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    let times = std::env::var("H2WATCH_ROUNDS").map_or(times, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server = serve(NGHTTPD, place, port);
    let mut load = Server::start(shell(LOAD, place, port).stdout(Stdio::null()).stderr(Stdio::null()));
    let mut objects = HashSet::new();
    let mut rounds = |count: usize| (0..count).for_each(|_| objects.extend(once(server.id())));
    // What is made once.
    let first = (times / 5).min(20);
    rounds(first);
    let (memory, open) = (resident(), descriptors());
    let begun = Instant::now();
    rounds(times - first);
    println!("{} times in {:?}", times - first, begun.elapsed());
    fs::write(place.join("enough"), "").unwrap();
    load.wait();
    assert_eq!(descriptors(), open, "descriptors");
    let grown = resident().saturating_sub(memory);
    assert!(grown < 8 << 10, "{grown} KiB more memory");
    for kind in ["program", "map", "link"] {
        let count = objects.iter().filter(|(of, _)| *of == kind).count();
        assert!(count >= times, "each round had a {kind} of its own: {count}");
    }
    // The kernel frees them a moment later.
    let left = || in_the_kernel(&objects);
    let freed = until(|| left().is_empty().then_some(()));
    assert!(freed.is_some(), "{:?}", left());
    assert_eq!(fs::read_to_string(place.join("wrong")).unwrap_or_default(), "");
}

#[test]
fn a_probe_goes_with_the_last_process_and_comes_with_the_next() {
    if !have("a_probe_goes_with_the_last_process_and_comes_with_the_next", &["openssl", "perl"]) {
        return;
    }
    // A library of its own, which no other process has: a copy under a name that is loaded in place of the system's.
    let folder = tempfile::tempdir().unwrap();
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]
        .iter()
        .map(|place| format!("{place}/libcrypto.so.3"))
        .find(|path| fs::metadata(path).is_ok());
    let Some(library) = library else { return println!("skipped: no libcrypto.so.3") };
    fs::copy(library, folder.path().join("libcrypto.so.3")).unwrap();
    let start = || {
        Server::start(
            shell("exec openssl s_server -accept 127.0.0.1:$PORT -nocert -www", folder.path(), free_port())
                .env("LD_LIBRARY_PATH", folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
    };
    let place = folder.path().to_str().unwrap().to_owned();
    let mut probe = Probe::open(&ProbeOptions { whose: Whose::All, buffer: 0 }).unwrap();
    let mut is_probed = |wanted: bool| {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            probe.poll(&mut |_| {});
            let is = probe.probed().any(|probed| probed.path.to_str().unwrap().contains(&place));
            if is == wanted || Instant::now() > patience {
                return is;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    assert!(!is_probed(false));
    let (first, second) = (start(), start());
    assert!(is_probed(true), "found as it starts");
    drop(first);
    drop(second);
    assert!(!is_probed(false), "gone with the last");
    let _third = start();
    assert!(is_probed(true), "back with the next");
}
