//! Each strategy over many calls: who gets how many, and who keeps what.

use std::cell::Cell;

use only1mcp_model::hash::hash64;

use super::super::plan::{Balance, HashKey};
use super::*;
use crate::mcp::client::SessionKey;

/// Endpoints of these weights, of which each has as many calls as stands there.
struct Played {
    weights: Vec<u32>,
    under_way: Vec<Cell<u32>>,
}

impl Played {
    fn new(weights: &[u32]) -> Self {
        Self { weights: weights.to_vec(), under_way: weights.iter().map(|_| Cell::new(0)).collect() }
    }

    fn all(&self) -> u64 {
        (1 << self.weights.len()) - 1
    }
}

impl Members for Played {
    fn count(&self) -> usize {
        self.weights.len()
    }

    fn weight(&self, index: usize) -> u32 {
        self.weights[index]
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.under_way[index].get()
    }

    fn name(&self, index: usize) -> &str {
        ["http://10.0.0.1/mcp", "http://10.0.0.2/mcp", "http://10.0.0.3/mcp", "http://10.0.0.4/mcp"][index % 4]
    }

    fn edition(&self) -> u32 {
        0
    }
}

/// Endpoints that are alike until so many weights have been read: then the second one gets all calls.
struct Turning(Cell<u32>);

impl Members for Turning {
    fn count(&self) -> usize {
        2
    }

    fn weight(&self, index: usize) -> u32 {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        if left > 0 { 1 } else { u32::from(index == 1) }
    }

    fn in_flight(&self, _index: usize) -> u32 {
        0
    }

    fn name(&self, index: usize) -> &str {
        ["one", "other"][index]
    }

    fn edition(&self) -> u32 {
        u32::from(self.0.get() == 0)
    }
}

const CALLS: u32 = 40_000;

fn counts<S: Strategy>(strategy: &S, members: &Played, among: u64, key: impl Fn(u32) -> Option<u64>) -> Vec<u32> {
    let mut counts = vec![0; members.weights.len()];
    for call in 0..CALLS {
        let index = strategy.pick(members, among, key(call));
        assert!(among & (1 << index) != 0, "{index} is not among {among:b}");
        counts[index] += 1;
    }
    counts
}

/// Pearson's chi-square of counts against shares.
fn chi_square(counts: &[u32], shares: &[u32]) -> f64 {
    let total: u32 = shares.iter().sum();
    let terms = counts.iter().zip(shares).filter(|(_, share)| **share > 0).map(|(count, share)| {
        let expected = f64::from(CALLS) * f64::from(*share) / f64::from(total);
        (f64::from(*count) - expected).powi(2) / expected
    });
    terms.sum()
}

/// That of three degrees of freedom is larger by chance once in ten million times.
const CHANCE: f64 = 35.0;

#[test]
fn calls_go_round_and_each_gets_what_its_weight_says() {
    let balance = Balance::RoundRobin;
    let even = Played::new(&[1, 1, 1, 1]);
    assert_eq!(counts(&RoundRobin::open(&balance, 0), &even, even.all(), |_| None), [CALLS / 4; 4]);
    assert_eq!(counts(&RoundRobin::open(&balance, 3), &even, 0b1010, |_| None), [0, CALLS / 2, 0, CALLS / 2]);
    let uneven = Played::new(&[5, 1, 2, 2]);
    assert_eq!(counts(&RoundRobin::open(&balance, 0), &uneven, uneven.all(), |_| None), [20_000, 4_000, 8_000, 8_000]);
    let strategy = RoundRobin::open(&balance, 0);
    let first: Vec<usize> = (0..10).map(|_| strategy.pick(&uneven, uneven.all(), None)).collect();
    // Spread over the round: never three times in a row.
    assert!(first.windows(3).all(|calls| calls.iter().any(|call| *call != calls[0])), "{first:?}");
}

#[test]
fn weights_that_change_while_they_are_read_are_read_again() {
    fn check<S: Strategy>(balance: &Balance, reads: u32) {
        for read in 1..=reads {
            let (members, strategy) = (Turning(Cell::new(read)), S::open(balance, 0));
            strategy.pick(&members, 0b11, Some(0));
            assert_eq!(members.edition(), 1, "they changed after {read} were read");
            let found: Vec<usize> = (0..8).map(|key| strategy.pick(&members, 0b11, Some(hash64(key, b"")))).collect();
            assert_eq!(found, [1; 8], "after {read} were read");
        }
    }
    check::<RoundRobin>(&Balance::RoundRobin, 2);
    check::<ConsistentHash>(&Balance::ConsistentHash(HashKey::Session), 4);
}

#[test]
fn workers_begin_their_rounds_at_different_endpoints() {
    let members = Played::new(&[1, 1, 1, 1]);
    let first = |worker| RoundRobin::open(&Balance::RoundRobin, worker).pick(&members, members.all(), None);
    assert_eq!([0, 1, 2, 3].map(first), [0, 1, 2, 3]);
}

#[test]
fn chance_spreads_calls_as_it_should() {
    let members = Played::new(&[6, 1, 2, 1]);
    let random = counts(&Random::open(&Balance::Random, 0), &members, members.all(), |_| None);
    assert!(chi_square(&random, &[1, 1, 1, 1]) < CHANCE, "{random:?}");
    let weighted = counts(&WeightedRandom::open(&Balance::WeightedRandom, 0), &members, members.all(), |_| None);
    assert!(chi_square(&weighted, &[6, 1, 2, 1]) < CHANCE, "{weighted:?}");
    let some = counts(&WeightedRandom::open(&Balance::WeightedRandom, 0), &members, 0b1101, |_| None);
    assert!(chi_square(&some, &[6, 0, 2, 1]) < CHANCE, "{some:?}");
}

#[test]
fn the_one_with_fewer_calls_for_its_weight_is_chosen_of_two() {
    let strategy = LeastConnections::open(&Balance::LeastConnections, 0);
    let idle = Played::new(&[1, 1, 1, 1]);
    let counted = counts(&strategy, &idle, idle.all(), |_| None);
    assert!(chi_square(&counted, &[1, 1, 1, 1]) < CHANCE, "{counted:?}");
    // The one with the most calls is never the better one of two.
    let busy = Played::new(&[1, 1, 1, 1]);
    busy.under_way[2].set(9);
    assert_eq!(counts(&strategy, &busy, busy.all(), |_| None)[2], 0);
    assert_eq!(counts(&strategy, &busy, 0b0100, |_| None), [0, 0, CALLS, 0]);
    // Calls that stay: in the end each has its share, within what two at a time can see.
    let filled = Played::new(&[3, 1, 1, 1]);
    for _ in 0..6000 {
        let index = strategy.pick(&filled, filled.all(), None);
        filled.under_way[index].set(filled.under_way[index].get() + 1);
    }
    let under_way: Vec<u32> = filled.under_way.iter().map(Cell::get).collect();
    assert!(under_way[0].abs_diff(3000) < 100 && under_way[1].abs_diff(1000) < 50, "{under_way:?}");
}

#[test]
fn keys_keep_their_endpoint_and_only_those_of_one_that_left_move() {
    let balance = Balance::ConsistentHash(HashKey::Tool);
    let (members, strategy) = (Played::new(&[1, 1, 1, 1]), ConsistentHash::open(&balance, 0));
    let key = |call: u32| Some(only1mcp_model::hash::hash64(7, &call.to_le_bytes()));
    let before: Vec<usize> = (0..CALLS).map(|call| strategy.pick(&members, members.all(), key(call))).collect();
    let other_worker = ConsistentHash::open(&balance, 1);
    assert!(
        (0..CALLS).zip(&before).all(|(call, index)| other_worker.pick(&members, members.all(), key(call)) == *index)
    );
    for gone in 0..4 {
        let left = members.all() & !(1 << gone);
        let moved =
            (0..CALLS).zip(&before).filter(|(call, index)| strategy.pick(&members, left, key(*call)) != **index);
        let moved: Vec<_> = moved.map(|(_, index)| *index).collect();
        assert!(moved.iter().all(|index| *index == gone), "a key of another endpoint moved");
        let share = f64::from(u32::try_from(moved.len()).unwrap_or(u32::MAX)) / f64::from(CALLS);
        assert!(share <= 1.2 / 4.0, "{share} of the keys moved");
    }
}

#[test]
fn keys_are_spread_by_weight_and_calls_without_one_by_chance() {
    let balance = Balance::ConsistentHash(HashKey::Tool);
    let (members, strategy) = (Played::new(&[2, 1, 1, 0]), ConsistentHash::open(&balance, 0));
    let key = |call: u32| Some(only1mcp_model::hash::hash64(9, &call.to_le_bytes()));
    let counted = counts(&strategy, &members, members.all(), key);
    assert!(counted[0].abs_diff(20_000) < 2400 && counted[1].abs_diff(10_000) < 1600, "{counted:?}");
    assert_eq!(counted[3], 0);
    let counted = counts(&strategy, &members, members.all(), |_| None);
    assert!(chi_square(&counted, &[1, 1, 1, 1]) < CHANCE, "{counted:?}");
}

/// Where so many sessions are, at places of these weights.
fn of_sessions(weights: &[u32], among: u64) -> Vec<usize> {
    let members = Played::new(weights);
    let session = |number: u32| SessionKey::new(u128::from(hash64(3, &number.to_le_bytes())).to_le_bytes());
    (0..CALLS).map(|number| of_session(session(number), among, &members)).collect()
}

#[test]
fn sessions_are_spread_by_weight() {
    for weights in [[1, 1, 1, 1], [6, 1, 2, 1], [1000, 500, 0, 1]] {
        let mut counts = [0; 4];
        of_sessions(&weights, 0b1111).into_iter().for_each(|index| counts[index] += 1);
        assert!(chi_square(&counts, &weights) < CHANCE, "{weights:?}: {counts:?}");
        assert!(counts.iter().zip(weights).all(|(count, weight)| weight > 0 || *count == 0), "{weights:?}: {counts:?}");
    }
    // What weights have in common says nothing.
    assert_eq!(of_sessions(&[2, 2, 2, 2], 0b1111), of_sessions(&[7, 7, 7, 7], 0b1111));
    assert_eq!(of_sessions(&[0, 0, 0, 0], 0b0100), [2; CALLS as usize]);
}

#[test]
fn sessions_move_only_to_or_from_the_place_whose_weight_changes_or_that_is_gone() {
    let before = of_sessions(&[2, 1, 1, 2], 0b1111);
    let moved = |after: Vec<usize>| before.clone().into_iter().zip(after).filter(|(from, to)| from != to);
    assert!(moved(of_sessions(&[2, 3, 1, 2], 0b1111)).all(|(_, to)| to == 1));
    assert!(moved(of_sessions(&[2, 1, 1, 1], 0b1111)).all(|(from, _)| from == 3));
    assert!(moved(of_sessions(&[2, 1, 1, 2], 0b1110)).all(|(from, _)| from == 0));
    // From a sixth to three eighths of all, and from two sixths to one fifth.
    let to = moved(of_sessions(&[2, 3, 1, 2], 0b1111)).count();
    let from = moved(of_sessions(&[2, 1, 1, 1], 0b1111)).count();
    assert!(to.abs_diff(8333) < 500 && from.abs_diff(5333) < 500, "{to} {from}");
}

#[test]
fn of_several_strategies_each_serves_its_own() {
    type Both = Either<Either<RoundRobin, LeastConnections>, ConsistentHash>;
    let hash = Balance::ConsistentHash(HashKey::Session);
    assert!(matches!(Both::open(&Balance::RoundRobin, 0), Either::First(Either::First(_))));
    assert!(matches!(Both::open(&Balance::LeastConnections, 0), Either::First(Either::Second(_))));
    assert!(matches!(Both::open(&hash, 0), Either::Second(_)));
    assert!(Both::is(&hash) && !Both::is(&Balance::Random));
    let members = Played::new(&[1, 1]);
    for balance in [Balance::RoundRobin, Balance::LeastConnections, hash] {
        assert_eq!(Both::open(&balance, 0).pick(&members, 0b10, Some(1)), 1);
    }
}
