use std::fs;
use std::path::Path;

/// Runs a target over its kept corpus, and over what begins like it.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let files: Vec<_> = fs::read_dir(&folder).expect("a corpus").flatten().map(|entry| entry.path()).collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    target(&[]);
    for file in files {
        let bytes = fs::read(&file).expect("a readable file");
        println!("{}", file.display());
        target(&bytes);
        target(&bytes[..bytes.len() / 2]);
    }
}

macro_rules! corpora {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name), crate::$name);
        })*
    };
}

corpora!(pcap pcapng packet keylog hpack h2_frames tls_records tls_handshake plaintext pipeline);
