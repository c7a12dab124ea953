//! What the gateway lets servers do with tasks: how long their ids may be, what they may ask for, and which of their
//! connections a task of a legacy server is asked for on.

use only1mcp::{Gateway, Running, limits};
use serde_json::{Value, json};

use crate::legacy_sse::{accepted, old};
use crate::profiles::Session;
use crate::support::client::{Client, Request as Asked};
use crate::support::server::{self, Request, Server, error_body, json_answer, result_body, text_body};
use crate::support::socket_server::{SocketServer, say};
use crate::tasks::{about, ask, declaring, gateway};

only1mcp::topology!(Shy = "tests/gateway/topologies/shy.yaml");
only1mcp::topology!(Carried = "tests/gateway/topologies/carried.yaml");

/// An id of as many bytes as a call says.
fn id_of(request: &Request) -> String {
    "i".repeat(request.argument().parse().expect("a length"))
}

#[tokio::test]
async fn a_task_with_an_id_that_no_field_could_repeat_is_no_answer() {
    let new = Server::start(server::modern(|request| {
        let result = json!({ "resultType": "task", "taskId": id_of(request), "status": "working" });
        vec![json_answer(200, &result_body(&request.id(), &result))]
    }));
    let old = Server::start(server::legacy(
        || "own".to_owned(),
        |request| {
            let result = json!({ "task": { "taskId": id_of(request), "status": "working" } });
            vec![json_answer(200, &result_body(&request.id(), &result))]
        },
    ));
    let servers = [new, old];
    let gateway = gateway(&servers);
    let session = Session::begin(gateway.address(), "{}").await;
    for (length, fits) in [(limits::TASK_ID_BYTES_MAX, true), (limits::TASK_ID_BYTES_MAX + 1, false)] {
        let modern = declaring(Asked::call("new__slow", &format!(r#"{{"text":"{length}"}}"#)));
        let modern = Client::ask(gateway.address(), &modern).await;
        let params = format!(r#"{{"name":"old__slow","arguments":{{"text":"{length}"}},"task":{{}}}}"#);
        let legacy = ask(&session, "tools/call", &params).await;
        for (answer, place) in [(modern, "/result/taskId"), (legacy, "/result/task/taskId")] {
            let message = answer.message();
            let id = message.pointer(place).and_then(Value::as_str).map(str::to_owned);
            assert_eq!((answer.status, id.is_some()), (200, fits), "{length} {message}");
            if !fits {
                let data = &message["error"]["data"];
                let refused = (&message["error"]["code"], &data["kind"], &data["sent"]);
                assert_eq!(refused, (&json!(-32603), &json!("upstream_protocol_error"), &json!(true)), "{message}");
                assert!(!message.to_string().contains("iiii"), "it is not told in full");
            }
        }
    }
}

#[tokio::test]
async fn what_a_task_asks_for_is_held_against_what_its_server_may_ask() {
    let shy = Server::start(server::modern(|request| {
        let result = match request.rpc() {
            "tools/call" => json!({ "resultType": "task", "taskId": request.argument(), "status": "working" }),
            _ => {
                // What it asks for stands in the name of the task.
                let asked: Value = request.body["params"]["taskId"]
                    .as_str()
                    .and_then(|asked| serde_json::from_str(asked).ok())
                    .expect("requests");
                let task = &request.body["params"]["taskId"];
                json!({ "resultType": "complete", "taskId": task, "status": "input_required", "inputRequests": asked })
            }
        };
        vec![json_answer(200, &result_body(&request.id(), &result))]
    }));
    let builder = Gateway::<Shy>::builder().workers(1).reference("SHY_URL", shy.url());
    let gateway = builder.start().expect("the gateway starts");
    // The client could do all of it.
    let able = |request: Asked| {
        request.edit(r#"clientCapabilities":{"#, r#"clientCapabilities":{"roots":{},"sampling":{},"elicitation":{},"#)
    };
    for (asked, passes) in [
        (json!({}), true),
        (json!({ "a": { "method": "roots/list" } }), true),
        (json!({ "a": { "method": "sampling/createMessage", "params": {} } }), false),
        (json!({ "a": { "method": "roots/list" }, "b": { "method": "elicitation/create", "params": {} } }), false),
        (json!({ "a": { "method": "elicitation/create", "params": { "mode": "url" } } }), false),
        (json!({ "a": { "method": "tools/call", "params": {} } }), false),
    ] {
        let arguments = json!({ "text": asked.to_string() }).to_string();
        let begun = Client::ask(gateway.address(), &able(declaring(Asked::call("shy__slow", &arguments)))).await;
        let message = begun.json();
        let id = message["result"]["taskId"].as_str().unwrap_or_else(|| unreachable!("{message}"));
        let answer = Client::ask(gateway.address(), &able(about("tasks/get", id))).await;
        let message = answer.json();
        if passes {
            assert_eq!(message["result"]["inputRequests"], asked, "{message}");
        } else {
            let refused = (answer.code(), answer.kind());
            assert_eq!(refused, (Some(-32603), Some("upstream_protocol_error".to_owned())), "{asked}: {message}");
            assert!(message["error"]["message"].as_str().is_some_and(|said| said.contains("client_capabilities")));
        }
    }
}

/// A task of the session that has this name.
fn task(id: &str, session: &str) -> Value {
    json!({ "taskId": id, "status": "working", "session": session })
}

/// What a legacy server says about tasks in one of its sessions, which alone knows those that it began.
fn tasks(request: &Request, session: &str) -> String {
    let id = request.body["params"]["taskId"].as_str().unwrap_or_default();
    match request.rpc() {
        "tools/call" if request.body["params"]["task"].is_object() => {
            let begun = format!("{session}-{}", request.argument());
            result_body(&request.id(), &json!({ "task": task(&begun, session) }))
        }
        "tasks/get" | "tasks/cancel" if id.starts_with(&format!("{session}-")) => {
            result_body(&request.id(), &task(id, session))
        }
        "tasks/result" if id.starts_with(&format!("{session}-")) => text_body(&request.id(), id),
        _ => error_body(&request.id(), -32602),
    }
}

fn carried() -> (Running, Server, SocketServer) {
    let (events, _played) = old(|request, stream| {
        let (_, session) = request.target.split_once("sessionId=").expect("where the stream said");
        stream.say(&tasks(request, session));
        accepted()
    });
    let socket = SocketServer::start(|request| match request.rpc() {
        "initialize" => {
            let capabilities = json!({ "tools": {}, "tasks": { "requests": { "tools": { "call": {} } } } });
            let result = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {} });
            vec![say(&result_body(&request.id(), &result))]
        }
        "server/discover" => vec![say(&error_body(&request.id(), -32601))],
        method if method.starts_with("notifications/") => Vec::new(),
        _ => vec![say(&tasks(request, "only"))],
    });
    let builder = Gateway::<Carried>::builder().workers(4).reference("EVENTS_URL", events.url());
    let gateway = builder.reference("SOCKET_URL", socket.url()).start().expect("the gateway starts");
    (gateway, events, socket)
}

#[tokio::test]
async fn tasks_of_servers_over_sse_and_websocket_are_asked_for_where_they_began() {
    let (gateway, _events, _socket) = carried();
    let session = Session::begin(gateway.address(), "{}").await;
    for backend in ["events", "socket"] {
        for round in 0..8 {
            let params = format!(r#"{{"name":"{backend}__slow","arguments":{{"text":"{round}"}},"task":{{}}}}"#);
            let begun = ask(&session, "tools/call", &params).await.message();
            let task = &begun["result"]["task"];
            let id = task["taskId"].as_str().unwrap_or_else(|| unreachable!("{begun}")).to_owned();
            for method in ["tasks/get", "tasks/get", "tasks/cancel"] {
                let got = ask(&session, method, &format!(r#"{{"taskId":"{id}"}}"#)).await.message();
                let expected = (&json!(id), &task["session"]);
                assert_eq!((&got["result"]["taskId"], &got["result"]["session"]), expected, "{method}: {got}");
            }
            let result = ask(&session, "tasks/result", &format!(r#"{{"taskId":"{id}"}}"#)).await.message();
            let inner = format!("{}-{round}", task["session"].as_str().expect("a session"));
            assert_eq!(result["result"]["content"][0]["text"], json!(inner), "{result}");
        }
    }
}

#[tokio::test]
async fn a_modern_client_reads_what_tools_that_run_as_tasks_come_to_over_sse_and_websocket() {
    let (gateway, _events, _socket) = carried();
    for backend in ["events", "socket"] {
        for round in 0..4 {
            let arguments = format!(r#"{{"text":"{round}"}}"#);
            let answer = Client::ask(gateway.address(), &Asked::call(&format!("{backend}__only"), &arguments)).await;
            let result = answer.message()["result"].clone();
            assert_eq!(result["resultType"], json!("complete"), "{answer:?}");
            let text = result["content"][0]["text"].as_str().unwrap_or_default();
            assert!(text.ends_with(&format!("-{round}")), "{result}");
        }
    }
}
