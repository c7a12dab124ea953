//! Overlays that make another catalog of the compiled one while the gateway runs: what they hide is answered like what
//! never was, everybody's lists are others, and whoever listens is told of exactly that.

use std::net::SocketAddr;

use only1mcp::{Gateway, OverlayError};
use serde_json::{Value, json};

use crate::subscriptions::{hear, listen};
use crate::support::client::{Answer, Client, Request};
use crate::support::front::{Ask, Era, Front, ways};
use crate::support::gateways::{self, Recorded};
use crate::support::ledger::Directory;
use crate::support::recorder::Recorder;

/// Hides two tools, one of each server.
const HIDES: &str = "backends: { data: { tools: { deny: [query] } }, admin: { tools: { deny: [\"lo*\"] } } }\n";

fn at(path: &str, request: Request) -> Request {
    request.line(&format!("POST {path} HTTP/1.1"))
}

/// The names in a list, from a result.
fn names(result: &Value, member: &str) -> Vec<String> {
    let items = result[member].as_array().expect("a list");
    items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
}

async fn tools(address: SocketAddr, path: &str) -> Vec<String> {
    let answer = Client::ask(address, &at(path, Request::modern("tools/list", None, ""))).await;
    names(&answer.json()["result"], "tools")
}

async fn call(address: SocketAddr, path: &str, tool: &str) -> Answer {
    Client::ask(address, &at(path, Request::call(tool, "{}"))).await
}

/// These without those that are named.
fn without(names: &[String], left_out: &[&str]) -> Vec<String> {
    names.iter().filter(|name| !left_out.contains(&name.as_str())).cloned().collect()
}

#[tokio::test]
async fn a_denied_tool_is_in_no_list_and_answered_like_an_unknown_one_until_it_is_back() {
    let servers = [Recorder::start(), Recorder::start(), Recorder::start()];
    let gateway = gateways::alone([&servers[0], &servers[1], &servers[2]]);
    let address = gateway.address();
    let paths = [("/mcp", "data__query"), ("/mcp/data", "query")];
    let mut before = Vec::new();
    for (path, tool) in paths {
        before.push(tools(address, path).await);
        assert!(before.concat().contains(&tool.to_owned()), "{before:?}");
        assert_eq!(call(address, path, tool).await.code(), None);
    }
    let calls = servers[1].calls();
    // A route leads another backend's tool there: its calls would go on.
    let refused = format!("{:?}", gateway.overlay().apply(HIDES).expect_err("it hides half of it"));
    assert!(refused.contains("a route leads calls of tool `mirror-of-the-data__query` to backend `data`"), "{refused}");
    let hides = HIDES.replacen("{ data:", "{ mirror-of-the-data: { tools: { deny: [query] } }, data:", 1);
    gateway.overlay().apply(&hides).expect("it is taken");
    for ((path, tool), before) in paths.into_iter().zip(&before) {
        assert_eq!(
            tools(address, path).await,
            without(before, &[tool, "admin__log", "mirror-of-the-data__query"]),
            "{path}"
        );
        let (denied, unknown) = (call(address, path, tool).await, call(address, path, "nobodys").await);
        assert_eq!((denied.status, denied.code()), (unknown.status, unknown.code()));
        assert_eq!(denied.text().replace(tool, "nobodys"), unknown.text(), "but for the name");
    }
    assert!(!tools(address, "/mcp/admin").await.contains(&"log".to_owned()));
    assert_eq!(servers[1].calls(), calls, "the server was not asked");
    gateway.overlay().rollback().expect("it is taken back");
    for ((path, tool), before) in paths.into_iter().zip(before) {
        assert_eq!(tools(address, path).await, before, "{path}");
        assert_eq!(call(address, path, tool).await.code(), None);
    }
}

#[tokio::test]
async fn a_denied_tool_is_gone_from_the_view_that_shows_it_and_no_other_view_is_told() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let address = gateway.address();
    let wanted = r#"{"toolsListChanged":true,"promptsListChanged":true}"#;
    let (mut operations, acknowledged) = listen(address, "/mcp/operations", "1", wanted).await;
    assert_eq!(acknowledged, json!({ "toolsListChanged": true, "promptsListChanged": true }));
    let (mut tables, _) = listen(address, "/mcp/tables", "2", wanted).await;
    gateway.overlay().apply("backends: { admin: { tools: { deny: [log] } } }").expect("it is taken");
    assert_eq!(hear(&mut operations, "1").await["method"], "notifications/tools/list_changed");
    assert_eq!(tools(address, "/mcp/operations").await, ["admin__echo", "admin__status", "admin__wait"]);
    assert!(!tools(address, "/mcp").await.contains(&"admin__log".to_owned()));
    // What does not change its list is not told, nor is a setting that changes none.
    gateway.overlay().apply("backends: { admin: { tools: { deny: [log] }, timeout: 9s } }").expect("it is taken");
    gateway.overlay().apply("backends: { data: { tools: { deny: [describe_table] } } }").expect("it is taken");
    assert_eq!(hear(&mut tables, "2").await["method"], "notifications/tools/list_changed");
    // It was told nothing between what came and what comes.
    assert_eq!(hear(&mut operations, "1").await["method"], "notifications/tools/list_changed");
    assert_eq!(tools(address, "/mcp/operations").await.len(), 4);
}

#[test]
#[ignore = "a role of this binary: another test starts it as a child"]
fn amended_on_pipes() {
    if let Some(overlay) = std::env::var_os("OVERLAY") {
        let builder = Gateway::<Recorded>::builder().overlay_file(overlay);
        builder.serve_stdio(None, std::future::pending()).expect("it serves");
    }
}

#[tokio::test]
async fn a_legacy_client_is_told_that_its_list_changed_whichever_way_it_came() {
    let (upstream, directory) = (Recorder::start(), Directory::new());
    let overlay = directory.path("overlay.yaml");
    std::fs::write(&overlay, "{}\n").expect("a file");
    let builder = Gateway::<Recorded>::builder().address("127.0.0.1:0").workers(2).overlay_file(&overlay);
    let builder = builder.reference("ADMIN_URL", upstream.url()).reference("DATA_URL", upstream.url());
    let gateway = builder.start().expect("the gateway starts");
    let list = |id: u32| Ask::new(id, "tools/list", json!({}));
    let url = upstream.url();
    let variables = [("ADMIN_URL", url.clone()), ("DATA_URL", url), ("OVERLAY", overlay.display().to_string())];
    for (name, way) in ways(&gateway, "amended_on_pipes", variables) {
        gateway.overlay().apply("{}\n").expect("it is taken");
        let mut client = Front::open(way, Era::Legacy).await;
        client.listen().await;
        let before = names(&client.ask(list(1)).await["result"], "tools");
        gateway.overlay().apply(HIDES).expect("it is taken");
        let changed = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {} });
        assert_eq!(client.told().await, changed, "{name}");
        let after = names(&client.ask(list(2)).await["result"], "tools");
        assert_eq!(after, without(&before, &["data__query", "admin__log"]), "{name}");
        let denied = client.ask(Ask::call(3, "data__query", &json!({}))).await;
        assert_eq!(denied["error"]["code"], -32602, "{name}: {denied}");
    }
}

#[tokio::test]
async fn what_an_overlay_hides_at_the_start_was_never_there() {
    let (upstream, directory) = (Recorder::start(), Directory::new());
    let overlay = directory.path("overlay.yaml");
    let start = |text: &str| {
        std::fs::write(&overlay, text).expect("a file");
        let builder = Gateway::<Recorded>::builder().address("127.0.0.1:0").overlay_file(&overlay);
        builder.reference("ADMIN_URL", upstream.url()).reference("DATA_URL", upstream.url()).start()
    };
    let gateway = start(HIDES).expect("the gateway starts");
    assert!(!tools(gateway.address(), "/mcp").await.contains(&"data__query".to_owned()));
    drop(gateway);
    let refused = start("views: { Wrong: { include: [] } }\n").err().map(|error| format!("{error:?}"));
    assert!(refused.as_ref().is_some_and(|refused| refused.contains("`Wrong` is not")), "{refused:?}");
}

#[tokio::test]
async fn a_view_that_an_overlay_adds_is_served_until_it_is_gone() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let address = gateway.address();
    assert_eq!(call(address, "/mcp/added", "admin__echo").await.status, 404);
    gateway
        .overlay()
        .apply("views: { added: { include: [admin__echo, \"data__*\"], exclude: [data__query] } }")
        .expect("taken");
    let shown = tools(address, "/mcp/added").await;
    assert!(shown.contains(&"admin__echo".to_owned()) && shown.contains(&"data__list_tables".to_owned()), "{shown:?}");
    assert!(!shown.contains(&"admin__log".to_owned()) && !shown.contains(&"data__query".to_owned()), "{shown:?}");
    assert_eq!(call(address, "/mcp/added", "admin__echo").await.code(), None);
    assert_eq!(call(address, "/mcp/added", "admin__log").await.code(), Some(-32602));
    assert_eq!(tools(address, "/mcp/operations").await.len(), 4, "others are what they were");
    let refused = gateway.overlay().apply("views: { tables: { include: [\"*\"] } }").expect_err("it is compiled");
    let OverlayError::Refused { problems, .. } = refused else { panic!("{refused}") };
    assert_eq!(problems[0].message, "view `tables` is compiled, and not added once more");
    assert_eq!(call(address, "/mcp/added", "admin__echo").await.code(), None, "the running state stays");
    gateway.overlay().apply("{}").expect("it is taken");
    assert_eq!(call(address, "/mcp/added", "admin__echo").await.status, 404);
}
