use tls_tap::{KeyLog, KeyStore};

/// Reads a key log in one piece and in small ones.
pub(crate) fn keylog(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    for size in [1, 7] {
        assert_eq!(whole, read(bytes, size), "in pieces of {size}");
    }
}

fn read(bytes: &[u8], size: usize) -> String {
    let mut store = KeyStore::new(4);
    let mut log = KeyLog::new();
    for piece in bytes.chunks(size) {
        log.push(piece, &mut store);
    }
    log.finish(&mut store);
    assert!(store.len() <= 4);
    let counts = log.counts();
    let lines = counts.secrets + counts.unused + counts.unknown + counts.comments + counts.malformed;
    assert!(lines <= counts.lines, "{counts:?}");
    assert!(counts.nul_bytes <= bytes.len() as u64);
    let tls13: Vec<_> = store.iter_tls13().map(|(random, secrets)| (*random, secrets.clone())).collect();
    format!("{counts:?} {store:?} {tls13:?}")
}
