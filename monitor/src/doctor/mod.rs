//! `h2watch doctor`: whether a live run would work and see, one line a check, each with its remedy.

mod clock;
mod instance;
mod kernel;
mod keys;
mod look;
#[cfg(feature = "ebpf")]
mod processes;
mod report;
mod system;

use std::time::Duration;

pub use report::{Check, Report, Status};

use crate::source::live::{KeyProbe, LiveSource, PacketSource};
use crate::watch::Options;

/// What is looked at.
pub struct Patient<'p> {
    /// What a run would do.
    pub options: &'p Options,
    /// What was asked for, before what was left open was chosen.
    pub asked: &'p Options,
    /// How long packets are looked at; zero: not at all.
    pub look: Duration,
    /// A run to ask, as `http://127.0.0.1:9872`.
    pub url: Option<&'p str>,
    /// What `auto` came to.
    pub chosen: Vec<String>,
    /// The capture, or why it cannot be opened.
    pub source: Result<Box<dyn LiveSource>, String>,
    /// The key probes, where they are wanted, or why they cannot be set.
    pub probe: Result<Option<Box<dyn KeyProbe>>, String>,
}

/// Checks everything.
#[must_use]
pub fn examine(patient: Patient<'_>) -> Report {
    let (options, asked, url) = (patient.options, patient.asked, patient.url);
    let mut report = Report::default();
    system::privileges(options, &mut report);
    kernel::capabilities(options, asked, &mut report);
    kernel::kernel(&mut report);
    kernel::probes(options, asked, &mut report);
    patient.chosen.iter().for_each(|line| report.ok("chosen", line));
    if let Err(error) = &patient.source {
        report.fail("source", error, "see the lines of capabilities, kernel, probes and interfaces");
    }
    if let Err(error) = &patient.probe {
        report.fail("key probe", error, "see the lines of capabilities, kernel and probes, or name a key log");
    }
    system::libpcap(options, &mut report);
    let usable = system::interfaces(options, &mut report);
    if options.capture.source != PacketSource::Off {
        system::filter(options, &mut report);
    }
    clock::clock(&mut report);
    keys::logs(options, &mut report);
    #[cfg(feature = "ebpf")]
    processes::processes(options, asked, &mut report);
    let taken = system::ports(options, &mut report);
    system::web_config(options, &mut report);
    system::events(options, &mut report);
    system::user(options, &mut report);
    if patient.look.is_zero() {
        report.unknown("traffic", "not looked at", "leave --seconds out, or give more than 0");
    } else if usable || options.capture.source == PacketSource::Off {
        look::look(patient, &mut report);
    } else {
        report.unknown("traffic", "not looked at: there is no interface to look at", "name one that is there");
    }
    match (url, taken) {
        (Some(url), _) => {
            instance::ask(url, &mut report);
        }
        (None, Some((address, listen))) => {
            if instance::ask(&format!("http://{address}"), &mut report) {
                report.now_ok(listen, format!("{address}: taken, by the run that is asked below"));
            }
        }
        (None, None) => {}
    }
    report
}
