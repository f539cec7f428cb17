use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What one run of a program cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Wall time.
    pub wall: Duration,
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// Largest resident set, bytes.
    pub memory: u64,
    /// How it ended.
    pub status: ExitStatus,
}

/// Runs `command` with its output thrown away.
pub fn run(command: &mut Command) -> io::Result<Cost> {
    let began = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both pointers are valid for writes, and `rusage` is valid when zeroed; the child is ours and is waited for once.
    #[allow(unsafe_code)]
    let usage = unsafe {
        if libc::wait4(child.id().cast_signed(), &raw mut status, 0, usage.as_mut_ptr()) < 0 {
            return Err(io::Error::last_os_error());
        }
        usage.assume_init()
    };
    let span = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    Ok(Cost {
        wall: began.elapsed(),
        cpu: span(usage.ru_utime) + span(usage.ru_stime),
        memory: usage.ru_maxrss as u64 * 1_024,
        status: ExitStatus::from_raw(status),
    })
}
