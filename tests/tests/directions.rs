//! Captures of one direction alone, as a filter or a mirror port with one side gives them: they never pass for a clean bill.

use std::fs;
use std::path::{Path, PathBuf};

use h2watch_tests::{captures, program};

/// Type of a pcapng block with a packet.
const PACKET: u32 = 6;

/// Who sends: the higher port is the client's in every shipped capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

/// Writes a little-endian pcapng of Ethernet, IPv4 and TCP with the packets of one direction, and everything else.
fn direction(capture: &Path, keep: From, to: &Path) {
    let bytes = fs::read(capture).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut kept = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + word(at + 4) as usize;
        let sent = || {
            let ip = at + 28 + 14;
            let tcp = ip + usize::from(bytes[ip] & 15) * 4;
            let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            if port(tcp) > port(tcp + 2) { From::Client } else { From::Server }
        };
        if word(at) != PACKET || sent() == keep {
            kept.extend_from_slice(&bytes[at..end]);
        }
        at = end;
    }
    fs::write(to, kept).unwrap();
}

fn shipped() -> Vec<PathBuf> {
    captures::files_in(&captures::shipped(), &[".pcapng"])
}

#[test]
fn one_direction_alone_is_never_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for capture in shipped() {
        for keep in [From::Client, From::Server] {
            let file = folder.path().join("one.pcapng");
            direction(&capture, keep, &file);
            let run = program::run(["replay", file.to_str().unwrap(), "--format", "json"]);
            assert!([1, 4].contains(&run.status), "{} {keep:?}: {}", capture.display(), run.stdout);
            assert!(!run.stdout.contains("\"verdict\":\"nothing\""), "{} {keep:?}: {}", capture.display(), run.stdout);
            let missing = if keep == From::Client { "server" } else { "client" };
            let told = format!("\"one_way\":[{{\"sender\":\"{missing}\",\"count\":");
            assert!(run.stdout.contains(&told), "{} {keep:?}: {}", capture.display(), run.stdout);
        }
    }
}

#[test]
fn the_missing_direction_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let capture = captures::shipped().join("kestrel-haproxy-502.pcapng");
    for (keep, missing) in [(From::Client, "server"), (From::Server, "client")] {
        let file = folder.path().join("one.pcapng");
        direction(&capture, keep, &file);
        let run = program::run(["replay", file.to_str().unwrap()]);
        assert_eq!(run.status, 4, "{}", run.stdout);
        let text = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&format!("To do: capture both directions: no packet of the {missing}'s side")), "{text}");
    }
}
