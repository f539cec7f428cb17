//! Joins handshake messages out of records (RFC 8446 section 5.1): several in one, one over several.

/// Handshake message types that a passive reader acts on.
pub(crate) mod message {
    pub(crate) const HELLO_REQUEST: u8 = 0;
    pub(crate) const CLIENT_HELLO: u8 = 1;
    pub(crate) const SERVER_HELLO: u8 = 2;
    pub(crate) const NEW_SESSION_TICKET: u8 = 4;
    pub(crate) const END_OF_EARLY_DATA: u8 = 5;
    pub(crate) const ENCRYPTED_EXTENSIONS: u8 = 8;
    pub(crate) const CERTIFICATE: u8 = 11;
    pub(crate) const SERVER_HELLO_DONE: u8 = 14;
    pub(crate) const CLIENT_KEY_EXCHANGE: u8 = 16;
    pub(crate) const FINISHED: u8 = 20;
    pub(crate) const KEY_UPDATE: u8 = 24;

    /// Types whose body is read; of others only the type counts.
    pub(crate) const fn is_read(kind: u8) -> bool {
        matches!(kind, CLIENT_HELLO | SERVER_HELLO | NEW_SESSION_TICKET | ENCRYPTED_EXTENSIONS)
    }
}

/// A handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'b> {
    pub(crate) kind: u8,
    /// Empty where it was not kept.
    pub(crate) body: &'b [u8],
    pub(crate) kept: bool,
}

/// One side's handshake messages in the making.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    header: [u8; 4],
    have: u8,
    /// Bytes of the current body still to come.
    left: usize,
    keeps: bool,
    body: Vec<u8>,
}

impl Messages {
    /// The next whole message off the front of `bytes`, or `None` when it takes more. Bodies are kept up to `cap` bytes: of types that
    /// are read, or with `all` of every type.
    pub(crate) fn next<'a>(&'a mut self, bytes: &mut &[u8], cap: usize, all: bool) -> Option<Message<'a>> {
        if !self.fill_header(bytes, cap, all) {
            return None;
        }
        let (now, rest) = bytes.split_at_checked(self.left).unwrap_or((bytes, &[]));
        *bytes = rest;
        if self.keeps {
            self.body.extend_from_slice(now);
        }
        self.left -= now.len();
        if self.left > 0 {
            return None;
        }
        self.have = 0;
        let [kind, ..] = self.header;
        Some(Message { kind, body: &self.body, kept: self.keeps })
    }

    fn fill_header(&mut self, bytes: &mut &[u8], cap: usize, all: bool) -> bool {
        if usize::from(self.have) == self.header.len() {
            return true;
        }
        while let Some(slot) = self.header.get_mut(usize::from(self.have)) {
            let Some((byte, rest)) = bytes.split_first() else { return false };
            *slot = *byte;
            *bytes = rest;
            self.have += 1;
        }
        let [kind, a, b, c] = self.header;
        self.left = u32::from_be_bytes([0, a, b, c]) as usize;
        self.keeps = (all || message::is_read(kind)) && self.left <= cap;
        self.body.clear();
        true
    }

    /// Forgets a message that was cut by a gap.
    pub(crate) fn reset(&mut self) {
        self.have = 0;
        self.left = 0;
        self.body = Vec::new();
    }

    /// No message is in the making.
    pub(crate) const fn is_idle(&self) -> bool {
        self.have == 0
    }

    pub(crate) fn memory(&self) -> usize {
        self.body.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cuts: &[&[u8]], cap: usize, all: bool) -> Vec<(u8, Vec<u8>)> {
        let mut messages = Messages::default();
        let mut seen = Vec::new();
        for cut in cuts {
            let mut bytes = *cut;
            while let Some(message) = messages.next(&mut bytes, cap, all) {
                seen.push((message.kind, message.body.to_vec()));
            }
            assert!(bytes.is_empty());
        }
        seen
    }

    #[test]
    fn coalesced_and_cut_messages_are_the_same() {
        let bytes = [1, 0, 0, 2, 7, 8, 24, 0, 0, 1, 0, 8, 0, 0, 0, 20, 0, 0, 3, 1, 2, 3];
        let whole = read(&[&bytes], 100, false);
        assert_eq!(whole, [(1, vec![7, 8]), (24, vec![]), (8, vec![]), (20, vec![])]);
        for cut in 0..=bytes.len() {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(read(&[a, b], 100, false), whole);
        }
    }

    #[test]
    fn a_body_over_the_cap_is_passed_over() {
        assert_eq!(read(&[&[1, 0, 0, 3, 1, 2, 3, 2, 0, 0, 1, 5]], 2, false), [(1, vec![]), (2, vec![5])]);
    }

    #[test]
    fn bodies_that_nobody_reads_are_kept_on_demand() {
        let bytes = [11, 0, 0, 2, 7, 8, 14, 0, 0, 0];
        assert_eq!(read(&[&bytes], 100, false), [(11, vec![]), (14, vec![])]);
        assert_eq!(read(&[&bytes], 100, true), [(11, vec![7, 8]), (14, vec![])]);
        assert_eq!(read(&[&bytes], 1, true), [(11, vec![]), (14, vec![])]);
    }
}
