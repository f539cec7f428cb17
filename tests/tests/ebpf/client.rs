//! A client that keeps every byte of its connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned, crypto};

use super::any::Any;

/// An HTTP/2 client that keeps every byte.
pub(crate) struct Client {
    tls: StreamOwned<ClientConnection, TcpStream>,
    pub(crate) address: SocketAddr,
    pub(crate) sent: Vec<u8>,
    pub(crate) received: Vec<u8>,
    /// Bytes of `received` whose frames were looked at.
    seen: usize,
    next_stream: u32,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const END_STREAM: u8 = 1;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

impl Client {
    /// Connects, and says what an HTTP/2 client says first.
    pub(crate) fn connect(port: u16) -> Self {
        let provider = crypto::aws_lc_rs::default_provider();
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Any(provider)))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let address = socket.local_addr().unwrap();
        let tls = StreamOwned::new(tls, socket);
        let mut client = Self { tls, address, sent: Vec::new(), received: Vec::new(), seen: 0, next_stream: 1 };
        let mut first = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // A window that never closes (RFC 9113 section 6.5.2).
        first.extend(frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]));
        first.extend(frame(WINDOW_UPDATE, 0, 0, &0x7000_0000u32.to_be_bytes()));
        client.send(&first);
        client
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.tls.write_all(bytes).unwrap();
        self.tls.flush().unwrap();
        self.sent.extend_from_slice(bytes);
    }

    /// Asks for a path, with a body when there is one, and reads to the end of the answer. Whether it was a reset.
    pub(crate) fn ask(&mut self, path: &str, body: &[u8]) -> bool {
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut block = vec![if body.is_empty() { 0x82 } else { 0x83 }, 0x87, 0x04, path.len() as u8];
        block.extend(path.as_bytes());
        block.extend([0x01, 9]);
        block.extend(b"localhost");
        let ends = if body.is_empty() { END_STREAM } else { 0 };
        self.send(&frame(HEADERS, ends | 4, stream, &block));
        let mut chunks = body.chunks(16_384).peekable();
        while let Some(chunk) = chunks.next() {
            let ends = if chunks.peek().is_none() { END_STREAM } else { 0 };
            self.send(&frame(DATA, ends, stream, chunk));
        }
        self.until(|kind, flags, on| on == stream && (kind == RST_STREAM || kind <= HEADERS && flags & END_STREAM != 0))
            == RST_STREAM
    }

    /// Reads frames until one is as wanted; its type.
    pub(crate) fn until(&mut self, wanted: impl Fn(u8, u8, u32) -> bool) -> u8 {
        loop {
            while let Some(header) = self.received.get(self.seen..self.seen + 9) {
                let len = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
                let (kind, flags) = (header[3], header[4]);
                let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
                if self.received.len() < self.seen + 9 + len {
                    break;
                }
                self.seen += 9 + len;
                if kind == SETTINGS && flags & 1 == 0 {
                    self.send(&frame(SETTINGS, 1, 0, &[]));
                }
                if wanted(kind, flags, stream) {
                    return kind;
                }
            }
            let mut buffer = [0; 65_536];
            let count = self.tls.read(&mut buffer).unwrap();
            assert!(count > 0, "the server closed the connection");
            self.received.extend_from_slice(&buffer[..count]);
        }
    }

    /// Waits for the answer to a PING: the server has read everything before it.
    pub(crate) fn settle(&mut self) {
        self.send(&frame(PING, 0, 0, &[7; 8]));
        self.until(|kind, flags, _| kind == PING && flags & 1 != 0);
    }

    /// Ends the connection, and gives what was sent and what was received.
    pub(crate) fn close(mut self) -> (Vec<u8>, Vec<u8>) {
        self.tls.conn.send_close_notify();
        let _ = self.tls.flush();
        let mut rest = Vec::new();
        let _ = self.tls.sock.shutdown(std::net::Shutdown::Write);
        let _ = self.tls.read_to_end(&mut rest);
        self.received.extend(rest);
        (self.sent, self.received)
    }
}
