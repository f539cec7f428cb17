//! A live run gets a capture's packets one at a time and hears of each before the next comes; what it finds is what a replay finds.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;

use h2watch::detect::Settings;
use h2watch::engine::{Engine, Keys, Listener, Plan};
use h2watch::limits::Limits;
use h2watch::model::{Finding, PacketBatch, Time};
use h2watch::source::{OpenedInputs, Source as _};
use h2watch_tests::captures::{files_in, shipped};

/// Findings by what they say.
#[derive(Default)]
struct Said(BTreeMap<String, usize>);

impl Listener for Said {
    fn finding(&mut self, finding: &Finding) {
        let path = |request: &Option<std::sync::Arc<h2watch::model::Request>>| {
            request.as_ref().and_then(|request| request.path.as_ref().map(|path| path.to_string()))
        };
        let said = match finding {
            Finding::Reset(reset) => {
                // The phase of a stream joined late is known where the client's side is read first, as it is in a live run.
                format!("reset {:?} {:?} {:?}", reset.frame, reset.code, path(&reset.request))
            }
            Finding::Case(case) => format!("case {:?} {:?} {:?}", case.kind, case.outcome, path(&case.request)),
            _ => return,
        };
        *self.0.entry(said).or_default() += 1;
    }
}

fn opened(capture: &Path, limits: &Limits) -> (OpenedInputs, Keys) {
    let mut inputs = OpenedInputs::open(&[capture.to_owned()]).unwrap();
    let mut keys = Keys::new(limits);
    inputs.secrets(&mut |text| keys.block(text));
    (inputs, keys)
}

fn replayed(capture: &Path, plan: &Plan) -> Said {
    let (inputs, keys) = opened(capture, &plan.limits);
    let mut said = Said::default();
    let (_, _, error) = h2watch::replay::run(&inputs, keys, plan, &mut said);
    assert!(error.is_none());
    said
}

fn paced(capture: &Path, plan: &Plan) -> Said {
    let (inputs, keys) = opened(capture, &plan.limits);
    let mut said = Said::default();
    thread::scope(|scope| {
        let mut source = inputs.source();
        let mut batch = PacketBatch::default();
        let mut engine: Option<Engine<'_>> = None;
        let mut keys = Some(keys);
        let mut now = Time::default();
        loop {
            let more = source.fill(&mut batch).unwrap();
            for packet in batch.packets.drain(..) {
                now = now.max(packet.time);
                if let Some(keys) = keys.take() {
                    engine = Some(Engine::start_live(scope, keys, plan, now));
                }
                let engine = engine.as_mut().unwrap();
                let mut one =
                    PacketBatch { packets: vec![packet], arena: batch.arena.clone(), ..PacketBatch::default() };
                engine.packets(&mut one, &mut said);
                // A quiet moment: what is searched for gets its time.
                for _ in 0..8 {
                    engine.settle(now, &mut said);
                }
            }
            if !more {
                break;
            }
        }
        engine.unwrap().end(&mut said);
    });
    said
}

#[test]
fn packet_by_packet_a_live_run_finds_what_a_replay_finds() {
    let plan = Plan { threads: 1, settings: Settings::default(), limits: Limits::default() };
    for capture in files_in(&shipped(), &[".pcapng"]) {
        let (whole, live) = (replayed(&capture, &plan), paced(&capture, &plan));
        assert_eq!(live.0, whole.0, "{}", capture.display());
    }
}
