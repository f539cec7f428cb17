//! The process, under the names that every Prometheus client uses. What the system does not tell has no series.

use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};

use super::family::Family;

/// Ticks a second in `/proc`, the same on every architecture that Rust knows.
const TICKS: f64 = 100.0;

pub(super) fn families(out: &mut Vec<Family>) {
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let (user, system) = (usage.user_time(), usage.system_time());
        let seconds = (user.tv_sec() + system.tv_sec()) as f64 + (user.tv_usec() + system.tv_usec()) as f64 / 1e6;
        let help = "Total user and system CPU time spent in seconds.";
        out.push(Family::counter("process_cpu_seconds_total", help).only(seconds));
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is this look.
        let open = (entries.count() as u64).saturating_sub(1);
        out.push(Family::gauge("process_open_fds", "Number of open file descriptors.").only(open));
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        out.push(Family::gauge("process_max_fds", "Maximum number of open file descriptors.").only(soft));
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (name, help, field) in [
        ("process_virtual_memory_bytes", "Virtual memory size in bytes.", "VmSize:"),
        ("process_resident_memory_bytes", "Resident memory size in bytes.", "VmRSS:"),
    ] {
        if let Some(kilobytes) = number(&status, field) {
            out.push(Family::gauge(name, help).only(kilobytes.saturating_mul(1024)));
        }
    }
    if let Some(threads) = number(&status, "Threads:") {
        out.push(Family::gauge("process_threads", "Number of threads.").only(threads));
    }
    if let Some(started) = started() {
        let help = "Start time of the process since the Unix epoch in seconds.";
        out.push(Family::gauge("process_start_time_seconds", help).only(started));
    }
}

/// The number behind the name of a field.
fn number(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn started() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name is in parentheses and may hold anything; the start is the 22nd field, the 20th behind it.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: f64 = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let booted = number(&fs::read_to_string("/proc/stat").ok()?, "btime")?;
    Some(booted as f64 + ticks / TICKS)
}
