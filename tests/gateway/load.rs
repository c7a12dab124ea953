//! More than the gateway takes on at once: calls that are shed before anything is done for them, and what is served
//! meanwhile.

use std::time::Duration;

use only1mcp::catalog::Topology;
use only1mcp::{Gateway, Running, limits};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::admin;
use crate::legacy::{self, message};
use crate::support::client::{Answer, Client, Request, within};
use crate::support::front::{Ask, Era, Front, Way};
use crate::support::held::Held;
#[cfg(feature = "http2")]
use crate::support::http2::{frame, opening};

only1mcp::topology!(Limited = "tests/gateway/topologies/limited.yaml");
only1mcp::topology!(Few = "tests/gateway/topologies/few.yaml");

/// As the topology has it.
const CALLS_MAX: usize = 3;

fn gateway(held: &Held) -> Running {
    start::<Limited>(held)
}

/// One that has few connections, and few calls on each.
fn few(held: &Held) -> Running {
    start::<Few>(held)
}

fn start<T: Topology>(held: &Held) -> Running {
    let builder = Gateway::<T>::builder().workers(2).admin_address("127.0.0.1:0");
    builder.reference("ONE_URL", held.recorder.url()).start().expect("the gateway starts")
}

fn echo() -> Request {
    Request::call("one__echo", "{}")
}

/// So many calls that the server has.
async fn fill(gateway: &Running, held: &mut Held) -> Vec<JoinHandle<Answer>> {
    let address = gateway.address();
    let mut calls = Vec::new();
    for _ in 0..CALLS_MAX {
        calls.push(tokio::spawn(async move { Client::ask(address, &echo()).await }));
        held.recorder.post().await;
    }
    calls
}

async fn sample(gateway: &Running, series: &str) -> f64 {
    admin::samples(gateway.admin_address().expect("there is an admin listener")).await[series]
}

fn is_shed(error: &Value) -> bool {
    let data = json!({ "kind": "overloaded", "sent": false, "retryable": true, "retryAfter": 1 });
    (&error["code"], &error["data"]) == (&json!(-32603), &data)
}

/// What over HTTP says that a call is shed.
fn assert_shed(what: &str, answer: &Answer) {
    let told = (answer.status, answer.field("retry-after"), is_shed(&answer.json()["error"]));
    assert_eq!(told, (503, Some("1"), true), "{what}: {}", answer.text());
}

#[tokio::test]
async fn what_is_too_much_is_shed_before_anything_is_done_for_it() {
    let mut held = Held::start();
    let gateway = gateway(&held);
    let address = gateway.address();
    let session = legacy::session(address).await;
    let calls = fill(&gateway, &mut held).await;
    assert_shed("a modern call", &Client::ask(address, &echo()).await);
    let call = message("tools/call", r#"{"name":"one__echo","arguments":{}}"#);
    assert_shed("a legacy call", &Client::ask(address, &Request::legacy(&session, call)).await);
    let script = Request::post(r#"{"name":"one__echo"}"#).line("POST /tools/call HTTP/1.1");
    assert_shed("a plain route", &Client::ask(address, &script).await);
    // Its connection is of use afterwards.
    let mut client = Client::connect(address).await;
    assert_shed("a modern call", &client.exchange(&echo()).await);
    assert_eq!(client.exchange(&Request::modern("tools/list", None, "")).await.status, 200);
    assert_eq!(held.recorder.calls(), CALLS_MAX);
    assert_eq!(sample(&gateway, "only1mcp_calls_under_way").await, 3.0);
    assert_eq!(sample(&gateway, "only1mcp_calls_shed_total").await, 4.0);
    // As soon as one is over there is room for one.
    held.release(1);
    within("room", async { while sample(&gateway, "only1mcp_calls_under_way").await > 2.0 {} }).await;
    let next = tokio::spawn(async move { Client::ask(address, &echo()).await });
    held.recorder.post().await;
    assert_shed("a call too many", &Client::ask(address, &echo()).await);
    held.release(CALLS_MAX);
    for call in calls.into_iter().chain([next]) {
        assert_eq!(call.await.expect("a call").json()["result"]["content"][0]["text"], "done");
    }
    within("the end of all", async { while sample(&gateway, "only1mcp_calls_under_way").await > 0.0 {} }).await;
    assert_eq!(sample(&gateway, "only1mcp_calls_shed_total").await, 5.0);
}

#[tokio::test]
async fn what_is_answered_here_or_finishes_something_is_served_nevertheless() {
    let mut held = Held::start();
    let gateway = gateway(&held);
    let (address, admin) = (gateway.address(), gateway.admin_address().expect("there is an admin listener"));
    let session = legacy::session(address).await;
    let calls = fill(&gateway, &mut held).await;
    for request in [
        Request::modern("tools/list", None, ""),
        Request::modern("server/discover", None, ""),
        legacy::initialize("2025-11-25"),
        Request::legacy(&session, message("ping", "{}")),
        Request::legacy(&session, message("tools/list", "{}")),
    ] {
        let answer = Client::ask(address, &request).await;
        assert!(answer.status == 200 && answer.json()["result"].is_object(), "{request:?}: {}", answer.text());
    }
    for path in ["/healthz/live", "/healthz/ready"] {
        let answer = Client::ask(admin, &Request::bare(&format!("GET {path} HTTP/1.1"))).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}"#;
    assert_eq!(Client::ask(address, &Request::legacy(&session, cancelled)).await.status, 202);
    let response = r#"{"jsonrpc":"2.0","id":"only1mcp-0","result":{"roots":[]}}"#;
    assert_eq!(Client::ask(address, &Request::legacy(&session, response)).await.status, 202);
    // A task that nobody knows: that is what its client is told.
    let task = Client::ask(address, &Request::modern("tasks/get", Some("made-up"), r#""taskId":"made-up""#)).await;
    assert!(task.status != 503 && task.json()["error"].is_object(), "{}", task.text());
    // Who was asked something comes back with the answer.
    let resumed = resuming();
    let resumed = tokio::spawn(async move { Client::ask(address, &resumed).await });
    assert!(held.recorder.post().await.body.contains("requestState"));
    assert_eq!(sample(&gateway, "only1mcp_calls_shed_total").await, 0.0);
    assert_eq!(sample(&gateway, "only1mcp_calls_under_way").await, 4.0);
    assert_shed("a call", &Client::ask(address, &echo()).await);
    held.release(CALLS_MAX + 1);
    for call in calls.into_iter().chain([resumed]) {
        assert_eq!(call.await.expect("a call").json()["result"]["content"][0]["text"], "done");
    }
}

/// A call of a client that comes back.
fn resuming() -> Request {
    let params = r#""name":"one__echo","arguments":{},"requestState":"s","inputResponses":{}"#;
    Request::modern("tools/call", Some("one__echo"), params)
}

#[tokio::test]
async fn clients_that_claim_to_finish_something_are_shed_above_a_bound_of_their_own() {
    let mut held = Held::start();
    let gateway = gateway(&held);
    let address = gateway.address();
    let mut calls = fill(&gateway, &mut held).await;
    let nothing = r#""name":"one__echo","arguments":{},"inputResponses":{}"#;
    assert_shed("no answer", &Client::ask(address, &Request::modern("tools/call", Some("one__echo"), nothing)).await);
    for _ in 0..limits::RESUMING_CALLS_MIN {
        calls.push(tokio::spawn(async move { Client::ask(address, &resuming()).await }));
        held.recorder.post().await;
    }
    assert_shed("an answer too many", &Client::ask(address, &resuming()).await);
    held.release(calls.len());
    for call in calls {
        assert_eq!(call.await.expect("a call").json()["result"]["content"][0]["text"], "done");
    }
}

#[test]
#[ignore = "a role of this binary: another test starts it as a child"]
fn loaded_on_pipes() {
    if std::env::var_os("ONE_URL").is_some() {
        Gateway::<Limited>::builder().serve_stdio(None, std::future::pending()).expect("it serves");
    }
}

#[tokio::test]
async fn clients_whose_connection_carries_messages_are_told_by_the_error_alone() {
    for era in [Era::Modern, Era::Legacy] {
        for way in ["HTTP+SSE", "WebSocket", "stdio"] {
            let mut held = Held::start();
            let gateway = gateway(&held);
            let way = match way {
                "HTTP+SSE" => Way::Events(gateway.address()),
                "WebSocket" => Way::Socket(gateway.address()),
                _ => Way::on_pipes("loaded_on_pipes", [("ONE_URL", held.recorder.url())]),
            };
            let name = format!("{era:?}, {way:?}");
            let mut client = Front::open(way, era).await;
            let ask = |id: usize| Ask::call(id, "one__echo", &json!({}));
            let asks: Vec<Ask> = (0..CALLS_MAX).map(ask).collect();
            let all = async {
                for _ in 0..CALLS_MAX {
                    held.recorder.post().await;
                }
            };
            // What comes before their answers is what comes for the call too many.
            client.begin_all(&asks).await;
            all.await;
            let shed = client.ask(ask(CALLS_MAX)).await;
            assert!(is_shed(&shed["error"]), "{name}: {shed}");
            let list = client.ask(Ask::new("list", "tools/list", json!({}))).await;
            assert!(list["result"]["tools"].is_array(), "{name}: {list}");
            held.release(CALLS_MAX);
            let heard = client.answers(&asks).await;
            assert!(heard.iter().all(|heard| heard["result"].is_object()), "{name}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn one_connection_has_so_many_calls_under_way_and_others_are_served() {
    for socket in [false, true] {
        let mut held = Held::start();
        let gateway = few(&held);
        let address = gateway.address();
        let way = if socket { Way::Socket(address) } else { Way::Events(address) };
        let mut client = Front::open(way, Era::Modern).await;
        let ask = |id: usize| Ask::call(id, "one__echo", &json!({}));
        let asks = [ask(0), ask(1)];
        client.begin_all(&asks).await;
        for _ in 0..2 {
            held.recorder.post().await;
        }
        let refused = client.ask(ask(2)).await;
        assert!(is_shed(&refused["error"]), "{refused}");
        assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("2 calls")), "{refused}");
        let other = tokio::spawn(async move { Client::ask(address, &echo()).await });
        held.recorder.post().await;
        held.release(3);
        assert_eq!(other.await.expect("a call").status, 200);
        assert!(client.answers(&asks).await.iter().all(|heard| heard["result"].is_object()));
        // There is room again.
        held.release(1);
        assert!(client.ask(ask(2)).await["result"].is_object());
    }
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn a_connection_of_http2_offers_as_many_streams_as_the_topology_has_calls() {
    let held = Held::start();
    let gateway = few(&held);
    let mut client = Client::connect(gateway.address()).await;
    client.write(&opening(&[])).await;
    let settings = frame(&mut client).await.expect("settings come first");
    let streams = settings.payload.chunks(6).find(|setting| setting[..2] == [0, 3]).expect("a bound");
    assert_eq!(streams[2..], 2_u32.to_be_bytes());
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_until_others_end() {
    let held = Held::start();
    let gateway = few(&held);
    let list = Request::modern("tools/list", None, "");
    let mut served = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(gateway.address()).await;
        assert_eq!(client.exchange(&list).await.status, 200);
        served.push(client);
    }
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(gateway.address()).await;
        client.write(&list.bytes()).await;
        waiting.push(client);
    }
    let first = futures_util::future::select_all(waiting.iter_mut().map(|client| Box::pin(client.head())));
    assert!(
        tokio::time::timeout(Duration::from_millis(300), first).await.is_err(),
        "there is no place for any of them"
    );
    // Those that have one keep it, and administrators have places of their own.
    assert_eq!(served[0].exchange(&list).await.status, 200);
    assert_eq!(sample(&gateway, "only1mcp_calls_under_way").await, 0.0);
    drop(served);
    // Whoever is answered leaves; in which order they come is the workers' to say.
    let answered = waiting.into_iter().map(|mut client| async move { client.answer().await.status });
    assert_eq!(within("an answer for each", futures_util::future::join_all(answered)).await, [200; 5]);
}
