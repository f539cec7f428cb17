//! Whether something keeps the system's clock.

#![allow(unsafe_code, reason = "the system call has no safe wrapper here")]

use super::Report;

/// From this estimated error on (microseconds) the kernel holds that nothing keeps its clock: it adds up what a clock may drift, and
/// starts with this.
const UNKEPT: i64 = 16_000_000;

pub(super) fn clock(report: &mut Report) {
    match largest_error() {
        Ok(error) => judge(error, report),
        Err(error) => report.unknown("clock", format!("adjtimex: {error}"), "see `chronyc tracking` or `timedatectl`"),
    }
}

/// The kernel's bound of how wrong its clock may be, in microseconds. The flag STA_UNSYNC says less: some set it only to keep the kernel
/// from writing the hardware's clock.
fn largest_error() -> std::io::Result<i64> {
    // SAFETY: the structure is of numbers alone, for which 0 is a value.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes the structure that it is given, and without a mode changes nothing.
    match unsafe { libc::adjtimex(&raw mut state) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(state.maxerror),
    }
}

fn judge(error: i64, report: &mut Report) {
    match error {
        UNKEPT.. => report.warn(
            "clock",
            "not synchronised",
            "run systemd-timesyncd or chrony, here or on the machine that this container runs on; times in events are the system's",
        ),
        _ => report.ok("clock", format!("synchronised, within {} ms", error / 1_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn the_kernel_knows_whether_its_clock_is_kept() {
        assert!(largest_error().is_ok());
        let status = |error| {
            let mut report = Report::default();
            judge(error, &mut report);
            report.result()
        };
        assert_eq!((status(70_000), status(UNKEPT)), (Status::Ok, Status::Warn));
    }
}
