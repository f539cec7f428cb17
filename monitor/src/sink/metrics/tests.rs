use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::{Escaped, render};
use crate::model::Stats;
use crate::sink::samples;

/// Every sample by name and labels; fails on any line that the text format 0.0.4 does not allow.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(helped.insert(name) && help.ends_with('.'), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(helped.contains(name) && kinds.insert(name, kind).is_none(), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert!(name.starts_with("h2watch_") && name.bytes().all(|b| b.is_ascii_lowercase() || b"_2".contains(&b)));
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(kinds.contains_key(name) || kinds.get(family) == Some(&"histogram"), "{line}");
            assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "twice: {series}");
        }
    }
    assert!(text.ends_with('\n'));
    samples
}

#[test]
fn every_bounded_series_is_there_at_zero() {
    let samples = parse(&render(&Stats::default()));
    assert!(samples.values().all(|&value| value == 0.0));
    let of = |name: &str| samples.keys().filter(|series| series.starts_with(&format!("h2watch_{name}{{"))).count();
    assert_eq!(of("resets_total"), 2 * 15 * 2 * 4);
    assert_eq!(of("cases_total"), 2 * 4 * 9);
    assert_eq!(of("requests_total"), 4);
    assert_eq!(of("responses_total"), 4 * 6);
    assert_eq!(of("dark_connections_total"), 14);
    assert_eq!(of("request_to_reset_seconds_bucket"), 13);
}

#[test]
fn counts_land_in_their_series() {
    let samples = parse(&render(&samples::stats()));
    let get = |series: &str| samples[&format!("h2watch_{series}")];
    let reset = |frame, error, sender, phase| {
        get(&format!("resets_total{{frame=\"{frame}\",error=\"{error}\",sender=\"{sender}\",phase=\"{phase}\"}}"))
    };
    assert_eq!(reset("RST_STREAM", "HTTP_1_1_REQUIRED", "server", "before_response"), 48.0);
    assert_eq!(reset("GOAWAY", "other", "server", "unknown"), 1.0);
    assert_eq!(get("cases_total{kind=\"downgrade\",outcome=\"given_up\",edge=\"cloudflare\"}"), 11.0);
    assert_eq!(get("cases_total{kind=\"downgrade\",outcome=\"retried\",edge=\"none\"}"), 3.0);
    assert_eq!(get("responses_total{protocol=\"h2\",class=\"5xx\"}"), 3.0);
    assert_eq!(get("origin_errors_total{status=\"502\"}"), 2.0);
    assert_eq!(get("origin_errors_total{status=\"other\"}"), 1.0);
    assert_eq!(get("unread_bytes_total"), 70_000.0);
    assert_eq!(get("gap_bytes_total{reason=\"acknowledged\"}"), 4344.0);
    // 1, 3, 3 and 40 ms: cumulative, as the format asks.
    assert_eq!(get("request_to_reset_seconds_bucket{le=\"0.001\"}"), 1.0);
    assert_eq!(get("request_to_reset_seconds_bucket{le=\"0.005\"}"), 3.0);
    assert_eq!(get("request_to_reset_seconds_bucket{le=\"+Inf\"}"), 4.0);
    assert_eq!(get("request_to_reset_seconds_sum"), 0.047);
    assert_eq!(get("request_to_reset_seconds_count"), 4.0);
}

#[test]
fn no_count_is_lost_between_the_series() {
    let stats = samples::stats();
    let samples = parse(&render(&stats));
    let sum = |name: &str| -> f64 {
        samples
            .iter()
            .filter(|(series, _)| series.starts_with(&format!("h2watch_{name}{{")))
            .map(|(_, value)| value)
            .sum()
    };
    assert_eq!(sum("resets_total"), stats.resets.values().sum::<u64>() as f64);
    assert_eq!(sum("cases_total"), stats.cases.values().sum::<u64>() as f64);
    assert_eq!(sum("retries_total"), stats.retries.values().sum::<u64>() as f64);
    assert_eq!(sum("unknown_cases_total"), stats.unknown.values().sum::<u64>() as f64);
    assert_eq!(sum("dark_connections_total"), stats.connections.dark.values().sum::<u64>() as f64);
    assert_eq!(sum("tls_connections_total"), stats.connections.versions.values().sum::<u64>() as f64);
    assert_eq!(sum("connections_closed_total"), stats.connections.closed.values().sum::<u64>() as f64);
}

#[test]
fn labels_are_escaped() {
    assert_eq!(Escaped("a\"b\\c\nd").to_string(), r#"a\"b\\c\nd"#);
}

#[test]
fn promtool_accepts_it_where_there_is_one() {
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else {
        println!("skipped: no promtool");
        return;
    };
    promtool.stdin.take().unwrap().write_all(render(&samples::stats()).as_bytes()).unwrap();
    let answer = promtool.wait_with_output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
}
