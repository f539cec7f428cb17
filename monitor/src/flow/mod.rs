//! The order of the layers: TCP, TLS, HTTP. Segments in, events out; sans-IO.
