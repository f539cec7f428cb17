//! The NSS key log format (draft-ietf-tls-keylogfile), as programs really write it.

mod form;
mod line;
#[cfg(test)]
mod tests;
mod write;

use zeroize::{Zeroize, Zeroizing};

use crate::keys::KeyStore;
pub use form::Form;
use line::Line;
pub use write::line;

/// What a key log held so far. Never any content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines read, the empty ones too.
    pub lines: u64,
    /// Lines that gave a secret that was used, known before or not.
    pub secrets: u64,
    /// Lines with a known label whose secret is of no use here (exporter secrets, later generations).
    pub unused: u64,
    /// Lines with a label that is not known.
    pub unknown: u64,
    /// Comment lines.
    pub comments: u64,
    /// Lines that are none of these.
    pub malformed: u64,
    /// The numbers of the first malformed lines, counted from 1.
    pub malformed_lines: Vec<u64>,
    /// What it is instead of text, by its first bytes.
    pub form: Option<Form>,
    /// NUL bytes passed over: a writer that keeps its offset leaves a hole when somebody truncates its file.
    pub nul_bytes: u64,
}

impl Counts {
    /// How many malformed lines are kept by number.
    pub const MAX_MALFORMED_LINES: usize = 16;

    fn malformed(&mut self) {
        self.malformed += 1;
        if self.malformed_lines.len() < Self::MAX_MALFORMED_LINES {
            self.malformed_lines.push(self.lines);
        }
    }
}

/// Reads a key log that arrives in pieces cut anywhere.
#[derive(Debug, Default)]
pub struct KeyLog {
    counts: Counts,
    /// Its first bytes, until there are enough of them to tell what it is.
    head: Vec<u8>,
    begun: bool,
    /// The beginning of a line whose end has not arrived.
    partial: Zeroizing<Vec<u8>>,
    /// The line has outgrown the cap: its rest is passed over.
    too_long: bool,
    /// A hole has just cut the line short: what stood before it is a line of its own.
    in_hole: bool,
}

impl KeyLog {
    /// Longest line in bytes; a longer one is malformed. The longest that is defined has 250.
    pub const MAX_LINE: usize = 1024;

    /// At the beginning of a key log.
    #[must_use]
    pub fn new() -> Self {
        // Room from the start, so that no secret is left behind in memory that was outgrown.
        Self { partial: Zeroizing::new(Vec::with_capacity(Self::MAX_LINE)), ..Self::default() }
    }

    /// Reads the next bytes and adds the secrets of complete lines.
    pub fn push(&mut self, bytes: &[u8], store: &mut KeyStore) {
        if self.begun {
            return self.lines(bytes, store);
        }
        let (first, rest) = bytes.split_at(bytes.len().min(Form::HEAD - self.head.len()));
        self.head.extend_from_slice(first);
        if self.head.len() == Form::HEAD {
            self.begin(store);
            self.lines(rest, store);
        }
    }

    /// Enough has come to tell what it is, or no more will come.
    fn begin(&mut self, store: &mut KeyStore) {
        self.begun = true;
        self.counts.form = Form::of(&self.head);
        let head = std::mem::take(&mut self.head);
        if self.counts.form.is_some_and(Form::is_unreadable) {
            self.counts.lines = 1;
            self.counts.malformed();
        }
        // A byte order mark, as some editors and PowerShell put in front of UTF-8.
        self.lines(head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head), store);
    }

    fn lines(&mut self, mut bytes: &[u8], store: &mut KeyStore) {
        if self.counts.form.is_some_and(Form::is_unreadable) {
            return;
        }
        while let Some(&first) = bytes.first() {
            if first == 0 {
                let rest = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
                self.counts.nul_bytes += rest as u64;
                self.hole(store);
                bytes = bytes.get(rest..).unwrap_or_default();
                continue;
            }
            let Some(end) = bytes.iter().position(|&byte| matches!(byte, b'\n' | 0)) else {
                self.keep(bytes);
                return;
            };
            let (text, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            if rest.first() == Some(&0) {
                self.keep(text);
                bytes = rest;
            } else {
                self.end_of_line(text, store);
                bytes = rest.get(1..).unwrap_or_default();
            }
        }
    }

    /// The key log has ended: its last line may lack the newline.
    pub fn finish(&mut self, store: &mut KeyStore) {
        if !self.begun {
            self.begin(store);
        }
        if !self.partial.is_empty() || self.too_long {
            self.end_of_line(&[], store);
        }
    }

    /// What was read so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    fn keep(&mut self, text: &[u8]) {
        if self.too_long || self.partial.len().saturating_add(text.len()) > Self::MAX_LINE {
            self.too_long = true;
            self.partial.zeroize();
        } else {
            self.partial.extend_from_slice(text);
        }
    }

    /// A hole begins or goes on. It ends the line before it, which is damaged if that is not whole: writers go on in front of a hole
    /// with lines, and only behind it with the rest of one.
    fn hole(&mut self, store: &mut KeyStore) {
        if !self.partial.is_empty() || self.too_long {
            let cut = Zeroizing::new(std::mem::replace(&mut *self.partial, Vec::with_capacity(Self::MAX_LINE)));
            let whole = !std::mem::take(&mut self.too_long);
            self.counts.lines += 1;
            let line = Line::parse(&cut).filter(|line| whole && *line != Line::Unknown);
            self.apply(line, store);
        }
        self.in_hole = true;
    }

    fn end_of_line(&mut self, text: &[u8], store: &mut KeyStore) {
        self.counts.lines += 1;
        let after_hole = std::mem::take(&mut self.in_hole);
        if self.partial.is_empty() && !self.too_long && text.len() <= Self::MAX_LINE {
            self.read(text, after_hole, store);
            return;
        }
        self.keep(text);
        if std::mem::take(&mut self.too_long) {
            self.counts.malformed();
            return;
        }
        let line = Zeroizing::new(std::mem::replace(&mut *self.partial, Vec::with_capacity(Self::MAX_LINE)));
        self.read(&line, after_hole, store);
    }

    fn read(&mut self, text: &[u8], after_hole: bool, store: &mut KeyStore) {
        let line = Line::parse(text);
        // The writer's buffer may have begun within a line whose front is now the hole.
        let expected = line.is_none() && after_hole && Line::is_rest(text);
        self.apply(if expected { Some(Line::Empty) } else { line }, store);
    }

    fn apply(&mut self, line: Option<Line>, store: &mut KeyStore) {
        let counts = &mut self.counts;
        match line {
            None => counts.malformed(),
            Some(Line::Empty) => {}
            Some(Line::Comment) => counts.comments += 1,
            Some(Line::Unknown) => counts.unknown += 1,
            Some(Line::Unused) => counts.unused += 1,
            Some(Line::Connection(random, kind, secret)) => {
                counts.secrets += 1;
                store.add(random, kind, secret);
            }
            Some(Line::Session { id, master }) => {
                counts.secrets += 1;
                store.add_session(&id, master);
            }
            Some(Line::Transcript { hash, secret }) => {
                counts.secrets += 1;
                store.add_transcript(&hash, secret);
            }
            Some(Line::Premaster { encrypted, premaster }) => {
                counts.secrets += 1;
                store.add_premaster(encrypted, premaster);
            }
        }
    }
}
