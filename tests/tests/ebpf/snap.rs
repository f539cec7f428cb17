//! What the tap does not copy of a connection that nobody can read.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use super::keys::have;
use super::plaintext::{Watch, until};

/// What both ends say first: neither TLS nor HTTP.
const BANNER: &[u8] = b"SSH-2.0-OpenSSH_9\r\n";
/// Bytes of the transfer.
const SENT: usize = 100_000_000;

#[test]
fn the_payload_of_a_connection_that_nobody_can_read_is_not_copied() {
    if !have("the_payload_of_a_connection_that_nobody_can_read_is_not_copied", &["curl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let port = address.port().to_string();
    let mut watch = Watch::start(folder.path(), &["--source", "tap", "-i", "lo", "--keys", "none", "--port", &port]);
    let sender = thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        socket.write_all(BANNER).unwrap();
        socket.read_exact(&mut [0; BANNER.len()]).unwrap();
        (0..SENT / 50_000).for_each(|_| socket.write_all(&[7; 50_000]).unwrap());
    });
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(BANNER).unwrap();
    let all = BANNER.len() + socket.read_to_end(&mut Vec::new()).unwrap();
    sender.join().unwrap();
    let series = "h2watch_capture_snapped_bytes_total{interface=\"lo\",source=\"tap\"} ";
    let snapped = || {
        let metrics = watch.metrics();
        metrics.lines().find_map(|line| line.strip_prefix(series)?.parse::<u64>().ok()).unwrap()
    };
    assert!(until(|| (snapped() > 0).then_some(())).is_some(), "{}", watch.metrics());
    let copied = all as u64 - snapped();
    println!("{copied} of {all} bytes were copied: {:.1} %", 100.0 * copied as f64 / all as f64);
    assert!(copied < all as u64 / 2, "{copied} of {all}");
    // Counted all the same.
    let connections = watch.stop()["connections"].clone();
    assert_eq!(connections["bytes"], all, "{connections:#}");
}
