#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod captures;
mod hostile;
mod late;
mod loss;
mod peer;
mod reading;

use crate::{Alert, Chunk, Dark, Forged, Gap, Hello, KeyStore, Proof, Reader, Secured, Side, Tls};

/// Takes everything and keeps it.
#[derive(Debug, Default)]
pub(super) struct Taker {
    pub(super) client: Vec<u8>,
    pub(super) server: Vec<u8>,
    pub(super) gaps: Vec<(Side, Gap)>,
    pub(super) hellos: Vec<Hello>,
    pub(super) secured: Vec<Secured>,
    pub(super) alerts: Vec<Alert>,
    pub(super) dark: Vec<(Option<Side>, Dark)>,
    pub(super) proofs: Vec<Result<bool, Forged>>,
    /// Parts of the plaintext with the gap before each.
    pub(super) parts: Vec<(Side, Option<Gap>, Vec<u8>)>,
    pending: [Option<Gap>; 2],
}

impl Reader for Taker {
    fn skippable(&self, _: Side) -> u64 {
        0
    }

    fn peek(&mut self, _: u64, _: Side, _: &[u8]) -> Option<u64> {
        None
    }

    fn plaintext(&mut self, _: u64, side: Side, bytes: &[u8], _: bool, proof: &mut dyn Proof) {
        self.proofs.push(proof.authenticate());
        let (all, at) = match side {
            Side::Client => (&mut self.client, 0),
            Side::Server => (&mut self.server, 1),
        };
        all.extend_from_slice(bytes);
        self.parts.push((side, self.pending[at].take(), bytes.to_vec()));
    }

    fn skipped(&mut self, _: Side, _: u64) {
        unreachable!("nothing was allowed");
    }

    fn gap(&mut self, _: u64, side: Side, gap: Gap) {
        self.gaps.push((side, gap));
        self.pending[usize::from(side == Side::Server)] = Some(gap);
    }

    fn client_hello(&mut self, _: u64, hello: Hello) {
        self.hellos.push(hello);
    }

    fn secured(&mut self, _: u64, secured: Secured) {
        self.secured.push(secured);
    }

    fn alert(&mut self, _: u64, alert: Alert) {
        self.alerts.push(alert);
    }

    fn dark(&mut self, _: u64, side: Option<Side>, why: Dark) {
        self.dark.push((side, why));
    }
}

/// Feeds bytes in cuts of at most `cut`.
pub(super) fn feed<'m, R: Reader>(
    tls: &mut Tls<'m>,
    side: Side,
    bytes: &'m [u8],
    cut: usize,
    lasting: bool,
    keys: &KeyStore,
    reader: &mut R,
) {
    for chunk in bytes.chunks(cut.max(1)) {
        let chunk = if lasting { Chunk::Lasting(chunk) } else { Chunk::Passing(chunk) };
        tls.data(1, side, chunk, keys, reader);
    }
}
