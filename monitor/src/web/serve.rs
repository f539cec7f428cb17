//! Connections: accepted, secured, and served one request after the other.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::answer::Cache;
use super::auth::Guard;
use super::config::Live;
use super::route;
use super::slots::{Place, Slots};
use crate::watch::Board;

/// Connections that are open at a time, all addresses together. Well below the 1,024 files that many systems allow.
const CONNECTIONS: usize = 512;

/// A TLS handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The header section of a request takes no longer, the time between requests included.
const HEADER: Duration = Duration::from_secs(20);

/// Bytes of a header section, and fields in it.
const HEADER_BYTES: usize = 16 << 10;
const HEADER_FIELDS: usize = 64;

/// After a failed accept (no more files), so that the processor is not kept busy with it.
const AGAIN: Duration = Duration::from_millis(50);

/// What every connection works with.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) board: Board,
    pub(super) config: Option<Live>,
    pub(super) guard: Guard,
    pub(super) cache: Cache,
    pub(super) slots: Arc<Slots>,
}

impl Shared {
    pub(super) fn new(board: Board, config: Option<Live>) -> Self {
        Self { board, config, guard: Guard::default(), cache: Cache::default(), slots: Slots::new(CONNECTIONS) }
    }
}

/// Accepts connections until it is stopped.
pub(super) async fn listen(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    loop {
        let accept = async {
            match listener.accept().await {
                Ok((stream, _)) => Some((stream, shared.slots.take().await)),
                Err(_) => {
                    tokio::time::sleep(AGAIN).await;
                    None
                }
            }
        };
        let accepted = tokio::select! {
            accepted = accept => accepted,
            _ = stopped.wait_for(|&stop| stop) => return,
        };
        if let Some((stream, place)) = accepted {
            tokio::spawn(connection(stream, loopback, Arc::clone(&shared), place, stopped.clone()));
        }
    }
}

async fn connection(
    stream: TcpStream,
    loopback: bool,
    shared: Arc<Shared>,
    place: Place,
    stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let tls = shared.config.as_ref().and_then(|live| live.current().tls.clone());
    let place = &place;
    let work = async {
        let Some(tls) = tls else { return http(stream, loopback, &shared, place, stopped).await };
        let secured = tokio::time::timeout(HANDSHAKE, secure(stream, TlsAcceptor::from(tls))).await;
        if let Ok(Some(stream)) = secured {
            http(stream, loopback, &shared, place, stopped).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = place.over() => {}
    }
}

/// Does the handshake. A client that speaks HTTP to it is told so.
async fn secure(mut stream: TcpStream, acceptor: TlsAcceptor) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? > 0 && first[0].is_ascii_uppercase() {
        let text = "this port speaks TLS: ask https:// instead\n";
        let head = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{text}", text.len());
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        return None;
    }
    acceptor.accept(stream).await.ok()
}

async fn http<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    loopback: bool,
    shared: &Shared,
    place: &Place,
    mut stopped: watch::Receiver<bool>,
) {
    let service = service_fn(async |request| {
        place.busy();
        let answer = route::answer(shared, loopback, &request).await;
        place.quiet();
        Ok::<_, Infallible>(answer)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADER_FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|&stop| stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
