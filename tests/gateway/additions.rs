//! Backends that an overlay adds while the gateway runs: served like compiled ones, over every transport that connects,
//! until the overlay has them no more.

use std::net::SocketAddr;
use std::sync::Arc;

use only1mcp::catalog::Topology as _;
use only1mcp::demo::Eras;
use only1mcp::{OverlayError, Running};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use crate::subscriptions::{hear, listen};
use crate::support::client::{Answer, Client, Request, within};
use crate::support::demo::{over_events, over_http, over_socket};
use crate::support::gateways::{self, Recorded};
use crate::support::recorder::Recorder;
use crate::support::scripted::eventually;
use crate::support::server::{Server, Step, json_answer, modern, nowhere, result_body, text_body};

const ANYWHERE: fn() -> SocketAddr = || ([127, 0, 0, 1], 0).into();

/// An overlay that adds a backend, whose resources do not get in the way of others.
fn adds(name: &str, transport: &str, url: &str) -> String {
    format!(
        "backends:\n  {name}: {{ transport: {{ {transport}: {{}} }}, endpoints: [{{ url: \"{url}\" }}], \
         resources: {{ uris: rewrite }} }}\n"
    )
}

fn at(path: &str, request: Request) -> Request {
    request.line(&format!("POST {path} HTTP/1.1"))
}

pub(crate) async fn ask(address: SocketAddr, path: &str, request: Request) -> Answer {
    Client::ask(address, &at(path, request)).await
}

/// Every list, with the member of its result and what an item is called by.
const LISTS: [(&str, &str, &str); 4] = [
    ("tools/list", "tools", "name"),
    ("prompts/list", "prompts", "name"),
    ("resources/list", "resources", "uri"),
    ("resources/templates/list", "resourceTemplates", "uriTemplate"),
];

pub(crate) async fn lists(address: SocketAddr, path: &str) -> Vec<Vec<String>> {
    let mut lists = Vec::new();
    for (method, member, key) in LISTS {
        let answer = ask(address, path, Request::modern(method, None, "")).await.json();
        let items = answer["result"][member].as_array().cloned().unwrap_or_default();
        lists.push(items.iter().map(|item| item[key].as_str().expect("a name").to_owned()).collect());
    }
    lists
}

pub(crate) fn call(tool: &str, arguments: &str) -> Request {
    Request::call(tool, arguments)
}

pub(crate) fn text(answer: &Answer) -> Value {
    answer.message()["result"]["content"][0]["text"].clone()
}

/// A server with one tool, whose calls are answered by `calls`.
fn serving_one(tool: &'static str, calls: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Server {
    Server::start(modern(move |request| match request.rpc() {
        "tools/list" => {
            let tools = json!({ "tools": [{ "name": tool, "inputSchema": { "type": "object" } }] });
            vec![json_answer(200, &result_body(&request.id(), &tools))]
        }
        _ => calls(&request.id()),
    }))
}

/// The message of the first problem of an overlay that is refused, and its labels.
pub(crate) fn refused(gateway: &Running, text: &str) -> (String, Vec<String>) {
    let refused = gateway.overlay().apply(text).expect_err("it is refused");
    let problems = match refused {
        OverlayError::Refused { problems, .. } => problems,
        _ => Vec::new(),
    };
    assert!(!problems.is_empty(), "it is refused for what it says");
    let labels = problems[0].primary.iter().chain(&problems[0].secondary).map(|label| label.text.clone());
    (problems[0].message.clone(), labels.collect())
}

#[tokio::test]
async fn an_added_backend_is_served_like_a_compiled_one_over_every_transport_and_gone_when_it_is_taken_out() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let address = gateway.address();
    let before = lists(address, "/mcp").await;
    let legacy = over_http(Eras::Legacy, ANYWHERE());
    let modern = over_http(Eras::Modern, ANYWHERE());
    let events = over_events("legacy", ANYWHERE());
    let socket = over_socket("modern", ANYWHERE());
    for (transport, url) in [
        ("streamable_http", format!("http://{}/mcp", legacy.address)),
        ("streamable_http", format!("http://{}/mcp", modern.address)),
        ("legacy_sse", format!("http://{}/sse", events.address())),
        ("websocket", format!("ws://{}/", socket.address)),
    ] {
        gateway.overlay().apply(&adds("extra", transport, &url)).expect("it is taken");
        let alone = lists(address, "/mcp/extra").await;
        assert_eq!(alone[0], ["echo", "log", "status", "wait"], "{transport}");
        let mut expected = before.clone();
        for (list, own) in expected[..2].iter_mut().zip(&alone) {
            list.extend(own.iter().map(|name| format!("extra__{name}")));
        }
        expected[2].push("admin://extra/status".to_owned());
        assert_eq!(lists(address, "/mcp").await, expected, "{transport}");
        let called = ask(address, "/mcp", call("extra__echo", r#"{"said":1}"#)).await;
        assert_eq!(text(&called), r#"{"said":1}"#, "{transport}: {}", called.text());
        let called = ask(address, "/mcp/extra", call("echo", r#"{"said":2}"#)).await;
        assert_eq!(text(&called), r#"{"said":2}"#, "{transport}: {}", called.text());
        let read = Request::modern("resources/read", Some("admin://extra/status"), r#""uri":"admin://extra/status""#);
        let read = ask(address, "/mcp", read).await;
        assert_eq!(read.message()["result"]["contents"][0]["uri"], "admin://extra/status", "{}", read.text());
        gateway.overlay().apply("{}").expect("it is taken");
        assert_eq!(lists(address, "/mcp").await, before, "{transport}");
        assert_eq!(ask(address, "/mcp", call("extra__echo", "{}")).await.code(), Some(-32602), "{transport}");
        assert_eq!(ask(address, "/mcp/extra", call("echo", "{}")).await.status, 404, "{transport}");
    }
    assert_eq!(upstream.calls(), 0, "compiled backends are asked for none of that");
}

#[tokio::test]
async fn whoever_listens_is_told_of_the_lists_of_added_backends() {
    let (upstream, server) = (Recorder::start(), serving_one("one", |id| vec![json_answer(200, &text_body(id, "1"))]));
    let gateway = gateways::recorded(&upstream);
    let wanted = r#"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}"#;
    let (mut whole, _) = listen(gateway.address(), "/mcp", "1", wanted).await;
    let (mut data, _) = listen(gateway.address(), "/mcp/data", "2", wanted).await;
    for text in [&adds("extra", "streamable_http", &server.url()), "{}"] {
        gateway.overlay().apply(text).expect("it is taken");
        // It has tools alone: of nothing else is told, neither here nor where one compiled backend is all there is.
        assert_eq!(hear(&mut whole, "1").await["method"], "notifications/tools/list_changed");
    }
    gateway.overlay().apply("backends: { data: { tools: { deny: [query] } } }").expect("it is taken");
    for (client, id) in [(&mut whole, "1"), (&mut data, "2")] {
        assert_eq!(hear(client, id).await["method"], "notifications/tools/list_changed");
    }
}

#[tokio::test]
async fn calls_in_flight_to_a_backend_that_is_taken_out_are_answered() {
    let (upstream, (say, said)) = (Recorder::start(), mpsc::channel(1));
    let said = Arc::new(Mutex::new(said));
    let (begun, mut begins) = mpsc::channel(1);
    let server = serving_one("slow", move |id| {
        begun.try_send(id.to_owned()).expect("the test waits for it");
        vec![Step::Follow(Arc::clone(&said))]
    });
    let gateway = gateways::recorded(&upstream);
    gateway.overlay().apply(&adds("extra", "streamable_http", &server.url())).expect("it is taken");
    let mut client = Client::connect(gateway.address()).await;
    client.write(&call("extra__slow", "{}").bytes()).await;
    let id = within("the call", begins.recv()).await.expect("its id");
    gateway.overlay().apply("{}").expect("it is taken");
    assert_eq!(ask(gateway.address(), "/mcp", call("extra__slow", "{}")).await.code(), Some(-32602));
    say.send(json_answer(200, &text_body(&id, "late"))).await.expect("the server waits");
    drop(say);
    assert_eq!(text(&client.answer().await), "late");
}

#[tokio::test]
async fn what_would_shadow_a_compiled_name_is_refused_whole_and_the_running_state_stays() {
    let (upstream, server) = (Recorder::start(), over_http(Eras::Modern, ANYWHERE()));
    let gateway = gateways::recorded(&upstream);
    let (address, url) = (gateway.address(), format!("http://{}/mcp", server.address));
    let before = lists(address, "/mcp").await;
    let same_uri = adds("extra", "streamable_http", &url).replace("uris: rewrite", "uris: keep");
    let (message, labels) = refused(&gateway, &same_uri);
    assert_eq!(message, "resource `admin://status` is in two backends");
    assert!(labels.contains(&"of backend `extra`".to_owned()), "{labels:?}");
    assert!(labels.contains(&"and of backend `admin`".to_owned()), "{labels:?}");
    let (message, _) = refused(&gateway, &adds("data", "streamable_http", &url));
    assert_eq!(message, "backend `data` is compiled, and not added once more");
    assert_eq!(lists(address, "/mcp").await, before);
    assert_eq!(gateway.overlay().current().generation, 0);
    assert_eq!(ask(address, "/mcp/extra", call("echo", "{}")).await.status, 404);
}

#[tokio::test]
async fn a_backend_that_does_not_answer_is_added_without_its_tools_and_asked_again() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let (address, before) = (gateway.address(), lists(gateway.address(), "/mcp").await);
    let nobody = Server::start(|_| vec![Step::Close]);
    let url = nobody.url();
    let place = nobody.address();
    gateway.overlay().apply(&adds("extra", "streamable_http", &url)).expect("it is taken");
    gateway
        .overlay()
        .apply(&(adds("extra", "streamable_http", &url) + "  data: { drain: true }\n"))
        .expect("it is taken");
    assert_eq!(lists(address, "/mcp").await, before);
    assert_eq!(lists(address, "/mcp/extra").await, vec![Vec::<String>::new(); 4]);
    let (mut client, _) = listen(address, "/mcp", "1", r#"{"toolsListChanged":true}"#).await;
    drop(nobody);
    let _server = over_http(Eras::Modern, place);
    assert_eq!(hear(&mut client, "1").await["method"], "notifications/tools/list_changed");
    assert_eq!(text(&ask(address, "/mcp", call("extra__echo", r#"{"a":1}"#)).await), r#"{"a":1}"#);
}

#[tokio::test]
async fn settings_of_an_added_backend_are_in_force() {
    let upstream = Recorder::start();
    let (one, two) = (
        serving_one("who", |id| vec![json_answer(200, &text_body(id, "one"))]),
        serving_one("who", |id| vec![json_answer(200, &text_body(id, "two"))]),
    );
    let gateway = gateways::recorded(&upstream);
    let address = gateway.address();
    let with = |settings: &str| {
        format!(
            "backends: {{ extra: {{ transport: {{ streamable_http: {{}} }}, \
             endpoints: [{{ url: \"{}\" }}, {{ url: \"{}\" }}], balance: {{ random: {{}} }}{settings} }} }}",
            one.url(),
            two.url()
        )
    };
    for (settings, expected) in [(", weights: [1, 0]", "one"), (", weights: [0, 1]", "two")] {
        gateway.overlay().apply(&with(settings)).expect("it is taken");
        for _ in 0..8 {
            assert_eq!(text(&ask(address, "/mcp", call("extra__who", "{}")).await), expected);
        }
    }
    for settings in [", disabled: true", ", drain: true"] {
        gateway.overlay().apply(&with(settings)).expect("it is taken");
        let answer = ask(address, "/mcp", call("extra__who", "{}")).await;
        assert_eq!(answer.kind().as_deref(), Some("upstream_unavailable"), "{settings}: {}", answer.text());
    }
    gateway.overlay().apply(&with(", tools: { deny: [\"w*\"] }")).expect("it is taken");
    assert_eq!(ask(address, "/mcp", call("extra__who", "{}")).await.code(), Some(-32602));
    gateway.overlay().apply(&with(", tools: { rename: { who: name } }")).expect("it is taken");
    assert_eq!(ask(address, "/mcp", call("extra__name", "{}")).await.code(), None);
}

#[tokio::test]
async fn there_are_as_many_added_backends_as_may_be_and_not_one_more() {
    let (upstream, count) = (Recorder::start(), only1mcp::limits::ADDED_BACKENDS_MAX);
    let gateway = gateways::recorded(&upstream);
    let dead = nowhere();
    let overlay = |count: usize| {
        let one = |index: usize| {
            format!(
                "  extra-{index}: {{ transport: {{ streamable_http: {{}} }}, endpoints: [{{ url: \"{dead}\" }}], \
                 disabled: true }}\n"
            )
        };
        (0..count).map(one).fold("backends:\n".to_owned(), |text, one| text + &one)
    };
    gateway.overlay().apply(&overlay(count)).expect("it is taken");
    let refused = gateway.overlay().apply(&overlay(count + 1)).expect_err("it is one too many");
    assert!(matches!(refused, OverlayError::Exhausted), "{refused}");
    assert_eq!(gateway.overlay().current().generation, 1);
    assert_eq!(Recorded::SPEC.backends.len(), 2);
    eventually("it serves", || gateway.overlay().current().overlay.added.len() == count).await;
}
