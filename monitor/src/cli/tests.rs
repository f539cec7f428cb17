use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use super::args::{Cli, Command};
use super::{Exit, ReplayOptions, parse, replay_with, usage};
use crate::model::{Stats, Unsure, Verdict};
use crate::sink::{Format, Target};

fn args(line: &[&str]) -> Vec<OsString> {
    ["h2watch", "replay"].iter().chain(line).map(OsString::from).collect()
}

/// The options, or the message of flags that make no sense together.
fn options(line: &[&str]) -> Result<ReplayOptions, String> {
    let Command::Replay(raw) = Cli::try_parse_from(args(line)).expect("valid flags").command else {
        panic!("not a replay")
    };
    ReplayOptions::from_args(raw)
}

/// The message, and the exit status that goes with it.
fn wrong(line: &[&str]) -> String {
    assert_eq!(parse(args(line)).unwrap_err(), Exit::Usage);
    let message = options(line).unwrap_err();
    assert!(!message.contains('\n') && !message.contains("  "), "one clear line: {message:?}");
    message
}

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn what_clap_says_of_wrong_usage_is_one_line() {
    for (line, wanted) in [
        (&[][..], "were not provided: <CAPTURE>... (h2watch replay --help)"),
        (&["--threads", "0", "x"], "'--threads <N>': 0 is not in 1..=1024 ("),
        (&["--format", "xml", "x"], "; [possible values: text, json, none] ("),
        (&["--bogus", "x"], "'--bogus' found; tip: "),
    ] {
        let said = usage(&Cli::try_parse_from(args(line)).unwrap_err().render().to_string());
        assert!(said.contains(wanted) && !said.contains('\n') && !said.starts_with("error"), "{said}");
    }
    assert!(wrong(&["--window", "-1s", "x"]).contains("--window \"-1s\""));
}

#[test]
fn defaults() {
    let options = options(&["a.pcap", "b.pcapng", "--keylog", "k1", "--keylog", "k2"]).unwrap();
    assert_eq!(options.captures, [PathBuf::from("a.pcap"), PathBuf::from("b.pcapng")]);
    assert_eq!(options.keylogs, [PathBuf::from("k1"), PathBuf::from("k2")]);
    assert_eq!(options.window, Duration::from_secs(2));
    assert_eq!(options.outputs.format, Format::Text);
    assert_eq!((options.outputs.events, options.outputs.metrics), (None, None));
    assert!(!options.outputs.verbose);
}

#[test]
fn every_flag_arrives() {
    let line = ["-", "--format", "none", "--events", "-", "--metrics", "m", "--window", "250ms", "--threads", "1"];
    let line: Vec<_> = line.into_iter().chain(["--verbose", "--color", "always", "--no-progress"]).collect();
    let options = options(&line).unwrap();
    assert_eq!(options.captures, [PathBuf::from("-")]);
    assert_eq!(options.outputs.events, Some(Target::Stdout));
    assert_eq!(options.outputs.metrics, Some("m".into()));
    assert_eq!(options.outputs.color, anstream::ColorChoice::Always);
    assert_eq!((options.window, options.threads.get()), (Duration::from_millis(250), 1));
    assert!(options.outputs.verbose && !options.progress);
}

#[test]
fn flags_that_contradict_each_other_are_named_with_the_fix() {
    assert!(wrong(&["-", "-"]).contains("name it once"));
    assert!(wrong(&["a", "--keylog", "-"]).contains("give the path of a file"));
    assert!(wrong(&["a", "--metrics", "-"]).contains("give the path of a file"));
    assert!(wrong(&["a", "--events", "-"]).contains("--format none"));
    assert!(wrong(&["a", "--events", "-", "--format", "json"]).contains("--format none"));
    assert!(wrong(&["a", "--events", "x", "--metrics", "x"]).contains("give them a file each"));
    for window in ["0s", "-2s", "2h", "2", "two", "", "99999999999999999999s"] {
        assert!(wrong(&["a", &format!("--window={window}")]).contains("500ms, 2s or 1m"), "{window}");
    }
}

#[test]
fn an_input_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("a.pcap");
    std::fs::write(&capture, "precious").unwrap();
    let other_path = folder.path().join(".").join("a.pcap");
    for flag in ["--events", "--metrics"] {
        let message = wrong(&[capture.to_str().unwrap(), flag, other_path.to_str().unwrap()]);
        assert!(message.contains("would be overwritten"), "{message}");
    }
    assert_eq!(std::fs::read(&capture).unwrap(), b"precious");
    options(&["/dev/null", "--events", "/dev/null"]).unwrap();
}

#[test]
fn what_clap_refuses_is_usage_and_help_is_not() {
    for line in [&[][..], &["a", "--format", "xml"], &["a", "--threads", "0"], &["a", "--nope"]] {
        assert_eq!(parse(args(line)).unwrap_err(), Exit::Usage, "{line:?}");
    }
    assert_eq!(parse(args(&["--help"])).unwrap_err(), Exit::Nothing);
    assert_eq!(parse(["h2watch".into(), "--version".into()]).unwrap_err(), Exit::Nothing);
}

#[test]
fn help_explains_outcomes_and_exit_statuses() {
    let help = Cli::command().find_subcommand_mut("replay").unwrap().render_long_help().to_string();
    for word in
        ["retried", "given_up", "truncated", "unknown", "Exit status:", "  4  inconclusive", "goes before", "Examples:"]
    {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn exit_statuses() {
    let all = [Exit::Nothing, Exit::Found, Exit::Usage, Exit::Unreadable, Exit::Inconclusive];
    assert_eq!(all.map(Exit::status), [0, 1, 2, 3, 4]);
    let unsure = Verdict::Inconclusive(Unsure::Dark);
    assert_eq!(Exit::of(Verdict::Nothing, false), Exit::Nothing);
    assert_eq!(Exit::of(Verdict::Found, false), Exit::Found);
    assert_eq!(Exit::of(unsure, false), Exit::Inconclusive);
    // Damage forbids "nothing", and hides no case.
    assert_eq!(Exit::of(Verdict::Nothing, true), Exit::Unreadable);
    assert_eq!(Exit::of(unsure, true), Exit::Unreadable);
    assert_eq!(Exit::of(Verdict::Found, true), Exit::Found);
}

#[test]
fn a_run_ends_with_the_status_of_its_verdict() {
    let quiet = options(&["a.pcap", "--format", "none"]).unwrap();
    let ends = |stats: Stats, verdict| replay_with(&quiet, |_, _| Ok((stats, verdict)));
    assert_eq!(ends(Stats::default(), Verdict::Found), Exit::Found);
    assert_eq!(ends(Stats::default(), Verdict::Inconclusive(Unsure::Empty)), Exit::Inconclusive);
    let mut damaged = Stats::default();
    damaged.input.damage.push("a.pcap: cut off at byte 24".into());
    assert_eq!(ends(damaged, Verdict::Nothing), Exit::Unreadable);
    assert_eq!(replay_with(&quiet, |_, _| Err("cannot open a.pcap: gone".into())), Exit::Unreadable);
}

#[test]
fn an_output_that_cannot_be_written_is_status_3_whatever_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such");
    for flag in ["--events", "--metrics"] {
        let never = options(&["a.pcap", "--format", "none", flag, path.to_str().unwrap()]).unwrap();
        assert_eq!(replay_with(&never, |_, _| unreachable!("known before the work")), Exit::Unreadable);
    }
    // It fails every write, and no opening.
    let late = options(&["a.pcap", "--format", "none", "--metrics", "/dev/full"]).unwrap();
    assert_eq!(replay_with(&late, |_, _| Ok((Stats::default(), Verdict::Found))), Exit::Unreadable);
}
