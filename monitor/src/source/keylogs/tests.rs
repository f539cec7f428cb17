#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{BUFFER, KeyLogNews, KeyLogs};

/// Longer than any reading takes.
const LONG: Duration = Duration::from_secs(600);

/// Key logs with a clock of their own, and what they gave: each log's text, `|` where it began anew.
struct World {
    folder: tempfile::TempDir,
    logs: KeyLogs,
    now: Instant,
    texts: BTreeMap<usize, String>,
}

impl World {
    fn new(names: &[&str]) -> Self {
        Self::keeping(names, 1 << 20)
    }

    /// With room for the keys of so many connections.
    fn keeping(names: &[&str], connections: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
        Self { folder, logs: KeyLogs::new(&paths, connections), now: Instant::now(), texts: BTreeMap::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) -> File {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    /// Goes on by a second.
    fn poll(&mut self) {
        self.now += Duration::from_secs(1);
        self.read(LONG);
    }

    fn read(&mut self, within: Duration) {
        let texts = &mut self.texts;
        self.logs.poll_at(self.now, within, &mut |news| match news {
            KeyLogNews::Bytes { log, bytes, .. } => {
                texts.entry(log).or_default().push_str(std::str::from_utf8(bytes).unwrap());
            }
            KeyLogNews::Restarted { log } => texts.entry(log).or_default().push('|'),
        });
    }

    fn texts(&self) -> Vec<&str> {
        self.texts.values().map(String::as_str).collect()
    }
}

#[test]
fn a_file_that_is_not_there_yet_and_then_grows() {
    let mut world = World::new(&["keys"]);
    world.poll();
    let health = &world.logs.health()[0];
    assert!(!health.readable && health.error.as_ref().unwrap().contains("not there"), "{health:?}");
    world.append("keys", "one\ntw");
    world.poll();
    world.append("keys", "o\n");
    world.poll();
    world.poll();
    assert_eq!(world.texts(), ["one\ntwo\n"]);
    let health = &world.logs.health()[0];
    assert_eq!((health.readable, &health.error, health.bytes, health.lines, health.files), (true, &None, 8, 2, 1));
}

#[test]
fn truncation_begins_anew_also_when_the_file_has_grown_beyond_since() {
    let mut world = World::new(&["keys"]);
    let file = world.append("keys", "one\n");
    world.poll();
    file.set_len(0).unwrap();
    world.append("keys", "a\n");
    world.poll();
    file.set_len(0).unwrap();
    world.append("keys", "longer than before\n");
    world.poll();
    assert_eq!(world.texts(), ["one\n|a\n|longer than before\n"]);
    assert_eq!(world.logs.health()[0].restarts, 2);
}

#[test]
fn the_hole_of_a_writer_that_keeps_its_offset_costs_nothing() {
    let mut world = World::new(&["keys"]);
    let file = world.append("keys", "one\n");
    world.poll();
    let far = 6 << 30;
    file.set_len(0).unwrap();
    // A descriptor without O_APPEND.
    OpenOptions::new().write(true).open(world.path("keys")).unwrap().write_all_at(b"two\n", far).unwrap();
    world.poll();
    let text = world.texts()[0].replace('\0', "");
    assert_eq!(text, "one\n|two\n");
    let health = &world.logs.health()[0];
    assert!(health.bytes < 100_000 && health.holes > far - 100_000, "{health:?}");
    world.append("keys", "three\n");
    world.poll();
    assert!(world.texts()[0].ends_with("two\nthree\n"));
}

#[test]
fn a_replaced_file_is_read_to_its_end_and_as_long_as_it_grows() {
    let mut world = World::new(&["keys"]);
    let mut old = world.append("keys", "one\n");
    world.poll();
    fs::rename(world.path("keys"), world.path("keys.1")).unwrap();
    old.write_all(b"two\n").unwrap();
    world.append("keys", "three\n");
    world.poll();
    old.write_all(b"four\n").unwrap();
    world.poll();
    assert_eq!(world.texts(), ["one\ntwo\nfour\n", "three\n"]);
    assert_eq!((world.logs.health()[0].restarts, world.logs.health()[0].files), (1, 2));
    // Nobody writes to it any more.
    world.now += Duration::from_secs(700);
    world.append("keys", "five\n");
    world.poll();
    world.poll();
    assert_eq!((world.texts()[0], world.logs.health()[0].files), ("one\ntwo\nfour\n|", 1));
}

#[test]
fn a_deleted_file_is_read_on_and_a_new_one_is_found() {
    let mut world = World::new(&["keys"]);
    let mut old = world.append("keys", "one\n");
    world.poll();
    fs::remove_file(world.path("keys")).unwrap();
    old.write_all(b"two\n").unwrap();
    world.poll();
    let health = &world.logs.health()[0];
    assert!(health.readable && health.error.as_ref().unwrap().contains("gone"), "{health:?}");
    world.append("keys", "three\n");
    world.poll();
    assert_eq!(world.texts(), ["one\ntwo\n", "three\n"]);
    assert_eq!(world.logs.health()[0].error, None);
}

#[test]
fn a_file_that_is_replaced_again_and_again_is_not_kept_open_for_ever() {
    let mut world = World::new(&["keys"]);
    for round in 0..50 {
        world.append("keys", &format!("{round}\n"));
        world.poll();
        fs::remove_file(world.path("keys")).unwrap();
    }
    assert!(world.logs.health()[0].files <= 6);
    let all = world.texts().concat();
    assert!((0..50).all(|round| all.contains(&format!("{round}\n"))), "{all}");
    assert!(world.texts.len() <= 7, "numbers are used again");
}

#[test]
fn a_pipe_never_waits_and_its_writers_come_and_go() {
    let mut world = World::new(&["keys"]);
    nix::unistd::mkfifo(&world.path("keys"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    world.poll();
    assert!(world.logs.health()[0].readable);
    let mut writer = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(world.path("keys")).unwrap();
    world.poll();
    writer.write_all(b"one\ntw").unwrap();
    world.poll();
    writer.write_all(b"o").unwrap();
    drop(writer);
    world.poll();
    world.poll();
    let mut writer = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(world.path("keys")).unwrap();
    writer.write_all(b"three\n").unwrap();
    world.logs.reopen();
    world.poll();
    assert_eq!(world.texts(), ["one\ntwo|three\n"]);
}

#[test]
fn a_directory_gives_its_files_as_they_appear() {
    let mut world = World::new(&["logs"]);
    fs::create_dir_all(world.path("logs/deeper")).unwrap();
    world.append("logs/deeper/keys", "not this\n");
    world.append("logs/a", "a1\n");
    world.poll();
    world.append("logs/b", "b1\n");
    world.append("logs/a", "a2\n");
    world.poll();
    fs::rename(world.path("logs/a"), world.path("logs/c")).unwrap();
    world.append("logs/c", "a3\n");
    world.poll();
    assert_eq!(world.texts(), ["a1\na2\na3\n", "b1\n"]);
    let health = &world.logs.health()[0];
    assert_eq!((health.files, health.readable, &health.error), (2, true, &None));
}

#[test]
fn a_directory_with_too_many_files_says_so() {
    let mut world = World::new(&["logs"]);
    fs::create_dir(world.path("logs")).unwrap();
    for at in 0..300 {
        world.append(&format!("logs/{at}"), "x\n");
    }
    world.poll();
    world.poll();
    let health = &world.logs.health()[0];
    assert_eq!(health.files, 256);
    assert!(health.error.as_ref().unwrap().contains("44 files are not read"), "{health:?}");
}

#[test]
fn devices_and_sockets_are_refused() {
    let mut logs = KeyLogs::new(&[PathBuf::from("/dev/null")], 1);
    logs.poll_at(Instant::now(), LONG, &mut |_| panic!("nothing to read"));
    let health = &logs.health()[0];
    assert!(!health.readable && health.error.as_ref().unwrap().contains("character device"), "{health:?}");
}

#[test]
fn a_call_reads_for_a_bounded_time_and_the_next_goes_on_at_once() {
    let mut world = World::new(&["keys"]);
    world.append("keys", &line(3 * BUFFER));
    world.now += Duration::from_secs(1);
    for round in 1..=3_u64 {
        // Without any time one buffer is read all the same, and no pause is made while something is left.
        world.read(Duration::ZERO);
        let health = &world.logs.health()[0];
        assert_eq!((health.bytes, health.behind), (round * BUFFER as u64, (3 - round) * BUFFER as u64));
        assert_eq!(world.logs.is_behind(), round < 3);
    }
    assert_eq!(world.texts(), [line(3 * BUFFER)]);
}

/// A line of this length.
fn line(length: usize) -> String {
    format!("{}\n", "x".repeat(length - 1))
}

#[test]
fn a_long_log_does_not_keep_what_is_new_elsewhere_waiting() {
    let mut world = World::new(&["long", "logs", "short"]);
    fs::create_dir(world.path("logs")).unwrap();
    world.append("long", &line(9 * BUFFER));
    world.append("logs/a", &line(9 * BUFFER));
    world.append("logs/b", "b\n");
    world.append("short", "short\n");
    world.now += Duration::from_secs(1);
    for _ in 0..6 {
        world.read(Duration::ZERO);
    }
    let texts = world.texts();
    assert!(texts.contains(&"short\n") && texts.contains(&"b\n"), "{:?}", world.logs.health());
    assert!(world.logs.is_behind());
}

#[test]
fn the_front_of_a_log_whose_keys_would_not_be_kept_is_passed_over() {
    let mut world = World::keeping(&["keys"], 1);
    world.append("keys", &format!("{}{}last\n", line(1 << 20), line(100)));
    world.poll();
    let health = &world.logs.health()[0];
    assert_eq!((health.skipped, health.behind), (1 << 20, 0), "up to a line that is whole");
    assert_eq!(world.texts(), [format!("{}last\n", line(100))]);
    // That it grows by much is nothing to pass over.
    world.append("keys", &line(1 << 20));
    world.poll();
    assert_eq!(world.logs.health()[0].skipped, 1 << 20);
    assert_eq!(world.logs.health()[0].bytes, 105 + (1 << 20));
}

fn allow(world: &World, name: &str, mode: u32) {
    fs::set_permissions(world.path(name), Permissions::from_mode(mode)).unwrap();
}

fn exposed(world: &mut World) -> Option<PathBuf> {
    world.poll();
    world.logs.health()[0].exposed_file.clone()
}

#[test]
fn what_others_may_read_is_exposed() {
    let mut world = World::new(&["keys"]);
    allow(&world, "", 0o755);
    world.append("keys", "one\n");
    allow(&world, "keys", 0o600);
    assert_eq!(exposed(&mut world), None);
    allow(&world, "keys", 0o640);
    assert_eq!(exposed(&mut world), None, "a group of this process");
    if std::os::unix::fs::chown(world.path("keys"), None, Some(54_321)).is_ok() {
        assert_eq!(exposed(&mut world), Some(world.path("keys")), "another group");
    }
    allow(&world, "keys", 0o604);
    assert_eq!(exposed(&mut world), Some(world.path("keys")));
    assert!(world.logs.health()[0].exposed);
    // Its new name is the one to be told; what was put right or is gone is nothing to tell.
    fs::rename(world.path("keys"), world.path("keys.1")).unwrap();
    world.append("keys", "two\n");
    allow(&world, "keys", 0o600);
    assert_eq!(exposed(&mut world), Some(world.path("keys.1")));
    fs::remove_file(world.path("keys.1")).unwrap();
    assert_eq!(exposed(&mut world), None);
}

#[test]
fn a_file_behind_a_closed_folder_is_not_exposed_and_in_an_open_one_it_is_named() {
    let mut world = World::new(&["logs"]);
    allow(&world, "", 0o755);
    fs::create_dir(world.path("logs")).unwrap();
    world.append("logs/a", "one\n");
    allow(&world, "logs/a", 0o644);
    allow(&world, "logs", 0o700);
    assert_eq!(exposed(&mut world), None);
    allow(&world, "logs", 0o711);
    assert_eq!(exposed(&mut world), Some(world.path("logs/a")));
    allow(&world, "", 0o700);
    assert_eq!(exposed(&mut world), None, "a folder further up closes it as well");
}

#[test]
fn opened_anew_it_goes_on_where_it_was() {
    let mut world = World::new(&["keys"]);
    world.append("keys", "one\n");
    world.poll();
    world.logs.reopen();
    world.append("keys", "two\n");
    world.poll();
    assert_eq!(world.texts(), ["one\ntwo\n"]);
    assert_eq!((world.logs.health()[0].bytes, world.logs.health()[0].restarts), (8, 0));
    // As long as before, and with other bytes.
    fs::write(world.path("keys"), "x\nyyyyy\n").unwrap();
    world.logs.reopen();
    world.poll();
    assert_eq!(world.texts(), ["one\ntwo\n|x\nyyyyy\n"]);
}

#[test]
fn a_path_that_stays_goes_on_and_one_that_goes_is_told() {
    let mut world = World::new(&["stays", "goes"]);
    world.append("stays", "one\n");
    world.append("goes", "two\n");
    world.poll();
    let paths = ["comes", "stays"].map(|name| world.path(name));
    world.logs.change(&paths);
    world.append("comes", "three\n");
    world.append("stays", "four\n");
    world.poll();
    // The number of the one that went is used again.
    assert_eq!(world.texts(), ["one\nfour\n", "two\n|three\n"]);
    assert_eq!(world.logs.health().iter().map(|health| health.bytes).collect::<Vec<_>>(), [6, 9]);
}
