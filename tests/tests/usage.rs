//! Right and wrong input, as a user gives it: one clear line and the right exit status.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use h2watch_tests::{captures, program};

fn shipped(name: &str) -> PathBuf {
    captures::shipped().join(name)
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_missing_file_is_unreadable_input() {
    let run = program::run(["replay", "/nowhere/x.pcap"]);
    assert_eq!(run.status, 3, "{}", run.stderr);
    assert!(run.stderr.contains("/nowhere/x.pcap"), "{}", run.stderr);
    assert_eq!(run.stderr.trim_end().lines().count(), 1, "{}", run.stderr);
}

#[test]
fn a_file_that_is_no_capture_is_unreadable_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    fs::write(&file, "these are notes, not packets\n").unwrap();
    let run = program::run(["replay", text(&file)]);
    assert_eq!(run.status, 3, "{}", run.stderr);
    assert!(run.stderr.contains("notes.txt"), "{}", run.stderr);
    assert_eq!(run.stdout, "", "nothing was read, so there is nothing to sum up");
}

#[test]
fn wrong_usage_is_status_2() {
    for arguments in [&["replay"][..], &["replay", "--nonsense", "x"], &["nonsense"], &[]] {
        let run = program::run(arguments);
        assert_eq!(run.status, 2, "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn an_empty_capture_is_inconclusive() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.pcap");
    fs::write(&file, &fs::read(shipped_pcap(folder.path())).unwrap()[..24]).unwrap();
    let run = program::run(["replay", text(&file)]);
    assert_eq!(run.status, 4, "{} {}", run.stdout, run.stderr);
}

/// A classic pcap, made from generated traffic.
fn shipped_pcap(folder: &std::path::Path) -> PathBuf {
    let corpus = h2watch_tests::traffic::small(2_000, 4, 3);
    let capture = folder.join("small.pcap");
    fs::write(&capture, corpus.packets.bytes).unwrap();
    fs::write(folder.join("small.keys"), corpus.keys).unwrap();
    capture
}

#[test]
fn generated_traffic_gives_each_refused_request() {
    let folder = tempfile::tempdir().unwrap();
    let capture = shipped_pcap(folder.path());
    let run = program::events(&capture, &[folder.path().join("small.keys")]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert_eq!(run.stdout.matches("\"event\":\"reset\"").count(), 2, "{}", run.stdout);
    let cases: Vec<_> = run.stdout.lines().filter(|line| line.contains("\"event\":\"case\"")).collect();
    assert_eq!(cases.len(), 2, "{cases:#?}");
    assert!(cases.iter().all(|case| case.contains("\"outcome\":\"given_up\"")), "{cases:#?}");
}

#[test]
fn without_keys_nothing_is_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let capture = shipped_pcap(folder.path());
    let run = program::run(["replay", text(&capture)]);
    assert_eq!(run.status, 4, "{}", run.stdout);
    assert!(run.stdout.contains("--keylog"), "the summary says what to do:\n{}", run.stdout);
}

#[test]
fn a_key_log_that_matches_nothing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let capture = shipped_pcap(folder.path());
    let keys = folder.path().join("other.keys");
    fs::write(&keys, format!("CLIENT_RANDOM {} {}\nnot a key\n", "ab".repeat(32), "cd".repeat(48))).unwrap();
    let run = program::run(["replay", text(&capture), "--keylog", text(&keys)]);
    assert_eq!(run.status, 4, "{}", run.stdout);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("other.keys: line 2"), "{said}");
    assert!(run.stderr.contains("no key belongs to a connection"), "{}", run.stderr);
    assert!(!said.contains("not a key\n"), "content of a key log is never shown: {said}");
}

#[test]
fn packets_cut_to_their_headers_are_no_fault_of_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(shipped_pcap(folder.path())).unwrap();
    let (header, mut rest) = whole.split_at(24);
    let mut cut = header.to_vec();
    while let Some(length) = rest.get(8..12) {
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let kept = length.min(54);
        cut.extend_from_slice(&rest[..8]);
        cut.extend_from_slice(&u32::try_from(kept).unwrap().to_le_bytes());
        cut.extend_from_slice(&rest[12..16 + kept]);
        rest = &rest[16 + length..];
    }
    let file = folder.path().join("headers.pcap");
    fs::write(&file, cut).unwrap();
    let run = program::run(["replay", text(&file), "--keylog", text(&folder.path().join("small.keys"))]);
    assert_eq!((run.status, run.stderr.as_str()), (4, ""), "{}", run.stdout);
    assert!(run.stdout.contains("snap length") && !run.stdout.contains("--keylog"), "{}", run.stdout);
    assert!(!run.stdout.contains("matches no connection"), "{}", run.stdout);
}

#[test]
fn a_key_log_without_a_key_is_said_whatever_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let capture = shipped_pcap(folder.path());
    let keys = fs::read_to_string(folder.path().join("small.keys")).unwrap();
    let utf16: Vec<u8> = std::iter::once(0xfeff).chain(keys.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for (bytes, said) in [
        (&b""[..], "no key in it (is it a key log?)"),
        (b"some notes\n", "no key in it (is it a key log?)"),
        (&utf16, "no key in it: it is UTF-16"),
        (b"\x1f\x8b\x08\0\0\0", "no key in it: it is compressed"),
        (b"\xd4\xc3\xb2\xa1\x02\0", "no key in it: it is not text"),
    ] {
        let file = folder.path().join("wrong.keys");
        fs::write(&file, bytes).unwrap();
        let run = program::run(["replay", text(&capture), "--keylog", text(&file), "--format", "none"]);
        assert_eq!(run.status, 4, "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(run.stderr.contains("wrong.keys: ") && run.stderr.contains(said), "{}", run.stderr);
    }
}

#[test]
fn a_damaged_capture_gives_what_was_before_the_damage() {
    let whole = fs::read(shipped("kestrel-haproxy-502.pcapng")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cut.pcapng");
    fs::write(&file, &whole[..whole.len() - 11]).unwrap();
    let run = program::events(&file, &[]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(run.stderr.contains("cut.pcapng"), "{}", run.stderr);
    assert_eq!(run.stdout.matches("\"event\":\"reset\"").count(), 3, "{}", run.stdout);
}

#[test]
fn standard_input_gives_the_same_events() {
    let capture = shipped("kestrel-haproxy-502.pcapng");
    let bytes = fs::read(&capture).unwrap();
    let mut child = program::command()
        .args(["replay", "-", "--format", "none", "--events", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), program::events(&capture, &[]).stdout);
}

#[test]
fn several_files_are_merged_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let capture = shipped_pcap(folder.path());
    let cut = h2watch_tests::loss::Cut::read(&capture).unwrap();
    let (even, odd) = (folder.path().join("even.pcap"), folder.path().join("odd.pcap"));
    cut.write_without(|index| index % 2 == 1, &even);
    cut.write_without(|index| index % 2 == 0, &odd);
    let keys = folder.path().join("small.keys");
    let arguments = |captures: &[&std::path::Path]| {
        let mut all = vec!["replay".to_owned()];
        all.extend(captures.iter().map(|path| text(path).to_owned()));
        all.extend(["--keylog", text(&keys), "--format", "none", "--events", "-"].map(str::to_owned));
        all
    };
    let resets = |events: &str| {
        events.lines().filter(|line| line.contains("\"event\":\"reset\"")).map(str::to_owned).collect::<Vec<_>>()
    };
    let whole = program::run(arguments(&[&capture]));
    let halves = program::run(arguments(&[&odd, &even]));
    assert_eq!(resets(&whole.stdout), resets(&halves.stdout));
}

#[test]
fn metrics_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = folder.path().join("h2watch.prom");
    let capture = shipped("kestrel-haproxy-502.pcapng");
    let run = program::run(["replay", text(&capture), "--format", "none", "--metrics", text(&metrics)]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    let text = fs::read_to_string(&metrics).unwrap();
    let line = text.lines().find(|line| {
        line.starts_with("h2watch_resets_total{")
            && line.contains("error=\"HTTP_1_1_REQUIRED\"")
            && line.contains("frame=\"RST_STREAM\"")
            && line.contains("phase=\"before_response\"")
            && line.contains("sender=\"server\"")
    });
    assert!(line.is_some_and(|line| line.ends_with(" 3")), "{text}");
}
