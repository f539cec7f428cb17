//! What is decided late: by keys, by the end, or by what a connection that was joined late still shows.

use super::peer::{self, Peer, filler};
use super::{Taker, feed};
use crate::{Dark, KeyStore, Limits, Side, Suite, Tls};

/// A record of protected data, or of another type.
fn record(content_type: u8, body: &[u8]) -> Vec<u8> {
    [&[content_type, 3, 3][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

fn joined_late(wire: &[u8]) -> Vec<(Option<Side>, Dark)> {
    let (mut taker, mut tls) = (Taker::default(), Tls::midstream(Limits::default()));
    feed(&mut tls, Side::Server, wire, 1_000, true, &KeyStore::new(1), &mut taker);
    tls.finish(9, &KeyStore::new(1), &mut taker);
    taker.dark
}

#[test]
fn tls12_joined_late_is_told_by_nonces_and_by_alerts() {
    let data = |nonce: u64| record(23, &[&nonce.to_be_bytes()[..], &filler(100, nonce as u8)].concat());
    let any = [data(0x1234_5678_9abc_def0), data(0xfedc_ba98_7654_3210)].concat();
    assert_eq!(joined_late(&any), [(Some(Side::Server), Dark::JoinedLate)]);
    let numbered = [data(0xff), data(0x100)].concat();
    assert_eq!(joined_late(&numbered), [(Some(Side::Server), Dark::JoinedLateTls12)]);
    let sealed_alert = [any, record(21, &[7; 26])].concat();
    assert_eq!(joined_late(&sealed_alert), [(Some(Side::Server), Dark::JoinedLateTls12)]);
}

#[test]
fn a_connection_seen_from_its_first_byte_was_not_joined_late() {
    let suite = Suite::by_id(0x1301).unwrap();
    let mut server = Peer::new(Side::Server, suite);
    server.data(b"hello", 0);
    let (keys, mut taker, mut tls) = (peer::keys(suite), Taker::default(), Tls::new(Limits::default()));
    // The ClientHello is missing.
    tls.gap(1, Side::Client, 300, &keys, &mut taker);
    feed(&mut tls, Side::Server, &server.wire, 1_000, true, &keys, &mut taker);
    tls.finish(9, &keys, &mut taker);
    let dark = [(Some(Side::Client), Dark::LostSync), (Some(Side::Server), Dark::HandshakeLost)];
    assert_eq!(taker.dark, dark);
}

#[test]
fn the_end_decides_on_a_record_with_the_beginning_of_another_behind_it() {
    let suite = Suite::by_id(0x1301).unwrap();
    for behind in [&[23][..], &[23, 3, 3], &[23, 3, 3, 0], &[1, 2, 3]] {
        let (client, mut server) = (Peer::new(Side::Client, suite), Peer::new(Side::Server, suite));
        for seed in 0..3 {
            server.data(&filler(200, seed), 0);
        }
        let (first, last) = (server.records[0].0.clone(), server.records[2].0.clone());
        let rest = [&server.wire[last.clone()], behind].concat();
        let (keys, mut taker, mut tls) = (peer::keys(suite), Taker::default(), Tls::new(Limits::default()));
        feed(&mut tls, Side::Client, &client.wire, 1_000, true, &keys, &mut taker);
        feed(&mut tls, Side::Server, &server.wire[..first.start], 1_000, true, &keys, &mut taker);
        tls.gap(1, Side::Server, (last.start - first.start) as u64, &keys, &mut taker);
        feed(&mut tls, Side::Server, &rest, 100, false, &keys, &mut taker);
        assert_eq!(taker.server, b"", "it may not be one");
        tls.finish(9, &keys, &mut taker);
        let expected = if behind == [1, 2, 3] { Vec::new() } else { filler(200, 2) };
        assert!(taker.server == expected, "{behind:?}");
    }
}

#[test]
fn new_keys_are_tried_with_the_next_bytes() {
    let suite = Suite::by_id(0x1302).unwrap();
    let (mut client, server) = (Peer::new(Side::Client, suite), Peer::new(Side::Server, suite));
    client.data(&filler(500, 1), 0);
    let (none, keys) = (KeyStore::new(1), peer::keys(suite));
    let (mut taker, mut tls) = (Taker::default(), Tls::new(Limits::default()));
    feed(&mut tls, Side::Client, &client.wire, 1_000, false, &none, &mut taker);
    let (rest, last) = server.wire.split_at(server.wire.len() - 1);
    feed(&mut tls, Side::Server, rest, 1_000, false, &none, &mut taker);
    assert!(tls.is_blind());
    feed(&mut tls, Side::Server, last, 1, false, &keys, &mut taker);
    assert!(!tls.is_blind());
    assert!(taker.client == client.plain);
}
