use super::*;
use crate::side::Side;
use std::path::PathBuf;

fn read(pieces: &[&[u8]]) -> (KeyStore, Counts) {
    let mut store = KeyStore::new(1000);
    let mut log = KeyLog::new();
    for piece in pieces {
        log.push(piece, &mut store);
    }
    log.finish(&mut store);
    (store, log.counts().clone())
}

fn line(label: &str, random: u8, secret: u8, len: usize) -> String {
    format!("{label} {} {}\n", format!("{random:02x}").repeat(32), format!("{secret:02X}").repeat(len))
}

#[test]
fn every_label() {
    let text = [
        line("CLIENT_RANDOM", 1, 2, 48),
        line("CLIENT_EARLY_TRAFFIC_SECRET", 1, 3, 32),
        line("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 1, 4, 32),
        line("SERVER_HANDSHAKE_TRAFFIC_SECRET", 1, 5, 48),
        line("CLIENT_TRAFFIC_SECRET_0", 1, 6, 48),
        line("SERVER_TRAFFIC_SECRET_0", 1, 7, 48),
        line("SERVER_TRAFFIC_SECRET_12", 1, 8, 48),
        line("EXPORTER_SECRET", 1, 9, 48),
        line("EARLY_EXPORTER_SECRET", 1, 9, 32),
        line("ECH_SECRET", 1, 9, 32),
        "# a comment\r\n\r\n".into(),
        format!("RSA Session-ID:{} Master-Key:{}\r\n", "0a".repeat(32), "0b".repeat(48)),
        format!("RSA 0102030405060708 {}\n", "0c".repeat(48)),
    ]
    .concat();
    let (store, counts) = read(&[text.as_bytes()]);
    let secrets = store.get(&[1; 32]).unwrap();
    let bytes = |secret: Option<&crate::Secret>| secret.map(|s| (s.as_bytes()[0], s.as_bytes().len()));
    assert_eq!(bytes(secrets.master.as_ref()), Some((2, 48)));
    assert_eq!(bytes(secrets.early.as_ref()), Some((3, 32)));
    assert_eq!(bytes(secrets.handshake(Side::Client)), Some((4, 32)));
    assert_eq!(bytes(secrets.handshake(Side::Server)), Some((5, 48)));
    assert_eq!(bytes(secrets.traffic(Side::Client)), Some((6, 48)));
    assert_eq!(bytes(secrets.traffic(Side::Server)), Some((7, 48)));
    assert_eq!(bytes(store.session(&[10; 32])), Some((11, 48)));
    assert_eq!(bytes(store.premaster(&[1, 2, 3, 4, 5, 6, 7, 8])), Some((12, 48)));
    let expected = Counts { lines: 14, secrets: 8, unused: 3, unknown: 1, comments: 1, ..Counts::default() };
    assert_eq!(counts, expected);
}

#[test]
fn malformed_lines_are_named_by_number_alone() {
    let good = line("CLIENT_RANDOM", 1, 2, 48);
    let text = format!(
        "{good}CLIENT_RANDOM 00 11\n{}{}client_random x y\nCLIENT_RANDOM {}\n{good}{}{}\n",
        line("CLIENT_RANDOM", 1, 2, 32),
        line("CLIENT_TRAFFIC_SECRET_0", 1, 2, 47),
        "zz".repeat(32),
        good.trim_end(),
        " trailing",
    );
    let (_, counts) = read(&[text.as_bytes()]);
    assert_eq!((counts.malformed, counts.malformed_lines), (6, vec![2, 3, 4, 5, 6, 8]));
    let (_, counts) = read(&["?\n".repeat(100).as_bytes()]);
    assert_eq!((counts.malformed, counts.malformed_lines), (100, (1..=16).collect()));
}

#[test]
fn a_long_line_is_malformed_however_it_arrives() {
    let long = vec![b'A'; 5000];
    let (_, counts) = read(&[&long, b"\n", line("CLIENT_RANDOM", 1, 2, 48).as_bytes()]);
    assert_eq!((counts.lines, counts.malformed, counts.secrets), (2, 1, 1));
    let whole = [&long[..], b"\n"].concat();
    assert_eq!(read(&[&whole]).1.malformed, 1);
}

#[test]
fn a_hole_is_no_error_wherever_it_is() {
    let good = line("CLIENT_RANDOM", 1, 2, 48);
    let other = line("CLIENT_RANDOM", 3, 4, 48);
    let hole = vec![0; 3 << 20];
    let text = [&hole[..], good.as_bytes(), &hole, &hole, &other.as_bytes()[100..], other.as_bytes(), &hole].concat();
    for size in [text.len(), 4096, 100_001] {
        let pieces: Vec<_> = text.chunks(size).collect();
        let (store, counts) = read(&pieces);
        assert_eq!((store.len(), counts.secrets, counts.malformed), (2, 2, 0));
        assert_eq!(counts.nul_bytes, 4 * (3 << 20));
    }
}

#[test]
fn what_a_hole_damages_is_told_and_what_it_leaves_is_not() {
    let good = line("CLIENT_RANDOM", 1, 2, 48);
    let malformed = |pieces: &[&str]| {
        let (_, counts) = read(&[pieces.concat().as_bytes()]);
        (counts.malformed, counts.malformed_lines, counts.secrets)
    };
    let hole = "\0".repeat(500);
    for at in 1..good.len() - 1 {
        let (front, rest) = good.split_at(at);
        assert_eq!(malformed(&[&hole, rest, &good]).0, 0, "{rest}: its front is the hole");
        let zeroed = malformed(&[&good, front, &hole, rest, &good]);
        assert_eq!(zeroed.0, u64::from(at < good.len() - 1), "{front}: zeros within a line");
        assert_eq!(zeroed.2, 2, "{front}");
    }
    assert_eq!(malformed(&[&good, &hole, "not a key\n", &good]), (1, vec![2], 2));
    assert_eq!(malformed(&[&hole, "CLIENT_RANDOM 00 11\n", &good]), (1, vec![1], 1));
    assert_eq!(malformed(&[&"A".repeat(5_000), &hole, &good]), (1, vec![1], 1));
}

#[test]
fn what_is_no_text_is_told_once() {
    let good = line("CLIENT_RANDOM", 1, 2, 48);
    let utf16 = |mark: &[u8], order: fn(u16) -> [u8; 2]| {
        [mark.to_vec(), good.repeat(50).encode_utf16().flat_map(order).collect()].concat()
    };
    for (bytes, form) in [
        (utf16(b"\xff\xfe", u16::to_le_bytes), Form::Utf16),
        (utf16(b"", u16::to_le_bytes), Form::Utf16),
        (utf16(b"", u16::to_be_bytes), Form::Utf16),
        ([&[0x1f, 0x8b, 8, 0][..], &[7; 5_000]].concat(), Form::Compressed),
    ] {
        for size in [1, 3, 4_096] {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            let counts = read(&pieces).1;
            assert_eq!((counts.form, counts.malformed, counts.lines, counts.nul_bytes), (Some(form), 1, 1, 0));
        }
    }
    let (_, counts) = read(&[b"\xd4\xc3\xb2\xa1\n", good.as_bytes()]);
    assert_eq!((counts.form, counts.malformed, counts.secrets), (Some(Form::Binary), 1, 1));
    let (_, counts) = read(&["\u{feff}".as_bytes(), good.as_bytes()]);
    assert_eq!((counts.malformed, counts.secrets), (0, 1), "a byte order mark is passed over");
    for text in [&b"\xef\xbb\xbfCLIENT"[..], b"#\xc3\xa9", b"\0\0\0\0", b"\r\n", b"C", b""] {
        assert_eq!(read(&[text]).1.form, None, "{text:?}");
    }
}

#[test]
fn the_last_line_may_lack_its_end_and_cuts_do_not_matter() {
    let text = [line("CLIENT_RANDOM", 1, 2, 48), line("CLIENT_TRAFFIC_SECRET_0", 3, 4, 48)].concat();
    let text = text.trim_end().as_bytes();
    for at in 0..text.len() {
        let (store, counts) = read(&[&text[..at], &text[at..]]);
        assert_eq!((store.len(), counts.secrets, counts.lines, counts.malformed), (2, 2, 2, 0));
    }
}

#[test]
fn a_real_log() {
    let shared = std::env::var_os("H2WATCH_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let Ok(text) = std::fs::read(shared.join("captures/third-party/ssldump/log.txt")) else {
        println!("skipped: the shared captures are not here");
        return;
    };
    let (store, counts) = read(&[&text]);
    assert_eq!((counts.malformed, counts.unknown), (0, 0));
    assert_eq!((counts.secrets, counts.unused), (33, 8));
    assert_eq!((store.len(), store.iter_tls13().count()), (9, 8));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_in_any_cuts_count_the_same(
        bytes in proptest::collection::vec(proptest::sample::select(&b"\0\0\n\r #RSAz0 1_"[..]), 0..600),
        cut in 1_usize..50,
    ) {
        let pieces: Vec<_> = bytes.chunks(cut).collect();
        assert_eq!(read(&pieces).1, read(&[&bytes]).1);
    }
}
