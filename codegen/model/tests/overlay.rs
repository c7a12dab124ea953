//! Overlays as they are written: whatever an overlay says, what the gateway writes of it says the same.

use std::sync::LazyLock;

use only1mcp_model::diagnostic::render;
use only1mcp_model::overlay::{self, Overlay};
use only1mcp_model::plan::Plan;
use only1mcp_model::{Features, Source, load};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

/// Names that YAML reads as something else than text, or might.
const NAMES: [&str; 24] = [
    "123", "0", "007", "1e3", "0x1f", "0o17", "0b1", "1-2", "-1", "-", "--", "---", "true", "false", "null", "yes",
    "no", "on", "off", "y", "n", "nan", "inf", "plain",
];

/// What is compiled: a backend of each of these names, started and connected to in turn, and a route to all of them.
static COMPILED: LazyLock<Plan> = LazyLock::new(|| {
    let backend = |(index, name): (usize, &&str)| match index % 2 {
        0 => format!("  \"{name}\": {{ transport: {{ stdio: {{ command: self }} }} }}\n"),
        _ => format!(
            "  \"{name}\": {{ transport: {{ streamable_http: {{}} }}, endpoints: [{{ url: env:A }}, {{ url: env:B }}], health: {{}} }}\n"
        ),
    };
    let backends: String = NAMES.iter().enumerate().map(backend).collect();
    let text = format!("name: t\nbackends:\n{backends}routes: [{{ tools: \"sum_*\", to: {NAMES:?} }}]\n");
    load(&Source { path: "t.yaml".to_owned(), text }, None, &Features::all()).expect("a good topology").0
});

fn read(text: String) -> Overlay {
    let source = Source { path: "overlay.yaml".to_owned(), text };
    let read = overlay::load(&source, COMPILED.compiled());
    read.map_err(|found| render(&found, &source, false)).expect("an overlay that is taken")
}

/// Some of these members.
fn some(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Map<String, Value>> {
    let count = members.len();
    subsequence(members, 0..=count).prop_flat_map(|chosen| {
        let (names, values): (Vec<_>, Vec<_>) = chosen.into_iter().unzip();
        values.prop_map(move |values| names.iter().map(|name| (*name).to_owned()).zip(values).collect())
    })
}

fn duration(milliseconds: std::ops::RangeInclusive<u32>) -> BoxedStrategy<Value> {
    milliseconds.prop_map(|own| json!(format!("{own}ms"))).boxed()
}

fn object(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    some(members).prop_map(Value::Object).boxed()
}

fn or_off(own: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![Just(json!("off")), own].boxed()
}

/// Any text that is there, also of what YAML takes for something else.
fn text() -> impl Strategy<Value = String> {
    let odd = select(vec![
        '\u{7f}',
        '\u{85}',
        '\u{9f}',
        '\u{a0}',
        '\u{2028}',
        '\u{2029}',
        '\u{feff}',
        '\u{ffff}',
        '\u{1f600}',
        '\0',
        '\t',
    ]);
    let common = select("aA0-_.*:#'\"\\ \n{}[],&!|>%@`~?".chars().collect::<Vec<_>>());
    vec(prop_oneof![4 => common, 1 => odd, 1 => any::<char>()], 1..12).prop_map(|all| all.into_iter().collect())
}

fn texts() -> BoxedStrategy<Value> {
    vec(text(), 0..4).prop_map(|all| json!(all)).boxed()
}

fn traffic() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    let count = |most: u32| (1..=most).prop_map(|own| json!(own)).boxed();
    let queue = (0_u32..=1024).prop_map(|own| json!(own)).boxed();
    let path = "/[!-\"$-~]{0,12}".prop_map(|own| json!(own)).boxed();
    let http = (path, 200_u32..=599).prop_map(|(path, status)| json!({ "path": path, "status": status })).boxed();
    vec![
        ("timeout", duration(10_000..=600_000)),
        ("concurrency", object(vec![("max", count(4096)), ("queue", queue), ("queue_timeout", duration(1..=600_000))])),
        ("retry", or_off(object(vec![("attempts", count(10)), ("backoff", Just(json!("50ms..1s")).boxed())]))),
        ("circuit_breaker", or_off(object(vec![("failures", count(1000)), ("window", duration(100..=86_400_000))]))),
        (
            "health",
            or_off(object(vec![("interval", duration(100..=3_600_000)), ("unhealthy", count(9)), ("http", http)])),
        ),
    ]
}

/// What an overlay sets of a compiled backend.
fn settings(is_started: bool) -> impl Strategy<Value = Map<String, Value>> {
    let (flag, deny) =
        (any::<bool>().prop_map(|own| json!(own)).boxed(), texts().prop_map(|all| json!({ "deny": all })));
    let mut members = traffic();
    if is_started {
        members.retain(|(name, _)| *name != "health");
    } else {
        let weights = (1_u32..=1000, 0_u32..=1000).prop_map(|(one, other)| json!([one, other]));
        members.push(("weights", weights.boxed()));
    }
    let weight = (1_u32..=1000).prop_map(|own| json!(own)).boxed();
    members.extend([("disabled", flag.clone()), ("drain", flag), ("weight", weight), ("tools", deny.boxed())]);
    some(members)
}

/// A backend that an overlay adds.
fn added() -> impl Strategy<Value = Map<String, Value>> {
    let flag = any::<bool>().prop_map(|own| json!(own)).boxed();
    let rename = (text(), text()).prop_map(|(from, to)| json!({ from: to }));
    let tools = (texts(), rename).prop_map(|(deny, rename)| json!({ "deny": deny, "rename": rename })).boxed();
    let mut members = traffic();
    members.extend([
        ("disabled", flag.clone()),
        ("drain", flag),
        ("tools", tools),
        ("era", select(vec!["auto", "modern", "legacy"]).prop_map(|own| json!(own)).boxed()),
        ("balance", select(vec!["random", "least_connections"]).prop_map(|own| json!(own)).boxed()),
    ]);
    some(members).prop_map(|mut members| {
        members.insert("transport".to_owned(), json!({ "streamable_http": { "connect_timeout": "1s" } }));
        members.insert("endpoints".to_owned(), json!([{ "url": "http://h:1/mcp?a=b" }, { "url": "env:URL" }]));
        members
    })
}

/// Some of these names, and others that begin like them, each with one of these values.
fn entries<S: Strategy<Value = Map<String, Value>> + 'static>(
    behind: &'static str,
    of: impl Fn(usize) -> S,
) -> impl Strategy<Value = Map<String, Value>> {
    let all: Vec<_> =
        NAMES.iter().enumerate().map(|(index, name)| (format!("{name}{behind}"), of(index).boxed())).collect();
    let count = all.len();
    subsequence(all, 0..=count.min(6)).prop_flat_map(|chosen| {
        let (names, values): (Vec<_>, Vec<_>) = chosen.into_iter().unzip();
        values.prop_map(move |values| names.iter().cloned().zip(values.into_iter().map(Value::Object)).collect())
    })
}

fn overlays() -> impl Strategy<Value = Value> {
    let views = entries("", |_| texts().prop_map(|all| Map::from_iter([("include".to_owned(), all)])));
    (entries("", |index| settings(index % 2 == 0)), entries("0", |_| added()), views).prop_map(
        |(mut backends, added, views)| {
            backends.extend(added);
            json!({ "backends": backends, "views": views })
        },
    )
}

proptest! {
    #[test]
    fn an_overlay_is_written_as_it_is_read_whatever_it_says(document in overlays()) {
        // With escapes for all that is not ASCII, which any reader takes.
        let ascii = document.to_string().chars().fold(String::new(), |out, c| match c {
            ' '..='~' => out + c.encode_utf8(&mut [0; 4]),
            c => out + &format!("\\U{:08x}", u32::from(c)),
        });
        let overlay = read(ascii);
        prop_assert_eq!(&read(overlay.to_string()), &overlay, "{}", overlay);
        prop_assert_eq!(&read(overlay.json()), &overlay, "{}", overlay.json());
    }
}

#[test]
fn a_name_that_yaml_takes_for_something_else_stands_in_quotes() {
    let text = concat!(
        "backends:\n  \"true\": { timeout: 5s }\n  \"null\": { drain: true }\n  plain: { disabled: true }\n",
        "  \"1e4\": { \"transport\":{\"streamable_http\":{}},\"endpoints\":[{\"url\":\"http://h:1/mcp\"}] }\n",
        "views:\n  \"42\": {\"include\":[\"*\"]}\n",
    );
    assert_eq!(read(text.to_owned()).to_string(), text);
}
