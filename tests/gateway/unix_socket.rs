//! Clients that come by a Unix socket: who may, what they get, and what becomes of its file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use only1mcp::{Gateway, Running, StartError};
use serde_json::json;
use tokio::net::UnixStream;

use crate::stdio_client;
use crate::support::client::{Client, Request, within};
use crate::support::gateways::{Demo, Recorded, SEAL_KEY, Views};
use crate::support::ledger::Directory;

/// A gateway on a socket in this directory.
fn demo(directory: &Directory) -> Running {
    let address = format!("unix:{}", directory.path("gateway.sock").display());
    let builder = Gateway::<Demo>::builder().address(address).program(env!("CARGO_BIN_EXE_only1mcp"));
    builder.workers(2).start().expect("the gateway starts")
}

async fn connect(gateway: &Running) -> Client {
    let path = gateway.socket_path().expect("it listens on a socket");
    Client::over(within("connect", UnixStream::connect(path)).await.expect("the gateway listens"))
}

#[tokio::test]
async fn every_way_to_ask_leads_over_a_unix_socket() {
    let directory = Directory::new();
    let gateway = demo(&directory);
    let path = gateway.socket_path().expect("it listens on a socket").to_owned();
    assert_eq!(path, directory.path("gateway.sock"));
    assert_eq!(gateway.url(), format!("unix:{}:/mcp", path.display()));
    assert!(gateway.address().ip().is_unspecified());
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);

    let mut client = connect(&gateway).await;
    for sum in ["3", "4"] {
        let arguments = format!(r#"{{"a":1,"b":{}}}"#, if sum == "3" { 2 } else { 3 });
        let answer = client.exchange(&Request::call("math__add", &arguments)).await;
        assert_eq!(answer.json()["result"]["content"][0]["text"], sum, "{}", answer.text());
    }
    client.assert_carries().await;
    drop(client);

    gateway.stop();
    assert!(!path.exists(), "the file goes with the gateway");
}

#[tokio::test]
async fn any_host_is_asked_for_on_a_socket_and_no_foreign_page_asks() {
    let directory = Directory::new();
    let gateway = demo(&directory);
    let call = Request::call("math__add", r#"{"a":1,"b":2}"#);
    for (request, status) in [
        (call.clone().with("Host", "localhost"), 200),
        (call.clone().with("Host", "gateway.example:8443"), 200),
        (call.clone().without("Host"), 400),
        (call.clone().field("Host", "localhost"), 400),
        (call.clone().field("Origin", "https://evil.example"), 403),
        (call.clone().field("Origin", "http://localhost:3000"), 200),
    ] {
        assert_eq!(connect(&gateway).await.exchange(&request).await.status, status, "{request:?}");
    }
}

#[tokio::test]
async fn hosts_that_are_named_are_the_only_ones_on_a_socket_too() {
    let directory = Directory::new();
    let address = format!("unix:{}", directory.path("gateway.sock").display());
    let nowhere = "http://127.0.0.1:9/mcp";
    let builder = Gateway::<Recorded>::builder().address(address).workers(1);
    let builder = builder.reference("ADMIN_URL", nowhere).reference("DATA_URL", nowhere);
    let gateway = builder.start().expect("the gateway starts");
    for (host, status) in [("gw.example", 200), ("localhost", 200), ("evil.example", 403)] {
        let request = Request::modern("tools/list", None, "").with("Host", host);
        assert_eq!(connect(&gateway).await.exchange(&request).await.status, status, "{host}");
    }
}

#[tokio::test]
async fn one_socket_has_one_gateway() {
    let directory = Directory::new();
    let gateway = demo(&directory);
    let path = gateway.socket_path().expect("it listens on a socket").to_owned();
    let start = |address: String| Gateway::<Demo>::builder().address(address).workers(1).start();
    let second = start(format!("unix:{}", path.display())).expect_err("the first one lives");
    assert!(matches!(&second, StartError::SocketTaken(taken) if *taken == path), "{second:?}");
    let refused = start("unix:gateway.sock".to_owned()).expect_err("the path is none");
    let why = "MCP address `unix:gateway.sock` names no socket: the path of a socket begins with `/`";
    assert_eq!(refused.to_string(), why);
    let nowhere = directory.path("no/such/folder.sock");
    let refused = start(format!("unix:{}", nowhere.display())).expect_err("there is no such folder");
    assert!(matches!(&refused, StartError::Socket { path, .. } if *path == nowhere), "{refused:?}");
    let answer = connect(&gateway).await.exchange(&Request::modern("tools/list", None, "")).await;
    assert_eq!(answer.status, 200, "the first one still serves");
}

#[tokio::test]
async fn a_client_on_pipes_is_bridged_to_a_socket() {
    let directory = Directory::new();
    let address = format!("unix:{}", directory.path("gateway.sock").display());
    let nowhere = "http://127.0.0.1:9/mcp";
    let builder = Gateway::<Views>::builder().address(&address).workers(1);
    let builder =
        builder.reference("SEAL_KEY", SEAL_KEY).reference("ADMIN_URL", nowhere).reference("DATA_URL", nowhere);
    let gateway = builder.start().expect("the gateway starts");
    let url = gateway.url();
    let mut sizes = Vec::new();
    for arguments in
        [vec!["--connect", &address], vec!["--connect", &url], vec!["--connect", &address, "--view", "operations"]]
    {
        let mut bridge = stdio_client::Gateway::start(&arguments);
        let greeted = bridge.ask(&stdio_client::initialize("2025-06-18")).await;
        assert_eq!(greeted["result"]["protocolVersion"], "2025-06-18", "{arguments:?}: {greeted}");
        let listed = bridge.ask(&stdio_client::request("2", "tools/list", "{}")).await;
        sizes.push(listed["result"]["tools"].as_array().expect("a list").len());
        let (rest, code, log) = bridge.close().await;
        assert_eq!((rest, code), (vec![], Some(0)), "{log}");
    }
    assert!(sizes[0] == sizes[1] && sizes[0] > sizes[2], "a view shows less: {sizes:?}");
    let mut lost = stdio_client::Gateway::start(&["--connect", "unix:/no/such.sock"]);
    let refused = lost.ask(&stdio_client::initialize("2025-06-18")).await;
    assert_eq!(
        (&refused["id"], &refused["error"]["data"]["kind"]),
        (&json!(0), &json!("upstream_unavailable")),
        "{refused}"
    );
}
