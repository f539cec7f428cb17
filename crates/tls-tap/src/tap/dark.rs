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

    fn reason(&self, side: Side, keys: &KeyStore) -> Dark {
        let shared = &self.shared;
        let either =
            |is: fn(&super::direction::Direction<'_>) -> bool| is(self.side(side)) || is(self.side(side.peer()));
        match shared.random {
            None if either(|direction| direction.queue.looks_like_tls12()) => Dark::JoinedLateTls12,
            None if shared.has_server_hello() => Dark::HandshakeLost,
            None if self.midstream => Dark::JoinedLate,
            None => Dark::HandshakeLost,
            Some(_) if shared.joined => Dark::JoinedLate,
            Some(_) if shared.version == Some(Version::Tls12) && shared.has_tls12_keys(0, keys) => Dark::HandshakeLost,
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
