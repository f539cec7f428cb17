use super::build::{Endian, gzip, pcap};
use super::{fresh, read, settled};

#[test]
fn several_files_are_merged_by_time_and_then_by_name_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = |packets: &[(u32, u32, &[u8])]| pcap(Endian::Little, 0xa1b2_c3d4, 1, packets);
    let paths = [
        settled(folder.path(), "a", &file(&[(1, 0, b"a1"), (3, 0, b"a3"), (3, 0, b"a3b"), (9, 0, b"a9")])),
        fresh(folder.path(), "b", &gzip(&file(&[(1, 0, b"b1"), (2, 0, b"b2"), (3, 0, b"b3"), (10, 0, b"b10")]))),
        settled(folder.path(), "c", &file(&[])),
        fresh(folder.path(), "d", &file(&[(0, 0, b"d0"), (3, 0, b"d3"), (11, 0, b"d11")])),
    ];
    let order = |paths: &[std::path::PathBuf]| {
        let seen = read(paths);
        assert_eq!(seen.notes, Vec::<String>::new());
        let names: Vec<_> = seen.packets.into_iter().map(|packet| String::from_utf8(packet.2).unwrap()).collect();
        names.join(" ")
    };
    assert_eq!(order(&paths), "d0 a1 b1 b2 a3 a3b b3 d3 a9 b10 d11");
    let reversed: Vec<_> = paths.iter().rev().cloned().collect();
    assert_eq!(order(&reversed), "d0 b1 a1 b2 d3 b3 a3 a3b a9 b10 d11");
}

#[test]
fn a_file_keeps_its_own_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = |packets: &[(u32, u32, &[u8])]| pcap(Endian::Little, 0xa1b2_c3d4, 1, packets);
    let a = fresh(folder.path(), "a", &file(&[(5, 0, b"a5"), (1, 0, b"a1"), (6, 0, b"a6")]));
    let b = fresh(folder.path(), "b", &file(&[(5, 0, b"b5"), (6, 0, b"b6")]));
    let bytes: Vec<_> = read(&[a, b]).packets.into_iter().map(|packet| packet.2).collect();
    assert_eq!(bytes, [&b"a5"[..], b"a1", b"b5", b"a6", b"b6"]);
}

#[test]
fn many_files_one_after_the_other_give_every_packet() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = vec![1; 9_000];
    let paths: Vec<_> = (0..40u32)
        .map(|at| {
            let packets: Vec<_> = (0..30).map(|packet| (at * 10 + packet / 10, packet, &bytes[..])).collect();
            settled(folder.path(), &at.to_string(), &pcap(Endian::Big, 0xa1b2_c3d4, 1, &packets))
        })
        .collect();
    let seen = read(&paths);
    assert_eq!(seen.packets.len(), 1_200);
    assert!(seen.mapped && seen.packets.is_sorted_by_key(|packet| packet.0));
    assert!(seen.packets.iter().all(|packet| packet.2 == bytes));
}
