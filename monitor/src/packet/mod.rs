//! Link, IP and TCP headers: packets in, segments out; sans-IO.

use crate::limits::Limits;
use crate::model::{PacketBatch, PacketCounts, SegmentBatch, Time};

/// Takes packets apart down to their TCP segments. Wrong bytes never fail: they are counted.
#[derive(Debug)]
pub struct Decoder {
    counts: PacketCounts,
    now: Time,
}

impl Decoder {
    /// A decoder with the caps of `limits`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let _ = limits;
        Self { counts: PacketCounts::default(), now: Time(0) }
    }

    /// Clears `out` and fills it with the segments of `raw`. The arena of `raw` moves to `out` (their buffers change places), so the
    /// packets of `raw` are spent.
    pub fn decode<'m>(&mut self, raw: &mut PacketBatch<'m>, out: &mut SegmentBatch<'m>) {
        for shard in &mut out.shards {
            shard.clear();
        }
        std::mem::swap(&mut raw.arena, &mut out.arena);
        raw.arena.clear();
        raw.packets.clear();
        out.now = self.now;
    }

    /// The input has ended: what is still in reassembly is lost.
    pub fn finish(&mut self) {}

    /// What became of the packets so far.
    #[must_use]
    pub const fn counts(&self) -> &PacketCounts {
        &self.counts
    }
}
