//! Tasks: of modern servers for modern clients, of legacy servers for clients of sessions, and for modern clients tools of
//! legacy servers that run as tasks alone.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use only1mcp::{Gateway, Running};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::legacy::{initialize, message};
use crate::profiles::Session;
use crate::questions::{hear, respond};
use crate::support::client::{Answer, Client, Request as Asked};
use crate::support::scripted::eventually;
use crate::support::server::{
    self, Request, Script, Server, Step, chunk, error_body, event, head, json_answer, last_chunk, result_body,
    stream_head, text_body,
};

only1mcp::topology!(pub(crate) Tasks = "tests/gateway/topologies/tasks.yaml");

const EXTENSION: &str = "io.modelcontextprotocol/tasks";
pub(crate) const DECLARED: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
/// What the modern server calls its tasks.
const INNER: &str = "inner/\u{e9} \"1\"";

/// What reached a server.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<Request>>>);

/// A gateway with its two servers and what they heard.
struct Rig {
    gateway: Running,
    new: Heard,
    old: Old,
    _servers: [Server; 2],
}

/// What the legacy server knows: which of its sessions began which task, and who waits for an answer about which.
#[derive(Clone, Debug, Default)]
struct Old {
    heard: Heard,
    sessions: Arc<Mutex<usize>>,
    tasks: Arc<Mutex<BTreeMap<String, String>>>,
    waiting: Arc<Mutex<BTreeMap<String, mpsc::Sender<Step>>>>,
}

// === impl Heard ===

impl Heard {
    fn note(&self, request: &Request) {
        self.0.lock().expect("no test panics in it").push(request.clone());
    }

    fn of(&self, method: &str) -> Vec<Request> {
        let all = self.0.lock().expect("no test panics in it");
        all.iter().filter(|request| request.rpc() == method).cloned().collect()
    }

    fn count(&self) -> usize {
        self.0.lock().expect("no test panics in it").len()
    }
}

// === impl Old ===

impl Old {
    fn serve(&self, request: &Request) -> Script {
        self.heard.note(request);
        let session = request.field("mcp-session-id").expect("a session").to_owned();
        let task = request.body["params"]["taskId"].as_str().unwrap_or_default();
        let known = self.tasks.lock().expect("no test panics in it").get(task) == Some(&session);
        let related = json!({ "io.modelcontextprotocol/related-task": { "taskId": task } });
        match request.rpc() {
            "tools/call" if request.body["params"]["task"].is_object() => self.begin(request, session),
            "tools/call" if request.name() == "only" => vec![json_answer(200, &error_body(&request.id(), -32601))],
            "tools/call" => vec![json_answer(200, &text_body(&request.id(), "at once"))],
            "tasks/get" | "tasks/cancel" if known => {
                let result = json!({ "taskId": task, "status": "working", "ttl": null, "_meta": related });
                vec![json_answer(200, &result_body(&request.id(), &result))]
            }
            "tasks/result" if known => self.result(request, task, &related),
            method if method.starts_with("tasks/") => vec![json_answer(200, &error_body(&request.id(), -32602))],
            _ if request.body["error"].is_object() => vec![head(202, "content-length: 0\r\n")],
            // An answer to what it asked, by the id of that.
            _ => {
                let asked = request.body["id"].as_str().unwrap_or_default();
                if let Some(waiting) = self.waiting.lock().expect("no test panics in it").remove(asked) {
                    let (_, id) = asked.split_once('#').expect("its own id");
                    let result = json!({ "content": [{ "type": "text", "text": request.text }], "_meta": {
                        "io.modelcontextprotocol/related-task": { "taskId": asked.split_once('#').map(|(task, _)| task) },
                    } });
                    let _it_left = waiting.try_send(chunk(event(&result_body(id, &result))));
                    let _it_left = waiting.try_send(last_chunk());
                }
                vec![head(202, "content-length: 0\r\n")]
            }
        }
    }

    fn begin(&self, request: &Request, session: String) -> Script {
        let mut tasks = self.tasks.lock().expect("no test panics in it");
        let task = format!("{session}-{}", tasks.len());
        tasks.insert(task.clone(), session);
        let result = json!({ "task": { "taskId": task, "status": "working", "ttl": 1.0 } });
        vec![json_answer(200, &result_body(&request.id(), &result))]
    }

    /// Tells of the status, asks its client and waits for the answer, which it gives back.
    fn result(&self, request: &Request, task: &str, related: &Value) -> Script {
        let asked = format!("{task}#{}", request.id());
        let status = json!({ "jsonrpc": "2.0", "method": "notifications/tasks/status", "params": {
            "taskId": task, "status": "input_required", "_meta": related,
        } });
        let question = json!({ "jsonrpc": "2.0", "id": asked, "method": "elicitation/create", "params": {
            "message": "who?", "requestedSchema": { "type": "object", "properties": {} }, "_meta": related,
        } });
        let (sender, steps) = mpsc::channel(2);
        self.waiting.lock().expect("no test panics in it").insert(asked, sender);
        let say = |message: &Value| chunk(event(&message.to_string()));
        vec![stream_head(), say(&status), say(&question), Step::Follow(Arc::new(tokio::sync::Mutex::new(steps)))]
    }
}

// === impl Rig ===

impl Rig {
    fn start() -> Self {
        let (new, old) = (Heard::default(), Old::default());
        let (hears, serves, begins) = (new.clone(), old.clone(), old.clone());
        let session = move || {
            let mut sessions = begins.sessions.lock().expect("no test panics in it");
            *sessions += 1;
            format!("own-{sessions}")
        };
        let servers = [
            Server::start(server::modern(move |request| {
                hears.note(request);
                modern(request)
            })),
            Server::start(server::legacy(session, move |request| serves.serve(request))),
        ];
        Self { gateway: gateway(&servers), new, old, _servers: servers }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// How many requests reached any server.
    fn heard(&self) -> usize {
        self.new.count() + self.old.heard.count()
    }
}

pub(crate) fn gateway([new, old]: &[Server; 2]) -> Running {
    let builder = Gateway::<Tasks>::builder().workers(4).reference("NEW_URL", new.url());
    builder.reference("OLD_URL", old.url()).start().expect("the gateway starts")
}

/// The modern server: a tool that begins a task, and what is asked about it.
fn modern(request: &Request) -> Script {
    let task = serde_json::Value::from(INNER);
    let result = match request.rpc() {
        "tools/call" => format!(r#"{{"resultType":"task","taskId":{task},"x":1.0,"status":"working"}}"#),
        _ if request.body["params"]["taskId"] != task => {
            return vec![json_answer(200, &error_body(&request.id(), -32602))];
        }
        "tasks/get" => format!(
            r#"{{"resultType":"complete","status":"completed","result":{{"taskId":"its own","y":2.0}}, "taskId" : {task}}}"#
        ),
        _ => r#"{"resultType":"complete"}"#.to_owned(),
    };
    vec![json_answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request.id()))]
}

/// A modern request of a client that declares the extension.
pub(crate) fn declaring(request: Asked) -> Asked {
    request.edit(r#"clientCapabilities":{}"#, &format!(r#"clientCapabilities":{DECLARED}"#))
}

pub(crate) fn about(method: &str, id: &str) -> Asked {
    declaring(Asked::modern(method, Some(id), &format!(r#""taskId":"{id}""#)))
}

/// Has the modern server begin a task: what its client calls it.
async fn begun(address: SocketAddr) -> String {
    let answer = Client::ask(address, &declaring(Asked::call("new__slow", "{}"))).await;
    let result = &answer.json()["result"];
    assert_eq!((answer.status, &result["resultType"]), (200, &json!("task")), "{answer:?}");
    result["taskId"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_task_of_a_modern_server_has_one_name_and_every_other_byte_of_it_is_the_servers() {
    let rig = Rig::start();
    let id = begun(rig.address()).await;
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{id}");
    for _ in 0..4 {
        let answer = Client::ask(rig.address(), &declaring(Asked::call("new__slow", "{}"))).await;
        let expected = format!(r#""result":{{"resultType":"task","taskId":"{id}","x":1.0,"status":"working"}}"#);
        assert!(answer.text().contains(&expected), "{}", answer.text());
        let answer = Client::ask(rig.address(), &about("tasks/get", &id)).await;
        let expected = format!(r#""result":{{"taskId":"its own","y":2.0}}, "taskId" : "{id}"}}"#);
        assert!(answer.text().contains(&expected), "{}", answer.text());
    }
    let update = about("tasks/update", &id).edit(r#""taskId""#, r#""inputResponses":{"a":{"z":1.0}},"taskId""#);
    for request in [update, about("tasks/cancel", &id)] {
        let answer = Client::ask(rig.address(), &request).await;
        assert_eq!(
            (answer.status, &answer.json()["result"]),
            (200, &json!({ "resultType": "complete" })),
            "{answer:?}"
        );
    }
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        for heard in rig.new.of(method) {
            let named = only1mcp::mcp::header::decode(heard.field("mcp-name").expect("a name").as_bytes());
            assert_eq!((&heard.body["params"]["taskId"], named.as_deref()), (&json!(INNER), Some(INNER)), "{heard:?}");
            assert_eq!(heard.field("mcp-method"), Some(method));
        }
    }
    assert!(rig.new.of("tasks/update")[0].text.contains(r#""inputResponses":{"a":{"z":1.0}}"#));
    assert_eq!(rig.new.of("tasks/get").len(), 4);
}

#[tokio::test]
async fn a_name_is_good_at_its_view_of_its_gateway_as_it_was_given_and_for_those_who_declared_the_extension() {
    let (rig, other) = (Rig::start(), Rig::start());
    let (id, foreign) = (begun(rig.address()).await, begun(other.address()).await);
    assert_ne!(id, foreign, "each process has a key of its own");
    let before = rig.heard();
    let mut tampered = id.clone();
    let first = tampered.remove(20);
    tampered.insert(20, if first == 'A' { 'B' } else { 'A' });
    let (cut, long, method) = (&id[..id.len() - 1], "A".repeat(4096), "tasks/get");
    for unknown in [&foreign, &tampered, cut, &long, "", "inner", "AQ"] {
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let answer = Client::ask(rig.address(), &about(method, unknown)).await;
            assert_eq!((answer.status, answer.code()), (200, Some(-32602)), "{method} {unknown} {answer:?}");
        }
    }
    for (what, request, expected) in [
        ("another view", about(method, &id).line("POST /mcp/both HTTP/1.1"), (200, -32602)),
        ("a backend alone", about(method, &id).line("POST /mcp/new HTTP/1.1"), (200, -32602)),
        ("a view without tasks", about(method, &id).line("POST /mcp/old HTTP/1.1"), (404, -32601)),
        ("no task", about(method, "x").edit(r#""taskId":"x""#, r#""taskId":1"#), (400, -32602)),
        ("another name", about(method, &id).with("Mcp-Name", "x"), (400, -32020)),
        ("no name", about(method, &id).without("Mcp-Name"), (400, -32020)),
        ("of another era", about("tasks/result", &id).without("Mcp-Name"), (404, -32601)),
        ("a list", declaring(Asked::modern("tasks/list", None, "")), (404, -32601)),
        ("undeclared", Asked::modern(method, Some(&id), &format!(r#""taskId":"{id}""#)), (400, -32021)),
    ] {
        let answer = Client::ask(rig.address(), &request).await;
        assert_eq!((answer.status, answer.code()), (expected.0, Some(expected.1)), "{what}: {answer:?}");
        if expected.1 == -32021 {
            let required = &answer.json()["error"]["data"]["requiredCapabilities"];
            assert_eq!(*required, json!({ "extensions": { EXTENSION: {} } }));
        }
    }
    assert_eq!(rig.heard(), before, "what is refused reaches no server");
    let answer = Client::ask(rig.address(), &Asked::call("new__slow", "{}")).await;
    let refused = (answer.code(), answer.kind());
    assert_eq!(refused, (Some(-32603), Some("upstream_protocol_error".to_owned())), "nobody declared to follow it");
}

#[tokio::test]
async fn what_is_declared_of_tasks_is_what_the_servers_of_a_view_have_in_the_words_of_each_era() {
    let rig = Rig::start();
    let tasks = json!({ "cancel": {}, "requests": { "tools": { "call": {} } } });
    let extensions = json!({ EXTENSION: {}, "io.modelcontextprotocol/ui": { "x": 1 }, "test.example/own": {} });
    let declared = async |path: &str, request: Asked| {
        let answer = Client::ask(rig.address(), &request.line(&format!("POST {path} HTTP/1.1"))).await;
        answer.json()["result"]["capabilities"].clone()
    };
    for (path, old, new) in [
        ("/mcp", Some(&tasks), Some(&extensions)),
        ("/mcp/both", Some(&tasks), Some(&extensions)),
        ("/mcp/old", Some(&tasks), None),
        ("/mcp/new", None, Some(&extensions)),
    ] {
        let discovered = declared(path, Asked::modern("server/discover", None, "")).await;
        assert_eq!((discovered.get("extensions"), discovered.get("tasks")), (new, None), "{path}");
        let greeted = declared(path, initialize("2025-11-25")).await;
        assert_eq!((greeted.get("tasks"), greeted.get("extensions")), (old, None), "{path}");
        assert_eq!(declared(path, initialize("2025-06-18")).await.get("tasks"), None, "{path}");
    }
}

/// A request of a session.
pub(crate) async fn ask(session: &Session, method: &str, params: &str) -> Answer {
    Client::ask(session.address, &Asked::legacy(&session.id, message(method, params))).await
}

/// Has the legacy server begin a task: what its client calls it.
async fn begun_in(session: &Session) -> String {
    let answer = ask(session, "tools/call", r#"{"name":"old__slow","arguments":{},"task":{"ttl":60000}}"#).await;
    let task = &answer.message()["result"]["task"];
    assert_eq!((answer.status, &task["status"]), (200, &json!("working")), "{answer:?}");
    assert!(task["ttl"].is_f64());
    task["taskId"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_task_of_a_legacy_server_is_asked_for_in_the_session_that_began_it_whatever_worker_is_asked() {
    let rig = Rig::start();
    let session = Session::begin(rig.address(), r#"{"elicitation":{}}"#).await;
    let mut ids = BTreeSet::new();
    for _ in 0..8 {
        let id = begun_in(&session).await;
        for method in ["tasks/get", "tasks/get", "tasks/get", "tasks/cancel"] {
            let answer = ask(&session, method, &format!(r#"{{"taskId":"{id}"}}"#)).await;
            let result = &answer.message()["result"];
            let related = &result["_meta"]["io.modelcontextprotocol/related-task"]["taskId"];
            assert_eq!([&result["taskId"], related], [&json!(id), &json!(id)], "{answer:?}");
        }
        ids.insert(id);
    }
    assert_eq!(ids.len(), 8);
    let sessions: BTreeSet<String> = rig.old.tasks.lock().expect("no test panics in it").values().cloned().collect();
    assert!(sessions.len() > 1, "several workers have begun some: {sessions:?}");
}

#[tokio::test]
async fn a_task_is_its_sessions_alone() {
    let rig = Rig::start();
    let (own, other) = (Session::begin(rig.address(), "{}").await, Session::begin(rig.address(), "{}").await);
    let id = begun_in(&own).await;
    let older = Client::ask(rig.address(), &initialize("2025-06-18")).await;
    let older = Session { address: rig.address(), id: older.field("mcp-session-id").expect("a session").to_owned() };
    let before = rig.heard();
    let params = format!(r#"{{"taskId":"{id}"}}"#);
    for (what, answer, code) in [
        ("another session", ask(&other, "tasks/get", &params).await, -32602),
        ("made up", ask(&own, "tasks/result", r#"{"taskId":"own-1-0"}"#).await, -32602),
        ("a list", ask(&own, "tasks/list", "{}").await, -32601),
        ("of another era", ask(&own, "tasks/update", &params).await, -32601),
        ("of a later revision", ask(&older, "tasks/get", &params).await, -32601),
        ("a modern client", Client::ask(rig.address(), &about("tasks/get", &id)).await, -32602),
        (
            "a tool of a modern server",
            ask(&own, "tools/call", r#"{"name":"new__slow","arguments":{},"task":{}}"#).await,
            -32601,
        ),
        (
            "begun in an older revision",
            ask(&older, "tools/call", r#"{"name":"old__slow","arguments":{},"task":{}}"#).await,
            -32602,
        ),
    ] {
        assert_eq!((answer.status, answer.code()), (200, Some(code)), "{what}: {answer:?}");
    }
    assert_eq!(rig.heard() - before, 0, "what is refused reaches no server");
    assert_eq!(ask(&own, "tasks/get", &params).await.message()["result"]["taskId"], json!(id));
}

#[tokio::test]
async fn what_a_server_asks_and_tells_on_the_stream_of_a_result_reaches_the_client_under_its_own_id_of_the_task() {
    let rig = Rig::start();
    let session = Session::begin(rig.address(), r#"{"elicitation":{}}"#).await;
    for _ in 0..6 {
        let id = begun_in(&session).await;
        let request = Asked::legacy(&session.id, message("tasks/result", &format!(r#"{{"taskId":"{id}"}}"#)));
        let mut client = Client::connect(rig.address()).await;
        client.write(&request.bytes()).await;
        assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
        let related = json!({ "io.modelcontextprotocol/related-task": { "taskId": id } });
        let status = hear(&mut client).await.expect("the status");
        assert_eq!((&status["params"]["taskId"], &status["params"]["_meta"]), (&json!(id), &related), "{status}");
        let question = hear(&mut client).await.expect("a question");
        assert_eq!((&question["method"], &question["params"]["_meta"]), (&json!("elicitation/create"), &related));
        let result = json!({ "action": "accept", "content": {}, "_meta": related });
        respond(rig.address(), &session.id, &question["id"], &format!(r#""result":{result}"#)).await;
        let answer = hear(&mut client).await.expect("an answer");
        assert_eq!((&answer["id"], &answer["result"]["_meta"]), (&json!(1), &related), "{answer}");
        let said: Value =
            serde_json::from_str(answer["result"]["content"][0]["text"].as_str().expect("text")).expect("JSON");
        let restored = said["result"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"].as_str();
        assert!(
            restored.is_some_and(|task| said["id"].as_str().is_some_and(|asked| asked.starts_with(task))),
            "{said}"
        );
    }
}

/// A modern call of the tool that runs as a task alone.
fn only(capabilities: &str, further: &str) -> Asked {
    let params = format!(r#""name":"old__only","arguments":{{}}{further}"#);
    let request = Asked::modern("tools/call", Some("old__only"), &params);
    request.edit(r#"clientCapabilities":{}"#, &format!(r#"clientCapabilities":{capabilities}"#))
}

#[tokio::test]
async fn a_modern_client_reads_what_a_tool_comes_to_that_runs_as_a_task_alone() {
    let rig = Rig::start();
    for round in 1..=3 {
        let answer = Client::ask(rig.address(), &only(r#"{"elicitation":{}}"#, "")).await;
        let asked = answer.message()["result"].clone();
        assert_eq!(asked["resultType"], json!("input_required"), "{answer:?}");
        let key = asked["inputRequests"].as_object().expect("questions").keys().next().expect("one").clone();
        let back = format!(
            r#","requestState":{},"inputResponses":{{"{key}":{{"action":"accept","content":{{}}}}}}"#,
            asked["requestState"]
        );
        let answer = Client::ask(rig.address(), &only(r#"{"elicitation":{}}"#, &back)).await;
        let result = answer.message()["result"].clone();
        assert_eq!(result["resultType"], json!("complete"), "{answer:?}");
        assert!(result["content"][0]["text"].as_str().is_some_and(|text| text.contains("accept")), "{result}");
        assert_eq!(rig.old.heard.of("tasks/result").len(), round);
    }
    assert!(rig.old.heard.of("tools/call").iter().all(|call| call.body["params"]["task"]["ttl"].is_u64()));
    // So does one that asks for a task in words of the other era.
    let params = r#""name":"old__slow","arguments":{},"task":{}"#;
    let asks = Asked::modern("tools/call", Some("old__slow"), params);
    let asks = asks.edit(r#"clientCapabilities":{}"#, r#"clientCapabilities":{"elicitation":{}}"#);
    let answer = Client::ask(rig.address(), &asks).await;
    assert_eq!(answer.message()["result"]["resultType"], json!("input_required"), "{answer:?}");
    assert_eq!(rig.old.heard.of("tasks/cancel").len(), 0);
    // A client of a session reads what the server says of a call without `task`.
    let session = Session::begin(rig.address(), "{}").await;
    let answer = ask(&session, "tools/call", r#"{"name":"old__only","arguments":{}}"#).await;
    assert_eq!(answer.message()["error"]["code"], -32601, "{answer:?}");
}

#[tokio::test]
async fn a_modern_client_that_leaves_has_its_task_cancelled() {
    let rig = Rig::start();
    for capabilities in ["{}", r#"{"roots":{}}"#] {
        let before = rig.old.heard.of("tasks/cancel").len();
        let waits = rig.old.heard.of("tasks/result").len();
        let mut client = Client::connect(rig.address()).await;
        client.write(&only(capabilities, "").bytes()).await;
        eventually("the result is waited for", || rig.old.heard.of("tasks/result").len() > waits).await;
        drop(client);
        eventually("the task is cancelled", || rig.old.heard.of("tasks/cancel").len() > before).await;
        let cancelled = rig.old.heard.of("tasks/cancel").pop().expect("it was heard");
        let begun = rig.old.tasks.lock().expect("no test panics in it");
        let task = cancelled.body["params"]["taskId"].as_str().expect("a task");
        assert_eq!(begun.get(task).map(String::as_str), cancelled.field("mcp-session-id"), "in its own session");
    }
}
