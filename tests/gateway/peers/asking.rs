//! Published servers that ask their clients something, and published clients of both eras that are asked: every pair of
//! eras, with a gateway between them.

use only1mcp::Gateway;

use super::sse::Server;
use super::{command, peers};

only1mcp::topology!(Asking = "tests/gateway/topologies/asking.yaml");

#[tokio::test]
async fn published_clients_of_both_eras_are_asked_by_published_servers_of_both() {
    let Some(peers) = peers() else { return };
    let (node, python) = (peers.join("node/bin/node"), peers.join("python/bin/python"));
    let everything = peers.join("node/node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let arguments = [everything.to_str().expect("UTF-8"), "streamableHttp"];
    let fixture = ["tests/conformance/fixture.py", "--era", "modern", "--port"];
    // One worker: a server that is told of roots by no call keeps what it hears then, so that the first call is to ask.
    let (streamed, modern) =
        tokio::join!(Server::start(node.clone(), &arguments), Server::start(python.clone(), &fixture));
    let builder = Gateway::<Asking>::builder().workers(1).program(&node);
    let builder = builder.reference("PEERS", peers.to_str().expect("UTF-8"));
    let builder = builder.reference("STREAMED_URL", streamed.url("/mcp")).reference("MODERN_URL", modern.url("/mcp"));
    let gateway = builder.start().expect("the gateway starts");
    for (program, script, mode) in [
        (&node, "asked.mjs", "1"),
        (&node, "asked.mjs", "legacy"),
        (&node, "asked.mjs", "2026-07-28"),
        (&python, "asked.py", "legacy"),
        (&python, "asked.py", "2026-07-28"),
    ] {
        let mut client = command(program);
        client.arg(format!("tests/peers/clients/{script}")).args([&gateway.url(), mode]);
        let output = client.output().expect("the client starts");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script} {mode}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    }
}
