mod documents;
mod formats;
mod hostile;
mod series;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Family, Format, Kind, encode, families};
use crate::model::{Finding, KernelResets, Stats};
use crate::sink::samples;
use crate::sink::stream::StreamHealth;
use crate::source::keylogs::KeyLogHealth;
use crate::source::live::{InterfaceHealth, KeyProbeHealth};
use crate::watch::Snapshot;

/// A snapshot in which everything has happened, and every list has an entry twice.
fn full() -> Snapshot {
    let interface = InterfaceHealth {
        name: "eth0".to_owned(),
        kind: "pcap",
        up: true,
        error: None,
        received: 1_000,
        dropped_kernel: 3,
        dropped_interface: 1,
        snapped_bytes: 4,
        reopened: 2,
    };
    let log = KeyLogHealth {
        path: PathBuf::from("/var/log/a\"b\\c\n.keys"),
        readable: true,
        bytes: 4_711,
        quiet: Some(Duration::from_secs(5)),
        ..KeyLogHealth::default()
    };
    let stream =
        StreamHealth { name: "stdout".to_owned(), kind: "stdout", written: 7, dropped: 1, queued: 2, error: None };
    let tap = InterfaceHealth { kind: "tap", ..interface.clone() };
    let mut delay = crate::model::Histogram::default();
    delay.record(Duration::from_millis(3));
    Snapshot {
        at: samples::at(60_000),
        started: samples::at(0),
        number: 9,
        capturing: true,
        stats: Stats { kernel_resets: Some(KernelResets::default()), ..samples::stats() },
        interfaces: vec![interface.clone(), interface, tap],
        keylogs: vec![log.clone(), log],
        probe: Some(KeyProbeHealth { taken: 7, lost: 1, probed: 2 }),
        streams: vec![stream.clone(), stream],
        delay,
        latest: samples::findings().into_iter().map(Arc::<Finding>::new).collect(),
        ..Snapshot::default()
    }
}

fn empty() -> Snapshot {
    Snapshot { stats: Stats::default(), ..Snapshot::default() }
}

/// Counts every series of a name.
fn series_of(families: &[Family], name: &str) -> usize {
    families.iter().find(|family| family.name == name).map_or(0, |family| family.series.len())
}

#[test]
fn families_are_well_named_and_series_differ() {
    let families = families(&full(), false);
    let mut names = BTreeSet::new();
    for family in &families {
        let name = family.name;
        assert!(names.insert(name), "{name} twice");
        // OpenMetrics names a counter without its ending: that name must be free, too.
        assert!(name == family.base() || names.insert(family.base()), "{name} without its ending is another's");
        assert!(name.starts_with("h2watch_") || name.starts_with("process_"), "{name}");
        assert!(family.help.ends_with('.'), "{name}: {}", family.help);
        assert_eq!(family.kind == Kind::Counter, name.ends_with("_total"), "{name}");
        assert_eq!(family.kind == Kind::Info, name.ends_with("_info"), "{name}");
        assert!(family.kind != Kind::Histogram || family.unit() == Some("seconds"), "{name}");
        let mut labels = BTreeMap::new();
        for series in &family.series {
            assert!(labels.insert(series.labels.clone(), ()).is_none(), "{name} {:?} twice", series.labels);
            let labels: BTreeSet<_> = series.labels.iter().map(|(label, _)| *label).collect();
            assert_eq!(labels.len(), series.labels.len(), "{name}: a label twice");
        }
        assert!(!family.series.is_empty(), "{name} has no series");
    }
}

/// What a scrape costs: `cargo test --release -p h2watch --lib scrape_costs -- --ignored --nocapture`.
#[test]
#[ignore = "prints times"]
fn what_a_scrape_costs() {
    let mut snapshot = full();
    for n in 0..64_u16 {
        let slot = snapshot.stats.servers.slot(Some(std::net::SocketAddr::from(([192, 0, 2, 1], n))));
        snapshot.stats.servers.at(slot).requests += 1;
    }
    let series: usize = families(&snapshot, false).iter().map(|family| family.series.len()).sum();
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
        let began = std::time::Instant::now();
        let rounds = 200;
        let bytes = (0..rounds).map(|_| encode(&snapshot, false, format).len()).max();
        println!("{format:?}: {series} series, {bytes:?} bytes, {:?} a scrape", began.elapsed() / rounds);
    }
}
