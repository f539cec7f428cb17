//! Packets are taken out of real captures: what is found again, and that nothing is made up. `cargo xtask loss` prints the table.

use std::path::{Path, PathBuf};

use h2watch_tests::loss::subjects;
use h2watch_tests::{captures, program, skip};
use serde_json::Value;

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

/// What a summary concludes: whether something was found, requests that were asked again, and errors that the server made itself.
fn conclusion(capture: &Path, keys: &[PathBuf]) -> (bool, u64, u64) {
    let mut arguments = vec!["replay".into(), "--format".into(), "json".into(), "--no-progress".into()];
    arguments.extend(keys.iter().flat_map(|key| ["--keylog".into(), key.as_os_str().to_owned()]));
    arguments.push(capture.as_os_str().to_owned());
    let run = program::run(arguments);
    let summary: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{}", run.stderr));
    let sum = |list: &str, outcome: Option<&str>| {
        let counts = summary[list].as_array().unwrap().iter();
        let wanted = counts.filter(|one| outcome.is_none_or(|outcome| one["outcome"] == outcome));
        wanted.map(|one| one["count"].as_u64().unwrap()).sum()
    };
    (summary["verdict"] != "nothing", sum("cases", Some("retried")), sum("origin_errors", None))
}

#[test]
fn a_lost_packet_leads_to_no_false_conclusion() {
    let test = "a_lost_packet_leads_to_no_false_conclusion";
    const TRIED: [&str; 5] = [
        "kestrel-haproxy-502",
        "kestrel-yarp",
        "kestrel-late-reset",
        "kestrel-tls13-curl-retries",
        "kestrel-nghttpx-scheme-mismatch",
    ];
    let Some(shared) = captures::shared() else { return skip(test, "no ../shared/captures") };
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("cut.pcap");
    let mut losses = 0;
    for subject in subjects(&shared).iter().filter(|subject| TRIED.contains(&subject.name.as_str())) {
        let (found, retried, errors) = conclusion(&subject.path, &subject.keys);
        assert!(found && errors == 0, "{}", subject.name);
        // Handshakes too, and packets without payload.
        for index in 0..subject.cut.len() {
            subject.cut.write_without(|at| at == index, &scratch);
            let told = conclusion(&scratch, &subject.keys);
            let right = told.0 && told.1 <= retried && told.2 == 0;
            assert!(right, "{} without packet {}: found, retried, origin errors: {told:?}", subject.name, index + 1);
            losses += 1;
        }
    }
    assert!(losses > 500, "only {losses} losses were tried");
}
