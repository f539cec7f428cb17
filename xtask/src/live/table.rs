//! The tables.

use super::beside::{Beside, Seen};
use super::drive::{Driven, Shape};

/// One run.
pub(super) struct Run {
    pub(super) shape: Shape,
    pub(super) beside: Beside,
    pub(super) driven: Driven,
    pub(super) seen: Seen,
}

impl Run {
    fn rate(&self) -> f64 {
        self.driven.requests / self.driven.seconds
    }

    /// Microseconds of the origin's CPU time a request.
    fn origin_cpu(&self) -> f64 {
        self.driven.origin_cpu.as_secs_f64() * 1e6 / self.driven.requests.max(1.0)
    }

    fn cpu(&self) -> f64 {
        self.driven.cpu.as_secs_f64() * 1e6 / self.driven.requests.max(1.0)
    }

    /// Seconds of CPU time for each GB that the clients received, where it is bytes that cost.
    fn cpu_of_bytes(&self) -> Option<f64> {
        let cost = self.driven.cpu.as_secs_f64() * 1e9 / self.driven.bytes.max(1.0);
        (self.shape == Shape::Large && self.beside != Beside::Nothing).then_some(cost)
    }

    fn memory(&self) -> f64 {
        mebibytes(self.driven.memory.iter().copied().max().unwrap_or(0))
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The middle one; of an even number the lower.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// Prints a row for each load and source.
pub(super) fn print(sources: &[Beside], runs: &[Run]) {
    println!(
        "| load | beside it | requests/s | MB/s | origin's CPU a request | its CPU a request | its CPU a GB | packets lost | resets seen | delay p50 | p99 | memory | behind |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for shape in Shape::ALL {
        for &beside in sources {
            let of: Vec<&Run> = runs.iter().filter(|run| (run.shape, run.beside) == (shape, beside)).collect();
            if !of.is_empty() {
                println!("{}", row(shape, beside, &of));
            }
        }
    }
}

fn row(shape: Shape, beside: Beside, runs: &[&Run]) -> String {
    let middle = |of: &dyn Fn(&Run) -> Option<f64>| median(runs.iter().filter_map(|run| of(run)).collect());
    let show = |of: &dyn Fn(&Run) -> Option<f64>, as_text: &dyn Fn(f64) -> String| {
        middle(of).map_or_else(String::new, as_text)
    };
    let watched = |value: fn(&Run) -> f64| move |run: &Run| (run.beside != Beside::Nothing).then(|| value(run));
    let cells = [
        shape.name().to_owned(),
        beside.name().to_owned(),
        show(&|run| Some(run.rate()), &|value| format!("{value:.0}")),
        show(&|run| Some(run.driven.bytes / run.driven.seconds / 1e6), &|value| format!("{value:.0}")),
        show(&|run| Some(run.origin_cpu()), &|value| format!("{value:.1} µs")),
        show(&watched(Run::cpu), &|value| format!("{value:.1} µs")),
        show(&Run::cpu_of_bytes, &|value| format!("{value:.2} s")),
        lost(runs),
        resets(runs),
        show(&|run| run.seen.delay.map(|delay| delay.0), &bound),
        show(&|run| run.seen.delay.map(|delay| delay.1), &bound),
        show(&watched(Run::memory), &|value| format!("{value:.0} MiB")),
        show(&watched(|run| run.driven.behind.as_secs_f64()), &|value| format!("{value:.1} s")),
    ];
    format!("| {} |", cells.join(" | "))
}

/// An upper bound in seconds: that of a bucket.
fn bound(seconds: f64) -> String {
    format!("≤ {:.0} ms", seconds * 1e3)
}

/// Of all runs together.
fn lost(runs: &[&Run]) -> String {
    let told: Vec<(f64, f64)> = runs.iter().filter_map(|run| run.seen.lost).collect();
    if told.is_empty() {
        return String::new();
    }
    let (lost, of) = told.iter().fold((0.0, 0.0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    if of > 0.0 { format!("{lost:.0} ({:.3} %)", 100.0 * lost / of) } else { format!("{lost:.0}") }
}

/// Of all runs together: what was seen, of what h2load says was refused.
fn resets(runs: &[&Run]) -> String {
    let refused: f64 = runs.iter().map(|run| run.driven.refused).sum();
    let seen: Vec<f64> = runs.iter().filter_map(|run| run.seen.resets).collect();
    match (seen.is_empty(), refused > 0.0) {
        (true, _) | (_, false) => String::new(),
        _ => format!("{:.0} of {refused:.0}", seen.iter().sum::<f64>()),
    }
}

/// Prints memory over time.
pub(super) fn print_memory(runs: &[Run]) {
    let tenths: Vec<String> = (1..=10).map(|n| format!("{}/11", n)).collect();
    println!("| beside it | {} | end | requests/s | packets lost |", tenths.join(" | "));
    println!("| --- |{}", " --- |".repeat(tenths.len() + 3));
    for run in runs {
        let cells: Vec<String> = run.driven.memory.iter().map(|&bytes| format!("{:.0}", mebibytes(bytes))).collect();
        println!("| {} | {} | {:.0} | {} |", run.beside.name(), cells.join(" | "), run.rate(), lost(&[run]));
    }
    println!("\nMiB, at equal steps of the time.");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn run(requests: f64, beside: Beside) -> Run {
        let driven = Driven {
            seconds: 10.0,
            requests,
            refused: 10.0,
            bytes: 1e9,
            origin_cpu: Duration::from_secs(5),
            cpu: Duration::from_secs(2),
            memory: vec![1 << 20, 3 << 20],
            behind: Duration::ZERO,
        };
        let seen = Seen { lost: Some((1.0, 1_000.0)), resets: Some(9.0), delay: Some((0.01, 0.025)) };
        Run { shape: Shape::Small, beside, driven, seen }
    }

    #[test]
    fn a_row_has_the_median_of_its_runs() {
        let runs = [1e5, 3e5, 2e5].map(|requests| run(requests, Beside::Pcap));
        let row = row(Shape::Small, Beside::Pcap, &runs.iter().collect::<Vec<_>>());
        assert_eq!(
            row,
            "| small requests | h2watch, libpcap and key log | 20000 | 100 | 25.0 µs | 10.0 µs |  | 3 (0.100 %) | 27 of 30 | \
             ≤ 10 ms | ≤ 25 ms | 3 MiB | 0.0 s |"
        );
        assert_eq!(median(vec![]), None);
    }
}
