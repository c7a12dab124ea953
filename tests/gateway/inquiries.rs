//! Legacy servers that ask something while they have a call, over every transport, and the legacy clients of those calls.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use only1mcp::Gateway;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::legacy;
use crate::legacy_sse::{self, Stream};
use crate::profiles::Session;
use crate::questions::{hear, respond};
use crate::support::client::{Answer, Client, Request as Asked};
use crate::support::scripted::{Servers, WithChildren, eventually, unhurried};
use crate::support::server::{self, Request, Server, Step, chunk, event, head, last_chunk, stream_head, text_body};
use crate::support::socket_server::{SocketServer, say};
use crate::websocket::{self, Sockets};

const ABLE: &str = r#"{"roots":{},"sampling":{}}"#;
const QUESTION: &str = r#"{"jsonrpc":"2.0","id":0,"method":"sampling/createMessage","params":{"maxTokens":1.0}}"#;
const TAKEN_BACK: &str = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0}}"#;
const ANSWER: &str = r#""result":{"role":"assistant","content":{"type":"text","text":"1.0"},"n":1.0}"#;

/// A call of a tool in a session, whose stream begins.
async fn call(session: &Session, tool: &str) -> Client {
    let mut client = Client::connect(session.address).await;
    let params = json!({ "name": tool, "arguments": { "text": "own" } }).to_string();
    client.write(&Asked::legacy(&session.id, legacy::message("tools/call", &params)).bytes()).await;
    assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
    client
}

/// What the server asks the client of a call, answered on another connection.
async fn answered(session: &Session, client: &mut Client) {
    let question = hear(client).await.expect("a question");
    assert_eq!(
        (&question["method"], &question["params"]),
        (&json!("sampling/createMessage"), &json!({ "maxTokens": 1.0 }))
    );
    assert!(question["params"]["maxTokens"].is_f64());
    assert!(question["id"].as_str().is_some_and(|id| id.starts_with("only1mcp-")), "{question}");
    respond(session.address, &session.id, &question["id"], ANSWER).await;
}

/// The text that the call of a client comes to.
async fn text(client: &mut Client) -> String {
    let answer = hear(client).await.expect("an answer");
    assert_eq!(answer["id"], 1, "{answer}");
    answer["result"]["content"][0]["text"].as_str().expect("a text").to_owned()
}

/// What the server got: under its own id, and as the client wrote it.
fn assert_as_written(text: &str) {
    assert_eq!(text, format!(r#"{{"jsonrpc":"2.0","id":0,{ANSWER}}}"#));
}

#[tokio::test]
async fn a_child_asks_the_client_of_its_only_call() {
    let rig = WithChildren::unhurried("plain");
    let session = Session::begin(rig.address(), ABLE).await;
    let mut client = call(&session, "odd__asks").await;
    let (roots, sampling) = (hear(&mut client).await.expect("roots"), hear(&mut client).await.expect("sampling"));
    assert_eq!([&roots["method"], &sampling["method"]], ["roots/list", "sampling/createMessage"]);
    respond(rig.address(), &session.id, &sampling["id"], r#""error":{"code":-1,"message":"no"}"#).await;
    respond(rig.address(), &session.id, &roots["id"], r#""result":{"roots":[{"uri":"file:///own"}]}"#).await;
    let mut answers: Vec<Value> = serde_json::from_str(&text(&mut client).await).expect("what the child got");
    answers.sort_by_key(|answer| answer["id"].to_string());
    let expected = json!([
        { "jsonrpc": "2.0", "id": "s-1", "result": {} },
        { "jsonrpc": "2.0", "id": 2, "result": { "roots": [{ "uri": "file:///own" }] } },
        { "jsonrpc": "2.0", "id": 3, "error": { "code": -1, "message": "no" } },
    ]);
    assert_eq!(Value::from(answers), expected);
}

/// What a played server over HTTP does with calls and with answers: the stream of its session and those of the calls in
/// hand are fed by the test.
#[derive(Default)]
struct Played {
    session: Mutex<Option<mpsc::Sender<Step>>>,
    calls: Mutex<Vec<(String, mpsc::Sender<Step>)>>,
    answers: Mutex<Vec<String>>,
}

/// Where the server asks.
#[derive(Clone, Copy)]
enum Place {
    /// On the stream that answers the last call.
    Call,
    /// On the stream of the session.
    Session,
}

impl Played {
    fn start(status: u16) -> (Server, Arc<Self>) {
        let kept = Arc::<Self>::default();
        let of_script = Arc::clone(&kept);
        let greets = server::legacy(|| "session".to_owned(), {
            let kept = Arc::clone(&kept);
            move |request: &Request| match request.rpc() {
                "" => {
                    kept.answers.lock().expect("not poisoned").push(request.text.clone());
                    vec![head(status, "content-length: 0\r\n")]
                }
                _ => {
                    let (steps, followed) = mpsc::channel(64);
                    kept.calls.lock().expect("not poisoned").push((request.id(), steps));
                    vec![stream_head(), Step::Follow(Arc::new(tokio::sync::Mutex::new(followed)))]
                }
            }
        });
        let server = Server::start(move |request: &Request| {
            if request.method == "GET" {
                let (steps, followed) = mpsc::channel(64);
                of_script.session.lock().expect("not poisoned").replace(steps);
                return vec![stream_head(), Step::Follow(Arc::new(tokio::sync::Mutex::new(followed)))];
            }
            greets(request)
        });
        (server, kept)
    }

    /// Whether it has so many calls.
    fn is_called(&self, times: usize) -> bool {
        let listens = self.session.lock().expect("not poisoned").is_some();
        listens && self.calls.lock().expect("not poisoned").len() == times
    }

    fn says(&self, place: Place, message: &str) {
        let steps = match place {
            Place::Call => self.calls.lock().expect("not poisoned").last().map(|(_, steps)| steps.clone()),
            Place::Session => self.session.lock().expect("not poisoned").clone(),
        };
        steps.expect("a stream").try_send(chunk(event(message))).expect("it is followed");
    }

    /// Answers the last call in hand.
    fn ends(&self, text: &str) {
        let (id, steps) = self.calls.lock().expect("not poisoned").pop().expect("a call");
        steps.try_send(chunk(event(&text_body(&id, text)))).expect("it is followed");
        steps.try_send(last_chunk()).expect("it is followed");
    }

    fn answers(&self) -> Vec<String> {
        self.answers.lock().expect("not poisoned").clone()
    }
}

fn gateway(odd: &Server) -> only1mcp::Running {
    // One worker, so that there is one session.
    let builder = Gateway::<Servers>::builder().workers(1).reference("ODD_URL", odd.url());
    let gateway = builder.reference("GOOD_URL", odd.url()).start().expect("the gateway starts");
    unhurried(&gateway);
    gateway
}

#[tokio::test]
async fn a_server_over_http_asks_on_the_stream_of_the_call_or_of_the_session() {
    for place in [Place::Call, Place::Session] {
        let (odd, played) = Played::start(202);
        let gateway = gateway(&odd);
        let session = Session::begin(gateway.address(), ABLE).await;
        let asking = tokio::spawn(ask_twice(gateway.address(), session.id.clone()));
        eventually("the call", || played.is_called(1)).await;
        for round in 1..=2 {
            played.says(place, QUESTION);
            eventually("an answer", || played.answers().len() == round).await;
        }
        let answers = played.answers();
        played.ends(&answers[1]);
        assert_as_written(&asking.await.expect("a call"));
        assert_as_written(&answers[0]);
    }
}

async fn ask_twice(address: SocketAddr, id: String) -> String {
    let session = Session { address, id };
    let mut client = call(&session, "odd__echo").await;
    answered(&session, &mut client).await;
    answered(&session, &mut client).await;
    text(&mut client).await
}

#[tokio::test]
async fn an_answer_that_a_server_over_http_does_not_take_ends_the_call() {
    let (odd, played) = Played::start(500);
    let gateway = gateway(&odd);
    let session = Session::begin(gateway.address(), ABLE).await;
    let own = Session { address: session.address, id: session.id.clone() };
    let asking = tokio::spawn(async move {
        let mut client = call(&own, "odd__echo").await;
        answered(&own, &mut client).await;
        hear(&mut client).await.expect("an answer")
    });
    eventually("the call", || played.is_called(1)).await;
    played.says(Place::Call, QUESTION);
    let answer = asking.await.expect("a call");
    let data = &answer["error"]["data"];
    assert_eq!((&data["kind"], &data["sent"]), (&json!("upstream_protocol_error"), &json!(true)), "{answer}");
    assert_eq!(played.answers().len(), 1);
}

#[tokio::test]
async fn a_question_that_is_taken_back_is_taken_back_of_the_client() {
    for place in [Place::Call, Place::Session] {
        let (odd, played) = Played::start(202);
        let gateway = gateway(&odd);
        let session = Session::begin(gateway.address(), ABLE).await;
        let own = Session { address: session.address, id: session.id.clone() };
        let asking = tokio::spawn(async move {
            let mut client = call(&own, "odd__echo").await;
            let question = hear(&mut client).await.expect("a question");
            let cancelled = hear(&mut client).await.expect("its end");
            assert_eq!(cancelled["method"], "notifications/cancelled");
            assert_eq!(cancelled["params"]["requestId"], question["id"]);
            respond(own.address, &own.id, &question["id"], ANSWER).await;
            text(&mut client).await
        });
        eventually("the call", || played.is_called(1)).await;
        played.says(place, QUESTION);
        played.says(place, TAKEN_BACK);
        // What is answered nevertheless goes nowhere: the call ends first.
        played.ends("done");
        assert_eq!(asking.await.expect("a call"), "done");
        assert_eq!(played.answers(), [""; 0]);
    }
}

#[tokio::test]
async fn a_server_over_http_and_sse_asks_on_its_stream() {
    static HELD: Mutex<Option<(String, Stream)>> = Mutex::new(None);
    let (odd, played) = legacy_sse::old(|request, stream| {
        HELD.lock().expect("not poisoned").replace((request.id(), stream.clone()));
        stream.say(QUESTION);
        vec![head(202, "content-length: 0\r\n")]
    });
    let gateway = legacy_sse::gateway(&odd, &odd);
    unhurried(&gateway);
    let session = Session::begin(gateway.address(), ABLE).await;
    let mut client = call(&session, "odd__echo").await;
    answered(&session, &mut client).await;
    let answers =
        || played.requests().into_iter().filter(|request| request.rpc().is_empty() && request.method == "POST");
    eventually("the answer", || answers().count() == 1).await;
    let (id, stream) = HELD.lock().expect("not poisoned").take().expect("a call");
    let got = answers().next().expect("an answer").text;
    stream.say(&text_body(&id, &got));
    assert_as_written(&text(&mut client).await);
}

#[tokio::test]
async fn a_server_over_websocket_asks_and_takes_back() {
    static HELD: Mutex<Option<String>> = Mutex::new(None);
    let odd = SocketServer::start(websocket::introduced(|request| match (request.rpc(), request.name()) {
        ("tools/call", "fickle") => vec![say(QUESTION), say(TAKEN_BACK), say(&text_body(&request.id(), "done"))],
        ("tools/call", _) => {
            HELD.lock().expect("not poisoned").replace(request.id());
            vec![say(QUESTION)]
        }
        _ => {
            let id = HELD.lock().expect("not poisoned").take().expect("a call");
            vec![say(&text_body(&id, &request.text))]
        }
    }));
    let builder = Gateway::<Sockets>::builder().workers(1).reference("ODD_URL", odd.url());
    let gateway = builder.reference("GOOD_URL", odd.url()).start().expect("the gateway starts");
    unhurried(&gateway);
    let session = Session::begin(gateway.address(), ABLE).await;
    let mut client = call(&session, "odd__echo").await;
    answered(&session, &mut client).await;
    assert_as_written(&text(&mut client).await);
    let mut client = call(&session, "odd__fickle").await;
    let (question, cancelled) = (hear(&mut client).await.expect("it"), hear(&mut client).await.expect("its end"));
    assert_eq!(cancelled["params"]["requestId"], question["id"], "{cancelled}");
    assert_eq!(text(&mut client).await, "done");
    assert_eq!(odd.answers().len(), 1);
}

/// Calls of two sessions at once, of clients that can be asked.
async fn beside_each_other(address: SocketAddr) -> [JoinHandle<Answer>; 2] {
    let sessions = [Session::begin(address, ABLE).await, Session::begin(address, ABLE).await];
    sessions.map(|session| {
        let call = legacy::message("tools/call", r#"{"name":"odd__echo","arguments":{"text":"own"}}"#);
        tokio::spawn(async move { Client::ask(session.address, &Asked::legacy(&session.id, call)).await })
    })
}

/// What the server is told that asks beside several calls, and by none of them.
const UNASKED: &str = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"no client request in progress"}}"#;

/// Asserts that each call came to what the server got, and that its client was asked nothing.
async fn assert_unasked(calls: [JoinHandle<Answer>; 2]) {
    for call in calls {
        let answer = call.await.expect("a call");
        assert_eq!(answer.message()["result"]["content"][0]["text"], UNASKED, "{}", answer.text());
        assert!(!answer.text().contains("maxTokens"), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_a_server_over_http_asks_beside_several_calls_is_put_to_nobody() {
    let (odd, played) = Played::start(202);
    let gateway = gateway(&odd);
    let calls = beside_each_other(gateway.address()).await;
    eventually("both calls", || played.is_called(2)).await;
    played.says(Place::Session, QUESTION);
    eventually("an answer", || played.answers().len() == 1).await;
    let got = played.answers().remove(0);
    (0..2).for_each(|_| played.ends(&got));
    assert_unasked(calls).await;
}

#[tokio::test]
async fn what_a_server_over_http_and_sse_asks_beside_several_calls_is_put_to_nobody() {
    static HELD: Mutex<Vec<(String, Stream)>> = Mutex::new(Vec::new());
    let (odd, played) = legacy_sse::old(|request, stream| {
        HELD.lock().expect("not poisoned").push((request.id(), stream.clone()));
        vec![head(202, "content-length: 0\r\n")]
    });
    let gateway = legacy_sse::gateway(&odd, &odd);
    unhurried(&gateway);
    let calls = beside_each_other(gateway.address()).await;
    eventually("both calls", || HELD.lock().expect("not poisoned").len() == 2).await;
    HELD.lock().expect("not poisoned")[0].1.say(QUESTION);
    let answers =
        || played.requests().into_iter().filter(|request| request.rpc().is_empty() && request.method == "POST");
    eventually("the answer", || answers().count() == 1).await;
    let got = answers().next().expect("an answer").text;
    HELD.lock().expect("not poisoned").iter().for_each(|(id, stream)| stream.say(&text_body(id, &got)));
    assert_unasked(calls).await;
}

#[tokio::test]
async fn what_a_server_over_websocket_asks_beside_several_calls_is_put_to_nobody() {
    static HELD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let odd = SocketServer::start(websocket::introduced(|request| {
        let mut held = HELD.lock().expect("not poisoned");
        match request.rpc() {
            "tools/call" => held.push(request.id()),
            _ => return held.drain(..).map(|id| say(&text_body(&id, &request.text))).collect(),
        }
        if held.len() == 2 { vec![say(QUESTION)] } else { Vec::new() }
    }));
    let builder = Gateway::<Sockets>::builder().workers(1).reference("ODD_URL", odd.url());
    let gateway = builder.reference("GOOD_URL", odd.url()).start().expect("the gateway starts");
    unhurried(&gateway);
    assert_unasked(beside_each_other(gateway.address()).await).await;
}

/// A modern call of a client that opens pages, or not.
fn modern(declared: &str, further: &str) -> Asked {
    let declared = format!(r#"clientCapabilities":{declared}"#);
    let params = format!(r#""name":"odd__echo","arguments":{{}}{further}"#);
    Asked::modern("tools/call", Some("odd__echo"), &params).edit(r#"clientCapabilities":{}"#, &declared)
}

#[tokio::test]
async fn pages_that_a_legacy_server_requires_are_asked_for_and_the_call_is_made_again() {
    const OPENS: &str = r#"{"elicitation":{"url":{}}}"#;
    const DATA: &str = r#"{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://example.com/a","message":"open","n":1.0}]}"#;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let odd = Server::start(server::legacy(
        || "session".to_owned(),
        move |request: &Request| {
            counted.fetch_add(1, Ordering::SeqCst);
            let id = request.id();
            vec![match request.text.contains(r#""action":"accept""#) {
                true => server::json_answer(200, &text_body(&id, "opened")),
                false => {
                    let error = format!(r#"{{"code":-32042,"message":"pages","data":{DATA}}}"#);
                    server::json_answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
                }
            }]
        },
    ));
    let gateway = gateway(&odd);
    let answer = Client::ask(gateway.address(), &modern(OPENS, "")).await.json();
    let result = &answer["result"];
    let params = json!({ "mode": "url", "url": "https://example.com/a", "message": "open", "n": 1.0 });
    let expected = json!({ "input-1": { "method": "elicitation/create", "params": params } });
    assert_eq!((&result["resultType"], &result["inputRequests"]), (&json!("input_required"), &expected), "{answer}");
    assert_eq!(result["requestState"], Value::Null, "there is nothing to keep");
    let with = |action: &str| format!(r#","inputResponses":{{"input-1":{{"action":"{action}"}}}}"#);
    let answer = Client::ask(gateway.address(), &modern(OPENS, &with("accept"))).await.json();
    assert_eq!(answer["result"]["content"][0]["text"], "opened", "{answer}");
    // Who declined is not asked without end, and who opens no pages never.
    for request in [modern(OPENS, &with("decline")), modern("{ }", ""), modern(r#"{"elicitation":{}}"#, "")] {
        let answer = Client::ask(gateway.address(), &request).await;
        assert_eq!((answer.status, answer.code()), (200, Some(-32603)), "{answer:?}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 5);
    let session = Session::begin(gateway.address(), OPENS).await;
    let message = legacy::message("tools/call", r#"{"name":"odd__echo","arguments":{}}"#);
    let answer = Client::ask(gateway.address(), &Asked::legacy(&session.id, message)).await.message();
    let data: Value = serde_json::from_str(DATA).expect("JSON");
    assert_eq!((&answer["error"]["code"], &answer["error"]["data"]), (&json!(-32042), &data));
}

/// The legacy server has the client open a page while it works: its call is parked, and goes on when the client is back.
#[tokio::test]
async fn a_page_that_a_legacy_server_wants_opened_meanwhile_parks_the_call() {
    const PAGE: &str = r#"{"jsonrpc":"2.0","id":"p","method":"elicitation/create","params":{"mode":"url","elicitationId":"e","url":"https://example.com/a","message":"open","n":1.0}}"#;
    const OPENED: &str =
        r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}"#;
    const OPENS: &str = r#"{"elicitation":{"url":{}}}"#;
    for (place, action) in [(Place::Call, "accept"), (Place::Session, "accept"), (Place::Call, "decline")] {
        let (odd, played) = Played::start(202);
        let gateway = gateway(&odd);
        let ask = |request: Asked| {
            let address = gateway.address();
            tokio::spawn(async move { Client::ask(address, &request).await.json() })
        };
        let asking = ask(modern(OPENS, ""));
        eventually("the call", || played.is_called(1)).await;
        played.says(place, PAGE);
        let asked = asking.await.expect("an answer");
        let result = &asked["result"];
        let params = json!({ "mode": "url", "url": "https://example.com/a", "message": "open", "n": 1.0 });
        let expected = json!({ "input-1": { "method": "elicitation/create", "params": params } });
        assert_eq!((&result["resultType"], &result["inputRequests"]), (&json!("input_required"), &expected), "{asked}");
        // That the page was opened says the client itself: the modern era has no word of the server's for it.
        played.says(place, OPENED);
        let state = result["requestState"].as_str().expect("a state");
        let back = format!(r#","requestState":"{state}","inputResponses":{{"input-1":{{"action":"{action}"}}}}"#);
        let asking = ask(modern(OPENS, &back));
        eventually("its client's answer", || !played.answers().is_empty()).await;
        let expected = format!(r#"{{"jsonrpc":"2.0","id":"p","result":{{"action":"{action}"}}}}"#);
        assert_eq!(played.answers(), [expected]);
        played.says(place, OPENED);
        played.ends("done");
        let answer = asking.await.expect("an answer");
        let result = &answer["result"];
        assert_eq!(
            (&result["resultType"], &result["content"][0]["text"]),
            (&json!("complete"), &json!("done")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_client_that_opens_no_pages_is_asked_for_none() {
    const PAGE: &str = r#"{"jsonrpc":"2.0","id":"p","method":"elicitation/create","params":{"mode":"url","elicitationId":"e","url":"https://example.com/a","message":"open"}}"#;
    for declared in [r#"{"elicitation":{"form":{}}}"#, r#"{"elicitation":{}}"#, r#"{"roots":{}}"#] {
        let (odd, played) = Played::start(202);
        let gateway = gateway(&odd);
        let (address, request) = (gateway.address(), modern(declared, ""));
        let asking = tokio::spawn(async move { Client::ask(address, &request).await.json() });
        eventually("the call", || played.is_called(1)).await;
        played.says(Place::Call, PAGE);
        eventually("a refusal", || !played.answers().is_empty()).await;
        let [refused] = &played.answers()[..] else { unreachable!("one answer") };
        let refused: Value = serde_json::from_str(refused).expect("a message");
        assert!(refused["id"] == "p" && refused["error"]["code"].is_i64(), "{declared}: {refused}");
        played.ends("done without");
        let answer = asking.await.expect("an answer");
        assert_eq!(answer["result"]["content"][0]["text"], "done without", "{declared}: {answer}");
    }
}

/// A client that reads no streams cannot be asked; its call goes on, and the server hears why.
#[tokio::test]
async fn who_cannot_be_asked_is_not() {
    let rig = WithChildren::unhurried("plain");
    let session = Session::begin(rig.address(), ABLE).await;
    let mut client = Client::connect(rig.address()).await;
    let params = json!({ "name": "odd__asks", "arguments": {} }).to_string();
    let request = Asked::legacy(&session.id, legacy::message("tools/call", &params));
    let answer = client.exchange(&request.with("Accept", "application/json")).await;
    let answers = answer.message()["result"]["content"][0]["text"].as_str().expect("a text").to_owned();
    let answers: Vec<Value> = serde_json::from_str(&answers).expect("what the child got");
    let of = |id: Value| answers.iter().find(|answer| answer["id"] == id).cloned().expect("an answer");
    assert_eq!(of(json!(2))["result"], json!({ "roots": [] }));
    assert_eq!(of(json!(3))["error"], json!({ "code": -32600, "message": "the client cannot be asked" }));
}
