//! Link, IP and TCP headers: packets in, segments out; sans-IO.
