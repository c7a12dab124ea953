//! What a client wants to be told without asking for it (MCP 2026-07-28, subscriptions), and how it is told. Who is told
//! what, and when, is not here.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use only1mcp_model::SERVER_INFO;
use serde::{Deserialize, Serialize};

use super::json::{Kind, Span, Value};
use super::path;

/// The member of `_meta` that names a subscription.
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// A set of things that may change: those that somebody wants to hear of, or those that have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// The list of tools.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tools_list_changed: bool,
    /// The list of prompts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub prompts_list_changed: bool,
    /// The lists of resources and templates.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resources_list_changed: bool,
    /// The resources with these URIs.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub resource_subscriptions: BTreeSet<Box<str>>,
    /// The tasks with these ids (extension `io.modelcontextprotocol/tasks`, task status notifications).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub task_ids: BTreeSet<Box<str>>,
}

/// A notification of a server, as far as it is about subscriptions.
#[derive(Debug)]
pub enum Told {
    /// It will tell of these.
    Acknowledged(Filter),
    /// These have changed.
    Changed(Filter),
    /// The task with this id has: the notification says how.
    Task(Box<str>),
}

// === impl Filter ===

impl Filter {
    /// The lists of it alone.
    #[must_use]
    pub fn lists(&self) -> Self {
        Self { resource_subscriptions: BTreeSet::new(), task_ids: BTreeSet::new(), ..self.clone() }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether any list is in it.
    #[must_use]
    pub fn has_lists(&self) -> bool {
        self.tools_list_changed || self.prompts_list_changed || self.resources_list_changed
    }

    /// Takes out all but the lists.
    #[must_use]
    pub fn take_all_but_lists(&mut self) -> Self {
        let resource_subscriptions = std::mem::take(&mut self.resource_subscriptions);
        Self { resource_subscriptions, task_ids: std::mem::take(&mut self.task_ids), ..Self::default() }
    }

    /// Whether all of the other is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.tools_list_changed >= other.tools_list_changed
            && self.prompts_list_changed >= other.prompts_list_changed
            && self.resources_list_changed >= other.resources_list_changed
            && self.resource_subscriptions.is_superset(&other.resource_subscriptions)
            && self.task_ids.is_superset(&other.task_ids)
    }

    /// What is in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self {
            tools_list_changed: self.tools_list_changed && other.tools_list_changed,
            prompts_list_changed: self.prompts_list_changed && other.prompts_list_changed,
            resources_list_changed: self.resources_list_changed && other.resources_list_changed,
            resource_subscriptions: &self.resource_subscriptions & &other.resource_subscriptions,
            task_ids: &self.task_ids & &other.task_ids,
        }
    }

    /// Takes in what is in the other.
    pub fn merge(&mut self, other: &Self) {
        self.tools_list_changed |= other.tools_list_changed;
        self.prompts_list_changed |= other.prompts_list_changed;
        self.resources_list_changed |= other.resources_list_changed;
        self.resource_subscriptions.extend(other.resource_subscriptions.iter().cloned());
        self.task_ids.extend(other.task_ids.iter().cloned());
    }

    /// As it is written.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// One notification for each thing in it but for tasks, of which it says too little, for the client whose subscription has this id, as written; in a legacy session
    /// there is none.
    #[must_use]
    pub fn notifications(&self, id: Option<&str>) -> Vec<String> {
        let lists = [
            ("tools", self.tools_list_changed),
            ("prompts", self.prompts_list_changed),
            ("resources", self.resources_list_changed),
        ];
        let lists = lists.into_iter().filter(|(_, changed)| *changed);
        let lists = lists.map(|(list, _)| notification(&format!("{list}/list_changed"), id, ""));
        let updated = self.resource_subscriptions.iter().map(|uri| {
            let mut member = String::new();
            let _infallible = write!(member, r#""uri":{}"#, serde_json::Value::from(&**uri));
            notification("resources/updated", id, &member)
        });
        lists.chain(updated).collect()
    }

    /// The notification that these will be told of.
    #[must_use]
    pub fn acknowledgement(&self, id: &str) -> String {
        notification("subscriptions/acknowledged", Some(id), &format!(r#""notifications":{}"#, self.json()))
    }
}

/// A notification about a task for the client whose subscription has this id, as written, and that calls the task so: with
/// these two in the place of the server's. `None` of one that is ambiguous, or about nothing.
#[must_use]
pub fn about_task(source: &[u8], params: Value, task: &str, id: &str) -> Option<Vec<u8>> {
    let paths: [&[&str]; 3] = [&["taskId"], &["_meta"], &["_meta", SUBSCRIPTION_ID]];
    let mut found = [None; 3];
    for (found, path) in found.iter_mut().zip(paths) {
        *found = path::find(source, params, path).ok()?;
    }
    let [named, meta, known] = found;
    let inside = |value: Value| Span { start: value.span.start + 1, end: value.span.start + 1 };
    let own_id = match (meta, known) {
        (_, Some(known)) => (known.span, id.to_owned()),
        (None, None) => (inside(params), format!(r#""_meta":{{"{SUBSCRIPTION_ID}":{id}}},"#)),
        (Some(meta), None) if meta.kind == Kind::Object => {
            let is_empty = meta.span.of(source)[1..].trim_ascii_start() == b"}";
            (inside(meta), format!(r#""{SUBSCRIPTION_ID}":{id}{}"#, if is_empty { "" } else { "," }))
        }
        (Some(_), None) => return None,
    };
    let mut edits = [(named?.span, serde_json::Value::from(task).to_string()), own_id];
    if edits[0].0.start > edits[1].0.start {
        edits.swap(0, 1);
    }
    let [(first, before), (second, behind)] = edits;
    let between = Span { start: first.end, end: second.start };
    let [head, tail] = [&source[..first.start as usize], &source[second.end as usize..]];
    Some([head, before.as_bytes(), between.of(source), behind.as_bytes(), tail].concat())
}

/// The response that ends a subscription.
#[must_use]
pub fn end(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","_meta":{{{SERVER_INFO},"{SUBSCRIPTION_ID}":{id}}}}}}}"#
    )
}

fn notification(name: &str, id: Option<&str>, member: &str) -> String {
    let meta = id.map(|id| format!(r#""_meta":{{"{SUBSCRIPTION_ID}":{id}}}"#)).unwrap_or_default();
    let comma = if meta.is_empty() || member.is_empty() { "" } else { "," };
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/{name}","params":{{{meta}{comma}{member}}}}}"#)
}

// === impl Told ===

impl Told {
    /// What a notification says, which was scanned; `None` of one that is not about subscriptions.
    #[must_use]
    pub fn of(source: &[u8], root: Span) -> Option<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Params {
            notifications: Filter,
            uri: Option<Box<str>>,
            #[serde(rename = "taskId")]
            task_id: Option<Box<str>>,
        }
        #[derive(Deserialize)]
        struct Notification {
            method: Box<str>,
            #[serde(default)]
            params: Params,
        }
        let Notification { method, params } = serde_json::from_slice(root.of(source)).ok()?;
        let mut changed = Filter::default();
        match &*method {
            "notifications/subscriptions/acknowledged" => return Some(Self::Acknowledged(params.notifications)),
            "notifications/tools/list_changed" => changed.tools_list_changed = true,
            "notifications/prompts/list_changed" => changed.prompts_list_changed = true,
            "notifications/resources/list_changed" => changed.resources_list_changed = true,
            "notifications/tasks" => return params.task_id.map(Self::Task),
            "notifications/resources/updated" => changed.resource_subscriptions.extend(params.uri),
            _ => return None,
        }
        Some(Self::Changed(changed))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mcp::envelope;

    fn filter(value: Value) -> Filter {
        serde_json::from_value(value).expect("a filter")
    }

    #[test]
    fn filters_are_sets() {
        let (tools, both) = (
            filter(json!({ "toolsListChanged": true, "resourceSubscriptions": ["a"] })),
            filter(
                json!({ "toolsListChanged": true, "promptsListChanged": false, "resourceSubscriptions": ["a", "b"] }),
            ),
        );
        assert!(both.covers(&tools) && both.covers(&both) && !tools.covers(&both) && !both.is_empty());
        assert!(!tools.covers(&filter(json!({ "resourcesListChanged": true }))));
        assert_eq!(both.common(&tools), tools);
        let mut merged = tools.clone();
        merged.merge(&both);
        assert_eq!(merged, both);
        assert_eq!(tools.json(), r#"{"toolsListChanged":true,"resourceSubscriptions":["a"]}"#);
        assert!(filter(json!({ "unknown": true })).is_empty() && Filter::default().json() == "{}");
    }

    #[test]
    fn what_is_told_of_a_task_bears_the_ids_of_its_client_and_is_the_servers_otherwise() {
        let told = |params: &str| {
            let source = format!(r#"{{"jsonrpc":"2.0","method":"notifications/tasks","params":{params}}}"#);
            let head = envelope::outgoing(source.as_bytes()).expect("a message");
            let told = about_task(source.as_bytes(), head.params.expect("parameters"), "own\"", r#""l1""#)?;
            let told = String::from_utf8(told).expect("text");
            Some(told.split_once(r#""params":"#).expect("parameters").1.to_owned())
        };
        let key = r#""io.modelcontextprotocol/subscriptionId""#;
        for (params, expected) in [
            (
                format!(r#"{{"x":1.0,"taskId":"a","_meta":{{"y":1,{key}:7}}}}"#),
                format!(r#"{{"x":1.0,"taskId":"own\"","_meta":{{"y":1,{key}:"l1"}}}}}}"#),
            ),
            (r#"{"taskId":"a"}"#.to_owned(), format!(r#"{{"_meta":{{{key}:"l1"}},"taskId":"own\""}}}}"#)),
            (r#"{"_meta":{ },"taskId":"a"}"#.to_owned(), format!(r#"{{"_meta":{{{key}:"l1" }},"taskId":"own\""}}}}"#)),
            (
                r#"{"_meta":{"y":1},"taskId":"a"}"#.to_owned(),
                format!(r#"{{"_meta":{{{key}:"l1","y":1}},"taskId":"own\""}}}}"#),
            ),
        ] {
            assert_eq!(told(&params), Some(expected), "{params}");
        }
        for none in [r#"{"_meta":[],"taskId":"a"}"#, r#"{"x":"a"}"#] {
            assert_eq!(told(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_told_is_read_back_and_bears_the_id_as_written() {
        let all = filter(json!({
            "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true, "resourceSubscriptions": ["a\"b"]
        }));
        let mut told = Filter::default();
        for text in all.notifications(Some(r#""l\u0031""#)) {
            assert!(text.contains(r#"{"io.modelcontextprotocol/subscriptionId":"l\u0031"}"#), "{text}");
            let length = u32::try_from(text.len()).expect("it is short");
            let Some(Told::Changed(changed)) = Told::of(text.as_bytes(), Span { start: 0, end: length }) else {
                unreachable!("{text}")
            };
            told.merge(&changed);
        }
        assert_eq!(told, all);
        let text = all.acknowledgement("7");
        let length = u32::try_from(text.len()).expect("it is short");
        let Some(Told::Acknowledged(read)) = Told::of(text.as_bytes(), Span { start: 0, end: length }) else {
            unreachable!("{text}")
        };
        assert_eq!(read, all);
    }
}
