//! What `h2watch watch` is to do, once flags, environment and file are known to make sense together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits::Limits;
use crate::sink;
use crate::sink::stream::EventsTarget;
use crate::source::live::Timestamps;

/// What `h2watch watch` is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// What packets are captured, and how.
    pub capture: CaptureOptions,
    /// Key logs: files, directories or named pipes, there yet or not.
    pub keylogs: Vec<PathBuf>,
    /// Where metrics and the status page are served; empty: nowhere.
    pub listen: Vec<SocketAddr>,
    /// TLS, passwords and client certificates of the web port.
    pub web_config: Option<PathBuf>,
    /// Where events go.
    pub events: Vec<EventsTarget>,
    /// How long after a reset a retry is waited for.
    pub window: Duration,
    /// Threads that work on flows.
    pub threads: usize,
    /// Server addresses that have metric series of their own; empty: the first that are seen, up to a cap.
    pub servers: Vec<SocketAddr>,
    /// The user to become once everything is open.
    pub user: Option<String>,
    /// Every cap.
    pub limits: Limits,
    /// What standard output gets at the end.
    pub summary: sink::Options,
}

/// What packets are captured, and how.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// Interfaces by name; `any` is all of them.
    pub interfaces: Vec<String>,
    /// A filter in libpcap's language.
    pub filter: Option<String>,
    /// Bytes of each packet that are captured.
    pub snaplen: u32,
    /// The kernel's buffer for each interface, in bytes.
    pub buffer: usize,
    /// Capture what is not for this machine, too.
    pub promiscuous: bool,
    /// Hand over each packet at once instead of a few milliseconds' worth at a time.
    pub immediate: bool,
    /// Which clock stamps the packets.
    pub timestamps: Timestamps,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            filter: None,
            snaplen: 262_144,
            buffer: 16 << 20,
            promiscuous: false,
            immediate: false,
            timestamps: Timestamps::Host,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            capture: CaptureOptions::default(),
            keylogs: Vec::new(),
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9872))],
            web_config: None,
            events: Vec::new(),
            window: Duration::from_secs(2),
            threads: 1,
            servers: Vec::new(),
            user: None,
            limits: Limits::default(),
            summary: sink::Options::default(),
        }
    }
}
