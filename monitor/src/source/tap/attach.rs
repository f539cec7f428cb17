//! Attaching to an interface: TCX where the kernel has it, clsact where not.

use std::io;

use aya::Ebpf;
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, tc};

use super::interface::Interface;
use super::leftovers::Claim;
use crate::source::SourceError;
use crate::source::object::{failed, lacks, patiently};

/// How the tap is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hook {
    /// TCX (Linux 6.6), or else clsact: whichever the kernel takes.
    #[default]
    Auto,
    /// TCX alone. The kernel detaches by itself when the monitor ends, however it ends.
    Tcx,
    /// A filter of the clsact qdisc alone. What a killed monitor left behind is removed by the next.
    Clsact,
}

/// The tap on one interface. Dropping it detaches.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) hook: Hook,
    index: u32,
    claim: Option<Claim>,
    _links: Vec<SchedClassifierLink>,
}

impl Attached {
    /// Sees to it that nobody takes its filters for leftovers. Another monitor may have said so of its own, and may end first.
    pub(super) fn claim(&mut self) {
        if self.hook == Hook::Clsact && self.claim.is_none() {
            self.claim = Claim::of(self.index);
        }
    }
}

/// A loopback packet passes both hooks, one after the other; only its reception is taken.
fn programs(interface: &Interface) -> &'static [(&'static str, TcAttachType)] {
    const ETHERNET: &[(&str, TcAttachType)] =
        &[("h2watch_in", TcAttachType::Ingress), ("h2watch_out", TcAttachType::Egress)];
    const RAW_IP: &[(&str, TcAttachType)] =
        &[("h2watch_ip_in", TcAttachType::Ingress), ("h2watch_ip_out", TcAttachType::Egress)];
    match (interface.is_ethernet(), interface.is_loopback()) {
        (_, true) => ETHERNET.get(..1).unwrap_or_default(),
        (true, false) => ETHERNET,
        (false, false) => RAW_IP,
    }
}

/// Attaches the tap to an interface.
pub(super) fn attach(ebpf: &mut Ebpf, interface: &Interface, hook: Hook) -> Result<Attached, SourceError> {
    match hook {
        Hook::Tcx | Hook::Clsact => attach_to(ebpf, interface, hook),
        Hook::Auto => attach_to(ebpf, interface, Hook::Tcx).or_else(|tcx| {
            attach_to(ebpf, interface, Hook::Clsact).map_err(|clsact| {
                failed(format!("attach to {}", interface.name), io::Error::other(format!("{tcx}; {clsact}")))
            })
        }),
    }
}

fn attach_to(ebpf: &mut Ebpf, interface: &Interface, hook: Hook) -> Result<Attached, SourceError> {
    let name = &interface.name;
    let mut claim = None;
    if hook == Hook::Clsact {
        claim = Claim::patiently(interface.index);
        if let Err(error) = tc::qdisc_add_clsact(name)
            && !exists(&error)
        {
            return Err(failed(format!("add clsact to {name}"), error));
        }
    }
    let mut links = Vec::new();
    for (program, direction) in programs(interface) {
        let classifier: &mut SchedClassifier = ebpf
            .program_mut(program)
            .ok_or_else(|| lacks(program))?
            .try_into()
            .map_err(|error: ProgramError| failed(format!("use {program}"), error))?;
        match patiently(|| classifier.load()) {
            Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
            Err(error) => {
                return Err(failed(format!("load {program} (needs CAP_BPF and CAP_NET_ADMIN, or root)"), error));
            }
        }
        let options = match hook {
            Hook::Clsact => TcAttachOptions::Netlink(NlOptions::default()),
            Hook::Auto | Hook::Tcx => TcAttachOptions::TcxOrder(LinkOrder::default()),
        };
        let way = if hook == Hook::Clsact { "clsact" } else { "TCX" };
        let link = classifier
            .attach_with_options(name, *direction, options)
            .and_then(|id| classifier.take_link(id))
            .map_err(|error| failed(format!("attach {program} to {name} by {way}"), error))?;
        links.push(link);
    }
    Ok(Attached { hook, index: interface.index, claim, _links: links })
}

fn exists(error: &TcError) -> bool {
    matches!(error, TcError::AlreadyAttached) || error.to_string().contains("File exists") || {
        let mut cause = std::error::Error::source(error);
        let mut found = false;
        while let Some(inner) = cause {
            found |= inner.to_string().contains("File exists");
            cause = inner.source();
        }
        found
    }
}
