//! Requests without a complete response that are no cases: nobody failed them, as far as it was seen.

use super::Core;
use super::connections::Open;
use super::requests::Ended;
use crate::model::{CloseHow, ExchangeEnd, Phase, Time, Unfinished};

impl Core {
    /// Counts a request that left its connection and is no case.
    pub(super) fn unfinished(&mut self, at: Time, ended: &Ended, open: Option<&Open>) {
        let Some(open) = open else { return };
        let what = match ended.end {
            ExchangeEnd::Complete => return,
            ExchangeEnd::Unseen => Unfinished::Unseen,
            ExchangeEnd::Reset(_) => Unfinished::Abandoned,
            ExchangeEnd::Closed { how, .. } => match how {
                CloseHow::InputEnded => Unfinished::InFlight,
                CloseHow::Fin(_) | CloseHow::Rst(_) | CloseHow::Alert(..) | CloseHow::ProcessEnded(_) => {
                    Unfinished::Abandoned
                }
                CloseHow::Reused | CloseHow::Idle | CloseHow::Freed | CloseHow::Evicted => Unfinished::Unseen,
            },
        };
        // An accepted CONNECT or WebSocket has its response: it is over when it is over.
        if ended.phase == Phase::InBody && open.request.tunnel {
            return;
        }
        // Whoever leaves after bytes that were lost may have had the response.
        let what = if ended.phase == Phase::Unknown { Unfinished::Unseen } else { what };
        let waits = self.stats.unfinished.entry((what, ended.phase)).or_default();
        let waited = at.since(open.start);
        waits.count += 1;
        waits.long += u64::from(waited > self.settings.window);
        waits.longest = waits.longest.max(waited);
    }
}
