//! Runs captures through the engine to their end.

use std::thread;

use crate::engine::{Engine, LAG};
pub use crate::engine::{Keys, Listener, Plan};
use crate::model::{PacketBatch, Stats, Verdict};
use crate::source::{OpenedInputs, Source as _, SourceError};

const _: () = assert!(LAG < crate::source::BATCHES_IN_FLIGHT);

/// Lines on damaged input that are told.
const DAMAGE_TOLD: usize = 16;

/// Replays opened inputs; `keys` holds what the key log files gave.
///
/// # Errors
/// The environment failed while the input was read. What was found before has been heard by then.
pub fn run(
    inputs: &OpenedInputs,
    keys: Keys,
    plan: &Plan,
    listener: &mut dyn Listener,
) -> (Stats, Verdict, Option<SourceError>) {
    thread::scope(|scope| {
        let mut engine = Engine::start(scope, keys, plan);
        let error = input(&mut engine, inputs, listener);
        engine.end(listener);
        let mut stats = engine.stats();
        stats.input.files = inputs.files();
        stats.input.damage = inputs.notes().into_iter().take(DAMAGE_TOLD).collect();
        (stats, engine.verdict(), error)
    })
}

fn input<'m>(engine: &mut Engine<'m>, inputs: &'m OpenedInputs, listener: &mut dyn Listener) -> Option<SourceError> {
    let mut source = inputs.source();
    let mut packets = PacketBatch::default();
    loop {
        let (more, error) = match source.fill(&mut packets) {
            Ok(more) => (more, None),
            Err(error) => (false, Some(error)),
        };
        engine.packets(&mut packets, listener);
        listener.progress(inputs.progress().done);
        if !more {
            return error;
        }
    }
}
