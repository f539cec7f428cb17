//! RST_STREAM and GOAWAY.

use super::cases::Loss;
use super::connections::{Connection, ServerGoAway};
use super::requests::brief;
use super::{Core, evidence};
use crate::model::{CaseKind, ErrorCode, Finding, Frame, GoAwaySeen, Phase, ResetFinding, ResetSeen, Side, Time};

impl Core {
    pub(super) fn reset(&mut self, at: Time, connection: &mut Connection, seen: ResetSeen, out: &mut Vec<Finding>) {
        let ResetSeen { reset, phase, request, status, opened } = seen;
        let earlier = connection.windows_auth
            || request
                .as_deref()
                .is_some_and(|request| self.unauthorized.has(brief(connection, Some(request), at).target));
        let id = self.next_reset(connection, Frame::RstStream(0).name(), reset.code, reset.by, phase, reset.verified);
        connection.last_reset = Some((reset.stream, id));
        let age = opened.map(|opened| at.since(opened));
        if let Some(age) = age {
            self.stats.reset_age.record(age);
        }
        out.push(Finding::Reset(Box::new(ResetFinding {
            time: at,
            id,
            connection: connection.id,
            parties: connection.parties(),
            sni: connection.sni.clone(),
            frame: Frame::RstStream(reset.stream),
            code: reset.code,
            sender: reset.by,
            phase,
            status,
            age,
            edge: connection.edge(request.as_deref()),
            evidence: evidence::of_reset(request.as_deref(), earlier, phase),
            request,
            verified: reset.verified,
        })));
        if (reset.by, reset.code) == (Side::Client, ErrorCode::CANCEL) {
            self.client_cancel(at, connection, reset.stream);
        }
    }

    pub(super) fn goaway(&mut self, at: Time, connection: &mut Connection, seen: GoAwaySeen, out: &mut Vec<Finding>) {
        let GoAwaySeen { goaway, open } = seen;
        let frame = Frame::GoAway(goaway.last_stream);
        let id = self.next_reset(connection, frame.name(), goaway.code, goaway.by, Phase::Unknown, goaway.verified);
        out.push(Finding::Reset(Box::new(ResetFinding {
            time: at,
            id,
            connection: connection.id,
            parties: connection.parties(),
            sni: connection.sni.clone(),
            frame,
            code: goaway.code,
            sender: goaway.by,
            phase: Phase::Unknown,
            request: None,
            status: None,
            age: None,
            edge: connection.edge(None),
            evidence: evidence::of_reset(None, connection.windows_auth, Phase::Unknown),
            verified: goaway.verified,
        })));
        if goaway.by == Side::Client {
            return;
        }
        let first = connection.goaway.is_none_or(|earlier| earlier.code != goaway.code);
        match &mut connection.goaway {
            // Said again: it may cover more, but it began with the first.
            Some(earlier) if !first => earlier.last_stream = earlier.last_stream.min(goaway.last_stream),
            Some(earlier) if earlier.code != ErrorCode::NO_ERROR => {}
            slot => {
                *slot = Some(ServerGoAway { reset: id, time: at, code: goaway.code, last_stream: goaway.last_stream });
            }
        }
        if goaway.code == ErrorCode::HTTP_1_1_REQUIRED && open == 0 && first {
            let loss = Loss {
                time: at,
                kind: CaseKind::Downgrade,
                parties: connection.parties(),
                request: None,
                record: 0,
                brief: brief(connection, None, at),
                reset: Some(id),
                phase: Phase::BeforeResponse,
                ended_by: Some("goaway"),
                edge: connection.edge(None),
            };
            connection.goaway_case = Some(self.open_case(loss, out));
        }
    }

    fn next_reset(
        &mut self,
        connection: &mut Connection,
        frame: &'static str,
        code: ErrorCode,
        by: Side,
        phase: Phase,
        verified: bool,
    ) -> u64 {
        self.resets += 1;
        let key = (frame, code, by, phase);
        // The code is 32 bits of a peer's choice; those that have a name always have room.
        if code.name().is_some() || self.stats.resets.len() < self.limits.top || self.stats.resets.contains_key(&key) {
            *self.stats.resets.entry(key).or_default() += 1;
        } else {
            *self.stats.resets_beyond.entry((frame, by, phase)).or_default() += 1;
            *self.stats.capped.entry("reset_codes").or_default() += 1;
        }
        if by == Side::Server {
            connection.counts(&mut self.stats.servers).add_reset(code);
        }
        self.stats.unverified_resets += u64::from(!verified);
        self.resets
    }
}
