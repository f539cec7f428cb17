//! Which packets the filter wants: link, IP and TCP headers as far as that takes.

use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{HashMap, LpmTrie, LruHashMap};
use aya_ebpf::programs::TcContext;
use probe_abi::tap::{ETHERNET, FlowName, config};

/// Ports that are wanted, at either end.
#[map]
static TAP_PORTS: HashMap<u16, u8> = HashMap::with_max_entries(1_024, 0);

/// Addresses that are wanted, at either end; IPv4 as IPv4-mapped IPv6.
#[map]
static TAP_ADDRESSES: LpmTrie<[u8; 16], u8> = LpmTrie::with_max_entries(1_024, 1 /* BPF_F_NO_PREALLOC */);

/// Bytes of TCP payload that are wanted of each packet of a flow. The flows used longest ago go first when it is full.
#[map]
static TAP_FLOWS: LruHashMap<FlowName, u32> = LruHashMap::with_max_entries(65_536, 0);

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// VLAN tags behind each other that are followed.
const MAX_TAGS: u32 = 2;
/// Extension headers behind each other that are followed.
const MAX_EXTENSIONS: u32 = 4;

/// An IP header, read.
struct Ip {
    protocol: u8,
    /// Offset of what follows.
    at: u32,
    /// Not the first part of a datagram: what follows is not a header.
    fragment: bool,
    source: [u8; 16],
    destination: [u8; 16],
}

/// SYN among the control bits of TCP.
const SYN: u8 = 0x02;

/// How much of a packet is wanted.
pub(crate) struct Wanted {
    /// Most bytes; 0: none.
    pub(crate) bytes: u32,
    /// By the snap length of its flow.
    pub(crate) of_flow: bool,
}

impl Wanted {
    const NONE: Self = Self { bytes: 0, of_flow: false };
}

/// How much of this packet is wanted.
#[inline(always)]
pub(crate) fn wanted(ctx: &TcContext, link: u8, flags: u32, snap: u32) -> Wanted {
    let all = Wanted { bytes: snap, of_flow: false };
    if flags == 0 {
        return all;
    }
    let Some(ip) = ip(ctx, link) else { return Wanted::NONE };
    if tunnels(ctx, &ip) {
        return all;
    }
    if ip.protocol != TCP {
        return if flags & config::TCP == 0 { all } else { Wanted::NONE };
    }
    if flags & config::ADDRESSES != 0 && !known(ip.source) && !known(ip.destination) {
        return Wanted::NONE;
    }
    if ip.fragment || flags & (config::PORTS | config::FLOWS) == 0 {
        return all;
    }
    let Ok(ports) = ctx.load::<[u8; 4]>(ip.at as usize) else { return Wanted::NONE };
    let [s0, s1, d0, d1] = ports;
    if flags & config::PORTS != 0 {
        let listed = |port: u16| TAP_PORTS.get_ptr(port).is_some();
        if !listed(u16::from_be_bytes([s0, s1])) && !listed(u16::from_be_bytes([d0, d1])) {
            return Wanted::NONE;
        }
    }
    if flags & config::FLOWS != 0
        && let Some(own) = of_flow(ctx, &ip, ports)
        && own < snap
    {
        return Wanted { bytes: own, of_flow: true };
    }
    all
}

/// Bytes of the packet that a flow's own snap length leaves. A SYN begins another connection, of which nobody has said anything yet.
#[inline(always)]
fn of_flow(ctx: &TcContext, ip: &Ip, ports: [u8; 4]) -> Option<u32> {
    let mut name: FlowName = [0; 36];
    name[..16].copy_from_slice(&ip.source);
    name[16..32].copy_from_slice(&ip.destination);
    name[32..].copy_from_slice(&ports);
    let payload = TAP_FLOWS.get_ptr(name)?;
    // SAFETY: a value of a map, which stays readable while the program runs.
    let payload = unsafe { *payload };
    let [offset, control]: [u8; 2] = ctx.load(ip.at as usize + 12).ok()?;
    if control & SYN != 0 {
        let _ = TAP_FLOWS.remove(name);
        return None;
    }
    Some((ip.at + u32::from(offset >> 4) * 4).saturating_add(payload))
}

#[inline(always)]
fn known(address: [u8; 16]) -> bool {
    TAP_ADDRESSES.get(Key::new(128, address)).is_some()
}

/// What may hold TCP under another header.
#[inline(always)]
fn tunnels(ctx: &TcContext, ip: &Ip) -> bool {
    match ip.protocol {
        // IP in IP, IPv6 in IP, GRE.
        4 | 41 | 47 => true,
        UDP if !ip.fragment => match ctx.load::<[u8; 2]>(ip.at as usize + 2) {
            // VXLAN, the port that Linux took for it before there was one, and GENEVE.
            Ok(port) => matches!(u16::from_be_bytes(port), 4_789 | 8_472 | 6_081),
            Err(_) => false,
        },
        _ => false,
    }
}

#[inline(always)]
fn ip(ctx: &TcContext, link: u8) -> Option<Ip> {
    let mut at = 0;
    let mut kind = 0;
    if link == ETHERNET {
        kind = u16::from_be_bytes(ctx.load(12).ok()?);
        at = 14;
        for _ in 0..MAX_TAGS {
            if !matches!(kind, 0x8100 | 0x88a8) {
                break;
            }
            kind = u16::from_be_bytes(ctx.load(at as usize + 2).ok()?);
            at += 4;
        }
    } else {
        match ctx.load::<u8>(0).ok()? >> 4 {
            4 => kind = IPV4,
            6 => kind = IPV6,
            _ => {}
        }
    }
    match kind {
        IPV4 => ipv4(ctx, at),
        IPV6 => ipv6(ctx, at),
        _ => None,
    }
}

#[inline(always)]
fn ipv4(ctx: &TcContext, at: u32) -> Option<Ip> {
    let header: [u8; 20] = ctx.load(at as usize).ok()?;
    let mapped = |from: usize| {
        let mut address = [0; 16];
        address[10] = 0xff;
        address[11] = 0xff;
        address[12] = header[from];
        address[13] = header[from + 1];
        address[14] = header[from + 2];
        address[15] = header[from + 3];
        address
    };
    Some(Ip {
        protocol: header[9],
        at: at + u32::from(header[0] & 0x0f) * 4,
        fragment: u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0,
        source: mapped(12),
        destination: mapped(16),
    })
}

#[inline(always)]
fn ipv6(ctx: &TcContext, start: u32) -> Option<Ip> {
    let mut protocol: u8 = ctx.load(start as usize + 6).ok()?;
    let source: [u8; 16] = ctx.load(start as usize + 8).ok()?;
    let destination: [u8; 16] = ctx.load(start as usize + 24).ok()?;
    let mut at = start + 40;
    let mut fragment = false;
    for _ in 0..MAX_EXTENSIONS {
        match protocol {
            // Hop-by-hop options, routing, destination options.
            0 | 43 | 60 => {
                let [next, length]: [u8; 2] = ctx.load(at as usize).ok()?;
                protocol = next;
                at += (u32::from(length) + 1) * 8;
            }
            44 => {
                let [next, _, high, low]: [u8; 4] = ctx.load(at as usize).ok()?;
                protocol = next;
                at += 8;
                fragment = u16::from_be_bytes([high, low]) & 0xfff8 != 0;
                if fragment {
                    break;
                }
            }
            _ => break,
        }
    }
    Some(Ip { protocol, at, fragment, source, destination })
}
