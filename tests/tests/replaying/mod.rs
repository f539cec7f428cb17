//! Runs a replay inside the test's process and counts what it allocates.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use h2watch::detect::Settings;
use h2watch::limits::Limits;
use h2watch::model::{Finding, Stats, Verdict};
use h2watch::replay::{Keys, Listener, Plan, run};
use h2watch::source::OpenedInputs;
use h2watch_tests::hostile::Hostile;
use h2watch_tests::memory::{Used, count};

#[global_allocator]
static ALLOCATOR: h2watch_tests::memory::Counting = h2watch_tests::memory::Counting;

/// What a replay gave.
pub struct Replayed {
    /// Counts.
    pub stats: Stats,
    /// What they say.
    pub verdict: Verdict,
    /// Resets among the findings.
    pub resets: u64,
    /// Allocations.
    pub used: Used,
    /// How long it took.
    pub took: Duration,
}

#[derive(Default)]
struct Counts {
    resets: u64,
}

impl Listener for Counts {
    fn finding(&mut self, finding: &Finding) {
        self.resets += u64::from(matches!(finding, Finding::Reset(_)));
    }
}

/// Replays a capture on one thread or several.
pub fn replay(capture: &Path, keys: Option<&Path>, threads: usize, limits: &Limits) -> Replayed {
    let begun = Instant::now();
    let ((stats, verdict, resets), used) = count(|| {
        let mut known = Keys::new(limits);
        if let Some(path) = keys {
            known.file(path).expect("a readable key log");
        }
        let mut inputs = OpenedInputs::open(&[capture.to_owned()]).expect("one input");
        inputs.secrets(&mut |text| known.block(text));
        let plan = Plan { threads, settings: Settings::default(), limits: limits.clone() };
        let mut listener = Counts::default();
        let (stats, verdict, error) = run(&inputs, known, &plan, &mut listener);
        assert!(error.is_none());
        (stats, verdict, listener.resets)
    });
    Replayed { stats, verdict, resets, used, took: begun.elapsed() }
}

/// Writes a capture so that it is mapped (`settled`) or read, and replays it.
pub fn replay_made(made: Hostile, settled: bool, threads: usize, limits: &Limits) -> Replayed {
    let folder = tempfile::tempdir().expect("a folder");
    let (capture, keys) = (folder.path().join("made.pcap"), folder.path().join("made.keys"));
    std::fs::write(&capture, &made.capture).expect("a writable folder");
    if settled {
        let file = std::fs::File::options().append(true).open(&capture).expect("the file");
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("a time");
    }
    std::fs::write(&keys, &made.keys).expect("a writable folder");
    let with_keys = !made.keys.is_empty();
    drop(made);
    replay(&capture, with_keys.then_some(keys.as_path()), threads, limits)
}

/// Bytes in MiB.
pub fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
