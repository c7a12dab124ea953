//! What servers tell by themselves, and the legacy clients that hear of it: of resources that they subscribe to, and of lists.

use std::net::SocketAddr;

use only1mcp::{Gateway, limits};
use serde_json::{Value, json};

use crate::legacy::{delete, initialize, opened, session};
use crate::stdio_client;
use crate::support::client::{Answer, Client, Request};
use crate::support::front::{Ask, Era, Front, ways};
use crate::support::gateways::{self, Recorded};
use crate::support::recorder::{DONE, Post, Recorder, Wire};
use crate::support::scripted::eventually;
use crate::support::socket::SocketClient;
use crate::support::telling::{ELEMENTS, Telling};

const PLANETS: &str = "data://tables/planets";
/// One of many that a template leads to.
const ROW: &str = "data://tables/elements/rows/";
/// What is heard of for as long as a session has a stream.
const LISTS: &str = r#"{"toolsListChanged":true,"resourcesListChanged":true}"#;

/// What is listened for at the server for a session with a stream that is subscribed to these.
fn wanted(uris: &[&str]) -> Value {
    let mut wanted: Value = serde_json::from_str(LISTS).expect("an object");
    if !uris.is_empty() {
        wanted["resourceSubscriptions"] = json!(uris);
    }
    wanted
}

/// On a connection of its own, and so maybe at another worker than the last one.
pub(crate) async fn ask(address: SocketAddr, session: &str, method: &str, uri: &str) -> Answer {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": { "uri": uri } });
    Client::ask(address, &Request::legacy(session, message.to_string())).await
}

pub(crate) async fn subscribe(address: SocketAddr, session: &str, uri: &str) {
    let answer = ask(address, session, "resources/subscribe", uri).await;
    assert_eq!((answer.status, &answer.json()["result"]), (200, &json!({})), "{uri}: {}", answer.text());
}

pub(crate) async fn unsubscribe(address: SocketAddr, session: &str, uri: &str) {
    let answer = ask(address, session, "resources/unsubscribe", uri).await;
    assert_eq!((answer.status, &answer.json()["result"]), (200, &json!({})), "{uri}: {}", answer.text());
}

fn update(upstream: &Telling, uri: &str) {
    upstream.tell("resources/updated", &format!(r#""uri":"{uri}","#));
}

pub(crate) fn updated(uri: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": { "uri": uri } })
}

fn changed(list: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": format!("notifications/{list}/list_changed"), "params": {} })
}

async fn heard(stream: &mut Client) -> Value {
    stream.message().await.expect("the stream goes on")
}

#[test]
#[ignore = "a role of this binary: another test starts it as a child"]
fn told_on_pipes() {
    if std::env::var_os("DATA_URL").is_some() {
        Gateway::<Recorded>::builder().serve_stdio(None, std::future::pending()).expect("it serves");
    }
}

#[tokio::test]
async fn every_client_is_told_of_what_it_subscribed_to_and_of_lists() {
    let mut upstream = Telling::start();
    let gateway = upstream.gateway(1);
    let urls = ["ADMIN_URL", "DATA_URL"].map(|name| (name, upstream.recorder.url()));
    for (name, way) in ways(&gateway, "told_on_pipes", urls) {
        let mut client = Front::open(way, Era::Legacy).await;
        client.listen().await;
        upstream.listened(&wanted(&[])).await;
        let ask = |id: u32, method, uri: &str| Ask::new(id, method, json!({ "uri": uri }));
        for id in [1, 2] {
            let subscribed = client.ask(ask(id, "resources/subscribe", ELEMENTS)).await;
            assert_eq!(subscribed["result"], json!({}), "{name}: {subscribed}");
        }
        upstream.listened(&wanted(&[ELEMENTS])).await;
        // Nobody subscribed to this one, and the last one was not declared.
        update(&upstream, PLANETS);
        upstream.tell("prompts/list_changed", "");
        update(&upstream, ELEMENTS);
        assert_eq!(client.told().await, updated(ELEMENTS), "{name}");
        // What lies beneath it.
        update(&upstream, &format!("{ELEMENTS}/rows/1"));
        assert_eq!(client.told().await, updated(ELEMENTS), "{name}");
        upstream.tell("tools/list_changed", "");
        assert_eq!(client.told().await, changed("tools"), "{name}");
        for (id, uri) in [(3, ELEMENTS), (4, ELEMENTS), (5, "nobody://has/it")] {
            let unsubscribed = client.ask(ask(id, "resources/unsubscribe", uri)).await;
            assert_eq!(unsubscribed["result"], json!({}), "{name}: {unsubscribed}");
        }
        update(&upstream, ELEMENTS);
        upstream.tell("resources/list_changed", "");
        assert_eq!(client.told().await, changed("resources"), "{name}");
        drop(client);
        eventually("nothing is listened for", || upstream.open() == 0).await;
    }
}

#[tokio::test]
async fn a_session_is_one_to_all_workers() {
    let upstream = Telling::start();
    let gateway = upstream.gateway(2);
    let address = gateway.address();
    let session = session(address).await;
    let mut uris = Vec::new();
    // Which worker gets a connection is the system's choice: one that asks for less than all is another than the first.
    let all =
        |uris: &[String]| uris.iter().all(|uri| upstream.acknowledged().to_string().contains(&format!("\"{uri}\"")));
    while all(&uris) {
        assert!(uris.len() < 64, "all connections reach one worker");
        uris.push(format!("{ROW}{}", uris.len()));
        subscribe(address, &session, uris.last().expect("one")).await;
    }
    let mut stream = opened(address, &session).await;
    eventually("lists are listened for", || upstream.recorder.calls() > uris.len()).await;
    upstream.listened_by(2).await;
    for uri in &uris {
        update(&upstream, uri);
        assert_eq!(heard(&mut stream).await, updated(uri));
    }
    upstream.tell("tools/list_changed", "");
    assert_eq!(heard(&mut stream).await, changed("tools"));
    for uri in &uris[1..] {
        unsubscribe(address, &session, uri).await;
    }
    for uri in uris.iter().rev() {
        update(&upstream, uri);
    }
    assert_eq!(heard(&mut stream).await, updated(&uris[0]));
    upstream.tell("tools/list_changed", "");
    assert_eq!(heard(&mut stream).await, changed("tools"));
    assert_eq!(Client::ask(address, &delete(&session)).await.status, 200);
    assert_eq!(stream.event().await, None);
    eventually("nothing is listened for", || upstream.open() == 0).await;
}

#[tokio::test]
async fn what_changed_while_a_session_had_no_stream_is_told_once_on_the_next() {
    let mut upstream = Telling::start();
    let gateway = upstream.gateway(1);
    let address = gateway.address();
    let (own, other) = (session(address).await, session(address).await);
    subscribe(address, &own, ELEMENTS).await;
    // No stream, no lists.
    upstream.listened(&json!({ "resourceSubscriptions": [ELEMENTS] })).await;
    subscribe(address, &other, PLANETS).await;
    let mut witness = opened(address, &other).await;
    upstream.listened(&wanted(&[ELEMENTS, PLANETS])).await;
    for _ in 0..10 {
        update(&upstream, ELEMENTS);
    }
    update(&upstream, PLANETS);
    assert_eq!(heard(&mut witness).await, updated(PLANETS));
    let mut stream = opened(address, &own).await;
    assert_eq!(heard(&mut stream).await, updated(ELEMENTS));
    upstream.tell("tools/list_changed", "");
    assert_eq!(heard(&mut stream).await, changed("tools"));
    // Both streams are gone: subscriptions stay, lists are listened for no more.
    drop((stream, witness));
    unsubscribe(address, &other, PLANETS).await;
    unsubscribe(address, &own, ELEMENTS).await;
    eventually("nothing is listened for", || upstream.open() == 0).await;
}

#[tokio::test]
async fn of_two_streams_the_later_one_is_told_for_as_long_as_it_is_open() {
    let mut upstream = Telling::start();
    let gateway = upstream.gateway(1);
    let session = session(gateway.address()).await;
    let mut first = opened(gateway.address(), &session).await;
    upstream.listened(&wanted(&[])).await;
    let mut second = opened(gateway.address(), &session).await;
    subscribe(gateway.address(), &session, ELEMENTS).await;
    upstream.listened(&wanted(&[ELEMENTS])).await;
    upstream.tell("tools/list_changed", "");
    assert_eq!(heard(&mut second).await, changed("tools"));
    drop(second);
    update(&upstream, ELEMENTS);
    assert_eq!(heard(&mut first).await, updated(ELEMENTS));
    upstream.listened(&wanted(&[ELEMENTS])).await;
    upstream.tell("resources/list_changed", "");
    assert_eq!(heard(&mut first).await, changed("resources"));
}

#[tokio::test]
async fn a_connection_that_begins_another_session_has_the_subscriptions_of_that_one() {
    let upstream = Telling::start();
    let gateway = upstream.gateway(1);
    let mut client = SocketClient::connect(gateway.address(), "/ws/data").await;
    client.ask(stdio_client::initialize("2024-11-05")).await;
    let request = |uri: &str| stdio_client::request("1", "resources/subscribe", &json!({ "uri": uri }).to_string());
    assert_eq!(client.ask(request(ELEMENTS)).await["result"], json!({}));
    client.ask(stdio_client::initialize("2025-06-18")).await;
    assert_eq!(client.ask(request(PLANETS)).await["result"], json!({}));
    eventually("one request is left", || upstream.open() == 1).await;
    update(&upstream, ELEMENTS);
    update(&upstream, PLANETS);
    assert_eq!(client.hear().await, updated(PLANETS));
    drop(client);
    eventually("nothing is listened for", || upstream.open() == 0).await;
}

#[tokio::test]
async fn a_gateway_that_stops_waits_for_no_subscription() {
    let upstream = Telling::start();
    let gateway = upstream.gateway(2);
    let session = session(gateway.address()).await;
    subscribe(gateway.address(), &session, ELEMENTS).await;
    tokio::task::spawn_blocking(|| gateway.stop()).await.expect("it stopped");
    eventually("nothing is listened for", || upstream.open() == 0).await;
}

#[tokio::test]
async fn a_session_is_subscribed_to_no_more_than_it_may() {
    let upstream = Telling::start();
    let gateway = upstream.gateway(1);
    let address = gateway.address();
    let session = session(address).await;
    for index in 0..limits::LISTENER_URIS_MAX {
        subscribe(address, &session, &format!("{ROW}{index}")).await;
    }
    let refused = ask(address, &session, "resources/subscribe", ELEMENTS).await;
    assert_eq!((refused.status, refused.code()), (200, Some(-32602)), "{}", refused.text());
    subscribe(address, &session, &format!("{ROW}0")).await;
    unsubscribe(address, &session, &format!("{ROW}0")).await;
    subscribe(address, &session, ELEMENTS).await;
}

#[tokio::test]
async fn who_cannot_subscribe_is_told_why() {
    let upstream = Recorder::play(async |post: Post, wire: &mut Wire<'_>| {
        if !post.body.contains("subscriptions/listen") {
            return wire.result(DONE).await;
        }
        if post.body.contains(PLANETS) {
            // Neither an acknowledgement nor an error.
            wire.stream().await?;
            wire.hung_up().await;
            return Ok(());
        }
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601,"message":"no"}}}}"#, post.id);
        wire.answer(404, &body).await
    });
    let gateway = gateways::recorded(&upstream);
    let address = gateway.address();
    let session = session(address).await;
    let kind = |answer: &Answer| answer.json()["error"]["data"]["kind"].as_str().map(str::to_owned);
    for (uri, code, expected) in [
        ("nobody://has/it", -32602, "invalid_params"),
        // Its lock does not say that it has subscriptions, and it has none.
        ("admin://status", -32601, "method_not_found"),
        // That of this one does.
        (ELEMENTS, -32603, "upstream_unavailable"),
        (PLANETS, -32603, "upstream_timeout"),
    ] {
        let answer = ask(address, &session, "resources/subscribe", uri).await;
        let found = (answer.status, answer.code(), kind(&answer));
        assert_eq!(found, (200, Some(code), Some(expected.to_owned())), "{uri}: {}", answer.text());
    }
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        for params in [r#"{}"#, r#"{"uri":1}"#, "[]"] {
            let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
            let answer = Client::ask(address, &Request::legacy(&session, message.clone())).await;
            assert_eq!((answer.status, answer.code()), (200, Some(-32602)), "{method} {params}");
            let answer = Client::ask(address, &Request::post(message)).await;
            assert_eq!((answer.status, answer.code()), (400, Some(-32600)), "{method} without a session");
        }
    }
    // What was refused is not listened for any more.
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test]
async fn a_subscription_that_is_cancelled_is_none() {
    let upstream = Recorder::play(async |_post: Post, wire: &mut Wire<'_>| {
        wire.stream().await?;
        wire.hung_up().await;
        Ok(())
    });
    let gateway = gateways::recorded(&upstream);
    let mut client = SocketClient::connect(gateway.address(), "/ws").await;
    client.ask(stdio_client::initialize("2025-11-25")).await;
    client.say(stdio_client::request("7", "resources/subscribe", &json!({ "uri": ELEMENTS }).to_string())).await;
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#).await;
    assert_eq!(client.ask(stdio_client::request("8", "ping", "{}")).await["id"], 8);
    let again =
        client.ask(stdio_client::request("7", "resources/subscribe", &json!({ "uri": "x:y" }).to_string())).await;
    assert_eq!((&again["id"], &again["error"]["code"]), (&json!(7), &json!(-32602)), "nothing was said of the first");
}

#[tokio::test]
async fn what_a_server_declares_to_tell_is_declared_in_every_revision() {
    let upstream = Telling::start();
    let gateway = upstream.gateway(1);
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let greeted = Client::ask(gateway.address(), &initialize(revision)).await.json();
        let capabilities = &greeted["result"]["capabilities"];
        let resources = json!({ "listChanged": true, "subscribe": true });
        assert_eq!((&capabilities["tools"], &capabilities["resources"]), (&json!({ "listChanged": true }), &resources));
        // No server tells of these: the gateway does, when an overlay changes them.
        assert_eq!(capabilities["prompts"], json!({ "listChanged": true }));
    }
    assert_eq!(upstream.recorder.calls(), 0);
}
