//! Interfaces: how packets of each begin, and which of them see the same packets.

use super::links::Link;
use crate::source::live::idle;

/// An interface that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) index: u32,
    /// Why nothing can come on it: it is down, or has no carrier.
    pub(super) idle: Option<String>,
    /// Index of its peer, where that is in the same namespace.
    peer: Option<u32>,
    /// `ARPHRD_` constant.
    kind: u16,
    /// Indices of the interfaces that it is made of: a bridge's ports, a VLAN's trunk.
    lowers: Vec<u32>,
}

/// Interfaces that lie on another one, which sees every packet of theirs in a form that can be read.
const STACKED: [&str; 6] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "vxlan"];

impl Interface {
    /// What the kernel's list comes to, in the order of indices.
    pub(super) fn all(links: &[Link]) -> Vec<Self> {
        let is_stacked = |link: &Link| STACKED.contains(&&*link.driver);
        let has = |link: &Link, flag: libc::c_int| link.flags & flag.cast_unsigned() != 0;
        let interface = |link: &Link| {
            let ports = links.iter().filter(|port| port.master == Some(link.index)).map(|port| port.index);
            Self {
                name: link.name.clone(),
                index: link.index,
                idle: idle(&link.name, has(link, libc::IFF_UP), has(link, libc::IFF_RUNNING)),
                peer: link.link.filter(|_| !is_stacked(link)),
                kind: link.kind,
                lowers: ports.chain(link.link.filter(|_| is_stacked(link))).collect(),
            }
        };
        let mut all: Vec<Self> = links.iter().map(interface).collect();
        all.sort_by_key(|interface| interface.index);
        all
    }

    pub(super) const fn is_loopback(&self) -> bool {
        self.kind == libc::ARPHRD_LOOPBACK
    }

    /// Its packets begin with an Ethernet header.
    pub(super) const fn is_ethernet(&self) -> bool {
        matches!(self.kind, libc::ARPHRD_LOOPBACK | libc::ARPHRD_ETHER)
    }
}

/// Which of the interfaces to attach to, so that no packet is seen twice: the second end of a veth pair sees what the first sees, and a
/// bridge, bond or VLAN what those that it is made of see, where all of them are there.
pub(super) fn once(mut interfaces: Vec<Interface>) -> Vec<Interface> {
    interfaces.sort_by_key(|interface| interface.index);
    interfaces.dedup_by_key(|interface| interface.index);
    let all = interfaces.clone();
    let there = |index: &u32| all.iter().any(|other| other.index == *index);
    let is_peer = |interface: &Interface| {
        let peer = |other: &Interface| Some(other.index) == interface.peer && other.peer == Some(interface.index);
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

    fn link(name: &str, index: u32, driver: &str, link: Option<u32>, master: Option<u32>) -> Link {
        let flags = (libc::IFF_UP | libc::IFF_RUNNING).cast_unsigned();
        Link { name: name.into(), index, flags, kind: libc::ARPHRD_ETHER, driver: driver.into(), link, master }
    }

    /// What is attached to, of a list of interfaces, when these are asked for.
    fn names(links: &[Link], asked: &[&str]) -> Vec<String> {
        let asked = asked.iter().filter_map(|name| Interface::all(links).into_iter().find(|one| one.name == *name));
        once(asked.collect()).into_iter().map(|interface| interface.name).collect()
    }

    #[test]
    fn one_end_of_a_veth_pair_is_enough() {
        let pair = [link("b", 5, "veth", Some(4), None), link("a", 4, "veth", Some(5), None)];
        assert_eq!(names(&pair, &["b", "a"]), ["a"]);
        assert_eq!(names(&pair, &["b"]), ["b"], "its peer is not asked for");
        let away = [link("a", 4, "veth", None, None), link("b", 5, "veth", Some(4), None)];
        assert_eq!(names(&away, &["a", "b"]), ["a", "b"], "the peer of one is in another namespace");
        assert_eq!(names(&[link("eth0", 2, "", None, None)], &["eth0", "eth0"]), ["eth0"]);
    }

    #[test]
    fn what_others_are_made_of_sees_their_packets() {
        let vlan = [link("eth0", 2, "", None, None), link("eth0.5", 3, "vlan", Some(2), None)];
        assert_eq!(names(&vlan, &["eth0", "eth0.5"]), ["eth0"]);
        assert_eq!(names(&vlan, &["eth0.5"]), ["eth0.5"]);
        let bridge = [
            link("p1", 7, "veth", None, Some(9)),
            link("p2", 8, "veth", None, Some(9)),
            link("br0", 9, "bridge", None, None),
        ];
        assert_eq!(names(&bridge, &["br0", "p1"]), ["p1", "br0"], "p2 is not seen");
        assert_eq!(names(&bridge, &["br0", "p1", "p2"]), ["p1", "p2"]);
        // What a tunnel carries is something else than the packets under it.
        let tunnel = [link("eth0", 2, "", None, None), link("wg0", 3, "gre", Some(2), None)];
        assert_eq!(names(&tunnel, &["eth0", "wg0"]), ["eth0", "wg0"]);
    }
}
