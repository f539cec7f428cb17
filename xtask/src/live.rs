//! `cargo xtask bench live`: h2watch on the interface of an origin that h2load drives at full speed, and tshark on the same traffic.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use h2watch_tests::lab::observer::Watch;
use h2watch_tests::lab::process::Running;
use h2watch_tests::lab::{INTERFACE, Lab, OriginKind, is_there, lacking, wait};
use h2watch_tests::program;
use rustix::process::Signal;

/// How long each load lasts when nothing is said.
const SHORT: Duration = Duration::from_secs(10);

/// Reads the arguments of `bench live`.
pub fn run_arguments(arguments: &[&str]) -> Result<(), String> {
    let span = match arguments {
        [] => SHORT,
        ["--minutes", minutes] => {
            let minutes: u32 = minutes.parse().map_err(|_| format!("not a number of minutes: {minutes}"))?;
            Duration::from_secs(60) * minutes
        }
        _ => return Err(format!("bench live takes [--minutes N], not {}", arguments.join(" "))),
    };
    run(span)
}

/// One load.
struct Load {
    origin: OriginKind,
    what: &'static str,
    path: &'static str,
    streams: &'static str,
}

const LOADS: [Load; 3] = [
    Load { origin: OriginKind::Nghttpd, what: "nghttpd, 3-byte bodies", path: "/small", streams: "10" },
    Load { origin: OriginKind::Nghttpd, what: "nghttpd, 20-kB bodies", path: "/body", streams: "4" },
    Load { origin: OriginKind::Kestrel, what: "Kestrel, 1 of 1,000 refused", path: "/sometimes/1000", streams: "10" },
];

fn run(span: Duration) -> Result<(), String> {
    if let Some(lack) = lacking(&[OriginKind::Nghttpd], &[]) {
        return Err(format!("bench live does not work here: {lack}"));
    }
    let built =
        Command::new("cargo").args(["build", "--release", "--package", "h2watch", "--features", "pcap"]).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("cargo build --release --features pcap failed (it needs libpcap)".to_owned());
    }
    program::use_built(PathBuf::from("target/release/h2watch"));
    let mut lines = Vec::new();
    for load in &LOADS {
        if let Some(lack) = lacking(&[load.origin], &[]) {
            println!("skipped: {}: {lack}", load.what);
            continue;
        }
        println!("{}, {} s", load.what, span.as_secs());
        lines.push(with_nothing(load, span.min(SHORT))?);
        lines.push(with_h2watch(load, span)?);
        if is_there("tshark") {
            lines.push(with_tshark(load, span.min(SHORT * 6))?);
        } else {
            println!("tshark is not installed: nothing to compare with");
        }
    }
    println!(
        "\n| load | seconds | beside it | requests/s | origin's CPU | its CPU | packets lost | delay p50 | p99 | memory | at the end | behind |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for line in &lines {
        println!("{}", line.row());
    }
    Ok(())
}

/// One measurement.
#[derive(Default)]
struct Line {
    what: &'static str,
    seconds: u64,
    beside: &'static str,
    rate: f64,
    origin_cpu: f64,
    cpu: f64,
    lost: Option<(f64, f64)>,
    delay: Option<(f64, f64)>,
    memory: Option<(u64, u64)>,
    behind: Option<Duration>,
}

impl Line {
    fn row(&self) -> String {
        let lost = self.lost.map_or_else(String::new, |(lost, of)| {
            if of > 0.0 { format!("{lost:.0} of {of:.0} ({:.3} %)", 100.0 * lost / of) } else { format!("{lost:.0}") }
        });
        let delay = |pick: fn((f64, f64)) -> f64| {
            self.delay.map_or_else(String::new, |delay| format!("≤ {:.0} ms", pick(delay) * 1e3))
        };
        let memory = |pick: fn((u64, u64)) -> u64| {
            self.memory
                .map_or_else(String::new, |memory| format!("{:.0} MiB", pick(memory) as f64 / f64::from(1 << 20)))
        };
        format!(
            "| {} | {} | {} | {:.0} | {:.0} % | {:.0} % | {lost} | {} | {} | {} | {} | {} |",
            self.what,
            self.seconds,
            self.beside,
            self.rate,
            self.origin_cpu,
            self.cpu,
            delay(|delay| delay.0),
            delay(|delay| delay.1),
            memory(|memory| memory.0),
            memory(|memory| memory.1),
            self.behind.map_or_else(String::new, |behind| format!("{:.1} s", behind.as_secs_f64())),
        )
    }
}

/// What the load did, and what it cost the origin and whoever watches.
struct Driven {
    rate: f64,
    origin_cpu: f64,
    cpu: f64,
    /// Resident memory after a tenth of the time, and at the end.
    memory: (u64, u64),
    /// How long whoever watches went on working after the load had ended.
    behind: Duration,
}

/// Runs h2load for `span`.
fn drive(lab: &Lab, load: &Load, span: Duration, watching: Option<&Running>) -> Result<Driven, String> {
    let origin = lab.origins.iter().flat_map(|origin| &origin.programs).next().ok_or("no origin")?;
    let url = format!("https://{}{}", lab.origin.at(load.origin.tls_port()), load.path);
    let mut h2load = Command::new("h2load");
    h2load.args(["-c", "50", "-t", "1", "-m", load.streams, "-D", &span.as_secs().to_string(), &url]);
    h2load.env("SSLKEYLOGFILE", lab.visitors_keys());
    let cpu = || (origin.cpu(), watching.map(Running::cpu).unwrap_or_default());
    let (before, began) = (cpu(), Instant::now());
    let mut running = Running::start(&lab.visitor, &mut h2load, &lab.folder().join("h2load.log"))?;
    let memory = || watching.map_or(0, Running::memory);
    let mut early = 0;
    let ended = wait(span + Duration::from_secs(30), || {
        if early == 0 && began.elapsed() > span / 10 {
            early = memory();
        }
        running.ended()
    });
    let (took, after) = (began.elapsed().as_secs_f64(), cpu());
    let behind = watching.map(behind).unwrap_or_default();
    let printed = running.printed();
    let share = |after: Duration, before: Duration| 100.0 * after.saturating_sub(before).as_secs_f64() / took;
    let rate = printed.split_whitespace().zip(printed.split_whitespace().skip(1)).find(|(_, next)| *next == "req/s,");
    let rate = rate.and_then(|(rate, _)| rate.parse().ok());
    match (ended, rate) {
        (Some(status), Some(rate)) if status.success() => Ok(Driven {
            rate,
            origin_cpu: share(after.0, before.0),
            cpu: share(after.1, before.1),
            memory: (early, memory()),
            behind,
        }),
        _ => Err(format!("h2load failed:\n{printed}")),
    }
}

/// Waits until a program has nothing left to do, for some time at most.
fn behind(watching: &Running) -> Duration {
    const STEP: Duration = Duration::from_millis(500);
    let (began, mut before) = (Instant::now(), watching.cpu());
    while began.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(STEP);
        let now = watching.cpu();
        if now.saturating_sub(before) < STEP / 5 {
            break;
        }
        before = now;
    }
    began.elapsed().saturating_sub(STEP)
}

fn line(load: &Load, span: Duration, beside: &'static str, driven: &Driven) -> Line {
    Line {
        what: load.what,
        seconds: span.as_secs(),
        beside,
        rate: driven.rate,
        origin_cpu: driven.origin_cpu,
        cpu: driven.cpu,
        ..Line::default()
    }
}

fn with_nothing(load: &Load, span: Duration) -> Result<Line, String> {
    let lab = Lab::start(&[load.origin], &[])?;
    Ok(line(load, span, "nothing", &drive(&lab, load, span, None)?))
}

fn with_h2watch(load: &Load, span: Duration) -> Result<Line, String> {
    let lab = Lab::start(&[load.origin], &[])?;
    let watch = Watch::start(&lab)?;
    let driven = drive(&lab, load, span, Some(&watch.program))?;
    // The last windows close before the counts are read.
    std::thread::sleep(h2watch_tests::lab::observer::SETTLED);
    let scrape = watch.scrape()?;
    watch.finish()?;
    let sum = |name: &str| scrape.sum(name, &[]).unwrap_or(0.0);
    let lost = sum("h2watch_capture_dropped_packets_total");
    let delay = |q| scrape.quantile("h2watch_detection_delay_seconds", q);
    Ok(Line {
        lost: Some((lost, lost + sum("h2watch_packets_total"))),
        delay: delay(0.5).zip(delay(0.99)),
        memory: Some(driven.memory),
        behind: Some(driven.behind),
        ..line(load, span, "h2watch watch", &driven)
    })
}

/// tshark with the same question: which resets were there.
fn with_tshark(load: &Load, span: Duration) -> Result<Line, String> {
    let lab = Lab::start(&[load.origin], &[])?;
    let keys = if load.origin == OriginKind::Nghttpd { lab.visitors_keys() } else { lab.keys().join("kestrel.keys") };
    let port = load.origin.tls_port();
    let mut command = Command::new("tshark");
    command.args([
        "-n",
        "-l",
        "-i",
        INTERFACE,
        "-f",
        &format!("tcp port {port}"),
        "-d",
        &format!("tcp.port=={port},tls"),
    ]);
    command.arg("-o").arg(format!("tls.keylog_file:{}", keys.display()));
    command.args(["-Y", "http2.rst_stream.error or http2.goaway.error"]);
    let mut tshark = Running::start(&lab.origin, &mut command, &lab.folder().join("tshark.log"))?;
    tshark.until("tshark", |tshark| tshark.printed().contains("Capturing on").then_some(()))?;
    let driven = drive(&lab, load, span, Some(&tshark))?;
    tshark.end(Signal::INT, Duration::from_secs(60))?;
    let printed = tshark.printed();
    // "17 packets dropped from eth0"; it says nothing of those it has not come to yet.
    let dropped = printed.lines().find(|line| line.contains("dropped from"));
    let dropped = dropped.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0);
    Ok(Line { lost: Some((dropped, 0.0)), memory: Some(driven.memory), ..line(load, span, "tshark -i", &driven) })
}
