//! The outcomes against what each visitor of the lab really got.

use std::path::Path;

use h2watch_tests::{captures, program, skip, visitors};
use serde_json::Value;

fn cases(capture: &Path) -> Vec<Value> {
    let run = program::events(capture, &captures::keys_of(capture));
    run.stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == "case")
        .collect()
}

fn count(cases: &[Value], outcome: &str) -> usize {
    cases.iter().filter(|case| case["outcome"] == outcome).count()
}

/// What visitors got and what the wire shows agree, case by case, wherever the client of the origin acts for one visitor at a time.
fn agree(capture: &Path, visitors: &[visitors::Visitor]) -> Result<(), String> {
    let cases = cases(capture);
    let got_502 = visitors.iter().filter(|visitor| visitor.status == 502).count();
    let cut_off = visitors.iter().filter(|visitor| visitor.status == 200 && visitor.exit != 0).count();
    let cut_off_retries =
        cases.iter().filter(|case| case["outcome"] == "retried" && case["retry"]["result"] == "truncated").count();
    let seen = (count(&cases, "given_up"), count(&cases, "truncated") + cut_off_retries);
    if seen != (got_502, cut_off) {
        return Err(format!(
            "{}: visitors: {got_502} times 502, {cut_off} cut off; (given_up, truncated) {seen:?}: {cases:#?}",
            capture.display()
        ));
    }
    Ok(())
}

#[test]
fn outcomes_are_what_the_visitors_got() {
    let test = "outcomes_are_what_the_visitors_got";
    let Some(shared) = captures::shared() else { return skip(test, "no ../shared/captures") };
    let mut judged = 0;
    let mut wrong = Vec::new();
    for capture in captures::files(&shared, &[".pcap", ".pcapng"]) {
        let name = capture.file_stem().unwrap().to_string_lossy().into_owned();
        // An h2load, nghttp or nghttpx run has no such lines, or is judged in a test of its own; with retries and a busy URL nobody can
        // tell who was served.
        if name.contains("nghttpx") || name.contains("preface") || name == "kestrel-busy-url-haproxy-retries" {
            continue;
        }
        // Without identity a refused request on a busy URL cannot be told from its neighbours that succeeded.
        if name == "kestrel-busy-url-haproxy" {
            continue;
        }
        let Some(visitors) = visitors::read(&capture.with_extension("visitors")) else { continue };
        judged += 1;
        wrong.extend(agree(&capture, &visitors).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged >= 20, "only {judged} captures were judged");
}

#[test]
fn a_busy_url_without_identity_is_never_retried() {
    let test = "a_busy_url_without_identity_is_never_retried";
    let Some(shared) = captures::shared() else { return skip(test, "no ../shared/captures") };
    for name in ["kestrel-busy-url-haproxy", "kestrel-busy-url-haproxy-retries"] {
        let cases = cases(&shared.join(format!("kestrel/{name}.pcapng")));
        assert!(!cases.is_empty());
        assert_eq!(count(&cases, "retried"), 0, "{name}: {cases:#?}");
    }
}

#[test]
fn curl_retries_are_seen_with_their_status() {
    let cases = cases(&captures::shipped().join("kestrel-tls13-curl-retries.pcapng"));
    assert_eq!(cases.len(), 2);
    for case in cases {
        assert_eq!(case["kind"], "downgrade");
        assert_eq!(case["outcome"], "retried");
        assert_eq!(case["retry"]["protocol"], "http/1.1");
        assert_eq!(case["retry"]["status"], 200);
        assert_eq!(case["retry"]["result"], "ok");
        assert!(case["retry"]["delay_ms"].as_f64().unwrap() < 1_000.0);
    }
}

#[test]
fn a_retry_storm_is_one_case_a_visitor() {
    let cases = cases(&captures::shipped().join("kestrel-haproxy-retry-storm.pcapng"));
    let resets: Vec<_> = cases.iter().map(|case| case["resets"].as_array().unwrap().len()).collect();
    assert_eq!(resets, [4, 4], "{cases:#?}");
    assert_eq!(count(&cases, "given_up"), 2);
}

#[test]
fn resets_of_a_connection_joined_late_are_found() {
    let cases = cases(&captures::shipped().join("kestrel-haproxy-joined-late.pcapng"));
    assert_eq!(count(&cases, "given_up"), 2, "{cases:#?}");
    let paths: Vec<_> = cases.iter().map(|case| case["request"]["path"].as_str().unwrap_or("?")).collect();
    assert_eq!(paths, ["/h1only/x", "/h1only/y"]);
}
