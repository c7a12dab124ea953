//! What modern servers say of tasks, and the clients that listen for it.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::sync::{Arc, Mutex};

use only1mcp::{Gateway, Running};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::subscriptions::{hear, request};
use crate::support::client::{Client, Request as Asked};
use crate::support::scripted::eventually;
use crate::support::server::{self, Request, Script, Server, Step, chunk, event, json_answer, last_chunk, stream_head};
use crate::support::telling::SUBSCRIPTION_ID;
use crate::tasks::{DECLARED, Tasks};

/// A gateway before a server that begins a task with each call, and tells of them to who listens.
struct Rig {
    gateway: Running,
    told: Told,
    _server: Server,
}

/// The requests that listen, and the streams on which they are told; the first ones first.
#[derive(Clone, Default)]
struct Told {
    asked: Arc<Mutex<Vec<Value>>>,
    streams: Arc<Mutex<Vec<Stream>>>,
}

/// The id of its request, and what it is fed by.
type Stream = (String, mpsc::Sender<Step>);

// === impl Told ===

impl Told {
    fn serve(&self, request: &Request) -> Script {
        let id = request.id();
        if request.rpc() == "tools/call" {
            let result = format!(r#"{{"resultType":"task","taskId":"{}","status":"working"}}"#, request.argument());
            return vec![json_answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))];
        }
        let wanted = &request.body["params"]["notifications"];
        let acknowledged = json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {
            "_meta": { SUBSCRIPTION_ID: request.body["id"] }, "notifications": wanted,
        } });
        let (sender, steps) = mpsc::channel(8);
        self.streams.lock().expect("no test panics in it").push((id, sender));
        self.asked.lock().expect("no test panics in it").push(request.body["params"].clone());
        let acknowledged = chunk(event(&acknowledged.to_string()));
        vec![stream_head(), acknowledged, Step::Follow(Arc::new(tokio::sync::Mutex::new(steps)))]
    }

    /// Says something of a task on the newest stream.
    async fn tell(&self, task: &str, further: &str) {
        let (id, stream) = self.streams.lock().expect("no test panics in it").last().expect("a stream").clone();
        let meta = format!(r#""_meta":{{"{SUBSCRIPTION_ID}":{id}}}"#);
        let params = format!(r#"{{"taskId":"{task}",{meta},"x":1.0{further}}}"#);
        let told = format!(r#"{{"jsonrpc":"2.0","method":"notifications/tasks","params":{params}}}"#);
        stream.send(chunk(event(&told))).await.expect("it is read");
    }
}

// === impl Rig ===

impl Rig {
    fn start() -> Self {
        let told = Told::default();
        let serves = told.clone();
        let server = Server::start(server::modern(move |request| serves.serve(request)));
        let builder = Gateway::<Tasks>::builder().workers(1).reference("NEW_URL", server.url());
        let builder = builder.reference("OLD_URL", "http://127.0.0.1:9/mcp");
        Self { gateway: builder.start().expect("the gateway starts"), told, _server: server }
    }

    /// What a client calls a task that the server calls so.
    async fn begin(&self, task: &str) -> String {
        let call = Asked::call("new__slow", &format!(r#"{{"text":"{task}"}}"#));
        let answer = Client::ask(self.gateway.address(), &follows(call)).await;
        answer.json()["result"]["taskId"].as_str().expect("an id").to_owned()
    }

    /// A client that listens, and what was acknowledged to it.
    async fn listen(&self, path: &str, wanted: &Value) -> (Client, Value) {
        let mut client = Client::connect(self.gateway.address()).await;
        client.write(&follows(request(path, "1", &wanted.to_string())).bytes()).await;
        assert_eq!(client.head().await.status, 200);
        let acknowledged = hear(&mut client, "1").await["params"]["notifications"].clone();
        (client, acknowledged)
    }
}

fn follows(request: Asked) -> Asked {
    request.edit(r#"clientCapabilities":{}"#, &format!(r#"clientCapabilities":{DECLARED}"#))
}

#[tokio::test]
async fn a_client_is_told_of_its_tasks_under_its_own_ids_and_of_no_others() {
    let rig = Rig::start();
    let (one, two) = (rig.begin("one").await, rig.begin("two").await);
    let wanted = json!({ "taskIds": [one, "made-up"], "toolsListChanged": true });
    let (mut client, acknowledged) = rig.listen("/mcp", &wanted).await;
    assert_eq!(acknowledged, json!({ "toolsListChanged": true, "taskIds": [one] }));
    let asked = rig.told.asked.lock().expect("no test panics in it")[0].clone();
    assert_eq!(asked["notifications"], json!({ "toolsListChanged": true, "taskIds": ["one"] }));
    let capabilities = &asked["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(*capabilities, serde_json::from_str::<Value>(DECLARED).expect("JSON"));
    // One that nobody listens for.
    rig.told.tell("two", "").await;
    rig.told.tell("one", r#","status":"working""#).await;
    let told = hear(&mut client, "1").await;
    assert_eq!((&told["method"], &told["params"]["taskId"]), (&json!("notifications/tasks"), &json!(one)), "{told}");
    assert!(told["params"]["x"].is_f64() && told["params"]["status"] == "working", "{told}");
    // A further client has the server asked for more; the first is told once by either request.
    let (mut other, acknowledged) = rig.listen("/mcp", &json!({ "taskIds": [one, two] })).await;
    let mut ids = [one.clone(), two.clone()];
    ids.sort();
    assert_eq!(acknowledged, json!({ "taskIds": ids }));
    rig.told.tell("one", r#","status":"completed""#).await;
    for client in [&mut client, &mut other] {
        let told = hear(client, "1").await;
        assert_eq!((&told["params"]["taskId"], &told["params"]["status"]), (&json!(one), &json!("completed")));
    }
    rig.told.tell("two", "").await;
    assert_eq!(hear(&mut other, "1").await["params"]["taskId"], json!(two));
}

#[tokio::test]
async fn tasks_are_listened_for_by_who_follows_them_at_the_view_where_they_were_begun() {
    let rig = Rig::start();
    let one = rig.begin("one").await;
    let wanted = json!({ "taskIds": [one] }).to_string();
    let answer = Client::ask(rig.gateway.address(), &request("/mcp", "1", &wanted)).await;
    assert_eq!((answer.status, answer.code()), (400, Some(-32021)), "{answer:?}");
    let required = &answer.json()["error"]["data"]["requiredCapabilities"];
    assert_eq!(*required, serde_json::from_str::<Value>(DECLARED).expect("JSON"));
    for path in ["/mcp/both", "/mcp/new", "/mcp/old"] {
        assert_eq!(rig.listen(path, &json!({ "taskIds": [one] })).await.1, json!({}), "{path}");
    }
    let many: Vec<String> = (0..=only1mcp::limits::LISTENER_URIS_MAX).map(|number| number.to_string()).collect();
    let asked = follows(request("/mcp", "1", &json!({ "taskIds": many }).to_string()));
    assert_eq!(Client::ask(rig.gateway.address(), &asked).await.code(), Some(-32602));
    assert_eq!(rig.told.asked.lock().expect("no test panics in it").len(), 0, "the server hears of none of it");
}

#[tokio::test]
async fn a_subscription_ends_where_something_of_a_task_may_have_been_missed() {
    let rig = Rig::start();
    let one = rig.begin("one").await;
    let wanted = json!({ "taskIds": [one] });
    let ended = async |mut client: Client| {
        let last = hear(&mut client, "1").await;
        assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!(1), &json!("complete")), "{last}");
        assert_eq!(client.event().await, None);
    };
    // The server has enough; others are told of lists all the same.
    let (client, _) = rig.listen("/mcp", &wanted).await;
    let (mut other, _) = rig.listen("/mcp", &json!({ "toolsListChanged": true })).await;
    let streams: Vec<_> = rig.told.streams.lock().expect("no test panics in it").drain(..).collect();
    for (_, stream) in &streams {
        // A narrower request may be given up by now.
        let _unread = stream.send(last_chunk()).await;
    }
    drop(streams);
    ended(client).await;
    assert_eq!(hear(&mut other, "1").await["method"], "notifications/tools/list_changed");
    drop(other);
    // It says more than is kept.
    let (client, _) = rig.listen("/mcp", &wanted).await;
    let long = "x".repeat(only1mcp::limits::LISTENER_TASK_BYTES_MAX);
    rig.told.tell("one", &format!(r#","statusMessage":"{long}""#)).await;
    ended(client).await;
    // Whoever listens anew is told.
    let (mut client, acknowledged) = rig.listen("/mcp", &wanted).await;
    assert_eq!(acknowledged, wanted);
    eventually("a stream", || !rig.told.streams.lock().expect("no test panics in it").is_empty()).await;
    rig.told.tell("one", "").await;
    assert_eq!(hear(&mut client, "1").await["params"]["taskId"], json!(one));
}
