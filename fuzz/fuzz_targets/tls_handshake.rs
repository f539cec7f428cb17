//! See `h2watch_fuzz::tls_handshake`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| h2watch_fuzz::tls_handshake(data));
