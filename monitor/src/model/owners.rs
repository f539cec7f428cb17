use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Process;

/// What names the connection of a secret: its client random, or the first bytes of Hash(ClientHello ‖ ServerHello).
pub type SecretName = [u8; 32];

/// Which processes had which secrets, the oldest first out: a name is wanted within moments of its handshake.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    order: VecDeque<SecretName>,
    by_name: HashMap<SecretName, Arc<Process>, FixedState>,
}

impl Owners {
    /// Most names that are kept.
    pub const MAX: usize = 4_096;

    /// This process had the secret. Where several had it, the first counts: of TLS 1.3 that is the server's, which has the secret before the
    /// client can.
    pub fn add(&mut self, name: SecretName, process: &Arc<Process>) {
        if self.by_name.contains_key(&name) {
            return;
        }
        if self.order.len() >= Self::MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_name.remove(&oldest);
        }
        self.order.push_back(name);
        self.by_name.insert(name, Arc::clone(process));
    }

    /// The process that had the secret.
    #[must_use]
    pub fn get(&self, name: &SecretName) -> Option<&Arc<Process>> {
        self.by_name.get(name)
    }

    /// Nobody had any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_counts_and_the_oldest_goes() {
        let process = |pid| Arc::new(Process { pid, ..Process::default() });
        let name = |number: usize| {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&number.to_be_bytes());
            name
        };
        let mut owners = Owners::default();
        owners.add(name(0), &process(1));
        owners.add(name(0), &process(2));
        assert_eq!(owners.get(&name(0)).unwrap().pid, 1);
        for number in 1..=Owners::MAX {
            owners.add(name(number), &process(3));
        }
        assert!(owners.get(&name(0)).is_none() && owners.get(&name(1)).is_some());
        assert_eq!(owners.by_name.len(), Owners::MAX);
    }
}
