//! Requests that were left without a complete response, from the first reset to the outcome.
//!
//! What is one request and what is its retry cannot always be told. The rules, all of them inferences but the first:
//!
//! * **Identity.** A request with the same request id, ray id, trace id or visitor, for the same target, is the same request, whatever
//!   address and protocol it comes by; one that carries another value of such a header is another request. An identity that a second
//!   request used at the same time names nothing, and is passed over.
//! * **HTTP/1.1.** Requests over HTTP/1.1 are given to the open cases of their client and target in order. While only one case is open
//!   that is `protocol_switch` (on a connection opened after the reset) or `sequence`. Where several are open and each gets one it is
//!   `sequence`; where one of them gets none, no one can say which, and all are `unknown`.
//! * **HTTP/2 without identity**, and HTTP/1.1 of what was lost over HTTP/1.1. Never a retry. One that was answered, or hangs, makes every
//!   case that it fits `unknown`.
//! * **Repeats.** A request that follows a reset within [`REPEAT_WITHIN`], with no other request for the same target under way, and is
//!   refused again, is the same case; at most [`REPEATS`] of them. Where a client has shown that it asks each refused request the same
//!   number of times ([`habits`]), a repeat that is still to come may come later. In any other doubt it is a case of its own: loss may be
//!   counted too often, never too seldom.
//! * **Absence.** Where nothing fits that was not refused, the request was given up.
//! * **Strangers.** Where nothing tells who asks, only identity tells a retry, and nothing was given up: the same request from a client
//!   that is not known may be anybody's.

mod grouping;
mod habits;
mod outcome;
mod runs;

pub(super) use self::grouping::Left;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use self::habits::Habits;
use self::outcome::Judgement;
use self::runs::Runs;
use super::blind::Blind;
use super::candidates::{Brief, Candidates};
use super::connections::{Map, mix};
use super::identity::Mask;
use super::losses::Losses;
use crate::model::{CaseFinding, CaseKind, Edge, Parties, Phase, Protocol, Request, Time, Why};

/// How soon after a reset an edge that repeats a request over HTTP/2 does so. HAProxy's repeats came after 0.1 to 2.8 ms; other visitors'
/// requests for the same URL after 17 ms and more.
const REPEAT_WITHIN: Duration = Duration::from_millis(5);

/// Most repeats without identity that are taken for one request's. HAProxy makes three by default.
const REPEATS: u64 = 7;

/// How often is looked whether a connection that was just being opened when the window ended can be read by now.
const SIGHT: Duration = Duration::from_millis(50);

/// Most earlier or later requests that are looked at when a case opens.
const LOOK: usize = 1_024;

/// A request that was left without a complete response.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    /// From when on a retry can come.
    pub(super) time: Time,
    pub(super) kind: CaseKind,
    pub(super) parties: Parties,
    pub(super) request: Option<Arc<Request>>,
    /// Its number among the candidates; 0: it was not seen.
    pub(super) record: u64,
    /// Who asked for what. Of a request that was not seen only the asker.
    pub(super) brief: Brief,
    /// The frame that did it.
    pub(super) reset: Option<u64>,
    /// How far the response had come.
    pub(super) phase: Phase,
    /// How the connection ended, where no frame did it.
    pub(super) ended_by: Option<&'static str>,
    pub(super) edge: Option<Edge>,
}

/// What is taken for the retry.
#[derive(Clone, Copy, Debug)]
struct Claim {
    record: u64,
    start: Time,
    protocol: Protocol,
    status: Option<u16>,
    /// It is not in flight any more, or its status is known.
    settled: bool,
    /// It was left without a complete response itself.
    failed: bool,
    by_identity: bool,
    /// Its connection was opened after the reset.
    switched: bool,
    /// Other cases that it fits were open.
    shared: bool,
    mask: Mask,
}

/// An open case.
#[derive(Debug)]
struct Case {
    loss: Loss,
    began: Time,
    resets: Vec<u64>,
    reset_count: u64,
    attempts: u64,
    /// When the last attempt began.
    asked: Time,
    deadline: Time,
    /// When it is looked at next.
    check: Time,
    /// The window is over, only answers are waited for.
    waited: bool,
    claim: Option<Claim>,
    /// Its identity names other requests too.
    common: bool,
    /// A request that would be the retry by that identity was answered.
    common_answered: bool,
    /// What might have been candidates was forgotten.
    capped: bool,
    /// The last request that was heard of before its last reset: one with a higher number began when that reset was known.
    heard: u64,
}

/// Requests that no case has claimed, of one kind: those that carry the same kinds of identity.
#[derive(Debug, Default)]
struct Lane {
    mask: Mask,
    protocol: LaneKind,
    /// Without an answer yet.
    open: BTreeSet<(Time, u64)>,
    /// Starts of those that were answered.
    answered: Runs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LaneKind {
    #[default]
    H2,
    /// HTTP/1.1, the first on its connection.
    Http1New,
    Http1,
    /// HTTP/1.1, given to a case.
    Claimed,
}

/// Open cases of one asker and target, and what fits them.
#[derive(Debug, Default)]
struct Bucket {
    cases: usize,
    /// Cases that no request was given to, in order, by the kinds of identity that they carry. Some are stale.
    waiting: SmallVec<[(Mask, VecDeque<u64>); 1]>,
    lanes: SmallVec<[Lane; 1]>,
    /// The case whose reset is the latest.
    latest: Option<u64>,
}

/// What a request in flight has to do with open cases.
#[derive(Clone, Copy, Debug)]
enum Watch {
    /// It may be the retry of a case.
    Fits { bucket: u64, at: LaneAt, start: Time, repeats: Option<u64> },
    /// It is taken for the retry of a case; where it is HTTP/1.1 other cases of the bucket see it.
    Claims { case: u64, bucket: Option<(u64, LaneAt)>, start: Time, repeats: Option<u64> },
}

type LaneAt = (Mask, LaneKind);

/// Every open case.
#[derive(Debug)]
pub(super) struct Cases {
    window: Duration,
    cap: usize,
    resets_cap: usize,
    open: BTreeMap<u64, Case>,
    next: u64,
    timers: BinaryHeap<Reverse<(Time, u64)>>,
    buckets: Map<u64, Bucket>,
    /// Open cases by one identity and target.
    identities: Map<u64, u64>,
    watched: Map<u64, Watch>,
    /// When an edge last asked a server, while cases are open.
    edges: Map<(Edge, u64), Time>,
    /// When a request last began whose target could not be read, by asker and shape.
    veiled: Map<(u64, u64), Time>,
    /// When a client that is not known last asked for a target; at 0: for any.
    strangers: Map<u64, Time>,
    habits: Habits,
}

/// What a decision looks at besides the cases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub(super) candidates: &'a Candidates,
    pub(super) blind: &'a Blind,
    pub(super) losses: &'a Losses,
}

impl Cases {
    pub(super) fn new(window: Duration, cap: usize, resets_cap: usize) -> Self {
        Self {
            window,
            cap: cap.max(1),
            resets_cap,
            open: BTreeMap::new(),
            next: 1,
            timers: BinaryHeap::new(),
            buckets: Map::default(),
            identities: Map::default(),
            watched: Map::default(),
            edges: Map::default(),
            veiled: Map::default(),
            strangers: Map::default(),
            habits: Habits::default(),
        }
    }

    /// Cases that open from now on wait this long.
    pub(super) const fn set_window(&mut self, window: Duration) {
        self.window = window;
    }

    /// Opens a case. Gives its number, and the case that had to be dropped for it.
    pub(super) fn open(&mut self, loss: Loss, scene: Scene<'_>) -> (u64, Option<CaseFinding>) {
        let dropped = if self.open.len() >= self.cap {
            self.open.pop_first().map(|(id, case)| {
                self.forget(id, &case);
                outcome::unknown(id, &case, Why::Cap, case.deadline.min(loss.time))
            })
        } else {
            None
        };
        let id = self.next;
        self.next += 1;
        let deadline = loss.time.plus(self.window);
        let mut case = Case {
            began: loss.time,
            resets: loss.reset.into_iter().take(self.resets_cap).collect(),
            reset_count: u64::from(loss.reset.is_some()),
            attempts: 1,
            asked: loss.brief.start,
            deadline,
            check: deadline,
            waited: false,
            claim: None,
            common: self.is_common(&loss, scene.candidates),
            common_answered: false,
            capped: false,
            heard: scene.candidates.last(),
            loss,
        };
        if self.timers.len() > 2 * self.cap {
            let open = &self.open;
            self.timers.retain(|Reverse((_, id))| open.contains_key(id));
        }
        self.timers.push(Reverse((deadline, id)));
        self.enter(id, &mut case);
        self.open.insert(id, case);
        self.catch_up(id, scene.candidates);
        (id, dropped)
    }

    /// Whether another request than the lost one used its identity before the loss.
    fn is_common(&self, loss: &Loss, candidates: &Candidates) -> bool {
        let own = &loss.brief;
        own.ids.mask() != 0
            && candidates.chain(own.shape, Time(loss.time.0.saturating_sub(self.window_nanos()))).take(LOOK / 16).any(
                |(number, record)| {
                    number != loss.record
                        && record.brief.target == own.target
                        && record.brief.server == own.server
                        && record.brief.start <= loss.time
                        && record.state != super::candidates::State::Refused
                        && record.brief.ids.compare(own.ids) == super::identity::Likeness::Same
                },
            )
    }

    fn window_nanos(&self) -> u64 {
        u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Makes a case findable by target and identity.
    fn enter(&mut self, id: u64, case: &mut Case) {
        let brief = case.loss.brief;
        if brief.target == 0 {
            return;
        }
        let bucket = self.buckets.entry(brief.key).or_default();
        bucket.cases += 1;
        bucket.latest = Some(id);
        bucket.wait(brief.ids.mask(), id);
        for key in brief.identity_keys() {
            let first = *self.identities.entry(key).or_insert(id);
            if let Some(other) = self.open.get_mut(&first).filter(|_| first != id)
                && other.loss.brief.ids.compare(brief.ids) == super::identity::Likeness::Same
            {
                (other.common, case.common) = (true, true);
            }
        }
    }

    /// Drops what [`Cases::enter`] made.
    fn forget(&mut self, id: u64, case: &Case) {
        let brief = &case.loss.brief;
        if brief.target == 0 {
            return;
        }
        for key in brief.identity_keys() {
            if self.identities.get(&key) == Some(&id) {
                self.identities.remove(&key);
            }
        }
        if let Some(bucket) = self.buckets.get_mut(&brief.key) {
            bucket.cases -= 1;
            if bucket.cases == 0 {
                self.buckets.remove(&brief.key);
            } else {
                let open = &self.open;
                for (_, queue) in &mut bucket.waiting {
                    while queue.front().is_some_and(|id| !open.contains_key(id)) {
                        queue.pop_front();
                    }
                }
            }
        }
    }

    /// A request came after all for the case of a bare GOAWAY.
    pub(super) fn attach(&mut self, id: u64, request: &Arc<Request>, record: u64, brief: Brief) -> bool {
        let Some(mut case) = self.open.remove(&id) else { return false };
        case.loss.request = Some(Arc::clone(request));
        case.loss.edge = request.edge.filter(|edge| edge.is_cdn()).or(case.loss.edge).or(request.edge);
        case.loss.record = record;
        case.loss.brief = brief;
        case.asked = brief.start;
        let from = case.loss.time.max(brief.start);
        self.renew(&mut case, from);
        self.enter(id, &mut case);
        self.open.insert(id, case);
        true
    }

    /// With its request it is known how far the response of a case had come.
    pub(super) fn came(&mut self, id: u64, phase: Phase) {
        if let Some(case) = self.open.get_mut(&id) {
            case.loss.phase = phase;
        }
    }

    /// It was no failure after all. False: it is decided already.
    pub(super) fn withdraw(&mut self, id: u64) -> bool {
        if self.open.get(&id).is_none_or(|case| case.attempts != 1) {
            return false;
        }
        let case = self.open.remove(&id);
        if let Some(case) = &case {
            self.forget(id, case);
        }
        case.is_some()
    }

    /// Starts the window anew.
    fn renew(&self, case: &mut Case, time: Time) {
        case.loss.time = time;
        case.deadline = time.plus(self.window);
        case.check = case.deadline;
        case.waited = false;
    }

    /// No case is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Everything that is kept, as a number of entries.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let of_bucket = |bucket: &Bucket| {
            let waiting: usize = bucket.waiting.iter().map(|(_, queue)| queue.len()).sum();
            waiting + bucket.lanes.iter().map(|lane| lane.open.len()).sum::<usize>()
        };
        let maps = self.identities.len() + self.watched.len() + self.edges.len() + self.veiled.len();
        let maps = maps + self.strangers.len() + self.habits.held();
        maps + self.open.len() + self.timers.len() + self.buckets.values().map(of_bucket).sum::<usize>()
    }

    /// Some case is to be looked at before `now`.
    pub(super) fn due(&self, now: Time) -> bool {
        self.timers.peek().is_some_and(|&Reverse((at, _))| at < now)
    }

    /// Decides every case whose window was over before `now`.
    pub(super) fn decide(&mut self, now: Time, scene: Scene<'_>, mut done: impl FnMut(CaseFinding)) {
        while let Some(&Reverse((at, id))) = self.timers.peek().filter(|&&Reverse((at, _))| at < now) {
            self.timers.pop();
            let Some(check) = self.open.get(&id).map(|case| case.check) else { continue };
            if check != at {
                self.timers.push(Reverse((check, id)));
                continue;
            }
            let judgement = self.judge(id, at, None, scene);
            let (window, open) = (self.window, self.open.get_mut(&id));
            let again = match (judgement, open) {
                (Some(Judgement::Done(finding)), _) => {
                    done(finding);
                    continue;
                }
                (Some(Judgement::Answer), Some(case)) => {
                    case.waited = true;
                    case.check = case.deadline.plus(window);
                    case.check
                }
                (Some(Judgement::Sight), Some(case)) => {
                    case.check = at.plus(SIGHT).min(case.deadline.plus(window));
                    case.check
                }
                _ => continue,
            };
            self.timers.push(Reverse((again, id)));
        }
        if self.open.is_empty() && !(self.edges.is_empty() && self.strangers.is_empty()) {
            self.edges.clear();
            self.strangers.clear();
        }
    }

    /// The input ended: decides every case.
    pub(super) fn finish(&mut self, now: Time, scene: Scene<'_>, mut done: impl FnMut(CaseFinding)) {
        self.decide(now, scene, &mut done);
        let ids: Vec<u64> = self.open.keys().copied().collect();
        for id in ids {
            if let Some(Judgement::Done(finding)) = self.judge(id, now, Some(now), scene) {
                done(finding);
            }
        }
    }
}

impl Bucket {
    fn wait(&mut self, mask: Mask, id: u64) {
        match self.waiting.iter_mut().find(|(of, _)| *of == mask) {
            Some((_, queue)) => queue.push_back(id),
            None => self.waiting.push((mask, VecDeque::from([id]))),
        }
    }

    fn lane(&mut self, at: LaneAt) -> Option<&mut Lane> {
        if !self.lanes.iter().any(|lane| (lane.mask, lane.protocol) == at) {
            self.lanes.push(Lane { mask: at.0, protocol: at.1, ..Lane::default() });
        }
        self.lanes.iter_mut().find(|lane| (lane.mask, lane.protocol) == at)
    }
}

impl Brief {
    /// What the request can be found by across addresses.
    fn identity_keys(&self) -> impl Iterator<Item = u64> + use<> {
        let target = self.target;
        self.ids.keys().map(move |identity| mix((identity, target)))
    }
}
