//! Backends alone: each has a path where it is all there is, under its own names.

use serde_json::{Value, json};

use crate::legacy::{initialize, message};
use crate::support::client::{Answer, Client, Request};
use crate::support::gateways;
use crate::support::recorder::Recorder;

const MIRROR: &str = "mirror-of-the-data";

/// The same at the path of a backend.
fn at(backend: &str, request: Request) -> Request {
    request.line(&format!("POST /mcp/{backend} HTTP/1.1"))
}

fn read(uri: &str) -> Request {
    Request::modern("resources/read", Some(uri), &format!(r#""uri":"{uri}""#))
}

/// The items of a list, from a result.
fn items(answer: &Answer, member: &str) -> Vec<Value> {
    answer.json()["result"][member].as_array().cloned().unwrap_or_default()
}

fn names(answer: &Answer, member: &str) -> Vec<String> {
    let name =
        |item: &Value| ["uriTemplate", "uri", "name"].iter().find_map(|key| Some(item[*key].as_str()?.to_owned()));
    items(answer, member).iter().filter_map(name).collect()
}

/// What each backend has of each list, by what its names begin with.
const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("prompts/list", "prompts"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
];

#[tokio::test]
async fn its_lists_hold_what_it_has_and_does_not_deny_under_its_own_names() {
    let [admin, data, mirror] = [Recorder::start(), Recorder::start(), Recorder::start()];
    let gateway = gateways::alone([&admin, &data, &mirror]);
    let mut client = Client::connect(gateway.address()).await;
    for (backend, prefix, tools) in [
        ("admin", "admin__", &["echo", "log", "status", "wait"][..]),
        ("data", "data__", &["list_tables", "query"]),
        (MIRROR, "mirror-of-the-data__", &["inspect", "query", "read.row"]),
    ] {
        let greeted = client.exchange(&at(backend, initialize("2025-11-25"))).await;
        let session = greeted.field("mcp-session-id").expect("a session").to_owned();
        for (method, member) in LISTS {
            let modern = client.exchange(&at(backend, Request::modern(method, None, ""))).await;
            let legacy = client.exchange(&at(backend, Request::legacy(&session, message(method, "{}")))).await;
            assert_eq!(names(&legacy, member), names(&modern, member), "{backend} {method}");
            if member == "tools" {
                assert_eq!(names(&modern, member), tools, "{backend}");
            }
            // But for the names, the items are those of the catalog.
            let whole = client.exchange(&Request::modern(method, None, "")).await;
            for mut item in items(&modern, member) {
                if let ("tools" | "prompts", Some(own)) = (member, item["name"].as_str()) {
                    item["name"] = json!(format!("{prefix}{own}"));
                }
                let known = items(&whole, member).contains(&item);
                // Its name in the catalog has a digest in the place of the point.
                assert_eq!(known, item["name"] != json!("mirror-of-the-data__read.row"), "{backend} {item}");
            }
        }
    }
    // The URIs that a route sends to another are its own nevertheless.
    for (method, member) in &LISTS[2..] {
        let [own, of_mirror] = [
            client.exchange(&at("data", Request::modern(method, None, ""))).await,
            client.exchange(&at(MIRROR, Request::modern(method, None, ""))).await,
        ];
        assert!(!names(&own, member).is_empty());
        assert_eq!(names(&own, member), names(&of_mirror, member));
    }
    assert_eq!((admin.calls(), data.calls(), mirror.calls()), (0, 0, 0));
}

#[tokio::test]
async fn its_greeting_is_its_own() {
    let [admin, data, mirror] = [Recorder::start(), Recorder::start(), Recorder::start()];
    let gateway = gateways::alone([&admin, &data, &mirror]);
    let whole = Client::ask(gateway.address(), &Request::modern("server/discover", None, "")).await;
    let heading = "# data\n\n";
    let whole = whole.json()["result"]["instructions"].as_str().expect("there are some").to_owned();
    let discovered = Client::ask(gateway.address(), &at("data", Request::modern("server/discover", None, ""))).await;
    let own = discovered.json()["result"]["instructions"].as_str().expect("there are some").to_owned();
    assert!(whole.contains(&format!("{heading}{own}")) && !own.contains('#'), "{own}");
    let greeted = Client::ask(gateway.address(), &at("data", initialize("2025-03-26"))).await.json();
    assert_eq!(
        (&greeted["result"]["protocolVersion"], &greeted["result"]["instructions"]),
        (&json!("2025-03-26"), &json!(own))
    );
}

#[tokio::test]
async fn what_it_has_is_called_there_and_nothing_else_is_known() {
    let [mut admin, mut data, mut mirror] = [Recorder::start(), Recorder::start(), Recorder::start()];
    let gateway = gateways::alone([&admin, &data, &mirror]);
    let prompt = |name: &str| Request::modern("prompts/get", Some(name), &format!(r#""name":"{name}""#));
    let whole = Client::ask(gateway.address(), &Request::modern("tools/list", None, "")).await;
    let shortened = names(&whole, "tools").into_iter().find(|name| name.starts_with("mirror-of-the-data__read_row_"));
    let alias = shortened.expect("it is listed").replace("mirror-of-the-data__", "");
    for (backend, request, upstream) in [
        ("admin", Request::call("echo", "{}"), Some("echo")),
        ("admin", Request::call("admin__echo", "{}"), None),
        ("admin", Request::call("query", "{}"), None),
        ("admin", prompt("incident_report"), Some("incident_report")),
        ("admin", prompt("admin__incident_report"), None),
        ("admin", read("admin://status"), Some("admin://status")),
        ("admin", read("data://tables/elements"), None),
        ("admin", read("data://tables/elements/rows/1"), None),
        ("data", Request::call("query", "{}"), Some("query")),
        ("data", Request::call("describe_table", "{}"), None),
        ("data", read("data://tables/elements"), Some("data://tables/elements")),
        ("data", read("data://tables/elements/rows/1"), Some("data://tables/elements/rows/1")),
        // A route sends it elsewhere, but here nobody else is there.
        (MIRROR, Request::call("query", "{}"), Some("query")),
        (MIRROR, read("data://tables/elements"), Some("data://tables/elements")),
        (MIRROR, read("data://tables/elements/rows/1"), Some("data://tables/elements/rows/1")),
        (MIRROR, read("data://elsewhere"), None),
        (MIRROR, Request::call("inspect", "{}"), Some("describe_table")),
        (MIRROR, Request::call("read.row", "{}"), Some("read.row")),
        (MIRROR, Request::call("describe_table", "{}"), None),
        (MIRROR, Request::call(&alias, "{}"), None),
        (MIRROR, Request::call("list_tables", "{}"), None),
        // By a route that leads to itself.
        (MIRROR, Request::call("extra_count", "{}"), Some("extra_count")),
        (MIRROR, Request::call("extra_drop_all", "{}"), None),
        ("data", Request::call("extra_count", "{}"), None),
        (MIRROR, Request::call("", "{}"), None),
        (MIRROR, Request::call(&"x".repeat(10_000), "{}"), None),
    ] {
        let before = [admin.calls(), data.calls(), mirror.calls()];
        let answer = Client::ask(gateway.address(), &at(backend, request)).await;
        let recorder = match backend {
            "admin" => &mut admin,
            "data" => &mut data,
            _ => &mut mirror,
        };
        match upstream {
            Some(upstream) => {
                assert_eq!((answer.status, answer.code()), (200, None), "{backend} {upstream}: {}", answer.text());
                let post = recorder.post().await;
                let params = &serde_json::from_str::<Value>(&post.body).expect("a message")["params"];
                let named = [&params["name"], &params["uri"]];
                assert!(named.contains(&&json!(upstream)), "{backend}: {}", post.body);
            }
            None => {
                assert_eq!((answer.status, answer.code()), (200, Some(-32602)), "{backend}: {}", answer.text());
                assert_eq!([admin.calls(), data.calls(), mirror.calls()], before);
            }
        }
    }
}

#[tokio::test]
async fn nobody_takes_over_its_calls_there() {
    let [admin, data, mirror] = [Recorder::start(), Recorder::start(), Recorder::start()];
    let gateway = gateways::alone([&admin, &data, &mirror]);
    drop(data);
    let whole = Client::ask(gateway.address(), &Request::call("data__query", "{}")).await;
    assert_eq!((whole.code(), mirror.calls()), (None, 1), "{}", whole.text());
    let alone = Client::ask(gateway.address(), &at("data", Request::call("query", "{}"))).await;
    assert_eq!((alone.code(), mirror.calls()), (Some(-32603), 1), "{}", alone.text());
}

#[tokio::test]
async fn a_session_of_one_backend_is_unknown_to_the_others() {
    let [admin, data, mirror] = [Recorder::start(), Recorder::start(), Recorder::start()];
    let gateway = gateways::alone([&admin, &data, &mirror]);
    let greeted = Client::ask(gateway.address(), &at("admin", initialize("2025-11-25"))).await;
    let session = greeted.field("mcp-session-id").expect("a session").to_owned();
    let list = Request::legacy(&session, message("tools/list", "{}"));
    assert_eq!(Client::ask(gateway.address(), &at("admin", list.clone())).await.status, 200);
    assert_eq!(Client::ask(gateway.address(), &at("data", list.clone())).await.status, 404);
    assert_eq!(Client::ask(gateway.address(), &list).await.status, 404);
}

#[tokio::test]
async fn there_is_no_such_path_where_the_topology_says_so() {
    let gateway = gateways::large();
    let listed = Client::ask(gateway.address(), &Request::modern("tools/list", None, "")).await;
    assert_eq!(listed.status, 200);
    let backend = backend_of(&listed);
    let answer = Client::ask(gateway.address(), &at(&backend, Request::modern("tools/list", None, ""))).await;
    assert_eq!(answer.status, 200, "{backend}");
    let own = names(&answer, "tools");
    assert!(!own.is_empty() && own.iter().all(|name| !name.contains("__")), "{own:?}");
    let upstream = Recorder::start();
    let closed = gateways::views(&upstream);
    let answer = Client::ask(closed.address(), &at("admin", Request::modern("tools/list", None, ""))).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn its_stream_of_the_older_transport_begins_below_that_of_all() {
    let upstream = Recorder::start();
    let gateway = gateways::alone([&upstream; 3]);
    for (path, status) in [("/sse/data", 200), ("/sse/nobody", 404), ("/mcp/nobody", 404)] {
        let mut client = Client::connect(gateway.address()).await;
        client
            .write(&Request::bare(&format!("GET {path} HTTP/1.1")).field("Accept", "text/event-stream").bytes())
            .await;
        assert_eq!(client.head().await.status, status, "{path}");
    }
}

/// The backend of the first tool in a list.
fn backend_of(listed: &Answer) -> String {
    names(listed, "tools")[0].split("__").next().expect("a prefix").to_owned()
}
