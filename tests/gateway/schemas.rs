//! Schemas of tools. The gateway shows them and does not go by them: what they refuse is the server's to refuse, what they
//! refer to nobody fetches, and one that no message can hold is not locked.

use std::net::TcpListener;

use only1mcp::Gateway;
use serde_json::{Value, json};

use crate::params::Params;
use crate::support::client::{Client, Request};
use crate::support::gateways;
use crate::support::ledger::Directory;
use crate::support::program::run;
use crate::support::recorder::{DONE, Post, Recorder, Wire};
use crate::support::server::{Server, json_answer, modern};

/// Notices whoever comes.
struct Canary(TcpListener);

impl Canary {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        Self(listener)
    }

    fn url(&self) -> String {
        format!("http://{}/schema.json", self.0.local_addr().expect("it is bound"))
    }

    /// Nobody connected, be it for as long as it takes to look.
    fn assert_untouched(&self) {
        let accepted = self.0.accept().map(|(_, peer)| peer);
        assert!(matches!(&accepted, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{accepted:?}");
    }
}

/// A server with these tools, as text.
fn listing(tools: String) -> Server {
    Server::start(modern(move |request| {
        let result = format!(r#"{{"tools":{tools},"ttlMs":0,"cacheScope":"public","resultType":"complete"}}"#);
        vec![json_answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request.id()))]
    }))
}

/// A topology with a server at this URL.
fn topology(directory: &Directory, url: &str) -> String {
    let path = directory.path("some.yaml");
    let server = format!("transport: {{ streamable_http: {{}} }}\n    endpoints: [{{ url: \"{url}\" }}]");
    std::fs::write(&path, format!("name: some\nbackends:\n  web:\n    {server}\n")).expect("a directory of this test");
    path.display().to_string()
}

#[tokio::test]
async fn arguments_that_a_schema_refuses_reach_the_server_as_they_are() {
    let mut upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    for arguments in [r#"{"milliseconds":"long"}"#, r#"{"milliseconds":1e999,"steps":[ ]}"#, r#"{"nothing":null}"#] {
        let answer = client.exchange(&Request::call("admin__wait", arguments)).await;
        assert_eq!((answer.status, answer.code()), (200, None), "{arguments}: {}", answer.text());
        assert!(upstream.post().await.body.contains(&format!(r#""arguments":{arguments}"#)), "{arguments}");
    }
    // A server that looks says so in words of its own.
    let gateway = gateways::demo();
    let answer = Client::ask(gateway.address(), &Request::call("math__add", r#"{"a":"2","c":3}"#)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["result"]["isError"], true, "{}", answer.text());
}

#[tokio::test]
async fn what_a_schema_refers_to_is_fetched_by_nobody() {
    let canary = Canary::new();
    let reference = json!({ "$ref": canary.url() }).to_string();
    let schema = format!(
        r#"{{"$schema":"{0}","$id":"{0}","type":"object","properties":{{"a":{reference}}},"allOf":[{reference}],"$dynamicRef":"{0}"}}"#,
        canary.url()
    );
    let tool = |name: &str| format!(r#"{{"name":"{name}","inputSchema":{schema},"outputSchema":{reference}}}"#);
    let server = listing(format!("[{}]", tool("leads")));
    let directory = Directory::new();
    let topology = topology(&directory, &server.url());
    for command in [
        &["topology", "lock"][..],
        &["topology", "lock", "--check"],
        &["topology", "diff"],
        &["topology", "report"],
        &["validate"],
    ] {
        let ran = run(&[command, &[&topology]].concat());
        assert_eq!(ran.code, Some(0), "{command:?}: {ran:?}");
    }
    let lock = std::fs::read_to_string(directory.path("some.lock.json")).expect("it was written");
    let lock: Value = serde_json::from_str(&lock).expect("JSON");
    let recorded: Value = serde_json::from_str(&tool("leads")).expect("JSON");
    assert_eq!(lock["backends"]["web"]["tools"][0]["item"], recorded);
    canary.assert_untouched();

    // A gateway that lists the tool again, for the sake of its headers.
    let listed = format!(r#"{{"tools":[{}],"resultType":"complete"}}"#, tool("plain"));
    let near = Recorder::play(async move |post: Post, wire: &mut Wire<'_>| match post.body.contains("tools/list") {
        true => wire.result(&listed).await,
        false if post.body.contains("refused") => {
            let error = r#"{"code":-32020,"message":"m"}"#;
            wire.answer(400, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, post.id)).await
        }
        false => wire.result(DONE).await,
    });
    let builder = Gateway::<Params>::builder().workers(1).reference("NEAR_URL", near.url());
    let gateway = builder.reference("FAR_URL", near.url()).start().expect("the gateway starts");
    for (arguments, code) in [(r#"{"a":1}"#, None), (r#"{"a":"refused"}"#, Some(-32020))] {
        let answer = Client::ask(gateway.address(), &Request::call("near__plain", arguments)).await;
        assert_eq!(answer.code(), code, "{}", answer.text());
    }
    assert_eq!(near.calls(), 3, "it was listed again");
    canary.assert_untouched();
}

#[test]
fn a_list_with_a_schema_that_nests_too_deep_is_not_locked_and_what_was_stays() {
    let sound = r#"{"name":"sound","inputSchema":{"type":"object"}}"#;
    let directory = Directory::new();
    let lock = || std::fs::read_to_string(directory.path("some.lock.json"));
    let server = listing(format!("[{sound}]"));
    let path = topology(&directory, &server.url());
    assert_eq!(run(&["topology", "lock", &path]).code, Some(0));
    let before = lock().expect("it was written");
    for depth in [130, 10_000] {
        let schema = format!(r#"{}{{}}{}"#, r#"{"allOf":["#.repeat(depth), "]}".repeat(depth));
        let server = listing(format!(r#"[{{"name":"deep","inputSchema":{schema}}},{sound}]"#));
        topology(&directory, &server.url());
        let ran = run(&["topology", "lock", &path]);
        assert_eq!(ran.code, Some(6), "{ran:?}");
        assert!(ran.stderr.contains("backend `web` could not be reached: "), "{}", ran.stderr);
        assert!(ran.stderr.contains("Depth") || ran.stderr.contains("too deep"), "{}", ran.stderr);
        assert!(ran.stderr.len() < 1000, "it is not told in full");
        assert_eq!(lock().expect("it is there"), before);
    }
}
