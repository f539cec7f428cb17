//! `--metrics`: the counts in the Prometheus text format 0.0.4, for the textfile collector and `promtool`.
//!
//! Written here and not by a client library: those encode OpenMetrics, which the textfile collector does not read, from registered
//! atomics, where a replay has one finished value. Every series whose labels are bounded is there, at 0 if need be.

use std::fmt::{self, Display, Write as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::words::{self, KINDS, OUTCOMES, PHASES, RESULTS, SIDES, WHYS};
use crate::model::{DarkWhy, Edge, ErrorCode, Histogram, Protocol, Stats};

const PROTOCOLS: [Protocol; 4] = [Protocol::H2, Protocol::H2c, Protocol::Http1, Protocol::Other];
const FRAMES: [&str; 2] = ["RST_STREAM", "GOAWAY"];
const VERSIONS: [&str; 3] = ["1.2", "1.3", "other"];
const GAPS: [&str; 4] = ["acknowledged", "cap", "end", "truncated"];
const CLOSES: [&str; 7] = ["alert", "evicted", "fin", "idle", "input_ended", "reused", "rst"];

/// Writes the file whole: a reader sees the old one or the new one.
pub(super) fn write(path: &Path, stats: &Stats) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("cannot write the metrics to {}: {error}", path.display());
    let text = render(stats);
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        // A device or a pipe cannot be replaced.
        return std::fs::write(path, text).map_err(fail);
    }
    let beside = beside(path);
    let written = std::fs::File::create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        fail(error)
    })
}

/// In the same folder, so that it can be renamed; not ending in `.prom`, so that no collector reads it.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

pub(super) fn render(stats: &Stats) -> String {
    let mut out = Text(String::with_capacity(64 << 10));
    findings(&mut out, stats);
    traffic(&mut out, stats);
    unseen(&mut out, stats);
    keys(&mut out, stats);
    out.histogram("request_to_reset_seconds", "Time from a stream's first frame to its reset.", &stats.reset_age);
    out.histogram("reset_to_retry_seconds", "Time from a request's last reset to its retry.", &stats.retry_delay);
    out.0
}

fn findings(out: &mut Text, stats: &Stats) {
    out.head("resets_total", "counter", "RST_STREAM and GOAWAY frames.");
    for frame in FRAMES {
        for code in ErrorCode::ALL.iter().copied().map(Some).chain([None]) {
            for sender in SIDES {
                for phase in PHASES {
                    let count: u64 = match code {
                        Some(code) => stats.resets.get(&(frame, code, sender, phase)).copied().unwrap_or(0),
                        None => stats
                            .resets
                            .iter()
                            .filter(|((f, c, s, p), _)| {
                                *f == frame && c.name().is_none() && *s == sender && *p == phase
                            })
                            .map(|(_, count)| count)
                            .sum(),
                    };
                    let error = code.and_then(ErrorCode::name).unwrap_or("other");
                    let (sender, phase) = (words::side(sender), words::phase(phase));
                    let labels = [("frame", frame), ("error", error), ("sender", sender), ("phase", phase)];
                    out.sample("resets_total", &labels, count);
                }
            }
        }
    }
    out.one(
        "unverified_resets_total",
        "Resets that rest on bytes that could not be authenticated.",
        stats.unverified_resets,
    );
    out.head("cases_total", "counter", "Requests that were left without a complete response, by what became of them.");
    for kind in KINDS {
        for outcome in OUTCOMES {
            for edge in Edge::ALL.into_iter().map(Some).chain([None]) {
                let count = stats.cases.get(&(kind, outcome, edge)).copied().unwrap_or(0);
                let (kind, outcome) = (words::kind(kind), words::outcome(outcome));
                out.sample("cases_total", &[("kind", kind), ("outcome", outcome), ("edge", words::edge(edge))], count);
            }
        }
    }
    out.head("cases_by_basis_total", "counter", "Cases by what their outcome rests on.");
    for kind in KINDS {
        for basis in words::BASES {
            let count = stats.bases.get(&(kind, basis)).copied().unwrap_or(0);
            out.sample("cases_by_basis_total", &[("kind", words::kind(kind)), ("basis", words::basis(basis))], count);
        }
    }
    out.head("unknown_cases_total", "counter", "Cases whose outcome is unknown, by reason.");
    for kind in KINDS {
        for why in WHYS {
            let count = stats.unknown.get(&(kind, why)).copied().unwrap_or(0);
            out.sample("unknown_cases_total", &[("kind", words::kind(kind)), ("reason", words::why(why))], count);
        }
    }
    out.head("retries_total", "counter", "Retries of cases by protocol and result.");
    for protocol in PROTOCOLS {
        for result in RESULTS {
            let count = stats.retries.get(&(protocol, result)).copied().unwrap_or(0);
            out.sample("retries_total", &[("protocol", protocol.name()), ("result", words::result(result))], count);
        }
    }
    out.head("origin_errors_total", "counter", "5xx responses that the origin itself sent.");
    for status in [500_u16, 502, 503, 504] {
        let count = stats.origin_errors.get(&status).copied().unwrap_or(0);
        out.sample("origin_errors_total", &[("status", &status.to_string())], count);
    }
    let other = stats.origin_errors.iter().filter(|(status, _)| !matches!(status, 500 | 502 | 503 | 504));
    out.sample("origin_errors_total", &[("status", "other")], other.map(|(_, count)| count).sum::<u64>());
    out.one(
        "suspected_total",
        "Downgrades that are only suspected, because the connection could not be read.",
        stats.suspected,
    );
}

fn traffic(out: &mut Text, stats: &Stats) {
    let seen = &stats.connections;
    out.head("requests_total", "counter", "Requests.");
    for protocol in PROTOCOLS {
        let count = stats.requests.get(&protocol).copied().unwrap_or(0);
        out.sample("requests_total", &[("protocol", protocol.name())], count);
    }
    out.head("responses_total", "counter", "Final responses by status class.");
    for protocol in PROTOCOLS {
        for class in [1, 2, 3, 4, 5, 0] {
            let count = stats.responses.get(&(protocol, class)).copied().unwrap_or(0);
            out.sample("responses_total", &[("protocol", protocol.name()), ("class", words::class(class))], count);
        }
    }
    out.one("connections_seen_total", "TCP connections.", seen.total);
    out.head("connections_total", "counter", "Connections by application protocol, where it is known.");
    for protocol in PROTOCOLS {
        let count = seen.protocols.get(&protocol).copied().unwrap_or(0);
        out.sample("connections_total", &[("protocol", protocol.name())], count);
    }
    out.series("tls_connections_total", "Connections by TLS version.", "version", &VERSIONS, |v| {
        seen.versions.get(v).copied()
    });
    out.series("connections_closed_total", "Connections by how they ended.", "how", &CLOSES, |how| {
        seen.closed.get(how).copied()
    });
    out.one("joined_late_connections_total", "Connections whose start was not in the capture.", seen.joined_late);
    out.one("payload_bytes_total", "TCP payload bytes of the connections.", seen.bytes);
    let packets = &stats.packets;
    out.one("packets_total", "Packets.", packets.packets);
    out.one("packet_bytes_total", "Captured bytes.", packets.bytes);
    out.head("packets_by_fate_total", "counter", "Packets by what became of them; the fates overlap.");
    for (fate, count) in [
        ("tcp", packets.tcp),
        ("not_tcp", packets.not_tcp),
        ("not_ip", packets.not_ip),
        ("malformed", packets.malformed),
        ("unsupported_link", packets.unsupported_link),
        ("truncated", packets.truncated),
        ("fragment", packets.fragments),
        ("fragment_lost", packets.fragments_lost),
        ("too_deep", packets.too_deep),
    ] {
        out.sample("packets_by_fate_total", &[("fate", fate)], count);
    }
}

fn unseen(out: &mut Text, stats: &Stats) {
    let seen = &stats.connections;
    let help = "Connections that could not be read at some time, by reason.";
    out.series("dark_connections_total", help, "reason", &DarkWhy::NAMES, |why| seen.dark.get(why).copied());
    let help = "TCP payload bytes that could not be read, on connections that are or may be HTTP.";
    out.one("unread_bytes_total", help, seen.unread);
    let help = "Holes in the capture by how they were noticed.";
    out.series("gaps_total", help, "reason", &GAPS, |at| stats.gaps.get(at).map(|gap| gap.0));
    out.series("gap_bytes_total", "Bytes in these holes.", "reason", &GAPS, |at| stats.gaps.get(at).map(|gap| gap.1));
    // These names come from the program's own code, never from the wire.
    out.head("anomalies_total", "counter", "Bytes that the protocols do not allow.");
    for (what, count) in &stats.anomalies {
        out.sample("anomalies_total", &[("what", what)], count);
    }
    out.head("capped_total", "counter", "Things dropped at a cap.");
    for (what, count) in &stats.capped {
        out.sample("capped_total", &[("cap", what)], count);
    }
    out.one("packets_lost_total", "Packets that the source says it lost.", stats.input.lost);
    out.one(
        "input_damage_total",
        "Places where the input was damaged; at most 16 are counted.",
        stats.input.damage.len(),
    );
}

fn keys(out: &mut Text, stats: &Stats) {
    let keys = &stats.keys;
    out.one("key_secrets_total", "Key log lines that held a secret.", keys.secrets);
    out.one("key_malformed_lines_total", "Key log lines that could not be read.", keys.malformed.1);
    out.one("key_hole_bytes_total", "NUL bytes in key logs.", keys.holes);
    out.one("key_connections_total", "Connections (client randoms) that the key logs name.", keys.randoms);
    out.one("key_matched_connections_total", "Connections whose key was found.", keys.matched);
    out.one(
        "key_found_late_connections_total",
        "Connections joined late whose key was found by search.",
        keys.found_late,
    );
    out.one("key_trials_total", "Trials of that search.", keys.trials);
    out.head("key_search_exhausted", "gauge", "1 when that search ended at its budget.");
    out.sample("key_search_exhausted", &[], u8::from(keys.exhausted));
}

/// The exposition as it grows. Names are given without their prefix.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP h2watch_{name} {}", Escaped(help)));
        self.line(format_args!("# TYPE h2watch_{name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let mut between = '{';
        self.0.push_str("h2watch_");
        self.0.push_str(name);
        for (label, text) in labels {
            self.0.push(between);
            between = ',';
            // Into memory: cannot fail.
            let _ = write!(self.0, "{label}=\"{}\"", Escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    fn one(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn series(&mut self, name: &str, help: &str, label: &str, all: &[&str], count: impl Fn(&str) -> Option<u64>) {
        self.head(name, "counter", help);
        for text in all {
            self.sample(name, &[(label, text)], count(text).unwrap_or(0));
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut below = 0_u64;
        for (bound, count) in Histogram::BOUNDS.iter().zip(histogram.counts) {
            below = below.saturating_add(count);
            self.sample(&bucket, &[("le", &bound.to_string())], below);
        }
        self.sample(&bucket, &[("le", "+Inf")], histogram.count());
        self.sample(&format!("{name}_sum"), &[], histogram.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), &[], histogram.count());
    }

    fn line(&mut self, text: fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{text}");
    }
}

/// A label's value with backslash, quote and line feed escaped, as the format asks (in HELP the quote need not be, and is not used).
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
