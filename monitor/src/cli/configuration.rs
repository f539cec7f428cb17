//! Commands about the configuration, and the way from it to a run.

use std::io::{self, Write as _};
use std::path::Path;

use super::{Exit, complain, watch};
use crate::config::{self, Loaded, Problem, Reloader, Sources};
use crate::watch::Options;

/// `h2watch watch`.
pub(super) fn watch(sources: Sources) -> Exit {
    match load(&sources) {
        Ok((loaded, _)) if let Some(problem) = loaded.invalid_filter() => {
            wrong(&[problem]);
            Exit::Usage
        }
        Ok((loaded, mut options)) => watch::run(&mut options, &mut Reloader::new(sources, loaded)),
        Err(exit) => exit,
    }
}

/// What the sources mean for a run; everything that is wrong with them is said.
pub(super) fn load(sources: &Sources) -> Result<(Loaded, Options), Exit> {
    let read = config::load(sources).and_then(|loaded| loaded.options().map(|options| (loaded, options)));
    let (loaded, options) = read.map_err(|problems| {
        wrong(&problems);
        Exit::Usage
    })?;
    loaded.notes.iter().for_each(|note| complain(note));
    Ok((loaded, options))
}

/// Says everything that is wrong.
pub(super) fn wrong(problems: &[Problem]) {
    problems.iter().for_each(|problem| complain(&problem.to_string()));
}

/// `h2watch config check`.
pub(super) fn check(file: &Path) -> Exit {
    if let Err(error) = std::fs::read(file) {
        complain(&format!("cannot read the configuration {}: {error}", file.display()));
        return Exit::Unreadable;
    }
    match config::inspect(&Sources::of_file(file)) {
        Ok(loaded) => {
            let more = if loaded.lacks_interface() { "; no interface is set: give it by --interface" } else { "" };
            answer(&format!("{}: right{more}\n", crate::sink::printable(&file.display().to_string())))
        }
        Err(problems) => {
            wrong(&problems);
            Exit::Usage
        }
    }
}

/// `h2watch config print`.
pub(super) fn print(sources: &Sources) -> Exit {
    match config::load(sources) {
        Ok(loaded) => {
            let problems = loaded.sensible().err().unwrap_or_default();
            wrong(&problems);
            let written = answer(&config::print(&loaded));
            if problems.is_empty() { written } else { Exit::Usage }
        }
        Err(problems) => {
            wrong(&problems);
            Exit::Usage
        }
    }
}

/// Writes to standard output. A reader that went away is no failure.
pub(super) fn answer(text: &str) -> Exit {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("cannot write to standard output: {error}"));
            Exit::Unreadable
        }
        _ => Exit::Nothing,
    }
}
