use h2watch_tests::traffic::{Cipher, Seal, client_finished, client_hello, data, frame, server_flight, server_hello};
use tls_tap::late::Search;
use tls_tap::{Alert, Chunk, Dark, Gap, Hello, KeyLog, KeyStore, Limits, Proof, Reader, Secured, Side, Tls};

use crate::input::Input;

/// Takes plaintext as HTTP/2 would: passes over bodies, and checks that it is given what it asked for.
#[derive(Default)]
struct Plain {
    /// Bodies are passed over.
    skips: bool,
    /// Bytes of each side that need not be delivered.
    skippable: [u64; 2],
    /// Plaintext of each side, `_` for what was passed over.
    plain: [Vec<u8>; 2],
    said: Vec<String>,
    /// Something was lost, or could not be read.
    damaged: bool,
}

const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Reader for Plain {
    fn skippable(&self, side: Side) -> u64 {
        self.skippable[index(side)]
    }

    fn peek(&mut self, _time: u64, side: Side, bytes: &[u8]) -> Option<u64> {
        assert!(bytes.len() >= 9 && self.skippable[index(side)] == 0);
        let &[high, middle, low, 0, 0 | 1, 0, ..] = bytes else { return None };
        if !self.skips {
            return None;
        }
        let len = 9 + u64::from(u32::from_be_bytes([0, high, middle, low]));
        self.skippable[index(side)] = len;
        Some(len)
    }

    fn plaintext(&mut self, _time: u64, side: Side, bytes: &[u8], _record_start: bool, proof: &mut dyn Proof) {
        let side = index(side);
        self.skippable[side] = self.skippable[side].saturating_sub(bytes.len() as u64);
        self.plain[side].extend_from_slice(bytes);
        if bytes.first() == Some(&0x55) {
            // Its outcome is for the one who rests a finding on it; that it ends, and may be asked again, is checked here.
            let _ = proof.authenticate();
            let _ = proof.authenticate();
        }
    }

    fn skipped(&mut self, side: Side, bytes: u64) {
        let side = index(side);
        assert!(bytes <= self.skippable[side], "{bytes} bytes passed over, {} allowed", self.skippable[side]);
        self.skippable[side] -= bytes;
        self.plain[side].resize(self.plain[side].len() + bytes as usize, b'_');
    }

    fn gap(&mut self, _time: u64, side: Side, gap: Gap) {
        assert!(gap.min <= gap.max, "{gap:?}");
        self.skippable[index(side)] = 0;
        self.damaged = true;
    }

    fn client_hello(&mut self, _time: u64, hello: Hello) {
        assert!(hello.alpn.len() <= 16);
        self.said.push(format!("{hello:?}"));
    }

    fn secured(&mut self, _time: u64, secured: Secured) {
        self.said.push(format!("{secured:?}"));
    }

    fn alert(&mut self, _time: u64, alert: Alert) {
        self.said.push(format!("{alert:?}"));
    }

    fn dark(&mut self, _time: u64, side: Option<Side>, why: Dark) {
        self.said.push(format!("{side:?} {why:?}"));
        self.damaged = true;
    }
}

/// What happens to a connection.
enum Op {
    Bytes(Side, Vec<u8>),
    Gap(Side, u64),
    /// The key log arrives.
    Keys,
    /// The late search runs.
    Search,
}

fn keys(text: &[u8]) -> KeyStore {
    let mut store = KeyStore::new(64);
    let mut log = KeyLog::new();
    log.push(text, &mut store);
    log.finish(&mut store);
    store
}

fn limits(small: bool) -> Limits {
    if small {
        Limits {
            held: 600,
            held_records: 8,
            unverified_records: 2,
            unverified_bytes: 600,
            handshake: 300,
            trials: 64,
            ..Limits::default()
        }
    } else {
        Limits { trials: 1 << 12, held_records: 1 << 14, ..Limits::default() }
    }
}

/// How a run takes the bytes.
#[derive(Clone, Copy)]
struct Manner {
    late: bool,
    small: bool,
    skips: bool,
    /// The pieces outlive the tap.
    lasting: bool,
    size: usize,
}

fn run<'m>(ops: &'m [Op], text: &[u8], known: bool, manner: Manner) -> Plain {
    let (empty, full) = (KeyStore::new(64), keys(text));
    let mut store = if known { &full } else { &empty };
    let limits = limits(manner.small);
    let mut tls: Tls<'m> = if manner.late { Tls::midstream(limits) } else { Tls::new(limits) };
    let mut plain = Plain { skips: manner.skips, ..Plain::default() };
    let mut time = 0;
    for op in ops {
        time += 1;
        match op {
            Op::Bytes(side, bytes) => {
                for piece in bytes.chunks(manner.size) {
                    let chunk = if manner.lasting { Chunk::Lasting(piece) } else { Chunk::Passing(piece) };
                    tls.data(time, *side, chunk, store, &mut plain);
                }
            }
            Op::Gap(side, bytes) => tls.gap(time, *side, *bytes, store, &mut plain),
            Op::Keys => {
                store = &full;
                tls.retry(store, &mut plain);
            }
            Op::Search => search(&mut tls, &full, &mut plain),
        }
        assert!(tls.held() <= 2 * limits.held, "{} bytes held", tls.held());
        assert!(tls.memory() < 4 << 20, "{} bytes", tls.memory());
    }
    tls.finish(time, store, &mut plain);
    // Bytes between records are passed over: where the next one is taken to begin depends on what is at hand.
    plain.damaged |= tls.unread() > 0;
    plain
}

fn search(tls: &mut Tls<'_>, keys: &KeyStore, plain: &mut Plain) {
    let mut search = Search::new(1 << 12);
    let samples = tls.samples();
    for side in [Side::Client, Side::Server] {
        let records = samples.iter().filter(|(by, _)| *by == side).map(|(_, sample)| sample.clone()).collect();
        search.add_flow(7, side, records);
    }
    search.add_keys(keys, keys.iter_tls13().map(|(random, _)| random));
    while search.pending() && !search.exhausted() {
        for found in search.step(1 << 10) {
            tls.unlock(found, keys, plain);
        }
    }
}

/// Any cut gives the same plaintext, and what is kept by reference the same as what is kept by copy.
fn check(ops: &[Op], text: &[u8], known: bool, flags: u8) {
    let manner = Manner {
        late: flags & 1 != 0,
        small: flags & 2 != 0,
        skips: flags & 4 != 0,
        lasting: flags & 8 != 0,
        size: 20_000,
    };
    let whole = run(ops, text, known, manner);
    if manner.small || manner.skips {
        // Caps on copies and on what is passed over depend on the cut; what is seen without them does not.
        run(ops, text, known, Manner { size: 11, ..manner });
        return;
    }
    for size in [5, 300] {
        let cut = run(ops, text, known, Manner { size, lasting: !manner.lasting, ..manner });
        if whole.damaged || cut.damaged {
            // How soon damage is noticed, and what is found behind it, depends on what is at hand.
            continue;
        }
        assert_eq!(whole.said, cut.said, "in pieces of {size}");
        for (whole, cut) in whole.plain.iter().zip(&cut.plain) {
            assert_eq!(String::from_utf8_lossy(whole), String::from_utf8_lossy(cut), "in pieces of {size}");
        }
    }
}

/// Records of any bytes: the input carries its key log.
pub(crate) fn tls_records(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let text = input.long();
    let mut ops = Vec::new();
    while let Some(op) = input.op() {
        let side = if op & 0x80 == 0 { Side::Client } else { Side::Server };
        ops.push(match op & 7 {
            0 | 1 => Op::Bytes(side, input.short().to_vec()),
            2 | 3 => Op::Bytes(side, input.long().to_vec()),
            4 => Op::Gap(side, u64::from(input.byte())),
            5 => Op::Gap(side, u64::from(input.u16())),
            6 => Op::Keys,
            _ => Op::Search,
        });
    }
    check(&ops, text, flags & 0x10 != 0, flags);
}

const CIPHERS: [Cipher; 3] = [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];
const RANDOM: [u8; 32] = [0x5a; 32];

/// A connection whose records are sealed with the right keys, around content that is any bytes; and what happens to them on the way.
pub(crate) fn tls_handshake(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (flags, cipher) = (input.byte(), CIPHERS[usize::from(input.byte()) % CIPHERS.len()]);
    let secret = |byte: u8| vec![byte; cipher.secret_len()];
    let mut seals = [1, 2, 3, 4].map(|byte| Seal::new(cipher, &secret(byte)));
    let labels = [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text: String =
        (1..).zip(labels).map(|(byte, label)| format!("{label} {} {}\n", hex(&RANDOM), hex(&secret(byte)))).collect();
    let mut ops = Vec::new();
    let mut hurt = Hurt::None;
    while let Some(op) = input.op() {
        let (server, handshake) = (op & 0x80 != 0, op & 0x40 != 0);
        let side = if server { Side::Server } else { Side::Client };
        let seal = &mut seals[usize::from(server) + 2 * usize::from(!handshake)];
        let mut out = Vec::new();
        match op & 0x0f {
            0 => out = client_hello(&RANDOM, "a.example", &["h2", "http/1.1"], cipher, &[1; 32]),
            1 => out = server_hello(&[2; 32], cipher, &[3; 32]),
            2 => seal.record(22, &server_flight("h2", cipher), 0, &mut out),
            3 => seal.record(22, &client_finished(cipher), 0, &mut out),
            4 => out.extend_from_slice(&[20, 3, 3, 0, 1, 1]),
            5 => seal.key_update(&mut out),
            6 | 7 => {
                let (kind, padding) = (input.byte(), input.byte());
                seal.record(kind, input.short(), usize::from(padding), &mut out);
            }
            8 => seal.record(23, &data(1, &vec![0x55; usize::from(input.u16() & 0x3fff)], false), 0, &mut out),
            9 => {
                let kind = input.byte();
                seal.record(23, &frame(kind, 0, 1, input.short()), 0, &mut out);
            }
            10 => out = input.short().to_vec(),
            11 => hurt = Hurt::Flip(input.u16()),
            12 => hurt = Hurt::Lose(input.u16(), input.u16()),
            13 => ops.push(Op::Gap(side, u64::from(input.u16()))),
            14 => ops.push(Op::Keys),
            _ => ops.push(Op::Search),
        }
        if !out.is_empty() {
            std::mem::replace(&mut hurt, Hurt::None).apply(side, out, &mut ops);
        }
    }
    check(&ops, text.as_bytes(), flags & 0x10 != 0, flags);
}

/// What happens to the next bytes on their way.
enum Hurt {
    None,
    /// A bit is another.
    Flip(u16),
    /// From here on so many bytes are lost.
    Lose(u16, u16),
}

impl Hurt {
    fn apply(self, side: Side, mut bytes: Vec<u8>, ops: &mut Vec<Op>) {
        match self {
            Self::None => {}
            Self::Flip(at) => {
                let len = bytes.len();
                bytes[usize::from(at >> 3) % len] ^= 1 << (at & 7);
            }
            Self::Lose(at, lost) => {
                let at = usize::from(at) % bytes.len();
                let lost = (1 + usize::from(lost)).min(bytes.len() - at);
                let rest = bytes.split_off(at + lost);
                bytes.truncate(at);
                ops.extend([Op::Bytes(side, bytes), Op::Gap(side, lost as u64)]);
                bytes = rest;
            }
        }
        ops.push(Op::Bytes(side, bytes));
    }
}
