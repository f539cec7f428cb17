//! Findings and counts out: text, JSON, events, metrics.
