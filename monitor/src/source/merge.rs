use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::capture::{Capture, Report};
use super::feed::Feed;
use super::opened::Input;
use super::{BATCH_BYTES, BATCH_PACKETS, BATCHES_IN_FLIGHT, Source, SourceError};
use crate::model::{PacketBatch, Time, hull};

/// Packets of [`OpenedInputs`](super::OpenedInputs), merged by time; of equal times the file that was named first comes first. Within a
/// file the order is the file's own, whatever its times say.
pub struct CaptureSource<'m> {
    report: &'m Report,
    inputs: &'m [Input],
    window: usize,
    /// One for each input.
    slots: Vec<Slot<'m>>,
    /// Inputs with packets left, by the time of their next packet.
    queue: BinaryHeap<Reverse<(Time, usize)>>,
    begun: bool,
}

/// An input on its way. Files whose packets begin later than those at hand are closed again, so that any number of files that follow
/// each other can be merged.
enum Slot<'m> {
    Closed,
    Open(Box<Reading<'m>>),
    /// A mapped file at its end, whose packets are in batches that may still be in use; so many fills later they are not.
    Ended(Feed<'m>, usize),
}

struct Reading<'m> {
    capture: Capture<'m>,
    /// Where each of the last batches began in a mapped file.
    begins: VecDeque<u64>,
    /// How much of a mapped file is counted as done.
    counted: u64,
}

impl<'m> CaptureSource<'m> {
    pub(super) fn new(inputs: &'m [Input], report: &'m Report, window: usize) -> Self {
        let slots = inputs.iter().map(|_| Slot::Closed).collect();
        Self { report, inputs, window, slots, queue: BinaryHeap::new(), begun: false }
    }

    /// Finds the first packet of every input.
    fn begin(&mut self, batch: &mut PacketBatch<'m>) {
        let several = self.inputs.len() > 1;
        for (index, input) in self.inputs.iter().enumerate() {
            let peek = several && input.is_file();
            let Some(mut capture) = input.capture(self.report, !peek) else { continue };
            match capture.next() {
                Some(head) if peek => {
                    capture.feed.release_all();
                    self.queue.push(Reverse((head.time, index)));
                }
                Some(head) => {
                    capture.leave(head);
                    self.open(index, capture);
                    self.queue.push(Reverse((head.time, index)));
                }
                None => {
                    self.open(index, capture);
                    self.close(index, batch);
                }
            }
        }
    }

    fn open(&mut self, index: usize, capture: Capture<'m>) {
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot::Open(Box::new(Reading { capture, begins: VecDeque::new(), counted: 0 }));
        }
    }

    /// An input has ended: says what was wrong with it.
    fn close(&mut self, index: usize, batch: &mut PacketBatch<'m>) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        if let Slot::Open(mut reading) = std::mem::replace(slot, Slot::Closed) {
            reading.between(batch);
            reading.count(self.report);
            let name = self.inputs.get(index).map_or("", |input| input.name.as_str());
            for note in &reading.capture.faults.notes {
                self.report.note(format!("{name}: {note}"));
            }
            if reading.capture.faults.unreadable {
                self.report.set_unreadable();
            }
            let feed = reading.capture.feed;
            if matches!(feed, Feed::Mapped(_)) {
                *slot = Slot::Ended(feed, BATCHES_IN_FLIGHT);
            }
        }
    }

    /// Takes packets of one input until another's turn comes or the batch is full; false when it is full.
    fn run(&mut self, index: usize, batch: &mut PacketBatch<'m>, bytes: &mut usize) -> bool {
        let next = self.queue.peek().map(|&Reverse(next)| next);
        if matches!(self.slots.get(index), Some(Slot::Closed))
            && let Some(capture) = self.inputs.get(index).and_then(|input| input.capture(self.report, true))
        {
            self.open(index, capture);
        }
        let Some(Slot::Open(reading)) = self.slots.get_mut(index) else { return true };
        loop {
            let Some(head) = reading.capture.next() else {
                self.close(index, batch);
                return true;
            };
            let full = batch.packets.len() >= BATCH_PACKETS || *bytes >= BATCH_BYTES;
            if full || next.is_some_and(|next| next < (head.time, index)) {
                self.queue.push(Reverse((head.time, index)));
                reading.capture.leave(head);
                reading.between(batch);
                return !full;
            }
            *bytes += head.len;
            reading.capture.take(head, batch);
        }
    }
}

impl Reading<'_> {
    /// Delivers what lay between the packets so far.
    fn between(&mut self, batch: &mut PacketBatch<'_>) {
        batch.secrets.append(&mut self.capture.between.secrets);
        batch.lost = batch.lost.saturating_add(std::mem::take(&mut self.capture.between.lost));
        batch.lost_within = hull(batch.lost_within, self.capture.between.lost_within.take());
    }

    /// Gives back what the batches before those in flight covered.
    fn release(&mut self, window: usize) {
        self.begins.push_back(self.capture.feed.offset());
        if self.begins.len() > BATCHES_IN_FLIGHT
            && let Some(until) = self.begins.pop_front()
        {
            self.capture.feed.release(until, window);
        }
    }

    /// Counts what was read of a mapped file.
    fn count(&mut self, report: &Report) {
        if let Feed::Mapped(_) = self.capture.feed {
            let offset = self.capture.feed.offset();
            report.done.fetch_add(offset - self.counted, std::sync::atomic::Ordering::Relaxed);
            self.counted = offset;
        }
    }
}

impl<'m> Source<'m> for CaptureSource<'m> {
    fn fill(&mut self, batch: &mut PacketBatch<'m>) -> Result<bool, SourceError> {
        batch.packets.clear();
        batch.arena.clear();
        batch.secrets.clear();
        batch.lost = 0;
        batch.lost_within = None;
        if !std::mem::replace(&mut self.begun, true) {
            self.begin(batch);
        }
        for slot in &mut self.slots {
            match slot {
                Slot::Open(reading) => {
                    reading.release(self.window);
                    reading.count(self.report);
                }
                Slot::Ended(feed, 0) => {
                    feed.release_all();
                    *slot = Slot::Closed;
                }
                Slot::Ended(_, fills) => *fills -= 1,
                Slot::Closed => {}
            }
        }
        let mut bytes = 0;
        while let Some(Reverse((_, index))) = self.queue.pop() {
            if !self.run(index, batch, &mut bytes) {
                break;
            }
        }
        Ok(!batch.packets.is_empty())
    }
}

impl std::fmt::Debug for CaptureSource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureSource").field("inputs", &self.inputs.len()).finish_non_exhaustive()
    }
}
