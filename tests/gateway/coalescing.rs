//! Calls that only read, are alike and are under way at once: one is made for all of them, and each client reads the answer
//! as if it had been the only one.

use std::sync::Arc;

use only1mcp::{Gateway, Running};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::admin;
use crate::legacy::{self, message};
use crate::support::client::{Answer, Client, META, Request, within};
use crate::support::front::{Ask, Era, Front, Way};
use crate::support::held::Held;
use crate::support::recorder::{DONE, Post, Recorder, Wire};
use crate::support::scripted::eventually;
use crate::support::server::nowhere;
use crate::teams;

only1mcp::topology!(Coalesced = "tests/gateway/topologies/coalesced.yaml");

/// A gateway with this server behind all names.
fn gateway(upstream: &Recorder) -> Running {
    gateways([&upstream.url(); 3])
}

fn gateways(urls: [&str; 3]) -> Running {
    let builder = Gateway::<Coalesced>::builder().workers(2).admin_address("127.0.0.1:0");
    let references = ["ADMIN_URL", "DATA_URL", "OLD_URL"].into_iter().zip(urls);
    let builder = references.fold(builder, |builder, (name, url)| builder.reference(name, url));
    builder.start().expect("the gateway starts")
}

fn echo() -> Request {
    Request::call("admin__echo", r#"{"a":1}"#)
}

fn with_id(id: usize, request: &Request) -> Request {
    request.clone().edit(r#""id":1"#, &format!(r#""id":"own-{id}""#))
}

fn ask(gateway: &Running, request: Request) -> JoinHandle<Answer> {
    let address = gateway.address();
    tokio::spawn(async move { Client::ask(address, &request).await })
}

async fn sample(gateway: &Running, series: &str) -> f64 {
    admin::samples(gateway.admin_address().expect("there is an admin listener")).await[series]
}

/// Waits until so many clients wait for answers: each has been looked at then.
async fn under_way(gateway: &Running, calls: u32) {
    let is_so = async { while sample(gateway, "only1mcp_calls_under_way").await != f64::from(calls) {} };
    within(&format!("{calls} calls under way"), is_so).await;
    // A call is counted before it is looked at, in one go: a worker that answers something else has done both.
    for _ in 0..8 {
        assert_eq!(Client::ask(gateway.address(), &Request::modern("tools/list", None, "")).await.status, 200);
    }
}

async fn coalesced(gateway: &Running, backend: &str) -> f64 {
    sample(gateway, &format!(r#"only1mcp_calls_coalesced_total{{backend="{backend}"}}"#)).await
}

/// A server that answers a call with this response, less its id, once the test says so.
struct Answering {
    recorder: Recorder,
    released: Arc<Semaphore>,
}

impl Answering {
    fn start(response: &'static str) -> Self {
        let released = Arc::new(Semaphore::new(0));
        let permits = Arc::clone(&released);
        let recorder = Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
            permits.acquire().await.expect("it is never closed").forget();
            wire.answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{},{response}}}"#, post.id)).await
        });
        Self { recorder, released }
    }
}

#[tokio::test]
async fn one_call_is_made_for_all_and_each_reads_the_answer_under_its_own_id() {
    let mut held = Held::start();
    let gateway = gateway(&held.recorder);
    for (backend, request) in [
        ("admin", echo()),
        ("data", Request::modern("resources/read", Some("data://tables/planets"), r#""uri":"data://tables/planets""#)),
        ("data", {
            let params = r#""name":"data__summarize_table","arguments":{"table":"planets"}"#;
            Request::modern("prompts/get", Some("data__summarize_table"), params)
        }),
    ] {
        let (before, calls) = (coalesced(&gateway, backend).await, held.recorder.calls());
        let asks: Vec<_> = (0..16).map(|id| ask(&gateway, with_id(id, &request))).collect();
        under_way(&gateway, 16).await;
        held.release(1);
        for (id, answer) in asks.into_iter().enumerate() {
            let answer = answer.await.expect("an answer");
            let told = (answer.status, answer.json());
            assert_eq!((told.0, &told.1["id"]), (200, &json!(format!("own-{id}"))), "{}", answer.text());
            assert_eq!(told.1["result"]["content"][0]["text"], "done", "{}", answer.text());
        }
        assert_eq!((held.recorder.calls(), coalesced(&gateway, backend).await), (calls + 1, before + 15.0));
        held.recorder.post().await;
        // Nothing is kept: the next one is made anew.
        held.release(1);
        assert_eq!(ask(&gateway, request).await.expect("an answer").status, 200);
        assert_eq!((held.recorder.calls(), coalesced(&gateway, backend).await), (calls + 2, before + 15.0));
        held.recorder.post().await;
    }
}

#[tokio::test]
async fn one_call_is_made_where_a_route_leads_to_several_backends() {
    let mut held = Held::start();
    let url = held.recorder.url();
    let gateway = teams::builder([&url; 3]).workers(2).start().expect("the gateway starts");
    let read = Request::call("least_read", r#"{"a":1}"#);
    for round in 1..=3 {
        let asks: Vec<_> = (0..8).map(|id| ask(&gateway, with_id(id, &read))).collect();
        under_way(&gateway, 8).await;
        held.release(1);
        for (id, answer) in asks.into_iter().enumerate() {
            let answer = answer.await.expect("an answer").json();
            let told = (&answer["id"], &answer["result"]["content"][0]["text"]);
            assert_eq!(told, (&json!(format!("own-{id}")), &json!("done")), "{answer}");
        }
        held.recorder.post().await;
        assert_eq!(held.recorder.calls(), round, "one call of the route, whichever backend has it");
    }
    assert_eq!(coalesced(&gateway, "one").await, 3.0 * 7.0);
    // At the path of one of them as well, where it is another call.
    let own = read.line("POST /mcp/two HTTP/1.1");
    let asks: Vec<_> = (0..2).map(|id| ask(&gateway, with_id(id, &own))).collect();
    under_way(&gateway, 2).await;
    held.release(1);
    for answer in asks {
        assert_eq!(answer.await.expect("an answer").status, 200);
    }
    assert_eq!((held.recorder.calls(), coalesced(&gateway, "two").await), (4, 1.0));
}

#[tokio::test]
async fn what_differs_or_is_told_to_one_alone_goes_its_own_way() {
    let held = Held::start();
    let gateway = gateway(&held.recorder);
    let meta = |members: &str| echo().edit(META, &format!("{META},{members}"));
    let session = legacy::session(gateway.address()).await;
    let call = message("tools/call", r#"{"name":"admin__echo","arguments":{"a":1}}"#);
    let logged = legacy::session(gateway.address()).await;
    let level = message("logging/setLevel", r#"{"level":"debug"}"#);
    assert_eq!(Client::ask(gateway.address(), &Request::legacy(&logged, level)).await.status, 200);
    let alone = echo().edit("admin__echo", "echo").with("Mcp-Name", "echo").line("POST /mcp/admin HTTP/1.1");
    let log = Request::call("admin__log", r#"{"level":"info","message":"m"}"#);
    let list = Request::call("data__list_tables", "{}");
    let differs = [
        echo(),
        echo().edit(r#"{"a":1}"#, r#"{"a":1.0}"#),
        Request::call("admin__status", r#"{"a":1}"#),
        alone,
        meta(r#""test.example/tenant":"blue""#),
        echo().field("baggage", "tenant=blue"),
        echo().field("baggage", "tenant=green"),
        Request::legacy(&session, call.clone()),
    ];
    // Each of these is one by itself, however often it is asked.
    let apart = [
        meta(r#""progressToken":1"#),
        meta(r#""io.modelcontextprotocol/logLevel":"debug""#),
        Request::legacy(&logged, call),
        // The lock does not say that it only reads; the topology does not name it.
        log,
        list,
    ];
    let twice = differs.iter().chain(&apart).flat_map(|request| [request, request]);
    let asks: Vec<_> = twice.map(|request| ask(&gateway, request.clone())).collect();
    let expected = differs.len() + 2 * apart.len();
    under_way(&gateway, u32::try_from(asks.len()).expect("few")).await;
    eventually("every call at the server", || held.recorder.calls() >= expected).await;
    held.release(expected);
    for answer in asks {
        let answer = answer.await.expect("an answer").message();
        assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(1), &json!("done")), "{answer}");
    }
    assert_eq!(held.recorder.calls(), expected);
    assert_eq!(coalesced(&gateway, "admin").await, f64::from(u32::try_from(differs.len()).expect("few")));
}

#[tokio::test]
async fn where_a_call_comes_from_makes_it_no_other_one() {
    let mut held = Held::start();
    let gateway = gateway(&held.recorder);
    let traced = |trace: &str| {
        let own = format!("00-{}-00f067aa0ba902b7-01", trace.repeat(32));
        echo().edit(META, &format!(r#"{META},"traceparent":"{own}""#)).field("Traceparent", own)
    };
    let asks = [traced("1"), traced("2"), echo()].map(|request| ask(&gateway, request));
    under_way(&gateway, 3).await;
    held.release(1);
    for answer in asks {
        assert_eq!(answer.await.expect("an answer").json()["result"]["content"][0]["text"], "done");
    }
    held.recorder.post().await;
    assert_eq!(held.recorder.calls(), 1);
}

#[tokio::test]
async fn who_leaves_takes_the_call_along_only_when_nobody_else_waits() {
    let (left, mut seen) = tokio::sync::mpsc::channel(1);
    let released = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&released);
    let mut upstream = Recorder::play(async move |_post: Post, wire: &mut Wire<'_>| {
        tokio::select! {
            permit = permits.acquire() => permit.expect("it is never closed").forget(),
            () = wire.hung_up() => {
                left.send(()).await.expect("the test waits for it");
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
        }
        wire.result(DONE).await
    });
    let gateway = gateway(&upstream);
    let mut first = Client::connect(gateway.address()).await;
    first.write(&echo().bytes()).await;
    upstream.post().await;
    let second = ask(&gateway, with_id(2, &echo()));
    under_way(&gateway, 2).await;
    drop(first);
    under_way(&gateway, 1).await;
    released.add_permits(1);
    assert_eq!(second.await.expect("an answer").json()["id"], "own-2");
    assert_eq!(upstream.calls(), 1);
    under_way(&gateway, 0).await;
    // Now both leave.
    let mut clients = [Client::connect(gateway.address()).await, Client::connect(gateway.address()).await];
    for client in &mut clients {
        client.write(&echo().bytes()).await;
    }
    upstream.post().await;
    under_way(&gateway, 2).await;
    drop(clients);
    within("the end of the call", seen.recv()).await.expect("it is told");
    under_way(&gateway, 0).await;
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test]
async fn an_error_is_everybodys() {
    let mut upstream = Answering::start(r#""error":{"code":-32000,"message":"odd","data":{"x":1.0}}"#);
    let gateway = gateway(&upstream.recorder);
    let asks: Vec<_> = (0..4).map(|id| ask(&gateway, with_id(id, &echo()))).collect();
    under_way(&gateway, 4).await;
    upstream.recorder.post().await;
    upstream.released.add_permits(1);
    for (id, answer) in asks.into_iter().enumerate() {
        let expected = format!(
            r#"{{"jsonrpc":"2.0","id":"own-{id}","error":{{"code":-32000,"message":"odd","data":{{"x":1.0}}}}}}"#
        );
        assert_eq!(answer.await.expect("an answer").text(), expected);
    }
    assert_eq!(upstream.recorder.calls(), 1);
    under_way(&gateway, 0).await;
    // A failure is one too: of calls that wait for a server that is lost, none is made again.
    let asks: Vec<_> = (0..4).map(|_| ask(&gateway, echo())).collect();
    under_way(&gateway, 4).await;
    upstream.recorder.post().await;
    drop(upstream);
    for answer in asks {
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.kind().as_deref(), Some("outcome_unknown"), "{}", answer.text());
    }
    let failed = r#"only1mcp_calls_total{backend="admin",outcome="outcome_unknown"}"#;
    assert_eq!(sample(&gateway, failed).await, 1.0);
}

#[tokio::test]
async fn where_a_modern_server_asks_for_input_each_client_makes_its_own_call() {
    let asking =
        r#""result":{"resultType":"input_required","requestState":"s","inputRequests":{"r":{"method":"roots/list"}}}"#;
    let mut upstream = Answering::start(asking);
    let gateway = gateway(&upstream.recorder);
    let declares = echo().edit(r#"clientCapabilities":{}"#, r#"clientCapabilities":{"roots":{}}"#);
    let asks: Vec<_> = (0..3).map(|id| ask(&gateway, with_id(id, &declares))).collect();
    under_way(&gateway, 3).await;
    upstream.recorder.post().await;
    upstream.released.add_permits(4);
    for (id, answer) in asks.into_iter().enumerate() {
        let answer = answer.await.expect("an answer").json();
        let told = (&answer["id"], &answer["result"]["resultType"]);
        assert_eq!(told, (&json!(format!("own-{id}")), &json!("input_required")), "{answer}");
    }
    assert_eq!((upstream.recorder.calls(), coalesced(&gateway, "admin").await), (4, 0.0));
}

/// A legacy server that asks its client something with each call, once the test says so.
fn inquisitive(released: &Arc<Semaphore>) -> Recorder {
    const GREETING: &str =
        r#"{"protocolVersion":"2025-11-25","capabilities":{"resources":{}},"serverInfo":{"name":"x","version":"1"}}"#;
    let permits = Arc::clone(released);
    Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
        if post.body.contains(r#""initialize""#) {
            return wire.result(GREETING).await;
        }
        if post.body.contains("notifications/") {
            return wire.answer(202, "").await;
        }
        if !post.body.contains("resources/read") {
            return wire.answer(405, "").await;
        }
        permits.acquire().await.expect("it is never closed").forget();
        wire.stream().await?;
        wire.event(r#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#).await?;
        wire.hung_up().await;
        Ok(())
    })
}

#[tokio::test]
async fn where_a_legacy_server_asks_its_client_each_makes_its_own_call() {
    let released = Arc::new(Semaphore::new(0));
    let upstream = inquisitive(&released);
    let gateway = gateway(&upstream);
    let read = Request::modern("resources/read", Some("old://x"), r#""uri":"old://x""#)
        .edit(r#"clientCapabilities":{}"#, r#"clientCapabilities":{"roots":{}}"#);
    let asks: Vec<_> = (0..2).map(|id| ask(&gateway, with_id(id, &read))).collect();
    under_way(&gateway, 2).await;
    released.add_permits(3);
    let mut states = Vec::new();
    for (id, answer) in asks.into_iter().enumerate() {
        let answer = answer.await.expect("an answer").message();
        assert_eq!(answer["id"], format!("own-{id}"), "{answer}");
        let asked = answer["result"]["inputRequests"].as_object().expect("questions");
        assert!(asked.values().any(|asked| asked["method"] == "roots/list"), "{answer}");
        states.push(answer["result"]["requestState"].to_string());
    }
    assert_ne!(states[0], states[1]);
    assert_eq!(coalesced(&gateway, "old").await, 0.0);
}

#[tokio::test]
async fn clients_of_both_eras_wait_on_their_streams_and_connections() {
    let mut held = Held::start();
    // The others would be listened to.
    let (admin, down) = (held.recorder.url(), nowhere());
    let gateway = gateways([&admin, &down, &down]);
    let address = gateway.address();
    // A session of 2025-11-25 has its stream begun while it waits.
    let session = legacy::session(address).await;
    let call = message("tools/call", r#"{"arguments":{"a":1},"name":"admin__echo"}"#);
    let mut clients = Vec::new();
    for id in 0..2 {
        let mut client = Client::connect(address).await;
        client.write(&with_id(id, &Request::legacy(&session, call.clone())).bytes()).await;
        clients.push(client);
    }
    let mut socket = Front::open(Way::Socket(address), Era::Legacy).await;
    let asks: Vec<Ask> = (0..3).map(|id| Ask::call(id, "admin__echo", &json!({ "a": 1 }))).collect();
    socket.begin_all(&asks).await;
    for client in &mut clients {
        assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
    }
    under_way(&gateway, 5).await;
    held.recorder.post().await;
    assert_eq!(held.recorder.calls(), 1);
    held.release(1);
    for (id, client) in clients.iter_mut().enumerate() {
        let answer = client.message().await.expect("an answer");
        assert_eq!(
            (&answer["id"], &answer["result"]["content"][0]["text"]),
            (&json!(format!("own-{id}")), &json!("done"))
        );
        assert_eq!(answer["result"]["resultType"], Value::Null, "{answer}");
        assert!(client.message().await.is_none());
    }
    assert_eq!(socket.answers(&asks).await.len(), 3);
    assert_eq!((held.recorder.calls(), coalesced(&gateway, "admin").await), (1, 4.0));
    // One that is cancelled is answered by nothing, and the other one is.
    let cancelled = message("tools/call", r#"{"name":"admin__echo","arguments":{"a":2}}"#);
    let [mut first, mut second] = [Client::connect(address).await, Client::connect(address).await];
    for (id, client) in [&mut first, &mut second].into_iter().enumerate() {
        client.write(&with_id(id, &Request::legacy(&session, cancelled.clone())).bytes()).await;
        assert_eq!(client.head().await.status, 200);
    }
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"own-0"}}"#;
    assert_eq!(Client::ask(address, &Request::legacy(&session, cancel)).await.status, 202);
    assert!(first.message().await.is_none());
    held.release(1);
    assert_eq!(second.message().await.expect("an answer")["id"], "own-1");
    assert_eq!(held.recorder.calls(), 2);
}
