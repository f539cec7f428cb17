//! `cargo xtask bench`: h2watch beside tshark on the same files, in turn.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use h2watch_tests::traffic::{Corpus, large, small};
use rustix::fs::{Advice, fadvise};

use crate::cores;
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

fn measured(command: &mut Command, accept: impl Fn(Option<i32>) -> bool) -> Result<Cost, String> {
    let cost = run(command).map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if accept(cost.status.code()) { Ok(cost) } else { Err(format!("{command:?} ended with {}", cost.status)) }
}

/// Runs of one command.
struct Runs {
    name: &'static str,
    costs: Vec<Cost>,
}

impl Runs {
    const fn of(name: &'static str) -> Self {
        Self { name, costs: Vec::new() }
    }

    /// The median of an odd number of runs.
    fn median(&self) -> Option<&Cost> {
        self.costs.get(self.costs.len() / 2)
    }

    /// Prints the median, in wall time, and what else there was; gives the median in seconds.
    fn row(&mut self) -> f64 {
        self.costs.sort_by_key(|cost| cost.wall);
        let wall = |cost: Option<&Cost>| cost.map_or(0.0, |cost| cost.wall.as_secs_f64());
        let memory = self.costs.iter().map(|cost| cost.memory).max().unwrap_or(0);
        let middle = wall(self.median());
        println!(
            "  {:<24} {:>9.1} ms (min {:.1}, max {:.1})   cpu {:>9.1} ms   peak {:>7.1} MiB",
            self.name,
            middle * 1e3,
            wall(self.costs.first()) * 1e3,
            wall(self.costs.last()) * 1e3,
            self.median().map_or(0.0, |cost| cost.cpu.as_secs_f64()) * 1e3,
            memory as f64 / f64::from(1 << 20),
        );
        middle
    }
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

/// Puts a capture into the state of one that lies on disk and was read before: nobody writes to it any more (h2watch reads a file that has
/// just changed instead of mapping it), and the system holds it in memory as reading leaves it there. A file that was just written lies
/// there in single pages, over which every reader takes longer.
fn settle(capture: &Path) -> Result<(), String> {
    let aged = SystemTime::now() - Duration::from_secs(60);
    let settled = File::options().read(true).append(true).open(capture).and_then(|mut file| {
        file.sync_all()?;
        file.set_modified(aged)?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        io::copy(&mut file, &mut io::sink())
    });
    settled.map(|_| ()).map_err(|error| format!("cannot settle {}: {error}", capture.display()))
}

/// Measures one corpus: rounds of every command in turn, so that what else the machine does meets all of them. `codes`: the exit
/// statuses that mean it was read.
fn one(corpus: &Written, codes: &[i32], quick: bool, with_tshark: bool) -> Result<(), String> {
    /// Runs of h2watch in a round; one of tshark takes many times as long.
    const OURS: u32 = 7;
    let bytes = fs::metadata(&corpus.capture).map(|data| data.len()).unwrap_or(0);
    println!("{}: {:.1} MB, {} requests, {} refused", corpus.name, bytes as f64 / 1e6, corpus.requests, corpus.refused);
    let read = |code: Option<i32>| code.is_some_and(|code| codes.contains(&code));
    let (mut ours, mut single) = (Runs::of("h2watch"), Runs::of("h2watch --threads 1"));
    let (mut all, mut lean) = (Runs::of("tshark -Y"), Runs::of("tshark -Y, lean"));
    let mut shared = 0;
    for _ in 0..if quick { 1 } else { 3 } {
        settle(&corpus.capture)?;
        shared += u32::from(!cores::wait());
        measured(&mut h2watch(corpus), read)?;
        for _ in 0..OURS {
            ours.costs.push(measured(&mut h2watch(corpus), read)?);
        }
        for _ in 0..OURS {
            single.costs.push(measured(h2watch(corpus).args(["--threads", "1"]), read)?);
        }
        if with_tshark {
            all.costs.push(measured(&mut tshark(corpus, false), |code| code == Some(0))?);
            lean.costs.push(measured(&mut tshark(corpus, true), |code| code == Some(0))?);
        }
    }
    let us = ours.row();
    if shared > 0 {
        println!("  in {shared} of the rounds the machine's processors shared one core");
    }
    single.row();
    if with_tshark {
        println!("  ratio to the faster tshark: {:.0}x", all.row().min(lean.row()) / us);
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
