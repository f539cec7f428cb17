use crate::model::{FlowKey, PlainId};

/// Multiplies to 128 bits and folds the halves: every input bit reaches every output bit.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// A hash of a connection's name, as good as that of a key.
pub(super) const fn plain(connection: PlainId) -> u64 {
    fold(connection.0 ^ 0x9e37_79b9_7f4a_7c15, 0xff51_afd7_ed55_8ccd)
}

/// A hash of a key that is the same in every run: low bits choose the shard, and Linux hands out local ports of one parity, so each bit
/// has to depend on all.
#[inline]
pub(super) fn hash(key: &FlowKey) -> u64 {
    let half = |address: u128| (address as u64, (address >> 64) as u64);
    let ((low, low_high), (high, high_high)) = (half(key.low.0), half(key.high.0));
    let ends = (u64::from(key.low.1) << 48) | (u64::from(key.high.1) << 32) | u64::from(key.tunnel);
    let a = fold(low ^ 0x9e37_79b9_7f4a_7c15, high ^ 0xd1b5_4a32_d192_ed03);
    let b = fold(low_high ^ 0x8cb9_2ba7_2f3d_8dd7, high_high ^ 0xaaf1_35ce_78cf_0a25);
    let c = fold(ends ^ 0xbf58_476d_1ce4_e5b9, a ^ 0x94d0_49bb_1331_11eb);
    fold(c ^ b.rotate_left(32), 0xff51_afd7_ed55_8ccd)
}
