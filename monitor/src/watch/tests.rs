//! The loop with a source that gives nothing.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::detect::Settings;
use crate::limits::Limits;
use crate::sink::samples;
use crate::sink::stream::{EventsTarget, Opened, Stream};
use crate::source::live::InterfaceHealth;

/// A quiet wire, on which something is done in every round.
struct Quiet<'i, F> {
    /// How long each round may wait for packets.
    waits: Vec<Duration>,
    round: F,
    interfaces: &'i Mutex<Vec<InterfaceHealth>>,
}

impl<F: FnMut(usize)> LiveSource for Quiet<'_, F> {
    fn fill(&mut self, batch: &mut PacketBatch<'static>, wait: Duration) -> Result<bool, SourceError> {
        *batch = PacketBatch::default();
        (self.round)(self.waits.len());
        self.waits.push(wait);
        Ok(false)
    }

    fn health(&mut self) -> Vec<InterfaceHealth> {
        self.interfaces.lock().unwrap().clone()
    }
}

/// Nothing has changed.
struct Same;

impl Reload for Same {
    fn reload(&mut self) -> Result<Changes, String> {
        Ok(Changes::default())
    }

    fn refused(&mut self, _: &[&str]) -> Option<String> {
        None
    }
}

/// What a run gave.
struct Ran {
    stats: Stats,
    waits: Vec<Duration>,
    warned: Vec<String>,
}

/// Runs with this key log and these targets until the end of the round in which `round` stops it.
fn run_with(
    keylog: &Path,
    streams: Vec<Stream>,
    control: &Control,
    board: &(Board, Publisher),
    round: impl FnMut(usize),
) -> Ran {
    run_on(&Mutex::default(), keylog, streams, control, board, round)
}

/// The same on these interfaces.
fn run_on(
    interfaces: &Mutex<Vec<InterfaceHealth>>,
    keylog: &Path,
    streams: Vec<Stream>,
    control: &Control,
    board: &(Board, Publisher),
    round: impl FnMut(usize),
) -> Ran {
    let limits = Limits::default();
    let mut source = Quiet { waits: Vec::new(), round, interfaces };
    let mut warned = Vec::new();
    let mut desk = Desk::new("test".to_owned(), streams);
    let parts = Parts {
        source: &mut source,
        keylogs: &mut KeyLogs::new(&[keylog.to_owned()], limits.secrets),
        probe: None,
        desk: &mut desk,
        publisher: &board.1,
        control,
        reload: &mut Same,
        warn: &mut |line| warned.push(line.to_owned()),
    };
    let plan = Plan { threads: 1, settings: Settings::default(), limits };
    let (stats, verdict, error) = run(parts, &plan);
    assert!(error.is_none());
    // What cannot be written is what one of the tests is about.
    let _ = desk.finish(&stats, verdict);
    Ran { stats, waits: source.waits, warned }
}

fn key(number: usize) -> String {
    format!("CLIENT_RANDOM {number:064x} {}\n", "ab".repeat(48))
}

#[test]
fn a_long_key_log_is_read_without_waiting_and_a_reload_does_not_read_it_again() {
    const KEYS: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, (0..KEYS).map(key).collect::<String>()).unwrap();
    let length = fs::metadata(&path).unwrap().len();
    let control = Control::default();
    let board = Board::new(Snapshot::default());
    let mut caught_up = None;
    let ran = run_with(&path, Vec::new(), &control, &board, |round| {
        let log = board.0.latest().keylogs.first().cloned().unwrap_or_default();
        if caught_up.is_none() && log.bytes == length {
            caught_up = Some(round);
            OpenOptions::new().append(true).open(&path).unwrap().write_all(key(KEYS).as_bytes()).unwrap();
            control.reload();
        }
        if caught_up.is_some_and(|since| round > since + 2) {
            control.stop();
        }
        std::thread::sleep(Duration::from_millis(2));
    });
    let reading = ran.waits.iter().skip(1).take_while(|wait| wait.is_zero()).count();
    assert!(reading > 0, "a quiet wire is not waited for while keys are there to be read: {:?}", ran.waits.first());
    assert_eq!(ran.waits.last(), Some(&POLL), "when they are read it is");
    assert_eq!(ran.stats.keys.secrets, KEYS as u64 + 1);
}

#[test]
fn what_others_may_read_is_told_once_and_again_when_it_is_so_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("keys");
    let allow = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    fs::write(&path, key(1)).unwrap();
    allow(0o644);
    let control = Control::default();
    let board = Board::new(Snapshot::default());
    let (mut seen, mut changes) = (false, 0);
    let ran = run_with(&path, Vec::new(), &control, &board, |_| {
        let latest = board.0.latest();
        let exposed = latest.keylogs.first().is_some_and(|log| log.exposed);
        if latest.number > 0 && exposed != seen {
            (seen, changes) = (exposed, changes + 1);
            match changes {
                4 => control.stop(),
                _ => allow(if exposed { 0o600 } else { 0o644 }),
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    });
    let told = format!("others may read the key log {0}, and with it the traffic: chmod go-rwx {0}", path.display());
    assert_eq!(ran.warned, [told.clone(), told]);
}

#[test]
fn an_interface_that_goes_and_comes_back_is_told() {
    let control = Control::default();
    let board = Board::new(Snapshot::default());
    let one = |name: &str, kind, up: bool| {
        let error = (!up).then(|| format!("{name} is gone"));
        InterfaceHealth { name: name.to_owned(), kind, up, error, ..InterfaceHealth::default() }
    };
    let interfaces = Mutex::new(vec![one("eth0", "pcap", true), one("plaintext", "plaintext", false)]);
    let (mut seen, mut stage) = (0, 0);
    let ran = run_on(&interfaces, "/nowhere/keys".as_ref(), Vec::new(), &control, &board, |_| {
        let number = board.0.latest().number;
        // Two snapshots of each state.
        if number > seen + 1 {
            (seen, stage) = (number, stage + 1);
            match stage {
                1 | 2 => interfaces.lock().unwrap()[0] = one("eth0", "pcap", stage == 2),
                _ => control.stop(),
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    });
    assert_eq!(ran.warned, ["not capturing: eth0 is gone", "eth0 is captured on again"]);
}

#[test]
fn a_target_that_takes_no_events_is_told_once() {
    let target = EventsTarget::File { path: "/dev/full".into(), rotate_bytes: u64::MAX, keep: 0 };
    let mut stream = Opened::open(&target).unwrap().start("test").unwrap();
    samples::findings().into_iter().for_each(|finding| stream.finding(&Arc::new(finding)));
    let control = Control::default();
    let board = Board::new(Snapshot::default());
    let mut failing = None;
    let ran = run_with("/nowhere/keys".as_ref(), vec![stream], &control, &board, |_| {
        let latest = board.0.latest();
        if latest.streams.first().is_some_and(|stream| stream.error.is_some()) {
            let first = *failing.get_or_insert(latest.number);
            if latest.number > first {
                control.stop();
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    });
    assert_eq!(ran.warned, ["cannot write events to /dev/full: No space left on device (os error 28)"]);
}
