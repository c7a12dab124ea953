//! Extensions and methods that the gateway does not know: what of them is declared where, and requests that cross it as
//! they are.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use only1mcp::{Gateway, Running};
use serde_json::{Value, json};

use crate::legacy::{initialize, message};
use crate::profiles::Session;
use crate::support::client::{Answer, Client, Request as Asked};
use crate::support::server::{self, Request, Script, Server, Step, error_body, event_stream, json_answer};

only1mcp::topology!(Beyond = "tests/gateway/topologies/beyond.yaml");

/// A gateway with its servers and what these were asked.
struct Rig {
    gateway: Running,
    heard: Arc<Mutex<Vec<(&'static str, Request)>>>,
    _servers: [Server; 3],
}

// === impl Rig ===

impl Rig {
    fn start() -> Self {
        let heard: Arc<Mutex<Vec<(&'static str, Request)>>> = Arc::default();
        let served = |name: &'static str| {
            let heard = Arc::clone(&heard);
            move |request: &Request| {
                heard.lock().expect("no test panics in it").push((name, request.clone()));
                serve(name, request)
            }
        };
        let servers = [
            Server::start(server::modern(served("new"))),
            Server::start(server::legacy(|| "own".to_owned(), served("old"))),
            Server::start(server::modern(served("other"))),
        ];
        let urls = ["NEW_URL", "OLD_URL", "OTHER_URL"].into_iter().zip(&servers);
        let builder =
            urls.fold(Gateway::<Beyond>::builder(), |builder, (name, server)| builder.reference(name, server.url()));
        Self { gateway: builder.workers(2).start().expect("the gateway starts"), heard, _servers: servers }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// What the servers were asked by this method.
    fn heard(&self, method: &str) -> Vec<(&'static str, Request)> {
        let heard = self.heard.lock().expect("no test panics in it");
        heard.iter().filter(|(_, request)| request.rpc() == method).cloned().collect()
    }
}

/// What a server answers: text that says who it was, and members that a gateway would change in any other answer.
fn serve(name: &str, request: &Request) -> Script {
    let id = request.id();
    match request.rpc() {
        "skills/list" => {
            let result = format!(r#"{{ "resultType":"odd", "uri":"skill://{name}", "n":1.0, "n":2, "taskId":"t"}}"#);
            vec![json_answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))]
        }
        "skills/stream" => {
            let token = &request.body["params"]["_meta"]["progressToken"];
            let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": token, "progress": 1 } });
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"done":true}}}}"#);
            event_stream(&[&progress.to_string(), &answer])
        }
        "skills/lost" => vec![Step::Close],
        "skills/refused" => {
            let error = r#"{"code":-32002,"message":"none","data":{"x":1.0}}"#;
            vec![json_answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))]
        }
        _ => vec![json_answer(404, &error_body(&id, -32601))],
    }
}

fn at(path: &str, request: Asked) -> Asked {
    request.line(&format!("POST {path} HTTP/1.1"))
}

async fn modern(rig: &Rig, path: &str, method: &str, params: &str) -> Answer {
    Client::ask(rig.address(), &at(path, Asked::modern(method, None, params))).await
}

/// A session at a path.
async fn session(rig: &Rig, path: &str) -> Session {
    let answer = Client::ask(rig.address(), &at(path, initialize("2025-11-25"))).await;
    Session { address: rig.address(), id: answer.field("mcp-session-id").expect("a session").to_owned() }
}

async fn legacy(session: &Session, path: &str, method: &str, params: &str) -> Answer {
    Client::ask(session.address, &at(path, Asked::legacy(&session.id, message(method, params)))).await
}

#[tokio::test]
async fn what_the_gateway_does_not_know_is_declared_where_one_server_declares_it_and_in_its_era() {
    let rig = Rig::start();
    let keys = ["experimental", "extensions", "vendor.example"];
    let new = [json!({ "flag": { "x": 1.0 } }), json!({ "test.example/skills": { "directory": true } }), Value::Null];
    let old = [json!({ "old": {} }), json!({ "test.example/old": {} }), Value::Null];
    let other = [Value::Null, Value::Null, json!([1])];
    let none = [Value::Null, Value::Null, Value::Null];
    let declared = async |path: &str, request: Asked| {
        let answer = Client::ask(rig.address(), &at(path, request)).await;
        keys.map(|key| answer.json()["result"]["capabilities"][key].clone())
    };
    for (path, greeted, discovered) in [
        ("/mcp", &old, &none),
        ("/mcp/pair", &old, &new),
        ("/mcp/new", &none, &new),
        ("/mcp/old", &old, &none),
        ("/mcp/other", &none, &other),
    ] {
        assert_eq!(declared(path, Asked::modern("server/discover", None, "")).await, *discovered, "{path}");
        for version in ["2024-11-05", "2025-11-25"] {
            assert_eq!(declared(path, initialize(version)).await, *greeted, "{path} {version}");
        }
    }
}

#[tokio::test]
async fn a_modern_request_by_an_unknown_method_crosses_as_it_is() {
    let rig = Rig::start();
    let params = r#""uri":"skill:\u002f\/x", "arguments":[1.0], "n":1.50"#;
    for (path, server) in [("/mcp/pair", "new"), ("/mcp/new", "new"), ("/mcp/other", "other")] {
        let request = at(path, Asked::modern("skills/list", None, params)).field("Mcp-Name", "skill://x");
        let sent = String::from_utf8_lossy(request.parts().2).into_owned();
        let answer = Client::ask(rig.address(), &request).await;
        let expected =
            format!(r#","result":{{ "resultType":"odd", "uri":"skill://{server}", "n":1.0, "n":2, "taskId":"t"}}}}"#);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text().ends_with(&expected), "{}", answer.text());
        let (by, heard) = rig.heard("skills/list").pop().expect("it was asked");
        let fields = ["mcp-method", "mcp-name", "mcp-protocol-version"].map(|name| heard.field(name));
        assert_eq!((by, fields), (server, [Some("skills/list"), Some("skill://x"), Some("2026-07-28")]));
        let behind_the_id = |text: &str| text[text.find(r#""method""#).expect("a method")..].to_owned();
        assert_eq!(behind_the_id(&heard.text), behind_the_id(&sent), "every byte but the id");
    }
    let streamed = Asked::modern("skills/stream", None, "").edit(r#""_meta":{"#, r#""_meta":{"progressToken":"own","#);
    let answer = Client::ask(rig.address(), &at("/mcp/new", streamed)).await;
    assert!(answer.text().contains(r#""progressToken":"own""#), "{}", answer.text());
    assert_eq!(answer.message()["result"], json!({ "done": true }));
    let answer = modern(&rig, "/mcp/new", "skills/refused", "").await;
    let error = json!({ "code": -32002, "message": "none", "data": { "x": 1.0 } });
    assert_eq!((answer.status, &answer.json()["error"]), (200, &error), "{answer:?}");
    let answer = modern(&rig, "/mcp/new", "skills/none", "").await;
    assert_eq!((answer.status, answer.code()), (404, Some(-32601)), "its own word for it");
    assert_eq!(rig.heard("skills/none").len(), 1);
}

#[tokio::test]
async fn a_legacy_request_by_an_unknown_method_crosses_as_it_is() {
    let rig = Rig::start();
    for path in ["/mcp", "/mcp/pair", "/mcp/old"] {
        let own = session(&rig, path).await;
        let answer = legacy(&own, path, "skills/list", r#"{"x":1.0}"#).await;
        let expected = r#","result":{ "resultType":"odd", "uri":"skill://old", "n":1.0, "n":2, "taskId":"t"}}"#;
        assert!(answer.text().contains(expected), "{path}: {}", answer.text());
        let (by, heard) = rig.heard("skills/list").pop().expect("it was asked");
        assert_eq!((by, heard.field("mcp-session-id"), heard.field("mcp-method")), ("old", Some("own"), None));
        assert!(heard.text.ends_with(r#""method":"skills/list","params":{"x":1.0}}"#), "{}", heard.text);
    }
    let own = session(&rig, "/mcp/old").await;
    let without = r#"{"jsonrpc":"2.0","id":1,"method":"skills/list"}"#;
    let answer = Client::ask(rig.address(), &at("/mcp/old", Asked::legacy(&own.id, without))).await;
    assert_eq!(answer.message()["result"]["uri"], json!("skill://old"), "{answer:?}");
    let answer = legacy(&own, "/mcp/old", "skills/list", "[]").await;
    assert_eq!(answer.code(), Some(-32602), "{answer:?}");
}

#[tokio::test]
async fn a_method_of_nobody_of_several_or_of_the_other_era_is_refused_without_asking() {
    let rig = Rig::start();
    let answer = modern(&rig, "/mcp", "skills/list", "").await;
    assert_eq!((answer.status, answer.code()), (404, Some(-32601)), "either could have it: {answer:?}");
    let answer = modern(&rig, "/mcp/old", "skills/list", "").await;
    assert_eq!((answer.status, answer.code()), (404, Some(-32601)));
    assert!(answer.text().contains("backend `old` for legacy clients alone"), "{}", answer.text());
    let own = session(&rig, "/mcp/new").await;
    let answer = legacy(&own, "/mcp/new", "skills/list", "{}").await;
    assert_eq!((answer.status, answer.code()), (200, Some(-32601)));
    assert!(answer.text().contains("backend `new` for modern clients alone"), "{}", answer.text());
    // The protocol has them, and they are not for servers that clients share.
    let old = session(&rig, "/mcp/old").await;
    for method in ["tasks/list", "sampling/createMessage", "roots/list", "elicitation/create"] {
        assert_eq!(modern(&rig, "/mcp/new", method, "").await.code(), Some(-32601), "{method}");
        assert_eq!(legacy(&old, "/mcp/old", method, "{}").await.code(), Some(-32601), "{method}");
        assert_eq!(rig.heard(method).len(), 0, "{method}");
    }
    assert_eq!(modern(&rig, "/mcp/new", "ping", "").await.code(), Some(-32601), "of another era");
    assert_eq!(rig.heard("skills/list").len() + rig.heard("ping").len(), 0);
}

#[tokio::test]
async fn a_request_by_an_unknown_method_is_made_once() {
    let rig = Rig::start();
    // A connection that stood before may have ended by itself: that alone would be no reason to ask again.
    modern(&rig, "/mcp/new", "skills/list", "").await;
    let answer = modern(&rig, "/mcp/new", "skills/lost", "").await;
    assert_eq!((answer.status, answer.kind()), (200, Some("outcome_unknown".to_owned())), "{answer:?}");
    assert_eq!(rig.heard("skills/lost").len(), 1);
}
