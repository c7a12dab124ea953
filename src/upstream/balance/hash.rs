//! The same endpoint for the same key.

use std::cell::RefCell;

use only1mcp_model::hash::hash64;

use super::{Chance, Members, Strategy};
use crate::upstream::plan::Balance;

/// Virtual nodes of an endpoint of average weight: with so many, the shares of endpoints of one weight differ by a few
/// hundredths.
const NODES: u64 = 512;
/// So that nobody finds keys that all lead to one endpoint by trying them against a table of the hash.
const SEED: u64 = 0x6F6E_6C79_316D_6370;

/// The same endpoint for the same key, for as long as it is there; its keys go to the others when it is not, and no other
/// key moves. Calls without a key go anywhere.
#[derive(Debug)]
pub struct ConsistentHash {
    chance: Chance,
    ring: RefCell<Ring>,
}

/// The virtual nodes of all endpoints, in the order of their hashes.
#[derive(Debug, Default)]
struct Ring {
    /// That of the weights it was made of.
    edition: Option<u32>,
    nodes: Vec<(u64, u8)>,
}

// === impl ConsistentHash ===

impl Strategy for ConsistentHash {
    fn is(balance: &Balance) -> bool {
        matches!(balance, Balance::ConsistentHash(_))
    }

    fn open(_balance: &Balance, worker: usize) -> Self {
        Self { chance: Chance::new(worker), ring: RefCell::default() }
    }

    #[inline]
    fn pick(&self, members: &impl Members, among: u64, key: Option<u64>) -> usize {
        let Some(key) = key else { return self.chance.of(among) };
        let mut ring = self.ring.borrow_mut();
        // Before the weights: of those that change meanwhile, it is another one afterwards.
        let edition = Some(members.edition());
        if ring.edition != edition {
            *ring = Ring { edition, nodes: Ring::nodes(members) };
        }
        ring.next(key, among).unwrap_or_else(|| self.chance.of(among))
    }
}

// === impl Ring ===

impl Ring {
    #[cold]
    fn nodes(members: &impl Members) -> Vec<(u64, u8)> {
        let count = members.count();
        let total: u64 = (0..count).map(|index| u64::from(members.weight(index))).sum();
        let mut nodes = Vec::new();
        for index in 0..count {
            let (weight, place) = (u64::from(members.weight(index)), u8::try_from(index).unwrap_or_default());
            let share = (NODES * weight * count as u64).checked_div(total).unwrap_or_default();
            let first = hash64(SEED, members.name(index).as_bytes());
            nodes.extend((0..share).map(|node| (hash64(first, &node.to_le_bytes()), place)));
        }
        nodes.sort_unstable();
        nodes
    }

    /// The endpoint of the first node behind a key that is among these.
    fn next(&self, key: u64, among: u64) -> Option<usize> {
        let from = self.nodes.partition_point(|(hash, _)| *hash < key);
        let (before, behind) = self.nodes.split_at(from);
        let mut nodes = behind.iter().chain(before).map(|(_, index)| usize::from(*index));
        nodes.find(|index| among & (1 << index) != 0)
    }
}
