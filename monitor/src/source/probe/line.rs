//! Secrets as lines of a key log: what the rest of the program reads keys from.

use std::fmt::Write as _;

use probe_abi::secret::{SecretRecord, kind};
use zeroize::Zeroizing;

use crate::model::SecretName;

/// Longest line: label, name of 48 bytes, secret of 48 bytes.
const MAX: usize = 256;

/// The line of a record, and what names its connection. `None`: it is of no known form, which a process that was not what it seemed may cause.
///
/// TLS 1.3 secrets of OpenSSL have no client random with them, and stand under the hash of their transcript.
pub(super) fn of(record: &SecretRecord) -> Option<(Zeroizing<String>, SecretName)> {
    let (name, secret) = (record.name(), record.secret());
    // Room from the start, so that no secret is left behind in memory that was outgrown.
    let mut line = Zeroizing::new(String::with_capacity(MAX));
    let label = match record.kind {
        kind::HANDSHAKE | kind::EARLY if name.len() == secret.len() && matches!(name.len(), 32 | 48) => {
            "TLS13_TRANSCRIPT_SECRET"
        }
        kind::TLS12 if name.len() == 64 && secret.len() == 48 => "CLIENT_RANDOM",
        kind::LOGGED if name.len() == 32 && matches!(secret.len(), 32 | 48) => {
            let label = std::str::from_utf8(record.label()).ok()?;
            let is_label = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            (!label.is_empty() && label.chars().all(is_label)).then_some(label)?
        }
        _ => return None,
    };
    // The server random stands first; a key log names a connection by the client's.
    let name = if record.kind == kind::TLS12 { name.get(32..)? } else { name };
    line.push_str(label);
    for bytes in [name, secret] {
        line.push(' ');
        for byte in bytes {
            write!(line, "{byte:02x}").ok()?;
        }
    }
    line.push('\n');
    Some((line, *name.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, name: &[u8], secret: &[u8], label: &[u8]) -> SecretRecord {
        let mut record = SecretRecord { kind, ..SecretRecord::EMPTY };
        record.name[..name.len()].copy_from_slice(name);
        record.secret[..secret.len()].copy_from_slice(secret);
        record.label[..label.len()].copy_from_slice(label);
        record.name_len = u32::try_from(name.len()).unwrap();
        record.secret_len = u32::try_from(secret.len()).unwrap();
        record.label_len = u32::try_from(label.len()).unwrap();
        record
    }

    #[test]
    fn each_kind_has_its_line() {
        let text = |record: SecretRecord| of(&record).map(|(line, _)| line.to_string());
        let hex = |byte: &str, count: usize| byte.repeat(count);
        assert_eq!(
            text(record(kind::HANDSHAKE, &[1; 48], &[2; 48], &[])).unwrap(),
            format!("TLS13_TRANSCRIPT_SECRET {} {}\n", hex("01", 48), hex("02", 48))
        );
        let mut randoms = [3; 64];
        randoms[32..].fill(4);
        assert_eq!(
            text(record(kind::TLS12, &randoms, &[5; 48], &[])).unwrap(),
            format!("CLIENT_RANDOM {} {}\n", hex("04", 32), hex("05", 48))
        );
        assert_eq!(
            text(record(kind::LOGGED, &[6; 32], &[7; 32], b"CLIENT_TRAFFIC_SECRET_0")).unwrap(),
            format!("CLIENT_TRAFFIC_SECRET_0 {} {}\n", hex("06", 32), hex("07", 32))
        );
    }

    #[test]
    fn what_a_process_makes_up_is_refused() {
        assert!(of(&record(kind::HANDSHAKE, &[1; 32], &[2; 48], &[])).is_none());
        assert!(of(&record(kind::TLS12, &[1; 64], &[2; 32], &[])).is_none());
        for label in [&b"a b"[..], b"X\nCLIENT_RANDOM", b"", b"\xff"] {
            assert!(of(&record(kind::LOGGED, &[1; 32], &[2; 32], label)).is_none());
        }
        assert!(of(&record(99, &[1; 32], &[2; 32], &[])).is_none());
    }
}
