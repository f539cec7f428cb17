//! `cargo xtask kernels`: the tests of the kernel side in other kernels, each started under qemu.
//!
//! Nothing is installed on this machine: the kernel comes out of its package, the guest's file system is what [`guest`] lists.

mod archive;
mod guest;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::test;

/// Packages of Debian that depend on the newest kernel of a series: the oldest that is supported, which has no TCX, and a newer one.
const SERIES: [&str; 2] = ["linux-image-cloud-amd64", "linux-image-6.12-cloud-amd64"];

/// Modules that the tap needs where there is no TCX.
const MODULES: [&str; 2] = ["sch_ingress", "cls_bpf"];

/// Longest time for a guest, from its start to its end.
const PATIENCE: Duration = Duration::from_secs(600);

const EMULATOR: &str = "qemu-system-x86_64";

/// A kernel that can be started.
struct Kernel {
    name: String,
    image: PathBuf,
    modules: Vec<PathBuf>,
}

/// What became of the tests in the kernels.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

/// Runs the tests in Debian's kernels, or in these: packages (`.deb`), or images (`vmlinuz`), which have to have in them what is a module
/// elsewhere.
pub(crate) fn run_arguments(kernels: &[&str]) -> Result<(), String> {
    let outcome = run(kernels)?;
    match outcome.failed {
        0 => Ok(()),
        failed => Err(format!("{failed} tests failed in other kernels")),
    }
}

/// As [`run_arguments`]; what cannot be had is skipped, with a line that says why.
pub(crate) fn run(kernels: &[&str]) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kernels");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    if !cfg!(target_arch = "x86_64") || !test::is_there(EMULATOR) {
        println!("skipped: kernels: {EMULATOR} is not installed, or this is not an x86-64 machine");
        outcome.skipped += 1;
        return Ok(outcome);
    }
    let mut found = Vec::new();
    if kernels.is_empty() {
        for series in SERIES {
            match download(series, &folder).and_then(|package| unpack(&package, &folder)) {
                Ok(kernel) => found.push(kernel),
                Err(error) => {
                    println!("skipped: kernels: {series}: {error}");
                    outcome.skipped += 1;
                }
            }
        }
    }
    for given in kernels.iter().map(Path::new) {
        found.push(if given.extension().is_some_and(|ending| ending == "deb") {
            unpack(given, &folder)?
        } else {
            Kernel { name: given.display().to_string(), image: given.to_owned(), modules: Vec::new() }
        });
    }
    if found.is_empty() {
        return Ok(outcome);
    }
    let tests = guest::build(test::features())?;
    // Each guest has one processor: they run side by side.
    let guests: Vec<_> = found.into_iter().map(|kernel| start(kernel, &tests, &folder)).collect::<Result<_, _>>()?;
    for guest in guests {
        guest.judge(&mut outcome);
    }
    Ok(outcome)
}

/// Fetches the package of the kernel that a package of its series depends on, unless it is there.
fn download(series: &str, folder: &Path) -> Result<PathBuf, String> {
    let depends = || {
        let output = Command::new("apt-cache").args(["depends", "--important", series]).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find_map(|line| {
            line.trim().strip_prefix("Depends: linux-image-").map(|name| format!("linux-image-{name}"))
        })
    };
    let package = depends().or_else(|| {
        let _ = Command::new("apt-get").args(["update", "-qq"]).stdout(Stdio::null()).status();
        depends()
    });
    let package = package.ok_or("apt has no such package")?;
    let there = || {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let prefix = format!("{package}_");
        entries
            .filter(|path| path.extension().is_some_and(|ending| ending == "deb"))
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
    };
    if there().is_none() {
        println!("fetching {package}");
        let mut fetch = Command::new("apt-get");
        // The user whom apt would become may not write to the folder.
        fetch.args(["download", "-qq", "-o", "APT::Sandbox::User=root", &package]).current_dir(folder);
        let _ = fetch.stdin(Stdio::null()).stdout(Stdio::null()).status();
    }
    there().ok_or_else(|| format!("apt cannot fetch {package}"))
}

/// Takes the kernel and its modules out of a package.
fn unpack(package: &Path, folder: &Path) -> Result<Kernel, String> {
    let name = package.file_stem().unwrap_or_default().to_string_lossy();
    let name = name.split('_').next().unwrap_or_default().trim_start_matches("linux-image-").to_owned();
    let place = folder.join(&name);
    fs::create_dir_all(&place).map_err(|error| format!("cannot make {}: {error}", place.display()))?;
    let mut wanted = vec!["./boot/vmlinuz-*".to_owned()];
    wanted.extend(MODULES.map(|module| format!("*/{module}.ko*")));
    let mut files = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run dpkg-deb: {error}"))?;
    let Some(stream) = files.stdout.take() else { return Err("dpkg-deb gives nothing".to_owned()) };
    // A module that is part of the kernel is no file: not all of the names have to match.
    let _ = Command::new("tar")
        .args(["--extract", "--wildcards", "--directory"])
        .arg(&place)
        .args(&wanted)
        .stdin(stream)
        .stderr(Stdio::null())
        .status();
    let _ = files.wait();
    let mut all = h2watch_tests::captures::files(&place, &[""]);
    all.retain(|path| path.is_file());
    let named =
        |path: &PathBuf, start: &str| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
    let image =
        all.iter().find(|path| named(path, "vmlinuz")).ok_or_else(|| format!("no kernel in {}", package.display()))?;
    let mut modules = Vec::new();
    for module in MODULES {
        modules
            .extend(all.iter().find(|path| named(path, &format!("{module}.ko"))).map(|path| plain(path)).transpose()?);
    }
    Ok(Kernel { name, image: image.clone(), modules })
}

/// A module, uncompressed.
fn plain(module: &Path) -> Result<PathBuf, String> {
    if module.extension().is_none_or(|ending| ending != "xz") {
        return Ok(module.to_owned());
    }
    let status = Command::new("xz").args(["--decompress", "--force"]).arg(module).status();
    match status {
        Ok(status) if status.success() => Ok(module.with_extension("")),
        _ => Err(format!("xz cannot unpack {}", module.display())),
    }
}

/// A kernel that runs.
struct Guest {
    name: String,
    qemu: Child,
    console: thread::JoinHandle<Vec<String>>,
    since: Instant,
}

fn start(kernel: Kernel, tests: &Path, folder: &Path) -> Result<Guest, String> {
    let place = folder.join(format!("{}.initramfs", kernel.name.replace('/', "_")));
    let bytes = guest::archive(tests, &kernel.modules, folder)?;
    fs::write(&place, bytes).map_err(|error| format!("{}: {error}", place.display()))?;
    let log =
        File::create(place.with_extension("qemu.log")).map_err(|error| format!("{}: {error}", place.display()))?;
    let mut qemu = Command::new(EMULATOR)
        .args(["-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "1"])
        .args(["-nographic", "-no-reboot", "-nic", "none", "-kernel"])
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&place)
        .args(["-append", "console=ttyS0 quiet loglevel=1 panic=-1 no_timer_check"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| format!("cannot run {EMULATOR}: {error}"))?;
    let output = qemu.stdout.take();
    let console = thread::spawn(move || {
        let lines = output.into_iter().flat_map(|output| BufReader::new(output).split(b'\n')).map_while(Result::ok);
        lines.map(|line| String::from_utf8_lossy(&line).trim_end().to_owned()).collect()
    });
    Ok(Guest { name: kernel.name, qemu, console, since: Instant::now() })
}

impl Guest {
    /// Waits for the end, and counts the tests.
    fn judge(mut self, outcome: &mut Outcome) {
        let mut ended = false;
        while !ended && self.since.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(100));
            ended = self.qemu.try_wait().ok().flatten().is_some();
        }
        if !ended {
            let _ = self.qemu.kill();
            let _ = self.qemu.wait();
        }
        let seconds = self.since.elapsed().as_secs();
        let lines = self.console.join().unwrap_or_default();
        let mut results = Vec::new();
        for line in &lines {
            let Some((name, result)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) else {
                continue;
            };
            results.push(result == "ok");
            println!("{}  {}  {name}", if result == "ok" { "PASS" } else { "FAIL" }, self.name);
        }
        let skipped =
            lines.iter().filter(|line| line.starts_with("skipped: ")).inspect(|line| println!("{line}")).count();
        let passed = results.iter().filter(|passed| **passed).count();
        let version = lines.iter().find_map(|line| Some(line.split_once("kernel: ")?.1)).unwrap_or("not started");
        println!("{}: kernel {version}, {passed} of {} tests passed in {seconds} s", self.name, guest::tests());
        outcome.skipped += skipped as u64;
        outcome.passed += passed.saturating_sub(skipped) as u64;
        // A test that never ended, or never began, has failed.
        let failed = guest::tests() - passed.min(guest::tests());
        outcome.failed += failed as u64;
        if failed > 0 {
            let from = lines.len().saturating_sub(120);
            lines.get(from..).unwrap_or_default().iter().for_each(|line| println!("    {line}"));
        }
    }
}
