//! What servers tell by themselves, and the modern clients that listen for it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::client::{Client, META, Request, within};
use crate::support::gateways;
use crate::support::recorder::{Post, Recorder, Wire};
use crate::support::scripted::eventually;
use crate::support::server::result_body;
use crate::support::socket::SocketClient;
use crate::support::socket_server::{SocketServer, say};
use crate::support::telling::{BREAK, ELEMENTS, SUBSCRIPTION_ID, Telling, acknowledged};
use crate::websocket;

const TOOLS: &str = r#"{"toolsListChanged":true}"#;

fn message(id: &str, wanted: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{{"notifications":{wanted},"_meta":{{{META}}}}}}}"#
    )
}

pub(crate) fn request(path: &str, id: &str, wanted: &str) -> Request {
    Request::raw("subscriptions/listen", None, message(id, wanted)).line(&format!("POST {path} HTTP/1.1"))
}

/// A client that listens, and what was acknowledged to it.
pub(crate) async fn listen(address: SocketAddr, path: &str, id: &str, wanted: &str) -> (Client, Value) {
    let mut client = Client::connect(address).await;
    client.write(&request(path, id, wanted).bytes()).await;
    let head = client.head().await;
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")));
    let first = hear(&mut client, id).await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    (client, first["params"]["notifications"].clone())
}

/// The next message, which bears the id of the subscription.
pub(crate) async fn hear(client: &mut Client, id: &str) -> Value {
    let message = client.message().await.expect("the stream goes on");
    let id: Value = serde_json::from_str(id).expect("an id");
    let part = if message["result"].is_object() { &message["result"] } else { &message["params"] };
    assert_eq!(part["_meta"][SUBSCRIPTION_ID], id, "{message}");
    message
}

#[tokio::test]
async fn a_client_is_told_what_it_listens_for_and_nothing_else() {
    let mut upstream = Telling::start();
    let gateway = upstream.gateway(1);
    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": [ELEMENTS, "nobody://has/it"] });
    let (mut client, acknowledged) = listen(gateway.address(), "/mcp/data", r#""l1""#, &wanted.to_string()).await;
    let served = json!({ "toolsListChanged": true, "resourceSubscriptions": [ELEMENTS] });
    assert_eq!(acknowledged, served);
    assert_eq!(upstream.asked().await, served);
    upstream.tell("prompts/list_changed", "");
    upstream.tell("resources/updated", r#""uri":"data://tables/planets","#);
    upstream.tell("message", r#""level":"error","data":1,"#);
    upstream.tell("tools/list_changed", "");
    assert_eq!(hear(&mut client, r#""l1""#).await["method"], "notifications/tools/list_changed");
    upstream.tell("resources/updated", &format!(r#""uri":"{ELEMENTS}","#));
    let updated = hear(&mut client, r#""l1""#).await;
    assert_eq!(
        (&updated["method"], &updated["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!(ELEMENTS))
    );
    // What lies beneath it.
    upstream.tell("resources/updated", &format!(r#""uri":"{ELEMENTS}/H","#));
    assert_eq!(hear(&mut client, r#""l1""#).await["params"]["uri"], ELEMENTS);
}

#[tokio::test]
async fn a_server_is_asked_once_for_all_clients_of_a_worker_until_the_last_leaves() {
    let mut upstream = Telling::start();
    let gateway = upstream.gateway(1);
    let first = listen(gateway.address(), "/mcp/data", "1", TOOLS).await;
    assert_eq!(upstream.asked().await, json!({ "toolsListChanged": true }));
    let (mut second, _) = listen(gateway.address(), "/mcp/data", "2", TOOLS).await;
    assert_eq!((upstream.recorder.calls(), upstream.open()), (1, 1));
    let (third, acknowledged) = listen(gateway.address(), "/mcp/data", "3", r#"{"promptsListChanged":true}"#).await;
    assert_eq!(acknowledged, json!({ "promptsListChanged": true }));
    assert_eq!(upstream.asked().await, json!({ "toolsListChanged": true, "promptsListChanged": true }));
    eventually("the narrower request is given up", || upstream.open() == 1).await;
    drop(first);
    upstream.tell("prompts/list_changed", "");
    upstream.tell("tools/list_changed", "");
    assert_eq!(hear(&mut second, "2").await["method"], "notifications/tools/list_changed");
    drop((second, third));
    eventually("nothing is asked for nobody", || upstream.open() == 0).await;
    assert_eq!(upstream.recorder.calls(), 2);
}

#[tokio::test]
async fn a_stream_that_broke_is_opened_again_and_what_may_have_been_missed_is_told() {
    let mut upstream = Telling::start();
    let gateway = upstream.gateway(1);
    let (mut client, _) = listen(gateway.address(), "/mcp/data", "1", TOOLS).await;
    upstream.asked().await;
    upstream.tell.send(BREAK.to_owned()).expect("a stream");
    assert_eq!(hear(&mut client, "1").await["method"], "notifications/tools/list_changed");
    assert_eq!(upstream.asked().await, json!({ "toolsListChanged": true }));
    upstream.tell("tools/list_changed", "");
    assert_eq!(hear(&mut client, "1").await["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn a_gateway_that_stops_ends_the_stream_with_its_response() {
    let upstream = Telling::start();
    let gateway = upstream.gateway(1);
    let (mut client, acknowledged) = listen(gateway.address(), "/mcp", "7", TOOLS).await;
    assert_eq!(acknowledged, json!({ "toolsListChanged": true }));
    let mut socket = SocketClient::connect(gateway.address(), "/ws").await;
    socket.ask(message("8", TOOLS)).await;
    let stopping = tokio::task::spawn_blocking(|| gateway.stop());
    let last = hear(&mut client, "7").await;
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!(7), &json!("complete")), "{last}");
    assert_eq!(client.event().await, None);
    let last = socket.hear().await;
    assert_eq!((&last["id"], &last["result"]["_meta"][SUBSCRIPTION_ID]), (&json!(8), &json!(8)), "{last}");
    within("it stops", stopping).await.expect("it stopped");
    eventually("nothing is listened for", || upstream.open() == 0).await;
}

#[tokio::test]
async fn on_a_connection_that_carries_messages_it_ends_with_a_cancellation() {
    let upstream = Telling::start();
    let gateway = upstream.gateway(1);
    let mut client = SocketClient::connect(gateway.address(), "/ws").await;
    for id in ["1", r#""two""#] {
        let first = client.ask(message(id, TOOLS)).await;
        assert_eq!(first["params"]["_meta"][SUBSCRIPTION_ID].to_string(), id, "{first}");
    }
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
    // Taken in order: whoever this reaches has been cancelled by then.
    let ping = format!(r#"{{"jsonrpc":"2.0","id":3,"method":"tools/list","params":{{"_meta":{{{META}}}}}}}"#);
    assert_eq!(client.ask(ping).await["id"], 3);
    upstream.tell("tools/list_changed", "");
    assert_eq!(client.hear().await["params"]["_meta"][SUBSCRIPTION_ID], "two");
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"two"}}"#).await;
    eventually("nothing is asked for nobody", || upstream.open() == 0).await;
}

#[tokio::test]
async fn a_server_on_a_shared_connection_is_listened_to_beside_its_calls() {
    let upstream = SocketServer::start(|request| match request.rpc() {
        "server/discover" => {
            let result = json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} } });
            vec![say(&result_body(&request.id(), &result))]
        }
        "subscriptions/listen" => {
            let changed = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {
                "_meta": { SUBSCRIPTION_ID: request.body["id"] },
            } });
            vec![say(&acknowledged(&request.body)), say(&changed.to_string())]
        }
        _ => Vec::new(),
    });
    let gateway = websocket::gateway(&upstream.url(), &upstream.url());
    let (mut client, acknowledged) = listen(gateway.address(), "/mcp/odd", "5", TOOLS).await;
    assert_eq!(acknowledged, json!({ "toolsListChanged": true }));
    assert_eq!(hear(&mut client, "5").await["method"], "notifications/tools/list_changed");
    let asked = upstream.heard("subscriptions/listen");
    assert_eq!(asked.len(), 1, "{asked:?}");
    drop(client);
    eventually("it is told that nobody listens", || !upstream.heard("notifications/cancelled").is_empty()).await;
    assert_eq!(upstream.heard("notifications/cancelled")[0]["params"]["requestId"], asked[0]["id"]);
}

#[tokio::test]
async fn a_server_without_subscriptions_is_not_waited_for_and_the_gateway_tells_of_its_own_lists_alone() {
    let upstream = Recorder::play(async |post: Post, wire: &mut Wire<'_>| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601,"message":"no"}}}}"#, post.id);
        wire.answer(404, &body).await
    });
    let gateway = gateways::recorded(&upstream);
    let (_client, acknowledged) = listen(
        gateway.address(),
        "/mcp/data",
        "1",
        r#"{"toolsListChanged":true,"resourceSubscriptions":["data://tables/elements"]}"#,
    )
    .await;
    assert_eq!((acknowledged, upstream.calls()), (json!({ "toolsListChanged": true }), 1));
}

#[tokio::test]
async fn who_cannot_listen_is_told_why() {
    let upstream = Telling::start();
    let gateway = upstream.gateway(1);
    let uris: Vec<String> = (0..257).map(|index| format!("x://{index}")).collect();
    for (wanted, status, code) in [
        ("null".to_owned(), 400, -32602),
        (r#"{"toolsListChanged":1}"#.to_owned(), 400, -32602),
        (json!({ "resourceSubscriptions": uris }).to_string(), 400, -32602),
    ] {
        let answer = Client::ask(gateway.address(), &request("/mcp", "1", &wanted)).await;
        assert_eq!((answer.status, answer.code()), (status, Some(code)), "{wanted}");
    }
    let deaf = request("/mcp", "1", TOOLS).with("Accept", "application/json");
    assert_eq!(Client::ask(gateway.address(), &deaf).await.status, 406);
    let plain = Request::post(message("1", TOOLS)).line("POST / HTTP/1.1");
    assert_eq!(Client::ask(gateway.address(), &plain).await.code(), Some(-32601));
    assert_eq!(upstream.recorder.calls(), 0);
}
