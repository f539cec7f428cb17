use proptest::prelude::*;

use super::peer::{self, Peer, filler};
use super::{Taker, feed};
use crate::late::Found;
use crate::{Dark, Limits, Secured, Side, Suite, Tls, Version};

fn talk(suite: &'static Suite) -> (Peer, Peer) {
    let (mut client, mut server) = (Peer::new(Side::Client, suite), Peer::new(Side::Server, suite));
    client.data(&filler(70, 1), 0);
    server.ticket();
    server.data(&filler(16_384, 2), 0);
    server.data(&filler(5_000, 3), 100);
    server.key_update(true);
    server.data(&filler(2_000, 4), 0);
    server.key_update(false);
    server.data(&[], 0);
    server.data(&filler(300, 5), 0);
    server.seal(21, &[1, 0], 0);
    client.key_update(false);
    client.data(&filler(9_000, 6), 0);
    (client, server)
}

fn read(client: &Peer, server: &Peer, keys: &crate::KeyStore, cut: usize, lasting: bool) -> Taker {
    let mut taker = Taker::default();
    let mut tls = Tls::new(Limits::default());
    feed(&mut tls, Side::Client, &client.wire, cut, lasting, keys, &mut taker);
    feed(&mut tls, Side::Server, &server.wire, cut, lasting, keys, &mut taker);
    tls.finish(9, keys, &mut taker);
    taker
}

#[test]
fn every_suite_of_tls13_is_read_to_the_end() {
    for id in [0x1301, 0x1302, 0x1303, 0x1304, 0x1305] {
        let suite = Suite::by_id(id).unwrap();
        let (client, server) = talk(suite);
        let taker = read(&client, &server, &peer::keys(suite), 1_448, true);
        assert!(taker.client == client.plain && taker.server == server.plain, "{}", suite.name);
        assert_eq!(taker.gaps, []);
        assert_eq!(taker.dark, []);
        assert_eq!(taker.hellos[0].sni.as_deref(), Some("origin.test"));
        let secured = Secured { version: Version::Tls13, suite: id, alpn: Some("h2".into()), resumed: false };
        assert_eq!(taker.secured, [secured]);
        assert_eq!(taker.alerts.len(), 1);
    }
}

#[test]
fn without_handshake_secrets_data_is_read_and_alpn_is_unknown() {
    let suite = Suite::by_id(0x1301).unwrap();
    let (client, server) = talk(suite);
    let mut keys = crate::KeyStore::new(1);
    keys.add(peer::RANDOM, crate::keys::Kind::Traffic(Side::Server), peer::secret(suite, 4));
    let taker = read(&client, &server, &keys, 1_448, true);
    assert!(taker.server == server.plain && taker.client.is_empty());
    assert_eq!(taker.secured[0].alpn, None);
    assert_eq!(taker.dark, [(Some(Side::Client), Dark::NoKey)]);
}

#[test]
fn keys_may_come_last() {
    let suite = Suite::by_id(0x1302).unwrap();
    let (client, server) = talk(suite);
    let (none, keys) = (crate::KeyStore::new(1), peer::keys(suite));
    for lasting in [true, false] {
        let mut taker = Taker::default();
        let mut tls = Tls::new(Limits::default());
        feed(&mut tls, Side::Client, &client.wire, 1_000, lasting, &none, &mut taker);
        feed(&mut tls, Side::Server, &server.wire, 1_000, lasting, &none, &mut taker);
        assert!(tls.waits_for_key() && tls.unread() > 0);
        tls.retry(&keys, &mut taker);
        tls.finish(9, &keys, &mut taker);
        assert!(!tls.is_blind());
        assert!(taker.client == client.plain && taker.server == server.plain);
        assert_eq!(taker.secured[0].alpn.as_deref(), Some("h2"));
        assert_eq!((tls.unread(), &taker.dark[..]), (0, &[][..]));
    }
}

#[test]
fn what_is_held_does_not_hang_on_how_it_comes() {
    let suite = Suite::by_id(0x1302).unwrap();
    let (client, server) = talk(suite);
    let (none, keys) = (crate::KeyStore::new(1), peer::keys(suite));
    let whole = server.wire.len();
    for (held, held_records) in [(2_500, 4_096), (12_000, 4_096), (64 << 10, 3), (64 << 10, 4_096)] {
        let limits = Limits { held, held_records, ..Limits::default() };
        let read = |cut: usize, lasting: bool| {
            let mut taker = Taker::default();
            let mut tls = Tls::new(limits);
            feed(&mut tls, Side::Client, &client.wire, cut, lasting, &none, &mut taker);
            feed(&mut tls, Side::Server, &server.wire, cut, lasting, &none, &mut taker);
            let holds = tls.held();
            assert!(holds <= 2 * held && tls.memory() >= holds);
            tls.retry(&keys, &mut taker);
            tls.finish(9, &keys, &mut taker);
            let Taker { client, server, gaps, dark, .. } = taker;
            (holds, client, server, gaps, dark)
        };
        let mapped = read(1_448, true);
        assert_eq!(mapped.4.contains(&(Some(Side::Server), Dark::HeldTooMuch)), held_records == 3 || held < 64 << 10);
        for (cut, lasting) in [(1_448, false), (1, true), (1, false), (100, true), (whole, true), (whole, false)] {
            assert!(read(cut, lasting) == mapped, "{held} {held_records}: cut {cut}, lasting {lasting}");
        }
    }
}

/// Every order of these numbers.
fn orders(of: &[usize]) -> Vec<Vec<usize>> {
    if of.is_empty() {
        return vec![vec![]];
    }
    let without = |at: usize| of.iter().copied().filter(|other| *other != at).collect::<Vec<_>>();
    of.iter().flat_map(|&at| orders(&without(at)).into_iter().map(move |rest| [&[at][..], &rest].concat())).collect()
}

#[test]
fn secrets_may_come_one_by_one_in_any_order_at_any_time() {
    use crate::keys::Kind;
    let suite = Suite::by_id(0x1302).unwrap();
    let (client, server) = talk(suite);
    let secrets = [
        (Kind::Handshake(Side::Client), 1),
        (Kind::Handshake(Side::Server), 2),
        (Kind::Traffic(Side::Client), 3),
        (Kind::Traffic(Side::Server), 4),
    ];
    for order in orders(&[0, 1, 2, 3]) {
        for before in 0..=order.len() {
            let mut keys = crate::KeyStore::new(1);
            let add = |keys: &mut crate::KeyStore, at: usize| {
                let (kind, name) = secrets[at];
                keys.add(peer::RANDOM, kind, peer::secret(suite, name));
            };
            order[..before].iter().for_each(|&at| add(&mut keys, at));
            let mut taker = Taker::default();
            let mut tls = Tls::new(Limits::default());
            feed(&mut tls, Side::Client, &client.wire, 1_448, false, &keys, &mut taker);
            feed(&mut tls, Side::Server, &server.wire, 1_448, false, &keys, &mut taker);
            for &at in &order[before..] {
                let waits = taker.client != client.plain || taker.server != server.plain;
                assert_eq!(tls.lacks_secret(&keys), waits, "{order:?} {before}");
                assert!(!waits || tls.waits_for_key(), "{order:?} {before}");
                add(&mut keys, at);
                tls.retry(&keys, &mut taker);
            }
            assert!(!tls.lacks_secret(&keys));
            tls.finish(9, &keys, &mut taker);
            assert!(taker.client == client.plain && taker.server == server.plain, "{order:?} {before}");
            assert_eq!((&taker.gaps[..], &taker.dark[..]), (&[][..], &[][..]), "{order:?} {before}");
        }
    }
}

#[test]
fn an_answer_is_not_read_before_its_request_unless_that_takes_too_long() {
    use crate::keys::Kind;
    let suite = Suite::by_id(0x1302).unwrap();
    let (client, server) = talk(suite);
    let mut keys = crate::KeyStore::new(1);
    for (kind, name) in
        [(Kind::Handshake(Side::Client), 1), (Kind::Handshake(Side::Server), 2), (Kind::Traffic(Side::Server), 4)]
    {
        keys.add(peer::RANDOM, kind, peer::secret(suite, name));
    }
    let cut = server.records[1].0.end;
    let mut taker = Taker::default();
    let mut tls = Tls::new(Limits::default());
    feed(&mut tls, Side::Client, &client.wire, 1_448, false, &keys, &mut taker);
    feed(&mut tls, Side::Server, &server.wire[..cut], 1_448, false, &keys, &mut taker);
    assert!(taker.server.is_empty() && tls.lacks_secret(&keys));
    let mut late = keys.clone();
    late.add(peer::RANDOM, Kind::Traffic(Side::Client), peer::secret(suite, 3));
    tls.retry(&late, &mut taker);
    let order: Vec<Side> = taker.parts.iter().map(|(side, ..)| *side).collect();
    assert_eq!(order[0], Side::Client);
    assert!(taker.client == client.plain && !taker.server.is_empty());

    let mut taker = Taker::default();
    let mut tls = Tls::new(Limits::default());
    feed(&mut tls, Side::Client, &client.wire, 1_448, false, &keys, &mut taker);
    for chunk in server.wire.chunks(1_448) {
        tls.data(2_000_000_000, Side::Server, crate::Chunk::Passing(chunk), &keys, &mut taker);
    }
    assert!(taker.server == server.plain && taker.client.is_empty());
}

#[test]
fn a_traffic_secret_that_never_comes_is_told_at_the_end() {
    use crate::keys::Kind;
    let suite = Suite::by_id(0x1302).unwrap();
    let (client, server) = talk(suite);
    let mut keys = crate::KeyStore::new(1);
    for (kind, name) in [(Kind::Handshake(Side::Client), 1), (Kind::Handshake(Side::Server), 2)] {
        keys.add(peer::RANDOM, kind, peer::secret(suite, name));
    }
    let taker = read(&client, &server, &keys, 1_448, false);
    assert_eq!(taker.secured[0].alpn.as_deref(), Some("h2"));
    assert_eq!(taker.dark, [(Some(Side::Client), Dark::NoKey), (Some(Side::Server), Dark::NoKey)]);
}

#[test]
fn the_cap_on_what_is_held_drops_the_oldest_and_says_so() {
    let suite = Suite::by_id(0x1302).unwrap();
    let mut server = Peer::new(Side::Server, suite);
    for seed in 0..40 {
        server.data(&filler(10_000, seed), 0);
    }
    let client = Peer::new(Side::Client, suite);
    let (none, keys) = (crate::KeyStore::new(1), peer::keys(suite));
    let mut taker = Taker::default();
    let mut tls = Tls::new(Limits::default());
    feed(&mut tls, Side::Client, &client.wire, 1_000, false, &none, &mut taker);
    feed(&mut tls, Side::Server, &server.wire, 1_000, false, &none, &mut taker);
    assert!(tls.held() <= 2 * Limits::default().held && tls.memory() < 400_000);
    assert_eq!(taker.dark, [(Some(Side::Server), Dark::NoKey)]);
    tls.retry(&keys, &mut taker);
    assert!(taker.server.len() >= 50_000 && server.plain.ends_with(&taker.server));
    assert_eq!(taker.dark.last(), Some(&(Some(Side::Server), Dark::HeldTooMuch)));
    assert_eq!(taker.gaps.len(), 1);
}

#[test]
fn wrong_secrets_are_named() {
    let suite = Suite::by_id(0x1301).unwrap();
    let (client, server) = talk(suite);
    let mut keys = crate::KeyStore::new(1);
    for side in [Side::Client, Side::Server] {
        keys.add(peer::RANDOM, crate::keys::Kind::Traffic(side), peer::secret(suite, 9));
        keys.add(peer::RANDOM, crate::keys::Kind::Handshake(side), peer::secret(suite, 8));
    }
    let taker = read(&client, &server, &keys, 1_448, true);
    assert!(taker.client.is_empty() && taker.server.is_empty());
    assert_eq!(taker.dark, [(Some(Side::Client), Dark::WrongKey), (Some(Side::Server), Dark::WrongKey)]);
}

#[test]
fn joined_late_goes_on_from_what_a_search_found() {
    let suite = Suite::by_id(0x1301).unwrap();
    let mut server = Peer::new(Side::Server, suite);
    for seed in 0..10 {
        server.data(&filler(1_500, seed), 0);
    }
    let from = server.records[3].0.start - 700;
    let keys = peer::keys(suite);
    let mut taker = Taker::default();
    let mut tls = Tls::midstream(Limits::default());
    feed(&mut tls, Side::Server, &server.wire[from..], 800, true, &keys, &mut taker);
    let samples = tls.samples();
    assert_eq!(samples.len(), 4);
    let (side, sample) = samples.last().unwrap();
    let cipher = Box::new(crate::cipher::RecordCipher::tls13(suite, &[4; 32]).unwrap());
    tls.unlock(
        Found {
            token: 0,
            side: *side,
            random: peer::RANDOM,
            suite: 0x1301,
            record_index: sample.index,
            sequence: 3 + sample.index,
            generation: 0,
            cipher,
        },
        &keys,
        &mut taker,
    );
    assert!(taker.server == server.plain[server.records[3].1..]);
    assert!(tls.samples().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn cuts_and_copies_change_nothing(cut in 1usize..20_000, lasting: bool) {
        let suite = Suite::by_id(0x1301).unwrap();
        let (client, server) = talk(suite);
        let taker = read(&client, &server, &peer::keys(suite), cut, lasting);
        prop_assert!(taker.client == client.plain);
        prop_assert!(taker.server == server.plain);
        prop_assert_eq!(taker.alerts.len(), 1);
    }
}
