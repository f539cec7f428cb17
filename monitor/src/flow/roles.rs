//! Who is the client where no SYN says it.

use crate::model::{FlowKey, Side};

/// The side of a sender.
pub(crate) const fn side(client_is_low: bool, from_low: bool) -> Side {
    if client_is_low == from_low { Side::Client } else { Side::Server }
}

/// The last resort: the end with the lower port serves. `true`: the low end is the client.
pub(crate) const fn by_port(key: &FlowKey) -> bool {
    key.low.1 > key.high.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_port_serves() {
        let key = FlowKey { low: (1, 443), high: (2, 50_000), tunnel: 0 };
        assert!(!by_port(&key));
        assert_eq!(side(by_port(&key), true), Side::Server);
        assert_eq!(side(by_port(&key), false), Side::Client);
    }
}
