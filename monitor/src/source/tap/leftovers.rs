//! Filters that a killed monitor left behind: unlike TCX, clsact keeps a filter whose program nobody holds.
//!
//! Filters of a monitor that runs have the same names. It holds an abstract socket for each interface, which lives and ends with it, and is
//! known in the network namespace that the interface is in, whatever other namespaces its processes have.

use std::thread;
use std::time::Duration;

use aya::programs::{TcAttachType, tc};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

use super::links::Links;

/// Says that the filters of an interface belong to a monitor that runs.
#[derive(Debug)]
pub(super) struct Claim(#[expect(dead_code, reason = "holds the name")] OwnedFd);

impl Claim {
    /// `None`: another monitor has it.
    pub(super) fn of(index: u32) -> Option<Self> {
        let name = SocketAddrUnix::new_abstract_name(format!("h2watch-clsact-{index}").as_bytes()).ok()?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
        bind(&socket, &name).ok()?;
        Some(Self(socket))
    }

    /// Where another one is just looking for leftovers, it is done when this returns.
    pub(super) fn patiently(index: u32) -> Option<Self> {
        Self::of(index).or_else(|| {
            thread::sleep(Duration::from_millis(20));
            Self::of(index)
        })
    }
}

/// Removes the filters of killed monitors from every interface. The qdisc stays: others may have filters there.
pub fn remove_leftovers() {
    use TcAttachType::{Egress, Ingress};
    const PROGRAMS: [(&str, TcAttachType); 4] =
        [("h2watch_in", Ingress), ("h2watch_out", Egress), ("h2watch_ip_in", Ingress), ("h2watch_ip_out", Egress)];
    // Who may not list interfaces or change them, or has none with a filter, has nothing to remove.
    for link in Links::open().and_then(|mut links| links.all()).unwrap_or_default() {
        let Some(_claim) = Claim::of(link.index) else { continue };
        for (program, hook) in PROGRAMS {
            let _ = tc::qdisc_detach_program(&link.name, hook, program);
        }
    }
}
