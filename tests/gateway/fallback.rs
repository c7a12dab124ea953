//! Fallbacks: which calls they take over, which they must not, and how long all of that may take.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use only1mcp::{Gateway, Running};
use serde_json::json;
use tokio::sync::mpsc;

use crate::admin;
use crate::legacy;
use crate::support::client::{Client, META, PATIENCE, Request, within};
use crate::support::recorder::{Post, Recorder, Wire};
use crate::support::scripted::{Outcome, call, eventually};
use crate::support::server::{
    self, Counted, Script, Server, Step, chunk, error_body, event, head, json_answer, nowhere, result_body,
    stream_head, text_body,
};
use crate::teams;

only1mcp::topology!(Fallback = "tests/gateway/topologies/fallback.yaml");

/// A server whose accept queue is full, so that no connection to it comes up, and who waits in it.
fn full() -> (socket2::Socket, Vec<TcpStream>) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    listener.listen(0).expect("a listener");
    let address = address_of(&listener);
    let waiting = std::iter::from_fn(|| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok());
    let waiting: Vec<TcpStream> = waiting.take(64).collect();
    assert!(waiting.len() < 64, "the queue has an end");
    (listener, waiting)
}

fn address_of(listener: &socket2::Socket) -> SocketAddr {
    listener.local_addr().expect("bound").as_socket().expect("an address of IP")
}

/// A gateway in front of `first` and `second`; the others are down.
fn gateway(first: &str, second: &str) -> Running {
    builder(first, second).start().expect("the gateway starts")
}

fn builder(first: &str, second: &str) -> only1mcp::Builder<Fallback> {
    let builder = Gateway::<Fallback>::builder().workers(1).admin_address("127.0.0.1:0");
    let builder = builder.reference("ZERO_URL", nowhere()).reference("THIRD_URL", nowhere());
    builder.reference("FIRST_URL", first).reference("SECOND_URL", second)
}

fn overlay(text: &str) -> only1mcp_model::overlay::Overlay {
    let source = only1mcp_model::Source { path: "overlay.yaml".to_owned(), text: text.to_owned() };
    only1mcp_model::overlay::load(&source, <Fallback as only1mcp::catalog::Topology>::SPEC.compiled()).expect("sound")
}

/// How many calls of a backend came to this.
async fn counted(gateway: &Running, backend: &str, outcome: &str) -> Option<f64> {
    let samples = admin::samples(gateway.admin_address().expect("there is an admin listener")).await;
    samples.get(&format!("only1mcp_calls_total{{backend=\"{backend}\",outcome=\"{outcome}\"}}")).copied()
}

/// Waits until so many calls of a backend came to this.
async fn until_counted(gateway: &Running, backend: &str, outcome: &str, count: f64) {
    within(outcome, async { while counted(gateway, backend, outcome).await != Some(count) {} }).await;
}

/// Takes the call and breaks off.
fn lost(_: &server::Request) -> Script {
    vec![Step::Close]
}

fn unavailable() -> Outcome {
    Outcome::failed("upstream_unavailable", false)
}

#[tokio::test]
async fn a_backend_that_is_down_has_its_calls_taken_over_whatever_they_do() {
    let second = Counted::answering("second");
    let gateway = gateway(&nowhere(), &second.server.url());
    for tool in ["read", "set", "write"] {
        assert_eq!(call(gateway.address(), &format!("first__{tool}"), "x").await, Outcome::Text("second".to_owned()));
    }
    assert_eq!(second.calls(), 3);
}

#[tokio::test]
async fn prompts_resources_and_what_a_template_leads_to_are_taken_over_too() {
    let second = Counted::start(|request| {
        let asked = request.body["params"]["uri"].as_str().unwrap_or(request.name());
        vec![json_answer(200, &result_body(&request.id(), &json!({ "resultType": "complete", "asked": asked })))]
    });
    let gateway = gateway(&nowhere(), &second.server.url());
    for (method, key, name, asked) in [
        ("prompts/get", "name", "first__greet", "greet"),
        ("resources/read", "uri", "docs://one", "docs://one"),
        ("resources/read", "uri", "docs://all/7", "docs://all/7"),
    ] {
        let request = Request::modern(method, Some(name), &format!(r#""{key}":"{name}""#));
        let answer = Client::ask(gateway.address(), &request).await;
        assert_eq!(answer.json()["result"]["asked"], asked, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_call_that_was_sent_and_lost_is_repeated_only_where_that_does_no_harm() {
    let (first, second) = (Counted::start(lost), Counted::answering("second"));
    let gateway = gateway(&first.server.url(), &second.server.url());
    let outcome = call(gateway.address(), "first__write", "x").await;
    assert_eq!(outcome, Outcome::failed("outcome_unknown", true));
    assert_eq!((first.calls(), second.calls()), (1, 0));
    for (turn, tool) in [(1, "read"), (2, "set")] {
        let outcome = call(gateway.address(), &format!("first__{tool}"), "x").await;
        assert_eq!(outcome, Outcome::Text("second".to_owned()), "{tool}");
        assert_eq!((first.calls(), second.calls()), (1 + turn, turn));
    }
}

#[tokio::test]
async fn a_status_without_a_message_is_no_answer() {
    let first = Counted::start(|_| vec![head(503, "content-length: 0\r\n")]);
    let second = Counted::answering("second");
    let gateway = gateway(&first.server.url(), &second.server.url());
    assert_eq!(call(gateway.address(), "first__read", "x").await, Outcome::Text("second".to_owned()));
    let outcome = call(gateway.address(), "first__write", "x").await;
    assert_eq!(outcome, Outcome::failed("upstream_protocol_error", true));
    assert_eq!((first.calls(), second.calls()), (2, 1));
}

#[tokio::test]
async fn what_a_backend_answers_is_its_answer() {
    let first = Counted::start(|request| {
        let id = request.id();
        let failed = json!({ "isError": true, "content": [{ "type": "text", "text": "no" }] });
        vec![match request.argument() {
            "error" => json_answer(200, &error_body(&id, -32050)),
            "400" => json_answer(400, &error_body(&id, -32602)),
            _ => json_answer(200, &result_body(&id, &failed)),
        }]
    });
    let second = Counted::answering("second");
    let gateway = gateway(&first.server.url(), &second.server.url());
    for (text, expected) in
        [("error", Outcome::Error(-32050)), ("400", Outcome::Error(-32602)), ("failed", Outcome::Text("no".to_owned()))]
    {
        assert_eq!(call(gateway.address(), "first__read", text).await, expected, "{text}");
    }
    // A mistake of the client reaches nobody.
    let wrong = Request::call("first__read", "[]");
    assert_eq!(Client::ask(gateway.address(), &wrong).await.code(), Some(-32602));
    assert_eq!((first.calls(), second.calls()), (3, 0));
}

#[tokio::test]
async fn only_a_backend_with_the_same_upstream_name_takes_over_and_only_directly() {
    let second = Counted::answering("second");
    let gateway = gateway(&nowhere(), &second.server.url());
    // Nobody else has it, nobody knows who has it, and fallbacks of a fallback are not followed.
    for tool in ["first__only", "first__unlisted_tool", "zero__read"] {
        assert_eq!(call(gateway.address(), tool, "x").await, unavailable(), "{tool}");
    }
    assert_eq!(second.calls(), 0);
    assert_eq!(call(gateway.address(), "second__write_here", "x").await, Outcome::Text("second".to_owned()));
}

#[tokio::test]
async fn where_everyone_fails_the_client_learns_what_may_have_been_executed() {
    let gateway = gateway(&nowhere(), &nowhere());
    assert_eq!(call(gateway.address(), "first__read", "x").await, unavailable());
    let first = Counted::start(lost);
    let gateway = self::gateway(&first.server.url(), &nowhere());
    let outcome = call(gateway.address(), "first__read", "x").await;
    assert_eq!(outcome, Outcome::failed("outcome_unknown", true));
    assert_eq!(first.calls(), 1);
}

#[tokio::test]
async fn all_attempts_share_the_deadline_of_the_call() {
    let slow = || Counted::start(|_| vec![Step::Pause(PATIENCE), Step::Close]);
    let (first, second) = (slow(), Counted::answering("second"));
    let timed_out = Outcome::failed("upstream_timeout", true);
    let builder = |first: &Counted, second: &Counted, timeout: &str| {
        let times = overlay(&format!("backends: {{ first: {{ timeout: {timeout} }} }}"));
        self::builder(&first.server.url(), &second.server.url()).overlay(times)
    };
    let waiting = builder(&first, &second, "4s").start().expect("it starts");
    let began = Instant::now();
    assert_eq!(call(waiting.address(), "first__read", "x").await, timed_out);
    assert_eq!((first.calls(), second.calls()), (1, 0));
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());

    let half = Counted::start(|_| vec![Step::Pause(Duration::from_secs(6)), Step::Close]);
    let second = slow();
    let failing = builder(&half, &second, "12s").start().expect("it starts");
    let began = Instant::now();
    assert_eq!(call(failing.address(), "first__read", "x").await, timed_out);
    assert_eq!((half.calls(), second.calls()), (1, 1));
    // A second timeout of its own would end at 18 s.
    assert!(began.elapsed() < Duration::from_secs(18), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_that_does_not_come_up_is_given_up_after_the_connect_timeout() {
    let ((listener, _waiting), second) = (full(), Counted::answering("second"));
    // Its share of the call would be 20 s.
    let gateway = gateway(&format!("http://{}/mcp", address_of(&listener)), &second.server.url());
    let began = Instant::now();
    assert_eq!(call(gateway.address(), "first__write", "x").await, Outcome::Text("second".to_owned()));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test]
async fn a_backend_that_the_overlay_disables_has_its_calls_taken_over() {
    let (first, second) = (Counted::answering("first"), Counted::answering("second"));
    let one =
        builder(&first.server.url(), &second.server.url()).overlay(overlay("backends: { first: { disabled: true } }"));
    let one = one.start().expect("the gateway starts");
    assert_eq!(call(one.address(), "first__write", "x").await, Outcome::Text("second".to_owned()));
    let both = "backends: { first: { disabled: true }, second: { disabled: true } }";
    let both = builder(&first.server.url(), &second.server.url()).overlay(overlay(both)).start().expect("it starts");
    assert_eq!(call(both.address(), "first__write", "x").await, unavailable());
    assert_eq!((first.calls(), second.calls()), (0, 1));
}

#[tokio::test]
async fn a_backend_that_does_not_get_ready_leaves_the_others_their_share() {
    let hour = Duration::from_secs(3600);
    let silent = Server::start(move |_| vec![Step::Pause(hour)]);
    let ((listener, _waiting), second) = (full(), Counted::answering("second"));
    let full = format!("http://{}/mcp", address_of(&listener));
    // `zero` has the connect timeout that nobody chose, which is longer than its calls may take.
    let gateway = builder(&silent.url(), &second.server.url()).reference("ZERO_URL", full);
    let times = "backends: { zero: { timeout: 1s }, first: { timeout: 6s }, child: { timeout: 6s } }";
    let gateway = gateway.overlay(overlay(times)).start().expect("the gateway starts");
    for (turn, tool) in ["first__write", "child__write"].into_iter().enumerate() {
        assert_eq!(call(gateway.address(), tool, "x").await, Outcome::Text("second".to_owned()), "{tool}");
        assert_eq!(second.calls(), turn + 1, "{tool}");
    }
    // Its only fallback is silent as well, and has what is left of the second.
    let began = Instant::now();
    assert_eq!(call(gateway.address(), "zero__read", "x").await, unavailable());
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    until_counted(&gateway, "first", "upstream_unavailable", 2.0).await;
}

#[tokio::test]
async fn a_call_that_was_sent_has_the_whole_deadline() {
    let first = Counted::start(|request| {
        // Longer than its share, if it had one.
        vec![Step::Pause(Duration::from_secs(4)), json_answer(200, &text_body(&request.id(), "first"))]
    });
    let second = Counted::answering("second");
    let builder = builder(&first.server.url(), &second.server.url());
    let gateway = builder.overlay(overlay("backends: { first: { timeout: 9s } }")).start().expect("it starts");
    assert_eq!(call(gateway.address(), "first__read", "x").await, Outcome::Text("first".to_owned()));
    assert_eq!(second.calls(), 0);
}

#[tokio::test]
async fn a_call_whose_client_was_told_something_is_not_handed_on() {
    let first = Counted::start(|request| {
        let token = request.body["params"]["_meta"]["progressToken"].clone();
        let progress = json!({ "progressToken": token, "progress": 50 });
        let log = json!({ "level": "error", "data": "odd" });
        let told = [("notifications/progress", progress), ("notifications/message", log)].map(|(method, params)| {
            chunk(event(&json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()))
        });
        [stream_head()].into_iter().chain(told).chain([Step::Close]).collect()
    });
    let second = Counted::answering("second");
    let gateway = gateway(&first.server.url(), &second.server.url());
    let read = Request::call("first__read", "{}");
    let with = |member: &str| read.clone().edit(META, &format!("{META},{member}"));
    for (request, method) in [
        (with(r#""progressToken":7"#), "notifications/progress"),
        (with(r#""io.modelcontextprotocol/logLevel":"error""#), "notifications/message"),
    ] {
        let mut client = Client::connect(gateway.address()).await;
        client.write(&request.bytes()).await;
        assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
        assert_eq!(client.message().await.expect("a notification")["method"], method);
        let answer = client.message().await.expect("an answer");
        assert_eq!(answer["error"]["data"]["kind"], "outcome_unknown", "{answer}");
        assert_eq!(client.message().await, None);
    }
    assert_eq!((first.calls(), second.calls()), (2, 0));
    // What is not for this client has told it nothing.
    assert_eq!(Outcome::of(&Client::ask(gateway.address(), &read).await), Outcome::Text("second".to_owned()));
}

#[tokio::test]
async fn what_answers_a_backends_question_is_for_that_backend_alone() {
    let (first, second) = (Counted::start(lost), Counted::answering("second"));
    let down = gateway(&nowhere(), &second.server.url());
    let losing = gateway(&first.server.url(), &second.server.url());
    for member in [r#""requestState":"s""#, r#""inputResponses":{"a":{}}"#] {
        let resumed = Request::call("first__read", &format!("{{}},{member}"));
        assert_eq!(Outcome::of(&Client::ask(down.address(), &resumed).await), unavailable(), "{member}");
        let outcome = Outcome::of(&Client::ask(losing.address(), &resumed).await);
        assert_eq!(outcome, Outcome::failed("outcome_unknown", true), "{member}");
    }
    assert_eq!((first.calls(), second.calls()), (2, 0));
    // The same members elsewhere mean nothing, nor do answers of which there are none.
    for params in [r#"{"requestState":"s","inputResponses":{}}"#, r#"{},"inputResponses":{}"#] {
        let outcome = Outcome::of(&Client::ask(down.address(), &Request::call("first__read", params)).await);
        assert_eq!(outcome, Outcome::Text("second".to_owned()), "{params}");
    }
}

#[tokio::test]
async fn what_answers_the_question_of_a_backend_that_stood_in_goes_back_to_it() {
    let (first, second) = (teams::asking("first", 0), teams::asking("second", 0));
    let gateway = gateway(&first.server.url(), &second.server.url());
    for (settings, name) in [("backends: { first: { disabled: true } }", "second"), ("{}", "first")] {
        gateway.overlay().apply(settings).expect("a good overlay");
        let asked = Client::ask(gateway.address(), &teams::able("first__write", "")).await.json();
        gateway.overlay().apply("{}").expect("a good overlay");
        let state = &asked["result"]["requestState"];
        let further = format!(r#","inputResponses":{{"r":{{"roots":[]}}}},"requestState":{state}"#);
        let answer = Client::ask(gateway.address(), &teams::able("first__write", &further)).await;
        assert_eq!(Outcome::of(&answer), Outcome::Text(format!("{name} of \"{name}\"")), "{state}: {}", answer.text());
    }
    assert_eq!((first.calls(), second.calls()), (2, 2));
    // A name that is none of those that could have asked is part of the state.
    let foreign = teams::able("first__write", r#","inputResponses":{},"requestState":"only1mcp@zero:x""#);
    let outcome = Outcome::of(&Client::ask(gateway.address(), &foreign).await);
    assert_eq!(outcome, Outcome::Text("first only1mcp@zero:x".to_owned()));
}

#[tokio::test]
async fn a_client_that_leaves_during_a_later_attempt_ends_it_and_the_call() {
    let (reached, mut reach) = mpsc::channel(1);
    let (ended, mut end) = mpsc::channel(1);
    let (first, third) = (Counted::start(lost), Counted::answering("third"));
    let second = Recorder::play(async move |_post: Post, wire: &mut Wire<'_>| {
        reached.send(()).await.expect("the test waits");
        wire.hung_up().await;
        ended.send(()).await.expect("the test waits");
        Ok(())
    });
    let builder = builder(&first.server.url(), &second.url()).reference("THIRD_URL", third.server.url());
    let gateway = builder.start().expect("the gateway starts");
    let mut leaving = Client::connect(gateway.address()).await;
    leaving.write(&Request::call("first__read", "{}").bytes()).await;
    within("the second attempt", reach.recv()).await;
    drop(leaving);
    within("the end of the second attempt", end.recv()).await;
    until_counted(&gateway, "second", "client_gone", 1.0).await;
    let counts = [("first", "outcome_unknown"), ("first", "client_gone"), ("third", "client_gone")];
    let [lost, first_left, third_left] = counts.map(|(backend, outcome)| counted(&gateway, backend, outcome));
    assert_eq!((lost.await, first_left.await, third_left.await), (Some(1.0), Some(0.0), Some(0.0)));
    assert_eq!((first.calls(), second.calls(), third.calls()), (1, 1, 0));
}

#[tokio::test]
async fn nobody_takes_over_for_a_client_that_left() {
    let (breaks, followed) = mpsc::channel(1);
    let followed = Arc::new(tokio::sync::Mutex::new(followed));
    let first = Counted::start(move |_| vec![Step::Follow(Arc::clone(&followed))]);
    let second = Counted::answering("second");
    let gateway = gateway(&first.server.url(), &second.server.url());
    let session = legacy::session(gateway.address()).await;
    let call_read = legacy::message("tools/call", r#"{"name":"first__read","arguments":{}}"#);
    let mut leaving = Client::connect(gateway.address()).await;
    // Whoever reads streams may come back.
    let request = Request::legacy(&session, call_read).with("Accept", "application/json");
    leaving.write(&request.bytes()).await;
    eventually("the call reaches the first backend", || first.calls() == 1).await;
    drop(leaving);
    breaks.send(Step::Close).await.expect("it is followed");
    until_counted(&gateway, "first", "outcome_unknown", 1.0).await;
    // On the same worker: what the call above still had to do is done.
    let own = call(gateway.address(), "second__write_here", "x").await;
    assert_eq!((own, second.calls()), (Outcome::Text("second".to_owned()), 1));
}
