//! supergateway from npm, which puts a server over stdio behind a WebSocket, behind the gateway.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use only1mcp::{Gateway, Running};

use super::{Peer, command, peers};
use crate::support::client::{Client, META, Request};

only1mcp::topology!(Bridged = "tests/gateway/topologies/supergateway.yaml");

/// How long two runtimes may take to start on a machine that does much else.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with its test.
pub(super) struct Bridge(Child);

impl Drop for Bridge {
    fn drop(&mut self) {
        // The server behind it ends with its stdin.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// One before server-everything.
fn bridge(peers: &Path, port: u16) -> Bridge {
    let (node, modules) = (peers.join("node/bin/node"), peers.join("node/node_modules"));
    let server = modules.join("@modelcontextprotocol/server-everything/dist/index.js");
    bridge_before(peers, port, &format!("{} {} stdio", node.display(), server.display()))
}

/// One before the server that this command line starts, once it listens, and where.
pub(super) fn started_before(peers: &Path, server: &str) -> (Bridge, String) {
    let port = free_port();
    let bridge = bridge_before(peers, port, server);
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < START_PATIENCE, "it does not come up");
        std::thread::sleep(Duration::from_millis(100));
    }
    (bridge, format!("ws://127.0.0.1:{port}/message"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port()
}

fn bridge_before(peers: &Path, port: u16, server: &str) -> Bridge {
    let mut command = command(peers.join("node/bin/node"));
    let script = peers.join("node/node_modules/supergateway/dist/index.js");
    command.arg(script).args(["--stdio", server, "--outputTransport", "ws"]);
    command.args(["--port", &port.to_string()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Bridge(command.spawn().expect("node starts"))
}

/// A gateway, and the port where its backend is to be.
fn started() -> (Running, u16) {
    let port = free_port();
    let builder = Gateway::<Bridged>::builder().workers(1);
    let gateway = builder.reference("PEER_URL", format!("ws://127.0.0.1:{port}/message")).start();
    (gateway.expect("the gateway starts"), port)
}

/// Waits until the server behind the bridge answers.
async fn answering(gateway: &Running) {
    let echo = Request::call("everything__echo", r#"{"message":"up"}"#);
    let began = Instant::now();
    while Client::ask(gateway.address(), &echo).await.json()["result"].is_null() {
        assert!(began.elapsed() < START_PATIENCE, "it does not come up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_server_behind_supergateway_serves_clients_of_both_eras_and_is_found_again() {
    let Some(peers) = peers() else { return };
    let (gateway, port) = started();
    // The second one stands where the first was killed.
    for _ in 0..2 {
        let _bridge = bridge(peers, port);
        answering(&gateway).await;
        for mut peer in Peer::of_both_eras(&gateway).await {
            peer.check_everything().await;
        }
    }
}

#[tokio::test]
async fn progress_of_a_server_behind_supergateway_reaches_its_call() {
    let Some(peers) = peers() else { return };
    let (gateway, port) = started();
    let _bridge = bridge(peers, port);
    answering(&gateway).await;
    let (tool, arguments) = ("everything__trigger-long-running-operation", r#"{"duration":1,"steps":4}"#);
    let request = Request::call(tool, arguments).edit(META, &format!(r#"{META},"progressToken":"own""#));
    let mut client = Client::connect(gateway.address()).await;
    client.write(&request.bytes()).await;
    assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
    for step in 1..=4 {
        let params = client.message().await.expect("progress")["params"].take();
        assert_eq!((&params["progressToken"], &params["progress"]), (&"own".into(), &step.into()), "{params}");
    }
    let answer = client.message().await.expect("an answer");
    assert!(answer["result"]["content"][0]["text"].is_string(), "{answer}");
}
