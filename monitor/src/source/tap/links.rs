//! The interfaces of the network namespace that the program is in, as the kernel tells them by netlink (rtnetlink(7)).
//!
//! Not from sysfs: that shows the namespace of whoever mounted it, and its names and numbers may be those of other interfaces.

use std::io;

use libc::{
    IFLA_EXT_MASK, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINK_NETNSID, IFLA_LINKINFO,
    IFLA_MASTER, NLA_TYPE_MASK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    RTEXT_FILTER_SKIP_STATS, RTM_GETLINK, RTM_NEWLINK,
};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// An interface, as the kernel tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) index: u32,
    /// `IFF_` flags.
    pub(super) flags: u32,
    /// `ARPHRD_` constant.
    pub(super) kind: u16,
    /// What made it: `veth`, `vlan`; empty for hardware.
    pub(super) driver: String,
    /// Index of the interface under it, or of its peer, where that is in the same namespace.
    pub(super) link: Option<u32>,
    /// Index of the bridge or bond that it is a port of.
    pub(super) master: Option<u32>,
}

/// A socket to the kernel.
#[derive(Debug)]
pub(super) struct Links {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// Length of a message's header, and of the part of a link's message that is not attributes.
const HEADER: usize = 16;
const LINK_HEADER: usize = 16;
/// More than the kernel puts into one answer.
const BUFFER: usize = 64 << 10;
/// Interfaces that come and go break a list off: it is asked for again so many times.
const TRIES: usize = 5;
/// `IFLA_VXLAN_LINK`.
const VXLAN_LINK: u16 = 3;

impl Links {
    pub(super) fn open() -> io::Result<Self> {
        // Without a protocol: NETLINK_ROUTE is 0.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// All interfaces.
    pub(super) fn all(&mut self) -> io::Result<Vec<Link>> {
        for _ in 0..TRIES {
            if let Some(links) = self.ask()? {
                return Ok(links);
            }
        }
        Err(io::Error::other("interfaces come and go too fast"))
    }

    /// `None`: the list was broken off.
    fn ask(&mut self) -> io::Result<Option<Vec<Link>>> {
        self.sequence = self.sequence.wrapping_add(1);
        send(&self.socket, &request(self.sequence), SendFlags::empty())?;
        let (mut links, mut whole) = (Vec::new(), true);
        loop {
            let (len, _) = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
            for message in messages(self.buffer.get(..len).unwrap_or_default()) {
                if message.sequence != self.sequence {
                    continue;
                }
                whole &= message.flags & NLM_F_DUMP_INTR as u16 == 0;
                if message.kind == RTM_NEWLINK {
                    links.extend(link(message.body));
                } else if message.kind == NLMSG_ERROR as u16 {
                    let code = word(message.body, 0).unwrap_or_default().cast_signed();
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                } else if message.kind == NLMSG_DONE as u16 {
                    return Ok(whole.then_some(links));
                }
            }
        }
    }
}

/// Asks for all interfaces, without their statistics.
fn request(sequence: u32) -> Vec<u8> {
    let mut request = Vec::new();
    let flags = (NLM_F_REQUEST | NLM_F_DUMP) as u16;
    let len = (HEADER + LINK_HEADER + 8) as u32;
    request.extend(len.to_ne_bytes());
    request.extend([RTM_GETLINK, flags].iter().flat_map(|half| half.to_ne_bytes()));
    request.extend(sequence.to_ne_bytes());
    // The kernel fills in who asks; and an empty description of a link.
    request.extend([0; 4 + LINK_HEADER]);
    request.extend([8, IFLA_EXT_MASK].iter().flat_map(|half| half.to_ne_bytes()));
    request.extend(RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    request
}

struct Message<'b> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'b [u8],
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let len = word(bytes, 0)? as usize;
        let body = bytes.get(HEADER..len)?;
        let message = Message { kind: half(bytes, 4)?, flags: half(bytes, 6)?, sequence: word(bytes, 8)?, body };
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The types and values of attributes.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(half(bytes, 0)?);
        let kind = half(bytes, 2)? & NLA_TYPE_MASK as u16;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Reads a link's message. `None`: it is of no known form.
fn link(body: &[u8]) -> Option<Link> {
    let mut link = Link { kind: half(body, 2)?, index: word(body, 4)?, flags: word(body, 8)?, ..Link::default() };
    let mut elsewhere = false;
    for (kind, value) in attributes(body.get(LINK_HEADER..)?) {
        match kind {
            IFLA_IFNAME => link.name = text(value)?,
            IFLA_LINK => link.link = word(value, 0),
            IFLA_LINK_NETNSID => elsewhere = true,
            IFLA_MASTER => link.master = word(value, 0),
            IFLA_LINKINFO => {
                let info = |wanted| attributes(value).find(|&(kind, _)| kind == wanted).map(|(_, value)| value);
                link.driver = info(IFLA_INFO_KIND).and_then(text).unwrap_or_default();
                if link.driver == "vxlan" {
                    let mut data = attributes(info(IFLA_INFO_DATA).unwrap_or_default());
                    let under = data.find(|&(kind, _)| kind == VXLAN_LINK).and_then(|(_, value)| word(value, 0));
                    link.link = link.link.or(under);
                }
            }
            _ => {}
        }
    }
    if elsewhere {
        link.link = None;
    }
    (!link.name.is_empty()).then_some(link)
}

fn text(value: &[u8]) -> Option<String> {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    Some(std::str::from_utf8(value.get(..end)?).ok()?.to_owned())
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there() {
        let all = Links::open().and_then(|mut links| {
            links.all()?;
            links.all()
        });
        let all = all.unwrap();
        let found = all.iter().find(|link| link.kind == libc::ARPHRD_LOOPBACK);
        assert!(found.is_some_and(|link| link.name == "lo" && link.index == 1), "{all:?}");
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend([4 + value.len() as u16, kind].iter().flat_map(|half| half.to_ne_bytes()));
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn body(attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![0, 0];
        body.extend(1u16.to_ne_bytes());
        body.extend(7u32.to_ne_bytes());
        body.extend([0; 8]);
        body.extend(attributes.concat());
        body
    }

    #[test]
    fn what_a_link_is_made_of() {
        let name = attribute(IFLA_IFNAME, b"a\0");
        let under = attribute(IFLA_LINK, &3u32.to_ne_bytes());
        let port = attribute(IFLA_MASTER, &9u32.to_ne_bytes());
        let driver = |name: &[u8], more: &[u8]| {
            attribute(IFLA_LINKINFO, &[attribute(IFLA_INFO_KIND, name), attribute(IFLA_INFO_DATA, more)].concat())
        };
        let wanted = Link { name: "a".into(), index: 7, kind: 1, ..Link::default() };
        let vlan = Link { driver: "vlan".into(), link: Some(3), master: Some(9), ..wanted.clone() };
        let parts = [name.clone(), under.clone(), port, driver(b"vlan\0", &[])];
        assert_eq!(link(&body(&parts)), Some(vlan));
        // Its peer is in another namespace: a number there says nothing here.
        let away = [name.clone(), under, attribute(IFLA_LINK_NETNSID, &[0; 4])];
        assert_eq!(link(&body(&away)), Some(wanted.clone()));
        let vxlan = Link { driver: "vxlan".into(), link: Some(5), ..wanted };
        let parts = [name, driver(b"vxlan\0", &attribute(VXLAN_LINK, &5u32.to_ne_bytes()))];
        assert_eq!(link(&body(&parts)), Some(vxlan));
        assert_eq!(link(&body(&[])), None, "without a name");
    }

    #[test]
    fn damaged_messages_end_the_list() {
        let whole = body(&[attribute(IFLA_IFNAME, b"a\0"), attribute(IFLA_LINK, &[1; 4])]);
        for len in 0..whole.len() {
            let _ = link(&whole[..len]);
        }
        assert_eq!(messages(&[3, 0, 0, 0, 1, 2]).count(), 0);
        assert_eq!(attributes(&[0; 40]).count(), 0);
    }
}
