//! Addresses of a socket that another process has.

use std::net::{SocketAddr, TcpStream};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// The process's own address and the other end's. `None`: the descriptor is no connected TCP socket any more, or may not be looked at.
///
/// The process's own descriptor is asked, which is exact whatever its network namespace and however many sockets there are.
pub(super) fn ends(process: u32, descriptor: i32) -> Option<(SocketAddr, SocketAddr)> {
    if descriptor < 0 {
        return None;
    }
    let pid = Pid::from_raw(i32::try_from(process).ok()?)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let socket = TcpStream::from(pidfd_getfd(process, descriptor, PidfdGetfdFlags::empty()).ok()?);
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    Some((plain(socket.local_addr().ok()?), plain(socket.peer_addr().ok()?)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn of_a_socket_and_of_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let own = std::process::id();
        let found = ends(own, socket.as_raw_fd());
        assert_eq!(found, Some((socket.local_addr().unwrap(), listener.local_addr().unwrap())));
        assert_eq!(ends(own, listener.as_raw_fd()), None, "it has no other end");
        assert_eq!(ends(own, std::fs::File::open("/proc/self/stat").unwrap().as_raw_fd()), None);
        assert_eq!(ends(own, -1), None);
        assert_eq!(ends(u32::MAX, 0), None);
    }
}
