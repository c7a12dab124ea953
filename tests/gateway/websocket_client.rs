//! Clients over WebSocket: both eras on one connection, and what frames may do wrong.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::support::client::{Client, META, Request, within};
use crate::support::gateways;
use crate::support::recorder::Recorder;
use crate::support::scripted::{WithChildren, assert_serves, eventually};
use crate::support::socket::{SocketClient, frame};

const TEXT: u8 = 0x81;
const LENGTH_MAX: usize = only1mcp::limits::BODY_BYTES_MAX;

fn request(id: &str, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

fn call(id: &str, tool: &str, arguments: &str) -> String {
    request(id, "tools/call", &format!(r#"{{"name":"{tool}","arguments":{arguments},"_meta":{{{META}}}}}"#))
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or("no text")
}

/// A request that begins a WebSocket.
fn greeting(target: &str) -> Request {
    Request::bare(&format!("GET {target} HTTP/1.1"))
        .field("Upgrade", "websocket")
        .field("Connection", "Upgrade")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .field("Sec-WebSocket-Version", "13")
}

#[tokio::test]
async fn both_eras_are_spoken_on_one_connection() {
    let gateway = gateways::demo();
    let mut client = SocketClient::connect(gateway.address(), "/ws").await;
    let before = client.ask(request("1", "tools/list", "{}")).await;
    assert_eq!((&before["id"], &before["error"]["code"]), (&json!(1), &json!(-32600)), "{before}");
    let discovered = client.ask(request(r#""d""#, "server/discover", &format!(r#"{{"_meta":{{{META}}}}}"#))).await;
    assert_eq!(discovered["result"]["supportedVersions"], json!(["2026-07-28"]), "{discovered}");
    let modern = client.ask(call("2", "math__add", r#"{"a":1,"b":2}"#)).await;
    assert_eq!((text(&modern), &modern["result"]["resultType"]), ("3", &json!("complete")), "{modern}");
    let own = r#""protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}"#;
    let greeted = client.ask(request("0", "initialize", &format!("{{{own}}}"))).await;
    assert_eq!(greeted["result"]["protocolVersion"], "2025-11-25", "{greeted}");
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    let legacy = client.ask(request("4", "tools/call", r#"{"name":"math__add","arguments":{"a":2,"b":2}}"#)).await;
    assert_eq!((text(&legacy), &legacy["result"]["resultType"]), ("4", &Value::Null), "{legacy}");
    let refused = client.ask("garbage").await;
    assert_eq!(refused["error"]["code"], -32700, "{refused}");
    within("room", client.0.send(Message::Close(None))).await.expect("it reads");
    assert!(matches!(within("its end", client.0.next()).await, Some(Ok(Message::Close(_)))));
    assert!(within("its end", client.0.next()).await.is_none());
}

#[tokio::test]
async fn calls_run_side_by_side_with_their_progress_and_one_is_cancelled() {
    let gateway = gateways::demo();
    let mut client = SocketClient::connect(gateway.address(), "/ws").await;
    let wait = |id: &str, milliseconds: u32| {
        let params = format!(
            r#"{{"name":"admin__wait","arguments":{{"milliseconds":{milliseconds},"steps":2}},"_meta":{{{META},"progressToken":{id}}}}}"#
        );
        request(id, "tools/call", &params)
    };
    client.say(wait("1", 60_000)).await;
    for id in 2..50 {
        client.say(call(&id.to_string(), "admin__echo", &format!(r#"{{"own":{id}}}"#))).await;
    }
    for _ in 2..50 {
        let answer = client.hear().await;
        assert_eq!(text(&answer), format!(r#"{{"own":{}}}"#, answer["id"]), "{answer}");
    }
    client.say(wait(r#""mine""#, 20)).await;
    let heard = [client.hear().await, client.hear().await, client.hear().await];
    assert_eq!([&heard[0], &heard[1]].map(|step| &step["params"]["progressToken"]), [&json!("mine"); 2], "{heard:?}");
    assert_eq!(heard[2]["id"], "mine");
    let doubled = client.ask(call("1", "admin__echo", "{}")).await;
    assert_eq!((&doubled["id"], &doubled["error"]["code"]), (&json!(1), &json!(-32600)), "{doubled}");
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
    // Nothing is left to wait for, and the id is free again.
    loop {
        let answer = client.ask(call("1", "admin__echo", "{}")).await;
        if answer["error"].is_null() {
            break assert_eq!(text(&answer), "{}");
        }
    }
}

#[tokio::test]
async fn a_view_has_a_path_of_its_own() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let list = request("2", "tools/list", &format!(r#"{{"_meta":{{{META}}}}}"#));
    for path in ["", "/tables"] {
        let mut client = SocketClient::connect(gateway.address(), &format!("/ws{path}")).await;
        let answer = client.ask(&*list).await;
        let request = Request::modern("tools/list", None, "").line(&format!("POST /mcp{path} HTTP/1.1"));
        let over_http = Client::ask(gateway.address(), &request).await.json();
        assert_eq!(answer["result"], over_http["result"], "{path}");
    }
    for path in ["/ws/absent", "/ws/"] {
        assert_eq!(Client::ask(gateway.address(), &greeting(path)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_greeting_is_answered_as_the_rfc_has_it_or_refused_before_anything_switches() {
    let gateway = gateways::demo();
    let mut client = Client::connect(gateway.address()).await;
    client.write(&greeting("/ws").bytes()).await;
    let answer = client.head().await;
    let accept = answer.field("sec-websocket-accept");
    assert_eq!((answer.status, accept), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")), "{answer:?}");
    assert_eq!((answer.field("upgrade"), answer.field("connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!((answer.field("sec-websocket-protocol"), answer.field("content-length")), (None, None));
    // The first frame may come with the request.
    let request = greeting("/ws")
        .field("Sec-WebSocket-Protocol", "other, mcp")
        .field("Sec-WebSocket-Extensions", "permessage-deflate");
    let ping = r#"{"jsonrpc":"2.0","id":7,"method":"server/discover"}"#;
    let mut stream = TcpStream::connect(gateway.address()).await.expect("the gateway listens");
    let ahead = [request.bytes(), frame(TEXT, ping.as_bytes())].concat();
    within("room", stream.write_all(&ahead)).await.expect("it reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("a head", stream.read_u8()).await.expect("it answers"));
    }
    let head = String::from_utf8(head).expect("a head in ASCII");
    assert!(head.contains("\r\nsec-websocket-protocol: mcp\r\n") && !head.contains("extensions"), "{head}");
    let mut offering = SocketClient(WebSocketStream::from_raw_socket(stream, Role::Client, None).await);
    assert_eq!(offering.hear().await["id"], 7);
    for (request, status) in [
        (greeting("/ws").field("Origin", "https://evil.example"), 403),
        (greeting("/ws").field("Sec-Fetch-Site", "cross-site"), 403),
        (greeting("/ws").with("Host", "evil.example"), 403),
        (greeting("/ws").with("Sec-WebSocket-Version", "12"), 426),
        (greeting("/ws").without("Upgrade"), 426),
        (greeting("/ws").with("Sec-WebSocket-Key", "short"), 400),
        (greeting("/ws").field("Sec-WebSocket-Protocol", "other"), 400),
        (greeting("/ws").line("POST /ws HTTP/1.1"), 405),
    ] {
        let answer = Client::ask(gateway.address(), &request).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 426 {
            let fields = ["upgrade", "sec-websocket-version"].map(|name| answer.field(name));
            assert_eq!(fields, [Some("websocket"), Some("13")]);
        }
    }
}

#[tokio::test]
async fn a_frame_that_breaks_the_rules_closes_its_connection_with_the_code_for_it_and_no_other() {
    let gateway = gateways::demo();
    let mut other = SocketClient::connect(gateway.address(), "/ws").await;
    let discover = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#;
    let half = vec![b' '; LENGTH_MAX / 2 + 1];
    let head_of = |length: usize| frame(TEXT, &vec![b' '; length])[..14].to_vec();
    for (what, bytes, code) in [
        ("binary", frame(0x82, discover.as_bytes()), 1003),
        ("not UTF-8", frame(TEXT, b"{\"id\":\"\xff\"}"), 1007),
        ("not UTF-8, in the second fragment", [frame(1, b"{\"id\":\"\xc3"), frame(0x80, b"\"}")].concat(), 1007),
        ("too long", head_of(LENGTH_MAX + 1), 1009),
        ("a terabyte", [&[TEXT, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat(), 1009),
        ("too long, in fragments", [frame(1, &half), frame(0x80, &half)].concat(), 1009),
        ("unmasked", [&[TEXT, 2][..], b"{}"].concat(), 1002),
        ("compressed", frame(TEXT | 0x40, discover.as_bytes()), 1002),
        ("an unknown kind", frame(0x83, b""), 1002),
        ("a fragmented ping", frame(0x09, b""), 1002),
        ("a long ping", frame(0x89, &[0; 126]), 1002),
        ("the rest of nothing", frame(0x80, b"{}"), 1002),
        ("a message within another", [frame(1, b"{"), frame(TEXT, b"{}")].concat(), 1002),
        ("a flood of pings", frame(0x89, b"x").repeat(only1mcp::limits::PINGS_MAX as usize + 1), 1008),
    ] {
        let mut client = SocketClient::connect(gateway.address(), "/ws").await;
        client.write(&bytes).await;
        assert_eq!(client.code().await, code, "{what}");
        assert_eq!(text(&other.ask(call("1", "admin__echo", "{}")).await), "{}", "{what}");
    }
}

#[tokio::test]
async fn a_message_may_come_in_fragments_with_pings_between_them() {
    let gateway = gateways::demo();
    let mut client = SocketClient::connect(gateway.address(), "/ws").await;
    let long = "ü".repeat(100 << 10);
    let message = call("1", "admin__echo", &json!({ "text": long }).to_string());
    let mut first = 1;
    for part in message.as_bytes().chunks(4001) {
        client.write(&[frame(first, part), frame(0x89, b"")].concat()).await;
        first = 0;
        assert!(matches!(within("a pong", client.0.next()).await, Some(Ok(Message::Pong(_)))));
    }
    client.write(&frame(0x80, b"")).await;
    assert_eq!(text(&client.hear().await), json!({ "text": long }).to_string());
}

#[tokio::test]
async fn a_client_that_closes_takes_its_calls_with_it() {
    // Its own deadline would end the call too.
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    let mut client = SocketClient::connect(rig.address(), "/ws").await;
    client.say(call("1", "odd__never", "{}")).await;
    let read = |what: &str| rig.ledger.after("read").iter().any(|line| line.contains(what));
    eventually("the call at the child", || read("never")).await;
    drop(client);
    eventually("its cancellation", || read("notifications/cancelled")).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_from_and_loses_nothing() {
    let gateway = gateways::large();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("a socket");
    let stream: TcpStream = socket.connect(gateway.address()).await.expect("the gateway listens");
    let mut client = SocketClient::begin(stream, gateway.address(), "/ws").await;
    // The answers are long, so that few of them are on their way, and so are the requests.
    let params = format!(r#"{{"padding":"{}","_meta":{{{META}}}}}"#, "x".repeat(64 << 10));
    let mut sent = 0;
    loop {
        let message = Message::text(request(&sent.to_string(), "tools/list", &params));
        match tokio::time::timeout(Duration::from_secs(3), client.0.send(message)).await {
            Ok(said) => said.expect("the gateway stands"),
            Err(_elapsed) => break,
        }
        sent += 1;
        assert!(sent < 5000, "nothing holds it up");
    }
    // The one that was held up is written as well, once there is room.
    for id in 0..=sent {
        let answer = client.hear_text().await;
        assert!(answer.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result""#)), "{}", &answer[..80]);
    }
}

#[tokio::test]
async fn a_call_in_flight_is_answered_when_the_gateway_stops_and_then_it_says_goodbye() {
    let gateway = gateways::demo();
    let mut client = SocketClient::connect(gateway.address(), "/ws").await;
    client.say(call("2", "admin__wait", r#"{"milliseconds":500}"#)).await;
    let refused = client.ask(call("2", "admin__echo", "{}")).await;
    assert_eq!(refused["error"]["code"], -32600, "the call is in flight: {refused}");
    let stopped = tokio::task::spawn_blocking(move || gateway.stop());
    assert_eq!(text(&client.hear().await), "waited 500 ms");
    assert_eq!(client.code().await, 1001);
    drop(client);
    within("its end", stopped).await.expect("it stops");
}
