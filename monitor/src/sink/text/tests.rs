use std::time::Duration;

use super::{Layout, Report};
use crate::model::{
    CaseKind, Edge, Outcome, Phase, Protocol, RetryFailure, Side, Stats, Unfinished, Unsure, Verdict, Waits,
};
use crate::sink::samples;

const WIDE: Layout = Layout { width: 100, unicode: true };
const ASCII: Layout = Layout { width: 72, unicode: false };

fn report(verbose: bool) -> Report {
    let mut report = Report::new(verbose);
    samples::findings().iter().for_each(|finding| report.finding(finding));
    report
}

/// The summary without styles.
fn plain(report: &Report, stats: &Stats, verdict: Verdict, layout: &Layout) -> String {
    anstream::adapter::strip_str(&report.render(stats, verdict, layout)).to_string()
}

fn golden(name: &str, text: &str, expected: &str) {
    if std::env::var_os("H2WATCH_BLESS").is_some() {
        let path = format!("{}/src/sink/text/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, text).unwrap();
    } else {
        assert!(text == expected, "{name} differs (H2WATCH_BLESS=1 writes it anew):\n{text}");
    }
}

#[test]
fn a_summary_with_everything() {
    let text = plain(&report(true), &samples::stats(), Verdict::Found, &WIDE);
    golden("wide.golden.txt", &text, include_str!("wide.golden.txt"));
}

#[test]
fn a_narrow_terminal_without_unicode() {
    let text = plain(&report(false), &samples::stats(), Verdict::Found, &ASCII);
    golden("ascii.golden.txt", &text, include_str!("ascii.golden.txt"));
    assert!(text.is_ascii());
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in 60..=160 {
        let layout = Layout { width, unicode: true };
        let text = plain(&report(true), &samples::stats(), Verdict::Found, &layout);
        let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
        // The table of single cases has fixed columns, which need this much.
        assert!(widest.chars().count() <= width.max(116), "{width}: {widest}");
    }
}

#[test]
fn styles_change_no_text_and_nothing_from_the_wire_is_a_style() {
    let mut stats = samples::stats();
    stats.worst.paths.insert("GET /\u{1b}[2J\u{9b}1m\r\nforged".into(), Default::default());
    let styled = report(true).render(&stats, Verdict::Found, &WIDE);
    assert!(styled.contains("\u{1b}["), "styled");
    let text = plain(&report(true), &stats, Verdict::Found, &WIDE);
    assert!(text.contains(r"GET /\u{1b}[2J\u{9b}1m\r\nforged"), "{text}");
    assert!(text.contains(r"POST /a\u{202e}b"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
}

fn first_line(stats: &Stats, verdict: Verdict) -> String {
    plain(&Report::new(false), stats, verdict, &Layout { width: 160, unicode: true }).lines().next().unwrap().to_owned()
}

fn with(kind: CaseKind, outcome: Outcome, edge: Option<Edge>, count: u64) -> Stats {
    Stats { cases: [((kind, outcome, edge), count)].into(), ..Stats::default() }
}

#[test]
fn the_verdict_says_what_happened_to_whom() {
    let given_up = |edge, n| with(CaseKind::Downgrade, Outcome::GivenUp, edge, n);
    assert_eq!(
        first_line(&given_up(Some(Edge::Proxy), 12), Verdict::Found),
        "12 requests failed their visitor: the origin refused them with HTTP_1_1_REQUIRED and the edge did not ask again over HTTP/1.1."
    );
    assert_eq!(
        first_line(&given_up(None, 1), Verdict::Found),
        "1 request failed its visitor: the origin refused it with HTTP_1_1_REQUIRED and the client did not ask again over HTTP/1.1."
    );
    assert_eq!(
        first_line(&with(CaseKind::Failure, Outcome::Truncated, None, 2), Verdict::Found),
        "2 requests failed: no complete response came, for a reason other than HTTP_1_1_REQUIRED."
    );
    assert_eq!(
        first_line(&with(CaseKind::Downgrade, Outcome::Retried, None, 1), Verdict::Found),
        "1 request was refused with HTTP_1_1_REQUIRED and asked again."
    );
    for (again, of, which) in [(1, 1, "that"), (3, 3, "all of that"), (1, 3, "1 of that")] {
        let mut stats = with(CaseKind::Downgrade, Outcome::Retried, None, of);
        stats.failed_retries.insert((CaseKind::Downgrade, RetryFailure::Truncated), again);
        let wanted = format!("and asked again; {which} failed its visitor as well");
        assert!(first_line(&stats, Verdict::Found).contains(&wanted), "{}", first_line(&stats, Verdict::Found));
    }
    assert_eq!(
        first_line(&with(CaseKind::Downgrade, Outcome::Unknown, None, 3), Verdict::Found),
        "What became of 3 requests refused with HTTP_1_1_REQUIRED the capture does not say."
    );
}

#[test]
fn nothing_is_said_with_what_was_seen_and_doubt_with_what_to_do() {
    let stats = Stats { requests: [(Protocol::H2, 9)].into(), ..Stats::default() };
    let line = first_line(&stats, Verdict::Nothing);
    assert_eq!(line, "Nothing found: of 9 requests none was left without a complete response.");
    let all = [Unsure::Empty, Unsure::NoHttp, Unsure::Dark, Unsure::Lost, Unsure::Suspected, Unsure::Unanswered];
    for unsure in all {
        let text = plain(&Report::new(false), &stats, Verdict::Inconclusive(unsure), &WIDE);
        let mut lines = text.lines();
        assert!(lines.next().unwrap().starts_with("Inconclusive: "), "{text}");
        assert!(lines.any(|line| line.starts_with("To do: ")), "{text}");
    }
}

#[test]
fn nothing_is_no_more_than_was_seen() {
    let mut stats = Stats { requests: [(Protocol::H2, 9)].into(), ..Stats::default() };
    let waits = |count, seconds| Waits { count, long: 0, longest: Duration::from_secs(seconds) };
    stats.unfinished = [
        ((Unfinished::InFlight, Phase::BeforeResponse), waits(2, 60)),
        ((Unfinished::InFlight, Phase::InBody), waits(1, 90)),
        ((Unfinished::Abandoned, Phase::BeforeResponse), waits(1, 30)),
    ]
    .into();
    assert_eq!(
        first_line(&stats, Verdict::Nothing),
        "Nothing found: of 9 requests none was left without a complete response, apart from 3 in flight at the end, 1 abandoned by the client."
    );
    let text = plain(&Report::new(false), &stats, Verdict::Nothing, &Layout { width: 160, unicode: true });
    let row = "unanswered   2 in flight at the end (longest 60 s), 1 abandoned by the client before a response (after up to 30 s)";
    assert!(text.contains(row), "{text}");
    stats.unfinished.clear();
    stats.input.damage = vec!["x.pcap: cut off at byte 4711".into()];
    assert_eq!(
        first_line(&stats, Verdict::Nothing),
        "Nothing found in what could be read; the input is damaged: of 9 requests none was left without a complete response."
    );
    let unsure = first_line(&stats, Verdict::Inconclusive(Unsure::Dark));
    assert!(unsure.starts_with("Inconclusive, and the input is damaged: "), "{unsure}");
}

#[test]
fn what_hides_the_requests_is_named_with_its_remedy() {
    let said = |change: fn(&mut Stats)| {
        let mut stats = Stats::default();
        (stats.connections.total, stats.connections.bytes) = (4, 10_000);
        change(&mut stats);
        let layout = Layout { width: 160, unicode: true };
        let text = plain(&Report::new(false), &stats, Verdict::Inconclusive(Unsure::NoHttp), &layout);
        text.lines().take(2).collect::<Vec<_>>().join("\n")
    };
    let cut = said(|stats| stats.gaps = [("truncated", (9, 5_000))].into());
    assert!(cut.contains("snap length") && cut.contains("-s 0") && !cut.contains("--keylog"), "{cut}");
    let other = said(|stats| {
        stats.connections.versions = [("1.3", 3)].into();
        stats.connections.protocols = [(Protocol::Other, 3)].into();
    });
    assert!(
        other.contains("3 TLS connections were read, and none speaks HTTP") && !other.contains("--keylog"),
        "{other}"
    );
    let locked = said(|stats| stats.connections.dark = [("no_key", 3)].into());
    assert!(locked.contains("could not be read") && locked.contains("--keylog"), "{locked}");
    let one_way = said(|stats| stats.connections.one_way = [(Side::Client, 2)].into());
    assert!(
        one_way.contains("capture both directions: no packet of the client's side is there on 2 connections"),
        "{one_way}"
    );
    assert!(!one_way.contains("--keylog"), "{one_way}");
    let nothing = said(|_| {});
    assert!(nothing.contains("if that traffic is TLS, give its keys with --keylog"), "{nothing}");
}

#[test]
fn a_run_of_plaintext_does_not_speak_of_packets() {
    for alone in [false, true] {
        let stats = Stats { kernel_resets: Some(crate::model::KernelResets::new(alone)), ..Stats::default() };
        let text = plain(&Report::new(false), &stats, Verdict::Inconclusive(Unsure::Empty), &WIDE);
        assert!(text.contains("no plaintext was read") && !text.contains("holds no packets"), "{text}");
        assert_eq!(text.contains("kernel-only"), alone, "{text}");
    }
}

#[test]
fn an_empty_run_has_no_empty_tables() {
    let text = plain(&Report::new(false), &Stats::default(), Verdict::Inconclusive(Unsure::Empty), &WIDE);
    for heading in ["Resets", "Worst", "Timeline", "Suspected", "What became"] {
        assert!(!text.contains(heading), "{heading} in {text}");
    }
    assert!(text.contains("Seen") && text.contains("Not seen"));
}
