//! What one worker counts. How it is named and shown is not decided here.
//!
//! **Invariant:** a counter is written by one worker only, so that counting is a load and a store: no lock, no locked
//! instruction, no allocation. Others may read it at any time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use crate::limits;
use crate::upstream::Kind;

/// The upper bounds of the ranges in which durations are counted, in microseconds; one range more has none.
pub(crate) const BOUNDS_MICROS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
    60_000_000,
];

/// Which of two calls that are under way for one answered.
pub(crate) const WINNERS: [&str; 3] = ["none", "first", "second"];

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// What one worker counts.
// On lines of its own: what a worker writes with every call, no other worker may wait for.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Counts {
    /// Client connections accepted.
    pub(crate) accepted: Counter,
    /// Of those, how many are over.
    pub(crate) closed: Counter,
    /// Answers of clients to requests that nobody made them.
    pub(crate) dropped_answers: Counter,
    /// Notifications of clients that are of no use.
    pub(crate) dropped_notifications: Counter,
    /// Calls of clients that came back to nothing: with a state that is another call's, used, expired or made up.
    pub(crate) refused_states: Counter,
    /// Calls that were refused because as many were under way as may be.
    pub(crate) shed: Counter,
    /// By the index of the backend.
    backends: Box<[CallCounts]>,
    /// The same of those that overlays added, behind the compiled ones.
    added: Box<[OnceLock<Box<CallCounts>>]>,
}

/// The calls of one worker to one backend.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct CallCounts {
    answered: Counter,
    failed: [Counter; Kind::ALL.len()],
    /// Of the last of these: milliseconds since 1970, and in the lowest byte its kind. 0 while there is none.
    last_failure: AtomicU64,
    /// By the ranges of [`BOUNDS_MICROS`].
    durations: [Counter; BOUNDS_MICROS.len() + 1],
    micros: Counter,
    /// Calls that were made again.
    pub(crate) retries: Counter,
    /// Calls that were made a second time because the first was slow, by which of [`WINNERS`] answered.
    hedges: [Counter; WINNERS.len()],
    /// Calls that were answered with what another one came to.
    pub(crate) coalesced: Counter,
}

/// The last call of a worker to a backend that got no answer.
#[cfg(any(feature = "admin", test))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastFailure {
    pub(crate) kind: Kind,
    pub(crate) at: SystemTime,
}

// === impl Counter ===

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    #[cfg(any(feature = "admin", test))]
    pub(crate) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

// === impl Counts ===

impl Counts {
    /// Nothing yet, for so many backends.
    pub(crate) fn new(backends: usize) -> Self {
        let backends = (0..backends).map(|_| CallCounts::default()).collect();
        let (accepted, closed, dropped_answers, dropped_notifications, refused_states, shed) = Default::default();
        let added = (0..limits::added_ever()).map(|_| OnceLock::new()).collect();
        Self { accepted, closed, dropped_answers, dropped_notifications, refused_states, shed, backends, added }
    }

    /// Those of the backend of this index.
    #[inline]
    pub(crate) fn of(&self, backend: usize) -> Option<&CallCounts> {
        self.backends.get(backend).or_else(|| self.of_added(backend - self.backends.len()))
    }

    #[cold]
    fn of_added(&self, position: usize) -> Option<&CallCounts> {
        self.added.get(position).map(|counts| &**counts.get_or_init(Box::default))
    }
}

// === impl CallCounts ===

impl CallCounts {
    /// Counts a call that was tried, by what it came to and how long that took.
    pub(crate) fn tried(&self, failure: Option<Kind>, took: Duration) {
        match failure {
            None => self.answered.add(1),
            Some(kind) => self.refused(kind),
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.durations[BOUNDS_MICROS.partition_point(|bound| *bound < micros)].add(1);
        self.micros.add(micros);
    }

    /// Counts a call that was not even tried.
    pub(crate) fn refused(&self, kind: Kind) {
        self.failed[kind as usize].add(1);
        // Failures are no hurry: the wall clock may be asked.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        self.last_failure.store(millis << 8 | kind as u64, Relaxed);
    }
}

impl CallCounts {
    /// Counts a call that was made a second time, by whether the second answered; `None` where neither did.
    pub(crate) fn hedged(&self, second: Option<bool>) {
        self.hedges[second.map_or(0, |second| 1 + usize::from(second))].add(1);
    }
}

#[cfg(any(feature = "admin", test))]
impl CallCounts {
    /// How many calls were made a second time, by the places of [`WINNERS`].
    pub(crate) fn hedges(&self) -> [u64; WINNERS.len()] {
        self.hedges.each_ref().map(Counter::read)
    }

    /// Calls that the backend answered, whatever the answer says.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.read()
    }

    /// Calls that got no answer for this reason.
    pub(crate) fn failed(&self, kind: Kind) -> u64 {
        self.failed[kind as usize].read()
    }

    /// The last of these, whatever its reason.
    pub(crate) fn last_failure(&self) -> Option<LastFailure> {
        let (millis, kind) = match self.last_failure.load(Relaxed) {
            0 => return None,
            last => (last >> 8, last & 0xff),
        };
        let kind = Kind::ALL.into_iter().find(|known| *known as u64 == kind)?;
        Some(LastFailure { kind, at: SystemTime::UNIX_EPOCH + Duration::from_millis(millis) })
    }

    /// How many calls took how long, by the ranges of [`BOUNDS_MICROS`].
    pub(crate) fn durations(&self) -> impl Iterator<Item = u64> {
        self.durations.iter().map(Counter::read)
    }

    /// How long they took together.
    pub(crate) fn micros(&self) -> u64 {
        self.micros.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_range_that_it_does_not_pass() {
        for (micros, range) in [(0, 0), (500, 0), (501, 1), (1_000, 1), (60_000_000, 13), (60_000_001, 14)] {
            let counts = CallCounts::default();
            counts.tried(None, Duration::from_micros(micros));
            assert_eq!(counts.durations().position(|count| count == 1), Some(range), "{micros}");
            assert_eq!((counts.durations().sum::<u64>(), counts.micros()), (1, micros));
        }
    }

    #[test]
    fn a_call_is_counted_by_what_it_came_to() {
        let counts = CallCounts::default();
        counts.tried(None, Duration::ZERO);
        counts.tried(Some(Kind::Timeout), Duration::ZERO);
        counts.refused(Kind::Unavailable);
        let failed = Kind::ALL.map(|kind| counts.failed(kind));
        assert_eq!((counts.answered(), failed), (1, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(counts.durations().sum::<u64>(), 2);
    }

    #[test]
    fn the_last_failure_is_known_with_its_time() {
        let counts = CallCounts::default();
        counts.tried(None, Duration::ZERO);
        assert_eq!(counts.last_failure(), None);
        counts.refused(Kind::ClientGone);
        let before = SystemTime::now();
        counts.tried(Some(Kind::Unavailable), Duration::ZERO);
        let last = counts.last_failure().expect("there is one");
        let apart = last.at.duration_since(before).unwrap_or_else(|error| error.duration());
        assert!(last.kind == Kind::Unavailable && apart < Duration::from_secs(10), "{last:?}");
    }

    #[test]
    fn kinds_stand_at_their_index() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind}");
        }
    }
}
