//! What is missing between the last record that was read and the next one.

use crate::Gap;
use crate::record::{HEADER, MAX};

/// Records and plaintext that are missing in front of the next record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    /// Fewest and most missing records: the sequence number rises by that.
    pub(super) fewest: u64,
    pub(super) most: u64,
    known: Gap,
    /// Stream bytes of whole records that could not be told apart.
    holes: u64,
    /// Missing records outside of `holes`.
    apart: u64,
    /// Every missing record's header was seen, and its content was application data without padding as far as can be known.
    pub(super) exact: bool,
}

impl Lost {
    pub(super) const NOTHING: Self =
        Self { fewest: 0, most: 0, known: Gap { min: 0, max: 0 }, holes: 0, apart: 0, exact: true };

    /// A record whose header was seen.
    pub(super) const fn record(&mut self, content: Gap) {
        self.fewest += 1;
        self.most = self.most.saturating_add(1);
        self.apart += 1;
        self.known.min = self.known.min.saturating_add(content.min);
        self.known.max = self.known.max.saturating_add(content.max);
        self.exact &= content.min == content.max;
    }

    /// `bytes` of the stream that hold whole records, of which nothing is known.
    pub(super) fn hole(&mut self, bytes: u64, overhead: u64) {
        self.fewest = self.fewest.saturating_add(bytes.div_ceil((MAX + HEADER) as u64));
        self.most = self.most.saturating_add(bytes / overhead.max(1));
        self.holes = self.holes.saturating_add(bytes);
        self.exact = false;
    }

    /// Records of unknown content, at most this much of it.
    pub(super) const fn records(&mut self, records: u64, content: u64) {
        self.fewest = self.fewest.saturating_add(records);
        self.most = self.most.saturating_add(records);
        self.apart = self.apart.saturating_add(records);
        self.known.max = self.known.max.saturating_add(content);
        self.exact = false;
    }

    /// The missing plaintext, once `records` are known to be missing. `overhead`: stream bytes of a record that are not content, where
    /// every record has the same.
    pub(super) fn gap(&self, records: u64, overhead: Option<u64>) -> Gap {
        let in_holes = records.saturating_sub(self.apart);
        match overhead {
            Some(overhead) => {
                let content = self.holes.saturating_sub(in_holes.saturating_mul(overhead));
                Gap { min: self.known.min.saturating_add(content), max: self.known.max.saturating_add(content) }
            }
            None => Gap { min: 0, max: self.known.max.saturating_add(self.holes) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_of_known_records_has_a_known_size() {
        let mut lost = Lost::NOTHING;
        lost.record(Gap { min: 100, max: 100 });
        assert!(lost.exact);
        lost.hole(2 * 22 + 70, 22);
        assert_eq!((lost.fewest, lost.most), (2, 6));
        assert_eq!(lost.gap(3, Some(22)), Gap { min: 170, max: 170 });
        assert_eq!(lost.gap(3, None), Gap { min: 0, max: 214 });
    }
}
