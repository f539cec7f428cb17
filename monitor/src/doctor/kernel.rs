//! What the kernel and the privileges allow of the programs in the kernel.

use caps::{CapSet, Capability};

use super::Report;
use crate::source::live::PacketSource;
use crate::watch::{Options, probing};

/// Every capability that a run may need, and what for.
const CAPABILITIES: [(Capability, &str); 7] = [
    (Capability::CAP_NET_RAW, "captures by libpcap"),
    (Capability::CAP_BPF, "loads the programs of the tap and of the probes"),
    (Capability::CAP_PERFMON, "lets these programs read what they are for, and sets probes"),
    (Capability::CAP_NET_ADMIN, "attaches the tap to interfaces, and sets an adapter's clock"),
    (Capability::CAP_SYS_PTRACE, "finds what other users' processes run, for probes"),
    (Capability::CAP_DAC_READ_SEARCH, "reads programs, libraries and key logs that are not for everybody"),
    (Capability::CAP_SYS_ADMIN, "sets probes on kernels that want more than CAP_PERFMON for it"),
];

pub(super) fn capabilities(options: &Options, asked: &Options, report: &mut Report) {
    let (needed, liked) = (options.capabilities(), liked(asked));
    for (capability, what) in CAPABILITIES {
        match caps::has_cap(None, CapSet::Effective, capability) {
            Ok(has) => one(capability, what, has, (&needed, &liked), report),
            Err(error) => {
                report.unknown("capability", format!("{capability}: {error}"), "see CapEff in /proc/self/status");
            }
        }
    }
}

/// A capability that may be there, of those that are needed and those that would be used.
fn one(
    capability: Capability,
    what: &str,
    has: bool,
    (needed, liked): (&[Capability], &[Capability]),
    report: &mut Report,
) {
    let remedy = || format!("run as root, or under systemd with AmbientCapabilities={capability}");
    if has {
        report.ok("capability", format!("{capability}: there; {what}"));
    } else if needed.contains(&capability) {
        report.fail("capability", format!("{capability}: missing; {what}"), remedy());
    } else if liked.contains(&capability) {
        let found = format!("{capability}: missing, and auto does without what it is for; {what}");
        report.warn("capability", found, remedy());
    } else {
        report.ok("capability", format!("{capability}: not there, and not needed by these settings; {what}"));
    }
}

/// What `auto` would use if it could.
fn liked(asked: &Options) -> Vec<Capability> {
    let mut liked = match asked.capture.source {
        PacketSource::Auto => asked.capture.capabilities_of(PacketSource::Tap),
        PacketSource::Pcap | PacketSource::Tap | PacketSource::Off => Vec::new(),
    };
    if asked.probe.is_some() {
        liked.extend(probing::capabilities());
    }
    liked
}

/// Whether probes can be set, where they are asked for.
pub(super) fn probes(options: &Options, asked: &Options, report: &mut Report) {
    if asked.probe.is_none() && asked.plaintext.is_none() {
        return;
    }
    const REMEDY: &str = "see the lines of capabilities and kernel";
    match probing::check() {
        Ok(()) => report.ok("probes", "one was set in this program's own file, and taken away again"),
        // What was left open goes on without.
        Err(problem) if options.probe.is_none() && options.plaintext.is_none() => {
            report.warn("probes", problem, REMEDY);
        }
        Err(problem) => report.fail("probes", problem, REMEDY),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::ProbeTargets;

    #[test]
    fn what_auto_would_use_is_not_called_unneeded() {
        let asked = Options { probe: Some(ProbeTargets::default()), keys_left_open: true, ..Options::default() };
        let liked = liked(&asked);
        let said = |capability, has| {
            let mut report = Report::default();
            one(capability, "does it", has, (&[Capability::CAP_NET_RAW], &liked), &mut report);
            report.text()
        };
        for capability in [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_SYS_PTRACE] {
            let text = said(capability, false);
            assert!(text.starts_with("warn") && text.contains("auto does without"), "{text}");
        }
        assert!(said(Capability::CAP_NET_RAW, false).starts_with("FAIL"));
        assert!(said(Capability::CAP_SYS_CHROOT, false).contains("not needed by these settings"));
        assert!(said(Capability::CAP_BPF, true).starts_with("ok"));
    }
}
