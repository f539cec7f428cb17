use super::peer::{self, Peer, filler};
use super::{Taker, feed};
use crate::{Limits, Side, Suite, Tls};

fn stream() -> Peer {
    let mut server = Peer::new(Side::Server, Suite::by_id(0x1301).unwrap());
    for (seed, len) in [300, 5_000, 40, 16_384, 20, 700, 3_000, 9, 2_500, 60].into_iter().enumerate() {
        server.data(&filler(len, seed as u8), 0);
        if seed == 5 {
            server.key_update(false);
        }
    }
    server
}

/// Loses a part of the stream and checks every byte that is delivered, and where the gap says that it is.
fn lose(server: &Peer, start: usize, len: usize, cut: usize) -> Taker {
    let keys = peer::keys(Suite::by_id(0x1301).unwrap());
    let client = Peer::new(Side::Client, Suite::by_id(0x1301).unwrap());
    let mut taker = Taker::default();
    let mut tls = Tls::new(Limits::default());
    feed(&mut tls, Side::Client, &client.wire, cut, true, &keys, &mut taker);
    feed(&mut tls, Side::Server, &server.wire[..start], cut, true, &keys, &mut taker);
    tls.gap(5, Side::Server, len as u64, &keys, &mut taker);
    feed(&mut tls, Side::Server, &server.wire[start + len..], cut, true, &keys, &mut taker);
    tls.finish(9, &keys, &mut taker);
    let mut at = 0;
    for (_, gap, part) in &taker.parts {
        if let Some(gap) = gap {
            let place = server.records.iter().map(|(_, plain)| *plain).find(|plain| {
                let skipped = (*plain as u64).checked_sub(at as u64);
                skipped.is_some_and(|skipped| (gap.min..=gap.max).contains(&skipped))
                    && server.plain[*plain..].starts_with(part)
            });
            at = place.unwrap_or_else(|| panic!("{start}+{len}: {gap:?} at {at}"));
        }
        assert!(server.plain[at..].starts_with(part), "{start}+{len}: wrong bytes at {at}");
        at += part.len();
    }
    taker
}

#[test]
fn what_follows_a_hole_is_right_and_complete() {
    let server = stream();
    let first = server.records[0].0.start;
    for start in (first..server.wire.len() - 3_000).step_by(97) {
        for len in [1, 5, 30, 1_448, 2_900] {
            let taker = lose(&server, start, len, 1_448);
            let whole = server.records.iter().filter(|(wire, _)| wire.end <= start || wire.start >= start + len);
            for (wire, plain) in whole {
                let next = server
                    .records
                    .iter()
                    .find(|(other, _)| other.start >= wire.end)
                    .map_or(server.plain.len(), |(_, plain)| *plain);
                let content = &server.plain[*plain..next];
                assert!(taker.parts.iter().any(|(_, _, part)| part == content), "{start}+{len}: {wire:?} was not read");
            }
        }
    }
}

#[test]
fn a_hole_in_the_handshake_leaves_the_data_readable() {
    let server = stream();
    let end = server.records[0].0.start;
    for start in (0..end).step_by(13) {
        let taker = lose(&server, start, 40.min(end - start), 500);
        assert!(taker.server == server.plain, "{start}");
    }
}
