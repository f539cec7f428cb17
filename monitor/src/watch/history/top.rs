//! Hosts and paths of the last hour, by what went wrong.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::model::{CaseKind, Finding, Request, Time};

/// Minutes that are kept.
const MINUTES: u64 = 60;

/// Hosts, and as many paths, that are counted within these minutes; what befalls others is counted together.
const NAMES: usize = 1_000;

/// Characters of a name that are kept.
const NAME: usize = 200;

/// Entries that are shown of each.
const SHOWN: usize = 20;

const MINUTE: u64 = 60_000_000_000;

/// What befell the requests to one host or path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Cases of kind downgrade.
    pub downgrade: u64,
    /// Cases of kind failure.
    pub failure: u64,
    /// Of both, those whose visitor was failed: given up or truncated, or asked again to no avail.
    pub failed: u64,
    /// 5xx that the server which was asked made itself.
    pub origin_errors: u64,
}

impl Hits {
    fn add(&mut self, other: Self) {
        self.downgrade += other.downgrade;
        self.failure += other.failure;
        self.failed += other.failed;
        self.origin_errors += other.origin_errors;
    }

    const fn take(&mut self, other: Self) {
        self.downgrade = self.downgrade.saturating_sub(other.downgrade);
        self.failure = self.failure.saturating_sub(other.failure);
        self.failed = self.failed.saturating_sub(other.failed);
        self.origin_errors = self.origin_errors.saturating_sub(other.origin_errors);
    }

    fn of(finding: &Finding) -> Option<(Self, Option<&Request>)> {
        match finding {
            Finding::Case(case) => {
                let failed = u64::from(case.failed_visitor());
                let hits = match case.kind {
                    CaseKind::Downgrade => Self { downgrade: 1, failed, ..Self::default() },
                    CaseKind::Failure => Self { failure: 1, failed, ..Self::default() },
                };
                Some((hits, case.request.as_deref()))
            }
            Finding::OriginError(error) => {
                Some((Self { origin_errors: 1, ..Self::default() }, error.request.as_deref()))
            }
            _ => None,
        }
    }
}

/// A host or path and what befell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The host, or method and path.
    pub name: Arc<str>,
    /// What befell it.
    pub hits: Hits,
}

/// The worst hosts and paths of the last hour: first those with the most failed visitors, then cases, then origin errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Hosts.
    pub hosts: Vec<Entry>,
    /// Methods and paths, without query.
    pub paths: Vec<Entry>,
    /// Hits of hosts that were too many to be counted on their own.
    pub other_hosts: Hits,
    /// The same of paths.
    pub other_paths: Hits,
}

#[derive(Debug, Default)]
pub(super) struct Tops {
    hosts: Tally,
    paths: Tally,
    now: u64,
    changed: bool,
    shown: Arc<Top>,
}

impl Tops {
    pub(super) fn finding(&mut self, finding: &Finding) {
        let Some((hits, request)) = Hits::of(finding) else { return };
        let Some(request) = request else { return };
        if let Some(host) = request.authority.as_deref() {
            self.hosts.add(self.now, &short(host), hits);
        }
        if let Some(path) = request.path.as_deref() {
            let name = format!("{} {path}", request.method.as_deref().unwrap_or("?"));
            self.paths.add(self.now, &short(&name), hits);
        }
        self.changed = true;
    }

    pub(super) fn at(&mut self, now: Time) {
        self.now = now.0 / MINUTE;
        let oldest = self.now.saturating_sub(MINUTES - 1);
        self.changed |= self.hosts.forget(oldest) | self.paths.forget(oldest);
    }

    pub(super) fn top(&mut self) -> Arc<Top> {
        if std::mem::take(&mut self.changed) {
            self.shown = Arc::new(Top {
                hosts: self.hosts.top(),
                paths: self.paths.top(),
                other_hosts: self.hosts.other(),
                other_paths: self.paths.other(),
            });
        }
        Arc::clone(&self.shown)
    }
}

/// The name, cut off where it is too long.
fn short(name: &str) -> std::borrow::Cow<'_, str> {
    match name.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()).into(),
        None => name.into(),
    }
}

/// Hits by name, and by minute so that they can be forgotten.
#[derive(Debug, Default)]
struct Tally {
    sum: BTreeMap<Arc<str>, Hits>,
    minutes: VecDeque<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    number: u64,
    names: BTreeMap<Arc<str>, Hits>,
    other: Hits,
}

impl Tally {
    fn add(&mut self, now: u64, name: &str, hits: Hits) {
        if self.minutes.back().is_none_or(|last| last.number < now) {
            self.minutes.push_back(Minute { number: now, ..Minute::default() });
        }
        let Some(minute) = self.minutes.back_mut() else { return };
        let known = self.sum.get_key_value(name).map(|(name, _)| Arc::clone(name));
        let name = match known {
            Some(name) => name,
            None if self.sum.len() < NAMES => Arc::from(name),
            None => return minute.other.add(hits),
        };
        minute.names.entry(Arc::clone(&name)).or_default().add(hits);
        self.sum.entry(name).or_default().add(hits);
    }

    /// Forgets the minutes before `oldest`. Whether there were any.
    fn forget(&mut self, oldest: u64) -> bool {
        let mut any = false;
        while self.minutes.front().is_some_and(|minute| minute.number < oldest) {
            any = true;
            for (name, hits) in self.minutes.pop_front().unwrap_or_default().names {
                if let Some(sum) = self.sum.get_mut(&name) {
                    sum.take(hits);
                    if *sum == Hits::default() {
                        self.sum.remove(&name);
                    }
                }
            }
        }
        any
    }

    fn top(&self) -> Vec<Entry> {
        let rank = |hits: &Hits| Reverse((hits.failed, hits.downgrade + hits.failure, hits.origin_errors));
        let mut all: Vec<_> = self.sum.iter().collect();
        all.sort_by_key(|(_, hits)| rank(hits));
        all.into_iter().take(SHOWN).map(|(name, hits)| Entry { name: Arc::clone(name), hits: *hits }).collect()
    }

    fn other(&self) -> Hits {
        let mut sum = Hits::default();
        self.minutes.iter().for_each(|minute| sum.add(minute.other));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::{Hits, MINUTES, NAME, NAMES, Tally, short};

    const ONE: Hits = Hits { downgrade: 1, failure: 0, failed: 1, origin_errors: 0 };

    #[test]
    fn what_is_older_than_an_hour_is_forgotten() {
        let mut tally = Tally::default();
        tally.add(0, "old.example", ONE);
        tally.add(0, "both.example", ONE);
        tally.add(MINUTES - 1, "both.example", ONE);
        assert!(!tally.forget(0));
        assert_eq!(tally.top()[0].hits.downgrade, 2);
        assert!(tally.forget(1));
        let top = tally.top();
        assert_eq!((top.len(), &*top[0].name, top[0].hits), (1, "both.example", ONE));
        assert!(tally.forget(u64::MAX));
        assert!(tally.top().is_empty() && tally.minutes.is_empty());
    }

    #[test]
    fn names_without_end_are_counted_together() {
        let mut tally = Tally::default();
        for minute in 0..3 {
            for name in 0..NAMES * 2 {
                tally.add(minute, &format!("/{minute}/{name}"), ONE);
            }
        }
        assert_eq!(tally.sum.len(), NAMES);
        assert_eq!(tally.other().downgrade, (NAMES * 5) as u64);
        // A name that is known is counted on its own all the same.
        tally.add(3, "/0/0", ONE);
        assert_eq!(tally.top()[0].hits.downgrade, 2);
        tally.forget(3);
        assert_eq!(tally.other(), Hits::default());
        assert_eq!(tally.sum.len(), 1);
    }

    #[test]
    fn the_most_failed_come_first() {
        let mut tally = Tally::default();
        tally.add(0, "errors", Hits { origin_errors: 99, ..Hits::default() });
        tally.add(0, "retried", Hits { downgrade: 50, ..Hits::default() });
        tally.add(0, "failed", ONE);
        let names: Vec<_> = tally.top().into_iter().map(|entry| entry.name.to_string()).collect();
        assert_eq!(names, ["failed", "retried", "errors"]);
    }

    #[test]
    fn long_names_are_cut_off_between_characters() {
        assert_eq!(short("/größe"), "/größe");
        assert_eq!(short(&"ö".repeat(NAME + 1)).chars().count(), NAME + 1);
        assert!(short(&"ö".repeat(NAME + 1)).ends_with('…'));
    }
}
