//! Messages to scan: examples, and generators that know what the scan looks at.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

pub(super) const EXAMPLES: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"memory__read","arguments":{"a":[1,-2.5e3,true,null,"x\u00e9"]}}}"#,
    r#" { "id" : "a" , "method" : "m" , "params" : { "_meta" : { "progressToken" : 1 , "io.modelcontextprotocol/protocolVersion" : "2026-07-28" , "io.modelcontextprotocol/clientInfo" : { } } } }"#,
    r#"{"params":{"_meta":{"io.modelcontextprotocol/logLevel":"info","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/protocolVersion":"x"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[],"ttlMs":0,"cacheScope":"private","_meta":{ }}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[] , "resultType":"complete"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{ "resultType":"complete" }}"#,
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"\ud800","data":{}}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}"#,
];

const TOP: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error", "other"];
const PARAMS: &[&str] =
    &["name", "uri", "cursor", "taskId", "requestId", "arguments", "_meta", "progressToken", "level", "other", ""];
const META: &[&str] = &[
    "progressToken",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/logLevel",
    "other",
];
const RESULT: &[&str] = &["resultType", "ttlMs", "cacheScope", "_meta", "content", "structuredContent"];
const ERROR: &[&str] = &["code", "message", "data", "other"];
const SCALARS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "1.0",
    "1.5",
    "-12.50e+3",
    "1E9",
    "1e999",
    "18446744073709551616",
    "\"\"",
    "\"2.0\"",
    "\"a\"",
    "\"tools/call\"",
    "\"tools\\u002fcall\"",
    "\"\\\\\\\"\"",
    "\"\\n\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800x\"",
    "\"é\"",
    "\"日本語日本語日本語日本語\"",
    "\"a long string that needs more than one block of bytes\"",
    "\"a long string that needs more than one block of bytes, with an escape at the end of it\\t and so on\"",
];
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\"id\"",
    "\"params\":{",
    "\"_meta\":{",
    "\"a\":",
    "1",
    ".0",
    "e5",
    "-",
    "true",
    "null",
    " ",
    "\n",
    "\r",
    "\\u00",
    "\\ud800",
    "é",
    "\u{1}",
    "\"name\"",
];

/// A message, valid JSON, about the members that the scan looks at.
pub(super) fn message() -> impl Strategy<Value = String> {
    let meta = object(META, |_| value());
    let params = object(PARAMS, move |name| either(name == "_meta", meta.clone()));
    let result = object(RESULT, |_| value());
    let error = object(ERROR, |_| value());
    let top = object(TOP, move |name| match name {
        "params" => either(true, params.clone()),
        "result" => either(true, result.clone()),
        "error" => either(true, error.clone()),
        _ => value(),
    });
    (space(), top, space()).prop_map(|(before, object, after)| format!("{before}{object}{after}"))
}

/// A message after a few bytes were put in, taken out or replaced.
pub(super) fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let damage = (any::<Index>(), select(&b"{}[],:\"\\ \n\t\x00\x1f019.eE-+u\x7f\x80\xc3\xa9\xff"[..]), 0_u8..3);
    (message(), vec(damage, 1..4)).prop_map(|(message, damages)| {
        let mut bytes = message.into_bytes();
        for (place, byte, how) in damages {
            let place = place.index(bytes.len() + 1);
            match how {
                0 => bytes.insert(place, byte),
                _ if place == bytes.len() => bytes.truncate(place / 2),
                1 => bytes[place] = byte,
                _ => drop(bytes.remove(place)),
            }
        }
        bytes
    })
}

/// Tokens in no order.
pub(super) fn tokens() -> impl Strategy<Value = Vec<u8>> {
    vec(select(TOKENS), 0..24).prop_map(|tokens| tokens.concat().into_bytes())
}

/// An object with some of these names, none twice except now and then.
fn object(
    names: &'static [&'static str],
    value: impl Fn(&'static str) -> BoxedStrategy<String>,
) -> BoxedStrategy<String> {
    let members: Vec<_> = names
        .iter()
        .map(|name| {
            (space(), key(name), space(), space(), value(name), space())
                .prop_map(|(a, key, b, c, value, d)| format!("{a}\"{key}\"{b}:{c}{value}{d}"))
                .boxed()
        })
        .collect();
    let once = subsequence(members.clone(), 0..=members.len()).prop_shuffle();
    let twice = (once.clone(), subsequence(members, 1)).prop_map(|(once, twice)| [once, twice].concat());
    (prop_oneof![15 => once, 1 => twice].prop_flat_map(|members| members), space())
        .prop_map(|(members, space)| if members.is_empty() { space.to_owned() } else { members.join(",") })
        .prop_map(|members| format!("{{{members}}}"))
        .boxed()
}

/// Any value, or most often `special` where that applies.
fn either(applies: bool, special: BoxedStrategy<String>) -> BoxedStrategy<String> {
    if applies { prop_oneof![1 => value(), 5 => special].boxed() } else { value() }
}

/// A key, now and then with one of its characters escaped.
fn key(name: &'static str) -> impl Strategy<Value = String> {
    (any::<Index>(), 0_u8..8).prop_map(move |(place, escape)| {
        if escape > 0 || name.is_empty() || name.contains('\\') {
            return name.to_owned();
        }
        let place = place.index(name.len());
        format!("{}\\u{:04x}{}", &name[..place], name.as_bytes()[place], &name[place + 1..])
    })
}

fn value() -> BoxedStrategy<String> {
    let scalar = select(SCALARS).prop_map(str::to_owned);
    let nested = scalar.clone().prop_recursive(4, 24, 4, |inner| {
        let item = (space(), inner.clone(), space()).prop_map(|(a, item, b)| format!("{a}{item}{b}"));
        let member = (space(), select(PARAMS), inner).prop_map(|(a, name, value)| format!("{a}\"{name}\":{value}"));
        prop_oneof![
            vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    prop_oneof![3 => scalar, 1 => nested].boxed()
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => select(&[" ", "\n", "\r\n", "\t ", "  "][..])]
}
