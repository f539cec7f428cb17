//! The stated caps hold: what a replay takes does not grow with the capture, and stays below what `Limits` says.

#[allow(dead_code, reason = "each test needs its part")]
mod replaying;

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use h2watch::limits::Limits;
use h2watch_tests::hostile::{self, Hostile};
use h2watch_tests::memory::alone;
use h2watch_tests::program;
use h2watch_tests::traffic::{Corpus, large, small};
use replaying::{mib, replay_made};

fn made(corpus: Corpus) -> Hostile {
    Hostile { capture: corpus.packets.bytes, keys: corpus.keys }
}

#[test]
fn the_stated_bound_is_what_the_documentation_says() {
    let limits = Limits::default();
    println!("flows {:.1} MiB, 50,000 keys {:.1} MiB", mib(limits.flow_memory()), mib(limits.key_memory(50_000)));
    assert_eq!(Limits::BASE, 64 << 20);
    assert!(limits.flow_memory() <= 192 << 20);
    assert!(limits.key_memory(usize::MAX) <= 200 << 20);
}

#[test]
fn memory_does_not_grow_with_the_capture() {
    let _alone = alone();
    let limits = Limits::default();
    for (name, make) in [
        ("large bodies", (|n| made(large(n, 1_448, 1))) as fn(u64) -> Hostile),
        ("large segments", |n| made(large(n, 60_000, 1))),
        ("small requests", |n| made(small(n * 16, 20, 1))),
    ] {
        for (settled, threads) in [(true, 1), (true, 2), (false, 1), (false, 2)] {
            let [few, many] = [1_000, 3_000].map(|requests| {
                let made = make(requests);
                let bytes = made.capture.len();
                let replayed = replay_made(made, settled, threads, &limits);
                assert!(replayed.stats.requests.values().sum::<u64>() >= requests);
                (bytes, replayed.used.peak)
            });
            println!(
                "{name:15} mapped {settled:5} threads {threads}: {:5.1} MB {:5.1} MiB, {:5.1} MB {:5.1} MiB",
                few.0 as f64 / 1e6,
                mib(few.1),
                many.0 as f64 / 1e6,
                mib(many.1)
            );
            assert!(many.1 <= Limits::BASE, "{name}: {:.1} MiB", mib(many.1));
            // Rings of requests fill up with them, to their caps.
            let rings = limits.candidates * 256;
            assert!(many.1 <= few.1 + few.1 / 4 + rings, "{name} grows");
        }
    }
}

/// The same capture is told the same whether it is mapped or read, where caps are met too.
#[test]
fn caps_do_not_hang_on_how_a_capture_is_read() {
    let _alone = alone();
    let defaults = Limits::default();
    let few = Limits { held_flow: 8 << 10, held_shard: 24 << 10, flow_shard: 256 << 10, ..defaults.clone() };
    for (name, cap, limits, make) in [
        ("blind", "held", &few, (|| hostile::one_sided(400, 40)) as fn() -> Hostile),
        ("blind and large", "held", &few, || hostile::one_sided(40, 400)),
        ("joined late", "flow_memory", &few, || hostile::midstream_flows(4_000, 300)),
        ("tiny segments", "", &defaults, || hostile::tiny_segments(50)),
        ("large bodies", "", &defaults, || made(large(300, 1_448, 1))),
    ] {
        let told = |settled, threads| {
            let run = replay_made(make(), settled, threads, limits);
            (run.stats.capped.clone(), run.resets, format!("{:?}", run.stats))
        };
        let mapped = told(true, 1);
        assert!(cap.is_empty() || mapped.0.contains_key(cap), "{name} meets its cap: {:?}", mapped.0);
        for (settled, threads) in [(true, 2), (false, 1), (false, 2)] {
            assert!(told(settled, threads) == mapped, "{name}: mapped {settled}, threads {threads}");
        }
    }
}

/// A budget of a quarter gives a quarter.
#[test]
fn the_budget_of_flows_is_kept_whatever_it_is() {
    let _alone = alone();
    let defaults = Limits::default();
    for flow_shard in [1 << 20, 4 << 20, 16 << 20] {
        let limits = Limits { flow_shard, ..defaults.clone() };
        for (name, made) in [
            ("requests", hostile::unanswered_flows(40_000)),
            ("joined late", hostile::midstream_flows(40_000, 300)),
            ("blind", hostile::one_sided(3_000, 10)),
        ] {
            let run = replay_made(made, true, 1, &limits);
            println!(
                "{:2} MiB a shard, {name:12} peak {:6.1} of {:6.1} MiB, given up {:?}",
                flow_shard >> 20,
                mib(run.used.peak),
                mib(limits.memory(0)),
                run.stats.capped
            );
            // The table of flows is there whether its flows hold something or not.
            assert!(run.used.peak <= 24 * (1 << 20) + limits.flow_memory(), "{name}");
            assert!(flow_shard > 1 << 20 || run.stats.capped.contains_key("flow_memory"), "{name} fills it");
        }
    }
}

/// One case for each refused request, many at a time.
#[test]
fn open_cases_and_candidates_are_kept_to_their_caps() {
    let _alone = alone();
    let limits = Limits::default();
    let run = replay_made(hostile::refused(100_000, 200), true, 1, &limits);
    println!("cases: peak {:.1} MiB, {:?}", mib(run.used.peak), run.stats.capped);
    assert!(run.stats.capped.contains_key("cases"));
    assert!(run.used.peak <= Limits::BASE, "{:.1} MiB", mib(run.used.peak));
}

/// Peak of resident memory of the program, in bytes.
fn resident(capture: &Path, keys: &Path, piped: bool) -> usize {
    let mut command = program::command();
    command.arg("replay").arg(if piped { Path::new("-") } else { capture }).arg("--keylog").arg(keys);
    command.args(["--format", "none"]).stdout(Stdio::null());
    let mut child = command.stdin(if piped { Stdio::piped() } else { Stdio::null() }).spawn().expect("it runs");
    let mut input = child.stdin.take().map(|mut stdin| {
        let bytes = std::fs::read(capture).expect("a capture");
        std::thread::spawn(move || stdin.write_all(&bytes))
    });
    // The status of a process is readable until it ends: its last word on the peak counts.
    let mut peak = 0;
    while child.try_wait().expect("a child").is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let _ = input.take().map(std::thread::JoinHandle::join);
    peak
}

#[test]
fn resident_memory_does_not_grow_with_the_capture() {
    if !Path::new("/proc/self/status").exists() {
        return h2watch_tests::skip("resident_memory", "no /proc");
    }
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    // Both larger than the window of a mapped file and the pages that the system reads ahead.
    let [few, many] = [2_700, 5_400].map(|requests| {
        let made = made(large(requests, 1_448, 1));
        let (capture, keys) = (folder.path().join(format!("{requests}.pcap")), folder.path().join("keys"));
        std::fs::write(&capture, &made.capture).expect("a writable folder");
        std::fs::write(&keys, &made.keys).expect("a writable folder");
        let read = resident(&capture, &keys, false);
        let piped = resident(&capture, &keys, true);
        let file = std::fs::File::options().append(true).open(&capture).expect("the file");
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60)).expect("a time");
        let mapped = resident(&capture, &keys, false);
        println!(
            "{:5.1} MB: read {:.1}, piped {:.1}, mapped {:.1} MiB resident",
            made.capture.len() as f64 / 1e6,
            mib(read),
            mib(piped),
            mib(mapped)
        );
        [read, piped, mapped]
    });
    for (few, many) in few.into_iter().zip(many) {
        assert!(many < Limits::BASE, "{:.1} MiB", mib(many));
        assert!(many < few + (12 << 20), "{:.1} -> {:.1} MiB", mib(few), mib(many));
    }
}
