//! The tap: bytes of both sides in, plaintext out.

mod clear;
mod dark;
mod derived;
mod direction;
mod flow;
mod held;
mod lost;
mod seek;
mod selective;
mod shared;
mod steady;
#[cfg(test)]
mod tests;
mod transcript;
mod unverified;

use crate::framer::{Framer, Item};
use crate::late::{Found, Sample};
use crate::{Chunk, KeyStore, Reader, Side};
use flow::{Call, Flow};

/// Caps of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes held back while a key is missing, each direction. Bytes that last count as copied ones do, so that the same stream is read
    /// to the same end however it is given.
    pub held: usize,
    /// Records held back while a key is missing, each direction.
    pub held_records: usize,
    /// How long records of the server that can be read wait for those of the client in front of them that lack a secret, in the caller's
    /// units of time; the default is a second in nanoseconds.
    pub patience: u64,
    /// Records remembered that were looked at without a check, each direction.
    pub unverified_records: usize,
    /// Bytes of such records, copied or not, each direction.
    pub unverified_bytes: usize,
    /// Longest hello that is read; other handshake messages are passed over whatever their length.
    pub handshake: usize,
    /// Trials of sequence numbers that each direction may cost beyond one for each byte seen.
    pub trials: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            held: 64 << 10,
            held_records: 4_096,
            patience: 1_000_000_000,
            unverified_records: 64,
            unverified_bytes: 256 << 10,
            handshake: 64 << 10,
            trials: 1 << 18,
        }
    }
}

/// One connection's TLS, read from beside.
#[derive(Debug)]
pub struct Tls<'m> {
    client: Framer<'m>,
    server: Framer<'m>,
    flow: Flow<'m>,
}

impl<'m> Tls<'m> {
    /// A connection that is seen from its first byte on.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { client: Framer::new(false), server: Framer::new(false), flow: Flow::new(limits, false) }
    }

    /// A connection whose start was not seen: a record boundary is looked for.
    #[must_use]
    pub fn midstream(limits: Limits) -> Self {
        Self { client: Framer::new(true), server: Framer::new(true), flow: Flow::new(limits, true) }
    }

    const fn framer(&mut self, side: Side) -> (&mut Framer<'m>, &mut Flow<'m>) {
        match side {
            Side::Client => (&mut self.client, &mut self.flow),
            Side::Server => (&mut self.server, &mut self.flow),
        }
    }

    /// The next bytes of a side, in order.
    pub fn data<R: Reader>(&mut self, time: u64, side: Side, chunk: Chunk<'m, '_>, keys: &KeyStore, reader: &mut R) {
        let (framer, flow) = self.framer(side);
        let mut chunk = chunk;
        while let Some((time, item)) = framer.next(time, &mut chunk) {
            flow.accept(&mut Call { time, keys, reader }, side, item);
        }
        flow.drain(keys, reader);
    }

    /// `lost` bytes of the side's stream are missing here.
    pub fn gap<R: Reader>(&mut self, time: u64, side: Side, lost: u64, keys: &KeyStore, reader: &mut R) {
        let (framer, flow) = self.framer(side);
        let damaged = framer.gap(lost);
        flow.handshake_damaged(side);
        if let Some(header) = damaged {
            flow.accept(&mut Call { time, keys, reader }, side, Item::Damaged(header, None));
        }
        flow.drain(keys, reader);
    }

    /// Keys arrived: tries what is held back. Worth a call when the new keys name [`random`](Self::random).
    pub fn retry<R: Reader>(&mut self, keys: &KeyStore, reader: &mut R) {
        self.flow.stir();
        self.flow.drain(keys, reader);
    }

    /// What a late search may try: some of the shortest held records of each side, when the handshake was not seen and the connection
    /// may be TLS 1.3. None once the side was unlocked.
    #[must_use]
    pub fn samples(&self) -> Vec<(Side, Sample)> {
        self.flow.samples()
    }

    /// A late search found the secret of one side: reads what is held back from there on, then goes on live.
    pub fn unlock<R: Reader>(&mut self, found: Found, keys: &KeyStore, reader: &mut R) {
        self.flow.unlock(found);
        self.flow.drain(keys, reader);
    }

    /// The connection ended, or the capture did: says what stayed dark, and what was still missing.
    pub fn finish<R: Reader>(&mut self, time: u64, keys: &KeyStore, reader: &mut R) {
        for side in [Side::Client, Side::Server] {
            let (framer, flow) = self.framer(side);
            framer.end();
            let mut nothing = Chunk::Lasting(&[]);
            while let Some((time, item)) = framer.next(time, &mut nothing) {
                flow.accept(&mut Call { time, keys, reader }, side, item);
            }
        }
        let lost = [self.client.is_lost(), self.server.is_lost()];
        self.flow.finish(&mut Call { time, keys, reader }, lost);
    }

    /// ClientHello.random, when the hello was seen or a late search named it.
    #[must_use]
    pub const fn random(&self) -> Option<&[u8; 32]> {
        self.flow.random()
    }

    /// ClientHello.random and ServerHello.random of the first handshake, when that is of TLS 1.2 or older and both hellos were seen.
    #[must_use]
    pub fn randoms(&self) -> Option<(&[u8; 32], &[u8; 32])> {
        self.flow.shared.randoms()
    }

    /// A late search named the connection: its handshake was not seen.
    #[must_use]
    pub const fn joined_late(&self) -> bool {
        self.flow.joined_late()
    }

    /// Names the transcript of both hellos, while nothing was found under it: what [`KeyStore::add_transcript`] may add.
    #[must_use]
    pub fn transcript(&self) -> Option<crate::TranscriptName> {
        self.flow.shared.wanted_transcript()
    }

    /// Something is held back.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.flow.is_blind()
    }

    /// Neither direction is readable from here on, whatever comes: its bytes need not be given any more.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.flow.is_dead()
    }

    /// Something is held back, and secrets under [`random`](Self::random) may open it.
    #[must_use]
    pub fn waits_for_key(&self) -> bool {
        self.flow.is_blind() && self.flow.random().is_some()
    }

    /// Something is held back, and none of these keys belongs to the connection. Not said before the server's hello: with it the transcript is
    /// known, which may lead to a key.
    #[must_use]
    pub fn is_without_key(&self, keys: &KeyStore) -> bool {
        self.flow.is_blind() && self.flow.shared.is_without_key(keys)
    }

    /// Something is held back because a secret is not among these keys; without it, nothing but the end can tell what it was.
    #[must_use]
    pub fn lacks_secret(&self, keys: &KeyStore) -> bool {
        self.flow.lacks_secret(keys)
    }

    /// Bytes held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.flow.held()
    }

    /// Records of this side are held back or cannot be read, so that the other side may know more than was seen.
    #[must_use]
    pub fn hides(&self, side: Side) -> bool {
        self.flow.hides(side)
    }

    /// Bytes of protected records that are not readable, so far.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.flow.unread() + self.client.pending_if_scanning() + self.server.pending_if_scanning()
    }

    /// Heap bytes at most: the same however the stream was cut, and whether its bytes last or not.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.client.memory() + self.server.memory() + self.flow.memory()
    }
}

/// What bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// TLS.
    Yes,
    /// Not TLS.
    No,
    /// More bytes will tell.
    Maybe,
}

/// Recognises TLS by the first bytes of a side, or by a chain of record headers in the middle of a stream.
#[must_use]
pub fn looks_like_tls(bytes: &[u8]) -> Guess {
    match crate::record::first_flight(bytes) {
        Guess::No => crate::scan::chain(bytes),
        guess => guess,
    }
}
