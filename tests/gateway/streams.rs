//! What happens while a call runs: notifications as they come, clients that leave, clients that do not read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::legacy;
use crate::support::client::{Client, Event, META, Request, within};
use crate::support::gateways;
use crate::support::recorder::{DONE, Post, Recorder, Wire};

/// A call that reports progress under this token.
fn tracked(tool: &str, arguments: &str, token: &str) -> Request {
    Request::call(tool, arguments).edit(META, &format!(r#"{META},"progressToken":{token}"#))
}

fn logged(tool: &str, arguments: &str, level: &str) -> Request {
    Request::call(tool, arguments).edit(META, &format!(r#"{META},"io.modelcontextprotocol/logLevel":"{level}""#))
}

pub(crate) fn progress(token: &str, step: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step}}}}}"#
    )
}

async fn begin(address: SocketAddr, request: &Request) -> Client {
    let mut client = Client::connect(address).await;
    client.write(&request.bytes()).await;
    let head = client.head().await;
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")));
    assert_eq!(head.field("x-accel-buffering"), Some("no"));
    client
}

/// What the admin demo server says of itself.
pub(crate) async fn status(client: &mut Client) -> Value {
    client.exchange(&Request::call("admin__status", "{}")).await.json()["result"]["structuredContent"].clone()
}

/// Asks until the demo server's state is as wanted.
pub(crate) async fn until(client: &mut Client, wanted: impl Fn(&Value) -> bool) {
    within("the wanted state of the demo server", async {
        while !wanted(&status(client).await) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_notification_is_relayed_before_the_answer_exists() {
    let seen = Arc::new(Notify::new());
    let gate = Arc::clone(&seen);
    let upstream = Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
        assert!(post.body.contains(&format!(r#""progressToken":{}"#, post.id)), "{}", post.body);
        wire.stream().await?;
        wire.event(&progress(&post.id, 1)).await?;
        // The answer waits for the client to have read the notification.
        gate.notified().await;
        let response = wire.response(DONE);
        wire.event(&response).await?;
        wire.end().await
    });
    let gateway = gateways::recorded(&upstream);
    // The client's token comes back as it was written.
    for token in [r#""t\u006fken""#, "18446744073709551616", r#""""#] {
        let mut client = begin(gateway.address(), &tracked("admin__wait", r#"{"milliseconds":0}"#, token)).await;
        assert_eq!(client.event().await, Some(Event::Message(progress(token, 1))));
        seen.notify_one();
        assert_eq!(
            client.event().await,
            Some(Event::Message(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{DONE}}}"#)))
        );
        assert_eq!(client.event().await, None);
        // The connection serves on.
        let lists = client.exchange(&Request::modern("tools/list", None, "")).await;
        assert_eq!(lists.status, 200);
    }
}

#[tokio::test]
async fn progress_goes_to_the_call_it_belongs_to() {
    let gateway = gateways::demo();
    let call = |steps: u32| tracked("admin__wait", &format!(r#"{{"milliseconds":60,"steps":{steps}}}"#), "7");
    let mut clients = Vec::new();
    for steps in [2, 3, 5] {
        let mut client = Client::connect(gateway.address()).await;
        client.write(&call(steps).bytes()).await;
        clients.push((steps, client));
    }
    for (steps, mut client) in clients {
        assert_eq!(client.head().await.status, 200);
        for step in 1..=steps {
            let params = client.message().await.expect("progress")["params"].clone();
            let message = format!("step {step} of {steps}");
            assert_eq!(params, json!({ "progressToken": 7, "progress": step, "total": steps, "message": message }));
        }
        let answer = client.message().await.expect("an answer");
        assert_eq!(answer["result"]["structuredContent"]["steps"], steps);
        assert_eq!(client.event().await, None);
    }
}

#[tokio::test]
async fn log_messages_come_to_whom_asked_and_from_the_level_asked() {
    let gateway = gateways::demo();
    let arguments = r#"{"level":"warning","message":"m"}"#;
    for level in ["debug", "warning"] {
        let mut client = begin(gateway.address(), &logged("admin__log", arguments, level)).await;
        let log = client.message().await.expect("a log message");
        assert_eq!(log["params"], json!({ "level": "warning", "logger": "demo", "data": "m" }));
        assert_eq!(client.message().await.expect("an answer")["result"]["structuredContent"]["sent"], true);
    }
    for request in [logged("admin__log", arguments, "error"), Request::call("admin__log", arguments)] {
        let answer = Client::ask(gateway.address(), &request).await;
        assert_eq!(answer.field("content-type"), Some("application/json"));
        assert_eq!(answer.json()["result"]["structuredContent"]["sent"], false);
    }
}

/// The gateway does not rely on the backend: what nobody asked for is dropped.
#[tokio::test]
async fn notifications_that_nobody_asked_for_are_dropped() {
    let upstream = Recorder::play(async |post: Post, wire: &mut Wire<'_>| {
        let log = |level: &str| {
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"{level}","data":1}}}}"#)
        };
        wire.stream().await?;
        wire.event(&log("info")).await?;
        wire.event(&log("loud")).await?;
        wire.event(&progress(&post.id, 1)).await?;
        wire.event(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await?;
        wire.event(r#"{"jsonrpc":"2.0","id":9,"method":"roots/list"}"#).await?;
        let response = wire.response(DONE);
        wire.event(&response).await?;
        wire.end().await
    });
    let gateway = gateways::recorded(&upstream);
    for request in [Request::call("admin__echo", "{}"), logged("admin__echo", "{}", "notice")] {
        let answer = Client::ask(gateway.address(), &request).await;
        assert_eq!(answer.field("content-type"), Some("application/json"));
        assert_eq!(answer.text(), format!(r#"{{"jsonrpc":"2.0","id":1,"result":{DONE}}}"#));
    }
}

/// WHATWG HTML, 9.2.6: the name of an event that gives none is `message`.
#[tokio::test]
async fn an_event_without_a_name_is_a_message() {
    let upstream = Recorder::play(async |_post: Post, wire: &mut Wire<'_>| {
        let response = wire.response(DONE);
        wire.stream().await?;
        wire.chunk(&format!("data: {response}\n\n")).await?;
        wire.end().await
    });
    let gateway = gateways::recorded(&upstream);
    let answer = Client::ask(gateway.address(), &Request::call("admin__echo", "{}")).await;
    assert_eq!(answer.text(), format!(r#"{{"jsonrpc":"2.0","id":1,"result":{DONE}}}"#));
}

#[tokio::test]
async fn a_client_that_reads_no_streams_gets_the_answer_alone() {
    let gateway = gateways::demo();
    let request = tracked("admin__wait", r#"{"milliseconds":20,"steps":2}"#, "1").with("Accept", "application/json");
    let answer = Client::ask(gateway.address(), &request).await;
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json()["result"]["structuredContent"]["steps"], 2);
}

#[tokio::test]
async fn a_modern_client_that_leaves_cancels_its_call_at_a_child() {
    let gateway = gateways::demo();
    let mut observer = Client::connect(gateway.address()).await;
    let arguments = r#"{"milliseconds":60000,"steps":1000}"#;
    // With a stream begun, and with nothing heard yet.
    let mut leaving = begin(gateway.address(), &tracked("admin__wait", arguments, "1")).await;
    assert!(leaving.event().await.is_some());
    let mut silent = Client::connect(gateway.address()).await;
    silent.write(&Request::call("admin__wait", arguments).bytes()).await;
    until(&mut observer, |status| status["calls_running"] == 2).await;
    let began = Instant::now();
    drop((leaving, silent));
    until(&mut observer, |status| status["calls_cancelled"] == 2 && status["calls_running"] == 0).await;
    // The deadline of the call would have ended it too.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_modern_client_that_leaves_closes_its_call_at_a_server() {
    let (reached, mut reach) = mpsc::channel(1);
    let (ended, mut end) = mpsc::channel(1);
    let upstream = Recorder::play(async move |_post: Post, wire: &mut Wire<'_>| {
        reached.send(()).await.expect("the test waits");
        wire.hung_up().await;
        ended.send(()).await.expect("the test waits");
        Ok(())
    });
    let gateway = gateways::recorded(&upstream);
    let mut leaving = Client::connect(gateway.address()).await;
    leaving.write(&Request::call("admin__echo", "{}").bytes()).await;
    within("the call", reach.recv()).await;
    let began = Instant::now();
    drop(leaving);
    within("the end of the call", end.recv()).await;
    // The deadline of the call would have ended it too.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// MCP 2025-11-25: a disconnect is not a cancellation.
#[tokio::test]
async fn a_legacy_client_that_leaves_has_not_cancelled() {
    let gateway = gateways::demo();
    let id = legacy::session(gateway.address()).await;
    let mut observer = Client::connect(gateway.address()).await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"admin__wait","arguments":{"milliseconds":600,"steps":2},"_meta":{"progressToken":1}}}"#;
    let mut leaving = Client::connect(gateway.address()).await;
    leaving.write(&Request::legacy(&id, body).bytes()).await;
    assert_eq!(leaving.head().await.status, 200);
    assert_eq!(leaving.message().await.expect("progress")["params"]["progress"], 1);
    drop(leaving);
    until(&mut observer, |status| status["calls_running"] == 0).await;
    assert_eq!(status(&mut observer).await["calls_cancelled"], 0);
}

#[tokio::test]
async fn nobody_cancels_the_call_of_another_client() {
    let gateway = gateways::demo();
    let mut observer = Client::connect(gateway.address()).await;
    let call = tracked("admin__wait", r#"{"milliseconds":600,"steps":2}"#, "1");
    let mut victim = begin(gateway.address(), &call).await;
    assert_eq!(victim.message().await.expect("progress")["params"]["progress"], 1);
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let session = legacy::session(gateway.address()).await;
    for request in [Request::raw("notifications/cancelled", None, cancel), Request::legacy(&session, cancel)] {
        assert_eq!(observer.exchange(&request).await.status, 202);
    }
    assert_eq!(victim.message().await.expect("progress")["params"]["progress"], 2);
    assert_eq!(victim.message().await.expect("an answer")["result"]["structuredContent"]["milliseconds"], 600);
}

#[tokio::test]
async fn calls_in_flight_are_answered_when_the_gateway_stops() {
    let gateway = gateways::demo();
    let address = gateway.address();
    let mut observer = Client::connect(address).await;
    let call = tracked("admin__wait", r#"{"milliseconds":1000,"steps":2}"#, "1");
    let mut client = begin(address, &call).await;
    assert_eq!(client.message().await.expect("progress")["params"]["progress"], 1);
    status(&mut observer).await;
    let stopping = tokio::task::spawn_blocking(move || gateway.stop());
    assert_eq!(observer.rest().await, b"", "an idle connection is closed at once");
    assert_eq!(client.message().await.expect("progress")["params"]["progress"], 2);
    assert_eq!(client.message().await.expect("an answer")["result"]["structuredContent"]["milliseconds"], 1000);
    assert_eq!(client.event().await, None);
    assert_eq!(client.rest().await, b"");
    within("the gateway's end", stopping).await.expect("the gateway stops");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
