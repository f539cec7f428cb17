//! Programs of the lab: started in a namespace, their output kept, ended for certain.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::net::Host;
use super::wait;

/// A running program. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a program on `host`; what it prints goes to `log`, which is begun anew.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(host: &Host, command: &mut Command, log: &Path) -> Result<Self, String> {
        let file = |error| format!("cannot write {}: {error}", log.display());
        let out = File::create(log).map_err(file)?;
        let err = out.try_clone().map_err(file)?;
        // A process group of its own: an interrupt at the terminal is for the lab, which ends its programs in order.
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        std::os::unix::process::CommandExt::process_group(command, 0);
        let name = command.get_program().to_string_lossy().into_owned();
        let child = host.inside(|| command.spawn())?.map_err(|error| format!("cannot run {name}: {error}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Processor time so far, of all its threads and of the programs that it runs. Zero once it has ended.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let own = self.id().to_string();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let ticks: u64 = children.split_whitespace().chain([own.as_str()]).map(ticks).sum();
        Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1))
    }

    /// Resident memory in bytes. Zero once it has ended.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1_024
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until `ready` gives something.
    ///
    /// # Errors
    /// When the program ends or twenty seconds pass before that, with what it printed.
    pub fn until<T>(&mut self, what: &str, mut ready: impl FnMut(&Self) -> Option<T>) -> Result<T, String> {
        let found = wait(Duration::from_secs(20), || match ready(self) {
            Some(found) => Some(Ok(found)),
            None => self.ended().map(Err),
        });
        match found {
            Some(Ok(found)) => Ok(found),
            Some(Err(status)) => Err(format!("{what}: the program ended with {status}:\n{}", self.printed())),
            None => Err(format!("{what}: not within 20 s:\n{}", self.printed())),
        }
    }

    /// Asks it to end with `signal`, and waits.
    ///
    /// # Errors
    /// When it does not end within `patience`; it is killed then.
    pub fn end(&mut self, signal: Signal, patience: Duration) -> Result<ExitStatus, String> {
        if let Some(status) = self.ended() {
            return Ok(status);
        }
        self.signal(signal);
        wait(patience, || self.ended()).ok_or_else(|| {
            let _ = self.child.kill();
            let _ = self.child.wait();
            format!("process {} did not end within {patience:?}:\n{}", self.id(), self.printed())
        })
    }

    /// Lets it run on after this process has ended.
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

/// User and system time of a process, in the kernel's ticks.
fn ticks(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The program's name, in parentheses, may hold anything; the times are the 12th and 13th field after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

impl Drop for Running {
    fn drop(&mut self) {
        // What it started itself goes with the namespace.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
