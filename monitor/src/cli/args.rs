//! Raw flags, as clap reads them. Their meaning is in [`options`](super::options).

use std::path::PathBuf;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};

use super::settings::SettingArgs;

/// Shows which requests an HTTP/2 origin refused, with which code, and what became of them.
#[derive(Debug, Parser)]
#[command(name = "h2watch", version, arg_required_else_help = true, propagate_version = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read captures, and report every HTTP/2 reset and what became of its request
    #[command(after_long_help = AFTER_HELP)]
    Replay(ReplayArgs),
    /// Run beside the origin: capture live, and serve metrics and a status page
    ///
    /// Needs the right to capture (root, or CAP_NET_RAW). Runs until it is stopped.
    #[command(after_long_help = AFTER_WATCH)]
    Watch(WatchArgs),
    /// Check or show the configuration of `h2watch watch`
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Args, Debug)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    pub(super) settings: SettingArgs<true>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a configuration file: each error with its line and the fix
    ///
    /// Looks at the file alone: flags and environment variables of a run may add to it or go before it.
    #[command(after_long_help = "\
Exit status:
  0  the file is right
  2  the file is wrong; the errors are on standard error
  3  the file cannot be read")]
    Check {
        /// The file [default: /etc/h2watch/h2watch.toml]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show every setting, its value, and where that comes from
    ///
    /// Takes the flags of `h2watch watch`, and gives TOML that can be used as a configuration file.
    Print {
        #[command(flatten)]
        settings: SettingArgs<true>,
    },
}

const AFTER_WATCH: &str = "\
Settings come from flags, environment variables and a configuration file (TOML), in this order of precedence. A list that is set
replaces the whole list below it; in a variable its values are separated by commas. `none` empties a list, or unsets what may be
unset. An empty variable is not set. `h2watch config print` shows what holds and where it comes from.

Signals:
  SIGINT, SIGTERM  stop: what is open is decided, the summary is written; a second one ends the program at once
  SIGHUP           read the configuration and the keys again, open event files anew; what needs a restart is reported

Exit status:
  0  it was stopped; the summary says what was found
  2  wrong usage or configuration
  3  it could not start, had to give up, or could not write what it was told to write

Examples:
  h2watch watch --interface eth0 --filter 'tcp port 443' --keylog /run/keys.log
      metrics and the status page on http://127.0.0.1:9872/
  h2watch watch -i any -k keys.log --events - | jq 'select(.event == \"case\")'
      the cases as they are decided
  h2watch watch --config /etc/h2watch/h2watch.toml --events /var/log/h2watch.jsonl --events journal --user h2watch
      as a service";

const AFTER_HELP: &str = "\
Outcomes:
  retried      asked again over HTTP/1.1, or over HTTP/2 with a request id, and not refused again
  given_up     not asked again within the window; an edge answers its visitor with an error then, often 502
  truncated    as given_up, but the response had begun: the visitor got a cut-off body
  unknown      the capture does not say; the reason stands beside it

Exit status:
  0  nothing found, and enough was seen to say so
  1  a request was left without a complete response (a downgrade or a failure)
  2  wrong usage
  3  input could not be read, or output could not be written
  4  inconclusive: nothing found, but too little could be seen to say \"nothing\"

Examples:
  h2watch replay origin.pcapng
      keys are inside the capture (Decryption Secrets Blocks)
  h2watch replay origin.pcap --keylog keys.log
      keys as SSLKEYLOGFILE writes them
  tcpdump -i eth0 -U -w - 'tcp port 443' | h2watch replay - --keylog keys.log
      from standard input
  h2watch replay monday.pcap tuesday.pcap.zst --format none --events - | jq 'select(.event == \"case\")'
      several captures merged by time, events only";

#[derive(Args, Debug)]
pub(super) struct ReplayArgs {
    /// Captures (pcap or pcapng, plain, gzip or zstd); `-` reads standard input
    ///
    /// Several captures are merged by time.
    #[arg(required = true, value_name = "CAPTURE")]
    pub(super) captures: Vec<PathBuf>,

    /// TLS keys in the NSS key log format, as SSLKEYLOGFILE writes them; may be given more than once
    ///
    /// Keys inside a pcapng capture are used without this.
    #[arg(long, value_name = "FILE")]
    pub(super) keylog: Vec<PathBuf>,

    /// What standard output gets
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    pub(super) format: FormatArg,

    /// Write every finding as a line of JSON (schema h2watch/1); `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) events: Option<PathBuf>,

    /// Write the counts in the Prometheus text format
    #[arg(long, value_name = "FILE")]
    pub(super) metrics: Option<PathBuf>,

    /// How long after a reset a retry is waited for, in capture time: 500ms, 2s, 1m
    #[arg(long, value_name = "SPAN", default_value = "2s")]
    pub(super) window: String,

    /// Threads to use; findings do not depend on it [default: the cores there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// List for each connection what could not be seen, and why
    #[arg(long, short)]
    pub(super) verbose: bool,

    /// Colour of the summary
    #[arg(long, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(super) color: ColorChoice,

    /// No progress bar
    #[arg(long)]
    pub(super) no_progress: bool,
}

/// What standard output gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// A summary for people
    Text,
    /// A summary for programs: one JSON document
    Json,
    /// Nothing: only the exit status, --events and --metrics
    None,
}
