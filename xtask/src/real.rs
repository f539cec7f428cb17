//! Corpora by real endpoints: nghttpd answers h2load on loopback, tcpdump captures, h2load writes the key log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const PORT: &str = "18443";

/// What a corpus needs on this machine and lacks; `None` when all is there.
pub fn lacking() -> Option<&'static str> {
    let is_there =
        |tool: &str| Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    ["nghttpd", "h2load", "tcpdump", "openssl"].into_iter().find(|tool| !is_there(tool))
}

/// Ends a program when it is no longer needed.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self, String> {
        let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        silent.spawn().map(Self).map_err(|error| format!("cannot run {command:?}: {error}"))
    }

    /// Lets it write what it has: tcpdump does so on SIGTERM.
    fn end(mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Captures `requests` requests for a body of `body` bytes, `streams` at a time on each of 50 connections.
pub fn capture(name: &str, requests: u64, body: usize, streams: u32, dir: &Path) -> Result<(PathBuf, PathBuf), String> {
    fs::create_dir_all(dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    let path = |ending: &str| dir.join(format!("{name}.{ending}"));
    let (capture, keys, key, certificate) = (path("pcap"), path("keys"), path("key.pem"), path("cert.pem"));
    fs::write(dir.join("body"), vec![b'x'; body])
        .map_err(|error| format!("cannot write in {}: {error}", dir.display()))?;
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=localhost",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return Err("openssl req failed".to_owned());
    }
    let _ = fs::remove_file(&keys);
    let server = Running::start(
        Command::new("nghttpd")
            .arg("--htdocs")
            .arg(dir)
            .args(["--address=127.0.0.1", PORT])
            .arg(&key)
            .arg(&certificate),
    )?;
    let filter = format!("tcp port {PORT}");
    let tap =
        Running::start(Command::new("tcpdump").args(["-i", "lo", "-B", "65536", "-w"]).arg(&capture).arg(filter))?;
    sleep(Duration::from_secs(1));
    let load = Command::new("h2load")
        .args(["-c", "50", "-m", &streams.to_string(), "-n", &requests.to_string()])
        .arg(format!("https://127.0.0.1:{PORT}/body"))
        .env("SSLKEYLOGFILE", &keys)
        .stdout(Stdio::null())
        .status();
    sleep(Duration::from_secs(1));
    tap.end();
    server.end();
    if load.is_ok_and(|status| status.success()) { Ok((capture, keys)) } else { Err("h2load failed".to_owned()) }
}
