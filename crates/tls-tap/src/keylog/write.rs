use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::keys::{Kind, Random};
use crate::{Secret, Side};

/// Longest line: label, name and secret.
const MAX: usize = 256;

/// A secret as a line of a key log, with its end of line.
#[must_use]
pub fn line(random: &Random, kind: Kind, secret: &Secret) -> Zeroizing<String> {
    // Room from the start, so that no secret is left behind in memory that was outgrown.
    let mut line = Zeroizing::new(String::with_capacity(MAX));
    line.push_str(label(kind));
    for bytes in [random.as_slice(), secret.as_bytes()] {
        line.push(' ');
        for byte in bytes {
            // Writing to a string does not fail.
            let _ = write!(line, "{byte:02x}");
        }
    }
    line.push('\n');
    line
}

const fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::Master => "CLIENT_RANDOM",
        Kind::Early => "CLIENT_EARLY_TRAFFIC_SECRET",
        Kind::Handshake(Side::Client) => "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        Kind::Handshake(Side::Server) => "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        Kind::Traffic(Side::Client) => "CLIENT_TRAFFIC_SECRET_0",
        Kind::Traffic(Side::Server) => "SERVER_TRAFFIC_SECRET_0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyLog, KeyStore};

    #[test]
    fn what_is_written_reads_the_same() {
        let mut log = KeyLog::new();
        let mut store = KeyStore::new(10);
        let sides = [Side::Client, Side::Server];
        let kinds =
            [Kind::Master, Kind::Early].into_iter().chain(sides.map(Kind::Handshake)).chain(sides.map(Kind::Traffic));
        for (kind, byte) in kinds.clone().zip(0..) {
            log.push(line(&[7; 32], kind, &Secret::new(&[byte; 48]).unwrap()).as_bytes(), &mut store);
        }
        for (kind, byte) in kinds.zip(0..) {
            assert_eq!(store.get(&[7; 32]).unwrap().get(kind).unwrap().as_bytes(), [byte; 48]);
        }
    }
}
