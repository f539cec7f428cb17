//! Keys by probe.
