//! When a call that failed is made again: how long before, and for how many of all calls. Whether it may be, because that
//! does no harm, is not decided here.

use std::cell::Cell;
use std::time::Duration;

use crate::upstream::balance::Chance;
use crate::upstream::plan::Retry;

/// What making a call again costs, in the unit in which the others earn.
const COST: u64 = 1000;
/// What is earned with every second, so that a backend with few calls has some as well.
const EACH_SECOND: u64 = COST;
/// What can be saved: a burst of so many.
const SAVED_MAX: u64 = 10 * COST;

/// How many calls may be made again: a share of all of them.
#[derive(Debug)]
pub(super) struct Budget {
    percent: Cell<u32>,
    saved: Cell<u64>,
    earned_ms: Cell<u64>,
}

// === impl Budget ===

impl Budget {
    pub(super) fn new(percent: u32) -> Self {
        Self { percent: Cell::new(percent), saved: Cell::new(SAVED_MAX), earned_ms: Cell::new(0) }
    }

    /// Goes by this share from now on.
    pub(super) fn set(&self, percent: u32) {
        self.percent.set(percent);
    }

    /// A call is made for the first time.
    #[inline]
    pub(super) fn earn(&self) {
        self.save(u64::from(self.percent.get()) * COST / 100);
    }

    /// Whether one may be made again now.
    pub(super) fn spend(&self, now_ms: u64) -> bool {
        let since_ms = now_ms.saturating_sub(self.earned_ms.replace(now_ms));
        if self.percent.get() > 0 {
            self.save(since_ms * EACH_SECOND / 1000);
        }
        let left = self.saved.get().checked_sub(COST).filter(|_| self.percent.get() > 0);
        if let Some(left) = left {
            self.saved.set(left);
        }
        left.is_some()
    }

    fn save(&self, more: u64) {
        self.saved.set((self.saved.get() + more).min(SAVED_MAX));
    }
}

/// How long to wait before a call is made for the so-manieth time again: between half of the delay and all of it, so that
/// calls that failed together do not come back together.
pub(super) fn delay(retry: &Retry, again: u32, chance: &Chance) -> Duration {
    let doubled = retry.first_ms.saturating_mul(1 << again.saturating_sub(1).min(32));
    let longest = doubled.min(retry.longest_ms);
    Duration::from_millis(longest - chance.below(longest / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_calls_are_made_again_as_their_share_of_all_and_what_was_saved() {
        let budget = Budget::new(20);
        let again = (0..1000).filter(|_| {
            budget.earn();
            budget.spend(0)
        });
        // A fifth of all but the first, which found nothing to be saved any more, and what was saved before.
        assert_eq!(again.count(), 209);
        // A second has one more.
        assert!(!budget.spend(0));
        assert!(budget.spend(1000));
        assert!(!budget.spend(1000));
    }

    #[test]
    fn without_a_budget_none_is_made_again() {
        let budget = Budget::new(0);
        budget.earn();
        assert!(!budget.spend(100_000));
    }

    #[test]
    fn delays_double_up_to_the_longest_and_differ() {
        let retry = Retry { attempts: 9, first_ms: 50, longest_ms: 1000, budget_percent: 20 };
        let chance = Chance::new(1);
        for (again, longest) in [(1, 50), (2, 100), (3, 200), (5, 800), (6, 1000), (40, 1000)] {
            let delays: Vec<u128> = (0..100).map(|_| delay(&retry, again, &chance).as_millis()).collect();
            assert!(delays.iter().all(|delay| (longest / 2..=longest).contains(delay)), "{again}: {delays:?}");
            assert!(delays.iter().any(|delay| *delay != delays[0]));
        }
    }
}
