//! Files by what they are, whatever the name and the container under which a process sees them.

use std::fs::{File, Metadata};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use super::procfs::Mapping;

/// Where a file lies: the same for every path that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    device: u64,
    number: u64,
}

/// A file, as it stands: another one when it is written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    pub(super) place: Place,
    size: u64,
    modified: (i64, i64),
}

impl FileId {
    pub(in crate::source) fn of(metadata: &Metadata) -> Self {
        Self {
            place: Place { device: metadata.dev(), number: metadata.ino() },
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// What a path leads to now; `None`: no regular file.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().filter(Metadata::is_file).map(|metadata| Self::of(&metadata))
    }
}

/// A regular file that was found: not opened for reading yet, and no longer to be replaced under its name.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) id: FileId,
    /// A path that led to it, for people.
    pub(super) path: PathBuf,
    handle: File,
}

impl Located {
    fn new(handle: OwnedFd, path: PathBuf) -> Option<Self> {
        let handle = File::from(handle);
        let metadata = handle.metadata().ok().filter(Metadata::is_file)?;
        Some(Self { id: FileId::of(&metadata), path, handle })
    }

    /// By a path of this program's own, or of procfs.
    fn at(path: String) -> Option<Self> {
        let handle = openat(CWD, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        Self::new(handle, path.into())
    }

    const fn number(&self) -> u64 {
        self.id.place.number
    }

    /// Opens it for reading.
    pub(super) fn open(&self) -> Option<File> {
        File::open(format!("/proc/self/fd/{}", self.handle.as_raw_fd())).ok()
    }
}

/// The root folder of a process.
#[derive(Debug)]
pub(super) struct Root {
    pid: u32,
    handle: File,
}

impl Root {
    pub(super) fn of(pid: u32) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = openat(CWD, format!("/proc/{pid}/root"), flags, Mode::empty()).ok()?;
        Some(Self { pid, handle: handle.into() })
    }

    /// A file below it. No link leads out of it: a container does not choose what of the host is opened.
    pub(super) fn file(&self, path: &str) -> Option<Located> {
        let path = path.trim_start_matches('/');
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let handle = openat2(&self.handle, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
        Located::new(handle, format!("/proc/{}/root/{path}", self.pid).into())
    }

    /// The file of a mapping.
    pub(super) fn mapped(&self, mapping: &Mapping) -> Option<Located> {
        let Mapping { range, inode, path } = mapping;
        let same = |file: &Located| file.number() == *inode;
        let named = self.file(path);
        if named.as_ref().is_some_and(same) {
            return named;
        }
        // Replaced since: the process itself still leads to its program, and, with more privileges, to every mapping. One that has changed its
        // root may have mapped the file before. Last, an older overlayfs shows a mapping under another number than the file.
        let pid = self.pid;
        Located::at(format!("/proc/{pid}/exe"))
            .filter(same)
            .or_else(|| Located::at(format!("/proc/{pid}/map_files/{range}")).filter(same))
            .or_else(|| Located::at(path.clone()).filter(same))
            .or(named)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_do_not_lead_out_of_a_root() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path();
        std::fs::write(inside.join("hostname"), "x").unwrap();
        std::fs::create_dir(inside.join("etc")).unwrap();
        std::fs::write(inside.join("etc/passwd"), "inside").unwrap();
        symlink("/etc/passwd", inside.join("link")).unwrap();
        symlink("../../../../../../etc/passwd", inside.join("up")).unwrap();
        let handle = File::open(inside).unwrap();
        let root = Root { pid: std::process::id(), handle };
        let own = FileId::of_path(&inside.join("etc/passwd")).unwrap();
        for name in ["link", "/up", "etc/passwd"] {
            assert_eq!(root.file(name).unwrap().id, own, "{name}");
        }
        assert!(root.file("etc").is_none(), "no regular file");
        assert!(root.file("none").is_none());
    }

    #[test]
    fn a_file_is_known_by_every_name_and_until_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::write(&one, "1").unwrap();
        std::fs::hard_link(&one, &other).unwrap();
        let before = FileId::of_path(&one).unwrap();
        assert_eq!(FileId::of_path(&other), Some(before));
        std::fs::write(&one, "22").unwrap();
        let after = FileId::of_path(&one).unwrap();
        assert!(before != after && before.place == after.place);
    }
}
