/// TCP flags of a written packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp {
    /// Source address (IPv4) and port.
    pub from: ([u8; 4], u16),
    /// Destination address and port.
    pub to: ([u8; 4], u16),
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Control bits.
    pub flags: u8,
}

/// A capture being written: pcap, nanoseconds, Ethernet.
pub struct Packets {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// Where each packet record begins.
    pub starts: Vec<usize>,
    /// The clock, nanoseconds since the epoch: a packet takes it and moves it on.
    pub now: u64,
    /// By how much a packet moves the clock.
    pub step: u64,
}

impl Default for Packets {
    fn default() -> Self {
        let mut bytes = Vec::new();
        for word in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 262_144, 1] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        Self { bytes, starts: Vec::new(), now: 1_760_000_000_000_000_000, step: 1_000 }
    }
}

impl Packets {
    /// Writes one segment.
    pub fn tcp(&mut self, tcp: Tcp, payload: &[u8]) {
        let ip_len = 40 + payload.len();
        let frame_len = 14 + ip_len;
        self.starts.push(self.bytes.len());
        let (seconds, nanos) = (self.now / 1_000_000_000, self.now % 1_000_000_000);
        for word in [seconds as u32, nanos as u32, frame_len as u32, frame_len as u32] {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        self.now += self.step;
        self.bytes.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        self.bytes.extend_from_slice(&[0x45, 0, (ip_len >> 8) as u8, ip_len as u8, 0, 0, 0x40, 0, 64, 6, 0, 0]);
        self.bytes.extend_from_slice(&tcp.from.0);
        self.bytes.extend_from_slice(&tcp.to.0);
        self.bytes.extend_from_slice(&tcp.from.1.to_be_bytes());
        self.bytes.extend_from_slice(&tcp.to.1.to_be_bytes());
        self.bytes.extend_from_slice(&tcp.seq.to_be_bytes());
        self.bytes.extend_from_slice(&tcp.ack.to_be_bytes());
        self.bytes.extend_from_slice(&[0x50, tcp.flags, 0xff, 0xff, 0, 0, 0, 0]);
        self.bytes.extend_from_slice(payload);
    }

    /// The capture without the packets whose index `lose` picks.
    #[must_use]
    pub fn without(&self, mut lose: impl FnMut(usize) -> bool) -> Vec<u8> {
        let mut out = self.bytes[..24].to_vec();
        for (index, &start) in self.starts.iter().enumerate() {
            let end = self.starts.get(index + 1).copied().unwrap_or(self.bytes.len());
            if !lose(index) {
                out.extend_from_slice(&self.bytes[start..end]);
            }
        }
        out
    }
}
