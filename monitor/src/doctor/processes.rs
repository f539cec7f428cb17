//! The processes of this machine that have TLS, and how each will be seen.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::Report;
use crate::source::live::PacketSource;
use crate::source::processes::{Processes, Whose};
use crate::source::survey::{self, Library, Surveyed};
use crate::watch::Options;

/// Most processes that have a line of their own.
const LINES: usize = 50;
/// Most processes that are named in the line of those that do not listen.
const NAMED: usize = 10;

/// `asked`: the settings before what they left open was chosen.
pub(super) fn processes(options: &Options, asked: &Options, report: &mut Report) {
    let mut survey = survey::processes();
    survey.processes.retain(|process| !is_h2watch(process));
    let plaintext = asked.plaintext.as_ref().map(|plaintext| &plaintext.targets);
    match asked.probe.as_ref().or(plaintext).map(|targets| targets.whose()) {
        Some(whose @ Whose::Targets(_)) => {
            let mut processes = Processes::new(whose);
            let named: Vec<_> = survey.processes.iter().filter(|process| processes.wants(process.pid)).collect();
            lines(&named, options, report);
            if named.is_empty() {
                let found = "none of those that pid, unit and cgroup name has TLS that is known here";
                report.warn("process", found, "see that they run, and which TLS library they have");
            }
        }
        Some(Whose::All) | None => {
            let ports = &options.capture.ports;
            let wanted =
                |process: &&Surveyed| ports.is_empty() || ports.iter().any(|port| process.ports.contains(port));
            let (servers, others): (Vec<_>, Vec<_>) =
                survey.processes.iter().partition(|process| !process.ports.is_empty());
            let servers: Vec<_> = servers.into_iter().filter(wanted).collect();
            lines(&servers, options, report);
            if servers.is_empty() {
                report.ok("process", "none that listens has TLS that is known here");
            }
            not_listening(&others, options, report);
        }
    }
    for (why, count) in &survey.closed {
        let remedy = match nix::unistd::geteuid().is_root() {
            true => "something keeps root from it: see whether this is a container, or what the kernel's log says",
            false => "run doctor as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
        };
        report.unknown("processes", format!("{count} could not be looked into: {why}"), remedy);
    }
}

/// It is this program, here or as a run: it serves a page, and is nobody's origin.
fn is_h2watch(process: &Surveyed) -> bool {
    let program = |pid: &str| fs::metadata(format!("/proc/{pid}/exe")).map(|it| (it.dev(), it.ino())).ok();
    let own = program("self");
    process.command == "h2watch" || (own.is_some() && program(&process.pid.to_string()) == own)
}

/// How a process will be seen.
enum Sight {
    /// And by what.
    Seen(&'static str),
    Dark {
        why: &'static str,
        remedy: &'static str,
    },
}

impl Sight {
    fn of(process: &Surveyed, options: &Options) -> Self {
        let silent = process.libraries.iter().find(|library| !library.gives_keys());
        let plain = options.plaintext.is_some() && process.libraries.iter().all(|library| library.gives_plaintext());
        match silent {
            _ if plain => Self::Seen("plaintext by probe"),
            None if options.probe.is_some() => Self::Seen("keys by probe"),
            _ if !options.keylogs.is_empty() => Self::Seen("by the key log, if it is its own"),
            _ if options.capture.source == PacketSource::Off => Self::Dark {
                why: "plaintext probes do not read it",
                remedy: "read its packets: add tap to source, and give it keys by probe or a key log",
            },
            None => Self::Dark { why: "nothing gives its keys", remedy: "set keys probe, or a key log" },
            Some(library) => Self::Dark { why: "its keys pass no probe", remedy: remedy(*library) },
        }
    }
}

/// A line for each.
fn lines(processes: &[&Surveyed], options: &Options, report: &mut Report) {
    for process in processes.iter().take(LINES) {
        line(process, options, report);
    }
    if let Some(more) = processes.len().checked_sub(LINES).filter(|more| *more > 0) {
        report.ok("process", format!("and {more} more that have TLS"));
    }
}

fn line(process: &Surveyed, options: &Options, report: &mut Report) {
    let ports: Vec<String> = process.ports.iter().map(ToString::to_string).collect();
    let place = if ports.is_empty() { "does not listen".to_owned() } else { format!("port {}", ports.join(", ")) };
    let Surveyed { pid, command, .. } = process;
    let found = format!("{command} ({pid}), {place}: {}", libraries(process));
    match Sight::of(process, options) {
        Sight::Seen(by) => report.ok("process", format!("{found}: {by}")),
        Sight::Dark { why, remedy } => report.warn("process", format!("{found}: dark, {why}"), remedy),
    }
}

fn libraries(process: &Surveyed) -> String {
    let names: Vec<&str> = process.libraries.iter().map(|library| library.name()).collect();
    names.join(", ")
}

/// One line for all that do not listen, with the names of those that stay dark.
fn not_listening(processes: &[&Surveyed], options: &Options, report: &mut Report) {
    if processes.is_empty() {
        return;
    }
    let dark = processes.iter().filter_map(|process| match Sight::of(process, options) {
        Sight::Seen(_) => None,
        Sight::Dark { why, .. } => {
            Some(format!("{} ({}): {}, {why}", process.command, process.pid, libraries(process)))
        }
    });
    let dark: Vec<String> = dark.collect();
    let mut found = format!("{} that do not listen have TLS, too", processes.len());
    if !dark.is_empty() {
        let named: Vec<&str> = dark.iter().take(NAMED).map(String::as_str).collect();
        let more = dark.len().saturating_sub(NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        found = format!("{found}; {} of them stay dark: {}{more}", dark.len(), named.join("; "));
    }
    report.ok("processes", found);
}

/// What is left to do for a process whose keys pass no probe.
const fn remedy(library: Library) -> &'static str {
    match library {
        Library::OpenSsl3 | Library::Go => "set keys probe",
        Library::OpenSsl1 => {
            "add plaintext to source, which costs it time at each call, or have it write a key log: `h2watch explain keylog`"
        }
        Library::Java => "have it write a key log by an agent for SSLKEYLOGFILE: `h2watch explain keylog`",
        Library::GnuTls => {
            "start it with SSLKEYLOGFILE, and name that file as keylog, or add plaintext to source, which costs it time at each call"
        }
        Library::Nss => "start it with SSLKEYLOGFILE, and name that file as keylog",
        Library::BoringSsl | Library::Rustls | Library::Unnamed => {
            "have it write a key log, if it can: `h2watch explain keylog`"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{PlaintextOptions, ProbeTargets};

    fn said(library: Library, options: &Options) -> String {
        let mut report = Report::default();
        line(&surveyed(7, &[443], library), options, &mut report);
        report.text()
    }

    fn surveyed(pid: u32, ports: &[u16], library: Library) -> Surveyed {
        let ports = ports.iter().copied().collect();
        Surveyed { pid, command: "origin".to_owned(), ports, libraries: [library].into() }
    }

    #[test]
    fn this_program_is_no_origin_whatever_it_is_called() {
        let surveyed = |pid, command: &str| Surveyed {
            pid,
            command: command.to_owned(),
            ports: [9872].into(),
            libraries: [Library::Unnamed].into(),
        };
        assert!(is_h2watch(&surveyed(std::process::id(), "renamed")));
        assert!(is_h2watch(&surveyed(u32::MAX, "h2watch")));
        assert!(!is_h2watch(&surveyed(1, "origin")));
    }

    #[test]
    fn a_library_without_keys_is_seen_by_plaintext_where_that_is_taken() {
        let keys = Options { probe: Some(ProbeTargets::default()), ..Options::default() };
        let both = Options { plaintext: Some(PlaintextOptions::default()), ..keys.clone() };
        for library in [Library::OpenSsl1, Library::GnuTls] {
            let without = said(library, &keys);
            assert!(without.contains("dark") && without.contains("add plaintext to source"), "{without}");
            assert!(said(library, &both).contains("plaintext by probe"));
        }
        assert!(said(Library::OpenSsl3, &keys).contains("keys by probe"));
        let rustls = said(Library::Rustls, &both);
        assert!(rustls.contains("dark") && !rustls.contains("plaintext"), "{rustls}");
    }

    #[test]
    fn plaintext_alone_speaks_of_no_key_log() {
        let mut plain = Options { plaintext: Some(PlaintextOptions::default()), ..Options::default() };
        plain.capture.source = PacketSource::Off;
        assert!(said(Library::GnuTls, &plain).contains("plaintext by probe"));
        let go = said(Library::Go, &plain);
        assert!(go.contains("dark, plaintext probes do not read it: read its packets"), "{go}");
    }

    #[test]
    fn those_that_stay_dark_are_named_up_to_a_cap() {
        let keys = Options { probe: Some(ProbeTargets::default()), ..Options::default() };
        let all: Vec<Surveyed> =
            (0..30).map(|pid| surveyed(pid, &[], if pid < 15 { Library::Java } else { Library::OpenSsl3 })).collect();
        let mut report = Report::default();
        not_listening(&all.iter().collect::<Vec<_>>(), &keys, &mut report);
        let text = report.text();
        assert!(text.contains("30 that do not listen have TLS, too; 15 of them stay dark: origin (0): Java"), "{text}");
        assert!(
            text.contains("origin (9)") && !text.contains("origin (10)") && text.contains("; and 5 more"),
            "{text}"
        );
    }

    #[test]
    fn who_is_named_has_a_line_and_nobody_else() {
        let targets = ProbeTargets { pids: vec![u32::MAX], ..ProbeTargets::default() };
        let asked = Options { probe: Some(targets), ..Options::default() };
        let mut report = Report::default();
        processes(&asked, &asked, &mut report);
        let lines: Vec<&str> =
            report.checks.iter().filter(|one| one.name == "process").map(|one| &*one.found).collect();
        assert_eq!(lines, ["none of those that pid, unit and cgroup name has TLS that is known here"]);
    }
}
