//! Connections: accepted, secured, and served one request after the other.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, Cache};
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

/// Requests of an HTTP/2 connection that are answered at a time. A browser that shows the page asks for four.
const STREAMS: u32 = 16;

/// Streams of an HTTP/2 connection that were reset before they were looked at, or because of the client's own mistake: with more the
/// connection ends (CVE-2023-44487 and CVE-2025-8671).
const RESETS: usize = 32;

/// Bytes of request bodies that an HTTP/2 client may send: nobody looks at them.
const WINDOW: u32 = 65_535;

/// A client of HTTP/2 that sends a body has its answer after this time at the latest.
const BODY: Duration = Duration::from_secs(1);

/// What waits to be sent on a stream of HTTP/2, copied out of an answer.
const SEND: usize = 64 << 10;

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

    /// Why the web configuration cannot be used as it is now.
    pub(super) fn config_error(&self) -> Option<String> {
        self.config.as_ref().and_then(Live::error)
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
    let place = Arc::new(place);
    let client = Client { loopback, shared, place: Arc::clone(&place) };
    let work = async {
        let Some(tls) = tls else { return http(stream, client, stopped).await };
        let secured = tokio::time::timeout(HANDSHAKE, secure(stream, TlsAcceptor::from(tls))).await;
        if let Ok(Some(stream)) = secured {
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => http2(stream, client, stopped).await,
                _ => http(stream, client, stopped).await,
            }
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

/// Who asks on a connection.
#[derive(Clone, Debug)]
struct Client {
    loopback: bool,
    shared: Arc<Shared>,
    place: Arc<Place>,
}

impl Client {
    async fn answer(self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        self.place.busy();
        // Also where the client goes away before it has its answer.
        let _quiet = Quiet(&self.place);
        let answer = route::answer(&self.shared, self.loopback, &request).await;
        if request.version() == Version::HTTP_2 && !request.body().is_end_stream() {
            // It would reset the stream of a client that is still sending, which may throw the answer away for that (curl 7.88).
            let rest = Limited::new(request.into_body(), WINDOW as usize);
            let _ = tokio::time::timeout(BODY, rest.collect()).await;
        }
        Ok(answer)
    }
}

/// An answer is done when this is dropped.
struct Quiet<'p>(&'p Place);

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.0.quiet();
    }
}

async fn http<S: AsyncRead + AsyncWrite + Unpin>(stream: S, client: Client, mut stopped: watch::Receiver<bool>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADER_FIELDS)
        .serve_connection(TokioIo::new(stream), service_fn(|request| client.clone().answer(request)));
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|&stop| stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// HTTP/2. A connection that is idle, or dawdles, ends as every other one does: when it makes room, or has stalled.
async fn http2<S: AsyncRead + AsyncWrite + Unpin>(stream: S, client: Client, mut stopped: watch::Receiver<bool>) {
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .max_header_list_size(u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(SEND)
        .serve_connection(TokioIo::new(stream), service_fn(move |request| client.clone().answer(request)));
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|&stop| stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
