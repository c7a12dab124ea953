//! A lock gives back what it was made from, byte for byte, and says what changed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::plan::{Credentials, HttpVersion, Program, Proxy, Reference, Stdio, StreamableHttp, Transport, Variable};

const ADD: &str = r#"{"name":"add","description":"Adds","inputSchema":{"type":"object","properties":{"a":{"type":"number","maximum":1.0}},"required":["a"]},"x-\u0061":[1e400]}"#;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn stdio() -> Transport {
    let args = vec!["demo-server".into(), "math".into()].into();
    Transport::Stdio(Stdio { args, ..Stdio::default() })
}

fn section_of(greeting: &str, tools: &[&str]) -> Result<Section, SectionError> {
    recorded(greeting, tools).map(|(section, _)| section)
}

fn recorded(greeting: &str, tools: &[&str]) -> Result<(Section, Vec<LeftOut>), SectionError> {
    let pages = [raw(&format!("{{ \"tools\" : [ {} ] }}", tools.join(" , ")))];
    Section::new(&Answers {
        transport: &stdio(),
        revision: Revision::V2025_11_25,
        greeting: &raw(greeting),
        tools: &pages,
        prompts: &[],
        resources: &[],
        templates: &[],
    })
}

fn section(tools: &[&str]) -> Section {
    section_of(r#"{"capabilities":{"tools":{}},"serverInfo":{"name":"math","version":"1"}}"#, tools).unwrap()
}

fn lock(section: Section) -> Lock {
    Lock { backends: [("math".to_owned(), section)].into() }
}

fn changes(old: &Section, new: &Section) -> Vec<String> {
    diff(old, new).iter().map(ToString::to_string).collect()
}

#[test]
fn a_rendered_lock_parses_to_itself_and_renders_the_same() {
    let lock = lock(section(&[ADD, r#"{"name":"mul","inputSchema":{}}"#]));
    let text = lock.render();
    assert!(text.ends_with("}\n") && text.starts_with("{\n  \"version\": 1,\n"));
    assert_eq!(Lock::parse(&text).unwrap(), lock);
    assert_eq!(Lock::parse(&text).unwrap().render(), text);
    assert_eq!(lock.backends["math"].tools[0].json.as_str(), ADD, "tokens and order of keys stay");
}

#[test]
fn what_an_error_quotes_is_escaped_and_short() {
    let text = lock(section(&[ADD])).render();
    let hostile = r"\u001b[31mX\n\u009b\u202e";
    let long = "x".repeat(3000);
    for value in [hostile, &long] {
        for (from, to) in [
            ("2025-11-25\"", format!("{value}\"")),
            ("\"prompts\"", format!("\"{value}\"")),
            ("\"name\": \"add\"", format!("\"name\": \"{value}\"")),
            ("\"version\": 1", format!("\"version\": \"{value}\"")),
            ("\"version\": 1", format!("\"{value}\": 1, \"{value}\": 1")),
        ] {
            assert!(text.contains(from), "{from}");
            let error = Lock::parse(&text.replacen(from, &to, 1)).expect_err("it is no lock");
            let shown = error.message.contains("u{1b}[31m") || error.message.contains("u001b[31m");
            assert!(shown || error.message.contains("xxx"), "{error}");
            assert!(error.message.len() < 150 && !error.message.contains(char::is_control), "{error}");
        }
    }
}

#[test]
fn long_lists_are_compared_and_kept_in_little_time() {
    let tools = |version| -> Vec<String> {
        (0..40_000).map(|number| format!(r#"{{"name":"tool-{number}","version":{version}}}"#)).collect()
    };
    let [old, new] = [tools(1), tools(2)].map(|tools| section(&tools.iter().map(String::as_str).collect::<Vec<_>>()));
    let start = Instant::now();
    assert_eq!(diff(&old, &new).len(), 40_000);
    assert_eq!(diff(&old, &new.keeping(&old)).len(), 40_000);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn items_of_all_pages_are_sorted_by_name() {
    let section = section(&[r#"{"name":"b"}"#, r#"{"name":"a"}"#]);
    let names: Vec<&str> = section.tools.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn the_digest_ignores_white_space_and_key_order_but_no_token() {
    let digest = |item: &str| section(&[item]).tools[0].digest.clone();
    assert_eq!(digest(r#"{"name":"a","x":{"b":1,"c":2}}"#), digest(r#"{ "x": {"c":2, "b":1}, "name":"a" }"#));
    assert_ne!(digest(r#"{"name":"a","x":1}"#), digest(r#"{"name":"a","x":1.0}"#));
    assert_ne!(digest(r#"{"name":"a","x":[1,2]}"#), digest(r#"{"name":"a","x":[2,1]}"#));
}

#[test]
fn a_modern_server_names_itself_in_the_metadata() {
    let greeting = r#"{"supportedVersions":["2026-07-28"],"capabilities":{},"instructions":"Ask.",
        "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"data"}}}"#;
    let (section, left_out) = Section::new(&Answers {
        transport: &stdio(),
        revision: Revision::V2026_07_28,
        greeting: &raw(greeting),
        tools: &[],
        prompts: &[],
        resources: &[raw(r#"{"resources":[{"uri":"data://a","name":"A"}]}"#)],
        templates: &[raw(r#"{"resourceTemplates":[{"uriTemplate":"data://{id}","name":"T"}]}"#)],
    })
    .unwrap();
    assert_eq!((section.era(), left_out), (Era::Modern, vec![]));
    assert_eq!(section.server.as_ref().unwrap().as_str(), r#"{"name":"data"}"#);
    assert_eq!(section.instructions.as_deref(), Some("Ask."));
    assert_eq!((section.resources[0].name.as_str(), section.templates[0].name.as_str()), ("data://a", "data://{id}"));
    assert_eq!(Lock::parse(&lock(section.clone()).render()).unwrap(), lock(section));
}

#[test]
fn answers_that_are_not_unambiguous_make_no_section() {
    let greeting = r#"{"capabilities":{}}"#;
    let reason = |greeting: &str, tools: &[&str]| section_of(greeting, tools).unwrap_err().to_string();
    assert_eq!(reason("[]", &[]), "answer to `initialize` has no `capabilities` object");
    assert_eq!(reason(greeting, &["1"]), "item 0 of `tools/list` has no `name`");
    assert_eq!(reason(greeting, &[ADD, r#"{"name":7}"#]), "item 1 of `tools/list` has no `name`");
    assert_eq!(reason(greeting, &[r#"{"name":"\ud800"}"#]), "item 0 of `tools/list` has no `name`");
    assert_eq!(reason(greeting, &[ADD, ADD]), "answer to `tools/list` lists `add` twice");
    assert!(reason(greeting, &[r#"{"name":"a","name":"b"}"#]).contains("key `name` stands twice"));
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert_eq!(reason(greeting, &[&deep]), "item 0 of `tools/list` has no `name`");
    assert!(reason(&format!(r#"{{"capabilities":{{}},"x":{deep}}}"#), &[]).contains("nests deeper"));
}

#[test]
fn a_tool_that_nests_too_deep_is_left_out_alone() {
    let greeting = r#"{"capabilities":{"tools":{}}}"#;
    // The item is the first level, its schema the second.
    let tool = |name: &str, levels: usize| {
        let (open, close) = ("[".repeat(levels - 2), "]".repeat(levels - 2));
        format!(r#"{{"inputSchema":{{"allOf":{open}{close}}},"title":"}}]\"","name":"{name}"}}"#)
    };
    let (section, left_out) = recorded(greeting, &[ADD, &tool("b", 121), &tool("c", 20_000), &tool("d", 120)]).unwrap();
    let names: Vec<_> = section.tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["add", "d"]);
    let told: Vec<_> = left_out.iter().map(ToString::to_string).collect();
    let is_left_out = |name: &str| format!("tool `{name}` is left out: it nests deeper than 120 levels");
    assert_eq!(told, [is_left_out("b"), is_left_out("c")]);
    assert_eq!(Lock::parse(&lock(section.clone()).render()).unwrap(), lock(section), "a lock holds what is not");
    let reason = |tools: &[&str]| recorded(greeting, tools).unwrap_err().to_string();
    assert_eq!(reason(&[&tool("add", 121), ADD]), "answer to `tools/list` lists `add` twice");
    assert_eq!(reason(&[ADD, &tool(r"\ud800", 121)]), "item 1 of `tools/list` has no `name`");
}

#[test]
fn an_item_that_has_not_changed_keeps_its_earlier_text() {
    let earlier = section(&[r#"{"name":"a","x":{"b":1,"c":2}}"#, r#"{"name":"b","x":1}"#]);
    let later = section(&[r#"{"x":{"c":2,"b":1},"name":"a"}"#, r#"{"x":2,"name":"b"}"#]).keeping(&earlier);
    assert_eq!(later.tools[0].json, earlier.tools[0].json);
    assert_eq!(later.tools[1].json.as_str(), r#"{"x":2,"name":"b"}"#);
}

#[test]
fn changes_are_told_field_by_field() {
    let old = section(&[ADD, r#"{"name":"gone"}"#]);
    let new = section(&[
        &ADD.replace(r#""type":"number""#, r#""type":"string""#)
            .replace(r#"["a"]"#, r#"["a","b"]"#)
            .replace("Adds", "Sums"),
        r#"{"name":"new"}"#,
    ]);
    assert_eq!(
        changes(&old, &new),
        [
            r#"~ tool add  description: "Adds" → "Sums""#,
            r#"~ tool add  inputSchema.properties.a.type: "number" → "string""#,
            r#"~ tool add  inputSchema.required: ["a"] → ["a","b"]"#,
            "- tool gone",
            "+ tool new",
        ]
    );
    assert_eq!(changes(&old, &old), [""; 0]);
}

#[test]
fn changes_of_the_server_itself_are_told() {
    let old = section(&[]);
    let mut new = section_of(
        r#"{"capabilities":{"tools":{"listChanged":true},"x.y":{}},"serverInfo":{"name":"math","version":"2"},"instructions":"Hi"}"#,
        &[],
    )
    .unwrap();
    new.revision = Revision::V2026_07_28;
    assert_eq!(
        changes(&old, &new),
        [
            r#"~ server  era: "legacy" → "modern""#,
            r#"~ server  revision: "2025-11-25" → "2026-07-28""#,
            r#"~ server  server.version: "1" → "2""#,
            "~ server  capabilities.tools.listChanged: absent → true",
            r#"~ server  capabilities["x.y"]: absent → {}"#,
            r#"~ server  instructions: absent → "Hi""#,
        ]
    );
}

#[test]
fn what_a_server_declares_beside_the_protocol_is_known_as_it_was_sent() {
    let declared = |capabilities: &str| {
        let greeting = format!(r#"{{"capabilities":{capabilities},"serverInfo":{{"name":"math","version":"2"}}}}"#);
        let section = section_of(&greeting, &[]).unwrap();
        let texts =
            |all: Vec<Extension>| all.iter().map(|one| format!("{} {}", one.name, one.settings)).collect::<Vec<_>>();
        (texts(section.extensions()), texts(section.beyond()))
    };
    let known = r#"{"tools":{},"prompts":{},"resources":{},"completions":{},"logging":{},"tasks":{},"extensions":{}}"#;
    assert_eq!(declared(known), (vec![], vec![]));
    // The SDK for Python always has it.
    assert_eq!(declared(r#"{"experimental":{},"a":null,"b":false}"#), (vec![], vec![]));
    let (extensions, beyond) = declared(
        r#"{"experimental":{"x":{"y":1.0}},"extensions":{"a/b":{"z":[1.50]},"c/d":true},"test.example":{},"list":[],"on":true}"#,
    );
    assert_eq!(extensions, [r#"a/b {"z":[1.50]}"#]);
    assert_eq!(beyond, [r#"experimental {"x":{"y":1.0}}"#, "test.example {}", "list []", "on true"]);
}

#[test]
fn what_a_server_declares_that_it_tells_is_known_of_either_era() {
    let greeting = r#"{"capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":false},"resources":{"subscribe":true,"listChanged":1}},"serverInfo":{"name":"math","version":"2"}}"#;
    let mut section = section_of(greeting, &[]).unwrap();
    for revision in [Revision::V2025_11_25, Revision::V2026_07_28] {
        section.revision = revision;
        assert_eq!(section.tells(), [Changing::Tools, Changing::Contents]);
    }
}

#[test]
fn a_long_text_is_shown_where_it_differs_and_without_what_steers_a_terminal() {
    let text = |word: &str| format!(r#"{{"name":"a","description":"{}{word}{}"}}"#, "x".repeat(200), "y".repeat(200));
    let change = &diff(&section(&[&text("safe")]), &section(&[&text("s\u{202e}\u{9b}2Ke")]))[0];
    let (old, new) = (change.old.as_deref().unwrap(), change.new.as_deref().unwrap());
    assert!(old.starts_with("…xxx") && old.contains("safe") && old.ends_with("yyy…"), "{old}");
    assert!(new.contains('\u{202e}'), "the value itself is not changed");
    let shown = change.to_string();
    assert!(shown.contains("s\\u{202e}\\u{9b}2Ke") && !shown.contains('\u{202e}'), "{shown}");
}

#[test]
fn changes_are_json_for_machines() {
    let changes = diff(&section(&[ADD]), &section(&[&ADD.replace("Adds", "Sums")]));
    assert_eq!(
        serde_json::to_string(&changes).unwrap(),
        r#"[{"kind":"changed","subject":"tool","name":"add","path":"description","old":"\"Adds\"","new":"\"Sums\""}]"#
    );
    let added = diff(&section(&[]), &section(&[ADD]));
    assert_eq!(serde_json::to_string(&added).unwrap(), r#"[{"kind":"added","subject":"tool","name":"add"}]"#);
}

#[test]
fn a_lock_that_was_tampered_with_is_refused_at_the_place() {
    let text = lock(section(&[ADD, r#"{"name":"mul"}"#])).render();
    let error = |text: &str| {
        let error = Lock::parse(text).unwrap_err();
        (error.kind, error.line, error.message)
    };
    let line_of = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    let digest = line_of("\"digest\"");
    let expected = (LockErrorKind::Digest, digest, "item `add` does not have this digest".to_owned());
    assert_eq!(error(&text.replace("Adds", "Adds and mails")), expected);
    assert_eq!(error(&text.replace("\"version\": 1", "\"version\": 2")).0, LockErrorKind::Version);
    let unknown = error(&text.replace("\"prompts\"", "\"prompt\""));
    assert_eq!(unknown, (LockErrorKind::Malformed, line_of("\"prompts\""), "unknown member `prompt`".to_owned()));
    for broken in ["", "null", "[]", "{}", r#"{"version":1}"#, r#"{"version":1,"backends":{"a":{}}}"#] {
        assert_eq!(error(broken).0, LockErrorKind::Malformed, "{broken}");
    }
    for version in ["0", "1.0", "\"1\"", "-1", "null", "[1]", "true"] {
        let (kind, line, _) = error(&text.replace("\"version\": 1", &format!("\"version\": {version}")));
        assert_eq!((kind, line), (LockErrorKind::Malformed, 2), "{version}");
    }
    for (part, wrong, expected) in [
        ("\"prompts\": []", "\"prompts\": {}", "`prompts` of the section is not a list"),
        ("\"revision\": \"2025-11-25\"", "\"revision\": 20251125", "`revision` of the section is not text"),
        ("\"tools\": [", "\"tools\": [{ \"item\": {} },", "entry of `tools` has no digest or item"),
    ] {
        assert!(text.contains(part), "{part}");
        assert_eq!(error(&text.replace(part, wrong)), (LockErrorKind::Malformed, line_of(part), expected.to_owned()));
    }
    assert_eq!(error(&text.replace("\"legacy\"", "\"modern\"")).2, "revision `2025-11-25` is of another era");
    for end in (0..text.len() - 2).step_by(7) {
        assert!(Lock::parse(&text[..end]).is_err(), "cut after {end} bytes");
    }
}

#[test]
fn the_record_of_a_transport_follows_everything_that_names_the_server() {
    let child = |edit: fn(&mut Stdio)| {
        let Transport::Stdio(mut stdio) = stdio() else { unreachable!("stdio() is a child") };
        edit(&mut stdio);
        Transport::Stdio(stdio).record().as_str().to_owned()
    };
    let http = |url, ca, proxy: Option<&'static str>| {
        Transport::StreamableHttp(StreamableHttp {
            endpoints: vec![crate::plan::Endpoint { url, weight: 1 }].into(),
            ca,
            connect_timeout_ms: None,
            http: HttpVersion::Auto,
            credentials: Credentials::default(),
            proxy: proxy.map(|url| Proxy { url: Reference::Literal(url.into()), auth: None }),
        })
        .record()
        .as_str()
        .to_owned()
    };
    let variable = |name: &'static str| Variable { name: name.into(), value: Reference::Env("X".into()) };
    let variables = |names: [&'static str; 2]| {
        let Transport::Stdio(mut stdio) = stdio() else { unreachable!("stdio() is a child") };
        stdio.env = names.map(variable).to_vec().into();
        Transport::Stdio(stdio).record().as_str().to_owned()
    };
    let records = [
        child(|_| {}),
        child(|stdio| stdio.program = Program::Named("npx".into())),
        child(|stdio| stdio.args = vec!["demo-server math".into()].into()),
        child(|stdio| stdio.cwd = Some("/".into())),
        variables(["A", "B"]),
        http(Reference::Literal("http://a".into()), None, None),
        http(Reference::Env("A".into()), None, None),
        http(Reference::Env("A".into()), Some(Reference::File("ca.pem".into())), None),
        http(Reference::Env("A".into()), None, Some("http://b:3128")),
        http(Reference::Env("A".into()), None, Some("http://c:3128")),
    ];
    let distinct: BTreeSet<&String> = records.iter().collect();
    assert_eq!(distinct.len(), records.len());
    assert_eq!(variables(["A", "B"]), variables(["B", "A"]), "the order of variables means nothing");
}

#[test]
fn the_lock_is_named_like_its_topology() {
    assert_eq!(lock_path(Path::new("topologies/prod.yaml")), Path::new("topologies/prod.lock.json"));
}

proptest! {
    #[test]
    fn an_item_of_any_tokens_survives_the_lock_byte_for_byte(
        description in any::<String>(),
        number in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?",
        key in "[a-z]{1,5}",
        escape in "[0-9a-f]{4}",
    ) {
        let description = serde_json::to_string(&description).unwrap();
        let item = format!(r#"{{"{key}-x":[{number},{{}},"\u{escape}"],"name":"a","description":{description}}}"#);
        let lock = lock(section(&[&item]));
        let back = Lock::parse(&lock.render()).unwrap();
        prop_assert_eq!(back.backends["math"].tools[0].json.as_str(), item);
    }
}
