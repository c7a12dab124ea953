//! A backend over HTTP+SSE: everything it says comes on one stream, everything it is told is posted.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use only1mcp::{Gateway, Running, limits};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::client::{Client, META, Request as Asked};
use crate::support::scripted::{Outcome, assert_serves, call, eventually, unhurried};
use crate::support::server::{
    Request, Script, Server, Step, chunk, event, head, json_answer, modern, result_body, stream_head, telling,
    text_body,
};

only1mcp::topology!(pub(crate) Old = "tests/gateway/topologies/legacy_sse.yaml");

/// What a played server was asked, and the streams it has.
#[derive(Default)]
pub(crate) struct Played {
    streams: Mutex<HashMap<String, mpsc::Sender<Step>>>,
    opened: AtomicUsize,
    requests: Mutex<Vec<Request>>,
}

/// The stream that a message was posted to.
#[derive(Clone)]
pub(crate) struct Stream {
    steps: mpsc::Sender<Step>,
}

/// How messages beside the handshake are answered: with what status, and what is said on the stream.
pub(crate) type Play = fn(&Request, &Stream) -> Script;

// === impl Played ===

impl Played {
    /// The bodies of the messages with this method.
    pub(crate) fn said(&self, method: &str) -> Vec<Value> {
        let requests = self.requests();
        let posts = requests.iter().filter(|request| request.method == "POST");
        posts.filter(|request| request.rpc() == method).map(|request| request.body.clone()).collect()
    }

    /// Every request, streams included.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("not poisoned").clone()
    }

    fn open(&self, request: &Request) -> Script {
        self.requests.lock().expect("not poisoned").push(request.clone());
        let (steps, followed) = mpsc::channel(1024);
        let id = self.opened.fetch_add(1, Ordering::SeqCst).to_string();
        let endpoint = format!("event: endpoint\ndata: /messages?sessionId={id}\n\n");
        self.streams.lock().expect("not poisoned").insert(id, steps);
        vec![stream_head(), chunk(endpoint), Step::Follow(Arc::new(tokio::sync::Mutex::new(followed)))]
    }

    fn message(&self, request: &Request, play: Play) -> Script {
        assert_eq!(request.method, "POST");
        let id = request.target.strip_prefix("/messages?sessionId=").expect("where the stream said").to_owned();
        self.requests.lock().expect("not poisoned").push(request.clone());
        let steps = self.streams.lock().expect("not poisoned").get(&id).cloned();
        let Some(steps) = steps.filter(|steps| !steps.is_closed()) else { return vec![status(404)] };
        let stream = Stream { steps };
        match request.rpc() {
            "initialize" => {
                let result = json!({
                    "protocolVersion": "2024-11-05",
                    "capabilities": telling(),
                    "serverInfo": { "name": "old", "version": "1" },
                });
                stream.say(&result_body(&request.id(), &result));
                accepted()
            }
            "notifications/initialized" | "notifications/cancelled" | "" => accepted(),
            _ => play(request, &stream),
        }
    }
}

// === impl Stream ===

impl Stream {
    pub(crate) fn say(&self, message: &str) {
        self.send(chunk(event(message)));
    }

    pub(crate) fn send(&self, step: Step) {
        self.steps.try_send(step).expect("the stream is followed");
    }
}

fn status(status: u16) -> Step {
    head(status, "content-length: 0\r\n")
}

pub(crate) fn accepted() -> Script {
    vec![status(202)]
}

/// Says what it was given.
pub(crate) fn echo(request: &Request, stream: &Stream) -> Script {
    stream.say(&text_body(&request.id(), request.argument()));
    accepted()
}

/// A server that is played, and what it was asked.
pub(crate) fn old(play: Play) -> (Server, Arc<Played>) {
    let played = Arc::<Played>::default();
    let of_script = Arc::clone(&played);
    let server = Server::start(move |request| match request.method.as_str() {
        "GET" => of_script.open(request),
        _ => of_script.message(request, play),
    });
    (server, played)
}

fn good() -> Server {
    Server::start(modern(|request: &Request| vec![json_answer(200, &text_body(&request.id(), request.argument()))]))
}

/// In front of one that is old and one that is not.
pub(crate) fn gateway(odd: &Server, good: &Server) -> Running {
    // One worker, so that there is one stream.
    let builder = Gateway::<Old>::builder().workers(1);
    builder.reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url()).start().expect("the gateway starts")
}

fn ok(text: &str) -> Outcome {
    Outcome::Text(text.to_owned())
}

#[tokio::test]
async fn a_server_is_greeted_once_and_serves_many_calls_on_one_stream() {
    // Answered in pairs, the later one first.
    static HELD: Mutex<Option<String>> = Mutex::new(None);
    let (odd, played) = old(|request, stream| {
        let answer = text_body(&request.id(), request.argument());
        let mut held = HELD.lock().expect("not poisoned");
        match held.take() {
            Some(earlier) => {
                stream.say(&answer);
                stream.say(&earlier);
            }
            None => *held = Some(answer),
        }
        accepted()
    });
    let good = good();
    let gateway = gateway(&odd, &good);
    unhurried(&gateway);
    let address = gateway.address();
    let calls =
        (0..64).map(|own| tokio::spawn(async move { (own, call(address, "odd__echo", &own.to_string()).await) }));
    let calls: Vec<_> = calls.collect();
    for outcome in calls {
        let (own, outcome) = outcome.await.expect("it does not panic");
        assert_eq!(outcome, ok(&own.to_string()));
    }
    assert_eq!(played.opened.load(Ordering::SeqCst), 1);
    assert_eq!(played.said("tools/call").len(), 64);
    let requests =
        played.requests.lock().expect("not poisoned").iter().map(|one| one.rpc().to_owned()).collect::<Vec<_>>();
    // The first one asks for the stream.
    assert_eq!(requests[..3], ["", "initialize", "notifications/initialized"]);
    assert!(requests[3..].iter().all(|method| method == "tools/call"));
}

#[tokio::test]
async fn every_worker_has_a_stream_of_its_own() {
    let ((odd, played), good) = (old(echo), good());
    let builder = Gateway::<Old>::builder().workers(2);
    let gateway = builder.reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url()).start().expect("it starts");
    unhurried(&gateway);
    for own in 0..40 {
        assert_eq!(call(gateway.address(), "odd__echo", &own.to_string()).await, ok(&own.to_string()));
    }
    // Each of so many connections reaches one of the two by chance.
    assert_eq!((played.opened.load(Ordering::SeqCst), played.said("initialize").len()), (2, 2));
}

#[tokio::test]
async fn events_are_the_same_however_their_bytes_come() {
    let (odd, _) = old(|request, stream| {
        let answer = text_body(&request.id(), request.argument());
        let body = match request.name() {
            "line_ends" => format!(": hello\r\n\rid: 7\r\nevent: message\rdata: {answer}\r\n\n"),
            "returns" => format!("data: {answer}\r\r"),
            "two_lines" => format!("data: {}\n\n", answer.replace(",\"result\"", ",\ndata: \"result\"")),
            "other_events" => {
                format!("event: other\ndata: {answer}\n\nevent: endpoint\ndata: //evil/\n\n{}", event(&answer))
            }
            "comments" => ": flood\n".repeat(100_000) + &event(&answer),
            "twice" => event(&answer) + &event(&text_body(&request.id(), "second")),
            "strays" => event("garbage") + &event(&text_body("1000000", "another's")) + &event("[]") + &event(&answer),
            _ => {
                let body = event(&answer);
                let at: usize = request.argument().parse().unwrap_or_default();
                let (before, after) = body.as_bytes().split_at(at.min(body.len()));
                for part in [before, after].into_iter().filter(|part| !part.is_empty()) {
                    stream.send(chunk(part));
                    stream.send(Step::Pause(Duration::from_millis(1)));
                }
                return accepted();
            }
        };
        stream.send(chunk(body));
        accepted()
    });
    let good = good();
    let gateway = gateway(&odd, &good);
    unhurried(&gateway);
    for tool in ["line_ends", "returns", "two_lines", "other_events", "comments", "twice", "strays"] {
        assert_eq!(call(gateway.address(), &format!("odd__{tool}"), tool).await, ok(tool));
    }
    for at in 0..130 {
        let own = format!("{at:03}");
        assert_eq!(call(gateway.address(), "odd__cut", &own).await, ok(&own));
    }
}

/// Opens a stream with these bytes, where `ID` stands for its session.
fn opening(bytes: &'static str) -> (Server, Arc<Played>) {
    let played = Arc::<Played>::default();
    let of_script = Arc::clone(&played);
    let server = Server::start(move |request| match request.method.as_str() {
        "GET" => {
            let mut script = of_script.open(request);
            script[1] = chunk(bytes);
            script
        }
        _ => of_script.message(request, echo),
    });
    (server, played)
}

#[tokio::test]
async fn the_endpoint_event_is_found_whatever_its_lines_and_its_form() {
    for bytes in [
        "\u{feff}event: endpoint\r\ndata: /messages?sessionId=0\r\n\r\n",
        ": welcome\r\revent:endpoint\rdata:/messages?sessionId=0\r\r",
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\nevent: endpoint\ndata: messages?sessionId=0\n\n",
        "event: endpoint\ndata: ../x/../messages?sessionId=0#top\n\n",
    ] {
        let ((odd, _), good) = (opening(bytes), good());
        let gateway = gateway(&odd, &good);
        unhurried(&gateway);
        assert_eq!(call(gateway.address(), "odd__echo", "x").await, ok("x"), "{bytes:?}");
    }
}

#[tokio::test]
async fn an_endpoint_of_another_origin_is_refused_and_gets_no_request() {
    let foreign = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&foreign);
    let elsewhere = Server::start(move |_request: &Request| {
        counted.fetch_add(1, Ordering::SeqCst);
        accepted()
    });
    let good = good();
    let other = elsewhere.address();
    for reference in
        [format!("http://{other}/messages"), format!("//{other}/messages"), "//evil".to_owned(), "/a b".to_owned()]
    {
        let said = reference.clone();
        let posts = Arc::new(AtomicUsize::new(0));
        let posted = Arc::clone(&posts);
        let odd = Server::start(move |request: &Request| {
            if request.method == "GET" {
                return vec![stream_head(), chunk(format!("event: endpoint\ndata: {said}\n\n"))];
            }
            posted.fetch_add(1, Ordering::SeqCst);
            accepted()
        });
        let gateway = gateway(&odd, &good);
        let outcome = call(gateway.address(), "odd__echo", "x").await;
        assert_eq!(outcome, Outcome::failed("upstream_protocol_error", false), "{reference}");
        assert_serves(gateway.address(), "good").await;
        assert_eq!((foreign.load(Ordering::SeqCst), posts.load(Ordering::SeqCst)), (0, 0));
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_greeted_was_sent_nothing() {
    type Greeted = fn(&Request) -> Script;
    let scripts: [(Greeted, _); 6] = [
        (|_| vec![Step::Close], "upstream_unavailable"),
        (|_| vec![status(401)], "upstream_auth"),
        (|_| vec![status(404)], "upstream_protocol_error"),
        (|_| vec![json_answer(200, "{}")], "upstream_protocol_error"),
        // It never says where to post.
        (|_| vec![stream_head(), chunk(": quiet\n\n")], "upstream_unavailable"),
        (|_| vec![stream_head(), Step::Close], "upstream_unavailable"),
    ];
    let good = good();
    for (script, kind) in scripts {
        let odd = Server::start(script);
        let gateway = gateway(&odd, &good);
        assert_eq!(call(gateway.address(), "odd__echo", "x").await, Outcome::failed(kind, false));
        assert_serves(gateway.address(), "good").await;
    }
}

#[tokio::test]
async fn a_message_that_is_not_accepted_was_not_sent_and_one_that_may_be_is_not_repeated() {
    let (odd, played) = old(|request, stream| match request.name() {
        "gone" => vec![status(404)],
        "busy" => vec![status(503)],
        "bad" => vec![status(400)],
        "moved" => vec![head(307, "location: /elsewhere\r\ncontent-length: 0\r\n")],
        "forbidden" => vec![status(403)],
        "broken" => vec![status(500)],
        "closes" => vec![Step::Close],
        "silent" => accepted(),
        "late" => {
            stream.say(&text_body(&request.id(), "before it is accepted"));
            vec![Step::Pause(Duration::from_millis(50)), status(202)]
        }
        "ends" => {
            stream.send(Step::Close);
            accepted()
        }
        "huge" => {
            let part = chunk(vec![b'x'; 1 << 20]);
            stream.send(chunk("data: "));
            (0..=limits::EVENT_BYTES_MAX / (1 << 20)).for_each(|_| stream.send(part.clone()));
            accepted()
        }
        "babbles" => {
            (0..=limits::BANNER_LINES_MAX).for_each(|_| stream.say("garbage"));
            accepted()
        }
        "no_result" => {
            stream.say(&format!(r#"{{"jsonrpc":"2.0","id":{}}}"#, request.id()));
            accepted()
        }
        _ => echo(request, stream),
    });
    let good = good();
    let gateway = gateway(&odd, &good);
    let mut calls = 0;
    for (tool, outcome) in [
        ("gone", Outcome::failed("upstream_unavailable", false)),
        ("busy", Outcome::failed("upstream_unavailable", false)),
        ("bad", Outcome::failed("upstream_protocol_error", false)),
        ("moved", Outcome::failed("upstream_protocol_error", false)),
        ("forbidden", Outcome::failed("upstream_auth", false)),
        ("broken", Outcome::failed("upstream_protocol_error", true)),
        ("closes", Outcome::failed("outcome_unknown", true)),
        ("silent", Outcome::failed("upstream_timeout", true)),
        ("late", ok("before it is accepted")),
        ("ends", Outcome::failed("outcome_unknown", true)),
        ("huge", Outcome::failed("upstream_response_too_large", true)),
        ("babbles", Outcome::failed("upstream_protocol_error", true)),
        ("no_result", Outcome::failed("upstream_protocol_error", true)),
    ] {
        match tool {
            "silent" => drop(gateway.overlay().apply("{}").expect("a sound overlay")),
            _ => unhurried(&gateway),
        }
        assert_eq!(call(gateway.address(), &format!("odd__{tool}"), "x").await, outcome, "{tool}");
        assert_serves(gateway.address(), "good").await;
        assert_serves(gateway.address(), "odd").await;
        let own = played.said("tools/call").iter().filter(|said| said["params"]["name"] == tool).count();
        assert_eq!(own, 1, "{tool} was posted once");
        calls += 1;
    }
    assert_eq!(calls, 13);
    // Four of them cost the stream: the others went on with the one there was.
    assert_eq!(played.opened.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_stream_that_ends_costs_the_calls_on_it_and_is_opened_again() {
    let (odd, played) = old(|request, stream| match request.name() {
        "held" => accepted(),
        "ends" => {
            stream.send(Step::Close);
            accepted()
        }
        _ => echo(request, stream),
    });
    let good = good();
    let gateway = gateway(&odd, &good);
    let address = gateway.address();
    for round in 1..=3 {
        let held =
            (0..8).map(|_| tokio::spawn(async move { call(address, "odd__held", "x").await })).collect::<Vec<_>>();
        eventually("calls", || {
            played.said("tools/call").iter().filter(|said| said["params"]["name"] == "held").count() == 8 * round
        })
        .await;
        assert_eq!(call(address, "odd__ends", "x").await, Outcome::failed("outcome_unknown", true));
        for held in held {
            assert_eq!(held.await.expect("it does not panic"), Outcome::failed("outcome_unknown", true));
        }
        assert_serves(address, "odd").await;
        assert_eq!(played.opened.load(Ordering::SeqCst), round + 1);
    }
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let ((odd, _), good) = (old(echo), good());
    let (address, url) = (odd.address(), odd.url());
    let builder = Gateway::<Old>::builder().workers(1);
    let gateway = builder.reference("ODD_URL", url).reference("GOOD_URL", good.url()).start().expect("it starts");
    assert_serves(gateway.address(), "odd").await;
    drop(odd);
    let outcome = call(gateway.address(), "odd__echo", "x").await;
    assert!(matches!(&outcome, Outcome::Failed(kind, false) if kind == "upstream_unavailable"), "{outcome:?}");
    let played = Arc::<Played>::default();
    let _odd = Server::start_at(address, None, move |request: &Request| match request.method.as_str() {
        "GET" => played.open(request),
        _ => played.message(request, echo),
    });
    assert_serves(gateway.address(), "odd").await;
}

#[tokio::test]
async fn progress_reaches_its_call_and_a_call_given_up_is_cancelled() {
    let (odd, played) = old(|request, stream| {
        let progress = |token: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
            )
        };
        stream.say(&progress("77"));
        stream.say(&progress(&request.body["params"]["_meta"]["progressToken"].to_string()));
        if request.name() != "held" {
            stream.say(&text_body(&request.id(), request.argument()));
        }
        accepted()
    });
    let good = good();
    let gateway = gateway(&odd, &good);
    unhurried(&gateway);
    let tracked = |tool: &str, token: &str| {
        Asked::call(tool, r#"{"text":"x"}"#).edit(META, &format!(r#"{META},"progressToken":"{token}""#))
    };
    let mut held = Client::connect(gateway.address()).await;
    held.write(&tracked("odd__held", "first").bytes()).await;
    assert_eq!(held.head().await.status, 200);
    assert_eq!(held.message().await.expect("progress")["params"]["progressToken"], "first");
    let mut other = Client::connect(gateway.address()).await;
    other.write(&tracked("odd__echo", "second").bytes()).await;
    assert_eq!(other.head().await.status, 200);
    assert_eq!(other.message().await.expect("progress")["params"]["progressToken"], "second");
    assert_eq!(other.message().await.expect("an answer")["result"]["content"][0]["text"], "x");
    assert_eq!(other.message().await, None);
    assert_eq!(played.said("notifications/cancelled"), [] as [Value; 0]);
    drop(held);
    eventually("a cancellation", || !played.said("notifications/cancelled").is_empty()).await;
    let (calls, cancelled) = (played.said("tools/call"), played.said("notifications/cancelled"));
    assert_eq!((&cancelled[0]["params"]["requestId"], cancelled.len()), (&calls[0]["id"], 1));
    assert_eq!(played.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn requests_of_a_server_are_answered_by_the_gateway() {
    let (odd, played) = old(|request, stream| {
        stream.say(r#"{"jsonrpc":"2.0","id":"s-1","method":"ping"}"#);
        stream.say(r#"{"jsonrpc":"2.0","id":2,"method":"roots/list"}"#);
        echo(request, stream)
    });
    let good = good();
    let gateway = gateway(&odd, &good);
    assert_eq!(call(gateway.address(), "odd__asks", "x").await, ok("x"));
    eventually("two answers", || played.said("").len() == 2).await;
    let replies = played.said("");
    assert_eq!(replies[0], json!({ "jsonrpc": "2.0", "id": "s-1", "result": {} }));
    assert_eq!((&replies[1]["id"], &replies[1]["error"]["code"]), (&json!(2), &json!(-32601)));
}

#[tokio::test]
async fn a_stream_does_not_hold_up_the_gateways_end() {
    let ((odd, _), good) = (old(echo), good());
    let gateway = gateway(&odd, &good);
    assert_serves(gateway.address(), "odd").await;
    let began = std::time::Instant::now();
    gateway.stop();
    assert!(began.elapsed() < limits::DRAIN_GRACE / 2, "{:?}", began.elapsed());
}
