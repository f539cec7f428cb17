use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::detect::{Detector, Settings};
use crate::export::families;
use crate::limits::Limits;
use crate::model::{
    ConnectionId, Endpoints, ErrorCode, Event, Exchange, ExchangeEnd, Finding, Kind, Phase, Protocol, Request,
    ResetSeen, Servers, Side, Stats, Time,
};
use crate::watch::Snapshot;

const CONNECTIONS: u16 = 6_000;

/// Thousands of servers, hosts, methods, statuses and codes; every request is reset.
fn attack(settings: Settings) -> (Stats, Vec<Finding>) {
    let limits = Limits { top: 100, ..Limits::default() };
    let mut detector = Detector::new(settings, Arc::new(limits));
    let mut out = Vec::new();
    let mut now = 1_000_000_000;
    for n in 0..CONNECTIONS {
        let connection = ConnectionId(u64::from(n));
        let mut say = |kind| {
            now += 1_000;
            detector.event(Event { time: Time(now), connection, kind }, &mut out);
        };
        let server = SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], n));
        let client = SocketAddr::from(([192, 0, 2, n as u8], n));
        say(Kind::Opened {
            ends: Box::new(Endpoints { client: Some(client), server: Some(server), proxied: None }),
            joined: false,
            plaintext: false,
        });
        say(Kind::Protocol(Protocol::H2));
        let request = Request {
            method: Some(format!("M{n}").into()),
            authority: Some(format!("h{n}.example").into()),
            path: Some(format!("/{n}").as_str().into()),
            ..Request::default()
        };
        say(Kind::Request(Exchange { id: 1, request: Arc::new(request), pushed: false }));
        let status = Some(n % 1_000);
        say(Kind::Response { exchange: 1, status, informational: false, asks_windows_auth: false });
        let code = ErrorCode(u32::from(n) * 7);
        let reset = h2_tap::Reset { by: Side::Server, stream: 1, code, verified: true };
        let seen = ResetSeen { reset, phase: Phase::InBody, request: None, status, opened: Some(Time(1)) };
        say(Kind::Reset(Box::new(seen)));
        let end = ExchangeEnd::Reset(reset);
        say(Kind::Ended { exchange: 1, end, status, phase: Phase::InBody, known: true });
    }
    detector.finish(Time(now + 10_000_000_000), &mut out);
    (detector.stats().clone(), out)
}

fn series(stats: Stats, findings: Vec<Finding>) -> BTreeMap<&'static str, usize> {
    let latest = findings.into_iter().map(Arc::new).collect();
    let snapshot = Snapshot { stats, latest, ..Snapshot::default() };
    families(&snapshot, false).iter().map(|family| (family.name, family.series.len())).collect()
}

#[test]
fn what_is_on_the_wire_makes_no_series() {
    let quiet = series(Stats::default(), Vec::new());
    let (stats, findings) = attack(Settings::default());
    assert!(findings.len() > usize::from(CONNECTIONS) && stats.capped["reset_codes"] > 0);
    let loud = series(stats.clone(), findings);
    for (name, &count) in &loud {
        let grown = match *name {
            "h2watch_server_requests_total" => Servers::FIRST,
            "h2watch_server_resets_total" => Servers::FIRST * 15,
            "h2watch_server_cases_total" => Servers::FIRST * 8,
            _ => 0,
        };
        assert_eq!(count, quiet[name] + grown, "{name}");
    }
    assert!(loud.values().sum::<usize>() < 2_000);
    // And no count is lost for it.
    let resets = |stats: &Stats| stats.resets.values().chain(stats.resets_beyond.values()).sum::<u64>();
    assert_eq!(resets(&stats), u64::from(CONNECTIONS));
    let all = stats.servers.named().map(|(_, counts)| counts).chain([stats.servers.rest()]);
    let (requests, resets) =
        all.fold((0, 0), |sum, counts| (sum.0 + counts.requests, sum.1 + counts.resets.iter().sum::<u64>()));
    assert_eq!((requests, resets), (u64::from(CONNECTIONS), u64::from(CONNECTIONS)));
    let classes = crate::export::families_of_stats(&stats);
    let classes = classes.iter().find(|family| family.name == "h2watch_responses_total").unwrap();
    let answered: u64 = classes
        .series
        .iter()
        .map(|series| match series.value {
            crate::export::Value::Count(count) => count,
            _ => 0,
        })
        .sum();
    assert_eq!(answered, u64::from(CONNECTIONS), "a status of 0 or of 999 is counted, too");
}

#[test]
fn named_servers_are_the_only_ones() {
    let named: Vec<SocketAddr> = vec!["10.0.0.7:7".parse().unwrap(), "203.0.113.1:443".parse().unwrap()];
    let (stats, findings) = attack(Settings { servers: named, ..Settings::default() });
    assert_eq!(series(stats.clone(), findings)["h2watch_server_requests_total"], 3);
    let counts: Vec<u64> = stats.servers.named().map(|(_, counts)| counts.requests).collect();
    assert_eq!((counts, stats.servers.rest().requests), (vec![1, 0], u64::from(CONNECTIONS) - 1));
}
