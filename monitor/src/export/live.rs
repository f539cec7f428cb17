//! What only a live run has: interfaces, key logs, targets of events, memory, its clock.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::family::Family;
use crate::model::Time;
use crate::source::keylogs::KeyLogHealth;
use crate::source::live::InterfaceHealth;
use crate::watch::Snapshot;

pub(super) fn families(snapshot: &Snapshot, out: &mut Vec<Family>) {
    interfaces(&snapshot.interfaces, out);
    keylogs(snapshot, out);
    probe(snapshot, out);
    streams(snapshot, out);
    flows(snapshot, out);
    let help = "Time from a packet's capture to when the reset in it was counted.";
    out.push(Family::histogram("h2watch_detection_delay_seconds", help, &snapshot.delay, Vec::new()));
    run(snapshot, out);
}

fn seconds(time: Time) -> f64 {
    std::time::Duration::from_nanos(time.0).as_secs_f64()
}

/// The labels of an interface.
fn labels(name: &str, kind: &'static str) -> [(&'static str, Cow<'static, str>); 2] {
    [("interface", Cow::Owned(name.to_owned())), ("source", Cow::Borrowed(kind))]
}

/// Interfaces by name and kind: what has both alike is one series.
fn interfaces(all: &[InterfaceHealth], out: &mut Vec<Family>) {
    let mut merged: BTreeMap<(&str, &'static str), InterfaceHealth> = BTreeMap::new();
    for one in all {
        let sum = merged.entry((&one.name, one.kind)).or_default();
        sum.up |= one.up;
        sum.received = sum.received.saturating_add(one.received);
        sum.dropped_kernel = sum.dropped_kernel.saturating_add(one.dropped_kernel);
        sum.dropped_interface = sum.dropped_interface.saturating_add(one.dropped_interface);
        sum.snapped_bytes = sum.snapped_bytes.saturating_add(one.snapped_bytes);
        sum.reopened = sum.reopened.saturating_add(one.reopened);
    }
    let mut up = Family::gauge("h2watch_interface_up", "1 while the interface is being read.");
    let mut received =
        Family::counter("h2watch_capture_received_packets_total", "Packets of an interface that passed the filter.");
    let mut dropped = Family::counter(
        "h2watch_capture_dropped_packets_total",
        "Packets that were lost before the program could read them, by where.",
    );
    let mut snapped = Family::counter(
        "h2watch_capture_snapped_bytes_total",
        "Bytes that the tap did not copy: beyond the snap length, or payload of flows that nobody reads.",
    );
    let mut reopened = Family::counter("h2watch_interface_reopened_total", "Times that an interface was opened again.");
    for ((name, kind), health) in merged {
        up.add(labels(name, kind), health.up);
        received.add(labels(name, kind), health.received);
        snapped.add(labels(name, kind), health.snapped_bytes);
        reopened.add(labels(name, kind), health.reopened);
        // The buffer between the kernel and the program is a ring of its own where a program in the kernel fills it.
        let buffer = if kind == "tap" { "ring" } else { "kernel" };
        for (stage, count) in [(buffer, health.dropped_kernel), ("interface", health.dropped_interface)] {
            dropped.add(labels(name, kind).into_iter().chain([("stage", Cow::Borrowed(stage))]), count);
        }
    }
    out.extend([up, received, dropped, snapped, reopened]);
}

fn keylogs(snapshot: &Snapshot, out: &mut Vec<Family>) {
    let mut readable = Family::gauge("h2watch_keylog_readable", "1 while the key log is there and can be read.");
    let mut exposed = Family::gauge("h2watch_keylog_exposed", "1 while others than its owner may read the key log.");
    let mut bytes = Family::counter("h2watch_keylog_read_bytes_total", "Bytes read from the key log.");
    let mut skipped = Family::counter(
        "h2watch_keylog_skipped_bytes_total",
        "Bytes at the beginning of the key log that were not read, because more keys stand behind them than are kept.",
    );
    let mut restarts =
        Family::counter("h2watch_keylog_restarts_total", "Times that the key log was truncated or replaced.");
    let mut growth = Family::gauge(
        "h2watch_keylog_growth_timestamp_seconds",
        "When the key log last grew, since the Unix epoch; 0: it has not grown since it was opened.",
    );
    let mut files = Family::gauge("h2watch_keylog_files", "Files and pipes that are open for the key log.");
    let mut behind = Family::gauge("h2watch_keylog_behind_bytes", "Bytes of the key log that are still to be read.");
    let mut merged: BTreeMap<Cow<'_, str>, KeyLogHealth> = BTreeMap::new();
    for log in &snapshot.keylogs {
        let all = merged.entry(log.path.to_string_lossy()).or_default();
        all.readable |= log.readable;
        all.exposed |= log.exposed;
        all.bytes = all.bytes.saturating_add(log.bytes);
        all.skipped = all.skipped.saturating_add(log.skipped);
        all.restarts = all.restarts.saturating_add(log.restarts);
        all.files = all.files.saturating_add(log.files);
        all.behind = all.behind.saturating_add(log.behind);
        all.quiet = all.quiet.into_iter().chain(log.quiet).min();
    }
    for (path, log) in merged {
        let path = || [("path", Cow::Owned(path.to_string()))];
        readable.add(path(), log.readable);
        exposed.add(path(), log.exposed);
        bytes.add(path(), log.bytes);
        skipped.add(path(), log.skipped);
        restarts.add(path(), log.restarts);
        files.add(path(), log.files);
        behind.add(path(), log.behind);
        growth.add(path(), log.quiet.map_or(0.0, |quiet| seconds(snapshot.at) - quiet.as_secs_f64()));
    }
    out.extend([readable, exposed, bytes, skipped, restarts, files, behind, growth]);
}

fn probe(snapshot: &Snapshot, out: &mut Vec<Family>) {
    let Some(health) = snapshot.probe else { return };
    let mut taken =
        Family::counter("h2watch_key_probe_secrets_total", "Secrets taken from the processes that made them.");
    let mut lost = Family::counter(
        "h2watch_key_probe_lost_total",
        "Secrets lost, because a buffer was full or a process's memory could not be read.",
    );
    let mut probed = Family::gauge("h2watch_key_probe_places", "Places in files that are probed for secrets.");
    taken.add([], health.taken);
    lost.add([], health.lost);
    probed.add([], health.probed);
    out.extend([taken, lost, probed]);
}

fn streams(snapshot: &Snapshot, out: &mut Vec<Family>) {
    let mut written = Family::counter("h2watch_events_written_total", "Events written to a target.");
    let mut dropped = Family::counter(
        "h2watch_events_dropped_total",
        "Events that a target did not get, because its queue was full or it failed.",
    );
    let mut queued = Family::gauge("h2watch_events_queued", "Events that wait for a target.");
    let mut failing = Family::gauge("h2watch_events_failing", "1 when the last write to a target failed.");
    let mut merged: BTreeMap<(&str, &'static str), (u64, u64, u64, bool)> = BTreeMap::new();
    for stream in &snapshot.streams {
        let all = merged.entry((&stream.name, stream.kind)).or_default();
        all.0 = all.0.saturating_add(stream.written);
        all.1 = all.1.saturating_add(stream.dropped);
        all.2 = all.2.saturating_add(stream.queued);
        all.3 |= stream.error.is_some();
    }
    for ((name, kind), counts) in merged {
        let labels = || [("target", Cow::Owned(name.to_owned())), ("kind", Cow::Borrowed(kind))];
        written.add(labels(), counts.0);
        dropped.add(labels(), counts.1);
        queued.add(labels(), counts.2);
        failing.add(labels(), counts.3);
    }
    out.extend([written, dropped, queued, failing]);
}

fn flows(snapshot: &Snapshot, out: &mut Vec<Family>) {
    let flows = &snapshot.flows;
    let mut family = Family::gauge("h2watch_flows", "TCP flows that are remembered, by whether they have payload.");
    family.add_fixed([("state", "open")], flows.open);
    family.add_fixed([("state", "light")], flows.light);
    out.push(family);
    let help = "Flows that went away and never had payload.";
    out.push(Family::counter("h2watch_empty_flows_total", help).only(flows.empty));
    let mut family = Family::gauge("h2watch_memory_bytes", "Memory that flows hold, by part.");
    for (part, bytes) in [
        ("waiting", flows.waiting_bytes),
        ("held", flows.held_bytes),
        ("table", flows.table_bytes),
        ("tls", flows.tls_bytes),
        ("http", flows.http_bytes),
    ] {
        family.add_fixed([("part", part)], bytes);
    }
    out.push(family);
}

fn run(snapshot: &Snapshot, out: &mut Vec<Family>) {
    let help = "1 while packets are being captured on at least one interface.";
    out.push(Family::gauge("h2watch_capturing", help).only(snapshot.capturing));
    let help = "When the run began, since the Unix epoch.";
    out.push(Family::gauge("h2watch_start_timestamp_seconds", help).only(seconds(snapshot.started)));
    let help = "When these values were taken, since the Unix epoch.";
    out.push(Family::gauge("h2watch_snapshot_timestamp_seconds", help).only(seconds(snapshot.at)));
    let help = "Time of the last packet, since the Unix epoch; 0: there was none.";
    let last = snapshot.stats.span.map_or(0.0, |(_, last)| seconds(last));
    out.push(Family::gauge("h2watch_last_packet_timestamp_seconds", help).only(last));
    let help = "Steps of the system's clock that were noticed.";
    out.push(Family::counter("h2watch_clock_steps_total", help).only(snapshot.clock_steps));
    let help = "Times that keys and configuration were read again.";
    out.push(Family::counter("h2watch_reloads_total", help).only(snapshot.reloads));
    let help = "1 when the last reload went well, or there was none.";
    out.push(Family::gauge("h2watch_reload_successful", help).only(snapshot.reload_error.is_none()));
}
