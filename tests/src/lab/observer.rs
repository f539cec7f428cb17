//! h2watch on the origin's interface, in two ways that have to agree: live, and as a replay of what tcpdump wrote.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::http::Answer;
use super::metrics::Scrape;
use super::process::Running;
use super::{Host, INTERFACE, Lab, wait};
use crate::program;

/// How long a retry is waited for by default, and some more for the answer to be written.
pub const SETTLED: Duration = Duration::from_millis(3_000);

/// Where the live monitor serves its pages, on the origin's host.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9_872);

/// What a run told.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The events, in order; the last is the summary.
    pub events: Vec<Value>,
    /// The counts.
    pub scrape: Scrape,
    /// Exit status.
    pub status: i32,
    /// What it printed.
    pub printed: String,
}

impl Seen {
    /// The events of a kind.
    pub fn of<'a>(&'a self, event: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |found| found["event"] == event)
    }

    /// The summary; null where there is none.
    #[must_use]
    pub fn summary(&self) -> &Value {
        self.of("summary").last().unwrap_or(&Value::Null)
    }
}

/// Reads events. A line that is still being written is not one yet.
pub fn events(file: &Path) -> Vec<Value> {
    let bytes = fs::read(file).unwrap_or_default();
    bytes.split_inclusive(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Everybody who looks at the same traffic.
#[derive(Debug)]
pub struct Observers {
    recording: Recording,
    watch: Option<Watch>,
}

impl Observers {
    /// Starts them: a recording, and the live monitor where it is built.
    ///
    /// # Errors
    /// When one of them does not begin to capture.
    pub fn start(lab: &Lab) -> Result<Self, String> {
        let recording = Recording::start(lab)?;
        Ok(Self { recording, watch: program::live().then(|| Watch::start(lab)).transpose()? })
    }

    /// Lets the last window close, ends them, and gives what each told.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn finish(self, lab: &Lab) -> Result<Vec<(&'static str, Seen)>, String> {
        std::thread::sleep(SETTLED);
        let mut all = vec![("replay", self.recording.finish(lab)?)];
        if let Some(watch) = self.watch {
            all.push(("watch", watch.finish()?));
        }
        Ok(all)
    }
}

/// `h2watch watch`, running.
#[derive(Debug)]
pub struct Watch {
    /// The program.
    pub program: Running,
    /// Where it writes events.
    pub events: PathBuf,
    host: Host,
}

impl Watch {
    /// The command on the origin's interface, to be added to.
    #[must_use]
    pub fn command(events: &Path, keys: &[PathBuf]) -> Command {
        let mut command = program::command();
        command.args(["watch", "--interface", INTERFACE, "--source", "pcap", "--format", "none"]);
        command.args(["--listen", &LISTEN.to_string()]).arg("--events").arg(events);
        for keys in keys {
            command.arg("--keylog").arg(keys);
        }
        command
    }

    /// Starts it on the origin's host, and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it does not become ready, with what it printed.
    pub fn start(lab: &Lab) -> Result<Self, String> {
        let events = lab.folder().join("watch.jsonl");
        // They may not be there yet.
        let logs = lab.origins.iter().map(|origin| lab.keys().join(format!("{}.keys", origin.kind.name())));
        let logs: Vec<_> = logs.chain([lab.visitors_keys()]).collect();
        Self::run(lab, &mut Self::command(&events, &logs), &events)
    }

    /// Starts a command of one's own making.
    ///
    /// # Errors
    /// As [`Watch::start`].
    pub fn run(lab: &Lab, command: &mut Command, events: &Path) -> Result<Self, String> {
        let host = &lab.origin;
        let mut program = Running::start(host, command, &lab.folder().join("watch.log"))?;
        let ready = |_: &Running| host.get(LISTEN, "/-/ready", "*/*").ok().filter(|answer| answer.status == 200);
        program.until("h2watch watch", ready)?;
        Ok(Self { program, events: events.to_owned(), host: host.clone() })
    }

    /// Asks its web server.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn get(&self, path: &str) -> Result<Answer, String> {
        self.host.get(LISTEN, path, "*/*")
    }

    /// Reads `/metrics`.
    ///
    /// # Errors
    /// When it does not answer, or with something else.
    pub fn scrape(&self) -> Result<Scrape, String> {
        let answer = self.host.get(LISTEN, "/metrics", "text/plain;version=0.0.4")?;
        if answer.status != 200 {
            return Err(format!("/metrics: {}", answer.head));
        }
        Scrape::read(&answer.text()).map_err(|line| format!("/metrics has a line that is not of the format: {line}"))
    }

    /// Waits until `/metrics` says what is asked.
    ///
    /// # Errors
    /// When it does not within twenty seconds: the last scrape's value of `what`.
    pub fn until(&self, what: &str, labels: &[(&str, &str)], wanted: impl Fn(f64) -> bool) -> Result<f64, String> {
        let mut last = None;
        let found = wait(Duration::from_secs(20), || {
            last = self.scrape().ok().and_then(|scrape| scrape.sum(what, labels));
            last.filter(|&value| wanted(value))
        });
        found.ok_or_else(|| format!("{what}{labels:?} stays at {last:?}\n{}", self.program.printed()))
    }

    /// Ends it as a service manager would, and gives what it told. The counts are those of the last moment before.
    ///
    /// # Errors
    /// When it does not end in time, or not in order.
    pub fn finish(mut self) -> Result<Seen, String> {
        let scrape = self.scrape()?;
        let status = self.program.end(Signal::TERM, Duration::from_secs(10))?;
        let status =
            status.code().ok_or_else(|| format!("h2watch ended with {status}:\n{}", self.program.printed()))?;
        Ok(Seen { events: events(&self.events), scrape, status, printed: self.program.printed() })
    }
}

/// tcpdump on the origin's interface, whose file h2watch replays.
#[derive(Debug)]
pub struct Recording {
    tcpdump: Running,
    capture: PathBuf,
}

impl Recording {
    /// Starts capturing.
    ///
    /// # Errors
    /// When tcpdump does not, with what it printed.
    pub fn start(lab: &Lab) -> Result<Self, String> {
        let capture = lab.folder().join("recording.pcap");
        let mut command = Command::new("tcpdump");
        // As root all the time: it may write where only root may.
        command.args(["-i", INTERFACE, "-U", "--immediate-mode", "-B", "32768", "-Z", "root", "-w"]).arg(&capture);
        let mut tcpdump = Running::start(&lab.origin, &mut command, &lab.folder().join("tcpdump.log"))?;
        tcpdump.until("tcpdump", |tcpdump| tcpdump.printed().contains("listening on").then_some(()))?;
        Ok(Self { tcpdump, capture })
    }

    /// Ends it and replays. A last packet is made first, from which the capture says how late it is: for a replay, time passes by
    /// packets alone.
    ///
    /// # Errors
    /// When tcpdump or the replay fails.
    pub fn finish(mut self, lab: &Lab) -> Result<Seen, String> {
        // Its answer, a reset, proves that the packet is in the capture: it came back through the same interface.
        let _ = lab.visitor.connect(lab.origin.at(9));
        let size = || fs::metadata(&self.capture).map(|data| data.len()).unwrap_or(0);
        let mut before = size();
        wait(Duration::from_secs(5), || {
            std::thread::sleep(Duration::from_millis(200));
            let still = size() == before;
            before = size();
            still.then_some(())
        });
        self.tcpdump.end(Signal::INT, Duration::from_secs(10))?;
        replay(&self.capture, &lab.key_logs(), lab.folder())
    }
}

/// Replays a capture; `folder` takes the metrics.
///
/// # Errors
/// When the program cannot be run.
pub fn replay(capture: &Path, keys: &[PathBuf], folder: &Path) -> Result<Seen, String> {
    let metrics = folder.join("replay.prom");
    let mut command = program::command();
    command.arg("replay").arg(capture).args(["--format", "none", "--events", "-", "--metrics"]).arg(&metrics);
    for keys in keys {
        command.arg("--keylog").arg(keys);
    }
    let run: program::Run = command.output().map_err(|error| format!("cannot run h2watch: {error}"))?.into();
    let scrape = Scrape::read(&fs::read_to_string(&metrics).unwrap_or_default());
    Ok(Seen {
        events: run.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
        scrape: scrape.map_err(|line| format!("the metrics have a line that is not of the format: {line}"))?,
        status: run.status,
        printed: run.stderr,
    })
}
