//! Compares what visitors got with what h2watch says became of their requests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::Value;

use super::EdgeKind;
use super::observer::Seen;
use super::visits::Tour;
use crate::visitors::Visitor;

/// The outcome that a visitor's result stands for; `None` for a request that went well.
#[must_use]
pub fn outcome(visitor: &Visitor, edge: Option<EdgeKind>) -> Option<&'static str> {
    match (visitor.direct, visitor.version.as_str(), visitor.status, visitor.exit) {
        // A stream that was reset, and nothing else (curl's 92): curl asks again only after HTTP_1_1_REQUIRED.
        (_, "0", _, 92) => Some("given_up"),
        // curl offers h2, and the origins of the lab choose it: over HTTP/1.1, or without any answer after that, it is a second attempt.
        (true, "1.1" | "0", ..) => Some("retried"),
        // mod_proxy_http2 ends a cut-off body as though it were whole: its visitor cannot tell.
        (_, _, 200, 0) if edge == Some(EdgeKind::ModProxy) && visitor.path.starts_with("/late/") => Some("truncated"),
        (_, _, 200..=299, 0) => None,
        (_, _, 200..=299, _) => Some("truncated"),
        (_, _, 502, _) | (_, "0", ..) => Some("given_up"),
        _ => None,
    }
}

/// The cases of the client of the origin that a tour went through.
#[must_use]
pub fn cases<'a>(seen: &'a Seen, tour: &Tour) -> Vec<&'a Value> {
    let is = |case: &Value, field: &str| case[field].as_str().and_then(|text| text.parse::<SocketAddr>().ok());
    let ours = |case: &&Value| {
        is(case, "client").is_some_and(|at| at.ip() == tour.client)
            && is(case, "server").is_some_and(|at| at.port() == tour.port)
    };
    seen.of("case").filter(ours).collect()
}

/// Path by path, and outcome by outcome: what visitors got against the cases. Gives every difference.
#[must_use]
pub fn differences(seen: &Seen, tour: &Tour) -> Vec<String> {
    let mut counts: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
    for visitor in &tour.visitors {
        if let Some(outcome) = outcome(visitor, tour.edge) {
            counts.entry((visitor.path.clone(), outcome.to_owned())).or_default().0 += 1;
        }
    }
    for case in cases(seen, tour) {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        counts.entry((text(&case["request"]["path"]), text(&case["outcome"]))).or_default().1 += 1;
    }
    let (way, origin) = (tour.way(), tour.origin.name());
    // Without an id, an edge's repeat that comes late on a busy machine cannot be told from another visitor's request.
    let most = if tour.edge == Some(EdgeKind::HaproxyRetries) { EdgeKind::ATTEMPTS } else { 1 };
    let differ = counts.iter().filter(|(_, (got, seen))| !(*got..=got * most).contains(seen));
    let told = differ.map(|((path, outcome), (got, seen))| {
        format!("{way} before {origin}, {path}: {got} visitors had {outcome}, h2watch says {seen}")
    });
    told.collect()
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
    use std::net::Ipv4Addr;

    use serde_json::json;

    use super::*;
    use crate::lab::OriginKind;
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
            ("GET http://e/late/13 1.1 200 0", None),
            ("GET http://e/x 1.1 502 0", Some("given_up")),
            ("GET http://e/x 0 000 52", Some("given_up")),
            ("GET http://e/x 1.1 200 18", Some("truncated")),
            ("GET https://o/x 2 200 0", None),
            ("GET https://o/x 2 200 92", Some("truncated")),
            ("GET https://o/x 0 000 92", Some("given_up")),
            ("GET https://o/x 1.1 200 0", Some("retried")),
            ("GET https://o/x 1.1 200 56", Some("retried")),
            ("GET https://o/x 0 000 56", Some("retried")),
        ] {
            assert_eq!(outcome(&visitor(line), Some(EdgeKind::Haproxy)), wanted, "{line}");
        }
    }

    #[test]
    fn every_difference_is_told() {
        let visitors = vec![visitor("GET http://e/a 1.1 502 0"), visitor("GET http://e/b 1.1 200 0")];
        let client = Ipv4Addr::new(10, 99, 0, 11);
        let tour = Tour { edge: Some(EdgeKind::Haproxy), origin: OriginKind::Kestrel, client, port: 8_443, visitors };
        let case = |path: &str, outcome: &str, client: &str| {
            let (request, server) = (json!({"path": path}), "10.99.0.1:8443");
            json!({"event": "case", "request": request, "outcome": outcome, "client": client, "server": server})
        };
        let differences = |events: &[Value]| {
            let seen = Seen { events: events.to_vec(), ..Seen::default() };
            differences(&seen, &tour).len()
        };
        let (ours, other) = ("10.99.0.11:40000", "10.99.0.12:40000");
        let right = case("/a", "given_up", ours);
        assert_eq!(differences(std::slice::from_ref(&right)), 0);
        assert_eq!(differences(&[right.clone(), case("/b", "given_up", other)]), 0);
        assert_eq!(differences(&[right, case("/b", "given_up", ours)]), 1);
        assert_eq!(differences(&[case("/a", "given_up", other)]), 1);
        assert_eq!(differences(&[case("/a", "retried", ours)]), 2);
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
