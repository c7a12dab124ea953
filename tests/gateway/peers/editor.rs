//! What an editor shows of topologies: the YAML language server with the schema that `only1mcp topology schema` prints.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use only1mcp_model::{Features, Source, load};
use serde_json::{Value, json};

use super::{command, peers};
use crate::support::ledger::Directory;

const MODELINE: &str = "# yaml-language-server: $schema=./topology.schema.json\n";
/// Where the cursor stands in a text.
const CURSOR: char = '▮';

/// What the server shows of one text.
#[derive(Debug)]
struct Shown(Value);

// === impl Shown ===

impl Shown {
    /// The lines with a diagnostic, each once.
    fn lines(&self) -> Vec<u64> {
        let found = self.0["diagnostics"].as_array().expect("a list");
        let mut lines: Vec<u64> = found.iter().filter_map(|found| found["line"].as_u64()).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// What is inserted for a proposal.
    fn inserted(&self, label: &str) -> &str {
        let proposal = self.proposals().find(|item| item["label"] == label).expect(label);
        proposal["insertText"].as_str().expect("what is inserted")
    }

    fn documentation(&self, label: &str) -> String {
        self.proposals().find(|item| item["label"] == label).expect("a proposal")["documentation"].to_string()
    }

    fn labels(&self) -> Vec<&str> {
        self.proposals().filter_map(|item| item["label"].as_str()).collect()
    }

    fn proposals(&self) -> impl Iterator<Item = &Value> {
        self.0["completion"].as_array().expect("a list").iter()
    }
}

/// Opens texts beside the schema, each under its name; `None` where there is no language server.
fn open(texts: &[(String, String)]) -> Option<Vec<Shown>> {
    let node = peers()?.join("node");
    let directory = Directory::new();
    let schema = Command::new(env!("CARGO_BIN_EXE_only1mcp")).args(["topology", "schema"]).output();
    fs::write(directory.path("topology.schema.json"), schema.expect("the binary starts").stdout).expect("a folder");
    let documents = texts.iter().map(|(name, text)| {
        let text = format!("{MODELINE}{text}");
        let cursor = text.split_once(CURSOR).map(|(before, _)| {
            let line = before.rsplit('\n').next().unwrap_or_default();
            json!({ "line": before.matches('\n').count(), "character": line.encode_utf16().count() })
        });
        json!({ "name": name, "text": text.replace(CURSOR, ""), "cursor": cursor })
    });
    let documents = Value::from_iter(documents);
    let mut server = command(node.join("bin/node"));
    server.arg("tests/peers/editor/language_server.mjs");
    server.arg(node.join("node_modules/yaml-language-server/bin/yaml-language-server")).arg(directory.path(""));
    let mut server = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node starts");
    let mut stdin = server.stdin.take().expect("a pipe");
    stdin.write_all(documents.to_string().as_bytes()).expect("node reads");
    drop(stdin);
    let output = server.wait_with_output().expect("node ends");
    assert!(output.status.success(), "{}", output.status);
    let shown: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown.len(), texts.len());
    Some(shown.into_iter().map(Shown).collect())
}

/// Every topology of a folder, by its file name. The first line is left to the modeline.
fn topologies(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths =
        fs::read_dir(&folder).expect("the folder is part of the tree").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    paths.sort();
    let named = |path: PathBuf| {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("a text"))
    };
    paths.into_iter().map(named).collect()
}

/// A topology whose backends are these lines.
fn with_backends(lines: &str) -> (String, String) {
    (format!("{}.yaml", lines.len()), format!("name: t\nbackends:\n{lines}"))
}

fn accepted(text: String) -> bool {
    load(&Source { path: "t.yaml".to_owned(), text }, None, &Features::all()).is_ok()
}

#[test]
fn an_editor_finds_nothing_wrong_in_good_topologies() {
    let mut texts = topologies("codegen/model/tests/fixtures/pass");
    texts.extend(topologies("topologies"));
    assert!(texts.len() > 10, "{texts:?}");
    let Some(shown) = open(&texts) else { return };
    for ((name, text), shown) in texts.iter().zip(shown) {
        assert_eq!(shown.lines(), [0; 0], "{name}: {shown:?}\n{text}");
    }
}

/// Bad topologies, and the lines on which an editor shows it.
const FLAGGED: [(&str, &[u64]); 10] = [
    ("duplicate_key.yaml", &[6, 8]),
    ("invalid_name.yaml", &[1, 3, 4, 5, 6, 7]),
    ("invalid_url.yaml", &[3, 8]),
    ("invalid_value.yaml", &[2, 3, 4, 7, 8, 9, 11, 13, 16, 18, 19]),
    ("missing_key.yaml", &[1, 3, 6, 10, 12]),
    ("no_backends.yaml", &[2]),
    ("syntax.yaml", &[4]),
    ("unknown_key.yaml", &[2, 3, 6]),
    ("wrong_transport.yaml", &[4]),
    ("wrong_type.yaml", &[1, 2, 3, 7, 8, 9, 11]),
];

#[test]
fn an_editor_shows_what_the_build_refuses_at_its_line() {
    let texts = topologies("codegen/model/tests/fixtures/fail");
    let Some(shown) = open(&texts) else { return };
    let shown: BTreeMap<&str, Shown> = texts.iter().map(|(name, _)| name.as_str()).zip(shown).collect();
    for (name, lines) in FLAGGED {
        // The modeline stands above.
        let found: Vec<u64> = shown[name].lines().iter().map(|line| line - 1).collect();
        assert_eq!(found, lines, "{name}: {:?}", shown[name]);
    }
    let message = &shown["invalid_name.yaml"].0["diagnostics"][0]["message"];
    assert_eq!(message, "name is not 1 to 32 of `a` to `z`, `0` to `9`, `-`", "the words of the build");
}

/// Values at the edges of what keys take.
fn values() -> Vec<Value> {
    let texts = "a 9 A -- :: none auto self a_b /x env: env:A env:9 env:A-B file: file:/x http://a/ 127.0.0.1:80 0s 0ms 1ms \
        0001ms 600000ms 600001ms 600s 601s 10m 010m 11m 1h 24h 25h 1440m 1441m 86400s 86401s 86400000ms \
        99999999999999999999h 1.5s 5 +5s 5S";
    let texts = texts.split(' ').map(str::to_owned).chain([String::new(), "a b".to_owned(), "\n".to_owned()]);
    let long = [8, 9, 24, 25, 32, 33].map(|length| "a".repeat(length));
    let mut values: Vec<Value> = texts.chain(long).map(Value::String).collect();
    values.extend([0, 1, 47, 48, 128, 129, 10_000, 10_001, -1].map(Value::from));
    values.extend(others());
    values
}

/// Values of every type but text and whole numbers.
fn others() -> [Value; 7] {
    [json!(null), json!(true), json!(1.5), json!([]), json!(["a"]), json!({}), json!({ "a": "b" })]
}

/// The places of all values below a value.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), found))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// A topology with one value replaced, or one key renamed or left out, in every way there is.
fn mutated(topology: &Value) -> Vec<String> {
    let mut places = Vec::new();
    pointers(topology, "", &mut places);
    let mut mutated = Vec::new();
    for place in &places {
        let scalar = topology.pointer(place).is_some_and(|value| !value.is_object() && !value.is_array());
        for value in if scalar { values() } else { others().to_vec() } {
            let mut topology = topology.clone();
            *topology.pointer_mut(place).expect("a place") = value;
            mutated.push(topology.to_string());
        }
        let members = topology.pointer(place).and_then(Value::as_object);
        for key in members.into_iter().flat_map(|members| members.keys()) {
            for name in ["", "a", "A", "9", "a b", "a_b", "timeout", "prompts", "streamable_http", &"a".repeat(25)] {
                let mut topology = topology.clone();
                let members = topology.pointer_mut(place).and_then(Value::as_object_mut).expect("a mapping");
                let value = members.remove(key).expect("a key");
                if !name.is_empty() {
                    members.insert(name.to_owned(), value);
                }
                mutated.push(topology.to_string());
            }
        }
    }
    mutated
}

#[test]
fn whatever_an_editor_flags_the_build_refuses() {
    let fixtures = [
        include_str!("../../../codegen/model/tests/fixtures/pass/full.yaml"),
        include_str!("../../../codegen/model/tests/fixtures/pass/transparent.yaml"),
        include_str!("../../../codegen/model/tests/fixtures/pass/environment.yaml"),
    ];
    let trees = fixtures.map(|text| serde_yaml::from_str::<Value>(text).expect("YAML"));
    let texts = trees.iter().flat_map(mutated).enumerate();
    let texts: Vec<_> = texts.map(|(number, text)| (format!("{number}.yaml"), text)).collect();
    let Some(shown) = open(&texts) else { return };
    let (mut flagged, mut refused) = (0, 0);
    for ((_, text), shown) in texts.into_iter().zip(shown) {
        let accepted = accepted(text.clone());
        let silent = shown.lines().is_empty();
        assert!(silent || !accepted, "{text}\n{shown:?}");
        flagged += usize::from(!silent);
        refused += usize::from(!accepted);
    }
    // What only the build can know stays: URLs, addresses, which backends there are.
    assert!(flagged * 10 > refused * 7, "an editor shows {flagged} of {refused} that are refused");
}

/// What a proposal is when nothing is written over it.
fn unedited(snippet: &str) -> String {
    let mut text = String::new();
    let mut rest = snippet;
    while let Some((before, placeholder)) = rest.split_once('$') {
        text.push_str(before);
        rest = match placeholder.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, after)) => {
                text.push_str(inner.split_once(':').map_or("", |(_, default)| default));
                after
            }
            None => placeholder.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        };
    }
    text + rest
}

#[test]
fn an_editor_completes_and_explains_every_part_of_a_topology() {
    let texts = [
        with_backends("  x:\n    ▮\n"),
        with_backends("  x: { t▮ }\n"),
        with_backends("  x:\n    transport:\n      ▮\n"),
        with_backends("  x:\n    transport: { stdio: { command: self } }\n    time▮out: 5s\n"),
        with_backends("  x:\n    transport: { stdio: { command: self } }\n    era: ▮\n"),
        ("defaults.yaml".to_owned(), "name: t\ndefaults:\n  ▮\n".to_owned()),
        ("route.yaml".to_owned(), "name: t\nroutes:\n  - ▮\n".to_owned()),
        ("empty.yaml".to_owned(), "▮".to_owned()),
    ];
    let Some(shown) = open(&texts) else { return };
    let [backend, flow, transport, timeout, era, defaults, route, empty] = &shown[..] else { panic!("{shown:?}") };
    for shown in [backend, flow] {
        for key in ["transport", "endpoints", "era", "timeout", "tools"] {
            assert!(shown.labels().contains(&key), "{key}: {shown:?}");
        }
    }
    for kind in only1mcp_model::transport::KINDS {
        assert!(transport.labels().contains(&kind.key), "{transport:?}");
        assert!(transport.documentation(kind.key).contains(kind.meaning), "{transport:?}");
    }
    assert!(timeout.0["hover"].as_str().is_some_and(|hover| hover.contains("The longest a call to it may take.")));
    assert!(era.documentation("modern").contains("no handshake"), "{era:?}");
    assert_eq!(unedited(defaults.inserted("timeout")), "timeout: 30s", "the default");
    for key in ["tools", "prompts", "resources", "to"] {
        assert!(route.labels().contains(&key), "{key}: {route:?}");
    }
    assert!(empty.inserted("topology").starts_with("name: "), "{empty:?}");
}

#[test]
fn whatever_an_editor_proposes_for_a_backend_is_one() {
    let texts = [with_backends("  x:\n    ▮\n"), with_backends("  ▮\n")];
    let Some(shown) = open(&texts) else { return };
    let labels = only1mcp_model::transport::KINDS.iter().map(|kind| format!("{} backend", kind.key));
    let proposals = labels.map(|label| (&shown[0], label, 4)).chain([(&shown[1], "new backend".to_owned(), 2)]);
    let completed = proposals.map(|(shown, label, indent)| {
        let indented = unedited(shown.inserted(&label)).replace('\n', &format!("\n{}", " ".repeat(indent)));
        let head = if indent == 4 { "  x:\n" } else { "" };
        (format!("{label}.yaml"), with_backends(&format!("{head}{}{indented}\n", " ".repeat(indent))).1)
    });
    let completed: Vec<_> = completed.collect();
    let Some(shown) = open(&completed) else { return };
    for ((_, text), shown) in completed.into_iter().zip(shown) {
        assert_eq!(shown.lines(), [0; 0], "{shown:?}\n{text}");
        assert!(accepted(text.clone()), "{text}");
    }
}
