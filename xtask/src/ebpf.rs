//! `cargo xtask build-ebpf`: builds the programs for the kernel into the object that is committed, and checks that it is what the source
//! builds.
//!
//! The compiler of Debian's `rustc-web`, with its library's source from `rust-web-src`, is what the committed object was built with; so
//! the check compares bytes only with that. A nightly of rustup with `rust-src` builds an object that works as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The committed objects: the machine, and the file beside the source.
const OBJECTS: [(&str, &str); 1] = [("x86_64", "monitor-ebpf/h2watch.x86_64.bpf.o")];

const PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "llvm-22-dev"];
/// What compiled the committed objects. Another one may build other bytes from the same source.
const COMPILER: &str = "rustc 1.96.0 ";
const LLVM: &str = "/usr/lib/llvm-22";
const LINKER: &str = "0.13.0";
const NOTE: &str = "\
build-ebpf needs either, on Debian as root, what it installs by itself (rustc-web, rust-web-src, llvm-22-dev), or
`rustup toolchain install nightly --component rust-src`, and a bpf-linker:
LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --version 0.13.0 --locked --no-default-features --features llvm-22";

/// What compiles.
enum Compiler {
    /// Debian's, with nightly features let in.
    Debian,
    /// A nightly of rustup.
    Nightly,
}

/// Builds the objects; with `check`, into a folder of its own, and compares.
pub(crate) fn run(check: bool) -> Result<(), String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let top = top.canonicalize().map_err(|error| format!("{}: {error}", top.display()))?;
    install();
    let compiler = if debian_is_there() {
        Compiler::Debian
    } else if nightly_is_there() && !check {
        Compiler::Nightly
    } else if check {
        println!("skipped: the committed kernel programs are not rebuilt: no rustc-web with rust-web-src\n{NOTE}");
        return Ok(());
    } else {
        return Err(format!("no compiler for the kernel programs\n{NOTE}"));
    };
    if check && !debian_version().starts_with(COMPILER) {
        println!(
            "skipped: the committed kernel programs are not rebuilt: they are of {COMPILER}, here is {}",
            debian_version()
        );
        return Ok(());
    }
    if !linker_is_there() {
        if check {
            println!("skipped: the committed kernel programs are not rebuilt: no bpf-linker {LINKER}\n{NOTE}");
            return Ok(());
        }
        return Err(format!("no bpf-linker {LINKER}\n{NOTE}"));
    }
    let mut differ = Vec::new();
    for (machine, object) in OBJECTS {
        let built = build(&top, machine, &compiler)?;
        let bytes = fs::read(&built).map_err(|error| format!("{}: {error}", built.display()))?;
        let committed = top.join(object);
        if !check {
            fs::write(&committed, &bytes).map_err(|error| format!("{}: {error}", committed.display()))?;
            println!("{object}: {} bytes", bytes.len());
        } else if fs::read(&committed).ok().as_deref() == Some(&bytes) {
            println!("{object} is what the source builds");
        } else {
            differ.push(object);
        }
    }
    if differ.is_empty() {
        return Ok(());
    }
    Err(format!("not what the source builds, run `cargo xtask build-ebpf` and commit: {}", differ.join(", ")))
}

/// Where the sources are built: the compiler puts a hash of a package's place into the names of its functions.
const PLACE: &str = "/tmp/h2watch-build-ebpf";

/// Copies the sources to where they are built.
fn copy(top: &Path) -> Result<PathBuf, String> {
    let place = PathBuf::from(PLACE);
    let failed = |error: std::io::Error| format!("{PLACE}: {error}");
    if place.exists() {
        fs::remove_dir_all(&place).map_err(failed)?;
    }
    for part in [
        "Cargo.toml",
        "crates/probe-abi",
        "monitor-ebpf/src",
        "monitor-ebpf/.cargo",
        "monitor-ebpf/Cargo.toml",
        "monitor-ebpf/Cargo.lock",
    ] {
        let to = place.join(part);
        fs::create_dir_all(to.parent().unwrap_or(&place)).map_err(failed)?;
        let status = Command::new("cp").arg("-r").arg(top.join(part)).arg(&to).status().map_err(failed)?;
        if !status.success() {
            return Err(format!("cannot copy {part} to {PLACE}"));
        }
    }
    Ok(place)
}

fn build(top: &Path, machine: &str, compiler: &Compiler) -> Result<PathBuf, String> {
    let place = copy(top)?;
    // Paths would make the object differ from place to place.
    let cargo_home =
        std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap_or_default()));
    let flags = [
        "-Clinker=bpf-linker".to_owned(),
        "-Cdebuginfo=0".to_owned(),
        format!("--cfg=bpf_target_arch=\"{machine}\""),
        format!("--remap-path-prefix={PLACE}=."),
        format!("--remap-path-prefix={cargo_home}=cargo"),
    ];
    let target = top.join("monitor-ebpf/target").join(machine);
    let mut cargo = Command::new("cargo");
    if let Compiler::Nightly = compiler {
        cargo.arg("+nightly");
    } else {
        cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    }
    cargo
        .args(["build", "--release", "--locked", "-Zbuild-std=core", "--target", "bpfel-unknown-none"])
        .current_dir(place.join("monitor-ebpf"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("CARGO_TARGET_DIR", &target);
    let status = cargo.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(format!("the kernel programs do not build for {machine}"));
    }
    Ok(target.join("bpfel-unknown-none/release/h2watch-ebpf"))
}

/// Installs what is missing where that can be done without asking: as root, with apt.
fn install() {
    let quiet = |command: &mut Command| {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    let apt =
        |arguments: &[&str]| quiet(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"));
    let packages_missing = !debian_is_there() || !Path::new(LLVM).exists();
    if root && packages_missing && quiet(Command::new("apt-get").arg("--version")) {
        println!("installing {}", PACKAGES.join(" "));
        apt(&["update", "-qq"]);
        let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
        arguments.extend(PACKAGES);
        apt(&arguments);
    }
    if !linker_is_there() && Path::new(LLVM).exists() {
        println!("installing bpf-linker {LINKER}");
        let arguments = ["install", "bpf-linker", "--version", LINKER, "--locked", "--quiet", "--no-default-features"];
        quiet(Command::new("cargo").args(arguments).args(["--features", "llvm-22"]).env("LLVM_PREFIX", LLVM));
    }
}

fn debian_is_there() -> bool {
    Path::new("/usr/bin/rustc").exists() && Path::new("/usr/lib/rustlib/src/rust/library/core").exists()
}

/// What Debian's compiler says of itself.
fn debian_version() -> String {
    let version = Command::new("/usr/bin/rustc").arg("--version").output();
    version.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn nightly_is_there() -> bool {
    let root = Command::new("rustc").args(["+nightly", "--print", "sysroot"]).output();
    root.is_ok_and(|output| {
        let root = String::from_utf8_lossy(&output.stdout);
        output.status.success() && Path::new(root.trim()).join("lib/rustlib/src/rust/library/core").exists()
    })
}

fn linker_is_there() -> bool {
    let version = Command::new("bpf-linker").arg("--version").output();
    version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(LINKER))
}
