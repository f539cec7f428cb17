use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::file::FileOutput;
use super::journal::Journal;
use super::pipe::Pipe;
use super::{Encoding, EventsTarget, Opened, Output, Stream};
use crate::model::{ConnectionId, Finding, GapWhere, Parties, Side, Stats, Time, Verdict};
use crate::sink::samples;

const RUN: &str = "20231114T221320.000Z";
/// Longer than any test waits where nothing is wrong.
const LONG: Duration = Duration::from_secs(60);

fn gap(bytes: u64) -> Arc<Finding> {
    let end = SocketAddr::from(([192, 0, 2, 1], 443));
    Arc::new(Finding::Gap {
        time: Time(bytes),
        connection: ConnectionId(1),
        parties: Parties { client: Some(end), server: Some(end), process: None },
        by: Side::Client,
        bytes: Some(bytes),
        at: GapWhere::Acknowledged,
    })
}

fn file(path: &Path, rotate_bytes: u64, keep: u32) -> Opened {
    Opened::open(&EventsTarget::File { path: path.to_owned(), rotate_bytes, keep }).unwrap()
}

fn values(text: &str) -> Vec<serde_json::Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line at the end: {text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))).collect()
}

fn read(path: &Path) -> Vec<serde_json::Value> {
    values(&fs::read_to_string(path).unwrap())
}

fn bytes(values: &[serde_json::Value]) -> Vec<u64> {
    values.iter().filter_map(|value| value["bytes"].as_u64()).collect()
}

fn finish(mut stream: Stream) -> Result<(), String> {
    stream.finish_within(&Stats::default(), Verdict::Nothing, LONG)
}

/// Entries as an output gets them.
fn lines(numbers: std::ops::Range<u64>) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for number in numbers {
        Encoding::Lines.write(&mut bytes, &super::Record::Finding(&gap(number)), RUN);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

#[test]
fn every_line_names_its_run_and_the_summary_is_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    for _ in 0..2 {
        let mut stream = file(&path, u64::MAX, 3).start(RUN).unwrap();
        for number in 0..100 {
            stream.finding(&gap(number));
        }
        finish(stream).unwrap();
    }
    let found = read(&path);
    assert_eq!(found.len(), 202, "appended");
    assert!(found.iter().all(|line| line["run"] == RUN && line["schema"] == "h2watch/1"));
    assert_eq!((&found[100]["event"], &found[201]["event"]), (&"summary".into(), &"summary".into()));
    assert_eq!(bytes(&found[..100]), (0..100).collect::<Vec<_>>());
}

#[test]
fn the_schema_is_that_of_a_replay_but_for_the_run() {
    for finding in samples::findings() {
        let (mut live, mut replay) = (Vec::new(), Vec::new());
        Encoding::Lines.write(&mut live, &super::Record::Finding(&finding), RUN);
        crate::sink::json::write(&mut replay, &crate::sink::view::Line::from(&finding)).unwrap();
        let mut live: serde_json::Value = serde_json::from_slice(&live).unwrap();
        assert_eq!(live.as_object_mut().unwrap().remove("run").unwrap(), RUN);
        assert_eq!(live, serde_json::from_slice::<serde_json::Value>(&replay).unwrap());
    }
}

#[test]
fn rotates_between_lines_and_keeps_so_many() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let (all, ends) = lines(10..40);
    let limit = ends[0] as u64 * 4;
    let mut output = FileOutput::open(&path, limit, 2).unwrap();
    let (mut all, mut ends) = (all.as_slice(), ends.as_slice());
    let mut rest;
    while !ends.is_empty() {
        let (count, result) = output.write(all, ends);
        result.unwrap();
        let until = ends[count - 1];
        rest = ends[count..].iter().map(|end| end - until).collect::<Vec<_>>();
        (all, ends) = (&all[until..], &rest);
    }
    let mut names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]);
    let kept: Vec<_> = ["events.jsonl.2", "events.jsonl.1", "events.jsonl"]
        .iter()
        .flat_map(|name| {
            assert!(fs::metadata(folder.path().join(name)).unwrap().len() <= limit);
            bytes(&read(&folder.path().join(name)))
        })
        .collect();
    assert_eq!(kept, (30..40).collect::<Vec<_>>(), "four to a file, the last three files");
}

#[test]
fn a_torn_line_of_a_run_that_was_killed_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    fs::write(&path, "{\"schema\":\"h2watch/1\"}\n{\"schema\":\"h2wa").unwrap();
    let mut output = FileOutput::open(&path, u64::MAX, 0).unwrap();
    let (line, ends) = lines(1..2);
    output.write(&line, &ends).1.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let last = text.lines().last().unwrap();
    assert_eq!(text.lines().nth(1).unwrap(), "{\"schema\":\"h2wa");
    assert_eq!(serde_json::from_str::<serde_json::Value>(last).unwrap()["bytes"], 1);
}

#[test]
fn a_file_that_was_moved_or_removed_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let sub = folder.path().join("logs");
    fs::create_dir(&sub).unwrap();
    let path = sub.join("events.jsonl");
    let mut output = FileOutput::open(&path, u64::MAX, 0).unwrap();
    let write = |output: &mut FileOutput, number| {
        let (line, ends) = lines(number..number + 1);
        output.write(&line, &ends)
    };
    write(&mut output, 1).1.unwrap();
    fs::rename(&path, sub.join("moved")).unwrap();
    write(&mut output, 2).1.unwrap();
    assert_eq!((bytes(&read(&sub.join("moved"))), bytes(&read(&path))), (vec![1], vec![2]));
    // Emptied in place.
    File::create(&path).unwrap();
    write(&mut output, 3).1.unwrap();
    assert_eq!(bytes(&read(&path)), [3]);
    // The whole folder goes: an error, and nothing is taken; then it is back.
    fs::remove_dir_all(&sub).unwrap();
    let (count, result) = write(&mut output, 4);
    assert_eq!((count, result.unwrap_err().kind()), (0, ErrorKind::NotFound));
    fs::create_dir(&sub).unwrap();
    write(&mut output, 4).1.unwrap();
    assert_eq!(bytes(&read(&path)), [4]);
}

#[test]
fn a_full_disk_leaves_whole_lines_and_nothing_is_written_twice() {
    let Some(disk) = SmallDisk::mount(256 << 10) else {
        println!("skipped: a_full_disk_leaves_whole_lines_and_nothing_is_written_twice: no right to mount a tmpfs");
        return;
    };
    let path = disk.0.path().join("events.jsonl");
    let mut output = FileOutput::open(&path, u64::MAX, 0).unwrap();
    fs::write(disk.0.path().join("filler"), vec![0; 200 << 10]).unwrap();
    let (all, ends) = lines(0..1_000);
    let (count, result) = output.write(&all, &ends);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(count > 0 && count < 1_000, "{count}");
    assert_eq!(bytes(&read(&path)), (0..count as u64).collect::<Vec<_>>(), "whole lines");
    let rest: Vec<usize> = ends[count..].iter().map(|end| end - ends[count - 1]).collect();
    assert!(output.write(&all[ends[count - 1]..], &rest).1.is_err(), "still full");
    fs::remove_file(disk.0.path().join("filler")).unwrap();
    let (more, result) = output.write(&all[ends[count - 1]..], &rest);
    result.unwrap();
    assert_eq!((count + more, bytes(&read(&path))), (1_000, (0..1_000).collect()));
}

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(folder.path());
        mount.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// A target in the hands of a test: each write waits for an answer.
struct Slow {
    asked: Sender<usize>,
    answers: Receiver<io::Result<()>>,
    got: Arc<Mutex<Vec<u8>>>,
}

impl Output for Slow {
    fn write(&mut self, bytes: &[u8], ends: &[usize]) -> (usize, io::Result<()>) {
        let _ = self.asked.send(ends.len());
        match self.answers.recv() {
            Ok(Err(error)) => (0, Err(error)),
            _ => {
                self.got.lock().unwrap().extend_from_slice(bytes);
                (ends.len(), Ok(()))
            }
        }
    }
}

#[test]
fn a_target_that_takes_nothing_costs_events_but_never_waits() {
    let ((asked, asks), (answer, answers)) = (channel(), channel());
    let got = Arc::new(Mutex::new(Vec::new()));
    let output = Slow { asked, answers, got: Arc::clone(&got) };
    let mut stream =
        Opened::new(&EventsTarget::Stdout, "slow".into(), "file", Encoding::Lines, output).start_with(RUN, 4).unwrap();
    stream.finding(&gap(0));
    assert_eq!(asks.recv_timeout(LONG), Ok(1), "it is writing the first");
    for number in 1..10 {
        stream.finding(&gap(number));
    }
    assert_eq!((stream.health().queued, stream.health().dropped), (5, 5), "four in the queue, one in hand");
    // The end waits so long and no longer.
    let told = stream.finish_within(&Stats::default(), Verdict::Nothing, Duration::from_millis(1)).unwrap_err();
    assert!(told.contains("5 are left"), "{told}");
    drop(answer);
    assert_eq!(stream.ended.recv_timeout(LONG), Ok(()));
    let found = values(std::str::from_utf8(&got.lock().unwrap()).unwrap());
    let events: Vec<_> = found.iter().map(|it| it["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["gap", "gap", "gap", "gap", "gap", "dropped", "summary"]);
    assert_eq!((&found[5]["count"], &found[5]["time"]), (&5.into(), &"1970-01-01T00:00:00.000000005Z".into()));
}

#[test]
fn a_failed_write_is_tried_again_and_shown_until_it_works() {
    let ((asked, asks), (answer, answers)) = (channel(), channel());
    let got = Arc::new(Mutex::new(Vec::new()));
    let output = Slow { asked, answers, got: Arc::clone(&got) };
    let mut stream =
        Opened::new(&EventsTarget::Stdout, "slow".into(), "file", Encoding::Lines, output).start(RUN).unwrap();
    stream.finding(&gap(0));
    asks.recv_timeout(LONG).unwrap();
    answer.send(Err(io::Error::from_raw_os_error(nix::libc::ENOSPC))).unwrap();
    asks.recv_timeout(LONG).unwrap();
    assert!(stream.health().error.unwrap().contains("No space left"));
    answer.send(Ok(())).unwrap();
    drop(answer);
    stream.finish_within(&Stats::default(), Verdict::Nothing, LONG).unwrap();
    assert_eq!((stream.health().error, stream.health().written), (None, 1));
    assert_eq!(values(std::str::from_utf8(&got.lock().unwrap()).unwrap()).len(), 2);
}

#[test]
fn a_reader_that_leaves_is_no_failure_and_holds_nothing_up() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let pipe = Pipe::new(File::from(OwnedFd::from(writer)));
    let mut stream =
        Opened::new(&EventsTarget::Stdout, "stdout".into(), "stdout", Encoding::Lines, pipe).start(RUN).unwrap();
    for number in 0..10 {
        stream.finding(&gap(number));
    }
    stream.finish_within(&Stats::default(), Verdict::Nothing, LONG).unwrap();
    let health = stream.health();
    assert_eq!((health.written, health.dropped), (0, 10));
    assert!(health.error.is_some_and(|error| error.contains("reader has gone")), "while it runs, it is told");
}

#[test]
fn a_pipe_that_takes_parts_gets_whole_lines() {
    let (mut reader, writer) = io::pipe().unwrap();
    let writer = File::from(OwnedFd::from(writer));
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    let mut pipe = Pipe::new(writer);
    let (all, ends) = lines(0..2_000);
    let (mut done, mut got) = (0, Vec::new());
    let mut chunk = vec![0; 10_001];
    while done < ends.len() {
        let start = if done == 0 { 0 } else { ends[done - 1] };
        let rest: Vec<usize> = ends[done..].iter().map(|end| end - start).collect();
        let (count, result) = pipe.write(&all[start..], &rest);
        done += count;
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            let count = reader.read(&mut chunk).unwrap();
            got.extend_from_slice(&chunk[..count]);
        }
    }
    drop(pipe);
    reader.read_to_end(&mut got).unwrap();
    assert_eq!(got, all);
}

/// The fields of a datagram.
fn fields(datagram: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut rest) = (Vec::new(), BufReader::new(datagram));
    loop {
        let mut line = Vec::new();
        if rest.read_until(b'\n', &mut line).unwrap() == 0 {
            return found;
        }
        line.pop();
        let (name, value) = match line.iter().position(|&byte| byte == b'=') {
            Some(at) => (line[..at].to_vec(), line[at + 1..].to_vec()),
            None => {
                let mut size = [0; 8];
                rest.read_exact(&mut size).unwrap();
                let mut value = vec![0; usize::try_from(u64::from_le_bytes(size)).unwrap() + 1];
                rest.read_exact(&mut value).unwrap();
                value.pop();
                (line, value)
            }
        };
        found.push((String::from_utf8(name).unwrap(), value));
    }
}

#[test]
fn the_journal_gets_fields() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(LONG)).unwrap();
    let output = Journal::open(&path).unwrap();
    let mut stream =
        Opened::new(&EventsTarget::Stdout, "journal".into(), "journal", Encoding::Journal, output).start(RUN).unwrap();
    let findings = samples::findings();
    for finding in &findings {
        stream.finding(&Arc::new(finding.clone()));
    }
    // The journal takes a few at a time: the writer waits for the reader below.
    let writer = std::thread::spawn(move || finish(stream));
    let mut datagram = vec![0; 64 << 10];
    let mut seen = Vec::new();
    for _ in 0..=findings.len() {
        let length = journal.recv(&mut datagram).unwrap();
        let fields = fields(&datagram[..length]);
        let field = |name: &str| {
            let value = fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            value.map(|value| String::from_utf8(value).unwrap())
        };
        let json: serde_json::Value = serde_json::from_str(&field("H2WATCH_EVENT_JSON").unwrap()).unwrap();
        assert_eq!(field("H2WATCH_EVENT").unwrap(), json["event"]);
        assert_eq!(field("SYSLOG_IDENTIFIER").unwrap(), "h2watch");
        assert!("456".contains(&field("PRIORITY").unwrap()));
        assert!(!field("MESSAGE").unwrap().is_empty());
        assert_eq!(field("H2WATCH_ERROR").as_deref(), json["error_name"].as_str());
        assert_eq!(field("H2WATCH_OUTCOME").as_deref(), json["outcome"].as_str());
        seen.push(json["event"].as_str().unwrap().to_owned());
    }
    writer.join().unwrap().unwrap();
    assert_eq!(seen.last().unwrap(), "summary");
    assert!(seen.contains(&"reset".to_owned()) && seen.contains(&"case".to_owned()));
}

#[test]
fn what_is_too_long_for_a_datagram_goes_as_a_sealed_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    let mut output = Journal::open(&path).unwrap();
    let long = [b"MESSAGE=".as_slice(), &vec![b'x'; 8 << 20], b"\n"].concat();
    let (count, result) = output.write(&long, &[long.len()]);
    result.unwrap();
    assert_eq!(count, 1);
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut nothing = [0; 16];
    let mut parts = [io::IoSliceMut::new(&mut nothing)];
    let (fd, flags) = (std::os::fd::AsRawFd::as_raw_fd(&journal), nix::sys::socket::MsgFlags::empty());
    let message =
        nix::sys::socket::recvmsg::<nix::sys::socket::UnixAddr>(fd, &mut parts, Some(&mut space), flags).unwrap();
    assert_eq!(message.bytes, 0);
    let files: Vec<_> = message
        .cmsgs()
        .unwrap()
        .flat_map(|it| match it {
            nix::sys::socket::ControlMessageOwned::ScmRights(files) => files,
            _ => Vec::new(),
        })
        .collect();
    let got = fs::read(format!("/proc/self/fd/{}", files[0])).unwrap();
    nix::unistd::close(files[0]).unwrap();
    assert_eq!(got, long);
}

#[test]
fn a_run_is_named_by_its_start() {
    assert_eq!(super::run_name(Time(1_700_000_000_123_456_789)), "20231114T221320.123Z");
}

#[test]
fn the_example_of_the_document_is_a_real_line() {
    let mut line = Vec::new();
    let dropped = super::Record::Dropped(Time(1_700_000_001_000_000_001), 12);
    Encoding::Lines.write(&mut line, &dropped, "20231114T221320.123Z");
    let line = String::from_utf8(line).unwrap();
    assert!(include_str!("../../../../docs/events.md").contains(&line), "{line}");
}
