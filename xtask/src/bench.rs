//! `cargo xtask bench`: h2watch beside tshark on the same files, in turn.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use h2watch_tests::traffic::{Corpus, large, small};

use crate::measure::{Cost, run};
use crate::real;

const SEED: u64 = 7;

/// A corpus on disk.
struct Written {
    name: String,
    capture: PathBuf,
    keys: PathBuf,
    requests: u64,
    refused: u64,
}

fn make(kind: &str, requests: u64) -> Result<Corpus, String> {
    match kind {
        "large" => Ok(large(requests, 1_448, SEED)),
        "large64k" => Ok(large(requests, 64_000, SEED)),
        "small" => Ok(small(requests, 16, SEED)),
        _ => Err(format!("no such corpus: {kind} (large, large64k, small)")),
    }
}

/// Writes a corpus into `dir` and prints how many of its requests were refused.
pub fn write_and_count(kind: &str, count: &str, dir: &Path) -> Result<(), String> {
    write_corpus(kind, count, dir).map(|corpus| println!("{}", corpus.refused))
}

fn write_corpus(kind: &str, count: &str, dir: &Path) -> Result<Written, String> {
    let requests = count.parse().map_err(|_| format!("not a number of requests: {count}"))?;
    let corpus = make(kind, requests)?;
    fs::create_dir_all(dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    let write = |path: PathBuf, bytes: &[u8]| match fs::write(&path, bytes) {
        Ok(()) => Ok(path),
        Err(error) => Err(format!("cannot write {}: {error}", path.display())),
    };
    Ok(Written {
        name: kind.to_owned(),
        capture: write(dir.join(format!("{kind}.pcap")), &corpus.packets.bytes)?,
        keys: write(dir.join(format!("{kind}.keys")), corpus.keys.as_bytes())?,
        requests: corpus.requests,
        refused: corpus.refused,
    })
}

fn h2watch(corpus: &Written) -> Command {
    let mut command = Command::new("target/release/h2watch");
    command.arg("replay").arg(&corpus.capture).arg("--keylog").arg(&corpus.keys);
    command
}

/// tshark's fastest ways to find the same frames: matches only, no name look-ups; `lean` leaves out the analysis and the dissector that
/// the question does not need.
fn tshark(corpus: &Written, lean: bool) -> Command {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(&corpus.capture);
    command.arg("-o").arg(format!("tls.keylog_file:{}", corpus.keys.display()));
    if lean {
        command.args(["--disable-protocol", "json"]);
        command.args(["-o", "tcp.analyze_sequence_numbers:FALSE", "-o", "tcp.calculate_timestamps:FALSE"]);
    }
    command.args(["-Y", "http2.rst_stream.error or http2.goaway.error"]);
    command
}

fn best(runs: usize, mut one: impl FnMut() -> Result<Cost, String>) -> Result<Vec<Cost>, String> {
    let mut costs = (0..runs).map(|_| one()).collect::<Result<Vec<_>, _>>()?;
    costs.sort_by_key(|cost| cost.wall);
    Ok(costs)
}

fn measured(command: &mut Command, accept: impl Fn(Option<i32>) -> bool) -> Result<Cost, String> {
    let cost = run(command).map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if accept(cost.status.code()) { Ok(cost) } else { Err(format!("{command:?} ended with {}", cost.status)) }
}

fn row(name: &str, costs: &[Cost]) -> f64 {
    let (first, middle, last) = (costs[0], costs[(costs.len() - 1) / 2], costs[costs.len() - 1]);
    let memory = costs.iter().map(|cost| cost.memory).max().unwrap_or(0);
    println!(
        "  {name:<24} {:>9.1} ms (min {:.1}, max {:.1})   cpu {:>9.1} ms   peak {:>7.1} MiB",
        middle.wall.as_secs_f64() * 1e3,
        first.wall.as_secs_f64() * 1e3,
        last.wall.as_secs_f64() * 1e3,
        middle.cpu.as_secs_f64() * 1e3,
        memory as f64 / f64::from(1 << 20),
    );
    middle.wall.as_secs_f64()
}

/// Makes a corpus in a process of its own: a child's peak memory counts what its parent held when it began.
fn made_apart(kind: &str, requests: u64, dir: &Path) -> Result<Written, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find xtask: {error}"))?;
    let output = Command::new(program).args(["corpus", kind, &requests.to_string()]).arg(dir).output();
    let output = output.map_err(|error| format!("cannot run xtask corpus: {error}"))?;
    let refused = String::from_utf8_lossy(&output.stdout).trim().parse();
    Ok(Written {
        name: kind.to_owned(),
        capture: dir.join(format!("{kind}.pcap")),
        keys: dir.join(format!("{kind}.keys")),
        requests,
        refused: refused.map_err(|_| format!("xtask corpus failed: {}", String::from_utf8_lossy(&output.stderr)))?,
    })
}

/// Waits until a capture is on disk, and gives it a time at which nobody writes to it any more: h2watch reads a file that has just
/// changed instead of mapping it.
fn settle(capture: &Path) -> Result<(), String> {
    let aged = SystemTime::now() - Duration::from_secs(60);
    let settled = File::options().append(true).open(capture).and_then(|file| {
        file.sync_all()?;
        file.set_modified(aged)
    });
    settled.map_err(|error| format!("cannot settle {}: {error}", capture.display()))
}

/// Measures one corpus. `codes`: the exit statuses that mean it was read.
fn one(corpus: &Written, codes: &[i32], quick: bool, with_tshark: bool) -> Result<(), String> {
    let bytes = fs::metadata(&corpus.capture).map(|data| data.len()).unwrap_or(0);
    println!("{}: {:.1} MB, {} requests, {} refused", corpus.name, bytes as f64 / 1e6, corpus.requests, corpus.refused);
    let read = |code: Option<i32>| code.is_some_and(|code| codes.contains(&code));
    measured(&mut h2watch(corpus), read)?;
    let ours = best(5, || measured(&mut h2watch(corpus), read))?;
    let single = best(5, || measured(h2watch(corpus).args(["--threads", "1"]), read))?;
    let us = row("h2watch", &ours);
    row("h2watch --threads 1", &single);
    if with_tshark {
        let runs = if quick { 1 } else { 2 };
        let all = best(runs, || measured(&mut tshark(corpus, false), |code| code == Some(0)))?;
        let lean = best(runs, || measured(&mut tshark(corpus, true), |code| code == Some(0)))?;
        let them = row("tshark -Y", &all).min(row("tshark -Y, lean", &lean));
        println!("  ratio to the faster tshark: {:.0}x", them / us);
    }
    Ok(())
}

/// Runs the benchmark.
pub fn run_all(quick: bool, dir: &Path) -> Result<(), String> {
    let built = Command::new("cargo").args(["build", "--release", "--package", "h2watch"]).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("cargo build --release failed".to_owned());
    }
    let with_tshark = Command::new("tshark").arg("--version").output().is_ok();
    if !with_tshark {
        println!("tshark is not installed: no ratio (apt-get install tshark)");
    }
    let scale = if quick { 10 } else { 1 };
    for (kind, requests) in [("large", 18_000), ("large64k", 18_000), ("small", 300_000)] {
        let corpus = made_apart(kind, requests / scale, dir)?;
        settle(&corpus.capture)?;
        one(&corpus, &[1], quick, with_tshark)?;
    }
    if let Some(tool) = real::lacking() {
        println!("no corpora by real endpoints: {tool} is not installed (apt-get install nghttp2 tcpdump openssl)");
        return Ok(());
    }
    for (name, requests, body, streams) in [("real-large", 18_000, 20_000, 4), ("real-small", 200_000, 12, 32)] {
        let requests = requests / scale;
        match real::capture(name, requests, body, streams, dir) {
            // Nobody refuses here; the end of the capture may leave too little to be sure.
            Ok((capture, keys)) => {
                let corpus = Written { name: name.to_owned(), capture, keys, requests, refused: 0 };
                settle(&corpus.capture)?;
                one(&corpus, &[0, 1, 4], quick, with_tshark)?;
            }
            Err(error) => println!("{name}: {error}"),
        }
    }
    Ok(())
}

/// Reads the arguments of `bench`.
pub fn run_arguments(arguments: &[&str]) -> Result<(), String> {
    match arguments {
        [] => run_all(false, Path::new("target/bench")),
        ["--quick"] => run_all(true, Path::new("target/bench")),
        ["--quick", dir] => run_all(true, Path::new(dir)),
        [dir] => run_all(false, Path::new(dir)),
        _ => Err(format!("bench takes [--quick] [DIR], not {}", arguments.join(" "))),
    }
}
