use super::*;
use crate::cipher::tests::seal13;
use crate::keys::Kind;
use crate::schedule::tls13::next_secret;
use crate::suite::Suite;

const PING: &[u8] = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00pingpong";
const UPDATE: &[u8] = b"\x00\x00\x04\x08\x00\x00\x00\x00\x05\x00\x00\x40\x00";

fn secret(number: u8, side: Side, len: usize) -> Vec<u8> {
    vec![number.wrapping_mul(2).wrapping_add(slot(side) as u8); len]
}

/// A store of connections of which the numbers are in `range`.
fn store(range: std::ops::Range<u8>, len: usize) -> KeyStore {
    let mut store = KeyStore::new(1000);
    for number in range {
        for side in [Side::Client, Side::Server] {
            store.add([number; 32], Kind::Traffic(side), Secret::new(&secret(number, side, len)).unwrap());
        }
    }
    store
}

fn sample(suite: u16, number: u8, side: Side, generation: u32, sequence: u64, content: &[u8]) -> Sample {
    let suite = Suite::by_id(suite).unwrap();
    let mut secret = secret(number, side, suite.hash.output_len());
    for _ in 0..generation {
        secret = next_secret(suite.hash, &secret).unwrap().as_bytes().to_vec();
    }
    let (header, fragment) = seal13(suite, &secret, sequence, 23, content, 0);
    Sample { index: 3, header, fragment: fragment.into() }
}

fn add_keys(search: &mut Search, store: &KeyStore) {
    search.add_keys(store, store.iter_tls13().map(|(random, _)| random));
}

fn run(search: &mut Search) -> Vec<Found> {
    let mut found = Vec::new();
    while search.pending() {
        found.extend(search.step(1 << 20));
    }
    found
}

#[test]
fn finds_every_suite_and_depth() {
    for (suite, sequence, generation) in [
        (0x1301, 0, 0),
        (0x1302, 7, 0),
        (0x1302, 1000, 0),
        (0x1301, 100_000, 0),
        (0x1303, 7, 0),
        (0x1304, 1000, 0),
        (0x1305, 7, 0),
        (0x1302, 5, 1),
        (0x1301, 900, 2),
    ] {
        let len = Suite::by_id(suite).unwrap().hash.output_len();
        let mut search = Search::new(1 << 26);
        add_keys(&mut search, &store(0..3, len));
        assert!(search.add_flow(9, Side::Server, vec![sample(suite, 2, Side::Server, generation, sequence, PING)]));
        let mut found = Vec::new();
        while found.is_empty() && search.pending() {
            found = search.step(1 << 16);
        }
        let [found] = &found[..] else { panic!("{suite:x} {sequence} {generation}") };
        assert_eq!((found.token, found.side, found.random), (9, Side::Server, [2; 32]));
        assert_eq!((found.suite, found.sequence, found.generation), (suite, sequence, generation));
        assert_eq!(found.record_index, 3);
    }
}

#[test]
fn the_other_direction_has_one_secret_to_try() {
    for peer_first in [true, false] {
        let mut search = Search::new(1 << 26);
        add_keys(&mut search, &store(0..100, 48));
        // Found soon, so that the deep search below is for the peer alone.
        let peer = vec![sample(0x1302, 50, Side::Client, 0, 200_000, UPDATE)];
        if peer_first {
            search.add_flow(1, Side::Client, peer.clone());
        }
        search.add_flow(1, Side::Server, vec![sample(0x1302, 50, Side::Server, 0, 3, PING)]);
        let mut found = run(&mut search);
        if !peer_first {
            assert_eq!(found.len(), 1);
            search.add_flow(1, Side::Client, peer);
            found.extend(run(&mut search));
        }
        let sides: Vec<_> = found.iter().map(|found| (found.side, found.sequence)).collect();
        assert_eq!(sides, [(Side::Server, 3), (Side::Client, 200_000)]);
        assert!(search.trials() < 100 * 2 * (1 << 11) + 400_000, "{}", search.trials());
    }
}

#[test]
fn the_found_cipher_opens_what_follows() {
    let mut search = Search::new(1 << 24);
    add_keys(&mut search, &store(0..2, 32));
    search.add_flow(1, Side::Client, vec![sample(0x1303, 1, Side::Client, 1, 11, PING)]);
    let found = run(&mut search).remove(0);
    let next = sample(0x1303, 1, Side::Client, 1, 12, b"next");
    let mut out = Vec::new();
    found.cipher.open(found.sequence + 1, next.header, &[&next.fragment], &mut out).unwrap();
    assert_eq!(out, b"next");
}

#[test]
fn the_cost_is_secrets_times_sequences_whatever_the_flows() {
    let mut search = Search::new(1 << 22);
    add_keys(&mut search, &store(0..20, 48));
    for flow in 0..20 {
        search.add_flow(flow.into(), Side::Server, vec![sample(0x1302, flow, Side::Server, 0, 1000, PING)]);
    }
    let mut found = Vec::new();
    while found.len() < 20 && search.pending() {
        found.extend(search.step(1 << 10));
    }
    assert_eq!(found.iter().map(|found| found.token).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    // Blocks, and at most as much again for keys, indexes and tags.
    assert!(search.trials() < 2 * 20 * (1 << 11), "{}", search.trials());
}

#[test]
fn wrong_keys_end_with_the_budget() {
    let mut search = Search::new(1 << 20);
    add_keys(&mut search, &store(0..5, 32));
    search.add_flow(1, Side::Server, vec![sample(0x1301, 77, Side::Server, 0, 0, PING)]);
    assert!(run(&mut search).is_empty());
    assert!(search.exhausted() && !search.pending());
    let over = search.trials() - (1 << 20);
    assert!(over < 4096, "{over}");
    assert!(search.step(1 << 20).is_empty());
    search.grant(1 << 10);
    assert!(search.pending());
}

#[test]
fn claimed_secrets_are_not_tried() {
    let mut search = Search::new(1 << 24);
    search.claim(&[1; 32]);
    add_keys(&mut search, &store(0..3, 48));
    search.claim(&[0; 32]);
    search.claim(&[2; 32]);
    search.add_flow(1, Side::Server, vec![sample(0x1302, 1, Side::Server, 0, 0, PING)]);
    assert!(!search.pending());
    assert!(search.step(1 << 20).is_empty());
    assert_eq!(search.trials(), 0);
}

#[test]
fn flows_and_keys_that_come_late_go_through_the_early_windows() {
    let mut search = Search::new(1 << 27);
    add_keys(&mut search, &store(0..4, 48));
    search.add_flow(1, Side::Server, vec![sample(0x1302, 77, Side::Server, 0, 0, PING)]);
    // Deep in a late stage.
    assert!(search.step(1 << 22).is_empty());
    search.add_flow(2, Side::Server, vec![sample(0x1302, 3, Side::Server, 0, 9, PING)]);
    let found = search.step(1 << 14);
    assert_eq!(found.iter().map(|found| found.token).collect::<Vec<_>>(), [2]);
    let mut more = store(0..4, 48);
    more.add([77; 32], Kind::Traffic(Side::Server), Secret::new(&secret(77, Side::Server, 48)).unwrap());
    add_keys(&mut search, &more);
    let found = search.step(1 << 14);
    assert_eq!(found.iter().map(|found| found.token).collect::<Vec<_>>(), [1]);
    assert!(!search.pending());
}

#[test]
fn a_removed_flow_costs_nothing() {
    let mut search = Search::new(1 << 27);
    add_keys(&mut search, &store(0..4, 48));
    search.add_flow(1, Side::Server, vec![sample(0x1302, 77, Side::Server, 0, 0, PING)]);
    search.step(1 << 12);
    search.remove_flow(1);
    assert!(!search.pending());
    let before = search.trials();
    search.step(1 << 20);
    assert!(search.trials() - before < 1 << 15, "walks over the secrets, but tries none");
}

#[test]
fn samples_without_a_frame_header_are_refused() {
    let mut search = Search::new(1);
    let short = Sample { index: 0, header: [23, 3, 3, 0, 17], fragment: [0; 17].into() };
    assert!(!search.add_flow(1, Side::Client, vec![short]));
}

#[test]
fn many_flows_stay_within_the_cap() {
    let mut search = Search::new(1 << 20);
    for token in 0..5000 {
        search.add_flow(
            token,
            Side::Client,
            vec![Sample { index: 0, header: [23, 3, 3, 0, 40], fragment: [0; 40].into() }],
        );
    }
    assert_eq!(search.evicted(), 5000 - 4096);
    add_keys(&mut search, &store(0..100, 32));
    assert!(run(&mut search).is_empty());
    assert!(search.trials() < (1 << 20) + 8192);
}
