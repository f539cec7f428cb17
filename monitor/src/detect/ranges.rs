//! Address ranges that CDNs publish for the connections of their edges to origins: what names the edge where its headers cannot be read.
//!
//! Cloudflare: cloudflare.com/ips; Fastly: api.fastly.com/public-ip-list; as of 2025. They change rarely, and the headers of a request
//! say more wherever they are there.

use std::net::IpAddr;

use crate::model::Edge;

/// IPv4 ranges: first address, prefix length, edge.
#[rustfmt::skip]
const V4: &[([u8; 4], u32, Edge)] = &[
    ([173, 245, 48, 0], 20, Edge::Cloudflare), ([103, 21, 244, 0], 22, Edge::Cloudflare),
    ([103, 22, 200, 0], 22, Edge::Cloudflare), ([103, 31, 4, 0], 22, Edge::Cloudflare),
    ([141, 101, 64, 0], 18, Edge::Cloudflare), ([108, 162, 192, 0], 18, Edge::Cloudflare),
    ([190, 93, 240, 0], 20, Edge::Cloudflare), ([188, 114, 96, 0], 20, Edge::Cloudflare),
    ([197, 234, 240, 0], 22, Edge::Cloudflare), ([198, 41, 128, 0], 17, Edge::Cloudflare),
    ([162, 158, 0, 0], 15, Edge::Cloudflare), ([104, 16, 0, 0], 13, Edge::Cloudflare),
    ([104, 24, 0, 0], 14, Edge::Cloudflare), ([172, 64, 0, 0], 13, Edge::Cloudflare),
    ([131, 0, 72, 0], 22, Edge::Cloudflare),
    ([23, 235, 32, 0], 20, Edge::Fastly), ([43, 249, 72, 0], 22, Edge::Fastly),
    ([103, 244, 50, 0], 24, Edge::Fastly), ([103, 245, 222, 0], 23, Edge::Fastly),
    ([103, 245, 224, 0], 24, Edge::Fastly), ([104, 156, 80, 0], 20, Edge::Fastly),
    ([140, 248, 64, 0], 18, Edge::Fastly), ([140, 248, 128, 0], 17, Edge::Fastly),
    ([146, 75, 0, 0], 17, Edge::Fastly), ([151, 101, 0, 0], 16, Edge::Fastly),
    ([157, 52, 64, 0], 18, Edge::Fastly), ([167, 82, 0, 0], 17, Edge::Fastly),
    ([167, 82, 128, 0], 20, Edge::Fastly), ([167, 82, 160, 0], 20, Edge::Fastly),
    ([167, 82, 224, 0], 20, Edge::Fastly), ([172, 111, 64, 0], 18, Edge::Fastly),
    ([185, 31, 16, 0], 22, Edge::Fastly), ([199, 27, 72, 0], 21, Edge::Fastly),
    ([199, 232, 0, 0], 16, Edge::Fastly),
];

/// IPv6 ranges: first two groups, prefix length, edge.
const V6: &[([u16; 2], u32, Edge)] = &[
    ([0x2400, 0xcb00], 32, Edge::Cloudflare),
    ([0x2606, 0x4700], 32, Edge::Cloudflare),
    ([0x2803, 0xf800], 32, Edge::Cloudflare),
    ([0x2405, 0xb500], 32, Edge::Cloudflare),
    ([0x2405, 0x8100], 32, Edge::Cloudflare),
    ([0x2a06, 0x98c0], 29, Edge::Cloudflare),
    ([0x2c0f, 0xf248], 32, Edge::Cloudflare),
    ([0x2a04, 0x4e40], 32, Edge::Fastly),
    ([0x2a04, 0x4e42], 32, Edge::Fastly),
];

/// The CDN that publishes the address as one of its own.
pub(super) fn edge(address: IpAddr) -> Option<Edge> {
    let same = |one: u32, other: u32, prefix: u32| (one ^ other) >> (32 - prefix) == 0;
    match address {
        IpAddr::V4(address) => {
            let bits = u32::from(address);
            V4.iter().find(|&&(first, prefix, _)| same(bits, u32::from_be_bytes(first), prefix)).map(|&(.., edge)| edge)
        }
        IpAddr::V6(address) => {
            let [high, low, ..] = address.segments();
            let group = |[high, low]: [u16; 2]| u32::from(high) << 16 | u32::from(low);
            V6.iter()
                .find(|&&(first, prefix, _)| same(group([high, low]), group(first), prefix))
                .map(|&(.., edge)| edge)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::edge;
    use crate::model::Edge;

    #[test]
    fn ranges_end_where_they_end() {
        let of = |address: &str| edge(address.parse().unwrap());
        assert_eq!(of("104.23.255.255"), Some(Edge::Cloudflare));
        assert_eq!(of("104.28.0.0"), None);
        assert_eq!(of("172.71.255.1"), Some(Edge::Cloudflare));
        assert_eq!(of("172.72.0.0"), None);
        assert_eq!(of("151.101.1.6"), Some(Edge::Fastly));
        assert_eq!(of("2a06:98c7::1"), Some(Edge::Cloudflare));
        assert_eq!(of("2a06:98c8::1"), None);
        assert_eq!(of("2a04:4e42:400::1"), Some(Edge::Fastly));
        assert_eq!(of("10.0.0.1"), None);
    }
}
