//! Debian's Prometheus scrapes a live run, and answers what the README and the dashboards ask.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use h2watch_tests::lab::observer::{LISTEN, Watch};
use h2watch_tests::lab::process::Running;
use h2watch_tests::lab::visits::Way;
use h2watch_tests::lab::{EdgeKind, Lab, OriginKind, is_there, lacking, wait};
use h2watch_tests::{program, skip};
use serde_json::Value;

const PROMETHEUS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9_090);

const RESETS: &str = "sum by (error) (increase(h2watch_resets_total[5m]))";
const DOWNGRADES: &str = "sum by (outcome) (increase(h2watch_cases_total{kind=\"downgrade\"}[5m]))";
const BLIND: &str = "sum(increase(h2watch_unread_bytes_total[5m])) / sum(increase(h2watch_payload_bytes_total[5m]))";
const READY: &str = "up{job=\"h2watch\"}";
const CLASSIC: &str = "histogram_quantile(0.5, sum by (le) (rate(h2watch_request_to_reset_seconds_bucket[5m])))";
const NATIVE: &str = "histogram_count(sum(h2watch_request_to_reset_seconds))";

/// Prometheus beside h2watch, scraping it twice a second.
fn prometheus(lab: &Lab, name: &str, flags: &[&str]) -> Running {
    let folder = lab.folder().join(name);
    fs::create_dir(&folder).unwrap();
    let file = folder.join("prometheus.yml");
    let configuration = format!(
        "global:\n  scrape_interval: 500ms\n\
         scrape_configs:\n  - job_name: h2watch\n    static_configs:\n      - targets: ['{LISTEN}']\n"
    );
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("prometheus");
    command.arg("--config.file").arg(file).arg("--storage.tsdb.path").arg(folder.join("data"));
    command.args(["--web.listen-address", &PROMETHEUS.to_string()]).args(flags);
    let mut program = Running::start(&lab.origin, &mut command, &folder.join("log")).unwrap();
    let ready = |_: &Running| lab.origin.get(PROMETHEUS, "/-/ready", "*/*").ok().filter(|answer| answer.status == 200);
    program.until("prometheus", ready).unwrap();
    program
}

/// What a query gives: the value of each series, by `label`.
fn ask(lab: &Lab, query: &str, label: &str) -> Vec<(String, f64)> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = lab.origin.get(PROMETHEUS, &format!("/api/v1/query?query={encoded}"), "*/*").unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    let results = answer["data"]["result"].as_array().unwrap().iter();
    results
        .filter_map(|series| {
            let value = series["value"][1].as_str()?.parse().ok()?;
            Some((series["metric"][label].as_str().unwrap_or_default().to_owned(), value))
        })
        .collect()
}

/// Asks until one of the series is as wanted.
fn until(lab: &Lab, query: &str, label: &str, wanted: impl Fn(&str, f64) -> bool) -> Vec<(String, f64)> {
    let mut last = Vec::new();
    let found = wait(Duration::from_secs(30), || {
        last = ask(lab, query, label);
        last.iter().any(|(name, value)| wanted(name, *value)).then_some(())
    });
    assert!(found.is_some(), "{query}: {last:?}");
    last
}

/// A lab with a live run, or a line that says why there is none.
fn lab(test: &str) -> Option<(Lab, Watch)> {
    let lack = lacking(&[OriginKind::Kestrel], &[EdgeKind::Haproxy]);
    let lack = lack.or_else(|| (!program::live()).then(|| "h2watch is built without live capture".to_owned()));
    let lack = lack.or_else(|| (!is_there("prometheus")).then(|| "prometheus is not installed".to_owned()));
    if let Some(lack) = lack {
        skip(test, &lack);
        return None;
    }
    let lab = Lab::start(&[OriginKind::Kestrel], &[EdgeKind::Haproxy]).unwrap();
    let watch = Watch::start(&lab).unwrap();
    Some((lab, watch))
}

#[test]
fn prometheus_answers_what_is_asked_of_it() {
    let Some((lab, watch)) = lab("prometheus_answers_what_is_asked_of_it") else { return };
    let prometheus = prometheus(&lab, "prometheus", &[]);
    // The zeros come first: from them an increase to one is seen.
    until(&lab, READY, "job", |_, up| up == 1.0);
    let zeros = until(&lab, "count_over_time(h2watch_cases_total[1m])", "outcome", |_, scrapes| scrapes >= 2.0);
    assert!(zeros.iter().any(|(outcome, _)| outcome == "given_up"), "{zeros:?}");
    let url = lab.edges[0].url();
    for path in ["/", "/h1only/a", "/late/13"] {
        lab.visit(Way::Edge(&url), path).unwrap();
    }
    lab.visit(Way::Direct(OriginKind::Kestrel), "/h1only/b").unwrap();
    let resets = until(&lab, RESETS, "error", |error, count| error == "HTTP_1_1_REQUIRED" && count > 0.0);
    assert!(resets.iter().any(|(error, count)| error == "INTERNAL_ERROR" && *count == 0.0), "{resets:?}");
    for wanted in ["given_up", "truncated", "retried"] {
        until(&lab, DOWNGRADES, "outcome", |outcome, count| outcome == wanted && count > 0.0);
    }
    let blind = until(&lab, BLIND, "", |_, share| share == 0.0);
    assert_eq!(blind.len(), 1);
    until(&lab, CLASSIC, "", |_, seconds| seconds > 0.0 && seconds < 1.0);
    drop(prometheus);
    assert_eq!(watch.finish().unwrap().status, 0);
}

#[test]
fn prometheus_takes_native_histograms() {
    let Some((lab, watch)) = lab("prometheus_takes_native_histograms") else { return };
    let prometheus = prometheus(&lab, "native", &["--enable-feature=native-histograms"]);
    until(&lab, READY, "job", |_, up| up == 1.0);
    lab.visit(Way::Direct(OriginKind::Kestrel), "/h1only/a").unwrap();
    until(&lab, NATIVE, "", |_, count| count == 1.0);
    drop(prometheus);
    assert_eq!(watch.finish().unwrap().status, 0);
}
