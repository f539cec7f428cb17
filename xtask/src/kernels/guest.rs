//! What a guest has: tests, the program, a server and a client with their libraries, and kernel modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use h2watch_tests::program;

use super::archive::Archive;

/// The tests that run in each kernel.
const TESTS: &[&str] = &[
    "programs::every_program_loads",
    "tap::loopback_is_seen_once_and_whole",
    "tap::loopback_is_seen_once_and_whole_by_clsact",
    "tap::a_ring_buffer_far_too_small_says_exactly_what_it_lost",
    "watch::a_reset_of_apache_is_seen_and_its_retry",
    "privileges::what_starts_after_privileges_went_is_probed",
    "plain::plain_a_reset_of_apache_with_probes_set_together_and_one_by_one",
];

/// Programs that those tests use.
const TOOLS: &[&str] = &["apache2", "curl", "openssl"];

/// Modules of Apache, and the configuration that its like and OpenSSL's programs need.
const BESIDE: &[&str] = &[
    "/usr/lib/apache2/modules/mod_mpm_event.so",
    "/usr/lib/apache2/modules/mod_authz_core.so",
    "/usr/lib/apache2/modules/mod_socache_shmcb.so",
    "/usr/lib/apache2/modules/mod_ssl.so",
    "/usr/lib/apache2/modules/mod_http2.so",
];
const CONFIGURATION: &[&str] = &["/etc/ssl/openssl.cnf", "/usr/lib/ssl/openssl.cnf", "/etc/mime.types"];

/// How many tests run.
pub(super) const fn tests() -> usize {
    TESTS.len()
}

/// The first file system of a guest with these kernel modules.
pub(super) fn archive(tests: &Path, modules: &[PathBuf], scratch: &Path) -> Result<Vec<u8>, String> {
    let mut archive = Archive::default();
    let failed = |path: &Path, error: std::io::Error| format!("cannot put {} into the guest: {error}", path.display());
    for folder in ["/proc", "/sys", "/dev", "/tmp", "/run", "/modules", "/usr/bin", "/usr/sbin", "/bin", "/var/tmp"] {
        archive.folder(Path::new(folder));
    }
    archive.content(Path::new("/init"), 0o755, include_bytes!("init.sh"));
    archive.content(Path::new("/names"), 0o644, TESTS.join(" ").as_bytes());
    archive.content(Path::new("/etc/passwd"), 0o644, b"root:x:0:0:root:/:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\n");
    archive.content(Path::new("/etc/group"), 0o644, b"root:x:0:\ndaemon:x:1:\n");
    archive.content(Path::new("/etc/hosts"), 0o644, b"127.0.0.1 localhost\n");
    archive.content(Path::new("/etc/nsswitch.conf"), 0o644, b"hosts: files\n");
    let busybox = find("busybox").ok_or("busybox is not installed: apt-get install busybox-static")?;
    archive.program(&busybox, Path::new("/bin/busybox")).map_err(|error| failed(&busybox, error))?;
    for tool in TOOLS {
        let path = find(tool).ok_or_else(|| format!("{tool} is not installed: run `cargo xtask setup`"))?;
        archive.program(&path, &path).map_err(|error| failed(&path, error))?;
    }
    for path in BESIDE.iter().map(Path::new) {
        archive.program(path, path).map_err(|error| failed(path, error))?;
    }
    for path in CONFIGURATION.iter().map(Path::new).filter(|path| path.exists()) {
        archive.file(path, path).map_err(|error| failed(path, error))?;
    }
    for (from, to) in [(tests, "/tests"), (program::path(), "/h2watch")] {
        let small = scratch.join("stripped");
        strip(from, &small)?;
        archive.program(&small, Path::new(to)).map_err(|error| failed(from, error))?;
    }
    for module in modules {
        let name = module.file_name().unwrap_or_default();
        archive.file(module, &Path::new("/modules").join(name)).map_err(|error| failed(module, error))?;
    }
    Ok(archive.finish())
}

/// Without what is for a debugger: most of a program that was built for tests.
fn strip(from: &Path, to: &Path) -> Result<(), String> {
    let status = Command::new("strip").arg("--strip-debug").arg("-o").arg(to).arg(from).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => fs::copy(from, to).map(drop).map_err(|error| format!("cannot copy {}: {error}", from.display())),
    }
}

/// Where a program lies.
fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(tool)).find(|path| path.is_file())
}

/// Builds the tests, as `cargo xtask test` builds them, and gives their program.
pub(super) fn build(features: &[&str]) -> Result<PathBuf, String> {
    let output = Command::new("cargo")
        .args(["test", "--workspace", "--test", "ebpf", "--no-run", "--message-format=json"])
        .args(features)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err("the tests do not build".to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "ebpf").then(|| message["executable"].as_str().map(PathBuf::from))?
    };
    text.lines().filter_map(executable).next_back().ok_or_else(|| "cargo names no program of the tests".to_owned())
}
