//! Runs the program as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

static LIVE: OnceLock<bool> = OnceLock::new();

/// Whether the program is built with live capture: as the tests are, unless [`build_live`] asked for it.
pub fn live() -> bool {
    *LIVE.get_or_init(|| cfg!(feature = "pcap"))
}

/// Has the program built with live capture, where libpcap is there. Only of use before it is built.
pub fn build_live() {
    let _ = LIVE.set(Path::new("/usr/include/pcap/pcap.h").exists());
}

static PATH: OnceLock<PathBuf> = OnceLock::new();

/// Takes a program that was built already. Only of use before [`path`] has built one.
pub fn use_built(program: PathBuf) {
    let _ = PATH.set(program);
}

/// The program, built in the profile that the tests run in; or the one that `H2WATCH_TEST_PROGRAM` names, where nothing can be built.
pub fn path() -> &'static Path {
    PATH.get_or_init(|| {
        if let Some(built) = std::env::var_os("H2WATCH_TEST_PROGRAM") {
            return built.into();
        }
        let program = std::env::current_exe().expect("a path");
        let folder = program.parent().expect("a folder");
        // Tests are in target/PROFILE/deps, other programs in target/PROFILE.
        let folder =
            if folder.ends_with("deps") { folder.parent().expect("target/PROFILE") } else { folder }.to_owned();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "h2watch", "--bin", "h2watch"]);
        if live() {
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
