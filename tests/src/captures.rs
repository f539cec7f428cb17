//! Where captures are.

use std::path::{Path, PathBuf};

/// The captures that the project ships.
#[must_use]
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// The larger set beside the repository, or where `H2WATCH_SHARED` points; `None` where there is none.
#[must_use]
pub fn shared() -> Option<PathBuf> {
    let place = std::env::var_os("H2WATCH_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let captures = place.join("captures");
    captures.is_dir().then_some(captures)
}

/// Files below `folder` whose name ends with one of `endings`, sorted.
#[must_use]
pub fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Files in `folder` itself whose name ends with one of `endings`, sorted.
#[must_use]
pub fn files_in(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    files(folder, endings).into_iter().filter(|path| path.parent() == Some(folder)).collect()
}

/// The key logs that belong to a capture: a `.keys` file of the same name, and a `log.txt` beside it.
#[must_use]
pub fn keys_of(capture: &Path) -> Vec<PathBuf> {
    let beside = capture.with_file_name("log.txt");
    [capture.with_extension("keys"), beside].into_iter().filter(|path| path.is_file()).collect()
}
