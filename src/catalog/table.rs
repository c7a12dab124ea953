//! The perfect-hash table of names: two loads and one comparison for any number of names.

use only1mcp_model::hash;

use super::Entry;

/// A perfect-hash table over [`Entry::name`]. `P` and `S` are arrays in generated code, so that their lengths are
/// constants, and vectors elsewhere. Built by `only1mcp_emit::perfect`, which chose `seed` and `pilots`.
#[derive(Debug)]
pub struct NameTable<P, S> {
    /// Seed of the hash.
    pub seed: u64,
    /// One pilot a bucket.
    pub pilots: P,
    /// One entry a slot. A slot that no name maps to repeats some other entry and is never a false hit.
    pub slots: S,
}

impl<P: AsRef<[u32]>, S: AsRef<[Entry]>> NameTable<P, S> {
    /// The entry with this name.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        let (pilots, slots) = (self.pilots.as_ref(), self.slots.as_ref());
        let slot = hash::slot(self.seed, pilots, slots.len(), name.as_bytes());
        let entry = slots.get(slot)?;
        (entry.name == name).then_some(entry)
    }
}

/// The slots of a table: at each the entry with that index. Done by the compiler, for which a list of indices is less
/// work than a list of entries.
#[must_use]
pub const fn arrange<const ENTRIES: usize, const SLOTS: usize>(
    entries: &[Entry; ENTRIES],
    order: &[u32; SLOTS],
) -> [Entry; SLOTS] {
    let mut slots = [entries[0]; SLOTS];
    let mut slot = 0;
    while slot < SLOTS {
        slots[slot] = entries[order[slot] as usize];
        slot += 1;
    }
    slots
}
