//! Datagrams to systemd's journal.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};

use super::Output;

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// The journal's socket.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // Not connected: the journal may be started again at any time.
        let this = Self { socket: UnixDatagram::unbound()?, path: path.to_owned() };
        if !path.exists() {
            return Err(io::Error::new(ErrorKind::NotFound, format!("there is no {}", path.display())));
        }
        Ok(this)
    }

    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.socket.send_to(datagram, &self.path) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(nix::libc::EMSGSIZE) => self.send_sealed(datagram),
            Err(error) => Err(error),
        }
    }

    /// What is too long for a datagram goes as a file in memory that cannot be changed any more.
    fn send_sealed(&self, datagram: &[u8]) -> io::Result<()> {
        let memory: OwnedFd = memfd_create("h2watch-event", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let mut file = File::from(memory);
        file.write_all(datagram)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let files = [file.as_raw_fd()];
        let to = UnixAddr::new(&self.path)?;
        let empty = [IoSlice::new(&[])];
        sendmsg(self.socket.as_raw_fd(), &empty, &[ControlMessage::ScmRights(&files)], MsgFlags::empty(), Some(&to))?;
        Ok(())
    }
}

impl Output for Journal {
    fn write(&mut self, bytes: &[u8], ends: &[usize]) -> (usize, io::Result<()>) {
        let mut start = 0;
        for (sent, &end) in ends.iter().enumerate() {
            if let Err(error) = self.send(bytes.get(start..end).unwrap_or_default()) {
                return (sent, Err(error));
            }
            start = end;
        }
        (ends.len(), Ok(()))
    }
}
