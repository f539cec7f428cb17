//! Debian's Prometheus scrapes a live run, and answers what the README and the dashboards ask.

#[path = "any.rs"]
mod any;
#[path = "blind/client.rs"]
mod client;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use client::Long;
use h2watch_tests::lab::observer::{LISTEN, Watch};
use h2watch_tests::lab::process::Running;
use h2watch_tests::lab::visits::Way;
use h2watch_tests::lab::{EdgeKind, Lab, OriginKind, is_there, lacking, wait};
use h2watch_tests::{program, skip};
use serde_json::Value;
use tokio_rustls::rustls::NoKeyLog;
use tokio_rustls::rustls::version::TLS12;

const PROMETHEUS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9_090);

const READY: &str = "up{job=\"h2watch\"}";
const CLASSIC: &str = "histogram_quantile(0.5, sum by (le) (rate(h2watch_request_to_reset_seconds_bucket[5m])))";
const UNREAD: &str = "sum(rate(h2watch_unread_bytes_total[5m])) / sum(rate(h2watch_payload_bytes_total[5m]))";
const NATIVE: &str = "histogram_count(sum(h2watch_request_to_reset_seconds))";

/// The query that the README has for a question.
fn readme(question: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let row = text.lines().find_map(|line| line.strip_prefix(&format!("| {question} | `"))).unwrap();
    row.strip_suffix("` |").unwrap().to_owned()
}

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

/// A lab, or a line that says why there is none.
fn lab(test: &str) -> Option<Lab> {
    let lack = lacking(&[OriginKind::Kestrel], &[EdgeKind::Haproxy]);
    let lack = lack.or_else(|| (!program::live()).then(|| "h2watch is built without live capture".to_owned()));
    let lack = lack.or_else(|| (!is_there("prometheus")).then(|| "prometheus is not installed".to_owned()));
    if let Some(lack) = lack {
        skip(test, &lack);
        return None;
    }
    Some(Lab::start(&[OriginKind::Kestrel], &[EdgeKind::Haproxy]).unwrap())
}

#[test]
fn prometheus_answers_what_is_asked_of_it() {
    let Some(lab) = lab("prometheus_answers_what_is_asked_of_it") else { return };
    let (resets, downgrades, blind) =
        (readme("which codes reset streams"), readme("what became of refused requests"), readme("is it blind"));
    let watch = Watch::start(&lab).unwrap();
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
    let resets = until(&lab, &resets, "error", |error, count| error == "HTTP_1_1_REQUIRED" && count > 0.0);
    assert!(resets.iter().any(|(error, count)| error == "INTERNAL_ERROR" && *count == 0.0), "{resets:?}");
    for wanted in ["given_up", "truncated", "retried"] {
        until(&lab, &downgrades, "outcome", |outcome, count| outcome == wanted && count > 0.0);
    }
    assert_eq!(until(&lab, UNREAD, "", |_, share| share == 0.0).len(), 1);
    let reasons = ask(&lab, &blind, "reason");
    assert!(reasons.len() > 10 && reasons.iter().all(|(_, dark)| *dark == 0.0), "{reasons:?}");
    until(&lab, CLASSIC, "", |_, seconds| seconds > 0.0 && seconds < 1.0);
    drop(prometheus);
    assert_eq!(watch.finish().unwrap().status, 0);
}

/// A connection that went dark once stays in view as long as it is open.
#[test]
fn prometheus_is_told_of_a_connection_that_stays_dark() {
    let Some(lab) = lab("prometheus_is_told_of_a_connection_that_stays_dark") else { return };
    let blind = readme("is it blind");
    // From before the run, and of TLS 1.2: Kestrel's key log does not help.
    let long = Long::open(&lab, OriginKind::Kestrel, &TLS12, Arc::new(NoKeyLog));
    let watch = Watch::start(&lab).unwrap();
    let prometheus = prometheus(&lab, "prometheus", &[]);
    let dark = |wanted: f64| until(&lab, &blind, "reason", |why, dark| why == "joined_late_tls12" && dark == wanted);
    dark(1.0);
    drop(long);
    dark(0.0);
    drop(prometheus);
    assert_eq!(watch.finish().unwrap().status, 0);
}

#[test]
fn prometheus_takes_native_histograms() {
    let Some(lab) = lab("prometheus_takes_native_histograms") else { return };
    let watch = Watch::start(&lab).unwrap();
    let prometheus = prometheus(&lab, "native", &["--enable-feature=native-histograms"]);
    until(&lab, READY, "job", |_, up| up == 1.0);
    lab.visit(Way::Direct(OriginKind::Kestrel), "/h1only/a").unwrap();
    until(&lab, NATIVE, "", |_, count| count == 1.0);
    drop(prometheus);
    assert_eq!(watch.finish().unwrap().status, 0);
}
