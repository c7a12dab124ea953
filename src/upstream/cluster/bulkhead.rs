//! How many calls to a backend there are at once, over all workers: those above wait in turn, and those above that, or for
//! too long, are refused.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::Notify;

use crate::upstream::Error;
use crate::upstream::plan::Concurrency;

/// See the module.
#[derive(Debug)]
pub(super) struct Bulkhead {
    max: AtomicU32,
    queue: AtomicU32,
    patience_ms: AtomicU64,
    under_way: AtomicU32,
    waiting: AtomicU32,
    freed: Notify,
}

/// A place of a call.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a Bulkhead);

/// A place in the queue.
struct Waiting<'a>(&'a Bulkhead);

// === impl Bulkhead ===

impl Bulkhead {
    pub(super) fn new(settings: Concurrency) -> Self {
        Self {
            max: AtomicU32::new(settings.max),
            queue: AtomicU32::new(settings.queue),
            patience_ms: AtomicU64::new(settings.queue_timeout_ms),
            under_way: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            freed: Notify::new(),
        }
    }

    /// Goes by these from now on. Calls that have a place keep it; calls that wait look whether there is one by now.
    pub(super) fn set(&self, settings: Concurrency) {
        self.queue.store(settings.queue, Relaxed);
        self.patience_ms.store(settings.queue_timeout_ms, Relaxed);
        if self.max.swap(settings.max, SeqCst) < settings.max {
            // Kept for one who is about to wait; each that finds a place wakes the next.
            self.freed.notify_one();
        }
    }

    /// Whether there is no place now, or others wait for it.
    pub(super) fn is_full(&self) -> bool {
        self.waiting() > 0 || self.under_way.load(SeqCst) >= self.max.load(SeqCst)
    }

    /// How many wait for a place.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting.load(SeqCst)
    }

    /// A place, where there is one and nobody waits for it.
    #[inline]
    pub(super) fn enter(&self) -> Option<Place<'_>> {
        if self.waiting.load(SeqCst) > 0 { None } else { self.take() }
    }

    /// A place as soon as it is this call's turn.
    ///
    /// # Errors
    /// When the queue is full, or the turn does not come in time.
    #[cold]
    pub(super) async fn queue(&self) -> Result<Place<'_>, Error> {
        let waiting = Waiting(self);
        let before = self.waiting.fetch_add(1, SeqCst);
        let (max, queue) = (self.max.load(Relaxed), self.queue.load(Relaxed));
        // One that was refused meanwhile may have kept this one from a place that is free.
        if let Some(place) = if before == 0 || before >= queue { self.take() } else { None } {
            return Ok(place);
        }
        if before >= queue {
            return Err(Error::full(format!("{max} calls are under way and {queue} wait, as many as may")));
        }
        let turn = async {
            loop {
                self.freed.notified().await;
                if let Some(place) = self.take() {
                    return place;
                }
            }
        };
        let patience = Duration::from_millis(self.patience_ms.load(Relaxed));
        let place = tokio::time::timeout(patience, turn).await;
        drop(waiting);
        place.map_err(|_elapsed| Error::full(format!("{max} calls are under way, and none ended within {patience:?}")))
    }

    #[inline]
    fn take(&self) -> Option<Place<'_>> {
        let free = |taken| (taken < self.max.load(SeqCst)).then_some(taken + 1);
        self.under_way.fetch_update(SeqCst, SeqCst, free).ok().map(|_before| Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, SeqCst);
        if self.0.waiting.load(SeqCst) > 0 {
            self.0.freed.notify_one();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
        // A place may have been freed for this one.
        if self.0.waiting.load(SeqCst) > 0 {
            self.0.freed.notify_one();
        }
    }
}
