//! The processes of this machine that have TLS, and how each will be seen.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::Report;
use crate::source::survey::{self, Library, Surveyed};
use crate::watch::Options;

/// Most processes that have a line of their own.
const LINES: usize = 50;

pub(super) fn processes(options: &Options, report: &mut Report) {
    let mut survey = survey::processes();
    survey.processes.retain(|process| !is_h2watch(process));
    let wanted = |process: &&Surveyed| {
        let ports = &options.capture.ports;
        !process.ports.is_empty() && (ports.is_empty() || ports.iter().any(|port| process.ports.contains(port)))
    };
    let servers: Vec<&Surveyed> = survey.processes.iter().filter(wanted).collect();
    for process in servers.iter().take(LINES) {
        server(process, options, report);
    }
    if let Some(more) = servers.len().checked_sub(LINES).filter(|more| *more > 0) {
        report.ok("process", format!("and {more} more that listen and have TLS"));
    }
    if servers.is_empty() {
        report.ok("process", "none that listens has TLS that is known here");
    }
    let others: Vec<&Surveyed> = survey.processes.iter().filter(|process| process.ports.is_empty()).collect();
    if !others.is_empty() {
        let dark = others.iter().filter(|process| !process.libraries.iter().all(|one| one.gives_keys())).count();
        let found = format!("{} that do not listen have TLS, too; {dark} of them give no keys to probes", others.len());
        report.ok("processes", found);
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

/// How a server will be seen.
fn server(process: &Surveyed, options: &Options, report: &mut Report) {
    let ports: Vec<String> = process.ports.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = process.libraries.iter().map(|library| library.name()).collect();
    let Surveyed { pid, command, .. } = process;
    let found = format!("{command} ({pid}), port {}: {}", ports.join(", "), names.join(", "));
    let dark = process.libraries.iter().find(|library| !library.gives_keys());
    let plain = options.plaintext.is_some() && process.libraries.iter().all(|library| library.gives_plaintext());
    match dark {
        _ if plain => report.ok("process", format!("{found}: plaintext by probe")),
        None if options.probe.is_some() => report.ok("process", format!("{found}: keys by probe")),
        _ if !options.keylogs.is_empty() => report.ok("process", format!("{found}: by the key log, if it is its own")),
        None => report.warn("process", format!("{found}: dark without keys"), "set keys probe, or a key log"),
        Some(library) => report.warn("process", format!("{found}: dark, its keys pass no probe"), remedy(*library)),
    }
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
        let (command, ports) = ("origin".to_owned(), [443].into());
        let mut report = Report::default();
        server(&Surveyed { pid: 7, command, ports, libraries: [library].into() }, options, &mut report);
        report.text()
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
}
