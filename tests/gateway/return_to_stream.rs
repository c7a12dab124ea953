//! Clients of legacy sessions that lose a connection and come back with `Last-Event-ID`, on whichever worker they arrive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::legacy::{get, message, session, session_of};
use crate::streams::progress;
use crate::support::client::{Client, Event, Request, within};
use crate::support::gateways;
use crate::support::recorder::{DONE, Post, Recorder, Wire};

const TRACKED: &str = r#"{"name":"admin__echo","arguments":{},"_meta":{"progressToken":"t"}}"#;

/// A server whose calls make progress as often as they are told to, and are answered after this many steps.
fn stepping(steps: u32) -> (Recorder, Arc<Semaphore>) {
    let go = Arc::new(Semaphore::new(0));
    let tell = Arc::clone(&go);
    let upstream = Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
        wire.stream().await?;
        for step in 1..=steps {
            go.acquire().await.expect("the test runs").forget();
            wire.event(&progress(&post.id, step)).await?;
        }
        go.acquire().await.expect("the test runs").forget();
        let response = wire.response(DONE);
        wire.event(&response).await?;
        wire.end().await
    });
    (upstream, tell)
}

async fn call(address: SocketAddr, session: &str) -> Client {
    let mut client = Client::connect(address).await;
    client.write(&Request::legacy(session, message("tools/call", TRACKED)).bytes()).await;
    client
}

/// Reads the head of a stream.
async fn begun(client: &mut Client) {
    let head = client.head().await;
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")), "{head:?}");
    assert_eq!(head.field("x-accel-buffering"), Some("no"));
}

async fn come_back(address: SocketAddr, session: &str, last: &str) -> Client {
    let mut client = Client::connect(address).await;
    client.write(&get(session).field("Last-Event-ID", last).bytes()).await;
    client
}

fn step(message: Option<Value>) -> Value {
    message.expect("progress")["params"]["progress"].clone()
}

fn is_answer(message: Option<Value>) -> bool {
    message.is_some_and(|message| message["id"] == 1 && message["result"]["content"][0]["text"] == "done")
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_and_what_follows_once() {
    // As often as it takes to come back to another worker.
    for version in ["2025-11-25", "2025-06-18", "2025-03-26"].into_iter().cycle().take(12) {
        let (upstream, go) = stepping(4);
        let gateway = gateways::recorded(&upstream);
        let session = session_of(gateway.address(), version).await;
        let mut client = call(gateway.address(), &session).await;
        go.add_permits(1);
        begun(&mut client).await;
        let primed = Event::Primed { retry_ms: 1000 };
        if version == "2025-11-25" {
            assert_eq!(client.event().await.as_ref(), Some(&primed));
        }
        assert!(matches!(client.event().await, Some(Event::Message(_))), "{version}");
        let last = client.last_event_id().to_owned();
        drop(client);
        go.add_permits(1);
        let mut client = come_back(gateway.address(), &session, &last).await;
        begun(&mut client).await;
        if version == "2025-11-25" {
            assert_eq!(client.event().await.as_ref(), Some(&primed));
            assert_eq!(client.last_event_id(), last);
        }
        assert_eq!(step(client.message().await), 2, "{version}");
        go.add_permits(1);
        assert_eq!(step(client.message().await), 3);
        // Away again, and nothing is said meanwhile.
        let last = client.last_event_id().to_owned();
        drop(client);
        let mut client = come_back(gateway.address(), &session, &last).await;
        begun(&mut client).await;
        go.add_permits(2);
        assert_eq!(step(client.message().await), 4);
        assert!(is_answer(client.message().await));
        assert_eq!(client.event().await, None);
        assert_eq!(upstream.calls(), 1);
    }
}

#[tokio::test]
async fn the_answer_waits_for_a_client_that_is_away() {
    let (upstream, go) = stepping(2);
    let gateway = gateways::recorded(&upstream);
    let session = session(gateway.address()).await;
    let mut client = call(gateway.address(), &session).await;
    go.add_permits(1);
    begun(&mut client).await;
    assert_eq!(client.event().await, Some(Event::Primed { retry_ms: 1000 }));
    let primed = client.last_event_id().to_owned();
    assert_eq!(step(client.message().await), 1);
    let first = client.last_event_id().to_owned();
    drop(client);
    go.add_permits(2);
    // Asked until the call is over: then the stream ends by itself.
    for (last, expected) in [(&first, &[2][..]), (&primed, &[1, 2]), (&first, &[2])] {
        let mut client = come_back(gateway.address(), &session, last).await;
        begun(&mut client).await;
        for expected in expected {
            assert_eq!(step(client.message().await), *expected);
        }
        assert!(is_answer(client.message().await));
        assert_eq!(client.event().await, None);
        let answered = client.last_event_id().to_owned();
        // The connection serves on; nothing follows on the answer.
        let refused = client.exchange(&get(&session).field("Last-Event-ID", &answered)).await;
        assert_eq!((refused.status, refused.code()), (400, Some(-32600)));
    }
}

/// A client whose connection hangs comes back on another one: that is where everything goes from then on.
#[tokio::test]
async fn an_event_goes_to_one_connection() {
    let (upstream, go) = stepping(3);
    let gateway = gateways::recorded(&upstream);
    let session = session(gateway.address()).await;
    let mut first = call(gateway.address(), &session).await;
    go.add_permits(1);
    begun(&mut first).await;
    assert_eq!(step(first.message().await), 1);
    let last = first.last_event_id().to_owned();
    let mut second = come_back(gateway.address(), &session, &last).await;
    begun(&mut second).await;
    go.add_permits(1);
    assert_eq!(step(second.message().await), 2);
    let mut third = come_back(gateway.address(), &session, &last).await;
    begun(&mut third).await;
    assert_eq!(step(third.message().await), 2);
    assert_eq!(second.message().await, None);
    go.add_permits(2);
    assert_eq!(step(third.message().await), 3);
    assert!(is_answer(third.message().await));
    assert_eq!(third.event().await, None);
    assert_eq!(first.message().await, None);
    for mut client in [first, second, third] {
        assert_eq!(client.exchange(&Request::legacy(&session, message("ping", "{}"))).await.status, 200);
    }
}

#[tokio::test]
async fn a_call_that_takes_long_begins_its_stream_so_that_its_client_can_come_back() {
    let (upstream, go) = stepping(0);
    let gateway = gateways::recorded(&upstream);
    let session = session(gateway.address()).await;
    let began = Instant::now();
    let mut client = call(gateway.address(), &session).await;
    begun(&mut client).await;
    assert_eq!(client.event().await, Some(Event::Primed { retry_ms: 1000 }));
    assert!((Duration::from_millis(50)..Duration::from_secs(10)).contains(&began.elapsed()), "{:?}", began.elapsed());
    let last = client.last_event_id().to_owned();
    drop(client);
    go.add_permits(1);
    let mut client = come_back(gateway.address(), &session, &last).await;
    begun(&mut client).await;
    assert!(is_answer(client.message().await));
    assert_eq!(client.event().await, None);
}

#[tokio::test]
async fn only_the_session_of_a_stream_comes_back_to_it_and_only_by_an_id_that_it_was_given() {
    let (upstream, go) = stepping(1);
    let gateway = gateways::recorded(&upstream);
    let (own, other) = (session(gateway.address()).await, session(gateway.address()).await);
    let mut client = call(gateway.address(), &own).await;
    go.add_permits(1);
    begun(&mut client).await;
    assert_eq!(step(client.message().await), 1);
    let last = client.last_event_id().to_owned();
    drop(client);
    let mut asker = Client::connect(gateway.address()).await;
    let later = last.replace("-1", "-2");
    let another = format!("c{:032x}-0", 1);
    for (session, last) in
        [(&other, last.as_str()), (&own, &later), (&own, &another), (&own, "1"), (&own, &last[1..]), (&own, "é")]
    {
        let refused = asker.exchange(&get(session).field("Last-Event-ID", last)).await;
        assert_eq!((refused.status, refused.code()), (400, Some(-32600)), "{last}");
    }
    let twice = asker.exchange(&get(&own).field("Last-Event-ID", &last).field("Last-Event-ID", &last)).await;
    assert_eq!(twice.status, 400);
    let gone = asker.exchange(&get("0123456789abcdef").field("Last-Event-ID", &last)).await;
    assert_eq!(gone.status, 404);
    go.add_permits(1);
    let mut client = come_back(gateway.address(), &own, &last).await;
    begun(&mut client).await;
    assert!(is_answer(client.message().await));
}

#[tokio::test]
async fn the_stream_of_a_session_is_a_new_one_each_time_also_after_a_restart() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let session = session(gateway.address()).await;
    let open = async |address, last: Option<&str>| {
        let request = last.iter().fold(get(&session), |request, last| request.field("Last-Event-ID", last));
        let mut stream = Client::connect(address).await;
        stream.write(&request.bytes()).await;
        begun(&mut stream).await;
        assert_eq!(stream.event().await, Some(Event::Primed { retry_ms: 1000 }));
        stream
    };
    let first = open(gateway.address(), None).await;
    let id = first.last_event_id().to_owned();
    let mut second = open(gateway.address(), Some(&id)).await;
    let again = open(gateway.address(), Some("")).await;
    assert!(second.last_event_id() != id && again.last_event_id() != id);
    let stopping = tokio::task::spawn_blocking(move || drop(gateway));
    assert_eq!(second.event().await, None);
    stopping.await.expect("the gateway stops");
    let restarted = gateways::views(&upstream);
    let third = open(restarted.address(), Some(&id)).await;
    assert_ne!(third.last_event_id(), id);
}

#[tokio::test]
async fn a_client_that_comes_back_while_the_gateway_stops_gets_its_answer() {
    let (upstream, go) = stepping(1);
    let gateway = gateways::recorded(&upstream);
    let session = session(gateway.address()).await;
    let mut client = call(gateway.address(), &session).await;
    go.add_permits(1);
    begun(&mut client).await;
    assert_eq!(step(client.message().await), 1);
    let last = client.last_event_id().to_owned();
    drop(client);
    let mut client = come_back(gateway.address(), &session, &last).await;
    begun(&mut client).await;
    assert_eq!(client.event().await, Some(Event::Primed { retry_ms: 1000 }));
    let stopping = tokio::task::spawn_blocking(move || drop(gateway));
    go.add_permits(1);
    assert!(is_answer(client.message().await));
    assert_eq!(client.event().await, None);
    stopping.await.expect("the gateway stops");
}

/// An answer that came at once was no stream, and nobody comes back to it.
#[tokio::test]
async fn a_call_that_is_answered_at_once_is_answered_in_json() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let session = session(gateway.address()).await;
    let request = Request::legacy(&session, message("tools/call", TRACKED));
    // The first call is seldom answered at once, and on a busy machine others are not either.
    let answer = within("an answer at once", async {
        loop {
            let answer = Client::ask(gateway.address(), &request).await;
            if answer.field("content-type") != Some("text/event-stream") {
                break answer;
            }
        }
    })
    .await;
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json()["result"], json!({ "content": [{ "type": "text", "text": "done" }] }));
}
