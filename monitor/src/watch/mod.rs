//! A live run: packets and keys as they come, findings and counts as soon as they are known, until somebody stops it.

pub mod board;
pub mod clock;
mod control;
mod desk;
mod options;
mod system;

use std::thread;
use std::time::Duration;

pub use board::{Board, Publisher, Snapshot};
pub use control::Control;
pub use desk::Desk;
pub use options::{CaptureOptions, Options};

use crate::engine::{Engine, KeyFeed, Keys, Plan};
use crate::model::{PacketBatch, Stats, Time, Verdict};
use crate::source::SourceError;
use crate::source::keylogs::{KeyLogNews, KeyLogs};
use crate::source::live::LiveSource;
use clock::Clock;

/// How long the source waits for packets before the clock goes on.
const POLL: Duration = Duration::from_millis(20);

/// A snapshot is taken this often when nobody asks for one.
const PUBLISH: Duration = Duration::from_secs(1);

/// What a live run works with.
pub struct Parts<'r> {
    /// Packets.
    pub source: &'r mut dyn LiveSource,
    /// Key logs.
    pub keylogs: &'r mut KeyLogs,
    /// Findings go here.
    pub desk: &'r mut Desk,
    /// Snapshots go here.
    pub publisher: &'r Publisher,
    /// Who stops it, and asks for a reload.
    pub control: &'r Control,
}

/// Runs until it is stopped. Gives the counts, the verdict, and what made the source fail, if that ended the run.
pub fn run(parts: Parts<'_>, plan: &Plan) -> (Stats, Verdict, Option<SourceError>) {
    thread::scope(|scope| {
        let clock = Clock::new(system::reading());
        let engine = Engine::start(scope, Keys::new(&plan.limits), plan);
        let mut run = Run {
            started: system::now(),
            number: 0,
            published: Time::default(),
            feeds: Vec::new(),
            engine,
            clock,
            parts,
        };
        let error = run.until_stopped();
        run.engine.end(run.parts.desk);
        run.parts.desk.flush();
        run.publish(false);
        (run.engine.stats(), run.engine.verdict(), error)
    })
}

struct Run<'r> {
    engine: Engine<'static>,
    clock: Clock,
    parts: Parts<'r>,
    feeds: Vec<Option<KeyFeed>>,
    started: Time,
    /// Snapshots so far.
    number: u64,
    /// When the last was taken (time of the run).
    published: Time,
}

impl Run<'_> {
    fn until_stopped(&mut self) -> Option<SourceError> {
        let mut batch = PacketBatch::default();
        while !self.parts.control.stopped() {
            if self.parts.control.take_reload() {
                self.parts.keylogs.reopen();
                self.parts.desk.reopen();
            }
            let before = self.clock.read(system::reading());
            let more = match self.parts.source.fill(&mut batch, POLL) {
                Ok(more) => more,
                Err(error) => return Some(error),
            };
            let now = self.clock.read(system::reading());
            for packet in &mut batch.packets {
                packet.time = self.clock.of_packet(packet.time);
            }
            self.keys();
            self.parts.desk.at(&self.clock);
            self.engine.packets(&mut batch, self.parts.desk);
            if !more {
                self.engine.settle(before, self.parts.desk);
            }
            self.parts.desk.flush();
            if self.parts.publisher.wanted() || now.since(self.published) >= PUBLISH {
                self.published = now;
                self.publish(true);
            }
        }
        None
    }

    /// Reads on in the key logs.
    fn keys(&mut self) {
        let Self { engine, feeds, parts, .. } = self;
        let keys = engine.keys_mut();
        parts.keylogs.poll(&mut |news| match news {
            KeyLogNews::Bytes { log, name, bytes } => {
                if feeds.len() <= log {
                    feeds.resize_with(log + 1, || None);
                }
                if let Some(slot) = feeds.get_mut(log) {
                    keys.feed(slot.get_or_insert_with(|| KeyFeed::new(name.to_owned())), bytes);
                }
            }
            KeyLogNews::Restarted { log } => {
                if let Some(Some(feed)) = feeds.get_mut(log) {
                    keys.end(feed);
                }
            }
        });
    }

    fn publish(&mut self, running: bool) {
        self.number += 1;
        let interfaces = self.parts.source.health();
        self.parts.publisher.publish(Snapshot {
            at: system::now(),
            started: self.started,
            number: self.number,
            capturing: running && interfaces.iter().any(|interface| interface.up),
            stats: self.engine.stats(),
            verdict: Some(self.engine.verdict()),
            interfaces,
            keylogs: self.parts.keylogs.health(),
            streams: self.parts.desk.streams(),
            flows: *self.engine.flows(),
            delay: self.parts.desk.delay().clone(),
            latest: self.parts.desk.latest(),
            clock_steps: self.clock.steps(),
            reloads: self.parts.control.reloads(),
            reload_error: None,
        });
    }
}
