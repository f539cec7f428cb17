//! Which connections are open. There is room for a fixed number; the one that was quiet for longest makes room for a new one, so that
//! connections that only wait never keep others out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A connection that is quiet for less than this is given time to say what it wants.
const GRACE: Duration = Duration::from_millis(500);

/// A connection on which nothing was asked or answered for this long is closed: it reads its answer too slowly.
const STALLED: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Slots {
    room: usize,
    inner: Mutex<Inner>,
    /// Somebody left.
    left: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    open: BTreeMap<u64, Arc<Slot>>,
    /// Open ones that are not working on an answer, by the time since when.
    quiet: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Slot {
    state: Mutex<State>,
    close: Notify,
}

#[derive(Debug)]
struct State {
    /// Last change between quiet and busy.
    changed: Instant,
    /// Answers that are being worked on: HTTP/2 asks for several at a time.
    at_work: usize,
}

/// A place for an open connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    slots: Arc<Slots>,
    slot: Arc<Slot>,
    id: u64,
}

/// A panic while the lock was held leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    pub(super) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { room, inner: Mutex::default(), left: Notify::new() })
    }

    /// A place for a new connection. Waits for one where all are taken by connections that are at work or came just now.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            let left = self.left.notified();
            let wait = match self.try_take() {
                Ok(place) => return place,
                Err(wait) => wait,
            };
            let _ = tokio::time::timeout(wait, left).await;
        }
    }

    /// A place, or how long until there may be one.
    fn try_take(self: &Arc<Self>) -> Result<Place, Duration> {
        let now = Instant::now();
        let mut inner = lock(&self.inner);
        if inner.open.len() >= self.room {
            match inner.quiet.first().copied() {
                None => return Err(GRACE),
                Some((since, _)) if now < since + GRACE => return Err(since + GRACE - now),
                Some(oldest) => {
                    inner.quiet.remove(&oldest);
                    if let Some(slot) = inner.open.remove(&oldest.1) {
                        slot.close.notify_one();
                    }
                }
            }
        }
        let id = inner.next;
        inner.next += 1;
        let slot = Arc::new(Slot { state: Mutex::new(State { changed: now, at_work: 0 }), close: Notify::new() });
        inner.open.insert(id, Arc::clone(&slot));
        inner.quiet.insert((now, id));
        drop(inner);
        Ok(Place { slots: Arc::clone(self), slot, id })
    }

    /// Waits until nobody is there.
    pub(super) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if lock(&self.inner).open.is_empty() {
                return;
            }
            // A notification goes to one of those who wait: look again in a moment whatever comes.
            let _ = tokio::time::timeout(Duration::from_millis(20), left).await;
        }
    }

    #[cfg(test)]
    fn open(&self) -> usize {
        lock(&self.inner).open.len()
    }
}

impl Place {
    /// An answer is being worked on.
    pub(super) fn busy(&self) {
        self.change(|at_work| at_work.saturating_add(1));
    }

    /// It is done; it may still be on its way.
    pub(super) fn quiet(&self) {
        self.change(|at_work| at_work.saturating_sub(1));
    }

    fn change(&self, count: impl FnOnce(usize) -> usize) {
        let now = Instant::now();
        let mut inner = lock(&self.slots.inner);
        let mut state = lock(&self.slot.state);
        inner.quiet.remove(&(state.changed, self.id));
        *state = State { changed: now, at_work: count(state.at_work) };
        // One that had to make room stays out.
        if state.at_work == 0 && inner.open.contains_key(&self.id) {
            inner.quiet.insert((now, self.id));
        }
    }

    /// Waits until this connection has to make room for another, or has stalled.
    pub(super) async fn over(&self) {
        let stalled = async {
            loop {
                let at = lock(&self.slot.state).changed + STALLED;
                if Instant::now() >= at {
                    return;
                }
                tokio::time::sleep_until(at).await;
            }
        };
        tokio::select! {
            () = self.slot.close.notified() => {}
            () = stalled => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = lock(&self.slots.inner);
        inner.open.remove(&self.id);
        inner.quiet.remove(&(lock(&self.slot.state).changed, self.id));
        drop(inner);
        self.slots.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{GRACE, Slots};

    #[tokio::test]
    async fn the_one_quiet_for_longest_makes_room() {
        let slots = Slots::new(2);
        let (first, second) = (slots.take().await, slots.take().await);
        first.busy();
        tokio::time::sleep(GRACE + Duration::from_millis(10)).await;
        let third = slots.take().await;
        second.over().await;
        drop(second);
        assert_eq!(slots.open(), 2);
        drop((first, third));
        slots.empty().await;
    }

    #[tokio::test]
    async fn those_at_work_are_waited_for() {
        let slots = Slots::new(1);
        let first = slots.take().await;
        first.busy();
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.take().await.id }
        });
        tokio::task::yield_now().await;
        assert_eq!(slots.open(), 1);
        drop(first);
        assert_eq!(waiting.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn one_is_at_work_until_its_last_answer_is_done() {
        let slots = Slots::new(1);
        let place = slots.take().await;
        place.busy();
        place.busy();
        place.quiet();
        assert!(slots.try_take().is_err_and(|wait| wait == GRACE), "nobody is quiet");
        place.quiet();
        tokio::time::sleep(GRACE + Duration::from_millis(10)).await;
        slots.take().await;
    }

    #[tokio::test]
    async fn a_place_that_was_lost_is_not_taken_again() {
        let slots = Slots::new(1);
        let first = slots.take().await;
        tokio::time::sleep(GRACE + Duration::from_millis(10)).await;
        let second = slots.take().await;
        first.busy();
        first.quiet();
        drop(first);
        assert_eq!(slots.open(), 1);
        drop(second);
        assert_eq!(slots.open(), 0);
    }
}
