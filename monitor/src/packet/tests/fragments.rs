use super::{PAYLOAD, Seen, decode, decode_with, ipv4, ipv6, is_ipv4, is_ipv6, packet, under_ipv4, under_ipv6};
use crate::limits::Limits;
use crate::model::{Packet, PacketCounts};

const SECOND: u64 = 1_000_000_000;

/// Fragments of an IPv4 packet, of at most `size` bytes of its payload.
fn split_v4(whole: &[u8], id: u8, size: usize) -> Vec<Vec<u8>> {
    let count = whole[20..].chunks(size).count();
    let piece = |(index, bytes): (usize, &[u8])| {
        let mut out = under_ipv4(whole[9], bytes);
        out[12..20].copy_from_slice(&whole[12..20]);
        out[5] = id;
        let more = if index + 1 < count { 0x2000 } else { 0 };
        out[6..8].copy_from_slice(&((index * size / 8) as u16 | more).to_be_bytes());
        out
    };
    whole[20..].chunks(size).enumerate().map(piece).collect()
}

fn split_v6(whole: &[u8], id: u8, size: usize) -> Vec<Vec<u8>> {
    let count = whole[40..].chunks(size).count();
    let piece = |(index, bytes): (usize, &[u8])| {
        let more = u16::from(index + 1 < count);
        let [high, low] = ((index * size) as u16 | more).to_be_bytes();
        under_ipv6(44, &[&[whole[6], 0, high, low, 0, 0, 0, id][..], bytes].concat())
    };
    whole[40..].chunks(size).enumerate().map(piece).collect()
}

fn packets(fragments: &[Vec<u8>]) -> Vec<Packet<'_>> {
    fragments.iter().map(|bytes| packet(101, 1, bytes)).collect()
}

fn counts(seen: &(Vec<Seen>, PacketCounts)) -> (u64, u64, u64) {
    (seen.1.tcp, seen.1.fragments, seen.1.fragments_lost)
}

#[test]
fn fragments_in_any_order_make_the_segment() {
    for size in [8, 16, 24] {
        for turn in 0..5 {
            let mut v4 = split_v4(&ipv4(), 1, size);
            let mut v6 = split_v6(&ipv6(), 1, size);
            let (len4, len6) = (v4.len(), v6.len());
            v4.rotate_left(turn % len4);
            v6.rotate_left(turn % len6);
            let seen = decode(&packets(&v4));
            assert_eq!(counts(&seen), (1, v4.len() as u64, 0));
            is_ipv4(&seen.0[0]);
            let seen = decode(&packets(&v6));
            assert_eq!(counts(&seen), (1, v6.len() as u64, 0));
            is_ipv6(&seen.0[0]);
        }
    }
}

#[test]
fn of_bytes_that_come_twice_the_first_stay() {
    let fragments = split_v4(&ipv4(), 1, 24);
    let mut evil = fragments[1].clone();
    evil[20..].fill(b'X');
    // The same range again, and one that begins before it and overlaps both.
    let mut wide = under_ipv4(6, &[b'Y'; 32]);
    wide[4..20].copy_from_slice(&fragments[0][4..20]);
    wide[6..8].copy_from_slice(&0x2001_u16.to_be_bytes());
    let late = [fragments[1].clone(), evil, wide, fragments[0].clone()];
    let seen = decode(&packets(&late));
    // Of the wide one, bytes 8 to 24 were new; they say that the header has 20 bytes.
    assert!(seen.0[0].payload.starts_with(b"YYYY\0"));
    assert!(seen.0[0].payload.ends_with(PAYLOAD));
}

#[test]
fn one_lost_fragment_loses_the_datagram_alone() {
    let mut first = split_v4(&ipv4(), 1, 16);
    first.remove(1);
    let seen = decode(&packets(&[first, split_v4(&ipv4(), 2, 16)].concat()));
    assert_eq!(counts(&seen), (1, 5, 2));
    is_ipv4(&seen.0[0]);
}

#[test]
fn fragments_wait_for_thirty_seconds() {
    let fragments = split_v4(&ipv4(), 1, 24);
    let seen = decode(&[packet(101, SECOND, &fragments[0]), packet(101, 31 * SECOND, &fragments[1])]);
    assert_eq!(counts(&seen), (1, 2, 0));
    let seen = decode(&[packet(101, SECOND, &fragments[0]), packet(101, 31 * SECOND + 1, &fragments[1])]);
    assert_eq!(counts(&seen), (0, 2, 2));
}

#[test]
fn the_caps_give_up_the_oldest() {
    let all: Vec<_> = (0..5).map(|id| split_v4(&ipv4(), id, 24)).collect();
    let mut packets: Vec<_> = all.iter().map(|fragments| packet(101, 1, &fragments[0])).collect();
    packets.extend(all.iter().map(|fragments| packet(101, 2, &fragments[1])));
    let limits = Limits { fragments: 5, ..Limits::default() };
    assert_eq!(counts(&decode_with(&limits, &packets)), (5, 10, 0));
    packets.truncate(5);
    packets.push(packet(101, 2, &all[4][1]));
    let limits = Limits { fragments: 2, ..Limits::default() };
    assert_eq!(counts(&decode_with(&limits, &packets)), (1, 6, 4));
    let limits = Limits { fragment_bytes: 72, ..Limits::default() };
    assert_eq!(counts(&decode_with(&limits, &packets)), (1, 6, 4));
}

#[test]
fn a_datagram_of_too_many_pieces_is_given_up() {
    let mut fragments: Vec<_> = (0..200u16)
        .map(|index| {
            let mut out = under_ipv4(6, &[0; 8]);
            out[6..8].copy_from_slice(&((index * 2) | 0x2000).to_be_bytes());
            out
        })
        .collect();
    fragments.extend(split_v4(&ipv4(), 1, 16));
    let seen = decode(&packets(&fragments));
    assert_eq!(counts(&seen), (1, 203, 200));
}

#[test]
fn fragments_that_cannot_be_right_are_dropped() {
    let mut beyond = under_ipv4(6, &[0; 16]);
    beyond[6..8].copy_from_slice(&0x1fff_u16.to_be_bytes());
    let mut odd = under_ipv4(6, &[0; 9]);
    odd[6..8].copy_from_slice(&0x2000_u16.to_be_bytes());
    let fragments = split_v4(&ipv4(), 1, 24);
    let cut = &fragments[0][..30];
    let seen = decode(&[packet(101, 1, &beyond), packet(101, 1, &odd), packet(101, 1, cut)]);
    assert_eq!(counts(&seen), (0, 3, 3));
}

#[test]
fn fragments_of_a_tunnel_and_in_a_tunnel() {
    let outer = under_ipv4(4, &ipv4());
    let seen = decode(&packets(&split_v4(&outer, 1, 32)));
    is_ipv4(&seen.0[0]);
    let inner = split_v4(&ipv4(), 2, 24);
    let nested: Vec<_> =
        inner.iter().enumerate().flat_map(|(id, bytes)| split_v4(&under_ipv4(4, bytes), 10 + id as u8, 24)).collect();
    let seen = decode(&packets(&nested));
    assert_eq!(seen.1.tcp, 1);
    is_ipv4(&seen.0[0]);
    assert_eq!(seen.0[0].payload, PAYLOAD);
}
