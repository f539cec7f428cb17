//! Opening only what must be opened. With AES-GCM, CCM and ChaCha20 any block of a record can be read alone.

use super::direction::Phase;
use super::flow::{Call, Flow};
use super::steady::content_len;
use crate::body::Body;
use crate::record::{Header, content};
use crate::{Reader, Side};

/// Records up to this length are opened in full: that costs no more than looking into them.
const SMALL: usize = 1 << 10;
/// Bytes shown at a boundary: an HTTP/2 frame header.
const SHOWN: usize = 9;
/// Looks into one record; with more it is cheaper to open it.
const MAX_LOOKS: usize = 16;

impl<'m> Flow<'m> {
    /// Passes over a record of application data as far as the reader allows. `Some`: it has to be opened and delivered from this
    /// offset on.
    #[inline]
    pub(super) fn selective<R: Reader>(
        &mut self,
        call: &mut Call<'_, R>,
        side: Side,
        header: Header,
        body: &mut Body<'_, 'm>,
    ) -> Option<usize> {
        let limits = self.limits;
        let direction = self.side_mut(side);
        let Phase::Steady(steady) = &mut direction.phase else { return Some(0) };
        let cipher = &steady.cipher;
        if header.len() <= SMALL || !steady.proven || !cipher.seekable() {
            return Some(0);
        }
        let explicit_len = cipher.explicit_len();
        let mut explicit = [0; 8];
        let Some(explicit) = explicit.get_mut(..explicit_len) else { return Some(0) };
        body.copy_at(0, explicit);
        let content = content_len(cipher, header.len());
        if steady.tls13 {
            // The inner type tells a KeyUpdate, an alert, a ticket or padding from data.
            let mut last = [0];
            let mut inner = [0];
            let shown = body.copy_at(content, &mut last)
                && cipher.peek(steady.sequence, explicit, &last, content, &mut inner) == inner.len();
            if !shown || inner != [content::APPLICATION_DATA] {
                return Some(0);
            }
        }
        let mut at = 0;
        let mut looks = 0;
        while at < content {
            let left = content - at;
            let skippable = usize::try_from(call.reader.skippable(side)).unwrap_or(usize::MAX).min(left);
            if skippable > 0 {
                call.reader.skipped(side, skippable as u64);
                at += skippable;
                continue;
            }
            let (mut sealed, mut shown) = ([0; SHOWN], [0; SHOWN]);
            let seen = left >= SHOWN
                && looks < MAX_LOOKS
                && body.copy_at(explicit_len + at, &mut sealed)
                && cipher.peek(steady.sequence, explicit, &sealed, at, &mut shown) == SHOWN;
            if !seen {
                return Some(at);
            }
            match call.reader.peek(call.time, side, &shown) {
                Some(passes) if passes > 0 => {
                    let passes = usize::try_from(passes).unwrap_or(usize::MAX).min(left);
                    call.reader.skipped(side, passes as u64);
                    at += passes;
                    looks += 1;
                }
                _ => return Some(at),
            }
        }
        if looks > 0 {
            let (records, bytes) = (limits.unverified_records, limits.unverified_bytes);
            direction.unverified.push(header, steady.sequence, body, records, bytes);
        }
        steady.sequence += 1;
        None
    }
}
