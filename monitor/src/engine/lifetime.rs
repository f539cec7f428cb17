//! How long a live run keeps keys, and how much it looks for those of connections joined late.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use tls_tap::KeyStore;
use tls_tap::keys::{Mark, Random};

use crate::limits::Limits;
use crate::model::Time;

/// Names that wait for their keys, and connections that have ended, at most.
const NAMES: usize = 1 << 16;

/// Keys that are removed for their age at a time.
const AT_ONCE: u64 = 4_096;

/// Parts of the age by which it is measured.
const PARTS: u32 = 256;

/// When the keys of a live run go: a while after their connection has ended, or when they are old.
#[derive(Debug)]
pub(super) struct Lifetime {
    grace: Duration,
    age: Duration,
    now: Time,
    /// Connections that have ended, oldest first.
    ended: VecDeque<(Time, Random)>,
    /// Places in the order of the keys, and when they were reached.
    marks: VecDeque<(Time, Mark)>,
    /// Handshakes that were seen and whose key was not.
    awaited: HashSet<Random, FixedState>,
    order: VecDeque<Random>,
}

impl Lifetime {
    pub(super) fn new(limits: &Limits, now: Time) -> Self {
        Self {
            grace: limits.key_grace,
            age: limits.key_age,
            now,
            ended: VecDeque::new(),
            marks: VecDeque::new(),
            awaited: HashSet::default(),
            order: VecDeque::new(),
        }
    }

    /// A handshake was seen, and its key was not.
    pub(super) fn await_key(&mut self, random: &Random) {
        if self.awaited.insert(*random) {
            self.order.push_back(*random);
        }
        while self.order.len() > NAMES {
            if let Some(oldest) = self.order.pop_front() {
                self.awaited.remove(&oldest);
            }
        }
    }

    /// A key came. `true`: its handshake was seen before.
    pub(super) fn came(&mut self, random: &Random) -> bool {
        self.awaited.remove(random)
    }

    /// A connection has ended.
    pub(super) fn ended(&mut self, random: Random) {
        self.awaited.remove(&random);
        self.ended.push_back((self.now, random));
    }

    /// The clock goes on: removes what is due. Gives the names of the connections whose keys are gone.
    pub(super) fn advance(&mut self, now: Time, store: &mut KeyStore) -> Vec<Random> {
        self.now = self.now.max(now);
        let mut gone = Vec::new();
        while let Some((ended, random)) = self.ended.front().copied() {
            if ended.plus(self.grace) > self.now && self.ended.len() <= NAMES {
                break;
            }
            self.ended.pop_front();
            if store.remove(&random) {
                gone.push(random);
            }
        }
        let part = self.age / PARTS;
        if self.marks.back().is_none_or(|(reached, _)| reached.plus(part) <= self.now) {
            self.marks.push_back((self.now, store.mark()));
        }
        while let Some((reached, mark)) = self.marks.front().copied() {
            if reached.plus(self.age) > self.now {
                break;
            }
            let removed = store.remove_before(mark, AT_ONCE, &mut gone);
            if removed >= AT_ONCE {
                break;
            }
            self.marks.pop_front();
        }
        gone
    }
}

/// Trials that the late search of a live run may make: so many a second, and not more than a few milliseconds' worth at a time.
#[derive(Debug)]
pub(super) struct Allowance {
    rate: u64,
    left: u64,
    at: Time,
}

impl Allowance {
    /// Trials at a time.
    const AT_ONCE: u64 = 1 << 18;

    pub(super) const fn new(rate: u64, now: Time) -> Self {
        Self { rate, left: 0, at: now }
    }

    /// What may be spent now. What is not spent for a second is lost.
    pub(super) fn at(&mut self, now: Time) -> u64 {
        const SECOND: u128 = 1_000_000_000;
        let passed = now.since(self.at).as_nanos();
        let earned = u64::try_from(passed * u128::from(self.rate) / SECOND).unwrap_or(u64::MAX);
        // What is less than a trial is not lost.
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(self.rate);
            self.at = self.at.max(now);
        }
        self.left.min(Self::AT_ONCE)
    }

    pub(super) const fn spend(&mut self, trials: u64) {
        self.left = self.left.saturating_sub(trials);
    }

    pub(super) const fn is_used_up(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use tls_tap::Secret;
    use tls_tap::keys::Kind;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn limits() -> Limits {
        Limits { key_grace: Duration::from_secs(60), key_age: Duration::from_secs(1_000), ..Limits::default() }
    }

    fn add(store: &mut KeyStore, name: u8) {
        store.add([name; 32], Kind::Master, Secret::new(&[name; 48]).unwrap_or_else(|| unreachable!()));
    }

    #[test]
    fn keys_go_a_while_after_their_connection() {
        let mut store = KeyStore::new(10);
        let mut lifetime = Lifetime::new(&limits(), Time(SECOND));
        add(&mut store, 1);
        add(&mut store, 2);
        assert!(lifetime.advance(Time(5 * SECOND), &mut store).is_empty());
        lifetime.ended([1; 32]);
        assert!(lifetime.advance(Time(64 * SECOND), &mut store).is_empty());
        assert_eq!(lifetime.advance(Time(65 * SECOND), &mut store), [[1; 32]]);
        assert_eq!((store.len(), store.get(&[2; 32]).is_some()), (1, true));
    }

    #[test]
    fn old_keys_go_and_young_ones_stay() {
        let mut store = KeyStore::new(10_000);
        let mut lifetime = Lifetime::new(&limits(), Time(0));
        for name in 0..100 {
            add(&mut store, name);
        }
        lifetime.advance(Time(10 * SECOND), &mut store);
        add(&mut store, 200);
        lifetime.advance(Time(500 * SECOND), &mut store);
        assert_eq!(store.len(), 101);
        let gone = lifetime.advance(Time(1_010 * SECOND), &mut store);
        assert_eq!((gone.len(), store.len()), (100, 1));
        assert_eq!(lifetime.advance(Time(1_500 * SECOND), &mut store), [[200; 32]]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut store = KeyStore::new(10);
        let mut lifetime = Lifetime::new(&limits(), Time(0));
        for at in 0..200_000_u32 {
            let mut random = [0; 32];
            random[..4].copy_from_slice(&at.to_be_bytes());
            lifetime.await_key(&random);
            lifetime.ended(random);
            if at % 64 == 0 {
                lifetime.advance(Time(1), &mut store);
            }
        }
        assert!(lifetime.ended.len() <= NAMES + 64 && lifetime.order.len() <= NAMES && lifetime.awaited.len() <= NAMES);
    }

    #[test]
    fn trials_are_a_rate_and_not_many_at_a_time() {
        let mut allowance = Allowance::new(1 << 23, Time(0));
        assert_eq!(allowance.at(Time(0)), 0);
        assert_eq!(allowance.at(Time(SECOND / 1_000)), 8_388);
        // A quiet hour saves up a second.
        let mut spent = 0;
        loop {
            let trials = allowance.at(Time(3_600 * SECOND));
            if trials == 0 {
                break;
            }
            assert!(trials <= 1 << 18);
            allowance.spend(trials);
            spent += trials;
        }
        assert_eq!(spent, 1 << 23);
        assert!(allowance.is_used_up());
    }

    #[test]
    fn readings_in_quick_succession_add_up() {
        let mut allowance = Allowance::new(1_000, Time(0));
        for at in 0..=1_000_000 {
            allowance.at(Time(at * 1_000));
        }
        assert_eq!(allowance.left, 1_000);
    }
}
