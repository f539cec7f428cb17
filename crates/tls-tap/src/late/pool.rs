use std::collections::BTreeMap;
use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};

use super::Sample;
use super::head::{HEAD, Head, Index};
use crate::keys::Random;
use crate::secret::Secret;
use crate::side::Side;

/// A direction without a key.
pub(super) struct Flow {
    pub(super) token: u64,
    pub(super) side: Side,
    pub(super) samples: Vec<Sample>,
    /// Its client random is known: it is not searched with the others.
    pub(super) named: bool,
}

/// The directions that are searched, numbered in the order in which they came.
#[derive(Default)]
pub(super) struct Flows {
    by_number: BTreeMap<u64, Flow>,
    numbers: HashMap<(u64, Side), u64>,
    pub(super) next: u64,
    bytes: usize,
    /// Rises when a flow leaves: an index from before is out of date.
    pub(super) departures: u64,
    pub(super) evicted: u64,
}

impl Flows {
    /// Most directions at a time.
    const MAX: usize = 4096;
    /// Most bytes of samples at a time.
    const MAX_BYTES: usize = 8 << 20;
    /// Most samples of a direction, and the bytes beyond which there is only one.
    const MAX_SAMPLES: usize = 4;
    const MANY_BYTES: usize = 4096;
    /// Shortest fragment that holds a frame header, the inner type and a tag of 8 bytes.
    const MIN_FRAGMENT: usize = HEAD + 1 + 8;

    /// `None`: no sample is of use.
    pub(super) fn add(&mut self, token: u64, side: Side, mut samples: Vec<Sample>, named: bool) -> Option<u64> {
        self.remove(token, side);
        samples.retain(|sample| sample.fragment.len() >= Self::MIN_FRAGMENT);
        samples.sort_by_key(|sample| sample.fragment.len());
        let mut bytes = 0;
        let keep = samples.iter().take(Self::MAX_SAMPLES).take_while(|sample| {
            let fits = bytes == 0 || bytes + sample.fragment.len() <= Self::MANY_BYTES;
            bytes += sample.fragment.len();
            fits
        });
        let keep = keep.count();
        samples.truncate(keep);
        let bytes = weight(&samples);
        if samples.is_empty() || bytes > Self::MAX_BYTES {
            return None;
        }
        while self.by_number.len() >= Self::MAX || self.bytes + bytes > Self::MAX_BYTES {
            let Some(oldest) = self.by_number.keys().next().copied() else { break };
            self.remove_number(oldest);
            self.evicted += 1;
        }
        let number = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.numbers.insert((token, side), number);
        self.by_number.insert(number, Flow { token, side, samples, named });
        Some(number)
    }

    pub(super) fn remove(&mut self, token: u64, side: Side) {
        if let Some(&number) = self.numbers.get(&(token, side)) {
            self.remove_number(number);
        }
    }

    pub(super) fn remove_number(&mut self, number: u64) {
        if let Some(flow) = self.by_number.remove(&number) {
            self.numbers.remove(&(flow.token, flow.side));
            self.bytes -= weight(&flow.samples);
            self.departures += 1;
        }
    }

    pub(super) fn number(&self, token: u64, side: Side) -> Option<u64> {
        self.numbers.get(&(token, side)).copied()
    }

    pub(super) fn name(&mut self, number: u64) {
        if let Some(flow) = self.by_number.get_mut(&number) {
            flow.named = true;
            self.departures += 1;
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&Flow> {
        self.by_number.get(&number)
    }

    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(super) fn any_unnamed(&self) -> bool {
        self.by_number.values().any(|flow| !flow.named)
    }

    /// An index of one side's samples of the flows in a range; of one that is named, when it is alone.
    pub(super) fn index(&self, side: Side, from: u64, to: u64, named: bool) -> Index {
        let mut heads = Vec::new();
        for (&number, flow) in self.by_number.range(from..to.max(from)) {
            if flow.side != side || flow.named != named {
                continue;
            }
            for (sample, held) in flow.samples.iter().enumerate() {
                if let Some(&bytes) = held.fragment.first_chunk() {
                    heads.push(Head { bytes, flow: number, sample });
                }
            }
        }
        Index::build(heads)
    }
}

fn weight(samples: &[Sample]) -> usize {
    samples.iter().map(|sample| sample.fragment.len()).sum()
}

/// A traffic secret that nobody claims.
pub(super) struct Candidate {
    pub(super) random: Random,
    pub(super) side: Side,
    pub(super) secret: Secret,
}

/// The secrets to try, numbered in the order in which they came.
#[derive(Default)]
pub(super) struct Candidates {
    by_number: BTreeMap<u64, Box<Candidate>>,
    numbers: HashMap<(Random, Side), u64, foldhash::fast::RandomState>,
    pub(super) next: u64,
    claimed: HashSet<Random, foldhash::fast::RandomState>,
    claims: VecDeque<Random>,
    pub(super) evicted: u64,
}

impl Candidates {
    /// Most secrets at a time.
    const MAX: usize = 1 << 17;
    /// Most claims that are remembered for secrets that come later.
    const MAX_CLAIMS: usize = 1 << 16;

    pub(super) fn add(&mut self, random: Random, side: Side, secret: &Secret) {
        if self.is_claimed(&random) || self.numbers.contains_key(&(random, side)) {
            return;
        }
        if self.by_number.len() >= Self::MAX
            && let Some((_, oldest)) = self.by_number.pop_first()
        {
            self.numbers.remove(&(oldest.random, oldest.side));
            self.evicted += 1;
        }
        self.numbers.insert((random, side), self.next);
        self.by_number.insert(self.next, Box::new(Candidate { random, side, secret: secret.clone() }));
        self.next += 1;
    }

    pub(super) fn is_claimed(&self, random: &Random) -> bool {
        self.claimed.contains(random)
    }

    /// Gives back the secrets of both sides, which are tried no more.
    pub(super) fn claim(&mut self, random: &Random) -> [Option<Secret>; 2] {
        if self.claimed.insert(*random) {
            self.claims.push_back(*random);
            if self.claims.len() > Self::MAX_CLAIMS
                && let Some(oldest) = self.claims.pop_front()
            {
                self.claimed.remove(&oldest);
            }
        }
        self.take(random)
    }

    /// Takes the secrets of both sides out.
    pub(super) fn take(&mut self, random: &Random) -> [Option<Secret>; 2] {
        [Side::Client, Side::Server].map(|side| {
            let number = self.numbers.remove(&(*random, side))?;
            self.by_number.remove(&number).map(|candidate| candidate.secret)
        })
    }

    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// The first secret at or above a number and below another.
    pub(super) fn from(&self, number: u64, to: u64) -> Option<(u64, &Candidate)> {
        self.by_number.range(number..to.max(number)).next().map(|(&number, candidate)| (number, &**candidate))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }
}
