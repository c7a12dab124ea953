//! Which endpoint of several a call goes to, or which backend: the strategies. Which endpoints there are to choose from is
//! `upstream::cluster`'s to say, and of backends `proxy::teams`'.
//!
//! A topology names one strategy or none, and then that is its [`Strategy`]; several are one inside the other, as
//! [`Either`]: nothing is looked up at run time, and no strategy is linked that no topology uses.

mod hash;
mod key;
mod turn;

use std::cell::Cell;

use super::plan::Balance;

pub use hash::ConsistentHash;
pub use key::HeaderKey;
pub(crate) use key::{HeaderKeys, Keys, of_session};
pub use turn::RoundRobin;

/// What strategies know of the endpoints of a backend, or of the backends of a route.
pub trait Members {
    /// How many there are; at most 64.
    fn count(&self) -> usize;
    /// How much of the calls the one of this index gets, compared with the others.
    fn weight(&self, index: usize) -> u32;
    /// How many calls it has.
    fn in_flight(&self, index: usize) -> u32;
    /// What it is called.
    fn name(&self, index: usize) -> &str;
    /// Grows with every change of a weight.
    fn edition(&self) -> u32;
}

/// How one worker chooses among the endpoints of one backend, or among the backends of one route.
pub trait Strategy: Sized + 'static {
    /// Whether it chooses at all.
    const CHOOSES: bool = true;

    /// Whether it is the one that a topology names so.
    fn is(balance: &Balance) -> bool;

    /// For one backend or route, on the worker of this index.
    fn open(balance: &Balance, worker: usize) -> Self;

    /// One of the endpoints whose bits are set; some are. A call with the same key goes to the same one, where that is
    /// what the strategy is for.
    fn pick(&self, members: &impl Members, among: u64, key: Option<u64>) -> usize;
}

/// There is one endpoint.
#[derive(Debug)]
pub struct Only;

/// Of two by chance the one that has fewer calls for its weight.
#[derive(Debug)]
pub struct LeastConnections(Chance);

/// Any, all alike.
#[derive(Debug)]
pub struct Random(Chance);

/// Any, each as often as its weight says.
#[derive(Debug)]
pub struct WeightedRandom(Chance);

/// One of two strategies.
#[derive(Debug)]
pub enum Either<A, B> {
    /// The first.
    First(A),
    /// The second.
    Second(B),
}

/// Numbers by chance, good enough to spread calls.
#[derive(Debug)]
pub(crate) struct Chance(Cell<u64>);

/// The index of the bit that is set behind so many others.
fn nth(among: u64, n: u32) -> usize {
    let mut rest = among;
    for _ in 0..n {
        rest &= rest.wrapping_sub(1);
    }
    rest.trailing_zeros() as usize
}

/// The indices of the bits that are set.
pub(crate) fn indices(among: u64) -> impl Iterator<Item = usize> {
    let mut rest = among;
    std::iter::from_fn(move || {
        let index = (rest != 0).then_some(rest.trailing_zeros() as usize)?;
        rest &= rest - 1;
        Some(index)
    })
}

// === impl Chance ===

impl Chance {
    /// Begins anew for each worker.
    pub(crate) fn new(seed: usize) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let seed = (seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(now.subsec_nanos());
        Self(Cell::new(seed | 1))
    }

    /// The next number (xorshift64*).
    pub(super) fn next(&self) -> u64 {
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// One below a number that is not 0.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// One of those whose bits are set.
    fn of(&self, among: u64) -> usize {
        let count = u64::from(among.count_ones());
        nth(among, u32::try_from(self.below(count)).unwrap_or_default())
    }
}

// === impl Strategy ===

impl Strategy for Only {
    const CHOOSES: bool = false;

    fn is(_balance: &Balance) -> bool {
        true
    }

    fn open(_balance: &Balance, _worker: usize) -> Self {
        Self
    }

    #[inline]
    fn pick(&self, _members: &impl Members, among: u64, _key: Option<u64>) -> usize {
        nth(among, 0)
    }
}

impl Strategy for LeastConnections {
    fn is(balance: &Balance) -> bool {
        *balance == Balance::LeastConnections
    }

    fn open(_balance: &Balance, worker: usize) -> Self {
        Self(Chance::new(worker))
    }

    #[inline]
    fn pick(&self, members: &impl Members, among: u64, _key: Option<u64>) -> usize {
        let first = self.0.of(among);
        let others = among & !(1 << first);
        if others == 0 {
            return first;
        }
        let second = self.0.of(others);
        // Calls for each share of the weight, the one to come included, multiplied out.
        let load = |index, other| (u64::from(members.in_flight(index)) + 1) * u64::from(members.weight(other));
        if load(second, first) < load(first, second) { second } else { first }
    }
}

impl Strategy for Random {
    fn is(balance: &Balance) -> bool {
        *balance == Balance::Random
    }

    fn open(_balance: &Balance, worker: usize) -> Self {
        Self(Chance::new(worker))
    }

    #[inline]
    fn pick(&self, _members: &impl Members, among: u64, _key: Option<u64>) -> usize {
        self.0.of(among)
    }
}

impl Strategy for WeightedRandom {
    fn is(balance: &Balance) -> bool {
        *balance == Balance::WeightedRandom
    }

    fn open(_balance: &Balance, worker: usize) -> Self {
        Self(Chance::new(worker))
    }

    #[inline]
    fn pick(&self, members: &impl Members, among: u64, _key: Option<u64>) -> usize {
        let total: u64 = indices(among).map(|index| u64::from(members.weight(index))).sum();
        if total == 0 {
            return self.0.of(among);
        }
        let mut left = self.0.below(total);
        for index in indices(among) {
            match left.checked_sub(u64::from(members.weight(index))) {
                Some(rest) => left = rest,
                None => return index,
            }
        }
        nth(among, 0)
    }
}

impl<A: Strategy, B: Strategy> Strategy for Either<A, B> {
    fn is(balance: &Balance) -> bool {
        A::is(balance) || B::is(balance)
    }

    fn open(balance: &Balance, worker: usize) -> Self {
        if A::is(balance) { Self::First(A::open(balance, worker)) } else { Self::Second(B::open(balance, worker)) }
    }

    #[inline]
    fn pick(&self, members: &impl Members, among: u64, key: Option<u64>) -> usize {
        match self {
            Self::First(strategy) => strategy.pick(members, among, key),
            Self::Second(strategy) => strategy.pick(members, among, key),
        }
    }
}

#[cfg(test)]
mod tests;
