//! Tokens survive, forms are stable, bounds hold.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn with_tree<T>(text: &str, then: impl FnOnce(&Tree<'_>) -> T) -> T {
    then(&Tree::read(&raw(text), ITEM_DEPTH_MAX).unwrap())
}

#[test]
fn minifying_keeps_every_token_as_written() {
    let text = "{ \"b\" : 1.0 ,\n\t\"a\\u0062\": [ 1e400, -0, \"\\/ \\ud83d\\ude00 é , ] }\" ], \"c\": { }, \"d\": [ ],\r\n\"e\": null }";
    let expected = r#"{"b":1.0,"a\u0062":[1e400,-0,"\/ \ud83d\ude00 é , ] }"],"c":{},"d":[],"e":null}"#;
    with_tree(text, |tree| assert_eq!(tree.minified(), expected));
}

#[test]
fn the_canonical_form_sorts_keys_by_what_they_mean_and_keeps_tokens() {
    let one = r#"{"b":[{"y":1.0,"x":2}],"\u0061":"\u0062"}"#;
    with_tree(one, |tree| assert_eq!(tree.canonical(), r#"{"\u0061":"\u0062","b":[{"x":2,"y":1.0}]}"#));
}

#[test]
fn strings_are_decoded_and_lone_surrogates_are_not_strings() {
    with_tree(r#"{"a":"\u0061\n","b":"\ud800","c":1}"#, |tree| {
        assert_eq!(tree.member("a").and_then(Tree::string).as_deref(), Some("a\n"));
        assert_eq!(tree.member("b").and_then(Tree::string), None);
        assert_eq!(tree.member("c").and_then(Tree::string), None);
        assert_eq!(tree.member("d"), None);
    });
}

#[test]
fn a_key_that_stands_twice_is_refused_in_whichever_spelling() {
    let text = raw(r#"{"a":1,"\u0061":2}"#);
    assert_eq!(Tree::read(&text, 9), Err(TreeError::DuplicateKey(r#""\u0061""#)));
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| raw(&("[".repeat(levels) + &"]".repeat(levels)));
    assert!(Tree::read(&nested(ITEM_DEPTH_MAX), ITEM_DEPTH_MAX).is_ok());
    assert_eq!(Tree::read(&nested(ITEM_DEPTH_MAX + 1), ITEM_DEPTH_MAX), Err(TreeError::Depth));
    assert_eq!(Tree::read(&nested(500_000), ITEM_DEPTH_MAX), Err(TreeError::Depth));
}

/// JSON texts with white space between tokens and numbers in unusual spellings.
fn texts() -> impl Strategy<Value = String> {
    let number = prop_oneof!["-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?"];
    let string = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let escaped = "[a-z]{0,4}".prop_map(|text| {
        let escapes: String = text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        format!("\"{escapes}\"")
    });
    let word = prop_oneof![Just("true"), Just("false"), Just("null")].prop_map(str::to_owned);
    let leaf = prop_oneof![number, string, escaped, word];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..6);
        let members = prop::collection::btree_map(any::<String>(), inner, 0..6);
        prop_oneof![
            (items, "[ \n\r\t]{0,3}")
                .prop_map(|(items, space)| format!("[{space}{}]", items.join(&format!("{space},")))),
            (members, "[ \n\r\t]{0,3}").prop_map(|(members, space)| {
                let member = |(key, value): (&String, &String)| {
                    format!("{}{space}:{space}{value}", serde_json::to_string(key).unwrap())
                };
                let members: Vec<String> = members.iter().map(member).collect();
                format!("{{{space}{}{space}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn every_form_means_the_same_and_minifying_any_form_gives_the_same_bytes(text in texts()) {
        let text = raw(text.trim());
        let tree = Tree::read(&text, ITEM_DEPTH_MAX).unwrap();
        let minified = tree.minified();
        let mut pretty = String::new();
        tree.write_pretty(&mut pretty, 3);
        // serde_json keeps no tokens, so it sees only the meaning; numbers beyond its range it refuses as a whole.
        if let Ok(value) = serde_json::from_str::<Value>(text.get()) {
            prop_assert_eq!(&serde_json::from_str::<Value>(&minified).unwrap(), &value);
            prop_assert_eq!(&serde_json::from_str::<Value>(&pretty).unwrap(), &value);
            prop_assert_eq!(&serde_json::from_str::<Value>(&tree.canonical()).unwrap(), &value);
        }
        let pretty = raw(&pretty);
        prop_assert_eq!(&Tree::read(&pretty, ITEM_DEPTH_MAX).unwrap().minified(), &minified);
        prop_assert!(!minified.contains(['\n', '\r']));
        let canonical = raw(&tree.canonical());
        prop_assert_eq!(Tree::read(&canonical, ITEM_DEPTH_MAX).unwrap().canonical(), tree.canonical());
    }

    #[test]
    fn a_string_as_a_token_decodes_to_itself(text in any::<String>()) {
        prop_assert_eq!(serde_json::from_str::<String>(&token(&text)).unwrap(), text);
    }
}
