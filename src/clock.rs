//! Coarse time for one worker: deadlines are kept in a list that one tick sweeps, instead of a timer each.
//!
//! A deadline fires between its time and one [`TICK`] later. Setting one is a store. A worker that has nothing to do does not
//! tick: the clock rests until the next deadline, or until somebody asks for the time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{self, MissedTickBehavior};

/// How often deadlines are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(TICK_MS);
const TICK_MS: u64 = 25;

const NEVER: u64 = u64::MAX;

/// After so many ticks at which nobody had asked for the time it rests: a second.
const TICKS_UNASKED_MAX: u64 = 1000 / TICK_MS;

/// The clock of one worker.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    now_ms: Cell<u64>,
    /// Whether anybody asked for the time since the last tick.
    asked: Cell<bool>,
    /// Whether it does not tick, so that `now_ms` may be long ago.
    rests: Cell<bool>,
    /// That it is to tick again.
    roused: Notify,
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
        Self::since(Instant::now())
    }
}

impl Clock {
    /// A clock whose first tick finds that this much time has passed.
    #[cfg(test)]
    pub(crate) fn late(by: Duration) -> Self {
        Self::since(Instant::now().checked_sub(by).expect("the machine has run longer"))
    }

    fn since(started: Instant) -> Self {
        Self(Rc::new(Inner {
            started,
            now_ms: Cell::new(0),
            asked: Cell::new(false),
            rests: Cell::new(false),
            roused: Notify::new(),
            slots: RefCell::default(),
            free: RefCell::default(),
        }))
    }

    /// Runs the tick; ends only by being dropped.
    pub(crate) async fn run(self) {
        let mut interval = time::interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unasked = 0;
        loop {
            interval.tick().await;
            let next_ms = self.sweep();
            unasked = if self.0.asked.take() { 0 } else { unasked + 1 };
            if unasked >= TICKS_UNASKED_MAX {
                self.rest(next_ms).await;
                interval.reset_immediately();
                unasked = 0;
            }
        }
    }

    /// Waits for the time of the next deadline, or for somebody who asks.
    async fn rest(&self, next_ms: u64) {
        self.0.rests.set(true);
        let roused = self.0.roused.notified();
        match next_ms.saturating_sub(self.0.now_ms.get()) {
            // None is set.
            _ if next_ms == NEVER => roused.await,
            ms => drop(time::timeout(Duration::from_millis(ms), roused).await),
        }
        self.0.rests.set(false);
    }

    /// Milliseconds since the worker began, as of the last tick.
    #[must_use]
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        self.0.asked.set(true);
        if self.0.rests.get() {
            self.rouse();
        }
        self.0.now_ms.get()
    }

    #[cold]
    fn rouse(&self) {
        self.0.rests.set(false);
        self.refresh();
        self.0.roused.notify_one();
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

    /// Wakes those whose deadline has passed. When the next one does: [`NEVER`] where none is set.
    fn sweep(&self) -> u64 {
        self.refresh();
        let (now, mut next_ms) = (self.0.now_ms.get(), NEVER);
        for slot in self.0.slots.borrow().iter().flatten() {
            let at_ms = slot.at_ms.get();
            if at_ms > now {
                next_ms = next_ms.min(at_ms);
            } else if let Some(waker) = slot.waker.borrow_mut().take() {
                waker.wake();
            }
        }
        next_ms
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
    use std::pin::pin;

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

    /// Lets time go by for a clock.
    async fn pass(clock: &mut (impl Future<Output = ()> + Unpin), time: Duration) {
        tokio::select! {
            biased;
            () = clock => unreachable!("the tick never ends"),
            () = time::sleep(time) => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_rests_until_somebody_asks_who_is_told_the_time_of_then() {
        let clock = Clock::late(Duration::from_secs(60));
        let mut run = pin!(clock.clone().run());
        pass(&mut run, Duration::from_secs(2)).await;
        clock.0.now_ms.set(0);
        pass(&mut run, Duration::from_secs(3600)).await;
        assert_eq!(clock.0.now_ms.get(), 0, "no tick came");
        assert!(clock.now_ms() >= 60_000);
        clock.0.now_ms.set(0);
        pass(&mut run, TICK).await;
        assert!(clock.0.now_ms.get() >= 60_000, "it ticks");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_the_rest_of_its_clock() {
        let clock = Clock::default();
        let deadline = clock.deadline();
        // Ticks of a paused time pass at once: it rests long before.
        deadline.set(Duration::from_millis(100));
        tokio::select! {
            () = poll_fn(|cx| deadline.poll(cx)) => {}
            () = clock.clone().run() => unreachable!("the tick never ends"),
        }
        // One that is set while it rests, too.
        let mut run = pin!(clock.clone().run());
        pass(&mut run, Duration::from_secs(3600)).await;
        assert!(clock.0.rests.get());
        deadline.set(Duration::from_millis(5));
        tokio::select! {
            () = poll_fn(|cx| deadline.poll(cx)) => {}
            () = run => unreachable!("the tick never ends"),
        }
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
