use super::{Cipher, Connection, Packets, Random, Side, data, headers, rst_stream};

/// A generated capture.
pub struct Corpus {
    /// The capture.
    pub packets: Packets,
    /// Its key log.
    pub keys: String,
    /// Requests in it.
    pub requests: u64,
    /// Requests that were refused with HTTP_1_1_REQUIRED.
    pub refused: u64,
}

const ORIGIN: ([u8; 4], u16) = ([10, 0, 0, 1], 443);
/// One request in this many is refused.
const REFUSED_EVERY: u64 = 997;

fn connections(
    count: u16,
    mss: usize,
    random: &mut Random,
    packets: &mut Packets,
    keys: &mut String,
) -> Vec<Connection> {
    (0..count)
        .map(|n| {
            let client = ([10, 0, 1, (n % 8) as u8], 40_000 + 2 * n);
            Connection::open([client, ORIGIN], "h2", Cipher::Aes256Gcm, mss, random, packets, keys)
        })
        .collect()
}

fn request_fields<'a>(path: &'a str, id: &'a str) -> [(&'a str, &'a str); 12] {
    [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "shop.origin.example"),
        (":path", path),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        ),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
        ("accept-encoding", "gzip, deflate, br"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", id),
        ("cookie", "session=5f1d6a0c9b7e4d1f8a2b3c4d5e6f7081; theme=dark; consent=1"),
        ("referer", "https://shop.origin.example/catalogue"),
    ]
}

fn response_fields<'a>(status: &'a str, length: &'a str) -> [(&'a str, &'a str); 7] {
    [
        (":status", status),
        ("server", "Kestrel"),
        ("date", "Sat, 04 Oct 2025 10:00:00 GMT"),
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "private, max-age=0"),
        ("content-length", length),
        ("strict-transport-security", "max-age=31536000"),
    ]
}

/// Large bodies: `requests` responses of 20,000 bytes over 50 connections, in packets of `mss` bytes.
#[must_use]
pub fn large(requests: u64, mss: usize, seed: u64) -> Corpus {
    let mut random = Random::new(seed);
    let mut packets = Packets::default();
    let mut keys = String::new();
    let mut open = connections(50, mss, &mut random, &mut packets, &mut keys);
    let mut body = vec![0; 20_000];
    random.fill(&mut body);
    let mut refused = 0;
    for n in 0..requests {
        let index = random.below(open.len() as u64) as usize;
        let connection = &mut open[index];
        let (path, id) = (format!("/catalogue/item/{n}?ref=home"), format!("{:016x}", random.bits()));
        let stream = connection.request(&request_fields(&path, &id), &mut packets);
        if n % REFUSED_EVERY == REFUSED_EVERY - 1 {
            refused += 1;
            connection.send(Side::Server, &rst_stream(stream, 0xd), &mut packets);
            continue;
        }
        let block = connection.encoder(Side::Server).block(&response_fields("200", "20000"));
        connection.send(Side::Server, &headers(stream, &block, false), &mut packets);
        connection.send(Side::Server, &data(stream, &body, true), &mut packets);
    }
    finish(open, packets, keys, requests, refused)
}

/// Small requests with realistic headers, `burst` multiplexed at a time, over 50 connections.
#[must_use]
pub fn small(requests: u64, burst: u64, seed: u64) -> Corpus {
    let mut random = Random::new(seed);
    let mut packets = Packets::default();
    let mut keys = String::new();
    let mut open = connections(50, 1_448, &mut random, &mut packets, &mut keys);
    let (mut sent, mut refused) = (0, 0);
    while sent < requests {
        let index = random.below(open.len() as u64) as usize;
        let connection = &mut open[index];
        let (mut up, mut down) = (Vec::new(), Vec::new());
        for _ in 0..burst.min(requests - sent) {
            let (path, id) = (format!("/api/v2/items/{}", random.below(5_000)), format!("{:016x}", random.bits()));
            let (stream, frame) = connection.request_frame(&request_fields(&path, &id));
            up.extend_from_slice(&frame);
            if sent % REFUSED_EVERY == REFUSED_EVERY - 1 {
                refused += 1;
                down.extend_from_slice(&rst_stream(stream, 0xd));
            } else {
                let block = connection.encoder(Side::Server).block(&response_fields("200", "12"));
                down.extend_from_slice(&headers(stream, &block, false));
                down.extend_from_slice(&data(stream, b"{\"ok\":true}\n", true));
            }
            sent += 1;
        }
        connection.send(Side::Client, &up, &mut packets);
        connection.send(Side::Server, &down, &mut packets);
    }
    finish(open, packets, keys, requests, refused)
}

/// Closes every connection, five seconds after the last request, so that absence of a retry can be seen.
fn finish(open: Vec<Connection>, mut packets: Packets, keys: String, requests: u64, refused: u64) -> Corpus {
    packets.now += 5_000_000_000;
    for mut connection in open {
        connection.close(&mut packets);
    }
    Corpus { packets, keys, requests, refused }
}
