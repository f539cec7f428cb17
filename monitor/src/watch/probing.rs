//! What it takes to set probes. Kernels differ in that, whatever their version says: so it is tried.

use std::sync::OnceLock;

use super::ProbeTargets;
use super::privileges::{self, Capability};

/// What was found: of the kernel that runs, with the privileges that there were at first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// What it takes.
    capabilities: Vec<Capability>,
    /// Why probes cannot be set, in one line.
    problem: Option<String>,
}

/// What it takes to set probes, now and later. Asked first before privileges are given up.
#[must_use]
pub fn capabilities() -> Vec<Capability> {
    found().capabilities.clone()
}

/// Whether probes can be set.
///
/// # Errors
/// Why not, in one line.
pub fn check() -> Result<(), String> {
    found().problem.clone().map_or(Ok(()), Err)
}

fn found() -> &'static Found {
    static FOUND: OnceLock<Found> = OnceLock::new();
    FOUND.get_or_init(|| find(&privileges::check, &mut |capabilities| privileges::with(capabilities, set_one)))
}

#[cfg(feature = "ebpf")]
fn set_one() -> Result<(), String> {
    crate::source::trial::probe().map_err(|error| error.to_string())
}

#[cfg(not(feature = "ebpf"))]
fn set_one() -> Result<(), String> {
    Err("this build has no probes".to_owned())
}

/// Tries with the least, then with CAP_SYS_ADMIN, which kernels without links of many probes may want.
fn find(
    check: &dyn Fn(&[Capability]) -> Result<(), String>,
    try_with: &mut dyn FnMut(&[Capability]) -> Result<(), String>,
) -> Found {
    let least = ProbeTargets::CAPABILITIES.to_vec();
    if let Err(problem) = check(&least) {
        return Found { capabilities: least, problem: Some(problem) };
    }
    let Err(refused) = try_with(&least) else { return Found { capabilities: least, problem: None } };
    let more = [least.as_slice(), &[Capability::CAP_SYS_ADMIN]].concat();
    if let Err(missing) = check(&more) {
        let problem = format!("{missing} (this kernel sets no probe without it: {refused})");
        return Found { capabilities: more, problem: Some(problem) };
    }
    match try_with(&more) {
        Ok(()) => Found { capabilities: more, problem: None },
        Err(refused) => Found { capabilities: least, problem: Some(format!("no probe can be set: {refused}")) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found with these capabilities, on a kernel that wants so many of what is tried.
    fn found(has: &[Capability], wants: usize) -> Found {
        let check = |wanted: &[Capability]| match wanted.iter().find(|wanted| !has.contains(wanted)) {
            Some(missing) => Err(format!("{missing} is missing")),
            None => Ok(()),
        };
        find(&check, &mut |with| if with.len() < wants { Err("EACCES".to_owned()) } else { Ok(()) })
    }

    #[test]
    fn what_the_kernel_wants_is_found_by_trying() {
        let least = ProbeTargets::CAPABILITIES;
        let more = [least, &[Capability::CAP_SYS_ADMIN]].concat();
        let fine = |capabilities: &[Capability]| Found { capabilities: capabilities.to_vec(), problem: None };
        assert_eq!(found(least, 4), fine(least));
        assert_eq!(found(&more, 4), fine(least), "no more than it takes");
        assert_eq!(found(&more, 5), fine(&more));
        let problem = |found: Found| found.problem.unwrap();
        let without = found(least, 5);
        assert_eq!(without.capabilities, more);
        assert!(problem(without).starts_with("CAP_SYS_ADMIN is missing (this kernel sets no probe without it: EACCES"));
        assert_eq!(problem(found(&more, 9)), "no probe can be set: EACCES");
        assert!(problem(found(&[Capability::CAP_BPF], 4)).contains("CAP_PERFMON is missing"));
    }
}
