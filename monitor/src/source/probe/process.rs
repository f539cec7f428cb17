//! Processes and the files that they run, as procfs has them.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, whatever the name and the container under which a process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self { device: metadata.dev(), number: metadata.ino() })
    }

    pub(super) fn root_of(pid: u32) -> Option<Self> {
        let metadata = fs::metadata(format!("/proc/{pid}/root/")).ok()?;
        Some(Self { device: metadata.dev(), number: metadata.ino() })
    }
}

/// Where OpenSSL 3 lies in the distributions: to be there before a process loads it.
pub(super) const USUAL: [&str; 6] = [
    "usr/lib/x86_64-linux-gnu/libcrypto.so.3",
    "usr/lib/aarch64-linux-gnu/libcrypto.so.3",
    "usr/lib64/libcrypto.so.3",
    "usr/lib/libcrypto.so.3",
    "lib/libcrypto.so.3",
    "usr/local/lib/libcrypto.so.3",
];

/// Every process, by number.
pub(super) fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The parent, and when the process started: a number alone may be used again. `None`: it is not there, or is a kernel thread.
pub(super) fn stat(pid: u32) -> Option<(u32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&text)
}

fn parse_stat(text: &str) -> Option<(u32, u64)> {
    // The command may hold anything, parentheses too.
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    let parent = words.nth(1)?.parse().ok()?;
    let started = words.nth(17)?.parse().ok()?;
    Some((parent, started))
}

/// Longest list of mappings that is read.
const MAX_MAPPINGS: usize = 65_536;

/// The files that a process runs code from, as paths that lead to the very files.
pub(super) fn files(pid: u32) -> Vec<PathBuf> {
    let Ok(maps) = fs::read(format!("/proc/{pid}/maps")) else { return Vec::new() };
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for line in maps.split(|byte| *byte == b'\n').take(MAX_MAPPINGS) {
        let Some((range, number, path)) = std::str::from_utf8(line).ok().and_then(executable) else { continue };
        if found.iter().any(|(known, _)| *known == number) {
            continue;
        }
        let inside = PathBuf::from(format!("/proc/{pid}/root{path}"));
        // Replaced since: its mapping still leads to it.
        let same = fs::metadata(&inside).is_ok_and(|metadata| metadata.ino() == number);
        found.push((number, if same { inside } else { PathBuf::from(format!("/proc/{pid}/map_files/{range}")) }));
    }
    found.into_iter().map(|(_, path)| path).collect()
}

/// Range, inode and path of an executable mapping of a file.
fn executable(line: &str) -> Option<(&str, u64, &str)> {
    let mut words = line.splitn(6, ' ');
    let range = words.next()?;
    let permissions = words.next()?;
    let (_, _, number) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
    let path = words.next()?.trim_start();
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    (permissions.contains('x') && number != 0 && path.starts_with('/')).then_some((range, number, path))
}

/// Opens a file to look into it.
pub(super) fn open(path: &Path) -> Option<File> {
    File::open(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_command() {
        let text = "12 (a) b) S 7 12 12 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 2";
        assert_eq!(parse_stat(text), Some((7, 4242)));
        assert_eq!(parse_stat("12 (a"), None);
        assert!(stat(std::process::id()).is_some());
    }

    #[test]
    fn executable_mappings_are_told_from_the_others() {
        let line = "7f00-7f10 r-xp 00001000 fe:01 77                      /usr/lib/lib a.so (deleted)";
        assert_eq!(executable(line), Some(("7f00-7f10", 77, "/usr/lib/lib a.so")));
        assert_eq!(executable("7f00-7f10 r--p 00001000 fe:01 77  /usr/lib/a.so"), None);
        assert_eq!(executable("7f00-7f10 r-xp 00000000 00:00 0  [vdso]"), None);
        assert_eq!(executable("7f00-7f10 r-xp 00000000 00:00 0 "), None);
    }

    #[test]
    fn this_process_runs_its_own_file() {
        let own = Inode::of(&std::env::current_exe().unwrap()).unwrap();
        assert!(files(std::process::id()).iter().any(|path| Inode::of(path) == Some(own)));
    }
}
