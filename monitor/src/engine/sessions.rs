use std::collections::VecDeque;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tls_tap::{Secret, SessionName, SessionNames};

use crate::limits::Limits;
use crate::model::Time;

/// Master secrets of TLS 1.2 sessions, for the connections that resume them: the key log of the connection that made one need not name
/// them (RFC 5077). Wiped when they go.
#[derive(Debug)]
pub(super) struct Sessions {
    masters: HashMap<SessionName, (u64, Secret), FixedState>,
    /// In the order in which they were made last, with its number; one that was made again stands here more than once.
    order: VecDeque<(u64, Time, SessionName)>,
    number: u64,
    most: usize,
    age: Duration,
}

impl Sessions {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            masters: HashMap::default(),
            order: VecDeque::new(),
            number: 0,
            most: limits.sessions,
            age: limits.key_age,
        }
    }

    /// A session was made, or goes on.
    pub(super) fn made(&mut self, names: SessionNames, master: &Secret, now: Time) {
        for name in names.into_iter().flatten() {
            self.number += 1;
            self.masters.insert(name, (self.number, master.clone()));
            self.order.push_back((self.number, now, name));
        }
        self.advance(now);
    }

    /// The clock goes on: what is old goes.
    pub(super) fn advance(&mut self, now: Time) {
        while let Some(&(number, made, name)) = self.order.front() {
            if self.order.len() <= self.most && made.plus(self.age) > now {
                break;
            }
            self.order.pop_front();
            if self.masters.get(&name).is_some_and(|(last, _)| *last == number) {
                self.masters.remove(&name);
            }
        }
    }

    /// The master secret of a session that has one of these names.
    pub(super) fn master(&self, names: &SessionNames) -> Option<&Secret> {
        names.iter().flatten().find_map(|name| self.masters.get(name)).map(|(_, master)| master)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(byte: u8) -> SessionNames {
        [SessionName::ticket(&[byte]), None]
    }

    fn secret(byte: u8) -> Secret {
        Secret::new(&[byte; 48]).unwrap()
    }

    #[test]
    fn sessions_go_when_there_are_too_many_and_when_they_are_old() {
        let limits = Limits { sessions: 3, key_age: Duration::from_secs(10), ..Limits::default() };
        let at = |seconds: u64| Time(seconds * 1_000_000_000);
        let mut sessions = Sessions::new(&limits);
        for byte in 0..4 {
            sessions.made(name(byte), &secret(byte), at(1));
        }
        assert_eq!((sessions.master(&name(0)), sessions.master(&name(1))), (None, Some(&secret(1))));
        sessions.made(name(2), &secret(9), at(5));
        assert_eq!(sessions.master(&name(2)), Some(&secret(9)), "made again");
        sessions.made([SessionName::ticket(b"new"), SessionName::id(b"id")], &secret(7), at(11));
        assert_eq!(
            (sessions.master(&name(3)), sessions.master(&name(2))),
            (None, Some(&secret(9))),
            "old, and made again"
        );
        assert_eq!(sessions.master(&[SessionName::ticket(b"other"), SessionName::id(b"id")]), Some(&secret(7)));
        assert!(sessions.masters.len() <= 3 && sessions.order.len() <= 3);
        sessions.advance(at(30));
        assert!(sessions.masters.is_empty() && sessions.order.is_empty(), "without a new one too");
    }
}
