//! Which values make sense, alone and together; and what they mean for a run.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::load::Loaded;
use super::memory;
use super::problem::Problem;
use super::units::{Size, Span};
use super::values::{Color, Destination, KeySource, Source, SummaryFormat, Values, WINDOW_MAX};
use crate::limits::Limits;
use crate::sink::stream::EventsTarget;
use crate::sink::{self, Format};
use crate::source::live::{PacketSource, Timestamps};
use crate::watch::{CaptureOptions, Options, PlaintextOptions, ProbeTargets};

impl Values {
    /// What the values mean for a run.
    pub(crate) fn options(&self) -> Options {
        let target = |destination: &Destination| match destination {
            Destination::Stdout => EventsTarget::Stdout,
            Destination::Journal => EventsTarget::Journal,
            Destination::File(path) => {
                EventsTarget::File { path: path.clone(), rotate_bytes: self.events_rotate.0, keep: self.events_keep }
            }
        };
        let targets =
            || ProbeTargets { pids: self.pid.clone(), units: self.unit.clone(), cgroups: self.cgroup.clone() };
        let buffer = usize::try_from(self.buffer.0).unwrap_or(usize::MAX);
        Options {
            capture: CaptureOptions {
                interfaces: self.interface.clone(),
                source: self.packets(),
                filter: self.filter.clone(),
                ports: self.port.clone(),
                snaplen: u32::try_from(self.snaplen.0).unwrap_or(u32::MAX),
                buffer,
                promiscuous: self.promiscuous,
                immediate: self.immediate,
                timestamps: self.timestamps,
            },
            probe: self.probes().then(targets),
            plaintext: self.takes_plaintext().then(|| PlaintextOptions {
                targets: targets(),
                kernel_only: self.kernel_only,
                buffer,
            }),
            keys_left_open: self.keys == KeySource::Auto && self.packets() != PacketSource::Off,
            keylogs: self.keylog.clone(),
            listen: self.listen.clone(),
            web_config: self.web_config.clone(),
            events: self.events.iter().map(target).collect(),
            window: self.window.0,
            threads: usize::try_from(self.threads).unwrap_or(1).max(1),
            servers: self.server.clone(),
            user: self.user.clone(),
            limits: memory::within(self.memory, &Limits::default()),
            summary: self.summary(),
        }
    }

    /// Keys are to be taken by probe, or that is to be tried.
    fn probes(&self) -> bool {
        match self.keys {
            _ if self.packets() == PacketSource::Off => false,
            KeySource::Probe => true,
            KeySource::None => false,
            KeySource::Auto => {
                let named = !(self.pid.is_empty() && self.unit.is_empty() && self.cgroup.is_empty());
                named || self.all || self.keylog.is_empty()
            }
        }
    }

    fn summary(&self) -> sink::Options {
        sink::Options {
            format: match self.format {
                SummaryFormat::Auto if self.events.contains(&Destination::Stdout) => Format::None,
                SummaryFormat::Auto | SummaryFormat::Text => Format::Text,
                SummaryFormat::Json => Format::Json,
                SummaryFormat::None => Format::None,
            },
            verbose: self.verbose,
            color: match self.color {
                Color::Auto => anstream::ColorChoice::Auto,
                Color::Always => anstream::ColorChoice::Always,
                Color::Never => anstream::ColorChoice::Never,
            },
            ..sink::Options::default()
        }
    }
}

/// What a run needs and nobody set.
pub(super) fn missing(loaded: &Loaded) -> Option<Problem> {
    let needed = loaded.values.packets() != PacketSource::Off;
    (needed && loaded.values.interface.is_empty()).then(|| Problem {
        origin: loaded.origin("interface"),
        key: "interface".to_owned(),
        text: "not set: give --interface NAME (`any` is all of them), H2WATCH_INTERFACE, or `interface = [\"NAME\"]` in the \
               configuration file"
            .to_owned(),
    })
}

/// Everything that makes no sense. `unread`: what could not be read; a setting that has its default for that contradicts nothing.
pub(super) fn problems(loaded: &Loaded, unread: &[Problem]) -> Vec<Problem> {
    let mut check = Check { loaded, problems: Vec::new() };
    check.ranges();
    check.twice();
    if unread.is_empty() {
        check.contradictions();
        check.source();
    }
    check.files();
    check.problems
}

struct Check<'l> {
    loaded: &'l Loaded,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, name: &str, text: impl Into<String>) {
        self.problems.push(Problem { origin: self.loaded.origin(name), key: name.to_owned(), text: text.into() });
    }

    fn range<T: PartialOrd + Display>(&mut self, name: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            self.wrong(name, format!("{value} is out of range: write {} to {}", range.start(), range.end()));
        }
    }

    fn ranges(&mut self) {
        let values = &self.loaded.values;
        self.range("snaplen", values.snaplen, Size(128)..=Size(256 << 10));
        self.range("buffer", values.buffer, Size(64 << 10)..=Size(1 << 30));
        self.range("window", values.window, Span(Duration::from_millis(1))..=Span(WINDOW_MAX));
        self.range("threads", values.threads, 1..=1024);
        self.range("memory", values.memory, memory::LEAST..=Size(1 << 40));
        self.range("events-rotate", values.events_rotate, Size(64 << 10)..=Size(1 << 40));
        self.range("events-keep", values.events_keep, 0..=1000);
    }

    fn twice(&mut self) {
        let values = &self.loaded.values;
        let events: Vec<_> = values.events.iter().map(|one| format!("{one:?}")).collect();
        for (name, twice) in [
            ("source", repeated(&values.source)),
            ("interface", repeated(&values.interface)),
            ("keylog", repeated(&values.keylog)),
            ("listen", repeated(&values.listen)),
            ("server", repeated(&values.server)),
            ("port", repeated(&values.port)),
            ("pid", repeated(&values.pid)),
            ("unit", repeated(&values.unit)),
            ("cgroup", repeated(&values.cgroup)),
            ("events", repeated(&events)),
        ] {
            if twice {
                self.wrong(name, "names the same thing twice: name it once");
            }
        }
    }

    fn contradictions(&mut self) {
        let values = &self.loaded.values;
        let any = values.interface.iter().any(|name| name == "any");
        if any && values.interface.len() > 1 {
            self.wrong("interface", "`any` is all interfaces, and others are named beside it: name one or the other");
        }
        if any && values.promiscuous {
            let text = format!(
                "`any` cannot be promiscuous, and interface ({}) names it: name the interface, or leave promiscuous out",
                self.loaded.origin("interface")
            );
            self.wrong("promiscuous", text);
        }
        let stdout = values.events.contains(&Destination::Stdout);
        if stdout && matches!(values.format, SummaryFormat::Text | SummaryFormat::Json) {
            let text = format!(
                "the summary and the events (`-`, {}) cannot share standard output: write format none, or the events to a file",
                self.loaded.origin("events")
            );
            self.wrong("format", text);
        }
        if values.listen.is_empty() && values.web_config.is_some() {
            let text = format!(
                "there is no port to which it could apply, listen ({}) is empty: leave it out, or set listen",
                self.loaded.origin("listen")
            );
            self.wrong("web-config", text);
        }
    }

    /// What one source of packets or keys takes, and the other does not.
    fn source(&mut self) {
        let values = &self.loaded.values;
        let packets = values.packets();
        if packets == PacketSource::Tap {
            if values.filter.is_some() {
                self.wrong(
                    "filter",
                    "the tap does not speak libpcap's filter language: write port instead, or source pcap",
                );
            }
            if values.promiscuous {
                self.wrong("promiscuous", "the tap sees what the interface takes: leave it out, or write source pcap");
            }
            if values.timestamps != Timestamps::Host {
                self.wrong("timestamps", "the tap has the system's time alone: write host, or source pcap");
            }
        }
        let libpcap = packets == PacketSource::Pcap
            || values.filter.is_some()
            || values.promiscuous
            || values.timestamps != Timestamps::Host;
        if !values.port.is_empty() && !matches!(packets, PacketSource::Tap | PacketSource::Off) && libpcap {
            self.wrong("port", "is for the tap: write source tap, or the port into filter, as in 'tcp port 443'");
        }
        if values.port.contains(&0) {
            self.wrong("port", "0 is no port: leave it out");
        }
        self.plaintext();
        self.processes();
    }

    /// What goes with plaintext, and what with packets alone.
    fn plaintext(&mut self) {
        let values = &self.loaded.values;
        if values.source.is_empty() {
            self.wrong("source", "nothing is read: write auto, or leave it out");
        }
        if values.source.iter().filter(|source| matches!(source, Source::Packets(_))).count() > 1 {
            self.wrong("source", "packets are read once: name one of auto, pcap and tap");
        }
        if values.kernel_only && !values.takes_plaintext() {
            self.wrong("kernel-only", "is for plaintext: write source plaintext, or leave it out");
        }
        if values.packets() != PacketSource::Off || values.source.is_empty() {
            return;
        }
        let source = self.loaded.origin("source");
        for (name, given) in [
            ("interface", !values.interface.is_empty()),
            ("filter", values.filter.is_some()),
            ("port", !values.port.is_empty()),
            ("keylog", !values.keylog.is_empty()),
            ("keys", values.keys == KeySource::Probe),
        ] {
            if given {
                let text = format!(
                    "is for packets, and source ({source}) is plaintext alone: add tap or pcap, or leave it out"
                );
                self.wrong(name, text);
            }
        }
    }

    /// Whose keys or plaintext are taken.
    fn processes(&mut self) {
        let values = &self.loaded.values;
        let probed = values.keys != KeySource::None || values.takes_plaintext();
        let named =
            [("pid", values.pid.is_empty()), ("unit", values.unit.is_empty()), ("cgroup", values.cgroup.is_empty())];
        for (name, _) in named.into_iter().filter(|(_, empty)| !empty && !probed) {
            self.wrong(name, "names whose keys the probe takes: write keys probe or source plaintext, or leave it out");
        }
        if values.all {
            if !probed {
                self.wrong("all", "is for the probes: write keys probe or source plaintext, or leave it out");
            }
            for (name, _) in named.into_iter().filter(|(_, empty)| !empty) {
                self.wrong(
                    name,
                    format!("all ({}) takes every process: leave one of them out", self.loaded.origin("all")),
                );
            }
        }
    }

    /// No file is read and written.
    fn files(&mut self) {
        let values = &self.loaded.values;
        let read = [("web-config", values.web_config.as_deref()), ("config", self.loaded.file.as_deref())];
        let read = read.into_iter().filter_map(|(name, path)| Some((name, path?)));
        let read: Vec<_> = read.chain(values.keylog.iter().map(|path| ("keylog", path.as_path()))).collect();
        for events in &values.events {
            let Destination::File(events) = events else { continue };
            if let Some((name, _)) = read.iter().find(|(_, path)| same_file(path, events)) {
                let text = format!("{} is also read as {name}: write the events to another file", events.display());
                self.wrong("events", text);
            }
        }
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

fn repeated<T: PartialEq>(list: &[T]) -> bool {
    list.iter().enumerate().any(|(place, one)| list.iter().take(place).any(|earlier| earlier == one))
}
