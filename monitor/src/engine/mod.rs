//! The pipeline as one thing: packets and keys in, findings and counts out, on one thread or several, with the same result.
//!
//! Batches go through in a fixed rhythm: batch `n` is sent, then the output of batch `n - LAG` is taken. What an output gives rise
//! to (keys found late) therefore reaches the shards at the same place in the capture however many threads there are. A live run
//! breaks the rhythm where the wire is quiet: it [settles](Engine::settle), so that nothing waits for packets that may not come.

mod keys;
mod lifetime;
mod merge;
mod once;
mod recent;
mod sessions;
mod waiting;
mod workers;

use std::sync::Arc;
use std::thread::Scope;
use std::time::Duration;

use tls_tap::late::Search;

use crate::detect::{Detector, Settings};
use crate::flow::FlowCounts;
use crate::limits::Limits;
use crate::model::{Event, Finding, Interest, PacketBatch, SegmentBatch, Side, Stats, Time, Verdict};
use keys::NewKeys;
pub use keys::{KeyFeed, Keys};
use lifetime::Allowance;
use once::Once;
use recent::Recent;
use sessions::Sessions;
use waiting::Waiting;
use workers::{Job, Output, Unlock, Workers};

/// Batches in flight between the reader and the output; fewer than a source keeps readable.
pub const LAG: usize = 3;

/// Trials of the joined-late search at each batch; what is left of the budget is spent when the input has ended.
const TRIALS_A_BATCH: u64 = 1 << 22;

/// Without packets the clock of the flows goes on this often.
const TICK: Duration = Duration::from_millis(100);

/// Packets by which shards may be ahead of one that has stopped.
const AHEAD: u64 = 256;

/// What a run needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Threads to use, the caller's among them.
    pub threads: usize,
    /// What `detect` is set to.
    pub settings: Settings,
    /// Every cap.
    pub limits: Limits,
}

/// Takes what a run finds.
pub trait Listener {
    /// A finding, in order.
    fn finding(&mut self, finding: &Finding);

    /// An event, before `detect` has it.
    fn event(&mut self, event: &Event) {
        let _ = event;
    }

    /// How many bytes of the input are done.
    fn progress(&mut self, done: u64) {
        let _ = done;
    }
}

/// The pipeline between sources and sinks.
pub struct Engine<'m> {
    workers: Workers<'m>,
    detector: Detector,
    search: Search,
    keys: Keys,
    sessions: Sessions,
    /// The shard of each flow that the search has samples of.
    shards: Recent<usize>,
    unlocks: Vec<Unlock>,
    findings: Vec<Finding>,
    span: Option<(Time, Time)>,
    /// Connections of which the late search found a secret.
    found_late: Recent<()>,
    found: u64,
    spare: Vec<(PacketBatch<'m>, SegmentBatch<'m>)>,
    waiting: Waiting,
    /// Events of shards that are ahead of others, by shard.
    ahead: Vec<Vec<(u64, Event)>>,
    /// The first packet that a shard had still to read at the last output.
    behind: Option<u64>,
    /// The latest time of a batch that was not read to its end.
    reached: Option<Time>,
    /// Until when it is counted what the source missed.
    missed: Time,
    /// When the run was last settled.
    settled: Time,
    /// The latest time that is known.
    now: Time,
    /// Sees to it that a connection which comes as packets and as plaintext is counted once.
    once: Once,
    /// Of a live run: what its search may cost.
    allowance: Option<Allowance>,
    /// Of a live run: flows whose payload is read no more, or is again, since somebody asked.
    interests: Vec<Interest>,
}

impl<'m> Engine<'m> {
    /// Starts the threads of a replay in `scope`.
    pub fn start<'scope>(scope: &'scope Scope<'scope, '_>, keys: Keys, plan: &Plan) -> Self
    where
        'm: 'scope,
    {
        Self::with(scope, keys, plan, Arc::new(plan.limits.of_replay()))
    }

    /// Starts the threads of a live run, which has no end that bounds it: keys go with their connections, and the search for those of
    /// connections joined late has a rate instead of a budget.
    pub fn start_live<'scope>(scope: &'scope Scope<'scope, '_>, keys: Keys, plan: &Plan, now: Time) -> Self
    where
        'm: 'scope,
    {
        let mut this = Self::with(scope, keys, plan, Arc::new(plan.limits.clone()));
        this.keys.live(&plan.limits, now);
        this.search = Search::new(u64::MAX);
        this.allowance = Some(Allowance::new(plan.limits.late_rate, now));
        this.now = now;
        this
    }

    fn with<'scope>(scope: &'scope Scope<'scope, '_>, keys: Keys, plan: &Plan, limits: Arc<Limits>) -> Self
    where
        'm: 'scope,
    {
        Self {
            workers: Workers::start(scope, plan.threads, &limits),
            detector: Detector::new(plan.settings.clone(), Arc::clone(&limits)),
            search: Search::new(limits.late_trials),
            keys,
            sessions: Sessions::new(&limits),
            shards: Recent::default(),
            unlocks: Vec::new(),
            findings: Vec::new(),
            span: None,
            found_late: Recent::default(),
            found: 0,
            spare: Vec::new(),
            waiting: Waiting::default(),
            ahead: Vec::new(),
            behind: None,
            reached: None,
            missed: Time::default(),
            settled: Time::default(),
            now: Time::default(),
            once: Once::default(),
            allowance: None,
            interests: Vec::new(),
        }
    }

    /// Packets and plaintext come of the same connections: each is counted once, by its packets where they can be read.
    pub const fn count_once(&mut self) {
        self.once.watch();
    }

    /// Flows whose payload is read no more, or is again, since the last call: for a source that can leave payload out.
    pub fn take_interests(&mut self) -> Vec<Interest> {
        std::mem::take(&mut self.interests)
    }

    /// The keys of the run: what is added reaches the flows with the next packets, or when the run settles.
    pub const fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }

    /// Goes on with other settings, from what is heard next.
    pub fn set(&mut self, settings: Settings) {
        self.detector.set(settings);
    }

    fn new_keys(&mut self) -> Option<NewKeys> {
        let keys = self.keys.take_new()?;
        self.search.add_keys(&keys.store, keys.randoms.iter());
        Some(keys)
    }

    fn send(&mut self, job: Job<'m>) {
        self.sessions.advance(self.now);
        for random in self.keys.advance(self.now) {
            self.search.forget(&random);
        }
        let keys = self.new_keys();
        // While a shard is behind, the others go on with what is close to it only.
        let until = self.behind.map_or(u64::MAX, |first| first.saturating_add(AHEAD));
        self.workers.send(Job { keys, until, ..job }, std::mem::take(&mut self.unlocks));
    }

    /// Takes the next packets of the source, and what came between them, and leaves an empty batch.
    pub fn packets(&mut self, packets: &mut PacketBatch<'m>, listener: &mut dyn Listener) {
        // The verdict needs what was lost, and of how many.
        let stats = self.detector.stats_mut();
        stats.input.lost = stats.input.lost.saturating_add(packets.lost);
        stats.packets.packets += packets.packets.len() as u64;
        if let Some((since, until)) = packets.lost_within {
            if packets.lost == 0 {
                // A source tells such a span again and again while it lasts.
                stats.input.missed += until.since(since.max(self.missed));
                self.missed = self.missed.max(until);
            }
            self.detector.lost(since, until);
        }
        for text in packets.secrets.drain(..) {
            self.keys.block(&text);
        }
        let times = [
            packets.packets.first().map(|packet| packet.time),
            packets.packets.last().map(|packet| packet.time),
            packets.plaintext.first().map(|plaintext| plaintext.time),
            packets.plaintext.last().map(|plaintext| plaintext.time),
        ];
        let known = || times.into_iter().flatten();
        if let (Some(first), Some(last)) = (known().min(), known().max()) {
            let (start, end) = self.span.unwrap_or((first, last));
            self.span = Some((start.min(first), end.max(last)));
            // The verdict tells packets without connections from no packets at all.
            self.detector.stats_mut().span = self.span;
            let (empty, segments) = self.spare.pop().unwrap_or_default();
            let packets = std::mem::replace(packets, empty);
            self.send(Job { packets: Some(packets), batch: Some(segments), ..Job::default() });
            self.take_outputs(LAG, TRIALS_A_BATCH, listener);
            self.catch_up(LAG, listener);
        }
    }

    /// Hears everything that was sent, lets late keys take effect, and lets the clock go on: `now` is a time up to which the source has
    /// given every packet.
    pub fn settle(&mut self, now: Time, listener: &mut dyn Listener) {
        self.take_outputs(0, TRIALS_A_BATCH, listener);
        self.now = self.now.max(now);
        if self.allowance.is_some() {
            self.search(TRIALS_A_BATCH);
        }
        let waits = self.behind.is_some() || !self.unlocks.is_empty() || !self.waiting.is_idle() || self.keys.are_new();
        if !waits && now.since(self.settled) < TICK {
            return;
        }
        self.settled = now;
        self.send(Job { tick: Some(now), ..Job::default() });
        self.take_outputs(0, TRIALS_A_BATCH, listener);
        self.catch_up(0, listener);
    }

    /// Takes outputs until `leave` are in flight.
    fn take_outputs(&mut self, leave: usize, trials: u64, listener: &mut dyn Listener) {
        while self.workers.in_flight() > leave {
            let Some(output) = self.workers.receive() else { return };
            self.output(output, trials, listener);
        }
    }

    /// Lets shards that have stopped read on to the end of what they have.
    fn catch_up(&mut self, leave: usize, listener: &mut dyn Listener) {
        while self.behind.is_some() {
            self.send(Job::default());
            self.take_outputs(leave, TRIALS_A_BATCH, listener);
        }
    }

    fn output(&mut self, output: Output<'m>, trials: u64, listener: &mut dyn Listener) {
        self.reached = self.reached.max(output.now);
        self.now = self.now.max(output.now.unwrap_or_default());
        self.behind = output.shards.iter().filter_map(|shard| shard.behind).min();
        let now = if self.behind.is_none() { self.reached.take() } else { None };
        let blind = output.shards.iter().any(|shard| !shard.samples.flows.is_empty());
        let (mut in_order, mut late, mut samples) = (Vec::new(), Vec::new(), Vec::new());
        for shard in output.shards {
            in_order.push(shard.events);
            late.extend(shard.late.into_iter().map(|(_, event)| event));
            samples.push(shard.samples);
        }
        let in_order = merge::before(self.behind, &mut self.ahead, in_order);
        if self.waiting.is_idle() && late.is_empty() && !blind {
            merge::in_order(in_order, |event| self.hear(event, listener));
            self.decide(now, listener);
        } else {
            let mut events = Vec::new();
            merge::in_order(in_order, |event| events.push(event));
            self.waiting.add(events, now, late, blind);
        }
        self.spare.extend(output.packets.zip(output.batch));
        while let Some((events, now)) = self.waiting.due() {
            events.into_iter().for_each(|event| self.hear(event, listener));
            self.decide(now, listener);
        }
        // First those that were made: another shard's connection may resume one.
        for (names, master) in samples.iter_mut().flat_map(|samples| samples.made.drain(..)) {
            self.sessions.made(names, &master, self.now);
        }
        for (shard, samples) in samples.into_iter().enumerate() {
            for random in &samples.claims {
                self.keys.claim(random);
                self.search.claim(random);
            }
            samples.by_transcript.iter().for_each(|random| self.keys.found_by_transcript(random));
            for (random, names) in &samples.resumed {
                if let Some(master) = self.sessions.master(names) {
                    self.keys.resumed(random, master);
                }
            }
            samples.ended.into_iter().for_each(|random| self.keys.ended(random));
            if self.allowance.is_some() {
                samples.gone.into_iter().for_each(|token| self.search.remove_flow(token));
                self.interests.extend(samples.interests);
            }
            for (token, side, samples) in samples.flows {
                self.shards.insert(token, shard);
                self.search.add_flow(token, side, samples);
            }
        }
        self.search(trials);
    }

    fn hear(&mut self, event: Event, listener: &mut dyn Listener) {
        let Self { once, detector, findings, .. } = self;
        once.event(event, &mut |event| {
            listener.event(&event);
            detector.event(event, findings);
        });
    }

    fn decide(&mut self, now: Option<Time>, listener: &mut dyn Listener) {
        if let Some(now) = now {
            let Self { once, detector, findings, .. } = self;
            once.advance(now, &mut |event| {
                listener.event(&event);
                detector.event(event, findings);
            });
            self.detector.advance(now, &mut self.findings);
        }
        for finding in self.findings.drain(..) {
            listener.finding(&finding);
        }
    }

    fn search(&mut self, trials: u64) {
        let before = self.search.trials();
        let trials = match &mut self.allowance {
            None => trials,
            Some(_) if !self.search.pending() => return,
            Some(allowance) => allowance.at(self.now).min(trials),
        };
        let found = self.search.step(trials);
        if let Some(allowance) = &mut self.allowance {
            allowance.spend(self.search.trials() - before);
        }
        for found in found {
            if let Some(shard) = self.shards.get(found.token) {
                self.found += u64::from(self.found_late.get(found.token).is_none());
                self.found_late.insert(found.token, ());
                self.unlocks.push(Unlock { shard, found });
            }
        }
    }

    /// Spends what is left of the search's budget, closes every flow, and decides what is open.
    pub fn end(&mut self, listener: &mut dyn Listener) {
        self.take_outputs(0, TRIALS_A_BATCH, listener);
        self.catch_up(0, listener);
        loop {
            if self.unlocks.is_empty() {
                self.search(u64::MAX);
            }
            if self.unlocks.is_empty() {
                break;
            }
            self.send(Job::default());
            self.take_outputs(0, TRIALS_A_BATCH, listener);
        }
        let now = self.span.map_or_else(Time::default, |(_, last)| last);
        self.send(Job { finish: Some(now), ..Job::default() });
        self.take_outputs(0, 0, listener);
        for (events, now) in self.waiting.rest() {
            events.into_iter().for_each(|event| self.hear(event, listener));
            self.decide(now, listener);
        }
        let Self { once, detector, findings, .. } = self;
        once.finish(&mut |event| {
            listener.event(&event);
            detector.event(event, findings);
        });
        self.detector.finish(now, &mut self.findings);
        self.decide(None, listener);
    }

    /// Every count so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.detector.stats().clone();
        stats.packets = self.workers.packets().clone();
        stats.span = self.span;
        stats.connections.plaintext = self.once.uses().clone();
        self.keys.count(&mut stats.keys);
        stats.keys.found_late = self.found;
        stats.keys.trials = self.search.trials();
        stats.keys.exhausted = match &self.allowance {
            None => self.search.exhausted(),
            Some(allowance) => allowance.is_used_up() && self.search.pending(),
        };
        stats.keys.sought = self.search.flows() as u64;
        stats.keys.given_up = self.search.evicted();
        for (cap, count) in self.workers.counts().capped().into_iter().filter(|&(_, count)| count > 0) {
            *stats.capped.entry(cap).or_default() += count;
        }
        let one_way = [Side::Client, Side::Server].into_iter().zip(self.workers.counts().one_way);
        stats.connections.one_way = one_way.filter(|&(_, count)| count > 0).collect();
        stats
    }

    /// What flows hold and what was dropped.
    #[must_use]
    pub const fn flows(&self) -> &FlowCounts {
        self.workers.counts()
    }

    /// What the counts say so far.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.detector.verdict()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Listener for Nobody {
        fn finding(&mut self, _: &Finding) {}
    }

    #[test]
    fn what_a_source_missed_is_counted_once_however_often_it_tells_it() {
        let plan = Plan { threads: 1, settings: Settings::default(), limits: Limits::default() };
        let at = |seconds: u64| Time(seconds * 1_000_000_000);
        std::thread::scope(|scope| {
            let mut engine = Engine::start(scope, Keys::new(&plan.limits), &plan);
            // The last lost packets whose number is known.
            for (since, until, lost) in [(1, 3, 0), (1, 5, 0), (1, 5, 0), (8, 9, 0), (10, 20, 7)] {
                let lost_within = Some((at(since), at(until)));
                engine.packets(&mut PacketBatch { lost, lost_within, ..PacketBatch::default() }, &mut Nobody);
            }
            let stats = engine.stats();
            assert_eq!((stats.input.missed, stats.input.lost), (Duration::from_secs(4 + 1), 7));
        });
    }
}
