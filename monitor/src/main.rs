//! The program `h2watch`.

fn main() -> std::process::ExitCode {
    h2watch::cli::run()
}
