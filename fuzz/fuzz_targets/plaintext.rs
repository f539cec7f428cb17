//! See `h2watch_fuzz::plaintext`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| h2watch_fuzz::plaintext(data));
