//! The load, and what it cost.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use h2watch_tests::lab::process::Running;
use h2watch_tests::lab::{Lab, OriginKind, wait};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Bodies of a few bytes: what a request costs.
    Small,
    /// Bodies of 200 kB: what a byte costs.
    Large,
}

impl Shape {
    pub(super) const ALL: [Self; 2] = [Self::Small, Self::Large];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Small => "small requests",
            Self::Large => "200-kB bodies",
        }
    }

    const fn path(self, origin: OriginKind) -> &'static str {
        match (self, origin) {
            (Self::Large, OriginKind::Kestrel) => "/big/200000",
            (Self::Large, _) => "/large",
            (Self::Small, OriginKind::Kestrel) => "/",
            (Self::Small, _) => "/small",
        }
    }

    /// One in this many requests is refused, where the origin refuses any.
    const fn refused(self) -> usize {
        match self {
            Self::Small => 1_000,
            Self::Large => 20,
        }
    }
}

/// A load on an origin.
pub(super) struct Load {
    pub(super) shape: Shape,
    pub(super) origin: OriginKind,
    /// The URLs that each client asks for in turn.
    urls: PathBuf,
}

impl Load {
    pub(super) fn new(shape: Shape, origin: OriginKind, lab: &Lab) -> Result<Self, String> {
        let at = lab.origin.at(origin.tls_port());
        let mut urls = format!("https://{at}{}\n", shape.path(origin)).repeat(shape.refused() - 1);
        if let Some(refused) = origin.refused() {
            urls += &format!("https://{at}{refused}x\n");
        }
        let written = |path: PathBuf, bytes: &[u8]| match fs::write(&path, bytes) {
            Ok(()) => Ok(path),
            Err(error) => Err(format!("cannot write {}: {error}", path.display())),
        };
        written(lab.folder().join("www/large"), &[b'x'; 200_000])?;
        let file = lab.folder().join(format!("{}.urls", if shape == Shape::Small { "small" } else { "large" }));
        Ok(Self { shape, origin, urls: written(file, urls.as_bytes())? })
    }
}

/// What the load did, and what it cost the origin and whoever watches.
#[derive(Clone, Debug, Default)]
pub(super) struct Driven {
    pub(super) seconds: f64,
    /// Requests that were answered or refused.
    pub(super) requests: f64,
    /// Of these, refused.
    pub(super) refused: f64,
    /// Bytes that the clients received.
    pub(super) bytes: f64,
    pub(super) origin_cpu: Duration,
    /// Of whoever watches, until there was nothing left to do.
    pub(super) cpu: Duration,
    /// Resident memory of whoever watches, in bytes, at every tenth of the time.
    pub(super) memory: Vec<u64>,
    /// How long whoever watches went on working after the load had ended.
    pub(super) behind: Duration,
}

/// Runs h2load for `span`.
pub(super) fn drive(lab: &Lab, load: &Load, span: Duration, watching: Option<&Running>) -> Result<Driven, String> {
    const SAMPLES: u32 = 10;
    let origin = lab.origins.iter().flat_map(|origin| &origin.programs).next().ok_or("no origin")?;
    let mut h2load = Command::new("h2load");
    let streams = if load.shape == Shape::Small { "10" } else { "4" };
    h2load.args(["-c", "50", "-t", "1", "-m", streams, "-D", &span.as_secs().to_string(), "-i"]).arg(&load.urls);
    h2load.env("SSLKEYLOGFILE", lab.visitors_keys());
    let cpu = || (origin.cpu(), watching.map(Running::cpu).unwrap_or_default());
    let (before, began) = (cpu(), Instant::now());
    let mut running = Running::start(&lab.visitor, &mut h2load, &lab.folder().join("h2load.log"))?;
    let mut memory = Vec::new();
    let ended = wait(span + Duration::from_secs(60), || {
        let taken = u32::try_from(memory.len()).unwrap_or(SAMPLES);
        if taken < SAMPLES && began.elapsed() >= span * (taken + 1) / (SAMPLES + 1) {
            memory.push(watching.map_or(0, Running::memory));
        }
        running.ended()
    });
    let origin_cpu = origin.cpu().saturating_sub(before.0);
    let behind = watching.map(behind).unwrap_or_default();
    memory.push(watching.map_or(0, Running::memory));
    let printed = running.printed();
    let told = Told::read(&printed).filter(|_| ended.is_some_and(|status| status.success()));
    let told = told.ok_or_else(|| format!("h2load failed:\n{printed}"))?;
    Ok(Driven {
        seconds: told.seconds,
        requests: told.done,
        refused: told.failed,
        bytes: told.bytes,
        origin_cpu,
        cpu: cpu().1.saturating_sub(before.1),
        memory,
        behind,
    })
}

/// What h2load says at the end.
#[derive(Debug, PartialEq)]
struct Told {
    seconds: f64,
    done: f64,
    failed: f64,
    bytes: f64,
}

impl Told {
    fn read(text: &str) -> Option<Self> {
        let line = |start: &str| text.lines().find(|line| line.starts_with(start));
        let before = |line: &str, word: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let at = words.iter().position(|found| found.trim_end_matches(',') == word)?;
            words.get(at.checked_sub(1)?)?.parse().ok()
        };
        let requests = line("requests:")?;
        let seconds = line("finished in")?.split_whitespace().nth(2)?;
        let bytes = line("traffic:")?.split_once('(')?.1.split_once(')')?.0;
        Some(Self {
            seconds: span(seconds.trim_end_matches(','))?,
            done: before(requests, "done")?,
            failed: before(requests, "failed")?,
            bytes: bytes.parse().ok()?,
        })
    }
}

/// A span as h2load prints it, in seconds.
fn span(text: &str) -> Option<f64> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(number.len()..)? {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        "m" => 60.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * unit)
}

/// Waits until a program has nothing left to do, for some time at most.
fn behind(watching: &Running) -> Duration {
    const STEP: Duration = Duration::from_millis(500);
    let (began, mut before) = (Instant::now(), watching.cpu());
    while began.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(STEP);
        let now = watching.cpu();
        if now.saturating_sub(before) < STEP / 5 {
            break;
        }
        before = now;
    }
    began.elapsed().saturating_sub(STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2load_is_understood() {
        let text = "\
finished in 10.02s, 53021.40 req/s, 5.21MB/s
requests: 530214 total, 530714 started, 530214 done, 529684 succeeded, 530 failed, 0 errored, 0 timeout
status codes: 529684 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 52.13MB (54664192) total, 12.14MB (12731396) headers (space savings 90.00%), 6.07MB (6362568) data
";
        let told = Told { seconds: 10.02, done: 530_214.0, failed: 530.0, bytes: 54_664_192.0 };
        assert_eq!(Told::read(text), Some(told));
        assert_eq!(Told::read("h2load: cannot connect"), None);
        assert_eq!((span("500.00ms"), span("2.5"), span("x")), (Some(0.5), None, None));
    }
}
