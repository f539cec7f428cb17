//! Interfaces, as sysfs has them.

use std::fs;
use std::path::{Path, PathBuf};

/// An interface that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) index: u32,
    /// Index of the interface under it, or of its peer; its own where there is none.
    link: u32,
    /// ARPHRD_ constant.
    kind: u32,
    /// Names of the interfaces that it is made of: a bridge's ports, a VLAN's trunk.
    lowers: Vec<String>,
}

/// ARPHRD_LOOPBACK.
const LOOPBACK: u32 = 772;
/// ARPHRD_ETHER.
const ETHER: u32 = 1;

impl Interface {
    /// Looks an interface up. `None`: it is not there.
    pub(super) fn find(name: &str) -> Option<Self> {
        Self::read(Path::new("/sys/class/net"), name)
    }

    /// All interfaces, in the order of their indices.
    pub(super) fn all() -> Vec<Self> {
        let names = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        let mut found: Vec<Self> = names.filter_map(|entry| Self::find(entry.file_name().to_str()?)).collect();
        found.sort_by_key(|interface| interface.index);
        found
    }

    fn read(top: &Path, name: &str) -> Option<Self> {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return None;
        }
        let place: PathBuf = top.join(name);
        let number = |file: &str| fs::read_to_string(place.join(file)).ok()?.trim().parse::<u32>().ok();
        let index = number("ifindex")?;
        let entries = fs::read_dir(&place).into_iter().flatten().flatten();
        let lower = |name: std::ffi::OsString| name.to_str()?.strip_prefix("lower_").map(str::to_owned);
        let mut lowers: Vec<String> = entries.filter_map(|entry| lower(entry.file_name())).collect();
        lowers.sort();
        Some(Self {
            name: name.to_owned(),
            index,
            link: number("iflink").unwrap_or(index),
            kind: number("type").unwrap_or(ETHER),
            lowers,
        })
    }

    pub(super) const fn is_loopback(&self) -> bool {
        self.kind == LOOPBACK
    }

    /// Its packets begin with an Ethernet header.
    pub(super) const fn is_ethernet(&self) -> bool {
        matches!(self.kind, LOOPBACK | ETHER)
    }
}

/// Which of the interfaces to attach to, so that no packet is seen twice: the second end of a veth pair sees what the first sees, and a
/// bridge, bond or VLAN what those that it is made of see, where all of them are there.
pub(super) fn once(mut interfaces: Vec<Interface>) -> Vec<Interface> {
    interfaces.sort_by_key(|interface| interface.index);
    interfaces.dedup_by_key(|interface| interface.index);
    let all = interfaces.clone();
    let there = |name: &String| all.iter().any(|other| other.name == *name);
    let is_peer = |interface: &Interface| {
        let peer = |other: &Interface| other.index == interface.link && other.link == interface.index;
        interface.lowers.is_empty() && all.iter().any(|other| other.index < interface.index && peer(other))
    };
    interfaces.retain(|interface| {
        let covered = !interface.lowers.is_empty() && interface.lowers.iter().all(there);
        !covered && !is_peer(interface)
    });
    interfaces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, index: u32, link: u32, lowers: &[&str]) -> Interface {
        let lowers = lowers.iter().map(|lower| (*lower).to_owned()).collect();
        Interface { name: name.to_owned(), index, link, kind: ETHER, lowers }
    }

    fn names(interfaces: Vec<Interface>) -> Vec<String> {
        once(interfaces).into_iter().map(|interface| interface.name).collect()
    }

    #[test]
    fn one_end_of_a_veth_pair_is_enough() {
        let (a, b) = (interface("a", 4, 5, &[]), interface("b", 5, 4, &[]));
        assert_eq!(names(vec![b.clone(), a.clone()]), ["a"]);
        assert_eq!(names(vec![b]), ["b"], "its peer is in another namespace");
        assert_eq!(names(vec![interface("eth0", 2, 2, &[]), interface("eth0", 2, 2, &[])]), ["eth0"]);
    }

    #[test]
    fn what_others_are_made_of_sees_their_packets() {
        let (trunk, vlan) = (interface("eth0", 2, 2, &[]), interface("eth0.5", 3, 2, &["eth0"]));
        assert_eq!(names(vec![trunk, vlan.clone()]), ["eth0"]);
        assert_eq!(names(vec![vlan]), ["eth0.5"]);
        let bridge = interface("br0", 9, 9, &["p1", "p2"]);
        assert_eq!(names(vec![bridge.clone(), interface("p1", 7, 70, &[])]), ["p1", "br0"], "p2 is not seen");
        assert_eq!(names(vec![bridge, interface("p1", 7, 70, &[]), interface("p2", 8, 80, &[])]), ["p1", "p2"]);
    }

    #[test]
    fn loopback_is_there() {
        let Some(loopback) = Interface::find("lo") else {
            println!("skipped: no interface named lo");
            return;
        };
        assert!(loopback.is_loopback() && loopback.is_ethernet());
        assert!(Interface::find("../lo").is_none() && Interface::find("").is_none());
    }
}
