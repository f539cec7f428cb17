use h2_tap::{Anomaly, End, Fields, GoAway, HeadKind, Observer, Reset, Side, Stream};

/// Writes down what it hears of a connection.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) said: Vec<String>,
    pub(crate) requests: usize,
    /// Ends of streams whose request was heard.
    pub(crate) ends: usize,
}

fn text(fields: &Fields<'_>) -> String {
    let all: Vec<_> = fields.iter().map(|field| (field.name, field.value)).collect();
    format!("{all:?} {}", fields.complete())
}

impl Observer for Log {
    type Tag = u32;

    fn request(&mut self, time: u64, stream: u32, kind: HeadKind, fields: &Fields<'_>, end: bool) -> u32 {
        self.requests += 1;
        self.said.push(format!("{time} {kind:?} {stream} {} {end}", text(fields)));
        stream
    }

    fn response(&mut self, time: u64, stream: &Stream<u32>, kind: HeadKind, by: Side, fields: &Fields<'_>) {
        self.said.push(format!("{time} {by:?} {kind:?} {stream:?} {}", text(fields)));
    }

    fn reset(&mut self, time: u64, reset: Reset, stream: Option<&Stream<u32>>) {
        self.said.push(format!("{time} {reset:?} {stream:?}"));
    }

    fn goaway(&mut self, time: u64, goaway: GoAway, open: usize) {
        self.said.push(format!("{time} {goaway:?} {open}"));
    }

    fn end(&mut self, time: u64, stream: &Stream<u32>, end: End) {
        self.ends += usize::from(stream.tag.is_some());
        self.said.push(format!("{time} {stream:?} {end:?}"));
    }

    fn anomaly(&mut self, time: u64, by: Side, anomaly: Anomaly) {
        self.said.push(format!("{time} {by:?} {anomaly:?}"));
    }
}
