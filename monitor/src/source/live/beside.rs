use std::time::Duration;

use super::{InterfaceHealth, LiveSource, PacketFilter};
use crate::model::{Interest, KernelResets, PacketBatch, PlainWhat, hull};
use crate::source::SourceError;

/// Packets, and plaintext from probes beside them, as one source.
pub struct Beside {
    packets: Box<dyn LiveSource>,
    plaintext: Box<dyn LiveSource>,
    /// The plaintext of the last call.
    taken: PacketBatch<'static>,
}

impl Beside {
    /// `plaintext` beside `packets`.
    #[must_use]
    pub fn new(packets: Box<dyn LiveSource>, plaintext: Box<dyn LiveSource>) -> Self {
        Self { packets, plaintext, taken: PacketBatch::default() }
    }
}

impl LiveSource for Beside {
    fn fill(&mut self, batch: &mut PacketBatch<'static>, wait: Duration) -> Result<bool, SourceError> {
        // Plaintext first: a connection's packets, which tell whose it is, are there before it is told.
        let more_plaintext = self.plaintext.fill(&mut self.taken, Duration::ZERO)?;
        let more_packets =
            self.packets.fill(batch, if self.taken.plaintext.is_empty() { wait } else { Duration::ZERO })?;
        // Batches are far smaller than what an offset can say.
        let base = u32::try_from(batch.arena.len()).unwrap_or(u32::MAX);
        batch.arena.append(&mut self.taken.arena);
        for mut plaintext in self.taken.plaintext.drain(..) {
            if let PlainWhat::Bytes { start, .. } = &mut plaintext.what {
                *start = start.saturating_add(base);
            }
            batch.plaintext.push(plaintext);
        }
        batch.lost = batch.lost.saturating_add(std::mem::take(&mut self.taken.lost));
        batch.lost_within = hull(batch.lost_within, self.taken.lost_within.take());
        Ok(more_packets || more_plaintext)
    }

    fn lag(&self) -> Duration {
        self.packets.lag().max(self.plaintext.lag())
    }

    fn refilter(&mut self, filter: &PacketFilter) -> Result<(), String> {
        self.packets.refilter(filter)
    }

    fn interest(&mut self, interest: &Interest) {
        self.packets.interest(interest);
    }

    fn health(&mut self) -> Vec<InterfaceHealth> {
        let mut health = self.packets.health();
        health.append(&mut self.plaintext.health());
        health
    }

    fn gives_both(&self) -> bool {
        true
    }

    fn kernel_resets(&mut self) -> Option<KernelResets> {
        self.plaintext.kernel_resets()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bytes, Packet, PlainId, Plaintext, Time, Writer};

    /// Gives one batch.
    struct Once(Option<PacketBatch<'static>>, bool);

    impl LiveSource for Once {
        fn fill(&mut self, batch: &mut PacketBatch<'static>, _: Duration) -> Result<bool, SourceError> {
            *batch = self.0.take().unwrap_or_default();
            Ok(self.1)
        }

        fn lag(&self) -> Duration {
            Duration::from_millis(if self.1 { 5 } else { 1 })
        }

        fn health(&mut self) -> Vec<InterfaceHealth> {
            vec![InterfaceHealth { up: self.1, ..InterfaceHealth::default() }]
        }
    }

    #[test]
    fn bytes_of_both_stay_what_they_were() {
        let data = Bytes::Arena { start: 0, len: 2 };
        let packets = PacketBatch {
            packets: vec![Packet { time: Time(1), link: 1, data, wire_len: 2, shortened: false }],
            arena: b"ab".to_vec(),
            lost: 1,
            ..PacketBatch::default()
        };
        let what = PlainWhat::Bytes { by: Writer::Local, start: 1, len: 2 };
        let plaintext = PacketBatch {
            plaintext: vec![Plaintext { time: Time(2), connection: PlainId(1), what }],
            arena: b"xyz".to_vec(),
            lost: 2,
            ..PacketBatch::default()
        };
        let mut both = Beside::new(Box::new(Once(Some(packets), false)), Box::new(Once(Some(plaintext), true)));
        let mut batch = PacketBatch::default();
        assert!(both.fill(&mut batch, Duration::ZERO).unwrap(), "one has more");
        assert_eq!((batch.packets[0].data.chunk(&batch.arena).bytes(), batch.lost), (b"ab".as_slice(), 3));
        let PlainWhat::Bytes { start, len, .. } = batch.plaintext[0].what else { panic!() };
        assert_eq!(batch.arena[start as usize..][..len as usize], *b"yz");
        assert_eq!((both.lag(), both.health().len()), (Duration::from_millis(5), 2));
        both.fill(&mut batch, Duration::ZERO).unwrap();
        assert!(batch.plaintext.is_empty() && batch.packets.is_empty());
    }
}
