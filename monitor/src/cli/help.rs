//! Commands that help: doctor, explain, completions, man pages.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::args::{Cli, DoctorArgs, ExplainArgs, ReportFormat};
use super::configuration::{answer, wrong};
use super::{Exit, auto, complain, watch};
use crate::config;
use crate::doctor::{self, Patient, Status};

/// `h2watch doctor`.
pub(super) fn doctor(args: DoctorArgs) -> Exit {
    let read = config::load(&args.settings.sources()).and_then(|loaded| loaded.sensible().map(|()| loaded));
    let loaded = match read {
        Ok(loaded) => loaded,
        Err(problems) => {
            wrong(&problems);
            return Exit::Usage;
        }
    };
    loaded.notes.iter().for_each(|note| complain(note));
    let asked = loaded.values.options();
    let mut options = asked.clone();
    let mut chosen = Vec::new();
    let mut tell = |line: &str| chosen.push(line.to_owned());
    let source = watch::sources(&mut options, &mut tell);
    let probe = auto::keys(&mut options, &mut tell);
    let report = doctor::examine(Patient {
        options: &options,
        asked: &asked,
        look: Duration::from_secs(args.seconds.into()),
        url: args.url.as_deref(),
        chosen,
        source,
        probe,
    });
    let written = answer(&match args.format {
        ReportFormat::Text => report.text(),
        ReportFormat::Json => report.json(),
    });
    match report.result() {
        _ if written != Exit::Nothing => written,
        Status::Ok => Exit::Nothing,
        Status::Fail => Exit::Found,
        Status::Warn | Status::Unknown => Exit::Inconclusive,
    }
}

/// `h2watch explain`.
pub(super) fn explain(args: &ExplainArgs) -> Exit {
    let explained = match (&args.events, args.what.as_slice()) {
        (Some(_), [word]) if !crate::explain::is_event(&word.to_ascii_lowercase()) => {
            Err((format!("{word} is no event's id (r1, c1, o1, s1): leave --events out"), Exit::Usage))
        }
        (Some(file), [id]) => crate::explain::event(id, file).map_err(|error| (error, Exit::Unreadable)),
        (Some(_), _) => Err(("--events takes one id: h2watch explain c1 --events FILE".to_owned(), Exit::Usage)),
        (None, words) => crate::explain::explain(words).map_err(|error| (error, Exit::Usage)),
    };
    match explained {
        Ok(text) => answer(&text),
        Err((error, exit)) => {
            complain(&error);
            exit
        }
    }
}

/// `h2watch completions`.
pub(super) fn completions(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "h2watch", &mut script);
    answer(&String::from_utf8_lossy(&script))
}

/// `h2watch man`.
pub(super) fn man(folder: Option<&Path>) -> Exit {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = folder else {
        return page(command).map_or_else(|error| failed(&error), |page| answer(&String::from_utf8_lossy(&page)));
    };
    match pages(folder, command, "h2watch") {
        Ok(()) => Exit::Nothing,
        Err(error) => {
            complain(&format!("cannot write the man pages to {}: {error}", folder.display()));
            Exit::Unreadable
        }
    }
}

fn failed(error: &std::io::Error) -> Exit {
    complain(&format!("cannot write the man page: {error}"));
    Exit::Unreadable
}

fn page(command: clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}

/// A page for a command and for each below it.
fn pages(folder: &Path, command: clap::Command, name: &str) -> std::io::Result<()> {
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        pages(folder, below.clone(), &format!("{name}-{}", below.get_name()))?;
    }
    fs::File::create(folder.join(format!("{name}.1")))?.write_all(&page(command)?)
}
