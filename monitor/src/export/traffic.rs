//! What went by: requests, responses, connections, packets.

use super::family::Family;
use super::findings::PROTOCOLS;
use crate::model::{Phase, PlaintextUse, Stats, Unfinished};
use crate::sink::words::{self, SIDES};

const VERSIONS: [&str; 3] = ["1.2", "1.3", "other"];
const CLOSES: [&str; 9] = ["alert", "evicted", "fin", "freed", "idle", "input_ended", "process_ended", "reused", "rst"];

/// A response that is over leaves no request unfinished.
const UNFINISHED_PHASES: [Phase; 3] = [Phase::BeforeResponse, Phase::InBody, Phase::Unknown];

pub(super) fn families(stats: &Stats, out: &mut Vec<Family>) {
    messages(stats, out);
    connections(stats, out);
    packets(stats, out);
}

fn messages(stats: &Stats, out: &mut Vec<Family>) {
    let mut family = Family::counter("h2watch_requests_total", "Requests.");
    for protocol in PROTOCOLS {
        family.add_fixed([("protocol", protocol.name())], stats.requests.get(&protocol).copied().unwrap_or(0));
    }
    out.push(family);
    let mut family = Family::counter("h2watch_responses_total", "Final responses by status class.");
    for protocol in PROTOCOLS {
        for class in [1, 2, 3, 4, 5, 0] {
            let count = stats.responses.get(&(protocol, class)).copied().unwrap_or(0);
            family.add_fixed([("protocol", protocol.name()), ("class", words::class(class))], count);
        }
    }
    out.push(family);
    let mut family = Family::counter("h2watch_streams_total", "HTTP/2 streams by who opened them.");
    for side in SIDES {
        family.add_fixed([("initiator", words::side(side))], stats.streams.get(&side).copied().unwrap_or(0));
    }
    out.push(family);
    let help = "Requests of which nobody saw what became of them (a gap, an eviction).";
    out.push(Family::counter("h2watch_unseen_requests_total", help).only(stats.unseen_requests));
    let help = "Requests without a complete response that are no cases, by why and by how far the response was.";
    let mut family = Family::counter("h2watch_unfinished_requests_total", help);
    for why in Unfinished::ALL {
        for phase in UNFINISHED_PHASES {
            let count = stats.unfinished.get(&(why, phase)).map_or(0, |waits| waits.count);
            family.add_fixed([("why", why.name()), ("phase", words::phase(phase))], count);
        }
    }
    out.push(family);
}

fn connections(stats: &Stats, out: &mut Vec<Family>) {
    let seen = &stats.connections;
    out.push(Family::counter("h2watch_connections_seen_total", "TCP connections.").only(seen.total));
    let help = "TCP connections that are open and have carried something.";
    out.push(Family::gauge("h2watch_open_connections", help).only(seen.open));
    let help = "Connections by application protocol, where it is known.";
    let mut family = Family::counter("h2watch_connections_total", help);
    for protocol in PROTOCOLS {
        family.add_fixed([("protocol", protocol.name())], seen.protocols.get(&protocol).copied().unwrap_or(0));
    }
    out.push(family);
    let mut family = Family::counter("h2watch_tls_connections_total", "Connections by TLS version.");
    for version in VERSIONS {
        family.add_fixed([("version", version)], seen.versions.get(version).copied().unwrap_or(0));
    }
    out.push(family);
    let mut family = Family::counter("h2watch_connections_closed_total", "Connections by how they ended.");
    for how in CLOSES {
        family.add_fixed([("how", how)], seen.closed.get(how).copied().unwrap_or(0));
    }
    out.push(family);
    let help = "Connections whose plaintext probes took, by what became of it.";
    let mut family = Family::counter("h2watch_plaintext_connections_total", help);
    for what in PlaintextUse::ALL {
        family.add_fixed([("use", what.name())], seen.plaintext.get(&what).copied().unwrap_or(0));
    }
    out.push(family);
    let help = "Connections whose start was not in the capture.";
    out.push(Family::counter("h2watch_joined_late_connections_total", help).only(seen.joined_late));
    let help = "Connections of which no packet of one side was captured, by that side.";
    let mut family = Family::counter("h2watch_one_way_connections_total", help);
    for side in SIDES {
        family.add_fixed([("unseen", words::side(side))], seen.one_way.get(&side).copied().unwrap_or(0));
    }
    out.push(family);
    let help = "TCP payload bytes.";
    out.push(Family::counter("h2watch_payload_bytes_total", help).only(seen.bytes));
}

fn packets(stats: &Stats, out: &mut Vec<Family>) {
    let packets = &stats.packets;
    out.push(Family::counter("h2watch_packets_total", "Packets.").only(packets.packets));
    out.push(Family::counter("h2watch_packet_bytes_total", "Captured bytes.").only(packets.bytes));
    let help = "Packets by what became of them; the fates overlap.";
    let mut family = Family::counter("h2watch_packets_by_fate_total", help);
    for (fate, count) in [
        ("tcp", packets.tcp),
        ("not_tcp", packets.not_tcp),
        ("not_ip", packets.not_ip),
        ("malformed", packets.malformed),
        ("unsupported_link", packets.unsupported_link),
        ("truncated", packets.truncated),
        ("shortened", packets.shortened),
        ("fragment", packets.fragments),
        ("fragment_lost", packets.fragments_lost),
        ("too_deep", packets.too_deep),
    ] {
        family.add_fixed([("fate", fate)], count);
    }
    out.push(family);
}
