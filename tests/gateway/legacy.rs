//! The legacy era: handshake, sessions, their stream, and both eras side by side.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::json;

use crate::support::client::{Answer, Client, Event, Request};
use crate::support::gateways;
use crate::support::recorder::Recorder;
use crate::support::rows::{Row, error, refused, run, served};
use crate::support::server::{self, Server, json_answer, text_body};

/// An `initialize` that asks for a version.
pub(crate) fn initialize(version: &str) -> Request {
    Request::post(format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"test","version":"1"}}}}}}"#
    ))
}

/// A new session.
pub(crate) async fn session(address: SocketAddr) -> String {
    session_of(address, "2025-11-25").await
}

/// A new session of this version. Before 2025-11-25 a call that takes a while is answered in JSON nevertheless.
pub(crate) async fn session_of(address: SocketAddr, version: &str) -> String {
    let answer = Client::ask(address, &initialize(version)).await;
    answer.field("mcp-session-id").expect("a session").to_owned()
}

/// A request that is not framed yet.
pub(crate) fn message(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

/// A server that answers the calls of its sessions with its name.
pub(crate) fn answering(name: &'static str) -> Server {
    Server::start(server::legacy(
        move || format!("session-of-{name}"),
        move |request| vec![json_answer(200, &text_body(&request.id(), name))],
    ))
}

/// Asserts that calls of each session find the same of several such servers, and those of all sessions more than one.
pub(crate) async fn assert_sessions_stay(address: SocketAddr, tool: &str) {
    let mut found = BTreeSet::new();
    for _ in 0..8 {
        let session = session(address).await;
        let mut names = BTreeSet::new();
        for _ in 0..4 {
            let body = message("tools/call", &format!(r#"{{"name":"{tool}","arguments":{{}}}}"#));
            let answer = Client::ask(address, &Request::legacy(&session, body)).await;
            names.insert(answer.message()["result"]["content"][0]["text"].as_str().expect("a text").to_owned());
        }
        assert_eq!(names.len(), 1, "{names:?}");
        found.append(&mut names);
    }
    assert!(found.len() > 1, "{found:?}");
}

fn list() -> Request {
    Request::post(message("tools/list", "{}"))
}

pub(crate) fn delete(session_id: &str) -> Request {
    Request::bare("DELETE /mcp HTTP/1.1").field("Mcp-Session-Id", session_id)
}

pub(crate) fn get(session_id: &str) -> Request {
    Request::bare("GET /mcp HTTP/1.1").field("Accept", "text/event-stream").field("Mcp-Session-Id", session_id)
}

fn without_session() -> Vec<Row> {
    let id = |id: &str| list().field("Mcp-Session-Id", id);
    let gone = "0123456789abcdef0123456789abcdef";
    vec![
        error("no session", list(), &[400], -32600),
        error("a session that nobody has", id(gone), &[404], -32600),
        error("an id that no session could have", id("x"), &[404], -32600),
        error("an id of 8 KB", id(&"a".repeat(8 << 10)), &[400], -32600),
        error("a control byte in the id", id("a\u{1}"), &[400], -32600),
        error("white space in the id", id("a b"), &[400], -32600),
        error("two sessions", id(gone).field("Mcp-Session-Id", gone), &[400], -32600),
        error(
            "a call before `initialize`",
            Request::post(message("tools/call", r#"{"name":"admin__echo"}"#)),
            &[400],
            -32600,
        ),
        error(
            "a notification",
            Request::post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
            &[400],
            -32600,
        ),
        error("no such version", list().field("MCP-Protocol-Version", "2025-11-25"), &[400], -32600),
        refused("GET", Request::bare("GET /mcp HTTP/1.1"), &[400]),
        refused("GET of a session that is gone", get(gone), &[404]),
        refused("DELETE", Request::bare("DELETE /mcp HTTP/1.1"), &[400]),
        refused("DELETE of a session that is gone", delete(gone), &[404]),
        error(
            "initialize without params",
            Request::post(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#),
            &[200],
            -32602,
        ),
        error("initialize without id", initialize("2025-11-25").edit(r#""id":0"#, r#""id":null"#), &[400], -32600),
        served("initialize", initialize("2025-11-25")).calls(0),
    ]
}

#[tokio::test]
async fn what_needs_a_session_is_refused_without_one() {
    run(without_session()).await;
}

#[tokio::test]
async fn initialize_agrees_on_the_version_or_on_the_newest_legacy_one() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut ids = Vec::new();
    for (asked, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
    ] {
        let answer = Client::ask(gateway.address(), &initialize(asked)).await;
        assert_eq!((answer.status, answer.json()["id"].clone()), (200, json!(0)));
        let result = answer.json()["result"].clone();
        assert_eq!(result["protocolVersion"], agreed, "{asked}");
        for capability in ["tools", "prompts", "resources"] {
            assert!(result["capabilities"][capability].is_object(), "{result}");
        }
        assert!(result["serverInfo"]["name"].is_string() && result["serverInfo"]["version"].is_string(), "{result}");
        assert_eq!(result.get("resultType"), None);
        let id = answer.field("mcp-session-id").expect("a session").to_owned();
        assert!((32..=80).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn a_session_serves_until_it_is_deleted() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let id = session(gateway.address()).await;
    let mut client = Client::connect(gateway.address()).await;
    let mut ask = async |body: &str| client.exchange(&Request::legacy(&id, body)).await;

    for taken in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/whatever","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
    ] {
        let answer = ask(taken).await;
        assert_eq!((answer.status, answer.body.as_slice()), (202, b"".as_slice()), "{taken}");
    }
    assert_eq!(ask(&message("ping", "{}")).await.text(), r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    let tools = ask(&message("tools/list", "{}")).await.json();
    assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(7));
    for absent in ["resultType", "ttlMs", "cacheScope"] {
        assert_eq!(tools["result"].get(absent), None, "{tools}");
    }
    assert_eq!(upstream.calls(), 0);
    // Whoever reads no streams gets none where the first call takes its time.
    let call = Request::legacy(&id, message("tools/call", r#"{"name":"admin__echo","arguments":{}}"#));
    let called = Client::ask(gateway.address(), &call.with("Accept", "application/json")).await;
    assert_eq!(called.text(), r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"done"}]}}"#);

    let deleted = Client::ask(gateway.address(), &delete(&id)).await;
    assert!(matches!(deleted.status, 200 | 204), "{}", deleted.status);
    assert_eq!(ask(&message("ping", "{}")).await.status, 404);
    assert_eq!(Client::ask(gateway.address(), &delete(&id)).await.status, 404);
}

/// Someone else is another gateway here; the answer is that to an id nobody ever had.
#[tokio::test]
async fn a_session_of_someone_else_is_unknown() {
    let upstream = Recorder::start();
    let (gateway, other) = (gateways::recorded(&upstream), gateways::recorded(&upstream));
    let foreign = Request::legacy(&session(other.address()).await, message("ping", "{}"));
    let unknown = Request::legacy("0123456789abcdef0123456789abcdef", message("ping", "{}"));
    let (foreign, unknown) =
        (Client::ask(gateway.address(), &foreign).await, Client::ask(gateway.address(), &unknown).await);
    assert_eq!((foreign.status, foreign.body), (404, unknown.body));
}

#[tokio::test]
async fn the_version_header_of_a_session_is_absent_or_legacy() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let id = session(gateway.address()).await;
    let ping = || Request::legacy(&id, message("ping", "{}"));
    for (version, status) in
        [("2025-03-26", 200), ("2025-06-18", 200), ("2025-11-25", 200), ("1999-01-01", 400), ("2026-07-28", 400)]
    {
        let answer = Client::ask(gateway.address(), &ping().field("MCP-Protocol-Version", version)).await;
        assert_eq!(answer.status, status, "{version}: {}", answer.text());
    }
    assert_eq!(Client::ask(gateway.address(), &ping()).await.status, 200);
}

#[tokio::test]
async fn errors_of_legacy_requests_travel_in_200() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let id = session(gateway.address()).await;
    let mut client = Client::connect(gateway.address()).await;
    for (body, code) in [
        (message("tools/call", r#"{"name":"nothing"}"#), -32602),
        (message("tools/call", r#"{"name":7}"#), -32602),
        (message("tools/call", r#"{"name":"admin__echo","arguments":[]}"#), -32602),
        (message("tools/call", "[]"), -32602),
        (message("tools/list", r#"{"cursor":"garbage"}"#), -32602),
        (message("resources/read", r#"{"uri":"file:///etc/passwd"}"#), -32602),
        (message("tasks/list", "{}"), -32601),
        (message("server/discover", "{}"), -32601),
    ] {
        let answer = client.exchange(&Request::legacy(&id, body.clone())).await;
        assert_eq!((answer.status, answer.code()), (200, Some(code)), "{body}: {}", answer.text());
        assert_eq!(answer.json()["id"], 1);
    }
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn ids_are_echoed_as_they_were_written() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let session = session_of(gateway.address(), "2025-06-18").await;
    let mut client = Client::connect(gateway.address()).await;
    for id in [
        "9007199254740993",
        "-9223372036854775809",
        "18446744073709551616",
        "1.0",
        "-0",
        r#""""#,
        r#""9007199254740993""#,
        r#""\u0061\/\ud83d\ude00""#,
        "\"é\u{2028}\"",
    ] {
        for (method, params) in [
            ("ping", "{}"),
            ("tools/call", r#"{"name":"admin__echo","arguments":{}}"#),
            ("tools/call", r#"{"name":"nothing"}"#),
            ("tools/call", "[]"),
            ("nothing", "{}"),
        ] {
            let body = message(method, params).replacen(r#""id":1"#, &format!(r#""id":{id}"#), 1);
            let answer = client.exchange(&Request::legacy(&session, body)).await;
            let own = format!(r#"{{"jsonrpc":"2.0","id":{id},"#);
            assert!(answer.status == 200 && answer.text().starts_with(&own), "{method} {id}: {}", answer.text());
        }
    }
}

pub(crate) async fn opened(address: SocketAddr, id: &str) -> Client {
    let mut stream = Client::connect(address).await;
    stream.write(&get(id).bytes()).await;
    let head = stream.head().await;
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")));
    assert_eq!(stream.event().await, Some(Event::Primed { retry_ms: 1000 }), "that shows that the stream stands");
    stream
}

#[tokio::test]
async fn the_stream_of_a_session_ends_with_it() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let (id, other) = (session(gateway.address()).await, session(gateway.address()).await);
    let mut stream = opened(gateway.address(), &id).await;
    assert_eq!(Client::ask(gateway.address(), &delete(&other)).await.status, 200);
    assert_eq!(Client::ask(gateway.address(), &delete(&id)).await.status, 200);
    assert_eq!(stream.event().await, None);
    // The end of a stream is not that of its connection.
    assert_eq!(stream.exchange(&initialize("2025-11-25")).await.status, 200);
}

#[tokio::test]
async fn the_stream_of_a_session_ends_when_the_gateway_stops() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let id = session(gateway.address()).await;
    let mut stream = opened(gateway.address(), &id).await;
    let stopping = tokio::task::spawn_blocking(move || gateway.stop());
    assert_eq!(stream.event().await, None);
    assert_eq!(stream.rest().await, b"");
    stopping.await.expect("the gateway stops");
}

#[tokio::test]
async fn both_eras_are_served_on_one_connection() {
    let gateway = gateways::demo();
    let mut client = Client::connect(gateway.address()).await;
    let sum = |answer: &Answer| answer.json()["result"]["structuredContent"]["result"].clone();
    let arguments = r#"{"a":2,"b":40}"#;
    let modern = Request::call("math__add", arguments);
    assert_eq!(sum(&client.exchange(&modern).await), 42);
    let greeted = client.exchange(&initialize("2025-06-18")).await;
    let id = greeted.field("mcp-session-id").expect("a session");
    let legacy =
        Request::legacy(id, message("tools/call", &format!(r#"{{"name":"math__add","arguments":{arguments}}}"#)));
    let answer = client.exchange(&legacy).await;
    assert_eq!((sum(&answer), answer.json()["result"].get("resultType")), (json!(42), None));
    let answer = client.exchange(&modern.field("Mcp-Session-Id", id)).await;
    assert_eq!((sum(&answer), answer.json()["result"]["resultType"].clone()), (json!(42), json!("complete")));
    assert_eq!(client.exchange(&Request::legacy(id, message("ping", "{}"))).await.status, 200);
}
