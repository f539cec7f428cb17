use h2watch_tests::traffic::{
    Cipher, Packets, Seal, Tcp, client_finished, client_hello, frame, server_flight, server_hello,
};

use crate::input::Input;

const CIPHER: Cipher = Cipher::Aes128Gcm;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Texts that a grammar would have, by number.
pub(crate) const TEXTS: [&[u8]; 12] = [
    PREFACE,
    b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"GET /c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x09\0\x0a",
    b"HTTP/1.0 404 Not Found\r\n\r\n",
    b"HEAD /d HTTP/1.1\r\nHost: a.example\r\nX-Request-Id: 1\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n",
];
/// GET /, with the static table alone, and `:authority: a`.
pub(crate) const REQUEST: &[u8] = &[0x82, 0x87, 0x84, 0x01, 0x01, b'a'];

/// Connections that a fuzz input describes, as packets.
pub(crate) struct World {
    /// Time, and the bytes from the Ethernet header on.
    pub(crate) packets: Vec<(u64, Vec<u8>)>,
    pub(crate) keys: String,
}

struct Flow {
    port: u16,
    seq: [u32; 2],
    seals: Option<[Seal; 2]>,
}

struct Writer {
    packets: Packets,
    flows: [Flow; 4],
    keys: String,
}

impl World {
    /// `late`: no connection's start is seen.
    pub(crate) fn read(input: &mut Input<'_>, late: bool) -> Self {
        let flow = |n: u8| Flow { port: 40_000 + u16::from(n), seq: [0xffff_ff00, 7], seals: None };
        let mut writer = Writer { packets: Packets::default(), flows: [0, 1, 2, 3].map(flow), keys: String::new() };
        if !late {
            for n in 0..4 {
                writer.control(n, false, 0x02);
                writer.control(n, true, 0x12);
            }
        }
        while let Some(op) = input.op() {
            let (n, server) = (usize::from(op >> 4 & 3), op & 0x80 != 0);
            writer.op(op & 0x0f, n, server, input);
        }
        let Packets { bytes, starts, .. } = writer.packets;
        let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
        let word = |at: usize| u64::from(u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
        let packet = |(&start, end): (&usize, usize)| {
            (word(start) * 1_000_000_000 + word(start + 4), bytes[start + 16..end].to_vec())
        };
        Self { packets: starts.iter().zip(ends).map(packet).collect(), keys: writer.keys }
    }
}

impl Writer {
    fn op(&mut self, op: u8, n: usize, server: bool, input: &mut Input<'_>) {
        match op {
            0 => self.send(n, server, input.short()),
            1 => self.send(n, server, TEXTS[usize::from(input.byte()) % TEXTS.len()]),
            2 => {
                let (kind, flags, stream) = (input.byte(), input.byte(), input.byte());
                self.send(n, server, &frame(kind, flags, u32::from(stream), input.short()));
            }
            3 => self.send(n, server, &frame(1, 5, u32::from(input.byte()), REQUEST)),
            4 => {
                let (stream, end, status) = (input.byte(), input.byte() & 1, input.byte() % 7);
                self.send(n, server, &frame(1, 4 | end, u32::from(stream), &[0x88 + status]));
            }
            5 => {
                let (stream, code) = (input.byte(), input.byte());
                self.send(n, server, &frame(3, 0, u32::from(stream), &[0, 0, 0, code]));
            }
            6 => {
                let (stream, code) = (input.byte(), input.byte());
                self.send(n, server, &frame(7, 0, 0, &[0, 0, 0, stream, 0, 0, 0, code]));
            }
            7 => self.packets.now += 1 << (input.byte() % 44),
            8 => self.control(n, server, input.byte()),
            9 => {
                // Bytes that the capture lost.
                let seq = &mut self.flows[n].seq[usize::from(server)];
                *seq = seq.wrapping_add(u32::from(input.u16()));
            }
            10 => self.reseq(n, server, input),
            11 => self.secure(n, input.byte()),
            12 => {
                let (stream, end) = (input.byte(), input.byte() & 1);
                let body = vec![0; usize::from(input.u16() & 0xfff)];
                self.send(n, server, &frame(0, end, u32::from(stream), &body));
            }
            13 => self.raw(n, server, input.short()),
            14 => self.flows[n].seq = [input.u32(), input.u32()],
            _ => self.flows[n].port = 40_000 + u16::from(input.byte() & 7),
        }
    }

    fn tcp(&self, n: usize, server: bool, flags: u8) -> Tcp {
        let Flow { port, seq, .. } = self.flows[n];
        let ends = [([10, 0, 0, 1], port), ([10, 0, 0, 2], 443)];
        let (own, peer) = (usize::from(server), usize::from(!server));
        Tcp { from: ends[own], to: ends[peer], seq: seq[own], ack: seq[peer], flags }
    }

    fn control(&mut self, n: usize, server: bool, flags: u8) {
        self.packets.tcp(self.tcp(n, server, flags), &[]);
        let seq = &mut self.flows[n].seq[usize::from(server)];
        *seq = seq.wrapping_add(u32::from(flags & 3 != 0));
    }

    fn raw(&mut self, n: usize, server: bool, bytes: &[u8]) {
        self.packets.tcp(self.tcp(n, server, 0x18), bytes);
        let seq = &mut self.flows[n].seq[usize::from(server)];
        *seq = seq.wrapping_add(bytes.len() as u32);
    }

    /// Sends, sealed once the connection is secured.
    fn send(&mut self, n: usize, server: bool, bytes: &[u8]) {
        let Some(seals) = &mut self.flows[n].seals else { return self.raw(n, server, bytes) };
        let mut record = Vec::new();
        seals[usize::from(server)].record(23, bytes, 0, &mut record);
        self.raw(n, server, &record);
    }

    /// A segment at another place: early, repeated or overlapping.
    fn reseq(&mut self, n: usize, server: bool, input: &mut Input<'_>) {
        let by = input.u16().cast_signed();
        let mut tcp = self.tcp(n, server, 0x18);
        tcp.seq = tcp.seq.wrapping_add_signed(i32::from(by));
        self.packets.tcp(tcp, input.short());
    }

    /// A TLS 1.3 handshake.
    fn secure(&mut self, n: usize, random: u8) {
        let random = [random; 32];
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut seal = |label: &str, byte: u8| {
            let secret = vec![byte ^ random[0]; CIPHER.secret_len()];
            self.keys.push_str(&format!("{label} {} {}\n", hex(&random), hex(&secret)));
            Seal::new(CIPHER, &secret)
        };
        let mut server = seal("SERVER_HANDSHAKE_TRAFFIC_SECRET", 1);
        let mut client = seal("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 2);
        let seals = [seal("CLIENT_TRAFFIC_SECRET_0", 3), seal("SERVER_TRAFFIC_SECRET_0", 4)];
        self.raw(n, false, &client_hello(&random, "a.example", &["h2", "http/1.1"], CIPHER, &[1; 32]));
        let mut flight = server_hello(&[2; 32], CIPHER, &[3; 32]);
        server.record(22, &server_flight("h2", CIPHER), 0, &mut flight);
        self.raw(n, true, &flight);
        let mut flight = Vec::new();
        client.record(22, &client_finished(CIPHER), 0, &mut flight);
        self.raw(n, false, &flight);
        self.flows[n].seals = Some(seals);
    }
}
