//! Processes as procfs has them.

use std::collections::HashSet;
use std::fs;

/// Every process, by number.
pub(super) fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The parent, and when the process started (clock ticks since boot): a number alone may be used again. `None`: it is not there.
pub(super) fn stat(pid: u32) -> Option<(u32, u64)> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&String::from_utf8_lossy(&text))
}

/// All its threads have ended, and whoever started it has not asked how.
pub(super) fn has_ended(pid: u32) -> bool {
    let text = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    is_dead(&String::from_utf8_lossy(&text))
}

fn is_dead(text: &str) -> bool {
    let mut words = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let state = words.next();
    // A first thread that has ended before the others is counted until the last has.
    matches!(state, Some("Z" | "X")) && words.nth(16).is_some_and(|threads| matches!(threads, "0" | "1"))
}

fn parse_stat(text: &str) -> Option<(u32, u64)> {
    // The command may hold anything, parentheses too.
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    let parent = words.nth(1)?.parse().ok()?;
    let started = words.nth(17)?.parse().ok()?;
    Some((parent, started))
}

/// The command name, at most 15 bytes.
pub(super) fn command(pid: u32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned())
}

/// The lines that name its control groups.
pub(super) fn cgroups(pid: u32) -> Option<String> {
    let text = fs::read(format!("/proc/{pid}/cgroup")).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// An executable mapping of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// Its addresses, as `map_files` names it.
    pub(super) range: String,
    /// The file's inode.
    pub(super) inode: u64,
    /// The file's path, as the process's mounts name it.
    pub(super) path: String,
}

/// Longest list of mappings that is read.
const MAX_MAPPINGS: usize = 65_536;
/// Most files of one process that are looked at.
const MAX_FILES: usize = 1_024;

/// The files that a process runs code from, each once.
pub(super) fn mappings(pid: u32) -> Vec<Mapping> {
    let text = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut seen = HashSet::new();
    let lines = text.split(|byte| *byte == b'\n').take(MAX_MAPPINGS);
    let files = lines.filter_map(|line| executable(std::str::from_utf8(line).ok()?));
    files
        .filter(|(device, file)| seen.insert((device.to_string(), file.inode)))
        .map(|(_, file)| file)
        .take(MAX_FILES)
        .collect()
}

/// The device, and an executable mapping of a file on it.
fn executable(line: &str) -> Option<(&str, Mapping)> {
    let mut words = line.splitn(6, ' ');
    let range = words.next()?;
    let permissions = words.next()?;
    let (_, device, inode) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
    let path = words.next()?.trim_start();
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    (permissions.contains('x') && inode != 0 && path.starts_with('/'))
        .then(|| (device, Mapping { range: range.to_owned(), inode, path: path.to_owned() }))
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
        assert!(!is_dead(text) && !has_ended(std::process::id()));
        assert!(is_dead(&text.replace("b) S", "b) Z")));
        assert!(!is_dead(&text.replace("b) S", "b) Z").replace(" 20 0 1 0 ", " 20 0 2 0 ")), "others live");
    }

    #[test]
    fn executable_mappings_are_told_from_the_others() {
        let line = "7f00-7f10 r-xp 00001000 fe:01 77                      /usr/lib/lib a.so (deleted)";
        let mapping = Mapping { range: "7f00-7f10".into(), inode: 77, path: "/usr/lib/lib a.so".into() };
        assert_eq!(executable(line), Some(("fe:01", mapping)));
        assert_eq!(executable("7f00-7f10 r--p 00001000 fe:01 77  /usr/lib/a.so"), None);
        assert_eq!(executable("7f00-7f10 r-xp 00000000 00:00 0  [vdso]"), None);
        assert_eq!(executable("7f00-7f10 r-xp 00000000 00:00 0 "), None);
    }
}
