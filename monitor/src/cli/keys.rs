//! `h2watch keys`: a key log of what running processes derive.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::KeysArgs;
use super::options::{STANDARD, span};
use super::{Exit, complain, watch};
use crate::source::live::PacketSource;
use crate::watch::keylog::{KeyLogCounts, KeyLogError, KeyLogParts, write_keys};
use crate::watch::privileges::{self, Needs};
use crate::watch::{CaptureOptions, Control, ProbeTargets, probing};

/// The longest `--duration`.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What `h2watch keys` is to do.
#[derive(Debug)]
pub(super) struct KeysOptions {
    targets: ProbeTargets,
    capture: CaptureOptions,
    out: PathBuf,
    duration: Option<Duration>,
    count: Option<u64>,
}

impl KeysOptions {
    /// The meaning of raw flags, or what is wrong with them and the fix, in one line.
    pub(super) fn from_args(args: KeysArgs) -> Result<Self, String> {
        if args.out == Path::new(STANDARD) && io::stdout().is_terminal() {
            return Err("keys are not shown on a terminal: write them to a file, or pipe them to a program".to_owned());
        }
        let duration = |text: String| span("--duration", &text, LONGEST, "a year");
        Ok(Self {
            // `--all` names nothing, which is every process.
            targets: ProbeTargets { pids: args.pid, units: args.unit, cgroups: args.cgroup },
            capture: CaptureOptions {
                source: PacketSource::Tap,
                interfaces: args.interface,
                ports: args.port,
                ..CaptureOptions::default()
            },
            out: args.out,
            duration: args.duration.map(duration).transpose()?,
            count: args.count,
        })
    }
}

/// Writes keys until it is stopped.
pub(super) fn run(options: &KeysOptions) -> Exit {
    match write(options) {
        Ok(KeyLogCounts { connections, nameless }) => {
            complain(&format!("connections whose keys were written: {connections}"));
            if nameless > 0 {
                let interfaces = options.capture.interfaces.join(", ");
                complain(&format!(
                    "handshakes without packets on {interfaces}, and so without a name in the key log: {nameless}; check --interface and \
                     --port"
                ));
            }
            Exit::Nothing
        }
        Err(message) => {
            complain(&message);
            Exit::Unreadable
        }
    }
}

fn write(options: &KeysOptions) -> Result<KeyLogCounts, String> {
    let control = Control::by_signals().map_err(|error| format!("cannot listen to signals: {error}"))?;
    let mut out = open(&options.out)?;
    let mut source = watch::open_tap(&options.capture)?;
    let mut probe = watch::open_probe(&options.targets)?;
    let mut capabilities = options.capture.capabilities();
    capabilities.extend(probing::capabilities());
    watch::say_kept(&capabilities);
    privileges::drop(Needs { capabilities: &capabilities, ..Needs::default() })?;
    complain("taking keys");
    let written = write_keys(KeyLogParts {
        source: &mut *source,
        probe: &mut *probe,
        // Each line at once: none stays behind in a buffer.
        write: &mut |line| out.write_all(line.as_bytes()),
        control: &control,
        duration: options.duration,
        count: options.count,
    });
    written.map_err(|error| match error {
        KeyLogError::Source(error) => error.to_string(),
        KeyLogError::Write(error) => format!("cannot write the key log {}: {error}", options.out.display()),
    })
}

/// Opens a key log that nobody but its owner may read.
fn open(path: &Path) -> Result<File, String> {
    if path == Path::new(STANDARD) {
        return Ok(File::from(
            rustix::io::dup(io::stdout()).map_err(|error| format!("cannot write to standard output: {error}"))?,
        ));
    }
    let shown = path.display();
    let cannot = |error: io::Error| format!("cannot write the key log {shown}: {error}");
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
        .map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        return Err(format!(
            "others may read {shown}, and with it the traffic: chmod go-rwx {shown}, or name another file"
        ));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_key_log_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.log");
        open(&path).unwrap().write_all(b"one\n").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        open(&path).unwrap().write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n", "appended to");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(open(&path).unwrap_err().contains("chmod go-rwx"));
        symlink(&path, folder.path().join("link")).unwrap();
        assert!(open(&folder.path().join("link")).is_err());
        assert!(open(&folder.path().join("none/keys.log")).unwrap_err().contains("cannot write the key log"));
    }
}
