//! What servers of the legacy era tell by themselves, over each transport, and the modern clients that listen for it.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use only1mcp::upstream::State;
use only1mcp::{Gateway, Running};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::legacy;
use crate::legacy_sse::{Played, accepted, old};
use crate::subscriptions::{hear, listen};
use crate::support::client::{Client, META, Request as Asked};
use crate::support::ledger::{Directory, Ledger};
use crate::support::scripted::{Outcome, call, eventually};
use crate::support::server::{
    Request, Script, Server, Step, chunk, error_body, event, event_stream, head, json_answer, last_chunk, result_body,
    stream_head, telling, text_body,
};
use crate::support::socket_server::{SocketServer, say};
use crate::told;

only1mcp::topology!(Feeds = "tests/gateway/topologies/feeds.yaml");

/// A gateway, and what one of its servers was asked.
pub(crate) struct Rig {
    pub(crate) gateway: Running,
    pub(crate) backend: &'static str,
    /// The messages that reached the server, in the order in which they came.
    log: Box<dyn Fn() -> Vec<Value>>,
}

/// A server over Streamable HTTP that is played.
#[derive(Default)]
pub(crate) struct Web {
    messages: Mutex<Vec<Value>>,
    sessions: AtomicUsize,
    /// The stream of the session that there is.
    stream: Mutex<Option<mpsc::Sender<Step>>>,
    /// Its head, where that was not sent yet.
    head: Mutex<Option<Step>>,
}

/// Gateways have one worker here: each has a session of its own.
fn gateway(backend: &str, reference: (&str, &str)) -> Running {
    started(backend, reference, 1)
}

fn started(backend: &str, (name, value): (&str, &str), workers: usize) -> Running {
    let elsewhere = [
        ("WEB_URL", "http://127.0.0.1:9/mcp"),
        ("OLD_URL", "http://127.0.0.1:9/sse"),
        ("SOCKET_URL", "ws://127.0.0.1:9/"),
        ("CHILD_LEDGER", "/dev/null"),
    ];
    let others = elsewhere.into_iter().filter(|(other, _)| *other != name);
    let builder = Gateway::<Feeds>::builder().workers(workers).reference(name, value);
    let builder = builder.program(std::env::current_exe().expect("this binary has a path"));
    let builder = others.fold(builder, |builder, (name, value)| builder.reference(name, value));
    let builder = if cfg!(feature = "admin") { builder.admin_address("127.0.0.1:0") } else { builder };
    builder.start().unwrap_or_else(|error| unreachable!("{backend}: {error}"))
}

// === impl Rig ===

impl Rig {
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// The URI of a resource of the server.
    fn uri(&self, name: &str) -> String {
        format!("{}://{name}", self.backend)
    }

    /// The URIs of the messages with this method.
    fn asked(&self, method: &str) -> Vec<String> {
        let messages = (self.log)().into_iter().filter(|message| message["method"] == method);
        messages.map(|message| message["params"]["uri"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) async fn listen(&self, id: &str, wanted: &Value) -> (Client, Value) {
        listen(self.address(), &format!("/mcp/{}", self.backend), id, &wanted.to_string()).await
    }

    /// Has the server tell something.
    async fn tell(&self, notification: &Value) {
        let told = call(self.address(), &format!("{}__tells", self.backend), &notification.to_string()).await;
        assert_eq!(told, Outcome::Text(notification.to_string()));
    }

    async fn update(&self, uri: &str) {
        self.tell(&json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": { "uri": uri } }))
            .await;
    }

    async fn change_tools(&self) {
        self.tell(&tools_changed()).await;
    }
}

fn tools_changed() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" })
}

/// What was told: the method, and the URI where there is one.
async fn heard(client: &mut Client, id: &str) -> (String, Option<String>) {
    let message = hear(client, id).await;
    let method = message["method"].as_str().unwrap_or_default();
    let method = method.strip_prefix("notifications/").unwrap_or(method);
    (method.to_owned(), message["params"]["uri"].as_str().map(str::to_owned))
}

fn changed(list: &str) -> (String, Option<String>) {
    (format!("{list}/list_changed"), None)
}

fn updated(uri: &str) -> (String, Option<String>) {
    ("resources/updated".to_owned(), Some(uri.to_owned()))
}

/// Each resource is subscribed to once, and unsubscribed when the last one leaves.
async fn tells_what_is_listened_for(rig: &Rig) {
    let (a, refused) = (rig.uri("a"), rig.uri("refused"));
    let wanted = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": [a, refused, "nobody://has/it"],
    });
    let (mut first, acknowledged) = rig.listen("1", &wanted).await;
    // Lists are the gateway's own: it tells of them whether or not the server does.
    let lists = json!({ "toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": [a] });
    assert_eq!(acknowledged, lists);
    let mut asked = rig.asked("resources/subscribe");
    asked.sort();
    assert_eq!(asked, [a.clone(), refused.clone()]);
    let (mut second, acknowledged) = rig.listen("2", &json!({ "resourceSubscriptions": [a] })).await;
    assert_eq!(acknowledged, json!({ "resourceSubscriptions": [a] }));
    assert_eq!(rig.asked("resources/subscribe").len(), 2, "once for all who want it");

    rig.update(&refused).await;
    rig.change_tools().await;
    assert_eq!(heard(&mut first, "1").await, changed("tools"));
    rig.update(&format!("{a}/beneath")).await;
    assert_eq!(heard(&mut first, "1").await, updated(&a));
    assert_eq!(heard(&mut second, "2").await, updated(&a));

    drop(first);
    let (third, acknowledged) = rig.listen("3", &json!({ "resourceSubscriptions": [rig.uri("b")] })).await;
    assert_eq!(acknowledged, json!({ "resourceSubscriptions": [rig.uri("b")] }));
    assert!(rig.asked("resources/unsubscribe").is_empty(), "somebody is left");
    drop(third);
    eventually("what nobody wants is unsubscribed", || rig.asked("resources/unsubscribe") == [rig.uri("b")]).await;
    rig.update(&a).await;
    assert_eq!(heard(&mut second, "2").await, updated(&a));
    drop(second);
    eventually("so is the last", || rig.asked("resources/unsubscribe") == [rig.uri("b"), a.clone()]).await;

    // Who comes later finds nothing of it left.
    let (mut last, acknowledged) = rig.listen("4", &json!({ "resourceSubscriptions": [a] })).await;
    assert_eq!(acknowledged, json!({ "resourceSubscriptions": [a] }));
    assert_eq!(rig.asked("resources/subscribe").iter().filter(|uri| **uri == a).count(), 2);
    rig.update(&a).await;
    assert_eq!(heard(&mut last, "4").await, updated(&a));
}

/// The same to a legacy client, on the stream of its session.
async fn tells_legacy_sessions(rig: &Rig) {
    let (address, a) = (rig.address(), rig.uri("a"));
    let before = rig.asked("resources/unsubscribe").len();
    let session = legacy::session(address).await;
    let refused = told::ask(address, &session, "resources/subscribe", &rig.uri("refused")).await;
    assert_eq!((refused.status, refused.code()), (200, Some(-32601)), "{}", refused.text());
    told::subscribe(address, &session, &a).await;
    let mut stream = legacy::opened(address, &session).await;
    rig.update(&rig.uri("b")).await;
    rig.update(&format!("{a}/beneath")).await;
    assert_eq!(stream.message().await, Some(told::updated(&a)));
    told::unsubscribe(address, &session, &a).await;
    let gone = || rig.asked("resources/unsubscribe")[before..].contains(&a);
    eventually("what no session is subscribed to is unsubscribed", gone).await;
}

/// A session that is over is begun anew: all counts as changed, and resources are subscribed to again.
async fn goes_on_in_another_session(rig: &Rig, break_off: &str) {
    let a = rig.uri("a");
    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": [a] });
    let (mut client, acknowledged) = rig.listen("1", &wanted).await;
    assert_eq!(acknowledged, wanted);
    assert_eq!(rig.asked("resources/subscribe"), [a.as_str()]);
    call(rig.address(), &format!("{}__{break_off}", rig.backend), "").await;
    let told = [heard(&mut client, "1").await, heard(&mut client, "1").await];
    assert_eq!(told, [changed("tools"), updated(&a)]);
    assert_eq!(rig.asked("resources/subscribe"), [a.clone(), a.clone()]);
    assert!(rig.asked("initialize").len() >= 2);
    rig.update(&a).await;
    assert_eq!(heard(&mut client, "1").await, updated(&a));
    rig.change_tools().await;
    assert_eq!(heard(&mut client, "1").await, changed("tools"));
}

/// Some servers tell only whoever called, in a session of its own: that counts for all.
async fn tells_whoever_calls(rig: &Rig, tool: &str) {
    let (mut client, _) = rig.listen("1", &json!({ "toolsListChanged": true })).await;
    let able = META.replace(r#"clientCapabilities":{}"#, r#"clientCapabilities":{"elicitation":{}}"#);
    let arguments = json!({ "text": tools_changed().to_string() }).to_string();
    let called = Asked::call(&format!("{}__{tool}", rig.backend), &arguments).edit(META, &able);
    assert_eq!(Client::ask(rig.address(), &called).await.status, 200);
    assert_eq!(heard(&mut client, "1").await, changed("tools"));
    assert_eq!(rig.asked("initialize").len(), 2, "who can do more has a session of its own");
}

/// The answer to a request for a resource to be told of, or no more.
fn subscribed(request: &Request) -> String {
    let refused = request.body["params"]["uri"].as_str().is_some_and(|uri| uri.ends_with("refused"));
    match request.rpc() {
        "resources/subscribe" if refused => error_body(&request.id(), -32602),
        _ => result_body(&request.id(), &json!({})),
    }
}

// === over Streamable HTTP ===

impl Web {
    /// One whose stream `listened` answers for.
    fn serve(listened: fn(&Self) -> Script) -> (Server, Arc<Self>) {
        let web = Arc::<Self>::default();
        let of_script = Arc::clone(&web);
        (Server::start(move |request| of_script.play(request, listened)), web)
    }

    /// The stream that there is from now on.
    pub(crate) fn follow(&self) -> Script {
        let (steps, followed) = mpsc::channel(64);
        self.stream.lock().expect("not poisoned").replace(steps);
        vec![stream_head(), Step::Follow(Arc::new(tokio::sync::Mutex::new(followed))), last_chunk()]
    }

    /// The same, whose head comes with the first message.
    fn follow_late(&self) -> Script {
        let mut script = self.follow();
        self.head.lock().expect("not poisoned").replace(script.remove(0));
        script
    }

    fn none(&self) -> Script {
        self.stream.lock().expect("not poisoned").take();
        vec![head(405, "content-length: 0\r\n")]
    }

    fn says(&self, message: &str) {
        let stream = self.stream.lock().expect("not poisoned").clone().expect("a stream");
        let head = self.head.lock().expect("not poisoned").take();
        for step in head.into_iter().chain([chunk(event(message))]) {
            stream.try_send(step).expect("it is followed");
        }
    }

    fn play(&self, request: &Request, listened: fn(&Self) -> Script) -> Script {
        self.messages.lock().expect("not poisoned").push(request.body.clone());
        let session = self.sessions.load(Ordering::SeqCst).to_string();
        let stale = request.field("mcp-session-id").is_some_and(|own| own != session);
        let result = |body: &str| vec![json_answer(200, body)];
        match (request.method.as_str(), request.rpc(), request.name()) {
            _ if stale => vec![head(404, "content-length: 0\r\n")],
            ("GET", ..) => listened(self),
            ("DELETE", ..) => vec![head(204, "")],
            (_, "server/discover", _) => {
                vec![json_answer(400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no session"}}"#)]
            }
            (_, "initialize", _) => {
                let result = json!({ "protocolVersion": "2025-11-25", "capabilities": telling(), "serverInfo": {} });
                let body = result_body(&request.id(), &result);
                let fields = format!(
                    "content-type: application/json\r\nmcp-session-id: {session}\r\ncontent-length: {}\r\n",
                    body.len()
                );
                vec![head(200, &fields), Step::Write(body.into())]
            }
            (_, method, _) if method.starts_with("notifications/") => vec![head(202, "content-length: 0\r\n")],
            (_, "resources/subscribe" | "resources/unsubscribe", _) => result(&subscribed(request)),
            (_, _, "tells") => {
                self.says(request.argument());
                result(&text_body(&request.id(), request.argument()))
            }
            // As its session asks for nothing: it comes on the call's own stream.
            (_, _, "tells_aside") => event_stream(&[request.argument(), &text_body(&request.id(), request.argument())]),
            (_, _, "ends_stream") => {
                self.stream.lock().expect("not poisoned").take();
                result(&text_body(&request.id(), ""))
            }
            (_, _, "breaks") => {
                self.sessions.fetch_add(1, Ordering::SeqCst);
                self.stream.lock().expect("not poisoned").take();
                result(&text_body(&request.id(), ""))
            }
            _ => result(&error_body(&request.id(), -32601)),
        }
    }
}

pub(crate) fn over_http(listened: fn(&Web) -> Script) -> (Rig, Server) {
    let (server, web) = Web::serve(listened);
    let log = Box::new(move || web.messages.lock().expect("not poisoned").clone());
    (Rig { gateway: gateway("web", ("WEB_URL", &server.url())), backend: "web", log }, server)
}

#[tokio::test]
async fn a_server_over_http_is_heard_on_the_stream_of_its_session() {
    let (rig, _server) = over_http(Web::follow);
    tells_what_is_listened_for(&rig).await;
    tells_legacy_sessions(&rig).await;
}

/// As the TypeScript SDK 2 does: nothing of the response is sent before there is an event.
#[tokio::test]
async fn a_server_over_http_whose_stream_begins_with_what_it_tells_is_heard() {
    let (rig, _server) = over_http(Web::follow_late);
    tells_what_is_listened_for(&rig).await;
    tells_legacy_sessions(&rig).await;
}

#[tokio::test]
async fn a_session_over_http_that_is_over_is_begun_anew_for_who_listens() {
    let (rig, _server) = over_http(Web::follow);
    goes_on_in_another_session(&rig, "breaks").await;
}

#[tokio::test]
async fn what_a_server_tells_on_the_stream_of_a_call_is_heard_as_well() {
    let (rig, _server) = over_http(Web::follow);
    let (mut client, _) = rig.listen("1", &json!({ "toolsListChanged": true })).await;
    let told = call(rig.address(), "web__tells_aside", &tools_changed().to_string()).await;
    assert_eq!(told, Outcome::Text(tools_changed().to_string()));
    assert_eq!(heard(&mut client, "1").await, changed("tools"));
}

#[tokio::test]
async fn what_may_have_been_missed_while_the_stream_of_a_session_was_broken_is_told() {
    let (rig, _server) = over_http(Web::follow);
    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": [rig.uri("a")] });
    let (mut client, _) = rig.listen("1", &wanted).await;
    call(rig.address(), "web__ends_stream", "").await;
    let told = [heard(&mut client, "1").await, heard(&mut client, "1").await];
    assert_eq!(told, [changed("tools"), updated(&rig.uri("a"))]);
    assert_eq!((rig.asked("initialize").len(), rig.asked("resources/subscribe").len()), (1, 1), "the session goes on");
}

#[tokio::test]
async fn a_server_without_a_stream_cannot_be_heard() {
    let (rig, _server) = over_http(Web::none);
    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": [rig.uri("a")] });
    let (_client, acknowledged) = rig.listen("1", &wanted).await;
    assert_eq!(acknowledged, json!({ "toolsListChanged": true }), "by the gateway itself");
    assert!(rig.asked("resources/subscribe").is_empty());
}

#[tokio::test]
async fn what_a_server_over_http_tells_another_session_counts() {
    let (rig, _server) = over_http(Web::follow);
    tells_whoever_calls(&rig, "tells_aside").await;
}

#[tokio::test]
async fn what_a_server_tells_of_a_list_in_the_session_of_one_worker_counts_on_all() {
    let (server, web) = Web::serve(Web::follow);
    let log = Box::new(move || web.messages.lock().expect("not poisoned").clone());
    let rig = Rig { gateway: started("web", ("WEB_URL", &server.url()), 4), backend: "web", log };
    let (mut client, _) = rig.listen("1", &json!({ "toolsListChanged": true })).await;
    // Each of so many connections reaches one of the four by chance.
    while rig.asked("initialize").len() < 4 {
        let told = call(rig.address(), "web__tells_aside", &tools_changed().to_string()).await;
        assert_eq!(told, Outcome::Text(tools_changed().to_string()));
        assert_eq!(heard(&mut client, "1").await, changed("tools"));
    }
}

// === over HTTP+SSE ===

pub(crate) fn over_sse() -> (Rig, Server) {
    let (server, played) = old(|request, stream| {
        match (request.rpc(), request.name()) {
            ("resources/subscribe" | "resources/unsubscribe", _) => stream.say(&subscribed(request)),
            (_, "breaks") => stream.send(Step::Close),
            _ => {
                stream.say(request.argument());
                stream.say(&text_body(&request.id(), request.argument()));
            }
        }
        accepted()
    });
    let log = Box::new(move || Played::requests(&played).into_iter().map(|request| request.body).collect());
    (Rig { gateway: gateway("old", ("OLD_URL", &server.url())), backend: "old", log }, server)
}

#[tokio::test]
async fn a_server_over_sse_is_heard_on_its_stream() {
    let (rig, _server) = over_sse();
    tells_what_is_listened_for(&rig).await;
    tells_legacy_sessions(&rig).await;
}

#[tokio::test]
async fn a_stream_of_sse_that_ended_is_opened_anew_for_who_listens() {
    let (rig, _server) = over_sse();
    goes_on_in_another_session(&rig, "breaks").await;
}

#[tokio::test]
async fn what_a_server_over_sse_tells_another_session_counts() {
    let (rig, _server) = over_sse();
    tells_whoever_calls(&rig, "tells").await;
}

// === over WebSocket ===

pub(crate) fn over_websocket() -> (Rig, Arc<SocketServer>) {
    let server = SocketServer::start(|request| match (request.rpc(), request.name()) {
        ("initialize", _) => {
            let result = json!({ "protocolVersion": "2025-06-18", "capabilities": telling(), "serverInfo": {} });
            vec![say(&result_body(&request.id(), &result))]
        }
        ("server/discover", _) => vec![say(&error_body(&request.id(), -32601))],
        ("resources/subscribe" | "resources/unsubscribe", _) => vec![say(&subscribed(request))],
        ("tools/call", "breaks") => vec![Step::Close],
        ("tools/call", _) => vec![say(request.argument()), say(&text_body(&request.id(), request.argument()))],
        _ => Vec::new(),
    });
    let server = Arc::new(server);
    let logged = Arc::clone(&server);
    let log = Box::new(move || logged.messages());
    (Rig { gateway: gateway("socket", ("SOCKET_URL", &server.url())), backend: "socket", log }, server)
}

#[tokio::test]
async fn a_server_over_websocket_is_heard_on_its_connection() {
    let (rig, _server) = over_websocket();
    tells_what_is_listened_for(&rig).await;
    tells_legacy_sessions(&rig).await;
}

#[tokio::test]
async fn a_websocket_that_ended_is_made_anew_for_who_listens() {
    let (rig, _server) = over_websocket();
    goes_on_in_another_session(&rig, "breaks").await;
}

#[tokio::test]
async fn what_a_server_over_websocket_tells_another_session_counts() {
    let (rig, _server) = over_websocket();
    tells_whoever_calls(&rig, "tells").await;
}

// === over stdio ===

pub(crate) fn over_stdio(workers: usize) -> (Rig, Directory) {
    let directory = Directory::new();
    let ledger = Ledger::at(directory.path("ledger"));
    let gateway = started("child", ("CHILD_LEDGER", ledger.path()), workers);
    let read = |line: &String| serde_json::from_str(line).expect("a message");
    let log = Box::new(move || ledger.after("read").iter().map(read).collect());
    (Rig { gateway, backend: "child", log }, directory)
}

#[tokio::test]
async fn a_child_is_heard_on_its_stdout() {
    let (rig, _directory) = over_stdio(1);
    tells_what_is_listened_for(&rig).await;
    tells_legacy_sessions(&rig).await;
}

#[tokio::test]
async fn a_child_that_ended_is_started_anew_for_who_listens() {
    let (rig, _directory) = over_stdio(1);
    goes_on_in_another_session(&rig, "exits").await;
}

#[tokio::test]
async fn what_another_child_tells_counts() {
    let (rig, _directory) = over_stdio(2);
    tells_whoever_calls(&rig, "tells").await;
}

#[tokio::test]
async fn a_lazy_child_is_started_by_who_listens_and_is_not_idle_while_it_is_heard() {
    let (rig, _directory) = over_stdio(1);
    let state = || {
        let child = rig.gateway.children().next().expect("a child");
        (child.vitals().state, child.vitals().generation)
    };
    eventually("its rest", || state() == (State::Asleep, 0)).await;
    let (client, acknowledged) = rig.listen("1", &json!({ "toolsListChanged": true })).await;
    assert_eq!(acknowledged, json!({ "toolsListChanged": true }));
    // Three times as long as it may be idle.
    tokio::time::sleep(std::time::Duration::from_millis(900)).await;
    assert_eq!(state(), (State::Ready, 1));
    drop(client);
    eventually("its rest", || state() == (State::Asleep, 1)).await;
    // Nobody is told anything by a child that has nothing to tell of it: it may rest.
    let (_deaf, acknowledged) = rig.listen("2", &json!({ "promptsListChanged": true })).await;
    assert_eq!((acknowledged, state().1), (json!({ "promptsListChanged": true }), 2));
    eventually("its rest", || state() == (State::Asleep, 2)).await;
    let wanted = json!({ "resourceSubscriptions": [rig.uri("a")] });
    let (client, acknowledged) = rig.listen("3", &wanted).await;
    assert_eq!((acknowledged, state()), (wanted, (State::Ready, 3)));
    drop(client);
    eventually("its rest", || state() == (State::Asleep, 3)).await;
    assert_eq!(rig.asked("resources/unsubscribe"), [rig.uri("a")]);
}

#[tokio::test]
async fn workers_that_share_a_child_share_its_subscriptions() {
    let (rig, _directory) = over_stdio(4);
    let a = rig.uri("a");
    let mut clients = Vec::new();
    for id in 0..16 {
        let (client, acknowledged) = rig.listen(&id.to_string(), &json!({ "resourceSubscriptions": [a] })).await;
        assert_eq!(acknowledged, json!({ "resourceSubscriptions": [a] }));
        clients.push((id, client));
    }
    assert_eq!(rig.asked("resources/subscribe"), [a.as_str()]);
    for told in 0..2 {
        rig.update(&a).await;
        for (id, client) in &mut clients {
            assert_eq!(heard(client, &id.to_string()).await, updated(&a), "{told}");
        }
        // All but one leave, so that all but one worker has nobody left.
        clients.truncate(1);
    }
    assert!(rig.asked("resources/unsubscribe").is_empty());
    drop(clients);
    eventually("it is unsubscribed once", || rig.asked("resources/unsubscribe") == [a.clone()]).await;
}
