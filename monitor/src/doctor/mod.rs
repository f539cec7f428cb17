//! `h2watch doctor`: whether a live run would work and see, one line a check, each with its remedy.

mod instance;
mod keys;
mod look;
mod report;
mod system;

use std::time::Duration;

pub use report::{Check, Report, Status};

use crate::source::live::LiveSource;
use crate::watch::{CaptureOptions, Options};

/// Opens a capture, or says in one line why it cannot.
pub type Open = dyn Fn(&CaptureOptions) -> Result<Box<dyn LiveSource>, String>;

/// What is looked at.
pub struct Patient<'p> {
    /// What a run would do.
    pub options: &'p Options,
    /// How long packets are looked at; zero: not at all.
    pub look: Duration,
    /// A run to ask, as `http://127.0.0.1:9872`.
    pub url: Option<&'p str>,
    /// Opens the capture.
    pub open: &'p Open,
}

/// Checks everything.
#[must_use]
pub fn examine(patient: &Patient<'_>) -> Report {
    let options = patient.options;
    let mut report = Report::default();
    system::privileges(options, &mut report);
    system::libpcap(options, &mut report);
    let usable = system::interfaces(options, &mut report);
    system::filter(options, &mut report);
    system::clock(&mut report);
    keys::logs(options, &mut report);
    let taken = system::ports(options, &mut report);
    system::web_config(options, &mut report);
    system::events(options, &mut report);
    system::user(options, &mut report);
    if patient.look.is_zero() {
        report.unknown("traffic", "not looked at", "leave --seconds out, or give more than 0");
    } else if usable {
        look::look(patient, &mut report);
    } else {
        report.unknown("traffic", "not looked at: there is no interface to look at", "name one that is there");
    }
    match (patient.url, taken) {
        (Some(url), _) => instance::ask(url, &mut report),
        (None, Some(address)) => instance::ask(&format!("http://{address}"), &mut report),
        (None, None) => {}
    }
    report
}
