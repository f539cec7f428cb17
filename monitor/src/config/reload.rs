//! SIGHUP: the configuration is read again, and what may change while running does.

use std::path::PathBuf;

use super::load::{Loaded, Sources, load};
use super::problem::Origin;
use super::settings::{OnReload, SETTINGS, Setting};
use super::values::Values;
use crate::detect;
use crate::sink::stream::EventsTarget;
use crate::source::live::PacketFilter;
use crate::watch::Options;

/// Reads the configuration again, from the sources that it came from at first.
#[derive(Debug)]
pub struct Reloader {
    sources: Sources,
    /// What runs.
    current: Loaded,
    /// What ran before the last reload.
    before: Values,
}

/// What a reload changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The key logs to follow from now on, if they are others.
    pub keylogs: Option<Vec<PathBuf>>,
    /// Where events go from now on, if that is elsewhere.
    pub events: Option<Vec<EventsTarget>>,
    /// What `detect` is set to from now on, if that is something else.
    pub detect: Option<detect::Settings>,
    /// What is captured from now on, if that is something else.
    pub filter: Option<PacketFilter>,
    /// Settings that have changed in the file and hold only after a restart.
    pub need_restart: Vec<&'static str>,
}

impl Changes {
    /// The settings that say where events go.
    pub const EVENTS: &[&str] = &["events", "events-rotate", "events-keep"];

    /// The settings that say what is captured.
    pub const FILTER: &[&str] = &["filter", "port"];

    /// What was not applied, in one line.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        let settings = self.need_restart.join(", ");
        (!settings.is_empty()).then(|| format!("changed in the configuration, and needs a restart to hold: {settings}"))
    }
}

impl Reloader {
    /// A reloader for a run with what was loaded from these sources.
    #[must_use]
    pub fn new(sources: Sources, current: Loaded) -> Self {
        let before = current.values.clone();
        Self { sources, current, before }
    }

    /// Reads everything again. What needs a restart stays as it is, and is named again by each later reload.
    ///
    /// # Errors
    /// Why the configuration is not used, in one line; everything stays as it is.
    pub fn reload(&mut self) -> Result<Changes, String> {
        let read = load(&self.sources).and_then(|loaded| loaded.options().map(|options| (loaded, options)));
        let (loaded, options): (Loaded, Options) = read.map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            format!("the configuration is not used: {}", lines.join("; "))
        })?;
        let before = self.current.values.options();
        let changes = Changes {
            keylogs: (options.keylogs != before.keylogs).then_some(options.keylogs.clone()),
            events: (options.events != before.events).then_some(options.events.clone()),
            detect: (options.detect() != before.detect()).then(|| options.detect()),
            filter: (options.capture.filter() != before.capture.filter()).then(|| options.capture.filter()),
            need_restart: self.waiting(&loaded.values),
        };
        // What runs on is what ran before, but for what is applied.
        let mut now = Loaded { values: self.current.values.clone(), ..loaded.clone() };
        for setting in SETTINGS.iter().filter(|setting| setting.on_reload == OnReload::Applied) {
            (setting.copy)(&mut now.values, &loaded.values);
        }
        self.before = std::mem::replace(&mut self.current, now).values;
        Ok(changes)
    }

    /// What has changed and waits for a restart.
    fn waiting(&self, new: &Values) -> Vec<&'static str> {
        let waits = |setting: &&Setting| {
            setting.on_reload == OnReload::NeedsRestart && (setting.show)(new) != (setting.show)(&self.current.values)
        };
        SETTINGS.iter().filter(waits).map(|setting| setting.name).collect()
    }

    /// These settings of the last reload could not be applied: the run goes on with what they were, and the next reload tries again.
    /// Gives where the first of them was set.
    pub fn refused(&mut self, names: &[&str]) -> Option<String> {
        for setting in SETTINGS.iter().filter(|setting| names.contains(&setting.name)) {
            (setting.copy)(&mut self.current.values, &self.before);
        }
        let set = names.iter().map(|name| self.current.origin(name)).find(|origin| *origin != Origin::Default);
        set.map(|origin| origin.to_string())
    }
}
