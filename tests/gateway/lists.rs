//! Lists: what is served is what the lock holds, whole, in every revision; names lead where a map would lead.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use only1mcp::Running;
use only1mcp::catalog::{Entry, Topology};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::legacy::initialize;
use crate::support::client::{Client, Request};
use crate::support::gateways::{self, Demo, Large};

pub(crate) const REVISIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

/// Where everything is served.
pub(crate) const ALL: &str = "POST /mcp HTTP/1.1";

/// `name.lock.json`, as far as lists are concerned.
#[derive(Deserialize)]
struct Lock {
    backends: BTreeMap<String, Section>,
}

#[derive(Deserialize)]
struct Section {
    #[serde(default)]
    tools: Vec<Locked>,
    #[serde(default)]
    prompts: Vec<Locked>,
    #[serde(default)]
    resources: Vec<Locked>,
    #[serde(default)]
    templates: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    item: Box<RawValue>,
}

/// The result of a list request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listed {
    #[serde(alias = "tools", alias = "prompts", alias = "resources", alias = "resourceTemplates")]
    pub(crate) items: Vec<Box<RawValue>>,
    pub(crate) next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    result: Listed,
}

/// How clients of one revision ask.
pub(crate) enum Asking {
    Modern,
    Legacy { session_id: String },
}

// === impl Lock ===

impl Lock {
    fn read(path: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        serde_json::from_str(&std::fs::read_to_string(path).expect("the lock is there")).expect("the lock is one")
    }

    /// The items of a list as clients see them, in any order. Names get the prefix of their backend.
    fn items(&self, list: impl Fn(&Section) -> &[Locked], prefixed: bool) -> Vec<String> {
        let sections = self.backends.iter();
        let items = sections.flat_map(|(backend, section)| list(section).iter().map(move |locked| (backend, locked)));
        let items = items.map(|(backend, locked)| {
            #[derive(Deserialize)]
            struct Named {
                name: String,
            }
            let item = compact(locked.item.get());
            let Named { name } = serde_json::from_str(&item).expect("items have names");
            if prefixed {
                item.replacen(&format!(r#""name":"{name}""#), &format!(r#""name":"{backend}__{name}""#), 1)
            } else {
                item
            }
        });
        let mut items: Vec<_> = items.collect();
        items.sort();
        items
    }
}

/// JSON without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let kept = json.chars().filter(|&char| {
        let keep = inside || !char.is_ascii_whitespace();
        inside ^= char == '"' && !escaped;
        escaped = inside && char == '\\' && !escaped;
        keep
    });
    kept.collect()
}

// === impl Asking ===

impl Asking {
    /// At the path that the line names.
    pub(crate) async fn begin(client: &mut Client, revision: &str, line: &str) -> Self {
        if revision == "2026-07-28" {
            return Self::Modern;
        }
        let answer = client.exchange(&initialize(revision).line(line)).await;
        Self::Legacy { session_id: answer.field("mcp-session-id").expect("a session").to_owned() }
    }

    pub(crate) fn list(&self, method: &str, cursor: Option<&str>) -> Request {
        let params = cursor.map(|cursor| format!(r#""cursor":"{cursor}""#)).unwrap_or_default();
        match self {
            Self::Modern => Request::modern(method, None, &params),
            Self::Legacy { session_id } => {
                let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
                Request::legacy(session_id, body)
            }
        }
    }

    /// Every page of a list.
    pub(crate) async fn pages(&self, client: &mut Client, method: &str, line: &str) -> Vec<Listed> {
        let mut pages: Vec<Listed> = Vec::new();
        loop {
            let cursor = pages.last().and_then(|page| page.next_cursor.as_deref());
            if cursor.is_none() && !pages.is_empty() {
                return pages;
            }
            let answer = client.exchange(&self.list(method, cursor).line(line)).await;
            let answer: Answer = serde_json::from_slice(&answer.body).expect("a list");
            pages.push(answer.result);
            assert!(pages.len() <= 1000, "the pages of `{method}` have no end");
        }
    }
}

async fn every_list_is_that_of(gateway: &Running, lock: &Lock) {
    let lists = [
        ("tools/list", lock.items(|section| &section.tools, true)),
        ("prompts/list", lock.items(|section| &section.prompts, true)),
        ("resources/list", lock.items(|section| &section.resources, false)),
        ("resources/templates/list", lock.items(|section| &section.templates, false)),
    ];
    let mut client = Client::connect(gateway.address()).await;
    for revision in REVISIONS {
        let asking = Asking::begin(&mut client, revision, ALL).await;
        for (method, expected) in &lists {
            let pages = asking.pages(&mut client, method, ALL).await;
            let items = pages.iter().flat_map(|page| &page.items).map(|item| item.get().to_owned());
            let mut items: Vec<_> = items.collect();
            items.sort();
            assert_eq!(items.len(), expected.len(), "{method} in {revision}");
            for (item, expected) in items.iter().zip(expected) {
                assert_eq!(item, expected, "{method} in {revision}");
            }
        }
    }
}

#[tokio::test]
async fn lists_hold_the_bytes_of_the_lock_in_every_revision() {
    let lock = Lock::read("tests/gateway/topologies/demo.lock.json");
    every_list_is_that_of(&gateways::demo(), &lock).await;
}

#[tokio::test]
async fn three_thousand_tools_come_in_pages_without_loss_or_duplicate() {
    let lock = Lock::read("topologies/large.lock.json");
    let gateway = gateways::large();
    every_list_is_that_of(&gateway, &lock).await;
    let mut client = Client::connect(gateway.address()).await;
    let (first, second) = (
        Asking::Modern.pages(&mut client, "tools/list", ALL).await,
        Asking::Modern.pages(&mut client, "tools/list", ALL).await,
    );
    assert!(first.len() > 1, "3000 tools are one page");
    assert_eq!(first.iter().map(|page| page.items.len()).sum::<usize>(), 3000);
    let cursors = |pages: &[Listed]| pages.iter().map(|page| page.next_cursor.clone()).collect::<Vec<_>>();
    assert_eq!(cursors(&first), cursors(&second));
}

#[tokio::test]
async fn a_cursor_is_good_for_its_list_alone() {
    let gateway = gateways::large();
    let mut client = Client::connect(gateway.address()).await;
    let pages = Asking::Modern.pages(&mut client, "tools/list", ALL).await;
    let cursor = pages[0].next_cursor.as_deref().expect("a second page");
    for method in ["prompts/list", "resources/list", "resources/templates/list"] {
        let answer = client.exchange(&Asking::Modern.list(method, Some(cursor))).await;
        assert_eq!(answer.code(), Some(-32602), "{method}: {}", answer.text());
    }
    let longer = format!("{cursor}A");
    for spoilt in [&cursor[1..], &longer] {
        let answer = client.exchange(&Asking::Modern.list("tools/list", Some(spoilt))).await;
        assert_eq!(answer.code(), Some(-32602), "{spoilt}: {}", answer.text());
    }
}

/// What the tables must agree with.
fn naive(entries: &'static [Entry]) -> HashMap<&'static str, &'static Entry> {
    entries.iter().map(|entry| (entry.name, entry)).collect()
}

#[test]
fn every_listed_name_leads_to_its_entry() {
    fn check<T: Topology>() {
        let spec = T::SPEC;
        assert_eq!(naive(spec.tools).len(), spec.tools.len());
        for entry in spec.tools {
            assert_eq!(T::tool(entry.name), Some(entry));
            let backend = &spec.backends[usize::from(entry.backend)];
            assert_eq!(entry.name, format!("{}__{}", backend.name, entry.upstream));
        }
        assert!(spec.prompts.iter().all(|entry| T::prompt(entry.name) == Some(entry)));
        assert!(spec.resources.iter().all(|entry| T::resource(entry.name) == Some(entry)));
    }
    check::<Large>();
    check::<Demo>();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    /// Names near the listed ones: cut, doubled, with another letter, of another backend.
    #[test]
    fn a_name_leads_where_a_map_leads(
        index in 0..3000_usize,
        other in 0..3000_usize,
        at in 0..64_usize,
        letter in "[a-zA-Z0-9_\u{e9}-]",
        change in 0..5,
    ) {
        let map = naive(Large::SPEC.tools);
        let name = Large::SPEC.tools[index].name;
        let at = at.min(name.len());
        let (before, after) = name.split_at(at);
        let near = match change {
            0 => before.to_owned(),
            1 => format!("{before}{letter}{after}"),
            2 => format!("{before}{letter}{}", after.get(1..).unwrap_or_default()),
            3 => format!("{before}{}", after.get(1..).unwrap_or_default()),
            _ => format!("{before}{}", Large::SPEC.tools[other].name.get(at..).unwrap_or_default()),
        };
        prop_assert_eq!(Large::tool(&near), map.get(near.as_str()).copied(), "{}", near);
    }

    #[test]
    fn any_text_leads_where_a_map_leads(name in ".*") {
        prop_assert_eq!(Large::tool(&name), naive(Large::SPEC.tools).get(name.as_str()).copied());
        prop_assert_eq!(Demo::tool(&name), naive(Demo::SPEC.tools).get(name.as_str()).copied());
    }
}
