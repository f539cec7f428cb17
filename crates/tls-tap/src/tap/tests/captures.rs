//! Real captures with their keys.

use std::collections::HashMap;
use std::path::PathBuf;

use super::Taker;
use crate::{Chunk, KeyLog, KeyStore, Limits, Side, Tls};

fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("H2WATCH_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join("captures").join(path);
    if !path.exists() {
        println!("skipped: {} is missing", path.display());
        return None;
    }
    Some(path)
}

type Segment = (u64, Side, Vec<u8>);
/// Who is who, the next sequence number of each, and what came.
type Connection = (HashMap<Vec<u8>, Side>, HashMap<Side, u32>, Vec<Segment>);

/// The segments of every TCP connection of a capture, in order, without repeats. Little-endian pcap, Ethernet, IPv4 or IPv6.
fn connections(pcap: &[u8]) -> Vec<Vec<Segment>> {
    let u32_le = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap()) as usize;
    let mut flows: Vec<Connection> = Vec::new();
    let mut at = 24;
    while at + 16 <= pcap.len() {
        let time = u32_le(at) as u64 * 1_000_000 + u32_le(at + 4) as u64;
        let len = u32_le(at + 8);
        let frame = &pcap[at + 16..at + 16 + len];
        at += 16 + len;
        let (ip, addresses, end) = match frame[12..14] {
            [8, 0] => {
                let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
                (14 + usize::from(frame[14] & 15) * 4, 26..34, 14 + total)
            }
            [0x86, 0xdd] => (54, 22..54, 54 + usize::from(u16::from_be_bytes([frame[18], frame[19]]))),
            _ => continue,
        };
        let protocol = if frame[12] == 8 { frame[23] } else { frame[20] };
        if protocol != 6 {
            continue;
        }
        let (address, tcp) = (&frame[addresses], &frame[ip..end]);
        let half = address.len() / 2;
        let from = [&address[..half], &tcp[..2]].concat();
        let to = [&address[half..], &tcp[2..4]].concat();
        let (mine, yours) = ([&from[..], &to].concat(), [&to[..], &from].concat());
        let mut sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
        let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
        let syn = tcp[13] & 2 != 0;
        if syn && tcp[13] & 16 == 0 {
            let names = HashMap::from([(mine.clone(), Side::Client), (yours.clone(), Side::Server)]);
            flows.push((names, HashMap::new(), Vec::new()));
        }
        let Some((names, next, segments)) = flows.iter_mut().rev().find(|flow| flow.0.contains_key(&mine)) else {
            continue;
        };
        let side = names[&mine];
        if syn {
            sequence = sequence.wrapping_add(1);
            next.insert(side, sequence);
        }
        let Some(next) = next.get_mut(&side) else { continue };
        let old = next.wrapping_sub(sequence) as usize;
        if old < payload.len() {
            segments.push((time, side, payload[old..].to_vec()));
            *next = sequence.wrapping_add(payload.len() as u32);
        }
    }
    flows.into_iter().map(|(_, _, segments)| segments).collect()
}

fn keys(log: &[u8]) -> KeyStore {
    let mut keys = KeyStore::new(10_000);
    let mut reader = KeyLog::new();
    reader.push(log, &mut keys);
    reader.finish(&mut keys);
    keys
}

fn read(capture: &str, log: &str) -> Option<Vec<Taker>> {
    let pcap = std::fs::read(shared(capture)?).unwrap();
    let keys = keys(&std::fs::read(shared(log)?).unwrap());
    let read = |segments: &Vec<Segment>| {
        let mut taker = Taker::default();
        let mut tls = Tls::new(Limits::default());
        for (time, side, bytes) in segments {
            tls.data(*time, *side, Chunk::Lasting(bytes), &keys, &mut taker);
        }
        tls.finish(u64::MAX, &keys, &mut taker);
        taker
    };
    Some(connections(&pcap).iter().map(read).collect())
}

#[test]
fn the_captures_of_ssldump_are_read() {
    for name in [
        "tls1.2_aes256",
        "tls1.3_aes128",
        "tls1.3_aes256gcm",
        "tls1.3_ccm",
        "tls1.3_ccm8",
        "tls1.3_chacha",
        "tls1.3_curl_google",
        "tls1.3_keyupdates_aes256",
        "tls1.3_session_resumption",
    ] {
        let Some(takers) = read(&format!("third-party/ssldump/{name}.pcap"), "third-party/ssldump/log.txt") else {
            return;
        };
        assert!(!takers.is_empty(), "{name}");
        for taker in &takers {
            assert_eq!(taker.dark, [], "{name}");
            assert_eq!(taker.gaps, [], "{name}");
            assert_eq!(taker.secured.len(), 1, "{name}");
            assert!(!taker.client.is_empty() || !taker.server.is_empty(), "{name}");
        }
    }
}

#[test]
fn real_edges_and_origins_are_read() {
    for name in [
        "lab/apache-tls12-curl-retries",
        "lab/apache-mixed-multiplexed",
        "lab/apache-haproxy-502",
        "kestrel/kestrel-tls13-curl-retries",
        "kestrel/kestrel-busy-url-haproxy",
        "kestrel/kestrel-multiplexed-browser-like",
    ] {
        let Some(takers) = read(&format!("{name}.pcap"), &format!("{name}.keys")) else { return };
        let mut h2 = 0;
        for taker in takers.iter().filter(|taker| !taker.hellos.is_empty()) {
            assert_eq!(taker.gaps, [], "{name}");
            if taker.secured.first().and_then(|secured| secured.alpn.as_deref()) == Some("h2")
                && !taker.client.is_empty()
            {
                assert!(taker.client.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "{name}");
                h2 += 1;
            }
            println!("{name}: {:?} {} {} {:?}", taker.secured, taker.client.len(), taker.server.len(), taker.dark);
        }
        assert!(h2 > 0, "{name}");
    }
}
