//! What the kernel lets through.

use std::net::IpAddr;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData, MapError};
use probe_abi::tap::{Config, config};

use crate::source::SourceError;
use crate::source::object::{failed, lacks};

/// Which packets are wanted. An empty list wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// TCP ports, at either end.
    pub ports: Vec<u16>,
    /// Addresses and the lengths of their prefixes, at either end.
    pub addresses: Vec<(IpAddr, u8)>,
}

impl Filter {
    const fn flags(&self) -> u32 {
        let ports = if self.ports.is_empty() { 0 } else { config::PORTS };
        let addresses = if self.addresses.is_empty() { 0 } else { config::ADDRESSES };
        config::TCP | ports | addresses
    }

    /// Writes the filter into the kernel's maps, before anything is attached.
    pub(super) fn install(&self, ebpf: &mut Ebpf, snap: u32, wake: u32) -> Result<Config, SourceError> {
        let map = |error: MapError| failed("write the filter", error);
        with_ports(ebpf, |ports| self.ports.iter().try_for_each(|port| ports.insert(port, 1, 0)))?;
        let mut addresses: LpmTrie<_, [u8; 16], u8> =
            ebpf.map_mut("TAP_ADDRESSES").ok_or_else(|| lacks("TAP_ADDRESSES"))?.try_into().map_err(map)?;
        for (address, prefix) in &self.addresses {
            let (bytes, bits) = mapped(*address, *prefix);
            addresses.insert(&Key::new(bits, bytes), 1, 0).map_err(map)?;
        }
        let mut words: Config = [0; config::COUNT];
        for (at, word) in [(config::FLAGS, self.flags()), (config::SNAP, snap), (config::WAKE, wake)] {
            if let Some(place) = words.get_mut(at) {
                *place = word;
            }
        }
        configure(ebpf, words)?;
        Ok(words)
    }

    /// Wants other ports from now on. What both want never stops coming.
    pub(super) fn change_ports(
        &mut self,
        ebpf: &mut Ebpf,
        words: &mut Config,
        ports: &[u16],
    ) -> Result<(), SourceError> {
        let wanted = Self { ports: ports.to_vec(), addresses: std::mem::take(&mut self.addresses) };
        let before = std::mem::replace(self, wanted);
        with_ports(ebpf, |map| ports.iter().try_for_each(|port| map.insert(port, 1, 0)))?;
        if let Some(flags) = words.get_mut(config::FLAGS) {
            *flags = (*flags & !config::PORTS) | (self.flags() & config::PORTS);
        }
        configure(ebpf, *words)?;
        let gone = before.ports.iter().filter(|port| !ports.contains(port));
        with_ports(ebpf, |map| gone.clone().try_for_each(|port| map.remove(port)))
    }
}

/// Does something with the table of ports.
fn with_ports(
    ebpf: &mut Ebpf,
    work: impl FnOnce(&mut HashMap<&mut MapData, u16, u8>) -> Result<(), MapError>,
) -> Result<(), SourceError> {
    let map = |error: MapError| failed("write the filter", error);
    let mut ports = ebpf.map_mut("TAP_PORTS").ok_or_else(|| lacks("TAP_PORTS"))?.try_into().map_err(map)?;
    work(&mut ports).map_err(map)
}

/// Writes what steers the tap.
pub(super) fn configure(ebpf: &mut Ebpf, words: Config) -> Result<(), SourceError> {
    let map = |error: MapError| failed("configure the tap", error);
    let mut table: Array<_, Config> =
        ebpf.map_mut("TAP_CONFIG").ok_or_else(|| lacks("TAP_CONFIG"))?.try_into().map_err(map)?;
    table.set(0, words, 0).map_err(map)
}

/// An address as the kernel's maps have it: IPv4 as IPv4-mapped IPv6; and the length of its prefix.
fn mapped(address: IpAddr, prefix: u8) -> ([u8; 16], u32) {
    match address {
        IpAddr::V4(address) => (address.to_ipv6_mapped().octets(), 96 + u32::from(prefix.min(32))),
        IpAddr::V6(address) => (address.octets(), u32::from(prefix.min(128))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_is_mapped() {
        let (bytes, bits) = mapped("10.1.2.3".parse().unwrap(), 24);
        assert_eq!((&bytes[10..], bits), (&[0xff, 0xff, 10, 1, 2, 3][..], 120));
        assert_eq!(mapped("::1".parse().unwrap(), 200).1, 128);
    }

    #[test]
    fn lists_set_their_flags() {
        assert_eq!(Filter::default().flags(), config::TCP);
        let filter = Filter { ports: vec![443], addresses: vec![("::".parse().unwrap(), 0)] };
        assert_eq!(filter.flags(), config::TCP | config::PORTS | config::ADDRESSES);
    }
}
