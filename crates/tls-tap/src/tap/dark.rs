//! Why a side is not readable.

use super::direction::Phase;
use super::flow::{Call, Flow};
use crate::{Dark, KeyStore, Reader, Side, Version};

impl Flow<'_> {
    /// Says once why this side's held records are not readable.
    pub(super) fn tell_dark<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side) {
        let why = self.reason(side, call.keys);
        if !std::mem::replace(&mut self.side_mut(side).told, true) {
            self.settle(call);
            call.reader.dark(call.time, Some(side), why);
        }
    }

    /// Since when each side holds something back for want of a secret, and why.
    pub(super) fn withheld(&self, keys: &KeyStore) -> [Option<(u64, Dark)>; 2] {
        [Side::Client, Side::Server].map(|side| {
            let front = self.side(side).queue.front().filter(|_| self.side_lacks_secret(side, keys))?;
            Some((front.time, self.reason(side, keys)))
        })
    }

    fn reason(&self, side: Side, keys: &KeyStore) -> Dark {
        let shared = &self.shared;
        let tls12 = || [side, side.peer()].iter().any(|side| self.side(*side).queue.looks_like_tls12());
        // A renegotiation has hellos of its own.
        let epoch = match self.side(side).phase {
            Phase::Switch(epoch) => epoch,
            _ => 0,
        };
        match shared.random {
            None if shared.has_server_hello() || !self.midstream => Dark::HandshakeLost,
            None if tls12() => Dark::JoinedLateTls12,
            None => Dark::JoinedLate,
            Some(_) if shared.joined => Dark::JoinedLate,
            Some(_) if shared.version == Some(Version::Tls12) && !shared.has_hellos(epoch) => Dark::HandshakeLost,
            Some(_) if matches!(self.side(side).phase, Phase::Await) => Dark::NoKey,
            Some(_) if shared.secrets(keys).is_some() && !shared.has_server_hello() => Dark::HandshakeLost,
            Some(_) => Dark::NoKey,
        }
    }

    /// This side will not be readable again.
    pub(super) fn die<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, why: Dark) {
        let direction = self.side_mut(side);
        direction.phase = Phase::Dead;
        direction.lost = None;
        direction.unverified.clear();
        direction.messages.reset();
        let told = std::mem::replace(&mut direction.told, true);
        self.stir();
        if !told {
            self.settle(call);
            call.reader.dark(call.time, Some(side), why);
        }
    }
}
