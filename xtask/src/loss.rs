//! `cargo xtask loss`: what is found again when packets are missing, beside tshark.

use std::collections::BTreeMap;
use std::path::Path;

use h2watch_tests::loss::{Subject, subjects};
use h2watch_tests::tshark::{self, Reset};
use h2watch_tests::{captures, loss};

/// Losses that tshark is tried on, a capture: it takes half a second for each.
const TSHARK_TRIES: usize = 12;

#[derive(Default)]
struct Row {
    losses: usize,
    wanted: u64,
    got: u64,
    wrong: usize,
}

impl Row {
    fn add(&mut self, recovered: &loss::Recovered) {
        self.losses += 1;
        self.wanted += recovered.wanted;
        self.got += recovered.got;
        self.wrong += recovered.wrong.len();
    }

    fn print(&self, name: &str) {
        let share = self.got as f64 / (self.wanted as f64).max(1.0) * 100.0;
        println!("| {name} | {} | {} | {} | {share:.3} % | {} |", self.losses, self.wanted, self.got, self.wrong);
    }
}

fn counts(resets: &[Reset]) -> BTreeMap<&Reset, u64> {
    let mut counts = BTreeMap::new();
    for reset in resets {
        *counts.entry(reset).or_default() += 1;
    }
    counts
}

/// Header sections and resets that tshark finds with and without the packets.
fn with_tshark(subject: &Subject, whole: &tshark::Frames, lost: usize, scratch: &Path, row: &mut Row) {
    subject.cut.write_without(|index| index == lost, scratch);
    let part = tshark::frames(scratch, &subject.keys);
    let (before, after) = (counts(&whole.resets), counts(&part.resets));
    row.losses += 1;
    row.wanted += whole.resets.len() as u64 + whole.requests.len() as u64;
    row.got += before.iter().map(|(reset, count)| (*count).min(after.get(reset).copied().unwrap_or(0))).sum::<u64>();
    row.got += part.requests.len().min(whole.requests.len()) as u64;
}

/// Prints the table.
pub fn run() -> Result<(), String> {
    let shared = captures::shared().ok_or("no ../shared/captures: set H2WATCH_SHARED")?;
    let scratch = std::env::temp_dir().join(format!("h2watch-loss-{}.pcap", std::process::id()));
    let subjects = subjects(&shared);
    println!("| losses | runs | header sections and resets in undamaged packets | found | share | made up |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut single = Row::default();
    for subject in &subjects {
        for index in (0..subject.cut.len()).filter(|&index| subject.may_be_lost(index)) {
            single.add(&subject.lose(&|at| at == index, &scratch));
        }
    }
    single.print("h2watch, each single packet");
    for per_mille in [10, 50] {
        let mut row = Row::default();
        for (subject, seed) in subjects.iter().flat_map(|subject| (0..20).map(move |seed| (subject, seed))) {
            let lost = subject.cut.pick(per_mille, seed, |index| subject.may_be_lost(index));
            row.add(&subject.lose(&|index| lost[index], &scratch));
        }
        row.print(&format!("h2watch, {} % at random", per_mille / 10));
    }
    if tshark::is_there() {
        let mut row = Row::default();
        for subject in &subjects {
            let whole = tshark::frames(&subject.path, &subject.keys);
            let may: Vec<usize> = (0..subject.cut.len()).filter(|&index| subject.may_be_lost(index)).collect();
            for index in may.iter().step_by((may.len() / TSHARK_TRIES).max(1)) {
                with_tshark(subject, &whole, *index, &scratch, &mut row);
            }
        }
        row.print("tshark, single packets (a sample; requests and resets of all packets)");
    }
    let _ = std::fs::remove_file(&scratch);
    Ok(())
}
