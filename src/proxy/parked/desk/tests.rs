//! What is asked, answered and given up at the desk of a parked call, by a clock that stands.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::Ordering;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::mcp::envelope;

fn asked() -> Asked {
    Asked { view: "main", method: "tools/call", name: "tool".into(), arguments: None }
}

/// The desk of a call that keeps so many bytes, and what comes for its client.
fn desk<'a>(parked: &'a Parked, clock: &Clock, kept: usize) -> (Desk<'a>, mpsc::Receiver<Output>) {
    let (outputs, received) = mpsc::channel(1);
    (Desk::new(parked, (asked(), kept), b"1", outputs, clock.deadline()), received)
}

fn ask(desk: &Desk<'_>, id: &str, method: &str, params: &str) -> bool {
    let source = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
    let source = source.as_bytes();
    let head = envelope::outgoing(source).expect("a message");
    desk.ask(id.as_bytes(), &Message { source, head: &head, era: Era::Legacy })
}

/// What the client is told next, while the backend is answered nothing.
async fn told(desk: &Desk<'_>, received: &mut mpsc::Receiver<Output>) -> Value {
    tokio::select! {
        biased;
        reply = desk.reply() => unreachable!("{reply}"),
        output = received.recv() => match output.expect("something") {
            Output::Answer(200, answer) => serde_json::from_slice(&answer).expect("JSON"),
            other => unreachable!("{other:?}"),
        },
    }
}

/// The state and the keys of what asks.
fn required(answer: &Value) -> (String, Vec<String>) {
    let result = &answer["result"];
    let keys = result["inputRequests"].as_object().unwrap_or_else(|| unreachable!("{answer}")).keys();
    (result["requestState"].as_str().expect("a state").to_owned(), keys.cloned().collect())
}

fn back(parked: &Parked, state: &str, responses: &[(&str, &str)]) -> Result<mpsc::Receiver<Output>, ()> {
    let (outputs, received) = mpsc::channel(1);
    let responses: BTreeMap<Cow<'_, str>, &RawValue> = responses
        .iter()
        .map(|(key, response)| ((*key).into(), serde_json::from_str(response).expect("JSON")))
        .collect();
    parked.come_back(state, &asked(), &responses, outputs).map(|()| received).map_err(drop)
}

fn assert_empty(parked: &Parked) {
    assert_eq!((parked.table.waiting.len(), parked.table.bytes.load(Ordering::Relaxed)), (0, 0));
}

async fn is_left(desk: &Desk<'_>) -> bool {
    poll_fn(|cx| Poll::Ready(desk.poll_left(cx).is_ready())).await
}

#[tokio::test(start_paused = true)]
async fn when_nobody_comes_back_the_backend_is_told_and_the_call_cancelled() {
    let (parked, clock) = (Parked::default(), Clock::late(limits::PARKED_FOR * 2));
    let (desk, mut received) = desk(&parked, &clock, 100);
    for (id, method) in [("0", "elicitation/create"), (r#""r""#, "roots/list"), ("2", "sampling/createMessage")] {
        assert!(ask(&desk, id, method, "{}"));
    }
    let (state, keys) = required(&told(&desk, &mut received).await);
    assert_eq!((keys.len(), received.recv().await.is_none()), (3, true), "its connection is free again");
    assert!(!is_left(&desk).await);
    let replies = async { [desk.reply().await, desk.reply().await, desk.reply().await] };
    let replies = tokio::select! {
        () = clock.clone().run() => unreachable!("the tick never ends"),
        replies = replies => replies.map(|reply| serde_json::from_str::<Value>(&reply).expect("JSON")),
    };
    assert_eq!(replies[0], json!({ "jsonrpc": "2.0", "id": 0, "result": { "action": "cancel" } }));
    assert_eq!(replies[1], json!({ "jsonrpc": "2.0", "id": "r", "result": { "roots": [] } }));
    assert_eq!((&replies[2]["id"], &replies[2]["error"]["code"]), (&json!(2), &json!(-1)));
    assert!(is_left(&desk).await);
    assert!(back(&parked, &state, &[]).is_err());
    assert_empty(&parked);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_while_a_call_is_parked_waits_for_its_client() {
    let (parked, clock) = (Parked::default(), Clock::default());
    let (desk, mut received) = desk(&parked, &clock, 100);
    assert!(ask(&desk, "0", "roots/list", "{}"));
    let (state, keys) = required(&told(&desk, &mut received).await);
    desk.event(&[b"progress"]).await.expect("it is dropped");
    let mut answering =
        pin!(desk.answer(&Answer { status: 200, fields: "", body: &[b"an ", b"answer"], close: false }));
    assert!(tokio::time::timeout(Duration::from_secs(60), &mut answering).await.is_err());
    assert_eq!(parked.table.bytes.load(Ordering::Relaxed), 100 + "{}".len() + "an answer".len());
    let mut received = back(&parked, &state, &[(&keys[0], "{}")]).expect("it waits");
    let (answered, output) = tokio::join!(answering, received.recv());
    answered.expect("the client is there");
    assert!(matches!(output, Some(Output::Answer(200, answer)) if answer == b"an answer"));
    assert!(back(&parked, &state, &[]).is_err());
    assert_empty(&parked);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_there_is_no_room_for_is_dropped_with_its_call() {
    let (parked, clock) = (Parked::default(), Clock::default());
    let (desk, mut received) = desk(&parked, &clock, limits::PARKED_BYTES_MAX - 10);
    assert!(ask(&desk, "0", "roots/list", "{}"));
    let (state, _) = required(&told(&desk, &mut received).await);
    let body: &[&[u8]] = &[b"nine byte"];
    desk.answer(&Answer { status: 200, fields: "", body, close: false }).await.expect_err("there is room for eight");
    drop(desk);
    assert!(back(&parked, &state, &[]).is_err());
    assert_empty(&parked);
}

#[tokio::test(start_paused = true)]
async fn above_the_limits_a_question_is_an_error_that_says_what_was_sent() {
    let (parked, clock) = (Parked::default(), Clock::default());
    let (comebacks, _kept) = mpsc::channel(1);
    let all: Vec<_> = (0..limits::PARKED_CALLS_MAX).map(|_| parked.park(&asked(), &comebacks, 0)).collect();
    assert!(all.iter().all(Option::is_some));
    assert_refused(&parked, &clock, 0).await;
    drop(all);
    assert_empty(&parked);
    let half = parked.park(&asked(), &comebacks, limits::PARKED_BYTES_MAX / 2);
    assert_refused(&parked, &clock, limits::PARKED_BYTES_MAX / 2).await;
    drop(half);
    assert_empty(&parked);
}

async fn assert_refused(parked: &Parked, clock: &Clock, kept: usize) {
    let (desk, mut received) = desk(parked, clock, kept);
    assert!(ask(&desk, "0", "roots/list", "{}"));
    let reply = desk.reply().await;
    assert_eq!(reply, r#"{"jsonrpc":"2.0","id":0,"result":{"roots":[]}}"#);
    let Some(Output::Answer(200, answer)) = received.recv().await else { unreachable!("an answer") };
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    let data = json!({ "kind": "overloaded", "sent": true, "retryable": false });
    assert_eq!((&answer["id"], &answer["error"]["data"]), (&json!(1), &data));
    assert!(is_left(&desk).await, "the call ends");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_while_a_call_is_parked_its_client_hears_when_it_is_back() {
    let (parked, clock) = (Parked::default(), Clock::default());
    let (desk, mut received) = desk(&parked, &clock, 0);
    assert!(ask(&desk, "0", "roots/list", "{}"));
    let (state, keys) = required(&told(&desk, &mut received).await);
    assert!(ask(&desk, "1", "roots/list", "{}"));
    assert!(tokio::time::timeout(Duration::from_secs(60), desk.reply()).await.is_err());
    assert!(!is_left(&desk).await && parked.table.waiting.len() == 1);
    let mut received = back(&parked, &state, &[(&keys[0], "{\n\"roots\":\r[]}")]).expect("it waits");
    assert_eq!(desk.reply().await, r#"{"jsonrpc":"2.0","id":0,"result":{ "roots": []}}"#);
    let (again, further) = required(&told(&desk, &mut received).await);
    assert!(again != state && further != keys && further.len() == 1);
    assert!(back(&parked, &state, &[]).is_err(), "it was good once");
    drop(desk);
    assert_empty(&parked);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_yet_to_read_something_is_told_behind_that() {
    let (parked, clock) = (Parked::default(), Clock::default());
    let (desk, mut received) = desk(&parked, &clock, 0);
    desk.event(&[b"progress"]).await.expect("there is room");
    assert!(ask(&desk, "0", "roots/list", "{}"));
    // Meanwhile the backend says more: what waits for a reply is dropped and begun again.
    assert!(tokio::time::timeout(Duration::from_secs(60), desk.reply()).await.is_err());
    assert!(matches!(received.recv().await, Some(Output::Event(_))));
    required(&told(&desk, &mut received).await);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_what_was_taken_back_or_is_too_long() {
    let (parked, clock) = (Parked::default(), Clock::default());
    let (desk, mut received) = desk(&parked, &clock, 0);
    assert!(!ask(&desk, "0", "roots/list", &format!(r#"{{"long":"{}"}}"#, "x".repeat(limits::ANSWER_BYTES_MAX))));
    assert!(ask(&desk, "0", "roots/list", "{}"));
    desk.withdraw(b"0");
    assert!(tokio::time::timeout(Duration::from_secs(60), desk.reply()).await.is_err());
    assert!(!desk.is_asking() && received.try_recv().is_err());
    for id in 0..limits::CALL_QUESTIONS_MAX {
        assert!(ask(&desk, &id.to_string(), "roots/list", "{}"));
    }
    assert!(!ask(&desk, "99", "roots/list", "{}"));
    assert_eq!(required(&told(&desk, &mut received).await).1.len(), limits::CALL_QUESTIONS_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_it_is_asked_cancels_its_call() {
    let (parked, clock) = (Parked::default(), Clock::default());
    let (desk, received) = desk(&parked, &clock, 0);
    assert!(!is_left(&desk).await);
    drop(received);
    assert!(is_left(&desk).await);
    assert!(ask(&desk, "0", "roots/list", "{}"));
    assert!(desk.reply().await.contains("roots"));
    assert_empty(&parked);
}
