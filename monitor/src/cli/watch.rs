//! `h2watch watch`: opens what a live run needs, runs it, and sums up.

use std::path::Path;

use super::args::WatchArgs;
use super::{Exit, complain};
use crate::detect::Settings;
use crate::engine::Plan;
use crate::model::{Stats, Verdict};
use crate::sink::stream::{EventsTarget, Stream};
use crate::source::keylogs::KeyLogs;
use crate::source::live::LiveSource;
use crate::watch::{Board, CaptureOptions, Control, Desk, Options, Parts, Snapshot};
use crate::web::Bound;

/// The meaning of raw flags.
pub(super) fn options(args: WatchArgs) -> Options {
    let events = args.events.map(|path| match path == Path::new(super::STANDARD) {
        true => EventsTarget::Stdout,
        false => EventsTarget::File { path, rotate_bytes: 100 << 20, keep: 5 },
    });
    Options {
        capture: CaptureOptions { interfaces: args.interface, filter: args.filter, ..CaptureOptions::default() },
        keylogs: args.keylog,
        listen: args.listen,
        events: events.into_iter().collect(),
        ..Options::default()
    }
}

/// Runs until it is stopped.
pub(super) fn run(options: &Options) -> Exit {
    match watch(options) {
        Ok((_, verdict)) => Exit::of(verdict, false),
        Err(message) => {
            complain(&message);
            Exit::Unreadable
        }
    }
}

fn watch(options: &Options) -> Result<(Stats, Verdict), String> {
    let control = Control::by_signals().map_err(|error| format!("cannot listen to signals: {error}"))?;
    let mut source = open(&options.capture)?;
    let bound = Bound::bind(&options.listen, options.web_config.as_deref())?;
    let streams = options.events.iter().map(Stream::open).collect::<Result<_, _>>()?;
    let mut keylogs = KeyLogs::new(&options.keylogs);
    let mut desk = Desk::new(streams);
    let (board, publisher) = Board::new(Snapshot::default());
    let server = bound.serve(board)?;
    for address in server.addresses() {
        complain(&format!("metrics and status page on http://{address}/"));
    }
    let plan = Plan {
        threads: options.threads,
        settings: Settings { window: options.window },
        limits: options.limits.clone(),
    };
    let parts = Parts {
        source: &mut *source,
        keylogs: &mut keylogs,
        desk: &mut desk,
        publisher: &publisher,
        control: &control,
    };
    let (stats, verdict, error) = crate::watch::run(parts, &plan);
    server.stop();
    let written = desk.finish();
    if let Some(error) = error {
        complain(&error.to_string());
    }
    written.map_err(|failed| failed.join("; ")).map(|()| (stats, verdict))
}

#[cfg(feature = "pcap")]
fn open(capture: &CaptureOptions) -> Result<Box<dyn LiveSource>, String> {
    let CaptureOptions { interfaces, filter, snaplen, buffer, .. } = capture;
    let source = crate::source::live::pcap::PcapSource::open(interfaces, filter.as_deref(), *snaplen, *buffer)?;
    Ok(Box::new(source))
}

#[cfg(not(feature = "pcap"))]
fn open(_: &CaptureOptions) -> Result<Box<dyn LiveSource>, String> {
    Err("this build has no live capture: build it with --features pcap (needs libpcap)".to_owned())
}
