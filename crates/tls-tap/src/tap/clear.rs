//! Records in the clear: hellos, ChangeCipherSpec, and the way out of them.

use super::direction::{Phase, Steady};
use super::flow::{Call, Flow};
use super::lost::Lost;
use crate::body::Body;
use crate::handshake::hello;
use crate::handshake::messages::{Messages, message};
use crate::record::{Header, content};
use crate::{Alert, Dark, Reader, Session, Side, Suite, Version};

/// Records of TLS 1.2 that can stand between ChangeCipherSpec and the first application data.
const FINISHED_RECORDS: u64 = 4;

impl<'m> Flow<'m> {
    pub(super) fn clear<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, header: Header, body: Body<'_, 'm>) {
        match header.content_type() {
            content::HANDSHAKE => {
                for piece in body.pieces() {
                    self.handshake(call, side, piece);
                }
            }
            content::CHANGE_CIPHER_SPEC => self.change_cipher_spec(call, side),
            content::ALERT => self.clear_alert(call, side, header, &body),
            content::APPLICATION_DATA => {
                self.leave_clear(call, side);
                match self.side(side).phase {
                    // 0-RTT data that a HelloRetryRequest refused.
                    Phase::Clear => self.pass_over(side, header),
                    _ => self.handle(call, side, crate::framer::Item::Record(header, body)),
                }
            }
            _ => {}
        }
    }

    pub(super) fn clear_alert<R: Reader>(
        &mut self,
        call: &mut Call<'_, R>,
        side: Side,
        header: Header,
        body: &Body<'_, 'm>,
    ) {
        let mut alert = [0; 2];
        if header.len() == 2 && body.copy_at(0, &mut alert) {
            self.alert(call, side, &alert);
        }
    }

    pub(super) fn alert<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, bytes: &[u8]) {
        if let [level, description, ..] = *bytes {
            call.reader.alert(call.time, Alert { by: side, level, description });
        }
    }

    /// Handshake bytes of TLS 1.2, or of TLS 1.3 before its keys.
    pub(super) fn handshake<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, mut bytes: &[u8]) {
        let cap = self.limits.handshake;
        let mut messages = std::mem::take(&mut self.side_mut(side).messages);
        while let Some(message) = messages.next(&mut bytes, cap, self.shared.records_transcript()) {
            self.hello(call, side, message.kind, message.body);
            self.shared.transcribe(side, &message, cap);
            self.shared.derive(side, &message, call.keys);
        }
        self.shared.tell_followed(call.reader);
        if messages.is_idle() {
            messages = Messages::default();
        }
        self.side_mut(side).messages = messages;
    }

    fn hello<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, kind: u8, body: &[u8]) {
        match (side, kind) {
            (Side::Client, message::CLIENT_HELLO) => {
                let Some(read) = hello::client_hello(body) else { return };
                let hello = read.hello.clone();
                let first = self.shared.random.is_none();
                if self.shared.client_hello(read) && first {
                    call.reader.client_hello(call.time, hello);
                }
                self.stir();
            }
            (Side::Server, message::SERVER_HELLO) => {
                let Some(read) = hello::server_hello(body) else { return };
                self.shared.server_hello(read);
                self.stir();
                self.refuse_unknown(call);
            }
            (Side::Server, message::NEW_SESSION_TICKET) => self.shared.ticket = hello::session_ticket(body),
            (Side::Server, message::CERTIFICATE | message::SERVER_HELLO_DONE) => {
                self.side_mut(side).certificate = true;
                self.settle(call);
            }
            _ => {}
        }
    }

    /// Versions and suites that are not decrypted.
    fn refuse_unknown<R: Reader>(&mut self, call: &mut Call<'_, R>) {
        let why = match (self.shared.version, self.shared.suite) {
            (Some(Version::Other(version)), _) => Dark::Version(version),
            (Some(_), Some(suite)) if Suite::by_id(suite).is_none() => Dark::Suite(suite),
            _ => return,
        };
        self.settle(call);
        call.reader.dark(call.time, None, why);
        for side in [Side::Client, Side::Server] {
            self.side_mut(side).told = true;
            self.die(call, side, why);
        }
    }

    pub(super) fn change_cipher_spec<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side) {
        match self.shared.version {
            Some(Version::Tls12) => {
                if side == Side::Server && !self.shared.secured {
                    let direction = self.side(side);
                    self.shared.resumed = !direction.certificate && !direction.lossy;
                    self.settle(call);
                    if self.shared.resumed
                        && let Some((random, names)) = self.shared.resumes()
                    {
                        call.reader.session(Session::Resumed { random, names });
                    }
                }
                let direction = self.side_mut(side);
                direction.messages.reset();
                direction.phase = Phase::Switch(direction.epochs);
                direction.epochs += 1;
            }
            None if side == Side::Server => {
                self.shared.server_lost = true;
                self.stir();
            }
            _ => {}
        }
    }

    /// Protected data came: TLS 1.3, or TLS 1.2 whose ChangeCipherSpec is missing.
    pub(super) fn leave_clear<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side) {
        match self.shared.version {
            Some(Version::Tls13) => self.begin_seek(call, side),
            Some(Version::Tls12) => {
                self.change_cipher_spec(call, side);
                let direction = self.side_mut(side);
                let lost = direction.lost.get_or_insert(Lost::NOTHING);
                lost.most = lost.most.saturating_add(FINISHED_RECORDS);
                lost.exact = false;
            }
            Some(Version::Other(version)) => self.die(call, side, Dark::Version(version)),
            None if side == Side::Client && !self.shared.server_lost => {}
            None => self.begin_seek(call, side),
        }
    }

    /// Both hellos and the master secret of a TLS 1.2 handshake are there.
    pub(super) fn switch<R: Reader>(&mut self, call: &mut Call<'_, R>, side: Side, epoch: usize) {
        let master = self.shared.tls12_master(epoch, call.keys);
        let cipher = master.as_ref().and_then(|master| self.shared.tls12_cipher(epoch, side, master));
        match cipher.zip(master) {
            Some((cipher, master)) => {
                // The server's ticket comes before it changes.
                if side == Side::Server {
                    let names = self.shared.session_names(epoch);
                    if names != [None, None] {
                        call.reader.session(Session::Made { names, master: &master });
                    }
                }
                let direction = self.side_mut(side);
                direction.phase =
                    Phase::Steady(Steady { cipher: Box::new(cipher), sequence: 0, tls13: false, proven: false });
            }
            None => self.die(call, side, Dark::WrongKey),
        }
    }

    /// Says what the handshake settled, once.
    pub(super) fn settle<R: Reader>(&mut self, call: &mut Call<'_, R>) {
        if !self.shared.secured
            && let Some(secured) = self.shared.settled()
        {
            self.shared.secured = true;
            call.reader.secured(call.time, secured);
        }
    }
}
