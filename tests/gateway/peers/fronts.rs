//! Servers that others published, behind every way for clients to come, in both eras: what `matrix` does with the demo
//! servers, as far as these can do it.

use std::process::Stdio;

use only1mcp::Gateway;
use serde_json::{Value, json};
use tokio::process::Command;

use super::peers;
use super::sse::Server;
use crate::support::front::{Ask, Era, Front, Way};

only1mcp::topology!(Published = "tests/gateway/topologies/published.yaml");

/// What one of them offers: a tool with its arguments and what it says; and one that takes its time, with its arguments
/// and how many steps it reports.
struct Offer {
    backends: &'static [&'static str],
    says: (&'static str, Value, &'static str),
    takes_time: (&'static str, Value, usize),
}

fn offers() -> [Offer; 4] {
    [
        Offer {
            backends: &["typescript-sse", "typescript-http"],
            says: ("echo", json!({ "message": "hé\n\"q\"" }), "Echo: hé\n\"q\""),
            takes_time: ("trigger-long-running-operation", json!({ "duration": 0.2, "steps": 4 }), 4),
        },
        Offer {
            backends: &["python-1-sse", "python-1-http", "python-1-stdio"],
            says: ("add", json!({ "a": 2, "b": 40 }), "42"),
            takes_time: ("count", json!({ "steps": 3 }), 3),
        },
        // Refuses the legacy era by -32022.
        Offer {
            backends: &["typescript-2-http"],
            says: ("echo", json!({ "message": "hé\n\"q\"" }), "Echo: hé\n\"q\""),
            takes_time: ("count", json!({ "steps": 3 }), 3),
        },
        Offer {
            backends: &["python-2-http"],
            says: ("test_simple_text", json!({}), "This is a simple text response for testing."),
            takes_time: ("test_tool_with_progress", json!({}), 3),
        },
    ]
}

async fn check(client: &mut Front, Offer { backends, says, takes_time }: &Offer, name: &str) {
    for backend in *backends {
        let (tool, arguments, text) = says;
        let answer = client.ask(Ask::call("says", &format!("{backend}__{tool}"), arguments)).await;
        assert_eq!(answer["result"]["content"][0]["text"], *text, "{name} to {backend}: {answer}");
        let (tool, arguments, steps) = takes_time;
        let tool = format!("{backend}__{tool}");
        // At once, each with progress of its own.
        let asks = [json!(1), json!("1")].map(|id| Ask::call(id.clone(), &tool, arguments).tracked(id));
        for heard in client.ask_all(&asks).await {
            assert_eq!(heard.len(), steps + 1, "{name} to {backend}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn published_servers_serve_every_kind_of_client() {
    let Some(peers) = peers() else { return };
    let everything = peers.join("node/node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let everything = everything.to_str().expect("UTF-8");
    let typescript = |transport| {
        let (node, arguments) = (peers.join("node/bin/node"), [everything, transport]);
        async move { Server::start(node, &arguments).await }
    };
    let python_1 = |transport| {
        let (python, script) = (peers.join("python-legacy/bin/python"), "tests/peers/servers/python_sdk_1.py");
        async move { Server::start(python, &[script, transport]).await }
    };
    let python_2 = ["tests/conformance/fixture.py", "--era", "modern", "--port"];
    let python_2 = Server::start(peers.join("python/bin/python"), &python_2);
    let typescript_2 = Server::start(peers.join("node/bin/node"), &["tests/peers/servers/typescript_sdk_2.mjs"]);
    let servers = tokio::join!(
        typescript("sse"),
        typescript("streamableHttp"),
        python_1("sse"),
        python_1("streamable-http"),
        python_2,
        typescript_2
    );
    let builder = Gateway::<Published>::builder().workers(2).reference("TYPESCRIPT_SSE_URL", servers.0.url("/sse"));
    let builder = builder.reference("TYPESCRIPT_HTTP_URL", servers.1.url("/mcp"));
    let builder = builder.reference("PYTHON_1_SSE_URL", servers.2.url("/sse"));
    let builder = builder.reference("PYTHON_1_HTTP_URL", servers.3.url("/mcp"));
    let builder = builder.reference("PYTHON_2_HTTP_URL", servers.4.url("/mcp"));
    let builder = builder.reference("TYPESCRIPT_2_HTTP_URL", servers.5.url("/mcp"));
    let builder = builder.program(peers.join("python-legacy/bin/python"));
    let gateway = builder.start().expect("the gateway starts");
    for era in [Era::Modern, Era::Legacy] {
        let mut bridged = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
        bridged.args(["stdio", "--connect", &gateway.url()]).stderr(Stdio::null());
        for (name, way) in [
            ("HTTP", Way::Http(gateway.address())),
            ("HTTP+SSE", Way::Events(gateway.address())),
            ("WebSocket", Way::Socket(gateway.address())),
            ("stdio", Way::Lines(bridged)),
        ] {
            let mut client = Front::open(way, era).await;
            for offer in &offers() {
                check(&mut client, offer, &format!("{era:?} {name}")).await;
            }
        }
    }
}
