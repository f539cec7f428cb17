//! Live capture by libpcap.

use std::time::Duration;

use pcap::{Active, Capture};

use super::{InterfaceHealth, LiveSource};
use crate::model::{Bytes, Packet, PacketBatch, Time};
use crate::source::{BATCH_BYTES, BATCH_PACKETS, SourceError};

/// Interfaces read by libpcap.
pub struct PcapSource {
    open: Vec<(Capture<Active>, InterfaceHealth)>,
}

impl PcapSource {
    /// Opens the interfaces.
    ///
    /// # Errors
    /// Which could not be opened, in one line.
    pub fn open(interfaces: &[String], filter: Option<&str>, snaplen: u32, buffer: usize) -> Result<Self, String> {
        let mut open = Vec::new();
        for name in interfaces {
            let capture = Capture::from_device(name.as_str())
                .and_then(|capture| {
                    capture
                        .snaplen(i32::try_from(snaplen).unwrap_or(i32::MAX))
                        .buffer_size(i32::try_from(buffer).unwrap_or(i32::MAX))
                        .timeout(10)
                        .open()
                })
                .and_then(|capture| capture.setnonblock())
                .and_then(|mut capture| capture.filter(filter.unwrap_or("tcp"), true).map(|()| capture))
                .map_err(|error| format!("cannot capture on {name}: {error}"))?;
            let health = InterfaceHealth { name: name.clone(), kind: "pcap", up: true, ..Default::default() };
            open.push((capture, health));
        }
        Ok(Self { open })
    }
}

impl LiveSource for PcapSource {
    fn fill(&mut self, batch: &mut PacketBatch<'static>, wait: Duration) -> Result<bool, SourceError> {
        batch.packets.clear();
        batch.arena.clear();
        batch.lost = 0;
        for (capture, _) in &mut self.open {
            let link = u16::try_from(capture.get_datalink().0).unwrap_or(u16::MAX);
            while batch.packets.len() < BATCH_PACKETS && batch.arena.len() < BATCH_BYTES {
                let Ok(packet) = capture.next_packet() else { break };
                let start = u32::try_from(batch.arena.len()).unwrap_or(u32::MAX);
                batch.arena.extend_from_slice(packet.data);
                let stamp = packet.header.ts;
                let seconds = u64::try_from(stamp.tv_sec).unwrap_or(0);
                let micros = u64::try_from(stamp.tv_usec).unwrap_or(0);
                batch.packets.push(Packet {
                    time: Time(seconds * 1_000_000_000 + micros * 1_000),
                    link,
                    data: Bytes::Arena { start, len: packet.header.caplen },
                    wire_len: packet.header.len,
                });
            }
        }
        let full = batch.packets.len() >= BATCH_PACKETS || batch.arena.len() >= BATCH_BYTES;
        if batch.packets.is_empty() {
            std::thread::sleep(wait.min(Duration::from_millis(5)));
        }
        batch.packets.sort_by_key(|packet| packet.time);
        Ok(full)
    }

    fn health(&mut self) -> Vec<InterfaceHealth> {
        self.open
            .iter_mut()
            .map(|(capture, health)| {
                if let Ok(stats) = capture.stats() {
                    health.received = u64::from(stats.received);
                    health.dropped_kernel = u64::from(stats.dropped);
                    health.dropped_interface = u64::from(stats.if_dropped);
                }
                health.clone()
            })
            .collect()
    }
}
