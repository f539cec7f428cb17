//! What the kernel and the privileges allow of the programs in the kernel.

use caps::{CapSet, Capability};

use super::Report;
use crate::watch::Options;

/// Every capability that a run may need, and what for.
const CAPABILITIES: [(Capability, &str); 6] = [
    (Capability::CAP_NET_RAW, "captures by libpcap"),
    (Capability::CAP_BPF, "loads the programs of the tap and of the probes"),
    (Capability::CAP_PERFMON, "lets these programs read what they are for, and sets probes"),
    (Capability::CAP_NET_ADMIN, "attaches the tap to interfaces, and sets an adapter's clock"),
    (Capability::CAP_SYS_PTRACE, "finds what other users' processes run, for probes"),
    (Capability::CAP_DAC_READ_SEARCH, "reads programs, libraries and key logs that are not for everybody"),
];

pub(super) fn capabilities(options: &Options, report: &mut Report) {
    let needed = options.capabilities();
    for (capability, what) in CAPABILITIES {
        let has = caps::has_cap(None, CapSet::Effective, capability);
        match (has, needed.contains(&capability)) {
            (Ok(true), _) => report.ok("capability", format!("{capability}: there; {what}")),
            (Ok(false), false) => {
                report.ok("capability", format!("{capability}: not there, and not needed by these settings; {what}"));
            }
            (Ok(false), true) => report.fail(
                "capability",
                format!("{capability}: missing; {what}"),
                format!("run as root, or under systemd with AmbientCapabilities={capability}"),
            ),
            (Err(error), _) => {
                report.unknown("capability", format!("{capability}: {error}"), "see CapEff in /proc/self/status");
            }
        }
    }
}

#[cfg(feature = "ebpf")]
pub(super) fn kernel(report: &mut Report) {
    use crate::source::trial;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let types = if std::path::Path::new("/sys/kernel/btf/vmlinux").exists() { "with" } else { "without" };
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next(), numbers.next());
    let hook = if version >= (Some(6), Some(6)) { "TCX" } else { "clsact" };
    let found = format!("Linux {release}, {types} BTF; the tap attaches by {hook}");
    match version >= (Some(6), Some(0)) {
        true => report.ok("kernel", found),
        false => report.warn("kernel", found, "probes need Linux 6.0 or later: use key logs"),
    }
    match trial::programs() {
        Ok(tried) => {
            let refused = tried.iter().filter_map(|program| program.problem.as_deref());
            let before = report.checks.len();
            refused.for_each(|problem| report.warn("kernel programs", problem, "use source pcap and key logs"));
            if report.checks.len() == before {
                let found =
                    format!("all {} load: ring buffers, traffic control hooks, probes in programs", tried.len());
                report.ok("kernel programs", found);
            }
        }
        Err(error) => report.warn(
            "kernel programs",
            format!("{error}"),
            "run doctor as root to know more; without them source pcap and key logs are left",
        ),
    }
}

#[cfg(not(feature = "ebpf"))]
pub(super) fn kernel(report: &mut Report) {
    report.ok("kernel programs", "not in this build: source pcap and key logs alone");
}
