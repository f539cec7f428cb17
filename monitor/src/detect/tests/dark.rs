//! Connections that cannot be read: when they count, and for how long.

use super::world::{EDGE, ORIGIN, World};
use crate::limits::Limits;
use crate::model::{CloseHow, ConnectionId, DarkWhy, Finding, Kind, Protocol, Side, Time, TlsDark};

const NO_KEY: DarkWhy = DarkWhy::Tls(TlsDark::NoKey);
const SECOND: u64 = 1_000_000;

fn live() -> World {
    World::with(Limits::default())
}

fn dark(world: &mut World, on: ConnectionId, by: Option<Side>, why: DarkWhy) {
    world.say(on, Kind::Dark { by, why });
}

/// Time passes without events.
fn pass(world: &mut World, micros: u64) {
    world.wait(micros);
    world.detector.advance(Time(world.now * 1_000), &mut world.out);
}

/// Ever dark for want of a key, dark now, and told.
fn counts(world: &World) -> (u64, u64, usize) {
    let seen = &world.detector.stats().connections;
    let of = |counts: &std::collections::BTreeMap<&'static str, u64>| counts.get("no_key").copied().unwrap_or(0);
    let told = world.out.iter().filter(|finding| matches!(finding, Finding::Dark(_))).count();
    (of(&seen.dark), of(&seen.dark_open), told)
}

#[test]
fn a_key_that_comes_soon_leaves_nothing_dark() {
    let mut world = live();
    let on = world.open(EDGE, ORIGIN);
    dark(&mut world, on, None, NO_KEY);
    pass(&mut world, 300_000);
    world.say(on, Kind::Lit);
    pass(&mut world, 10 * SECOND);
    assert_eq!(counts(&world), (0, 0, 0));
    world.close(on, CloseHow::Fin(Side::Client));
    assert_eq!(counts(&world), (0, 0, 0));
}

#[test]
fn what_stays_dark_counts_once_its_grace_is_over_and_is_dark_until_it_is_lit() {
    let mut world = live();
    let on = world.open(EDGE, ORIGIN);
    dark(&mut world, on, None, NO_KEY);
    pass(&mut world, 2_900_000);
    assert_eq!(counts(&world), (0, 0, 0));
    pass(&mut world, 200_000);
    assert_eq!(counts(&world), (1, 1, 1));
    let Some(Finding::Dark(found)) = world.out.last() else { panic!("told") };
    assert_eq!(found.time, Time((world.now - 3_100_000) * 1_000), "since when it was dark");
    world.say(on, Kind::Lit);
    assert_eq!(counts(&world), (1, 0, 1));
    // A grace that began before is not that of what comes later.
    dark(&mut world, on, None, NO_KEY);
    world.say(on, Kind::Lit);
    pass(&mut world, SECOND);
    dark(&mut world, on, None, NO_KEY);
    pass(&mut world, 2_500_000);
    assert_eq!(counts(&world), (1, 0, 1));
    pass(&mut world, SECOND);
    assert_eq!(counts(&world), (1, 1, 2));
    world.close(on, CloseHow::Fin(Side::Client));
    assert_eq!(counts(&world), (1, 0, 2));
    assert_eq!(world.detector.stats().connections.open, 0);
}

#[test]
fn what_ends_dark_was_dark() {
    let mut world = live();
    let on = world.open(EDGE, ORIGIN);
    dark(&mut world, on, None, NO_KEY);
    world.close(on, CloseHow::Fin(Side::Client));
    assert_eq!(counts(&world), (1, 0, 1));
}

#[test]
fn a_connection_counts_once_for_each_reason() {
    let mut world = World::new();
    let on = world.open(EDGE, ORIGIN);
    dark(&mut world, on, Some(Side::Client), NO_KEY);
    dark(&mut world, on, Some(Side::Server), NO_KEY);
    dark(&mut world, on, Some(Side::Server), DarkWhy::H2LostSync);
    assert_eq!(counts(&world), (1, 1, 3));
    let seen = &world.detector.stats().connections;
    assert_eq!((seen.dark["h2_lost_sync"], seen.hiding(), seen.hiding_open()), (1, 2, 1));
}

#[test]
fn what_hides_no_http_hides_nothing() {
    let mut world = World::new();
    let on = world.http1(EDGE);
    dark(&mut world, on, None, DarkWhy::Upgraded);
    let seen = &world.detector.stats().connections;
    assert_eq!((seen.dark["upgraded"], seen.dark_open["upgraded"], seen.hiding(), seen.hiding_open()), (1, 1, 0, 0));
}

#[test]
fn bytes_count_while_the_connection_is_open_and_once() {
    let mut world = live();
    let (on, other) = (world.h2(EDGE), world.speaking("10.0.0.1:2", ORIGIN, Protocol::Other));
    let bytes = |world: &World| (world.detector.stats().connections.bytes, world.detector.stats().connections.unread);
    world.say(on, Kind::Progress { bytes: 400, unread: 100 });
    world.say(other, Kind::Progress { bytes: 50, unread: 50 });
    assert_eq!(bytes(&world), (450, 100), "what is not HTTP has nothing to read");
    world.say(on, Kind::Progress { bytes: 600, unread: 100 });
    assert_eq!(bytes(&world), (650, 100));
    world.say(on, Kind::Closed { how: CloseHow::Fin(Side::Client), bytes: 1_000, unread: 300 });
    assert_eq!(bytes(&world), (1_050, 300));
}
