//! A backend over WebSocket: many calls on one connection, what it may do wrong, and what that costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use only1mcp::{Gateway, Running};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use crate::support::client::{Client, META, Request as Asked, within};
use crate::support::scripted::{Outcome, assert_serves, call, call_odd, eventually};
use crate::support::server::{self, Request, Script, Step, error_body, result_body, text_body};
use crate::support::socket_server::{SocketServer, said, say};
use crate::traffic::sample;

only1mcp::topology!(pub(crate) Sockets = "tests/gateway/topologies/websocket.yaml");

/// A gateway in front of two servers.
pub(crate) fn gateway(odd: &str, good: &str) -> Running {
    let builder = Gateway::<Sockets>::builder().workers(2).reference("ODD_URL", odd).reference("GOOD_URL", good);
    builder.start().expect("the gateway starts")
}

/// A modern server whose tools are the misdeeds below.
fn modern() -> SocketServer {
    SocketServer::start(greeted(play))
}

/// A modern server: greets by itself, and leaves its calls to `calls`.
pub(crate) fn greeted(
    calls: impl Fn(&Request) -> Script + Send + Sync + 'static,
) -> impl Fn(&Request) -> Script + Send + Sync + 'static {
    move |request| match request.rpc() {
        "server/discover" => {
            let result = json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} } });
            vec![say(&result_body(&request.id(), &result))]
        }
        "tools/call" => calls(request),
        _ => Vec::new(),
    }
}

/// A legacy server: introduces itself, and leaves its calls, and what it is answered, to `calls`.
pub(crate) fn introduced(
    calls: impl Fn(&Request) -> Script + Send + Sync + 'static,
) -> impl Fn(&Request) -> Script + Send + Sync + 'static {
    move |request| match request.rpc() {
        "initialize" => {
            let result = json!({ "protocolVersion": "2025-06-18", "capabilities": { "tools": {} }, "serverInfo": {} });
            vec![say(&result_body(&request.id(), &result))]
        }
        "tools/call" | "" => calls(request),
        method if method.starts_with("notifications/") => Vec::new(),
        _ => vec![say(&error_body(&request.id(), -32601))],
    }
}

/// A legacy server that serves nothing before it is initialized.
fn legacy() -> SocketServer {
    SocketServer::start(introduced(|request| if request.rpc().is_empty() { Vec::new() } else { play(request) }))
}

/// Does what the tool is named after.
fn play(request: &Request) -> Script {
    let id = request.id();
    let other = (request.body["id"].as_u64().expect("the gateway mints numbers") + 1_000_000).to_string();
    let text = |text: &str| say(&text_body(&id, text));
    let raw = |first: u8, payload: &[u8]| Step::Write(said(first, payload));
    let answer = text_body(&id, "in parts");
    let (one, two) = answer.split_at(20);
    let progress = |token: &str| {
        let params = format!(r#"{{"progressToken":{token},"progress":1}}"#);
        say(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#))
    };
    match request.name() {
        "echo" => vec![text(request.argument())],
        "slow" => vec![Step::Pause(Duration::from_millis(200)), text(request.argument())],
        "progress" => vec![progress(&id), text("done")],
        "never" => Vec::new(),
        "wrong_id" => vec![say(&text_body(&other, "another's"))],
        "text_id" => vec![say(&text_body(&format!("\"{id}\""), "no number"))],
        "no_message" => vec![say(r#"{"hello":"world"}"#)],
        "no_json" => vec![say("hello")],
        "fraction_code" => vec![say(&error_body(&id, 1.5))],
        "tool_error" => vec![say(&error_body(&id, -32602))],
        "two_answers" => vec![text("first"), text("second")],
        "strays" => {
            vec![say(&text_body(&other, "another's")), progress(&other), progress("\"x\""), text("after strays")]
        }
        "in_parts" => vec![raw(1, one.as_bytes()), raw(0x89, b"ping"), raw(0x80, two.as_bytes())],
        "asks" => {
            let ask = |id: u8, method: &str| say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#));
            vec![ask(1, "ping"), ask(2, "sampling/createMessage"), text("asked")]
        }
        "breaks_off" => vec![Step::Close],
        "breaks_off_within" => vec![Step::Write(said(0x81, answer.as_bytes())[..9].to_vec()), Step::Close],
        "says_goodbye" => vec![raw(0x88, &[&1011_u16.to_be_bytes()[..], b"no\nmore"].concat())],
        "binary" => vec![raw(0x82, answer.as_bytes())],
        "not_utf8" => vec![raw(0x81, b"{\"\xff\":1}")],
        "masked" => vec![Step::Write(vec![0x81, 0x82, 0, 0, 0, 0, b'{', b'}'])],
        "endless_fragments" => {
            let part = |first: u8| Step::Write(said(first, &vec![b' '; 1 << 20]));
            let rest = only1mcp::limits::ANSWER_BYTES_MAX / (1 << 20);
            [part(1)].into_iter().chain((0..rest).map(|_| part(0))).collect()
        }
        "gigabyte" => vec![Step::Write([&[0x81, 127][..], &(1_u64 << 30).to_be_bytes()].concat())],
        "compressed" => vec![raw(0xc1, answer.as_bytes())],
        "floods_pings" => vec![Step::Write(said(0x89, b"").repeat(only1mcp::limits::PINGS_MAX as usize + 1))],
        name => unreachable!("{name}"),
    }
}

fn text(text: &str) -> Outcome {
    Outcome::Text(text.to_owned())
}

/// Asserts that `odd` comes to an outcome, and that both backends serve afterwards.
async fn check(gateway: &Running, tool: &str, expected: &Outcome) {
    assert_eq!(&call_odd(gateway, tool, expected).await, expected, "{tool}");
    assert_serves(gateway.address(), "good").await;
    assert_serves(gateway.address(), "odd").await;
}

#[tokio::test]
async fn an_odd_answer_costs_only_the_call_it_was_for() {
    let timeout = Outcome::failed("upstream_timeout", true);
    let protocol = Outcome::failed("upstream_protocol_error", true);
    for odd in [modern(), legacy()] {
        let good = modern();
        let gateway = gateway(&odd.url(), &good.url());
        for (tool, expected) in [
            ("never", &timeout),
            ("wrong_id", &timeout),
            // Ids are compared with their type.
            ("text_id", &timeout),
            ("no_message", &timeout),
            ("no_json", &timeout),
            ("fraction_code", &protocol),
            ("tool_error", &Outcome::Error(-32602)),
            ("two_answers", &text("first")),
            ("strays", &text("after strays")),
            ("in_parts", &text("in parts")),
            ("asks", &text("asked")),
        ] {
            check(&gateway, tool, expected).await;
        }
        let both = [odd.connections(), good.connections()];
        assert_eq!(both, [2, 2], "one connection a worker did all of this");
        assert!(odd.codes().is_empty());
        drop(gateway);
        assert_eq!(odd.codes(), [1000, 1000]);
    }
}

#[tokio::test]
async fn a_backend_that_breaks_off_or_breaks_the_rules_loses_its_calls_and_is_reached_again() {
    let lost = Outcome::failed("outcome_unknown", true);
    let protocol = Outcome::failed("upstream_protocol_error", true);
    for (tool, expected, code) in [
        ("breaks_off", &lost, None),
        ("breaks_off_within", &lost, None),
        // It gets its own code back.
        ("says_goodbye", &lost, Some(1011)),
        ("binary", &protocol, Some(1003)),
        ("not_utf8", &protocol, Some(1007)),
        ("gigabyte", &protocol, Some(1009)),
        ("endless_fragments", &protocol, Some(1009)),
        ("masked", &protocol, Some(1002)),
        ("compressed", &protocol, Some(1002)),
        ("floods_pings", &protocol, Some(1008)),
    ] {
        let (odd, good) = (modern(), modern());
        let gateway = gateway(&odd.url(), &good.url());
        assert_serves(gateway.address(), "odd").await;
        check(&gateway, tool, expected).await;
        eventually("a new connection", || odd.connections() == 3).await;
        if let Some(code) = code {
            eventually("its goodbye", || odd.codes() == [code]).await;
        }
        assert_eq!(good.connections(), 2, "{tool}");
    }
}

#[tokio::test]
async fn a_call_is_told_to_have_been_sent_only_if_it_was() {
    let (breaks_off, held) = mpsc::channel(1);
    let held = Arc::new(Mutex::new(held));
    let good = SocketServer::start(greeted(move |request| match request.name() {
        "reads_no_more" => vec![Step::Follow(Arc::clone(&held)), Step::Close],
        _ => play(request),
    }));
    // One worker, so that there is one connection.
    let builder = Gateway::<Sockets>::builder().workers(1).admin_address("127.0.0.1:0");
    let builder = builder.reference("ODD_URL", good.url()).reference("GOOD_URL", good.url());
    let gateway = builder.start().expect("the gateway starts");
    assert_serves(gateway.address(), "good").await;
    let mut calls = tokio::task::JoinSet::new();
    let (address, long) = (gateway.address(), "x".repeat(1 << 20));
    calls.spawn(async move { call(address, "good__reads_no_more", "x").await });
    eventually("the call at the server", || good.heard("tools/call").len() > 1).await;
    // More than all buffers on the way hold.
    for _ in 0..24 {
        let long = long.clone();
        calls.spawn(async move { call(address, "good__echo", &long).await });
    }
    let under_way = r#"only1mcp_upstream_calls_under_way{backend="good",endpoint="env:GOOD_URL"}"#;
    within("all calls are under way", async { while sample(&gateway, under_way).await != Some(25.0) {} }).await;
    drop(breaks_off);
    let (mut unknown, mut unsent) = (0, 0);
    while let Some(outcome) = calls.join_next().await {
        match outcome.expect("a call") {
            Outcome::Failed(kind, true) if kind == "outcome_unknown" => unknown += 1,
            Outcome::Failed(kind, false) if kind == "upstream_unavailable" => unsent += 1,
            other => unreachable!("{other:?}"),
        }
    }
    assert!(unknown > 0 && unsent > 0, "{unknown} unknown, {unsent} unsent");
    assert_serves(gateway.address(), "good").await;
}

#[tokio::test]
async fn a_backend_that_is_no_websocket_is_unavailable_and_one_that_comes_up_is_found() {
    let good = modern();
    let unavailable = Outcome::failed("upstream_unavailable", false);
    let upgrade = "upgrade: websocket\r\nconnection: Upgrade\r\n";
    for (status, fields) in [
        (404, String::new()),
        (200, String::new()),
        (101, String::new()),
        (101, format!("{upgrade}sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")),
    ] {
        let fields = format!("{fields}content-length: 0\r\n");
        let odd = server::Server::start(move |_| vec![server::head(status, &fields)]);
        let url = odd.url().replace("http://", "ws://");
        let gateway = gateway(&url, &good.url());
        assert_eq!(call(gateway.address(), "odd__echo", "x").await, unavailable, "{status}");
        assert_serves(gateway.address(), "good").await;
    }
    let odd = modern();
    let (address, url) = (odd.address(), odd.url());
    drop(odd);
    let gateway = gateway(&url, &good.url());
    assert_eq!(call(gateway.address(), "odd__echo", "x").await, unavailable);
    let _odd = SocketServer::start_at(address, None, greeted(play));
    assert_serves(gateway.address(), "odd").await;
}

#[tokio::test]
async fn each_era_is_spoken_to_in_its_own_words() {
    let (odd, good) = (legacy(), modern());
    let gateway = gateway(&odd.url(), &good.url());
    assert_serves(gateway.address(), "odd").await;
    assert_serves(gateway.address(), "good").await;
    let counts = |server: &SocketServer| {
        ["server/discover", "initialize", "notifications/initialized"].map(|method| server.heard(method).len())
    };
    eventually("both workers", || (counts(&odd), counts(&good)) == ([2, 2, 2], [2, 0, 0])).await;
    let meta = |server: &SocketServer| server.heard("tools/call")[0]["params"]["_meta"].clone();
    assert_eq!(meta(&odd)["io.modelcontextprotocol/protocolVersion"], Value::Null);
    assert_eq!(meta(&good)["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
}

#[tokio::test]
async fn a_call_that_was_given_up_is_cancelled_at_the_backend_and_requests_of_it_are_answered() {
    let (odd, good) = (modern(), modern());
    let gateway = gateway(&odd.url(), &good.url());
    assert_serves(gateway.address(), "odd").await;
    assert_eq!(call(gateway.address(), "odd__never", "x").await, Outcome::failed("upstream_timeout", true));
    eventually("a cancellation", || !odd.heard("notifications/cancelled").is_empty()).await;
    let calls = odd.heard("tools/call");
    let never = calls.iter().find(|call| call["params"]["name"] == "never").expect("the call");
    assert_eq!(odd.heard("notifications/cancelled")[0]["params"]["requestId"], never["id"]);
    assert_eq!(call(gateway.address(), "odd__asks", "x").await, text("asked"));
    let answer = |id: u8| odd.answers().into_iter().find(|answer| answer["id"] == id);
    eventually("both answers", || answer(1).is_some() && answer(2).is_some()).await;
    assert_eq!(answer(1).expect("ping")["result"], json!({}));
    assert_eq!(answer(2).expect("an answer")["error"]["code"], -32601);
}

#[tokio::test]
async fn progress_reaches_the_call_it_belongs_to() {
    let (odd, good) = (modern(), modern());
    let gateway = gateway(&odd.url(), &good.url());
    assert_serves(gateway.address(), "odd").await;
    let mut clients = tokio::task::JoinSet::new();
    for token in 0..16 {
        let address = gateway.address();
        clients.spawn(async move {
            let request =
                Asked::call("odd__progress", "{}").edit(META, &format!(r#"{META},"progressToken":"own {token}""#));
            let mut client = Client::connect(address).await;
            client.write(&request.bytes()).await;
            assert_eq!(client.head().await.status, 200);
            let progress = client.message().await.expect("progress");
            assert_eq!(progress["params"]["progressToken"], format!("own {token}"));
            assert_eq!(client.message().await.expect("the answer")["result"]["content"][0]["text"], "done");
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("every call got its own progress");
    }
}

#[tokio::test]
async fn calls_share_a_connection_and_never_get_each_others_answers() {
    let (odd, good) = (modern(), modern());
    let gateway = gateway(&odd.url(), &good.url());
    assert_serves(gateway.address(), "good").await;
    let began = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..64 {
        let address = gateway.address();
        clients.spawn(async move {
            for turn in 0..10 {
                let own = format!("{client}-{turn}");
                assert_eq!(call(address, "good__slow", &own).await, text(&own));
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("every call got its own answer");
    }
    // One after the other they would take more than two minutes.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(good.connections(), 2);
}
