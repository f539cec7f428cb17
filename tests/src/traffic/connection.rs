use super::packets::{Packets, Tcp};
use super::tls::{Cipher, Seal, client_finished, client_hello, server_flight, server_hello};
use super::{Encoder, Random, h2};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct End {
    address: ([u8; 4], u16),
    seq: u32,
    seal: Seal,
    encoder: Encoder,
}

/// A TLS 1.3 connection between two well-behaved endpoints.
pub struct Connection {
    client: End,
    server: End,
    /// Bytes of payload in a packet.
    pub mss: usize,
    /// The next client stream.
    pub next_stream: u32,
    unacknowledged: usize,
}

impl Connection {
    /// Connects, handshakes, and (with ALPN `h2`) exchanges prefaces. The secrets go to `keys` as key log lines.
    pub fn open(
        ends: [([u8; 4], u16); 2],
        alpn: &str,
        cipher: Cipher,
        mss: usize,
        random: &mut Random,
        packets: &mut Packets,
        keys: &mut String,
    ) -> Self {
        let client_random = random.bytes::<32>();
        let mut secret = |label: &str| {
            let mut secret = vec![0; cipher.secret_len()];
            random.fill(&mut secret);
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            keys.push_str(&format!("{label} {} {}\n", hex(&client_random), hex(&secret)));
            secret
        };
        let mut client_handshake = Seal::new(cipher, &secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET"));
        let mut server_handshake = Seal::new(cipher, &secret("SERVER_HANDSHAKE_TRAFFIC_SECRET"));
        let client_seal = Seal::new(cipher, &secret("CLIENT_TRAFFIC_SECRET_0"));
        let server_seal = Seal::new(cipher, &secret("SERVER_TRAFFIC_SECRET_0"));
        let mut end = |address, seal| End { address, seq: random.bits() as u32, seal, encoder: Encoder::default() };
        let (client, server) = (end(ends[0], client_seal), end(ends[1], server_seal));
        let mut this = Self { client, server, mss, next_stream: 1, unacknowledged: 0 };
        this.control(Side::Client, 0x02, packets);
        this.control(Side::Server, 0x12, packets);
        this.control(Side::Client, 0x10, packets);
        let shares = [random.bytes::<32>(), random.bytes::<32>()];
        let offered: &[&str] = if alpn == "h2" { &["h2", "http/1.1"] } else { &[alpn] };
        this.raw(Side::Client, &client_hello(&client_random, "origin.example", offered, cipher, &shares[0]), packets);
        let mut flight = server_hello(&random.bytes::<32>(), cipher, &shares[1]);
        flight.extend_from_slice(&[20, 3, 3, 0, 1, 1]);
        server_handshake.record(22, &server_flight(alpn, cipher), 0, &mut flight);
        this.raw(Side::Server, &flight, packets);
        let mut flight = vec![20, 3, 3, 0, 1, 1];
        client_handshake.record(22, &client_finished(cipher), 0, &mut flight);
        this.raw(Side::Client, &flight, packets);
        if alpn == "h2" {
            let settings = h2::frame(4, 0, 0, &[0, 3, 0, 0, 0, 100, 0, 4, 0, 16, 0, 0]);
            this.send(Side::Client, &[PREFACE, &settings].concat(), packets);
            this.send(Side::Server, &settings, packets);
            this.send(Side::Client, &h2::frame(4, 1, 0, &[]), packets);
            this.send(Side::Server, &h2::frame(4, 1, 0, &[]), packets);
        }
        this
    }

    fn ends(&mut self, side: Side) -> (&mut End, &mut End) {
        match side {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        }
    }

    /// A side's header encoder.
    pub fn encoder(&mut self, side: Side) -> &mut Encoder {
        &mut self.ends(side).0.encoder
    }

    /// A side's sealing key, for records of the caller's own making.
    pub fn seal(&mut self, side: Side) -> &mut Seal {
        &mut self.ends(side).0.seal
    }

    fn control(&mut self, side: Side, flags: u8, packets: &mut Packets) {
        let (from, to) = self.ends(side);
        packets.tcp(Tcp { from: from.address, to: to.address, seq: from.seq, ack: to.seq, flags }, &[]);
        from.seq = from.seq.wrapping_add(u32::from(flags & 0x03 != 0));
    }

    /// Sends stream bytes as they are, in packets of `mss`; the peer acknowledges every second one.
    pub fn raw(&mut self, side: Side, bytes: &[u8], packets: &mut Packets) {
        let peer = if side == Side::Client { Side::Server } else { Side::Client };
        for part in bytes.chunks(self.mss) {
            let (from, to) = self.ends(side);
            packets.tcp(Tcp { from: from.address, to: to.address, seq: from.seq, ack: to.seq, flags: 0x18 }, part);
            from.seq = from.seq.wrapping_add(part.len() as u32);
            self.unacknowledged += 1;
            if self.unacknowledged == 2 {
                self.unacknowledged = 0;
                self.control(peer, 0x10, packets);
            }
        }
    }

    /// Sends application data, in records of at most 16,384 bytes.
    pub fn send(&mut self, side: Side, plaintext: &[u8], packets: &mut Packets) {
        let mut records = Vec::with_capacity(plaintext.len() + plaintext.len() / 256 + 64);
        for part in plaintext.chunks(16_384) {
            self.seal(side).record(23, part, 0, &mut records);
        }
        self.raw(side, &records, packets);
    }

    /// Sends a request without a body and gives its stream.
    pub fn request(&mut self, fields: &[(&str, &str)], packets: &mut Packets) -> u32 {
        let (stream, frame) = self.request_frame(fields);
        self.send(Side::Client, &frame, packets);
        stream
    }

    /// The frame of a request without a body, and its stream.
    pub fn request_frame(&mut self, fields: &[(&str, &str)]) -> (u32, Vec<u8>) {
        let stream = self.next_stream;
        self.next_stream += 2;
        let block = self.client.encoder.block(fields);
        (stream, h2::headers(stream, &block, true))
    }

    /// FIN from both sides, after close_notify.
    pub fn close(&mut self, packets: &mut Packets) {
        for side in [Side::Client, Side::Server] {
            let mut alert = Vec::new();
            self.seal(side).record(21, &[1, 0], 0, &mut alert);
            self.raw(side, &alert, packets);
            self.control(side, 0x11, packets);
        }
        self.control(Side::Client, 0x10, packets);
    }
}
