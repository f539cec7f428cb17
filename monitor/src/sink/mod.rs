//! Findings and counts out: text, JSON, events, metrics.

mod events;
mod json;
mod metrics;
mod printable;
mod progress;
#[cfg(test)]
pub(crate) mod samples;
pub mod stream;
mod summary;
#[cfg(test)]
mod tests;
mod text;
mod view;
pub(crate) mod words;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

pub(crate) use json::write as write_json;
pub use printable::printable;
pub use progress::Progress;
pub(crate) use summary::{Count, Spans, Summary};
pub(crate) use view::{Line, millis};

use crate::model::{Finding, Stats, Verdict};

/// The name and version of the schema of everything that is written as JSON.
pub const SCHEMA: &str = "h2watch/1";

/// What standard output gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A summary for people.
    Text,
    /// A summary for programs: one JSON document.
    Json,
    /// Nothing.
    None,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, created or emptied.
    File(PathBuf),
}

impl Target {
    /// The file's path.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdout => None,
            Self::File(path) => Some(path),
        }
    }
}

/// What to write where.
#[derive(Clone, Debug)]
pub struct Options {
    /// What standard output gets.
    pub format: Format,
    /// Findings as JSON Lines.
    pub events: Option<Target>,
    /// Counts in the Prometheus text format.
    pub metrics: Option<PathBuf>,
    /// List for each connection what could not be seen.
    pub verbose: bool,
    /// Colour of the text.
    pub color: anstream::ColorChoice,
}

impl Default for Options {
    /// A summary for people, and nothing else.
    fn default() -> Self {
        Self { format: Format::Text, events: None, metrics: None, verbose: false, color: anstream::ColorChoice::Auto }
    }
}

/// Everything that a run writes. A write that fails ends its output, is reported once by [`finish`](Self::finish), and stops nothing
/// else; a reader that went away (a broken pipe) is no failure.
#[derive(Debug)]
pub struct Outputs {
    events: Option<events::Writer>,
    text: Option<text::Report>,
    json: Option<json::Report>,
    metrics: Option<PathBuf>,
    color: anstream::ColorChoice,
}

impl Outputs {
    /// Opens what is written while the run goes on and tries what is written at its end, so that an output that cannot be written is
    /// known before the work.
    ///
    /// # Errors
    /// What could not be created, in one line.
    pub fn open(options: &Options) -> Result<Self, String> {
        options.metrics.as_deref().map_or(Ok(()), metrics::check)?;
        Ok(Self {
            events: options.events.as_ref().map(events::Writer::open).transpose()?,
            text: (options.format == Format::Text).then(|| text::Report::new(options.verbose)),
            json: (options.format == Format::Json).then(json::Report::default),
            metrics: options.metrics.clone(),
            color: options.color,
        })
    }

    /// Takes a finding. They come in the order in which `detect` gives them.
    pub fn finding(&mut self, finding: &Finding) {
        if let Some(events) = &mut self.events {
            events.finding(finding);
        }
        if let Some(text) = &mut self.text {
            text.finding(finding);
        }
        if let Some(json) = &mut self.json {
            json.finding(finding);
        }
    }

    /// Writes what comes at the end.
    ///
    /// # Errors
    /// What could not be written, one line each. Everything else is written.
    pub fn finish(self, stats: &Stats, verdict: Verdict) -> Result<(), Vec<String>> {
        let mut failures = Vec::new();
        if let Some(events) = self.events {
            failures.extend(events.finish(stats, verdict).err());
        }
        if let Some(path) = self.metrics {
            failures.extend(metrics::write(&path, stats).err());
        }
        if let Some(text) = self.text {
            let layout = text::Layout::of_terminal();
            let mut out = anstream::AutoStream::new(io::stdout().lock(), self.color);
            let written = out.write_all(text.render(stats, verdict, &layout).as_bytes()).and_then(|()| out.flush());
            failures.extend(failure("cannot write the summary to standard output", written));
        }
        if let Some(json) = self.json {
            let mut out = io::stdout().lock();
            let written = json.write(&mut out, stats, verdict).and_then(|()| out.flush());
            failures.extend(failure("cannot write the summary to standard output", written));
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }
}

/// The line for a write that failed; a reader that went away is no failure.
fn failure(what: &str, result: io::Result<()>) -> Option<String> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Some(format!("{what}: {error}")),
        _ => None,
    }
}
