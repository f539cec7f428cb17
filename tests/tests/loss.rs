//! Packets are taken out of real captures: what is found again, and that nothing is made up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use h2watch::limits::Limits;
use h2watch::model::{Event, Finding, Kind};
use h2watch::replay::{Keys, Listener, Plan, run};
use h2watch::source::OpenedInputs;
use h2watch_tests::loss::{Cut, Found, Recovered, compare};
use h2watch_tests::{captures, skip};

/// Header sections and resets, by connection and stream.
#[derive(Default)]
struct Frames {
    ports: BTreeMap<u64, u16>,
    found: Found,
    first_request: BTreeMap<u16, u64>,
}

impl Frames {
    fn add(&mut self, event: &Event, what: String) {
        let port = self.ports[&event.connection.0];
        *self.found.entry((event.time.0, format!("{port} {what}"))).or_default() += 1;
    }
}

impl Listener for Frames {
    fn finding(&mut self, _: &Finding) {}

    fn event(&mut self, event: &Event) {
        match &event.kind {
            Kind::Opened { ends, .. } => {
                self.ports.insert(event.connection.0, ends.client.port());
            }
            Kind::Request(exchange) => {
                let port = self.ports[&event.connection.0];
                self.first_request.entry(port).or_insert(event.time.0);
                // A field that HPACK lost is no wrong field: what is known has to be right.
                self.add(event, format!("request {}", exchange.id));
                if let Some(path) = exchange.request.path.as_deref() {
                    self.add(event, format!("request {} {path}", exchange.id));
                }
            }
            Kind::Response { exchange, status, informational: false, .. } => {
                self.add(event, format!("response {exchange}"));
                if let Some(status) = status {
                    self.add(event, format!("response {exchange} {status}"));
                }
            }
            Kind::Reset(seen) => {
                self.add(event, format!("reset {} {:?} {}", seen.reset.stream, seen.reset.by, seen.reset.code));
            }
            Kind::GoAway(seen) => {
                self.add(
                    event,
                    format!("goaway {} {:?} {}", seen.goaway.last_stream, seen.goaway.by, seen.goaway.code),
                );
            }
            _ => {}
        }
    }
}

fn frames(capture: &Path, keys: &[PathBuf]) -> Frames {
    let limits = Limits::default();
    let mut secrets = Keys::new(&limits);
    secrets.files(keys).unwrap();
    let inputs = OpenedInputs::open(&[capture.to_owned()]).unwrap();
    let mut frames = Frames::default();
    run(&inputs, secrets, &Plan { threads: 1, settings: Default::default(), limits }, &mut frames);
    frames
}

/// Resets are decoded without HPACK; what else is wanted does not hang on dynamic table entries that were lost.
fn without_hpack(found: Found) -> Found {
    found
        .into_iter()
        .filter(|((_, name), _)| name.matches(' ').count() < 3 || name.contains("reset") || name.contains("goaway"))
        .collect()
}

struct Subject {
    cut: Cut,
    keys: Vec<PathBuf>,
    whole: Frames,
    name: String,
}

fn subjects(shared: &Path) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for folder in ["kestrel", "lab"] {
        for capture in captures::files(&shared.join(folder), &[".pcap"]) {
            let name = capture.file_stem().unwrap().to_string_lossy().into_owned();
            if name.contains("joined-late") || name.contains("preface") {
                continue;
            }
            let keys = captures::keys_of(&capture);
            let whole = frames(&capture, &keys);
            subjects.push(Subject { cut: Cut::read(&capture).unwrap(), keys, whole, name });
        }
    }
    subjects
}

impl Subject {
    /// After the handshake of its connection: without the handshake a connection is dark, which another test is about.
    fn may_be_lost(&self, index: usize) -> bool {
        let begun = self.cut.ports(index).iter().find_map(|port| self.whole.first_request.get(port));
        self.cut.has_payload(index) && begun.is_some_and(|&time| self.cut.time(index) > time)
    }

    fn lose(&self, lost: &dyn Fn(usize) -> bool, scratch: &Path) -> Recovered {
        self.cut.write_without(lost, scratch);
        let part = frames(scratch, &self.keys).found;
        let times: Vec<u64> =
            (0..self.cut.len()).filter(|&index| lost(index)).map(|index| self.cut.time(index)).collect();
        let wrong = compare(&self.whole.found, &part, |_| false).wrong;
        let kept =
            compare(&without_hpack(self.whole.found.clone()), &without_hpack(part), |time| times.contains(&time));
        Recovered { wrong, ..kept }
    }
}

#[test]
fn any_single_lost_packet_costs_only_what_was_in_it() {
    let test = "any_single_lost_packet_costs_only_what_was_in_it";
    let Some(shared) = captures::shared() else { return skip(test, "no ../shared/captures") };
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("cut.pcap");
    let (mut wanted, mut got, mut losses) = (0, 0, 0);
    for subject in subjects(&shared) {
        for index in (0..subject.cut.len()).filter(|&index| subject.may_be_lost(index)) {
            let recovered = subject.lose(&|at| at == index, &scratch);
            assert!(recovered.wrong.is_empty(), "{} without packet {index}: {:?}", subject.name, recovered.wrong);
            losses += 1;
            wanted += recovered.wanted;
            got += recovered.got;
            if recovered.got < recovered.wanted {
                println!("{} without packet {}: {} of {}", subject.name, index + 1, recovered.got, recovered.wanted);
            }
        }
    }
    println!("{losses} single losses: {got} of {wanted} frames in undamaged packets");
    assert!(losses > 1_000, "only {losses} losses were tried");
    assert!(got as f64 >= wanted as f64 * 0.999, "{got} of {wanted}");
}

#[test]
fn heavy_loss_makes_nothing_up() {
    let test = "heavy_loss_makes_nothing_up";
    let Some(shared) = captures::shared() else { return skip(test, "no ../shared/captures") };
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("cut.pcap");
    let subjects = subjects(&shared);
    for per_mille in [10, 50] {
        let (mut wanted, mut got) = (0, 0);
        for (subject, seed) in subjects.iter().flat_map(|subject| (0..10).map(move |seed| (subject, seed))) {
            let lost = subject.cut.pick(per_mille, seed, |index| subject.may_be_lost(index));
            let recovered = subject.lose(&|index| lost[index], &scratch);
            assert!(recovered.wrong.is_empty(), "{} seed {seed}: {:?}", subject.name, recovered.wrong);
            wanted += recovered.wanted;
            got += recovered.got;
        }
        println!("{per_mille} per mille at random: {got} of {wanted} frames in undamaged packets");
        assert!(got as f64 >= wanted as f64 * 0.95, "{got} of {wanted} at {per_mille} per mille");
    }
}
