//! What a retry came to.

use super::world::{LONG, World, get, told};
use crate::model::{CaseKind, CloseHow, ConnectionId, RetryFailure, Side};

/// The origin refuses a request over HTTP/2, and the edge asks again over HTTP/1.1.
fn asked_again(world: &mut World) -> ConnectionId {
    let on = world.h2("10.0.0.1:1");
    world.ask(on, 1, &get("/a"));
    world.refuse(on, 1);
    world.wait(1_000);
    let retry = world.http1("10.0.0.1:2");
    world.ask(retry, 1, &get("/a"));
    retry
}

#[test]
fn a_response_that_was_cut_off_is_no_missing_one() {
    let cut = |status: Option<u16>| {
        told(|world| {
            let retry = asked_again(world);
            if let Some(status) = status {
                world.begin(retry, 1, status);
            }
            world.cut(retry, 1, CloseHow::Fin(Side::Server), None);
        })
    };
    assert_eq!(cut(Some(200)), ["Downgrade Retried ProtocolSwitch http/1.1 Truncated resets 1 attempts 1"]);
    assert_eq!(cut(None), ["Downgrade Retried ProtocolSwitch http/1.1 NoResponse resets 1 attempts 1"]);
}

#[test]
fn a_retry_that_fails_its_visitor_is_counted() {
    let counted = |status: u16, whole: bool| {
        let mut world = World::new();
        let retry = asked_again(&mut world);
        if whole {
            world.answer(retry, 1, status);
        } else {
            world.begin(retry, 1, status);
            world.cut(retry, 1, CloseHow::Fin(Side::Server), None);
        }
        let cases = world.cases_after(LONG);
        let failed = &world.detector.stats().failed_retries;
        assert_eq!(cases[0].failed_visitor(), !failed.is_empty());
        failed.keys().copied().collect::<Vec<_>>()
    };
    assert_eq!(counted(200, true), []);
    assert_eq!(counted(404, true), [], "that is an answer");
    assert_eq!(counted(503, true), [(CaseKind::Downgrade, RetryFailure::ServerError)]);
    assert_eq!(counted(200, false), [(CaseKind::Downgrade, RetryFailure::Truncated)]);
}
