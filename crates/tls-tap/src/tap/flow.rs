//! Both sides together: what can be read now, and what has to wait.

use super::Limits;
use super::direction::{Direction, Phase, Stage, Steady};
use super::held::Waiting;
use super::shared::Shared;
use crate::framer::Item;
use crate::late::{Found, Sample};
use crate::record::{Header, content};
use crate::{Dark, Gap, KeyStore, Reader, Secrets, Side, Version};

/// Most records a side that are offered to a late search.
const SAMPLES: usize = 4;

/// What every step of a call needs.
pub(super) struct Call<'c, R> {
    pub(super) time: u64,
    pub(super) keys: &'c KeyStore,
    pub(super) reader: &'c mut R,
}

#[derive(Debug)]
pub(super) struct Flow<'m> {
    pub(super) limits: Limits,
    pub(super) shared: Shared,
    client: Direction<'m>,
    server: Direction<'m>,
    /// Arrivals held so far.
    order: u64,
    /// Something changed that may let held records go.
    stirred: bool,
    /// Generation of the keys that held records were tried with.
    generation: u64,
    /// The server's records wait no more for the client's.
    impatient: bool,
    /// The connection's start was not seen.
    pub(super) midstream: bool,
    /// Plaintext of the record at hand.
    pub(super) plain: Vec<u8>,
    /// Plaintext of records that are only verified.
    pub(super) scratch: Vec<u8>,
}

impl<'m> Flow<'m> {
    pub(super) fn new(limits: Limits, midstream: bool) -> Self {
        Self {
            limits,
            shared: Shared::default(),
            client: Direction::new(limits.trials, midstream),
            server: Direction::new(limits.trials, midstream),
            order: 0,
            stirred: false,
            generation: 0,
            impatient: false,
            midstream,
            plain: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) const fn side(&self, side: Side) -> &Direction<'m> {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    pub(super) const fn side_mut(&mut self, side: Side) -> &mut Direction<'m> {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Takes the next item of a side, now or later.
    #[inline]
    pub(super) fn accept<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, item: Item<'_, 'm>) {
        let header = match &item {
            Item::Record(header, _) | Item::Damaged(header, _) => Some(*header),
            Item::Hole(_) | Item::NotTls => None,
        };
        if !self.client.queue.is_empty() && side == Side::Server {
            self.lose_patience(call.time);
        }
        let direction = self.side(side);
        let waits = !direction.queue.is_empty() || header.is_some_and(|header| self.blocked(side, header, call.keys));
        if waits { self.hold(call, side, item) } else { self.handle(call, side, item) }
    }

    fn hold<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, item: Item<'_, 'm>) {
        self.order += 1;
        let (order, limits) = (self.order, self.limits);
        if side == Side::Server && !self.shared.has_server_hello() && !self.shared.server_lost {
            self.shared.server_lost = true;
            self.stirred = true;
        }
        let over = self.side_mut(side).queue.push(call.time, order, item, limits.held, limits.held_records);
        if over {
            self.tell_dark(call, side);
            self.stirred = true;
        }
    }

    /// The server's records that can be read wait for the client's that lack a secret, so that an answer is not read before its request:
    /// but not for long, and not until there is no room.
    fn waits_for_client(&self, keys: &KeyStore) -> bool {
        !self.client.queue.is_empty()
            && !self.impatient
            && !self.client.told
            && self.side_lacks_secret(Side::Client, keys)
    }

    fn lose_patience(&mut self, now: u64) {
        let queue = &self.server.queue;
        let since = self.client.queue.front().map_or(now, |front| front.time);
        let full = queue.bytes() > self.limits.held / 2 || queue.len() > self.limits.held_records / 2;
        if !self.impatient && (full || now.saturating_sub(since) > self.limits.patience) {
            self.impatient = true;
            self.stirred = true;
        }
    }

    /// A record with this header has to wait.
    fn blocked(&self, side: Side, header: Header, keys: &KeyStore) -> bool {
        let direction = self.side(side);
        match &direction.phase {
            Phase::Steady(_) => side == Side::Server && self.waits_for_client(keys),
            Phase::Dead => false,
            Phase::Switch(epoch) => !self.shared.has_tls12_keys(*epoch, keys),
            Phase::Await => header.content_type() == content::APPLICATION_DATA && !self.has_traffic_secret(side, keys),
            Phase::Seek(candidates) => {
                let has = |stage| candidates.iter().any(|candidate| candidate.stage == stage);
                // Behind a loss a record may be application data: what its secret would open is not to be passed over.
                has(Stage::Early) && self.extensions_may_come()
                    || direction.lossy && !has(Stage::Application) && !self.has_traffic_secret(side, keys)
            }
            Phase::Clear => match header.content_type() {
                content::CHANGE_CIPHER_SPEC => {
                    side == Side::Client
                        && self.shared.version.is_none()
                        && !self.shared.server_lost
                        && !self.shared.retry
                }
                content::APPLICATION_DATA => self.blocked_in_clear(side, keys),
                _ => false,
            },
        }
    }

    fn blocked_in_clear(&self, side: Side, keys: &KeyStore) -> bool {
        let shared = &self.shared;
        if shared.joined {
            return true;
        }
        let has_secret = |secrets: &Secrets| has_any(secrets, side);
        match shared.version {
            Some(Version::Tls13) => {
                !shared.secrets(keys).is_some_and(has_secret)
                    || (side == Side::Client && shared.early_offered() && self.extensions_may_come())
            }
            Some(Version::Tls12) => !shared.has_tls12_keys(0, keys),
            Some(Version::Other(_)) => false,
            None if side == Side::Client && !shared.server_lost => !shared.retry,
            None => !shared.secrets(keys).is_some_and(has_secret),
        }
    }

    fn has_traffic_secret(&self, side: Side, keys: &KeyStore) -> bool {
        self.shared.secrets(keys).is_some_and(|secrets| secrets.traffic(side).is_some())
    }

    /// A side holds something back for want of a secret under the connection's name, not of its peer's records.
    pub(super) fn lacks_secret(&self, keys: &KeyStore) -> bool {
        self.side_lacks_secret(Side::Client, keys) || self.side_lacks_secret(Side::Server, keys)
    }

    fn side_lacks_secret(&self, side: Side, keys: &KeyStore) -> bool {
        let direction = self.side(side);
        let Some(front) = direction.queue.front() else { return false };
        let secrets = || self.shared.secrets(keys);
        front.what.header().is_some_and(|header| self.blocked(side, header, keys))
            && match direction.phase {
                Phase::Await => true,
                Phase::Seek(_) => !self.has_traffic_secret(side, keys),
                // A renegotiation has a client random of its own, under which nobody waits.
                Phase::Switch(epoch) => epoch == 0 && !self.shared.has_tls12_keys(0, keys),
                Phase::Clear if self.shared.version == Some(Version::Tls12) => !self.shared.has_tls12_keys(0, keys),
                Phase::Clear => secrets().is_none_or(|secrets| !has_any(secrets, side)),
                Phase::Steady(_) | Phase::Dead => false,
            }
    }

    /// The server's EncryptedExtensions may still be read.
    pub(super) fn extensions_may_come(&self) -> bool {
        let handshake = |candidates: &[super::direction::Candidate]| {
            candidates.iter().any(|candidate| candidate.stage == Stage::Handshake)
        };
        self.shared.extensions.is_none()
            && match &self.server.phase {
                Phase::Clear => !self.shared.server_lost,
                Phase::Seek(candidates) => handshake(candidates),
                Phase::Switch(_) | Phase::Await | Phase::Steady(_) | Phase::Dead => false,
            }
    }

    /// Reads an item that need not wait.
    pub(super) fn handle<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, item: Item<'_, 'm>) {
        match item {
            Item::Record(header, body) => {
                let direction = self.side_mut(side);
                direction.trials = direction.trials.saturating_add(header.len() as u64);
                if matches!(direction.phase, Phase::Steady(_)) {
                    return self.steady(call, side, header, body);
                }
                match direction.phase {
                    Phase::Clear => self.clear(call, side, header, body),
                    Phase::Switch(epoch) => {
                        self.switch(call, side, epoch);
                        self.handle(call, side, Item::Record(header, body));
                    }
                    Phase::Await if header.content_type() == content::APPLICATION_DATA => {
                        self.end_wait(call, side);
                        self.handle(call, side, Item::Record(header, body));
                    }
                    Phase::Await => self.clear_alert(call, side, header, &body),
                    Phase::Seek(_) => self.seek(call, side, header, &body),
                    Phase::Steady(_) => {}
                    Phase::Dead => self.pass_over(side, header),
                }
            }
            Item::Damaged(header, tail) => self.damaged(call, side, header, tail),
            Item::Hole(bytes) => {
                self.handshake_damaged(side);
                let direction = self.side_mut(side);
                let overhead = match &direction.phase {
                    Phase::Steady(steady) => super::steady::overhead(&steady.cipher),
                    _ => 22,
                };
                if bytes > 0 {
                    direction.lost().hole(bytes, overhead);
                }
                direction.unread = direction.unread.saturating_add(bytes);
            }
            Item::NotTls => self.die(call, side, Dark::NotTls),
        }
    }

    /// Counts a record that is not readable.
    pub(super) fn pass_over(&mut self, side: Side, header: Header) {
        let direction = self.side_mut(side);
        direction.unread = direction.unread.saturating_add(header.len() as u64);
    }

    /// Bytes of this side are missing.
    pub(super) fn handshake_damaged(&mut self, side: Side) {
        self.shared.drop_transcript(side);
        let direction = self.side_mut(side);
        direction.lossy = true;
        direction.messages.reset();
    }

    fn damaged<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, header: Header, tail: Option<[u8; 17]>) {
        self.handshake_damaged(side);
        let protected = header.content_type() == content::APPLICATION_DATA;
        match (&self.side(side).phase, header.content_type()) {
            (Phase::Clear, content::CHANGE_CIPHER_SPEC) => self.change_cipher_spec(call, side),
            (Phase::Clear, content::APPLICATION_DATA) => {
                self.leave_clear(call, side);
                if !matches!(self.side(side).phase, Phase::Clear) {
                    self.damaged(call, side, header, tail);
                }
            }
            (Phase::Clear, _) => {}
            (Phase::Switch(epoch), _) => {
                let epoch = *epoch;
                self.switch(call, side, epoch);
                self.damaged(call, side, header, tail);
            }
            (Phase::Await, _) if protected => {
                self.end_wait(call, side);
                self.damaged(call, side, header, tail);
            }
            (Phase::Seek(_), _) if protected => {
                self.side_mut(side).lost().records(1, header.len() as u64);
                self.pass_over(side, header);
            }
            (Phase::Steady(steady), _) if protected || !steady.tls13 => {
                let content = self.content_of_damaged(side, header, tail);
                self.side_mut(side).lost().record(content);
                self.pass_over(side, header);
            }
            (Phase::Dead, _) => self.pass_over(side, header),
            _ => {}
        }
    }

    /// Something changed: held records may go.
    pub(super) const fn stir(&mut self) {
        self.stirred = true;
    }

    /// Reads held records in the order in which they came, until each side has to wait.
    #[inline]
    pub(super) fn drain<R: Reader>(&mut self, keys: &KeyStore, reader: &mut R) {
        if self.stirred || (self.generation != keys.generation() && self.is_blind()) {
            self.drain_stirred(keys, reader);
        }
    }

    fn drain_stirred<R: Reader>(&mut self, keys: &KeyStore, reader: &mut R) {
        self.stirred = false;
        self.generation = keys.generation();
        self.shared.look_up(keys);
        self.shared.tell_followed(reader);
        while let Some(side) = self.next_ready(keys) {
            let direction = self.side_mut(side);
            let dropped = direction.queue.take_dropped();
            let Some(held) = direction.queue.pop() else { continue };
            let call = &mut Call { time: held.time, keys, reader };
            if let Some(dropped) = dropped {
                self.resume_behind(call, side, dropped);
            }
            self.handle(call, side, held.what.item());
        }
        self.stirred = false;
    }

    fn next_ready(&self, keys: &KeyStore) -> Option<Side> {
        let ready = |side: Side| {
            let front = self.side(side).queue.front()?;
            let waits = front.what.header().is_some_and(|header| self.blocked(side, header, keys));
            (!waits).then_some((front.order, side))
        };
        let first = [ready(Side::Client), ready(Side::Server)].into_iter().flatten().min_by_key(|(order, _)| *order);
        first.map(|(_, side)| side)
    }

    /// Held records were dropped in front of the one that comes.
    fn resume_behind<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, dropped: super::held::Dropped) {
        call.reader.dark(call.time, Some(side), Dark::HeldTooMuch);
        let tls12 = self.shared.version == Some(Version::Tls12);
        let direction = self.side_mut(side);
        direction.lossy = true;
        direction.messages.reset();
        direction.unread = direction.unread.saturating_add(dropped.payload);
        let records = match (&direction.phase, dropped.behind_ccs) {
            (Phase::Steady(steady), _) if steady.tls13 => dropped.records,
            (Phase::Clear, Some(behind)) if tls12 => {
                self.change_cipher_spec(call, side);
                behind
            }
            _ => dropped.records,
        };
        let direction = self.side_mut(side);
        direction.lost().records(records, dropped.payload);
        if dropped.holes > 0 {
            direction.lost().hole(dropped.holes, 22);
        }
    }

    pub(super) fn samples(&self) -> Vec<(Side, Sample)> {
        let shared = &self.shared;
        if matches!(shared.version, Some(Version::Tls12 | Version::Other(_)))
            || (shared.has_server_hello() && shared.random.is_some())
        {
            return Vec::new();
        }
        let mut samples = Vec::new();
        for side in [Side::Client, Side::Server] {
            let direction = self.side(side);
            if !matches!(direction.phase, Phase::Clear) || direction.queue.looks_like_tls12() {
                continue;
            }
            let mut records: Vec<(usize, u64, Header, &[u8])> = direction
                .queue
                .iter()
                .filter_map(|held| match &held.what {
                    Waiting::Record(header, bytes) if header.is_protected_data() => {
                        Some((header.len(), held.index, *header, &**bytes))
                    }
                    _ => None,
                })
                .collect();
            records.sort_by_key(|(len, index, ..)| (*len, *index));
            records.truncate(SAMPLES);
            samples.extend(records.into_iter().map(|(_, index, header, fragment)| {
                (side, Sample { index, header: header.0, fragment: fragment.into() })
            }));
        }
        samples
    }

    pub(super) fn unlock(&mut self, found: Found) {
        let side = found.side;
        if !matches!(self.side(side).phase, Phase::Clear)
            || self.shared.random.is_some_and(|random| random != found.random)
        {
            return;
        }
        self.shared.random = Some(found.random);
        self.shared.version = Some(Version::Tls13);
        self.shared.suite = Some(found.suite);
        self.shared.joined = true;
        self.stirred = true;
        let direction = self.side_mut(side);
        let mut passed = 0;
        // Sequence numbers are counted back to the first record that this secret can have protected, and that no hole precedes.
        let earliest = found.record_index.saturating_sub(found.sequence);
        let hole = direction
            .queue
            .iter()
            .filter(|held| matches!(held.what, Waiting::Hole(_)) && held.index <= found.record_index)
            .map(|held| held.order)
            .max();
        while let Some(front) = direction.queue.front() {
            let keeps = front.index >= earliest && hole.is_none_or(|hole| front.order > hole);
            if keeps {
                break;
            }
            if let Some(held) = direction.queue.pop() {
                passed += held.what.header().map_or(0, |header| header.len() as u64);
            }
        }
        passed += direction.queue.take_dropped().map_or(0, |dropped| dropped.payload);
        direction.unread = direction.unread.saturating_add(passed);
        let first = direction.queue.front().map_or(found.record_index, |front| front.index);
        let sequence = found.sequence.saturating_sub(found.record_index.saturating_sub(first));
        direction.lost = None;
        direction.failures = 0;
        direction.phase = Phase::Steady(Steady { cipher: found.cipher, sequence, tls13: true, proven: true });
        direction.joined_inside = (sequence > 0 || found.generation > 0).then_some(u64::from(passed > 0));
    }

    /// The end: whatever can be read is read, and what stays dark is said.
    pub(super) fn finish<R: Reader>(&mut self, call: &mut Call<'_, R>, lost: [bool; 2]) {
        if !self.shared.has_server_hello() {
            self.shared.server_lost = true;
        }
        self.impatient = true;
        self.drain_stirred(call.keys, call.reader);
        for (side, lost) in [Side::Client, Side::Server].into_iter().zip(lost) {
            self.flush_lost(call, side);
            let direction = self.side(side);
            let sought = matches!(direction.phase, Phase::Seek(_)) && direction.failures > 0 && !direction.lossy;
            if !direction.queue.is_empty() {
                self.tell_dark(call, side);
            } else if sought {
                self.die(call, side, Dark::WrongKey);
            } else if lost {
                self.die(call, side, Dark::LostSync);
            }
        }
        self.settle(call);
    }

    /// What was lost at the end of what can be read.
    fn flush_lost<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side) {
        let direction = self.side_mut(side);
        if let (Phase::Steady(_), Some(lost)) = (&direction.phase, direction.lost.take()) {
            let gap = lost.gap(lost.fewest, None);
            if gap.max > 0 {
                call.reader.gap(call.time, side, Gap { min: 0, max: gap.max });
            }
        }
    }

    pub(super) const fn random(&self) -> Option<&[u8; 32]> {
        self.shared.random.as_ref()
    }

    pub(super) const fn joined_late(&self) -> bool {
        self.shared.joined
    }

    pub(super) fn is_blind(&self) -> bool {
        !self.client.queue.is_empty() || !self.server.queue.is_empty()
    }

    pub(super) const fn is_dead(&self) -> bool {
        matches!((&self.client.phase, &self.server.phase), (Phase::Dead, Phase::Dead))
    }

    pub(super) fn hides(&self, side: Side) -> bool {
        let direction = self.side(side);
        !direction.queue.is_empty() || matches!(direction.phase, Phase::Dead)
    }

    pub(super) fn held(&self) -> usize {
        self.client.queue.bytes() + self.server.queue.bytes()
    }

    pub(super) fn unread(&self) -> u64 {
        [&self.client, &self.server].map(|side| side.unread + side.queue.unread()).iter().sum()
    }

    pub(super) fn memory(&self) -> usize {
        let own = self.plain.capacity() + self.scratch.capacity();
        own + self.shared.memory() + self.client.memory() + self.server.memory()
    }
}

/// A secret that can open what this side sends.
const fn has_any(secrets: &Secrets, side: Side) -> bool {
    secrets.traffic(side).is_some() || secrets.handshake(side).is_some()
}
