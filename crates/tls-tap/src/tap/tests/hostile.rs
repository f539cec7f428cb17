use proptest::prelude::*;

use super::peer::{self, Peer, filler};
use super::{Taker, feed};
use crate::{Alert, Dark, Forged, Gap, Guess, Hello, Limits, Proof, Reader, Secured, Side, Suite, Tls, looks_like_tls};

/// Frames as in HTTP/2: passes over type 0, keeps the others, and asks for proof at type 3.
#[derive(Default)]
struct Frames {
    selective: bool,
    skip: u64,
    buffer: Vec<u8>,
    kept: Vec<Vec<u8>>,
    skipped: u64,
    proofs: Vec<Result<bool, Forged>>,
    gaps: Vec<Gap>,
}

impl Reader for Frames {
    fn skippable(&self, _: Side) -> u64 {
        if self.selective { self.skip } else { 0 }
    }
    fn peek(&mut self, _: u64, _: Side, bytes: &[u8]) -> Option<u64> {
        if !self.selective || !self.buffer.is_empty() || bytes[3] != 0 {
            return None;
        }
        self.skip = 9 + u64::from(u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]));
        Some(self.skip)
    }
    fn plaintext(&mut self, _: u64, side: Side, bytes: &[u8], _: bool, proof: &mut dyn Proof) {
        if side == Side::Client {
            return;
        }
        let over = self.skip.min(bytes.len() as u64);
        self.skip -= over;
        self.buffer.extend_from_slice(&bytes[over as usize..]);
        while self.buffer.len() >= 9 {
            let len = 9 + u32::from_be_bytes([0, self.buffer[0], self.buffer[1], self.buffer[2]]) as usize;
            if self.buffer[3] == 0 {
                let now = len.min(self.buffer.len());
                self.skip = (len - now) as u64;
                self.buffer.drain(..now);
                continue;
            }
            if self.buffer.len() < len {
                break;
            }
            if self.buffer[3] == 3 {
                self.proofs.push(proof.authenticate());
            }
            self.kept.push(self.buffer.drain(..len).collect());
        }
    }
    fn skipped(&mut self, _: Side, bytes: u64) {
        assert!(bytes <= self.skip);
        self.skip -= bytes;
        self.skipped += bytes;
    }
    fn gap(&mut self, _: u64, _: Side, gap: Gap) {
        self.gaps.push(gap);
    }
    fn client_hello(&mut self, _: u64, _: Hello) {}
    fn secured(&mut self, _: u64, _: Secured) {}
    fn alert(&mut self, _: u64, _: Alert) {}
    fn dark(&mut self, _: u64, _: Option<Side>, _: Dark) {}
}

fn frame(kind: u8, len: usize) -> Vec<u8> {
    [&(len as u32).to_be_bytes()[1..], &[kind, 0, 0, 0, 0, 1], &filler(len, kind)].concat()
}

fn stream() -> Peer {
    let mut server = Peer::new(Side::Server, Suite::by_id(0x1301).unwrap());
    let mut all = frame(4, 18);
    for len in [100, 16_384, 9_000, 0, 30_000, 700] {
        all.extend(frame(1, 50));
        all.extend(frame(0, len));
        all.extend(frame(0, len / 2));
    }
    all.extend(frame(3, 4));
    for part in all.chunks(4_000) {
        server.data(part, 0);
    }
    server
}

fn frames(server: &[u8], selective: bool, lasting: bool) -> Frames {
    frames_within(server, selective, lasting, Limits::default())
}

fn frames_within(server: &[u8], selective: bool, lasting: bool, limits: Limits) -> Frames {
    let suite = Suite::by_id(0x1301).unwrap();
    let keys = peer::keys(suite);
    let client = Peer::new(Side::Client, suite);
    let mut frames = Frames { selective, ..Frames::default() };
    let mut tls = Tls::new(limits);
    feed(&mut tls, Side::Client, &client.wire, 1_448, lasting, &keys, &mut frames);
    feed(&mut tls, Side::Server, server, 1_448, lasting, &keys, &mut frames);
    frames
}

#[test]
fn a_reader_that_passes_over_sees_what_one_that_takes_all_sees() {
    let server = stream();
    let all = frames(&server.wire, false, true);
    assert_eq!(all.kept.len(), 8);
    for lasting in [true, false] {
        let some = frames(&server.wire, true, lasting);
        assert!(some.kept == all.kept);
        assert!(some.skipped > 40_000, "{}", some.skipped);
        assert_eq!(some.proofs, [Ok(true)]);
    }
}

#[test]
fn a_forged_length_is_found_before_a_finding_rests_on_it() {
    let server = stream();
    let passed = frames(&server.wire, true, true);
    // The reset's record is the last; a bit of a body in a record that was looked into, or passed over, is turned.
    let mut forged = 0;
    for (wire, _) in &server.records[..server.records.len() - 1] {
        let mut bytes = server.wire.clone();
        bytes[wire.start + 5 + 2_000] ^= 1;
        let seen = frames(&bytes, true, true);
        forged += usize::from(seen.proofs == [Err(Forged)]);
        if seen.proofs == [Err(Forged)] {
            assert!(seen.gaps.contains(&Gap { min: 0, max: u64::MAX }));
        }
    }
    assert!(forged >= 3, "{forged}");
    assert_eq!(passed.proofs, [Ok(true)]);
}

#[test]
fn what_can_no_longer_be_proven_does_not_hang_on_whether_bytes_last() {
    let server = stream();
    for unverified_bytes in [4_000, 12_000, 1 << 20] {
        let limits = Limits { unverified_bytes, ..Limits::default() };
        let [lasting, passing] = [true, false].map(|lasting| frames_within(&server.wire, true, lasting, limits));
        assert_eq!(lasting.proofs, [Ok(unverified_bytes == 1 << 20)]);
        assert_eq!(lasting.proofs, passing.proofs);
    }
}

#[test]
fn guesses() {
    let suite = Suite::by_id(0x1301).unwrap();
    let (client, server) = (Peer::new(Side::Client, suite), stream());
    assert_eq!(looks_like_tls(&client.wire), Guess::Yes);
    assert_eq!(looks_like_tls(&client.wire[..3]), Guess::Maybe);
    assert_eq!(looks_like_tls(&server.wire), Guess::Yes);
    assert_eq!(looks_like_tls(&server.wire[server.records[2].0.start + 100..]), Guess::Yes);
    assert_eq!(looks_like_tls(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Guess::No);
    assert_eq!(looks_like_tls(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Guess::No);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_survived(
        parts in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300), 0u64..3_000), 0..20),
        midstream: bool,
    ) {
        let keys = peer::keys(Suite::by_id(0x1301).unwrap());
        let mut taker = Taker::default();
        let mut tls = if midstream { Tls::midstream(Limits::default()) } else { Tls::new(Limits::default()) };
        for (client, bytes, lost) in &parts {
            let side = if *client { Side::Client } else { Side::Server };
            feed(&mut tls, side, bytes, 100, false, &keys, &mut taker);
            tls.gap(1, side, lost.saturating_sub(2_000), &keys, &mut taker);
        }
        tls.finish(2, &keys, &mut taker);
        prop_assert!(taker.client.is_empty() && taker.server.is_empty());
    }

    #[test]
    fn damaged_streams_never_give_wrong_bytes(at in 0usize..60_000, byte: u8, cut in 1usize..3_000) {
        let mut server = stream();
        let at = at % server.wire.len();
        server.wire[at] = byte;
        let keys = peer::keys(Suite::by_id(0x1301).unwrap());
        let client = Peer::new(Side::Client, Suite::by_id(0x1301).unwrap());
        let mut taker = Taker::default();
        let mut tls = Tls::new(Limits::default());
        feed(&mut tls, Side::Client, &client.wire, cut, true, &keys, &mut taker);
        feed(&mut tls, Side::Server, &server.wire, cut, true, &keys, &mut taker);
        tls.finish(2, &keys, &mut taker);
        for (_, _, part) in &taker.parts {
            prop_assert!(server.records.iter().any(|(_, plain)| server.plain[*plain..].starts_with(part)));
        }
    }
}
