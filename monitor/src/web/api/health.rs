//! `/api/v1/status`: how the run does, and what it cannot see.

use serde::Serialize;

use super::About;
use crate::model::Time;
use crate::sink::{Spans, millis};
use crate::source::keylogs::KeyLogHealth;
use crate::source::live::InterfaceHealth;
use crate::watch::Snapshot;

#[derive(Debug, Serialize)]
pub(super) struct Health<'s> {
    version: &'static str,
    started: Time,
    /// Since the snapshot was taken.
    age_ms: f64,
    capturing: bool,
    interfaces: Vec<Interface<'s>>,
    key_logs: Vec<KeyLog>,
    keylog_behind_bytes: u64,
    event_targets: Vec<Target<'s>>,
    blindness: Blindness,
    flows: Flows,
    detection_delay: Spans,
    clock_steps: u64,
    reloads: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reload_error: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_config_error: Option<&'s str>,
}

#[derive(Debug, Serialize)]
struct Interface<'s> {
    name: &'s str,
    kind: &'static str,
    up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'s str>,
    received: u64,
    dropped_kernel: u64,
    dropped_interface: u64,
    reopened: u64,
}

#[derive(Debug, Serialize)]
struct KeyLog {
    path: String,
    readable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    exposed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exposed_file: Option<String>,
    bytes: u64,
    behind_bytes: u64,
    skipped_bytes: u64,
    restarts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Target<'s> {
    name: &'s str,
    kind: &'static str,
    written: u64,
    dropped: u64,
    queued: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'s str>,
}

/// What could not be seen, since the start.
#[derive(Debug, Serialize)]
struct Blindness {
    connections: u64,
    dark_connections: u64,
    bytes: u64,
    unread_bytes: u64,
    lost_packets: u64,
    gaps: u64,
    gap_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Flows {
    open: u64,
    evicted: u64,
    memory_bytes: u64,
}

impl<'s> Health<'s> {
    pub(super) fn of(about: &'s About<'_>) -> Self {
        let Snapshot { started, capturing, interfaces, keylogs, streams, flows, delay, .. } = about.snapshot;
        let held = [flows.waiting_bytes, flows.held_bytes, flows.table_bytes, flows.tls_bytes, flows.http_bytes];
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started: *started,
            age_ms: millis(about.age),
            capturing: *capturing,
            interfaces: interfaces.iter().map(Interface::from).collect(),
            key_logs: keylogs.iter().map(KeyLog::from).collect(),
            keylog_behind_bytes: about.snapshot.keylog_behind_bytes(),
            event_targets: streams
                .iter()
                .map(|stream| Target {
                    name: &stream.name,
                    kind: stream.kind,
                    written: stream.written,
                    dropped: stream.dropped,
                    queued: stream.queued,
                    error: stream.error.as_deref(),
                })
                .collect(),
            blindness: Blindness::of(about.snapshot),
            flows: Flows {
                open: flows.open,
                evicted: flows.evicted + flows.outweighed,
                memory_bytes: held.into_iter().sum(),
            },
            detection_delay: Spans::from(delay),
            clock_steps: about.snapshot.clock_steps,
            reloads: about.snapshot.reloads,
            reload_error: about.snapshot.reload_error.as_deref(),
            web_config_error: about.config_error.as_deref(),
        }
    }
}

impl<'s> From<&'s InterfaceHealth> for Interface<'s> {
    fn from(health: &'s InterfaceHealth) -> Self {
        Self {
            name: &health.name,
            kind: health.kind,
            up: health.up,
            error: health.error.as_deref(),
            received: health.received,
            dropped_kernel: health.dropped_kernel,
            dropped_interface: health.dropped_interface,
            reopened: health.reopened,
        }
    }
}

impl From<&KeyLogHealth> for KeyLog {
    fn from(health: &KeyLogHealth) -> Self {
        Self {
            path: health.path.display().to_string(),
            readable: health.readable,
            error: health.error.clone(),
            exposed: health.exposed,
            exposed_file: health.exposed_file.as_ref().map(|file| file.display().to_string()),
            bytes: health.bytes,
            behind_bytes: health.behind,
            skipped_bytes: health.skipped,
            restarts: health.restarts,
            quiet_ms: health.quiet.map(millis),
        }
    }
}

impl Blindness {
    fn of(snapshot: &Snapshot) -> Self {
        let seen = &snapshot.stats.connections;
        let gaps = snapshot.stats.gaps.values();
        Self {
            connections: seen.total,
            dark_connections: seen.dark.values().sum(),
            bytes: seen.bytes,
            unread_bytes: seen.unread,
            lost_packets: crate::watch::history::lost(&snapshot.stats, &snapshot.interfaces),
            gaps: gaps.clone().map(|gap| gap.0).sum(),
            gap_bytes: gaps.map(|gap| gap.1).sum(),
        }
    }
}
