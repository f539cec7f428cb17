//! The kernel takes every program.

use h2watch::source::trial::{self, Tried};

#[test]
fn every_program_loads() {
    if !crate::may_load() {
        return;
    }
    let tried = trial::programs().unwrap();
    let refused: Vec<&Tried> = tried.iter().filter(|program| program.problem.is_some()).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let plain = ["h2watch_plain_call", "h2watch_plain_done", "h2watch_plain_life", "h2watch_plain_syscall"];
    for name in ["h2watch_in", "h2watch_ip_out", "h2watch_kdf", "h2watch_go"].into_iter().chain(plain) {
        assert!(tried.iter().any(|program| program.name == name), "{name} is not among {tried:?}");
    }
}
