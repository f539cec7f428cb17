//! The program itself, live, with neither libpcap nor a key log.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use h2watch_tests::lab::observer::events;
use h2watch_tests::program;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::keys::{CURL, Server, free_port, have, kestrel, serve, shell};

/// Asks until there is an answer, for twenty seconds.
pub(crate) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    (0..400).find_map(|_| {
        thread::sleep(Duration::from_millis(50));
        ask()
    })
}

#[test]
fn a_reset_of_kestrel_is_seen_and_its_retry() {
    if !have("a_reset_of_kestrel_is_seen_and_its_retry", &["curl", "openssl"]) {
        return;
    }
    let Some(origin) = kestrel() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let server =
        format!("exec {} --address 127.0.0.1 --base-port $(($PORT-3)) --cert cert.pem --key key.pem", origin.display());
    let server = serve(&server, place, port);
    let (found, said) = (place.join("events.jsonl"), place.join("watch.log"));
    let mut command = program::command();
    command.args(["watch", "--source", "tap", "--keys", "probe", "-i", "lo", "--listen", "127.0.0.1:0"]);
    command.args(["--format", "none", "--port", &port.to_string(), "--pid", &server.id().to_string()]);
    command.arg("--events").arg(&found).stdin(Stdio::null()).stdout(Stdio::null());
    let mut watch = Server::start(command.stderr(fs::File::create(&said).unwrap()));
    let printed = || fs::read_to_string(&said).unwrap_or_default();
    let ready = until(|| printed().contains("metrics and status page").then_some(()));
    assert!(ready.is_some(), "{}", printed());
    // curl asks again with HTTP/1.1 by itself.
    let asked =
        shell(&format!("{CURL} -w '%{{http_code}}' -o /dev/null https://localhost:$PORT/h1only/x"), place, port);
    let answer = { asked }.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "200");
    let of = |event: &str| events(&found).into_iter().find(|one: &Value| one["event"] == event);
    let Some(case) = until(|| of("case")) else { panic!("no case\n{}\n{:#?}", printed(), events(&found)) };
    assert_eq!((case["outcome"].as_str(), case["kind"].as_str()), (Some("retried"), Some("downgrade")), "{case:#}");
    let reset = of("reset").unwrap();
    assert!(reset.to_string().contains("HTTP_1_1_REQUIRED") && reset.to_string().contains("/h1only/x"), "{reset:#}");
    for event in [&case, &reset] {
        assert_eq!(event["process"]["pid"], server.id(), "whose key it was: {event:#}");
        assert_eq!(event["process"]["command"], "kestrel-origin", "{event:#}");
    }
    let id = Pid::from_raw(i32::try_from(watch.id()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    assert_eq!(watch.wait(), Some(0), "{}", printed());
    let summary = of("summary").unwrap();
    assert_eq!(summary["verdict"], "found", "{summary:#}");
}
