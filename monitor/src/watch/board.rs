//! What the web and the metrics know of a live run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::flow::FlowCounts;
use crate::model::{Finding, Histogram, Stats, Time, Verdict};
use crate::sink::stream::StreamHealth;
use crate::source::keylogs::KeyLogHealth;
use crate::source::live::InterfaceHealth;

/// A live run at one time: everything that the status page, the API and the metrics show. It never changes.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken (the system's clock).
    pub at: Time,
    /// When the run began.
    pub started: Time,
    /// Rises with every snapshot.
    pub number: u64,
    /// Packets are being captured on at least one interface.
    pub capturing: bool,
    /// Every count of the pipeline.
    pub stats: Stats,
    /// What the counts say.
    pub verdict: Option<Verdict>,
    /// Of each interface.
    pub interfaces: Vec<InterfaceHealth>,
    /// Of each key log.
    pub keylogs: Vec<KeyLogHealth>,
    /// Of each target of events.
    pub streams: Vec<StreamHealth>,
    /// What flows hold.
    pub flows: FlowCounts,
    /// From a packet's time to the time its reset was counted.
    pub delay: Histogram,
    /// The latest findings, oldest first.
    pub latest: Vec<Arc<Finding>>,
    /// Steps of the system's clock that were noticed.
    pub clock_steps: u64,
    /// Times that keys and configuration were read again.
    pub reloads: u64,
    /// The last of them failed: why, in one line.
    pub reload_error: Option<String>,
}

/// Where the latest snapshot stands. Taking one costs something, so it is done when somebody asks, and at most every
/// [`FRESH`](Board::FRESH).
#[derive(Clone, Debug)]
pub struct Board {
    wanted: Arc<AtomicBool>,
    latest: watch::Receiver<Arc<Snapshot>>,
}

/// The end of a [`Board`] that takes snapshots.
#[derive(Debug)]
pub struct Publisher {
    wanted: Arc<AtomicBool>,
    latest: watch::Sender<Arc<Snapshot>>,
}

impl Board {
    /// A snapshot of this age is fresh enough for everybody.
    pub const FRESH: Duration = Duration::from_millis(100);

    /// A board and its other end.
    #[must_use]
    pub fn new(first: Snapshot) -> (Self, Publisher) {
        let (sender, latest) = watch::channel(Arc::new(first));
        let wanted = Arc::new(AtomicBool::new(false));
        (Self { wanted: Arc::clone(&wanted), latest }, Publisher { wanted, latest: sender })
    }

    /// The latest snapshot, whatever its age.
    #[must_use]
    pub fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.latest.borrow())
    }

    /// A snapshot that was taken after the call, or the latest when none comes within `wait`.
    pub async fn fresh(&self, wait: Duration) -> Arc<Snapshot> {
        let mut latest = self.latest.clone();
        latest.mark_unchanged();
        self.wanted.store(true, Ordering::Release);
        // Without a new one in time, the latest and its age say how things stand.
        let _ = tokio::time::timeout(wait, latest.changed()).await;
        Arc::clone(&latest.borrow())
    }
}

impl Publisher {
    /// Somebody has asked since the last snapshot.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Shows a snapshot to everybody.
    pub fn publish(&self, snapshot: Snapshot) {
        self.wanted.store(false, Ordering::Release);
        self.latest.send_replace(Arc::new(snapshot));
    }
}
