//! Calls that only read and are slow to be answered: they are made at another place as well, the first answer counts, and
//! nothing is left of the other call.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use only1mcp::{Gateway, Running};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::admin;
use crate::legacy::{self, message};
use crate::support::client::{Answer, Client, META, Request, within};
use crate::support::recorder::{Post, Recorder, Wire};
use crate::support::scripted::{Outcome, eventually};
use crate::support::server::{self, Server, Step, nowhere};

only1mcp::topology!(Hedging = "tests/gateway/topologies/hedging.yaml");

/// So many answers as any test may want.
const ALL: usize = 10_000;

/// A server whose calls stay under way until the test says what becomes of them.
pub(crate) struct Place {
    pub(crate) recorder: Recorder,
    released: Arc<Semaphore>,
    broken: Arc<Semaphore>,
    left: mpsc::Receiver<()>,
}

// === impl Place ===

impl Place {
    /// One whose answers say this.
    pub(crate) fn start(text: &str) -> Self {
        let [released, broken] = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
        let (releases, breaks, (leaves, left)) = (Arc::clone(&released), Arc::clone(&broken), mpsc::channel(ALL));
        let result = json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }] }).to_string();
        let recorder = Recorder::play(async move |_post: Post, wire: &mut Wire<'_>| {
            tokio::select! {
                permit = releases.acquire() => permit.expect("it is never closed").forget(),
                permit = breaks.acquire() => {
                    permit.expect("it is never closed").forget();
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                () = wire.hung_up() => {
                    leaves.send(()).await.expect("the test runs");
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
            }
            wire.result(&result).await
        });
        Self { recorder, released, broken, left }
    }

    /// So many calls are answered, those that wait or the next ones.
    pub(crate) fn release(&self, calls: usize) {
        self.released.add_permits(calls);
    }

    /// The connection of one call is closed.
    fn lose(&self) {
        self.broken.add_permits(1);
    }

    /// Waits until the gateway has taken a call back.
    pub(crate) async fn taken_back(&mut self) {
        within("the end of a call", self.left.recv()).await.expect("the server runs");
    }
}

fn gateway(urls: [&str; 4]) -> Running {
    let builder = Gateway::<Hedging>::builder().workers(1).admin_address("127.0.0.1:0");
    let references = ["A_URL", "B_URL", "C_URL", "D_URL"].into_iter().zip(urls);
    let builder = references.fold(builder, |builder, (name, url)| builder.reference(name, url));
    builder.start().expect("the gateway starts")
}

/// Two places, and a gateway that calls the first of them first.
fn two() -> (Place, Place, Running) {
    let (a, b, down) = (Place::start("a"), Place::start("b"), nowhere());
    let gateway = gateway([&a.recorder.url(), &b.recorder.url(), &down, &down]);
    (a, b, gateway)
}

fn ask(gateway: &Running, request: Request) -> JoinHandle<Answer> {
    let address = gateway.address();
    tokio::spawn(async move { Client::ask(address, &request).await })
}

fn call(gateway: &Running, tool: &str) -> JoinHandle<Answer> {
    ask(gateway, Request::call(tool, "{}"))
}

async fn outcome(answer: JoinHandle<Answer>) -> Outcome {
    Outcome::of(&answer.await.expect("an answer"))
}

fn text(text: &str) -> Outcome {
    Outcome::Text(text.to_owned())
}

async fn sample(gateway: &Running, series: &str) -> f64 {
    admin::samples(gateway.admin_address().expect("there is an admin listener")).await[series]
}

/// Waits until a series says this: a call is answered first and counted then.
async fn sampled(gateway: &Running, series: &str, expected: f64) {
    let what = format!("{series} {expected}");
    within(&what, async { while sample(gateway, series).await != expected {} }).await;
}

/// How many calls to a backend were made a second time, by which of the two answered: neither, the first, the second.
async fn hedges(gateway: &Running, backend: &str) -> [f64; 3] {
    let samples = admin::samples(gateway.admin_address().expect("there is an admin listener")).await;
    ["none", "first", "second"]
        .map(|won| samples[&format!(r#"only1mcp_calls_hedged_total{{backend="{backend}",won="{won}"}}"#)])
}

/// Waits until it is so many.
async fn hedged(gateway: &Running, backend: &str, expected: [f64; 3]) {
    let what = format!("{expected:?} of {backend}");
    within(&what, async { while hedges(gateway, backend).await != expected {} }).await;
}

/// The series of a state of the circuit breaker that an endpoint of `broken` has.
fn breaker(place: &str, state: &str) -> String {
    format!(r#"only1mcp_breaker_state{{backend="broken",endpoint="env:{place}_URL",state="{state}"}}"#)
}

/// Waits until so many calls to a backend were lost.
async fn failed(gateway: &Running, backend: &str, calls: f64) {
    let lost = format!(r#"only1mcp_calls_total{{backend="{backend}",outcome="outcome_unknown"}}"#);
    sampled(gateway, &lost, calls).await;
}

/// Waits until nothing is under way at a backend.
async fn idle(gateway: &Running, backend: &str) {
    let is_idle = async {
        let own = format!(r#"only1mcp_upstream_calls_under_way{{backend="{backend}","#);
        loop {
            let samples = admin::samples(gateway.admin_address().expect("there is an admin listener")).await;
            if samples.iter().filter(|(series, _)| series.starts_with(&own)).all(|(_, calls)| *calls == 0.0) {
                break;
            }
        }
    };
    within("that nothing is under way", is_idle).await;
}

#[tokio::test]
async fn a_slow_call_is_made_at_another_endpoint_and_what_answers_first_counts() {
    let (mut a, mut b, gateway) = two();
    // More often than there are places: each call frees both of its own.
    for times in 1..=4 {
        let answer = call(&gateway, "pair__read");
        let (first, second) = tokio::select! {
            _post = a.recorder.post() => (&mut a, &mut b),
            _post = b.recorder.post() => (&mut b, &mut a),
        };
        second.recorder.post().await;
        second.release(1);
        let said = outcome(answer).await;
        assert!(said == text("a") || said == text("b"), "{said:?}");
        first.taken_back().await;
        idle(&gateway, "pair").await;
        hedged(&gateway, "pair", [0.0, 0.0, f64::from(times)]).await;
    }
    assert_eq!(a.recorder.calls() + b.recorder.calls(), 8);
    sampled(&gateway, r#"only1mcp_calls_total{backend="pair",outcome="answered"}"#, 4.0).await;
}

#[tokio::test]
async fn a_late_answer_of_the_first_counts_if_it_comes_first() {
    let (mut a, mut b, gateway) = two();
    let mut client = Client::connect(gateway.address()).await;
    client.write(&Request::call("pair__read", "{}").bytes()).await;
    a.recorder.post().await;
    b.recorder.post().await;
    a.release(1);
    assert_eq!(Outcome::of(&client.answer().await), text("a"));
    b.taken_back().await;
    idle(&gateway, "pair").await;
    hedged(&gateway, "pair", [0.0, 1.0, 0.0]).await;
    // There is nothing more to be read: what comes next belongs to the next request.
    let ping = Request::modern("tools/list", None, "").edit(r#""id":1"#, r#""id":2"#);
    assert_eq!(client.exchange(&ping).await.json()["id"], 2);
}

#[tokio::test]
async fn an_answer_in_time_is_the_only_one() {
    let (a, b, gateway) = two();
    a.release(ALL);
    b.release(ALL);
    for _ in 0..4 {
        assert!(matches!(outcome(call(&gateway, "late__read")).await, Outcome::Text(_)));
    }
    assert_eq!((a.recorder.calls(), b.recorder.calls()), (2, 2));
    assert_eq!(hedges(&gateway, "late").await, [0.0; 3]);
}

#[tokio::test]
async fn what_writes_or_has_no_other_place_or_is_told_to_one_alone_is_made_once() {
    let (a, b) = (Place::start("a"), Place::start("b"));
    let (mut c, mut d) = (Place::start("c"), Place::start("d"));
    let urls = [&a, &b, &c, &d].map(|place| place.recorder.url());
    let gateway = gateway(urls.each_ref().map(String::as_str));
    let read = || Request::call("pair__read", "{}");
    let with = |members: &str| read().edit(META, &format!("{META},{members}"));
    let backends = ["pair", "single", "unhedged", "poor", "narrow"];
    let requests = [
        Request::call("pair__write", "{}"),
        Request::call("single__read", "{}"),
        Request::call("unhedged__read", "{}"),
        Request::call("poor__read", "{}"),
        Request::call("narrow__read", "{}"),
        Request::call("turn_write", "{}"),
        // One place of `pair` is free: that is not what keeps this from being made again.
        with(r#""progressToken":1"#),
    ];
    let mut answers = Vec::new();
    for request in &requests {
        let calls = a.recorder.calls() + b.recorder.calls();
        answers.push(ask(&gateway, request.clone()));
        eventually("the call at a server", || a.recorder.calls() + b.recorder.calls() > calls).await;
    }
    // By the time that this one is made again, those that came before it would have been.
    let mut clock = Client::connect(gateway.address()).await;
    clock.write(&Request::call("clock__read", "{}").bytes()).await;
    c.recorder.post().await;
    d.recorder.post().await;
    a.release(ALL);
    b.release(ALL);
    for answer in answers {
        assert!(matches!(outcome(answer).await, Outcome::Text(_)));
    }
    assert_eq!(a.recorder.calls() + b.recorder.calls(), requests.len());
    for backend in backends.into_iter().chain(["one", "two"]) {
        assert_eq!(hedges(&gateway, backend).await, [0.0; 3], "{backend}");
    }
}

#[tokio::test]
async fn log_messages_are_asked_of_one_server() {
    let (a, b) = (Place::start("a"), Place::start("b"));
    let (mut c, mut d) = (Place::start("c"), Place::start("d"));
    let urls = [&a, &b, &c, &d].map(|place| place.recorder.url());
    let gateway = gateway(urls.each_ref().map(String::as_str));
    let logged = format!(r#"{META},"io.modelcontextprotocol/logLevel":"debug""#);
    let answer = ask(&gateway, Request::call("pair__read", "{}").edit(META, &logged));
    eventually("the call at a server", || a.recorder.calls() + b.recorder.calls() > 0).await;
    let mut clock = Client::connect(gateway.address()).await;
    clock.write(&Request::call("clock__read", "{}").bytes()).await;
    c.recorder.post().await;
    d.recorder.post().await;
    a.release(1);
    b.release(1);
    assert!(matches!(outcome(answer).await, Outcome::Text(_)));
    assert_eq!(a.recorder.calls() + b.recorder.calls(), 1);
    assert_eq!(hedges(&gateway, "pair").await, [0.0; 3]);
}

#[tokio::test]
async fn a_session_stays_with_its_legacy_server() {
    let (mut a, mut b) = (Place::start("a"), Place::start("b"));
    let calls = Arc::new(AtomicUsize::new(0));
    let (_held, steps) = mpsc::channel::<Step>(1);
    let (counter, steps) = (Arc::clone(&calls), Arc::new(tokio::sync::Mutex::new(steps)));
    let old = Server::start(server::legacy(
        || "own".to_owned(),
        move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            vec![Step::Follow(Arc::clone(&steps))]
        },
    ));
    let gateway = gateway([&a.recorder.url(), &b.recorder.url(), &old.url(), &old.url()]);
    let session = legacy::session(gateway.address()).await;
    let in_session = |tool: &str| {
        Request::legacy(&session, message("tools/call", &format!(r#"{{"name":"{tool}","arguments":{{}}}}"#)))
    };
    let mut client = Client::connect(gateway.address()).await;
    client.write(&in_session("old__read").bytes()).await;
    eventually("the call at the server", || calls.load(Ordering::SeqCst) == 1).await;
    // One to a server that keeps nothing for the session is made a second time.
    let answer = ask(&gateway, in_session("pair__read"));
    a.recorder.post().await;
    b.recorder.post().await;
    b.release(1);
    assert_eq!(answer.await.expect("an answer").message()["result"]["content"][0]["text"], "b");
    a.taken_back().await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(hedges(&gateway, "old").await, [0.0; 3]);
    hedged(&gateway, "pair", [0.0, 0.0, 1.0]).await;
}

#[tokio::test]
async fn where_one_of_the_two_fails_the_other_one_is_waited_for() {
    let (mut a, mut b, gateway) = two();
    let answer = call(&gateway, "broken__read");
    a.recorder.post().await;
    b.recorder.post().await;
    a.lose();
    failed(&gateway, "broken", 1.0).await;
    assert!(!answer.is_finished());
    b.release(1);
    assert_eq!(outcome(answer).await, text("b"));
    hedged(&gateway, "broken", [0.0, 0.0, 1.0]).await;
    // What failed counts as such.
    sampled(&gateway, &breaker("A", "open"), 1.0).await;
    sampled(&gateway, &breaker("B", "closed"), 1.0).await;
    let answer = call(&gateway, "pair__read");
    a.recorder.post().await;
    b.recorder.post().await;
    b.lose();
    failed(&gateway, "pair", 1.0).await;
    a.release(1);
    assert_eq!(outcome(answer).await, text("a"));
    hedged(&gateway, "pair", [0.0, 1.0, 0.0]).await;
}

#[tokio::test]
async fn who_was_only_slower_has_not_failed() {
    let (mut a, mut b, gateway) = two();
    let answer = call(&gateway, "broken__read");
    a.recorder.post().await;
    b.recorder.post().await;
    b.release(1);
    assert_eq!(outcome(answer).await, text("b"));
    a.taken_back().await;
    idle(&gateway, "broken").await;
    for place in ["A", "B"] {
        sampled(&gateway, &breaker(place, "closed"), 1.0).await;
    }
}

#[tokio::test]
async fn who_was_only_slower_is_not_blamed_for_an_answer_that_breaks_off() {
    let (mut a, down) = (Place::start("a"), nowhere());
    let b = reading(|id| {
        let begun = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","content":[{{"type":"text","text":"{}"#,
            "x".repeat(200 << 10)
        );
        let length = begun.len() + 200;
        let head = server::head(200, &format!("content-type: application/json\r\ncontent-length: {length}\r\n"));
        vec![head, Step::Write(begun.into_bytes()), Step::Close]
    });
    let gateway = gateway([&a.recorder.url(), &b.url(), &down, &down]);
    let mut client = Client::connect(gateway.address()).await;
    client.write(&Request::call("broken__read", "{}").bytes()).await;
    a.recorder.post().await;
    a.taken_back().await;
    idle(&gateway, "broken").await;
    let states = [breaker("A", "closed"), breaker("B", "open")];
    for state in states {
        sampled(&gateway, &state, 1.0).await;
    }
}

#[tokio::test]
async fn where_both_fail_the_call_has_failed() {
    let (mut a, mut b, gateway) = two();
    let answer = call(&gateway, "pair__read");
    a.recorder.post().await;
    b.recorder.post().await;
    a.lose();
    failed(&gateway, "pair", 1.0).await;
    assert!(!answer.is_finished());
    b.lose();
    assert_eq!(outcome(answer).await, Outcome::failed("outcome_unknown", true));
    failed(&gateway, "pair", 2.0).await;
    hedged(&gateway, "pair", [1.0, 0.0, 0.0]).await;
    idle(&gateway, "pair").await;
}

#[tokio::test]
async fn where_both_fail_a_fallback_has_its_turn() {
    let (mut a, mut b, mut c) = (Place::start("a"), Place::start("b"), Place::start("c"));
    let urls = [&a, &b, &c].map(|place| place.recorder.url());
    let gateway = gateway([&urls[0], &urls[1], &urls[2], &nowhere()]);
    let answer = call(&gateway, "backed__read");
    a.recorder.post().await;
    b.recorder.post().await;
    a.lose();
    failed(&gateway, "backed", 1.0).await;
    assert_eq!((answer.is_finished(), c.recorder.calls()), (false, 0));
    b.lose();
    c.recorder.post().await;
    c.release(1);
    assert_eq!(outcome(answer).await, text("c"));
    assert_eq!(a.recorder.calls() + b.recorder.calls() + c.recorder.calls(), 3);
    hedged(&gateway, "backed", [1.0, 0.0, 0.0]).await;
    assert_eq!(hedges(&gateway, "spare").await, [0.0; 3]);
}

#[tokio::test]
async fn two_that_are_under_way_are_one_attempt_and_a_call_is_hedged_once() {
    let (mut a, mut b) = (Place::start("a"), Place::start("b"));
    let (mut c, mut d) = (Place::start("c"), Place::start("d"));
    let urls = [&a, &b, &c, &d].map(|place| place.recorder.url());
    let gateway = gateway(urls.each_ref().map(String::as_str));
    let answer = call(&gateway, "again__read");
    a.recorder.post().await;
    b.recorder.post().await;
    a.lose();
    b.lose();
    eventually("the third call", || a.recorder.calls() + b.recorder.calls() == 3).await;
    let mut clock = Client::connect(gateway.address()).await;
    clock.write(&Request::call("clock__read", "{}").bytes()).await;
    c.recorder.post().await;
    d.recorder.post().await;
    a.release(1);
    b.release(1);
    assert!(matches!(outcome(answer).await, Outcome::Text(_)));
    assert_eq!(a.recorder.calls() + b.recorder.calls(), 3);
    sampled(&gateway, r#"only1mcp_call_retries_total{backend="again"}"#, 1.0).await;
    hedged(&gateway, "again", [1.0, 0.0, 0.0]).await;
}

#[tokio::test]
async fn another_backend_of_the_route_is_another_place() {
    let (mut a, mut b, gateway) = two();
    let answer = call(&gateway, "turn_read");
    a.recorder.post().await;
    b.recorder.post().await;
    b.release(1);
    assert_eq!(outcome(answer).await, text("b"));
    a.taken_back().await;
    // It counts where it was answered, and as hedged where it was slow.
    let answered = |backend: &str| format!(r#"only1mcp_calls_total{{backend="{backend}",outcome="answered"}}"#);
    sampled(&gateway, &answered("two"), 1.0).await;
    sampled(&gateway, &answered("one"), 0.0).await;
    hedged(&gateway, "one", [0.0, 0.0, 1.0]).await;
    assert_eq!(hedges(&gateway, "two").await, [0.0; 3]);
    // Where both fail, the one that failed last is named.
    b.release(1);
    assert_eq!(outcome(call(&gateway, "turn_read")).await, text("b"));
    b.recorder.post().await;
    let answer = call(&gateway, "turn_read");
    a.recorder.post().await;
    b.recorder.post().await;
    a.lose();
    failed(&gateway, "one", 1.0).await;
    b.lose();
    let answer = answer.await.expect("an answer");
    assert_eq!(Outcome::of(&answer), Outcome::failed("outcome_unknown", true));
    assert_eq!(answer.json()["error"]["data"]["backend"], "two", "{}", answer.text());
}

#[tokio::test]
async fn who_leaves_or_cancels_takes_both_along() {
    let (mut a, mut b, gateway) = two();
    let mut client = Client::connect(gateway.address()).await;
    client.write(&Request::call("pair__read", "{}").bytes()).await;
    a.recorder.post().await;
    b.recorder.post().await;
    drop(client);
    a.taken_back().await;
    b.taken_back().await;
    idle(&gateway, "pair").await;
    let session = legacy::session(gateway.address()).await;
    let mut client = Client::connect(gateway.address()).await;
    let call = message("tools/call", r#"{"name":"pair__read","arguments":{}}"#);
    client.write(&Request::legacy(&session, call).bytes()).await;
    a.recorder.post().await;
    b.recorder.post().await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(Client::ask(gateway.address(), &Request::legacy(&session, cancel)).await.status, 202);
    a.taken_back().await;
    b.taken_back().await;
    idle(&gateway, "pair").await;
    hedged(&gateway, "pair", [2.0, 0.0, 0.0]).await;
}

#[tokio::test]
async fn no_more_are_made_a_second_time_than_the_budget_has() {
    let (a, b, gateway) = two();
    let begun = Instant::now();
    let answers: Vec<_> = (0..200).map(|_| call(&gateway, "thrifty__read")).collect();
    eventually("every call at a server", || a.recorder.calls() + b.recorder.calls() >= 200).await;
    a.release(ALL);
    b.release(ALL);
    for answer in answers {
        assert!(matches!(outcome(answer).await, Outcome::Text(_)));
    }
    sampled(&gateway, r#"only1mcp_calls_total{backend="thrifty",outcome="answered"}"#, 200.0).await;
    let made: f64 = hedges(&gateway, "thrifty").await.into_iter().sum();
    // A burst of ten, of a hundred calls one, and one more each second.
    let most = 10.0 + 2.0 + begun.elapsed().as_secs_f64();
    assert!((1.0..=most).contains(&made), "{made} of 200, and {most} at most");
}

#[tokio::test]
async fn overlays_say_after_how_long() {
    let (a, b, gateway) = two();
    gateway.overlay().apply("backends: { late: { hedge: { after: 1ms, budget: 100% } } }").expect("a good overlay");
    let calls = || a.recorder.calls() + b.recorder.calls();
    let mut answers = Vec::new();
    // Workers are told.
    while calls() <= answers.len() {
        answers.push(call(&gateway, "late__read"));
        eventually("the call at a server", || calls() >= answers.len()).await;
        assert!(answers.len() < ALL, "no call was made a second time");
    }
    a.release(ALL);
    b.release(ALL);
    for answer in answers {
        assert!(matches!(outcome(answer).await, Outcome::Text(_)));
    }
    let refused =
        gateway.overlay().apply("backends: { unhedged: { hedge: { after: 1s } } }").expect_err("not compiled");
    assert!(format!("{refused:?}").contains("no hedging to tune"), "{refused:?}");
}

/// A modern server with one tool, which only reads.
fn reading(calls: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Server {
    Server::start(server::modern(move |request| match request.rpc() {
        "tools/list" => {
            let tool =
                json!({ "name": "read", "inputSchema": { "type": "object" }, "annotations": { "readOnlyHint": true } });
            vec![server::json_answer(200, &server::result_body(&request.id(), &json!({ "tools": [tool] })))]
        }
        _ => calls(&request.id()),
    }))
}

#[tokio::test]
async fn calls_to_backends_that_overlays_add_are_made_a_second_time_too() {
    let (_held, steps) = mpsc::channel::<Step>(1);
    let steps = Arc::new(tokio::sync::Mutex::new(steps));
    let slow = reading(move |_| vec![Step::Follow(Arc::clone(&steps))]);
    let quick = reading(|id| vec![server::json_answer(200, &server::text_body(id, "quick"))]);
    let gateway = gateway([&nowhere(); 4].map(String::as_str));
    let added = |hedge: &str| {
        format!(
            "backends: {{ extra: {{ transport: {{ streamable_http: {{}} }}, hedge: {hedge}, endpoints: [{{ url: \"{}\" }}, {{ url: \"{}\" }}] }} }}",
            slow.url(),
            quick.url()
        )
    };
    gateway.overlay().apply(&added("{ after: 1ms, budget: 100% }")).expect("a good overlay");
    // Each of them has its turn.
    for _ in 0..4 {
        assert_eq!(outcome(call(&gateway, "extra__read")).await, text("quick"));
    }
    within("two of them", async { while hedges(&gateway, "extra").await[2] < 2.0 {} }).await;
    assert_eq!(hedges(&gateway, "extra").await[0], 0.0);
}

#[tokio::test]
async fn a_long_answer_comes_whole_from_either() {
    let long = "x".repeat(3 << 20);
    let (mut a, mut b, down) = (Place::start(&long), Place::start(&long), nowhere());
    let gateway = gateway([&a.recorder.url(), &b.recorder.url(), &down, &down]);
    for second in [false, true] {
        let answer = call(&gateway, "turn_read");
        a.recorder.post().await;
        b.recorder.post().await;
        if second {
            b.release(1)
        } else {
            a.release(1)
        }
        assert_eq!(outcome(answer).await, text(&long));
        if second {
            a.taken_back().await
        } else {
            b.taken_back().await
        }
        // The turn of the other backend, which is not hedged.
        b.release(1);
        assert_eq!(outcome(call(&gateway, "turn_read")).await, text(&long));
        b.recorder.post().await;
    }
}

/// A server that answers a call with its own arguments, now at once and now after a while.
fn wavering(seed: u64) -> Recorder {
    let calls = AtomicUsize::new(0);
    Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
        let count = calls.fetch_add(1, Ordering::SeqCst) as u64;
        tokio::time::sleep(Duration::from_millis((count * 7 + seed) % 5)).await;
        let body: serde_json::Value = serde_json::from_str(&post.body)?;
        let said = &body["params"]["arguments"]["text"];
        wire.result(&json!({ "resultType": "complete", "content": [{ "type": "text", "text": said }] }).to_string())
            .await
    })
}

#[tokio::test]
async fn whatever_answers_first_each_call_has_one_answer_and_its_own() {
    let (a, b, down) = (wavering(0), wavering(3), nowhere());
    let gateway = gateway([&a.url(), &b.url(), &down, &down]);
    let address = gateway.address();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..8 {
        clients.spawn(async move {
            let mut connection = Client::connect(address).await;
            for number in 0..50 {
                let own = format!("{client}-{number}");
                let request = Request::call("wide__read", &json!({ "text": own }).to_string());
                let answer = connection.exchange(&request.edit(r#""id":1"#, &format!(r#""id":"{own}""#))).await.json();
                assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(own), &json!(own)));
            }
        });
    }
    clients.join_all().await;
    sampled(&gateway, r#"only1mcp_calls_total{backend="wide",outcome="answered"}"#, 400.0).await;
    idle(&gateway, "wide").await;
    within("some of them", async { while hedges(&gateway, "wide").await[1..] == [0.0; 2] {} }).await;
    assert_eq!(hedges(&gateway, "wide").await[0], 0.0);
}
