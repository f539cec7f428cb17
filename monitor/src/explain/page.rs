//! Headings, paragraphs and facts as text of bounded width.

use super::Fact;
use crate::sink::printable;

/// Columns.
const WIDTH: usize = 100;

/// What `explain` prints.
#[derive(Debug, Default)]
pub(super) struct Page {
    out: String,
    graded: bool,
}

impl Page {
    pub(super) fn heading(&mut self, text: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out.push_str(&printable(text));
        self.out.push('\n');
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.wrapped("  ", "  ", text);
    }

    /// Lines as they are.
    pub(super) fn verbatim(&mut self, text: &str) {
        for line in text.lines() {
            if !line.is_empty() {
                self.out.push_str("      ");
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
    }

    pub(super) fn fact(&mut self, fact: &Fact) {
        self.graded = true;
        let source = if fact.source.is_empty() { String::new() } else { format!(": {}", fact.source) };
        self.wrapped("  - ", "    ", &format!("{} [{}{source}]", fact.text, fact.grade.label()));
    }

    pub(super) fn facts(&mut self, heading: &str, facts: &[Fact]) {
        if !facts.is_empty() {
            self.heading(heading);
            facts.iter().for_each(|fact| self.fact(fact));
        }
    }

    fn wrapped(&mut self, first: &str, rest: &str, text: &str) {
        let mut line = first.to_owned();
        let mut empty = true;
        for word in printable(text).split(' ') {
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.out.push_str(line.trim_end());
                self.out.push('\n');
                rest.clone_into(&mut line);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    pub(super) fn finish(mut self) -> String {
        if self.graded {
            self.heading("How it is known");
            self.paragraph(
                "[seen on a wire] in h2watch's own tests, with the versions named. [read in source] of the program named. \
                 [documented] or published there, not tried. [not known]: nobody here has seen or read it.",
            );
        }
        self.out
    }
}
