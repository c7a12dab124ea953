//! Backends that speak HTTP/2: one connection for all calls of a worker, and what is proven of a call when a stream or the
//! connection breaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use h2::server::Builder;
use only1mcp::{Gateway, Running, limits};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::client::{Client, Event, META, Request as Asked};
use crate::support::http2::{DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, RST_STREAM};
use crate::support::http2_server::{Http2Server, Turn, Turns, discovered, head, json, modern};
use crate::support::scripted::{Outcome, assert_serves, call, eventually, unhurried};
use crate::support::server::{Request, event, result_body, text_body};

only1mcp::topology!(pub(crate) Http2Servers = "tests/gateway/topologies/http2_servers.yaml");

const KEY: &str = "key-4f9aXk2mPq8s";
const TOKEN: &str = "token-7Zk1mPq8sVt3";

/// A gateway of one worker in front of these, so that there is one connection to each.
fn gateway(odd: &str, good: &str, old: &str) -> Running {
    let builder = Gateway::<Http2Servers>::builder().workers(1).reference("KEY", KEY).reference("TOKEN", TOKEN);
    let builder = builder.reference("ODD_URL", odd).reference("GOOD_URL", good).reference("OLD_URL", old);
    builder.start().expect("the gateway starts")
}

/// The same in front of one, and of nobody.
pub(crate) fn in_front_of(odd: &str) -> Running {
    gateway(odd, "http://127.0.0.1:9/mcp", "http://127.0.0.1:9/sse")
}

pub(crate) fn echo(request: &Request) -> Turns {
    json(200, &text_body(&request.id(), request.argument()))
}

/// Calls a tool so many times at once, each with a text of its own, and expects it back.
async fn at_once(gateway: SocketAddr, tool: &'static str, count: usize) {
    let mut calls = JoinSet::new();
    for number in 0..count {
        calls.spawn(async move {
            let own = format!("number {number}");
            let outcome = call(gateway, tool, &own).await;
            assert_eq!(outcome, Outcome::Text(own));
        });
    }
    calls.join_all().await;
}

/// A gate that nobody passes yet.
fn closed() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

/// Calls aside.
fn begin(gateway: SocketAddr, tool: &str, text: &str) -> tokio::task::JoinHandle<Outcome> {
    let (tool, text) = (tool.to_owned(), text.to_owned());
    tokio::spawn(async move { call(gateway, &tool, &text).await })
}

#[tokio::test]
async fn many_calls_share_one_connection_and_never_cross() {
    let gate = closed();
    let held = Arc::clone(&gate);
    let odd = Http2Server::start(modern(move |request| {
        let mut turns = echo(request);
        turns.insert(0, Turn::Gate(Arc::clone(&held)));
        turns
    }));
    let gateway = in_front_of(&odd.url());
    let calls = tokio::spawn(at_once(gateway.address(), "odd__echo", 64));
    eventually("all of them are there", || odd.seen.heard("tools/call").len() == 64).await;
    assert_eq!(odd.seen.at_once(), 64);
    gate.add_permits(64);
    calls.await.expect("each has its own answer");
    assert_eq!(odd.seen.connections(), 1);
}

#[tokio::test]
async fn a_request_is_what_it_would_be_in_http_1() {
    let odd = Http2Server::start(modern(echo));
    let gateway = in_front_of(&odd.url());
    assert_serves(gateway.address(), "odd").await;
    let (_, request) = &odd.seen.heard("tools/call")[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/mcp"));
    let authority = odd.address().to_string();
    for (name, value) in [
        (":scheme", "http"),
        (":authority", authority.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("content-length", &request.text.len().to_string()),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
        ("x-api-key", KEY),
        ("authorization", &format!("Bearer {TOKEN}")),
    ] {
        assert_eq!(request.field(name), Some(value), "{name}");
    }
    // RFC 9113, section 8.2.2; `host` would be said twice.
    for name in ["host", "connection", "transfer-encoding"] {
        assert_eq!(request.field(name), None, "{name}");
    }
}

#[tokio::test]
async fn no_more_streams_are_open_than_the_backend_allows() {
    let mut settings = Builder::new();
    settings.max_concurrent_streams(3);
    let script = modern(|request| [vec![Turn::Pause(Duration::from_millis(5))], echo(request)].concat());
    let odd = Http2Server::start_at(([127, 0, 0, 1], 0).into(), None, settings, script);
    let gateway = in_front_of(&odd.url());
    at_once(gateway.address(), "odd__echo", 40).await;
    assert_eq!((odd.seen.connections(), odd.seen.at_once()), (1, 3));
}

#[tokio::test]
async fn a_call_that_waits_for_a_stream_until_its_time_is_over_was_not_sent() {
    let mut settings = Builder::new();
    settings.max_concurrent_streams(1);
    let gate = closed();
    let held = Arc::clone(&gate);
    let script = modern(move |request| match request.name() {
        "held" => [vec![Turn::Gate(Arc::clone(&held))], echo(request)].concat(),
        _ => echo(request),
    });
    let odd = Http2Server::start_at(([127, 0, 0, 1], 0).into(), None, settings, script);
    let gateway = in_front_of(&odd.url());
    unhurried(&gateway);
    let (address, own) = (gateway.address(), Outcome::Text("x".to_owned()));
    let first = tokio::spawn(async move { call(address, "odd__held", "x").await });
    eventually("the first", || odd.seen.heard("tools/call").len() == 1).await;
    // The one that waits has less time.
    gateway.overlay().apply("backends: { odd: { timeout: 1s } }").expect("a sound overlay");
    let second = call(gateway.address(), "odd__echo", "y").await;
    assert!(matches!(&second, Outcome::Failed(_, false)), "{second:?}");
    gate.add_permits(1);
    assert_eq!(first.await.expect("a call"), own);
    unhurried(&gateway);
    assert_serves(gateway.address(), "odd").await;
    let texts: Vec<_> = odd.seen.heard("tools/call").iter().map(|(_, call)| call.argument().to_owned()).collect();
    assert!(!texts.contains(&"y".to_owned()), "{texts:?}");
}

#[tokio::test]
async fn a_backend_that_goes_away_answers_what_it_has_and_is_asked_on_another_connection() {
    let gate = closed();
    let held = Arc::clone(&gate);
    let odd = Http2Server::start(modern(move |request| match request.name() {
        "held" => [vec![Turn::GoAway, Turn::Gate(Arc::clone(&held))], echo(request)].concat(),
        _ => echo(request),
    }));
    let gateway = in_front_of(&odd.url());
    let first = begin(gateway.address(), "odd__held", "first");
    eventually("the first", || odd.seen.heard("tools/call").len() == 1).await;
    eventually_on_another(&odd, gateway.address()).await;
    gate.add_permits(1);
    assert_eq!(first.await.expect("a call"), Outcome::Text("first".to_owned()));
    assert_eq!(odd.seen.connections(), 2);
}

/// Calls until one goes over another connection than the first; none of them fails.
async fn eventually_on_another(odd: &Http2Server, gateway: SocketAddr) {
    for number in 0.. {
        let own = format!("call {number}");
        assert_eq!(call(gateway, "odd__echo", &own).await, Outcome::Text(own));
        if odd.seen.heard("tools/call").last().is_some_and(|(connection, _)| *connection == 2) {
            return;
        }
        assert!(number < 1000, "nothing went over another connection");
    }
}

/// Whole answers as frames.
fn answered(stream: u32, body: &str) -> Vec<Frame> {
    let fields = [(":status", "200"), ("content-type", "application/json")];
    vec![Frame::headers(stream, 0, &fields), Frame::new(DATA, END_STREAM, stream, body)]
}

/// GOAWAY behind this stream.
fn goaway(last: u32) -> Frame {
    Frame::new(GOAWAY, 0, 0, [last.to_be_bytes(), 0_u32.to_be_bytes()].concat())
}

fn reset(stream: u32, reason: Reason) -> Frame {
    Frame::new(RST_STREAM, 0, stream, u32::from(reason).to_be_bytes())
}

/// A server of frames that greets, and leaves calls to `calls`.
fn raw(calls: impl Fn(usize, u32, &Request) -> Vec<Frame> + Send + Sync + 'static) -> Http2Server {
    Http2Server::raw(move |connection, stream, request| match request.rpc() {
        "server/discover" => answered(stream, &discovered(request)),
        _ => calls(connection, stream, request),
    })
}

fn raw_echo(stream: u32, request: &Request) -> Vec<Frame> {
    answered(stream, &text_body(&request.id(), request.argument()))
}

#[tokio::test]
async fn what_a_backend_did_not_look_at_is_sent_once_more_on_another_connection() {
    // A stream above the last one of GOAWAY, and one that is refused.
    for refusal in [|stream: u32| goaway(stream - 2), |stream: u32| reset(stream, Reason::REFUSED_STREAM)] {
        let odd = raw(move |connection, stream, request| match connection {
            1 => vec![refusal(stream)],
            _ => raw_echo(stream, request),
        });
        let gateway = in_front_of(&odd.url());
        assert_eq!(call(gateway.address(), "odd__echo", "x").await, Outcome::Text("x".to_owned()));
        let connections: Vec<_> = odd.seen.heard("tools/call").iter().map(|(connection, _)| *connection).collect();
        assert_eq!(connections, [1, 2]);
        assert_eq!(call(gateway.address(), "odd__echo", "y").await, Outcome::Text("y".to_owned()));
        assert_eq!(odd.seen.connections(), 2);
    }
}

#[tokio::test]
async fn what_is_refused_twice_was_not_done_and_is_not_sent_a_third_time() {
    let odd = raw(|_, stream, _| vec![reset(stream, Reason::REFUSED_STREAM)]);
    let gateway = in_front_of(&odd.url());
    let outcome = call(gateway.address(), "odd__echo", "x").await;
    assert_eq!(outcome, Outcome::failed("upstream_unavailable", false));
    assert_eq!(odd.seen.heard("tools/call").len(), 2);
}

#[tokio::test]
async fn a_stream_that_breaks_costs_its_own_call_and_no_other() {
    let gate = closed();
    let held = Arc::clone(&gate);
    let odd = Http2Server::start(modern(move |request| match request.name() {
        "held" => [vec![Turn::Gate(Arc::clone(&held))], echo(request)].concat(),
        "before" => vec![Turn::Reset(Reason::INTERNAL_ERROR)],
        "within" => vec![
            head(200, "application/json"),
            Turn::Data(b"{\"jsonrpc\"".to_vec()),
            Turn::Pause(Duration::from_millis(20)),
            Turn::Reset(Reason::INTERNAL_ERROR),
        ],
        "cancelled" => vec![head(200, "text/event-stream"), Turn::Reset(Reason::CANCEL)],
        _ => echo(request),
    }));
    let gateway = in_front_of(&odd.url());
    let other = begin(gateway.address(), "odd__held", "other");
    eventually("the other", || odd.seen.heard("tools/call").len() == 1).await;
    for tool in ["odd__before", "odd__within", "odd__cancelled"] {
        assert_eq!(call(gateway.address(), tool, "x").await, Outcome::failed("outcome_unknown", true), "{tool}");
    }
    gate.add_permits(1);
    assert_eq!(other.await.expect("a call"), Outcome::Text("other".to_owned()));
    assert_eq!((odd.seen.connections(), odd.seen.heard("tools/call").len()), (1, 4));
}

#[tokio::test]
async fn a_connection_that_is_lost_leaves_its_calls_unknown_and_is_made_again() {
    let odd = Http2Server::start(modern(move |request| match request.name() {
        "lost" => vec![Turn::Drop],
        _ => echo(request),
    }));
    let gateway = in_front_of(&odd.url());
    assert_serves(gateway.address(), "odd").await;
    assert_eq!(call(gateway.address(), "odd__lost", "x").await, Outcome::failed("outcome_unknown", true));
    assert_eq!(call(gateway.address(), "odd__echo", "y").await, Outcome::Text("y".to_owned()));
    assert_eq!((odd.seen.connections(), odd.seen.heard("tools/call").len()), (2, 3));
}

#[tokio::test]
async fn answers_are_held_to_the_rules_of_http_1() {
    let odd = Http2Server::start(modern(|request| {
        let whole = text_body(&request.id(), "ok");
        let fields = |fields: &[(&'static str, &str)]| {
            let fields = [&[("content-type", "application/json")], fields].concat();
            let head = Turn::Head(200, fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect());
            vec![head, Turn::Data(whole.clone().into()), Turn::End]
        };
        match request.name() {
            "length" => fields(&[("content-length", &whole.len().to_string())]),
            "parameter" => fields(&[("content-type", "application/json; charset=utf-8")]),
            "coded" => fields(&[("content-encoding", "gzip")]),
            "long_head" => fields(&[("x-long", &"x".repeat(limits::HEAD_BYTES_MAX))]),
            "unauthorized" => json(401, ""),
            "broken" => json(500, ""),
            "html" => vec![head(200, "text/html"), Turn::Data(b"<p>".to_vec()), Turn::End],
            "empty" => vec![head(200, "application/json"), Turn::End],
            "other_id" => json(200, &text_body("1000000", "ok")),
            "too_long" => {
                let length = (limits::ANSWER_BYTES_MAX + 1).to_string();
                vec![Turn::Head(200, vec![("content-type", "application/json".to_owned()), ("content-length", length)])]
            }
            "too_much" => json(200, &"x".repeat(limits::ANSWER_BYTES_MAX + 1)),
            "no_end" => vec![head(200, "text/event-stream"), Turn::End],
            _ => echo(request),
        }
    }));
    let gateway = in_front_of(&odd.url());
    let (protocol, too_large) = ("upstream_protocol_error", "upstream_response_too_large");
    for (tool, expected) in [
        ("length", Outcome::Text("ok".to_owned())),
        ("coded", Outcome::failed(protocol, true)),
        ("long_head", Outcome::failed(protocol, true)),
        ("unauthorized", Outcome::failed("upstream_auth", true)),
        ("broken", Outcome::failed(protocol, true)),
        ("html", Outcome::failed(protocol, true)),
        ("empty", Outcome::failed(protocol, true)),
        ("other_id", Outcome::failed(protocol, true)),
        ("too_long", Outcome::failed(too_large, true)),
        ("too_much", Outcome::failed(too_large, true)),
        ("no_end", Outcome::failed("outcome_unknown", true)),
    ] {
        assert_eq!(call(gateway.address(), &format!("odd__{tool}"), "x").await, expected, "{tool}");
        assert_serves(gateway.address(), "odd").await;
    }
    assert_eq!(odd.seen.connections(), 1);
}

#[tokio::test]
async fn frames_that_break_a_rule_are_protocol_errors() {
    let odd = raw(|_, stream, request| {
        let head = |fields: &[(&str, &str)]| Frame::headers(stream, 0, fields);
        let ok = [(":status", "200"), ("content-type", "application/json")];
        match request.name() {
            "interim" => {
                let interim = (0..20).map(|_| head(&[(":status", "103"), ("link", "</a>")]));
                interim.chain(raw_echo(stream, request)).collect()
            }
            "shorter" => {
                vec![head(&[&ok[..], &[("content-length", "9")]].concat()), Frame::new(DATA, END_STREAM, stream, "{}")]
            }
            "no_status" => vec![head(&[("content-type", "application/json")])],
            "of_http_1" => vec![head(&[&ok[..], &[("connection", "close")]].concat())],
            "no_table" => vec![Frame::new(HEADERS, END_HEADERS, stream, [0xff, 0xff, 0xff, 0x7f])],
            "not_at_all" => vec![Frame::new(DATA, 0, 0, "on no stream")],
            _ => raw_echo(stream, request),
        }
    });
    let gateway = in_front_of(&odd.url());
    for tool in ["interim", "shorter", "no_status", "of_http_1", "no_table", "not_at_all"] {
        let outcome = call(gateway.address(), &format!("odd__{tool}"), "x").await;
        assert_eq!(outcome, Outcome::failed("upstream_protocol_error", true), "{tool}");
        assert_serves(gateway.address(), "odd").await;
    }
}

#[tokio::test]
async fn a_long_request_is_sent_as_the_backend_takes_it() {
    let mut settings = Builder::new();
    settings.initial_window_size(1000);
    let script = modern(|request| match request.name() {
        "echo" => echo(request),
        _ => json(200, &text_body(&request.id(), &request.argument().len().to_string())),
    });
    let odd = Http2Server::start_at(([127, 0, 0, 1], 0).into(), None, settings, script);
    let gateway = in_front_of(&odd.url());
    let long = "x".repeat(3 << 20);
    let outcome = call(gateway.address(), "odd__length", &long).await;
    assert_eq!(outcome, Outcome::Text(long.len().to_string()));
}

#[tokio::test]
async fn who_answers_before_it_has_taken_the_request_is_heard() {
    // It opens no window: 65 535 bytes are all that it will ever take.
    let early = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = early.local_addr().expect("bound");
    let server = tokio::spawn(async move {
        let (stream, _) = early.accept().await.expect("a client");
        let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
        while let Some(Ok((mut request, mut respond))) = connection.accept().await {
            tokio::spawn(async move {
                let first = request.body_mut().data().await.expect("a body").expect("it stands");
                let message: serde_json::Value = serde_json::from_slice(&first).unwrap_or_default();
                let (status, body) = match message["method"].as_str() {
                    Some("server/discover") => {
                        let result = json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} } });
                        (200, result_body(&message["id"].to_string(), &result))
                    }
                    _ => (403, String::new()),
                };
                let head = http::Response::builder().status(status).header("content-type", "application/json");
                let mut sender = respond.send_response(head.body(()).expect("a head"), false).expect("it stands");
                sender.send_data(body.into(), true).expect("it stands");
                // Held: that nobody reads is not that nobody is there.
                tokio::time::sleep(Duration::from_secs(4)).await;
                drop(request);
            });
        }
    });
    let gateway = in_front_of(&format!("http://{address}/mcp"));
    let outcome = call(gateway.address(), "odd__echo", &"x".repeat(1 << 20)).await;
    assert_eq!(outcome, Outcome::failed("upstream_auth", true));
    server.abort();
}

fn progress(token: &str, message: &str) -> String {
    let params = json!({ "progressToken": token.parse::<u64>().expect("a number"), "progress": 1, "message": message });
    event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }).to_string())
}

#[tokio::test]
async fn a_stream_of_events_passes_as_it_comes() {
    let gate = closed();
    let held = Arc::clone(&gate);
    let odd = Http2Server::start(modern(move |request| {
        let token = request.id();
        vec![
            head(200, "text/event-stream"),
            Turn::Data(progress(&token, "begun").into()),
            Turn::Gate(Arc::clone(&held)),
            Turn::Data(event(&text_body(&token, "done")).into()),
            Turn::End,
        ]
    }));
    let gateway = in_front_of(&odd.url());
    let request = Asked::call("odd__echo", "{}").edit(META, &format!(r#"{META},"progressToken":"mine""#));
    let mut client = Client::connect(gateway.address()).await;
    client.write(&request.bytes()).await;
    assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
    let first = client.message().await.expect("progress");
    assert_eq!((&first["params"]["progressToken"], &first["params"]["message"]), (&json!("mine"), &json!("begun")));
    gate.add_permits(1);
    let last = client.message().await.expect("the answer");
    assert_eq!(last["result"]["content"][0]["text"], "done");
    eventually("the stream is over", || odd.seen.open() == 0).await;
}

/// More than all windows together, many times.
#[tokio::test]
async fn a_client_that_does_not_read_holds_up_its_own_stream_alone() {
    const SLOW: usize = 8;
    const EVENTS: usize = 128;
    let sent = Arc::new(AtomicUsize::new(0));
    let odd = Http2Server::start(modern(|request| match request.name() {
        "flood" => {
            let event = progress(&request.id(), &"x".repeat(64 << 10));
            let flood = std::iter::repeat_n(Turn::Data(event.into()), EVENTS);
            let end = [Turn::Data(event_of(request).into()), Turn::End];
            [head(200, "text/event-stream")].into_iter().chain(flood).chain(end).collect()
        }
        "long" => {
            let body = text_body(&request.id(), &"y".repeat(8 << 20));
            let fields =
                vec![("content-type", "application/json".to_owned()), ("content-length", body.len().to_string())];
            vec![Turn::Head(200, fields), Turn::Data(body.into()), Turn::End]
        }
        _ => echo(request),
    }));
    let gateway = in_front_of(&odd.url());
    unhurried(&gateway);
    let mut slow = Vec::new();
    for number in 0..SLOW {
        let tool = if number % 2 == 0 { "odd__flood" } else { "odd__long" };
        let request = Asked::call(tool, "{}").edit(META, &format!(r#"{META},"progressToken":{number}"#));
        let mut client = Client::connect_narrow(gateway.address()).await;
        client.write(&request.bytes()).await;
        slow.push(client);
    }
    eventually("they are under way", || odd.seen.heard("tools/call").len() == SLOW).await;
    // Others are served on the same connection while those are held back.
    for _ in 0..5 {
        at_once(gateway.address(), "odd__echo", 16).await;
    }
    assert_eq!((odd.seen.connections(), odd.seen.open()), (1, SLOW), "they are held back");
    let mut readers = JoinSet::new();
    for (number, mut client) in slow.into_iter().enumerate() {
        let sent = Arc::clone(&sent);
        readers.spawn(async move {
            if number % 2 == 0 {
                client.head().await;
                while let Some(read) = client.event().await {
                    match read {
                        Event::Message(text) if text.contains("progress") => sent.fetch_add(1, Ordering::SeqCst),
                        _ => 0,
                    };
                }
            } else {
                let answer = client.answer().await;
                assert_eq!(answer.json()["result"]["content"][0]["text"].as_str().map(str::len), Some(8 << 20));
            }
        });
    }
    readers.join_all().await;
    assert_eq!(sent.load(Ordering::SeqCst), EVENTS * SLOW / 2, "nothing is lost");
}

fn event_of(request: &Request) -> String {
    event(&text_body(&request.id(), "done"))
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_stream_back() {
    let odd = Http2Server::start(modern(|request| match request.name() {
        "long" => {
            let event = progress(&request.id(), &"x".repeat(1 << 10));
            let steps = std::iter::repeat_n([Turn::Data(event.into()), Turn::Pause(Duration::from_millis(5))], 2000);
            [head(200, "text/event-stream")].into_iter().chain(steps.flatten()).collect()
        }
        _ => echo(request),
    }));
    let gateway = in_front_of(&odd.url());
    let request = Asked::call("odd__long", "{}").edit(META, &format!(r#"{META},"progressToken":1"#));
    let mut client = Client::connect(gateway.address()).await;
    client.write(&request.bytes()).await;
    client.head().await;
    client.message().await.expect("progress");
    drop(client);
    eventually("the stream is gone", || odd.seen.open() == 0).await;
    assert_serves(gateway.address(), "odd").await;
    assert_eq!(odd.seen.connections(), 1);
}

/// A legacy server over HTTP/2, with a session and its stream.
fn legacy(request: &Request, gate: &Arc<Semaphore>) -> Turns {
    match (request.method.as_str(), request.rpc()) {
        ("DELETE", _) => vec![Turn::Head(204, Vec::new()), Turn::End],
        ("GET", _) => {
            let message = r#"{"jsonrpc":"2.0","id":"ping-1","method":"ping"}"#;
            vec![head(200, "text/event-stream"), Turn::Data(event(message).into()), Turn::Gate(Arc::clone(gate))]
        }
        (_, "server/discover") => {
            json(400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no session"}}"#)
        }
        (_, "initialize") => {
            let result = json!({
                "protocolVersion": "2025-11-25",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "scripted", "version": "1" },
            });
            let fields = [("content-type", "application/json"), ("mcp-session-id", "session-1")];
            let fields = fields.map(|(name, value)| (name, value.to_owned())).to_vec();
            vec![Turn::Head(200, fields), Turn::Data(result_body(&request.id(), &result).into()), Turn::End]
        }
        (_, "tools/call") => echo(request),
        _ => vec![Turn::Head(202, Vec::new()), Turn::End],
    }
}

#[tokio::test]
async fn a_session_and_its_stream_are_on_the_same_connection() {
    let gate = closed();
    let odd = Http2Server::start(move |request| legacy(request, &gate));
    let gateway = in_front_of(&odd.url());
    assert_serves(gateway.address(), "odd").await;
    let sessions: Vec<_> = odd.seen.heard("tools/call").iter().map(|(_, call)| call.fields.clone()).collect();
    assert!(sessions[0].contains(&("mcp-session-id".to_owned(), "session-1".to_owned())), "{sessions:?}");
    // What the server asked on the stream is answered.
    let answered = || odd.seen.heard("").iter().any(|(_, said)| said.body["id"] == "ping-1");
    eventually("its ping is answered", answered).await;
    assert_eq!(odd.seen.connections(), 1);
}

#[tokio::test]
async fn the_old_transport_goes_over_it_as_well() {
    let (say, said) = tokio::sync::mpsc::channel::<Turn>(64);
    let said = Arc::new(tokio::sync::Mutex::new(said));
    let old = Http2Server::start(move |request| match (request.method.as_str(), request.rpc()) {
        ("GET", _) => {
            let endpoint = "event: endpoint\ndata: /messages?sessionId=1\n\n";
            vec![head(200, "text/event-stream"), Turn::Data(endpoint.into()), Turn::Follow(Arc::clone(&said))]
        }
        (_, method) => {
            assert_eq!(request.target, "/messages?sessionId=1");
            let answer = match method {
                "initialize" => {
                    let result = json!({
                        "protocolVersion": "2024-11-05",
                        "capabilities": { "tools": {} },
                        "serverInfo": { "name": "old", "version": "1" },
                    });
                    Some(result_body(&request.id(), &result))
                }
                "tools/call" => Some(text_body(&request.id(), request.argument())),
                _ => None,
            };
            if let Some(answer) = answer {
                say.try_send(Turn::Data(event(&answer).into())).expect("the stream is followed");
            }
            vec![Turn::Head(202, Vec::new()), Turn::End]
        }
    });
    let gateway = gateway("http://127.0.0.1:9/mcp", "http://127.0.0.1:9/mcp", &old.url());
    for number in 0..20 {
        let own = format!("call {number}");
        assert_eq!(call(gateway.address(), "old__echo", &own).await, Outcome::Text(own));
    }
    assert_eq!(old.seen.connections(), 1);
}

#[tokio::test]
async fn a_server_that_does_not_speak_it_is_told_apart_before_any_call() {
    // One answers in HTTP/1.1, one ends the connection.
    let ends = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let ending = format!("http://{}/mcp", ends.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = ends.accept().await {
            drop(stream);
        }
    });
    let one = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let of_http_1 = format!("http://{}/mcp", one.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = one.accept().await {
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
                .await
                .expect("it stands");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    for (url, kind) in [(of_http_1, "upstream_protocol_error"), (ending, "upstream_unavailable")] {
        let gateway = in_front_of(&url);
        let answer = Client::ask(gateway.address(), &Asked::call("odd__echo", r#"{"text":"x"}"#)).await;
        let error = &answer.message()["error"];
        assert_eq!((&error["data"]["kind"], &error["data"]["sent"]), (&json!(kind), &json!(false)), "{error}");
        if kind == "upstream_protocol_error" {
            let said = error["message"].as_str().expect("a message");
            assert!(said.contains("does not speak HTTP/2"), "{said}");
        }
    }
}

#[cfg(feature = "tls")]
pub(crate) mod tls {
    //! Which version of HTTP a connection inside TLS has is the server's choice.

    use std::fs;
    use std::process::Command;

    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::constant_memory::Process;
    use crate::support::authority::Authority;
    use crate::support::ledger::Directory;
    use crate::support::server::{self, Server};

    /// What makes a server `localhost` that speaks these protocols.
    pub(crate) fn acceptor(authority: &Authority, protocols: &[&[u8]]) -> TlsAcceptor {
        let (own, own_key) = authority.issue("localhost");
        let own = CertificateDer::from_pem_slice(own.as_bytes()).expect("a certificate");
        let own_key = PrivateKeyDer::from_pem_slice(own_key.as_bytes()).expect("a key");
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![own], own_key)
            .expect("a certificate and its key");
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn http2(authority: &Authority) -> Http2Server {
        let tls = Some(acceptor(authority, &[b"h2", b"http/1.1"]));
        let script = modern(|request| match request.rpc() {
            "tools/list" => {
                let tools = json!({ "resultType": "complete", "tools": [{ "name": "a", "inputSchema": { "type": "object" } }] });
                json(200, &result_body(&request.id(), &tools))
            }
            _ => echo(request),
        });
        Http2Server::start_at(([127, 0, 0, 1], 0).into(), tls, Builder::new(), script)
    }

    fn http1(authority: &Authority, protocols: &[&[u8]], count: &Arc<AtomicUsize>) -> Server {
        let counted = Arc::clone(count);
        let script = server::modern(move |request: &Request| {
            counted.fetch_add(1, Ordering::SeqCst);
            vec![server::json_answer(200, &text_body(&request.id(), request.argument()))]
        });
        Server::start_at(([127, 0, 0, 1], 0).into(), Some(acceptor(authority, protocols)), script)
    }

    /// A gateway of one worker, as a process that trusts this authority as the system's.
    fn gateway(authority: &Authority, directory: &Directory, odd: &str, good: &str) -> Process {
        let file = directory.path("ca.pem");
        fs::write(&file, authority.pem()).expect("a directory of this test");
        let file = file.to_str().expect("paths of tests are text").to_owned();
        Process::start("servers", &[("SSL_CERT_FILE", &file), ("ODD_URL", odd), ("GOOD_URL", good)])
    }

    #[tokio::test]
    async fn a_server_that_chooses_http_2_is_spoken_to_so_and_another_one_in_http_1() {
        let (authority, directory) = (Authority::new(), Directory::new());
        let good = http2(&authority);
        for protocols in [&[&b"http/1.1"[..]][..], &[]] {
            let count = Arc::new(AtomicUsize::new(0));
            let odd = http1(&authority, protocols, &count);
            let gateway = gateway(&authority, &directory, &odd.url(), &good.url());
            let before = good.seen.connections();
            // `good` has more time for so many.
            at_once(gateway.address, "good__echo", 64).await;
            assert_eq!(good.seen.connections(), before + 1, "one for all of them");
            assert_eq!(good.seen.heard("tools/call")[0].1.field(":scheme"), Some("https"));
            for number in 0..20 {
                let own = format!("call {number}");
                assert_eq!(call(gateway.address, "odd__echo", &own).await, Outcome::Text(own));
            }
            assert_eq!(count.load(Ordering::SeqCst), 20);
        }
    }

    #[test]
    fn a_version_that_a_topology_insists_on_is_the_one_that_is_spoken() {
        let (authority, directory) = (Authority::new(), Directory::new());
        let (topology, ca) = (directory.path("some.yaml"), directory.path("ca.pem"));
        fs::write(&ca, authority.pem()).expect("a directory of this test");
        let lock = |version: &str, url: &str| {
            let transport = format!("{{ streamable_http: {{ http: {version}, ca: \"file:{}\" }} }}", ca.display());
            let backend = format!("{{ transport: {transport}, endpoints: [{{ url: \"{url}\" }}] }}");
            fs::write(&topology, format!("name: some\nbackends: {{ web: {backend} }}\n")).expect("a file");
            let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
            let output = command.args(["--quiet", "topology", "lock"]).arg(&topology).output().expect("it starts");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let odd = http2(&authority);
        for version in ["auto", "2"] {
            assert_eq!(lock(version, &odd.url()), (Some(0), String::new()), "{version}");
        }
        assert_eq!(odd.seen.connections(), 2);
        // It chooses HTTP/1.1, which this server does not speak.
        let (code, _) = lock("1", &odd.url());
        assert_eq!((code, odd.seen.connections()), (Some(6), 2));
        for protocols in [&[&b"http/1.1"[..]][..], &[]] {
            let count = Arc::new(AtomicUsize::new(0));
            let good = http1(&authority, protocols, &count);
            let (code, stderr) = lock("2", &good.url());
            assert_eq!((code, count.load(Ordering::SeqCst)), (Some(6), 0));
            assert!(stderr.contains("does not speak HTTP/2"), "{stderr}");
        }
    }
}

/// Which outcomes there are, however often a server breaks off and whatever it had begun.
pub(crate) fn breaking_off(request: &Request, ran: impl FnOnce()) -> Turns {
    let id = request.argument();
    let turn = id.rsplit('-').next().and_then(|turn| turn.parse::<usize>().ok()).unwrap_or_default();
    match turn % 100 {
        7 => return vec![Turn::Reset(Reason::REFUSED_STREAM)],
        27 => return vec![Turn::Drop],
        _ => {}
    }
    ran();
    let whole = echo(request);
    match turn % 100 {
        11 => vec![Turn::Reset(Reason::INTERNAL_ERROR)],
        13 => vec![whole[0].clone(), Turn::Data(b"{".to_vec()), Turn::Reset(Reason::CANCEL)],
        17 => [whole, vec![Turn::Drop]].concat(),
        37 => [whole, vec![Turn::GoAway]].concat(),
        pause => [vec![Turn::Pause(Duration::from_millis(pause as u64 % 3))], whole].concat(),
    }
}
