use super::{PAYLOAD, decode, ethernet, ipv4, ipv6, is_ipv4, is_ipv6, one, packet, under_ipv4, under_ipv6};
use crate::limits::Limits;
use crate::model::{Bytes, FlowKey, Packet, PacketCounts, Time};

#[test]
fn every_link_type() {
    let (v4, v6) = (ipv4(), ipv6());
    is_ipv4(&one(1, &ethernet(&[], 0x0800, &v4)));
    is_ipv6(&one(1, &ethernet(&[], 0x86dd, &v6)));
    is_ipv4(&one(113, &[&[0; 14][..], &[8, 0], &v4].concat()));
    is_ipv6(&one(113, &[&[0; 14][..], &[0x86, 0xdd], &v6].concat()));
    is_ipv4(&one(276, &[&[8, 0][..], &[0; 18], &v4].concat()));
    for link in [12, 14, 101, 228] {
        is_ipv4(&one(link, &v4));
    }
    for link in [12, 14, 101, 229] {
        is_ipv6(&one(link, &v6));
    }
    for link in [0, 108] {
        is_ipv4(&one(link, &[&[2, 0, 0, 0][..], &v4].concat()));
        is_ipv4(&one(link, &[&[0, 0, 0, 2][..], &v4].concat()));
        for family in [24, 28, 30] {
            is_ipv6(&one(link, &[&[family, 0, 0, 0][..], &v6].concat()));
            is_ipv6(&one(link, &[&[0, 0, 0, family][..], &v6].concat()));
        }
    }
}

#[test]
fn tags_labels_and_sessions() {
    for tag in [[0x81, 0], [0x88, 0xa8], [0x91, 0], [0x92, 0]] {
        let tag = [&tag[..], &[0x20, 5]].concat();
        is_ipv4(&one(1, &ethernet(&tag, 0x0800, &ipv4())));
        is_ipv6(&one(1, &ethernet(&[&tag[..], &[0x81, 0, 0, 7], &[0x81, 0, 0, 8]].concat(), 0x86dd, &ipv6())));
    }
    let labels = [0, 1, 0, 64, 0, 2, 1, 64];
    is_ipv4(&one(1, &ethernet(&[], 0x8847, &[&labels[..], &ipv4()].concat())));
    is_ipv6(&one(1, &ethernet(&[], 0x8864, &[&[0x11, 0, 0, 1, 0, 90, 0, 0x57][..], &ipv6()].concat())));
    is_ipv4(&one(1, &ethernet(&[], 80, &[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &ipv4()].concat())));
    is_ipv4(&one(113, &[&[0; 14][..], &[0x81, 0], &[0, 3, 8, 0], &ipv4()].concat()));
}

#[test]
fn tunnels_and_their_names() {
    let inner = ethernet(&[], 0x0800, &ipv4());
    let link = |bytes: &[u8]| {
        let seen = one(101, bytes);
        is_ipv4(&seen);
        seen.tunnel
    };
    let udp = |port: u16, payload: &[u8]| {
        let len = (payload.len() + 8) as u16;
        under_ipv4(17, &[&[0x30, 0x39][..], &port.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat())
    };
    let vxlan = [&[8, 0, 0, 0, 0, 1, 2, 0][..], &inner].concat();
    assert_eq!(link(&udp(4_789, &vxlan)), 0x102);
    assert_eq!(link(&udp(8_472, &vxlan)), 0x102);
    let geneve = [&[1, 0, 0x65, 0x58, 0, 1, 3, 0, 1, 2, 3, 4][..], &inner].concat();
    assert_eq!(link(&udp(6_081, &geneve)), 0x103);
    assert_eq!(link(&under_ipv4(47, &[&[0, 0, 8, 0][..], &ipv4()].concat())), 0);
    assert_eq!(link(&under_ipv4(47, &[&[0xb0, 0, 8, 0, 9, 9, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1][..], &ipv4()].concat())), 7);
    assert_eq!(link(&under_ipv4(47, &[&[0x20, 0, 0x65, 0x58, 0, 0, 1, 0][..], &inner].concat())), 0x100);
    assert_eq!(link(&under_ipv4(47, &[&[0, 0, 0x88, 0xbe][..], &inner].concat())), 0);
    let erspan = [&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0][..], &inner].concat();
    assert_eq!(link(&under_ipv4(47, &erspan)), 0);
    assert_eq!(link(&under_ipv4(4, &ipv4())), 0);
    assert_eq!(link(&under_ipv6(4, &ipv4())), 0);
    is_ipv6(&one(101, &under_ipv4(41, &ipv6())));
    is_ipv6(&one(101, &under_ipv6(41, &ipv6())));
    assert_ne!(
        link(&udp(4_789, &[&[8, 0, 0, 0, 0, 1, 2, 0][..], &ethernet(&[], 0x0800, &udp(4_789, &vxlan))].concat())),
        0x102
    );
}

#[test]
fn ip_options_and_extension_headers() {
    let mut options = ipv4();
    options[0] = 0x47;
    options.splice(20..20, [1, 1, 1, 1, 1, 1, 1, 0]);
    let total = options.len() as u16;
    options[2..4].copy_from_slice(&total.to_be_bytes());
    is_ipv4(&one(101, &options));
    let tcp = &ipv6()[40..];
    let extensions = [
        &[43, 0, 0, 0, 0, 0, 0, 0][..],
        &[60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[44, 0, 0, 0, 0, 0, 0, 0],
        // A fragment that is the whole datagram (RFC 6946).
        &[51, 0, 0, 0, 0, 0, 0, 1],
        &[6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        tcp,
    ];
    is_ipv6(&one(101, &under_ipv6(0, &extensions.concat())));
}

#[test]
fn padding_is_cut_off_by_the_ip_length() {
    is_ipv4(&one(1, &[&ethernet(&[], 0x0800, &ipv4())[..], &[0; 9]].concat()));
    is_ipv6(&one(1, &[&ethernet(&[], 0x86dd, &ipv6())[..], &[0; 9]].concat()));
}

#[test]
fn a_length_of_zero_means_what_was_captured() {
    let (mut v4, mut v6) = (ipv4(), ipv6());
    v4[2..4].fill(0);
    v6[4..6].fill(0);
    is_ipv4(&one(1, &ethernet(&[], 0x0800, &v4)));
    is_ipv6(&one(1, &ethernet(&[], 0x86dd, &v6)));
}

#[test]
fn a_packet_cut_at_every_byte() {
    let whole = ethernet(&[], 0x0800, &ipv4());
    let payload_at = whole.len() - PAYLOAD.len();
    for at in 0..whole.len() {
        let cut = Packet { wire_len: whole.len() as u32, ..packet(1, 1, &whole[..at]) };
        let (seen, counts) = decode(&[cut]);
        assert_eq!(counts.packets, 1);
        if at < 14 + 20 + 20 {
            assert_eq!((seen.len(), counts.malformed, counts.tcp), (0, 1, 0), "cut at {at}");
            continue;
        }
        let have = at.saturating_sub(payload_at);
        assert_eq!((counts.tcp, counts.truncated), (1, 1));
        assert_eq!((&seen[0].payload[..], seen[0].missing as usize), (&PAYLOAD[..have], PAYLOAD.len() - have));
    }
}

#[test]
fn the_ip_length_tells_what_is_missing_when_the_record_does_not() {
    let whole = ipv4();
    let (seen, counts) = decode(&[packet(101, 1, &whole[..whole.len() - 5])]);
    assert_eq!((seen[0].missing, seen[0].payload.len(), counts.truncated), (5, PAYLOAD.len() - 5, 1));
}

#[test]
fn the_others_are_counted() {
    let arp = ethernet(&[], 0x0806, &[0; 28]);
    let udp = under_ipv4(17, &[0, 53, 0, 53, 0, 8, 0, 0]);
    let mut wrong = ipv4();
    wrong[32] = 0x10;
    let mut deep = ipv4();
    for _ in 0..30 {
        deep = under_ipv4(4, &deep);
    }
    let llc = ethernet(&[], 38, &[0x42, 0x42, 3, 0, 0, 0, 0, 0]);
    let (seen, counts) = decode(&[
        packet(1, 3, &arp),
        packet(1, 2, &llc),
        packet(101, 1, &udp),
        packet(101, 1, &wrong),
        packet(101, 1, &deep),
        packet(127, 1, &udp),
        packet(101, 1, &[]),
    ]);
    assert_eq!(seen, []);
    let want = PacketCounts {
        packets: 7,
        not_ip: 2,
        not_tcp: 1,
        malformed: 2,
        too_deep: 1,
        unsupported_link: 1,
        bytes: counts.bytes,
        ..PacketCounts::default()
    };
    assert_eq!(counts, want);
}

#[test]
fn both_directions_have_one_key_and_the_latest_time_is_kept() {
    let there = ipv4();
    let mut back = there.clone();
    back[12..20].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
    back[20..24].copy_from_slice(&[1, 187, 0x9c, 0x40]);
    let mut raw = crate::model::PacketBatch {
        packets: vec![packet(101, 9, &there), packet(101, 4, &back)],
        ..Default::default()
    };
    let mut out = crate::model::SegmentBatch::default();
    super::Decoder::new(&Limits::default()).decode(&mut raw, &mut out);
    let segments: Vec<_> = out.shards.iter().flatten().collect();
    assert_eq!((segments[0].key, segments[0].hash), (segments[1].key, segments[1].hash));
    assert_ne!(segments[0].from_low, segments[1].from_low);
    assert_eq!((segments[0].time, segments[1].time, out.now), (Time(9), Time(4), Time(9)));
    assert!(matches!(segments[0].payload, Bytes::Lasting(_)));
}

#[test]
fn ports_of_one_parity_reach_every_shard_evenly() {
    let mut shards = [0u32; Limits::SHARDS];
    for client in 0..4_000u16 {
        let key = FlowKey { low: (0xffff_0a00_0001, 443), high: (0xffff_0a00_0002, 32_768 + client * 2), tunnel: 0 };
        shards[super::super::hash::hash(&key) as usize % Limits::SHARDS] += 1;
    }
    assert!(shards.iter().all(|&flows| (400..600).contains(&flows)), "{shards:?}");
}
