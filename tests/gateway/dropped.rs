//! Messages that belong to nothing, of servers and of clients, as `/metrics` counts them. That they change nothing is
//! tested elsewhere.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Instant;

use only1mcp::{Gateway, Running};
use serde_json::json;
use tokio::process::Command;

use crate::admin::samples;
use crate::feeds::{self, Rig, Web};
use crate::strays::STRAYS;
use crate::support::client::{Client, PATIENCE, Request};
use crate::support::front::{Ask, Era, Front, Way};
use crate::support::gateways::Demo;
use crate::support::scripted::{Outcome, Servers, call};
use crate::support::server::{Server, event_stream, json_answer, modern, text_body};

const REASONS: [&str; 5] = ["answer", "notification", "request", "unread", "no_message"];

/// What nobody waits for, or may be asked.
const STRAY: [&str; 7] = [
    r#"{"jsonrpc":"2.0","id":9007199254740993,"result":{}}"#,
    r#"{"jsonrpc":"2.0","id":"0","error":{"code":-32603,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":9007199254740993,"progress":1}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"0","progress":1}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"nobody's"}}"#,
    r#"{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{}}"#,
    r#"{"jsonrpc":"2.0","id":null,"method":"roots/list"}"#,
];
/// What comes unasked as well, and is as it should be.
const EXPECTED: [&str; 2] =
    [r#"{"jsonrpc":"2.0","id":8,"method":"ping"}"#, r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#];

fn admin(gateway: &Running) -> SocketAddr {
    gateway.admin_address().expect("there is an admin listener")
}

/// How many messages of a backend were dropped, by [`REASONS`].
fn of_backend(samples: &BTreeMap<String, f64>, backend: &str) -> [f64; 5] {
    REASONS.map(|reason| {
        let name = format!("only1mcp_upstream_dropped_messages_total{{backend=\"{backend}\",reason=\"{reason}\"}}");
        *samples.get(&name).expect("every reason has a series from the start")
    })
}

/// How many messages of clients were.
fn of_clients(samples: &BTreeMap<String, f64>) -> [f64; 3] {
    ["answer", "notification", "state"].map(|reason| {
        let name = format!("only1mcp_client_dropped_messages_total{{reason=\"{reason}\"}}");
        *samples.get(&name).expect("every reason has a series from the start")
    })
}

/// Waits until as much is counted, and no more.
async fn counted<const N: usize>(
    admin: SocketAddr,
    read: impl Fn(&BTreeMap<String, f64>) -> [f64; N],
    expected: [f64; N],
) {
    let began = Instant::now();
    loop {
        let now = read(&samples(admin).await);
        if now == expected {
            break;
        }
        let on_its_way = now.iter().zip(expected).all(|(now, expected)| *now <= expected);
        assert!(on_its_way && began.elapsed() < PATIENCE, "{now:?} of {expected:?}");
    }
}

/// A legacy server says all of it where it may speak at any time.
async fn are_counted(rig: &Rig) {
    let (admin, backend) = (admin(&rig.gateway), rig.backend);
    // While it is heard, it does not end.
    let (_client, _) = rig.listen("1", &json!({ "toolsListChanged": true })).await;
    let before = of_backend(&samples(admin).await, backend);
    let tool = format!("{backend}__tells");
    for said in EXPECTED.into_iter().chain(STRAY).chain(["no message"]) {
        assert_eq!(call(rig.address(), &tool, said).await, Outcome::Text(said.to_owned()));
    }
    let mut after = before;
    after.iter_mut().zip([2.0, 3.0, 2.0, 0.0, 1.0]).for_each(|(count, more)| *count += more);
    counted(admin, |samples| of_backend(samples, backend), after).await;
    // Of the others nothing was heard.
    let all = samples(admin).await;
    for other in ["web", "old", "socket", "child"].into_iter().filter(|other| *other != backend) {
        assert_eq!(of_backend(&all, other), [0.0; 5], "{other}");
    }
}

#[tokio::test]
async fn what_a_legacy_server_over_http_says_to_nobody_is_counted() {
    let (rig, _server) = feeds::over_http(Web::follow);
    are_counted(&rig).await;
    // The same on the stream of a call, whose client declared nothing that it could be asked.
    let before = of_backend(&samples(admin(&rig.gateway)).await, "web");
    for said in STRAY {
        assert_eq!(call(rig.address(), "web__tells_aside", said).await, Outcome::Text(said.to_owned()));
    }
    // What it takes back there is about the call as well.
    let after = [before[0] + 2.0, before[1] + 2.0, before[2] + 2.0, 0.0, before[4]];
    counted(admin(&rig.gateway), |samples| of_backend(samples, "web"), after).await;
}

#[tokio::test]
async fn what_a_server_over_sse_says_to_nobody_is_counted() {
    let (rig, _server) = feeds::over_sse();
    are_counted(&rig).await;
}

#[tokio::test]
async fn what_a_server_over_websocket_says_to_nobody_is_counted() {
    let (rig, _server) = feeds::over_websocket();
    are_counted(&rig).await;
}

#[tokio::test]
async fn what_a_child_says_to_nobody_is_counted_on_whatever_worker_it_lives() {
    let (rig, _directory) = feeds::over_stdio(2);
    are_counted(&rig).await;
}

#[tokio::test]
async fn what_a_modern_server_says_to_nobody_is_counted() {
    let odd = Server::start(modern(|request| {
        let answer = text_body(&request.id(), request.argument());
        event_stream(&STRAY.into_iter().chain([&*answer]).collect::<Vec<_>>())
    }));
    let good = Server::start(modern(|request| vec![json_answer(200, &text_body(&request.id(), request.argument()))]));
    let builder = Gateway::<Servers>::builder().workers(2).admin_address("127.0.0.1:0");
    let builder = builder.reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url());
    let gateway = builder.start().expect("the gateway starts");
    for backend in ["odd", "good"] {
        let answered = call(gateway.address(), &format!("{backend}__echo"), "x").await;
        assert_eq!(answered, Outcome::Text("x".to_owned()), "the strays change nothing");
    }
    // It has no requests of its own to make, whatever they are; what it takes back is about the call.
    counted(admin(&gateway), |samples| of_backend(samples, "odd"), [2.0, 2.0, 2.0, 0.0, 0.0]).await;
    counted(admin(&gateway), |samples| of_backend(samples, "good"), [0.0; 5]).await;
}

#[tokio::test]
async fn what_clients_say_to_nobody_is_counted_over_every_transport() {
    let builder = Gateway::<Demo>::builder().address("127.0.0.1:0").program(env!("CARGO_BIN_EXE_only1mcp"));
    let gateway = builder.workers(2).admin_address("127.0.0.1:0").start().expect("the gateway starts");
    let mut bridged = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
    bridged.args(["stdio", "--connect", &gateway.url()]).stderr(Stdio::null());
    let mut expected = [0.0; 3];
    counted(admin(&gateway), of_clients, expected).await;
    for (era, way) in [
        (Era::Legacy, Way::Http(gateway.address())),
        (Era::Legacy, Way::Events(gateway.address())),
        (Era::Legacy, Way::Socket(gateway.address())),
        (Era::Modern, Way::Socket(gateway.address())),
        (Era::Legacy, Way::Lines(bridged)),
    ] {
        let mut client = Front::open(way, era).await;
        for stray in STRAYS {
            client.notify(stray).await;
        }
        let echoed = client.ask(Ask::call(1, "admin__echo", &json!({}))).await;
        assert_eq!(echoed["result"]["content"][0]["text"], "{}");
        expected = [expected[0] + 5.0, expected[1] + 5.0, 0.0];
        counted(admin(&gateway), of_clients, expected).await;
    }
}

#[tokio::test]
async fn a_state_that_is_nobodys_is_counted() {
    let (rig, _directory) = feeds::over_stdio(1);
    let state = r#","requestState":"only1mcp-AAAAAAAAAAAAAAAAAAAAAA","inputResponses":{}"#;
    let params = format!(r#""name":"child__echo","arguments":{{}}{state}"#);
    let request = Request::modern("tools/call", Some("child__echo"), &params);
    let request = request.edit(r#"clientCapabilities":{}"#, r#"clientCapabilities":{"roots":{}}"#);
    let answer = Client::ask(rig.address(), &request).await;
    assert_eq!((answer.status, answer.code()), (400, Some(-32602)), "{}", answer.text());
    counted(admin(&rig.gateway), of_clients, [0.0, 0.0, 1.0]).await;
}
