//! Stopping and reloading, by signals or from a test.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Stops a live run, or has it read its keys and configuration again.
#[derive(Clone, Debug, Default)]
pub struct Control {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    reloads: Arc<AtomicU64>,
}

impl Control {
    /// Listens to SIGINT and SIGTERM (stop; the second ends the program at once) and SIGHUP (reload).
    ///
    /// # Errors
    /// The system refuses to install a signal handler.
    pub fn by_signals() -> io::Result<Self> {
        let this = Self::default();
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, Arc::clone(&this.stop))?;
            flag::register(signal, Arc::clone(&this.stop))?;
        }
        flag::register(SIGHUP, Arc::clone(&this.reload))?;
        Ok(this)
    }

    /// Stops the run, as SIGTERM does.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Asks for a reload, as SIGHUP does.
    pub fn reload(&self) {
        self.reload.store(true, Ordering::Release);
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(super) fn take_reload(&self) -> bool {
        let wanted = self.reload.swap(false, Ordering::AcqRel);
        self.reloads.fetch_add(u64::from(wanted), Ordering::Relaxed);
        wanted
    }

    pub(super) fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }
}
