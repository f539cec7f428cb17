//! `h2watch watch`: opens what a live run needs, runs it, and sums up.

use nix::sys::prctl;
use nix::unistd::User;

use super::{Exit, auto, complain};
use crate::config::{Changes, Reloader};
use crate::engine::Plan;
use crate::model::{Stats, Verdict};
use crate::sink::Outputs;
use crate::sink::stream::{self, Opened};
use crate::source::keylogs::KeyLogs;
use crate::source::live::{Beside, KeyProbe, LiveSource, PacketSource};
use crate::watch::privileges::{self, Capability, Needs};
#[cfg(feature = "ebpf")]
use crate::watch::probing;
use crate::watch::{
    Board, CaptureOptions, Control, Desk, Options, Parts, PlaintextOptions, ProbeTargets, Reload, Snapshot,
};
use crate::web::Bound;

impl Reload for Reloader {
    fn reload(&mut self) -> Result<Changes, String> {
        let changes = Self::reload(self);
        match changes.as_ref().map(Changes::notice) {
            Ok(None) => complain("configuration and keys were read again"),
            Ok(Some(notice)) => complain(&notice),
            Err(error) => complain(error),
        }
        changes
    }

    fn refused(&mut self, names: &[&str]) -> Option<String> {
        Self::refused(self, names)
    }
}

/// Runs until it is stopped. A run that was stopped is a success, whatever it found: the summary says what that was.
pub(super) fn run(options: &mut Options, reloader: &mut Reloader) -> Exit {
    // The allocator asks for huge pages, which a process that runs for months cannot give back in part. Without the call all works, too.
    let _ = prctl::set_thp_disable(true);
    let user = match options.user.as_deref().map(privileges::find_user).transpose() {
        Ok(user) => user,
        Err(message) => {
            complain(&message);
            return Exit::Usage;
        }
    };
    match watch(options, user, reloader) {
        Ok(_) => Exit::Nothing,
        Err(message) => {
            complain(&message);
            Exit::Unreadable
        }
    }
}

fn watch(options: &mut Options, user: Option<User>, reload: &mut dyn Reload) -> Result<(Stats, Verdict), String> {
    let control = Control::by_signals().map_err(|error| format!("cannot listen to signals: {error}"))?;
    // What may need rights comes first, threads come last: the drop in between holds for all of them.
    let mut source = sources(options, &mut complain)?;
    let probe = auto::keys(options, &mut complain)?;
    let bound = Bound::bind(&options.listen, options.web_config.as_deref())?;
    let targets = options.events.iter().map(Opened::open).collect::<Result<Vec<_>, _>>()?;
    if let Some(user) = &user {
        targets.iter().try_for_each(|target| target.give_to(user.uid, user.gid))?;
    }
    let capabilities = options.capabilities();
    say_kept(&capabilities);
    let kept = privileges::drop(Needs {
        user: options.user.as_deref(),
        capabilities: &capabilities,
        readable: &options.keylogs,
    })?;
    kept.notes.iter().for_each(|note| complain(note));
    targets.iter().filter_map(Opened::trouble).for_each(|trouble| complain(&trouble));
    let run = stream::run_name(crate::watch::now());
    let streams = targets.into_iter().map(|target| target.start(&run)).collect::<Result<_, _>>()?;
    let mut keylogs = KeyLogs::new(&options.keylogs, options.limits.secrets);
    let mut desk = Desk::new(run, streams);
    desk.sum_up(Outputs::open(&options.summary)?);
    let (board, publisher) = Board::new(Snapshot::default());
    let server = bound.serve(board)?;
    let scheme = if server.secure() { "https" } else { "http" };
    for address in server.addresses() {
        complain(&format!("metrics and status page on {scheme}://{address}/"));
    }
    let plan = Plan { threads: options.threads, settings: options.detect(), limits: options.limits.clone() };
    let parts = Parts {
        source: &mut *source,
        keylogs: &mut keylogs,
        probe,
        desk: &mut desk,
        publisher: &publisher,
        control: &control,
        reload,
        warn: &mut complain,
    };
    let (stats, verdict, error) = crate::watch::run(parts, &plan);
    server.stop();
    let written = desk.finish(&stats, verdict);
    if let Some(error) = error {
        return Err(error.to_string());
    }
    written.map_err(|failed| failed.join("; ")).map(|()| (stats, verdict))
}

/// Says so where more is kept than most kernels want.
pub(super) fn say_kept(capabilities: &[Capability]) {
    if capabilities.contains(&Capability::CAP_SYS_ADMIN) {
        complain("CAP_SYS_ADMIN is kept: this kernel sets no probe without it");
    }
}

/// Opens everything that is read. `tell` hears what was chosen where that was left open.
pub(super) fn sources(options: &mut Options, tell: &mut dyn FnMut(&str)) -> Result<Box<dyn LiveSource>, String> {
    let packets = options.capture.source != PacketSource::Off;
    let packets = packets.then(|| auto::packets(&mut options.capture, tell)).transpose()?;
    // The tap has done so itself.
    #[cfg(feature = "ebpf")]
    if options.capture.source != PacketSource::Tap {
        crate::source::tap::remove_leftovers();
    }
    let plaintext = options.plaintext.as_ref().map(|options| open_plaintext(options, packets.is_some())).transpose()?;
    match (packets, plaintext) {
        (Some(packets), Some(plaintext)) => Ok(Box::new(Beside::new(packets, plaintext))),
        (Some(one), None) | (None, Some(one)) => Ok(one),
        (None, None) => Err("nothing is read: set source".to_owned()),
    }
}

/// Opens libpcap.
#[cfg(feature = "pcap")]
pub(super) fn open_pcap(capture: &CaptureOptions) -> Result<Box<dyn LiveSource>, String> {
    use crate::source::live::pcap::{PcapSource, Settings};
    privileges::check(&capture.capabilities_of(PacketSource::Pcap))?;
    let settings = Settings {
        filter: capture.filter(),
        snaplen: capture.snaplen,
        buffer: capture.buffer,
        promiscuous: capture.promiscuous,
        immediate: capture.immediate,
        timestamps: capture.timestamps,
    };
    Ok(Box::new(PcapSource::open(&capture.interfaces, settings)?))
}

#[cfg(not(feature = "pcap"))]
pub(super) fn open_pcap(_: &CaptureOptions) -> Result<Box<dyn LiveSource>, String> {
    Err("this build has no libpcap: build it with --features pcap (needs libpcap), or use --source tap".to_owned())
}

/// Opens the tap.
#[cfg(feature = "ebpf")]
pub(super) fn open_tap(capture: &CaptureOptions) -> Result<Box<dyn LiveSource>, String> {
    use crate::source::tap::{Filter, Tap, TapOptions};
    privileges::check(&capture.capabilities_of(PacketSource::Tap))?;
    let options = TapOptions {
        interfaces: capture.interfaces.clone(),
        filter: Filter { ports: capture.ports.clone(), addresses: Vec::new() },
        buffer: u32::try_from(capture.buffer).unwrap_or(u32::MAX),
        snap: capture.snaplen,
        ..TapOptions::default()
    };
    Ok(Box::new(Tap::open(&options).map_err(|error| error.to_string())?))
}

#[cfg(not(feature = "ebpf"))]
pub(super) fn open_tap(_: &CaptureOptions) -> Result<Box<dyn LiveSource>, String> {
    Err("this build has no kernel tap: build it with --features ebpf, or pcap for libpcap".to_owned())
}

/// Sets the key probes.
#[cfg(feature = "ebpf")]
pub(super) fn open_probe(targets: &ProbeTargets) -> Result<Box<dyn KeyProbe>, String> {
    targets.are_there()?;
    probing::check()?;
    Ok(Box::new(super::probe::ToldProbe::open(targets)?))
}

#[cfg(not(feature = "ebpf"))]
pub(super) fn open_probe(_: &ProbeTargets) -> Result<Box<dyn KeyProbe>, String> {
    Err("this build has no key probes: build it with --features ebpf, or use a key log".to_owned())
}

#[cfg(feature = "ebpf")]
fn open_plaintext(options: &PlaintextOptions, beside: bool) -> Result<Box<dyn LiveSource>, String> {
    options.targets.are_there()?;
    probing::check()?;
    Ok(Box::new(super::plaintext::ToldPlaintext::open(options, beside)?))
}

#[cfg(not(feature = "ebpf"))]
fn open_plaintext(_: &PlaintextOptions, _: bool) -> Result<Box<dyn LiveSource>, String> {
    Err("this build has no plaintext probes: build it with --features ebpf, or read packets".to_owned())
}
