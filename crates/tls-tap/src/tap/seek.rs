//! TLS 1.3 before application data: 0-RTT data, the encrypted handshake, and the first record behind it.

use super::direction::{Candidate, Phase, Stage, Steady};
use super::flow::{Call, Flow};
use super::steady::search;
use crate::body::Body;
use crate::cipher::RecordCipher;
use crate::handshake::hello;
use crate::handshake::messages::message;
use crate::record::{Header, content};
use crate::{Dark, Gap, Reader, Side, Version};

/// Records that may fail to open before the secrets are held to be wrong ones: where a key log lacks the handshake secrets, the
/// encrypted handshake does not open.
const MAX_FAILURES: u32 = 64;

impl<'m> Flow<'m> {
    pub(super) fn begin_seek<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side) {
        let mut candidates = Vec::new();
        if let Some(secrets) = self.shared.secrets(call.keys) {
            let early = secrets.early.as_ref().filter(|_| side == Side::Client && self.shared.early_offered());
            let stages = [
                (Stage::Early, early),
                (Stage::Handshake, secrets.handshake(side)),
                (Stage::Application, secrets.traffic(side)),
            ];
            for suite in self.shared.suites() {
                for (stage, secret) in stages {
                    let cipher = secret.and_then(|secret| RecordCipher::tls13(suite, secret.as_bytes())).map(Box::new);
                    candidates.extend(cipher.map(|cipher| Candidate { suite: suite.id, stage, cipher, sequence: 0 }));
                }
            }
        }
        if candidates.is_empty() {
            return self.die(call, side, Dark::WrongKey);
        }
        self.side_mut(side).phase = Phase::Seek(candidates);
        if side == Side::Server {
            self.stir();
        }
    }

    /// Adds the application traffic secret, where it came after the handshake's.
    fn complete_candidates<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side) {
        let Phase::Seek(candidates) = &self.side(side).phase else { return };
        if candidates.iter().any(|candidate| candidate.stage == Stage::Application) {
            return;
        }
        let secret = self.shared.secrets(call.keys).and_then(|secrets| secrets.traffic(side));
        let Some(secret) = secret else { return };
        let new: Vec<_> = self
            .shared
            .suites()
            .filter_map(|suite| {
                let cipher = Box::new(RecordCipher::tls13(suite, secret.as_bytes())?);
                Some(Candidate { suite: suite.id, stage: Stage::Application, cipher, sequence: 0 })
            })
            .collect();
        if let Phase::Seek(candidates) = &mut self.side_mut(side).phase {
            candidates.extend(new);
        }
    }

    pub(super) fn seek<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, header: Header, body: &Body<'_, 'm>) {
        match header.content_type() {
            content::APPLICATION_DATA => {}
            content::ALERT => return self.clear_alert(call, side, header, body),
            // ChangeCipherSpec for the sake of middleboxes (RFC 8446 appendix D.4) does not count.
            _ => return,
        }
        self.complete_candidates(call, side);
        let mut plain = std::mem::take(&mut self.plain);
        let direction = self.side_mut(side);
        let lost = direction.lost;
        let Phase::Seek(candidates) = &mut direction.phase else { return };
        let mut found = None;
        for (at, candidate) in candidates.iter().enumerate() {
            let (fewest, most) = match (lost, candidate.stage) {
                (None, _) => (0, 0),
                // How many of the missing records belonged to an earlier stage is not known.
                (Some(lost), Stage::Application) => (0, lost.most),
                (Some(lost), Stage::Early | Stage::Handshake) => (0, lost.most),
            };
            let range = candidate.sequence.saturating_add(fewest)..=candidate.sequence.saturating_add(most);
            if let Some(hit) = search(&candidate.cipher, header, body, range, true, &mut direction.trials, &mut plain) {
                found = Some((at, hit));
                break;
            }
        }
        match found {
            Some((at, (sequence, opened))) => {
                direction.failures = 0;
                direction.lost = None;
                if let Some(candidate) = candidates.get_mut(at) {
                    candidate.sequence = sequence + 1;
                    let (suite, stage) = (candidate.suite, candidate.stage);
                    candidates.retain(|other| other.suite == suite && other.stage >= stage);
                    self.found(call, side, suite, (stage, sequence), opened.content_type, &plain, lost.is_some());
                }
            }
            None => self.not_found(call, side, header),
        }
        self.plain = plain;
    }

    #[expect(clippy::too_many_arguments, reason = "all of one record")]
    fn found<R: Reader>(
        &mut self,
        call: &mut Call<'_, R>,
        side: Side,
        suite: u16,
        (stage, sequence): (Stage, u64),
        content_type: u8,
        plain: &[u8],
        lossy: bool,
    ) {
        if self.shared.suite.is_none() {
            self.shared.suite = Some(suite);
            self.shared.version = Some(Version::Tls13);
            self.stir();
        }
        match stage {
            Stage::Early => self.early(call, side, content_type, plain, lossy),
            Stage::Handshake => match content_type {
                content::HANDSHAKE => self.encrypted_handshake(call, side, plain),
                content::ALERT => self.alert(call, side, plain),
                _ => {}
            },
            Stage::Application => {
                self.begin_application(call, side);
                if let Phase::Steady(steady) = &mut self.side_mut(side).phase {
                    steady.proven = true;
                }
                if sequence > 0 {
                    call.reader.gap(call.time, side, Gap { min: 0, max: u64::MAX });
                }
                self.content(call, side, content_type, plain);
            }
        }
    }

    fn early<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, content_type: u8, plain: &[u8], lossy: bool) {
        match content_type {
            content::HANDSHAKE => self.encrypted_handshake(call, side, plain),
            content::APPLICATION_DATA if self.shared.early_accepted() => {
                self.settle(call);
                if lossy {
                    call.reader.gap(call.time, side, Gap { min: 0, max: u64::MAX });
                }
                self.content(call, side, content_type, plain);
            }
            content::APPLICATION_DATA => {
                let direction = self.side_mut(side);
                direction.early_missed = direction.early_missed.saturating_add(plain.len() as u64);
            }
            content::ALERT => self.alert(call, side, plain),
            _ => {}
        }
    }

    fn encrypted_handshake<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, mut bytes: &[u8]) {
        let cap = self.limits.handshake;
        let mut messages = std::mem::take(&mut self.side_mut(side).messages);
        let (whole, mut finished) = (bytes, false);
        while let Some(message) = messages.next(&mut bytes, cap, false) {
            match message.kind {
                message::ENCRYPTED_EXTENSIONS if side == Side::Server && self.shared.extensions.is_none() => {
                    self.shared.extensions = Some(hello::encrypted_extensions(message.body));
                    self.settle(call);
                    self.stir();
                }
                message::END_OF_EARLY_DATA => {
                    if let Phase::Seek(candidates) = &mut self.side_mut(side).phase {
                        candidates.retain(|candidate| candidate.stage > Stage::Early);
                    }
                }
                message::FINISHED => finished = true,
                _ => {}
            }
        }
        self.side_mut(side).messages = messages;
        if side == Side::Server && self.shared.flight(whole, finished) {
            self.shared.tell_followed(call.reader);
            self.add_application(call);
        }
        if finished {
            self.begin_application(call, side);
        }
    }

    /// The application traffic secrets followed from the handshake: sides that seek already take them along.
    fn add_application<R: Reader>(&mut self, call: &Call<'_, R>) {
        for side in [Side::Client, Side::Server] {
            let Some(secret) = self.shared.secrets(call.keys).and_then(|secrets| secrets.traffic(side)).cloned() else {
                continue;
            };
            let ciphers: Vec<Candidate> = self
                .shared
                .suites()
                .filter_map(|suite| {
                    let cipher = RecordCipher::tls13(suite, secret.as_bytes())?;
                    Some(Candidate {
                        suite: suite.id,
                        stage: Stage::Application,
                        cipher: Box::new(cipher),
                        sequence: 0,
                    })
                })
                .collect();
            if let Phase::Seek(candidates) = &mut self.side_mut(side).phase
                && candidates.iter().all(|candidate| candidate.stage != Stage::Application)
            {
                candidates.extend(ciphers);
            }
        }
    }

    fn begin_application<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side) {
        if side == Side::Server || !self.extensions_may_come() {
            self.settle(call);
        }
        let direction = self.side_mut(side);
        direction.messages.reset();
        direction.failures = 0;
        let missed = std::mem::take(&mut direction.early_missed);
        if missed > 0 && (self.shared.early_accepted() || self.shared.early_unknown()) {
            call.reader.gap(call.time, side, Gap { min: 0, max: missed });
        }
        let direction = self.side_mut(side);
        let Phase::Seek(candidates) = &mut direction.phase else { return };
        let application = candidates.drain(..).find(|candidate| candidate.stage == Stage::Application);
        if side == Side::Client {
            self.shared.drop_derived();
        }
        let direction = self.side_mut(side);
        match application {
            Some(Candidate { cipher, sequence, .. }) => {
                direction.phase = Phase::Steady(Steady { cipher, sequence, tls13: true, proven: false });
            }
            None => direction.phase = Phase::Await,
        }
        self.stir();
    }

    /// The application traffic secret of a side that waited for it is there.
    pub(super) fn end_wait<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side) {
        let secret = self.shared.secrets(call.keys).and_then(|secrets| secrets.traffic(side));
        let suite = self.shared.suites().next();
        let cipher = suite.zip(secret).and_then(|(suite, secret)| RecordCipher::tls13(suite, secret.as_bytes()));
        match cipher {
            Some(cipher) => {
                let steady = Steady { cipher: Box::new(cipher), sequence: 0, tls13: true, proven: false };
                self.side_mut(side).phase = Phase::Steady(steady);
            }
            None => self.die(call, side, Dark::WrongKey),
        }
    }

    fn not_found<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, header: Header) {
        self.pass_over(side, header);
        // 0-RTT data that the server refused, or whose secret is missing, does not open.
        let may_be_early = side == Side::Client && self.shared.early_offered();
        let direction = self.side_mut(side);
        if let Some(lost) = &mut direction.lost {
            lost.most = lost.most.saturating_add(1);
        }
        if may_be_early {
            direction.early_missed = direction.early_missed.saturating_add(header.len() as u64);
            return;
        }
        direction.failures += 1;
        if direction.failures >= MAX_FAILURES {
            let why = if direction.lossy { Dark::HandshakeLost } else { Dark::WrongKey };
            self.die(call, side, why);
        }
    }
}
