//! Aligned text with ANSI styles; who prints it strips them where they do not belong.

use std::borrow::Cow;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::Layout;
use crate::model::Time;

pub(super) const PLAIN: Style = Style::new();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const WARN: Style = AnsiColor::Yellow.on_default();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();

/// Columns of a row's label, with the indent.
const LABEL: usize = 15;
/// The indent of everything below a heading.
const INDENT: usize = 2;

/// A cell of a table.
pub(super) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: PLAIN, right: false }
    }

    pub(super) fn number(n: u64) -> Self {
        Self { text: grouped(n), style: if n == 0 { DIM } else { PLAIN }, right: true }
    }

    /// The same cell in another style; a 0 stays as it is.
    pub(super) fn style(self, style: Style) -> Self {
        if self.text == "0" { self } else { Self { style, ..self } }
    }
}

/// The summary as it grows.
pub(super) struct Page {
    out: String,
    pub(super) layout: Layout,
}

impl Page {
    pub(super) fn new(layout: Layout) -> Self {
        Self { out: String::with_capacity(8 << 10), layout }
    }

    /// Bytes so far.
    pub(super) const fn len(&self) -> usize {
        self.out.len()
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    /// A heading, with what kind of knowledge stands below it.
    pub(super) fn heading(&mut self, title: &str, kind: &str) {
        self.out.push('\n');
        self.styled(BOLD, title);
        if !kind.is_empty() {
            self.out.push_str("  ");
            self.styled(DIM, kind);
        }
        self.out.push('\n');
    }

    /// A paragraph over the whole width.
    pub(super) fn paragraph(&mut self, indent: usize, style: Style, text: &str) {
        for line in wrapped(text, self.layout.width.saturating_sub(indent)) {
            self.pad(indent);
            self.styled(style, &line);
            self.out.push('\n');
        }
    }

    /// A label, and text that wraps beside it.
    pub(super) fn row(&mut self, label: &str, style: Style, text: &str) {
        let mut label = label;
        for line in wrapped(text, self.layout.width.saturating_sub(LABEL)) {
            self.pad(INDENT);
            self.styled(DIM, label);
            self.pad(LABEL.saturating_sub(INDENT).saturating_sub(label.width()));
            self.styled(style, &line);
            self.out.push('\n');
            label = "";
        }
    }

    /// Columns as wide as they need be; the last one is cut where the line ends.
    pub(super) fn table(&mut self, header: &[&str], rows: &[Vec<Cell>]) {
        let columns = header.len();
        let mut widths: Vec<usize> = header.iter().map(|title| title.width()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        let taken: usize = widths.iter().take(columns.saturating_sub(1)).map(|width| width.saturating_add(2)).sum();
        if let Some(last) = widths.last_mut() {
            *last = (*last).min(self.layout.width.saturating_sub(INDENT.saturating_add(taken)).max(8));
        }
        let right = |column: usize| rows.first().and_then(|row| row.get(column)).is_some_and(|cell| cell.right);
        let titles = header.iter().enumerate();
        let titles = titles.map(|(at, title)| Cell { text: (*title).into(), style: DIM, right: right(at) });
        self.cells(&widths, &titles.collect::<Vec<_>>());
        for row in rows {
            self.cells(&widths, row);
        }
    }

    fn cells(&mut self, widths: &[usize], row: &[Cell]) {
        self.pad(INDENT);
        for (at, (cell, &width)) in row.iter().zip(widths).enumerate() {
            let text = self.cut(&cell.text, width);
            let fill = width.saturating_sub(text.width());
            if cell.right {
                self.pad(fill);
            }
            self.styled(cell.style, &text);
            if at.saturating_add(1) < row.len() {
                self.pad(if cell.right { 2 } else { fill.saturating_add(2) });
            }
        }
        self.out.truncate(self.out.trim_end_matches(' ').len());
        self.out.push('\n');
    }

    /// Text cut to a width, with a mark that says so.
    fn cut<'t>(&self, text: &'t str, width: usize) -> Cow<'t, str> {
        if text.width() <= width {
            return Cow::Borrowed(text);
        }
        let mark = if self.layout.unicode { "…" } else { "..." };
        let mut room = width.saturating_sub(mark.width());
        let mut short = String::new();
        for c in text.chars() {
            let wide = c.width().unwrap_or(0);
            if wide > room {
                break;
            }
            room = room.saturating_sub(wide);
            short.push(c);
        }
        short.push_str(mark);
        Cow::Owned(short)
    }

    fn styled(&mut self, style: Style, text: &str) {
        if !text.is_empty() {
            // Into memory: cannot fail.
            let _ = write!(self.out, "{style}{text}{style:#}");
        }
    }

    fn pad(&mut self, n: usize) {
        self.out.extend(std::iter::repeat_n(' ', n));
    }
}

/// Words in lines of at most `width` columns; a word that is wider stands alone.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used: usize = 0;
    for word in text.split(' ') {
        let wide = word.width();
        if !line.is_empty() && used.saturating_add(1).saturating_add(wide) > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if !line.is_empty() {
            line.push(' ');
            used = used.saturating_add(1);
        }
        line.push_str(word);
        used = used.saturating_add(wide);
    }
    lines.push(line);
    lines
}

/// 1234567 as 1,234,567.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len().saturating_mul(4).div_ceil(3));
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// "1 request", "2,000 requests".
pub(super) fn counted(n: u64, one: &str) -> String {
    let many = if n == 1 { "" } else { "s" };
    format!("{} {one}{many}", grouped(n))
}

/// Bytes in a unit that reads well.
#[allow(clippy::cast_precision_loss)]
pub(super) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A span in a unit that reads well.
pub(super) fn span(span: std::time::Duration) -> String {
    let seconds = span.as_secs_f64();
    let (value, unit) = match seconds {
        s if s < 1.0 => (s * 1e3, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7200.0 => (s / 60.0, "min"),
        s => (s / 3600.0, "h"),
    };
    let value = format!("{value:.1}");
    format!("{} {unit}", value.strip_suffix(".0").unwrap_or(&value))
}

/// A time as people write it: UTC, to the millisecond.
pub(super) fn moment(time: Time) -> String {
    let text = time.to_string();
    text.get(..23).map_or_else(|| text.clone(), |short| short.replace('T', " "))
}
