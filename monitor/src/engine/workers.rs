//! The decoder of packets, the shards behind it, and the threads that work on them. What there is to do lies in one queue, from which each
//! thread takes the next thing of a part that no other is at; the caller's thread takes its share whenever it would wait. A part does its
//! jobs in their order, and what it gives depends on them alone, so that it does not matter which thread does them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use tls_tap::late::Found;

use super::keys::NewKeys;
use crate::flow::{Events, FlowCounts, Samples, Shard};
use crate::limits::Limits;
use crate::model::{Event, PacketBatch, PacketCounts, SegmentBatch, Time};
use crate::packet::Decoder;

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
    /// Packets, where there are any.
    pub(super) packets: Option<PacketBatch<'m>>,
    /// Takes their segments.
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
        Self { keys: None, packets: None, batch: None, until: u64::MAX, tick: None, finish: None }
    }
}

/// What a step gave.
#[derive(Debug, Default)]
pub(super) struct Output<'m> {
    /// Of each shard.
    pub(super) shards: Vec<ShardOutput>,
    /// The latest time of the batch, or the time up to which everything was sent.
    pub(super) now: Option<Time>,
    /// The batches, to be used again.
    pub(super) packets: Option<PacketBatch<'m>>,
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

/// The number of the caller's thread.
const CALLER: usize = 0;

/// A shard and the batches that it has not read to their end.
struct Bench<'m> {
    index: usize,
    shard: Shard<'m>,
    /// And how many segments and how much plaintext of each it has read.
    backlog: VecDeque<(Arc<Job<'m>>, usize, usize)>,
    /// Weight of the events that it tells at a time.
    enough: usize,
    /// Events of the last job: about as many come in the next.
    usual: usize,
    /// The thread that did the last job, whose caches hold most of it.
    home: usize,
}

impl<'m> Bench<'m> {
    /// Reads on; stops where there is enough to tell at a time. Gives the first packet that is left.
    fn read(&mut self, until: u64, events: &mut Events) -> Option<u64> {
        /// No ordinal: there is nothing left.
        const NONE: u64 = u64::MAX;
        while let Some((job, at, plain_at)) = self.backlog.front_mut() {
            if let Some(batch) = &job.batch {
                let segments = batch.shards.get(self.index).map(Vec::as_slice).unwrap_or_default();
                let plaintext = batch.plaintext.get(self.index).map(Vec::as_slice).unwrap_or_default();
                loop {
                    let (segment, plain) = (segments.get(*at), plaintext.get(*plain_at));
                    let of_segment = segment.map_or(NONE, |segment| segment.ordinal);
                    let of_plain = plain.map_or(NONE, |plain| plain.ordinal);
                    let next = of_segment.min(of_plain);
                    if next == NONE {
                        break;
                    }
                    if events.weight() >= self.enough || next > until {
                        self.shard.settle(events);
                        return Some(next);
                    }
                    if let Some(segment) = segment.filter(|_| of_segment == next) {
                        self.shard.segment(segment, &batch.arena, events);
                        *at += 1;
                    } else if let Some(plain) = plain {
                        self.shard.plaintext(plain, &batch.arena, events);
                        *plain_at += 1;
                    }
                }
                self.shard.tick(batch.now, events);
            }
            self.backlog.pop_front();
        }
        None
    }

    fn work(&mut self, job: &Arc<Job<'m>>, unlocks: Vec<Unlock>) -> (ShardOutput, FlowCounts) {
        let (mut events, mut late) = (Events::with_capacity(self.usual), Events::new());
        if let Some(keys) = &job.keys {
            self.shard.owners(Arc::clone(&keys.owners));
            self.shard.keys(Arc::clone(&keys.store), &keys.randoms, &mut late);
        }
        for unlock in unlocks {
            self.shard.unlock(unlock.found.token, unlock.found, &mut late);
        }
        if job.batch.is_some() {
            self.backlog.push_back((Arc::clone(job), 0, 0));
        }
        let behind = self.read(job.until, &mut events);
        if let Some(now) = job.tick.filter(|_| behind.is_none()) {
            self.shard.tick(now, &mut events);
        }
        if let Some(now) = job.finish {
            self.shard.finish(now, &mut events);
        }
        self.usual = events.len();
        let (events, late, samples) = (events.into_vec(), late.into_vec(), self.shard.samples());
        (ShardOutput { index: self.index, events, late, samples, behind }, self.shard.counts())
    }
}

/// A job of one shard.
struct Unit<'m> {
    shard: usize,
    /// The number of the job.
    number: u64,
    job: Arc<Job<'m>>,
    unlocks: Vec<Unlock>,
}

/// A job whose packets are to be decoded, before the shards have it.
struct Raw<'m> {
    number: u64,
    job: Job<'m>,
    unlocks: Vec<Unlock>,
}

/// A job that was sent, and what came of it so far.
struct Sent<'m> {
    /// Once it was decoded.
    job: Option<Arc<Job<'m>>>,
    /// Counts of all packets up to its last.
    packets: PacketCounts,
    /// Shards that have not done it.
    left: usize,
    shards: Vec<ShardOutput>,
    counts: FlowCounts,
}

/// What is to be done and what was done.
struct Queue<'m> {
    /// The decoder, while no thread is at it.
    decoder: Option<Box<Decoder>>,
    raw: VecDeque<Raw<'m>>,
    /// Every shard that no thread is at.
    idle: Vec<Option<Box<Bench<'m>>>>,
    units: VecDeque<Unit<'m>>,
    sent: VecDeque<Sent<'m>>,
    /// The number of the first in `sent`.
    first: u64,
    /// Threads that sleep until something changes: to wake nobody costs time, too.
    asleep: usize,
    /// No more jobs come, or a thread has panicked.
    closed: bool,
}

impl<'m> Queue<'m> {
    /// The first thing that can be done now, if possible of a shard that this thread was at before.
    fn next(&mut self, thread: usize) -> Option<(Unit<'m>, Box<Bench<'m>>)> {
        let Self { idle, units, .. } = self;
        let bench = |unit: &Unit<'m>| idle.get(unit.shard).and_then(Option::as_ref);
        let own = units.iter().position(|unit| bench(unit).is_some_and(|bench| bench.home == thread));
        let at = own.or_else(|| units.iter().position(|unit| bench(unit).is_some()))?;
        let unit = units.remove(at)?;
        let mut bench = idle.get_mut(unit.shard)?.take()?;
        bench.home = thread;
        Some((unit, bench))
    }

    /// The job whose packets can be decoded now.
    fn next_raw(&mut self) -> Option<(Raw<'m>, Box<Decoder>)> {
        let decoder = self.decoder.take_if(|_| !self.raw.is_empty())?;
        Some((self.raw.pop_front()?, decoder))
    }

    fn sent(&mut self, number: u64) -> Option<&mut Sent<'m>> {
        let at = number.checked_sub(self.first)?;
        self.sent.get_mut(usize::try_from(at).ok()?)
    }

    /// A job was decoded: the shards have it, and each key found late its own.
    fn decoded(&mut self, Raw { number, job, mut unlocks }: Raw<'m>, decoder: Box<Decoder>) {
        let job = Arc::new(job);
        for shard in 0..Limits::SHARDS {
            let unlocks = unlocks.extract_if(.., |unlock| unlock.shard == shard).collect();
            self.units.push_back(Unit { shard, number, job: Arc::clone(&job), unlocks });
        }
        if let Some(sent) = self.sent(number) {
            sent.job = Some(job);
            sent.packets.clone_from(decoder.counts());
        }
        self.decoder = Some(decoder);
    }

    /// A thing was done.
    fn done(&mut self, number: u64, bench: Box<Bench<'m>>, output: ShardOutput, counts: &FlowCounts) {
        if let Some(place) = self.idle.get_mut(bench.index) {
            *place = Some(bench);
        }
        if let Some(sent) = self.sent(number) {
            sent.shards.push(output);
            sent.counts.add(counts);
            sent.left -= 1;
        }
    }
}

/// What the threads share.
struct Pool<'m> {
    queue: Mutex<Queue<'m>>,
    /// Grows with every change of the queue that somebody may wait for: there is more to do, or a thing was done.
    changes: AtomicU64,
    /// Wakes who sleeps until the next change.
    change: Condvar,
}

impl<'m> Pool<'m> {
    fn lock(&self) -> MutexGuard<'_, Queue<'m>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue has changed: wakes who sleeps.
    fn changed(&self, queue: &Queue<'m>) {
        self.changes.fetch_add(1, Ordering::Release);
        if queue.asleep > 0 {
            self.change.notify_all();
        }
    }

    /// Waits for a change. While jobs are on their way the next is close: to sleep and be woken would take longer.
    fn wait<'p>(&'p self, mut queue: MutexGuard<'p, Queue<'m>>) -> MutexGuard<'p, Queue<'m>> {
        /// Looks at the changes before a thread sleeps: some ten microseconds.
        const LOOKS: u32 = 500;
        let seen = self.changes.load(Ordering::Acquire);
        let changed = || self.changes.load(Ordering::Acquire) != seen;
        if !queue.sent.is_empty() {
            drop(queue);
            for _ in 0..LOOKS {
                if changed() {
                    break;
                }
                std::hint::spin_loop();
            }
            queue = self.lock();
        }
        if changed() || queue.closed {
            return queue;
        }
        queue.asleep += 1;
        queue = self.change.wait(queue).unwrap_or_else(PoisonError::into_inner);
        queue.asleep -= 1;
        queue
    }

    /// Does one thing, and gives the queue as it is then; `false`: there is nothing that could be done now.
    fn step<'p>(&'p self, thread: usize, mut queue: MutexGuard<'p, Queue<'m>>) -> (MutexGuard<'p, Queue<'m>>, bool) {
        let Some((Unit { number, job, unlocks, .. }, mut bench)) = queue.next(thread) else {
            return self.decode(queue);
        };
        drop(queue);
        let (output, counts) = bench.work(&job, unlocks);
        drop(job);
        let mut queue = self.lock();
        queue.done(number, bench, output, &counts);
        self.changed(&queue);
        (queue, true)
    }

    /// Decodes the packets of one job; as [`step`](Self::step).
    fn decode<'p>(&'p self, mut queue: MutexGuard<'p, Queue<'m>>) -> (MutexGuard<'p, Queue<'m>>, bool) {
        let Some((mut raw, mut decoder)) = queue.next_raw() else { return (queue, false) };
        drop(queue);
        if let Job { packets: Some(packets), batch: Some(batch), .. } = &mut raw.job {
            decoder.decode(packets, batch);
        }
        if raw.job.finish.is_some() {
            decoder.finish();
        }
        let mut queue = self.lock();
        queue.decoded(raw, decoder);
        self.changed(&queue);
        (queue, true)
    }

    /// Works until no more jobs come.
    fn serve(&self, thread: usize) {
        let mut queue = self.lock();
        loop {
            let did;
            (queue, did) = self.step(thread, queue);
            if !did {
                if queue.closed {
                    return;
                }
                queue = self.wait(queue);
            }
        }
    }

    fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        self.changed(&queue);
    }
}

/// Closes the pool when a thread ends: before its end that is a panic, which the scope passes on.
struct Closing<'m>(Arc<Pool<'m>>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Decoder and shards, on the caller's thread and on as many others as are wanted.
pub(super) struct Workers<'m> {
    counts: FlowCounts,
    packets: PacketCounts,
    pool: Closing<'m>,
    /// Threads besides the caller's.
    others: usize,
    in_flight: usize,
    next: u64,
}

impl<'m> Workers<'m> {
    /// Starts the threads: the caller's is one of `threads`.
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, threads: usize, limits: &Arc<Limits>) -> Self
    where
        'm: 'scope,
    {
        let bench = |index| Bench {
            index,
            shard: Shard::new(Arc::clone(limits)),
            backlog: VecDeque::new(),
            enough: limits.events,
            usual: 0,
            home: CALLER,
        };
        let idle = (0..Limits::SHARDS).map(|index| Some(Box::new(bench(index)))).collect();
        let queue = Queue {
            decoder: Some(Box::new(Decoder::new(limits))),
            raw: VecDeque::new(),
            idle,
            units: VecDeque::new(),
            sent: VecDeque::new(),
            first: 0,
            asleep: 0,
            closed: false,
        };
        let pool = Pool { queue: Mutex::new(queue), changes: AtomicU64::new(0), change: Condvar::new() };
        let pool = Arc::new(pool);
        let others = threads.clamp(1, Limits::SHARDS) - 1;
        for thread in CALLER + 1..=others {
            let pool = Closing(Arc::clone(&pool));
            scope.spawn(move || pool.0.serve(thread));
        }
        Self {
            counts: FlowCounts::default(),
            packets: PacketCounts::default(),
            pool: Closing(pool),
            others,
            in_flight: 0,
            next: 0,
        }
    }

    /// Hands a job to the decoder, then to every shard, and each key found late to its own.
    pub(super) fn send(&mut self, job: Job<'m>, unlocks: Vec<Unlock>) {
        let pool = &*self.pool.0;
        let number = self.next;
        self.next += 1;
        self.in_flight += 1;
        let mut queue = pool.lock();
        queue.raw.push_back(Raw { number, job, unlocks });
        queue.sent.push_back(Sent {
            job: None,
            packets: PacketCounts::default(),
            left: Limits::SHARDS,
            shards: Vec::with_capacity(Limits::SHARDS),
            counts: FlowCounts::default(),
        });
        if self.others == 0 {
            // While the batch is in the processor's caches.
            let mut did = true;
            while did {
                (queue, did) = pool.step(CALLER, queue);
            }
        } else if queue.units.len() >= self.others {
            // The others have enough to do, and the packets were read by this thread: their headers are in its caches.
            let _ = pool.decode(queue);
        } else {
            pool.changed(&queue);
        }
    }

    /// Jobs whose output was not taken yet.
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The output of the oldest job.
    pub(super) fn receive(&mut self) -> Option<Output<'m>> {
        let pool = &*self.pool.0;
        let mut queue = pool.lock();
        while queue.sent.front()?.left > 0 {
            let did;
            (queue, did) = pool.step(CALLER, queue);
            if !did && queue.sent.front()?.left > 0 {
                if queue.closed {
                    break; // A thread has panicked: what there is keeps the caller going until the scope passes that on.
                }
                queue = pool.wait(queue);
            }
        }
        let Sent { job, packets, mut shards, counts, .. } = queue.sent.pop_front()?;
        queue.first += 1;
        drop(queue);
        self.in_flight -= 1;
        (self.counts, self.packets) = (counts, packets);
        shards.sort_unstable_by_key(|shard: &ShardOutput| shard.index);
        let job = job?;
        let now = job.batch.as_ref().map(|batch| batch.now).or(job.tick);
        let Job { packets, batch, .. } = Arc::into_inner(job).unwrap_or_default();
        Some(Output { shards, now, packets, batch })
    }

    /// What became of the packets up to the last output.
    pub(super) const fn packets(&self) -> &PacketCounts {
        &self.packets
    }

    /// Counts of all shards at the last output.
    pub(super) const fn counts(&self) -> &FlowCounts {
        &self.counts
    }
}
