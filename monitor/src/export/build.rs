//! What was built.

use std::borrow::Cow;

use super::family::{Family, Kind};

/// Cargo features that change what the program can do.
const FEATURES: &str = match (cfg!(feature = "ebpf"), cfg!(feature = "pcap")) {
    (true, true) => "ebpf,pcap",
    (true, false) => "ebpf",
    (false, true) => "pcap",
    (false, false) => "",
};

pub(super) fn families(out: &mut Vec<Family>) {
    let mut family = Family {
        name: "h2watch_build_info",
        help: "What was built, and by which compiler.",
        kind: Kind::Info,
        series: Vec::new(),
    };
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", env!("H2WATCH_REVISION")),
        ("rustc", env!("H2WATCH_RUSTC")),
        ("features", FEATURES),
    ];
    family.add(labels.map(|(name, value)| (name, Cow::Borrowed(value))), 1_u64);
    out.push(family);
}
