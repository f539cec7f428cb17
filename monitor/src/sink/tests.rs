//! The outputs as wholes, and the schema against its document.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Format, Options, Outputs, Target, metrics, samples};
use crate::model::{Finding, Verdict};

fn options(folder: &std::path::Path) -> Options {
    Options {
        format: Format::None,
        events: Some(Target::File(folder.join("events.jsonl"))),
        metrics: Some(folder.join("h2watch.prom")),
        verbose: false,
        color: anstream::ColorChoice::Never,
    }
}

/// The events file of the sample findings.
fn written() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let mut outputs = Outputs::open(&options).unwrap();
    samples::findings().iter().for_each(|finding| outputs.finding(finding));
    outputs.finish(&samples::stats(), Verdict::Found).unwrap();
    assert_eq!(std::fs::read(options.metrics.unwrap()).unwrap(), metrics::render(&samples::stats()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing temporary stays");
    let text = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

/// Every line but the last, which is checked below: the schema is a promise, so the bytes are pinned.
#[test]
fn events_are_these_lines() {
    let lines = written();
    let golden = include_str!("events.golden.jsonl");
    if std::env::var_os("H2WATCH_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sink/events.golden.jsonl");
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
        return;
    }
    assert_eq!(lines, golden.lines().collect::<Vec<_>>());
    assert_eq!(lines.len(), samples::findings().len() + 1);
}

fn keys(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                into.insert(key.clone());
                keys(value, into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

#[test]
fn every_field_and_event_is_documented() {
    let document = include_str!("../../../docs/events.md");
    let mut names = BTreeSet::new();
    for line in written() {
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["schema"], "h2watch/1");
        names.insert(value["event"].as_str().unwrap().to_owned());
        keys(&value, &mut names);
    }
    keys(&serde_json::from_slice(&json(Verdict::Found)).unwrap(), &mut names);
    for name in crate::model::DarkWhy::NAMES {
        names.insert(name.to_owned());
    }
    let missing: Vec<_> = names.iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/events.md says nothing of {missing:?}");
}

#[test]
fn the_examples_of_the_document_are_real_lines() {
    let lines = written();
    // Lines of live runs are looked at beside the code that writes them.
    let of_replays = |line: &&str| line.starts_with('{') && !line.contains("\"run\":");
    let examples = include_str!("../../../docs/events.md").lines().filter(of_replays);
    let unreal: Vec<_> = examples.clone().filter(|example| !lines.iter().any(|line| line == example)).collect();
    assert!(examples.count() >= 7 && unreal.is_empty(), "{unreal:#?}");
}

fn json(verdict: Verdict) -> Vec<u8> {
    let mut report = super::json::Report::default();
    samples::findings().iter().for_each(|finding| report.finding(finding));
    let mut out = Vec::new();
    report.write(&mut out, &samples::stats(), verdict).unwrap();
    out
}

#[test]
fn the_json_document_has_the_counts_and_the_cases() {
    let document: Value = serde_json::from_slice(&json(Verdict::Found)).unwrap();
    assert_eq!(document["schema"], "h2watch/1");
    assert_eq!(document["verdict"], "found");
    assert_eq!(document["case_list"].as_array().unwrap().len(), 3);
    assert_eq!(document["case_list"][1]["retry"]["delay_ms"], 3.5);
    assert_eq!(document["omitted"], 0);
    assert_eq!(document["resets"][2]["error_name"], "HTTP_1_1_REQUIRED");
    assert_eq!(document["resets"][2]["count"], 48);
    assert_eq!(document["origin_errors"][0], serde_json::json!({"status": 502, "count": 2}));
    assert_eq!(document["worst"]["paths"][0]["name"], "GET /secure");
}

#[test]
fn an_inconclusive_document_says_why() {
    let document: Value = serde_json::from_slice(&json(Verdict::Inconclusive(crate::model::Unsure::Dark))).unwrap();
    assert_eq!((&document["verdict"], &document["why"]), (&"inconclusive".into(), &"dark".into()));
}

#[test]
fn the_json_document_lists_so_many_cases_and_counts_the_rest() {
    let mut report = super::json::Report::default();
    for _ in 0..1_003 {
        report.finding(&Finding::Case(Box::new(samples::case())));
    }
    let mut out = Vec::new();
    report.write(&mut out, &crate::model::Stats::default(), Verdict::Found).unwrap();
    let document: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(document["case_list"].as_array().unwrap().len(), 1_000);
    assert_eq!(document["omitted"], 3);
    assert!(document.get("first_packet").is_none());
}

#[test]
fn json_escapes_what_steers_a_terminal_and_keeps_the_value() {
    let text = "a\u{9b}b\u{202e}c\u{e0001}d\u{1b}é\"\\";
    let mut out = Vec::new();
    super::json::write(&mut out, &text).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), r#""a\u009bb\u202ec\udb40\udc01d\u001bé\"\\""#);
    assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
}

#[test]
fn an_output_that_cannot_be_created_is_named_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { events: Some(Target::File(folder.path().join("no/such"))), ..options(folder.path()) };
    let message = Outputs::open(&options).unwrap_err();
    assert!(message.starts_with("cannot create ") && message.contains("no/such for the events: "), "{message}");
    for place in ["no/such.prom", ""] {
        let options = Options { metrics: Some(folder.path().join(place)), events: None, ..options.clone() };
        let message = Outputs::open(&options).unwrap_err();
        assert!(message.starts_with("cannot write the metrics to "), "{message}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

/// `/dev/full` fails every write that reaches it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_once_and_stops_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { events: Some(Target::File("/dev/full".into())), ..options(folder.path()) };
    let mut outputs = Outputs::open(&options).unwrap();
    for _ in 0..1_000 {
        samples::findings().iter().for_each(|finding| outputs.finding(finding));
    }
    let failures = outputs.finish(&samples::stats(), Verdict::Found).unwrap_err();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].starts_with("cannot write the events to /dev/full, they are not complete: "), "{failures:?}");
    assert!(folder.path().join("h2watch.prom").exists());
}

#[test]
fn metrics_that_cannot_be_written_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let message = metrics::write(&folder.path().join("no/such.prom"), &samples::stats()).unwrap_err();
    assert!(message.contains("no/such.prom: "), "{message}");
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let broken = |kind: std::io::ErrorKind| super::failure("cannot write", Err(kind.into()));
    assert_eq!(broken(std::io::ErrorKind::BrokenPipe), None);
    assert!(broken(std::io::ErrorKind::StorageFull).is_some_and(|line| line.starts_with("cannot write: ")));
}
