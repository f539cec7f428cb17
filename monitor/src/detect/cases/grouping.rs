//! Which request belongs to which case.

use std::time::Duration;

use smallvec::SmallVec;

use super::super::candidates::{Brief, Candidates, State};
use super::super::identity::{Likeness, Mask};
use super::{Case, Cases, Claim, LOOK, LaneKind, Loss, REPEAT_WITHIN, REPEATS, Watch};
use crate::model::{Phase, Protocol, Time};

/// How a request ended that is no loss of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum Left {
    /// It got its response, or nobody saw what became of it: it counts as one that may have been answered.
    Answered,
    /// The response began: its status is known.
    Begun,
}

impl Case {
    /// A request that began at `start` came after the last reset and within the window.
    pub(super) fn covers(&self, start: Time) -> bool {
        start > self.loss.time && start <= self.deadline
    }

    /// No retry was found yet, or the one found had no response.
    fn is_waiting(&self) -> bool {
        self.claim.is_none_or(|claim| claim.failed)
    }

    /// Both, or neither, were sent to a server on the asker's own host.
    fn same_place(&self, brief: &Brief) -> bool {
        let own = &self.loss.brief;
        own.server == brief.server || (own.host != own.server_host && brief.host != brief.server_host)
    }
}

impl Cases {
    /// A request began, `record` among the candidates.
    pub(in crate::detect) fn asked(&mut self, record: u64, brief: &Brief, candidates: &Candidates) {
        if brief.target == 0 {
            self.veil(brief);
            return;
        }
        if brief.stranger {
            self.strange(brief.target, brief.start);
        }
        let repeats = self.repeats(record, brief, candidates);
        if self.claim_by_identity(record, brief, repeats) {
            return;
        }
        let Some(bucket) = self.buckets.get_mut(&brief.key) else { return };
        let mask = brief.ids.mask();
        let http1 = brief.is_http1();
        let mut fit = if http1 { first_two(bucket, &self.open, mask, brief.start) } else { SmallVec::new() };
        if fit.iter().any(|id| self.open.get(id).is_some_and(|case| case.loss.brief.is_http1())) {
            // Over HTTP/1.1 that may be anybody's request.
            fit.clear();
        }
        let kind = match (http1, fit.is_empty(), brief.first) {
            (false, ..) => LaneKind::H2,
            (true, false, _) => LaneKind::Claimed,
            (true, true, true) => LaneKind::Http1New,
            (true, true, false) => LaneKind::Http1,
        };
        if let Some(lane) = bucket.lane((mask, kind)) {
            lane.open.insert((brief.start, record));
        }
        let at = (mask, kind);
        let start = brief.start;
        let watch = match fit.first() {
            Some(&case) => {
                self.claim(case, record, brief, false, fit.len() > 1);
                Watch::Claims { case, bucket: Some((brief.key, at)), start, repeats }
            }
            None => Watch::Fits { bucket: brief.key, at, start, repeats },
        };
        self.watched.insert(record, watch);
    }

    /// An edge asked a server: it is in view.
    pub(in crate::detect) fn edge_asked(&mut self, edge: crate::model::Edge, server: u64, at: Time) {
        if self.edges.len() >= LOOK && !self.edges.contains_key(&(edge, server)) {
            return;
        }
        let last = self.edges.entry((edge, server)).or_default();
        *last = at.max(*last);
    }

    /// Remembers that a request could not be read in full.
    fn veil(&mut self, brief: &Brief) {
        if self.veiled.len() >= LOOK && !self.veiled.contains_key(&(brief.who, brief.shape)) {
            self.veiled.clear();
            self.veiled.insert((0, 0), brief.start);
        }
        let last = self.veiled.entry((brief.who, brief.shape)).or_default();
        *last = brief.start.max(*last);
    }

    /// Remembers that a client which is not known asked for something.
    fn strange(&mut self, target: u64, start: Time) {
        if self.strangers.len() >= LOOK && !self.strangers.contains_key(&target) {
            let latest = self.strangers.values().copied().max();
            self.strangers.clear();
            self.strangers.insert(0, latest.unwrap_or_default());
        }
        let last = self.strangers.entry(target).or_default();
        *last = start.max(*last);
    }

    fn claim_by_identity(&mut self, record: u64, brief: &Brief, repeats: Option<u64>) -> bool {
        for key in brief.identity_keys() {
            let Some(&id) = self.identities.get(&key) else { continue };
            let Some(case) = self.open.get_mut(&id) else { continue };
            let fits = case.covers(brief.start)
                && case.same_place(brief)
                && case.loss.brief.ids.compare(brief.ids) == Likeness::Same;
            if !fits {
                continue;
            }
            if case.is_waiting() {
                self.claim(id, record, brief, true, false);
            } else {
                case.common = true;
            }
            self.watched.insert(record, Watch::Claims { case: id, bucket: None, start: brief.start, repeats });
            return true;
        }
        false
    }

    fn claim(&mut self, id: u64, record: u64, brief: &Brief, by_identity: bool, shared: bool) {
        let Some(case) = self.open.get_mut(&id) else { return };
        case.attempts += u64::from(case.claim.is_some());
        case.claim = Some(Claim {
            record,
            start: brief.start,
            protocol: brief.protocol,
            status: None,
            settled: false,
            failed: false,
            by_identity,
            switched: brief.connected > case.loss.time,
            shared,
            mask: brief.ids.mask(),
        });
    }

    /// The case that an HTTP/2 request follows so closely, and so alone, that it is its repeat if it is refused.
    fn repeats(&self, record: u64, brief: &Brief, candidates: &Candidates) -> Option<u64> {
        let id = self.buckets.get(&brief.key)?.latest?;
        let case = self.open.get(&id)?;
        let close = !brief.is_http1()
            && case.covers(brief.start)
            && brief.start.since(case.loss.time) <= self.repeat_within(case, brief)
            && case.attempts <= REPEATS
            && case.claim.is_none()
            && (case.common || case.loss.brief.ids.compare(brief.ids) == Likeness::Untold);
        if !close {
            return None;
        }
        let since = Time(case.asked.0.saturating_sub(self.window_nanos()));
        let alone = candidates.chain(brief.shape, since).take(LOOK / 16).all(|(number, other)| {
            number >= record
                || number == case.loss.record
                || other.brief.key != brief.key
                || (other.state != State::Open && other.brief.start < case.asked)
        });
        alone.then_some(id)
    }

    /// How soon after the last reset of a case this request has to come to be its repeat: later only on the same connection.
    fn repeat_within(&self, case: &Case, brief: &Brief) -> Duration {
        let own = &case.loss.brief;
        let same = (own.connected, own.host) == (brief.connected, brief.host);
        if same { self.habits.within(case) } else { REPEAT_WITHIN }
    }

    /// A request's response began, or the request left without being a loss.
    pub(in crate::detect) fn left(&mut self, record: u64, left: Left, status: Option<u16>, now: Time) {
        if self.watched.is_empty() {
            return;
        }
        let ended = left == Left::Answered;
        let watch = if ended { self.watched.remove(&record) } else { self.watched.get(&record).copied() };
        match watch {
            Some(Watch::Fits { bucket, at, start, .. }) if ended => {
                self.settle_lane(bucket, at, (start, record), true, now)
            }
            Some(Watch::Claims { case, bucket, start, .. }) => {
                if let Some(case) = self.open.get_mut(&case) {
                    match &mut case.claim {
                        Some(claim) if claim.record == record => {
                            claim.status = status.or(claim.status);
                            claim.settled |= ended || claim.protocol == Protocol::Http1;
                        }
                        _ => case.common_answered |= ended,
                    }
                }
                if let Some((bucket, at)) = bucket.filter(|_| ended) {
                    self.settle_lane(bucket, at, (start, record), true, now);
                }
            }
            _ => {}
        }
    }

    /// A request was left without a complete response. True: it belongs to an open case; false: it is one of its own.
    pub(in crate::detect) fn lost(&mut self, loss: &Loss, now: Time, candidates: &Candidates) -> bool {
        let Some(watch) = self.watched.remove(&loss.record) else { return false };
        let (lane, start, repeats) = match watch {
            Watch::Fits { bucket, at, start, repeats } => (Some((bucket, at)), start, repeats),
            Watch::Claims { bucket, start, repeats, .. } => (bucket, start, repeats),
        };
        if let Some((bucket, at)) = lane {
            self.settle_lane(bucket, at, (start, loss.record), false, now);
        }
        if let Watch::Claims { case: id, .. } = watch
            && let Some(case) = self.open.get_mut(&id)
            && let Some(claim) = case.claim.as_mut().filter(|claim| claim.record == loss.record)
        {
            if claim.protocol == Protocol::Http1 {
                (claim.failed, claim.settled) = (true, true);
                let (key, mask) = (case.loss.brief.key, case.loss.brief.ids.mask());
                case.note_reset(loss, self.resets_cap);
                if let Some(bucket) = self.buckets.get_mut(&key) {
                    bucket.wait(mask, id);
                }
                return true;
            }
            case.claim = None;
            let (key, mask) = (case.loss.brief.key, case.loss.brief.ids.mask());
            if let Some(bucket) = self.buckets.get_mut(&key) {
                bucket.wait(mask, id);
            }
            if !case.common {
                self.join(id, loss, candidates.last());
                return true;
            }
        }
        if let Some(id) = repeats.or_else(|| self.repeats_late(loss, candidates))
            && self.open.get(&id).is_some_and(|case| case.claim.is_none() && start > case.loss.time)
        {
            self.join(id, loss, candidates.last());
            return true;
        }
        false
    }

    /// The case that a request is a repeat in, where it began before the reset that it followed was heard of.
    fn repeats_late(&self, loss: &Loss, candidates: &Candidates) -> Option<u64> {
        let id = self.repeats(loss.record, &loss.brief, candidates)?;
        self.open.get(&id).filter(|case| loss.record <= case.heard)?;
        Some(id)
    }

    /// A repeat that was refused as well.
    fn join(&mut self, id: u64, loss: &Loss, newest: u64) {
        let Some(mut case) = self.open.remove(&id) else { return };
        case.attempts += 1;
        case.asked = loss.brief.start;
        case.loss.record = loss.record;
        case.loss.kind = case.loss.kind.min(loss.kind);
        case.loss.phase = further(case.loss.phase, loss.phase);
        case.heard = newest;
        case.note_reset(loss, self.resets_cap);
        let from = loss.time.max(case.loss.time);
        self.renew(&mut case, from);
        if let Some(bucket) = self.buckets.get_mut(&case.loss.brief.key) {
            bucket.latest = Some(id);
        }
        self.open.insert(id, case);
    }

    fn settle_lane(&mut self, bucket: u64, at: super::LaneAt, request: (Time, u64), answered: bool, now: Time) {
        let (window, horizon) = (self.window, Time(now.0.saturating_sub(self.window_nanos().saturating_mul(4))));
        if let Some(lane) = self.buckets.get_mut(&bucket).and_then(|bucket| bucket.lane(at))
            && lane.open.remove(&request)
            && answered
        {
            lane.answered.add(request.0, window, horizon);
        }
    }

    /// A case that is heard of late: its retry may have been seen before it.
    pub(in crate::detect) fn catch_up(&mut self, id: u64, candidates: &Candidates) {
        let Some(case) = self.open.get_mut(&id) else { return };
        let (own, since, until) = (case.loss.brief, case.loss.time, case.deadline);
        case.capped = candidates.forgotten_before().is_some_and(|oldest| oldest > since);
        if own.target == 0 {
            return;
        }
        let mut looked = 0;
        let mut found: Vec<(Time, u64)> = Vec::new();
        let mut stranger = None;
        for (number, record) in candidates.chain(own.shape, since).take(LOOK) {
            looked += 1;
            let brief = &record.brief;
            let fits = brief.key == own.key || brief.ids.compare(own.ids) == Likeness::Same;
            let seen = self.watched.contains_key(&number) || number == case.loss.record;
            if brief.target == own.target && fits && brief.start <= until && record.state != State::Refused && !seen {
                found.push((brief.start, number));
            }
            if brief.stranger && brief.target == own.target && brief.start <= until && number != case.loss.record {
                stranger = stranger.max(Some(brief.start));
            }
        }
        case.capped |= looked == LOOK;
        if let Some(start) = stranger {
            self.strange(own.target, start);
        }
        found.sort_unstable();
        for (_, number) in found {
            let Some(record) = candidates.get(number) else { continue };
            self.asked(number, &record.brief, candidates);
            if record.state == State::Answered {
                self.left(number, Left::Answered, record.status, until);
            } else if record.status.is_some() {
                self.left(number, Left::Begun, record.status, until);
            }
        }
    }
}

impl Case {
    fn note_reset(&mut self, loss: &Loss, cap: usize) {
        if let Some(reset) = loss.reset.filter(|reset| self.resets.last() != Some(reset)) {
            self.reset_count += 1;
            if self.resets.len() < cap {
                self.resets.push(reset);
            }
        }
    }
}

/// What the visitor got at most: part of a response, nobody knows, or nothing.
const fn further(one: Phase, other: Phase) -> Phase {
    match (one, other) {
        (Phase::InBody | Phase::AfterEnd, _) | (_, Phase::InBody | Phase::AfterEnd) => Phase::InBody,
        (Phase::Unknown, _) | (_, Phase::Unknown) => Phase::Unknown,
        (Phase::BeforeResponse, Phase::BeforeResponse) => Phase::BeforeResponse,
    }
}

/// The first cases that an HTTP/1.1 request may be the retry of, at most two.
fn first_two(
    bucket: &mut super::Bucket,
    open: &std::collections::BTreeMap<u64, Case>,
    mask: Mask,
    start: Time,
) -> SmallVec<[u64; 2]> {
    let mut fit: SmallVec<[(Time, u64); 4]> = SmallVec::new();
    for (_, queue) in bucket.waiting.iter_mut().filter(|(of, _)| of & mask == 0) {
        let mut at = 0;
        while let Some(&id) = queue.get(at).filter(|_| at < 2) {
            let twice = fit.iter().any(|&(_, seen)| seen == id);
            match open.get(&id).filter(|case| case.is_waiting() && !twice) {
                None => {
                    queue.remove(at);
                }
                Some(case) => {
                    if case.covers(start) {
                        fit.push((case.loss.time, id));
                    }
                    at += 1;
                }
            }
        }
    }
    fit.sort_unstable();
    fit.truncate(2);
    fit.into_iter().map(|(_, id)| id).collect()
}
