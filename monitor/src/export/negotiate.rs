//! Which format a scraper gets (RFC 9110 section 12.5.1).

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics text 1.0.0, with exemplars.
    OpenMetrics,
    /// Prometheus protobuf, delimited, with exemplars and native histograms.
    Protobuf,
}

impl Format {
    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// The format that `Accept` likes best: of those that it likes the same the first, without it or without a match [`Format::Text`].
/// Parameters that name no format (`escaping`, `charset`) are passed over.
#[must_use]
pub fn negotiate(accept: Option<&str>) -> Format {
    let mut best = (0, Format::Text);
    for range in accept.unwrap_or_default().split(',') {
        if let Some((quality, format)) = offer(range)
            && quality > best.0
        {
            best = (quality, format);
        }
    }
    best.1
}

/// What one media range asks for, and how much it is liked, in thousandths.
fn offer(range: &str) -> Option<(u16, Format)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let (mut quality, mut version, mut proto, mut encoding) = (1_000, None, None, None);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => quality = thousandths(value)?,
            "version" => version = Some(value),
            "proto" => proto = Some(value),
            "encoding" => encoding = Some(value),
            _ => {}
        }
    }
    let is = |name: &str| media.eq_ignore_ascii_case(name);
    let format = if is("application/openmetrics-text") {
        version.is_none_or(|version| version == "1.0.0").then_some(Format::OpenMetrics)
    } else if is("application/vnd.google.protobuf") {
        let delimited = encoding.is_none_or(|encoding| encoding == "delimited");
        (proto == Some("io.prometheus.client.MetricFamily") && delimited).then_some(Format::Protobuf)
    } else {
        (is("text/plain") || is("text/*") || is("*/*")).then_some(Format::Text)
    };
    Some((quality, format?))
}

/// A weight: 0 to 1 with up to three digits behind the point; what is more precise is cut off.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = rest.bytes().chain(*b"000").take(3);
    let part = digits.filter(u8::is_ascii_digit).fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    if !rest.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match whole {
        "0" | "" => Some(part),
        "1" => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, negotiate};

    #[test]
    fn prometheus_gets_what_it_asks_for() {
        // 2.42, 2.42 with native histograms, 3.x, 3.x with native histograms.
        for (accept, format) in [
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                 application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::Protobuf,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,/;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::Protobuf,
            ),
        ] {
            assert_eq!(negotiate(Some(accept)), format, "{accept}");
        }
    }

    #[test]
    fn people_and_everybody_else_get_text() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for accept in [None, Some(""), Some("*/*"), Some(browser), Some("image/png"), Some(",;;=,q=;")] {
            assert_eq!(negotiate(accept), Format::Text, "{accept:?}");
        }
    }

    #[test]
    fn weights_count() {
        let open = "application/openmetrics-text";
        assert_eq!(negotiate(Some(&format!("{open};q=0.2, text/plain;q=0.25"))), Format::Text);
        assert_eq!(negotiate(Some(&format!("{open} ; Q=0.25 , text/plain;q=0.2"))), Format::OpenMetrics);
        assert_eq!(negotiate(Some(&format!("{open};q=0"))), Format::Text);
        assert_eq!(negotiate(Some(&format!("{open};q=nonsense"))), Format::Text);
        assert_eq!(negotiate(Some(&format!("{open};version=0.0.1"))), Format::Text, "another format");
        let text = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text";
        assert_eq!(negotiate(Some(text)), Format::Text, "not that one");
    }
}
