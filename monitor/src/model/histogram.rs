use std::collections::BTreeMap;
use std::time::Duration;

/// A histogram of spans: fixed buckets, and exponential ones as Prometheus' native histograms have them.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Counts of each bound of [`Histogram::BOUNDS`], not cumulative, and one more above the last.
    pub counts: [u64; 13],
    /// Sum.
    pub sum: Duration,
    /// Counts of the exponential buckets that have any: bucket `i` holds spans above `2^((i-1)/8)` seconds, up to `2^(i/8)`. As a span has
    /// 64 bits of seconds, there are at most 672.
    pub native: BTreeMap<i16, u64>,
    /// Spans of at most [`Histogram::ZERO`], which are in no exponential bucket.
    pub zero: u64,
}

impl Histogram {
    /// Upper bounds in seconds.
    pub const BOUNDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0];

    /// The schema of the exponential buckets: each power of two has `2^SCHEMA` of them.
    pub const SCHEMA: i32 = 3;

    /// What counts as nothing, in seconds: 2^-20, about a microsecond.
    pub const ZERO: f64 = 1.0 / 1_048_576.0;

    /// Adds one.
    pub fn record(&mut self, span: Duration) {
        if let Some(count) = self.counts.get_mut(Self::bucket(span)) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(span);
        let seconds = span.as_secs_f64();
        if seconds <= Self::ZERO {
            self.zero += 1;
        } else {
            *self.native.entry(exponential(seconds)).or_default() += 1;
        }
    }

    /// The place of a span among [`counts`](Self::counts).
    #[must_use]
    pub fn bucket(span: Duration) -> usize {
        let seconds = span.as_secs_f64();
        Self::BOUNDS.iter().position(|&bound| seconds <= bound).unwrap_or(Self::BOUNDS.len())
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// `2^(i/8 - 1)`.
const STEPS: [f64; 8] = [
    0.5,
    0.545_253_866_332_628_8,
    0.594_603_557_501_360_5,
    0.648_419_777_325_504_8,
    0.707_106_781_186_547_5,
    0.771_105_412_703_970_4,
    0.840_896_415_253_714_4,
    0.917_004_043_204_671_1,
];

/// The exponential bucket of a normal positive number.
fn exponential(seconds: f64) -> i16 {
    let bits = seconds.to_bits();
    // The number is fraction * 2^exponent, with a fraction of at least 1/2 and below 1.
    let exponent = i16::try_from((bits >> 52) & 0x7ff).unwrap_or(0) - 1_022;
    let fraction = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1_022 << 52));
    let step = STEPS.iter().filter(|&&step| step < fraction).count();
    (exponent - 1) * 8 + i16::try_from(step).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Histogram, exponential};

    #[test]
    fn bounds_belong_to_the_bucket_below() {
        // 2^0, 2^1 and 2^-3 are the upper bounds of their buckets.
        assert_eq!([1.0, 2.0, 0.125].map(exponential), [0, 8, -24]);
        assert_eq!([1.000_001, 2.000_001, 0.125_001].map(exponential), [1, 9, -23]);
    }

    #[test]
    fn nothing_is_lost_at_the_ends() {
        let mut histogram = Histogram::default();
        let ends = [Duration::ZERO, Duration::from_nanos(1), Duration::from_nanos(954), Duration::MAX];
        ends.into_iter().for_each(|span| histogram.record(span));
        assert_eq!((histogram.count(), histogram.zero), (4, 2));
        assert_eq!(histogram.native.values().sum::<u64>(), 2);
        assert_eq!(histogram.sum, Duration::MAX);
    }

    proptest! {
        #[test]
        fn a_span_lies_within_its_bucket(nanos in 1_000_u64..) {
            let seconds = Duration::from_nanos(nanos).as_secs_f64();
            let at = f64::from(exponential(seconds));
            // The bounds of the table are rounded.
            prop_assert!(seconds <= (at / 8.0).exp2() * (1.0 + 1e-12));
            prop_assert!(seconds > ((at - 1.0) / 8.0).exp2() * (1.0 - 1e-12));
        }
    }
}
