//! Packets out of their parts.

use probe_abi::tap::{ETHERNET, PartHeader};

use crate::model::{Bytes, Packet, PacketBatch, Time};

/// LINKTYPE_ETHERNET and LINKTYPE_RAW.
const LINK_ETHERNET: u16 = 1;
const LINK_RAW: u16 = 101;

/// Packets in the making, one for each processor.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pending: Vec<Pending>,
}

#[derive(Debug)]
struct Pending {
    header: PartHeader,
    time: Time,
    bytes: Vec<u8>,
    /// Nothing was added since [`Parts::settle`] looked.
    still: bool,
}

impl Parts {
    /// Takes a part; adds its packet to the batch when it is whole. A packet whose next part never came is added as far as it goes:
    /// the kernel hands up the parts of a packet in order, and finishes one packet on a processor before the next.
    pub(super) fn push(&mut self, header: PartHeader, bytes: &[u8], time: Time, batch: &mut PacketBatch<'static>) {
        let at = self.pending.iter().position(|pending| pending.header.cpu == header.cpu);
        if let Some(at) = at {
            if let Some(pending) = self.pending.get_mut(at)
                && pending.header.serial == header.serial
                && pending.header.interface == header.interface
                && pending.bytes.len() == header.offset as usize
            {
                pending.bytes.extend_from_slice(bytes);
                pending.still = false;
                if pending.bytes.len() >= header.captured as usize {
                    self.pending.swap_remove(at).finish(batch);
                }
                return;
            }
            self.pending.swap_remove(at).finish(batch);
        }
        if header.offset != 0 {
            return;
        }
        if header.len >= header.captured {
            return add(&header, bytes, time, batch);
        }
        let mut all = Vec::with_capacity((header.captured as usize).min(1 << 20));
        all.extend_from_slice(bytes);
        self.pending.push(Pending { header, time, bytes: all, still: false });
    }

    /// The ring buffer is empty: a packet to which nothing was added since the last time lost its rest.
    pub(super) fn settle(&mut self, batch: &mut PacketBatch<'static>) {
        for at in (0..self.pending.len()).rev() {
            if self.pending.get_mut(at).is_some_and(|pending| std::mem::replace(&mut pending.still, true)) {
                self.pending.swap_remove(at).finish(batch);
            }
        }
    }
}

impl Pending {
    fn finish(self, batch: &mut PacketBatch<'static>) {
        add(&self.header, &self.bytes, self.time, batch);
    }
}

fn add(header: &PartHeader, bytes: &[u8], time: Time, batch: &mut PacketBatch<'static>) {
    let (Ok(start), Ok(len)) = (u32::try_from(batch.arena.len()), u32::try_from(bytes.len())) else { return };
    batch.arena.extend_from_slice(bytes);
    batch.packets.push(Packet {
        time,
        link: if header.link == ETHERNET { LINK_ETHERNET } else { LINK_RAW },
        data: Bytes::Arena { start, len },
        wire_len: header.wire_len,
        shortened: header.shortened != 0,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cpu: u32, serial: u64, offset: u32, len: u32, captured: u32) -> PartHeader {
        PartHeader { cpu, serial, offset, len, captured, wire_len: captured + 1, ..PartHeader::default() }
    }

    fn packets(batch: &PacketBatch<'static>) -> Vec<(u64, Vec<u8>, u32)> {
        let bytes = |packet: &Packet<'static>| packet.data.chunk(&batch.arena).bytes().to_vec();
        batch.packets.iter().map(|packet| (packet.time.0, bytes(packet), packet.wire_len)).collect()
    }

    #[test]
    fn a_packet_in_one_part_goes_straight_through() {
        let (mut parts, mut batch) = (Parts::default(), PacketBatch::default());
        parts.push(header(0, 1, 0, 3, 3), &[1, 2, 3], Time(5), &mut batch);
        parts.push(PartHeader { link: probe_abi::tap::RAW_IP, ..header(0, 2, 0, 1, 1) }, &[9], Time(6), &mut batch);
        assert_eq!(packets(&batch), [(5, vec![1, 2, 3], 4), (6, vec![9], 2)]);
        assert_eq!(batch.packets.iter().map(|packet| packet.link).collect::<Vec<_>>(), [1, 101]);
    }

    #[test]
    fn parts_of_two_processors_come_mixed() {
        let (mut parts, mut batch) = (Parts::default(), PacketBatch::default());
        parts.push(header(0, 1, 0, 2, 5), &[1, 2], Time(1), &mut batch);
        parts.push(header(1, 1, 0, 1, 2), &[7], Time(2), &mut batch);
        parts.push(header(0, 1, 2, 2, 5), &[3, 4], Time(1), &mut batch);
        parts.push(header(1, 1, 1, 1, 2), &[8], Time(2), &mut batch);
        parts.push(header(0, 1, 4, 1, 5), &[5], Time(1), &mut batch);
        assert_eq!(packets(&batch), [(2, vec![7, 8], 3), (1, vec![1, 2, 3, 4, 5], 6)]);
        assert!(parts.pending.is_empty());
    }

    #[test]
    fn a_packet_that_lost_its_rest_is_cut_and_not_mixed_with_another() {
        let (mut parts, mut batch) = (Parts::default(), PacketBatch::default());
        parts.push(header(0, 1, 0, 2, 6), &[1, 2], Time(1), &mut batch);
        parts.push(header(0, 2, 0, 2, 4), &[3, 4], Time(2), &mut batch);
        assert_eq!(packets(&batch), [(1, vec![1, 2], 7)]);
        parts.settle(&mut batch);
        assert_eq!(batch.packets.len(), 1, "its rest may be on its way");
        parts.settle(&mut batch);
        assert_eq!(packets(&batch)[1], (2, vec![3, 4], 5));
        parts.push(header(0, 2, 2, 2, 4), &[5, 6], Time(2), &mut batch);
        assert_eq!(batch.packets.len(), 2, "a part without its start is not a packet");
    }
}
