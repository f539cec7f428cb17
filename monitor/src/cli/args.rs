//! Raw flags, as clap reads them. Their meaning is in [`options`](super::options).

use std::path::PathBuf;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};

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
    Watch(WatchArgs),
}

#[derive(Args, Debug)]
pub(super) struct WatchArgs {
    /// Interface to capture on; may be given more than once; `any` is all of them
    #[arg(long, short, required = true, value_name = "NAME")]
    pub(super) interface: Vec<String>,

    /// What to capture, in libpcap's language
    #[arg(long, value_name = "FILTER")]
    pub(super) filter: Option<String>,

    /// TLS keys in the NSS key log format, followed as they grow: a file, a directory or a named pipe
    #[arg(long, value_name = "FILE")]
    pub(super) keylog: Vec<PathBuf>,

    /// Where metrics and the status page are served
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9872")]
    pub(super) listen: Vec<std::net::SocketAddr>,

    /// Write every finding as a line of JSON (schema h2watch/1); `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) events: Option<PathBuf>,
}

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
