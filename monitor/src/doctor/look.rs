//! A short live run: what would be seen.

use std::thread;

use super::{Patient, Report};
use crate::config::Changes;
use crate::detect::Settings;
use crate::engine::Plan;
use crate::model::Stats;
use crate::source::keylogs::KeyLogs;
use crate::source::live::PacketSource;
use crate::watch::{self, Board, Control, Desk, Options, Parts, PlaintextOptions, Reload, Snapshot};

/// A short run is not reloaded.
struct Never;

impl Reload for Never {
    fn reload(&mut self) -> Result<Changes, String> {
        Ok(Changes::default())
    }

    fn refused(&mut self, _: &[&str]) -> Option<String> {
        None
    }
}

pub(super) fn look(patient: Patient<'_>, report: &mut Report) {
    let options = patient.options;
    let mut source = match patient.source {
        Ok(source) => source,
        Err(error) => {
            report.fail("traffic", format!("not looked at: {error}"), "see the lines above");
            return;
        }
    };
    let control = Control::default();
    let stop = control.clone();
    let wait = patient.look;
    thread::spawn(move || {
        thread::sleep(wait);
        stop.stop();
    });
    let (board, publisher) = Board::new(Snapshot::default());
    let parts = Parts {
        source: &mut *source,
        keylogs: &mut KeyLogs::new(&options.keylogs, options.limits.secrets),
        probe: patient.probe.ok().flatten(),
        desk: &mut Desk::new("doctor".to_owned(), Vec::new()),
        publisher: &publisher,
        control: &control,
        reload: &mut Never,
        // The checks of the key logs say it.
        warn: &mut |_| {},
    };
    let settings = Settings { window: options.window, servers: options.servers.clone() };
    let plan = Plan { threads: options.threads, settings, limits: options.limits.clone() };
    let (stats, _, error) = watch::run(parts, &plan);
    if let Some(error) = error {
        report.fail("traffic", format!("the capture failed: {error}"), "see the lines above");
    }
    judge(&stats, &board.latest(), wait.as_secs_f64(), options, report);
}

/// What the counts of a short run say.
fn judge(stats: &Stats, last: &Snapshot, seconds: f64, options: &Options, report: &mut Report) {
    let packets = options.capture.source != PacketSource::Off;
    let seen = match &options.plaintext {
        Some(plaintext) if !packets => calls(stats, last, seconds, plaintext, report),
        _ => wire(stats, seconds, report),
    };
    if !seen {
        return;
    }
    drops(last, report);
    if packets {
        snap_length(stats, report);
    }
    super::keys::behind("key log", last.keylog_behind_bytes(), "look longer: --seconds 30", report);
    readable(stats, report);
    // Beside packets plaintext may be all that there is to read.
    if packets && (options.plaintext.is_none() || options.probe.is_some() || !options.keylogs.is_empty()) {
        matches(stats, report);
    }
    clock(stats, last, report);
}

/// Packets. `false`: there were none.
fn wire(stats: &Stats, seconds: f64, report: &mut Report) -> bool {
    let packets = stats.packets.packets;
    if packets == 0 {
        let remedy = "see that there is traffic on this interface, and that the filter lets it through";
        report.warn("traffic", format!("no packet in {seconds} s"), remedy);
        return false;
    }
    report.ok("traffic", format!("{packets} packets in {seconds} s, {} of them TCP", stats.packets.tcp));
    true
}

/// Plaintext alone. `false`: nothing was read.
fn calls(stats: &Stats, last: &Snapshot, seconds: f64, options: &PlaintextOptions, report: &mut Report) -> bool {
    if options.kernel_only {
        let resets = stats.kernel_resets.iter().flat_map(|resets| resets.iter().map(|(.., count)| count)).sum::<u64>();
        let found = format!("{resets} RST_STREAM and GOAWAY frames in {seconds} s, counted in the kernel");
        report.ok("traffic", found);
        return false;
    }
    let connections = stats.connections.total;
    if connections == 0 {
        let why = last.interfaces.iter().find_map(|one| one.error.as_deref());
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        let remedy = "see that the processes have traffic, and in the lines of processes which library they have";
        report.warn("traffic", format!("no plaintext in {seconds} s{why}"), remedy);
        return false;
    }
    report.ok("traffic", format!("plaintext of {connections} connections in {seconds} s"));
    true
}

fn drops(last: &Snapshot, report: &mut Report) {
    let sum = |count: fn(&crate::source::live::InterfaceHealth) -> u64| last.interfaces.iter().map(count).sum::<u64>();
    let (kernel, interface) = (sum(|one| one.dropped_kernel), sum(|one| one.dropped_interface));
    match (kernel, interface) {
        (0, 0) => report.ok("drops", "none"),
        (0, _) => report.warn(
            "drops",
            format!("{interface} packets by the interface or its driver"),
            "raise its ring buffer (`ethtool -G`)",
        ),
        _ => report.warn("drops", format!("{kernel} packets by the kernel"), "raise buffer, or narrow the filter"),
    }
}

fn snap_length(stats: &Stats, report: &mut Report) {
    if stats.packets.truncated > 0 {
        let found = format!("{} packets were cut off", stats.packets.truncated);
        report.fail("snap length", found, "raise snaplen: offload makes packets of up to 64 KiB");
    } else {
        report.ok("snap length", "no packet was cut off");
    }
}

/// `part` of `whole` in hundredths.
fn share(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(100)
}

fn readable(stats: &Stats, report: &mut Report) {
    let connections = &stats.connections;
    let read = connections.bytes.saturating_sub(connections.unread);
    let mut found = format!(
        "{} % of {} payload bytes on {} connections",
        share(read, connections.bytes),
        connections.bytes,
        connections.total
    );
    let hidden = connections.hiding();
    if hidden > 0 {
        found += &format!(", {hidden} of which could not be read at some time");
    }
    let dark = connections.dark.iter().max_by_key(|&(_, count)| count).map(|(why, _)| *why);
    let remedy = match dark {
        Some("no_key") => "give the key log of this server; `h2watch explain keylog` says how it writes one",
        Some("joined_late" | "joined_late_tls12") => {
            "opened before the look, and no key fits: make new connections, or have a key log that reaches back"
        }
        Some("wrong_key") => "the key log is of another process or time",
        Some(_) => "`h2watch watch --verbose` lists each connection and why",
        None => "look longer: --seconds 30",
    };
    match share(read, connections.bytes) {
        _ if connections.bytes == 0 => report.unknown("readable", "no payload was seen", "look longer: --seconds 30"),
        99.. if hidden == 0 => report.ok("readable", found),
        0 => report.fail("readable", found, remedy),
        _ => report.warn("readable", found, remedy),
    }
}

fn matches(stats: &Stats, report: &mut Report) {
    let tls: u64 = stats.connections.versions.values().sum();
    if tls == 0 {
        report.unknown("key match", "no TLS connection was seen to begin", "look longer: --seconds 30");
        return;
    }
    let matched = stats.keys.matched.saturating_add(stats.keys.found_late);
    let found = format!("keys for {matched} of {tls} TLS connections");
    match matched {
        0 => report.fail("key match", found, "give the key log of this server's process, of this time"),
        _ if matched < tls => {
            report.warn("key match", found, "some connections belong to another process, or their keys came late")
        }
        _ => report.ok("key match", found),
    }
}

fn clock(stats: &Stats, last: &Snapshot, report: &mut Report) {
    if last.clock_steps > 0 {
        let found = format!("stepped {} times during the look", last.clock_steps);
        report.warn("timestamps", found, "see what sets the clock; time synchronisation should slew it");
    }
    let Some((_, packet)) = stats.span else { return };
    let apart = packet.0.abs_diff(last.at.0) / 1_000_000_000;
    // A look lasts seconds; its last packet is not older than that.
    match apart {
        0..600 => report.ok("timestamps", "packets have the system's time"),
        _ => report.fail(
            "timestamps",
            format!("packets are {apart} s away from the system's time"),
            "set timestamps to host, or keep the adapter's clock by phc2sys",
        ),
    }
}
