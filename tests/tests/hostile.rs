//! Traffic that is made to hurt: it neither panics nor breaks a cap, what could not be seen is counted, and four times as much of it
//! costs no more than about four times as much.

#[allow(dead_code, reason = "each test needs its part")]
mod replaying;

use h2watch::limits::Limits;
use h2watch_tests::hostile::{self, Hostile};
use h2watch_tests::memory::alone;
use replaying::{Replayed, mib, replay_made};

/// Runs a scenario at a size and at four times that, on a mapped file, and once read on two threads.
fn scenario(name: &str, size: u32, make: impl Fn(u32) -> Hostile) -> Replayed {
    let _alone = alone();
    let limits = Limits::default();
    let bound = |made: &Hostile| limits.memory(made.keys.lines().count());
    let (small, large) = (make(size), make(4 * size));
    let (bytes, most) = (large.capture.len(), bound(&large));
    let small = replay_made(small, true, 1, &limits);
    let large = replay_made(large, true, 1, &limits);
    println!(
        "{name:20} {:7.2} MB  peak {:6.1} -> {:6.1} MiB  allocated {:7.1} -> {:7.1} MiB  time {:7.3} -> {:7.3} s",
        bytes as f64 / 1e6,
        mib(small.used.peak),
        mib(large.used.peak),
        mib(small.used.total as usize),
        mib(large.used.total as usize),
        small.took.as_secs_f64(),
        large.took.as_secs_f64(),
    );
    println!(
        "    {:?} {:?} {:?} dark {:?}",
        large.verdict, large.stats.capped, large.stats.anomalies, large.stats.connections.dark
    );
    assert!(large.used.peak <= most, "{name}: {:.1} MiB of {:.1}", mib(large.used.peak), mib(most));
    // Bytes allocated stand for work; time, which is printed, decides nothing. A fixed part (rings, tables) is the same at both sizes.
    let fixed = 8 << 20;
    assert!(large.used.total <= 6 * small.used.total + fixed, "{name} allocates more than linearly");
    let read = replay_made(make(size), false, 2, &limits);
    assert!(read.used.peak <= limits.memory(0), "{name} read on two threads");
    large
}

#[test]
fn hpack_bomb() {
    let run = scenario("hpack bomb", 1_000, hostile::hpack_bomb);
    assert!(run.stats.requests.values().sum::<u64>() > 3_000);
}

#[test]
fn path_bomb() {
    scenario("path bomb", 100_000, hostile::path_bomb);
}

#[test]
fn table_churn() {
    scenario("table churn", 1_000, hostile::table_churn);
}

#[test]
fn continuation_flood() {
    scenario("continuation, tiny", 100_000, |n| hostile::continuation_flood(n, 1));
    scenario("continuation, empty", 100_000, |n| hostile::continuation_flood(n, 0));
    let run = scenario("continuation, large", 250, |n| hostile::continuation_flood(n, 16_000));
    assert_eq!(run.stats.anomalies.get("h2_header_block_too_long"), Some(&1));
}

#[test]
fn half_open_flows() {
    let run = scenario("half-open flows, to a million", 250_000, hostile::half_open);
    assert!(run.stats.capped.contains_key("half_open_flows"), "{:?}", run.stats.capped);
}

#[test]
fn unanswered_flows() {
    scenario("unanswered flows", 15_000, hostile::unanswered_flows);
}

#[test]
fn midstream_flows() {
    scenario("midstream flows", 10_000, |n| hostile::midstream_flows(n, 1_000));
}

#[test]
fn tiny_segments() {
    let run = scenario("tiny segments", 300, hostile::tiny_segments);
    assert_eq!(run.resets, 1_200);
}

#[test]
fn reversed_segments() {
    scenario("reversed", 8_000, |n| hostile::reversed(n, 10));
}

#[test]
fn overlapping_garbage() {
    let run = scenario("overlapping", 5_000, hostile::overlapping);
    assert!(run.stats.anomalies.contains_key("tcp_overlap_conflict"));
}

#[test]
fn port_storm() {
    scenario("port storm", 50_000, hostile::port_storm);
}

#[test]
fn fragments() {
    let run = scenario("fragments", 15_000, hostile::fragments);
    assert_eq!(run.stats.packets.fragments, 60_000);
}

#[test]
fn wrong_keys() {
    let limits = Limits { late_trials: 1 << 24, ..Limits::default() };
    let _alone = alone();
    let run = replay_made(hostile::wrong_keys(200, 50_000), true, 1, &limits);
    println!(
        "wrong keys: {} trials, exhausted {}, peak {:.1} MiB, {:?}",
        run.stats.keys.trials,
        run.stats.keys.exhausted,
        mib(run.used.peak),
        run.took
    );
    assert!(run.stats.keys.trials <= limits.late_trials + (limits.late_trials >> 4));
    assert!(run.stats.keys.exhausted, "it says that the budget was not enough");
    assert!(run.used.peak <= limits.memory(50_000));
    assert_eq!(run.stats.keys.found_late, 0);
}

#[test]
fn long_key_log() {
    let run = scenario("long key log", 75_000, hostile::long_key_log);
    assert_eq!(run.stats.keys.randoms, 150_000);
}

#[test]
fn many_streams() {
    let run = scenario("many streams", 25_000, hostile::many_streams);
    assert!(run.stats.anomalies.contains_key("h2_ledger_full"));
}

#[test]
fn unknown_resets() {
    let run = scenario("unknown resets", 50_000, hostile::unknown_resets);
    assert_eq!(run.resets, 200_000);
    assert!(run.stats.resets.len() <= Limits::default().top);
}

#[test]
fn goaway_storm() {
    let run = scenario("GOAWAY storm", 25_000, hostile::goaway_storm);
    assert_eq!(run.resets, 100_000);
}

#[test]
fn proxy_garbage() {
    scenario("PROXY garbage", 2_000, hostile::proxy_garbage);
}

#[test]
fn noise() {
    scenario("noise", 500, |n| hostile::noise(n, 5_000));
    scenario("noise, few flows", 100_000, |bytes| hostile::noise(8, bytes as usize));
}

#[test]
fn one_sided_captures() {
    scenario("one side", 500, |n| hostile::one_sided(n, 10));
}

#[test]
fn blind_flows() {
    scenario("blind flows", 2_500, hostile::blind_flows);
}

#[test]
fn insane_pcapng() {
    scenario("pcapng lengths", 10_000, hostile::insane_pcapng);
}

#[test]
fn gzip_bomb() {
    use std::io::Write as _;
    // A valid capture header, then zeros: packets of no length at time zero.
    let bomb = |size: u32| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(&hostile::half_open(1).capture).expect("memory");
        for _ in 0..size {
            out.write_all(&[0; 1 << 16]).expect("memory");
        }
        Hostile { capture: out.finish().expect("memory"), keys: String::new() }
    };
    scenario("gzip bomb", 100, bomb);
}
