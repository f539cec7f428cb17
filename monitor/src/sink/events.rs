//! `--events`: JSON Lines.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::summary::Summary;
use super::view::Line;
use super::{SCHEMA, Target, failure, json};
use crate::model::{Finding, Stats, Time, Verdict};

/// Writes a line for each finding and a last one for the counts. After a write that failed nothing more is written.
pub(super) struct Writer {
    out: BufWriter<Box<dyn Write>>,
    name: String,
    failed: Option<io::Error>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("name", &self.name).field("failed", &self.failed).finish_non_exhaustive()
    }
}

/// The last line.
#[derive(Serialize)]
pub(super) struct Last<'s> {
    schema: &'static str,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'s str>,
    #[serde(flatten)]
    summary: Summary<'s>,
}

impl<'s> Last<'s> {
    /// The line for these counts; a live run has a name.
    pub(super) fn of(stats: &'s Stats, verdict: Verdict, run: Option<&'s str>) -> Self {
        let time = stats.span.map(|span| span.1);
        Self { schema: SCHEMA, event: "summary", time, run, summary: Summary::of(stats, verdict) }
    }
}

impl Writer {
    pub(super) fn open(target: &Target) -> Result<Self, String> {
        match target {
            Target::Stdout => Ok(Self::to(Box::new(io::stdout()), "standard output".into())),
            Target::File(path) => {
                let file = File::create(path)
                    .map_err(|error| format!("cannot create {} for the events: {error}", path.display()))?;
                Ok(Self::to(Box::new(file), path.display().to_string()))
            }
        }
    }

    fn to(out: Box<dyn Write>, name: String) -> Self {
        Self { out: BufWriter::with_capacity(64 << 10, out), name, failed: None }
    }

    pub(super) fn finding(&mut self, finding: &Finding) {
        self.line(&Line::from(finding));
    }

    fn line(&mut self, value: &impl Serialize) {
        if self.failed.is_some() {
            return;
        }
        let written = json::write(&mut self.out, value).and_then(|()| self.out.write_all(b"\n"));
        self.failed = written.err();
    }

    pub(super) fn finish(mut self, stats: &Stats, verdict: Verdict) -> Result<(), String> {
        self.line(&Last::of(stats, verdict, None));
        let result = match self.failed.take() {
            Some(error) => {
                // What the buffer still holds would fail again, when it is dropped.
                let _ = self.out.into_parts();
                Err(error)
            }
            None => self.out.flush(),
        };
        match failure(&format!("cannot write the events to {}, they are not complete", self.name), result) {
            Some(line) => Err(line),
            None => Ok(()),
        }
    }
}
