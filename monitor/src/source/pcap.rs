//! pcap files (draft-ietf-opsawg-pcap): 24 bytes of file header, then packets behind 16 bytes each.

use super::step::{Head, MAX_PACKET, Order, Step};
use crate::model::Time;

/// Length of the file header.
pub(super) const FILE_HEADER: usize = 24;

/// A pcap file behind its file header.
#[derive(Debug)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds of one unit of a packet's second time field.
    unit: u64,
    /// Length of a packet's header: 16, or 24 in Kuznetzov's form.
    header: usize,
    link: u16,
}

impl Pcap {
    /// Whether the first four bytes of a file are a pcap file's.
    pub(super) fn is_magic(magic: [u8; 4]) -> bool {
        Self::form(magic).is_some()
    }

    /// Byte order, unit and packet header length by magic number.
    fn form(magic: [u8; 4]) -> Option<(Order, u64, usize)> {
        let form = |word| match word {
            0xa1b2_c3d4 => Some((1_000, 16)),
            0xa1b2_3c4d => Some((1, 16)),
            0xa1b2_cd34 => Some((1_000, 24)),
            _ => None,
        };
        [Order::Little, Order::Big]
            .into_iter()
            .find_map(|order| form(order.word(magic)).map(|(unit, header)| (order, unit, header)))
    }

    /// Reads the file header.
    pub(super) fn new(file_header: &[u8; FILE_HEADER]) -> Option<Self> {
        let (order, unit, header) = Self::form(*file_header.first_chunk()?)?;
        // The upper half of the last word describes the frame check sequence, which the IP length cuts off anyway.
        let link = (order.u32(file_header, 20)? & 0xffff) as u16;
        Some(Self { order, unit, header, link })
    }

    /// A file header where a packet's header is expected. Its version, its time zone and its accuracy make it no packet: that would have
    /// no bytes.
    fn begins_again(input: &[u8]) -> bool {
        let Some(&[m0, m1, m2, m3, v0, v1, v2, v3, rest @ ..]) = input.first_chunk::<16>() else { return false };
        let version = [[2, 0, 4, 0], [0, 2, 0, 4]].contains(&[v0, v1, v2, v3]);
        version && rest == [0; 8] && Self::is_magic([m0, m1, m2, m3])
    }

    /// The link type of every packet.
    pub(super) const fn link(&self) -> u16 {
        self.link
    }

    #[inline]
    pub(super) fn step(&self, input: &[u8]) -> Step {
        let Some((captured, head)) = self.head(input) else { return Step::Need(self.header) };
        if captured > MAX_PACKET {
            return Step::Damage(format!("a packet claims {captured} bytes"));
        }
        if captured == 0 && Self::begins_again(input) {
            return Step::Damage("another capture begins here (files put together with cat?)".to_owned());
        }
        if input.len() < head.consumed {
            return Step::Need(head.consumed);
        }
        Step::Packet(head)
    }

    /// The packet that `input` begins with, where it is a whole one and there is nothing to say of it, as of almost all.
    #[inline]
    pub(super) fn packet(&self, input: &[u8]) -> Option<Head> {
        let (captured, head) = self.head(input)?;
        ((1..=MAX_PACKET).contains(&captured) && head.consumed <= input.len()).then_some(head)
    }

    /// What a packet's header says: how many bytes were captured, and where they are.
    #[inline]
    fn head(&self, input: &[u8]) -> Option<(u32, Head)> {
        let [s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, w0, w1, w2, w3] = *input.first_chunk::<16>()?;
        let seconds = u64::from(self.order.word([s0, s1, s2, s3]));
        let fraction = u64::from(self.order.word([f0, f1, f2, f3]));
        let captured = self.order.word([c0, c1, c2, c3]);
        let len = captured as usize;
        let head = Head {
            time: Time(seconds * 1_000_000_000 + fraction * self.unit),
            link: self.link,
            wire_len: self.order.word([w0, w1, w2, w3]).max(captured),
            offset: self.header,
            len,
            consumed: self.header + len,
        };
        Some((captured, head))
    }
}
