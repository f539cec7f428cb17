//! `--format json`, and how JSON is written.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use super::SCHEMA;
use super::printable::is_plain;
use super::summary::Summary;
use super::view::Line;
use crate::model::{Finding, Stats, Verdict};

/// Cases that the document lists; more are counted in `omitted`.
const CASES: usize = 1_000;

/// Bytes of the listed cases; a path may be long.
const CASE_BYTES: usize = 4 << 20;

/// Gathers what the document lists.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The `case` events, as JSON with a comma between them.
    cases: Vec<u8>,
    listed: usize,
    omitted: u64,
}

#[derive(Serialize)]
struct Head<'s> {
    schema: &'static str,
    #[serde(flatten)]
    summary: Summary<'s>,
    omitted: u64,
}

impl Report {
    pub(super) fn finding(&mut self, finding: &Finding) {
        if !matches!(finding, Finding::Case(_)) {
            return;
        }
        if self.listed >= CASES || self.cases.len() >= CASE_BYTES {
            self.omitted = self.omitted.saturating_add(1);
            return;
        }
        if self.listed > 0 {
            self.cases.push(b',');
        }
        // Into memory: cannot fail.
        let _ = write(&mut self.cases, &Line::from(finding));
        self.listed = self.listed.saturating_add(1);
    }

    /// Writes the document: the summary's fields, then `case_list`.
    pub(super) fn write(self, out: &mut impl Write, stats: &Stats, verdict: Verdict) -> io::Result<()> {
        let mut head = Vec::new();
        write(&mut head, &Head { schema: SCHEMA, summary: Summary::of(stats, verdict), omitted: self.omitted })?;
        // The listed cases are JSON already: they go in before the closing brace.
        head.pop();
        out.write_all(&head)?;
        out.write_all(b",\"case_list\":[")?;
        out.write_all(&self.cases)?;
        out.write_all(b"]}\n")
    }
}

/// Writes a value as JSON on one line. Characters that could steer a terminal are written as `\u` escapes: the value is the same.
pub(crate) fn write(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, Safe)).map_err(io::Error::from)
}

struct Safe;

impl Formatter for Safe {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.chars().all(is_plain) {
            return CompactFormatter.write_string_fragment(out, fragment);
        }
        let mut units = [0; 2];
        let mut utf8 = [0; 4];
        for c in fragment.chars() {
            if is_plain(c) {
                out.write_all(c.encode_utf8(&mut utf8).as_bytes())?;
            } else {
                for unit in c.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}
