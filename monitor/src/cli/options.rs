//! What the flags mean, once they are known to make sense together.

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{FormatArg, ReplayArgs};
use crate::sink::{self, Format, Target};

/// What `h2watch replay` is to do.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Captures, at least one; `-` is standard input, at most once.
    pub captures: Vec<PathBuf>,
    /// Key log files.
    pub keylogs: Vec<PathBuf>,
    /// How long after a reset a retry is waited for (capture time).
    pub window: Duration,
    /// Threads to use.
    pub threads: NonZeroUsize,
    /// Show a progress bar on standard error.
    pub progress: bool,
    /// What to write where.
    pub outputs: sink::Options,
}

/// The path that stands for standard input or output.
pub const STANDARD: &str = "-";

/// The longest `--window`.
const WINDOW_MAX: Duration = Duration::from_secs(3600);

impl ReplayOptions {
    /// The meaning of raw flags, or what is wrong with them and the fix, in one line.
    pub(super) fn from_args(args: ReplayArgs) -> Result<Self, String> {
        let dash = Path::new(STANDARD);
        if args.captures.iter().filter(|path| path.as_path() == dash).count() > 1 {
            return Err("standard input (`-`) can be read only once: name it once among the captures".into());
        }
        if args.keylog.iter().any(|path| path == dash) {
            return Err("--keylog does not read standard input: give the path of a file".into());
        }
        if args.metrics.as_deref() == Some(dash) {
            return Err("--metrics writes a file, not standard output: give the path of a file".into());
        }
        let events = args.events.map(|path| if path == dash { Target::Stdout } else { Target::File(path) });
        if events == Some(Target::Stdout) && args.format != FormatArg::None {
            return Err(
                "--events - and the summary cannot share standard output: add `--format none`, or write the events \
                        to a file"
                    .into(),
            );
        }
        let written: Vec<&Path> = events.iter().filter_map(Target::path).chain(args.metrics.as_deref()).collect();
        for output in &written {
            if let Some(input) = args.captures.iter().chain(&args.keylog).find(|input| same_file(input, output)) {
                return Err(format!("{} is an input and would be overwritten: write to another file", input.display()));
            }
        }
        if let [first, second] = written[..]
            && same_file(first, second)
        {
            return Err(format!("--events and --metrics both write {}: give them a file each", first.display()));
        }
        let stdout_is_terminal = std::io::stdout().is_terminal();
        let events_on_terminal = events == Some(Target::Stdout) && stdout_is_terminal;
        Ok(Self {
            window: span("--window", &args.window, WINDOW_MAX, "one hour")?,
            threads: threads(args.threads),
            progress: !args.no_progress && !events_on_terminal && std::io::stderr().is_terminal(),
            captures: args.captures,
            keylogs: args.keylog,
            outputs: sink::Options {
                format: match args.format {
                    FormatArg::Text => Format::Text,
                    FormatArg::Json => Format::Json,
                    FormatArg::None => Format::None,
                },
                events,
                metrics: args.metrics,
                verbose: args.verbose,
                color: match args.color {
                    clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
                    clap::ColorChoice::Always => anstream::ColorChoice::Always,
                    clap::ColorChoice::Never => anstream::ColorChoice::Never,
                },
            },
        })
    }
}

/// The same regular file, by whatever path. Devices and pipes are never "overwritten".
fn same_file(one: &Path, other: &Path) -> bool {
    if one.metadata().is_ok_and(|found| !found.is_file()) {
        return false;
    }
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// A span of time, longer than nothing.
pub(super) fn span(flag: &str, text: &str, longest: Duration, longest_in_words: &str) -> Result<Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|span| Duration::try_from(span).ok())
        .filter(|span| !span.is_zero() && *span <= longest)
        .ok_or_else(|| {
            format!("{flag} {text:?} is not a span of up to {longest_in_words}: write for example 500ms, 2s or 1m")
        })
}

fn threads(wanted: Option<u16>) -> NonZeroUsize {
    wanted
        .and_then(|n| NonZeroUsize::new(usize::from(n)))
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}
