//! Developer commands: `cargo xtask help`.

mod bench;
mod cores;
mod ebpf;
mod fuzz;
mod kernels;
mod lab;
#[cfg(test)]
mod layers;
mod live;
mod loss;
mod measure;
mod real;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  setup                   installs what builds and tests use (as root on Debian)
  test                    installs what the tests use, runs all tests, those in other kernels too, counts passed, failed and skipped
  build-ebpf [--check]    builds the kernel programs that are committed, or checks that they are what the source builds
  kernels [PACKAGE|IMAGE ...]
                          runs the tests of the kernel side under qemu, in Debian's 6.1 and 6.12 or in these kernels
  fuzz SECONDS [TARGET]   runs the fuzz targets on their kept corpus, each for so long
  loss                    takes packets out of the lab's captures and prints what is found again, beside tshark
  bench [--quick] [DIR]   makes corpora, runs h2watch and tshark on them in turn, prints time, CPU, memory and the ratio
  lab up|down|run         real origins and edges in network namespaces: starts them, ends them, or visits all and compares
  bench live [--quick] [--minutes N] [--seconds N] [--rounds N] [--sources none,pcap,tap,plaintext,tshark] [--origin NAME]
             [--program H2WATCH]
                          runs h2watch by each source, and tshark, beside an origin under full load, in turns; prints throughput,
                          loss, delay, CPU and memory; --minutes: of the long run for memory, 0 for none
  corpus KIND N DIR       writes one corpus (large, large64k, small) of N requests as KIND.pcap and KIND.keys
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["setup"] => {
            test::set_up();
            Ok(())
        }
        ["test"] => test::run(),
        ["build-ebpf"] => ebpf::run(false),
        ["build-ebpf", "--check"] => ebpf::run(true),
        ["kernels", kernels @ ..] => kernels::run_arguments(kernels),
        ["fuzz", seconds] => fuzz::run(seconds, None),
        ["fuzz", seconds, target] => fuzz::run(seconds, Some(target)),
        ["loss"] => loss::run(),
        ["bench", "live", rest @ ..] => live::run_arguments(rest),
        ["bench", rest @ ..] => bench::run_arguments(rest),
        ["lab", rest @ ..] => lab::run_arguments(rest),
        ["corpus", kind, count, dir] => bench::write_and_count(kind, count, dir.as_ref()),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("no such command: {}\n{HELP}", arguments.join(" "))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
