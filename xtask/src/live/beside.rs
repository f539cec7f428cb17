//! Who watches.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use h2watch_tests::lab::metrics::Scrape;
use h2watch_tests::lab::observer::{LISTEN, Watch};
use h2watch_tests::lab::process::Running;
use h2watch_tests::lab::{INTERFACE, Lab, OriginKind, is_there};
use h2watch_tests::program;
use rustix::process::Signal;

use super::drive::Load;

/// What runs beside the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// Nothing.
    Nothing,
    /// h2watch, packets by libpcap, keys by key log.
    Pcap,
    /// h2watch, packets by the kernel tap, keys by probe.
    Tap,
    /// h2watch, which takes keys by probe and looks at no packet: what the probe alone costs the origin.
    KeyProbe,
    /// h2watch, plaintext by probe.
    Plaintext,
    /// tshark with the same question: which resets were there.
    Tshark,
}

impl Beside {
    pub(super) const ALL: [Self; 6] =
        [Self::Nothing, Self::Pcap, Self::Tap, Self::KeyProbe, Self::Plaintext, Self::Tshark];

    /// Whose memory is watched for long: h2watch's, where it has something to hold. tshark's grows with what it has seen, until the machine
    /// has no more.
    pub(super) const LONG: [Self; 3] = [Self::Pcap, Self::Tap, Self::Plaintext];

    /// In arguments.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Pcap => "pcap",
            Self::Tap => "tap",
            Self::KeyProbe => "keys",
            Self::Plaintext => "plaintext",
            Self::Tshark => "tshark",
        }
    }

    /// In tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Pcap => "h2watch, libpcap and key log",
            Self::Tap => "h2watch, kernel tap and key probe",
            Self::KeyProbe => "h2watch, key probe alone",
            Self::Plaintext => "h2watch, plaintext probe",
            Self::Tshark => "tshark -i",
        }
    }

    /// Whether this machine and this build can do it; says why not.
    pub(super) fn is_usable(&self) -> bool {
        let lack = match self {
            Self::Nothing | Self::Pcap => None,
            Self::Tap | Self::KeyProbe => lacks_word("tap"),
            Self::Plaintext => lacks_word("plaintext"),
            Self::Tshark => (!is_there("tshark")).then(|| "tshark is not installed".to_owned()),
        };
        if let Some(lack) = &lack {
            println!("skipped: {}: {lack}", self.name());
        }
        lack.is_none()
    }

    /// Starts it, and waits until it captures.
    pub(super) fn start(self, lab: &Lab, load: &Load) -> Result<Watching, String> {
        let origin = lab.origins.iter().flat_map(|origin| &origin.programs).next().ok_or("no origin")?;
        let (pid, port) = (origin.id().to_string(), load.origin.tls_port().to_string());
        let events = lab.folder().join("watch.jsonl");
        let keys = match load.origin {
            OriginKind::Nghttpd => lab.visitors_keys(),
            kind => lab.keys().join(format!("{}.keys", kind.name())),
        };
        match self {
            Self::Nothing => Ok(Watching::Nobody),
            Self::Pcap => {
                let mut command = watch(&["--source", "pcap", "--interface", INTERFACE], &events);
                command.args(["--filter", &format!("tcp port {port}"), "--keylog"]).arg(keys);
                Watch::run(lab, &mut command, &events).map(Watching::H2watch)
            }
            Self::Tap => {
                let mut command = watch(&["--source", "tap", "--interface", INTERFACE], &events);
                command.args(["--port", &port, "--keys", "probe", "--pid", &pid]);
                Watch::run(lab, &mut with_sysfs(lab, &command), &events).map(Watching::H2watch)
            }
            Self::KeyProbe => {
                let mut command = watch(&["--source", "pcap", "--interface", INTERFACE], &events);
                command.args(["--filter", "tcp port 1", "--keys", "probe", "--pid", &pid]);
                Watch::run(lab, &mut with_sysfs(lab, &command), &events).map(Watching::H2watch)
            }
            Self::Plaintext => {
                let command = watch(&["--source", "plaintext", "--pid", &pid], &events);
                Watch::run(lab, &mut with_sysfs(lab, &command), &events).map(Watching::H2watch)
            }
            Self::Tshark => {
                let mut command = Command::new("tshark");
                command.args(["-n", "-l", "-i", INTERFACE, "-f", &format!("tcp port {port}")]);
                command.args(["-d", &format!("tcp.port=={port},tls")]);
                command.arg("-o").arg(format!("tls.keylog_file:{}", keys.display()));
                command.args(["-Y", "http2.rst_stream.error or http2.goaway.error"]);
                let mut tshark = Running::start(&lab.origin, &mut command, &lab.folder().join("tshark.log"))?;
                tshark.until("tshark", |tshark| tshark.printed().contains("Capturing on").then_some(()))?;
                Ok(Watching::Tshark(tshark))
            }
        }
    }
}

/// `h2watch watch` by one source.
fn watch(source: &[&str], events: &Path) -> Command {
    let mut command = program::command();
    command.arg("watch").args(source).args(["--format", "none", "--listen", &LISTEN.to_string()]);
    command.arg("--events").arg(events);
    command
}

/// The same command, with the interfaces of the origin's namespace in /sys: the tap finds them there.
fn with_sysfs(lab: &Lab, command: &Command) -> Command {
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", &lab.origin.name]).arg(command.get_program()).args(command.get_args());
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    inside
}

/// Why the program that was built has no such source.
fn lacks_word(source: &str) -> Option<String> {
    let help = program::command().args(["watch", "--help"]).output().ok()?;
    let has = String::from_utf8_lossy(&help.stdout).contains(source);
    (!has).then(|| format!("this build has no --source {source}"))
}

/// Something that runs beside the origin.
pub(super) enum Watching {
    Nobody,
    H2watch(Watch),
    Tshark(Running),
}

/// What it saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Packets lost, and of how many; the second is 0 where it is not told.
    pub(super) lost: Option<(f64, f64)>,
    /// Resets with HTTP_1_1_REQUIRED.
    pub(super) resets: Option<f64>,
    /// From packet to metric: upper bounds of the median and of the 99th percentile, seconds.
    pub(super) delay: Option<(f64, f64)>,
}

impl Watching {
    pub(super) const fn program(&self) -> Option<&Running> {
        match self {
            Self::Nobody => None,
            Self::H2watch(watch) => Some(&watch.program),
            Self::Tshark(tshark) => Some(tshark),
        }
    }

    /// Ends it.
    pub(super) fn finish(&mut self) -> Result<Seen, String> {
        match std::mem::replace(self, Self::Nobody) {
            Self::Nobody => Ok(Seen::default()),
            Self::H2watch(watch) => {
                let scrape = watch.scrape()?;
                watch.finish()?;
                Ok(Seen::of_scrape(&scrape))
            }
            Self::Tshark(mut tshark) => {
                tshark.end(Signal::INT, Duration::from_secs(60))?;
                Ok(Seen::of_tshark(&tshark.printed()))
            }
        }
    }
}

impl Seen {
    fn of_scrape(scrape: &Scrape) -> Self {
        let sum = |name: &str, labels: &[(&str, &str)]| scrape.sum(name, labels).unwrap_or(0.0);
        let lost = sum("h2watch_packets_lost_total", &[]);
        let delay = |q| scrape.quantile("h2watch_detection_delay_seconds", q);
        Self {
            lost: Some((lost, lost + sum("h2watch_packets_total", &[]))),
            resets: Some(sum("h2watch_resets_total", &[("error", "HTTP_1_1_REQUIRED"), ("sender", "server")])),
            delay: delay(0.5).zip(delay(0.99)),
        }
    }

    /// "17 packets dropped from eth0", and a line for each packet that holds a reset, which may hold several.
    fn of_tshark(printed: &str) -> Self {
        let dropped = printed.lines().find(|line| line.contains("dropped from"));
        let dropped = dropped.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0);
        let resets = printed.lines().map(|line| line.matches("RST_STREAM").count()).sum::<usize>();
        Self { lost: Some((dropped, 0.0)), resets: Some(resets as f64), delay: None }
    }
}
