//! Counts that take more than one addition.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{CaseCounts, CaseFinding, CaseKind, Stats, Time, Timeline};

/// Most steps of a timeline.
const STEPS: usize = 60;

/// Counts a decided case.
pub(super) fn case(stats: &mut Stats, case: &CaseFinding, top: usize) {
    *stats.cases.entry((case.kind, case.outcome, case.edge)).or_default() += 1;
    let server = stats.servers.slot(case.parties.server);
    stats.servers.at(server).add_case(case.kind, case.outcome);
    if let Some(basis) = case.basis {
        *stats.bases.entry((case.kind, basis)).or_default() += 1;
    }
    if let Some(why) = case.why {
        *stats.unknown.entry((case.kind, why)).or_default() += 1;
    }
    if let Some(retry) = &case.retry {
        *stats.retries.entry((retry.protocol, retry.result)).or_default() += 1;
        stats.retry_delay.record(retry.delay);
        if let Some(failure) = retry.failure() {
            *stats.failed_retries.entry((case.kind, failure)).or_default() += 1;
        }
    }
    let client = match case.edge.filter(|edge| edge.is_cdn()) {
        Some(edge) => Some(edge.name().to_owned()),
        None => case.parties.client.map(|client| client.ip().to_string()),
    };
    let request = case.request.as_deref();
    let path = request
        .and_then(|request| Some(format!("{} {}", request.method.as_deref().unwrap_or("?"), request.path.as_deref()?)));
    let host = request.and_then(|request| request.authority.as_deref().map(str::to_owned));
    let mut dropped = 0;
    let worst = &mut stats.worst;
    dropped += path.map_or(0, |path| worse(&mut worst.paths, path, case, top));
    dropped += host.map_or(0, |host| worse(&mut worst.hosts, host, case, top));
    dropped += client.map_or(0, |client| worse(&mut worst.clients, client, case, top));
    dropped += case.parties.server.map_or(0, |server| worse(&mut worst.servers, server, case, top));
    if dropped > 0 {
        *stats.capped.entry("top").or_default() += dropped;
    }
    match case.kind {
        CaseKind::Downgrade => stats.timeline.at(case.began, |step| step.1 += 1),
        CaseKind::Failure => stats.timeline.at(case.began, |step| step.2 += 1),
    }
}

/// Counts a case under a name. When there are too many names new ones are passed over: 1.
fn worse<K: Ord>(names: &mut BTreeMap<K, CaseCounts>, name: K, case: &CaseFinding, top: usize) -> u64 {
    if names.len() >= top && !names.contains_key(&name) {
        return 1;
    }
    let counts = names.entry(name).or_default();
    match case.kind {
        CaseKind::Downgrade => counts.downgrade += 1,
        CaseKind::Failure => counts.failure += 1,
    }
    counts.failed += u64::from(case.failed_visitor());
    0
}

impl Timeline {
    /// Changes the step that holds `time`, after the steps were widened as far as it takes.
    pub(super) fn at(&mut self, time: Time, change: impl FnOnce(&mut (u64, u64, u64))) {
        if self.steps.is_empty() {
            (self.start, self.step) = (time, Duration::from_secs(1));
        }
        let nanos = |step: Duration| u64::try_from(step.as_nanos()).unwrap_or(u64::MAX).max(1);
        let since = time.0.saturating_sub(self.start.0);
        let mut at = since / nanos(self.step);
        while at >= STEPS as u64 {
            self.step = self.step.saturating_mul(2);
            at = since / nanos(self.step);
            let pairs = self.steps.chunks(2);
            self.steps = pairs
                .map(|pair| pair.iter().fold((0, 0, 0), |sum, step| (sum.0 + step.0, sum.1 + step.1, sum.2 + step.2)))
                .collect();
        }
        let at = usize::try_from(at).unwrap_or(0);
        if at >= self.steps.len() {
            self.steps.resize(at + 1, (0, 0, 0));
        }
        if let Some(step) = self.steps.get_mut(at) {
            change(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::model::{Time, Timeline};

    #[test]
    fn a_timeline_widens_and_loses_nothing() {
        let mut line = Timeline::default();
        for second in 0..1_000_u64 {
            line.at(Time(second * 1_000_000_000), |step| step.0 += 1);
        }
        assert_eq!(line.step, Duration::from_secs(32));
        assert!(line.steps.len() <= 60);
        assert_eq!(line.steps.iter().map(|step| step.0).sum::<u64>(), 1_000);
        assert_eq!(line.steps[0].0, 32);
        line.at(Time(u64::MAX), |step| step.1 += 1);
        assert!(line.steps.len() <= 60);
        assert_eq!(line.steps.iter().map(|step| step.0 + step.1).sum::<u64>(), 1_001);
    }
}
