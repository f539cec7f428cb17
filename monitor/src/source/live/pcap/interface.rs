//! One interface: opened, read, watched, and opened again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::net::if_::{InterfaceFlags, if_nametoindex};
use pcap::{Active, Capture, Inactive, Precision, TimestampType};

use super::{RETIRE, Settings, is_full};
use crate::model::{Bytes, Packet, PacketBatch, Time, hull, link_supported};
use crate::source::live::{InterfaceHealth, Timestamps, idle, wall};

/// The name of all interfaces together.
pub(super) const ANY: &str = "any";

/// Opening is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// Tunnels that may carry TCP: what they carry is told apart later.
const TUNNELS: &str = "proto 47 or proto 4 or proto 41 or udp port 4789 or udp port 8472 or udp port 6081";

/// A count of libpcap's: 32 bits that start at 0 with every opening and wrap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rising {
    last: u32,
}

impl Rising {
    /// By how much it rose, given what it is now.
    pub(super) const fn by(&mut self, now: u32) -> u64 {
        let by = now.wrapping_sub(self.last);
        self.last = now;
        by as u64
    }
}

/// A capture and what it was opened on.
struct Opened {
    capture: Capture<Active>,
    link: u16,
    /// The kernel's number of the interface: another one of the same name has another number.
    index: u32,
    dropped: Rising,
    dropped_interface: Rising,
}

/// One interface.
pub(super) struct Interface {
    settings: Arc<Settings>,
    opened: Option<Opened>,
    health: InterfaceHealth,
    /// Lost since it was last asked.
    lost: u64,
    /// It was not read for a while that was not told to its end.
    missed: bool,
    /// Until when nothing is missing but what was told (the system's clock).
    whole: Time,
    /// Opening is not tried before.
    retry: Instant,
}

impl Interface {
    pub(super) fn open(name: &str, settings: &Arc<Settings>, now: Instant) -> Result<Self, String> {
        let opened = Opened::open(name, settings)?;
        Ok(Self {
            settings: Arc::clone(settings),
            opened: Some(opened),
            health: InterfaceHealth { name: name.to_owned(), kind: "pcap", up: true, ..InterfaceHealth::default() },
            lost: 0,
            missed: false,
            whole: wall(),
            retry: now,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.health.name
    }

    /// What there is to wait for.
    pub(super) fn capture(&self) -> Option<&Capture<Active>> {
        self.opened.as_ref().map(|opened| &opened.capture)
    }

    /// Takes what is there, as far as it fits into the batch.
    pub(super) fn read(&mut self, batch: &mut PacketBatch<'static>) {
        let Some(opened) = &mut self.opened else { return };
        while !is_full(batch) {
            let packet = match opened.capture.next_packet() {
                Ok(packet) => packet,
                Err(pcap::Error::TimeoutExpired) => return,
                Err(error) => return self.close(format!("{}: {}", self.health.name, plain(&error))),
            };
            self.health.received += 1;
            let start = u32::try_from(batch.arena.len()).unwrap_or(u32::MAX);
            batch.arena.extend_from_slice(packet.data);
            // Opened with nanoseconds: that is what stands where a `timeval` has its microseconds.
            let stamp = packet.header.ts;
            let (seconds, nanos) =
                (u64::try_from(stamp.tv_sec).unwrap_or(0), u64::try_from(stamp.tv_usec).unwrap_or(0));
            batch.packets.push(Packet {
                time: Time(seconds.saturating_mul(1_000_000_000).saturating_add(nanos)),
                link: opened.link,
                data: Bytes::Arena { start, len: packet.header.caplen },
                wire_len: packet.header.len,
                shortened: false,
            });
        }
    }

    /// Sees whether the interface is still the one that was opened, and opens it again where it is not.
    pub(super) fn look(&mut self, now: Instant) {
        let name = self.health.name.as_str();
        match (&self.opened, index(name)) {
            (Some(_), None) => self.close(format!("{name} is gone")),
            (Some(opened), Some(index)) if opened.index != index => {
                self.close(format!("{name} was replaced"));
                self.reopen(now);
            }
            (None, Some(_)) if now >= self.retry => self.reopen(now),
            (Some(_), Some(_)) | (None, _) => {}
        }
    }

    /// Takes other packets from now on, also when it is opened again.
    pub(super) fn refilter(&mut self, settings: &Arc<Settings>) -> Result<(), String> {
        if let Some(opened) = &mut self.opened {
            opened.filter(&self.health.name, settings)?;
        }
        self.settings = Arc::clone(settings);
        Ok(())
    }

    /// Hears what the system says of the interface of this name.
    pub(super) fn has_flags(&mut self, flags: InterfaceFlags) {
        if self.opened.is_none() {
            return;
        }
        let name = self.health.name.as_str();
        let (up, running) = (flags.contains(InterfaceFlags::IFF_UP), flags.contains(InterfaceFlags::IFF_RUNNING));
        self.health.error = idle(name, up, running);
        self.health.up = self.health.error.is_none();
    }

    fn reopen(&mut self, now: Instant) {
        match Opened::open(&self.health.name, &self.settings) {
            Ok(opened) => {
                self.opened = Some(opened);
                self.health.up = true;
                self.health.error = None;
                self.health.reopened += 1;
                // What went by meanwhile is lost, and nobody knows how much.
                self.missed = true;
            }
            Err(error) => {
                self.health.error = Some(error);
                self.retry = now + RETRY;
            }
        }
    }

    fn close(&mut self, why: String) {
        self.count();
        self.opened = None;
        self.health.up = false;
        self.health.error = Some(why);
    }

    /// Reads what libpcap counts.
    fn count(&mut self) {
        let Some(opened) = &mut self.opened else { return };
        // Of an interface that is gone there is nothing to read any more.
        let Ok(stats) = opened.capture.stats() else { return };
        let (kernel, interface) = (opened.dropped.by(stats.dropped), opened.dropped_interface.by(stats.if_dropped));
        self.health.dropped_kernel += kernel;
        self.health.dropped_interface += interface;
        self.lost = self.lost.saturating_add(kernel).saturating_add(interface);
    }

    /// Tells the batch what was lost since the last call, and when. While nothing is read, everything is missed.
    pub(super) fn tell_lost(&mut self, batch: &mut PacketBatch<'static>, now: Time) {
        self.count();
        let lost = std::mem::replace(&mut self.lost, 0);
        batch.lost = batch.lost.saturating_add(lost);
        if lost > 0 || std::mem::take(&mut self.missed) || self.opened.is_none() {
            batch.lost_within = hull(batch.lost_within, Some((self.whole.min(now), now)));
        }
        if self.opened.is_some() {
            self.whole = now;
        }
    }

    pub(super) fn health(&mut self) -> InterfaceHealth {
        self.count();
        self.health.clone()
    }
}

impl Opened {
    fn open(name: &str, settings: &Settings) -> Result<Self, String> {
        // Before the opening: when it is replaced in between, the next look sees another number.
        let index = index(name).ok_or_else(|| format!("cannot capture on {name}: there is no such interface"))?;
        let capture = Capture::from_device(name).map_err(|error| failed(name, &error))?;
        let capture = settings.apply(capture, name)?.open().map_err(|error| failed(name, &error))?;
        let capture = capture.setnonblock().map_err(|error| failed(name, &error))?;
        let link = capture.get_datalink();
        let number = u16::try_from(link.0).ok().filter(|&number| link_supported(number));
        let Some(number) = number else {
            let kind = link.get_name().unwrap_or_else(|_| "unknown".to_owned());
            return Err(format!("cannot capture on {name}: its link type {kind} ({}) is not decoded", link.0));
        };
        let (dropped, dropped_interface) = (Rising::default(), Rising::default());
        let mut this = Self { capture, link: number, index, dropped, dropped_interface };
        this.filter(name, settings)?;
        Ok(this)
    }

    fn filter(&mut self, name: &str, settings: &Settings) -> Result<(), String> {
        let Some(filter) = &settings.filter.expression else {
            let [first, second] = everything(&settings.filter.ports);
            let set = self.capture.filter(&first, true).or_else(|_| self.capture.filter(&second, true));
            return set.map_err(|error| failed(name, &error));
        };
        let set = self.capture.filter(filter, true);
        set.map_err(|error| format!("the filter \"{filter}\" is not valid on {name}: {}", plain(&error)))
    }
}

/// What may carry TCP at one of these ports (none: at any), tunnels and VLANs included. The second is for links that have no VLANs.
fn everything(ports: &[u16]) -> [String; 2] {
    const LINKS: &str = "ether proto 0x8847 or ether proto 0x8864";
    if ports.is_empty() {
        let without = format!("tcp or {TUNNELS}");
        return [format!("{without} or {LINKS} or vlan"), without];
    }
    let ports: Vec<String> = ports.iter().map(|port| format!("tcp port {port}")).collect();
    // The later parts of a datagram do not say their ports.
    let without = format!("{} or {TUNNELS} or (tcp and ip[6:2] & 0x1fff != 0)", ports.join(" or "));
    // Behind `vlan` everything is looked for behind the tag.
    [format!("{without} or {LINKS} or (vlan and ({without}))"), without]
}

impl Settings {
    fn apply(&self, capture: Capture<Inactive>, name: &str) -> Result<Capture<Inactive>, String> {
        let capture = capture
            .snaplen(i32::try_from(self.snaplen).unwrap_or(i32::MAX))
            .buffer_size(i32::try_from(self.buffer).unwrap_or(i32::MAX))
            .timeout(i32::try_from(RETIRE.as_millis()).unwrap_or(1))
            // `any` has no such mode, and libpcap would say so in an error.
            .promisc(self.promiscuous && name != ANY)
            .immediate_mode(self.immediate)
            .precision(Precision::Nano);
        let stamp = match self.timestamps {
            Timestamps::Host => return Ok(capture),
            Timestamps::Adapter => TimestampType::Adapter,
            Timestamps::AdapterUnsynced => TimestampType::AdapterUnsynced,
        };
        // libpcap would go on with the system's clock and say nothing.
        if !Path::new("/sys/class/net").join(name).join("device/ptp").exists() {
            return Err(format!("cannot capture on {name}: its adapter has no clock of its own; use host timestamps"));
        }
        Ok(capture.tstamp_type(stamp))
    }
}

fn failed(name: &str, error: &pcap::Error) -> String {
    format!("cannot capture on {name}: {}", plain(error))
}

/// The kernel's number of an interface.
fn index(name: &str) -> Option<u32> {
    if name == ANY { Some(0) } else { if_nametoindex(name).ok() }
}

/// What libpcap says, in one line and without the wrapper's words.
pub(super) fn plain(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text.lines().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use pcap::Linktype;

    use super::*;

    #[test]
    fn ports_are_found_at_either_end_and_behind_a_tag() {
        let [with, without] = everything(&[443, 8_443]);
        let dead = Capture::dead(Linktype::ETHERNET).unwrap();
        let program = dead.compile(&with, true).unwrap();
        let plain = || PacketBuilder::ethernet2([1; 6], [2; 6]);
        let tagged = || plain().single_vlan(5.try_into().unwrap());
        let tcp = |builder: etherparse::PacketBuilderStep<etherparse::IpHeaders>, source, destination| {
            let mut packet = Vec::new();
            builder.tcp(source, destination, 1, 1).write(&mut packet, b"x").unwrap();
            program.filter(&packet)
        };
        for (source, destination, wanted) in [(443, 9, true), (9, 8_443, true), (9, 10, false)] {
            let of = |v6: bool, tag: bool| match (v6, tag) {
                (false, false) => plain().ipv4([127, 0, 0, 1], [127, 0, 0, 2], 9),
                (true, false) => plain().ipv6([1; 16], [2; 16], 9),
                (false, true) => tagged().ipv4([127, 0, 0, 1], [127, 0, 0, 2], 9),
                (true, true) => tagged().ipv6([1; 16], [2; 16], 9),
            };
            for (v6, tag) in [(false, false), (false, true), (true, false), (true, true)] {
                assert_eq!(tcp(of(v6, tag), source, destination), wanted, "{source} {destination} {v6} {tag}");
            }
        }
        assert!(Capture::dead(Linktype(12)).unwrap().compile(&without, true).is_ok(), "also where there are no tags");
        let many: Vec<u16> = (1..=1_024).collect();
        assert!(dead.compile(&everything(&many)[0], true).is_ok());
    }
}
