//! SIGHUP: the configuration is read again, and what may change while running does.

use std::path::PathBuf;

use super::load::{Loaded, Sources, load};
use super::settings::{OnReload, SETTINGS};
use crate::sink::stream::EventsTarget;
use crate::watch::Options;

/// Reads the configuration again, from the sources that it came from at first.
#[derive(Debug)]
pub struct Reloader {
    sources: Sources,
    /// What runs.
    current: Loaded,
}

/// What a reload changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The key logs to follow from now on, if they are others.
    pub keylogs: Option<Vec<PathBuf>>,
    /// Where events go from now on, if that is elsewhere.
    pub events: Option<Vec<EventsTarget>>,
    /// Settings that have changed in the file and hold only after a restart.
    pub need_restart: Vec<&'static str>,
}

impl Changes {
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
    pub const fn new(sources: Sources, current: Loaded) -> Self {
        Self { sources, current }
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
        let mut changes = Changes::default();
        let mut now = loaded.clone();
        for setting in SETTINGS.iter().filter(|setting| setting.on_reload == OnReload::NeedsRestart) {
            if (setting.show)(&loaded.values) != (setting.show)(&self.current.values) {
                changes.need_restart.push(setting.name);
            }
        }
        if options.keylogs != before.keylogs {
            changes.keylogs = Some(options.keylogs);
        }
        if options.events != before.events {
            changes.events = Some(options.events);
        }
        // What runs on is what ran before, but for what was applied.
        now.values = self.current.values.clone();
        now.values.keylog = loaded.values.keylog;
        now.values.events = loaded.values.events;
        now.values.events_rotate = loaded.values.events_rotate;
        now.values.events_keep = loaded.values.events_keep;
        self.current = now;
        Ok(changes)
    }
}
