//! Whether two processors work at once: those of a virtual machine may be two threads of one core, now and then, and two threads of a
//! program then take almost twice as long.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

/// Two threads that take so much longer than one share a core.
const SHARED: f64 = 1.3;

/// Waits until two processors work at once, for some seconds at most; whether they do.
pub fn wait() -> bool {
    const LOOKS: u32 = 40;
    const PAUSE: Duration = Duration::from_millis(250);
    (0..LOOKS).any(|look| {
        if look > 0 {
            thread::sleep(PAUSE);
        }
        slowdown() < SHARED
    })
}

/// How much longer the same work takes on two threads, each of which does all of it, than on one.
fn slowdown() -> f64 {
    let one = timed(work);
    let two = timed(|| {
        thread::scope(|scope| {
            scope.spawn(work);
            work();
        });
    });
    two.as_secs_f64() / one.as_secs_f64()
}

fn timed(what: impl FnOnce()) -> Duration {
    let began = Instant::now();
    what();
    began.elapsed()
}

/// Some milliseconds of arithmetic that keeps all of a core's units busy.
fn work() {
    let mut sums = [1_u64, 2, 3, 4, 5, 6];
    for _ in 0..black_box(4_000_000) {
        for (sum, factor) in sums.iter_mut().zip([3, 5, 7, 9, 11, 13]) {
            *sum = sum.wrapping_mul(factor).wrapping_add(1);
        }
    }
    black_box(sums);
}
