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

/// How a text of an overlay is laid out: a mark for each entry, in turn.
struct Layout {
    marks: Vec<u8>,
    next: usize,
    /// What ends its lines.
    ending: &'static str,
    /// How many comments it has on lines of their own, outside of what is listed by name.
    comments: usize,
}

impl Layout {
    fn next(&mut self) -> u8 {
        self.next += 1;
        self.marks[self.next % self.marks.len()]
    }

    /// A key and its value, on lines that are indented so far.
    fn entry(&mut self, key: &str, value: &Value, indent: usize, out: &mut String) {
        let (mark, blanks) = (self.next(), " ".repeat(indent));
        if mark & 1 != 0 {
            *out += &format!("{blanks}# above: '{{{}", self.ending);
        }
        let behind = if mark & 2 != 0 { " # behind }\"" } else { "" };
        let is_simple = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '\'');
        let in_single = || format!("'{}'", key.replace('\'', "''"));
        let key = if mark & 4 != 0 || !is_simple { ascii(&json!(key)) } else { in_single() };
        let ending = self.ending;
        match value {
            Value::Object(members) if mark & 8 != 0 && !members.is_empty() => {
                *out += &format!("{blanks}{key}:{behind}{ending}");
                let further = if mark & 16 != 0 { 4 } else { 2 };
                self.entries(members, indent + further, out);
            }
            Value::Object(members) if mark & 16 != 0 && !members.is_empty() => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(key, value)| format!("{blanks}  {}: {}", ascii(&json!(key)), ascii(value)))
                    .collect();
                let members = members.join(&format!(", # within ]{ending}"));
                *out += &format!("{blanks}{key}: {{{behind}{ending}{members}{ending}{blanks}  }}{ending}");
            }
            value => *out += &format!("{blanks}{key}: {}{behind}{ending}", ascii(value)),
        }
    }

    fn entries(&mut self, members: &Map<String, Value>, indent: usize, out: &mut String) {
        members.iter().for_each(|(key, value)| self.entry(key, value, indent, out));
    }

    /// The text of an overlay: what is listed by name has lines of its own.
    fn write(&mut self, overlay: &Value) -> String {
        let mut out = String::new();
        for (section, entries) in overlay.as_object().expect("an object") {
            let Some(entries) = entries.as_object().filter(|entries| !entries.is_empty()) else { continue };
            out += &format!("# {section}{0}{section}: # by name{0}", self.ending);
            self.comments += 2;
            self.entries(entries, 2, &mut out);
        }
        if out.is_empty() { format!("{{}} # nothing{}", self.ending) } else { out }
    }
}

/// As JSON, with escapes for all that is not ASCII, which any reader takes.
fn ascii(value: &Value) -> String {
    value.to_string().chars().fold(String::new(), |out, c| match c {
        ' '..='~' => out + c.encode_utf8(&mut [0; 4]),
        c => out + &format!("\\U{:08x}", u32::from(c)),
    })
}

/// Some entries of one overlay, and some of another.
fn mixed(one: &Value, other: &Value, choices: u32) -> Value {
    let mut out = one.clone();
    for section in ["backends", "views"] {
        let (own, others) = (out[section].as_object_mut().expect("an object"), other[section].as_object());
        for (index, name) in NAMES.iter().flat_map(|name| [(*name).to_owned(), format!("{name}0")]).enumerate() {
            let theirs = others.and_then(|others| others.get(&name));
            match ((choices.rotate_right(u32::try_from(index).unwrap_or_default()) & 7), theirs) {
                (0, None) => drop(own.remove(&name)),
                (0 | 1, Some(theirs)) => drop(own.insert(name, theirs.clone())),
                (2..=5, Some(theirs)) if own.contains_key(&name) => merge(&mut own[&name], theirs, choices),
                _ => {}
            }
        }
    }
    out
}

/// Keys without which an entry is none.
const NEEDED: [&str; 5] = ["transport", "streamable_http", "endpoints", "include", "path"];

/// Some members of one value in another, as deep as both are objects.
fn merge(own: &mut Value, theirs: &Value, choices: u32) {
    let (Value::Object(members), Value::Object(others)) = (&mut *own, theirs) else {
        *own = theirs.clone();
        return;
    };
    for (index, (name, value)) in others.iter().enumerate() {
        match choices.rotate_right(u32::try_from(index).unwrap_or_default()) & 1 {
            0 => merge(members.entry(name.clone()).or_insert(Value::Null), value, choices.rotate_right(3)),
            _ if !NEEDED.contains(&name.as_str()) => drop(members.remove(name)),
            _ => {}
        }
    }
}

/// What an overlay says, in whichever order; backends of which nothing is said are as good as none.
fn said(overlay: &Overlay) -> Value {
    let mut said: Value = serde_json::from_str(&overlay.json()).expect("JSON");
    said["backends"].as_object_mut().expect("an object").retain(|_, settings| *settings != json!({}));
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn an_overlay_is_written_over_another_one_whatever_both_say(
        (before, other) in (overlays(), overlays()),
        choices in any::<u32>(),
        marks in vec(any::<u8>(), 1..20),
        crlf in any::<bool>(),
    ) {
        let mut layout = Layout { marks, next: 0, ending: if crlf { "\r\n" } else { "\n" }, comments: 0 };
        let text = layout.write(&before);
        read(text.clone());
        let target = read(ascii(&mixed(&before, &other, choices)));
        let written = target.written_over(&text, COMPILED.compiled());
        prop_assert_eq!(said(&read(written.clone())), said(&target), "{} became {}", text, written);
        // One that is written anew has none.
        let kept = written.lines().filter(|line| line.starts_with("# ") || line.contains("# by name")).count();
        prop_assert!(kept > 0 || layout.comments == 0, "{} became {}", text, written);
        prop_assert_eq!(target.written_over(&written, COMPILED.compiled()), written);
    }
}
