//! The Prometheus text format 0.0.4, which scrapers of any age, the textfile collector and people read.

use std::fmt::{self, Display, Write as _};

use super::exemplar::Exemplar;
use super::family::{Family, Kind, Labels, Value};
use crate::model::Histogram;

/// Families in the text format 0.0.4.
pub(super) fn encode(families: &[Family]) -> String {
    let mut out = String::with_capacity(256 << 10);
    for family in families {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge | Kind::Info => "gauge",
            Kind::Histogram => "histogram",
        };
        line(&mut out, format_args!("# HELP {} {}\n# TYPE {} {kind}", family.name, Escaped(family.help), family.name));
        for series in &family.series {
            match &series.value {
                Value::Spans(spans) => histogram(&mut out, family.name, &series.labels, &spans.0, &[]),
                Value::Count(count) => sample(&mut out, family.name, "", &series.labels, count),
                Value::Number(number) => sample(&mut out, family.name, "", &series.labels, number),
            }
        }
    }
    out
}

/// The samples of a histogram. With exemplars it is OpenMetrics.
pub(super) fn histogram(
    out: &mut String,
    name: &str,
    labels: &Labels,
    histogram: &Histogram,
    exemplars: &[(usize, Exemplar)],
) {
    let mut below = 0_u64;
    let bounds = Histogram::BOUNDS.iter().map(Some).chain([None]);
    for (at, (bound, count)) in bounds.zip(histogram.counts).enumerate() {
        below = below.saturating_add(count);
        let mut labels = labels.clone();
        // With a point, as OpenMetrics asks.
        labels.push(("le", bound.map_or("+Inf".into(), |bound| format!("{bound:?}").into())));
        name_and_labels(out, name, "_bucket", &labels);
        put(out, format_args!(" {below}"));
        if let Some((_, exemplar)) = exemplars.iter().find(|(place, _)| *place == at) {
            let seconds = std::time::Duration::from_nanos(exemplar.time.0).as_secs_f64();
            let (label, id, value) = (Exemplar::LABEL, exemplar.id(), exemplar.value);
            put(out, format_args!(" # {{{label}=\"{id}\"}} {value} {seconds:.3}"));
        }
        out.push('\n');
    }
    sample(out, name, "_sum", labels, histogram.sum.as_secs_f64());
    sample(out, name, "_count", labels, histogram.count());
}

fn sample(out: &mut String, name: &str, ending: &str, labels: &Labels, value: impl Display) {
    name_and_labels(out, name, ending, labels);
    line(out, format_args!(" {value}"));
}

fn name_and_labels(out: &mut String, name: &str, ending: &str, labels: &Labels) {
    out.push_str(name);
    out.push_str(ending);
    let mut between = '{';
    for (label, value) in labels {
        out.push(between);
        between = ',';
        out.push_str(label);
        out.push_str("=\"");
        put(out, format_args!("{}\"", Escaped(value)));
    }
    if !labels.is_empty() {
        out.push('}');
    }
}

fn line(out: &mut String, text: fmt::Arguments<'_>) {
    put(out, text);
    out.push('\n');
}

fn put(out: &mut String, text: fmt::Arguments<'_>) {
    // Into memory: cannot fail.
    let _ = out.write_fmt(text);
}

/// A label's value with backslash, quote and line feed escaped, as both text formats ask.
pub(super) struct Escaped<'t>(pub(super) &'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['\\', '"', '\n']) {
            let (plain, special) = rest.split_at(at);
            f.write_str(plain)?;
            let mut chars = special.chars();
            f.write_str(match chars.next() {
                Some('\\') => "\\\\",
                Some('"') => "\\\"",
                _ => "\\n",
            })?;
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}
