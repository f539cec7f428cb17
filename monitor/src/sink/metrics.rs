//! `--metrics`: the counts of a replay in the Prometheus text format 0.0.4, for the textfile collector and `promtool`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::export::{self, Format};
use crate::model::Stats;

/// Whether the file could be written, so that this is known before the work.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("cannot write the metrics to {}: {error}", path.display());
    match path.metadata() {
        Ok(found) if found.is_dir() => Err(fail(std::io::ErrorKind::IsADirectory.into())),
        // To open a pipe would wait for its reader.
        Ok(found) if !found.is_file() => Ok(()),
        _ => {
            let beside = beside(path);
            std::fs::File::create(&beside).and_then(|_| std::fs::remove_file(&beside)).map_err(fail)
        }
    }
}

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
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        fail(error)
    })
}

pub(super) fn render(stats: &Stats) -> Vec<u8> {
    export::encode_families(export::families_of_stats(stats), Format::Text)
}

/// In the same folder, so that it can be renamed; not ending in `.prom`, so that no collector reads it.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}
