//! The shipped captures give exactly the events in `tests/golden`. `UPDATE_GOLDEN=1` writes them anew; read the difference.

use std::fs;
use std::path::Path;

use h2watch_tests::{captures, program};

/// Exit status: 0 nothing found, 1 a case found.
const CAPTURES: [(&str, i32); 12] = [
    ("apache-haproxy-502", 1),
    ("apache-tls12-curl-retries", 1),
    ("kestrel-clear-h2c", 1),
    ("kestrel-h2-preface-on-http1-port", 1),
    ("kestrel-haproxy-502", 1),
    ("kestrel-haproxy-joined-late", 1),
    ("kestrel-haproxy-retry-storm", 1),
    ("kestrel-healthy", 0),
    ("kestrel-iis-form-windows-auth", 1),
    ("kestrel-late-reset", 1),
    ("kestrel-tls13-curl-retries", 1),
    ("kestrel-yarp", 1),
];

#[test]
fn shipped_captures_give_their_golden_events() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut wrong = Vec::new();
    for (name, status) in CAPTURES {
        let run = program::events(&captures::shipped().join(format!("{name}.pcapng")), &[]);
        assert_eq!(run.status, status, "{name}: {}", run.stderr);
        let file = golden.join(format!("{name}.jsonl"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &run.stdout).unwrap();
        } else if fs::read_to_string(&file).unwrap_or_default() != run.stdout {
            wrong.push(format!("--- {name}\n{}", run.stdout));
        }
    }
    assert!(wrong.is_empty(), "events differ from tests/golden:\n{}", wrong.join("\n"));
}

#[test]
fn every_shipped_capture_has_a_golden_file() {
    // Those below, of `tls`, have a test of their own.
    let shipped = captures::files_in(&captures::shipped(), &[".pcapng"]);
    let names: Vec<_> = shipped.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, CAPTURES.map(|(name, _)| name));
}

#[test]
fn threads_do_not_change_events() {
    for capture in captures::files(&captures::shipped(), &[".pcapng"]) {
        let with = |threads: &str| {
            let run = program::run([
                "replay",
                capture.to_str().unwrap(),
                "--format",
                "none",
                "--events",
                "-",
                "--threads",
                threads,
            ]);
            (run.status, run.stdout)
        };
        assert_eq!(with("1"), with("3"), "{}", capture.display());
    }
}
