//! Configuration, doctor, explain, completions and man pages, as a user meets them.

use std::fs;
use std::process::{Command, Stdio};

use h2watch_tests::{captures, program, skip};

fn there(tool: &str) -> bool {
    Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[test]
fn a_wrong_file_is_status_2_with_a_line_for_each_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h2watch.toml");
    fs::write(&file, "interfaces = [\"eth0\"]\nlisten = \"localhost:1\"\n").unwrap();
    let run = program::run(["config", "check", file.to_str().unwrap()]);
    assert_eq!((run.status, run.stderr.lines().count()), (2, 2), "{}", run.stderr);
    assert!(
        run.stderr.contains("h2watch.toml:1: interfaces: no such setting: did you mean `interface`?"),
        "{}",
        run.stderr
    );
    let run = program::run(["watch", "--config", file.to_str().unwrap()]);
    assert_eq!(run.status, 2, "{}", run.stderr);
    assert_eq!(program::run(["config", "check", "/nowhere/x.toml"]).status, 3);
    fs::write(&file, "threads = 0\nevents = [\"/nowhere/events.jsonl\"]\nuser = \"no-such-user\"\n").unwrap();
    let run = program::run(["config", "check", file.to_str().unwrap()]);
    assert_eq!((run.status, run.stderr.lines().count()), (2, 3), "{}", run.stderr);
}

#[test]
fn what_holds_is_printed_with_where_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h2watch.toml");
    fs::write(&file, "interface = [\"eth0\"]\n").unwrap();
    let mut print = program::command();
    print.args(["config", "print", "--filter", "tcp port 443"]);
    let output = print.env("H2WATCH_CONFIG", &file).env("H2WATCH_WINDOW", "5s").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        &format!("interface = [\"eth0\"] # {}:1", file.display()),
        "filter = \"tcp port 443\" # flag --filter",
        "window = \"5s\" # environment H2WATCH_WINDOW",
        "threads = 1 # default",
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line}\n{text}");
    }
    let printed = folder.path().join("printed.toml");
    fs::write(&printed, &text).unwrap();
    assert_eq!(program::run(["config", "check", printed.to_str().unwrap()]).status, 0);
}

#[test]
fn doctor_says_what_fails_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.log");
    fs::write(&keys, "these are no keys\n").unwrap();
    let mut doctor = program::command();
    doctor.args(["doctor", "--config", "/dev/null", "--interface", "nowhere0", "--listen", "none", "--keylog"]);
    let output = doctor.arg(&keys).args(["--format", "json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["result"], "fail");
    let check =
        |name: &str| report["checks"].as_array().unwrap().iter().rfind(|check| check["name"] == name).unwrap().clone();
    assert!(check("interface")["remedy"].as_str().unwrap().contains("lo"), "{report}");
    assert_eq!(check("key log")["status"], "fail", "{report}");
    assert_eq!(check("traffic")["status"], "unknown", "{report}");
    assert!(!report.to_string().contains("these are no keys"), "the content of a key log is never shown");
}

#[test]
fn an_event_of_a_real_capture_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let capture = captures::shipped().join("kestrel-haproxy-502.pcapng");
    fs::write(&file, program::events(&capture, &[]).stdout).unwrap();
    let run = program::run(["explain", "c1", "--events", file.to_str().unwrap()]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for said in
        ["a downgrade that was given_up", "/h1only/", "RST_STREAM with HTTP_1_1_REQUIRED", "HAProxy answers 502"]
    {
        assert!(run.stdout.contains(said), "{said}\n{}", run.stdout);
    }
    assert_eq!(program::run(["explain", "c999", "--events", file.to_str().unwrap()]).status, 3);
    assert_eq!(program::run(["explain", "nonsense"]).status, 2);
}

#[test]
fn completions_are_scripts_of_their_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = program::run(["completions", shell]);
        assert!(run.status == 0 && run.stdout.contains("keylog"), "{shell}: {}", run.stderr);
        if !["bash", "zsh", "fish"].contains(&shell) {
            continue;
        }
        if !there(shell) {
            skip("completions_are_scripts_of_their_shells", &format!("{shell} is not there"));
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, &run.stdout).unwrap();
        assert!(Command::new(shell).arg("-n").arg(&script).status().unwrap().success(), "{shell}");
    }
}

#[test]
fn man_pages_are_of_every_command_and_render() {
    let folder = tempfile::tempdir().unwrap();
    let run = program::run(["man", folder.path().to_str().unwrap()]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    for page in
        ["h2watch", "h2watch-replay", "h2watch-watch", "h2watch-config-check", "h2watch-doctor", "h2watch-explain"]
    {
        let path = folder.path().join(format!("{page}.1"));
        assert!(fs::read_to_string(&path).unwrap().contains(".TH"), "{page}");
        if there("mandoc") {
            let output = Command::new("mandoc").args(["-T", "utf8", "-W", "error"]).arg(&path).output().unwrap();
            assert!(output.status.success(), "{page}: {}", String::from_utf8_lossy(&output.stderr));
        } else {
            skip("man_pages_are_of_every_command_and_render", "mandoc is not there");
        }
    }
    assert!(program::run(["man"]).stdout.contains(".TH"));
}
