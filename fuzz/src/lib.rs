//! What the fuzz targets do: each takes any bytes and must not panic, nor take long, nor hold much.
//!
//! `cargo xtask fuzz SECONDS` runs them; the tests here run them over their kept corpus.

mod capture;
mod h2_frames;
mod hpack;
mod input;
mod keylog;
mod log;
mod packet;
mod pipeline;
mod plaintext;
#[cfg(test)]
mod tests;
mod tls;
mod world;

/// A classic pcap file.
pub fn pcap(bytes: &[u8]) {
    capture::capture(bytes);
}

/// A pcapng file.
pub fn pcapng(bytes: &[u8]) {
    capture::capture(bytes);
}

/// Packets of any link type.
pub fn packet(bytes: &[u8]) {
    packet::packet(bytes);
}

/// An NSS key log.
pub fn keylog(bytes: &[u8]) {
    keylog::keylog(bytes);
}

/// HPACK header blocks.
pub fn hpack(bytes: &[u8]) {
    hpack::hpack(bytes);
}

/// Both sides of an HTTP/2 connection.
pub fn h2_frames(bytes: &[u8]) {
    h2_frames::h2_frames(bytes);
}

/// TLS records of any bytes.
pub fn tls_records(bytes: &[u8]) {
    tls::tls_records(bytes);
}

/// TLS 1.3 records that are sealed right, with any content, damaged on their way.
pub fn tls_handshake(bytes: &[u8]) {
    tls::tls_handshake(bytes);
}

/// Plaintext as probes hand it up, to findings.
pub fn plaintext(bytes: &[u8]) {
    plaintext::plaintext(bytes);
}

/// A capture from its bytes to findings.
pub fn pipeline(bytes: &[u8]) {
    pipeline::pipeline(bytes);
}
