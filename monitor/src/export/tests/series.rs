use std::collections::BTreeMap;

use super::{full, series_of};
use crate::export::{Format, encode_families, families, families_of_stats};
use crate::model::Stats;
use crate::sink::samples;

/// Every sample of the counts of a replay, by name and labels.
fn replayed(stats: &Stats) -> BTreeMap<String, f64> {
    let text = String::from_utf8(encode_families(families_of_stats(stats), Format::Text)).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    samples.collect()
}

#[test]
fn every_bounded_series_is_there_at_zero() {
    assert!(replayed(&Stats::default()).values().all(|&value| value == 0.0));
    let families = families_of_stats(&Stats::default());
    let of = |name: &str| series_of(&families, &format!("h2watch_{name}"));
    assert_eq!(of("resets_total"), 2 * 15 * 2 * 4);
    assert_eq!(of("cases_total"), 2 * 4 * 9);
    assert_eq!((of("retries_total"), of("failed_retries_total")), (4 * 4, 2 * 3));
    assert_eq!(of("requests_total"), 4);
    assert_eq!(of("responses_total"), 4 * 6);
    assert_eq!(of("streams_total"), 2);
    assert_eq!((of("unfinished_requests_total"), of("one_way_connections_total")), (3 * 3, 2));
    assert_eq!(of("dark_connections_total"), 15);
    assert_eq!(of("open_dark_connections"), 15);
    assert_eq!(of("open_connections"), 1);
    assert_eq!(of("server_resets_total"), 15);
    assert_eq!(of("server_cases_total"), 8);
    assert_eq!(of("capped_total"), 13);
    assert_eq!(of("anomalies_total"), 18);
}

#[test]
fn a_web_config_that_fails_is_told() {
    for (fails, value) in [(false, "0"), (true, "1")] {
        let text = String::from_utf8(encode_families(families(&full(), fails), Format::Text)).unwrap();
        assert!(text.contains(&format!("\nh2watch_web_config_failing {value}\n")));
    }
}

#[test]
fn the_build_names_every_feature_that_it_has() {
    let text = String::from_utf8(encode_families(families(&full(), false), Format::Text)).unwrap();
    let (_, features) = text.split_once("features=\"").unwrap();
    let features = features.split('"').next().unwrap();
    for (name, has) in [("ebpf", cfg!(feature = "ebpf")), ("pcap", cfg!(feature = "pcap"))] {
        assert_eq!(features.split(',').any(|feature| feature == name), has, "{features}");
    }
}

#[test]
fn counts_land_in_their_series() {
    let samples = replayed(&samples::stats());
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
    assert_eq!(get("one_way_connections_total{unseen=\"server\"}"), 1.0);
    assert_eq!(get("unfinished_requests_total{why=\"in_flight\",phase=\"before_response\"}"), 2.0);
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
    let mut stats = samples::stats();
    stats.resets_beyond = [(("GOAWAY", h2_tap::Side::Server, h2_tap::Phase::Unknown), 5)].into();
    let samples = replayed(&stats);
    let sum = |name: &str| -> f64 {
        let of = samples.iter().filter(|(series, _)| series.starts_with(&format!("h2watch_{name}{{")));
        of.map(|(_, value)| value).sum()
    };
    assert_eq!(sum("resets_total"), stats.resets.values().sum::<u64>() as f64 + 5.0);
    assert_eq!(sum("cases_total"), stats.cases.values().sum::<u64>() as f64);
    assert_eq!(sum("retries_total"), stats.retries.values().sum::<u64>() as f64);
    assert_eq!(sum("responses_total"), stats.responses.values().sum::<u64>() as f64);
    assert_eq!(sum("unknown_cases_total"), stats.unknown.values().sum::<u64>() as f64);
    assert_eq!(sum("dark_connections_total"), stats.connections.dark.values().sum::<u64>() as f64);
    assert_eq!(sum("tls_connections_total"), stats.connections.versions.values().sum::<u64>() as f64);
    assert_eq!(sum("connections_closed_total"), stats.connections.closed.values().sum::<u64>() as f64);
    assert_eq!(sum("origin_errors_total"), stats.origin_errors.values().sum::<u64>() as f64);
    assert_eq!(sum("capped_total"), stats.capped.values().sum::<u64>() as f64);
}

#[test]
fn a_live_run_says_how_it_does() {
    let families = families(&full(), false);
    let text = String::from_utf8(encode_families(families, Format::Text)).unwrap();
    for line in [
        "h2watch_capturing 1",
        "h2watch_interface_up{interface=\"eth0\",source=\"pcap\"} 1",
        "h2watch_capture_dropped_packets_total{interface=\"eth0\",source=\"pcap\",stage=\"kernel\"} 6",
        "h2watch_capture_dropped_packets_total{interface=\"eth0\",source=\"tap\",stage=\"ring\"} 3",
        r#"h2watch_keylog_readable{path="/var/log/a\"b\\c\n.keys"} 1"#,
        r#"h2watch_keylog_exposed{path="/var/log/a\"b\\c\n.keys"} 0"#,
        "h2watch_events_dropped_total{target=\"stdout\",kind=\"stdout\"} 2",
        "h2watch_events_failing{target=\"stdout\",kind=\"stdout\"} 0",
        "h2watch_snapshot_timestamp_seconds 1700000060",
        "h2watch_start_timestamp_seconds 1700000000",
        "h2watch_reload_successful 1",
        "h2watch_detection_delay_seconds_count 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("\nprocess_open_fds ") && text.contains("\nprocess_start_time_seconds "));
    assert!(text.contains("\nh2watch_build_info{version=\""));
}
