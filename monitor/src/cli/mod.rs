//! Command line: raw flags first, then what they mean, then the run and its exit status.

mod args;
mod auto;
mod configuration;
mod exit;
mod help;
mod keys;
mod options;
#[cfg(feature = "ebpf")]
mod plaintext;
#[cfg(feature = "ebpf")]
mod probe;
mod settings;
#[cfg(test)]
mod tests;
#[cfg(feature = "ebpf")]
mod told;
mod watch;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use clap_complete::Shell;

pub use exit::Exit;
pub use options::{ReplayOptions, STANDARD};

use args::{ConfigCommand, DoctorArgs, ExplainArgs};
use keys::KeysOptions;

use crate::config::{DEFAULT_FILE, Sources};
use crate::detect::Settings;
use crate::limits::Limits;
use crate::model::{Finding, Stats, Verdict};
use crate::replay::{Keys, Listener, Plan};
use crate::sink::{Outputs, Progress};
use crate::source::OpenedInputs;

/// Reads the command line, does what it says, and gives the exit status.
#[must_use]
pub fn run() -> ExitCode {
    match parse(std::env::args_os()) {
        Ok(Job::Replay(options)) => replay(&options).into(),
        Ok(Job::Watch(sources)) => configuration::watch(*sources).into(),
        Ok(Job::Keys(options)) => keys::run(&options).into(),
        Ok(Job::ConfigCheck(file)) => configuration::check(&file).into(),
        Ok(Job::ConfigPrint(sources)) => configuration::print(&sources).into(),
        Ok(Job::Doctor(args)) => help::doctor(*args).into(),
        Ok(Job::Explain(args)) => help::explain(&args).into(),
        Ok(Job::Completions(shell)) => help::completions(shell).into(),
        Ok(Job::Man(folder)) => help::man(folder.as_deref()).into(),
        Err(exit) => exit.into(),
    }
}

/// What a command line asks for.
#[derive(Debug)]
enum Job {
    Replay(ReplayOptions),
    Watch(Box<Sources>),
    Keys(KeysOptions),
    ConfigCheck(PathBuf),
    ConfigPrint(Box<Sources>),
    Doctor(Box<DoctorArgs>),
    Explain(ExplainArgs),
    Completions(Shell),
    Man(Option<PathBuf>),
}

/// The meaning of a command line. What clap answers itself (help, version, errors) is printed.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Job, Exit> {
    let cli = args::Cli::try_parse_from(args).map_err(|answer| {
        let help = answer.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if answer.use_stderr() && !help {
            complain(&usage(&answer.render().to_string()));
        } else if let Err(error) = answer.print()
            // A closed standard output is no reason to fail.
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            complain(&format!("cannot write to standard output: {error}"));
            return Exit::Unreadable;
        }
        if answer.use_stderr() { Exit::Usage } else { Exit::Nothing }
    })?;
    let job = match cli.command {
        args::Command::Replay(args) => ReplayOptions::from_args(args).map(Job::Replay),
        args::Command::Watch(args) => Ok(Job::Watch(Box::new(args.settings.sources()))),
        args::Command::Keys(args) => KeysOptions::from_args(args).map(Job::Keys),
        args::Command::Config(ConfigCommand::Check { file }) => {
            Ok(Job::ConfigCheck(file.unwrap_or_else(|| DEFAULT_FILE.into())))
        }
        args::Command::Config(ConfigCommand::Print { settings }) => Ok(Job::ConfigPrint(Box::new(settings.sources()))),
        args::Command::Doctor(args) => Ok(Job::Doctor(Box::new(args))),
        args::Command::Explain(args) => Ok(Job::Explain(args)),
        args::Command::Completions { shell } => Ok(Job::Completions(shell)),
        args::Command::Man { folder } => Ok(Job::Man(folder)),
    };
    job.map_err(|message| {
        complain(&message);
        Exit::Usage
    })
}

/// What clap says of wrong usage, in one line: what is wrong, its tips, and where help is.
fn usage(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_end = |line: &str| line.starts_with("Usage:") || line.starts_with("For more information");
    let mut text = String::new();
    for line in lines().take_while(|line| !is_end(line)) {
        let line = line.strip_prefix("error: ").unwrap_or(line);
        if !text.is_empty() {
            text += if line.starts_with("tip:") || line.starts_with('[') { "; " } else { " " };
        }
        text += line;
    }
    let command = lines().find_map(|line| line.strip_prefix("Usage:")).unwrap_or("h2watch");
    let command = command.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-']));
    format!("{text} ({} --help)", command.collect::<Vec<_>>().join(" "))
}

/// Runs a replay.
fn replay(options: &ReplayOptions) -> Exit {
    replay_with(options, |options, outputs| {
        let limits = Limits::default();
        let mut keys = Keys::new(&limits);
        let keyless = keys
            .files(&options.keylogs)
            .map_err(|(path, error)| format!("cannot read the key log {}: {error}", path.display()))?;
        keyless.iter().for_each(|line| complain(line));
        let mut inputs = OpenedInputs::open(&options.captures).map_err(|error| error.to_string())?;
        inputs.secrets(&mut |text| keys.block(text));
        let settings = Settings { window: options.window, ..Settings::default() };
        let plan = Plan { threads: options.threads.get(), settings, limits };
        let progress = Progress::new(inputs.progress().total.unwrap_or(0), options.progress);
        let mut listener = Heard { outputs, progress: &progress };
        let (stats, verdict, error) = crate::replay::run(&inputs, keys, &plan, &mut listener);
        progress.finish();
        if let Some(error) = error {
            complain(&error.to_string());
        }
        match stats.input.damage.split_last() {
            // Nothing could be read at all: there is nothing to sum up.
            Some((last, others)) if inputs.unreadable() && stats.packets.packets == 0 => {
                others.iter().for_each(|damage| complain(damage));
                Err(last.clone())
            }
            _ => Ok((stats, verdict)),
        }
    })
}

/// Passes on what a replay finds.
struct Heard<'a> {
    outputs: &'a mut Outputs,
    progress: &'a Progress,
}

impl Listener for Heard<'_> {
    fn finding(&mut self, finding: &Finding) {
        self.outputs.finding(finding);
    }

    fn progress(&mut self, done: u64) {
        self.progress.advance(done);
    }
}

/// Runs a replay by `run`, which gives the findings to the outputs as they come and the counts at the end. An error of `run` is input
/// of which nothing could be read.
fn replay_with<R>(options: &ReplayOptions, run: R) -> Exit
where
    R: FnOnce(&ReplayOptions, &mut Outputs) -> Result<(Stats, Verdict), String>,
{
    let mut outputs = match Outputs::open(&options.outputs) {
        Ok(outputs) => outputs,
        Err(message) => {
            complain(&message);
            return Exit::Unreadable;
        }
    };
    let (stats, verdict) = match run(options, &mut outputs) {
        Ok(done) => done,
        Err(message) => {
            complain(&message);
            return Exit::Unreadable;
        }
    };
    for damage in &stats.input.damage {
        complain(damage);
    }
    if stats.keys.randoms > 0 && stats.keys.matched + stats.keys.found_late == 0 && stats.connections.want_keys() {
        complain(
            "no key belongs to a connection of this capture: give the key log of the same process and the same time",
        );
    }
    match outputs.finish(&stats, verdict) {
        Ok(()) => Exit::of(verdict, !stats.input.damage.is_empty()),
        Err(failures) => {
            failures.iter().for_each(|failure| complain(failure));
            Exit::Unreadable
        }
    }
}

/// One line on standard error. Paths and messages come from outside: nothing in them may steer a terminal.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "h2watch: {}", crate::sink::printable(message));
}
