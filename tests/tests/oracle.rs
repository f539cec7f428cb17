//! tshark is the oracle for frames: on every capture the same RST_STREAM and GOAWAY frames and the same requests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use h2watch::limits::Limits;
use h2watch::model::{Event, Finding, Kind};
use h2watch::replay::{Keys, Listener, Plan, run};
use h2watch::source::OpenedInputs;
use h2watch_tests::tshark::{self, Reset};
use h2watch_tests::{captures, program, skip};
use serde_json::Value;

/// The reset events of a run, as tshark would show them.
fn resets(events: &str) -> Vec<Reset> {
    let mut resets: Vec<Reset> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == "reset")
        .map(|event| {
            let (client, server) = (event["client"].as_str().unwrap(), event["server"].as_str().unwrap());
            let (from, to) = if event["sender"] == "client" { (client, server) } else { (server, client) };
            let stream = event.get("stream_id").or_else(|| event.get("last_stream_id")).unwrap();
            Reset {
                from: from.to_owned(),
                to: to.to_owned(),
                frame: event["frame"].as_str().unwrap().to_owned(),
                stream: stream.as_u64().unwrap(),
                code: event["error_code"].as_u64().unwrap(),
            }
        })
        .collect();
    resets.sort();
    resets
}

#[derive(Default)]
struct Requests {
    clients: BTreeMap<u64, String>,
    seen: Vec<(String, String, String)>,
}

impl Listener for Requests {
    fn finding(&mut self, _: &Finding) {}

    fn event(&mut self, event: &Event) {
        match &event.kind {
            Kind::Opened { ends, .. } => {
                self.clients
                    .insert(event.connection.0, ends.client.map_or_else(String::new, |client| client.to_string()));
            }
            Kind::Request(exchange) => {
                let request = &exchange.request;
                if let (Some(method), Some(path)) = (request.method.as_deref(), request.path.as_deref()) {
                    let client = self.clients[&event.connection.0].clone();
                    self.seen.push((client, method.to_owned(), path.to_owned()));
                }
            }
            _ => {}
        }
    }
}

fn requests(capture: &Path, keys: &[PathBuf]) -> Vec<(String, String, String)> {
    let limits = Limits::default();
    let mut secrets = Keys::new(&limits);
    secrets.files(keys).unwrap();
    let mut inputs = OpenedInputs::open(&[capture.to_owned()]).unwrap();
    inputs.secrets(&mut |text| secrets.block(text));
    let mut requests = Requests::default();
    let plan = Plan { threads: 1, settings: Default::default(), limits };
    run(&inputs, secrets, &plan, &mut requests);
    requests.seen.sort();
    requests.seen
}

fn compare(capture: &Path) -> Result<(), String> {
    let keys = captures::keys_of(capture);
    let theirs = tshark::frames(capture, &keys);
    let ours = program::events(capture, &keys);
    let ours = resets(&ours.stdout);
    let name = capture.display();
    // Where tshark gives up, what we find beyond it is not wrong: after a connection was joined late, and after a packet that the
    // capture lacks. The joined-late test and the visitors judge that.
    let joined_late = name.to_string().contains("joined-late");
    let beyond = joined_late || name.to_string().contains("apache-mixed-multiplexed");
    let fine = if beyond { theirs.resets.iter().all(|reset| ours.contains(reset)) } else { ours == theirs.resets };
    if !fine {
        return Err(format!("{name}: resets differ\nours   {ours:?}\ntshark {:?}", theirs.resets));
    }
    let seen = requests(capture, &keys);
    let wanted: Vec<_> = theirs
        .requests
        .iter()
        .map(|request| {
            let path = request.path.split(['?', '#']).next().unwrap_or_default();
            (request.from.clone(), request.method.clone(), path.to_owned())
        })
        .collect();
    let mut left = seen.clone();
    let missing: Vec<_> = wanted
        .iter()
        .filter(|one| match left.iter().position(|other| other == *one) {
            Some(at) => {
                left.remove(at);
                false
            }
            None => true,
        })
        .collect();
    if missing.is_empty() || joined_late { Ok(()) } else { Err(format!("{name}: requests not seen: {missing:?}")) }
}

fn compare_all(test: &str, folder: &Path) {
    if !tshark::is_there() {
        return skip(test, "tshark is not installed");
    }
    let files = captures::files(folder, &[".pcap", ".pcapng"]);
    assert!(!files.is_empty());
    let wrong: Vec<_> = files.iter().filter_map(|capture| compare(capture).err()).collect();
    assert!(wrong.is_empty(), "{} of {} captures:\n{}", wrong.len(), files.len(), wrong.join("\n"));
}

#[test]
fn shipped_captures_have_the_frames_that_tshark_finds() {
    compare_all("shipped_captures_have_the_frames_that_tshark_finds", &captures::shipped());
}

#[test]
fn shared_captures_have_the_frames_that_tshark_finds() {
    let test = "shared_captures_have_the_frames_that_tshark_finds";
    match captures::shared() {
        Some(folder) => compare_all(test, &folder),
        None => skip(test, "no ../shared/captures"),
    }
}
