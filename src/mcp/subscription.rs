//! What a client wants to be told without asking for it (MCP 2026-07-28, subscriptions), and how it is told. Who is told
//! what, and when, is not here.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use only1mcp_model::SERVER_INFO;
use serde::{Deserialize, Serialize};

use super::json::Span;

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
}

/// A notification of a server, as far as it is about subscriptions.
#[derive(Debug)]
pub enum Told {
    /// It will tell of these.
    Acknowledged(Filter),
    /// These have changed.
    Changed(Filter),
}

// === impl Filter ===

impl Filter {
    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all of the other is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.tools_list_changed >= other.tools_list_changed
            && self.prompts_list_changed >= other.prompts_list_changed
            && self.resources_list_changed >= other.resources_list_changed
            && self.resource_subscriptions.is_superset(&other.resource_subscriptions)
    }

    /// What is in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self {
            tools_list_changed: self.tools_list_changed && other.tools_list_changed,
            prompts_list_changed: self.prompts_list_changed && other.prompts_list_changed,
            resources_list_changed: self.resources_list_changed && other.resources_list_changed,
            resource_subscriptions: &self.resource_subscriptions & &other.resource_subscriptions,
        }
    }

    /// Takes in what is in the other.
    pub fn merge(&mut self, other: &Self) {
        self.tools_list_changed |= other.tools_list_changed;
        self.prompts_list_changed |= other.prompts_list_changed;
        self.resources_list_changed |= other.resources_list_changed;
        self.resource_subscriptions.extend(other.resource_subscriptions.iter().cloned());
    }

    /// As it is written.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// One notification for each thing in it, for the client whose subscription has this id, as written; in a legacy session
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

/// The response that ends a subscription.
#[must_use]
pub fn end(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","_meta":{{{SERVER_INFO},"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
    )
}

fn notification(name: &str, id: Option<&str>, member: &str) -> String {
    let meta = id.map(|id| format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#)).unwrap_or_default();
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
