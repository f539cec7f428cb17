//! The web port: status page, API, metrics, health. `docs/api.md` and `docs/web-config.md` describe it.

mod answer;
mod api;
mod auth;
mod config;
mod headline;
mod page;
mod query;
mod route;
mod serve;
mod slots;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::watch::Board;
use config::Live;
use serve::Shared;

/// Threads that answer.
const THREADS: usize = 2;

/// Threads that check passwords.
const PASSWORD_THREADS: usize = 2;

/// Answers under way are finished for this long when the port is closed.
const FINISH: Duration = Duration::from_secs(2);

/// Sockets that are bound, so that a port that is taken is known before the work, and a privileged one is had before privileges go.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<TcpListener>,
    config: Option<Live>,
}

/// A web port that is served.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    secure: bool,
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    listeners: Vec<JoinHandle<()>>,
    runtime: Runtime,
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
        let config = config.map(Live::open).transpose()?;
        let listeners = addresses.iter().map(bind).collect::<Result<_, _>>()?;
        if config.is_none() {
            for address in addresses.iter().filter(|address| !address.ip().is_loopback()) {
                warn(&format!(
                    "{address} can be reached from other machines, without TLS or password: --web-config FILE sets both"
                ));
            }
        }
        Ok(Self { listeners, config })
    }

    /// Serves what is on the board, on threads of its own.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn serve(self, board: Board) -> Result<Server, String> {
        let fail = |error: std::io::Error| format!("cannot serve the web port: {error}");
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(PASSWORD_THREADS)
            .thread_name("web")
            .enable_all()
            .build()
            .map_err(fail)?;
        let (stop, stopped) = watch::channel(false);
        let secure = self.config.as_ref().is_some_and(|live| live.current().tls.is_some());
        let shared = Arc::new(Shared::new(board, self.config));
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        let inside = runtime.enter();
        for listener in self.listeners {
            listener.set_nonblocking(true).map_err(fail)?;
            addresses.push(listener.local_addr().map_err(fail)?);
            let listener = tokio::net::TcpListener::from_std(listener).map_err(fail)?;
            listeners.push(runtime.spawn(serve::listen(listener, Arc::clone(&shared), stopped.clone())));
        }
        drop(inside);
        Ok(Server { addresses, secure, stop, shared, listeners, runtime })
    }
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// It is to be asked over TLS.
    #[must_use]
    pub const fn secure(&self) -> bool {
        self.secure
    }

    /// Stops serving; answers under way are finished for a moment.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        let finished = async {
            for listener in self.listeners {
                let _ = listener.await;
            }
            self.shared.slots.empty().await;
        };
        let _ = self.runtime.block_on(async { tokio::time::timeout(FINISH, finished).await });
        self.runtime.shutdown_background();
    }
}

/// A line for whoever started the program.
fn warn(line: &str) {
    anstream::eprintln!("h2watch: warning: {line}");
}
