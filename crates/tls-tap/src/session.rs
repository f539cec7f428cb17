use aws_lc_rs::digest;

use crate::Secret;
use crate::keys::Random;

/// Names a TLS 1.2 session for who resumes it: its id (RFC 5246 section 7.4.1.2), or a ticket of it (RFC 5077 section 3.2), by SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionName {
    /// Length of the id; [`SessionName::TICKET`]: it is a ticket.
    len: u8,
    bytes: [u8; 32],
}

impl SessionName {
    const TICKET: u8 = u8::MAX;

    /// The session of this id; `None` for an empty one, which names nothing, and one that is too long.
    #[must_use]
    pub fn id(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        let len = u8::try_from(id.len()).ok().filter(|&len| len > 0)?;
        Some(Self { len, bytes })
    }

    /// The session of this ticket; `None` for an empty one.
    #[must_use]
    pub fn ticket(ticket: &[u8]) -> Option<Self> {
        if ticket.is_empty() {
            return None;
        }
        let bytes = *digest::digest(&digest::SHA256, ticket).as_ref().first_chunk()?;
        Some(Self { len: Self::TICKET, bytes })
    }
}

/// The names of one session: of its ticket, and its id.
pub type SessionNames = [Option<SessionName>; 2];

/// What a handshake of TLS 1.2 says of a session. Who resumes one has the master secret of the connection that made it, and some servers
/// write that to no key log again (Go).
#[derive(Clone, Copy, Debug)]
pub enum Session<'a> {
    /// A session, whose master secret is known: it may be resumed by these names.
    Made {
        /// By which it can be resumed.
        names: SessionNames,
        /// Its master secret.
        master: &'a Secret,
    },
    /// A connection resumes a session.
    Resumed {
        /// The connection's name in a key log.
        random: &'a Random,
        /// By which it is resumed, or one of which it is.
        names: SessionNames,
    },
}

#[cfg(test)]
mod tests {
    use super::SessionName;

    #[test]
    fn ids_and_tickets_are_told_apart() {
        assert_eq!((SessionName::id(&[]), SessionName::id(&[1; 33]), SessionName::ticket(&[])), (None, None, None));
        assert_ne!(SessionName::id(&[0; 31]), SessionName::id(&[0; 32]));
        let ticket = SessionName::ticket(b"a ticket").unwrap();
        assert_ne!(SessionName::id(&ticket.bytes), Some(ticket));
        assert_ne!(SessionName::ticket(b"another"), Some(ticket));
    }
}
