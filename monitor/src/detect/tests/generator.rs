//! Many visitors ask for the same URLs through one edge at once; the truth is known.

use std::collections::BTreeMap;

use super::world::{Ask, LONG, World, get};
use crate::model::*;

/// What the edge does when a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    GivesUp,
    RepeatsOverH2,
    SwitchesToHttp1,
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, from: u64, to: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from + (self.0 >> 33) % (to - from + 1)
    }
}

/// One attempt, as it really was.
#[derive(Clone, Debug)]
struct Attempt {
    visitor: u64,
    path: &'static str,
    start: u64,
    end: u64,
    http1: bool,
    refused: bool,
}

/// What really happened to a visitor who was refused at least once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Truth {
    refusals: u64,
    answered: bool,
}

fn plan(dice: &mut Dice, edge: Habit) -> Vec<Attempt> {
    const PATHS: [(&str, u64); 3] = [("/busy", 5), ("/worse", 40), ("/dead", 100)];
    let mut attempts = Vec::new();
    let mut now = 1_000_000_000;
    for visitor in 0..dice.roll(5, 60) {
        now += if dice.roll(0, 99) == 0 { 2_500_000 } else { dice.roll(50, 5_000) };
        let (path, percent) = PATHS[dice.roll(0, 2) as usize];
        let (mut start, mut http1) = (now, false);
        for again in 0..=3 {
            let end = start + dice.roll(100, 3_000);
            let refused = !http1 && dice.roll(0, 99) < percent;
            attempts.push(Attempt { visitor, path, start, end, http1, refused });
            let gives_up = edge == Habit::GivesUp || (edge == Habit::SwitchesToHttp1 && dice.roll(0, 3) == 0);
            if !refused || gives_up || again == 3 {
                break;
            }
            http1 = edge == Habit::SwitchesToHttp1;
            start = end + dice.roll(60, 3_000);
        }
    }
    attempts
}

fn play(attempts: &[Attempt], identity: bool) -> World {
    let mut world = World::new();
    let shared: Vec<_> = (0..4).map(|n| world.h2(&format!("10.0.0.1:{}", 100 + n))).collect();
    let mut moments: Vec<(u64, usize, bool)> =
        attempts.iter().enumerate().flat_map(|(n, one)| [(one.start, n, true), (one.end, n, false)]).collect();
    moments.sort_unstable();
    let mut connections = BTreeMap::new();
    for (at, n, begins) in moments {
        let one = &attempts[n];
        world.now = at;
        let id = 2 * n as u32 + 1;
        if begins {
            let on = if one.http1 { world.http1(&format!("10.0.0.1:{}", 1_000 + n)) } else { shared[n % 4] };
            connections.insert(n, on);
            let ask = Ask { id: identity.then_some((IdentityKind::RequestId, one.visitor + 1)), ..get(one.path) };
            world.ask(on, id, &ask);
        } else if one.refused {
            world.refuse(connections[&n], id);
        } else {
            world.answer(connections[&n], id, 200);
        }
    }
    world
}

/// When each reset was, by id.
fn resets(world: &World) -> BTreeMap<u64, u64> {
    let resets = world.out.iter().filter_map(|finding| match finding {
        Finding::Reset(reset) => Some((reset.id, reset.time.0 / 1_000)),
        _ => None,
    });
    resets.collect()
}

#[test]
fn without_identity_nothing_is_made_up_and_no_loss_is_hidden() {
    let mut seen = BTreeMap::new();
    for seed in 0..600 {
        let edge = [Habit::GivesUp, Habit::RepeatsOverH2, Habit::SwitchesToHttp1][seed as usize % 3];
        let attempts = plan(&mut Dice(seed), edge);
        let mut world = play(&attempts, false);
        let cases = world.cases_after(LONG);
        let resets = resets(&world);
        assert_eq!(cases.iter().map(|case| case.reset_count).sum::<u64>(), resets.len() as u64, "seed {seed}");
        let http1 = attempts.iter().filter(|one| one.http1).count();
        assert!(cases.iter().filter(|case| case.outcome == Outcome::Retried).count() <= http1, "seed {seed}");
        for case in &cases {
            *seen.entry(format!("{:?} {:?}", case.outcome, case.basis)).or_insert(0) += 1;
            let last = case.resets.iter().map(|id| resets[id]).max().unwrap();
            let path = case.request.as_ref().and_then(|request| request.path.as_deref());
            let answered = |one: &&Attempt| {
                Some(one.path) == path && !one.refused && one.start > last && one.start <= last + 2_000_000
            };
            match case.outcome {
                Outcome::Retried => {
                    assert_eq!(case.retry.as_ref().map(|retry| retry.protocol), Some(Protocol::Http1), "seed {seed}");
                }
                Outcome::GivenUp => {
                    assert_eq!(attempts.iter().find(answered).map(|one| one.start), None, "seed {seed} {case:?}");
                }
                Outcome::Truncated => panic!("no response began: seed {seed}"),
                Outcome::Unknown => {
                    assert!(attempts.iter().any(|one| answered(&one)), "lost in doubt: seed {seed} {case:?}");
                }
            }
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(seen.values().all(|&count| count > 100), "{seen:?}");
}

#[test]
fn with_identity_every_visitor_is_told_as_it_was() {
    for seed in 0..300 {
        let edge = [Habit::GivesUp, Habit::RepeatsOverH2, Habit::SwitchesToHttp1][seed as usize % 3];
        let attempts = plan(&mut Dice(seed), edge);
        let mut truth: BTreeMap<u64, Truth> = BTreeMap::new();
        for one in &attempts {
            let of = truth.entry(one.visitor).or_insert(Truth { refusals: 0, answered: false });
            of.refusals += u64::from(one.refused);
            of.answered |= !one.refused;
        }
        let mut wanted: Vec<_> =
            truth.values().filter(|truth| truth.refusals > 0).map(|truth| (truth.refusals, truth.answered)).collect();
        let mut world = play(&attempts, true);
        let cases = world.cases_after(LONG);
        let mut told: Vec<_> = cases.iter().map(|case| (case.reset_count, case.outcome == Outcome::Retried)).collect();
        wanted.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, wanted, "seed {seed}");
        for case in &cases {
            let basis = if case.outcome == Outcome::Retried { Basis::Identity } else { Basis::Absence };
            assert_eq!(case.basis, Some(basis), "seed {seed}");
        }
    }
}

#[test]
fn the_same_events_give_the_same_findings() {
    let attempts = plan(&mut Dice(7), Habit::RepeatsOverH2);
    let [one, two] = [0, 1].map(|_| {
        let mut world = play(&attempts, false);
        world.cases_after(LONG);
        format!("{:?}", world.out)
    });
    assert_eq!(one, two);
}
