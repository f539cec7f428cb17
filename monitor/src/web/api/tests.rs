use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{About, Part};
use crate::model::{
    ConnectionId, Finding, OriginErrorFinding, Parties, Protocol, Request, Side, Time, Unsure, Verdict,
};
use crate::watch::Snapshot;
use crate::web::query::Query;

fn ask(snapshot: &Snapshot, part: &str, query: &str) -> Value {
    let request = Part::by_name(part).unwrap().request(Query::new(query)).unwrap();
    let about = About { snapshot, age: Duration::from_millis(40), config_error: None };
    serde_json::from_slice(&request.json(&about)).unwrap()
}

fn parties() -> Parties {
    let end = SocketAddr::from(([192, 0, 2, 1], 443));
    Parties { client: Some(end), server: Some(end), process: None }
}

fn origin_error(id: u64) -> Finding {
    let request = Request { path: Some("/<b>\u{202e}".into()), ..Request::default() };
    Finding::OriginError(Box::new(OriginErrorFinding {
        time: Time(1),
        id,
        parties: parties(),
        protocol: Protocol::H2,
        request: Some(Arc::new(request)),
        status: 503,
        edge: None,
    }))
}

fn anomaly() -> Finding {
    let connection = ConnectionId(1);
    let by = Some(Side::Client);
    Finding::Anomaly { time: Time(2), connection, parties: parties(), by, what: "h2_hpack" }
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot {
        number: 9,
        verdict: Some(Verdict::Inconclusive(Unsure::Empty)),
        latest: vec![Arc::new(origin_error(1)), Arc::new(anomaly()), Arc::new(origin_error(2))],
        latest_numbers: vec![4, 7, 8],
        ..Snapshot::default()
    };
    snapshot.stats.requests.insert(Protocol::H2, 5);
    snapshot
}

#[test]
fn every_part_has_schema_and_snapshot() {
    let snapshot = snapshot();
    for part in ["status", "resets", "cases", "events", "history", "top"] {
        let found = ask(&snapshot, part, "");
        assert_eq!((&found["schema"], &found["snapshot"]), (&"h2watch/1".into(), &9.into()), "{part}");
    }
    assert_eq!(ask(&snapshot, "build", "")["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(ask(&snapshot, "status", "")["counts"]["requests"][0]["count"], 5);
    assert!(Part::by_name("nothing").is_none());
}

#[test]
fn events_are_chosen_by_number_kind_and_limit() {
    let snapshot = snapshot();
    let numbers = |query: &str| {
        let found = ask(&snapshot, "events", query);
        assert_eq!(found["newest"], 8);
        let numbers = found["events"].as_array().unwrap().iter().map(|event| event["number"].as_u64().unwrap());
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(numbers(""), [8, 7, 4]);
    assert_eq!(numbers("limit=1"), [8]);
    assert_eq!(numbers("limit=99999999999"), [8, 7, 4]);
    assert_eq!(numbers("since=7"), [8]);
    assert_eq!(numbers("kind=anomaly,case"), [7]);
    assert!(numbers("limit=0").is_empty());
    for wrong in ["limit=x", "since=-1", "kind=other", "kind=", "other=1"] {
        assert!(Part::Events.request(Query::new(wrong)).is_err(), "{wrong}");
    }
    assert!(Part::Status.request(Query::new("a=1")).is_err());
}

#[test]
fn an_event_is_what_the_events_file_has() {
    let snapshot = snapshot();
    let found = ask(&snapshot, "events", "limit=1");
    let event = &found["events"][0]["event"];
    assert_eq!((&event["event"], &event["id"]), (&"origin_error".into(), &"o2".into()));
    assert_eq!(event["request"]["path"], "/<b>\u{202e}");
}

#[test]
fn before_the_first_snapshot_of_a_run_there_are_no_counts() {
    let found = ask(&Snapshot::default(), "status", "");
    assert_eq!((&found["counts"], &found["capturing"]), (&Value::Null, &false.into()));
    assert_eq!(found["headline"]["level"], "stopped");
    ask(&Snapshot::default(), "resets", "");
}
