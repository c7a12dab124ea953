//! Published servers of the legacy era over HTTP+SSE, the reference server on the TypeScript SDK and one on the Python
//! SDK; and the former over Streamable HTTP, with a stream for each session.

use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::Duration;

use only1mcp::{Gateway, Running};
use tokio::net::TcpStream;

use super::{Peer, command, peers};
use crate::subscriptions::{hear, listen};
use crate::support::client::{Client, Event, META, Request, within};
use crate::support::scripted::{Outcome, call_with};

only1mcp::topology!(SsePeers = "tests/gateway/topologies/sse_peers.yaml");

/// How often a server that starts is asked whether it listens.
const LOOK: Duration = Duration::from_millis(50);

/// A server; ended when it is dropped.
pub(super) struct Server {
    process: Child,
    port: u16,
}

// === impl Server ===

impl Server {
    /// Starts a program that listens on the port in its environment and its last argument.
    pub(super) async fn start(program: std::path::PathBuf, arguments: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let mut command = command(program);
        command.args(arguments).arg(port.to_string()).env("PORT", port.to_string());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let server = Self { process, port };
        // A runtime on a machine that does much else takes its time.
        let listens = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), listens).await.expect("it listens");
        server
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

/// The reference server tells of a resource for as long as somebody listens for it, and of its tools whenever a session
/// begins: that of another worker may do so meanwhile.
pub(super) async fn hears_updates(gateway: &Running, backend: &str, uri: &str) {
    let wanted = serde_json::json!({ "toolsListChanged": true, "resourceSubscriptions": [uri] });
    let path = format!("/mcp/{backend}");
    let (mut client, acknowledged) = listen(gateway.address(), &path, "1", &wanted.to_string()).await;
    assert_eq!(acknowledged, wanted);
    // Over HTTP each worker has a session, and the call may go to another: until the right one is met.
    let told = async {
        loop {
            let told = hear(&mut client, "1").await;
            if told["method"] != "notifications/tools/list_changed" {
                return told;
            }
        }
    };
    let calls = async {
        loop {
            let call = Request::call("toggle-subscriber-updates", "{}").line(&format!("POST {path} HTTP/1.1"));
            assert_eq!(Client::ask(gateway.address(), &call).await.status, 200);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let told = tokio::select! {
        told = told => told,
        () = calls => unreachable!("it is called again and again"),
    };
    assert_eq!((&told["method"], &told["params"]["uri"]), (&"notifications/resources/updated".into(), &uri.into()));
}

#[tokio::test]
async fn published_servers_over_sse_serve_clients_of_both_eras() {
    let Some(peers) = peers() else { return };
    let everything = peers.join("node/node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let everything = everything.to_str().expect("UTF-8");
    let streamed = Server::start(peers.join("node/bin/node"), &[everything, "streamableHttp"]).await;
    let everything = Server::start(peers.join("node/bin/node"), &[everything, "sse"]).await;
    let script = ["tests/peers/servers/python_sdk_1.py", "sse"];
    let python = Server::start(peers.join("python-legacy/bin/python"), &script).await;
    let builder = Gateway::<SsePeers>::builder().workers(2);
    let builder =
        builder.reference("EVERYTHING_URL", everything.url("/sse")).reference("PYTHON_URL", python.url("/sse"));
    let builder = builder.reference("STREAMED_URL", streamed.url("/mcp"));
    let gateway = builder.start().expect("the gateway starts");
    for mut peer in Peer::of_both_eras(&gateway).await {
        peer.check_everything().await;
        assert_eq!(peer.call("python__add", r#"{"a":2,"b":40}"#).await, "42");
        assert_eq!(peer.call("streamed__echo", r#"{"message":"hé\n\"q\""}"#).await, "Echo: hé\n\"q\"");
    }
    let resources = ["static/document/features.md", "dynamic/text/1"].map(|path| format!("demo://resource/{path}"));
    for (backend, uri) in ["everything", "streamed"].into_iter().zip(&resources) {
        hears_updates(&gateway, backend, uri).await;
    }
    let long = Request::call("streamed__trigger-long-running-operation", r#"{"duration":0.5,"steps":3}"#);
    let mut client = Client::connect(gateway.address()).await;
    client.write(&long.edit(META, &format!(r#"{META},"progressToken":"t""#)).bytes()).await;
    assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
    for step in 1..=3 {
        let progress = client.message().await.expect("progress");
        assert_eq!(
            (&progress["params"]["progress"], &progress["params"]["progressToken"]),
            (&step.into(), &"t".into())
        );
    }
    let answer = client.message().await.expect("an answer");
    assert!(answer["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("completed")), "{answer}");

    let counted =
        Request::call("python__count", r#"{"steps":3}"#).edit(META, &format!(r#"{META},"progressToken":"t""#));
    let mut client = Client::connect(gateway.address()).await;
    client.write(&counted.bytes()).await;
    assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
    for step in 1..=3 {
        let progress = client.message().await.expect("progress");
        assert_eq!(progress["params"]["progress"].as_f64(), Some(f64::from(step)), "{progress}");
    }
    assert_eq!(client.message().await.expect("an answer")["result"]["content"][0]["text"], "counted to 3");
    assert_eq!(client.event().await, None::<Event>);

    let address = gateway.address();
    let calls = (0..32).map(|n| {
        tokio::spawn(async move { call_with(address, "python__add", &serde_json::json!({ "a": n, "b": 1000 })).await })
    });
    for (n, outcome) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        let outcome = within("an answer", outcome).await.expect("it does not panic");
        assert_eq!(outcome, Outcome::Text((n + 1000).to_string()));
    }
}
