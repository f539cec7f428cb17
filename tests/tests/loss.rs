//! Packets are taken out of real captures: what is found again, and that nothing is made up. `cargo xtask loss` prints the table.

use h2watch_tests::loss::subjects;
use h2watch_tests::{captures, skip};

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
