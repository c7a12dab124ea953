//! Scenarios of the conformance suite in which the suite plays the server: the gateway is its client.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use only1mcp::Gateway;

use super::{command, peers};
use crate::support::client::{Client, META, Request};
use crate::support::ledger::Directory;

only1mcp::topology!(Played = "tests/conformance/played.yaml");

/// The scenario, its revision, the tool that its client is to call, and with what.
const SCENARIOS: [(&str, &str, &str, &str); 4] = [
    ("tools_call", "2025-11-25", "add_numbers", r#"{"a":5,"b":3}"#),
    ("tools_call", "2026-07-28", "add_numbers", r#"{"a":5,"b":3}"#),
    ("sse-retry", "2025-11-25", "test_reconnection", "{}"),
    ("request-metadata", "2026-07-28", "anything", "{}"),
];

/// How long the suite may take to start.
const START: Duration = Duration::from_secs(60);

/// Plays one scenario; what the suite printed, as an error where something of it failed.
async fn play(peers: &Path, (scenario, revision, tool, arguments): (&str, &str, &str, &str)) -> Result<(), String> {
    let handover = Directory::new();
    std::fs::create_dir_all(handover.path("results")).expect("a directory of this test");
    let mut suite = command(peers.join("node/bin/node"));
    suite.arg(peers.join("node/node_modules/@modelcontextprotocol/conformance/dist/index.js"));
    suite.args(["client", "--command", "tests/conformance/client", "--scenario", scenario, "--spec-version", revision]);
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
    let builder = Gateway::<Played>::builder().workers(1).reference("CONFORMANCE_URL", url);
    let gateway = builder.start().expect("the gateway starts");
    // As its client says it.
    let named = format!(r#"{META},"io.modelcontextprotocol/clientInfo":{{"name":"test","version":"1"}}"#);
    let answer = Client::ask(gateway.address(), &Request::call(tool, arguments).edit(META, &named)).await;
    // As a client that ends: the suite waits for its connections to close.
    gateway.stop();
    std::fs::write(handover.path("done"), "").expect("a directory of this test");
    let output = suite.wait_with_output().expect("the suite ends");
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let passed = output.status.success();
    if passed { Ok(()) } else { Err(format!("{scenario} of {revision}: {}\n{printed}", answer.text())) }
}

#[tokio::test]
async fn the_gateway_conforms_as_a_client() {
    let Some(peers) = peers() else { return };
    let mut failures = Vec::new();
    for scenario in SCENARIOS {
        failures.extend(play(peers, scenario).await.err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
