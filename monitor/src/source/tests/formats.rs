use super::build::{self, Endian, block, enhanced, interface, options, pcap, section, small_pcapng};
use super::{both, drain, fresh, piped, settled};
use crate::model::Time;
use crate::source::OpenedInputs;

const ORDERS: [Endian; 2] = [Endian::Little, Endian::Big];
const SECOND: u64 = 1_000_000_000;

#[test]
fn reads_pcap_of_every_magic_and_byte_order() {
    for order in ORDERS {
        for (magic, unit) in [(0xa1b2_c3d4, 1_000), (0xa1b2_3c4d, 1), (0xa1b2_cd34, 1_000)] {
            let seen = both(&pcap(order, magic, 113, &[(7, 5, b"abc"), (7, 4, b""), (8, 0, b"d")]));
            let want = vec![
                (7 * SECOND + 5 * unit, 113, b"abc".to_vec(), 6),
                (7 * SECOND + 4 * unit, 113, vec![], 3),
                (8 * SECOND, 113, b"d".to_vec(), 4),
            ];
            assert_eq!((seen.packets, seen.notes, seen.unreadable), (want, vec![], false));
            assert!(seen.mapped);
        }
    }
}

#[test]
fn the_frame_check_sequence_bits_are_no_link_type() {
    assert_eq!(both(&pcap(Endian::Little, 0xa1b2_c3d4, 0x5000_0001, &[(1, 0, b"x")])).packets[0].1, 1);
}

#[test]
fn reads_pcapng_of_both_byte_orders() {
    for order in ORDERS {
        let seen = both(&small_pcapng(order));
        let want = vec![
            (1_700_000_000_000_000_001, 1, b"first".to_vec(), 5),
            (1_700_000_000_000_000_002, 1, b"second".to_vec(), 60),
            (1_700_000_000_000_000_003, 1, b"third!!".to_vec(), 7),
        ];
        assert_eq!((seen.packets, seen.notes), (want, vec![]));
        assert_eq!((seen.secrets, seen.lost), (vec![b"CLIENT_RANDOM one\n".to_vec()], 6));
    }
}

#[test]
fn each_section_has_its_own_byte_order_and_interfaces() {
    let file = [
        small_pcapng(Endian::Big),
        section(Endian::Little),
        interface(Endian::Little, 101, 0, &[]),
        interface(Endian::Little, 276, 0, &[]),
        enhanced(Endian::Little, 1, 5, b"x", 1),
        enhanced(Endian::Little, 0, 6, b"y", 1),
    ]
    .concat();
    let seen = both(&file);
    assert_eq!(seen.packets[3..], [(5_000, 276, b"x".to_vec(), 1), (6_000, 101, b"y".to_vec(), 1)]);
}

#[test]
fn clock_resolution_and_offset_are_those_of_the_interface() {
    let order = Endian::Big;
    let time = |with: &[(u16, &[u8])], stamp| {
        both(&[section(order), interface(order, 1, 0, with), enhanced(order, 0, stamp, b"x", 1)].concat()).packets[0].0
    };
    assert_eq!(time(&[], 1_500_000), 1_500_000_000);
    assert_eq!(time(&[(9, &[0])], 7), 7 * SECOND);
    assert_eq!(time(&[(9, &[3])], 1_234), 1_234_000_000);
    assert_eq!(time(&[(9, &[9])], 42), 42);
    assert_eq!(time(&[(9, &[12])], 42_999), 42);
    assert_eq!(time(&[(9, &[0x7f])], u64::MAX), 0);
    assert_eq!(time(&[(9, &[0x80 | 1])], 3), 1_500_000_000);
    assert_eq!(time(&[(9, &[0x80 | 32])], (2 << 32) | (1 << 31)), 2_500_000_000);
    assert_eq!(time(&[(9, &[0xff])], u64::MAX), 0);
    assert_eq!(time(&[(14, &order.u64(10))], 1), 10 * SECOND + 1_000);
    assert_eq!(time(&[(14, &order.u64((-3_i64).cast_unsigned()))], 4_000_000), SECOND);
    assert_eq!(time(&[(14, &order.u64(i64::MIN.cast_unsigned()))], 4_000_000), 0);
    assert_eq!(time(&[(9, &[0]), (14, &order.u64(i64::MAX.cast_unsigned()))], u64::MAX), u64::MAX);
}

#[test]
fn reads_simple_and_obsolete_packets() {
    for order in ORDERS {
        let old = [&order.u16(1)[..], &order.u16(9), &order.u32(0), &order.u32(3), &order.u32(2), &order.u32(9), b"ab"];
        let file = [
            section(order),
            interface(order, 1, 4, &[]),
            interface(order, 113, 0, &[]),
            block(order, 2, &old.concat()),
            block(order, 3, &[&order.u32(9)[..], b"cdef"].concat()),
            block(order, 3, &[&order.u32(3)[..], b"ghi"].concat()),
        ]
        .concat();
        let seen = both(&file);
        let want =
            vec![(3_000, 113, b"ab".to_vec(), 9), (3_000, 1, b"cdef".to_vec(), 9), (3_000, 1, b"ghi".to_vec(), 3)];
        assert_eq!((seen.packets, seen.notes), (want, vec![]));
    }
}

#[test]
fn statistics_tell_of_lost_packets_once() {
    let order = Endian::Little;
    let told = |id: u32, drops: u64| {
        let stamp = [order.u32(0), order.u32(7_000)].concat();
        block(order, 5, &[&order.u32(id)[..], &stamp, &options(order, &[(5, &order.u64(drops))])].concat())
    };
    let interfaces = [section(order), interface(order, 1, 0, &[]), interface(order, 1, 0, &[])].concat();
    let file = [interfaces, told(0, 5), told(1, 2), told(0, 5), told(0, 9), told(7, 1)].concat();
    let seen = both(&file);
    assert_eq!((seen.lost, seen.lost_within), (11, Some((Time(0), Time(7_000_000)))));
}

#[test]
fn compressed_input_gives_the_same() {
    let pcap = pcap(Endian::Little, 0xa1b2_c3d4, 1, &[(1, 0, &[9; 70_000]), (2, 0, b"two")]);
    for file in [pcap, small_pcapng(Endian::Big)] {
        let plain = both(&file);
        let (head, tail) = file.split_at(file.len() / 2);
        for compressed in [
            build::gzip(&file),
            build::zstd(&file),
            [build::gzip(head), build::gzip(tail)].concat(),
            [build::zstd(head), build::zstd(tail)].concat(),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let seen = super::read(&[settled(folder.path(), "capture", &compressed)]);
            assert_eq!((&seen.packets, &seen.secrets, &seen.notes), (&plain.packets, &plain.secrets, &vec![]));
            let seen = piped(&compressed);
            assert_eq!((&seen.packets, &seen.secrets, &seen.notes), (&plain.packets, &plain.secrets, &vec![]));
        }
    }
}

#[test]
fn of_secrets_that_are_cut_the_whole_lines_are_used() {
    for order in [Endian::Little, Endian::Big] {
        let start = small_pcapng(order);
        let text = b"CLIENT_RANDOM two\nCLIENT_RANDOM three\n";
        let file = [&start[..], &build::secrets(order, text)].concat();
        let within = start.len() + 16 + 22;
        for (cut, whole) in [(within, &text[..18]), (file.len() - 4, &text[..]), (within - 10, b"")] {
            let folder = tempfile::tempdir().unwrap();
            let mut inputs = OpenedInputs::open(&[fresh(folder.path(), "capture", &file[..cut])]).unwrap();
            let mut found = Vec::new();
            inputs.secrets(&mut |text| found.extend_from_slice(text));
            assert_eq!(found, [b"CLIENT_RANDOM one\n", whole].concat(), "cut at {cut}");
            let piped = piped(&file[..cut]);
            assert_eq!(piped.secrets.concat(), found, "cut at {cut}");
            assert_eq!(piped.notes, [format!("capture: cut off at byte {cut}")]);
        }
    }
}

#[test]
fn secrets_come_up_front_from_files_and_only_once() {
    let order = Endian::Little;
    let file = [small_pcapng(order), build::secrets(order, b"CLIENT_RANDOM two\n")].concat();
    let other = block(order, 0x0a, &[&order.u32(0x5747_4b4c)[..], &order.u32(4), b"wire"].concat());
    let file = [file, other].concat();
    let want = [b"CLIENT_RANDOM one\n".to_vec(), b"CLIENT_RANDOM two\n".to_vec()];
    let folder = tempfile::tempdir().unwrap();
    for path in [
        settled(folder.path(), "mapped", &file),
        fresh(folder.path(), "read", &file),
        fresh(folder.path(), "gzip", &build::gzip(&file)),
        fresh(folder.path(), "zstd", &build::zstd(&file)),
    ] {
        let mut inputs = OpenedInputs::open(&[path]).unwrap();
        let mut found = Vec::new();
        inputs.secrets(&mut |text| found.push(text.to_vec()));
        assert_eq!(found, want);
        let seen = drain(&inputs);
        assert_eq!((seen.packets.len(), seen.secrets, seen.notes), (3, vec![], vec![]));
    }
    assert_eq!(piped(&file).secrets, want);
}

#[test]
fn a_pipe_gives_the_same_batches_as_a_file() {
    let bytes = vec![5; 3_000];
    let packets: Vec<_> = (0..6_000).map(|at| (at, 0, &bytes[..(at as usize * 7) % 3_000])).collect();
    let file = pcap(Endian::Little, 0xa1b2_c3d4, 1, &packets);
    let (file_seen, pipe_seen) = (both(&file), piped(&file));
    assert_eq!(file_seen.batches, pipe_seen.batches);
    assert!(file_seen.batches.len() > 2);
    assert_eq!(file_seen.packets, pipe_seen.packets);
}

#[test]
fn progress_ends_at_the_total() {
    let folder = tempfile::tempdir().unwrap();
    let file = small_pcapng(Endian::Little);
    let paths = [
        settled(folder.path(), "a", &file),
        fresh(folder.path(), "b", &file),
        fresh(folder.path(), "c", &build::gzip(&file)),
    ];
    let inputs = OpenedInputs::open(&paths).unwrap();
    assert_eq!(drain(&inputs).packets.len(), 9);
    let progress = inputs.progress();
    assert_eq!(Some(progress.done), progress.total);
}

#[test]
fn what_is_in_memory_is_read_as_a_file_is() {
    let capture = std::fs::read("../tests/captures/kestrel-haproxy-retry-storm.pcapng").unwrap();
    let mut inputs =
        OpenedInputs::given(vec![("memory".to_owned(), capture.clone()), ("zeros".to_owned(), vec![0; 9])]);
    let mut secrets = 0;
    inputs.secrets(&mut |text| secrets += text.len());
    let (seen, file) = (drain(&inputs), both(&capture));
    assert_eq!(seen.packets, file.packets);
    assert_eq!(secrets, file.secrets.iter().map(Vec::len).sum::<usize>());
    assert_eq!(seen.notes, ["zeros: not a capture (neither pcap nor pcapng)"]);
    assert!(inputs.progress().total == Some(capture.len() as u64 + 9) && seen.secrets.is_empty());
}
