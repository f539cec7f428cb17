use std::collections::HashMap;

/// Entries of a generation: no fewer than the directions that a late search keeps.
const GENERATION: usize = 8_192;

/// What was noted of the flows that were named last: at least the last 8,192, at most twice as many.
#[derive(Debug)]
pub(super) struct Recent<V> {
    young: HashMap<u64, V>,
    old: HashMap<u64, V>,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<V: Copy> Recent<V> {
    pub(super) fn insert(&mut self, token: u64, value: V) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, value);
    }

    pub(super) fn get(&self, token: u64) -> Option<V> {
        self.young.get(&token).or_else(|| self.old.get(&token)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{GENERATION, Recent};

    #[test]
    fn the_last_are_known_and_no_more_than_two_generations() {
        let mut recent = Recent::default();
        for token in 0..100_000_u64 {
            recent.insert(token, token);
            assert!(recent.get(token.saturating_sub(GENERATION as u64 - 1)).is_some());
            assert!(recent.young.len() + recent.old.len() <= 2 * GENERATION);
        }
        assert_eq!(recent.get(0), None);
    }
}
