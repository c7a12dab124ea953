//! `topologies/large.yaml` and its lock: 50 backends with 60 synthetic tools each, for measuring the compiler and the
//! gateway at a size that no hand-written example has. `BLESS=1` writes the files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use only1mcp_model::lock::{Answers, Lock, Section};
use only1mcp_model::plan::{Credentials, Endpoint, HttpVersion, Reference, StreamableHttp, Transport};
use only1mcp_model::revision::Revision;
use only1mcp_model::{Features, Source, load};
use serde_json::value::RawValue;

/// Services, and what each is about.
const SERVICES: [(&str, [&str; 6]); 10] = [
    ("billing", ["invoice", "subscription", "refund", "payment_method", "tax_rate", "credit_note"]),
    ("crm", ["contact", "company", "deal", "pipeline", "activity", "note"]),
    ("issues", ["issue", "comment", "label", "milestone", "sprint", "attachment"]),
    ("deploy", ["service", "release", "environment", "secret", "rollout", "incident"]),
    ("storage", ["bucket", "object", "folder", "share_link", "lifecycle_rule", "upload"]),
    ("analytics", ["dashboard", "report", "metric", "funnel", "segment", "alert"]),
    ("support", ["ticket", "conversation", "macro", "article", "agent", "satisfaction_rating"]),
    ("people", ["employee", "team", "time_off_request", "review", "job_opening", "candidate"]),
    ("products", ["product", "variant", "price_list", "category", "warehouse", "shipment"]),
    ("messaging", ["channel", "message", "thread", "reminder", "user_group", "file"]),
];

/// Every service runs in each of them.
const REGIONS: [&str; 5] = ["us", "eu", "apac", "latam", "africa"];

/// The first port of the backends.
const PORT: usize = 9100;

/// What can be done with a thing, and the tool that does it: `{thing}` and `{things}` stand for its name.
struct Verb {
    name: &'static str,
    description: &'static str,
    properties: &'static str,
    required: &'static str,
    hints: &'static str,
}

const READS: &str = r#""readOnlyHint":true,"idempotentHint":true,"openWorldHint":false"#;
const PAGE: &str = r#""limit":{"type":"integer","minimum":1,"maximum":200,"default":50},"cursor":{"type":"string"}"#;
const ID: &str = r#""id":{"type":"string","pattern":"^[a-z0-9]{8,32}$","description":"Identifier of the {thing}"}"#;
const FIELDS: &str = r#""name":{"type":"string","minLength":1,"maxLength":120},"labels":{"type":"array","items":{"type":"string"}},"metadata":{"type":"object","additionalProperties":{"type":"string"}}"#;

const CHANGES: &str = r#""id":{"type":"string"},"name":{"type":"string","minLength":1,"maxLength":120},"labels":{"type":"array","items":{"type":"string"}}"#;

const VERBS: [Verb; 10] = [
    Verb {
        name: "list_{things}",
        description: "List {things}, the newest first. Answers one page; pass `cursor` to read on.",
        properties: PAGE,
        required: "",
        hints: READS,
    },
    Verb {
        name: "search_{things}",
        description: "Find {things} whose name, labels or text match all words of a query.",
        properties: r#""query":{"type":"string","minLength":2,"description":"Words; quote a phrase"}"#,
        required: r#""query""#,
        hints: READS,
    },
    Verb {
        name: "get_{thing}",
        description: "Read one {thing} with all its fields and the time of its last change.",
        properties: ID,
        required: r#""id""#,
        hints: READS,
    },
    Verb {
        name: "create_{thing}",
        description: "Create one {thing} and answer it with its identifier.",
        properties: FIELDS,
        required: r#""name""#,
        hints: r#""readOnlyHint":false,"destructiveHint":false,"idempotentHint":false"#,
    },
    Verb {
        name: "update_{thing}",
        description: "Change fields of one {thing}. Fields that are left out stay as they are.",
        properties: CHANGES,
        required: r#""id""#,
        hints: r#""readOnlyHint":false,"destructiveHint":false,"idempotentHint":true"#,
    },
    Verb {
        name: "delete_{thing}",
        description: "Delete one {thing} for good. What refers to it keeps its identifier.",
        properties: ID,
        required: r#""id""#,
        hints: r#""readOnlyHint":false,"destructiveHint":true,"idempotentHint":true"#,
    },
    Verb {
        name: "archive_{thing}",
        description: "Hide one {thing} from lists and searches. `restore_{thing}` brings it back.",
        properties: ID,
        required: r#""id""#,
        hints: r#""readOnlyHint":false,"destructiveHint":false,"idempotentHint":true"#,
    },
    Verb {
        name: "restore_{thing}",
        description: "Bring one archived {thing} back into lists and searches.",
        properties: ID,
        required: r#""id""#,
        hints: r#""readOnlyHint":false,"destructiveHint":false,"idempotentHint":true"#,
    },
    Verb {
        name: "export_{things}",
        description: "Start an export of all {things} that changed in a span of time, as a file to download.",
        properties: r#""since":{"type":"string","format":"date-time"},"until":{"type":"string","format":"date-time"},"format":{"enum":["csv","json","parquet"],"default":"csv"}"#,
        required: r#""since""#,
        hints: r#""readOnlyHint":false,"destructiveHint":false,"idempotentHint":false"#,
    },
    Verb {
        name: "count_{things}",
        description: "Count {things} by label and month.",
        properties: r#""label":{"type":"string"},"months":{"type":"integer","minimum":1,"maximum":36,"default":12}"#,
        required: "",
        hints: READS,
    },
];

/// One backend: its name, where it is, and what it answers to `tools/list`.
struct Backend {
    name: String,
    url: String,
    tools: String,
}

fn backends() -> Vec<Backend> {
    let places = SERVICES.iter().flat_map(|service| REGIONS.iter().map(move |region| (service, region)));
    let backend = |(index, ((service, things), region)): (usize, (&(&str, [&str; 6]), &&str))| {
        let tools: Vec<String> =
            things.iter().flat_map(|thing| VERBS.iter().map(|verb| tool(verb, thing, service, region))).collect();
        Backend {
            name: format!("{service}-{region}"),
            url: format!("http://127.0.0.1:{}/mcp", PORT + index),
            tools: format!(r#"{{"tools":[{}]}}"#, tools.join(",")),
        }
    };
    places.enumerate().map(backend).collect()
}

fn tool(verb: &Verb, thing: &str, service: &str, region: &str) -> String {
    let Verb { name, description, properties, required, hints } = verb;
    let item = format!(
        r#"{{"name":"{name}","description":"{description} Works on {service} data kept in {region}.","inputSchema":{{"type":"object","properties":{{{properties}}},"required":[{required}],"additionalProperties":false}},"annotations":{{{hints}}}}}"#
    );
    item.replace("{things}", &plural(thing)).replace("{thing}", thing)
}

fn plural(thing: &str) -> String {
    match thing.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{thing}s"),
    }
}

fn topology(backends: &[Backend]) -> String {
    let mut yaml = "# yaml-language-server: $schema=./topology.schema.json\n\
        # 50 backends with 60 tools each. Written by codegen/emit/tests/large_topology.rs; do not edit.\n\
                    name: large\nbackends:\n"
        .to_owned();
    for Backend { name, url, .. } in backends {
        writeln!(yaml, "  {name}: {{ transport: {{ streamable_http: {{}} }}, endpoints: [{{ url: \"{url}\" }}] }}")
            .unwrap();
    }
    yaml
}

fn lock(backends: &[Backend]) -> String {
    let section = |backend: &Backend| {
        let raw = |json: String| RawValue::from_string(json).unwrap();
        let url = Reference::Literal(backend.url.clone().into());
        let section = Section::new(&Answers {
            transport: &Transport::StreamableHttp(StreamableHttp {
                endpoints: vec![Endpoint { url, weight: 1 }].into(),
                ca: None,
                connect_timeout_ms: None,
                http: HttpVersion::Auto,
                credentials: Credentials::default(),
                proxy: None,
            }),
            revision: Revision::MODERN,
            greeting: &raw(format!(
                r#"{{"supportedVersions":["{}"],"capabilities":{{"tools":{{}}}},"_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"{}","version":"1.0.0"}}}}}}"#,
                Revision::MODERN,
                backend.name
            )),
            tools: &[raw(backend.tools.clone())],
            prompts: &[],
            resources: &[],
            templates: &[],
        });
        (backend.name.clone(), section.unwrap().0)
    };
    Lock { backends: backends.iter().map(section).collect() }.render()
}

#[test]
fn the_committed_files_are_what_the_generator_writes() {
    let backends = backends();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies");
    for (file, expect) in [("large.yaml", topology(&backends)), ("large.lock.json", lock(&backends))] {
        let path = directory.join(file);
        if env::var_os("BLESS").is_some() {
            fs::write(&path, &expect).unwrap();
        }
        let actual = fs::read_to_string(&path).unwrap_or_default();
        assert!(actual == expect, "topologies/{file} is not what the generator writes; BLESS=1 writes it");
    }
}

#[test]
fn it_is_a_valid_topology_with_three_thousand_tools_of_a_usual_size() {
    let backends = backends();
    let topology = Source { path: "large.yaml".to_owned(), text: topology(&backends) };
    let lock = Source { path: "large.lock.json".to_owned(), text: lock(&backends) };
    let (plan, warnings) = load(&topology, Some(&lock), &Features::of(|feature| feature == "transport-http")).unwrap();
    assert_eq!(warnings, []);
    assert_eq!((plan.backends.len(), plan.tools.len()), (50, 3000));
    let bytes: usize = plan.tools.iter().map(|tool| tool.item.len()).sum();
    assert!((350..450).contains(&(bytes / plan.tools.len())), "{} bytes a tool", bytes / plan.tools.len());
}
