//! JSON-RPC batches: there are some in sessions of MCP 2025-03-26, and nowhere else.

use serde_json::{Value, json};

use crate::legacy::initialize;
use crate::stdio_client::{Gateway, initialize as initialize_line};
use crate::support::client::{Client, Request};
use crate::support::gateways;
use crate::support::recorder::{DONE, Recorder, Wire};

/// A session of this revision.
async fn begin(client: &mut Client, version: &str) -> String {
    let greeted = client.exchange(&initialize(version)).await;
    greeted.field("mcp-session-id").expect("a session").to_owned()
}

fn call(id: u32, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#)
}

#[tokio::test]
async fn the_answers_to_a_batch_are_one_array() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let session = begin(&mut client, "2025-03-26").await;
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let messages = [
        &call(1, "admin__echo"),
        notification,
        &call(2, "nobody__has_it"),
        r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":4,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"initialize","params":{"protocolVersion":"2025-03-26"}}"#,
        "[]",
        r#"{"jsonrpc":"1.0","id":6,"method":"ping"}"#,
    ];
    let answer = client.exchange(&Request::legacy(&session, format!(" [{}]", messages.join(",")))).await;
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    let answers = answer.json();
    let answers = answers.as_array().expect("an array");
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!(2), &json!("p"), &json!(4), &json!(5), &Value::Null, &json!(6)], "{answers:?}");
    let done: Value = serde_json::from_str(DONE).expect("a result");
    assert_eq!(answers[0]["result"]["content"], done["content"]);
    let codes: Vec<Option<i64>> = answers.iter().map(|answer| answer["error"]["code"].as_i64()).collect();
    assert_eq!(codes, [None, Some(-32602), None, None, Some(-32600), Some(-32600), Some(-32600)]);
    assert_eq!((answers[3]["result"]["tools"].as_array().map(Vec::len), upstream.calls()), (Some(7), 1));
    // Where nothing was asked, nothing is answered.
    let taken = client.exchange(&Request::legacy(&session, format!("[{notification},{notification}]"))).await;
    assert_eq!((taken.status, taken.body.len()), (202, 0));
}

#[tokio::test]
async fn the_calls_of_a_batch_run_side_by_side() {
    // Each is answered once all have come.
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(8));
    let upstream = Recorder::play(async move |post, wire: &mut Wire<'_>| {
        barrier.wait().await;
        wire.result(&format!(r#"{{"resultType":"complete","content":[],"own":{}}}"#, post.body.contains("admin"))).await
    });
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let session = begin(&mut client, "2025-03-26").await;
    let calls: Vec<String> = (0..8).map(|id| call(id, "data__query")).collect();
    let answer = client.exchange(&Request::legacy(&session, format!("[{}]", calls.join(",")))).await;
    let answers = answer.json();
    let ids: Vec<Option<i64>> = answers.as_array().expect("an array").iter().map(|one| one["id"].as_i64()).collect();
    assert_eq!(ids, (0..8).map(Some).collect::<Vec<_>>());
    assert_eq!(upstream.calls(), 8);
}

#[tokio::test]
async fn a_batch_is_refused_where_there_are_none_or_it_is_too_long() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let one = format!("[{}]", call(1, "admin__echo"));
    for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let session = begin(&mut client, version).await;
        let answer = client.exchange(&Request::legacy(&session, one.clone())).await;
        assert_eq!((answer.status, answer.code()), (400, Some(-32600)), "{version}");
    }
    for request in [
        Request::post(one.clone()),
        Request::legacy("unknown", one.clone()),
        Request::raw("tools/call", Some("admin__echo"), one),
    ] {
        let answer = client.exchange(&request).await;
        assert_eq!((answer.status, answer.code()), (400, Some(-32600)), "{request:?}");
    }
    let session = begin(&mut client, "2025-03-26").await;
    let pings: Vec<String> = (0..32).map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)).collect();
    let most = client.exchange(&Request::legacy(&session, format!("[{}]", pings.join(",")))).await;
    assert_eq!((most.status, most.json().as_array().map(Vec::len)), (200, Some(32)));
    let many = vec![call(1, "admin__echo"); 33].join(",");
    for body in ["[]".to_owned(), format!("[{many}]")] {
        let answer = client.exchange(&Request::legacy(&session, body)).await;
        assert_eq!((answer.status, answer.code()), (400, Some(-32600)));
    }
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn a_client_on_lines_may_send_batches_of_that_revision_too() {
    let mut gateway = Gateway::start(&[]);
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#;
    assert_eq!(gateway.ask(batch).await["error"]["code"], -32600);
    gateway.ask(&initialize_line("2025-03-26")).await;
    let expected = [1, 2].map(|id| json!({ "jsonrpc": "2.0", "id": id, "result": {} }));
    assert_eq!(gateway.ask(batch).await, json!(expected));
    gateway.ask(&initialize_line("2025-06-18")).await;
    assert_eq!(gateway.ask(batch).await["error"]["code"], -32600);
    let (rest, code, _) = gateway.close().await;
    assert_eq!((rest, code), (vec![], Some(0)));
}
