//! What probes could not do, said once each.

use std::collections::HashSet;

use super::complain;
use crate::source::processes::Processes;

/// Most problems that are told.
const MAX_TOLD: usize = 256;

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    problems: HashSet<String>,
    left_out: bool,
}

impl Told {
    /// A problem, as the rest of a line that begins with what has it. `true`: it was not told before.
    pub(super) fn is_new(&mut self, problem: &str) -> bool {
        self.problems.len() < MAX_TOLD && self.problems.insert(problem.to_owned())
    }

    /// Says that a file is not probed, or not all of it.
    pub(super) fn problem(&mut self, problem: &str) {
        if self.is_new(problem) {
            complain(&format!("cannot {problem}"));
        }
    }

    /// Says that there is too much, where something was left out.
    pub(super) fn left_out(&mut self, count: u64) {
        if count > 0 && !std::mem::replace(&mut self.left_out, true) {
            complain(
                "there are more processes and files than the probes can hold: name the ones that matter, by pid, unit or cgroup",
            );
        }
    }
}

/// Says where nothing that was named runs.
pub(super) fn targets(processes: &Processes) {
    if processes.wanted() == 0 {
        complain("no process is in what unit and cgroup name: the probes wait for one");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_has_a_cap_and_is_told_once() {
        let mut told = Told::default();
        assert!(told.is_new("probe /lib/a") && !told.is_new("probe /lib/a"));
        let new = (0..10_000).filter(|number| told.is_new(&number.to_string())).count();
        assert_eq!((new, told.problems.len()), (MAX_TOLD - 1, MAX_TOLD));
    }
}
