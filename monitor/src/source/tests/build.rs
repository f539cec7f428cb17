//! Captures by hand.

use std::io::Write;

#[derive(Clone, Copy)]
pub(crate) enum Endian {
    Little,
    Big,
}

impl Endian {
    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn u64(self, value: u64) -> [u8; 8] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

pub(crate) fn pcap(order: Endian, magic: u32, link: u32, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(order.u32(magic));
    file.extend(order.u16(2));
    file.extend(order.u16(4));
    for word in [0, 0, 262_144, link] {
        file.extend(order.u32(word));
    }
    for (seconds, fraction, bytes) in packets {
        for word in [*seconds, *fraction, bytes.len() as u32, bytes.len() as u32 + 3] {
            file.extend(order.u32(word));
        }
        if magic == 0xa1b2_cd34 {
            file.extend([7; 8]);
        }
        file.extend_from_slice(bytes);
    }
    file
}

pub(crate) fn block(order: Endian, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let len = order.u32(padded as u32 + 12);
    let mut block = [order.u32(kind), len].concat();
    block.extend_from_slice(body);
    block.resize(8 + padded, 0);
    block.extend(len);
    block
}

pub(crate) fn section(order: Endian) -> Vec<u8> {
    block(order, 0x0a0d_0d0a, &[&order.u32(0x1a2b_3c4d)[..], &order.u16(1), &order.u16(0), &[0xff; 8]].concat())
}

pub(crate) fn options(order: Endian, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (code, value) in options {
        out.extend(order.u16(*code));
        out.extend(order.u16(value.len() as u16));
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    if !options.is_empty() {
        out.extend([0; 4]);
    }
    out
}

pub(crate) fn interface(order: Endian, link: u16, snap: u32, with: &[(u16, &[u8])]) -> Vec<u8> {
    let body = [&order.u16(link)[..], &[0; 2], &order.u32(snap), &options(order, with)].concat();
    block(order, 1, &body)
}

pub(crate) fn enhanced(order: Endian, interface: u32, stamp: u64, bytes: &[u8], wire: u32) -> Vec<u8> {
    let mut body = Vec::new();
    for word in [interface, (stamp >> 32) as u32, stamp as u32, bytes.len() as u32, wire] {
        body.extend(order.u32(word));
    }
    body.extend_from_slice(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(options(order, &[(1, b"a comment")]));
    block(order, 6, &body)
}

pub(crate) fn secrets(order: Endian, text: &[u8]) -> Vec<u8> {
    block(order, 0x0a, &[&order.u32(0x544c_534b)[..], &order.u32(text.len() as u32), text].concat())
}

/// A small pcapng file: three packets, and about everything else that may lie between them.
pub(crate) fn small_pcapng(order: Endian) -> Vec<u8> {
    [
        section(order),
        interface(order, 1, 0, &[(2, b"eth0"), (9, &[9])]),
        enhanced(order, 0, 1_700_000_000_000_000_001, b"first", 5),
        block(order, 4, b"name resolution"),
        secrets(order, b"CLIENT_RANDOM one\n"),
        block(order, 0x0bad, b""),
        enhanced(order, 0, 1_700_000_000_000_000_002, b"second", 60),
        enhanced(order, 0, 1_700_000_000_000_000_003, b"third!!", 7),
        block(order, 5, &[&[0; 12][..], &options(order, &[(5, &order.u64(4)), (7, &order.u64(2))])].concat()),
    ]
    .concat()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}
