//! What could not be seen, and the keys that decide it.

use std::collections::BTreeMap;

use super::family::Family;
use crate::model::{DarkWhy, Stats};

const GAPS: [&str; 5] = ["acknowledged", "cap", "end", "probe", "truncated"];

/// What connections do that the protocols do not allow.
pub(super) const ANOMALIES: [&str; 18] = [
    "h2_continuation",
    "h2_frame_size",
    "h2_frame_too_long",
    "h2_header_block_too_long",
    "h2_hpack",
    "h2_ledger_full",
    "h2_other",
    "h2_padding",
    "h2_stream_id",
    "http1_chunked",
    "http1_content_length",
    "http1_head",
    "http1_head_too_long",
    "http1_pipeline_full",
    "tcp_data_after_fin",
    "tcp_out_of_window",
    "tcp_overlap_conflict",
    "tcp_rst_out_of_window",
];

/// Caps that drop something.
pub(super) const CAPS: [&str; 13] = [
    "blind_clients",
    "cases",
    "connection_notes",
    "flow_memory",
    "flows",
    "half_open_flows",
    "held",
    "notes",
    "open_requests",
    "reassembly",
    "reset_codes",
    "suspected",
    "top",
];

pub(super) fn families(stats: &Stats, out: &mut Vec<Family>) {
    let seen = &stats.connections;
    let help = "Connections that could not be read at some time, by reason.";
    let mut family = Family::counter("h2watch_dark_connections_total", help);
    for why in DarkWhy::NAMES {
        family.add_fixed([("reason", why)], seen.dark.get(why).copied().unwrap_or(0));
    }
    out.push(family);
    let help = "Connections that are open and cannot be read, by reason.";
    let mut family = Family::gauge("h2watch_open_dark_connections", help);
    for why in DarkWhy::NAMES {
        family.add_fixed([("reason", why)], seen.dark_open.get(why).copied().unwrap_or(0));
    }
    out.push(family);
    let help = "TCP payload bytes that could not be read, on connections that are or may be HTTP.";
    out.push(Family::counter("h2watch_unread_bytes_total", help).only(seen.unread));
    let mut holes = Family::counter("h2watch_gaps_total", "Holes in the capture by how they were noticed.");
    let mut bytes = Family::counter("h2watch_gap_bytes_total", "Bytes in these holes.");
    for at in GAPS {
        let (count, size) = stats.gaps.get(at).copied().unwrap_or_default();
        holes.add_fixed([("reason", at)], count);
        bytes.add_fixed([("reason", at)], size);
    }
    out.extend([holes, bytes]);
    out.push(listed(
        Family::counter("h2watch_anomalies_total", "Bytes that the protocols do not allow."),
        "what",
        &ANOMALIES,
        &stats.anomalies,
    ));
    let family = Family::counter("h2watch_capped_total", "Things dropped at a cap.");
    out.push(listed(family, "cap", &CAPS, &stats.capped));
    let help = "Packets that the source says it lost.";
    out.push(Family::counter("h2watch_packets_lost_total", help).only(stats.input.lost));
    let help = "Places where the input was damaged; at most 16 are counted.";
    out.push(Family::counter("h2watch_input_damage_total", help).only(stats.input.damage.len() as u64));
    keys(stats, out);
}

/// A series for each name of the list, and for each name that was counted besides: all of them are the program's own.
fn listed(
    mut family: Family,
    label: &'static str,
    all: &[&'static str],
    counts: &BTreeMap<&'static str, u64>,
) -> Family {
    for name in all {
        family.add_fixed([(label, name)], counts.get(name).copied().unwrap_or(0));
    }
    for (name, &count) in counts.iter().filter(|(name, _)| !all.contains(name)) {
        family.add_fixed([(label, name)], count);
    }
    family
}

fn keys(stats: &Stats, out: &mut Vec<Family>) {
    let keys = &stats.keys;
    // What went had been named, too: a counter never falls. Sessions, which are few, are counted once they go.
    let named = keys.named();
    for (name, help, count) in [
        ("h2watch_key_secrets_total", "Key log lines that held a secret.", keys.secrets),
        ("h2watch_key_malformed_lines_total", "Key log lines that could not be read.", keys.malformed.1),
        ("h2watch_key_hole_bytes_total", "NUL bytes in key logs.", keys.holes),
        ("h2watch_key_connections_total", "Connections that the secrets name, by client random or transcript.", named),
        ("h2watch_key_evicted_total", "Connections and sessions whose secrets were dropped at the cap.", keys.evicted),
        (
            "h2watch_key_wiped_total",
            "Connections and sessions whose secrets were wiped because they ended or were old.",
            keys.wiped,
        ),
        (
            "h2watch_key_given_up_total",
            "Directions and secrets that the search for keys of connections joined late gave up.",
            keys.given_up,
        ),
        ("h2watch_key_matched_connections_total", "Connections whose key was found.", keys.matched),
        (
            "h2watch_key_found_late_connections_total",
            "Connections joined late whose key was found by search.",
            keys.found_late,
        ),
        ("h2watch_key_trials_total", "Trials of that search.", keys.trials),
    ] {
        out.push(Family::counter(name, help).only(count));
    }
    let help = "Connections whose secrets are held.";
    out.push(Family::gauge("h2watch_key_held_connections", help).only(keys.randoms));
    let help = "Directions of connections joined late that are searched.";
    out.push(Family::gauge("h2watch_key_sought_directions", help).only(keys.sought));
    let help = "1 when that search ended at its budget, or live has more to try than its rate allows.";
    out.push(Family::gauge("h2watch_key_search_exhausted", help).only(keys.exhausted));
}
