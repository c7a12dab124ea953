//! The hash of the perfect-hash tables: fast on names of 10 to 40 bytes, the same on every machine, since the build
//! host computes what the target looks up. Not for maps that strangers fill: it makes no promise against chosen keys.

// Bytes 0xFF never occur in UTF-8, so no name can cancel these and zero a multiplication for every seed.
const FIRST: u64 = 0xFF51_AFD7_ED55_8CCD;
const SECOND: u64 = 0xFF2B_7A1D_85EB_CA6B;

/// A 64-bit hash of `bytes`, which are UTF-8.
#[inline]
#[must_use]
pub fn hash64(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = seed ^ FIRST;
    // Whole blocks, but never the last byte: the two reads below end exactly at the end and may overlap a block.
    let mut rest = bytes;
    while let Some((block, tail)) = rest.split_first_chunk::<16>()
        && !tail.is_empty()
    {
        let (left, right) = block.split_at(8);
        state = fold(word(left) ^ SECOND, word(right) ^ state);
        rest = tail;
    }
    let (left, right) = ends(bytes);
    fold(fold(left ^ SECOND, right ^ state) ^ FIRST, bytes.len() as u64 ^ SECOND ^ state)
}

/// The slot of `key` in a table of `slots` slots whose generator chose `seed` and `pilots`: below `slots`, or 0.
#[inline]
#[must_use]
pub fn slot(seed: u64, pilots: &[u32], slots: usize, key: &[u8]) -> usize {
    let hash = hash64(seed, key);
    let pilot = pilots.get(reduce(hash & LOW, pilots.len())).copied().unwrap_or_default();
    reduce((hash >> 32) ^ u64::from(pilot), slots)
}

const LOW: u64 = 0xFFFF_FFFF;

/// Maps a number below 2³² evenly to one below `len`.
#[inline]
fn reduce(number: u64, len: usize) -> usize {
    usize::try_from(number.wrapping_mul(len as u64) >> 32).unwrap_or_default()
}

/// Both halves of the 128-bit product, folded.
#[inline]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    let low = product as u64;
    low ^ (product >> 64) as u64
}

/// The last 16 bytes as two words; of fewer bytes all of them, read from both ends.
#[inline]
fn ends(bytes: &[u8]) -> (u64, u64) {
    if let Some(last) = bytes.last_chunk::<16>() {
        let (left, right) = last.split_at(8);
        (word(left), word(right))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
    } else if let [first, .., last] = bytes {
        (u64::from(*first) | u64::from(bytes[bytes.len() / 2]) << 8, u64::from(*last))
    } else {
        (bytes.first().copied().map_or(0, u64::from), 0)
    }
}

/// Little-endian, so that host and target agree; all zero unless there are 8 bytes.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_hash_is_the_same_on_every_machine_and_in_every_release() {
        let check = |seed, text: &str, expect: u64| {
            assert_eq!(
                hash64(seed, text.as_bytes()),
                expect,
                "seed {seed}, `{text}`: {:#x}",
                hash64(seed, text.as_bytes())
            );
        };
        check(0, "", 0xD2B3_8962_DC45_031B);
        check(0, "a", 0x15C5_2118_720B_7106);
        check(7, "abc", 0x8AC4_40BE_33DE_4264);
        check(7, "search", 0x54F7_2AD4_1A2B_6C50);
        check(7, "get_forecast", 0x5DE2_26F3_E89E_1268);
        check(7, "github__create_pull_request", 0x11C1_D630_9377_2710);
        check(7, "a_backend_with_a_long_name__and_a_tool_with_a_longer_one", 0x1712_BD8C_F2FC_08B0);
    }

    #[test]
    fn every_byte_and_the_length_count() {
        for len in 0..80 {
            let name = vec![b'x'; len];
            let mut seen = HashSet::from([hash64(1, &name)]);
            for at in 0..len {
                let mut other = name.clone();
                other[at] = b'y';
                assert!(seen.insert(hash64(1, &other)), "byte {at} of {len}");
            }
            assert!(seen.insert(hash64(1, &vec![b'x'; len + 1])), "length {len}");
            assert!(seen.insert(hash64(2, &name)), "seed, length {len}");
        }
    }

    #[test]
    fn swapped_blocks_give_another_hash() {
        let name = b"aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffff";
        let mut seen = HashSet::from([hash64(3, name)]);
        for (left, right) in [(0, 8), (0, 16), (8, 16), (0, 32), (16, 32), (24, 40)] {
            let mut other = *name;
            for at in 0..8 {
                other.swap(left + at, right + at);
            }
            assert!(seen.insert(hash64(3, &other)), "{left} and {right}");
        }
    }

    #[test]
    fn a_slot_is_in_the_table_whatever_the_key() {
        for slots in [1, 2, 3, 100, 4097] {
            for key in ["", "a", "weather__get_forecast", "nobody_knows_this_one"] {
                assert!(slot(9, &[1, 0xFFFF_FFFF, 77], slots, key.as_bytes()) < slots);
                assert!(slot(9, &[], slots, key.as_bytes()) < slots);
            }
        }
    }

    #[test]
    fn an_empty_table_answers_slot_zero_which_it_does_not_have() {
        assert_eq!(slot(9, &[], 0, b"tool"), 0);
        assert!([(); 0].get(slot(9, &[], 0, b"tool")).is_none());
    }
}
