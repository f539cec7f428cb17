//! The Prometheus protobuf format, delimited: the only one with native histograms.

use prost::Message as _;

use super::exemplar::Exemplar;
use super::family::{Family, Kind, Series, Value};
use crate::model::Histogram;

/// Families as length-delimited messages.
pub(super) fn encode(families: Vec<Family>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 << 10);
    for family in families {
        let metric = family.series.iter().map(|series| metric(family.kind, series)).collect();
        let message = message::MetricFamily {
            name: Some(family.name.to_owned()),
            help: Some(family.help.to_owned()),
            kind: Some(match family.kind {
                Kind::Counter => message::COUNTER,
                Kind::Gauge | Kind::Info => message::GAUGE,
                Kind::Histogram => message::HISTOGRAM,
            }),
            metric,
            unit: None,
        };
        // Into memory that grows: cannot fail.
        let _ = message.encode_length_delimited(&mut out);
    }
    out
}

fn metric(kind: Kind, series: &Series) -> message::Metric {
    let label = |(name, value): &(&'static str, std::borrow::Cow<'static, str>)| pair(name, value.clone().into_owned());
    let mut metric = message::Metric { label: series.labels.iter().map(label).collect(), ..Default::default() };
    let value = match &series.value {
        Value::Count(count) => *count as f64,
        Value::Number(number) => *number,
        Value::Spans(spans) => {
            metric.histogram = Some(histogram(&spans.0, &spans.1));
            return metric;
        }
    };
    if kind == Kind::Counter {
        let exemplar = series.exemplar.as_ref().map(exemplar);
        metric.counter = Some(message::Counter { value: Some(value), exemplar });
    } else {
        metric.gauge = Some(message::Gauge { value: Some(value) });
    }
    metric
}

fn pair(name: &str, value: String) -> message::LabelPair {
    message::LabelPair { name: Some(name.to_owned()), value: Some(value) }
}

fn exemplar(of: &Exemplar) -> message::Exemplar {
    let time = of.time.0;
    message::Exemplar {
        label: vec![pair(Exemplar::LABEL, of.id())],
        value: Some(of.value),
        timestamp: Some(message::Timestamp {
            seconds: i64::try_from(time / 1_000_000_000).unwrap_or(0),
            nanos: i32::try_from(time % 1_000_000_000).unwrap_or(0),
        }),
    }
}

/// Classic and native buckets: a scraper takes those that it is set to.
fn histogram(of: &Histogram, exemplars: &[(usize, Exemplar)]) -> message::Histogram {
    let mut below = 0_u64;
    let bounds = Histogram::BOUNDS.iter().copied().chain([f64::INFINITY]);
    let buckets = bounds.zip(of.counts).enumerate().map(|(at, (bound, count))| {
        below = below.saturating_add(count);
        message::Bucket {
            cumulative_count: Some(below),
            upper_bound: Some(bound),
            exemplar: exemplars.iter().find(|(place, _)| *place == at).map(|(_, of)| exemplar(of)),
        }
    });
    let bucket = buckets.collect();
    let (positive_span, positive_delta) = spans(of);
    message::Histogram {
        sample_count: Some(of.count()),
        sample_sum: Some(of.sum.as_secs_f64()),
        bucket,
        schema: Some(Histogram::SCHEMA),
        zero_threshold: Some(Histogram::ZERO),
        zero_count: Some(of.zero),
        positive_span,
        positive_delta,
        exemplars: exemplars.iter().map(|(_, of)| exemplar(of)).collect(),
    }
}

/// Runs of buckets that follow each other, each by its distance from the end of the run before (the first: from 0), and the counts, each by
/// its difference from the one before.
fn spans(of: &Histogram) -> (Vec<message::BucketSpan>, Vec<i64>) {
    let mut runs: Vec<message::BucketSpan> = Vec::new();
    let mut deltas = Vec::with_capacity(of.native.len());
    let (mut next, mut before) = (0_i32, 0_i64);
    for (&at, &count) in &of.native {
        let (at, count) = (i32::from(at), i64::try_from(count).unwrap_or(i64::MAX));
        match runs.last_mut() {
            Some(run) if at == next => run.length = run.length.map(|length| length + 1),
            _ => runs.push(message::BucketSpan { offset: Some(at - next), length: Some(1) }),
        }
        next = at + 1;
        deltas.push(count - before);
        before = count;
    }
    (runs, deltas)
}

/// `io.prometheus.client`, as far as it is written: <https://github.com/prometheus/client_model>.
#[allow(missing_docs, reason = "named and numbered as in metrics.proto")]
pub(super) mod message {
    pub(crate) const COUNTER: i32 = 0;
    pub(crate) const GAUGE: i32 = 1;
    pub(crate) const HISTOGRAM: i32 = 4;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct MetricFamily {
        #[prost(string, optional, tag = "1")]
        pub(crate) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(crate) help: Option<String>,
        #[prost(int32, optional, tag = "3")]
        pub(crate) kind: Option<i32>,
        #[prost(message, repeated, tag = "4")]
        pub(crate) metric: Vec<Metric>,
        #[prost(string, optional, tag = "5")]
        pub(crate) unit: Option<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub(crate) label: Vec<LabelPair>,
        #[prost(message, optional, tag = "2")]
        pub(crate) gauge: Option<Gauge>,
        #[prost(message, optional, tag = "3")]
        pub(crate) counter: Option<Counter>,
        #[prost(message, optional, tag = "7")]
        pub(crate) histogram: Option<Histogram>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct LabelPair {
        #[prost(string, optional, tag = "1")]
        pub(crate) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(crate) value: Option<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Gauge {
        #[prost(double, optional, tag = "1")]
        pub(crate) value: Option<f64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Counter {
        #[prost(double, optional, tag = "1")]
        pub(crate) value: Option<f64>,
        #[prost(message, optional, tag = "2")]
        pub(crate) exemplar: Option<Exemplar>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Histogram {
        #[prost(uint64, optional, tag = "1")]
        pub(crate) sample_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub(crate) sample_sum: Option<f64>,
        #[prost(message, repeated, tag = "3")]
        pub(crate) bucket: Vec<Bucket>,
        #[prost(sint32, optional, tag = "5")]
        pub(crate) schema: Option<i32>,
        #[prost(double, optional, tag = "6")]
        pub(crate) zero_threshold: Option<f64>,
        #[prost(uint64, optional, tag = "7")]
        pub(crate) zero_count: Option<u64>,
        #[prost(message, repeated, tag = "12")]
        pub(crate) positive_span: Vec<BucketSpan>,
        #[prost(sint64, repeated, tag = "13")]
        pub(crate) positive_delta: Vec<i64>,
        #[prost(message, repeated, tag = "16")]
        pub(crate) exemplars: Vec<Exemplar>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Bucket {
        #[prost(uint64, optional, tag = "1")]
        pub(crate) cumulative_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub(crate) upper_bound: Option<f64>,
        #[prost(message, optional, tag = "3")]
        pub(crate) exemplar: Option<Exemplar>,
    }

    #[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
    pub(crate) struct BucketSpan {
        #[prost(sint32, optional, tag = "1")]
        pub(crate) offset: Option<i32>,
        #[prost(uint32, optional, tag = "2")]
        pub(crate) length: Option<u32>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub(crate) label: Vec<LabelPair>,
        #[prost(double, optional, tag = "2")]
        pub(crate) value: Option<f64>,
        #[prost(message, optional, tag = "3")]
        pub(crate) timestamp: Option<Timestamp>,
    }

    #[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
    pub(crate) struct Timestamp {
        #[prost(int64, tag = "1")]
        pub(crate) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(crate) nanos: i32,
    }
}
