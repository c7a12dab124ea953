//! Servers behind a proxy: it is asked for every connection, shown what is its own, and named where it is in the way.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use only1mcp::{Builder, Gateway, Running};
use serde_json::json;

use crate::legacy_sse::old;
use crate::support::client::{Client, PATIENCE, Request as Asked};
use crate::support::connect_proxy::{ConnectProxy, ESTABLISHED, Way};
use crate::support::http2_server::{self, Http2Server};
use crate::support::ledger::Directory;
use crate::support::scripted::{Outcome, call};
use crate::support::server::{Request, Server, head, json_answer, modern, result_body, text_body};
use crate::support::socket_server::SocketServer;
use crate::{http2_backends, websocket};

only1mcp::topology!(Proxied = "tests/gateway/topologies/proxies.yaml");

const TOKEN: &str = "token-7Zk1mPq8sVt3";
const PASSWORD: &str = "password-4f9aXk2m";
const PROXY_TOKEN: &str = "proxy-9Qw3eRt5yUi";
/// Nine of them.
const INTERIM: &str = "HTTP/1.1 102 A\r\n\r\nHTTP/1.1 102 B\r\n\r\nHTTP/1.1 102 C\r\n\r\nHTTP/1.1 102 D\r\n\r\nHTTP/1.1 102 E\r\n\r\n\
    HTTP/1.1 102 F\r\n\r\nHTTP/1.1 102 G\r\n\r\nHTTP/1.1 102 H\r\n\r\nHTTP/1.1 102 I\r\n\r\n";
const TOOLS: [&str; 4] = ["http__echo", "old__echo", "socket__echo", "two__echo"];

/// A gateway of one worker whose backends are behind this proxy.
fn builder(proxy: &str) -> Builder<Proxied> {
    let builder = Gateway::<Proxied>::builder().workers(1).reference("PROXY", proxy).reference("TOKEN", TOKEN);
    builder.reference("PASSWORD", PASSWORD).reference("PROXY_TOKEN", PROXY_TOKEN)
}

fn behind(proxy: &ConnectProxy) -> Running {
    builder(&proxy.url()).start().expect("the gateway starts")
}

#[tokio::test]
async fn every_transport_goes_through_it_and_names_are_resolved_there() {
    let seen = Arc::<Mutex<Vec<Request>>>::default();
    let keeping = Arc::clone(&seen);
    let http = Server::start(modern(move |request: &Request| {
        keeping.lock().expect("not poisoned").push(request.clone());
        vec![json_answer(200, &text_body(&request.id(), request.argument()))]
    }));
    let (old, played) = old(|request, stream| {
        stream.say(&text_body(&request.id(), request.argument()));
        vec![head(202, "content-length: 0\r\n")]
    });
    let socket = SocketServer::start(websocket::greeted(|request| {
        vec![crate::support::socket_server::say(&text_body(&request.id(), request.argument()))]
    }));
    let two = Http2Server::start(http2_server::modern(http2_backends::echo));
    let ways = [
        ("http.invalid:80", http.address()),
        ("old.invalid:9001", old.address()),
        ("[fd00::1]:9002", socket.address()),
        ("two.invalid:80", two.address()),
    ];
    let proxy = ConnectProxy::start(move |target| match ways.iter().find(|(known, _)| *known == target) {
        Some((_, address)) => Way::Through(*address, ESTABLISHED),
        None => Way::Says("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
    });
    let gateway = behind(&proxy);
    for tool in TOOLS {
        for text in ["one", "two"] {
            assert_eq!(call(gateway.address(), tool, text).await, Outcome::Text(text.to_owned()), "{tool}");
        }
    }
    gateway.stop();

    // `ops:password-4f9aXk2m`
    let basic = "proxy-authorization: Basic b3BzOnBhc3N3b3JkLTRmOWFYazJt\r\n";
    let bearer = format!("proxy-authorization: Bearer {PROXY_TOKEN}\r\n");
    let heads = proxy.heads();
    for (target, own) in
        [("http.invalid:80", basic), ("old.invalid:9001", &bearer), ("[fd00::1]:9002", ""), ("two.invalid:80", "")]
    {
        let version = env!("CARGO_PKG_VERSION");
        let expected =
            format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\nuser-agent: only1mcp/{version}\r\n{own}\r\n");
        let asked: Vec<_> = heads.iter().filter(|head| head.contains(target)).collect();
        assert!(!asked.is_empty() && asked.iter().all(|head| **head == expected), "{asked:?}");
    }
    assert!(!heads.concat().contains(TOKEN), "what a server is shown is not for the proxy");
    let (seen, played) = (seen.lock().expect("not poisoned"), played.requests());
    let (host, port) = (seen[0].field("host"), played[0].field("host"));
    assert_eq!((host, port), (Some("http.invalid"), Some("old.invalid:9001")));
    for request in seen.iter().chain(&played) {
        assert_eq!(request.field("proxy-authorization"), None, "{request:?}");
        let told = format!("{request:?}");
        assert!(!told.contains(PASSWORD) && !told.contains(PROXY_TOKEN), "{told}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_its_status() {
    for (said, kind, expected) in [
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "upstream_unavailable", "with status 403"),
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "upstream_auth", "with status 407"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n<p>no such host</p>", "upstream_unavailable", "with status 502"),
        ("HTTP/1.1 301 Moved\r\nlocation: /\r\n\r\n", "upstream_unavailable", "with status 301"),
        ("SSH-2.0-OpenSSH_9.9\r\n", "upstream_protocol_error", "proxy `env:PROXY`"),
        (INTERIM, "upstream_protocol_error", "more than 8 interim responses"),
        ("", "upstream_unavailable", "ended the connection"),
        ("HTTP/1.1 200 O", "upstream_unavailable", "ended the connection"),
    ] {
        let proxy = ConnectProxy::start(move |_| Way::Says(said));
        let gateway = behind(&proxy);
        for tool in TOOLS {
            let answer = Client::ask(gateway.address(), &Asked::call(tool, r#"{"text":"x"}"#)).await;
            assert_eq!(Outcome::of(&answer), Outcome::failed(kind, false), "{tool} {said:?}");
            let text = answer.text();
            assert!(text.contains("proxy `env:PROXY`") && text.contains(expected), "{text}");
            assert!(!text.contains(PASSWORD) && !text.contains("b3Bz") && !text.contains(PROXY_TOKEN), "{text}");
        }
    }
}

#[tokio::test]
async fn interim_answers_of_a_proxy_are_passed_over() {
    let two = Http2Server::start(http2_server::modern(http2_backends::echo));
    let address = two.address();
    let proxy = ConnectProxy::start(move |_| {
        Way::Through(
            address,
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\nHTTP/1.1 200 OK\r\nvia: 1.1 proxy\r\n\r\n",
        )
    });
    let gateway = behind(&proxy);
    assert_eq!(call(gateway.address(), "two__echo", "x").await, Outcome::Text("x".to_owned()));
}

#[tokio::test]
async fn a_proxy_that_says_nothing_has_as_long_as_a_connection_may_take() {
    let proxy = ConnectProxy::start(|_| Way::Silence);
    let gateway = behind(&proxy);
    let began = Instant::now();
    assert_eq!(call(gateway.address(), "silent__echo", "x").await, Outcome::failed("upstream_unavailable", false));
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    // A WebSocket is connected before it is asked for anything.
    let asked = proxy.heads().iter().filter(|head| head.contains("silent.invalid")).count();
    assert_eq!(asked, 1);
}

#[test]
fn what_is_no_proxy_stops_the_start_and_is_not_shown() {
    for (name, value, why) in [
        ("PROXY", "http://ops:hunter2@proxy:3128", "backend `http`: `env:PROXY` is not the URL of a proxy"),
        ("PROXY", "https://proxy:3128", "it does not begin with `http://`"),
        ("PASSWORD", "hunter2\r\nx: y", "backend `http`: reference `env:PASSWORD` stands for no password"),
        ("PROXY_TOKEN", "hunter2 x", "backend `old`: reference `env:PROXY_TOKEN` stands for no token"),
    ] {
        let error = builder("http://127.0.0.1:9").reference(name, value).start().expect_err("it cannot be used");
        let told = format!("{error}\n{error:?}\n{:?}", std::error::Error::source(&error));
        assert!(told.contains(why) && !told.contains("hunter2"), "{told}");
    }
}

/// Locks a topology of a server with these keys of its transport, where the environment names another proxy: exit code,
/// stderr.
fn lock(url: &str, keys: &str) -> (Option<i32>, String) {
    let directory = Directory::new();
    let topology = directory.path("some.yaml");
    let transport = format!("transport: {{ streamable_http: {{ {keys} }} }}");
    let yaml = format!("name: some\nbackends:\n  web:\n    {transport}\n    endpoints: [{{ url: \"{url}\" }}]\n");
    fs::write(&topology, yaml).expect("a directory of this test");
    let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
    command.args(["--quiet", "topology", "lock"]).arg(&topology);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        // Nobody listens there.
        command.env(name, "http://127.0.0.1:9");
    }
    let output = command.output().expect("the binary starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn listed(request: &Request) -> String {
    result_body(&request.id(), &json!({ "resultType": "complete", "tools": [] }))
}

#[test]
fn what_the_environment_says_of_proxies_counts_for_nothing() {
    let server = Server::start(modern(|request| vec![json_answer(200, &listed(request))]));
    assert_eq!(lock(&server.url(), ""), (Some(0), String::new()));
}

#[cfg(feature = "tls")]
#[test]
fn tls_goes_through_it_to_the_server() {
    let authority = crate::support::authority::Authority::new();
    let acceptor = http2_backends::tls::acceptor(&authority, &[b"h2", b"http/1.1"]);
    let script = http2_server::modern(|request| http2_server::json(200, &listed(request)));
    let server = Http2Server::start_at(([127, 0, 0, 1], 0).into(), Some(acceptor), h2::server::Builder::new(), script);
    let (directory, address) = (Directory::new(), server.address());
    let proxy = ConnectProxy::start(move |_| Way::Through(address, ESTABLISHED));
    let ca = directory.path("ca.pem");
    fs::write(&ca, authority.pem()).expect("a directory of this test");
    let keys = |proxy: &str| format!("ca: \"file:{}\", proxy: \"{proxy}\"", ca.display());
    assert_eq!(lock("https://localhost/mcp", &keys(&proxy.url())), (Some(0), String::new()));
    assert!(proxy.heads()[0].starts_with("CONNECT localhost:443 HTTP/1.1\r\n"), "{:?}", proxy.heads());
    assert_eq!(server.seen.connections(), 1);
    // Whoever stands in between is not trusted for it.
    let (code, stderr) = lock("https://elsewhere.example/mcp", &keys(&proxy.url()));
    assert_eq!((code, server.seen.connections()), (Some(6), 1));
    assert!(stderr.contains("TLS with elsewhere.example"), "{stderr}");
    let (code, stderr) = lock("https://localhost/mcp", &keys("http://127.0.0.1:9"));
    assert_eq!(code, Some(6));
    assert!(stderr.contains("connection to proxy `http://127.0.0.1:9`"), "{stderr}");
}
