//! An archive in the format that Linux unpacks as its first file system ("newc" of cpio).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FILE: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

/// The archive in the making.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    /// What is in it, as absolute paths.
    paths: BTreeSet<PathBuf>,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, data: &[u8]) {
        self.entries += 1;
        let len = data.len() as u32;
        let fields = [self.entries, mode, 0, 0, 1, 0, len, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(data);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Adds a folder, and those that it lies in.
    pub(super) fn folder(&mut self, path: &Path) {
        if path.parent().is_none() || !self.paths.insert(path.to_owned()) {
            return;
        }
        if let Some(parent) = path.parent() {
            self.folder(parent);
        }
        self.entry(&inside(path), FOLDER | 0o755, &[]);
    }

    /// Adds a file with this content.
    pub(super) fn content(&mut self, path: &Path, mode: u32, data: &[u8]) {
        if let Some(parent) = path.parent() {
            self.folder(parent);
        }
        if self.paths.insert(path.to_owned()) {
            self.entry(&inside(path), FILE | mode, data);
        }
    }

    /// Adds a file of this machine.
    pub(super) fn file(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mode = fs::metadata(from)?.permissions().mode() & 0o777;
        self.content(to, mode, &fs::read(from)?);
        Ok(())
    }

    /// Adds a program or library, and the libraries that it loads, where they lie on this machine.
    pub(super) fn program(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.file(from, to)?;
        for library in libraries(from) {
            self.file(&library, &library)?;
        }
        Ok(())
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

/// A path as the archive names it.
fn inside(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}

/// The libraries that a program loads at its start; none where it is linked statically.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let Ok(output) = Command::new("ldd").arg(program).stderr(Stdio::null()).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    text.lines().filter_map(path).filter(|path| path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_folders_come_first() {
        let mut archive = Archive::default();
        archive.content(Path::new("/a/b/c"), 0o644, b"hello");
        archive.content(Path::new("/a/b/c"), 0o644, b"twice");
        let bytes = archive.finish();
        let names: Vec<usize> = [&b"a\0"[..], b"a/b\0", b"a/b/c\0", b"hello", b"TRAILER!!!\0"]
            .iter()
            .map(|name| find(&bytes, name))
            .collect();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(names[3] % 4, 0);
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(&bytes[..6], b"070701");
        assert!(!bytes.windows(5).any(|window| window == b"twice"));
    }

    fn find(bytes: &[u8], wanted: &[u8]) -> usize {
        let boundary = |at: usize| at.checked_sub(110).is_some_and(|at| bytes[at..].starts_with(b"070701"));
        let mut found = bytes.windows(wanted.len()).enumerate().filter(|(_, window)| window == &wanted);
        found.find(|(at, _)| boundary(*at) || wanted == b"hello").unwrap().0
    }
}
