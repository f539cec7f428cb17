//! Tells the program what it is built from.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=H2WATCH_REVISION");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(rustc).arg("--version"));
    let version = version.as_deref().and_then(|text| text.split_whitespace().nth(1)).unwrap_or("unknown");
    println!("cargo::rustc-env=H2WATCH_RUSTC={version}");
    // A package build says from which revision; otherwise a release asks git, and a build for development need not know.
    let given = env::var("H2WATCH_REVISION").ok().filter(|revision| !revision.is_empty());
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let revision = given.or_else(|| {
        let head = output(Command::new("git").args(["rev-parse", "--git-path", "logs/HEAD"]))?;
        release.then(|| {
            println!("cargo::rerun-if-changed={}", head.trim());
            output(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]))
        })?
    });
    println!("cargo::rustc-env=H2WATCH_REVISION={}", revision.as_deref().map_or("unknown", str::trim));
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}
