//! Raw flags, as clap reads them. Their meaning is in [`options`](super::options).

use std::path::PathBuf;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

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
    /// Needs root, or capabilities: CAP_NET_RAW for libpcap; CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON for the tap (docs/ebpf.md has those of
    /// the probes). Runs until it is stopped.
    #[command(after_long_help = AFTER_WATCH)]
    Watch(WatchArgs),
    /// Write the TLS keys of running processes as a key log, for Wireshark and other tools
    ///
    /// Takes them by probes in OpenSSL 3 and in Go programs (docs/ebpf.md) from handshakes that happen while it runs. OpenSSL's TLS 1.3
    /// handshakes have to be seen on an interface, too: the packets say to which connection a secret belongs.
    #[command(after_long_help = AFTER_KEYS)]
    Keys(KeysArgs),
    /// Check or show the configuration of `h2watch watch`
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check whether `h2watch watch` would work here, and see: one line a check, with the remedy
    ///
    /// Takes the flags of `h2watch watch`, looks at the traffic for a few seconds, and asks a run that is there. Without the right to
    /// capture it says what it could not check.
    #[command(after_long_help = AFTER_DOCTOR)]
    Doctor(DoctorArgs),
    /// Explain an error code, an event, an outcome, or how servers write a key log
    ///
    /// Each fact has its source and how well it is known; what is not known is said.
    #[command(after_long_help = AFTER_EXPLAIN)]
    Explain(ExplainArgs),
    /// Print shell completions
    #[command(after_long_help = "\
Examples:
  h2watch completions bash > /etc/bash_completion.d/h2watch
  h2watch completions zsh > /usr/local/share/zsh/site-functions/_h2watch
  h2watch completions fish > ~/.config/fish/completions/h2watch.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages
    Man {
        /// Folder for a page of each command; without it, the first page goes to standard output
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    pub(super) settings: SettingArgs<true>,
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("whose").required(true).multiple(true).args(["pid", "unit", "cgroup", "all"]))]
pub(super) struct KeysArgs {
    /// Process whose keys are written, with its children; may be given more than once
    #[arg(long, value_name = "PID")]
    pub(super) pid: Vec<u32>,

    /// systemd unit whose keys are written: nginx, nginx.service; may be given more than once
    #[arg(long, value_name = "UNIT")]
    pub(super) unit: Vec<String>,

    /// Control group (path or name) or container (the first digits of its id, at least eight); may be given more than once
    #[arg(long, value_name = "CGROUP")]
    pub(super) cgroup: Vec<String>,

    /// Every process
    #[arg(long, conflicts_with_all = ["pid", "unit", "cgroup"])]
    pub(super) all: bool,

    /// The key log: a file that only its owner may read, appended to; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    pub(super) out: PathBuf,

    /// Interface on which handshakes are seen; `any` is all of them
    #[arg(long, short, value_name = "NAME", default_value = "any")]
    pub(super) interface: Vec<String>,

    /// TCP port of the handshakes, at either end; none given: all
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Vec<u16>,

    /// End after this time: 500ms, 30s, 10m
    #[arg(long, value_name = "SPAN")]
    pub(super) duration: Option<String>,

    /// End after the keys of so many connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
}

const AFTER_KEYS: &str = "\
Needs root, or CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH; before Linux 6.6 often CAP_SYS_ADMIN, too.
Whoever can read the key log can read the traffic: keep it as safe as the server's private key, and delete it when it is used no more.

Exit status:
  0  it was stopped, or had reached what --duration or --count say
  2  wrong usage
  3  it could not start, or could not write the key log

Examples:
  h2watch keys --unit nginx --out keys.log
      until it is stopped by Ctrl-C; then: tshark -r origin.pcap -o tls.keylog_file:keys.log
  h2watch keys --pid 4242 --port 443 --count 1 --out -
      the keys of the next connection, on standard output (a pipe or a file)";

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
  h2watch watch --source plaintext --unit shop.service
      what a process encrypts and decrypts, where its keys cannot be had (docs/ebpf.md)
  h2watch watch --config /etc/h2watch/h2watch.toml --events /var/log/h2watch.jsonl --events journal --user h2watch
      as a service";

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    pub(super) settings: SettingArgs<false>,

    /// How long to look at the traffic; 0 does not look
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=3600))]
    pub(super) seconds: u16,

    /// A run to ask, for example http://127.0.0.1:9872 [default: the listen address, if it is taken]
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,

    /// What standard output gets
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// A line a check
    Text,
    /// One JSON document
    Json,
}

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// A code (0xd, 13, HTTP_1_1_REQUIRED), an event's id (r1, c1, o1, s1), `outcome`, or `keylog` and a server
    #[arg(required = true, num_args = 1..=2, value_name = "WHAT")]
    pub(super) what: Vec<String>,

    /// The events file that has the event
    #[arg(long, value_name = "FILE")]
    pub(super) events: Option<PathBuf>,
}

const AFTER_DOCTOR: &str = "\
Exit status:
  0  all is well
  1  something fails: a run would not work, or would not see
  2  wrong usage or configuration
  4  nothing fails, but there are warnings, or something could not be checked

Examples:
  h2watch doctor --interface eth0 --filter 'tcp port 443' --keylog /run/keys.log --seconds 30
  h2watch doctor --config /etc/h2watch/h2watch.toml --format json | jq '.checks[] | select(.status != \"ok\")'";

const AFTER_EXPLAIN: &str = "\
Examples:
  h2watch explain 0xd
      HTTP_1_1_REQUIRED: who sends it, how edges react, what to do
  h2watch explain c3 --events /var/log/h2watch.jsonl
      a case of an events file, in words
  h2watch explain keylog kestrel
      how Kestrel writes a key log, without a rebuild
  h2watch explain outcome
      what retried, given_up, truncated and unknown mean";

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
  3  input could not be read, all or in part, or output could not be written
  4  inconclusive: nothing found, but too little could be seen to say \"nothing\"
  A case (1) goes before input that could be read in part only (3), and that before 4 and 0. Output that could not be written is always 3.

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
    #[arg(long, value_name = "SPAN", default_value = "2s", allow_hyphen_values = true)]
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
