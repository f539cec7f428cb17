//! Protected records whose keys are known: opening, the sequence number, and finding it again after a loss.

use std::ops::RangeInclusive;

use super::direction::Phase;
use super::flow::{Call, Flow};
use super::lost::Lost;
use super::unverified::Unverified;
use crate::body::{self, Body};
use crate::cipher::{Opened, RecordCipher};
use crate::framer::TAIL;
use crate::handshake::messages::message;
use crate::record::{HEADER, Header, content};
use crate::{Dark, Forged, Gap, Proof, Reader, Side};

/// Records in a row that may fail to open before the place is held to be lost.
const MAX_FAILURES: u32 = 8;
/// KeyUpdates that may have been in a loss.
const MAX_GENERATIONS: u32 = 2;

/// Stream bytes of a record that are not content, without padding.
pub(super) fn overhead(cipher: &RecordCipher) -> u64 {
    let inner_type = usize::from(cipher.suite().is_tls13());
    (HEADER + cipher.explicit_len() + cipher.trailer_len() + inner_type) as u64
}

/// Content of a record of this length: exact for an AEAD without padding, otherwise the most that it can be.
pub(super) fn content_len(cipher: &RecordCipher, len: usize) -> usize {
    let inner_type = usize::from(cipher.suite().is_tls13());
    cipher.ciphertext_len(len).unwrap_or(0).saturating_sub(inner_type)
}

/// Opens a record under the first sequence number of a range that authenticates it.
pub(super) fn search(
    cipher: &RecordCipher,
    header: Header,
    body: &Body<'_, '_>,
    range: RangeInclusive<u64>,
    tls13: bool,
    trials: &mut u64,
    out: &mut Vec<u8>,
) -> Option<(u64, Opened)> {
    if range.start() == range.end() {
        return body.open(cipher, *range.start(), header, out).map(|opened| (*range.start(), opened));
    }
    let tail = cipher.ciphertext_len(header.len())?.checked_sub(1);
    let mut last = [0];
    let tail = tail.filter(|offset| tls13 && cipher.seekable() && body.copy_at(*offset, &mut last));
    for sequence in range {
        *trials = trials.checked_sub(1)?;
        if let Some(offset) = tail {
            let mut inner = [0];
            cipher.peek(sequence, &[], &last, offset, &mut inner);
            let [inner] = inner;
            let possible = matches!(inner, 0 | content::ALERT | content::HANDSHAKE | content::APPLICATION_DATA);
            if !possible {
                continue;
            }
        }
        if let Some(opened) = body.open(cipher, sequence, header, out) {
            return Some((sequence, opened));
        }
    }
    None
}

/// Verifies what was used without a check.
struct Prover<'p, 'm> {
    cipher: Option<&'p RecordCipher>,
    unverified: &'p mut Unverified<'m>,
    scratch: &'p mut Vec<u8>,
    forged: bool,
}

impl Proof for Prover<'_, '_> {
    fn authenticate(&mut self) -> Result<bool, Forged> {
        if self.forged {
            return Err(Forged);
        }
        let Some(cipher) = self.cipher else { return Ok(true) };
        let scratch = &mut *self.scratch;
        let result = self
            .unverified
            .verify(|header, sequence, pieces| body::open(cipher, sequence, header, pieces, scratch).is_some());
        self.forged = result.is_err();
        result
    }
}

impl<'m> Flow<'m> {
    pub(super) fn steady<R: Reader>(
        &mut self,
        call: &mut Call<'_, R>,
        side: Side,
        header: Header,
        mut body: Body<'_, 'm>,
    ) {
        let direction = self.side_mut(side);
        let Phase::Steady(steady) = &direction.phase else { return };
        let is_data = header.content_type() == content::APPLICATION_DATA;
        if steady.tls13 && !is_data {
            return self.clear_alert(call, side, header, &body);
        }
        if let Some(min) = direction.joined_inside.take() {
            call.reader.gap(call.time, side, Gap { min, max: u64::MAX });
        }
        if direction.lost.is_some() {
            return self.resync(call, side, header, &body);
        }
        let from = if is_data { self.selective(call, side, header, &mut body) } else { Some(0) };
        if let Some(from) = from {
            self.open_whole(call, side, header, &body, from);
        }
    }

    /// Opens a record and delivers its content from an offset on.
    fn open_whole<R: Reader>(
        &mut self,
        call: &mut Call<'_, R>,
        side: Side,
        header: Header,
        body: &Body<'_, 'm>,
        from: usize,
    ) {
        let mut plain = std::mem::take(&mut self.plain);
        let direction = self.side_mut(side);
        if let Phase::Steady(steady) = &mut direction.phase {
            match body.open(&steady.cipher, steady.sequence, header, &mut plain) {
                Some(opened) => {
                    steady.sequence += 1;
                    steady.proven = true;
                    direction.failures = 0;
                    direction.padded |= steady.tls13 && opened.len != content_len(&steady.cipher, header.len());
                    self.content_from(call, side, opened.content_type, &plain, from);
                }
                None if !steady.proven => {
                    self.pass_over(side, header);
                    self.die(call, side, Dark::WrongKey);
                }
                None => {
                    let missing = self.content_of_damaged(side, header, None);
                    let passed = from as u64;
                    let direction = self.side_mut(side);
                    direction.messages.reset();
                    direction.failures += 1;
                    direction.lost().record(Gap {
                        min: missing.min.saturating_sub(passed),
                        max: missing.max.saturating_sub(passed),
                    });
                    self.pass_over(side, header);
                }
            }
        }
        self.plain = plain;
    }

    /// Content of a whole record.
    pub(super) fn content<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, content_type: u8, plain: &[u8]) {
        self.content_from(call, side, content_type, plain, 0);
    }

    fn content_from<R: Reader>(
        &mut self,
        call: &mut Call<'_, R>,
        side: Side,
        content_type: u8,
        plain: &[u8],
        from: usize,
    ) {
        match content_type {
            content::APPLICATION_DATA => {
                let rest = plain.get(from..).unwrap_or_default();
                if !rest.is_empty() {
                    self.deliver(call, side, rest, from == 0);
                }
            }
            content::ALERT => self.alert(call, side, plain),
            content::HANDSHAKE if self.is_tls13(side) => self.post_handshake(call, side, plain),
            content::HANDSHAKE => self.handshake(call, side, plain),
            content::CHANGE_CIPHER_SPEC if !self.is_tls13(side) => {
                self.anchor(call, side);
                self.change_cipher_spec(call, side);
            }
            _ => {}
        }
    }

    fn is_tls13(&self, side: Side) -> bool {
        matches!(&self.side(side).phase, Phase::Steady(steady) if steady.tls13)
    }

    fn deliver<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, bytes: &[u8], record_start: bool) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let direction = self.side_mut(side);
        let cipher = match &direction.phase {
            Phase::Steady(steady) => Some(&*steady.cipher),
            _ => None,
        };
        let mut prover = Prover { cipher, unverified: &mut direction.unverified, scratch: &mut scratch, forged: false };
        call.reader.plaintext(call.time, side, bytes, record_start, &mut prover);
        if prover.forged {
            call.reader.gap(call.time, side, Gap { min: 0, max: u64::MAX });
        }
        self.scratch = scratch;
    }

    /// Verifies what was used without a check, while its key is there.
    fn anchor<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let direction = self.side_mut(side);
        if let Phase::Steady(steady) = &direction.phase {
            let mut prover = Prover {
                cipher: Some(&steady.cipher),
                unverified: &mut direction.unverified,
                scratch: &mut scratch,
                forged: false,
            };
            if prover.authenticate().is_err() {
                call.reader.gap(call.time, side, Gap { min: 0, max: u64::MAX });
            }
        }
        self.scratch = scratch;
    }

    /// TLS 1.3 messages behind the handshake (RFC 8446 section 4.6): of these KeyUpdate alone matters.
    fn post_handshake<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, mut bytes: &[u8]) {
        let messages = &mut self.side_mut(side).messages;
        let mut updates = false;
        while let Some(message) = messages.next(&mut bytes, 0, false) {
            updates |= message.kind == message::KEY_UPDATE;
        }
        if !updates {
            return;
        }
        self.anchor(call, side);
        if let Phase::Steady(steady) = &mut self.side_mut(side).phase
            && let Some(next) = steady.cipher.next_generation()
        {
            *steady.cipher = next;
            steady.sequence = 0;
        }
    }

    /// The plaintext that a record held of which only the header, and perhaps the end, was seen.
    pub(super) fn content_of_damaged(&mut self, side: Side, header: Header, tail: Option<[u8; TAIL]>) -> Gap {
        let direction = self.side_mut(side);
        let Phase::Steady(steady) = &direction.phase else { return Gap { min: 0, max: header.len() as u64 } };
        let content = content_len(&steady.cipher, header.len()) as u64;
        let unknown = Gap { min: 0, max: content };
        let exact = Gap { min: content, max: content };
        if !steady.tls13 {
            return match header.content_type() {
                content::APPLICATION_DATA if steady.cipher.seekable() => exact,
                content::APPLICATION_DATA => unknown,
                _ => Gap { min: 0, max: 0 },
            };
        }
        let missing = direction.lost.unwrap_or(Lost::NOTHING);
        let byte = TAIL.checked_sub(steady.cipher.trailer_len() + 1);
        let inner = tail.zip(byte).and_then(|(tail, at)| {
            let last = tail.get(at..=at).filter(|_| missing.fewest == missing.most)?;
            let offset = steady.cipher.ciphertext_len(header.len())?.checked_sub(1)?;
            let mut inner = [0];
            let sequence = steady.sequence.saturating_add(missing.fewest);
            (steady.cipher.peek(sequence, &[], last, offset, &mut inner) == 1).then_some(inner)
        });
        match inner {
            Some([content::HANDSHAKE | content::ALERT]) => Gap { min: 0, max: 0 },
            Some([0]) => {
                direction.padded = true;
                unknown
            }
            _ if direction.padded => unknown,
            _ => exact,
        }
    }

    /// A whole record behind a loss: accepted only when it authenticates.
    fn resync<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, header: Header, body: &Body<'_, 'm>) {
        let mut plain = std::mem::take(&mut self.plain);
        let direction = self.side_mut(side);
        let lost = direction.lost.take().unwrap_or(Lost::NOTHING);
        if let Phase::Steady(steady) = &mut direction.phase {
            let tls13 = steady.tls13;
            let start = steady.sequence;
            let range = start.saturating_add(lost.fewest)..=start.saturating_add(lost.most);
            let mut gap = None;
            let mut hit = search(&steady.cipher, header, body, range, tls13, &mut direction.trials, &mut plain);
            if let Some((sequence, _)) = hit {
                let known = (steady.cipher.seekable() && !direction.padded).then(|| overhead(&steady.cipher));
                gap = Some(lost.gap(sequence - start, known));
            }
            let mut next = steady.cipher.next_generation().filter(|_| hit.is_none());
            for _ in 0..MAX_GENERATIONS {
                let (Some(cipher), Some(most)) = (next, lost.most.checked_sub(1)) else { break };
                hit = search(&cipher, header, body, 0..=most, tls13, &mut direction.trials, &mut plain);
                if hit.is_some() {
                    *steady.cipher = cipher;
                    direction.unverified.clear();
                    gap = Some(Gap { min: 0, max: lost.gap(lost.fewest, None).max });
                    break;
                }
                next = cipher.next_generation();
            }
            match hit {
                Some((sequence, opened)) => {
                    steady.sequence = sequence + 1;
                    steady.proven = true;
                    direction.failures = 0;
                    direction.padded |= tls13 && opened.len != content_len(&steady.cipher, header.len());
                    direction.messages.reset();
                    if let Some(gap) = gap.filter(|gap| gap.max > 0) {
                        report_gap(call, side, gap, lost.exact);
                    }
                    self.content(call, side, opened.content_type, &plain);
                }
                None => {
                    let content = content_len(&steady.cipher, header.len()) as u64;
                    let proven = steady.proven;
                    let mut lost = lost;
                    lost.record(Gap { min: 0, max: content });
                    direction.lost = Some(lost);
                    direction.failures += 1;
                    let gives_up = direction.failures >= MAX_FAILURES || direction.trials == 0;
                    self.pass_over(side, header);
                    if gives_up {
                        self.die(call, side, if proven { Dark::LostSync } else { Dark::WrongKey });
                    }
                }
            }
        }
        self.plain = plain;
    }
}

/// Tells the reader of missing plaintext: nothing is lost to it when it would have passed over all of it.
fn report_gap<R: Reader>(call: &mut Call<'_, R>, side: Side, gap: Gap, headers_seen: bool) {
    if headers_seen && gap.min == gap.max && call.reader.skippable(side) >= gap.max {
        call.reader.skipped(side, gap.max);
    } else {
        call.reader.gap(call.time, side, gap);
    }
}
