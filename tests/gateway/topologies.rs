//! The topologies that come with the gateway: each compiles as it stands, needs no more than its feature turns on, and
//! lists all it has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use only1mcp::catalog::{Entry, ListKind, Revision, Spec, Topology, View};
use only1mcp_emit::Files;
use only1mcp_model::Features;
use serde_json::Value;

use crate::support::gateways::Large;
use crate::support::ledger::Directory;

only1mcp::topology!(Default = "topologies/default.yaml");
only1mcp::topology!(Edge = "topologies/edge.yaml");
only1mcp::topology!(Npm = "topologies/npm.yaml");
only1mcp::topology!(Mixed = "topologies/mixed.yaml");

const SPECS: [&Spec; 5] = [Default::SPEC, Edge::SPEC, Large::SPEC, Mixed::SPEC, Npm::SPEC];

fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn every_topology_is_compiled_here_under_the_name_of_its_file() {
    let files = fs::read_dir(package("topologies")).expect("the folder is there");
    let files = files.map(|file| file.expect("a file").file_name().into_string().expect("text"));
    let names: BTreeSet<String> = files.filter_map(|file| Some(file.strip_suffix(".yaml")?.to_owned())).collect();
    assert_eq!(names, SPECS.map(|spec| spec.name.to_owned()).into());
}

#[test]
fn the_feature_of_a_topology_turns_on_what_it_needs() {
    let manifest = fs::read_to_string(package("Cargo.toml")).expect("the manifest is there");
    let features = manifest.lines().filter_map(|line| line.strip_prefix("topology-")?.split_once(" = "));
    let features: BTreeMap<&str, Vec<String>> =
        features.map(|(name, on)| (name, serde_json::from_str(on).expect("a list"))).collect();
    let expected = SPECS.map(|spec| {
        let files = Files::new(&package(""), &format!("topologies/{}.yaml", spec.name));
        let loaded = files.load(&Features::all()).expect("it is compiled here");
        (spec.name, loaded.plan.features.iter().map(ToString::to_string).collect())
    });
    assert_eq!(features, expected.into());
}

#[test]
fn every_name_leads_to_its_entry_and_every_page_to_the_next() {
    fn check<T: Topology>() {
        let spec = T::SPEC;
        assert!(!spec.tools.is_empty(), "{}", spec.name);
        for entry in spec.tools {
            assert_eq!(T::tool(entry.name), Some(entry), "{}", spec.name);
        }
        for entry in spec.prompts {
            assert_eq!(T::prompt(entry.name), Some(entry), "{}", spec.name);
        }
        for entry in spec.resources {
            assert_eq!(T::resource(entry.name), Some(entry), "{}", spec.name);
        }
        for view in spec.views {
            let shown = spec.tools.iter().filter(|tool| view.shows(tool.views)).map(|tool| tool.name);
            assert_eq!(shown.collect::<BTreeSet<_>>(), names_matching(spec.tools, view), "{}", spec.name);
        }
        for (index, backend) in (0..).zip(spec.backends) {
            assert_eq!(T::backend(&backend.name), Some(index), "{}", spec.name);
        }
        assert_eq!((T::tool(""), T::prompt(""), T::resource(""), T::backend("")), (None, None, None, None));
        for revision in Revision::ALL {
            let lists = [
                (ListKind::Tools, "tools", "name", names(spec.tools)),
                (ListKind::Prompts, "prompts", "name", names(spec.prompts)),
                (ListKind::Resources, "resources", "uri", names(spec.resources)),
                (
                    ListKind::Templates,
                    "resourceTemplates",
                    "uriTemplate",
                    spec.templates.iter().map(|template| template.uri_template).collect(),
                ),
            ];
            for (kind, member, key, expected) in lists {
                let listed = listed(spec, kind, revision, member, key);
                let distinct: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
                assert_eq!(listed.len(), distinct.len(), "{} {kind:?} {revision:?}", spec.name);
                assert_eq!(distinct, expected, "{} {kind:?} {revision:?}", spec.name);
            }
        }
    }
    check::<Default>();
    check::<Edge>();
    check::<Npm>();
    check::<Mixed>();
    check::<Large>();
}

fn names(entries: &'static [Entry]) -> BTreeSet<&'static str> {
    entries.iter().map(|entry| entry.name).collect()
}

fn names_matching(entries: &'static [Entry], view: &View) -> BTreeSet<&'static str> {
    names(entries).into_iter().filter(|name| view.patterns.shows(name)).collect()
}

/// What the pages of a list hold, followed from cursor to cursor.
fn listed(spec: &Spec, kind: ListKind, revision: Revision, member: &str, key: &str) -> Vec<String> {
    let mut listed = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = spec.whole.page(kind, revision, cursor.as_deref()).expect("a page");
        let answer = spec.list_answer(page, b"1").expect("the pages of the whole catalog are not cut").concat();
        assert_eq!(spec.cut_answer(page, b"1").concat(), answer);
        let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
        let page = &answer["result"];
        let items = page[member].as_array().expect("a list");
        listed.extend(items.iter().map(|item| item[key].as_str().expect("text").to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return listed,
        }
    }
}

#[test]
fn locking_the_default_topology_again_gives_the_same_bytes() {
    let directory = Directory::new();
    let topology = directory.path("default.yaml");
    fs::copy(package("topologies/default.yaml"), &topology).expect("it can be copied");
    let committed = fs::read_to_string(package("topologies/default.lock.json")).expect("the lock is there");
    // Without a lock first, then over the one just written.
    for _ in 0..2 {
        let mut lock = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
        let output = lock.args(["topology", "lock"]).arg(&topology).output().expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let written = fs::read_to_string(directory.path("default.lock.json")).expect("a lock");
        assert_eq!(written, committed);
    }
}
