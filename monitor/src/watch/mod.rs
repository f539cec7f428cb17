//! A live run: packets and keys as they come, findings and counts as soon as they are known, until somebody stops it.

pub mod board;
pub mod clock;
mod control;
mod desk;
pub mod history;
pub mod keylog;
mod options;
pub mod privileges;
pub mod probing;
mod system;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

pub use board::{Board, Publisher, Snapshot};
pub use control::Control;
pub use desk::Desk;
pub use options::{CaptureOptions, Options, PlaintextOptions, ProbeTargets};
pub(crate) use system::now;

use crate::config::Changes;
use crate::engine::{Engine, KeyFeed, Keys, Plan};
use crate::model::{PacketBatch, Stats, Time, Verdict};
use crate::sink::stream::StreamHealth;
use crate::source::SourceError;
use crate::source::keylogs::{KeyLogHealth, KeyLogNews, KeyLogs};
use crate::source::live::{InterfaceHealth, KeyProbe, LiveSource};
use clock::Clock;

/// How long the source waits for packets before the clock goes on.
const POLL: Duration = Duration::from_millis(20);

/// How long key logs may be read in a round while packets come: the kernel's buffer holds many times what comes meanwhile.
const READ_BUSY: Duration = Duration::from_millis(4);

/// The same while no packets come: a log that is long when the run begins should not keep connections dark for long.
const READ_QUIET: Duration = Duration::from_millis(40);

/// A snapshot is taken this often when nobody asks for one.
const PUBLISH: Duration = Duration::from_secs(1);

/// What a live run works with.
pub struct Parts<'r> {
    /// Packets.
    pub source: &'r mut dyn LiveSource,
    /// Key logs.
    pub keylogs: &'r mut KeyLogs,
    /// Keys from processes.
    pub probe: Option<Box<dyn KeyProbe>>,
    /// Findings go here.
    pub desk: &'r mut Desk,
    /// Snapshots go here.
    pub publisher: &'r Publisher,
    /// Who stops it, and asks for a reload.
    pub control: &'r Control,
    /// Reads the configuration again.
    pub reload: &'r mut dyn Reload,
    /// Tells the operator something, in one line.
    pub warn: &'r mut dyn FnMut(&str),
}

/// Reads the configuration of a live run again.
pub trait Reload {
    /// What changes by it.
    ///
    /// # Errors
    /// Why everything stays as it is, in one line.
    fn reload(&mut self) -> Result<Changes, String>;

    /// These settings could not be applied, and stay as they were: the next reload tries again. Gives where they were set.
    fn refused(&mut self, names: &[&str]) -> Option<String>;
}

/// Runs until it is stopped. Gives the counts, the verdict, and what made the source fail, if that ended the run.
pub fn run(parts: Parts<'_>, plan: &Plan) -> (Stats, Verdict, Option<SourceError>) {
    thread::scope(|scope| {
        let clock = Clock::new(system::reading());
        let mut engine = Engine::start_live(scope, Keys::new(&plan.limits), plan, system::now());
        if parts.source.gives_both() {
            engine.count_once();
        }
        let mut run = Run {
            started: system::now(),
            number: 0,
            published: Time::default(),
            reload_error: None,
            exposed: Vec::new(),
            skipped: Vec::new(),
            failing: Vec::new(),
            down: Vec::new(),
            feeds: Vec::new(),
            probed: KeyFeed::new("probe".to_owned()),
            engine,
            clock,
            parts,
        };
        let error = run.until_stopped();
        run.engine.end(run.parts.desk);
        run.parts.desk.flush();
        run.publish(false);
        (run.stats(), run.engine.verdict(), error)
    })
}

struct Run<'r> {
    engine: Engine<'static>,
    clock: Clock,
    parts: Parts<'r>,
    feeds: Vec<Option<KeyFeed>>,
    /// What the probe gave.
    probed: KeyFeed,
    started: Time,
    /// Snapshots so far.
    number: u64,
    /// When the last was taken (time of the run).
    published: Time,
    /// What the last reload left undone.
    reload_error: Option<String>,
    /// Key logs that others may read, once told.
    exposed: Vec<PathBuf>,
    /// Key logs of which a part is not read, once told.
    skipped: Vec<PathBuf>,
    /// Targets that take no events, once told.
    failing: Vec<String>,
    /// Interfaces that are not read, once told.
    down: Vec<String>,
}

impl Run<'_> {
    fn until_stopped(&mut self) -> Option<SourceError> {
        let mut batch = PacketBatch::default();
        while !self.parts.control.stopped() {
            if self.parts.control.take_reload() {
                self.reload();
            }
            let before = self.clock.read(system::reading());
            // While key logs are behind there is something better to do than to wait.
            let wait = if self.parts.keylogs.is_behind() { Duration::ZERO } else { POLL };
            let more = match self.parts.source.fill(&mut batch, wait) {
                Ok(more) => more,
                Err(error) => return Some(error),
            };
            let now = self.clock.read(system::reading());
            for packet in &mut batch.packets {
                packet.time = self.clock.of_packet(packet.time);
            }
            for plaintext in &mut batch.plaintext {
                plaintext.time = self.clock.of_packet(plaintext.time);
            }
            batch.lost_within =
                batch.lost_within.map(|(since, until)| (self.clock.of_packet(since), self.clock.of_packet(until)));
            let quiet = !more && batch.packets.is_empty() && batch.plaintext.is_empty();
            self.keys(if quiet { READ_QUIET } else { READ_BUSY });
            self.parts.desk.at(&self.clock);
            self.engine.packets(&mut batch, self.parts.desk);
            for interest in self.engine.take_interests() {
                self.parts.source.interest(&interest);
            }
            if !more {
                let lag = u64::try_from(self.parts.source.lag().as_nanos()).unwrap_or(u64::MAX);
                self.engine.settle(Time(before.0.saturating_sub(lag)), self.parts.desk);
            }
            self.parts.desk.flush();
            if self.parts.publisher.wanted() || now.since(self.published) >= PUBLISH {
                self.published = now;
                self.publish(true);
            }
        }
        None
    }

    /// Reads configuration and keys again, and opens what may have been moved away.
    fn reload(&mut self) {
        let changes = self.parts.reload.reload();
        self.reload_error = changes.as_ref().map_or_else(|error| Some(error.clone()), Changes::notice);
        let changes = changes.unwrap_or_default();
        match changes.keylogs {
            Some(paths) => self.parts.keylogs.change(&paths),
            None => self.parts.keylogs.reopen(),
        }
        if let Some(settings) = changes.detect {
            self.engine.set(settings);
        }
        if let Some(Err(error)) = changes.filter.map(|filter| self.parts.source.refilter(&filter)) {
            self.not_applied(error, Changes::FILTER);
        }
        match changes.events.map(|targets| self.parts.desk.redirect(&targets)) {
            Some(Err(error)) => self.not_applied(error, Changes::EVENTS),
            Some(Ok(())) => {}
            None => self.parts.desk.reopen(),
        }
    }

    /// A part of a reload failed.
    fn not_applied(&mut self, error: String, settings: &[&str]) {
        let set = self.parts.reload.refused(settings).map_or_else(String::new, |set| format!("{set}: "));
        let error = format!("{set}{error}");
        (self.parts.warn)(&format!("not applied: {error}"));
        self.reload_error = Some(error);
    }

    /// Reads on in the key logs for so long, and takes what the probe has.
    fn keys(&mut self, within: Duration) {
        let Self { engine, feeds, probed, parts, .. } = self;
        let keys = engine.keys_mut();
        if let Some(probe) = &mut parts.probe {
            probe.poll(&mut |secret| {
                keys.owner(secret.name, secret.process);
                keys.feed(probed, secret.line.as_bytes());
            });
        }
        parts.keylogs.poll(within, &mut |news| match news {
            KeyLogNews::Bytes { log, name, bytes } => {
                if feeds.len() <= log {
                    feeds.resize_with(log + 1, || None);
                }
                if let Some(slot) = feeds.get_mut(log) {
                    keys.feed(slot.get_or_insert_with(|| KeyFeed::new(name.to_owned())), bytes);
                }
            }
            KeyLogNews::Restarted { log } => {
                // The number may be another log's from here on.
                if let Some(mut feed) = feeds.get_mut(log).and_then(Option::take) {
                    keys.end(&mut feed);
                }
            }
        });
    }

    /// Warns of key logs that others may read, and of those of which a part is not read; of each once.
    fn warn_of_keylogs(&mut self, logs: &[KeyLogHealth]) {
        for log in logs {
            match &log.exposed_file {
                Some(file) if !self.exposed.contains(&log.path) => {
                    let path = file.display();
                    (self.parts.warn)(&format!(
                        "others may read the key log {path}, and with it the traffic: chmod go-rwx {path}"
                    ));
                    self.exposed.push(log.path.clone());
                }
                // Were it so again, that would be news.
                None => self.exposed.retain(|told| *told != log.path),
                Some(_) => {}
            }
            if log.skipped > 0 && !self.skipped.contains(&log.path) {
                let (skipped, path) = (log.skipped >> 20, log.path.display());
                (self.parts.warn)(&format!(
                    "the first {skipped} MiB of the key log {path} are not read: more keys stand behind them than memory allows to keep"
                ));
                self.skipped.push(log.path.clone());
            }
        }
    }

    /// Warns of targets that take no events; of each once, until it takes some.
    fn warn_of_streams(&mut self, streams: &[StreamHealth]) {
        for StreamHealth { name, error, .. } in streams {
            match error {
                Some(error) if !self.failing.contains(name) => {
                    (self.parts.warn)(&format!("cannot write events to {name}: {error}"));
                    self.failing.push(name.clone());
                }
                None => self.failing.retain(|told| told != name),
                Some(_) => {}
            }
        }
    }

    /// Says when an interface is not read any more, and when it is again. Processes that are probed come and go.
    fn warn_of_interfaces(&mut self, interfaces: &[InterfaceHealth]) {
        for interface in interfaces.iter().filter(|one| one.kind != "plaintext") {
            let name = &interface.name;
            match (interface.up, self.down.contains(name)) {
                (false, false) => {
                    (self.parts.warn)(&format!("not capturing: {}", interface.why()));
                    self.down.push(name.clone());
                }
                (true, true) => {
                    (self.parts.warn)(&format!("{name} is captured on again"));
                    self.down.retain(|told| told != name);
                }
                _ => {}
            }
        }
    }

    /// Every count, those of the kernel among them.
    fn stats(&mut self) -> Stats {
        Stats { kernel_resets: self.parts.source.kernel_resets(), ..self.engine.stats() }
    }

    fn publish(&mut self, running: bool) {
        self.number += 1;
        let keylogs = self.parts.keylogs.health();
        self.warn_of_keylogs(&keylogs);
        let streams = self.parts.desk.streams();
        self.warn_of_streams(&streams);
        let interfaces = self.parts.source.health();
        self.warn_of_interfaces(&interfaces);
        let stats = self.stats();
        let history = self.parts.desk.history();
        history.observe(self.clock.now(), &stats, &interfaces);
        let (mut history, top) = (history.steps(), history.top());
        history.open_since = self.clock.shown(history.open_since);
        let (latest_numbers, latest) = self.parts.desk.latest();
        self.parts.publisher.publish(Snapshot {
            at: system::now(),
            started: self.started,
            number: self.number,
            capturing: running && interfaces.iter().any(|interface| interface.up),
            stats,
            verdict: Some(self.engine.verdict()),
            interfaces,
            keylogs,
            probe: self.parts.probe.as_mut().map(|probe| probe.health()),
            streams,
            flows: *self.engine.flows(),
            delay: self.parts.desk.delay().clone(),
            latest,
            latest_numbers,
            history,
            top,
            clock_steps: self.clock.steps(),
            reloads: self.parts.control.reloads(),
            reload_error: self.reload_error.clone(),
        });
    }
}
