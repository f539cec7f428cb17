//! What points to the cause of a reset.

use std::collections::VecDeque;

use super::connections::Map;
use crate::model::{Evidence, Phase, Request};

/// Targets that answered 401 and offered Negotiate or NTLM: the last of them.
#[derive(Debug)]
pub(super) struct Unauthorized {
    targets: Map<u64, ()>,
    order: VecDeque<u64>,
    cap: usize,
}

impl Unauthorized {
    pub(super) fn new(cap: usize) -> Self {
        Self { targets: Map::default(), order: VecDeque::new(), cap }
    }

    pub(super) fn add(&mut self, target: u64) {
        if self.targets.insert(target, ()).is_none() {
            self.order.push_back(target);
        }
        if self.order.len() > self.cap
            && let Some(oldest) = self.order.pop_front()
        {
            self.targets.remove(&oldest);
        }
    }

    pub(super) fn has(&self, target: u64) -> bool {
        self.targets.contains_key(&target)
    }
}

/// Everything that the wire shows about a reset's cause, in a fixed order.
pub(super) fn of_reset(request: Option<&Request>, earlier_unauthorized: bool, phase: Phase) -> Vec<Evidence> {
    let mut evidence: Vec<Evidence> = request.map(|request| request.evidence.to_vec()).unwrap_or_default();
    if earlier_unauthorized {
        evidence.push(Evidence::EarlierUnauthorized);
    }
    if phase == Phase::BeforeResponse {
        evidence.push(Evidence::NoResponseHeaders);
    }
    evidence.sort_unstable();
    evidence.dedup();
    evidence
}
