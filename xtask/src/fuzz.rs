//! `cargo xtask fuzz`: libFuzzer on stable Rust. The instrumentation is what `cargo fuzz` asks for, without a sanitizer: the code under
//! test is safe Rust, so that what is looked for are panics, time and memory.

use std::fs;
use std::path::Path;
use std::process::Command;

const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions=on -Coverflow-checks=on";

fn targets() -> Result<Vec<String>, String> {
    let folder = Path::new("fuzz/fuzz_targets");
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

fn triple() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("cannot run rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).ok_or("rustc names no host".to_owned())
}

/// Runs every target, or one, for `seconds` each, on the kept corpus and on what earlier runs found, which is in `fuzz/target/corpus`.
pub fn run(seconds: &str, only: Option<&str>) -> Result<(), String> {
    // Zero would be without end.
    if !seconds.parse::<u64>().is_ok_and(|seconds| seconds > 0) {
        return Err(format!("not a number of seconds: {seconds}"));
    }
    let triple = triple()?;
    let cargo = |command: &str, last: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo.args([command, "--release", "--lib", "--bins", "--locked", "--target", &triple]).args(last);
        let status = cargo.current_dir("fuzz").env("RUSTFLAGS", FLAGS).status();
        status.is_ok_and(|status| status.success())
    };
    // Here, because what it takes to look at them is compiled for the targets in any case.
    if only.is_none() && !cargo("clippy", &["--", "-D", "warnings"]) {
        return Err("clippy finds something in the fuzz targets".to_owned());
    }
    if !cargo("build", &[]) {
        return Err("the fuzz targets do not build".to_owned());
    }
    let names: Vec<String> = targets()?.into_iter().filter(|name| only.is_none_or(|only| only == name)).collect();
    if names.is_empty() {
        return Err(format!("no such fuzz target: {}", only.unwrap_or("none at all")));
    }
    for name in names {
        let (corpus, seeds, artifacts) =
            (format!("fuzz/target/corpus/{name}"), format!("fuzz/corpus/{name}"), format!("fuzz/artifacts/{name}/"));
        for folder in [&corpus, &seeds, &artifacts] {
            fs::create_dir_all(folder).map_err(|error| format!("cannot make {folder}: {error}"))?;
        }
        let status = Command::new(format!("fuzz/target/{triple}/release/{name}"))
            .args([&corpus, &seeds])
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={artifacts}"))
            .args(["-timeout=10", "-rss_limit_mb=1024", "-max_len=16384", "-print_final_stats=1"])
            .status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(format!("fuzz target {name} failed: its input is in {artifacts}"));
        }
    }
    Ok(())
}
