//! Who else may read a key log.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where an open file is, when others than its owner may read it there: they have the right to, and every folder above it lets them
/// through. One that was deleted can be reached by nobody.
pub(super) fn exposed(file: &File) -> Option<PathBuf> {
    let metadata = file.metadata().ok()?;
    if metadata.mode() & 0o044 == 0 || metadata.nlink() == 0 {
        return None;
    }
    // The name that it has now: it may have been renamed since it was opened.
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    is_reachable(&path).then_some(path)
}

/// Every folder above a file lets others than the folder's owner through, as far as that can be seen.
#[must_use]
pub fn is_reachable(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return true };
    path.ancestors().skip(1).all(|folder| fs::metadata(folder).map_or(true, |metadata| metadata.mode() & 0o011 != 0))
}
