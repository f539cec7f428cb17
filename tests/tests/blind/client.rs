//! A client of HTTP/2 over TLS that keeps its connection open and goes on asking.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use h2watch_tests::lab::{Lab, OriginKind};
use rustls_pki_types::ServerName;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, KeyLog, StreamOwned, SupportedProtocolVersion};

use super::any::Any;

/// How often it asks.
const EVERY: Duration = Duration::from_millis(100);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS_ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
/// GET / of https://a.
const HEADERS: &[u8] = b"\x82\x87\x84\x41\x01a";

/// A connection that asks until it is dropped.
pub struct Long {
    stop: Arc<AtomicBool>,
    asking: Option<JoinHandle<()>>,
}

impl Long {
    /// Connects to an origin; its secrets go to `keys`.
    pub fn open(
        lab: &Lab,
        origin: OriginKind,
        version: &'static SupportedProtocolVersion,
        keys: Arc<dyn KeyLog>,
    ) -> Self {
        let tcp = lab.visitor.connect(lab.origin.at(origin.tls_port())).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_protocol_versions(&[version]).unwrap().dangerous();
        let mut config =
            config.with_custom_certificate_verifier(Arc::new(Any(default_provider()))).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.key_log = keys;
        let name = ServerName::try_from("origin.test").unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp);
        stream.write_all(PREFACE).unwrap();
        stream.flush().unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
        stream.write_all(SETTINGS_ACK).unwrap();
        stream.sock.set_read_timeout(Some(EVERY)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let asking = std::thread::spawn(move || ask(&mut stream, &stopped));
        Self { stop, asking: Some(asking) }
    }
}

impl Drop for Long {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(asking) = self.asking.take() {
            let _ = asking.join();
        }
    }
}

fn ask(stream: &mut StreamOwned<ClientConnection, TcpStream>, stop: &AtomicBool) {
    let mut id = 1_u32;
    while !stop.load(Ordering::Relaxed) {
        let length = u8::try_from(HEADERS.len()).unwrap();
        let frame = [&[0, 0, length, 1, 5], &id.to_be_bytes()[..], HEADERS].concat();
        stream.write_all(&frame).unwrap();
        stream.flush().unwrap();
        id += 2;
        // Until nothing comes for a while.
        while !matches!(stream.read(&mut [0; 4_096]), Err(error) if error.kind() == ErrorKind::WouldBlock) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    stream.conn.send_close_notify();
    let _ = stream.flush();
}
