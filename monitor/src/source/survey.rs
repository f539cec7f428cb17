//! Which TLS libraries the processes of a machine have, and what can be had from each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::elf;
use super::probe::{Function, functions};

/// A TLS library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Library {
    /// OpenSSL 3.
    OpenSsl3,
    /// OpenSSL 1.1 or 1.0.
    OpenSsl1,
    /// Go's own.
    Go,
    /// GnuTLS.
    GnuTls,
    /// Mozilla's NSS.
    Nss,
    /// Java's own.
    Java,
    /// BoringSSL, or a library made of it.
    BoringSsl,
    /// rustls.
    Rustls,
    /// OpenSSL 3 or another library that can log keys, inside of a program without the symbols that probes need.
    Unnamed,
}

impl Library {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenSsl3 => "OpenSSL 3",
            Self::OpenSsl1 => "OpenSSL 1",
            Self::Go => "Go",
            Self::GnuTls => "GnuTLS",
            Self::Nss => "NSS",
            Self::Java => "Java",
            Self::BoringSsl => "BoringSSL",
            Self::Rustls => "rustls",
            Self::Unnamed => "a TLS library inside of the program, without symbols",
        }
    }

    /// The key probe reads it.
    #[must_use]
    pub const fn gives_keys(self) -> bool {
        matches!(self, Self::OpenSsl3 | Self::Go)
    }

    /// The plaintext probes read it.
    #[must_use]
    pub const fn gives_plaintext(self) -> bool {
        matches!(self, Self::OpenSsl3 | Self::OpenSsl1 | Self::GnuTls)
    }

    /// That of a shared library's file.
    fn of_file(name: &str) -> Option<Self> {
        let starts = |start: &str| name.starts_with(start);
        match () {
            () if starts("libssl.so.3") => Some(Self::OpenSsl3),
            () if starts("libssl.so.1") => Some(Self::OpenSsl1),
            () if starts("libgnutls.so") => Some(Self::GnuTls),
            // NSS calls its TLS library so, too.
            () if name == "libssl3.so" => Some(Self::Nss),
            () if name == "libjvm.so" => Some(Self::Java),
            () => None,
        }
    }
}

/// A process that has TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Its number.
    pub pid: u32,
    /// Its command.
    pub command: String,
    /// TCP ports that it listens on.
    pub ports: BTreeSet<u16>,
    /// What it has.
    pub libraries: BTreeSet<Library>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Processes that have TLS: those that listen first, then by number.
    pub processes: Vec<Surveyed>,
    /// Processes that could not be looked into, by what the system says to it.
    pub closed: BTreeMap<String, u64>,
}

/// Most processes that are looked at.
const MAX_PROCESSES: usize = 65_536;
/// Longest list that is read of a process: its mappings, its sockets.
const MAX_LIST: u64 = 16 << 20;
/// Most open files of a process that are looked at.
const MAX_OPEN: usize = 65_536;
/// Bytes of a program that are searched for the words of a library.
const MAX_PROGRAM: u64 = 256 << 20;

/// Looks at every process.
#[must_use]
pub fn processes() -> Survey {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).take(MAX_PROCESSES);
    let (mut survey, mut programs) = (Survey::default(), HashMap::new());
    for pid in pids {
        // A kernel thread has no program.
        if fs::read_link(format!("/proc/{pid}/exe")).is_err_and(|error| is_gone(&error)) {
            continue;
        }
        match process(pid, &mut programs) {
            Ok(found) if !found.libraries.is_empty() => survey.processes.push(found),
            Ok(_) => {}
            Err(error) if has_ended(pid, &error) => {}
            Err(error) => *survey.closed.entry(error.to_string()).or_default() += 1,
        }
    }
    survey.processes.sort_by_key(|process| (process.ports.is_empty(), process.pid));
    survey
}

/// What was asked about is not there: a process that has ended, or the program of one that has none.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// The process has ended since it was listed. While it ends, the kernel may call that a permission that is missing.
fn has_ended(pid: u32, error: &io::Error) -> bool {
    is_gone(error) || !Path::new("/proc").join(pid.to_string()).exists()
}

/// Looks at a process.
fn process(pid: u32, programs: &mut HashMap<(u64, u64), BTreeSet<Library>>) -> io::Result<Surveyed> {
    let maps = text(&format!("/proc/{pid}/maps"))?;
    let mut libraries: BTreeSet<Library> = maps
        .lines()
        .filter_map(|line| Library::of_file(line.rsplit('/').next()?.trim_end_matches(" (deleted)")))
        .collect();
    let ports = ports(pid);
    let program = PathBuf::from(format!("/proc/{pid}/exe"));
    let metadata = fs::metadata(&program)?;
    let id = (metadata.dev(), metadata.ino());
    let inside = programs.entry(id).or_insert_with(|| inside(&program));
    // What the words of a program speak of is told where nothing else explains its TLS.
    let explained = !libraries.is_empty();
    libraries.extend(inside.iter().copied().filter(|library| library.gives_keys() || !explained));
    let command = text(&format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned();
    Ok(Surveyed { pid, command, ports, libraries })
}

fn text(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_LIST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The ports that a process listens on.
fn ports(pid: u32) -> BTreeSet<u16> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().take(MAX_OPEN);
    let inode = |path: PathBuf| path.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok();
    let own: BTreeSet<u64> = open.filter_map(|entry| inode(fs::read_link(entry.path()).ok()?)).collect();
    if own.is_empty() {
        return BTreeSet::new();
    }
    let tables = ["tcp", "tcp6"].map(|table| text(&format!("/proc/{pid}/net/{table}")).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines());
    lines.filter_map(listening).filter(|(_, inode)| own.contains(inode)).map(|(port, _)| port).collect()
}

/// Port and inode of a listening socket, from its line.
fn listening(line: &str) -> Option<(u16, u64)> {
    const LISTEN: &str = "0A";
    let words: Vec<&str> = line.split_whitespace().take(10).collect();
    let [_, local, _, LISTEN, .., inode] = words.as_slice() else { return None };
    let (_, port) = local.rsplit_once(':')?;
    Some((u16::from_str_radix(port, 16).ok()?, inode.parse().ok()?))
}

/// The libraries that a program has inside.
fn inside(program: &Path) -> BTreeSet<Library> {
    let Ok(file) = File::open(program) else { return BTreeSet::new() };
    let probed: BTreeSet<Library> = functions(&file)
        .into_iter()
        .map(|(function, _)| match function {
            Function::OpenSsl => Library::OpenSsl3,
            Function::Go => Library::Go,
        })
        .collect();
    if probed.is_empty() { words(program).into_iter().collect() } else { probed }
}

/// The library that the words in a program speak of: every one that can log keys has the labels of the log.
fn words(program: &Path) -> Option<Library> {
    const LABEL: &[u8] = b"CLIENT_HANDSHAKE_TRAFFIC_SECRET";
    let file = File::open(program).ok().filter(elf::is_likely)?;
    if file.metadata().ok()?.len() > MAX_PROGRAM {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_PROGRAM).read_to_end(&mut bytes).ok()?;
    let has = |word: &[u8]| memmem(&bytes, word);
    match () {
        () if !has(LABEL) => None,
        () if has(b"boringssl") || has(b"BoringSSL") => Some(Library::BoringSsl),
        () if has(b"rustls") => Some(Library::Rustls),
        () => Some(Library::Unnamed),
    }
}

/// Whether a word is among the bytes.
fn memmem(bytes: &[u8], word: &[u8]) -> bool {
    let Some((first, rest)) = word.split_first() else { return true };
    let mut from = bytes;
    while let Some(at) = from.iter().position(|byte| byte == first) {
        from = from.get(at + 1..).unwrap_or_default();
        if from.starts_with(rest) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_known_by_their_files() {
        assert_eq!(Library::of_file("libssl.so.3"), Some(Library::OpenSsl3));
        assert_eq!(Library::of_file("libssl.so.1.1"), Some(Library::OpenSsl1));
        assert_eq!(Library::of_file("libssl3.so"), Some(Library::Nss));
        assert_eq!(Library::of_file("libgnutls.so.30.34.3"), Some(Library::GnuTls));
        assert_eq!(Library::of_file("libcrypto.so.3"), None, "no TLS without the other");
    }

    #[test]
    fn a_listening_socket_is_told_from_the_others() {
        let line =
            "   0: 0100007F:24B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0";
        assert_eq!(listening(line), Some((0x24b8, 4_711)));
        assert_eq!(listening(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listening("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn words_are_found_wherever_they_are() {
        assert!(memmem(b"aaab", b"aab") && memmem(b"x", b"x") && !memmem(b"aaa", b"ab") && !memmem(b"", b"a"));
    }

    #[test]
    fn a_process_that_has_ended_is_told_from_one_that_is_closed() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(has_ended(child.id(), &process(child.id(), &mut HashMap::new()).unwrap_err()));
        let denied = io::Error::from_raw_os_error(libc::EACCES);
        assert!(has_ended(child.id(), &denied) && !has_ended(std::process::id(), &denied));
        assert!(has_ended(std::process::id(), &io::Error::from_raw_os_error(libc::ESRCH)));
    }

    #[test]
    fn this_process_listens_where_it_does() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(ports(std::process::id()).contains(&socket.local_addr().unwrap().port()));
    }
}
