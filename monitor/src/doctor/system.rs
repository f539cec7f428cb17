//! What the system has to give.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::Report;
use crate::sink::stream::EventsTarget;
use crate::source::live::PacketSource;
use crate::watch::Options;
use crate::watch::privileges;
use crate::web::Bound;

pub(super) fn privileges(options: &Options, report: &mut Report) {
    let root = nix::unistd::geteuid().is_root();
    let needed = options.capabilities();
    match privileges::check(&needed) {
        Ok(()) if root && options.user.is_none() => report.warn(
            "privileges",
            "may capture, as root",
            "set user, so that a run becomes that user once everything is open",
        ),
        Ok(()) => {
            let names: Vec<String> = needed.iter().map(ToString::to_string).collect();
            report.ok("privileges", format!("may capture ({})", names.join(", ")));
        }
        Err(missing) => {
            let (found, remedy) = missing.split_once("; ").unwrap_or((&missing, "run as root"));
            report.fail("privileges", found, remedy);
        }
    }
}

/// The library's own file name has its version.
pub(super) fn libpcap(options: &Options, report: &mut Report) {
    if options.capture.source == PacketSource::Off {
        report.ok("libpcap", "not needed: plaintext is taken from processes");
        return;
    }
    if options.capture.source == PacketSource::Tap {
        report.ok("libpcap", "not needed: the tap takes packets");
        return;
    }
    if !cfg!(feature = "pcap") {
        report.fail("libpcap", "not in this build", "take a packaged build, or build with --features pcap");
        return;
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let version = maps.lines().find_map(|line| {
        let name = line.rsplit('/').next()?;
        name.strip_prefix("libpcap.so.").map(str::to_owned)
    });
    match version {
        Some(version) => report.ok("libpcap", format!("in this build, version {version}")),
        None => report.ok("libpcap", "in this build, linked statically"),
    }
}

/// `true`: there is one to look at.
pub(super) fn interfaces(options: &Options, report: &mut Report) -> bool {
    let mut usable = false;
    for name in &options.capture.interfaces {
        if name == "any" {
            usable = true;
            report.ok("interface", "any: all interfaces that are up");
            continue;
        }
        let folder = Path::new("/sys/class/net").join(name);
        let read = |file: &str| fs::read_to_string(folder.join(file)).map(|text| text.trim().to_owned());
        // A name with a slash would lead elsewhere.
        if name.contains('/') || read("ifindex").is_err() {
            let there = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
            let mut there: Vec<String> = there.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            there.sort();
            let remedy = format!("name one of {}, or any", there.join(", "));
            report.fail("interface", format!("{name}: not there"), remedy);
            continue;
        }
        usable = true;
        let kind = match read("type").as_deref() {
            Ok("1") => "Ethernet",
            Ok("772") => "loopback",
            Ok("65534" | "768" | "769" | "776") => "raw IP",
            _ => "another link type",
        };
        let mtu = read("mtu").unwrap_or_else(|_| "?".to_owned());
        match read("operstate").as_deref() {
            Ok("down" | "lowerlayerdown" | "notpresent") => report.fail(
                "interface",
                format!("{name}: {kind}, down"),
                format!("`ip link set {name} up`; a run waits for it"),
            ),
            _ => report.ok("interface", format!("{name}: {kind}, up, MTU {mtu}")),
        }
    }
    if options.capture.interfaces.is_empty() && options.capture.source != PacketSource::Off {
        report.fail("interface", "none set", "give --interface NAME; `any` is all of them");
    }
    usable
}

#[cfg(feature = "pcap")]
pub(super) fn filter(options: &Options, report: &mut Report) {
    let Some(filter) = &options.capture.filter else {
        let ports: Vec<String> = options.capture.ports.iter().map(ToString::to_string).collect();
        let found = if ports.is_empty() { "none: everything that may carry TCP".to_owned() } else { ports.join(", ") };
        report.ok("filter", found);
        return;
    };
    match crate::source::live::pcap::compile(filter) {
        Ok(size) => report.ok("filter", format!("\"{filter}\" compiles to {size} instructions")),
        Err(error) => {
            report.fail("filter", format!("\"{filter}\" is not valid: {error}"), "`man pcap-filter` has the language");
        }
    }
}

#[cfg(not(feature = "pcap"))]
pub(super) fn filter(_: &Options, report: &mut Report) {
    report.unknown("filter", "cannot be checked without libpcap", "take a build that has it");
}

/// Gives an address that is taken, perhaps by a run, and the place of the check that says so.
pub(super) fn ports(options: &Options, report: &mut Report) -> Option<(SocketAddr, usize)> {
    let mut taken = None;
    for address in &options.listen {
        match TcpListener::bind(address) {
            Ok(_) if !address.ip().is_loopback() && options.web_config.is_none() => report.warn(
                "listen",
                format!("{address}: free; everybody who reaches it can read hosts and paths"),
                "listen on 127.0.0.1, or set web-config",
            ),
            Ok(_) => report.ok("listen", format!("{address}: free")),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                taken = Some((*address, report.checks.len()));
                report.warn("listen", format!("{address}: taken"), "choose another port, or stop what has it");
            }
            Err(error) => report.fail("listen", format!("{address}: {error}"), "choose an address of this machine"),
        }
    }
    taken
}

pub(super) fn web_config(options: &Options, report: &mut Report) {
    let Some(path) = &options.web_config else { return };
    match Bound::bind(&[], Some(path)) {
        Ok(_) => report.ok("web config", format!("{}: can be used", path.display())),
        Err(error) => report.fail("web config", error, "`promtool check web-config` says more"),
    }
}

pub(super) fn events(options: &Options, report: &mut Report) {
    for target in &options.events {
        match target {
            EventsTarget::Stdout => report.ok("events", "standard output"),
            EventsTarget::Journal if Path::new("/run/systemd/journal/socket").exists() => {
                report.ok("events", "journal: there");
            }
            EventsTarget::Journal => report.fail(
                "events",
                "journal: systemd's journal is not there",
                "write to a file or to standard output",
            ),
            EventsTarget::File { path, .. } => file(path, report),
        }
    }
}

fn file(path: &Path, report: &mut Report) {
    let written = match path.metadata() {
        Ok(_) => File::options().append(true).open(path).map(drop),
        // Not made here: that is for the run.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(io::Error::from)
        }
        Err(error) => Err(error),
    };
    match written {
        Ok(()) => report.ok("events", format!("{}: can be written", path.display())),
        Err(error) => {
            let remedy = "make its folder, and give the user of the run the right to write there";
            report.fail("events", format!("{}: {error}", path.display()), remedy);
        }
    }
}

pub(super) fn user(options: &Options, report: &mut Report) {
    let Some(name) = &options.user else { return };
    match privileges::find_user(name) {
        Ok(user) => report.ok("user", format!("{name} (uid {})", user.uid)),
        Err(error) => {
            let (found, remedy) = error.split_once(": ").unwrap_or((&error, "name another"));
            report.fail("user", found, remedy);
        }
    }
}
