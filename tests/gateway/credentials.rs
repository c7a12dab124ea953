//! What backends are shown with every request, and that nobody else sees it.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::process::Command;
use std::sync::{Arc, Mutex};

use only1mcp::{Builder, Gateway, Running, StartError};

use crate::legacy_sse::old;
use crate::support::client::{Client, Request as Asked};
use crate::support::ledger::Directory;
use crate::support::scripted::{Outcome, call};
use crate::support::server::{Request, Script, Server, head, json_answer, legacy, modern, text_body};

only1mcp::topology!(Shown = "tests/gateway/topologies/credentials.yaml");

const KEY: &str = "key-4f9aXk2mPq8s";
const TOKEN: &str = "token-7Zk1mPq8sVt3";

/// A server that keeps every request, and knows who may ask.
fn kept(script: impl Fn(&Request) -> Script + Send + Sync + 'static) -> (Server, Arc<Mutex<Vec<Request>>>) {
    let requests = Arc::<Mutex<Vec<Request>>>::default();
    let keeping = Arc::clone(&requests);
    let server = Server::start(move |request: &Request| {
        keeping.lock().expect("not poisoned").push(request.clone());
        script(request)
    });
    (server, requests)
}

fn echo(request: &Request) -> Script {
    vec![json_answer(200, &text_body(&request.id(), request.argument()))]
}

fn refused(_: &Request) -> Script {
    vec![head(401, "www-authenticate: Bearer realm=\"secret\"\r\ncontent-length: 0\r\n")]
}

/// A gateway in front of these, one worker so that there is one session of each.
fn builder(http: &str, old: &str, socket: &str) -> Builder<Shown> {
    let builder = Gateway::<Shown>::builder().workers(1).reference("HTTP_URL", http).reference("OLD_URL", old);
    builder
        .reference("SOCKET_URL", socket)
        .reference("KEY", KEY)
        .reference("TOKEN", TOKEN)
        .reference("PASSWORD", "pass word")
}

fn start(http: &Server, old: &Server, socket: &Server) -> Running {
    let socket = socket.url().replace("http://", "ws://");
    builder(&http.url(), &old.url(), &socket).start().expect("the gateway starts")
}

#[tokio::test]
async fn every_request_of_every_transport_carries_them_and_nothing_of_the_client() {
    let (http, asked) = kept(legacy(|| "session".to_owned(), echo));
    let (old, played) = old(|request, stream| {
        stream.say(&text_body(&request.id(), request.argument()));
        vec![head(202, "content-length: 0\r\n")]
    });
    let (socket, greeted) = kept(refused);
    let gateway = start(&http, &old, &socket);
    for tool in ["http__echo", "old__echo"] {
        let request = Asked::call(tool, r#"{"text":"x"}"#);
        let request = request.with("authorization", "Bearer of-the-client").with("x-api-key", "of-the-client");
        let outcome = Outcome::of(&Client::ask(gateway.address(), &request).await);
        assert_eq!(outcome, Outcome::Text("x".to_owned()), "{tool}");
    }
    // Refused while it is greeted: nothing was sent, and its challenge is not passed on.
    let answer = Client::ask(gateway.address(), &Asked::call("socket__echo", "{}")).await;
    assert_eq!(Outcome::of(&answer), Outcome::failed("upstream_auth", false));
    assert!(answer.field("www-authenticate").is_none() && !answer.text().contains("realm"), "{}", answer.text());
    gateway.stop();

    let asked = asked.lock().expect("not poisoned");
    let methods = |method: &str| asked.iter().filter(|request| request.method == method).count();
    assert!(methods("POST") > 3 && methods("DELETE") == 1, "greeted, called and ended");
    for request in asked.iter().chain(&*greeted.lock().expect("not poisoned")) {
        let all = |name: &str| {
            let named = request.fields.iter().filter(|(field, _)| field == name);
            named.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(all("x-api-key"), [KEY], "{request:?}");
        assert_eq!(all("authorization"), [format!("Bearer {TOKEN}")], "{request:?}");
    }
    assert!(asked.iter().all(|request| request.field("x-tenant") == Some("blue team")));
    let played = played.requests();
    assert!(played.iter().any(|request| request.method == "GET") && played.len() > 3, "{played:?}");
    // `ops:pass word`
    assert!(played.iter().all(|request| request.field("authorization") == Some("Basic b3BzOnBhc3Mgd29yZA==")));
}

#[tokio::test]
async fn a_server_that_refuses_them_is_told_from_one_that_is_down() {
    for status in [401, 403] {
        let (http, _) = kept(modern(move |_| vec![head(status, "content-length: 0\r\n")]));
        let (old, socket) = (Server::start(refused), Server::start(refused));
        let gateway = start(&http, &old, &socket);
        for (tool, sent) in [("http__echo", true), ("old__echo", false), ("socket__echo", false)] {
            assert_eq!(call(gateway.address(), tool, "x").await, Outcome::failed("upstream_auth", sent), "{tool}");
        }
    }
}

#[test]
fn what_cannot_be_sent_stops_the_start_and_is_not_shown() {
    for (name, value, why) in [
        ("TOKEN", "two words", "backend `http`: reference `env:TOKEN` stands for no token"),
        ("TOKEN", "", "it is empty"),
        ("KEY", "a\r\nx-evil: 1", "backend `http`: reference `env:KEY` stands for no value of a header"),
        ("PASSWORD", "a\nb", "backend `old`: reference `env:PASSWORD` stands for no password"),
    ] {
        let builder = builder("http://127.0.0.1:9/", "http://127.0.0.1:9/", "ws://127.0.0.1:9/");
        let error: StartError = builder.reference(name, value).start().expect_err("no such value can be sent");
        let mut told = format!("{error}\n{error:?}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            told.push_str(&format!("\n{cause}"));
            source = cause.source();
        }
        assert!(told.contains(why), "{told}");
        assert!(value.is_empty() || !told.contains(value), "{told}");
        assert!(!told.contains(TOKEN) && !told.contains("x-evil"), "{told}");
    }
}

#[test]
fn the_commands_that_ask_servers_carry_them_too() {
    let (server, _) = kept(|request: &Request| match request.field("authorization") {
        Some(token) if token == format!("Bearer {TOKEN}") => modern(|request| {
            vec![json_answer(
                200,
                &format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete","tools":[]}}}}"#,
                    request.id()
                ),
            )]
        })(request),
        _ => refused(request),
    });
    let directory = Directory::new();
    let topology = directory.path("some.yaml");
    let backend = "transport: { streamable_http: { auth: { bearer: env:UPSTREAM_TOKEN } } }";
    let yaml =
        format!("name: some\nbackends:\n  web:\n    {backend}\n    endpoints: [{{ url: \"{}\" }}]\n", server.url());
    std::fs::write(&topology, yaml).expect("a directory of this test");
    for (token, command, code, said) in [
        (Some("wrong-token"), "lock", 6, "answered with status 401"),
        (None, "lock", 6, "environment variable `UPSTREAM_TOKEN` is not set"),
        (Some(TOKEN), "lock", 0, ""),
        (Some(TOKEN), "diff", 0, ""),
    ] {
        let mut lock = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
        lock.args(["-vv", "topology", command]).arg(&topology).env_remove("UPSTREAM_TOKEN");
        let output = lock.envs(token.map(|token| ("UPSTREAM_TOKEN", token))).output().expect("the binary starts");
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(said) && token.is_none_or(|token| !told.contains(token)), "{told}");
    }
    let lock = std::fs::read_to_string(topology.with_extension("lock.json")).expect("written");
    assert!(lock.contains(r#""bearer": "env:UPSTREAM_TOKEN""#) && !lock.contains(TOKEN), "{lock}");
}
