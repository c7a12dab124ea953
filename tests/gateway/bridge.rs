//! A client on lines whose server is elsewhere: `only1mcp stdio --connect URL`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::params;
use crate::stdio_client::{Gateway, call, initialize, request, text};
use crate::support::client::META;
use crate::support::gateways;
use crate::support::recorder::{DONE, Recorder, Wire};

fn connect(url: &str) -> Gateway {
    Gateway::start(&["--connect", url])
}

#[tokio::test]
async fn both_eras_reach_a_gateway_that_runs_already() {
    let gateway = gateways::demo();
    let mut bridge = connect(&gateway.url());
    let discovered = bridge.ask(&request(r#""d""#, "server/discover", &format!(r#"{{"_meta":{{{META}}}}}"#))).await;
    assert_eq!((&discovered["id"], &discovered["result"]["supportedVersions"]), (&json!("d"), &json!(["2026-07-28"])));
    let modern = bridge.ask(&call("2", "math__add", r#"{"a":1,"b":2}"#)).await;
    assert_eq!((text(&modern), &modern["result"]["resultType"]), ("3", &json!("complete")), "{modern}");
    for version in ["2024-11-05", "2025-11-25"] {
        let greeted = bridge.ask(&initialize(version)).await;
        assert_eq!(greeted["result"]["protocolVersion"], version, "{greeted}");
        bridge.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        let legacy = bridge.ask(&request("4", "tools/call", r#"{"name":"math__add","arguments":{"a":2,"b":2}}"#)).await;
        assert_eq!((text(&legacy), &legacy["result"]["resultType"]), ("4", &Value::Null), "{legacy}");
    }
    let unknown = bridge.ask(&call("5", "math__ad", "{}")).await;
    assert_eq!((&unknown["id"], &unknown["error"]["code"]), (&json!(5), &json!(-32602)), "{unknown}");
    let encoded = bridge.ask(&call("6", "größe", "{}")).await;
    assert_eq!(encoded["error"]["message"], "Unknown tool: größe", "{encoded}");
    let (rest, code, log) = bridge.close().await;
    assert_eq!((rest, code), (vec![], Some(0)), "{log}");
}

#[tokio::test]
async fn calls_run_side_by_side_and_their_streams_become_lines() {
    let gateway = gateways::demo();
    let mut bridge = connect(&gateway.url());
    let params = format!(
        r#"{{"name":"admin__wait","arguments":{{"milliseconds":300,"steps":2}},"_meta":{{{META},"progressToken":"mine"}}}}"#
    );
    bridge.say(&request("1", "tools/call", &params)).await;
    for id in 2..20 {
        bridge.say(&call(&id.to_string(), "admin__echo", &format!(r#"{{"own":{id}}}"#))).await;
    }
    let mut heard = Vec::new();
    while heard.len() < 18 + 3 {
        heard.push(bridge.hear().await);
    }
    let of_wait: Vec<&Value> =
        heard.iter().filter(|m| m["id"] == 1 || m["method"] == "notifications/progress").collect();
    assert_eq!([of_wait[0], of_wait[1]].map(|step| &step["params"]["progressToken"]), [&json!("mine"); 2]);
    assert_eq!(text(of_wait[2]), "waited 300 ms");
    for answer in heard.iter().filter(|message| message["id"].as_i64().is_some_and(|id| id > 1)) {
        assert_eq!(text(answer), format!(r#"{{"own":{}}}"#, answer["id"]), "{answer}");
    }
    let (rest, code, _) = bridge.close().await;
    assert_eq!((rest, code), (vec![], Some(0)));
}

#[tokio::test]
async fn a_modern_request_has_the_fields_of_its_message_and_a_legacy_one_those_of_its_session() {
    let script = async |post: crate::support::recorder::Post, wire: &mut Wire<'_>| {
        if post.head.starts_with("get ") {
            wire.stream().await?;
            wire.event(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await?;
            wire.hung_up().await;
            return Ok(());
        }
        match post.body.contains(r#""initialize""#) {
            true => {
                let greeted =
                    r#"{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"x","version":"1"}}"#;
                let body = wire.response(greeted);
                wire.answer_with(200, "mcp-session-id: own\r\n", &body).await
            }
            false if post.id.is_empty() => wire.answer(202, "").await,
            false => wire.result(DONE).await,
        }
    };
    let mut server = Recorder::play(script);
    let mut bridge = connect(&server.url());
    bridge.ask(&call("1", "some tool ü", "{}")).await;
    let head = server.post().await.head;
    for line in ["mcp-protocol-version: 2026-07-28", "mcp-method: tools/call", "mcp-name: =?base64?"] {
        assert!(head.contains(line), "{head}");
    }
    assert!(!head.contains("mcp-session-id"), "{head}");
    bridge.ask(&initialize("2025-06-18")).await;
    assert!(!server.post().await.head.contains("mcp-session-id"));
    bridge.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    assert!(server.post().await.head.contains("mcp-session-id: own"));
    // The stream of the session.
    let changed = bridge.hear().await;
    assert_eq!(changed["method"], "notifications/tools/list_changed");
    let stream = server.post().await.head;
    assert!(stream.starts_with("get ") && stream.contains("mcp-session-id: own"), "{stream}");
    bridge.ask(&request("2", "tools/list", "{}")).await;
    let head = server.post().await.head;
    assert!(head.contains("mcp-session-id: own") && head.contains("mcp-protocol-version: 2025-06-18"), "{head}");
    assert!(!head.contains("mcp-method"), "{head}");
    let (rest, code, log) = bridge.close().await;
    assert_eq!((rest, code), (vec![], Some(0)), "{log}");
    assert!(server.post().await.head.starts_with("delete "), "the session is ended");
}

#[tokio::test]
async fn a_cancelled_call_is_closed_in_the_modern_era_and_said_so_in_the_legacy_one() {
    let hung_up = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&hung_up);
    let mut server = Recorder::play(async move |post, wire: &mut Wire<'_>| match post.body.contains("held") {
        true => {
            wire.hung_up().await;
            seen.store(true, Ordering::SeqCst);
            Ok(())
        }
        false if post.id.is_empty() => wire.answer(202, "").await,
        false => wire.result(DONE).await,
    });
    let mut bridge = connect(&server.url());
    let cancelled =
        |id: &str| format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
    bridge.say(&call("1", "held", "{}")).await;
    server.post().await;
    bridge.say(&cancelled("1")).await;
    bridge.ask(&call("2", "other", "{}")).await;
    assert!(server.post().await.body.contains("other"), "the cancellation itself is not posted");
    bridge.say(&cancelled("3")).await;
    assert!(server.post().await.body.contains("notifications/cancelled"), "of what is not in flight the server knows");
    let (rest, code, _) = bridge.close().await;
    assert_eq!((rest, code), (vec![], Some(0)));
    assert!(hung_up.load(Ordering::SeqCst), "its connection was closed");
}

#[tokio::test]
async fn a_server_that_is_not_there_ends_the_bridge() {
    let mut bridge = connect("http://127.0.0.1:1/mcp");
    let refused = bridge.ask(&call("1", "any", "{}")).await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(1), &json!(-32603)), "{refused}");
    let (_, code, log) = bridge.close().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("`http://127.0.0.1:1/mcp` cannot be bridged to"), "{log}");
    let (_, code, log) = connect("ftp://nowhere").close().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("is not a URL of an MCP server"), "{log}");
}

#[tokio::test]
async fn an_answer_without_an_id_gets_that_of_its_request_and_one_that_is_none_is_an_error() {
    let server = Recorder::play(async |post, wire: &mut Wire<'_>| match post.body.contains("refused") {
        true => wire.answer(400, r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"no"}}"#).await,
        false => wire.answer(500, "oops").await,
    });
    let mut bridge = connect(&server.url());
    let refused = bridge.ask(&call("\"a\"", "refused", "{}")).await;
    assert_eq!(refused, json!({ "jsonrpc": "2.0", "id": "a", "error": { "code": -32600, "message": "no" } }));
    let broken = bridge.ask(&call("2", "other", "{}")).await;
    assert_eq!((&broken["id"], &broken["error"]["code"]), (&json!(2), &json!(-32603)), "{broken}");
    let garbage = bridge.ask("garbage").await;
    assert_eq!(garbage["error"]["code"], -32700, "{garbage}");
    let (_, code, _) = bridge.close().await;
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn arguments_go_along_as_fields_where_the_gateway_behind_wants_that() {
    let (mut near, far) = (Recorder::start(), Recorder::start());
    let gateway = params::started(&near, &far);
    let arguments = r#"{"region":"\u00e9","count":42,"dry":true,"filter":{"row":7},"note":"x"}"#;
    let expected = ["count: 42", "dry-run: true", "region: =?base64?w6k=?=", "row: 7"];
    let mut bridge = connect(&gateway.url());
    for id in ["2", "3"] {
        let answer = bridge.ask(&call(id, "near__deploy", arguments)).await;
        assert_eq!((text(&answer), answer["id"].to_string().as_str()), ("done", id), "{answer}");
        assert_eq!(params::params(&near.post().await), expected);
    }
    let none = bridge.ask(&call("4", "near__deploy", r#"{"region":null}"#)).await;
    assert_eq!(text(&none), "done", "{none}");
    assert_eq!(params::params(&near.post().await), [""; 0]);
    assert_eq!(bridge.close().await.1, Some(0));
}

/// A page that names another one.
const PAGE: &str = r#"{"tools":[],"nextCursor":"2","resultType":"complete"}"#;
/// The page with the tool.
const LAST: &str = r#"{"tools":[{"name":"t","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}],"resultType":"complete"}"#;

#[tokio::test]
async fn a_call_that_is_refused_for_its_fields_is_made_once_more_where_the_server_lists_others() {
    let mut server = Recorder::play(async |post, wire: &mut Wire<'_>| match () {
        () if post.body.contains("tools/list") => {
            wire.result(if post.body.contains(r#""cursor":"2""#) { LAST } else { PAGE }).await
        }
        () if post.head.contains("mcp-param-a: good\r\n") => wire.result(DONE).await,
        () => wire.answer(400, r#"{"jsonrpc":"2.0","error":{"code":-32020,"message":"no"}}"#).await,
    });
    let mut bridge = connect(&server.url());
    for (arguments, tool, is_done, posts) in [
        // Refused, listed on two pages, made again.
        (r#"{"a":"good"}"#, "t", true, 4),
        (r#"{"a":"good"}"#, "t", true, 1),
        // Made as it is known, refused, and just listed.
        (r#"{"a":"bad"}"#, "t", false, 1),
        // Not listed at all: two pages are asked for once.
        ("{}", "other", false, 3),
        ("{}", "other", false, 1),
    ] {
        let before = server.calls();
        let answer = bridge.ask(&call("7", tool, arguments)).await;
        let refused = json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": -32020, "message": "no" } });
        assert_eq!(text(&answer) == "done", is_done, "{answer}");
        assert!(is_done || answer == refused, "{answer}");
        assert_eq!(server.calls() - before, posts, "{tool} {arguments}");
    }
    let first = server.post().await;
    assert!(!first.head.contains("mcp-param"), "{}", first.head);
    let listed = server.post().await;
    assert!(
        listed.head.contains("mcp-method: tools/list\r\n") && listed.head.contains("mcp-protocol-version: 2026-07-28")
    );
    assert_eq!(bridge.close().await.1, Some(0));
}

#[tokio::test]
async fn a_view_is_named_behind_the_url() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let mut bridge = Gateway::start(&["--connect", &gateway.url(), "--view", "tables"]);
    let hidden = bridge.ask(&call("1", "admin__echo", "{}")).await;
    assert_eq!(hidden["error"]["code"], -32602, "{hidden}");
    let shown = bridge.ask(&call("2", "data__list_tables", "{}")).await;
    assert_eq!(text(&shown), "done", "{shown}");
    assert_eq!(bridge.close().await.1, Some(0));
}
