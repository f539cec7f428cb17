use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Bytes(Side, Vec<u8>),
    Gap(Side, u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let id = || (0u32..8).prop_map(|n| 2 * n + 1);
    prop_oneof![
        4 => id().prop_map(|id| Step::Bytes(Client, get(id, "/x"))),
        3 => id().prop_map(|id| Step::Bytes(Server, ok(id))),
        3 => (id(), any::<bool>(), 0usize..200).prop_map(|(id, end, n)| Step::Bytes(Server, body(id, end, &vec![7; n]))),
        1 => (id(), 0u8..40).prop_map(|(id, n)| Step::Bytes(Server, frame(kind::DATA, 8, id, &[n; 20]))),
        1 => id().prop_map(|id| Step::Bytes(Client, rst(id, 8))),
        1 => id().prop_map(|id| Step::Bytes(Server, rst(id, 0xd))),
        1 => id().prop_map(|id| Step::Bytes(Server, goaway(id, id % 3))),
        1 => Just(Step::Bytes(Server, frame(kind::SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 5, 0, 0, 0x50, 0]))),
        1 => Just(Step::Bytes(Client, frame(kind::SETTINGS, 1, 0, &[]))),
        1 => (0u8..20, any::<u8>(), 0u32..9, prop::collection::vec(any::<u8>(), 0..30))
            .prop_map(|(kind, flags, id, bytes)| Step::Bytes(Server, frame(kind, flags, id, &bytes))),
        1 => prop::collection::vec(any::<u8>(), 0..30).prop_map(|bytes| Step::Bytes(Client, bytes)),
        1 => (any::<bool>(), 1u64..100, 0u64..2).prop_map(|(c, n, more)| {
            Step::Gap(if c { Client } else { Server }, n, n + more)
        }),
    ]
}

fn run(steps: &[Step], size: usize, records: bool, skip: bool, late: bool) -> (Vec<String>, usize) {
    let limits = Limits::default();
    let mut tap = Tap::with(if late { Connection::midstream(limits) } else { Connection::new(limits) });
    for step in steps {
        tap.time += 1;
        match step {
            Step::Gap(side, min, max) => tap.gap(*side, *min, *max),
            Step::Bytes(side, bytes) => {
                let mut at = 0;
                while at < bytes.len() {
                    if skip {
                        if bytes.len() - at >= 9 {
                            tap.h2.peek(tap.time, *side, &bytes[at..at + 9], &mut tap.log);
                        }
                        let n = (tap.h2.skippable(*side) as usize).min(size).min(bytes.len() - at);
                        if n > 0 {
                            tap.h2.skipped(*side, n as u64);
                            at += n;
                            continue;
                        }
                    }
                    let end = (at + size).min(bytes.len());
                    let start = records && at == 0;
                    tap.h2.data(tap.time, *side, &bytes[at..end], start, &mut || Auth::Verified, &mut tap.log);
                    at = end;
                }
                // What was skipped to its end is said now.
                tap.h2.data(tap.time, *side, &[], false, &mut || Auth::Verified, &mut tap.log);
            }
        }
    }
    let memory = tap.h2.memory();
    (tap.finish(), memory)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_cut_gives_the_same_events(
        steps in prop::collection::vec(step(), 1..40),
        size in 1usize..40,
        records: bool,
        late: bool,
    ) {
        let whole = run(&steps, usize::MAX, records, false, late).0;
        prop_assert_eq!(&whole, &run(&steps, 1, records, false, late).0);
        prop_assert_eq!(&whole, &run(&steps, size, records, false, late).0);
    }

    #[test]
    fn what_is_skipped_gives_the_same_events(
        steps in prop::collection::vec(step(), 1..40),
        size in 1usize..400,
        late: bool,
    ) {
        prop_assert_eq!(run(&steps, usize::MAX, true, false, late).0, run(&steps, size, true, true, late).0);
    }

    #[test]
    fn a_stream_with_a_tag_ends_once(steps in prop::collection::vec(step(), 1..60)) {
        let events = run(&steps, usize::MAX, true, false, false).0;
        let requests = events.iter().filter(|event| event.contains(" Request ") || event.contains(" Promise ")).count();
        let ends = events.iter().filter(|event| event.contains(" end ") && !event.contains(" - ")).count();
        prop_assert_eq!(requests, ends, "{:?}", events);
    }

    #[test]
    fn random_bytes_are_survived_in_bounded_memory(
        bytes in prop::collection::vec(prop_oneof![0u8..10, any::<u8>()], 0..3_000),
        records: bool,
        late: bool,
    ) {
        let steps: Vec<Step> =
            bytes.chunks(97).enumerate().map(|(n, b)| Step::Bytes(if n % 3 == 0 { Client } else { Server }, b.to_vec())).collect();
        let (_, memory) = run(&steps, 50, records, false, late);
        prop_assert!(memory < 2 << 20);
    }
}
