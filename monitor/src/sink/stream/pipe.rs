//! Lines into something that cannot be taken back from: standard output, a named pipe, a device.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;

use super::Output;

/// A stream of bytes.
pub(super) struct Pipe {
    to: File,
    /// Bytes of the next line that were written already.
    begun: usize,
}

impl Pipe {
    pub(super) fn stdout() -> io::Result<Self> {
        Ok(Self::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }

    pub(super) const fn new(to: File) -> Self {
        Self { to, begun: 0 }
    }
}

impl Output for Pipe {
    fn write(&mut self, bytes: &[u8], ends: &[usize]) -> (usize, io::Result<()>) {
        let (count, result) = write_all(&self.to, bytes.get(self.begun..).unwrap_or_default());
        let until = self.begun + count;
        let lines = ends.partition_point(|&end| end <= until);
        // The rest of a line that was begun comes first the next time.
        self.begun = until - lines.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0);
        (lines, result)
    }
}

/// Writes as much as can be written, and says how much that was.
pub(super) fn write_all(mut to: &File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match to.write(rest) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
