//! What a scan must find, read a second time with serde_json. Shared with the fuzz target, so it takes the items under
//! test from its parent module.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str::Utf8Error;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Cut, DEPTH_MAX, Id, Incoming, Kind, Outgoing, ScanErrorKind, Shape, Span, Value, incoming, outgoing};

/// An object that is looked into: its path, the members decided on, the members only passed on.
type Level = (&'static str, &'static [&'static str], &'static [&'static str]);

const TOP: &[&str] = &["jsonrpc", "id", "method"];
const INCOMING: &[Level] = &[
    ("", TOP, &["params", "result", "error"]),
    ("params", &["name", "uri", "cursor", "taskId", "requestId"], &["arguments", "ref", "_meta"]),
    (
        "params._meta",
        &["progressToken", "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/logLevel"],
        &["io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/clientInfo"],
    ),
];
const OUTGOING: &[Level] = &[
    ("", TOP, &["params", "result", "error"]),
    ("params", &["progressToken", "requestId", "level"], &["_meta"]),
    ("params._meta", &["progressToken"], &[]),
    ("result", &["resultType", "ttlMs", "cacheScope"], &["_meta"]),
    ("error", &["code"], &["message", "data"]),
];

/// Members by path.
type Found = BTreeMap<String, Range<usize>>;

#[derive(Debug)]
enum Refusal {
    NotJson,
    Depth,
    NotObject,
    Duplicate,
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

/// Holds `incoming` against serde_json.
///
/// # Panics
/// They disagree.
pub(super) fn check_incoming(source: &[u8]) {
    let expected = read(source, INCOMING);
    let Some((message, found)) = accepted(source, incoming(source), expected) else { return };
    let Incoming { shape, version_ok, id, method, root, params, params_empty, meta, meta_kind, multiline, .. } =
        message;
    assert_top(source, &found, (shape, version_ok, id, multiline), method.map(|text| text.span), root);
    assert_member(source, &found, "params", params);
    assert_member(source, &found, "params.name", message.name);
    assert_member(source, &found, "params.uri", message.uri);
    assert_member(source, &found, "params.cursor", message.cursor);
    assert_member(source, &found, "params.taskId", message.task_id);
    assert_member(source, &found, "params.requestId", message.request_id);
    assert_member(source, &found, "params.arguments", message.arguments);
    assert_member(source, &found, "params.ref", message.reference);
    assert_eq!(params_empty, is_empty(source, &found, "params"));
    let escaped = false;
    let value = meta.zip(meta_kind).map(|(meta, kind)| Value { kind, span: meta.value, escaped });
    assert_eq!(value.map(|value| value.span), found.get("params._meta").cloned().map(span));
    let meta = meta.unwrap_or_default();
    assert_eq!(meta.empty, is_empty(source, &found, "params._meta"));
    let client = "params._meta.io.modelcontextprotocol";
    assert_member(source, &found, "params._meta.progressToken", meta.progress_token);
    assert_member(source, &found, &format!("{client}/protocolVersion"), meta.protocol_version);
    assert_member(source, &found, &format!("{client}/clientCapabilities"), meta.client_capabilities);
    assert_member(source, &found, &format!("{client}/clientInfo"), meta.client_info);
    assert_member(source, &found, &format!("{client}/logLevel"), meta.log_level);
    let cuts = meta.cuts.map(|cut| cut.is_some());
    let values = [meta.protocol_version, meta.client_capabilities, meta.client_info, meta.log_level];
    assert_eq!(cuts, values.map(|value| value.is_some()));
    for chosen in 0_u8..16 {
        assert_cut(source, &message, std::array::from_fn(|index| chosen >> index & 1 == 1));
    }
}

/// Holds `outgoing` against serde_json.
///
/// # Panics
/// They disagree.
pub(super) fn check_outgoing(source: &[u8]) {
    let expected = read(source, OUTGOING);
    let Some((message, found)) = accepted(source, outgoing(source), expected) else { return };
    let Outgoing { shape, version_ok, id, method, root, params, result, error, multiline, .. } = message;
    assert_top(source, &found, (shape, version_ok, id, multiline), method.map(|text| text.span), root);
    assert_member(source, &found, "params", params);
    let own = found.contains_key("params.progressToken");
    let token = if own { "params.progressToken" } else { "params._meta.progressToken" };
    assert_member(source, &found, token, message.progress_token);
    assert_member(source, &found, "params.requestId", message.request_id);
    assert_member(source, &found, "params.level", message.level);
    assert_member(source, &found, "result", result);
    assert_member(source, &found, "result.resultType", message.result_type);
    assert_member(source, &found, "result.ttlMs", message.ttl_ms);
    assert_member(source, &found, "result.cacheScope", message.cache_scope);
    assert_member(source, &found, "result._meta", message.result_meta);
    assert_eq!(message.result_empty, is_empty(source, &found, "result"));
    assert_eq!(message.result_meta_empty, is_empty(source, &found, "result._meta"));
    assert_member(source, &found, "error", error);
    assert_member(source, &found, "error.code", message.error_code);
    assert_member(source, &found, "error.message", message.error_message);
    assert_member(source, &found, "error.data", message.error_data);
    assert_eq!(message.result_type.is_some(), message.result_type_cut.is_some());
    if let (Some(result), Some(cut)) = (result, message.result_type_cut) {
        assert_gone(source, result.span, &Cut::together(&[cut]), &["resultType"]);
    }
}

/// The message and what should be in it, where both accept it; nothing where both refuse it for the same reason.
fn accepted<T: fmt::Debug>(
    source: &[u8],
    scanned: Result<T, super::ScanError>,
    expected: Result<Found, Refusal>,
) -> Option<(T, Found)> {
    let text = String::from_utf8_lossy(source);
    match (scanned, expected) {
        (Ok(message), Ok(found)) => return Some((message, found)),
        (Err(error), Err(refusal)) => {
            let same = match refusal {
                // A source may be too deep before it is wrong.
                Refusal::NotJson => matches!(error.kind, ScanErrorKind::Syntax | ScanErrorKind::Depth),
                Refusal::Depth => error.kind == ScanErrorKind::Depth,
                Refusal::NotObject => error.kind == ScanErrorKind::NotObject,
                Refusal::Duplicate => matches!(error.kind, ScanErrorKind::DuplicateKey(_)),
            };
            assert!(same, "{refusal:?} expected, {error:?} found: {text:?}");
        }
        (scanned, expected) => panic!("{expected:?} expected, {scanned:?} found: {text:?}"),
    }
    None
}

fn read(source: &[u8], levels: &[Level]) -> Result<Found, Refusal> {
    let text = std::str::from_utf8(source)?;
    serde_json::from_str::<IgnoredAny>(text)?;
    if depth(source) > DEPTH_MAX {
        return Err(Refusal::Depth);
    }
    if !text.trim_start().starts_with('{') {
        return Err(Refusal::NotObject);
    }
    let trimmed = text.trim_matches([' ', '\t', '\r', '\n']);
    let mut found = Found::from([(String::new(), range(source, trimmed))]);
    let mut duplicate = false;
    for (path, decided, passed) in levels {
        let outer = found.clone();
        for object in instances(&outer, path).map(|range| &text[range]).filter(|object| object.starts_with('{')) {
            let members: Members<'_> = serde_json::from_str(object)?;
            for (key, value) in members.0 {
                let decides = decided.contains(&key.as_str());
                if decides && value.get().starts_with('"') {
                    serde_json::from_str::<String>(value.get())?;
                }
                if decides || passed.contains(&key.as_str()) {
                    let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                    let again = if found.contains_key(&path) { format!("{path}#{}", found.len()) } else { path };
                    duplicate |= again.contains('#');
                    found.insert(again, range(source, value.get()));
                }
            }
        }
    }
    if duplicate { Err(Refusal::Duplicate) } else { Ok(found) }
}

/// Every value at a path: the first is found by its path, duplicates by the path and a number.
fn instances(found: &Found, path: &str) -> impl Iterator<Item = Range<usize>> {
    let duplicates = format!("{path}#");
    let is_one = move |key: &str| key == path || key.starts_with(&duplicates) && !key[duplicates.len()..].contains('.');
    found.iter().filter(move |(key, _)| is_one(key)).map(|(_, range)| range.clone())
}

/// How deep a source that is JSON nests.
fn depth(source: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0, 0, false, false);
    for byte in source {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    deepest
}

fn assert_top(source: &[u8], found: &Found, message: (Shape, bool, Id, bool), method: Option<Span>, root: Span) {
    let (shape, version_ok, id, multiline) = message;
    let string = |path: &str| {
        let raw = &source[found.get(path)?.clone()];
        serde_json::from_slice::<String>(raw).ok()
    };
    assert_eq!(root, span(found[""].clone()));
    assert_eq!(version_ok, string("jsonrpc").is_some_and(|version| version == "2.0"));
    assert_eq!(multiline, source.contains(&b'\n') || source.contains(&b'\r'));
    let method_inside = found.get("method").filter(|range| source[range.start] == b'"');
    assert_eq!(method, method_inside.map(|range| span(range.start + 1..range.end - 1)));
    let has = |path| found.contains_key(path);
    let expected = match (has("method"), has("result"), has("error")) {
        (true, false, false) if method.is_some() && has("id") => Shape::Request,
        (true, false, false) if method.is_some() => Shape::Notification,
        (false, true, false) | (false, false, true) => Shape::Response,
        _ => Shape::Invalid,
    };
    assert_eq!(shape, expected);
    let Some(range) = found.get("id").cloned() else {
        assert_eq!(id, Id::Absent);
        return;
    };
    let raw = std::str::from_utf8(&source[range.clone()]).unwrap();
    let (whole, fraction) = raw.split_once('.').unwrap_or((raw, "0"));
    let integer = !whole.contains(['e', 'E']) && fraction.trim_end_matches('0').is_empty();
    let expected = match raw.as_bytes()[0] {
        b'n' => Id::Null,
        _ if raw.len() > super::ID_BYTES_MAX => Id::Invalid,
        b'"' => Id::String(span(range)),
        b'-' | b'0'..=b'9' if integer => Id::Number(span(range)),
        _ => Id::Invalid,
    };
    assert_eq!(id, expected);
}

fn assert_member(source: &[u8], found: &Found, path: &str, value: Option<Value>) {
    let expected = found.get(path).cloned().map(|range| {
        let raw = &source[range.clone()];
        let kind = match raw[0] {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::String,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            _ => Kind::Number,
        };
        Value { kind, span: span(range), escaped: kind == Kind::String && raw.contains(&b'\\') }
    });
    assert_eq!(value, expected, "{path}");
}

fn assert_cut(source: &[u8], message: &Incoming, chosen: [bool; 4]) {
    let Some(meta) = message.meta else { return };
    let names = ["protocolVersion", "clientCapabilities", "clientInfo", "logLevel"];
    let gone: Vec<String> = names
        .iter()
        .zip(chosen)
        .filter(|(_, chosen)| *chosen)
        .map(|(name, _)| format!("io.modelcontextprotocol/{name}"))
        .collect();
    let cuts = meta.cut(chosen);
    assert_gone(source, meta.value, &cuts, &gone.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Asserts that `cuts`, which are sorted, leave of `object` all members but the ones named, in their order.
fn assert_gone(source: &[u8], object: Span, cuts: &[Span], names: &[&str]) {
    let Ok(Members(mut expected)) = serde_json::from_slice(object.of(source)) else { return };
    expected.retain(|(key, _)| !names.contains(&key.as_str()));
    let mut left = Vec::new();
    let mut copied = object.start;
    for cut in cuts {
        assert!(copied <= cut.start && cut.end < object.end, "{cuts:?} in {object:?}");
        left.extend_from_slice(Span { start: copied, end: cut.start }.of(source));
        copied = cut.end;
    }
    left.extend_from_slice(Span { start: copied, end: object.end }.of(source));
    let Members(found) = serde_json::from_slice(&left).expect("a valid object is left");
    let plain = |members: Vec<(String, &RawValue)>| -> Vec<(String, String)> {
        members.into_iter().map(|(key, value)| (key, value.get().to_owned())).collect()
    };
    assert_eq!(plain(found), plain(expected));
}

fn is_empty(source: &[u8], found: &Found, path: &str) -> bool {
    let Some(range) = found.get(path) else { return false };
    let raw = &source[range.clone()];
    raw[0] == b'{'
        && serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(raw).is_ok_and(|members| members.is_empty())
}

fn range(source: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - source.as_ptr() as usize;
    start..start + part.len()
}

fn span(range: Range<usize>) -> Span {
    Span { start: u32::try_from(range.start).unwrap(), end: u32::try_from(range.end).unwrap() }
}

impl From<Utf8Error> for Refusal {
    fn from(_: Utf8Error) -> Self {
        Self::NotJson
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(_: serde_json::Error) -> Self {
        Self::NotJson
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(InOrder).map(Members)
    }
}
