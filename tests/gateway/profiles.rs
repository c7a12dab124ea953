//! What a legacy backend is told of clients that can do different things: a session, a child or a connection for each
//! profile of them, how many of those there are, and what becomes of requests that belong to no call.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use only1mcp::upstream::State;
use only1mcp::{Gateway, limits};
use serde_json::{Value, json};

use crate::legacy;
use crate::legacy_sse::{self, Old};
use crate::support::client::{Client, Request as Asked};
use crate::support::scripted::{Outcome, Servers, WithChildren, eventually, is_alive};
use crate::support::server::{self, Request, Server, head, json_answer, text_body};
use crate::support::socket_server::{SocketServer, say};
use crate::websocket::Sockets;

only1mcp::topology!(pub(crate) Profiles = "tests/gateway/topologies/profiles.yaml");

const NOTHING: &str = "{}";
const ROOTS: &str = r#"{"roots":{}}"#;
/// More profiles than any backend has sessions for; no two are the same, and each is written as a server is told it.
const MANY: [&str; 10] = [
    ROOTS,
    r#"{"sampling":{}}"#,
    r#"{"sampling":{"tools":{}}}"#,
    r#"{"sampling":{"context":{}}}"#,
    r#"{"elicitation":{"form":{}}}"#,
    r#"{"elicitation":{"url":{}}}"#,
    r#"{"elicitation":{"form":{},"url":{}}}"#,
    r#"{"roots":{},"sampling":{}}"#,
    r#"{"roots":{},"elicitation":{"form":{}}}"#,
    r#"{"sampling":{},"elicitation":{"form":{}}}"#,
];

/// A client of the legacy era that can do something.
pub(crate) struct Session {
    pub(crate) address: SocketAddr,
    pub(crate) id: String,
}

// === impl Session ===

impl Session {
    pub(crate) async fn begin(address: SocketAddr, capabilities: &str) -> Self {
        let declared = format!(r#""capabilities":{capabilities}"#);
        let request = legacy::initialize("2025-11-25").edit(r#""capabilities":{}"#, &declared);
        let answer = Client::ask(address, &request).await;
        Self { address, id: answer.field("mcp-session-id").expect("a session").to_owned() }
    }

    /// Calls a tool on a connection of its own: any worker.
    async fn call(&self, tool: &str, arguments: &Value) -> Outcome {
        let params = json!({ "name": tool, "arguments": arguments }).to_string();
        let request = Asked::legacy(&self.id, legacy::message("tools/call", &params));
        Outcome::of(&Client::ask(self.address, &request).await)
    }

    /// The child that takes a call.
    async fn pid(&self, backend: &str) -> u32 {
        pid(&self.call(&format!("{backend}__pid"), &json!({ "ms": 0 })).await)
    }
}

fn pid(outcome: &Outcome) -> u32 {
    let Outcome::Text(pid) = outcome else { unreachable!("{outcome:?}") };
    pid.parse().expect("a process id")
}

/// The child that takes a call of a modern client that can do something.
async fn modern_pid(address: SocketAddr, backend: &str, capabilities: &str) -> u32 {
    let (own, declared) = (r#"clientCapabilities":{}"#, format!(r#"clientCapabilities":{capabilities}"#));
    let request = Asked::call(&format!("{backend}__pid"), r#"{"ms":0}"#).edit(own, &declared);
    pid(&Outcome::of(&Client::ask(address, &request).await))
}

fn rig(start: &str) -> WithChildren {
    WithChildren::start_as::<Profiles>(start, |builder| builder)
}

/// What the children were told of their clients, in any order.
fn told(rig: &WithChildren) -> Vec<String> {
    let lines = rig.ledger.after("read");
    let messages = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("a message"));
    let greetings = messages.filter(|message| message["method"] == "initialize");
    sorted(greetings.map(|message| message["params"]["capabilities"].to_string()))
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    texts
}

fn awake(rig: &WithChildren, backend: &str) -> usize {
    let children = rig.gateway.children().filter(|child| child.backend() == backend);
    children.filter(|child| child.vitals().state != State::Asleep).count()
}

#[tokio::test]
async fn clients_of_one_profile_share_a_child_and_those_of_another_have_theirs() {
    let rig = rig("plain");
    let address = rig.address();
    eventually("the child for all", || awake(&rig, "odd") == 1).await;
    assert_eq!(rig.gateway.children().filter(|child| child.backend() == "odd").count(), 1, "none for anybody yet");
    let declared = [
        NOTHING,
        r#"{"roots":{"listChanged":true}}"#,
        r#"{"roots":{},"tasks":{}}"#,
        r#"{"sampling":{},"elicitation":{}}"#,
        r#"{"tasks":{}}"#,
    ];
    let mut pids = Vec::new();
    for capabilities in declared {
        pids.push(Session::begin(address, capabilities).await.pid("odd").await);
    }
    let [none, roots, roots_too, both, tasks] = pids[..] else { unreachable!("one each") };
    assert_eq!((roots_too, tasks), (roots, none));
    assert_eq!(BTreeSet::from([none, roots, both]).len(), 3, "{pids:?}");
    assert_eq!(modern_pid(address, "odd", ROOTS).await, roots);
    assert_eq!(modern_pid(address, "odd", NOTHING).await, none);
    assert_eq!(rig.ledger.spawned().len(), 3);
    assert_eq!(told(&rig), [r#"{"elicitation":{"form":{}},"sampling":{}}"#, ROOTS, NOTHING]);
    let instances = rig.gateway.children().filter(|child| child.backend() == "odd");
    assert_eq!(instances.map(|child| child.instance()).collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test]
async fn a_modern_server_has_one_child_for_clients_of_every_profile() {
    let rig = rig("modern");
    let own = Session::begin(rig.address(), NOTHING).await.pid("odd").await;
    for capabilities in MANY {
        assert_eq!(Session::begin(rig.address(), capabilities).await.pid("odd").await, own);
        assert_eq!(modern_pid(rig.address(), "odd", capabilities).await, own);
    }
    assert_eq!(rig.ledger.spawned(), [own]);
}

#[tokio::test]
async fn beyond_the_bound_a_client_is_one_that_can_do_nothing_until_a_child_was_ended() {
    let rig = rig("plain");
    let address = rig.address();
    let none = Session::begin(address, NOTHING).await.pid("odd").await;
    let mut own = BTreeSet::new();
    for capabilities in &MANY[..limits::PROFILE_CHILDREN_MAX] {
        own.insert(Session::begin(address, capabilities).await.pid("odd").await);
    }
    assert_eq!(own.len(), limits::PROFILE_CHILDREN_MAX);
    let late = Session::begin(address, MANY[limits::PROFILE_CHILDREN_MAX]).await;
    assert!(!own.contains(&none));
    assert_eq!(late.pid("odd").await, none);
    // Where they end when they are idle, their places are others' then.
    for capabilities in MANY {
        let session = Session::begin(address, capabilities).await;
        let own = session.pid("brief").await;
        eventually("its end", || !is_alive(own) && awake(&rig, "brief") == 0).await;
    }
    let mut expected = sorted(MANY.iter().map(|each| serde_json::from_str::<Value>(each).expect("JSON").to_string()));
    expected.retain(|each| !told(&rig).contains(each));
    assert_eq!(expected, [""; 0], "each was told of once");
}

#[tokio::test]
async fn a_child_of_one_session_is_told_what_its_client_can_do() {
    let rig = rig("plain");
    let (one, other) = (Session::begin(rig.address(), ROOTS).await, Session::begin(rig.address(), MANY[1]).await);
    assert_ne!(one.pid("own").await, other.pid("own").await);
    // Beside the children for all, which may be up.
    let mut all = told(&rig);
    all.retain(|told| *told != NOTHING);
    assert_eq!(all, [ROOTS, MANY[1]]);
}

#[tokio::test]
async fn what_a_backend_may_not_ask_is_not_declared() {
    let rig = rig("plain");
    let mut mute = BTreeSet::new();
    for capabilities in [NOTHING, ROOTS, MANY[1], MANY[9]] {
        mute.insert(Session::begin(rig.address(), capabilities).await.pid("mute").await);
    }
    assert_eq!(mute.len(), 1);
    let address = rig.address();
    let half = |capabilities| async move { Session::begin(address, capabilities).await.pid("half").await };
    let (none, roots) = (half(NOTHING).await, half(ROOTS).await);
    assert_ne!(none, roots);
    assert_eq!((half(MANY[1]).await, half(MANY[7]).await), (none, roots));
}

/// What the child of `odd` is answered that asks while this many other calls are in flight.
async fn asks_beside_another(capabilities: &str) -> Vec<Value> {
    let rig = rig("plain");
    let session = Session::begin(rig.address(), capabilities).await;
    let other = Session { address: rig.address(), id: session.id.clone() };
    let held = tokio::spawn(async move { other.call("odd__held", &json!({})).await });
    eventually("the other call", || rig.ledger.after("read").iter().any(|line| line.contains("\"held\""))).await;
    let Outcome::Text(answers) = session.call("odd__asks", &json!({})).await else { unreachable!("it got answers") };
    rig.ledger.note(format_args!("go on"));
    assert_eq!(held.await.expect("a call"), Outcome::Text("held".to_owned()));
    let mut answers: Vec<Value> = serde_json::from_str(&answers).expect("what it got");
    answers.sort_by_key(|answer| answer["id"].to_string());
    answers
}

#[tokio::test]
async fn what_belongs_to_no_call_is_answered_by_the_gateway() {
    let declared = asks_beside_another(r#"{"roots":{},"sampling":{}}"#).await;
    let [ping, roots, sampling] = &declared[..] else { unreachable!("three answers") };
    assert_eq!(*ping, json!({ "jsonrpc": "2.0", "id": "s-1", "result": {} }));
    assert_eq!(*roots, json!({ "jsonrpc": "2.0", "id": 2, "result": { "roots": [] } }));
    let error = json!({ "code": -32600, "message": "no client request in progress" });
    assert_eq!(*sampling, json!({ "jsonrpc": "2.0", "id": 3, "error": error }));
    // Of what was not declared, nothing is promised.
    let undeclared = asks_beside_another(NOTHING).await;
    let codes: Vec<_> = undeclared.iter().map(|answer| answer["error"]["code"].as_i64()).collect();
    assert_eq!(codes, [None, Some(-32601), Some(-32601)]);
}

/// A legacy HTTP server with a session for each `initialize`, and everything it was asked. Calls are answered with the
/// session that they came in.
fn sessions() -> (Server, Arc<Mutex<Vec<Request>>>) {
    let requests = Arc::<Mutex<Vec<Request>>>::default();
    let (kept, count) = (Arc::clone(&requests), AtomicUsize::new(0));
    let session = move || format!("session-{}", count.fetch_add(1, Ordering::SeqCst));
    let script = server::legacy(session, |request: &Request| match request.rpc() {
        "" => vec![head(202, "content-length: 0\r\n")],
        _ => vec![json_answer(200, &text_body(&request.id(), request.field("mcp-session-id").unwrap_or("none")))],
    });
    let server = Server::start(move |request: &Request| {
        kept.lock().expect("not poisoned").push(request.clone());
        script(request)
    });
    (server, requests)
}

#[tokio::test]
async fn each_profile_has_a_session_with_a_legacy_server_up_to_the_bound() {
    let (odd, requests) = sessions();
    let requests = || requests.lock().expect("not poisoned").clone();
    let builder = Gateway::<Servers>::builder().workers(1).reference("ODD_URL", odd.url());
    let gateway = builder.reference("GOOD_URL", odd.url()).start().expect("the gateway starts");
    let session = |capabilities: &'static str| {
        let address = gateway.address();
        async move { Session::begin(address, capabilities).await.call("odd__echo", &json!({})).await }
    };
    // The first to come finds out that it is a legacy server; nobody needs a session of no capabilities yet.
    let mut own = Vec::new();
    for capabilities in &MANY[..limits::PROFILES_MAX] {
        own.push(session(capabilities).await);
    }
    let none = session(NOTHING).await;
    for (capabilities, own) in MANY.iter().zip(&own) {
        assert_eq!(session(capabilities).await, *own);
    }
    for capabilities in &MANY[limits::PROFILES_MAX..] {
        assert_eq!(session(capabilities).await, none);
    }
    let of = |method: &str| requests().into_iter().filter(|request| request.rpc() == method).collect::<Vec<_>>();
    let told: Vec<_> = of("initialize").iter().map(|request| request.body["params"]["capabilities"].clone()).collect();
    let expected = MANY[..limits::PROFILES_MAX].iter().chain([&NOTHING]);
    assert_eq!(told, expected.map(|each| serde_json::from_str(each).expect("JSON")).collect::<Vec<Value>>());
    let names: Vec<_> = (0..=limits::PROFILES_MAX).map(|count| Outcome::Text(format!("session-{count}"))).collect();
    assert_eq!([own, vec![none]].concat(), names);
    gateway.stop();
    let ended = requests().into_iter().filter(|request| request.method == "DELETE");
    let ended: BTreeSet<_> = ended.filter_map(|request| request.field("mcp-session-id").map(str::to_owned)).collect();
    assert_eq!(ended.len(), limits::PROFILES_MAX + 1, "{ended:?}");
}

#[tokio::test]
async fn a_session_that_is_over_is_begun_anew_for_its_profile_alone() {
    let over = Arc::new(AtomicUsize::new(0));
    let (odd, requests) = {
        let over = Arc::clone(&over);
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (kept, count) = (Arc::clone(&requests), AtomicUsize::new(0));
        let session = move || format!("session-{}", count.fetch_add(1, Ordering::SeqCst));
        let script = server::legacy(session, move |request: &Request| {
            let session = request.field("mcp-session-id").unwrap_or("none");
            match session == "session-1" && over.load(Ordering::SeqCst) == 1 {
                true => vec![head(404, "content-length: 0\r\n")],
                false => vec![json_answer(200, &text_body(&request.id(), session))],
            }
        });
        let server = Server::start(move |request: &Request| {
            kept.lock().expect("not poisoned").push(request.clone());
            script(request)
        });
        (server, requests)
    };
    let builder = Gateway::<Servers>::builder().workers(1).reference("ODD_URL", odd.url());
    let gateway = builder.reference("GOOD_URL", odd.url()).start().expect("the gateway starts");
    let address = gateway.address();
    let (none, roots) = (Session::begin(address, NOTHING).await, Session::begin(address, ROOTS).await);
    let text = |text: &str| Outcome::Text(text.to_owned());
    assert_eq!(none.call("odd__echo", &json!({})).await, text("session-0"));
    assert_eq!(roots.call("odd__echo", &json!({})).await, text("session-1"));
    over.store(1, Ordering::SeqCst);
    assert_eq!(roots.call("odd__echo", &json!({})).await, text("session-2"));
    assert_eq!(none.call("odd__echo", &json!({})).await, text("session-0"));
    let requests = requests.lock().expect("not poisoned");
    let greetings = requests.iter().filter(|request| request.rpc() == "initialize");
    let told: Vec<_> = greetings.map(|request| request.body["params"]["capabilities"].to_string()).collect();
    assert_eq!(told, [NOTHING, ROOTS, ROOTS]);
}

#[tokio::test]
async fn each_profile_has_a_stream_with_a_server_over_http_and_sse() {
    let (odd, played) = legacy_sse::old(|request, stream| {
        stream.say(&text_body(&request.id(), &request.target));
        vec![head(202, "content-length: 0\r\n")]
    });
    let builder = Gateway::<Old>::builder().workers(1).reference("ODD_URL", odd.url());
    let gateway = builder.reference("GOOD_URL", odd.url()).start().expect("the gateway starts");
    let stream = |capabilities: &'static str| {
        let address = gateway.address();
        async move { Session::begin(address, capabilities).await.call("odd__echo", &json!({})).await }
    };
    let all = [stream(NOTHING).await, stream(ROOTS).await, stream(MANY[1]).await];
    assert_eq!([stream(NOTHING).await, stream(ROOTS).await, stream(MANY[1]).await], all);
    let places = all.iter().map(|outcome| match outcome {
        Outcome::Text(place) => place.clone(),
        other => unreachable!("{other:?}"),
    });
    assert_eq!(places.collect::<BTreeSet<_>>().len(), 3, "{all:?}");
    let requests = played.requests();
    let greetings = requests.iter().filter(|request| request.rpc() == "initialize");
    let told: Vec<_> = greetings.map(|request| request.body["params"]["capabilities"].to_string()).collect();
    assert_eq!(told, [NOTHING, ROOTS, MANY[1]]);
    gateway.stop();
}

#[tokio::test]
async fn each_profile_has_a_connection_with_a_legacy_server_over_websocket() {
    let odd = SocketServer::start(|request| match request.rpc() {
        "initialize" => {
            let result = json!({ "protocolVersion": "2025-06-18", "capabilities": { "tools": {} }, "serverInfo": {} });
            vec![say(&server::result_body(&request.id(), &result))]
        }
        "tools/call" => vec![say(&text_body(&request.id(), "done"))],
        method if method.starts_with("notifications/") => Vec::new(),
        _ => vec![say(&server::error_body(&request.id(), -32601))],
    });
    let good = SocketServer::start(crate::websocket::greeted(|request| vec![say(&text_body(&request.id(), "done"))]));
    let builder = Gateway::<Sockets>::builder().workers(1).reference("ODD_URL", odd.url());
    let gateway = builder.reference("GOOD_URL", good.url()).start().expect("the gateway starts");
    for capabilities in [NOTHING, ROOTS, MANY[1], ROOTS, NOTHING] {
        let session = Session::begin(gateway.address(), capabilities).await;
        for backend in ["odd", "good"] {
            let outcome = session.call(&format!("{backend}__echo"), &json!({})).await;
            assert_eq!(outcome, Outcome::Text("done".to_owned()), "{backend} {capabilities}");
        }
    }
    let greetings = odd.heard("initialize");
    let told: Vec<_> = greetings.iter().map(|message| message["params"]["capabilities"].to_string()).collect();
    assert_eq!(told, [NOTHING, ROOTS, MANY[1]]);
    assert_eq!((odd.connections(), good.connections()), (3, 1));
    gateway.stop();
}
