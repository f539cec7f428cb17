use std::time::Duration;

use super::world::{World, get};
use crate::model::*;

/// What is counted, and the verdict, of a busy connection beside which one request goes as `scenario` says.
fn told(scenario: impl FnOnce(&mut World)) -> (Vec<(&'static str, Phase, u64, Duration)>, Verdict) {
    let mut world = World::new();
    let busy = world.h2("10.0.0.1:1");
    for stream in (1..40).step_by(2) {
        world.ask(busy, stream, &get("/"));
        world.answer(busy, stream, 200);
    }
    scenario(&mut world);
    assert!(world.cases_after(0).is_empty());
    let counts = world.detector.stats().unfinished.iter();
    let counts = counts.map(|(&(what, phase), waits)| (what.name(), phase, waits.count, waits.longest)).collect();
    (counts, world.detector.verdict())
}

fn asked(ms: u64, end: impl FnOnce(&mut World, ConnectionId)) -> (Vec<(&'static str, Phase, u64, Duration)>, Verdict) {
    told(|world| {
        let on = world.h2("10.0.0.1:2");
        world.ask(on, 1, &get("/slow"));
        world.wait(ms * 1_000);
        end(world, on);
    })
}

const UNANSWERED: Verdict = Verdict::Inconclusive(Unsure::Unanswered);

#[test]
fn a_request_that_waits_at_the_end_is_counted_and_told_when_it_waits_for_long() {
    let waits = |ms| asked(ms, |world, on| world.cut(on, 1, CloseHow::InputEnded, None));
    let counted = |ms| vec![("in_flight", Phase::BeforeResponse, 1, Duration::from_millis(ms))];
    assert_eq!(waits(5), (counted(5), Verdict::Nothing));
    assert_eq!(waits(60_000), (counted(60_000), UNANSWERED));
}

#[test]
fn a_request_whose_end_was_not_seen_may_have_failed() {
    for how in [CloseHow::Idle, CloseHow::Reused, CloseHow::Evicted] {
        let (counts, verdict) = asked(5, |world, on| world.cut(on, 1, how, None));
        assert_eq!((counts[0].0, verdict), ("unseen", UNANSWERED), "{how:?}");
    }
    let (counts, verdict) = asked(5, |world, on| world.end(on, 1, ExchangeEnd::Unseen, None));
    assert_eq!((counts[0].0, verdict), ("unseen", UNANSWERED));
    let (counts, verdict) = asked(5, |world, on| {
        world.begin(on, 1, 200);
        world.end(on, 1, ExchangeEnd::Unseen, Some(200));
    });
    assert_eq!((counts[0].1, verdict), (Phase::InBody, Verdict::Nothing), "its response was seen");
}

#[test]
fn what_a_client_gives_up_is_counted_and_no_doubt() {
    let abandoned = |phase| vec![("abandoned", phase, 1, Duration::from_secs(30))];
    let (before, body) = (abandoned(Phase::BeforeResponse), abandoned(Phase::InBody));
    let closed = asked(30_000, |world, on| world.cut(on, 1, CloseHow::Fin(Side::Client), None));
    assert_eq!(closed, (before.clone(), Verdict::Nothing));
    assert_eq!(asked(30_000, |world, on| world.reset(on, 1, Side::Client, 8, None)), (before, Verdict::Nothing));
    assert_eq!(asked(30_000, |world, on| world.reset(on, 1, Side::Client, 8, Some(200))), (body, Verdict::Nothing));
}

#[test]
fn one_in_a_hundred_may_be_without_an_answer() {
    let waiting = |answered: u32| {
        let (_, verdict) = told(|world| {
            let on = world.h2("10.0.0.1:2");
            for stream in 0..answered {
                world.ask(on, stream * 2 + 1, &get("/"));
                world.answer(on, stream * 2 + 1, 200);
            }
            world.ask(on, 100_001, &get("/slow"));
            world.wait(9_000_000);
            world.cut(on, 100_001, CloseHow::InputEnded, None);
        });
        verdict
    };
    assert_eq!(waiting(79), Verdict::Nothing);
    assert_eq!(waiting(78), UNANSWERED);
}

#[test]
fn requests_without_any_response_say_nothing() {
    let mut world = World::new();
    let on = world.h2("10.0.0.1:1");
    world.ask(on, 1, &get("/"));
    world.cut(on, 1, CloseHow::Fin(Side::Client), None);
    world.cases_after(0);
    assert_eq!(world.detector.verdict(), UNANSWERED);
}
