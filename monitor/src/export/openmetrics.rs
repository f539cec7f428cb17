//! OpenMetrics text 1.0.0, by `prometheus-client`. Histograms with exemplars are written here: that library makes exemplars only for
//! histograms that it has filled itself.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeLabelSet, EncodeLabelValue, LabelSetEncoder, LabelValueEncoder,
    MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::CounterWithExemplar;
use prometheus_client::registry::{Registry, Unit};

use super::exemplar::Exemplar;
use super::family::{Family, Kind, Labels, Series, Value};
use super::text::{self, Escaped};

/// Families in OpenMetrics text.
pub(super) fn encode(families: Vec<Family>) -> String {
    let (histograms, others): (Vec<_>, Vec<_>) =
        families.into_iter().partition(|family| family.kind == Kind::Histogram);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(others)));
    let mut out = String::with_capacity(256 << 10);
    // Into memory: cannot fail.
    let _ = encode_registry(&mut out, &registry);
    for family in &histograms {
        let name = family.name;
        out.push_str(&format!("# HELP {name} {}\n# TYPE {name} histogram\n", Escaped(family.help)));
        if let Some(unit) = family.unit() {
            out.push_str(&format!("# UNIT {name} {unit}\n"));
        }
        for series in &family.series {
            if let Value::Spans(spans) = &series.value {
                text::histogram(&mut out, name, &series.labels, &spans.0, &spans.1);
            }
        }
    }
    let _ = encode_eof(&mut out);
    out
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge | Kind::Histogram => MetricType::Gauge,
                Kind::Info => MetricType::Info,
            };
            let unit = family.unit();
            let ending = unit.map_or(0, |unit| unit.len() + 1);
            let base = family.base();
            let name = base.get(..base.len().saturating_sub(ending)).unwrap_or(base);
            let unit = unit.map(|unit| match unit {
                "seconds" => Unit::Seconds,
                "bytes" => Unit::Bytes,
                other => Unit::Other(other.to_owned()),
            });
            let mut encoder = encoder.encode_descriptor(name, family.help, unit.as_ref(), kind)?;
            for series in &family.series {
                self::series(&mut encoder, family.kind, series)?;
            }
        }
        Ok(())
    }
}

fn series(encoder: &mut MetricEncoder<'_>, kind: Kind, series: &Series) -> fmt::Result {
    let labels = Set(&series.labels);
    if kind == Kind::Info {
        return encoder.encode_info(&labels);
    }
    // Without labels the library would write empty braces.
    if series.labels.is_empty() {
        return value(encoder, kind, series);
    }
    value(&mut encoder.encode_family(&labels)?, kind, series)
}

fn value(encoder: &mut MetricEncoder<'_>, kind: Kind, series: &Series) -> fmt::Result {
    match (kind, &series.value) {
        (Kind::Counter, Value::Count(count)) => counter(encoder, count, series.exemplar.as_ref()),
        (Kind::Counter, Value::Number(number)) => counter(encoder, number, series.exemplar.as_ref()),
        (_, Value::Count(count)) => encoder.encode_gauge(count),
        (_, Value::Number(number)) => encoder.encode_gauge(number),
        (_, Value::Spans(_)) => Ok(()),
    }
}

fn counter(
    encoder: &mut MetricEncoder<'_>,
    value: &impl EncodeCounterValue,
    exemplar: Option<&Exemplar>,
) -> fmt::Result {
    let Some(exemplar) = exemplar else {
        return encoder.encode_counter::<NoLabelSet, _, f64>(value, None);
    };
    // The only way that the library has to make one.
    let holder = CounterWithExemplar::<[(&'static str, String); 1], f64, AtomicU64>::default();
    let time = UNIX_EPOCH.checked_add(Duration::from_nanos(exemplar.time.0));
    holder.inc_by(exemplar.value, Some([(Exemplar::LABEL, exemplar.id())]), time);
    let (_, made) = holder.get();
    encoder.encode_counter(value, made.as_ref())
}

/// The labels of a series.
#[derive(Debug)]
struct Set<'l>(&'l Labels);

impl EncodeLabelSet for Set<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (name, value) in self.0 {
            let mut label = encoder.encode_label();
            let mut key = label.encode_label_key()?;
            fmt::Write::write_str(&mut key, name)?;
            let mut text: LabelValueEncoder<'_> = key.encode_label_value()?;
            let value: &Cow<'static, str> = value;
            EncodeLabelValue::encode(&&**value, &mut text)?;
            text.finish()?;
        }
        Ok(())
    }
}
