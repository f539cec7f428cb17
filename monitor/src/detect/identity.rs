//! What a retry keeps of its request, in sixteen bytes, and how two requests compare by it.

use crate::model::{IdentityKind, Request};

/// Keyed hashes of a request's identity headers, one for each kind; 0 is none. Only ever compared between requests for the same target
/// within one window, for which 32 bits are plenty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids([u32; 4]);

/// Which kinds a request carries, one bit each.
pub(super) type Mask = u8;

/// How two requests for the same target compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// The first kind that both carry is equal.
    Same,
    /// The first kind that both carry differs: a retry would have kept it.
    Different,
    /// They carry no kind in common.
    Untold,
}

/// In order of how well a kind names one request: the first that both carry decides.
const ORDER: [IdentityKind; 4] =
    [IdentityKind::RequestId, IdentityKind::RayId, IdentityKind::TraceId, IdentityKind::Visitor];

impl Ids {
    pub(super) fn of(request: &Request) -> Self {
        let mut ids = [0; 4];
        for identity in &request.identity {
            let at = ORDER.iter().position(|&kind| kind == identity.kind);
            if let Some(slot) = at.and_then(|at| ids.get_mut(at)).filter(|slot| **slot == 0) {
                *slot = fold(identity.value).max(1);
            }
        }
        Self(ids)
    }

    pub(super) fn mask(self) -> Mask {
        self.0.iter().rev().fold(0, |mask, &id| mask << 1 | u8::from(id != 0))
    }

    pub(super) fn compare(self, other: Self) -> Likeness {
        for (&a, &b) in self.0.iter().zip(&other.0) {
            if a != 0 && b != 0 {
                return if a == b { Likeness::Same } else { Likeness::Different };
            }
        }
        Likeness::Untold
    }

    /// A key for each kind that is present.
    pub(super) fn keys(self) -> impl Iterator<Item = (u8, u32)> {
        (0_u8..).zip(self.0).filter(|&(_, id)| id != 0)
    }
}

const fn fold(value: u64) -> u32 {
    (value as u32) ^ ((value >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::{Ids, Likeness};

    #[test]
    fn the_first_kind_in_common_decides() {
        let [none, id, other, both] = [[0, 0, 0, 0], [1, 0, 0, 7], [2, 0, 0, 7], [0, 5, 0, 7]].map(Ids);
        assert_eq!(id.compare(other), Likeness::Different, "the same visitor, another request");
        assert_eq!(id.compare(both), Likeness::Same, "by visitor");
        assert_eq!(id.compare(none), Likeness::Untold);
        assert_eq!((none.mask(), id.mask(), both.mask()), (0, 0b1001, 0b1010));
    }
}
