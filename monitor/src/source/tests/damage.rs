use super::build::{self, Endian, block, enhanced, interface, pcap, section, small_pcapng};
use super::{Seen, both, fresh, piped, read};
use crate::source::{OpenedInputs, SourceError};

/// Cuts a file at every byte: what comes whole before the cut is seen, and a cut inside something is told.
/// `at_end`: packets that end with the file.
fn cut_everywhere(file: &[u8], header: usize, at_end: usize) {
    let whole = both(file);
    let mut most = 0;
    for at in 0..file.len() {
        let seen = both(&file[..at]);
        assert_eq!(seen.packets, whole.packets[..seen.packets.len()]);
        assert!(seen.packets.len() >= most, "cut at {at}");
        most = seen.packets.len();
        assert_eq!(seen.unreadable, at < header, "cut at {at}");
        assert!(seen.notes.len() <= 1);
        match seen.notes.first().map(String::as_str) {
            Some("capture: empty file") => assert_eq!(at, 0),
            Some("capture: not a capture") => assert!(at < 4),
            Some(note) => assert_eq!(note, format!("capture: cut off at byte {at}")),
            None => assert!(at >= header),
        }
    }
    assert_eq!(most, whole.packets.len() - at_end);
}

#[test]
fn a_pcap_file_cut_at_any_byte_gives_what_is_before() {
    for order in [Endian::Little, Endian::Big] {
        cut_everywhere(&pcap(order, 0xa1b2_c3d4, 1, &[(1, 0, b"one"), (2, 0, b""), (3, 0, b"three")]), 24, 1);
    }
}

#[test]
fn a_pcapng_file_cut_at_any_byte_gives_what_is_before() {
    cut_everywhere(&small_pcapng(Endian::Little), 28, 0);
    cut_everywhere(&small_pcapng(Endian::Big), 28, 0);
}

#[test]
fn compressed_input_cut_at_any_byte_gives_what_is_before() {
    let packets: Vec<_> = (0..40).map(|at| (at, at * 7, &b"some bytes"[..])).collect();
    let file = pcap(Endian::Little, 0xa1b2_c3d4, 1, &packets);
    let whole = both(&file);
    for compressed in [build::gzip(&file), build::zstd(&file)] {
        for at in 1..compressed.len() {
            let folder = tempfile::tempdir().unwrap();
            let seen = read(&[fresh(folder.path(), "capture", &compressed[..at])]);
            assert_eq!(seen.packets, whole.packets[..seen.packets.len()]);
            assert_eq!(seen.notes.len(), 1, "cut at {at}: {:?}", seen.notes);
        }
    }
}

#[test]
fn what_stands_behind_compressed_data_is_told_and_padding_is_not() {
    let file = pcap(Endian::Little, 0xa1b2_c3d4, 1, &[(1, 0, b"one"), (2, 0, b"two")]);
    let whole = both(&file);
    let folder = tempfile::tempdir().unwrap();
    for (name, compressed) in [("gzip", build::gzip(&file)), ("zstd", build::zstd(&file))] {
        let seen = read(&[fresh(folder.path(), name, &[&compressed[..], b"and more"].concat())]);
        assert_eq!(seen.packets, whole.packets);
        assert!(seen.notes.len() == 1 && seen.notes[0].contains(&format!("bytes behind the end of the {name} data")));
    }
    let padded = [build::gzip(&file[..40]), vec![0; 512], build::gzip(&file[40..]), vec![0; 512]].concat();
    let seen = read(&[fresh(folder.path(), "padded", &padded)]);
    assert_eq!((seen.packets, seen.notes), (whole.packets, Vec::new()));
}

#[test]
fn what_is_before_the_damage_is_delivered() {
    let order = Endian::Little;
    let damaged = |damage: &[u8]| {
        let start = [section(order), interface(order, 1, 0, &[]), enhanced(order, 0, 1, b"good", 4)].concat();
        let at = start.len();
        let seen = both(&[&start, damage, &enhanced(order, 0, 2, b"behind", 6)].concat());
        assert_eq!(seen.packets.len(), 1);
        assert!(!seen.unreadable);
        assert_eq!(seen.notes.len(), 1);
        (seen.notes[0].clone(), at)
    };
    let (note, at) = damaged(&[6, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]);
    assert_eq!(
        note,
        format!("capture: damaged at byte {at}: a block with an impossible length; nothing after it was read")
    );
    let (note, at) = damaged(&[1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        note,
        format!("capture: damaged at byte {at}: a block with an impossible length; nothing after it was read")
    );
    let (note, at) = damaged(&[order.u32(6), order.u32(0x0010_0000), [0; 4]].concat());
    assert!(note.starts_with("capture: cut off at byte") && at > 0, "{note}");
    let mut body = Vec::new();
    for word in [0, 0, 0, 0x7fff_ffff, 4] {
        body.extend(order.u32(word));
    }
    let (note, at) = damaged(&block(order, 6, &body));
    assert_eq!(
        note,
        format!(
            "capture: damaged at byte {at}: a packet claims 2147483647 bytes in a block of 32; nothing after it was read"
        )
    );
    let mut torn = enhanced(order, 0, 1, b"torn", 4);
    *torn.last_mut().unwrap() = 9;
    let (note, at) = damaged(&torn);
    assert_eq!(
        note,
        format!("capture: damaged at byte {at}: a block whose two lengths differ; nothing after it was read")
    );
}

#[test]
fn a_pcap_packet_of_insane_length_is_damage() {
    let mut file = pcap(Endian::Big, 0xa1b2_c3d4, 1, &[(1, 0, b"good")]);
    file.extend([0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 1, 2, 3]);
    let seen = both(&file);
    assert_eq!((seen.packets.len(), seen.unreadable), (1, false));
    assert_eq!(
        seen.notes,
        ["capture: damaged at byte 44: a packet claims 4294967295 bytes; nothing after it was read"]
    );
}

#[test]
fn two_files_put_together_are_named() {
    for order in [Endian::Little, Endian::Big] {
        let one = pcap(order, 0xa1b2_c3d4, 1, &[(1, 0, b"one")]);
        let seen = both(&[one.clone(), one.clone()].concat());
        assert_eq!((seen.packets.len(), seen.unreadable), (1, false));
        let at = one.len();
        let note = format!(
            "capture: damaged at byte {at}: another capture begins here (files put together with cat?); nothing after it was read"
        );
        assert_eq!(seen.notes, [note]);
    }
}

#[test]
fn a_compression_that_is_not_undone_is_named() {
    let note = |start: &[u8]| {
        let seen = both(&[start, &[7; 40]].concat());
        assert!(seen.unreadable && seen.packets.is_empty());
        seen.notes.join("\n")
    };
    assert_eq!(note(b"\xfd7zXZ\0"), "capture: xz-compressed: unpack it first");
    assert_eq!(note(b"BZh9"), "capture: bzip2-compressed: unpack it first");
    assert_eq!(note(b"\x04\x22\x4d\x18"), "capture: lz4-compressed: unpack it first");
}

#[test]
fn a_packet_of_an_undescribed_interface_is_passed_over() {
    let order = Endian::Little;
    let file = [
        section(order),
        interface(order, 1, 0, &[]),
        enhanced(order, 4, 1, b"stray", 5),
        enhanced(order, 0, 1, b"good", 4),
    ]
    .concat();
    let seen = both(&file);
    assert_eq!((seen.packets.len(), seen.unreadable), (1, false));
    assert_eq!(seen.notes, ["capture: packet of interface 4, which is not described at byte 48"]);
}

#[test]
fn what_is_no_capture_is_unreadable() {
    let note = |bytes: &[u8]| {
        let seen = both(bytes);
        assert!(seen.unreadable && seen.packets.is_empty());
        assert_eq!(piped(bytes).notes, seen.notes);
        seen.notes.join("\n")
    };
    assert_eq!(note(b""), "capture: empty file");
    assert_eq!(note(b"GET / HTTP/1.1\r\n\r\n"), "capture: not a capture (neither pcap nor pcapng)");
    assert_eq!(note(&build::gzip(b"no capture either")), "capture: not a capture (neither pcap nor pcapng)");
    assert_eq!(note(&[0x0a, 0x0d, 0x0d, 0x0a].repeat(10)), "capture: not a capture: a section without byte order");
}

#[test]
fn an_empty_capture_is_readable() {
    for file in [pcap(Endian::Little, 0xa1b2_c3d4, 1, &[]), section(Endian::Big)] {
        let seen = both(&file);
        assert_eq!(seen, Seen { mapped: true, ..Seen::default() });
    }
}

#[test]
fn unsupported_link_types_are_told() {
    let seen = both(&pcap(Endian::Little, 0xa1b2_c3d4, 127, &[(1, 0, b"radio")]));
    assert_eq!((seen.packets.len(), seen.unreadable), (1, true));
    assert_eq!(seen.notes, ["capture: unsupported link type 127"]);
    let order = Endian::Big;
    let start = [section(order), interface(order, 127, 0, &[]), interface(order, 1, 0, &[])].concat();
    let wire = enhanced(order, 1, 1, b"wire", 4);
    assert_eq!(both(&[&start[..], &wire].concat()).notes.len(), 0, "an interface without packets does not matter");
    let seen = both(&[start, enhanced(order, 0, 1, b"radio", 5), wire].concat());
    assert_eq!((seen.packets.len(), seen.unreadable, seen.notes.len()), (2, false, 1));
}

#[test]
fn missing_files_are_told_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let good = fresh(folder.path(), "good", &small_pcapng(Endian::Little));
    let missing = folder.path().join("missing");
    let bad = fresh(folder.path(), "bad", b"no capture");
    let seen = read(&[missing.clone(), bad.clone(), good, folder.path().to_owned()]);
    assert_eq!((seen.packets.len(), seen.unreadable), (3, true));
    let name = |path: &std::path::Path| path.display().to_string();
    assert_eq!(seen.notes[0], format!("{}: no such file", name(&missing)));
    assert_eq!(seen.notes[1], format!("{}: is a directory", name(folder.path())));
    assert_eq!(seen.notes[2], format!("{}: not a capture (neither pcap nor pcapng)", name(&bad)));
}

#[test]
fn standard_input_can_be_named_once() {
    let twice = OpenedInputs::open(&["-".into(), "-".into()]);
    assert!(matches!(twice, Err(SourceError::StandardInputTwice)));
}
