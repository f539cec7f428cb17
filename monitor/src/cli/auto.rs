//! What `source = "auto"` and `keys = "auto"` come to: tried in order, and said in a line each.

use super::watch::{open_pcap, open_probe, open_tap};
use crate::source::live::{KeyProbe, LiveSource, PacketSource, Timestamps};
use crate::watch::{CaptureOptions, Options};

/// Opens what takes packets from the kernel; where that is left open, the tap where it works, libpcap where not. `tell` hears which and
/// why, and `capture` names it from then on.
pub(super) fn packets(capture: &mut CaptureOptions, tell: &mut dyn FnMut(&str)) -> Result<Box<dyn LiveSource>, String> {
    match capture.source {
        PacketSource::Pcap => return open_pcap(capture),
        PacketSource::Tap => return open_tap(capture),
        PacketSource::Off => return Err("no packets are to be taken".to_owned()),
        PacketSource::Auto => {}
    }
    let (chosen, opened, why) = match libpcap_alone(capture) {
        Some(setting) => {
            (PacketSource::Pcap, open_pcap(capture)?, format!("libpcap, which alone can do what {setting} asks for"))
        }
        None => match open_tap(capture) {
            Ok(tap) => (PacketSource::Tap, tap, "the kernel tap".to_owned()),
            Err(no_tap) => match open_pcap(capture) {
                Ok(pcap) => (PacketSource::Pcap, pcap, format!("libpcap, because the tap cannot be used: {no_tap}")),
                Err(no_pcap) => return Err(format!("nothing can take packets: the tap: {no_tap}; libpcap: {no_pcap}")),
            },
        },
    };
    capture.source = chosen;
    tell(&format!("source auto: {why}"));
    Ok(opened)
}

/// The setting that the tap does not have.
fn libpcap_alone(capture: &CaptureOptions) -> Option<&'static str> {
    match () {
        () if capture.filter.is_some() => Some("filter"),
        () if capture.promiscuous => Some("promiscuous"),
        () if capture.timestamps != Timestamps::Host => Some("timestamps"),
        () => None,
    }
}

/// Opens what takes keys from processes; where that is left open and it does not work, `tell` hears why, and `options` ask for none from
/// then on.
pub(super) fn keys(options: &mut Options, tell: &mut dyn FnMut(&str)) -> Result<Option<Box<dyn KeyProbe>>, String> {
    let Some(targets) = &options.probe else {
        if options.keys_left_open {
            tell("keys auto: the key logs alone, because some are named");
        }
        return Ok(None);
    };
    match open_probe(targets) {
        Ok(probe) => {
            if options.keys_left_open {
                tell("keys auto: by probe, from the processes that make them");
            }
            Ok(Some(probe))
        }
        // Who names a process by number does not leave its keys open.
        Err(error) if options.keys_left_open && targets.are_there().is_ok() => {
            let rest = if options.keylogs.is_empty() { "TLS stays dark: name a key log" } else { "key logs alone" };
            tell(&format!("keys auto: {rest}, because probes cannot be used: {error}"));
            options.probe = None;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
