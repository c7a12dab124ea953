//! Two eras on either side of the gateway, over both transports towards backends: whoever asks gets answers of its own
//! era, and whoever is asked gets requests of its own.

use std::net::SocketAddr;

use only1mcp::demo::Eras;
use only1mcp::{Builder, Gateway, Running};
use serde_json::{Value, json};

use crate::support::client::{Client, META, Request};
use crate::support::demo::over_http;
use crate::support::scripted::{Outcome, Servers, WithChildren, assert_serves, call};
use crate::support::server::{Request as Received, Script, Server, json_answer, legacy, modern, text_body};

only1mcp::topology!(StdioLegacy = "tests/gateway/topologies/stdio_legacy.yaml");
only1mcp::topology!(StdioModern = "tests/gateway/topologies/stdio_modern.yaml");
only1mcp::topology!(Http = "tests/gateway/topologies/http.yaml");

/// A client of one era.
enum Speaker {
    Modern,
    /// In this session.
    Legacy(String),
}

// === impl Speaker ===

impl Speaker {
    /// One of each era.
    async fn both(gateway: SocketAddr) -> [Self; 2] {
        let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
        let answer = Client::ask(gateway, &Request::post(initialize)).await;
        let session = answer.field("mcp-session-id").expect("a session").to_owned();
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(Client::ask(gateway, &Request::legacy(&session, initialized)).await.status, 202);
        [Self::Modern, Self::Legacy(session)]
    }

    /// A request about `name` with these members of `params` and of `_meta`.
    fn request(&self, method: &str, name: &str, params: &str, meta: &str) -> Request {
        match self {
            Self::Modern => {
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params},"_meta":{{{meta}{META}}}}}}}"#
                );
                Request::raw(method, Some(name), body)
            }
            Self::Legacy(session) => {
                let meta = meta.trim_end_matches(',');
                let meta = if meta.is_empty() { String::new() } else { format!(r#","_meta":{{{meta}}}"#) };
                let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{meta}}}}}"#);
                Request::legacy(session, body)
            }
        }
    }

    async fn ask(&self, gateway: SocketAddr, method: &str, name: &str, params: &str) -> Value {
        let answer = Client::ask(gateway, &self.request(method, name, params, "")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.message()
    }

    fn is_modern(&self) -> bool {
        matches!(self, Self::Modern)
    }
}

/// Everything that crosses the eras, by clients of both.
async fn check(gateway: &Running, upstream: Eras) {
    let address = gateway.address();
    for client in Speaker::both(address).await {
        let answer =
            client.ask(address, "tools/call", "peer__echo", r#""name":"peer__echo","arguments":{"a":1.0}"#).await;
        assert_eq!(answer["result"]["content"][0]["text"], r#"{"a":1.0}"#);
        assert_shape(&answer["result"], &client);
        let failed = r#""name":"peer__wait","arguments":{"milliseconds":-1}"#;
        let answer = client.ask(address, "tools/call", "peer__wait", failed).await;
        assert_eq!(answer["result"]["isError"], true);
        assert_shape(&answer["result"], &client);
        let prompt = r#""name":"peer__incident_report","arguments":{"summary":"fire"}"#;
        let answer = client.ask(address, "prompts/get", "peer__incident_report", prompt).await;
        assert!(answer["result"]["messages"][0]["content"]["text"].as_str().is_some_and(|text| text.contains("fire")));
        assert_shape(&answer["result"], &client);
        let answer = client.ask(address, "resources/read", "admin://status", r#""uri":"admin://status""#).await;
        assert_eq!(answer["result"]["contents"][0]["uri"], "admin://status");
        assert_shape(&answer["result"], &client);
        if client.is_modern() {
            assert_eq!((&answer["result"]["ttlMs"], &answer["result"]["cacheScope"]), (&json!(0), &json!("private")));
        }
        let answer = client.ask(address, "resources/read", "admin://nothing", r#""uri":"admin://nothing""#).await;
        // MCP 2026-07-28, resources, error handling: -32602, which was -32002 before.
        let code = if client.is_modern() || upstream != Eras::Legacy { -32602 } else { -32002 };
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert_eq!(answer["error"]["data"]["uri"], "admin://nothing");
        let answer = client.ask(address, "tools/call", "peer__nothing", r#""name":"peer__nothing""#).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        check_progress(address, &client).await;
    }
}

/// A result says how far it is complete to modern clients only.
fn assert_shape(result: &Value, client: &Speaker) {
    let expected = if client.is_modern() { json!("complete") } else { Value::Null };
    assert_eq!(result["resultType"], expected, "{result}");
}

/// Progress comes under the client's own token, in order, before the answer.
async fn check_progress(gateway: SocketAddr, client: &Speaker) {
    let wait = r#""name":"peer__wait","arguments":{"milliseconds":30,"steps":3}"#;
    let request = client.request("tools/call", "peer__wait", wait, r#""progressToken":"mine","#);
    let mut connection = Client::connect(gateway).await;
    connection.write(&request.bytes()).await;
    assert_eq!(connection.head().await.field("content-type"), Some("text/event-stream"));
    for step in 1..=3 {
        let progress = connection.message().await.expect("progress");
        assert_eq!(progress["method"], "notifications/progress");
        assert_eq!(
            (&progress["params"]["progressToken"], &progress["params"]["progress"]),
            (&json!("mine"), &json!(step))
        );
    }
    let answer = connection.message().await.expect("an answer");
    assert_eq!((&answer["id"], &answer["result"]["structuredContent"]["steps"]), (&json!(1), &json!(3)));
    assert_eq!(connection.message().await, None);
}

fn start<T: only1mcp::catalog::Topology>(with: impl FnOnce(Builder<T>) -> Builder<T>) -> Running {
    let builder = Gateway::<T>::builder().workers(2).program(env!("CARGO_BIN_EXE_only1mcp"));
    with(builder).start().expect("the gateway starts")
}

#[tokio::test]
async fn clients_of_both_eras_are_served_by_a_legacy_child() {
    check(&start::<StdioLegacy>(|builder| builder), Eras::Legacy).await;
}

#[tokio::test]
async fn clients_of_both_eras_are_served_by_a_modern_child() {
    check(&start::<StdioModern>(|builder| builder), Eras::Modern).await;
}

#[tokio::test]
async fn clients_of_both_eras_are_served_by_http_servers_of_each_era() {
    for eras in [Eras::Legacy, Eras::Modern, Eras::Both] {
        let server = over_http(eras, ([127, 0, 0, 1], 0).into());
        let url = format!("http://{}/mcp", server.address);
        let gateway = start::<Http>(|builder| builder.reference("PEER_URL", url));
        check(&gateway, eras).await;
    }
}

#[tokio::test]
async fn a_child_that_keeps_silent_about_the_modern_greeting_is_sent_the_legacy_one_too() {
    let rig = WithChildren::start("silent_about_discover");
    assert_serves(rig.address(), "odd").await;
    let read = rig.ledger.after("read");
    assert!(read[0].contains("server/discover") && read[1].contains("initialize"), "{read:?}");
    assert_eq!(rig.ledger.spawned().len(), 1);
}

/// What a scripted server receives of one call by each client, modern first.
async fn received<S: Fn(&Received) -> Script + Send + Sync + 'static>(
    server: impl FnOnce(Box<dyn Fn(&Received) -> Script + Send + Sync>) -> S,
) -> [Received; 2] {
    let (keep, kept) = std::sync::mpsc::channel();
    let odd = Server::start(server(Box::new(move |request| {
        keep.send(request.clone()).expect("it is waited for");
        vec![json_answer(200, &text_body(&request.id(), "ok"))]
    })));
    let good = Server::start(modern(|_| Vec::new()));
    let gateway = start::<Servers>(|builder| builder.reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url()));
    let vendor = r#""com.example/trace":"t-1","progressToken":"mine","#;
    let mut found = Vec::new();
    for client in Speaker::both(gateway.address()).await {
        let params = r#""name":"odd__note","arguments":{"n":1e400}"#;
        let request = client.request("tools/call", "odd__note", params, vendor);
        assert_eq!(Client::ask(gateway.address(), &request).await.status, 200);
        found.push(kept.recv().expect("a call"));
    }
    found.try_into().expect("two calls")
}

#[tokio::test]
async fn a_legacy_backend_sees_no_members_of_the_modern_era() {
    for request in received(|calls| legacy(|| "session-1".to_owned(), calls)).await {
        let expected = format!(
            r#"{{"jsonrpc":"2.0","id":{0},"method":"tools/call","params":{{"name":"note","arguments":{{"n":1e400}},"_meta":{{"com.example/trace":"t-1","progressToken":{0}}}}}}}"#,
            id(&request)
        );
        assert_eq!(request.text, expected);
        assert_eq!(request.field("mcp-session-id"), Some("session-1"));
        assert_eq!(request.field("mcp-protocol-version"), Some("2025-11-25"));
        assert_eq!((request.field("mcp-method"), request.field("mcp-name")), (None, None));
    }
}

#[tokio::test]
async fn a_modern_backend_sees_all_members_of_its_era() {
    let [from_modern, from_legacy] = received(modern).await;
    for request in [from_modern, from_legacy] {
        // Not of `body`: the argument is no number for most parsers.
        let meta =
            request.text.split_once(r#""_meta":"#).and_then(|(_, meta)| meta.strip_suffix("}}")).expect("`_meta`");
        let meta: Value = serde_json::from_str(meta).expect("an object");
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        assert!(meta["io.modelcontextprotocol/clientCapabilities"].is_object(), "{meta}");
        assert_eq!(meta["com.example/trace"], "t-1");
        assert_eq!(meta["progressToken"].to_string(), id(&request));
        assert!(request.text.contains(r#""name":"note","arguments":{"n":1e400}"#), "{}", request.text);
        assert_eq!(request.field("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!((request.field("mcp-method"), request.field("mcp-name")), (Some("tools/call"), Some("note")));
        assert_eq!(request.field("mcp-session-id"), None);
    }
}

/// The id as it was written.
fn id(request: &Received) -> String {
    let id = request.text.split_once(r#""id":"#).and_then(|(_, rest)| rest.split_once(','));
    id.expect("an id").0.to_owned()
}

#[tokio::test]
async fn the_era_of_a_backend_is_learnt_anew_when_another_takes_its_place() {
    let echo = |request: &Received| vec![json_answer(200, &text_body(&request.id(), request.argument()))];
    let odd = Server::start(legacy(|| "session-1".to_owned(), echo));
    let (address, good) = (odd.address(), Server::start(modern(echo)));
    let gateway = start::<Servers>(|builder| {
        builder.workers(1).reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url())
    });
    assert_serves(gateway.address(), "odd").await;
    drop(odd);
    // A modern server knows no sessions and says so as the revision has it.
    let _odd = Server::start_at(
        address,
        None,
        modern(move |request: &Received| {
            if request.field("mcp-session-id").is_some() {
                return vec![json_answer(404, &crate::support::server::error_body("null", -32601))];
            }
            echo(request)
        }),
    );
    assert_eq!(call(gateway.address(), "odd__echo", "x").await, Outcome::Text("x".to_owned()));
}
