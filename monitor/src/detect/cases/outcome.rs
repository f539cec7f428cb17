//! What became of a case.

use super::super::candidates::{Candidates, State};
use super::super::connections::STRANGER;
use super::{Case, Cases, Claim, LaneKind, Scene};
use crate::model::{Basis, CaseFinding, Edge, Outcome, Phase, Retry, RetryResult, Time, Why};

/// Most requests that are looked at for a case whose target is not known.
const LOOK: usize = 4_096;

/// Most cases that are looked at as rivals for a retry.
const LOOK_RIVALS: usize = 64;

/// A decision.
type Verdict = (Outcome, Option<Basis>, Option<Why>);

const fn retried(basis: Basis) -> Verdict {
    (Outcome::Retried, Some(basis), None)
}

const fn unsure(why: Why) -> Verdict {
    (Outcome::Unknown, None, Some(why))
}

/// What there is to say about a case when its time has come.
#[derive(Debug)]
pub(super) enum Judgement {
    /// It is decided.
    Done(CaseFinding),
    /// An answer is waited for.
    Answer,
    /// The client has a connection of which it will soon be known whether it holds the retry.
    Sight,
}

impl Cases {
    /// Decides a case. `ended`: when the input ended.
    pub(super) fn judge(&mut self, id: u64, at: Time, ended: Option<Time>, scene: Scene<'_>) -> Option<Judgement> {
        let case = self.open.get(&id)?;
        let last = case.waited || ended.is_some();
        let verdict = match case.claim {
            Some(claim) if !claim.settled && !last => return Some(Judgement::Answer),
            Some(claim) if !claim.settled && !case.waited => unsure(Why::InputEnded),
            Some(_) => self.of_claim(case),
            None => {
                let Some(verdict) = self.of_silence(case, last, ended, scene) else { return Some(Judgement::Answer) };
                let pair = (case.loss.brief.host, case.loss.brief.server);
                if verdict.1 == Some(Basis::Absence) && scene.blind.is_pending(pair, case.deadline) {
                    let late = ended.is_some() || at >= case.deadline.plus(self.window);
                    if !late {
                        return Some(Judgement::Sight);
                    }
                    unsure(Why::ClientBlind)
                } else {
                    verdict
                }
            }
        };
        let case = self.open.remove(&id)?;
        self.forget(id, &case);
        self.habits.learn(&case);
        Some(Judgement::Done(finding(id, &case, verdict, at)))
    }

    /// A retry was found.
    fn of_claim(&self, case: &Case) -> Verdict {
        let Some(claim) = case.claim else { return unsure(Why::Ambiguous) };
        if claim.by_identity {
            return if case.common { unsure(Why::Ambiguous) } else { retried(Basis::Identity) };
        }
        if claim.shared && self.has_rival(case, claim) {
            return unsure(Why::Ambiguous);
        }
        let extra = |kind| self.fits(case, kind).any(|fit| fit != Fit::None);
        if extra(LaneKind::Http1New) || (extra(LaneKind::Http1) && !claim.switched) {
            return unsure(Why::Ambiguous);
        }
        if claim.switched && !claim.shared && !extra(LaneKind::Http1) {
            retried(Basis::ProtocolSwitch)
        } else {
            retried(Basis::Sequence)
        }
    }

    /// No retry was found.
    fn of_silence(&self, case: &Case, last: bool, ended: Option<Time>, scene: Scene<'_>) -> Option<Verdict> {
        let kinds = [LaneKind::H2, LaneKind::Http1New, LaneKind::Http1, LaneKind::Claimed];
        let mut hangs = false;
        for fit in kinds.into_iter().flat_map(|kind| self.fits(case, kind)) {
            match fit {
                Fit::Answered => return Some(unsure(Why::Ambiguous)),
                Fit::Open => hangs = true,
                Fit::None => {}
            }
        }
        if case.common_answered {
            return Some(unsure(Why::Ambiguous));
        }
        if case.capped {
            return Some(unsure(Why::Cap));
        }
        if hangs {
            return last.then_some(unsure(if ended.is_some() { Why::InputEnded } else { Why::Ambiguous }));
        }
        if ended.is_some_and(|at| at < case.deadline) {
            return Some(unsure(Why::InputEnded));
        }
        Some(self.of_absence(case, scene))
    }

    /// Nothing fits that was not refused as well: is that all there was?
    fn of_absence(&self, case: &Case, scene: Scene<'_>) -> Verdict {
        let brief = &case.loss.brief;
        let nothing_asked =
            case.loss.record == 0 && case.loss.request.is_none() && case.loss.ended_by == Some("goaway");
        if nothing_asked || (brief.target == 0 && someone_asked(case, scene.candidates)) {
            return unsure(Why::RequestUnseen);
        }
        let asked = |target| self.strangers.get(&target).is_some_and(|&at| at > case.loss.time);
        if brief.stranger || asked(brief.target) || asked(0) {
            return unsure(Why::ClientUnknown);
        }
        let veiled = |who, shape| self.veiled.get(&(who, shape)).is_some_and(|&at| at > case.loss.time);
        if veiled(brief.who, brief.shape) || veiled(brief.who, 0) || veiled(0, 0) {
            return unsure(Why::ClientBlind);
        }
        let blind = |pair| scene.blind.since(pair, case.loss.time);
        if blind((brief.host, brief.server)) || blind(STRANGER) {
            return unsure(Why::ClientBlind);
        }
        if let Some(edge) = case.loss.edge.filter(|edge| edge.is_cdn())
            && !self.edge_in_view(edge, case)
        {
            return unsure(Why::OtherOrigin);
        }
        // A retry on a connection of its own may be among what was lost, and then nothing else tells of it.
        if scene.losses.within(case.loss.time, case.deadline) {
            return unsure(Why::CaptureLoss);
        }
        match case.loss.phase {
            Phase::BeforeResponse => (Outcome::GivenUp, Some(Basis::Absence), None),
            Phase::InBody | Phase::AfterEnd => (Outcome::Truncated, Some(Basis::Absence), None),
            // What was lost may have been the response.
            Phase::Unknown if case.loss.request.is_none() => unsure(Why::RequestUnseen),
            Phase::Unknown => unsure(Why::CaptureLoss),
        }
    }

    /// A CDN may ask another origin, and that cannot be seen here. While it goes on asking this server it has not turned away from it, and
    /// silence about one request means something; when it has stopped asking, it does not.
    fn edge_in_view(&self, edge: Edge, case: &Case) -> bool {
        self.edges.get(&(edge, case.loss.brief.server)).is_some_and(|&at| at > case.loss.time)
    }

    /// Another case was open that the claimed request would fit as well, and has got none.
    fn has_rival(&self, case: &Case, claim: Claim) -> bool {
        let Some(bucket) = self.buckets.get(&case.loss.brief.key) else { return false };
        let queues = bucket.waiting.iter().filter(|(mask, _)| mask & claim.mask == 0);
        queues
            .flat_map(|(_, queue)| queue.iter().take(LOOK_RIVALS))
            .any(|id| self.open.get(id).is_some_and(|other| other.claim.is_none() && other.covers(claim.start)))
    }

    /// What fits a case among the requests of a kind.
    fn fits(&self, case: &Case, kind: LaneKind) -> impl Iterator<Item = Fit> {
        let (mask, since, until) = (case.loss.brief.ids.mask(), case.loss.time, case.deadline);
        let bucket = self.buckets.get(&case.loss.brief.key).filter(|_| case.loss.brief.target != 0);
        let lanes = bucket.into_iter().flat_map(|bucket| bucket.lanes.iter());
        lanes.filter(move |lane| lane.protocol == kind && lane.mask & mask == 0).map(move |lane| {
            if lane.answered.within(since, until) {
                Fit::Answered
            } else if lane.open.range((since, u64::MAX)..=(until, u64::MAX)).next().is_some() {
                Fit::Open
            } else {
                Fit::None
            }
        })
    }
}

/// What there was among the requests that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// At least one that was answered.
    Answered,
    /// At least one that is in flight.
    Open,
    None,
}

/// The client asked for something that may be what it was refused, of which the target is not known.
fn someone_asked(case: &Case, candidates: &Candidates) -> bool {
    let own = &case.loss.brief;
    let mut left = LOOK;
    for record in candidates.newest() {
        if record.brief.start <= case.loss.time {
            return false;
        }
        left -= 1;
        let shape = record.brief.shape;
        let asker = record.brief.who == own.who || record.brief.stranger || own.stranger;
        let same = asker && (own.shape == 0 || shape == 0 || shape == own.shape);
        if left == 0 || (same && record.state != State::Refused && record.brief.start <= case.deadline) {
            return true;
        }
    }
    false
}

/// A case that could not be followed to its end.
pub(super) fn unknown(id: u64, case: &Case, why: Why, at: Time) -> CaseFinding {
    finding(id, case, unsure(why), at)
}

fn finding(id: u64, case: &Case, (outcome, basis, why): Verdict, at: Time) -> CaseFinding {
    let loss = &case.loss;
    let retry = case.claim.filter(|_| outcome == Outcome::Retried).map(|claim| Retry {
        protocol: claim.protocol,
        delay: claim.start.since(loss.time),
        status: claim.status,
        result: match claim.status {
            Some(status) if !claim.failed && status < 400 => RetryResult::Ok,
            Some(_) if !claim.failed => RetryResult::HttpError,
            _ => RetryResult::NoResponse,
        },
    });
    CaseFinding {
        time: at,
        id,
        began: case.began,
        kind: loss.kind,
        resets: case.resets.clone(),
        reset_count: case.reset_count,
        attempts: case.attempts,
        outcome,
        basis,
        why,
        ended_by: loss.ended_by,
        parties: loss.parties.clone(),
        request: loss.request.clone(),
        edge: loss.edge,
        retry,
    }
}
