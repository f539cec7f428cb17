//! Key logs, without traffic.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Report;
use crate::engine::Keys;
use crate::model::KeyStats;
use crate::source::keylogs::{is_reachable, is_readable_by_others};
use crate::watch::Options;

/// Larger files are left to the run.
const LARGEST: u64 = 256 << 20;

pub(super) fn logs(options: &Options, report: &mut Report) {
    for path in &options.keylogs {
        log(path, options, report);
    }
    if options.keylogs.is_empty() && options.probe.is_none() && options.plaintext.is_none() {
        report.warn(
            "key log",
            "none set: only clear text can be read",
            "set keylog; `h2watch explain keylog` says how servers write one",
        );
    }
}

fn log(path: &Path, options: &Options, report: &mut Report) {
    let name = path.display();
    let found = match path.metadata() {
        Ok(found) => found,
        Err(error) => {
            let remedy = "a run waits for it; `h2watch explain keylog` says how servers write one";
            report.warn("key log", format!("{name}: {error}"), remedy);
            return;
        }
    };
    if is_readable_by_others(&found) && !found.is_dir() && is_reachable(path) {
        report.warn(
            "key log",
            format!("{name}: others than its owner have rights to it ({:o})", found.mode() & 0o777),
            format!("chmod 600 {name}: who reads it can read the traffic"),
        );
    }
    if let Some(file) = found.is_dir().then(|| exposed_in(path)).flatten() {
        let file = file.display();
        report.warn(
            "key log",
            format!("{file}: others than its owner may read it"),
            format!("chmod 600 {file}, or close {name}: who reads it can read the traffic"),
        );
    }
    if !found.is_file() {
        report.ok("key log", format!("{name}: {}", if found.is_dir() { "a directory" } else { "no regular file" }));
        return;
    }
    let age = found.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok()).map(|age| age.as_secs());
    let age = age.map_or_else(String::new, |seconds| format!(", written {} ago", ago(seconds)));
    if found.len() > LARGEST {
        report.ok("key log", format!("{name}: {} bytes{age}; too long to look through here", found.len()));
        return;
    }
    let mut keys = Keys::new(&options.limits);
    if let Err(error) = keys.file(path) {
        let remedy = "give the user of the run the right to read it";
        report.fail("key log", format!("{name}: cannot be read: {error}"), remedy);
        return;
    }
    let mut stats = KeyStats::default();
    keys.count(&mut stats);
    let KeyStats { secrets, randoms, malformed: (_, malformed), holes, .. } = stats;
    let hole = if holes > 0 { format!(", {holes} NUL bytes passed over") } else { String::new() };
    let found = format!("{name}: {secrets} secrets for {randoms} connections{hole}{age}");
    match (secrets, malformed) {
        (0, 0) => report.warn(
            "key log",
            format!("{name}: empty{age}"),
            "make a new connection to the server: keys are written with each handshake",
        ),
        (0, _) => report.fail("key log", format!("{name}: no line is a key"), "name a key log in the NSS format"),
        (_, 0) => report.ok("key log", found),
        (_, wrong) => {
            report.warn("key log", format!("{found}; {wrong} lines are no keys"), "see what else writes to it")
        }
    }
}

/// What of the key logs is still to be read: what they open is dark until then.
pub(super) fn behind(name: &'static str, bytes: u64, remedy: &str, report: &mut Report) {
    let mebibytes = bytes >> 20;
    if mebibytes > 0 {
        report.warn(name, format!("still reading the key logs, {mebibytes} MiB behind"), remedy);
    }
}

/// A file of a folder that others may read.
fn exposed_in(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let mut exposed = files.filter(|path| path.metadata().is_ok_and(|it| !it.is_dir() && is_readable_by_others(&it)));
    exposed.find(|path| is_reachable(path))
}

/// A span for people.
fn ago(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::PlaintextOptions;

    #[test]
    fn a_key_log_is_missed_where_nothing_else_reads() {
        let said = |options: &Options| {
            let mut report = Report::default();
            logs(options, &mut report);
            report.text()
        };
        assert!(said(&Options::default()).contains("only clear text can be read"));
        let plaintext = Options { plaintext: Some(PlaintextOptions::default()), ..Options::default() };
        assert_eq!(said(&plaintext), "");
    }
}
