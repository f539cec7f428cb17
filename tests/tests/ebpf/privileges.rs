//! With what is left of the privileges: files that nothing ran before are probed.

use std::process::Command;

use h2watch_tests::program;
use serde_json::Value;

use super::keys::{CURL, Server, free_port, have, serve, shell};
use super::plain::has_links_of_many;
use super::plaintext::{Watch, until};
use super::servers::{SECURE, apache, fresh};
use super::watch::{doctor, of, with_capabilities};

/// What docs/ebpf.md names for the tap and the probes.
const DOCUMENTED: &str = ",+bpf,+perfmon,+net_admin,+sys_ptrace,+dac_read_search";

/// What is read, and whether packets are.
const WAYS: [(&[&str], bool); 2] =
    [(&["--source", "tap", "--keys", "probe"], true), (&["--source", "plaintext"], false)];

/// Starts a run; where `later`, only then the server that is seen.
fn starts(command: Command, way: (&[&str], bool), later: bool) {
    let folder = tempfile::tempdir().unwrap();
    let (place, port) = (folder.path(), free_port());
    let start = || serve(&fresh(&apache(SECURE)), place, port);
    let before: Option<Server> = (!later).then(start);
    let port_text = port.to_string();
    let (reads, packets) = way;
    let mut settings = [reads, &["--config", "/dev/null"]].concat();
    if packets {
        settings.extend(["--interface", "lo", "--port", &port_text]);
    }
    let mut watch = Watch::start_by(command, place, &settings);
    let _server = before.unwrap_or_else(start);
    // A connection of before the probes stays dark; and they are set within a second.
    let reset = until(|| {
        let _ = shell(&format!("{CURL} -o /dev/null https://localhost:$PORT/secure"), place, port).output().unwrap();
        watch.of("reset").into_iter().find(|reset: &Value| reset["process"]["command"] == "apache2")
    });
    let Some(reset) = reset else { panic!("{reads:?}: no reset\n{}", watch.printed()) };
    assert_eq!(reset["error_name"], "HTTP_1_1_REQUIRED", "{reset:#}");
    let printed = watch.printed();
    assert!(!printed.contains("cannot probe") && !printed.contains("were lost"), "{printed}");
    assert_eq!(printed.contains("CAP_SYS_ADMIN is kept"), !has_links_of_many(), "{printed}");
    watch.stop();
}

#[test]
fn what_starts_after_privileges_went_is_probed() {
    if !have("what_starts_after_privileges_went_is_probed", &["apache2", "curl", "openssl"]) {
        return;
    }
    for way in WAYS {
        starts(program::command(), way, true);
    }
}

#[test]
fn the_documented_capabilities_are_enough() {
    const TEST: &str = "the_documented_capabilities_are_enough";
    if !have(TEST, &["apache2", "curl", "openssl", "setpriv"]) {
        return;
    }
    if !has_links_of_many() {
        return println!("skipped: {TEST}: this kernel has no links of many probes");
    }
    for way in WAYS {
        for later in [false, true] {
            starts(with_capabilities(DOCUMENTED), way, later);
        }
    }
}

#[test]
fn without_the_right_to_probe_that_is_said_at_once() {
    if !have("without_the_right_to_probe_that_is_said_at_once", &["setpriv"]) {
        return;
    }
    let command = with_capabilities(",+bpf,+net_admin,+sys_ptrace,+dac_read_search");
    let checks = doctor(command, &["--source", "plaintext", "--seconds", "0"]);
    for name in ["probes", "source"] {
        let (status, found) = of(&checks, name).unwrap();
        assert!(status == "fail" && found.contains("CAP_PERFMON is missing"), "{name}: {checks:#?}");
    }
}
