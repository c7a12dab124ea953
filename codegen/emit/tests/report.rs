//! What a report counts, against the code that is emitted for the same plan.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use only1mcp_emit::report::Open;
use only1mcp_emit::{Report, module, report};
use only1mcp_model::plan::Plan;
use only1mcp_model::{Features, Source, load};

const TOPOLOGY: &str = "name: some
listen: { mcp: { tls: { cert: file:tls.crt, key: file:tls.key, client_ca: file:ca.crt } } }
backends:
  child: { transport: { stdio: { command: npx, env: { KEY: env:KEY } } } }
  pinned: { transport: { streamable_http: { ca: file:ca.pem } }, endpoints: [{ url: env:URL }], era: modern }
routes: [{ tools: \"any*\", to: child }]
";

fn reported(text: &str) -> (Plan, Report) {
    let source = Source { path: "t.yaml".to_owned(), text: text.to_owned() };
    let (plan, found) = load(&source, None, &Features::all()).unwrap();
    let report = report(&plan, &found).unwrap();
    (plan, report)
}

/// Of a fixture with a lock.
fn locked(name: &str) -> Report {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures/pass/");
    let source = |end: &str| {
        let path = format!("{directory}{name}{end}");
        Source { text: std::fs::read_to_string(&path).unwrap(), path }
    };
    let (plan, found) = load(&source(".yaml"), Some(&source(".lock.json")), &Features::all()).unwrap();
    report(&plan, &found).unwrap()
}

#[test]
fn what_the_process_decides_is_listed_with_the_reason() {
    let (_, report) = reported(TOPOLOGY);
    let expected = [
        ("certificate of the listener", "`file:tls.crt`: read at start"),
        ("private key of the listener", "`file:tls.key`: read at start"),
        ("authorities of clients of the listener", "`file:ca.crt`: read at start"),
        ("variable `KEY` of backend `child`", "`env:KEY`: read at start"),
        ("catalog of backend `child`", "it is not in the lock: nothing that it offers is in a table or a list"),
        ("era of backend `child`", "neither pinned nor locked: found out on first contact"),
        ("url of backend `pinned`", "`env:URL`: read at start"),
        ("authorities of backend `pinned`", "`file:ca.pem`: read at start"),
        ("catalog of backend `pinned`", "it is not in the lock: nothing that it offers is in a table or a list"),
        ("tools `any*`", "names that no list holds: matched when a call comes, lead to backend `child`"),
    ];
    let expected = expected.map(|(what, why)| Open { what: what.to_owned(), why: why.to_owned() });
    assert_eq!(report.open, expected);
    assert!(report.to_string().contains("127.0.0.1:8080 /mcp, over TLS"), "{report}");
    assert_eq!(report.warnings[0].code, "E0501");
    let plain = reported("name: t\nbackends: { a: { transport: { stdio: { command: a } }, era: legacy } }\n").1;
    assert_eq!(plain.open.len(), 1, "only the catalog: {:?}", plain.open);
}

#[test]
fn the_features_of_a_topology_are_those_it_cannot_do_without() {
    let (plan, report) = reported(TOPOLOGY);
    assert_eq!(plan.features, ["transport-stdio", "transport-http", "tls"]);
    assert_eq!(report.feature_line, r#"topology-some = ["transport-stdio", "transport-http", "tls"]"#);
    assert_eq!(report.dispatch, "enum of stdio, streamable_http");
    let url = |url: &str| {
        let text = format!(
            "name: t\nbackends: {{ a: {{ transport: {{ streamable_http: {{}} }}, endpoints: [{{ url: {url:?} }}] }} }}\n"
        );
        reported(&text).0.features
    };
    assert_eq!(url("http://a/"), ["transport-http"]);
    assert_eq!(url("https://a/"), ["transport-http", "tls"]);
}

#[test]
fn where_methods_lead_that_the_gateway_does_not_know_is_left_open() {
    let report = locked("beyond");
    let open = report.open.iter().map(|open| format!("{}: {}", open.what, open.why));
    let what = "methods that the gateway does not know, of modern clients: passed on to backend";
    // Of the whole catalog nobody could say which of both has a method. An `experimental` without members declares nothing.
    let expected = [
        format!("{what} `skills` as they come, at `/mcp/tools`, `/mcp/skills`"),
        format!("{what} `vendor` as they come, at `/mcp/vendor`"),
    ];
    assert_eq!(open.collect::<Vec<_>>(), expected);
}

#[test]
fn a_backend_is_listed_with_who_takes_over_for_it() {
    let report = locked("fallback");
    let lines = report.backends.iter().map(|backend| {
        let fallbacks =
            backend.fallbacks.iter().map(|line| (line.backend.as_str(), line.catalog.tools, line.catalog.prompts));
        (backend.name.as_str(), fallbacks.collect::<Vec<_>>())
    });
    let expected =
        [("search", vec![("search-old", 2, 1), ("mirror", 1, 1)]), ("search-old", vec![]), ("mirror", vec![])];
    assert_eq!(lines.collect::<Vec<_>>(), expected);
    assert!(report.to_string().contains("  falls back to search-old for 5 of 5, mirror for 2 of 5\n"), "{report}");
}

#[test]
fn bytes_and_tables_are_those_of_the_emitted_code() {
    for name in ["default", "mixed", "npm"] {
        let path = format!("{}/../../topologies/{name}", env!("CARGO_MANIFEST_DIR"));
        let source = |end: &str| Source {
            path: format!("{name}.{end}"),
            text: std::fs::read_to_string(format!("{path}.{end}")).unwrap(),
        };
        let (plan, found) = load(&source("yaml"), Some(&source("lock.json")), &Features::all()).unwrap();
        let (report, module) = (report(&plan, &found).unwrap(), module(&plan, "t.yaml").unwrap());
        assert_eq!(report.items_bytes, module.items.len(), "{name}");
        let tools = &report.tables[0];
        let code: String = module.code.split_whitespace().collect::<Vec<_>>().join(" ");
        let lengths = format!("NameTable< [u32; {}], [::only1mcp::catalog::Entry; {}], >", tools.pilots, tools.slots);
        assert!(code.contains(&lengths), "{lengths} of {name}");
        assert_eq!(tools.names, plan.tools.len(), "{name}");
        let of_backends: usize = report.backends.iter().map(|backend| backend.catalog.tools).sum();
        assert_eq!(of_backends, report.catalog.tools, "{name}");
        let largest = report.lists.iter().filter(|list| list.kind == "tools").map(|list| list.bytes).max().unwrap();
        assert!(largest > plan.tools.iter().map(|tool| tool.item.len()).sum::<usize>() / 2, "{name}");
        assert_eq!(report.lists.len(), 8 * (1 + plan.views.len()), "{name}");
    }
}
