//! Caps for a bound of memory.

use super::units::Size;
use crate::limits::Limits;

/// The bound when none is given.
pub(super) const DEFAULT: Size = Size(464 << 20);

/// The least that makes sense.
pub(super) const LEAST: Size = Size(96 << 20);

/// Caps that keep flows, keys and cases within `size`: those of `limits`, larger or smaller in proportion.
pub(super) fn within(size: Size, limits: &Limits) -> Limits {
    let base = Limits::BASE as u128;
    let have = u128::from(size.max(LEAST).0).saturating_sub(base);
    let want = (limits.memory(limits.secrets) as u128).saturating_sub(base).max(1);
    let part = |cap: usize| usize::try_from(cap as u128 * have / want).unwrap_or(usize::MAX).max(1);
    let (reassembly_shard, held_shard) = (part(limits.reassembly_shard), part(limits.held_shard));
    Limits {
        flows: part(limits.flows),
        flow_shard: part(limits.flow_shard),
        reassembly_shard,
        reassembly_flow: limits.reassembly_flow.min(reassembly_shard),
        held_shard,
        held_flow: limits.held_flow.min(held_shard),
        secrets: part(limits.secrets),
        ..limits.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT, LEAST, within};
    use crate::config::Size;
    use crate::limits::Limits;

    #[test]
    fn the_bound_holds_and_is_used() {
        for size in [LEAST, Size(128 << 20), DEFAULT, Size(1 << 30), Size(16 << 30)] {
            let limits = within(size, &Limits::default());
            let most = limits.memory(limits.secrets) as u64;
            assert!(most <= size.0 && most > size.0 / 100 * 98, "{size}: {most}");
            assert!(limits.reassembly_flow <= limits.reassembly_shard && limits.held_flow <= limits.held_shard);
        }
    }

    #[test]
    fn the_default_is_about_what_a_replay_has() {
        let (ours, theirs) = (within(DEFAULT, &Limits::default()), Limits::default());
        assert!(ours.flow_shard >= theirs.flow_shard && ours.flow_shard < theirs.flow_shard / 10 * 11);
    }
}
