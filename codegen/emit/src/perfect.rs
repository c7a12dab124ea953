//! Perfect hashing of names: the search is phf's, the hash and the lookup are [`only1mcp_model::hash`].

use std::collections::HashSet;

use only1mcp_model::hash;

use crate::Error;

/// Where every name of a set stands in a table that [`hash::slot`] looks up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Perfect {
    /// Seed of the hash.
    pub seed: u64,
    /// One pilot a bucket, mixed so that the lookup needs no multiplication for it.
    pub pilots: Vec<u32>,
    /// The index of the name in each slot. About one slot in a hundred belongs to no name and repeats index 0: it
    /// cannot be a false hit, since that name is looked for elsewhere.
    pub slots: Vec<usize>,
}

/// Finds a perfect hash. No names, no slots.
///
/// # Errors
/// When a name occurs twice; the search would not end.
pub fn perfect(names: &[&str]) -> Result<Perfect, Error> {
    refuse_duplicates("name", names)?;
    let found =
        phf_generator::ptrhash::generate_hash_with_hash_fn(names, |name, seed| hash::hash64(*seed, name.as_bytes()));
    let (seed, slots) = (found.seed, found.map.len() + found.remap.len());
    let pilots: Vec<u32> = found.pilots.iter().map(|pilot| mixed(seed, *pilot)).collect();

    // Each name goes where the lookup will look, also in the slots past the last name: no remapping at run time.
    let mut table = Perfect { seed, slots: vec![0; slots], pilots };
    for (index, name) in names.iter().enumerate() {
        let slot = hash::slot(seed, &table.pilots, slots, name.as_bytes());
        table.slots[slot] = index;
    }
    for (index, name) in names.iter().enumerate() {
        let slot = hash::slot(seed, &table.pilots, slots, name.as_bytes());
        assert_eq!(table.slots[slot], index, "the pinned phf_generator places names where hash::slot finds them");
    }
    Ok(table)
}

/// What the generator adds to the high half of a name's hash to get from a pilot to a slot.
fn mixed(seed: u64, pilot: u8) -> u32 {
    let hash = phf_shared::ptrhash::hash_pilot(seed, pilot);
    ((hash >> 32 ^ hash) & 0xFFFF_FFFF) as u32
}

/// Fails on the first name that occurs twice.
pub(crate) fn refuse_duplicates(kind: &'static str, names: &[&str]) -> Result<(), Error> {
    let mut seen = HashSet::with_capacity(names.len());
    match names.iter().find(|name| !seen.insert(**name)) {
        Some(name) => Err(Error::Duplicate { kind, name: (*name).to_owned() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
