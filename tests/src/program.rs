//! Runs the program as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The program, built in the profile that the tests run in.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let folder = std::env::current_exe().expect("a path").ancestors().nth(2).expect("target/PROFILE").to_owned();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "h2watch", "--bin", "h2watch"]);
        if cfg!(feature = "pcap") {
            build.args(["--features", "pcap"]);
        }
        if folder.ends_with("release") {
            build.arg("--release");
        }
        build.arg("--target-dir").arg(folder.parent().expect("the target folder"));
        assert!(build.status().expect("cargo runs").success(), "the program does not build");
        folder.join("h2watch")
    })
}

/// What one run gave.
pub struct Run {
    /// Exit status.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A command of the program, to be added to.
#[must_use]
pub fn command() -> Command {
    Command::new(path())
}

/// Runs it with arguments.
pub fn run<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Run {
    command().args(arguments).output().expect("the program runs").into()
}

/// Replays a capture and gives its events as JSON lines.
pub fn events(capture: &Path, keys: &[PathBuf]) -> Run {
    let mut replay = command();
    replay.arg("replay").arg(capture).args(["--format", "none", "--events", "-"]);
    for keys in keys {
        replay.arg("--keylog").arg(keys);
    }
    replay.output().expect("the program runs").into()
}
