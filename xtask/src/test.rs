//! `cargo xtask test`: installs what the tests use, runs all of them, and counts what was skipped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::kernels;

/// Programs that tests use, and the Debian packages that have them.
const TOOLS: &[(&str, &str)] = &[
    ("tshark", "tshark"),
    ("promtool", "prometheus"),
    ("tcpdump", "tcpdump"),
    ("ip", "iproute2"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    // Without the package `apache2`, which starts a server.
    ("apache2", "apache2-bin"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx"),
    ("node", "nodejs"),
    ("perl", "perl-base"),
    ("nghttpx", "nghttp2-proxy"),
    ("nghttpd", "nghttp2-server"),
    ("h2load", "nghttp2-client"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("go", "golang-go"),
    ("mandoc", "mandoc"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("busybox", "busybox-static"),
    ("qemu-system-x86_64", "qemu-system-x86"),
];

/// Where libpcap's headers are.
const LIBPCAP: &str = "/usr/include/pcap/pcap.h";

/// Installs what builds and tests use and is missing, where that can be done without asking: as root, with apt.
pub fn set_up() {
    let mut missing: Vec<&str> =
        TOOLS.iter().filter(|(tool, _)| !is_there(tool)).map(|&(_, package)| package).collect();
    if !Path::new(LIBPCAP).exists() {
        missing.push("libpcap-dev");
    }
    if missing.is_empty() {
        return;
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    if !root || !is_there("apt-get") {
        println!("not installed, tests that use them are skipped: apt-get install {}", missing.join(" "));
        return;
    }
    println!("installing {}", missing.join(" "));
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // Packages start none of their servers.
            .env("RUNLEVEL", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
    };
    let _ = apt(&["update", "-qq"]);
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(missing);
    if !apt(&install).is_ok_and(|status| status.success()) {
        println!("apt-get install failed: tests that use the tools are skipped");
    }
}

/// Whether a program can be run.
pub fn is_there(tool: &str) -> bool {
    Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    /// Reads a line of the test runner's output: its results, and what tests that do nothing print.
    fn line(&mut self, line: &str) {
        if let Some(why) = line.strip_prefix("skipped: ") {
            self.skipped += 1;
            self.passed = self.passed.saturating_sub(1);
            println!("skipped: {why}");
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let number = |word: &str| {
                let part = result.split([';', '.']).find(|part| part.trim_end().ends_with(word));
                part.and_then(|part| part.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
            };
            self.passed += number("passed");
            self.failed += number("failed");
            self.skipped += number("ignored");
        }
    }
}

/// What cargo is given, so that the tests are built with all that this machine has.
pub fn features() -> &'static [&'static str] {
    if Path::new(LIBPCAP).exists() { &["--features", "h2watch-tests/pcap"] } else { &[] }
}

/// Runs every test.
pub fn run() -> Result<(), String> {
    set_up();
    let features = features();
    if features.is_empty() {
        println!("no libpcap: live capture is not built, and its tests are skipped");
    }
    let mut child = Command::new("cargo")
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(features)
        .args(["--", "--show-output"])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run cargo test: {error}"))?;
    let mut counts = Counts::default();
    let (mut quiet, mut failures) = (false, Vec::new());
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
        counts.line(&line);
        match line.as_str() {
            "successes:" => quiet = true,
            "failures:" => quiet = false,
            _ => {}
        }
        if line.starts_with("test result: ") {
            quiet = false;
            println!("{line}");
        } else if line.ends_with("... FAILED") {
            failures.push(line);
        } else if !quiet && !line.ends_with("... ok") && !line.is_empty() && !line.starts_with("running ") {
            println!("{line}");
        }
    }
    let status = child.wait().map_err(|error| format!("cargo test: {error}"))?;
    let kernels = kernels::run(&[])?;
    counts.passed += kernels.passed;
    counts.failed += kernels.failed;
    counts.skipped += kernels.skipped;
    for failure in &failures {
        println!("{failure}");
    }
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    match (status.success(), counts.failed) {
        (true, 0) => Ok(()),
        (false, 0) => Err("cargo test did not run to its end: see above".to_owned()),
        (_, failed) => Err(format!("{failed} tests failed")),
    }
}
