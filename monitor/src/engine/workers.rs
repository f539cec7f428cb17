use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use tls_tap::late::Found;

use super::LAG;
use super::keys::NewKeys;
use crate::flow::{Events, FlowCounts, Samples, Shard};
use crate::limits::Limits;
use crate::model::{Event, SegmentBatch, Time};

/// A key that the late search found.
#[derive(Debug)]
pub(super) struct Unlock {
    /// The shard of its flow.
    pub(super) shard: usize,
    /// The key.
    pub(super) found: Found,
}

/// One step of all shards.
#[derive(Debug)]
pub(super) struct Job<'m> {
    /// Keys, where there are new ones.
    pub(super) keys: Option<NewKeys>,
    /// Segments, where there are any.
    pub(super) batch: Option<SegmentBatch<'m>>,
    /// The last packet whose segments may be read.
    pub(super) until: u64,
    /// The time up to which everything was sent, where the source is quiet.
    pub(super) tick: Option<Time>,
    /// The input has ended.
    pub(super) finish: Option<Time>,
}

impl Default for Job<'_> {
    fn default() -> Self {
        Self { keys: None, batch: None, until: u64::MAX, tick: None, finish: None }
    }
}

/// What a step gave.
#[derive(Debug, Default)]
pub(super) struct Output<'m> {
    /// Of each shard.
    pub(super) shards: Vec<ShardOutput>,
    /// The latest time of the batch, or the time up to which everything was sent.
    pub(super) now: Option<Time>,
    /// The batch, to be used again.
    pub(super) batch: Option<SegmentBatch<'m>>,
}

/// What one shard gave.
#[derive(Debug)]
pub(super) struct ShardOutput {
    index: usize,
    /// Events of the batch, in packet order.
    pub(super) events: Vec<(u64, Event)>,
    /// Events that keys found late made readable, each at its own time.
    pub(super) late: Vec<(u64, Event)>,
    /// What the late search is to know.
    pub(super) samples: Samples,
    /// The first packet that is still to be read.
    pub(super) behind: Option<u64>,
}

/// What one thread's shards gave.
#[derive(Debug, Default)]
struct Part {
    shards: Vec<ShardOutput>,
    counts: FlowCounts,
}

/// A shard and the batches that it has not read to their end.
struct Bench<'m> {
    index: usize,
    shard: Shard<'m>,
    backlog: VecDeque<(Arc<Job<'m>>, usize)>,
}

impl<'m> Bench<'m> {
    /// Reads on; stops where there is enough to tell at a time. Gives the first packet that is left.
    fn read(&mut self, until: u64, enough: usize, events: &mut Events) -> Option<u64> {
        while let Some((job, at)) = self.backlog.front_mut() {
            if let Some(batch) = &job.batch {
                let segments = batch.shards.get(self.index).map(Vec::as_slice).unwrap_or_default();
                for segment in segments.get(*at..).unwrap_or_default() {
                    if events.weight() >= enough || segment.ordinal > until {
                        self.shard.settle(events);
                        return Some(segment.ordinal);
                    }
                    self.shard.segment(segment, &batch.arena, events);
                    *at += 1;
                }
                self.shard.tick(batch.now, events);
            }
            self.backlog.pop_front();
        }
        None
    }
}

/// The shards that one thread works on.
struct Lane<'m> {
    shards: Vec<Bench<'m>>,
    /// Weight of the events that a shard tells at a time.
    enough: usize,
    /// Events of a shard in the last batch: about as many come in the next.
    usual: usize,
}

impl<'m> Lane<'m> {
    fn work(&mut self, job: &Arc<Job<'m>>, mut unlocks: Vec<Unlock>) -> Part {
        let mut part = Part::default();
        for bench in &mut self.shards {
            let Bench { index, shard, .. } = bench;
            let (mut events, mut late) = (Events::with_capacity(self.usual), Events::new());
            if let Some(keys) = &job.keys {
                shard.keys(Arc::clone(&keys.store), &keys.randoms, &mut late);
            }
            for unlock in unlocks.extract_if(.., |unlock| unlock.shard == *index) {
                shard.unlock(unlock.found.token, unlock.found, &mut late);
            }
            if job.batch.is_some() {
                bench.backlog.push_back((Arc::clone(job), 0));
            }
            let behind = bench.read(job.until, self.enough, &mut events);
            let Bench { index, shard, .. } = bench;
            if let Some(now) = job.tick.filter(|_| behind.is_none()) {
                shard.tick(now, &mut events);
            }
            if let Some(now) = job.finish {
                shard.finish(now, &mut events);
            }
            part.counts.add(&shard.counts());
            self.usual = events.len();
            let (events, late, samples) = (events.into_vec(), late.into_vec(), shard.samples());
            part.shards.push(ShardOutput { index: *index, events, late, samples, behind });
        }
        part
    }
}

/// A thread and the way to it.
struct Thread<'m> {
    jobs: SyncSender<(Arc<Job<'m>>, Vec<Unlock>)>,
    parts: Receiver<Part>,
}

/// All shards, on the caller's thread or on several.
pub(super) struct Workers<'m> {
    counts: FlowCounts,
    inline: Option<Lane<'m>>,
    done: VecDeque<(Vec<Part>, Arc<Job<'m>>)>,
    threads: Vec<Thread<'m>>,
    sent: VecDeque<Arc<Job<'m>>>,
}

impl<'m> Workers<'m> {
    /// Starts `threads` threads; with 1 the caller's does the work.
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, threads: usize, limits: &Arc<Limits>) -> Self
    where
        'm: 'scope,
    {
        let threads = threads.clamp(1, Limits::SHARDS);
        let mut lanes: Vec<Lane<'m>> =
            (0..threads).map(|_| Lane { shards: Vec::new(), enough: limits.events, usual: 0 }).collect();
        for index in 0..Limits::SHARDS {
            if let Some(lane) = lanes.get_mut(index % threads) {
                lane.shards.push(Bench { index, shard: Shard::new(Arc::clone(limits)), backlog: VecDeque::new() });
            }
        }
        let mut this = Self {
            counts: FlowCounts::default(),
            inline: None,
            done: VecDeque::new(),
            threads: Vec::new(),
            sent: VecDeque::new(),
        };
        if threads == 1 {
            this.inline = lanes.pop();
            return this;
        }
        for mut lane in lanes {
            let (jobs, inbox) = sync_channel::<(Arc<Job<'m>>, Vec<Unlock>)>(LAG + 1);
            let (outbox, parts) = sync_channel(LAG + 1);
            scope.spawn(move || {
                while let Ok((job, unlocks)) = inbox.recv() {
                    let part = lane.work(&job, unlocks);
                    drop(job);
                    if outbox.send(part).is_err() {
                        return;
                    }
                }
            });
            this.threads.push(Thread { jobs, parts });
        }
        this
    }

    /// Hands a job to every shard, and each key found late to its own.
    pub(super) fn send(&mut self, job: Job<'m>, mut unlocks: Vec<Unlock>) {
        let job = Arc::new(job);
        if let Some(lane) = &mut self.inline {
            let part = lane.work(&job, unlocks);
            self.done.push_back((vec![part], job));
            return;
        }
        let threads = self.threads.len();
        for (index, thread) in self.threads.iter().enumerate() {
            let own = unlocks.extract_if(.., |unlock| unlock.shard % threads == index).collect();
            // A thread ends before the channel is dropped only if it panicked, which the scope passes on.
            let _ = thread.jobs.send((Arc::clone(&job), own));
        }
        self.sent.push_back(job);
    }

    /// Jobs whose output was not taken yet.
    pub(super) fn in_flight(&self) -> usize {
        self.done.len() + self.sent.len()
    }

    /// The output of the oldest job.
    pub(super) fn receive(&mut self) -> Option<Output<'m>> {
        let (parts, job) = match self.sent.pop_front() {
            Some(job) => (self.threads.iter().filter_map(|thread| thread.parts.recv().ok()).collect(), job),
            None => self.done.pop_front()?,
        };
        self.counts = FlowCounts::default();
        let mut shards = Vec::with_capacity(Limits::SHARDS);
        for part in parts {
            self.counts.add(&part.counts);
            shards.extend(part.shards);
        }
        shards.sort_by_key(|shard: &ShardOutput| shard.index);
        let now = job.batch.as_ref().map(|batch| batch.now).or(job.tick);
        Some(Output { shards, now, batch: Arc::into_inner(job).and_then(|job| job.batch) })
    }

    /// Counts of all shards at the last output.
    pub(super) const fn counts(&self) -> &FlowCounts {
        &self.counts
    }
}
