use proptest::prelude::*;

use super::build::{Endian, enhanced, interface, pcap, section, small_pcapng};
use super::{both, read, settled};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_pcap_never_panics(tail in prop::collection::vec(any::<u8>(), 0..300)) {
        both(&[pcap(Endian::Little, 0xa1b2_c3d4, 1, &[]), tail].concat());
    }

    #[test]
    fn random_pcapng_never_panics(tail in prop::collection::vec(any::<u8>(), 0..300)) {
        both(&[section(Endian::Big), interface(Endian::Big, 1, 0, &[]), tail].concat());
    }

    #[test]
    fn changed_pcapng_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut file = small_pcapng(Endian::Little);
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        both(&file);
    }

    #[test]
    fn packets_come_out_as_they_went_in(packets in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..90)), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let mut file = [section(Endian::Big), interface(Endian::Big, 101, 0, &[])].concat();
        for (stamp, bytes) in &packets {
            file.extend(enhanced(Endian::Big, 0, u64::from(*stamp), bytes, bytes.len() as u32));
        }
        let seen = read(&[settled(folder.path(), "x", &file)]);
        let want: Vec<_> =
            packets.into_iter().map(|(at, bytes)| (u64::from(at) * 1_000, 101, bytes.clone(), bytes.len() as u32)).collect();
        prop_assert_eq!(seen.packets, want);
    }
}
