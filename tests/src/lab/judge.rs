//! Compares what visitors got with what h2watch says became of their requests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;

use super::observer::Seen;
use crate::visitors::Visitor;

/// The outcome that a visitor's result stands for; `None` for a request that went well.
#[must_use]
pub fn outcome(visitor: &Visitor) -> Option<&'static str> {
    match (visitor.direct, visitor.version.as_str(), visitor.status, visitor.exit) {
        // curl offers h2, and the origins of the lab choose it: over HTTP/1.1, or without any answer after that, it is a second attempt.
        (true, "1.1" | "0", ..) => Some("retried"),
        (_, _, 200..=299, 0) => None,
        (_, _, 200..=299, _) => Some("truncated"),
        (_, _, 502, _) | (_, "0", ..) => Some("given_up"),
        (true, _, 0, _) => Some("given_up"),
        _ => None,
    }
}

/// The cases of one client of the origin at one of its ports.
pub fn cases(seen: &Seen, client: Ipv4Addr, port: u16) -> Vec<&Value> {
    let is = |case: &Value, field: &str| case[field].as_str().and_then(|text| text.parse::<SocketAddr>().ok());
    let ours = |case: &&Value| {
        is(case, "client").is_some_and(|at| at.ip() == client) && is(case, "server").is_some_and(|at| at.port() == port)
    };
    seen.of("case").filter(ours).collect()
}

/// Path by path, and outcome by outcome: what visitors got against the cases. Gives every difference.
#[must_use]
pub fn differences(visitors: &[Visitor], cases: &[&Value]) -> Vec<String> {
    let mut counts: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
    for visitor in visitors {
        if let Some(outcome) = outcome(visitor) {
            counts.entry((visitor.path.clone(), outcome.to_owned())).or_default().0 += 1;
        }
    }
    for case in cases {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        counts.entry((text(&case["request"]["path"]), text(&case["outcome"]))).or_default().1 += 1;
    }
    let differ = counts.iter().filter(|(_, (got, seen))| got != seen);
    differ
        .map(|((path, outcome), (got, seen))| format!("{path}: {got} visitors had {outcome}, h2watch says {seen}"))
        .collect()
}

/// Whether the counts say the same as the events. Gives every difference.
#[must_use]
pub fn miscounted(seen: &Seen) -> Vec<String> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or("?").to_owned();
    let mut wrong = Vec::new();
    let mut check = |metric: &str, labels: [&str; 2], event: &str, fields: [&str; 2]| {
        let mut counts: BTreeMap<[String; 2], f64> = BTreeMap::new();
        for event in seen.of(event) {
            *counts.entry(fields.map(|field| text(event, field))).or_default() += 1.0;
        }
        let known = seen.scrape.of(metric, &[]);
        let known: BTreeSet<_> =
            known.map(|sample| labels.map(|label| sample.labels.get(label).cloned().unwrap_or_default())).collect();
        for values in known.iter().chain(counts.keys()) {
            let told = counts.get(values).copied().unwrap_or(0.0);
            let counted = seen.scrape.sum(metric, &[(labels[0], &values[0]), (labels[1], &values[1])]);
            if counted != Some(told) {
                wrong.push(format!("{metric}{values:?} is {counted:?}, the events are {told}"));
            }
        }
    };
    check("h2watch_cases_total", ["kind", "outcome"], "case", ["kind", "outcome"]);
    check("h2watch_resets_total", ["error", "frame"], "reset", ["error_name", "frame"]);
    wrong.sort();
    wrong.dedup();
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lab::metrics::Scrape;
    use crate::visitors;

    fn visitor(line: &str) -> Visitor {
        visitors::line(line).unwrap()
    }

    #[test]
    fn results_stand_for_outcomes() {
        for (line, wanted) in [
            ("GET http://e/x 1.1 200 0", None),
            ("GET http://e/x 1.1 401 0", None),
            ("GET http://e/x 1.1 502 0", Some("given_up")),
            ("GET http://e/x 0 000 52", Some("given_up")),
            ("GET http://e/x 1.1 200 18", Some("truncated")),
            ("GET https://o/x 2 200 0", None),
            ("GET https://o/x 2 200 92", Some("truncated")),
            ("GET https://o/x 2 000 92", Some("given_up")),
            ("GET https://o/x 1.1 200 0", Some("retried")),
            ("GET https://o/x 1.1 200 56", Some("retried")),
            ("GET https://o/x 0 000 56", Some("retried")),
        ] {
            assert_eq!(outcome(&visitor(line)), wanted, "{line}");
        }
    }

    #[test]
    fn every_difference_is_told() {
        let visitors = [visitor("GET http://e/a 1.1 502 0"), visitor("GET http://e/b 1.1 200 0")];
        let case = |path: &str, outcome: &str| json!({"request": {"path": path}, "outcome": outcome});
        assert!(differences(&visitors, &[&case("/a", "given_up")]).is_empty());
        assert_eq!(differences(&visitors, &[]).len(), 1);
        assert_eq!(differences(&visitors, &[&case("/a", "retried")]).len(), 2);
        assert_eq!(differences(&visitors, &[&case("/a", "given_up"), &case("/b", "given_up")]).len(), 1);
    }

    #[test]
    fn counts_are_compared_with_events() {
        let events = vec![json!({"event": "case", "kind": "downgrade", "outcome": "given_up"})];
        let scrape = |count: u8| {
            Scrape::read(&format!("h2watch_cases_total{{kind=\"downgrade\",outcome=\"given_up\"}} {count}\n")).unwrap()
        };
        let seen = |count| Seen { events: events.clone(), scrape: scrape(count), ..Seen::default() };
        assert!(miscounted(&seen(1)).is_empty());
        assert_eq!(miscounted(&seen(2)).len(), 1);
        assert_eq!(miscounted(&Seen { events: events.clone(), ..Seen::default() }).len(), 1);
    }
}
