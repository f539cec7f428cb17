//! What events mean: cases, outcomes, counts. Knows events, never bytes.
