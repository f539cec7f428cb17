use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use prost::Message as _;

use super::{empty, full};
use crate::export::protobuf::message;
use crate::export::{Format, encode, families};
use crate::model::Histogram;

fn text(format: Format) -> String {
    String::from_utf8(encode(&full(), false, format)).unwrap()
}

/// A sample line: name, labels, value, and what follows it.
fn sample(line: &str) -> (String, Vec<(String, String)>, f64, &str) {
    let (name, mut rest) = match line.find(['{', ' ']) {
        Some(at) => line.split_at(at),
        None => panic!("{line}"),
    };
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(!label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next() {
                    Some((at, '"')) => break at,
                    Some((_, '\\')) => match chars.next() {
                        Some((_, 'n')) => value.push('\n'),
                        Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                        other => panic!("{other:?} in {line}"),
                    },
                    Some((_, c)) => value.push(c),
                    None => panic!("{line}"),
                }
            };
            labels.push((label.to_owned(), value));
            let next = &after[end + 1..];
            if let Some(more) = next.strip_prefix(',') {
                rest = more;
            } else {
                rest = next.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
                break;
            }
        }
    }
    let rest = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    let (value, after) = rest.split_once(' ').unwrap_or((rest, ""));
    (name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("{line}")), after)
}

/// Holds OpenMetrics text to the rules of its specification that a scraper relies on. Gives the samples with their exemplars.
fn open_metrics(text: &str) -> Vec<(String, String)> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
    let mut kinds: BTreeMap<String, String> = BTreeMap::new();
    let mut family = String::new();
    let mut exemplars = Vec::new();
    for line in body.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            let mut parts = meta.splitn(3, ' ');
            let (what, name, rest) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            match what {
                "HELP" => {
                    assert!(!kinds.contains_key(name), "{name} in two places");
                    family = name.to_owned();
                }
                "TYPE" => {
                    assert_eq!(name, family);
                    assert!(["counter", "gauge", "histogram", "info"].contains(&rest), "{line}");
                    assert!(!name.ends_with("_total") && !name.ends_with("_info"), "{line}");
                    kinds.insert(name.to_owned(), rest.to_owned());
                }
                "UNIT" => assert!(name == family && name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, labels, value, after) = sample(line);
        let endings: &[&str] = match kinds[&family].as_str() {
            "counter" => &["_total"],
            "info" => &["_info"],
            "gauge" => &[""],
            _ => &["_bucket", "_sum", "_count"],
        };
        assert!(endings.iter().any(|ending| name == format!("{family}{ending}")), "{line} in {family}");
        assert!(!line.contains("{}"), "{line}");
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let le = labels.iter().find(|(label, _)| label == "le");
        assert_eq!(name.ends_with("_bucket"), le.is_some(), "{line}");
        assert!(le.is_none_or(|(_, le)| le == "+Inf" || le.contains('.')), "{line}");
        if let Some(exemplar) = after.strip_prefix("# ") {
            assert!(name.ends_with("_total") || name.ends_with("_bucket"), "{line}");
            let exemplar = format!("x{exemplar}");
            let (_, labels, value, time) = sample(&exemplar);
            assert!(labels.iter().map(|(label, value)| label.len() + value.len()).sum::<usize>() <= 128);
            assert!(value > 0.0 && time.parse::<f64>().unwrap() > 1e9, "{line}");
            exemplars.push((line.split(" # ").next().unwrap().to_owned(), labels[0].1.clone()));
        } else {
            assert_eq!(after, "", "{line}");
        }
    }
    exemplars
}

#[test]
fn open_metrics_is_what_its_specification_says() {
    open_metrics(&String::from_utf8(encode(&empty(), false, Format::OpenMetrics)).unwrap());
    let exemplars = open_metrics(&text(Format::OpenMetrics));
    let of = |start: &str| {
        let found = exemplars.iter().find(|(line, _)| line.starts_with(start)).map(|(_, id)| id.as_str());
        found.unwrap_or_else(|| panic!("no exemplar for {start}: {exemplars:#?}"))
    };
    assert_eq!(of("h2watch_resets_total{frame=\"RST_STREAM\",error=\"HTTP_1_1_REQUIRED\""), "r1");
    assert_eq!(of("h2watch_resets_total{frame=\"GOAWAY\",error=\"other\",sender=\"client\""), "r2");
    assert_eq!(of("h2watch_cases_total{kind=\"downgrade\",outcome=\"given_up\",edge=\"cloudflare\""), "c1");
    assert_eq!(of("h2watch_cases_total{kind=\"downgrade\",outcome=\"retried\",edge=\"none\""), "c2");
    assert_eq!(of("h2watch_origin_errors_total{status=\"502\""), "o1");
    assert_eq!(of("h2watch_suspected_total"), "s1");
    // 1.23 ms and 3.5 ms.
    assert_eq!(of("h2watch_request_to_reset_seconds_bucket{le=\"0.0025\"}"), "r1");
    assert_eq!(of("h2watch_reset_to_retry_seconds_bucket{le=\"0.005\"}"), "c2");
}

#[test]
fn every_format_has_the_same_values() {
    let values = |text: &str| -> BTreeMap<String, String> {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, labels, value, _) = sample(line);
            (format!("{name}{labels:?}"), format!("{value}"))
        });
        samples.filter(|(name, _)| !name.starts_with("process_")).collect()
    };
    let classic = values(&text(Format::Text));
    assert!(classic.len() > 500);
    assert_eq!(classic, values(&text(Format::OpenMetrics)));
    let mut decoded = BTreeMap::new();
    for family in decode() {
        let name = family.name.unwrap();
        for metric in family.metric {
            let mut labels: Vec<_> = metric.label.into_iter().map(|l| (l.name.unwrap(), l.value.unwrap())).collect();
            if let Some(histogram) = metric.histogram {
                let sum = histogram.sample_sum.unwrap();
                decoded.insert(format!("{name}_sum{labels:?}"), format!("{sum}"));
                decoded.insert(format!("{name}_count{labels:?}"), histogram.sample_count.unwrap().to_string());
                for bucket in histogram.bucket {
                    let bound = bucket.upper_bound.unwrap();
                    let le = if bound.is_infinite() { "+Inf".to_owned() } else { format!("{bound:?}") };
                    labels.push(("le".to_owned(), le));
                    decoded.insert(format!("{name}_bucket{labels:?}"), bucket.cumulative_count.unwrap().to_string());
                    labels.pop();
                }
            } else {
                let value = metric.counter.map(|c| c.value.unwrap()).or(metric.gauge.map(|g| g.value.unwrap()));
                decoded.insert(format!("{name}{labels:?}"), format!("{}", value.unwrap()));
            }
        }
    }
    decoded.retain(|name, _| !name.starts_with("process_"));
    assert_eq!(classic, decoded);
}

fn decode() -> Vec<message::MetricFamily> {
    let bytes = encode(&full(), false, Format::Protobuf);
    let mut rest = bytes.as_slice();
    let mut families = Vec::new();
    while !rest.is_empty() {
        families.push(message::MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    families
}

#[test]
fn native_histograms_hold_every_observation() {
    let family = decode().into_iter().find(|f| f.name.as_deref() == Some("h2watch_request_to_reset_seconds")).unwrap();
    assert_eq!(family.kind, Some(message::HISTOGRAM));
    let histogram = family.metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.schema, histogram.zero_threshold), (Some(Histogram::SCHEMA), Some(Histogram::ZERO)));
    // Back to counts by bucket, as a scraper does it.
    let (mut at, mut count, mut deltas) = (0, 0, histogram.positive_delta.iter());
    let mut found = Vec::new();
    for span in &histogram.positive_span {
        at += span.offset.unwrap();
        for _ in 0..span.length.unwrap() {
            count += deltas.next().unwrap();
            found.push((at, count));
            at += 1;
        }
    }
    assert!(deltas.next().is_none());
    // 1, 3, 3 and 40 ms.
    let bucket = |seconds: f64| (seconds.log2() * 8.0).ceil() as i32;
    assert_eq!(found, [(bucket(0.001), 1), (bucket(0.003), 2), (bucket(0.04), 1)]);
    let zero = histogram.zero_count.unwrap();
    assert_eq!(histogram.sample_count, Some(found.iter().map(|(_, n)| *n as u64).sum::<u64>() + zero));
    assert_eq!(histogram.exemplars[0].label[0].value.as_deref(), Some("r1"));
    let exemplar = histogram.bucket.iter().find_map(|bucket| bucket.exemplar.as_ref()).unwrap();
    assert_eq!(exemplar.timestamp.map(|time| time.seconds), Some(1_700_000_000));
}

#[test]
fn promtool_accepts_it_where_there_is_one() {
    for body in [encode(&full(), false, Format::Text), encode(&empty(), false, Format::Text)] {
        let promtool =
            Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let Ok(mut promtool) = promtool else {
            println!("skipped: no promtool");
            return;
        };
        promtool.stdin.take().unwrap().write_all(&body).unwrap();
        let answer = promtool.wait_with_output().unwrap();
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    }
}

#[test]
fn every_family_is_in_every_format() {
    let names: Vec<&str> = families(&full(), false).iter().map(|family| family.name).collect();
    let (classic, open) = (text(Format::Text), text(Format::OpenMetrics));
    let decoded = decode();
    for name in names {
        assert!(classic.contains(&format!("\n# TYPE {name} ")) || classic.contains(&format!("# TYPE {name} ")));
        assert!(open.contains(&format!("\n{name}")), "{name}");
        assert!(decoded.iter().any(|family| family.name.as_deref() == Some(name)), "{name}");
    }
}
