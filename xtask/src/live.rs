//! `cargo xtask bench live`: what it costs to watch an origin that h2load drives at full speed, by each source of h2watch, and by
//! tshark on the same traffic.
//!
//! Sources take turns in short runs beside one origin that stays, in rounds, so that a noisy neighbour hits all alike; the table has
//! the median of the rounds. How memory develops is seen in one long run of each.

mod arguments;
mod beside;
mod drive;
mod table;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use h2watch_tests::lab::{Lab, OriginKind, lacking};
use h2watch_tests::program;

use arguments::Arguments;
use beside::Beside;
use drive::{Load, Shape, drive};
use table::Run;

/// How long each load warms up the origin.
const WARM_UP: Duration = Duration::from_secs(5);

/// Reads the arguments of `bench live`, and runs it.
pub fn run_arguments(arguments: &[&str]) -> Result<(), String> {
    run(&Arguments::read(arguments)?)
}

/// The origin: Kestrel where it is, because it refuses requests; else nghttpd, which refuses none.
fn origin(wanted: Option<OriginKind>) -> Result<OriginKind, String> {
    let kind = wanted.unwrap_or(OriginKind::Kestrel);
    match lacking(&[kind], &[]) {
        None => Ok(kind),
        Some(lack) if wanted.is_none() && lacking(&[OriginKind::Nghttpd], &[]).is_none() => {
            println!("skipped: kestrel: {lack}; nghttpd instead, which refuses no request: no delay can be measured");
            Ok(OriginKind::Nghttpd)
        }
        Some(lack) => Err(format!("bench live does not work here: {lack}")),
    }
}

fn build() -> Result<PathBuf, String> {
    let mut cargo = Command::new("cargo");
    let built = cargo.args(["build", "--release", "--package", "h2watch", "--features", "pcap"]).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("cargo build --release --features pcap failed (it needs libpcap)".to_owned());
    }
    Ok(PathBuf::from("target/release/h2watch"))
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if !h2watch_tests::lab::is_there("h2load") {
        return Err(
            "bench live does not work here: h2load is not installed (apt-get install nghttp2-client)".to_owned()
        );
    }
    let kind = origin(arguments.origin)?;
    let program = arguments.program.clone().map_or_else(build, Ok)?;
    program::use_built(program);
    let sources: Vec<Beside> = arguments.sources.iter().copied().filter(Beside::is_usable).collect();
    let lab = Lab::start(&[kind], &[])?;
    // A server that has just begun compiles as it goes.
    for shape in Shape::ALL {
        drive(&lab, &Load::new(shape, kind, &lab)?, WARM_UP, None)?;
    }
    let mut runs: Vec<Run> = Vec::new();
    for round in 0..arguments.rounds {
        for shape in Shape::ALL {
            let load = Load::new(shape, kind, &lab)?;
            // Another goes first in each round.
            for turn in 0..sources.len() {
                let Some(&beside) = sources.get((turn + round) % sources.len()) else { continue };
                println!("round {} of {}: {}, {}", round + 1, arguments.rounds, shape.name(), beside.name());
                runs.push(one(&lab, &load, beside, arguments.slice)?);
            }
        }
    }
    let seconds = arguments.slice.as_secs();
    println!("\n{} as the origin, median of {} runs of {seconds} s each:\n", kind.name(), arguments.rounds);
    table::print(&sources, &runs);
    if let Some(span) = arguments.long {
        memory(&lab, kind, &sources, span)?;
    }
    Ok(())
}

/// One run of one load beside one source.
fn one(lab: &Lab, load: &Load, beside: Beside, span: Duration) -> Result<Run, String> {
    let mut watching = beside.start(lab, load)?;
    let driven = drive(lab, load, span, watching.program())?;
    Ok(Run { shape: load.shape, beside, driven, seen: watching.finish()? })
}

/// Memory over a long run of each.
fn memory(lab: &Lab, kind: OriginKind, sources: &[Beside], span: Duration) -> Result<(), String> {
    let mut rows = Vec::new();
    for &beside in sources.iter().filter(|beside| Beside::LONG.contains(beside)) {
        println!("{} minutes: {}", span.as_secs() / 60, beside.name());
        rows.push(one(lab, &Load::new(Shape::Small, kind, lab)?, beside, span)?);
    }
    println!("\nResident memory over {} minutes of small requests:\n", span.as_secs() / 60);
    table::print_memory(&rows);
    Ok(())
}
