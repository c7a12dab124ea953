//! The settings of one backend that an overlay may have, each in one line: how it is called, what it is set to, what is
//! compiled.

use std::fmt;
use std::ops::RangeInclusive;

use serde::Serialize;

use super::BackendSettings;
use crate::json::token;
use crate::plan;
use crate::topology::Millis;
use crate::traffic::{BreakerSettings, HealthSettings, HedgeSettings, RetrySettings};
use crate::yaml::{Document, Node, Value, steps};

/// One setting.
pub(super) struct Setting {
    /// Its key, in an overlay and in a topology.
    pub(super) name: &'static str,
    /// Its value in an overlay, if that sets it.
    pub(super) set: fn(&BackendSettings) -> Option<String>,
    /// The compiled value.
    pub(super) compiled: fn(&plan::Backend) -> String,
    /// Whether a topology has it too.
    pub(super) compiles: bool,
}

/// Every setting, in the order of the keys.
pub(super) const SETTINGS: [Setting; 11] = [
    Setting {
        name: "timeout",
        set: |own| own.timeout.map(|timeout| timeout.to_string()),
        compiled: |backend| Millis(backend.timeout_ms).to_string(),
        compiles: true,
    },
    switch("disabled", |own| own.disabled.then(|| true.to_string())),
    switch("drain", |own| own.drain.then(|| true.to_string())),
    Setting {
        name: "weights",
        set: |own| own.weights.as_ref().map(|weights| listed(weights.iter())),
        compiled: |backend| listed(backend.transport.endpoints().iter().map(|endpoint| endpoint.weight)),
        // It has them at the endpoints.
        compiles: false,
    },
    Setting {
        name: "weight",
        set: |own| own.weight.map(|weight| weight.to_string()),
        compiled: |_| "that of each route".to_owned(),
        // It has it at the routes.
        compiles: false,
    },
    Setting {
        name: "concurrency",
        set: |own| own.concurrency.as_ref().map(|own| own.planned().to_string()),
        compiled: |backend| backend.concurrency.to_string(),
        compiles: true,
    },
    Setting {
        name: "retry",
        set: |own| own.retry.as_ref().map(|own| on_or_off(own.on().map(RetrySettings::planned))),
        compiled: |backend| on_or_off(backend.retry),
        compiles: true,
    },
    Setting {
        name: "hedge",
        set: |own| own.hedge.as_ref().map(|own| on_or_off(own.on().map(HedgeSettings::planned))),
        compiled: |backend| on_or_off(backend.hedge),
        compiles: true,
    },
    Setting {
        name: "circuit_breaker",
        set: |own| own.circuit_breaker.as_ref().map(|own| on_or_off(own.on().map(BreakerSettings::planned))),
        compiled: |backend| on_or_off(backend.circuit_breaker),
        compiles: true,
    },
    Setting {
        name: "health",
        set: |own| own.health.as_ref().map(|own| on_or_off(own.on().map(HealthSettings::planned))),
        compiled: |backend| on_or_off(backend.health.as_ref()),
        compiles: true,
    },
    Setting {
        name: "tools",
        set: |own| Some(denied(&own.tools.deny)).filter(|_| !own.tools.deny.is_empty()),
        // What is denied adds to what is compiled.
        compiled: |_| denied(&[]),
        compiles: false,
    },
];

/// A name as a key, in braces or not: a name may be of digits alone, or a word that YAML knows.
pub(super) fn key(name: &str) -> String {
    let is_read = |written: &str| Document::parse(written).is_ok_and(|own| own.has(steps![name]));
    let is_text = is_read(&format!("{name}: 1")) && is_read(&format!("{{ {name}: 1 }}"));
    if is_text { name.to_owned() } else { text(name) }
}

/// A text as a token of JSON that YAML reads as the same.
fn text(text: &str) -> String {
    // What YAML has no place for, takes for the end of a line, or for a byte order mark.
    const ESCAPED: [RangeInclusive<char>; 4] =
        ['\u{7f}'..='\u{9f}', '\u{2028}'..='\u{2029}', '\u{feff}'..='\u{feff}', '\u{fffe}'..='\u{ffff}'];
    let is_escaped = |c: char| ESCAPED.iter().any(|range| range.contains(&c));
    let written = |out: String, c: char| {
        if is_escaped(c) { out + &format!("\\u{:04x}", u32::from(c)) } else { out + c.encode_utf8(&mut [0; 4]) }
    };
    token(text).chars().fold(String::new(), written)
}

/// Settings that may be off.
fn on_or_off(settings: Option<impl ToString>) -> String {
    settings.map_or_else(|| "off".to_owned(), |settings| settings.to_string())
}

/// Patterns of tools that are denied, as a mapping.
pub(super) fn denied(patterns: &[String]) -> String {
    let patterns: Vec<String> = patterns.iter().map(|pattern| text(pattern)).collect();
    format!(r#"{{"deny":[{}]}}"#, patterns.join(","))
}

/// Numbers as a list.
fn listed(numbers: impl Iterator<Item = impl ToString>) -> String {
    format!("[{}]", numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(", "))
}

/// One that is off in every topology.
const fn switch(name: &'static str, set: fn(&BackendSettings) -> Option<String>) -> Setting {
    Setting { name, set, compiled: |_| false.to_string(), compiles: false }
}

/// What an overlay sets otherwise than compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The backend.
    pub backend: String,
    /// The key of the setting.
    pub setting: &'static str,
    /// What is compiled.
    pub compiled: String,
    /// What the overlay says instead.
    pub overlay: String,
}

// === impl Setting ===

impl Setting {
    /// What an overlay makes of it.
    pub(super) fn change(&self, backend: &plan::Backend, tuned: &BackendSettings) -> Option<Change> {
        let (compiled, overlay) = ((self.compiled)(backend), (self.set)(tuned)?);
        let change = Change { backend: backend.name.to_string(), setting: self.name, compiled, overlay };
        (change.compiled != change.overlay).then_some(change)
    }
}

/// What an overlay sets of one backend, as it would write that.
pub(super) fn written(tuned: &BackendSettings) -> Vec<String> {
    SETTINGS.iter().filter_map(|setting| Some(format!("{}: {}", setting.name, (setting.set)(tuned)?))).collect()
}

/// The same as members of an object.
pub(super) fn json(tuned: &BackendSettings) -> String {
    let value = |text: String| Document::parse(&text).map_or_else(|_| token(&text), |document| of_node(&document.root));
    let member = |own: &Setting| Some(format!("{}:{}", token(own.name), value((own.set)(tuned)?)));
    SETTINGS.iter().filter_map(member).collect::<Vec<_>>().join(",")
}

/// What stands in YAML, in JSON.
pub(super) fn of_node(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::String(own) => text(own),
        Value::Sequence(items) => format!("[{}]", items.iter().map(of_node).collect::<Vec<_>>().join(",")),
        Value::Mapping(entries) => {
            let members = entries.iter().map(|(key, value)| format!("{}:{}", of_node(key), of_node(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

// === impl Change ===

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, setting, compiled, overlay } = self;
        write!(f, "{backend}.{setting}: {compiled} -> {overlay}")
    }
}
