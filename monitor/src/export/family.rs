use std::borrow::Cow;

use smallvec::SmallVec;

use super::exemplar::Exemplar;
use crate::model::Histogram;

/// Names and values of a series' labels.
pub type Labels = SmallVec<[(&'static str, Cow<'static, str>); 4]>;

/// What a family measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises while the program runs. Its name ends in `_total`.
    Counter,
    /// Rises and falls.
    Gauge,
    /// How spans of time are spread.
    Histogram,
    /// Labels that say something of the program; the value is 1. Its name ends in `_info`.
    Info,
}

/// The value of a series.
#[derive(Clone, Debug)]
pub enum Value {
    /// A count.
    Count(u64),
    /// A measure.
    Number(f64),
    /// Spans in seconds, with an exemplar for some of the classic buckets, by their place.
    Spans(Box<(Histogram, Vec<(usize, Exemplar)>)>),
}

/// One series of a family.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its labels; no two series of a family have the same.
    pub labels: Labels,
    /// Its value.
    pub value: Value,
    /// The latest event that it counts, where it is known.
    pub exemplar: Option<Exemplar>,
}

/// A metric family.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name in the classic formats: with prefix, unit, and `_total` or `_info`.
    pub name: &'static str,
    /// What it says, in one sentence.
    pub help: &'static str,
    /// What it measures.
    pub kind: Kind,
    /// Its series.
    pub series: Vec<Series>,
}

impl Family {
    /// A counter without series yet.
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Counter, series: Vec::new() }
    }

    /// A gauge without series yet.
    pub(super) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Gauge, series: Vec::new() }
    }

    /// A histogram with one series.
    pub(super) fn histogram(
        name: &'static str,
        help: &'static str,
        spans: &Histogram,
        exemplars: Vec<(usize, Exemplar)>,
    ) -> Self {
        let value = Value::Spans(Box::new((spans.clone(), exemplars)));
        Self {
            name,
            help,
            kind: Kind::Histogram,
            series: vec![Series { labels: Labels::new(), value, exemplar: None }],
        }
    }

    /// This family with one series without labels.
    pub(super) fn only(mut self, value: impl Into<Value>) -> Self {
        self.add(Labels::new(), value);
        self
    }

    /// Adds a series.
    pub(super) fn add(
        &mut self,
        labels: impl IntoIterator<Item = (&'static str, Cow<'static, str>)>,
        value: impl Into<Value>,
    ) {
        self.add_with(labels, value, None);
    }

    /// Adds a series whose latest event is known.
    pub(super) fn add_with(
        &mut self,
        labels: impl IntoIterator<Item = (&'static str, Cow<'static, str>)>,
        value: impl Into<Value>,
        exemplar: Option<Exemplar>,
    ) {
        self.series.push(Series { labels: labels.into_iter().collect(), value: value.into(), exemplar });
    }

    /// Adds a series with labels that the program's own code names.
    pub(super) fn add_fixed<const N: usize>(
        &mut self,
        labels: [(&'static str, &'static str); N],
        value: impl Into<Value>,
    ) {
        self.add(labels.map(|(name, value)| (name, Cow::Borrowed(value))), value);
    }

    /// The name without what OpenMetrics adds to it in its samples.
    pub(super) fn base(&self) -> &'static str {
        let ending = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.name.strip_suffix(ending).unwrap_or(self.name)
    }

    /// The unit: the last word of [`base`](Self::base), where that is one.
    pub(super) fn unit(&self) -> Option<&'static str> {
        UNITS.into_iter().find(|unit| self.base().strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
    }
}

/// Base units in use.
const UNITS: [&str; 2] = ["seconds", "bytes"];

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Count(u64::from(yes))
    }
}
