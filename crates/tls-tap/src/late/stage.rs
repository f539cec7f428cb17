//! The order of the search.
//!
//! Flows and secrets have numbers that rise. What a stage has tried is always a rectangle, the flows below one number with the
//! secrets below another; so two numbers a stage are the high-water mark of every pair. A stage takes over what the one before has
//! done: what is added late goes through the early stages first.

/// A window of sequence numbers in a generation of traffic secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) generation: u32,
    pub(super) from: u64,
    pub(super) to: u64,
}

const fn window(generation: u32, from: u64, to: u64) -> Window {
    Window { generation, from, to }
}

/// Breadth first: few connections live long, fewer see a KeyUpdate.
pub(super) const WINDOWS: [Window; 12] = [
    window(0, 0, 1 << 10),
    window(0, 1 << 10, 1 << 14),
    window(1, 0, 1 << 10),
    window(2, 0, 1 << 10),
    window(0, 1 << 14, 1 << 18),
    window(1, 1 << 10, 1 << 14),
    window(2, 1 << 10, 1 << 14),
    window(0, 1 << 18, 1 << 22),
    window(1, 1 << 14, 1 << 18),
    window(2, 1 << 14, 1 << 18),
    window(1, 1 << 18, 1 << 22),
    window(2, 1 << 18, 1 << 22),
];

/// The flows and the secrets below these numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) flows: u64,
    pub(super) secrets: u64,
}

/// Where a stage stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stage {
    /// Tried.
    pub(super) done: Area,
    /// Being tried.
    pub(super) pass: Option<Pass>,
}

/// A walk over the secrets that makes `done` reach `target`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    pub(super) target: Area,
    /// The secret, which of the suites of its length, and the next sequence number counted from the window's beginning.
    pub(super) secret: u64,
    pub(super) suite: usize,
    pub(super) offset: u64,
}

impl Pass {
    pub(super) const fn next_secret(&mut self, after: u64) {
        self.secret = after + 1;
        self.suite = 0;
        self.offset = 0;
    }

    pub(super) const fn next_suite(&mut self) {
        self.suite += 1;
        self.offset = 0;
    }
}

/// Picks the stage to go on with: the earliest that has something to do.
pub(super) fn next(stages: &mut [Stage; WINDOWS.len()], all: Area) -> Option<(usize, Pass)> {
    let mut target = all;
    for (number, stage) in stages.iter_mut().enumerate() {
        if stage.pass.is_none() && stage.done != target {
            // Where there are no new flows, the secrets of before have nothing to be tried on.
            let secret = if stage.done.flows == target.flows { stage.done.secrets } else { 0 };
            stage.pass = Some(Pass { target, secret, suite: 0, offset: 0 });
        }
        if let Some(pass) = stage.pass {
            return Some((number, pass));
        }
        target = stage.done;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_touch_and_end_where_they_should() {
        for generation in 0..3 {
            let mut at = 0;
            for window in WINDOWS.iter().filter(|window| window.generation == generation) {
                assert_eq!(window.from, at);
                at = window.to;
            }
            assert_eq!(at, 1 << 22);
        }
    }

    #[test]
    fn what_comes_late_goes_first() {
        let mut stages = [Stage::default(); WINDOWS.len()];
        let old = Area { flows: 1, secrets: 1 };
        assert_eq!(next(&mut stages, old).unwrap().0, 0);
        stages[0] = Stage { done: old, pass: None };
        assert_eq!(next(&mut stages, old).unwrap().0, 1);
        let new = Area { flows: 2, secrets: 1 };
        assert_eq!(next(&mut stages, new).unwrap().0, 0);
        stages[0] = Stage { done: new, pass: None };
        let (stage, pass) = next(&mut stages, new).unwrap();
        assert_eq!((stage, pass.target), (1, old), "a pass keeps its target");
    }
}
