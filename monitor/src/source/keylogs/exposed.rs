//! Who else may read a key log.

use std::fs::{self, File, Metadata};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where an open file is, when others than its owner, and than a group of this process, may read it there: they have the right to, and
/// every folder above it lets them through. One that was deleted can be reached by nobody.
pub(super) fn exposed(file: &File) -> Option<PathBuf> {
    let metadata = file.metadata().ok()?;
    if !is_readable_by_others(&metadata) || metadata.nlink() == 0 {
        return None;
    }
    // The name that it has now: it may have been renamed since it was opened.
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    is_reachable(&path).then_some(path)
}

/// Others than its owner, and than a group of this process, have the right to read a file.
#[must_use]
pub fn is_readable_by_others(metadata: &Metadata) -> bool {
    const GROUP: u32 = 0o040;
    const OTHERS: u32 = 0o004;
    metadata.mode() & OTHERS != 0 || (metadata.mode() & GROUP != 0 && !is_own(metadata.gid()))
}

/// This process has the rights of a group: that is how it is let read a key log of somebody else.
fn is_own(group: u32) -> bool {
    let of = |gid: rustix::process::Gid| gid.as_raw() == group;
    of(rustix::process::getegid()) || rustix::process::getgroups().is_ok_and(|groups| groups.into_iter().any(of))
}

/// Every folder above a file lets others than the folder's owner through, as far as that can be seen.
#[must_use]
pub fn is_reachable(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return true };
    path.ancestors().skip(1).all(|folder| fs::metadata(folder).map_or(true, |metadata| metadata.mode() & 0o011 != 0))
}
