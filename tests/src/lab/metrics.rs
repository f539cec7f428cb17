//! A reader of the Prometheus text format, for asking what a scrape says.

use std::collections::BTreeMap;

/// One scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape(Vec<Sample>);

/// One line of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Scrape {
    /// Reads a scrape in the classic text format or in OpenMetrics.
    ///
    /// # Errors
    /// Gives the first line that is in neither.
    pub fn read(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        lines.map(|line| sample(line).ok_or_else(|| line.to_owned())).collect::<Result<_, _>>().map(Self)
    }

    /// The samples of a metric that have all of these labels.
    pub fn of<'a>(&'a self, name: &'a str, labels: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value))
        })
    }

    /// Their sum; `None` where there is no such series.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.of(name, labels).peekable();
        found.peek()?;
        Some(found.map(|sample| sample.value).sum())
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> usize {
        self.0.len()
    }

    /// The upper bound of the bucket that holds quantile `q` of a classic histogram, seconds; `None` where it is empty.
    #[must_use]
    pub fn quantile(&self, name: &str, q: f64) -> Option<f64> {
        let bucket = format!("{name}_bucket");
        let mut bounds: BTreeMap<u64, f64> = BTreeMap::new();
        for sample in self.of(&bucket, &[]) {
            let bound: f64 = sample.labels.get("le")?.parse().ok()?;
            // The bits of numbers that are not negative are in their order.
            *bounds.entry(bound.to_bits()).or_default() += sample.value;
        }
        let total = *bounds.values().last()?;
        let found = bounds.iter().find(|(_, count)| **count >= q * total);
        found.filter(|_| total > 0.0).map(|(bound, _)| f64::from_bits(*bound))
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let mut value = String::new();
            let mut letters = after.char_indices();
            rest = loop {
                match letters.next()? {
                    (at, '"') => break after.get(at + 1..)?,
                    (_, '\\') => value.push(match letters.next()?.1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (_, letter) => value.push(letter),
                }
            };
            labels.insert(label.trim_start_matches(',').to_owned(), value);
        }
        rest = rest.get(1..)?;
    }
    // A timestamp or an exemplar may follow.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP h2watch_resets_total Resets.
# TYPE h2watch_resets_total counter
h2watch_resets_total{frame=\"RST_STREAM\",error=\"CANCEL\"} 3
h2watch_resets_total{frame=\"GOAWAY\",error=\"CANCEL\"} 4 # {event=\"r1\"} 1.0
up 1
odd{text=\"a\\\"b,c}\"} 2e3
delay_bucket{le=\"0.1\"} 1
delay_bucket{le=\"1\"} 99
delay_bucket{le=\"+Inf\"} 100
# EOF
";

    #[test]
    fn samples_are_found_by_labels() {
        let scrape = Scrape::read(TEXT).unwrap();
        assert_eq!(scrape.sum("h2watch_resets_total", &[("error", "CANCEL")]), Some(7.0));
        assert_eq!(scrape.sum("h2watch_resets_total", &[("frame", "GOAWAY")]), Some(4.0));
        assert_eq!(scrape.sum("h2watch_resets_total", &[("frame", "PING")]), None);
        assert_eq!(scrape.sum("up", &[]), Some(1.0));
        assert_eq!(scrape.sum("odd", &[("text", "a\"b,c}")]), Some(2_000.0));
        assert!(Scrape::read("no value\n").is_err());
    }

    #[test]
    fn quantiles_are_bucket_bounds() {
        let scrape = Scrape::read(TEXT).unwrap();
        assert_eq!(scrape.quantile("delay", 0.5), Some(1.0));
        assert_eq!(scrape.quantile("delay", 0.01), Some(0.1));
        assert_eq!(scrape.quantile("delay", 1.0), Some(f64::INFINITY));
        assert_eq!(scrape.quantile("absent", 0.5), None);
    }
}
