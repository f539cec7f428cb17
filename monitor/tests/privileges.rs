//! What is left after privileges were given up, as the kernel tells it: each case in a process of its own, for it cannot be undone.

#![allow(clippy::expect_used, clippy::panic)] // All of it is test code.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, thread};

use h2watch::watch::privileges::{self, Capability, Needs};

const CASE: &str = "H2WATCH_PRIVILEGES_CASE";
const NET_RAW: u64 = 1 << 13;
const DAC_READ_SEARCH: u64 = 1 << 2;

/// One case, in the process that gives its privileges up. It ends by a panic when something is wrong.
fn case(name: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("keys.log");
    fs::write(&secret, "").expect("a file");
    match name {
        "user" => {
            let kept = drop_to(Some("nobody"), &[]).expect("given up");
            assert_eq!((kept.capabilities.as_slice(), kept.notes.len()), (["CAP_NET_RAW".to_owned()].as_slice(), 0));
            threads_hold(NET_RAW);
            let uid = field(Path::new("/proc/self/status"), "Uid:");
            assert!(uid.split_whitespace().all(|id| id != "0"), "{uid}");
            assert_eq!(field(Path::new("/proc/self/status"), "Groups:").trim(), "65534");
            assert!(fs::read("/etc/shadow").is_err());
            let limits = fs::read_to_string("/proc/self/limits").expect("limits");
            let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
            assert!(core.split_whitespace().rev().nth(1) == Some("0"), "{core}");
            assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
        }
        "root" => {
            let kept = drop_to(None, &[]).expect("given up");
            assert!(kept.notes.iter().any(|note| note.contains("runs as root") && note.contains("CAP_NET_RAW")));
            threads_hold(NET_RAW);
        }
        "keys" => {
            let closed = fs::Permissions::from_mode(0o700);
            fs::set_permissions(folder.path(), closed).expect("closed");
            let kept = drop_to(Some("nobody"), std::slice::from_ref(&secret)).expect("given up");
            let note = kept.notes.first().expect("a note");
            assert!(note.contains("kept CAP_DAC_READ_SEARCH") && note.contains("keys.log"), "{note}");
            threads_hold(NET_RAW | DAC_READ_SEARCH);
            fs::read(&secret).expect("readable");
            assert!(fs::write(&secret, "x").is_err(), "but not to be written");
        }
        "readable keys" => {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open");
            let kept = drop_to(Some("nobody"), std::slice::from_ref(&secret)).expect("given up");
            assert_eq!(kept.notes, Vec::<String>::new());
            threads_hold(NET_RAW);
        }
        "no such user" => {
            let told = drop_to(Some("h2lv-nobody"), &[]).expect_err("no such user");
            assert!(told.contains("there is no user h2lv-nobody"), "{told}");
        }
        "threads" => {
            let (hold, held) = std::sync::mpsc::channel::<()>();
            let other = thread::spawn(move || held.recv());
            let told = drop_to(Some("nobody"), &[]).expect_err("a thread runs");
            assert!(told.contains("2 threads"), "{told}");
            drop(hold);
            let _ = other.join();
        }
        "not root" => {
            drop_to(Some("nobody"), &[]).expect("given up");
            // A second time: the same user, nothing more to give up.
            let again = drop_to(Some("nobody"), &[]).expect("again");
            assert_eq!(again.capabilities, ["CAP_NET_RAW"]);
            let told = drop_to(Some("daemon"), &[]).expect_err("another user");
            assert!(told.contains("cannot become user daemon"), "{told}");
            let told = privileges::check(&[Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN]).expect_err("missing");
            assert!(told.contains("CAP_NET_ADMIN is missing") && told.contains("setcap cap_net_admin+ep"), "{told}");
        }
        "capture" => capture(),
        other => panic!("no case {other}"),
    }
}

/// The capture can be opened again with what is left.
fn capture() {
    drop_to(Some("nobody"), &[]).expect("given up");
    #[cfg(feature = "pcap")]
    {
        use h2watch::source::live::Timestamps;
        use h2watch::source::live::pcap::{PcapSource, Settings};
        let settings = Settings {
            filter: h2watch::source::live::PacketFilter::default(),
            snaplen: 65_535,
            buffer: 1 << 20,
            promiscuous: false,
            immediate: false,
            timestamps: Timestamps::Host,
        };
        let opened = PcapSource::open(&["lo".to_owned()], settings);
        assert!(opened.is_ok(), "{}", opened.err().unwrap_or_default());
    }
}

fn drop_to(user: Option<&str>, readable: &[PathBuf]) -> Result<privileges::Kept, String> {
    privileges::drop(Needs { user, capabilities: &[Capability::CAP_NET_RAW], readable })
}

fn field(status: &Path, name: &str) -> String {
    let text = fs::read_to_string(status).expect("a status");
    text.lines().find_map(|line| line.strip_prefix(name)).expect("a field").to_owned()
}

/// Every thread, also one that is started now, has these capabilities and no other.
fn threads_hold(expected: u64) {
    let other = thread::spawn(thread::park);
    let tasks: Vec<_> = fs::read_dir("/proc/self/task").expect("tasks").flatten().map(|task| task.path()).collect();
    assert_eq!(tasks.len(), 2);
    for task in tasks {
        let set = |name: &str| u64::from_str_radix(field(&task.join("status"), name).trim(), 16).expect("a number");
        assert_eq!((set("CapPrm:"), set("CapEff:")), (expected, expected));
        assert_eq!((set("CapInh:"), set("CapAmb:"), set("CapBnd:")), (0, 0, 0));
        assert_eq!(field(&task.join("status"), "NoNewPrivs:").trim(), "1");
    }
    other.thread().unpark();
    let _ = other.join();
}

fn main() {
    if let Ok(name) = env::var(CASE) {
        return case(&name);
    }
    let cases = ["user", "root", "keys", "readable keys", "no such user", "threads", "not root", "capture"];
    if !nix::unistd::getuid().is_root()
        || privileges::check(&[Capability::CAP_NET_RAW, Capability::CAP_SETPCAP]).is_err()
    {
        println!("skipped: privileges: they can only be given up by root");
        return println!("test result: ok. 1 passed; 0 failed; 0 ignored");
    }
    let program = env::current_exe().expect("a program");
    let mut failed = 0;
    for name in cases {
        let child = Command::new(&program).env(CASE, name).stdin(Stdio::null()).output().expect("a process");
        println!("test {name} ... {}", if child.status.success() { "ok" } else { "FAILED" });
        if !child.status.success() {
            failed += 1;
            println!("{}", String::from_utf8_lossy(&child.stderr));
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {} passed; {failed} failed; 0 ignored", cases.len() - failed);
    std::process::exit(i32::from(failed > 0));
}
