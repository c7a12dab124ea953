//! Scenarios of the conformance suite in which the suite plays the server: the gateway is its client.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use only1mcp::Gateway;
use only1mcp::catalog::Topology;
use serde_json::{Value, json};

use super::{command, peers};
use crate::support::client::{Client, META, Request};
use crate::support::ledger::Directory;

only1mcp::topology!(Played = "tests/conformance/played.yaml");
only1mcp::topology!(Headers = "tests/conformance/headers.yaml");
only1mcp::topology!(InvalidHeaders = "tests/conformance/invalid_headers.yaml");

/// What the suite plays, and what its client is to do.
struct Scenario {
    name: &'static str,
    revision: &'static str,
    /// What is locked before anything is asked.
    locked: Option<Locked>,
    requests: Vec<Request>,
}

/// Locks a server that is played.
#[derive(Clone, Copy)]
enum Locked {
    /// By the topology whose lock is of it: it has to come out the same.
    Again(&'static str),
    /// By any, whatever comes of it.
    Anyhow,
}

/// Those for which nothing needs to be known of the server.
fn unlocked() -> Vec<Scenario> {
    let scenario = |(name, revision, tool, arguments)| Scenario {
        name,
        revision,
        locked: None,
        requests: vec![able(Request::call(tool, arguments))],
    };
    let all = [
        ("initialize", "2025-11-25", "anything", "{}"),
        ("tools_call", "2025-11-25", "add_numbers", r#"{"a":5,"b":3}"#),
        ("tools_call", "2026-07-28", "add_numbers", r#"{"a":5,"b":3}"#),
        ("sse-retry", "2025-11-25", "test_reconnection", "{}"),
        ("request-metadata", "2026-07-28", "anything", "{}"),
    ];
    all.map(scenario).into()
}

/// A request of a client that says its name, and can be asked.
fn able(request: Request) -> Request {
    let own = r#""io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}"#;
    let meta = META.replace(r#"clientCapabilities":{}"#, r#"clientCapabilities":{"elicitation":{}}"#);
    request.edit(META, &format!("{meta},{own}"))
}

/// Everything that is asked of servers under its name.
fn names() -> Scenario {
    let read = |uri: &str| Request::modern("resources/read", Some(uri), &format!(r#""uri":"{uri}""#));
    let requests = vec![
        Request::call("test_headers", "{}"),
        Request::call("my-hyphenated-tool", "{}"),
        read("file:///path/to/file%20name.txt"),
        read("https://example.com/resource?id=123"),
        Request::modern("prompts/get", Some("test_prompt"), r#""name":"test_prompt""#),
    ];
    let (name, locked) = ("http-standard-headers", Some(Locked::Anyhow));
    Scenario { name, revision: "2026-07-28", locked, requests: requests.into_iter().map(able).collect() }
}

/// A server that asks, and looks at how it is answered.
fn states() -> Scenario {
    let tools = ["test_mrtr_echo_state", "test_mrtr_unrelated", "test_mrtr_no_state", "test_mrtr_no_result_type"];
    let requests = tools.map(|tool| able(Request::call(tool, "{}"))).into();
    Scenario { name: "sep-2322-client-request-state", revision: "2026-07-28", locked: None, requests }
}

/// A server whose schemas lead elsewhere, where nobody may look.
fn references() -> Scenario {
    let (name, locked) = ("json-schema-ref-no-deref", Some(Locked::Anyhow));
    Scenario { name, revision: "2026-07-28", locked, requests: Vec::new() }
}

/// The request that answers what another was answered with, if that asks something.
fn resumed(request: &Request, answer: &Value) -> Option<Request> {
    let result = answer.get("result").filter(|result| result["resultType"] == "input_required")?;
    let (_, _, body) = request.parts();
    let mut message: Value = serde_json::from_slice(body).expect("a message");
    let keys = result["inputRequests"].as_object().expect("what it asks").keys();
    let accepted = json!({ "action": "accept", "content": { "confirmed": true } });
    message["params"]["inputResponses"] = keys.map(|key| (key.clone(), accepted.clone())).collect();
    if let Some(state) = result.get("requestState") {
        message["params"]["requestState"] = state.clone();
    }
    Some(request.clone().with_body(message.to_string()))
}

/// A server whose tools want arguments as headers, asked by clients that send none.
fn headers() -> Scenario {
    let arguments = json!({
        "region": "us-west1", "priority": 42, "verbose": false, "debug": true, "empty_val": "", "float_val": 2.5,
        "method_val": "test-method", "non_ascii_val": "Hello, 世界", "whitespace_val": " padded ",
        "leading_space_val": " us-west1", "trailing_space_val": "us-west1 ", "internal_space_val": "us west 1",
        "control_char_val": "line1\nline2", "crlf_val": "line1\r\nline2", "tab_val": "\tindented",
        "query": "SELECT * FROM users",
    });
    let null = json!({ "region": "us-east1", "priority": 1, "verbose": null, "query": "SELECT 1" });
    let requests = vec![called("test_custom_headers", &arguments), called("test_custom_headers_null", &null)];
    let (name, locked) = ("http-custom-headers", Some(Locked::Again("tests/conformance/headers.yaml")));
    Scenario { name, revision: "2026-07-28", locked, requests }
}

/// A server with tools that ask for headers which they may not have, of which none is called although clients try.
fn invalid_headers() -> Scenario {
    let invalid = [
        "empty_header",
        "object_header",
        "array_header",
        "null_header",
        "number_header",
        "duplicate_same_case",
        "duplicate_diff_case",
        "space_in_name",
        "colon_in_name",
        "non_ascii_name",
        "control_char_name",
    ];
    let mut requests = vec![called("valid_tool", &json!({ "region": "eu" }))];
    requests.extend(invalid.map(|tool| called(&format!("invalid_{tool}"), &json!({}))));
    let (name, locked) = ("http-invalid-tool-headers", Some(Locked::Again("tests/conformance/invalid_headers.yaml")));
    Scenario { name, revision: "2026-07-28", locked, requests }
}

/// A call by the plain route, which has no headers of MCP.
fn called(tool: &str, arguments: &Value) -> Request {
    let params = json!({ "name": tool, "arguments": arguments });
    Request::post(params.to_string()).line("POST /tools/call HTTP/1.1")
}

/// Locks a server at this URL.
fn lock(locked: Locked, url: &str) {
    let topology = match locked {
        Locked::Again(topology) => topology,
        Locked::Anyhow => "tests/conformance/played.yaml",
    };
    let directory = Directory::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(root.join(topology), directory.path("again.yaml")).expect("it can be copied");
    let mut lock = command(env!("CARGO_BIN_EXE_only1mcp"));
    let lock = lock.args(["topology", "lock"]).arg(directory.path("again.yaml")).env("CONFORMANCE_URL", url);
    let output = lock.output().expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |path: &Path| std::fs::read_to_string(path).expect("a lock");
    let found = read(&directory.path("again.lock.json"));
    if let Locked::Again(topology) = locked {
        assert_eq!(found, read(&root.join(topology).with_extension("lock.json")), "{topology}");
    }
}

/// How long the suite may take to start.
const START: Duration = Duration::from_secs(60);

/// Plays one scenario; what the suite printed, as an error where something of it failed.
async fn play<T: Topology>(peers: &Path, scenario: Scenario) -> Result<(), String> {
    let Scenario { name, revision, locked, requests } = scenario;
    let handover = Directory::new();
    std::fs::create_dir_all(handover.path("results")).expect("a directory of this test");
    let mut suite = command(peers.join("node/bin/node"));
    suite.arg(peers.join("node/node_modules/@modelcontextprotocol/conformance/dist/index.js"));
    suite.args(["client", "--command", "tests/conformance/client", "--scenario", name, "--spec-version", revision]);
    suite.args(["--timeout", "60000", "-o"]).arg(handover.path("results"));
    let preload = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/loopback.cjs");
    suite.env("NODE_OPTIONS", format!("--require {}", preload.display())).env("HANDOVER", handover.path(""));
    let suite = suite.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the suite starts");
    let url = handover.path("url");
    let started = tokio::time::timeout(START, async {
        while !url.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    started.await.expect("the suite plays its server");
    let url = std::fs::read_to_string(url).expect("written whole");
    if let Some(locked) = locked {
        lock(locked, &url);
    }
    let builder = Gateway::<T>::builder().workers(1).reference("CONFORMANCE_URL", url);
    let gateway = builder.start().expect("the gateway starts");
    let mut answers = String::new();
    for request in requests {
        let answer = Client::ask(gateway.address(), &request).await;
        answers += &answer.text();
        answers.push('\n');
        if let Some(resumed) = resumed(&request, &answer.message()) {
            answers += &Client::ask(gateway.address(), &resumed).await.text();
        }
    }
    // As a client that ends: the suite waits for its connections to close.
    gateway.stop();
    std::fs::write(handover.path("done"), "").expect("a directory of this test");
    let output = suite.wait_with_output().expect("the suite ends");
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let passed = output.status.success();
    if passed { Ok(()) } else { Err(format!("{name} of {revision}: {answers}{printed}")) }
}

#[tokio::test]
async fn the_gateway_conforms_as_a_client() {
    let Some(peers) = peers() else { return };
    let mut failures = Vec::new();
    for scenario in unlocked().into_iter().chain([names(), states(), references()]) {
        failures.extend(play::<Played>(peers, scenario).await.err());
    }
    failures.extend(play::<Headers>(peers, headers()).await.err());
    failures.extend(play::<InvalidHeaders>(peers, invalid_headers()).await.err());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
