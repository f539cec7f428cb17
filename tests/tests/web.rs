//! The web port.
