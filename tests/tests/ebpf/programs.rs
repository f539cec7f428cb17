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
    let plain = ["call", "done", "life", "name", "syscall"].map(|what| format!("h2watch_plain_{what}"));
    let plain = plain.iter().map(String::as_str);
    for name in ["h2watch_in", "h2watch_ip_out", "h2watch_kdf", "h2watch_go"].into_iter().chain(plain) {
        assert!(tried.iter().any(|program| program.name == name), "{name} is not among {tried:?}");
    }
}
