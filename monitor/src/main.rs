//! The program `h2watch`.

/// What one thread allocates another one frees, request by request: the system's allocator makes them wait for each other.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    h2watch::cli::run()
}
