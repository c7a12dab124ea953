//! Plain JSON routes: what a script sends, and what it reads.

use serde_json::{Value, json};

use crate::support::client::{Client, META, Request};
use crate::support::gateways;
use crate::support::recorder::{DONE, Recorder, Wire};

/// What `curl -H 'Content-Type: application/json' -d BODY` sends.
fn post(path: &str, body: &str) -> Request {
    Request::post(body).line(&format!("POST {path} HTTP/1.1")).with("Accept", "*/*")
}

fn rpc(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"x","method":"{method}","params":{params}}}"#)
}

#[tokio::test]
async fn bare_parameters_are_answered_with_the_bare_result() {
    let mut upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    for (path, member, at_least) in [
        ("/tools/list", "tools", 7),
        ("/prompts/list", "prompts", 2),
        ("/resources/list", "resources", 3),
        ("/resources/templates/list", "resourceTemplates", 1),
    ] {
        for body in ["{}", "", " ", r#"{"_meta":{}}"#] {
            let answer = client.exchange(&post(path, body)).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let items = answer.json()[member].as_array().map(Vec::len);
            assert!(items.is_some_and(|items| items >= at_least), "{path} {body:?}: {}", answer.text());
        }
    }
    for (path, body, sent) in [
        ("/tools/call", r#"{"name":"data__query","arguments":{"n":1.0}}"#, r#""arguments":{"n":1.0}"#),
        ("/prompts/get", r#"{"name":"data__summarize_table"}"#, r#""name":"summarize_table""#),
        ("/resources/read", r#"{"uri":"data://tables/elements"}"#, r#""uri":"data://tables/elements""#),
        ("/tools/call", r#"{"name":"data__query","_meta":{"progressToken":7,"x":1}}"#, r#""x":1"#),
    ] {
        let answer = client.exchange(&post(path, body)).await;
        let done: Value = serde_json::from_str(DONE).expect("a result");
        assert_eq!((answer.status, answer.json()), (200, done), "{path}");
        let post = upstream.post().await;
        assert!(post.body.contains(sent), "{}", post.body);
        let meta = &serde_json::from_str::<Value>(&post.body).expect("a message")["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({}), "{path}");
    }
}

#[tokio::test]
async fn a_message_is_answered_with_a_message() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    for path in ["/", "/tools/call"] {
        for params in
            [r#"{"name":"data__query"}"#.to_owned(), format!(r#"{{"name":"data__query","_meta":{{{META}}}}}"#)]
        {
            let answer = client.exchange(&post(path, &rpc("tools/call", &params))).await.json();
            assert_eq!(
                (&answer["id"], &answer["result"]["content"][0]["text"]),
                (&json!("x"), &json!("done")),
                "{path}"
            );
        }
    }
    let discovered = client.exchange(&post("/", r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#)).await.json();
    assert_eq!(discovered["result"]["supportedVersions"], json!(["2026-07-28"]));
    let notified = client.exchange(&post("/", r#"{"jsonrpc":"2.0","method":"notifications/x"}"#)).await;
    assert_eq!((notified.status, notified.body.len()), (202, 0));
    for (path, body, status, code) in [
        ("/", rpc("nothing/such", "{}"), 404, -32601),
        ("/", rpc("initialize", r#"{"protocolVersion":"2025-11-25"}"#), 404, -32601),
        ("/tools/list", rpc("tools/call", "{}"), 400, -32600),
        ("/", rpc("tools/call", "[]"), 400, -32602),
        ("/", "{}".to_owned(), 400, -32600),
        ("/", "[]".to_owned(), 400, -32600),
        ("/", "{".to_owned(), 400, -32700),
    ] {
        let answer = client.exchange(&post(path, &body)).await;
        assert_eq!((answer.status, answer.code()), (status, Some(code)), "{path} {body}: {}", answer.text());
        assert_eq!(answer.json()["jsonrpc"], "2.0", "{path} {body}");
    }
}

#[tokio::test]
async fn an_error_is_answered_under_a_status_that_says_whose_it_is() {
    let upstream = Recorder::play(async |post, wire: &mut Wire<'_>| {
        let error =
            |code: i32| format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":{code},"message":"no"}}}}"#, post.id);
        match post.body.contains("summarize") {
            true => wire.answer(200, &error(-32602)).await,
            false => wire.answer(200, &error(-32000)).await,
        }
    });
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    for (path, body, status, code) in [
        ("/tools/call", r#"{"name":"nobody__has_it"}"#, 400, -32602),
        ("/tools/call", "{}", 400, -32602),
        ("/tools/call", r#"{"name":7}"#, 400, -32602),
        ("/tools/call", r#"{"name":"data__query","_meta":7}"#, 400, -32602),
        ("/tools/call", r#"{"name":"data__query","name":"data__query"}"#, 400, -32600),
        ("/tools/call", "[1]", 400, -32600),
        ("/tools/call", "{\"name\":", 400, -32700),
        ("/tools/call", "}", 400, -32700),
        ("/tools/call", r#"{"name":"x"},"x":{}"#, 400, -32700),
        ("/tools/list", r#"{"cursor":"unknown"}"#, 400, -32602),
        ("/prompts/get", r#"{"name":"data__summarize_table"}"#, 400, -32602),
        ("/tools/call", r#"{"name":"data__query"}"#, 502, -32000),
        ("/resources/subscribe", r#"{"uri":"data://tables/elements"}"#, 404, -32601),
        ("/sampling/createMessage", r#"{"messages":[],"maxTokens":1}"#, 400, -32021),
    ] {
        let answer = client.exchange(&post(path, body)).await;
        assert_eq!((answer.status, answer.code()), (status, Some(code)), "{path} {body}: {}", answer.text());
        assert_eq!(answer.json()["jsonrpc"], Value::Null, "{path} {body}");
        assert!(answer.json()["error"]["message"].is_string());
    }
    let sampling = client.exchange(&post("/sampling/createMessage", "{}")).await.json();
    assert_eq!(sampling["error"]["data"]["requiredCapabilities"], json!({ "sampling": {} }));
    let subscribed = client.exchange(&post("/resources/subscribe", r#"{"uri":"x"}"#)).await.text();
    assert!(subscribed.contains("no subscriptions"), "{subscribed}");
    drop(upstream);
    let lost = client.exchange(&post("/tools/call", r#"{"name":"data__query"}"#)).await;
    assert_eq!((lost.status, lost.code()), (502, Some(-32603)), "{}", lost.text());
    // Whether the pooled connection was seen to be closed before the call was written to it.
    let kind = lost.kind();
    assert!(matches!(kind.as_deref(), Some("upstream_unavailable" | "outcome_unknown")), "{kind:?}");
}
