//! The table of settings.

use std::ffi::OsString;

use toml::Value as Toml;

use super::values::{Color, KeySource, Source, SummaryFormat, Value as _, Values};
use crate::source::live::Timestamps;

/// One setting of `h2watch watch`.
#[derive(Debug)]
pub struct Setting {
    /// Its name: the key in the file, and the flag without its dashes.
    pub name: &'static str,
    /// The short flag.
    pub short: Option<char>,
    /// What it belongs to.
    pub group: Group,
    /// How it is written.
    pub kind: Kind,
    /// It takes several values.
    pub list: bool,
    /// What stands for the value in help texts.
    pub placeholder: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// More about it; may be empty.
    pub more: &'static str,
    /// What it means not to be set, where it has no value then; may be empty.
    pub unset: &'static str,
    /// Whether SIGHUP changes it.
    pub on_reload: OnReload,
    pub(super) read: fn(&mut Values, &[OsString]) -> Result<(), String>,
    pub(super) show: fn(&Values) -> Option<Toml>,
    /// Sets it as it is in the second.
    pub(super) copy: fn(&mut Values, &Values),
}

impl Setting {
    /// The setting's environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("H2WATCH_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// The value that it has when nobody sets it, as TOML; `None` when it has none.
    #[must_use]
    pub fn default(&self) -> Option<String> {
        (self.show)(&Values::default()).map(|value| value.to_string())
    }

    /// Its place in [`SETTINGS`].
    pub(super) fn position(name: &str) -> Option<usize> {
        SETTINGS.iter().position(|setting| setting.name == name)
    }
}

/// What settings belong to; the headings of help texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the title says it")]
pub enum Group {
    Capture,
    Keys,
    Events,
    Web,
    Run,
    Summary,
}

impl Group {
    /// The heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Capture => "Capture",
            Self::Keys => "Keys",
            Self::Events => "Events",
            Self::Web => "Metrics and status page",
            Self::Run => "Run",
            Self::Summary => "Summary at the end",
        }
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A path.
    Path,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Number,
    /// A size: `64MiB`, or a number of bytes.
    Size,
    /// A span of time: `2s`.
    Span,
    /// An address and a port.
    Address,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// Whether SIGHUP changes a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnReload {
    /// It holds from then on.
    Applied,
    /// The change is reported, and waits for a restart.
    NeedsRestart,
}

macro_rules! setting {
    (
        $field:ident $name:literal $($short:literal)?, $group:ident, $kind:expr, $list:literal, $placeholder:literal,
        $reload:ident, $help:literal, $more:literal, $unset:literal
    ) => {
        Setting {
            name: $name,
            short: [$(Some($short),)? None][0],
            group: Group::$group,
            kind: $kind,
            list: $list,
            placeholder: $placeholder,
            help: $help,
            more: $more,
            unset: $unset,
            on_reload: OnReload::$reload,
            read: |values, raw| {
                values.$field = super::values::Value::read(raw)?;
                Ok(())
            },
            show: |values| values.$field.show(),
            copy: |to, from| to.$field.clone_from(&from.$field),
        }
    };
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    setting!(interface "interface" 'i', Capture, Kind::Text, true, "NAME", NeedsRestart,
        "Interface to capture on; `any` is all of them",
        "An interface that goes away is opened again when it is back.",
        ""),
    setting!(source "source", Capture, Kind::Word(Source::WORDS), true, "SOURCE", NeedsRestart,
        "What is read: packets by auto, pcap or tap; plaintext of processes by plaintext; or both",
        "`pcap` is libpcap, `tap` are programs of its own in the kernel (docs/ebpf.md). `auto` is the tap where kernel and privileges \
         allow it, and libpcap where not or where filter, promiscuous or timestamps ask for it; it says which and why. `plaintext` takes what processes encrypt and decrypt, by probes in OpenSSL and GnuTLS: for where keys cannot be had, as it costs \
         the process time for each call. `tap,plaintext` counts nothing twice: where a connection's packets can be read they are, and \
         plaintext only where they cannot.",
        ""),
    setting!(kernel_only "kernel-only", Capture, Kind::Bool, false, "BOOL", NeedsRestart,
        "With the source plaintext: count resets in the kernel by their code, and hand nothing up",
        "Says how many RST_STREAM and GOAWAY frames went by with which code, and nothing of requests.",
        ""),
    setting!(filter "filter" 'f', Capture, Kind::Text, false, "FILTER", Applied,
        "What to capture, in libpcap's filter language",
        "For example 'tcp port 443'. Include the ports to which an edge may fall back: a retry that is not captured cannot be seen. \
         `man pcap-filter` has the language.",
        "everything that may carry TCP"),
    setting!(port "port", Capture, Kind::Number, true, "PORT", Applied,
        "TCP port that is taken, at either end; none given: all",
        "Include the ports to which an edge may fall back. It is for the source `tap`, and for `auto` whatever that comes to; the source `pcap` \
         has `filter` instead.",
        ""),
    setting!(snaplen "snaplen", Capture, Kind::Size, false, "SIZE", NeedsRestart,
        "Bytes of each packet that are captured",
        "Offload makes packets of up to 64 KiB; what is cut off is lost for decryption. 128 to 256KiB.",
        ""),
    setting!(buffer "buffer", Capture, Kind::Size, false, "SIZE", NeedsRestart,
        "The kernel's capture buffer: for each interface with libpcap, one for all with the tap, one for plaintext",
        "Raise it when packets are dropped by the kernel. 64KiB to 1GiB.",
        ""),
    setting!(promiscuous "promiscuous" 'p', Capture, Kind::Bool, false, "BOOL", NeedsRestart,
        "Capture what is not addressed to this machine, too",
        "For mirror ports.",
        ""),
    setting!(immediate "immediate", Capture, Kind::Bool, false, "BOOL", NeedsRestart,
        "Hand over each packet at once, instead of a few milliseconds' worth at a time",
        "Costs CPU time. For the source `pcap`; the others pass it over.",
        ""),
    setting!(timestamps "timestamps", Capture, Kind::Word(Timestamps::WORDS), false, "CLOCK", NeedsRestart,
        "Which clock stamps the packets: host, adapter, adapter-unsynced",
        "An adapter's own stamps are finer where it offers them. `adapter` is for one that something keeps with the system's clock \
         (phc2sys); `adapter-unsynced` for one that nothing does: times of several interfaces then do not compare.",
        ""),
    setting!(keylog "keylog" 'k', Keys, Kind::Path, true, "PATH", Applied,
        "TLS keys in the NSS key log format, followed as they grow: a file, a directory or a named pipe",
        "It need not exist yet. Keep it readable by its owner alone. `h2watch explain keylog` says how servers write one.",
        ""),
    setting!(keys "keys", Keys, Kind::Word(KeySource::WORDS), false, "KEYS", NeedsRestart,
        "Where TLS keys come from beside key logs: auto, none, probe",
        "`probe` takes them from the processes that make them, by probes in OpenSSL 3 and in Go programs: docs/ebpf.md. `auto` does so \
         where no key log is named, or a pid, unit, cgroup or all is, and kernel and privileges allow it; it says whether and why.",
        ""),
    setting!(pid "pid", Keys, Kind::Number, true, "PID", NeedsRestart,
        "Process whose keys or plaintext the probes take, with its children",
        "With `unit` and `cgroup`: whatever one of them names. None of the three given: every process.",
        ""),
    setting!(unit "unit", Keys, Kind::Text, true, "UNIT", NeedsRestart,
        "systemd unit whose keys or plaintext the probes take: nginx, nginx.service",
        "It need not run yet, and may be started again. What runs in control groups below it belongs to it.",
        ""),
    setting!(cgroup "cgroup", Keys, Kind::Text, true, "CGROUP", NeedsRestart,
        "Control group or container whose keys or plaintext the probes take: a path, a name, or a container's id or its first digits",
        "A path begins with a slash, as /system.slice/nginx.service, and stands for what is below it, too. Of a container's id at least eight \
         digits.",
        ""),
    setting!(all "all", Keys, Kind::Bool, false, "BOOL", NeedsRestart,
        "The probes take the keys or the plaintext of every process",
        "As when neither `pid` nor `unit` nor `cgroup` is given; with `keys` auto it also asks for probes where a key log is named.",
        ""),
    setting!(events "events" 'e', Events, Kind::Path, true, "TARGET", Applied,
        "Where every finding goes as a line of JSON: a file, `-` for standard output, `journal` for systemd's journal",
        "The schema is h2watch/1. A file is appended to, and rotated by size.",
        ""),
    setting!(events_rotate "events-rotate", Events, Kind::Size, false, "SIZE", Applied,
        "An event file that would grow beyond this is renamed to FILE.1, and a new one begun",
        "64KiB to 1024GiB.",
        ""),
    setting!(events_keep "events-keep", Events, Kind::Number, false, "N", Applied,
        "Renamed event files that are kept",
        "0 to 1000.",
        ""),
    setting!(listen "listen" 'l', Web, Kind::Address, true, "ADDR:PORT", NeedsRestart,
        "Where metrics and the status page are served; `none`: nowhere",
        "Hosts and paths of requests can be read there: bind it to more than loopback together with --web-config.",
        ""),
    setting!(web_config "web-config", Web, Kind::Path, false, "FILE", NeedsRestart,
        "TLS, passwords and client certificates of that port, as Prometheus exporters read them",
        "The format is that of prometheus/exporter-toolkit; `promtool check web-config FILE` checks it.",
        "clear text, without a password"),
    setting!(server "server" 's', Web, Kind::Address, true, "ADDR:PORT", Applied,
        "Address of the origin that has metric series of its own",
        "None given: the first that are seen, up to a cap; the rest is `other`.",
        ""),
    setting!(window "window" 'w', Run, Kind::Span, false, "SPAN", Applied,
        "How long after a reset a retry is waited for: 500ms, 2s, 1m",
        "A case is decided when it is over, or one more window later where a retry has no answer by then. 1ms to 1h. Cases that are open keep \
         the window that they began with.",
        ""),
    setting!(threads "threads" 't', Run, Kind::Number, false, "N", NeedsRestart,
        "Threads that work on flows; findings do not depend on it",
        "1 to 1024.",
        ""),
    setting!(memory "memory" 'm', Run, Kind::Size, false, "SIZE", NeedsRestart,
        "Most memory that flows, keys and cases take together",
        "Above it the oldest are given up, which is counted. 96MiB to 1024GiB. The kernel's capture buffers come on top.",
        ""),
    setting!(user "user" 'u', Run, Kind::Text, false, "NAME", NeedsRestart,
        "The user to become once everything is open",
        "It has to be able to read the key logs and to write the event files.",
        "stay the user that started it"),
    setting!(format "format", Summary, Kind::Word(SummaryFormat::WORDS), false, "FORMAT", NeedsRestart,
        "What standard output gets at the end: text, json, none; auto is text, or none where events go there",
        "",
        ""),
    setting!(verbose "verbose" 'v', Summary, Kind::Bool, false, "BOOL", NeedsRestart,
        "List for each connection what could not be seen, and why",
        "",
        ""),
    setting!(color "color", Summary, Kind::Word(Color::WORDS), false, "WHEN", NeedsRestart,
        "Colour of the summary: auto, always, never",
        "",
        ""),
];
