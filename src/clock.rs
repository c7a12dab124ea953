//! Coarse time for one worker: deadlines are kept in a list that one tick sweeps, instead of a timer each.
//!
//! A deadline fires between its time and one [`TICK`] later. Setting one is a store.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How often deadlines are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(TICK_MS);
const TICK_MS: u64 = 25;

const NEVER: u64 = u64::MAX;

/// The clock of one worker.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    now_ms: Cell<u64>,
    slots: RefCell<Vec<Option<Rc<Slot>>>>,
    free: RefCell<Vec<usize>>,
}

#[derive(Debug)]
struct Slot {
    at_ms: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

/// A point in time that may be moved; whoever polls it is woken when it has passed.
#[derive(Debug)]
pub(crate) struct Deadline {
    clock: Clock,
    slot: Rc<Slot>,
    key: usize,
}

// === impl Clock ===

impl Default for Clock {
    fn default() -> Self {
        Self(Rc::new(Inner {
            started: Instant::now(),
            now_ms: Cell::new(0),
            slots: RefCell::default(),
            free: RefCell::default(),
        }))
    }
}

impl Clock {
    /// A clock whose first tick finds that this much time has passed.
    #[cfg(test)]
    pub(crate) fn late(by: Duration) -> Self {
        let started = Instant::now().checked_sub(by).expect("the machine has run longer");
        Self(Rc::new(Inner { started, now_ms: Cell::new(0), slots: RefCell::default(), free: RefCell::default() }))
    }

    /// Runs the tick; ends only by being dropped.
    pub(crate) async fn run(self) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.sweep();
        }
    }

    /// Milliseconds since the worker began, as of the last tick.
    #[must_use]
    pub(crate) fn now_ms(&self) -> u64 {
        self.0.now_ms.get()
    }

    /// A deadline that is not set.
    #[must_use]
    pub(crate) fn deadline(&self) -> Deadline {
        let slot = Rc::new(Slot { at_ms: Cell::new(NEVER), waker: RefCell::new(None) });
        let mut slots = self.0.slots.borrow_mut();
        let key = self.0.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        });
        slots[key] = Some(Rc::clone(&slot));
        Deadline { clock: self.clone(), slot, key }
    }

    /// Takes the time anew: what sets deadlines after a task that ran long would otherwise set them early.
    pub(crate) fn refresh(&self) {
        let now = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(NEVER - 1);
        self.0.now_ms.set(now);
    }

    fn sweep(&self) {
        self.refresh();
        let now = self.now_ms();
        for slot in self.0.slots.borrow().iter().flatten() {
            if slot.at_ms.get() <= now
                && let Some(waker) = slot.waker.borrow_mut().take()
            {
                waker.wake();
            }
        }
    }
}

// === impl Deadline ===

impl Deadline {
    /// Moves it to `after` from now.
    pub(crate) fn set(&self, after: Duration) {
        let after = u64::try_from(after.as_millis()).unwrap_or(NEVER >> 1);
        // One tick more: `now_ms` may be one tick old, and a deadline never fires early.
        self.slot.at_ms.set(self.clock.now_ms().saturating_add(after).saturating_add(TICK_MS));
    }

    /// Unsets it.
    pub(crate) fn clear(&self) {
        self.slot.at_ms.set(NEVER);
    }

    /// How much of it is left, as of the last tick.
    #[must_use]
    pub(crate) fn left(&self) -> Duration {
        let left = self.slot.at_ms.get().saturating_sub(self.clock.now_ms());
        // Without the tick that setting one adds.
        Duration::from_millis(left.saturating_sub(TICK_MS))
    }

    /// Whether it has passed.
    #[must_use]
    pub(crate) fn passed(&self) -> bool {
        self.slot.at_ms.get() <= self.clock.now_ms()
    }

    /// Ready once it has passed; registers the task otherwise.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.passed() {
            return Poll::Ready(());
        }
        let mut waker = self.slot.waker.borrow_mut();
        match &mut *waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            other => *other = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.clock.0.slots.borrow_mut()[self.key] = None;
        self.clock.0.free.borrow_mut().push(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_fires_after_its_time_and_not_before() {
        let clock = Clock::default();
        let deadline = clock.deadline();
        deadline.set(Duration::from_millis(5));
        assert!(!deadline.passed());
        assert_eq!(deadline.left(), Duration::from_millis(5));
        tokio::select! {
            () = clock.clone().run() => unreachable!("the tick never ends"),
            () = async {
                // The tick reads the real clock; it advances on its own while the paused timer is turned.
                poll_fn(|cx| deadline.poll(cx)).await;
            } => {}
        }
        assert!(deadline.passed());
        assert_eq!(deadline.left(), Duration::ZERO);
        deadline.clear();
        assert!(!deadline.passed());
    }

    #[test]
    fn a_dropped_deadline_leaves_its_place_to_the_next() {
        let clock = Clock::default();
        let first = clock.deadline();
        let key = first.key;
        drop(first);
        assert_eq!(clock.deadline().key, key);
    }
}
