//! Views: each path shows its part of the catalog, and what it does not show is not there.

use serde_json::{Value, json};

use crate::legacy::{initialize, message};
use crate::support::client::{Answer, Client, Request};
use crate::support::gateways;
use crate::support::recorder::Recorder;

/// The same at the path of a view.
fn at(view: &str, request: Request) -> Request {
    request.line(&format!("POST /mcp/{view} HTTP/1.1"))
}

fn read(uri: &str) -> Request {
    Request::modern("resources/read", Some(uri), &format!(r#""uri":"{uri}""#))
}

/// The names in a list, from a result.
fn names(answer: &Answer, member: &str) -> Vec<String> {
    let items = answer.json()["result"][member].as_array().cloned().unwrap_or_default();
    let name =
        |item: &Value| ["uriTemplate", "uri", "name"].iter().find_map(|key| Some(item[*key].as_str()?.to_owned()));
    items.iter().filter_map(name).collect()
}

/// Every list there is, with what the view shows of it.
const LISTS: [(&str, &str, &[&str], &[&str]); 4] = [
    (
        "tools/list",
        "tools",
        &["admin__echo", "admin__log", "admin__status", "admin__wait"],
        &["data__describe_table", "data__list_tables"],
    ),
    ("prompts/list", "prompts", &["admin__incident_report"], &["data__summarize_table"]),
    ("resources/list", "resources", &["admin://status"], &["data://images/gradient.png", "data://tables/elements"]),
    ("resources/templates/list", "resourceTemplates", &[], &["data://tables/{table}/rows/{row}"]),
];

#[tokio::test]
async fn every_list_of_either_era_holds_what_the_view_shows() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    for (index, view) in ["operations", "tables"].into_iter().enumerate() {
        let mut client = Client::connect(gateway.address()).await;
        let greeted = client.exchange(&at(view, initialize("2025-11-25"))).await;
        let session = greeted.field("mcp-session-id").expect("a session").to_owned();
        for (method, member, operations, tables) in LISTS {
            let expected = [operations, tables][index];
            let modern = client.exchange(&at(view, Request::modern(method, None, ""))).await;
            assert_eq!(names(&modern, member), expected, "{view} {method}");
            let legacy = client.exchange(&at(view, Request::legacy(&session, message(method, "{}")))).await;
            assert_eq!(names(&legacy, member), expected, "{view} {method}");
        }
    }
    let whole = Client::ask(gateway.address(), &Request::modern("tools/list", None, "")).await;
    assert_eq!(names(&whole, "tools").len(), 7);
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn the_greeting_of_a_view_speaks_of_what_it_shows() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let discovered =
        Client::ask(gateway.address(), &at("pictures", Request::modern("server/discover", None, ""))).await;
    let discovered = &discovered.json()["result"];
    // A route by pattern leads to tools that no list holds: whether this view shows one is known when it is called.
    let changing = json!({ "listChanged": true });
    assert_eq!(discovered["capabilities"], json!({ "completions": {}, "tools": changing, "resources": changing }));
    assert!(discovered["instructions"].as_str().is_some_and(|text| text.starts_with("# data")), "{discovered}");
    let greeted = Client::ask(gateway.address(), &at("operations", initialize("2025-06-18"))).await;
    let greeted = &greeted.json()["result"];
    assert_eq!(greeted["protocolVersion"], "2025-06-18");
    assert!(greeted["instructions"].as_str().is_some_and(|text| text.starts_with("# admin")), "{greeted}");
    assert!(!greeted["instructions"].as_str().is_some_and(|text| text.contains("# data")), "{greeted}");
}

#[tokio::test]
async fn what_a_view_shows_is_called_and_the_rest_is_unknown_to_it() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let mut served = 0;
    for (view, request, shown) in [
        ("operations", Request::call("admin__echo", "{}"), true),
        ("operations", Request::call("data__list_tables", "{}"), false),
        (
            "operations",
            Request::modern("prompts/get", Some("data__summarize_table"), r#""name":"data__summarize_table""#),
            false,
        ),
        ("operations", read("admin://status"), true),
        ("operations", read("data://tables/elements"), false),
        ("tables", Request::call("data__list_tables", "{}"), true),
        ("tables", Request::call("data__query", "{}"), false),
        ("tables", Request::call("admin__echo", "{}"), false),
        ("tables", read("data://tables/elements"), true),
        ("tables", read("data://tables/planets"), false),
        // By a route for names that no list holds.
        ("tables", Request::call("data__extra_count", "{}"), true),
        ("tables", Request::call("data__extra_secret", "{}"), false),
        ("operations", Request::call("data__extra_count", "{}"), false),
        // By a template, which has to be shown as well as what it leads to.
        ("tables", read("data://tables/elements/rows/1"), true),
        ("tables", read("data://tables/planets/rows/1"), false),
        ("pictures", read("data://tables/elements/rows/1"), false),
    ] {
        let answer = Client::ask(gateway.address(), &at(view, request.clone())).await;
        let whole = Client::ask(gateway.address(), &request).await;
        assert_eq!((whole.status, whole.code()), (200, None), "{request:?}: {}", whole.text());
        served += 1 + usize::from(shown);
        assert_eq!(upstream.calls(), served, "{view} {request:?}");
        assert_eq!((answer.status, answer.code()), (200, (!shown).then_some(-32602)), "{view} {request:?}");
    }
}

#[tokio::test]
async fn a_uri_is_hidden_or_shown_however_it_is_spelled() {
    let mut upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    for uri in [
        "data://tables/plane%74s/rows/1",
        "data://tables/%70%6C%61%6e%65ts/rows/1",
        "data://tables/x%2F..%2Fplanets/rows/1",
        "data://tables/x/../planets/rows/1",
        "data://tables/x/%2E%2e/planets/rows/1",
        "data://tables/./planets/rows/1",
        "data://tables/x%5C..%5cplanets/rows/1",
        "data://tables/x%2fplanets/rows/1",
    ] {
        let answer = Client::ask(gateway.address(), &at("tables", read(uri))).await;
        assert_eq!((answer.status, answer.code()), (200, Some(-32602)), "{uri}: {}", answer.text());
        assert_eq!(upstream.calls(), 0, "{uri}");
    }
    // The backend gets what the client wrote; only views look behind it.
    let shown = "data://tables/element%73%2C%c3%a4/rows/1";
    let hidden = "data://tables/plane%74s/../x%2F/rows/1";
    for (request, uri) in [(at("tables", read(shown)), shown), (read(hidden), hidden)] {
        assert_eq!(Client::ask(gateway.address(), &request).await.code(), None, "{uri}");
        let post = upstream.post().await;
        assert!(post.body.contains(&format!(r#""uri":"{uri}""#)), "{}", post.body);
    }
}

#[tokio::test]
async fn what_is_denied_is_denied_to_routes_by_pattern_too() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let served = Client::ask(gateway.address(), &Request::call("data__extra_count", "{}")).await;
    assert_eq!((served.status, served.code(), upstream.calls()), (200, None, 1));
    for request in [Request::call("data__extra_drop_all", "{}"), Request::call("extra_drop_all", "{}")] {
        let denied = Client::ask(gateway.address(), &request).await;
        assert_eq!((denied.status, denied.code(), upstream.calls()), (200, Some(-32602), 1), "{request:?}");
    }
}

#[tokio::test]
async fn a_name_that_a_view_hides_is_answered_like_one_that_does_not_exist() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let greeted = client.exchange(&at("tables", initialize("2025-11-25"))).await;
    let session = greeted.field("mcp-session-id").expect("a session").to_owned();
    for (hidden, unknown) in [("admin__echo", "admin__ecco"), ("data__query", "data__qwery")] {
        let modern = client.exchange(&at("tables", Request::call(hidden, "{}"))).await;
        let other = client.exchange(&at("tables", Request::call(unknown, "{}"))).await;
        assert_eq!(modern.text().replace(hidden, unknown), other.text());
        let call = |name: &str| message("tools/call", &format!(r#"{{"name":"{name}","arguments":{{}}}}"#));
        let legacy = client.exchange(&at("tables", Request::legacy(&session, call(hidden)))).await;
        let other = client.exchange(&at("tables", Request::legacy(&session, call(unknown)))).await;
        assert_eq!(legacy.text().replace(hidden, unknown), other.text());
    }
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn a_view_that_does_not_exist_is_no_path() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    for view in ["nothing", "Tables", "tables/", "admin", ""] {
        let answer = Client::ask(gateway.address(), &at(view, Request::modern("tools/list", None, ""))).await;
        assert_eq!(answer.status, 404, "{view}");
    }
}

#[tokio::test]
async fn a_session_is_of_the_view_it_was_begun_in() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let mut sessions = Vec::new();
    for path in ["/mcp", "/mcp/tables"] {
        let greeted = client.exchange(&initialize("2025-11-25").line(&format!("POST {path} HTTP/1.1"))).await;
        sessions.push((path, greeted.field("mcp-session-id").expect("a session").to_owned()));
    }
    for (own, session) in &sessions {
        for path in ["/mcp", "/mcp/tables", "/mcp/operations"] {
            let to = |method: &str| format!("{method} {path} HTTP/1.1");
            let ping = Request::legacy(session, message("ping", "{}")).line(&to("POST"));
            assert_eq!(client.exchange(&ping).await.status, if path == *own { 200 } else { 404 }, "{own} {path}");
            if path != *own {
                let stream = Request::bare(&to("GET")).field("Mcp-Session-Id", session);
                assert_eq!(client.exchange(&stream).await.status, 404, "{own} {path}");
                let delete = Request::bare(&to("DELETE")).field("Mcp-Session-Id", session);
                assert_eq!(client.exchange(&delete).await.status, 404, "{own} {path}");
            }
        }
    }
    for (own, session) in &sessions {
        let delete = Request::bare(&format!("DELETE {own} HTTP/1.1")).field("Mcp-Session-Id", session);
        assert_eq!(client.exchange(&delete).await.status, 200, "{own}");
    }
}
