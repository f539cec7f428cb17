use std::collections::BTreeMap;

use super::Layout;
use super::page::{Cell, DIM, PLAIN, Page, grouped, moment, size, span};
use super::{coverage, sections, verdict};
use crate::model::{CaseFinding, ConnectionId, DarkWhy, Finding, Parties, Side, Stats, Time, TlsDark, Verdict};
use crate::sink::{printable, words};

/// Failed cases that are shown one by one.
const CASES: usize = 5;
/// Connections that `--verbose` lists; more are counted.
const CONNECTIONS: usize = 1_000;
/// Notes of one of them; more are counted.
const NOTES: usize = 16;

/// Gathers what the summary shows one by one.
#[derive(Debug, Default)]
pub(in crate::sink) struct Report {
    verbose: bool,
    /// The first failed cases.
    cases: Vec<CaseFinding>,
    connections: BTreeMap<ConnectionId, Notes>,
    /// Notes of connections that are not listed.
    omitted: u64,
}

#[derive(Debug)]
struct Notes {
    parties: Parties,
    notes: Vec<(Time, String)>,
    omitted: u64,
}

impl Report {
    pub(in crate::sink) fn new(verbose: bool) -> Self {
        Self { verbose, ..Self::default() }
    }

    pub(in crate::sink) fn finding(&mut self, finding: &Finding) {
        match finding {
            Finding::Case(case) => {
                if case.failed_visitor() && self.cases.len() < CASES {
                    self.cases.push((**case).clone());
                }
            }
            _ if !self.verbose => {}
            Finding::Gap { time, connection, parties, by, bytes, at } => {
                let lost = || bytes.map_or_else(|| "an unknown number of bytes".to_owned(), size);
                let text = || format!("gap: {} of the {} lost ({})", lost(), words::side(*by), at.name());
                self.note(*connection, parties, *time, text);
            }
            Finding::Dark(dark) => {
                let text = || format!("dark: {}, {}{}", whose(dark.by), dark.why.name(), number(dark.why));
                self.note(dark.connection, &dark.parties, dark.time, text);
            }
            Finding::Anomaly { time, connection, parties, by, what } => {
                let text = || format!("anomaly: {}, {what}", whose(*by));
                self.note(*connection, parties, *time, text);
            }
            Finding::Reset(_) | Finding::OriginError(_) | Finding::Suspected(_) => {}
        }
    }

    fn note(&mut self, connection: ConnectionId, parties: &Parties, time: Time, text: impl FnOnce() -> String) {
        if self.connections.len() >= CONNECTIONS && !self.connections.contains_key(&connection) {
            self.omitted = self.omitted.saturating_add(1);
            return;
        }
        let new = || Notes { parties: parties.clone(), notes: Vec::new(), omitted: 0 };
        let of = self.connections.entry(connection).or_insert_with(new);
        if of.notes.len() < NOTES {
            of.notes.push((time, text()));
        } else {
            of.omitted = of.omitted.saturating_add(1);
        }
    }

    /// The summary, with ANSI styles.
    pub(in crate::sink) fn render(&self, stats: &Stats, verdict: Verdict, layout: &Layout) -> String {
        let mut page = Page::new(*layout);
        verdict::verdict(&mut page, stats, verdict);
        sections::cases(&mut page, stats);
        self.first_cases(&mut page);
        sections::resets(&mut page, stats);
        sections::timeline(&mut page, stats);
        sections::worst(&mut page, stats);
        sections::suspected(&mut page, stats);
        coverage::seen(&mut page, stats);
        coverage::unseen(&mut page, stats);
        self.connections(&mut page);
        page.finish()
    }

    fn first_cases(&self, page: &mut Page) {
        if self.cases.is_empty() {
            return;
        }
        page.heading("First failed requests", "on the wire; the outcome is inferred");
        let rows: Vec<Vec<Cell>> = self
            .cases
            .iter()
            .map(|case| {
                vec![
                    Cell::text(clock(case.began)),
                    Cell::text(format!("c{}", case.id)),
                    Cell::text(words::kind(case.kind)),
                    Cell::text(words::outcome(case.outcome)),
                    Cell::number(case.reset_count),
                    Cell::text(case.parties.client.map_or_else(|| "unknown".to_owned(), |client| client.to_string())),
                    Cell::text(request(case)),
                ]
            })
            .collect();
        page.table(&["began (UTC)", "case", "kind", "outcome", "resets", "client", "request"], &rows);
    }

    fn connections(&self, page: &mut Page) {
        if !self.verbose {
            return;
        }
        page.heading("Connections that were not seen whole", "--verbose");
        if self.connections.is_empty() {
            page.paragraph(2, DIM, "none");
        }
        for (id, of) in &self.connections {
            page.paragraph(2, PLAIN, &format!("#{}  {}", id.0, of.parties));
            let start = of.notes.first().map_or(Time(0), |note| note.0);
            for (time, note) in &of.notes {
                let after = match time.since(start) {
                    zero if zero.is_zero() => moment(*time),
                    later => format!("+{}", span(later)),
                };
                page.paragraph(6, PLAIN, &format!("{note}, {after}"));
            }
            if of.omitted > 0 {
                page.paragraph(6, DIM, &format!("and {} more", grouped(of.omitted)));
            }
        }
        if self.omitted > 0 {
            page.paragraph(2, DIM, &format!("and {} notes of further connections", grouped(self.omitted)));
        }
    }
}

/// The time of day: the summary names the day where it says what the capture holds.
fn clock(time: Time) -> String {
    let moment = moment(time);
    moment.split_once(' ').map_or_else(|| moment.clone(), |(_, clock)| clock.to_owned())
}

fn whose(by: Option<Side>) -> &'static str {
    match by {
        Some(side) => words::side(side),
        None => "both sides",
    }
}

/// The IANA number behind a reason that has one.
fn number(why: DarkWhy) -> String {
    match why {
        DarkWhy::Tls(TlsDark::Suite(number) | TlsDark::Version(number)) => format!(" {number:#06x}"),
        _ => String::new(),
    }
}

fn request(case: &CaseFinding) -> String {
    let Some(request) = case.request.as_deref() else { return "not known".into() };
    let part = |part: Option<&str>| part.map_or_else(|| "?".into(), |text| printable(text).into_owned());
    format!(
        "{} {} at {}",
        part(request.method.as_deref()),
        part(request.path.as_deref()),
        part(request.authority.as_deref())
    )
}
