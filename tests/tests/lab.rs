//! Real origins behind real edges: what h2watch says became of every request, live and as a replay, against what its visitor got.

use h2watch_tests::lab::observer::{Observers, Seen};
use h2watch_tests::lab::visits::{Tour, Way};
use h2watch_tests::lab::{EdgeKind, Lab, OriginKind, judge, lacking};
use h2watch_tests::skip;
use h2watch_tests::visitors::Visitor;
use serde_json::Value;

/// A lab, or a line that says why there is none.
fn lab(test: &str, origin: OriginKind, edges: &[EdgeKind]) -> Option<Lab> {
    if let Some(lack) = lacking(&[origin], edges) {
        skip(test, &lack);
        return None;
    }
    Some(Lab::start(&[origin], edges).unwrap())
}

/// All that has to hold for whatever visitors did.
fn check(how: &str, seen: &Seen, tours: &[Tour]) {
    let mut wrong: Vec<String> = tours.iter().flat_map(|tour| judge::differences(seen, tour)).collect();
    wrong.extend(judge::miscounted(seen));
    let expected = tours.iter().flat_map(|tour| tour.visitors.iter().map(|visitor| judge::outcome(visitor, tour.edge)));
    let found = expected.flatten().next().is_some();
    // A live run that was stopped in order did what it was asked to.
    let status = i32::from(found && how == "replay");
    let verdict = if found { "found" } else { "nothing" };
    if (seen.status, seen.summary()["verdict"].as_str()) != (status, Some(verdict)) {
        wrong.push(format!("exit status {}, wanted {status} for {verdict}: {:#}", seen.status, seen.summary()));
    }
    assert!(wrong.is_empty(), "{how}:\n{}\n{}\n{tours:#?}", wrong.join("\n"), seen.printed);
}

/// Visits all ways, and holds every observer to what visitors got.
fn through(test: &str, origin: OriginKind, edges: &[EdgeKind]) {
    let Some(lab) = lab(test, origin, edges) else { return };
    let observers = Observers::start(&lab).unwrap();
    let tours = lab.tours().unwrap();
    for (how, seen) in observers.finish(&lab).unwrap() {
        check(how, &seen, &tours);
    }
}

macro_rules! through {
    ($($test:ident: $origin:ident, $edges:expr;)*) => {
        $(
            #[test]
            fn $test() {
                through(stringify!($test), OriginKind::$origin, &$edges);
            }
        )*
    };
}

through! {
    kestrel_behind_haproxy: Kestrel, [EdgeKind::Haproxy, EdgeKind::HaproxyRetries];
    kestrel_behind_yarp: Kestrel, [EdgeKind::Yarp];
    kestrel_behind_nghttpx: Kestrel, [EdgeKind::Nghttpx, EdgeKind::NghttpxTls];
    kestrel_behind_mod_proxy_http2: Kestrel, [EdgeKind::ModProxy];
    apache_behind_haproxy: Apache, [EdgeKind::Haproxy, EdgeKind::HaproxyRetries];
    apache_behind_yarp: Apache, [EdgeKind::Yarp];
    apache_behind_nghttpx: Apache, [EdgeKind::Nghttpx, EdgeKind::NghttpxTls];
    apache_behind_mod_proxy_http2: Apache, [EdgeKind::ModProxy];
    a_healthy_origin_has_no_case: Nghttpd, [EdgeKind::Haproxy, EdgeKind::Nghttpx, EdgeKind::NghttpxTls, EdgeKind::ModProxy];
}

fn outcomes(cases: &[&Value], outcome: &str) -> usize {
    cases.iter().filter(|case| case["outcome"] == outcome).count()
}

/// HAProxy's retries multiply the resets: four of them, all of one request that failed one visitor.
#[test]
fn l7_retries_are_given_up_after_four_resets() {
    let test = "l7_retries_are_given_up_after_four_resets";
    let Some(lab) = lab(test, OriginKind::Kestrel, &[EdgeKind::HaproxyRetries]) else { return };
    let observers = Observers::start(&lab).unwrap();
    let visitor = lab.visit(Way::Edge(&lab.edges[0].url()), "/h1only/once").unwrap();
    assert_eq!((visitor.status, visitor.exit), (502, 0));
    for (how, seen) in observers.finish(&lab).unwrap() {
        let cases: Vec<_> = seen.of("case").collect();
        // One case, or more where HAProxy was slow to repeat.
        assert_eq!(outcomes(&cases, "given_up"), cases.len(), "{how}: {cases:#?}");
        let counted: u64 = cases.iter().filter_map(|case| case["reset_count"].as_u64()).sum();
        assert_eq!(usize::try_from(counted), Ok(EdgeKind::ATTEMPTS), "{how}: {cases:#?}");
        let resets = seen.scrape.sum("h2watch_resets_total", &[("error", "HTTP_1_1_REQUIRED"), ("sender", "server")]);
        assert_eq!(resets, Some(4.0), "{how}");
    }
}

/// On a busy URL a neighbour's success is nobody's retry.
#[test]
fn a_busy_url_has_no_false_retry() {
    let test = "a_busy_url_has_no_false_retry";
    let edges = [EdgeKind::Haproxy, EdgeKind::HaproxyRetries, EdgeKind::HaproxyIds];
    let Some(lab) = lab(test, OriginKind::Kestrel, &edges) else { return };
    let observers = Observers::start(&lab).unwrap();
    let busy = |kind: EdgeKind| {
        let edge = lab.edges.iter().find(|edge| edge.kind == kind).unwrap();
        let visitors = lab.visit_at_once(Way::Edge(&edge.url()), "/sometimes/10", 160, 16).unwrap();
        let (client, port) = (edge.host.address, edge.origin.edge_port().0);
        Tour { edge: Some(kind), origin: OriginKind::Kestrel, client, port, visitors }
    };
    let tours = edges.map(busy);
    let failed = tours.clone().map(|tour| tour.visitors.iter().filter(|visitor| visitor.status == 502).count());
    assert!(failed[0] > 0 && failed[2] > 0, "nobody was refused: {failed:?}");
    for (how, seen) in observers.finish(&lab).unwrap() {
        let [plain, retries, ids] = [0, 1, 2].map(|edge| judge::cases(&seen, &tours[edge]));
        // Without an id nobody can tell who was served after a refusal: the cases are there, and none of them is called a retry.
        assert_eq!((plain.len(), outcomes(&plain, "retried")), (failed[0], 0), "{how}: {plain:#?}");
        assert_eq!(outcomes(&retries, "retried"), 0, "{how}: {retries:#?}");
        // With an id it can be told, unless a neighbour's connection could not be read in time: that may hold anything. Connections that
        // are just being opened when the window closes are waited for.
        let blind = ids.iter().filter(|case| case["why"] == "client_blind").count();
        let given_up = outcomes(&ids, "given_up");
        assert_eq!((ids.len(), given_up + blind), (failed[2], failed[2]), "{how}: {ids:#?}");
        println!("{how}: {given_up} of {} told, {blind} blind", ids.len());
        assert!(given_up >= blind, "{how}: {ids:#?}");
        assert_eq!(judge::miscounted(&seen), Vec::<String>::new(), "{how}");
    }
}

/// The origin wants a certificate, curl asks again over HTTP/1.1 and has one.
#[test]
fn a_retry_with_a_client_certificate_is_answered() {
    let test = "a_retry_with_a_client_certificate_is_answered";
    let Some(lab) = lab(test, OriginKind::Apache, &[]) else { return };
    let observers = Observers::start(&lab).unwrap();
    let visitor = lab.visit(Way::WithCertificate(OriginKind::Apache), "/secure/a").unwrap();
    assert_eq!((visitor.version.as_str(), visitor.status, visitor.exit), ("1.1", 200, 0));
    for (how, seen) in observers.finish(&lab).unwrap() {
        let cases: Vec<_> = seen.of("case").collect();
        assert_eq!((cases.len(), outcomes(&cases, "retried")), (1, 1), "{how}: {cases:#?}");
        let retry = &cases[0]["retry"];
        assert_eq!((&retry["protocol"], &retry["status"]), (&"http/1.1".into(), &200.into()), "{how}");
    }
}

/// The edge's only connection was opened, and used, before anybody looked.
#[test]
fn a_connection_that_was_there_before_is_read() {
    let test = "a_connection_that_was_there_before_is_read";
    let Some(lab) = lab(test, OriginKind::Kestrel, &[EdgeKind::NghttpxTls]) else { return };
    let url = lab.edges[0].url();
    let ask = |path: &str| lab.visit(Way::Edge(&url), path).unwrap();
    for path in ["/", "/big/20000", "/h1only/before"] {
        ask(path);
    }
    let observers = Observers::start(&lab).unwrap();
    let visitors: Vec<Visitor> = ["/h1only/after", "/", "/h1only/again"].into_iter().map(ask).collect();
    let (client, port) = (lab.edges[0].host.address, OriginKind::Kestrel.tls_port());
    let tour = Tour { edge: Some(EdgeKind::NghttpxTls), origin: OriginKind::Kestrel, client, port, visitors };
    for (how, seen) in observers.finish(&lab).unwrap() {
        check(how, &seen, std::slice::from_ref(&tour));
        assert_eq!(seen.scrape.sum("h2watch_joined_late_connections_total", &[]), Some(1.0), "{how}");
    }
}

/// A lab of a process that was killed is removed by whoever starts the next one.
#[test]
fn nothing_is_left_of_a_lab() {
    let test = "nothing_is_left_of_a_lab";
    let Some(lab) = lab(test, OriginKind::Nghttpd, &[]) else { return };
    let name = lab.folder().file_name().unwrap().to_string_lossy().into_owned();
    assert!(h2watch_tests::lab::is_up(&name));
    drop(lab);
    assert!(!h2watch_tests::lab::is_up(&name));
}
