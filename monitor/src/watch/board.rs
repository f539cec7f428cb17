//! What the web and the metrics know of a live run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::history::{Steps, Top};
use crate::flow::FlowCounts;
use crate::model::{Finding, Histogram, Stats, Time, Verdict};
use crate::sink::stream::StreamHealth;
use crate::source::keylogs::KeyLogHealth;
use crate::source::live::{InterfaceHealth, KeyProbeHealth};

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
    /// Of the probes that take keys from processes.
    pub probe: Option<KeyProbeHealth>,
    /// Of each target of events.
    pub streams: Vec<StreamHealth>,
    /// What flows hold.
    pub flows: FlowCounts,
    /// From a packet's time to the time its reset was counted.
    pub delay: Histogram,
    /// The latest findings, oldest first.
    pub latest: Vec<Arc<Finding>>,
    /// The number of each of them: the first finding of the run is number 1.
    pub latest_numbers: Vec<u64>,
    /// The last half hour in steps.
    pub history: Steps,
    /// Hosts and paths of the last hour.
    pub top: Arc<Top>,
    /// Steps of the system's clock that were noticed.
    pub clock_steps: u64,
    /// Times that keys and configuration were read again.
    pub reloads: u64,
    /// The last of them failed: why, in one line.
    pub reload_error: Option<String>,
}

impl Snapshot {
    /// Bytes of the key logs that are there and were not read yet: connections whose keys stand in them are dark until then.
    #[must_use]
    pub fn keylog_behind_bytes(&self) -> u64 {
        self.keylogs.iter().map(|log| log.behind).sum()
    }
}

/// Where the latest snapshot stands. Taking one costs something, so it is done when somebody asks, and at most every
/// [`FRESH`](Board::FRESH).
#[derive(Clone, Debug)]
pub struct Board {
    wanted: Arc<AtomicBool>,
    latest: watch::Receiver<Shown>,
}

/// A snapshot and when it was put up.
#[derive(Clone, Debug)]
struct Shown {
    snapshot: Arc<Snapshot>,
    since: Instant,
    /// It is what the board began with, not a snapshot of a run.
    blank: bool,
}

/// The end of a [`Board`] that takes snapshots.
#[derive(Debug)]
pub struct Publisher {
    wanted: Arc<AtomicBool>,
    latest: watch::Sender<Shown>,
}

impl Board {
    /// A snapshot of this age is fresh enough for everybody.
    pub const FRESH: Duration = Duration::from_millis(100);

    /// A board and its other end.
    #[must_use]
    pub fn new(first: Snapshot) -> (Self, Publisher) {
        let shown = Shown { snapshot: Arc::new(first), since: Instant::now(), blank: true };
        let (sender, latest) = watch::channel(shown);
        let wanted = Arc::new(AtomicBool::new(false));
        (Self { wanted: Arc::clone(&wanted), latest }, Publisher { wanted, latest: sender })
    }

    /// The latest snapshot, whatever its age.
    #[must_use]
    pub fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.latest.borrow().snapshot)
    }

    /// How long ago the latest snapshot was put up; before the first: how long ago the board was made.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.latest.borrow().since.elapsed()
    }

    /// A snapshot that is younger than [`FRESH`](Self::FRESH), or the latest when none comes within `wait`. However many ask, the run
    /// takes one.
    pub async fn fresh(&self, wait: Duration) -> Arc<Snapshot> {
        let mut latest = self.latest.clone();
        {
            let shown = latest.borrow_and_update();
            if !shown.blank && shown.since.elapsed() < Self::FRESH {
                return Arc::clone(&shown.snapshot);
            }
        }
        self.wanted.store(true, Ordering::Release);
        // Without a new one in time, the latest and its age say how things stand.
        let _ = tokio::time::timeout(wait, latest.changed()).await;
        Arc::clone(&latest.borrow().snapshot)
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
        self.latest.send_replace(Shown { snapshot: Arc::new(snapshot), since: Instant::now(), blank: false });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Board, Snapshot};

    const LONG: Duration = Duration::from_secs(600);

    fn numbered(number: u64) -> Snapshot {
        Snapshot { number, ..Snapshot::default() }
    }

    #[tokio::test]
    async fn one_snapshot_answers_everybody_who_asked() {
        let (board, publisher) = Board::new(numbered(0));
        let ask = |board: Board| tokio::spawn(async move { board.fresh(LONG).await.number });
        let asked: Vec<_> = (0..100).map(|_| ask(board.clone())).collect();
        tokio::task::yield_now().await;
        assert!(publisher.wanted());
        publisher.publish(numbered(7));
        assert!(!publisher.wanted());
        for answer in asked {
            assert_eq!(answer.await.unwrap(), 7);
        }
    }

    #[tokio::test]
    async fn a_run_that_hangs_leaves_the_latest() {
        let (board, publisher) = Board::new(numbered(3));
        assert_eq!(board.fresh(Duration::ZERO).await.number, 3);
        assert!(publisher.wanted());
    }
}
