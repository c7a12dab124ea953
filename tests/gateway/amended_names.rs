//! Whatever overlays hide, add and show: names lead, and lists hold, what a plain map of the same would. The compiled catalog
//! is one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use only1mcp::catalog::Topology as _;
use only1mcp_model::names::matches;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::client::{Client, Request};
use crate::support::gateways::{self, Recorded};
use crate::support::recorder::Recorder;
use crate::support::server::{Server, json_answer, modern, result_body, text_body};

/// The tools of the backends that overlays may add, by their names.
const ADDED: [(&str, &[&str]); 3] = [("calm", &["echo", "query"]), ("deep", &["a", "b", "c"]), ("east", &["wait"])];
/// What is denied: names, and patterns that take several.
const PATTERNS: [&str; 8] = ["echo", "query", "*", "*_table*", "lo*", "nothing", "a", "list_*"];
/// What views show and do not show.
const SHOWN: [&str; 6] = ["*", "admin__*", "data__*", "*__echo", "deep__*", "*a*"];

/// One overlay.
#[derive(Clone, Debug)]
struct Amended {
    /// Patterns of tools that are hidden, by the backend.
    denied: BTreeMap<String, BTreeSet<&'static str>>,
    added: Vec<usize>,
    /// What the added view shows, and what it does not.
    view: Option<(Vec<&'static str>, Vec<&'static str>)>,
}

fn amended() -> impl Strategy<Value = Amended> {
    let patterns = || btree_set(select(&PATTERNS[..]), 0..3);
    let added = subsequence((0..ADDED.len()).collect::<Vec<_>>(), 0..=ADDED.len());
    let view = proptest::option::of((vec(select(&SHOWN[..]), 1..3), vec(select(&SHOWN[..]), 0..2)));
    (vec(patterns(), 2 + ADDED.len()), added, view).prop_map(|(denied, added, view)| {
        let names = ["admin", "data"].into_iter().chain(ADDED.map(|(name, _)| name));
        let is_there = |name: &str| matches!(name, "admin" | "data") || added.iter().any(|own| ADDED[*own].0 == name);
        let denied = names.map(str::to_owned).zip(denied).filter(|(name, _)| is_there(name)).collect();
        Amended { denied, added, view }
    })
}

impl Amended {
    /// As a document.
    fn text(&self, urls: &[String]) -> String {
        let mut backends = serde_json::Map::new();
        for (name, denied) in &self.denied {
            backends.insert(name.clone(), json!({ "tools": { "deny": denied } }));
        }
        for index in &self.added {
            let own = &mut backends[ADDED[*index].0];
            own["transport"] = json!({ "streamable_http": {} });
            own["endpoints"] = json!([{ "url": urls[*index] }]);
        }
        let views = self.view.as_ref().map(|(include, exclude)| json!({ "include": include, "exclude": exclude }));
        let views: serde_json::Map<_, _> = views.map(|view| ("shown".to_owned(), view)).into_iter().collect();
        json!({ "backends": backends, "views": views }).to_string()
    }

    /// Where each tool leads: by its exposed name to its backend.
    fn naive(&self) -> BTreeMap<String, String> {
        let spec = Recorded::SPEC;
        let compiled = spec.tools.iter().map(|tool| (&*spec.backends[usize::from(tool.backend)].name, tool.upstream));
        let added = self.added.iter().flat_map(|own| ADDED[*own].1.iter().map(|tool| (ADDED[*own].0, *tool)));
        let is_shown = |(backend, tool): &(&str, &str)| {
            !self.denied.get(*backend).is_some_and(|denied| denied.iter().any(|pattern| matches(pattern, tool)))
        };
        compiled.chain(added).filter(is_shown).map(|(own, tool)| (format!("{own}__{tool}"), own.to_owned())).collect()
    }

    fn shows(&self, name: &str) -> bool {
        let any = |patterns: &[&str]| patterns.iter().any(|pattern| matches(pattern, name));
        self.view.as_ref().is_some_and(|(include, exclude)| any(include) && !any(exclude))
    }
}

async fn listed(address: SocketAddr, path: &str) -> BTreeSet<String> {
    let request = Request::modern("tools/list", None, "").line(&format!("POST {path} HTTP/1.1"));
    let answer = Client::ask(address, &request).await.json();
    let tools = answer["result"]["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

/// What a call of a name says: the backend that got it, or nothing where it is unknown.
async fn leads(address: SocketAddr, path: &str, name: &str) -> Option<String> {
    let answer = Client::ask(address, &Request::call(name, "{}").line(&format!("POST {path} HTTP/1.1"))).await;
    if answer.code() == Some(-32602) || answer.status == 404 {
        return None;
    }
    Some(answer.message()["result"]["content"][0]["text"].as_str().expect("an answer").to_owned())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn compiled_and_amended_names_lead_where_a_plain_map_leads() {
    let served = |name: &'static str, tools: &'static [&'static str]| {
        Server::start(modern(move |request| match request.rpc() {
            "tools/list" => {
                let tool = |name: &&str| json!({ "name": name, "inputSchema": { "type": "object" } });
                let tools = json!({ "tools": tools.iter().map(tool).collect::<Vec<_>>() });
                vec![json_answer(200, &result_body(&request.id(), &tools))]
            }
            _ => vec![json_answer(200, &text_body(&request.id(), name))],
        }))
    };
    let servers = ADDED.map(|(name, tools)| served(name, tools));
    let urls: Vec<String> = servers.iter().map(Server::url).collect();
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let (address, runtime) = (gateway.address(), runtime());
    let compiled = Recorded::SPEC.tools.iter().map(|tool| tool.name.to_owned());
    let added = ADDED.iter().flat_map(|(name, tools)| tools.iter().map(move |tool| format!("{name}__{tool}")));
    let all: Vec<String> = compiled.chain(added).chain(["nobody__has".to_owned()]).collect();
    let nothing = Amended { denied: BTreeMap::new(), added: Vec::new(), view: None };
    let check = |overlay: Amended| {
        gateway.overlay().apply(&overlay.text(&urls)).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        let naive = overlay.naive();
        runtime.block_on(async {
            prop_assert_eq!(&listed(address, "/mcp").await, &naive.keys().cloned().collect());
            let shown: BTreeSet<String> = naive.keys().filter(|name| overlay.shows(name)).cloned().collect();
            prop_assert_eq!(&listed(address, "/mcp/shown").await, &shown);
            for name in &all {
                // What is compiled answers alike, whoever it is.
                let expected = naive.get(name).map(|own| match own.as_str() {
                    "admin" | "data" => "done".to_owned(),
                    own => own.to_owned(),
                });
                prop_assert_eq!(&leads(address, "/mcp", name).await, &expected, "{}", name);
                let expected = expected.filter(|_| shown.contains(name));
                prop_assert_eq!(&leads(address, "/mcp/shown", name).await, &expected, "{} in the view", name);
            }
            Ok(())
        })
    };
    check(nothing).expect("the compiled catalog is what it is");
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    runner.run(&amended(), check).expect("every overlay leads where a map does");
}
