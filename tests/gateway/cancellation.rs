//! `notifications/cancelled` of legacy sessions over HTTP: it comes on another connection than its call, and so on any
//! worker. What connections that carry messages make of it is tested with them.

use std::net::SocketAddr;

use serde_json::json;

use crate::hedging::Place;
use crate::legacy::{delete, initialize, message, session};
use crate::streams::{status, until};
use crate::support::client::{Client, Event, Request};
use crate::support::gateways;

/// A call that takes a minute, unless it is cancelled.
fn call(id: &str) -> String {
    let arguments = r#"{"milliseconds":60000,"steps":1000}"#;
    let meta = format!(r#""_meta":{{"progressToken":{id}}}"#);
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"admin__wait","arguments":{arguments},{meta}}}}}"#
    )
}

fn silent(id: &str) -> String {
    call(id).replace(&format!(r#","_meta":{{"progressToken":{id}}}"#), "")
}

async fn cancel(address: SocketAddr, session: &str, id: &str) {
    let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
    let taken = Client::ask(address, &Request::legacy(session, text)).await;
    assert_eq!((taken.status, taken.body.as_slice()), (202, &b""[..]));
}

/// Reads the head of a stream.
async fn begun(client: &mut Client) {
    let head = client.head().await;
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")));
}

/// More connections than workers, so that a cancellation comes to another worker than its call sooner or later.
const CONNECTIONS: usize = 12;

#[tokio::test]
async fn a_call_is_cancelled_from_any_connection_and_its_stream_ends_without_an_answer() {
    let gateway = gateways::demo();
    let mut observer = Client::connect(gateway.address()).await;
    let session = session(gateway.address()).await;
    for number in 1..=CONNECTIONS {
        let id = if number % 2 == 0 { number.to_string() } else { format!(r#""call {number}""#) };
        let mut client = Client::connect(gateway.address()).await;
        client.write(&Request::legacy(&session, silent(&id)).bytes()).await;
        until(&mut observer, |status| status["calls_running"] == 1).await;
        cancel(gateway.address(), &session, &id).await;
        begun(&mut client).await;
        // By then it may have been shown that it is alive.
        assert!(matches!(client.event().await, Some(Event::Comment(_) | Event::Primed { .. })));
        assert_eq!(client.event().await, None);
        until(&mut observer, |status| status["calls_cancelled"] == number && status["calls_running"] == 0).await;
        // The connection serves on, and the id may be told again.
        assert_eq!(client.exchange(&Request::legacy(&session, message("ping", "{}"))).await.status, 200);
        cancel(gateway.address(), &session, &id).await;
    }
}

#[tokio::test]
async fn a_stream_that_has_begun_ends_without_an_answer() {
    let gateway = gateways::demo();
    let mut observer = Client::connect(gateway.address()).await;
    for version in ["2025-06-18", "2025-11-25"] {
        let greeted = Client::ask(gateway.address(), &initialize(version)).await;
        let session = greeted.field("mcp-session-id").expect("a session").to_owned();
        let mut client = Client::connect(gateway.address()).await;
        client.write(&Request::legacy(&session, call("7")).bytes()).await;
        assert_eq!(client.head().await.status, 200);
        assert_eq!(client.message().await.expect("progress")["params"]["progressToken"], 7);
        cancel(gateway.address(), &session, "7").await;
        while let Some(message) = client.message().await {
            assert_eq!(message["method"], "notifications/progress");
        }
        until(&mut observer, |status| status["calls_running"] == 0).await;
        assert_eq!(client.exchange(&Request::legacy(&session, message("ping", "{}"))).await.status, 200);
    }
    assert_eq!(status(&mut observer).await["calls_cancelled"], 2);
}

#[tokio::test]
async fn a_client_that_reads_no_streams_gets_no_content() {
    let gateway = gateways::demo();
    let mut observer = Client::connect(gateway.address()).await;
    let session = session(gateway.address()).await;
    let mut client = Client::connect(gateway.address()).await;
    client.write(&Request::legacy(&session, call("1")).with("Accept", "application/json").bytes()).await;
    until(&mut observer, |status| status["calls_running"] == 1).await;
    cancel(gateway.address(), &session, "1").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
    assert_eq!(client.exchange(&Request::legacy(&session, message("ping", "{}"))).await.status, 200);
}

#[tokio::test]
async fn no_other_session_and_no_other_id_cancels_a_call() {
    let gateway = gateways::demo();
    let mut observer = Client::connect(gateway.address()).await;
    let (own, other) = (session(gateway.address()).await, session(gateway.address()).await);
    let mut client = Client::connect(gateway.address()).await;
    client.write(&Request::legacy(&own, silent("1")).bytes()).await;
    until(&mut observer, |status| status["calls_running"] == 1).await;
    cancel(gateway.address(), &other, "1").await;
    for id in ["2", r#""1""#, "null", "[1]"] {
        cancel(gateway.address(), &own, id).await;
    }
    let so_far = status(&mut observer).await;
    assert_eq!((&so_far["calls_running"], &so_far["calls_cancelled"]), (&json!(1), &json!(0)));
    cancel(gateway.address(), &own, "1").await;
    begun(&mut client).await;
    assert_eq!(client.message().await, None);
    until(&mut observer, |status| status["calls_cancelled"] == 1 && status["calls_running"] == 0).await;
}

/// Above 2^53 two of them are one to whoever reads numbers as floating point.
#[tokio::test]
async fn of_two_calls_with_long_ids_one_is_cancelled() {
    let gateway = gateways::demo();
    let mut observer = Client::connect(gateway.address()).await;
    let session = session(gateway.address()).await;
    let ids = ["9007199254740992", "9007199254740993", r#""9007199254740993""#];
    let mut clients = Vec::new();
    for id in ids {
        let mut client = Client::connect(gateway.address()).await;
        client.write(&Request::legacy(&session, call(id)).bytes()).await;
        client.head().await;
        assert!(client.message().await.is_some(), "{id}");
        clients.push(client);
    }
    for (number, id) in [1, 2, 0].into_iter().map(|at| ids[at]).enumerate() {
        cancel(gateway.address(), &session, id).await;
        until(&mut observer, |status| status["calls_cancelled"] == number + 1).await;
        let ended = &mut clients[ids.iter().position(|other| *other == id).expect("one of them")];
        while let Some(message) = ended.message().await {
            assert_eq!(message["method"], "notifications/progress", "{id}: {message}");
        }
    }
}

#[tokio::test]
async fn the_call_of_a_client_that_went_away_can_still_be_cancelled() {
    let gateway = gateways::demo();
    let mut observer = Client::connect(gateway.address()).await;
    let session = session(gateway.address()).await;
    // With a stream begun, and with nothing heard yet.
    let mut heard = Client::connect(gateway.address()).await;
    heard.write(&Request::legacy(&session, call("1")).bytes()).await;
    heard.head().await;
    assert!(heard.message().await.is_some());
    let mut nothing = Client::connect(gateway.address()).await;
    nothing.write(&Request::legacy(&session, silent("2")).bytes()).await;
    until(&mut observer, |status| status["calls_running"] == 2).await;
    drop((heard, nothing));
    for (number, id) in ["1", "2"].into_iter().enumerate() {
        assert_eq!(status(&mut observer).await["calls_cancelled"], number);
        cancel(gateway.address(), &session, id).await;
        until(&mut observer, |status| status["calls_cancelled"] == number + 1).await;
    }
}

#[tokio::test]
async fn the_end_of_a_session_cancels_its_calls_and_no_others() {
    let gateway = gateways::demo();
    let mut observer = Client::connect(gateway.address()).await;
    let (ended, other) = (session(gateway.address()).await, session(gateway.address()).await);
    let mut clients = Vec::new();
    for session in [&ended, &other] {
        let mut client = Client::connect(gateway.address()).await;
        client.write(&Request::legacy(session, silent("1")).bytes()).await;
        clients.push(client);
    }
    until(&mut observer, |status| status["calls_running"] == 2).await;
    assert_eq!(Client::ask(gateway.address(), &delete(&ended)).await.status, 200);
    until(&mut observer, |status| status["calls_cancelled"] == 1).await;
    let [mut cancelled, mut waiting] = clients.try_into().expect("two");
    begun(&mut cancelled).await;
    assert_eq!(cancelled.message().await, None);
    let so_far = status(&mut observer).await;
    assert_eq!((&so_far["calls_running"], &so_far["calls_cancelled"]), (&json!(1), &json!(1)));
    cancel(gateway.address(), &other, "1").await;
    begun(&mut waiting).await;
    assert_eq!(waiting.message().await, None);
    until(&mut observer, |status| status["calls_cancelled"] == 2 && status["calls_running"] == 0).await;
}

#[tokio::test]
async fn a_call_of_a_batch_is_cancelled_alone() {
    let mut place = Place::start("own");
    let gateway = gateways::recorded(&place.recorder);
    let greeted = Client::ask(gateway.address(), &initialize("2025-03-26")).await;
    let session = greeted.field("mcp-session-id").expect("a session").to_owned();
    let mut client = Client::connect(gateway.address()).await;
    let call = message("tools/call", r#"{"name":"admin__echo","arguments":{}}"#);
    let batch = format!("[{call},{}]", call.replacen(r#""id":1"#, r#""id":2"#, 1));
    client.write(&Request::legacy(&session, batch).bytes()).await;
    place.recorder.post().await;
    place.recorder.post().await;
    cancel(gateway.address(), &session, "1").await;
    place.taken_back().await;
    place.release(1);
    let answers = client.answer().await.json();
    assert_eq!((answers[0]["id"].clone(), answers[1].clone()), (json!(2), json!(null)), "{answers}");
    assert_eq!(answers[0]["result"]["content"][0]["text"], "own", "{answers}");
}
