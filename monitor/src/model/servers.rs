use std::net::SocketAddr;

use super::{CaseKind, ErrorCode, Outcome};

/// Counts by server address, for series that must not grow with what is on the wire: those of the servers that were named; or, where none
/// was, of the first [`Servers::FIRST`] that are seen, which then stay. All others share one.
#[derive(Clone, Debug, Default)]
pub struct Servers {
    named: Vec<(SocketAddr, ServerCounts)>,
    rest: ServerCounts,
    closed: bool,
}

/// The counts of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerCounts {
    /// Requests.
    pub requests: u64,
    /// RST_STREAM and GOAWAY frames that it sent, by code, at [`ServerCounts::reset`].
    pub resets: [u64; ServerCounts::CODES],
    /// Cases by kind and outcome.
    cases: [[u64; 4]; 2],
}

/// Where a server's counts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerSlot(usize);

impl Servers {
    /// Servers that have counts of their own where none were named.
    pub const FIRST: usize = 32;

    /// With counts for these servers, and no others; for the first that are seen where there are none.
    #[must_use]
    pub fn new(named: &[SocketAddr]) -> Self {
        let mut this = Self { closed: !named.is_empty(), ..Self::default() };
        for address in named {
            if !this.named.iter().any(|(known, _)| known == address) {
                this.named.push((*address, ServerCounts::default()));
            }
        }
        this
    }

    /// The same with other names. A server that stays keeps its counts; the counts of one that goes go with it, so that no other count
    /// rises for what was before. Every [`ServerSlot`] has to be asked for again.
    #[must_use]
    pub fn renamed(&self, named: &[SocketAddr]) -> Self {
        let mut this = Self { rest: self.rest.clone(), ..Self::new(named) };
        for (address, counts) in &self.named {
            match this.slot(Some(*address)) {
                ServerSlot(usize::MAX) => {}
                slot => *this.at(slot) = counts.clone(),
            }
        }
        this
    }

    /// The counts of a server: its own, or the shared ones. One whose address is not known has the shared ones.
    pub fn slot(&mut self, address: Option<SocketAddr>) -> ServerSlot {
        let Some(address) = address else { return ServerSlot(usize::MAX) };
        let found = self.named.iter().position(|(known, _)| *known == address);
        ServerSlot(found.unwrap_or_else(|| {
            if self.closed || self.named.len() >= Self::FIRST {
                return usize::MAX;
            }
            self.named.push((address, ServerCounts::default()));
            self.named.len() - 1
        }))
    }

    /// These counts.
    pub fn at(&mut self, slot: ServerSlot) -> &mut ServerCounts {
        self.named.get_mut(slot.0).map_or(&mut self.rest, |(_, counts)| counts)
    }

    /// Servers with counts of their own.
    pub fn named(&self) -> impl Iterator<Item = (SocketAddr, &ServerCounts)> {
        self.named.iter().map(|(address, counts)| (*address, counts))
    }

    /// The counts of all others.
    #[must_use]
    pub const fn rest(&self) -> &ServerCounts {
        &self.rest
    }
}

impl ServerCounts {
    /// Codes with a name, and one place for all others.
    pub const CODES: usize = ErrorCode::ALL.len() + 1;

    /// The place of a code; `None` and every code without a name: the last.
    #[must_use]
    pub fn reset(code: Option<ErrorCode>) -> usize {
        let known = code.and_then(|code| ErrorCode::ALL.iter().position(|&named| named == code));
        known.unwrap_or(ErrorCode::ALL.len())
    }

    /// Counts a reset.
    pub(crate) fn add_reset(&mut self, code: ErrorCode) {
        if let Some(count) = self.resets.get_mut(Self::reset(Some(code))) {
            *count += 1;
        }
    }

    /// Counts a case.
    pub(crate) fn add_case(&mut self, kind: CaseKind, outcome: Outcome) {
        if let Some(count) = self.cases.get_mut(kind as usize).and_then(|counts| counts.get_mut(outcome as usize)) {
            *count += 1;
        }
    }

    /// Cases of one kind and outcome.
    #[must_use]
    pub fn case(&self, kind: CaseKind, outcome: Outcome) -> u64 {
        self.cases.get(kind as usize).and_then(|counts| counts.get(outcome as usize)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::Servers;

    fn address(n: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], n))
    }

    #[test]
    fn the_first_stay_and_the_rest_share_one() {
        let mut servers = Servers::default();
        for n in 0..2_000 {
            let slot = servers.slot(Some(address(n)));
            servers.at(slot).requests += 1;
        }
        assert_eq!(servers.named().count(), Servers::FIRST);
        assert!(servers.named().all(|(_, counts)| counts.requests == 1));
        assert_eq!(servers.rest().requests, 2_000 - Servers::FIRST as u64);
        let slot = servers.slot(Some(address(0)));
        servers.at(slot).requests += 1;
        assert_eq!(servers.named().next().map(|(_, counts)| counts.requests), Some(2));
    }

    #[test]
    fn named_ones_are_there_from_the_start_and_alone() {
        let mut servers = Servers::new(&[address(1), address(2), address(1)]);
        assert_eq!(servers.named().count(), 2);
        for n in 1..4 {
            let slot = servers.slot(Some(address(n)));
            servers.at(slot).requests += 1;
        }
        assert_eq!(servers.named().map(|(_, counts)| counts.requests).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(servers.rest().requests, 1);
    }

    #[test]
    fn other_names_take_no_counts_from_those_that_stay() {
        let mut servers = Servers::default();
        for n in [1, 2, 2] {
            let slot = servers.slot(Some(address(n)));
            servers.at(slot).requests += 1;
        }
        let counts = |servers: &Servers| {
            (servers.named().map(|(_, counts)| counts.requests).collect::<Vec<_>>(), servers.rest().requests)
        };
        let mut named = servers.renamed(&[address(3), address(2)]);
        assert_eq!(counts(&named), (vec![0, 2], 0));
        let slot = named.slot(Some(address(1)));
        named.at(slot).requests += 1;
        assert_eq!(counts(&named), (vec![0, 2], 1), "it has no name any more");
        assert_eq!(counts(&named.renamed(&[])), (vec![0, 2], 1), "the first that were seen");
    }
}
