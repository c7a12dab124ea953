//! The stream of a session at a legacy HTTP backend: what comes on it, whom that reaches, and how it is kept open.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use only1mcp::{Gateway, Running};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::client::{Client, META, Request as Asked, within};
use crate::support::scripted::{Outcome, Servers, UNHURRIED, assert_serves, call, eventually};
use crate::support::server::{
    Request, Script, Server, Step, chunk, error_body, event, head, json_answer, last_chunk, legacy, modern,
    stream_head, text_body,
};

/// A server that is played: what it was asked, and what it says.
#[derive(Default)]
struct Played {
    requests: Mutex<Vec<(Instant, Request)>>,
    /// Where the stream of its session is fed.
    stream: Mutex<Option<mpsc::Sender<Step>>>,
    /// Where the answer to the call in hand is fed.
    answer: Mutex<Option<mpsc::Sender<Step>>>,
}

/// How a request for the stream is answered: how many came before it.
type Listen = fn(&Played, usize) -> Script;

// === impl Played ===

impl Played {
    /// Requests of this method, by when they came.
    fn asked(&self, method: &str) -> Vec<(Instant, Request)> {
        let requests = self.requests.lock().expect("not poisoned");
        requests.iter().filter(|(_, request)| request.method == method).cloned().collect()
    }

    /// Messages posted that are answers.
    fn answers(&self) -> Vec<Value> {
        let posts = self.asked("POST").into_iter().map(|(_, request)| request.body);
        posts.filter(|body| body["method"].is_null()).collect()
    }

    /// Messages posted with this method.
    fn said(&self, method: &str) -> Vec<Value> {
        let posts = self.asked("POST").into_iter().map(|(_, request)| request.body);
        posts.filter(|body| body["method"] == method).collect()
    }

    fn follow(feed: &Mutex<Option<mpsc::Sender<Step>>>) -> Step {
        let (steps, followed) = mpsc::channel(64);
        feed.lock().expect("not poisoned").replace(steps);
        Step::Follow(Arc::new(tokio::sync::Mutex::new(followed)))
    }

    /// Its stream, fed from here on.
    fn listened(&self) -> Script {
        vec![stream_head(), Self::follow(&self.stream)]
    }

    fn say(feed: &Mutex<Option<mpsc::Sender<Step>>>, step: Step) {
        let feed = feed.lock().expect("not poisoned").clone().expect("a request that is followed");
        feed.try_send(step).expect("it is followed");
    }

    fn says(&self, message: &str) {
        Self::say(&self.stream, chunk(event(message)));
    }
}

/// A server whose tool `held` is answered by hand, and whose sessions end with `session` of its requests.
fn played(listen: Listen) -> (Server, Arc<Played>) {
    let played = Arc::<Played>::default();
    let kept = Arc::clone(&played);
    let sessions = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let session = move || format!("session-{}", sessions.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    let greets = legacy(session, {
        let played = Arc::clone(&played);
        move |request: &Request| match (request.rpc(), request.name()) {
            ("", _) => vec![head(202, "content-length: 0\r\n")],
            (_, "held") => vec![Played::follow(&played.answer)],
            _ => vec![json_answer(200, &text_body(&request.id(), request.argument()))],
        }
    });
    let server = Server::start(move |request: &Request| {
        let (came, before) = (Instant::now(), kept.asked("GET").len());
        let script = if request.method == "GET" { listen(&kept, before) } else { greets(request) };
        // Whoever sees it here can feed it.
        kept.requests.lock().expect("not poisoned").push((came, request.clone()));
        script
    });
    (server, played)
}

/// A gateway with one worker, so that there is one session.
fn gateway(odd: &Server) -> (Running, Server) {
    let good = Server::start(modern(|request: &Request| {
        vec![json_answer(200, &text_body(&request.id(), request.argument()))]
    }));
    let builder = Gateway::<Servers>::builder().workers(1).reference("ODD_URL", odd.url());
    let gateway = builder.reference("GOOD_URL", good.url()).start().expect("the gateway starts");
    // Calls are answered by hand.
    gateway.overlay().apply(UNHURRIED).expect("a sound overlay");
    (gateway, good)
}

/// Begins a call of `held` that wants progress and logs.
async fn hold(gateway: &Running, token: &str) -> Client {
    let meta = format!(r#"{META},"progressToken":"{token}","io.modelcontextprotocol/logLevel":"info""#);
    let mut client = Client::connect(gateway.address()).await;
    client.write(&Asked::call("odd__held", "{}").edit(META, &meta).bytes()).await;
    client
}

fn progress(token: &Value, step: u32) -> String {
    json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": token, "progress": step } })
        .to_string()
}

#[tokio::test]
async fn what_comes_on_the_stream_of_a_session_reaches_the_call_it_belongs_to() {
    let (odd, played) = played(|played, _| played.listened());
    let (gateway, _good) = gateway(&odd);
    let mut client = hold(&gateway, "mine").await;
    eventually("the call and the stream", || played.said("tools/call").len() == 1 && played.asked("GET").len() == 1)
        .await;
    let id = played.said("tools/call")[0]["id"].clone();
    assert_eq!(played.said("tools/call")[0]["params"]["_meta"]["progressToken"], id);
    for message in [
        &progress(&json!(77), 1),
        &progress(&json!(id.to_string()), 2),
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
        r#"{"jsonrpc":"2.0","id":"s-1","method":"roots/list"}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#,
        "no message",
        &progress(&id, 3),
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"here"}}"#,
        &text_body(&id.to_string(), "an answer does not come here"),
    ] {
        played.says(message);
    }
    assert_eq!(client.head().await.status, 200);
    let told = client.message().await.expect("progress");
    assert_eq!(told["params"], json!({ "progressToken": "mine", "progress": 3 }), "and nothing before it");
    assert_eq!(client.message().await.expect("a log message")["params"]["data"], "here");
    eventually("two answers", || played.answers().len() == 2).await;
    let answers = played.answers();
    assert_eq!((&answers[0]["id"], &answers[0]["error"]["code"]), (&json!("s-1"), &json!(-32601)));
    assert_eq!(answers[1], json!({ "jsonrpc": "2.0", "id": 2, "result": {} }));
    Played::say(&played.answer, json_answer(200, &text_body(&id.to_string(), "done")));
    // The connection serves on.
    played.answer.lock().expect("not poisoned").take();
    assert_eq!(client.message().await.expect("an answer")["result"]["content"][0]["text"], "done");

    let (_, get) = &played.asked("GET")[0];
    assert_eq!(
        (get.field("mcp-session-id"), get.field("mcp-protocol-version")),
        (Some("session-0"), Some("2025-11-25"))
    );
    assert_eq!((get.field("accept"), get.field("last-event-id")), (Some("text/event-stream"), None));
    assert_eq!(get.text, "");
    assert_serves(gateway.address(), "odd").await;
    assert_eq!(played.asked("GET").len(), 1, "one stream, however many calls");
}

#[tokio::test]
async fn a_message_for_no_call_in_particular_goes_to_none_of_several() {
    let (odd, played) = played(|played, _| played.listened());
    let (gateway, _good) = gateway(&odd);
    let mut first = hold(&gateway, "first").await;
    eventually("the call and the stream", || played.said("tools/call").len() == 1 && played.asked("GET").len() == 1)
        .await;
    let answer = played.answer.lock().expect("not poisoned").clone().expect("the first call");
    let mut second = hold(&gateway, "second").await;
    eventually("the other call", || played.said("tools/call").len() == 2).await;
    let ids: Vec<Value> = played.said("tools/call").iter().map(|call| call["id"].clone()).collect();
    played.says(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"whose?"}}"#);
    played.says(&progress(&ids[1], 1));
    played.says(&progress(&ids[0], 2));
    for (client, token, step) in [(&mut first, "first", 2), (&mut second, "second", 1)] {
        assert_eq!(client.head().await.status, 200);
        let told = client.message().await.expect("progress");
        assert_eq!(told["params"], json!({ "progressToken": token, "progress": step }));
    }
    answer.try_send(json_answer(200, &text_body(&ids[0].to_string(), "one"))).expect("it is followed");
    Played::say(&played.answer, json_answer(200, &text_body(&ids[1].to_string(), "two")));
    assert_eq!(first.message().await.expect("an answer")["result"]["content"][0]["text"], "one");
    assert_eq!(second.message().await.expect("an answer")["result"]["content"][0]["text"], "two");
}

#[tokio::test]
async fn a_server_without_such_a_stream_is_asked_once() {
    let statuses: [Listen; 4] = [
        |_, _| vec![head(405, "content-length: 0\r\n")],
        |_, _| vec![json_answer(400, &error_body("null", -32000))],
        |_, _| vec![json_answer(200, "{}")],
        |_, _| vec![head(302, "location: /elsewhere\r\ncontent-length: 0\r\n")],
    ];
    for listen in statuses {
        let (odd, played) = played(listen);
        let (gateway, _good) = gateway(&odd);
        for _ in 0..3 {
            assert_serves(gateway.address(), "odd").await;
        }
        eventually("a request for the stream", || played.asked("GET").len() == 1).await;
        // Longer than the first pause before another attempt.
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(played.asked("GET").len(), 1);
        assert_serves(gateway.address(), "odd").await;
    }
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again_behind_its_last_event_after_the_time_asked_for() {
    let (odd, played) = played(|played, before| match before {
        0 => {
            let first = "id: e-1\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
            vec![stream_head(), chunk(first), chunk("retry: 300\n\nid: e-3\ndata: {\"cut"), Step::Close]
        }
        // Not yet, and another time without a word.
        1 => vec![head(503, "content-length: 0\r\n")],
        2 => vec![Step::Close],
        _ => played.listened(),
    });
    let (gateway, _good) = gateway(&odd);
    assert_serves(gateway.address(), "odd").await;
    eventually("four attempts", || played.asked("GET").len() == 4).await;
    let asked = played.asked("GET");
    for pair in asked.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= Duration::from_millis(300), "{:?}", pair[1].0 - pair[0].0);
    }
    // What was cut off did not come.
    let ids: Vec<_> = asked.iter().map(|(_, get)| get.field("last-event-id")).collect();
    assert_eq!(ids, [None, Some("e-1"), Some("e-1"), Some("e-1")]);
    played.says(r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#);
    eventually("an answer", || played.answers().len() == 1).await;
    // It goes with the gateway, as its session does.
    gateway.stop();
    assert_eq!(played.asked("DELETE").len(), 1);
}

#[tokio::test]
async fn a_session_whose_stream_is_not_known_is_over_before_the_next_call() {
    let (odd, played) = played(|played, before| match before {
        0 => vec![stream_head(), last_chunk()],
        1 => vec![head(404, "content-length: 0\r\n")],
        _ => played.listened(),
    });
    let (gateway, _good) = gateway(&odd);
    assert_serves(gateway.address(), "odd").await;
    eventually("two attempts", || played.asked("GET").len() == 2).await;
    // The gateway may not have read yet that the session is not known.
    let another = async {
        while played.asked("GET").len() < 3 {
            assert_serves(gateway.address(), "odd").await;
        }
    };
    within("a stream of another session", another).await;
    assert_eq!(played.asked("GET")[2].1.field("mcp-session-id"), Some("session-1"));
    assert_eq!(played.said("initialize").len(), 2);
}

#[tokio::test]
async fn a_stream_that_breaks_the_rules_costs_no_call() {
    let misdeeds: [Listen; 3] = [
        |_, _| {
            let part = chunk(vec![b'x'; 1 << 20]);
            [stream_head(), chunk("data: ")].into_iter().chain(vec![part; 5]).collect()
        },
        |_, _| vec![stream_head(), chunk("data: no message\n\n".repeat(1000))],
        |_, _| vec![stream_head(), Step::Write(b"no chunk\r\n".to_vec())],
    ];
    for misdeed in misdeeds {
        let (odd, played) = played(misdeed);
        let (gateway, _good) = gateway(&odd);
        assert_serves(gateway.address(), "odd").await;
        eventually("a request for the stream", || !played.asked("GET").is_empty()).await;
        for _ in 0..10 {
            assert_eq!(call(gateway.address(), "odd__echo", "x").await, Outcome::Text("x".to_owned()));
        }
        assert_eq!(played.asked("GET").len(), 1, "it is not asked for another one");
    }
}

/// MCP 2025-11-25, streamable HTTP: a disconnect is no cancellation.
#[tokio::test]
async fn a_modern_client_that_leaves_has_its_call_cancelled_at_a_legacy_server() {
    let (odd, played) = played(|_, _| vec![head(405, "content-length: 0\r\n")]);
    let (gateway, _good) = gateway(&odd);
    assert_serves(gateway.address(), "odd").await;
    let leaving = hold(&gateway, "mine").await;
    eventually("the call", || played.said("tools/call").iter().any(|call| call["params"]["name"] == "held")).await;
    drop(leaving);
    eventually("a cancellation", || played.said("notifications/cancelled").len() == 1).await;
    let id = played.said("tools/call").last().expect("the call")["id"].clone();
    assert_eq!(played.said("notifications/cancelled")[0]["params"], json!({ "requestId": id }));
    // So is one whose time is over; one that was answered is not.
    gateway.overlay().apply("{}").expect("a sound overlay");
    assert_eq!(call(gateway.address(), "odd__held", "x").await, Outcome::failed("upstream_timeout", true));
    eventually("another cancellation", || played.said("notifications/cancelled").len() == 2).await;
    assert_serves(gateway.address(), "odd").await;
    gateway.stop();
    assert_eq!(played.said("notifications/cancelled").len(), 2);
}
