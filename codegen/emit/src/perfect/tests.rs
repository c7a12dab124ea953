//! Perfect hashes of names that are chosen badly, many, few, or drawn at random.

use std::collections::HashMap;

use only1mcp_model::hash;
use proptest::collection::hash_set;
use proptest::prelude::*;

use super::*;

/// As `NameTable::get` looks up.
fn find(table: &Perfect, names: &[&str], name: &str) -> Option<usize> {
    let slot = hash::slot(table.seed, &table.pilots, table.slots.len(), name.as_bytes());
    table.slots.get(slot).copied().filter(|index| names[*index] == name)
}

#[track_caller]
fn check(names: &[String]) {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let table = perfect(&names).unwrap();
    for (index, name) in names.iter().enumerate() {
        assert_eq!(find(&table, &names, name), Some(index), "`{name}` of {}", names.len());
        for stranger in [format!("{name}x"), format!("x{name}"), name.chars().skip(1).collect()] {
            let known = names.iter().position(|known| **known == stranger);
            if known.is_none() || names.len() < 500 {
                assert_eq!(find(&table, &names, &stranger), known, "`{stranger}` of {}", names.len());
            }
        }
    }
}

/// Names that a weak hash confuses.
const FAMILIES: [fn(usize) -> String; 7] = [
    |index| format!("tool_{index}"),
    |index| format!("{index:08}"),
    // One to three characters.
    |index| (0..=index / 676).map(|_| 'z').chain([letter(index / 26), letter(index)]).collect(),
    // Every length.
    |index| "a".repeat(index),
    // Only bytes in the middle of a long name differ.
    |index| format!("a_backend_with_a_long_name__{index:06}__and_a_tool_with_a_long_name_too"),
    // Only bytes at the seam of two blocks differ.
    |index| format!("fifteen_bytes_x{index:03}_and_the_rest_is_equal"),
    // Whole blocks of the same bytes, in another order.
    |index| (0..12).map(|bit| if index >> bit & 1 == 1 { "aaaaaaaabbbbbbbb" } else { "bbbbbbbbaaaaaaaa" }).collect(),
];

fn letter(index: usize) -> char {
    char::from(b'a' + u8::try_from(index % 26).unwrap())
}

#[test]
fn every_family_of_names_has_a_perfect_hash_at_every_size() {
    for family in FAMILIES {
        for size in (1..=40).chain([63, 64, 65, 99, 100, 101, 127, 128, 255, 256, 400, 1000]) {
            check(&(0..size).map(family).collect::<Vec<_>>());
        }
    }
}

#[test]
fn twenty_thousand_names_have_a_perfect_hash() {
    let names: Vec<String> = (0..20_000).map(|index| format!("backend{}__tool_{index}", index % 50)).collect();
    check(&names);
}

#[test]
fn no_names_take_no_slots() {
    let table = perfect(&[]).unwrap();
    assert_eq!(table, Perfect { seed: 0, pilots: vec![], slots: vec![] });
    assert_eq!(find(&table, &[], "anything"), None);
}

#[test]
fn a_name_that_occurs_twice_is_refused_by_name() {
    let refused = perfect(&["b", "a", "c", "a"]).unwrap_err();
    assert_eq!(refused.to_string(), "name `a` is in the catalog twice");
}

#[test]
fn the_same_names_give_the_same_table() {
    let names = ["weather__get_forecast", "github__create_issue", "fs__read_file"];
    assert_eq!(perfect(&names).unwrap(), perfect(&names).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_table_agrees_with_phf_and_with_a_hash_map(
        names in hash_set("[a-c_]{0,3}|[a-z]{1,12}__[a-z_]{1,30}|\\PC{0,40}", 1..150),
        strangers in hash_set("[a-c_]{0,3}|[a-z]{1,12}__[a-z_]{1,30}|\\PC{0,40}", 0..50),
    ) {
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        let table = perfect(&names).unwrap();
        let naive: HashMap<&str, usize> = names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
        let phf = phf_map(&names);
        for name in names.iter().copied().chain(strangers.iter().map(String::as_str)) {
            let expect = naive.get(name).copied();
            prop_assert_eq!(find(&table, &names, name), expect);
            prop_assert_eq!(phf.get(name).copied(), expect);
        }
    }
}

/// A `phf::Map` built at run time, from the parts that `phf_codegen` would write down.
fn phf_map(names: &[&str]) -> phf::Map<String, usize> {
    let found = phf_generator::generate_hash(names);
    let entries: Vec<(String, usize)> = found.map.iter().map(|index| (names[*index].to_owned(), *index)).collect();
    phf::Map { key: found.key, disps: found.disps.leak(), entries: entries.leak() }
}
