use proptest::prelude::*;

use super::{decode, ethernet, ipv4, ipv6, packet, under_ipv4, under_ipv6};

const LINKS: [u16; 11] = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276, 127];

fn headers() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(ethernet(&[0x81, 0, 0, 1], 0x0800, &ipv4())),
        Just(ethernet(&[], 0x86dd, &under_ipv6(44, &[&[6, 0, 0, 1, 0, 0, 0, 1][..], &ipv6()[40..]].concat()))),
        Just(ethernet(&[], 0x0800, &under_ipv4(47, &[&[0x20, 0, 8, 0, 0, 0, 0, 7][..], &ipv4()].concat()))),
        prop::collection::vec(any::<u8>(), 0..120),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn changed_packets_never_panic(
        link in prop::sample::select(&LINKS[..]),
        several in prop::collection::vec(headers(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut several = several;
        for (which, at, value) in changes {
            let which = which.index(several.len());
            if !several[which].is_empty() {
                let at = at.index(several[which].len());
                several[which][at] = value;
            }
        }
        if let Some(last) = several.last_mut() {
            last.truncate(cut.index(last.len() + 1));
        }
        let packets: Vec<_> = several.iter().map(|bytes| packet(link, 1, bytes)).collect();
        let (_, counts) = decode(&packets);
        prop_assert_eq!(counts.packets, packets.len() as u64);
        let told = counts.tcp + counts.not_tcp + counts.not_ip + counts.malformed + counts.unsupported_link + counts.too_deep;
        prop_assert!(told <= counts.packets && told + counts.fragments >= counts.packets);
    }
}
