//! Modern servers that require input, and clients of legacy sessions who are asked for it while their call is in flight.

use std::net::SocketAddr;

use only1mcp::{Gateway, Running};
use serde_json::{Value, json};

use crate::legacy::message;
use crate::support::client::{Client, Event, Request};
use crate::support::gateways;
use crate::support::recorder::{DONE, Post, Recorder, Wire};
use crate::support::scripted::eventually;
use crate::support::socket::SocketClient;

only1mcp::topology!(Reticent = "tests/gateway/topologies/reticent.yaml");

const CALL: &str = r#"{"name":"admin__echo","arguments":{"own":1.0},"_meta":{"progressToken":"t"}}"#;
const REQUIRED: &str = concat!(
    r#"{"resultType":"input_required","inputRequests":{"#,
    r#""form":{"method":"elicitation/create","params":{"message":"who?","requestedSchema":{"type":"object","properties":{"n":{"type":"number","default":1.0}}}}},"#,
    r#""roots":{"method":"roots/list"}},"requestState":"st\u0061te"}"#
);

/// A server whose calls require input once, and are answered by then.
fn asking(required: &'static str) -> Recorder {
    Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
        match post.body.contains("inputResponses") || post.body.contains("requestState") {
            true => wire.result(DONE).await,
            false => wire.result(required).await,
        }
    })
}

fn initialize(capabilities: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": { "name": "test", "version": "1" },
    } })
    .to_string()
}

async fn session(address: SocketAddr, capabilities: &Value) -> String {
    let answer = Client::ask(address, &Request::post(initialize(capabilities))).await;
    answer.field("mcp-session-id").expect("a session").to_owned()
}

async fn call(address: SocketAddr, session: &str) -> Client {
    let mut client = Client::connect(address).await;
    client.write(&Request::legacy(session, message("tools/call", CALL)).bytes()).await;
    client
}

/// The next message on a stream, behind the event that primes it.
pub(crate) async fn hear(client: &mut Client) -> Option<Value> {
    match client.event().await? {
        Event::Message(message) => Some(serde_json::from_str(&message).expect("JSON")),
        _primed => client.message().await,
    }
}

/// Posts a response on a connection of its own, and so maybe to another worker.
pub(crate) async fn respond(address: SocketAddr, session: &str, id: &Value, outcome: &str) {
    let response = format!(r#"{{"jsonrpc":"2.0","id":{id},{outcome}}}"#);
    assert_eq!(Client::ask(address, &Request::legacy(session, response)).await.status, 202);
}

#[tokio::test]
async fn a_legacy_client_is_asked_on_the_stream_of_its_call_and_answers_on_any_connection() {
    let mut upstream = asking(REQUIRED);
    let gateway = gateways::recorded(&upstream);
    let own = session(gateway.address(), &json!({ "elicitation": {}, "roots": { "listChanged": true } })).await;
    for _ in 0..6 {
        let mut client = call(gateway.address(), &own).await;
        assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
        let (form, roots) = (hear(&mut client).await.expect("a form"), hear(&mut client).await.expect("roots"));
        assert_eq!([&form["method"], &roots["method"]], ["elicitation/create", "roots/list"]);
        assert!(form["params"]["requestedSchema"]["properties"]["n"]["default"].is_f64());
        assert_ne!(form["id"], roots["id"]);
        let first: Value = serde_json::from_str(&upstream.post().await.body).expect("a message");
        let declared = &first["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        assert_eq!(*declared, json!({ "roots": {}, "elicitation": { "form": {} } }));
        assert_eq!(upstream.calls() % 2, 1, "it waits for the client");
        respond(gateway.address(), &own, &roots["id"], r#""result":{"roots":[]}"#).await;
        respond(gateway.address(), &own, &form["id"], r#""result":{"action":"accept","content":{"n":1.0}}"#).await;
        let answer = hear(&mut client).await.expect("an answer");
        assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(1), &json!("done")), "{answer}");
        assert_eq!(client.event().await, None);
        let again = upstream.post().await;
        let responses = r#""inputResponses":{"form":{"action":"accept","content":{"n":1.0}},"roots":{"roots":[]}}"#;
        assert!(
            again.body.contains(responses) && again.body.contains(r#""requestState":"st\u0061te""#),
            "{}",
            again.body
        );
        assert!(again.body.contains(r#""arguments":{"own":1.0}"#) && again.head.contains("mcp-name: echo"));
        assert_ne!(again.id, first["id"].to_string());
    }
}

/// In front of a server that may ask for roots alone.
fn reticent(upstream: &Recorder) -> Running {
    let builder = Gateway::<Reticent>::builder().workers(1).reference("ADMIN_URL", upstream.url());
    builder.start().expect("the gateway starts")
}

/// A call of a modern client that can be asked anything, and knows more than the gateway does.
fn able() -> Request {
    let declared = r#""io.modelcontextprotocol/clientCapabilities":{"own":{"a":1.0},"elicitation":{},"roots":{"listChanged":true}}"#;
    Request::call("admin__echo", "{}").edit(r#""io.modelcontextprotocol/clientCapabilities":{}"#, declared)
}

#[tokio::test]
async fn a_server_is_not_told_of_what_it_may_not_ask() {
    let mut upstream = Recorder::start();
    let gateway = reticent(&upstream);
    let own = session(gateway.address(), &json!({ "elicitation": {}, "roots": {} })).await;
    Client::ask(gateway.address(), &Request::legacy(&own, message("tools/call", CALL))).await;
    Client::ask(gateway.address(), &able()).await;
    let declared = [r#"{"roots":{}}"#, r#"{"own":{"a":1.0},"roots":{"listChanged":true}}"#];
    for declared in declared.map(|declared| format!(r#""io.modelcontextprotocol/clientCapabilities":{declared}"#)) {
        let body = upstream.post().await.body;
        assert!(body.contains(&declared), "{body}");
    }
}

#[tokio::test]
async fn what_a_server_may_not_ask_reaches_no_client() {
    for (required, passes) in [
        (REQUIRED, false),
        (r#"{"resultType":"input_required","inputRequests":{"r":{"method":"roots/list"}}}"#, true),
        (r#"{"resultType":"input_required","requestState":"s"}"#, true),
    ] {
        let upstream = asking(required);
        let gateway = reticent(&upstream);
        let answer = Client::ask(gateway.address(), &able()).await;
        assert_eq!(answer.message()["result"]["resultType"] == "input_required", passes, "{answer:?}");
        assert_eq!(answer.kind().as_deref() == Some("upstream_protocol_error"), !passes, "{answer:?}");
    }
    let upstream = asking(REQUIRED);
    let gateway = reticent(&upstream);
    let own = session(gateway.address(), &json!({ "elicitation": {}, "roots": {} })).await;
    let answer = Client::ask(gateway.address(), &Request::legacy(&own, message("tools/call", CALL))).await;
    assert_eq!(answer.kind().as_deref(), Some("upstream_protocol_error"), "{answer:?}");
}

#[tokio::test]
async fn a_connection_that_carries_messages_is_asked_there() {
    let upstream = asking(REQUIRED);
    let gateway = gateways::recorded(&upstream);
    let mut client = SocketClient::connect(gateway.address(), "/ws").await;
    client.ask(initialize(&json!({ "elicitation": { "form": {} }, "roots": {} }))).await;
    let form = client.ask(message("tools/call", CALL)).await;
    let roots = client.hear().await;
    for (question, result) in [(form, r#"{"action":"decline"}"#), (roots, r#"{"roots":[]}"#)] {
        client.say(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, question["id"])).await;
    }
    let answer = client.hear().await;
    assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(1), &json!("done")), "{answer}");
}

#[tokio::test]
async fn a_form_that_cannot_be_shown_is_cancelled_and_other_refusals_are_the_answer() {
    const SAMPLING: &str = r#"{"resultType":"input_required","inputRequests":{"s":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}}}"#;
    let refused = r#""error":{"code":-1,"message":"the user said no"}"#;
    let mut upstream = asking(REQUIRED);
    let gateway = gateways::recorded(&upstream);
    let own = session(gateway.address(), &json!({ "elicitation": {}, "roots": {} })).await;
    let mut client = call(gateway.address(), &own).await;
    client.head().await;
    let (form, roots) = (hear(&mut client).await.expect("a form"), hear(&mut client).await.expect("roots"));
    respond(gateway.address(), &own, &form["id"], refused).await;
    respond(gateway.address(), &own, &roots["id"], r#""result":{"roots":[]}"#).await;
    assert_eq!(hear(&mut client).await.expect("an answer")["result"]["content"][0]["text"], "done");
    upstream.post().await;
    assert!(upstream.post().await.body.contains(r#""form":{"action":"cancel"}"#));

    let upstream = asking(SAMPLING);
    let gateway = gateways::recorded(&upstream);
    let own = session(gateway.address(), &json!({ "sampling": {} })).await;
    let mut client = call(gateway.address(), &own).await;
    client.head().await;
    let question = hear(&mut client).await.expect("a question");
    respond(gateway.address(), &own, &question["id"], refused).await;
    let answer = hear(&mut client).await.expect("an answer");
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-1)), "{answer}");
    assert_eq!(upstream.calls(), 1, "it is not called again");
}

#[tokio::test]
async fn nobody_is_asked_what_it_did_not_declare_or_cannot_read() {
    let upstream = asking(REQUIRED);
    let gateway = gateways::recorded(&upstream);
    let without = session(gateway.address(), &json!({ "elicitation": {} })).await;
    let answer = Client::ask(gateway.address(), &Request::legacy(&without, message("tools/call", CALL))).await;
    assert_eq!(
        (answer.code(), answer.kind().as_deref()),
        (Some(-32603), Some("upstream_protocol_error")),
        "{answer:?}"
    );
    let able = session(gateway.address(), &json!({ "elicitation": {}, "roots": {} })).await;
    let request = Request::legacy(&able, message("tools/call", CALL)).with("Accept", "application/json");
    let answer = Client::ask(gateway.address(), &request).await;
    assert!(answer.code().is_some_and(|code| code != 0), "{answer:?}");
}

#[tokio::test]
async fn only_the_client_that_was_asked_answers() {
    let upstream = asking(r#"{"resultType":"input_required","inputRequests":{"r":{"method":"roots/list"}}}"#);
    let gateway = gateways::recorded(&upstream);
    let capabilities = json!({ "roots": {} });
    let own = session(gateway.address(), &capabilities).await;
    let other = session(gateway.address(), &capabilities).await;
    let mut client = call(gateway.address(), &own).await;
    client.head().await;
    let question = hear(&mut client).await.expect("a question");
    for id in [&question["id"], &json!("only1mcp-0"), &json!(0)] {
        respond(gateway.address(), &other, id, r#""result":{"roots":[{"uri":"file:///stolen"}]}"#).await;
    }
    assert_eq!(upstream.calls(), 1);
    respond(gateway.address(), &own, &question["id"], r#""result":{"roots":[]}"#).await;
    assert_eq!(hear(&mut client).await.expect("an answer")["result"]["content"][0]["text"], "done");
    // Nobody waits any more.
    respond(gateway.address(), &own, &question["id"], r#""result":{"roots":[]}"#).await;
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test]
async fn a_cancelled_call_is_not_made_again() {
    let upstream = asking(REQUIRED);
    let gateway = gateways::recorded(&upstream);
    let own = session(gateway.address(), &json!({ "elicitation": {}, "roots": {} })).await;
    let mut client = call(gateway.address(), &own).await;
    client.head().await;
    let form = hear(&mut client).await.expect("a form");
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(Client::ask(gateway.address(), &Request::legacy(&own, cancelled)).await.status, 202);
    while let Some(message) = hear(&mut client).await {
        assert!(message["id"] != 1, "{message}");
    }
    respond(gateway.address(), &own, &form["id"], r#""result":{"action":"accept"}"#).await;
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test]
async fn a_server_that_never_has_enough_is_asked_no_more() {
    let required = r#"{"resultType":"input_required","requestState":"more"}"#;
    let upstream = Recorder::play(async move |_post: Post, wire: &mut Wire<'_>| wire.result(required).await);
    let gateway = gateways::recorded(&upstream);
    let own = session(gateway.address(), &json!({})).await;
    let answer = Client::ask(gateway.address(), &Request::legacy(&own, message("tools/call", CALL))).await;
    assert_eq!(answer.kind().as_deref(), Some("upstream_protocol_error"), "{answer:?}");
    assert_eq!(upstream.calls(), 1 + only1mcp::limits::INPUT_ROUNDS_MAX as usize);
}

#[tokio::test]
async fn a_call_whose_later_round_could_not_be_sent_was_sent() {
    let upstream = Recorder::play(async move |_post: Post, wire: &mut Wire<'_>| {
        wire.answer_with(200, "connection: close\r\n", &wire.response(REQUIRED)).await
    });
    let gateway = gateways::recorded(&upstream);
    let own = session(gateway.address(), &json!({ "elicitation": {}, "roots": {} })).await;
    let mut client = call(gateway.address(), &own).await;
    client.head().await;
    let (form, roots) = (hear(&mut client).await.expect("a form"), hear(&mut client).await.expect("roots"));
    let address = upstream.url().trim_start_matches("http://").split('/').next().expect("an address").to_owned();
    drop(upstream);
    eventually("its end", || std::net::TcpStream::connect(&address).is_err()).await;
    respond(gateway.address(), &own, &roots["id"], r#""result":{"roots":[]}"#).await;
    respond(gateway.address(), &own, &form["id"], r#""result":{"action":"accept"}"#).await;
    let answer = hear(&mut client).await.expect("an answer");
    let data = &answer["error"]["data"];
    assert_eq!((&data["sent"], &data["retryable"]), (&json!(true), &json!(false)), "{answer}");
}

#[tokio::test]
async fn answers_are_together_no_longer_than_a_request_may_be() {
    let upstream = asking(REQUIRED);
    let gateway = gateways::recorded(&upstream);
    let own = session(gateway.address(), &json!({ "elicitation": {}, "roots": {} })).await;
    let mut client = call(gateway.address(), &own).await;
    client.head().await;
    let (form, roots) = (hear(&mut client).await.expect("a form"), hear(&mut client).await.expect("roots"));
    let long = format!(r#""result":{{"long":"{}"}}"#, "x".repeat(only1mcp::limits::BODY_BYTES_MAX * 2 / 3));
    respond(gateway.address(), &own, &form["id"], &long).await;
    respond(gateway.address(), &own, &roots["id"], &long).await;
    let answer = hear(&mut client).await.expect("an answer");
    let data = &answer["error"]["data"];
    assert_eq!((&data["kind"], &data["sent"]), (&json!("overloaded"), &json!(true)), "{}", answer["error"]);
    assert_eq!(upstream.calls(), 1, "it is not called again");
}

/// That a client lacks a capability is for the client to know, in the form of its own era.
#[tokio::test]
async fn a_capability_that_a_modern_server_misses_is_named_to_a_legacy_client() {
    const ERROR: &str = r#"{"code":-32021,"message":"no sampling","data":{"requiredCapabilities":{"sampling":{}}}}"#;
    let upstream = Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
        wire.answer(400, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{ERROR}}}"#, post.id)).await
    });
    let gateway = gateways::recorded(&upstream);
    let own = session(gateway.address(), &json!({})).await;
    let answer = Client::ask(gateway.address(), &Request::legacy(&own, message("tools/call", CALL))).await;
    let error: Value = serde_json::from_str(ERROR).expect("JSON");
    assert_eq!((answer.status, &answer.message()["error"]), (200, &error));
}
