//! One after the other.

use std::cell::{Cell, RefCell};

use super::{Members, Strategy, indices, nth};
use crate::upstream::plan::Balance;

/// One after the other, each as often as its weight says, and spread evenly over time.
#[derive(Debug)]
pub struct RoundRobin {
    /// Counts calls where all weights are the same.
    turn: Cell<u32>,
    /// What each endpoint is owed otherwise.
    owed: RefCell<Vec<i64>>,
    /// Of the weights: their edition, and whether all are the same.
    known: Cell<(u32, bool)>,
}

impl Strategy for RoundRobin {
    fn is(balance: &Balance) -> bool {
        *balance == Balance::RoundRobin
    }

    fn open(_balance: &Balance, worker: usize) -> Self {
        // Workers begin at different ones.
        let turn = Cell::new(u32::try_from(worker).unwrap_or_default());
        Self { turn, owed: RefCell::default(), known: Cell::new((u32::MAX, true)) }
    }

    #[inline]
    fn pick(&self, members: &impl Members, among: u64, _key: Option<u64>) -> usize {
        if !self.is_even(members) {
            return self.owed(members, among);
        }
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        nth(among, turn % among.count_ones())
    }
}

impl RoundRobin {
    /// Whether all weights are the same.
    #[inline]
    fn is_even(&self, members: &impl Members) -> bool {
        let (known, even) = self.known.get();
        // Before the weights: of those that change meanwhile, it is another one afterwards.
        let edition = members.edition();
        if known == edition {
            return even;
        }
        let first = members.weight(0);
        let even = (1..members.count()).all(|index| members.weight(index) == first);
        self.known.set((edition, even));
        self.owed.replace(vec![0; members.count()]);
        even
    }

    /// The one that is owed most, when each was given its weight (as nginx does it): one that is called three times as
    /// often as another is not called three times in a row.
    #[cold]
    fn owed(&self, members: &impl Members, among: u64) -> usize {
        let mut owed = self.owed.borrow_mut();
        let (mut total, mut best) = (0, nth(among, 0));
        for index in indices(among) {
            let weight = i64::from(members.weight(index));
            total += weight;
            owed[index] += weight;
            if owed[index] > owed[best] {
                best = index;
            }
        }
        owed[best] -= total;
        best
    }
}
