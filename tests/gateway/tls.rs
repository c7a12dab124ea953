//! Trust in backends: a private authority counts where the topology names it, and nowhere else.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use crate::support::authority::Authority;
use crate::support::ledger::Directory;
use crate::support::scripted::{Outcome, assert_serves, call, with_servers};
use crate::support::server::{Request, Server, json_answer, modern, result_body, text_body};
use crate::support::socket_server::{SocketServer, say};

/// What makes a server one for `name`, with a certificate of a new private authority, and that authority in PEM.
fn acceptor(name: &str) -> (TlsAcceptor, String) {
    let authority = Authority::new();
    let (own, own_key) = authority.issue(name);
    let own = CertificateDer::from_pem_slice(own.as_bytes()).expect("a certificate");
    let own_key = PrivateKeyDer::from_pem_slice(own_key.as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![own], own_key)
        .expect("a certificate and its key");
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// A server for `name`, its authority in PEM, and a count of requests.
fn private(name: &str) -> (Server, String, Arc<AtomicUsize>) {
    let (acceptor, authority) = acceptor(name);
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    let greets = modern(|request: &Request| {
        let result =
            json!({ "resultType": "complete", "tools": [{ "name": "tool", "inputSchema": { "type": "object" } }] });
        vec![json_answer(200, &result_body(&request.id(), &result))]
    });
    let server = Server::start_at(([127, 0, 0, 1], 0).into(), Some(acceptor), move |request: &Request| {
        counted.fetch_add(1, Ordering::SeqCst);
        greets(request)
    });
    (server, authority, count)
}

#[tokio::test]
async fn an_authority_that_nobody_named_is_not_trusted() {
    let (odd, _, count) = private("localhost");
    let good = Server::start(modern(|request| vec![json_answer(200, &text_body(&request.id(), request.argument()))]));
    let gateway = with_servers(&odd, &good);
    assert_eq!(call(gateway.address(), "odd__echo", "x").await, Outcome::failed("upstream_tls", false));
    assert_serves(gateway.address(), "good").await;
    assert_eq!(count.load(Ordering::SeqCst), 0, "nothing was sent");
}

/// Locks a topology of `server` that trusts the authorities in `ca`: exit code, stderr.
fn lock(server: &Server, ca: &str) -> (Option<i32>, String) {
    lock_over("streamable_http", &server.url(), ca)
}

/// The same of any server over a transport.
fn lock_over(transport: &str, url: &str, ca: &str) -> (Option<i32>, String) {
    let directory = Directory::new();
    let (topology, file) = (directory.path("some.yaml"), directory.path("ca.pem"));
    std::fs::write(&file, ca).expect("a directory of this test");
    let transport = format!("transport: {{ {transport}: {{ ca: \"file:{}\" }} }}", file.display());
    let endpoints = format!("endpoints: [{{ url: \"{url}\" }}]");
    let yaml = format!("name: some\nbackends:\n  web:\n    {transport}\n    {endpoints}\n");
    std::fs::write(&topology, yaml).expect("a directory of this test");
    let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
    let output = command.args(["--quiet", "topology", "lock"]).arg(&topology).output().expect("the binary starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_named_authority_is_trusted_for_the_name_it_vouches_for() {
    let (server, ca, count) = private("localhost");
    assert_eq!(lock(&server, &ca), (Some(0), String::new()));
    assert_eq!(count.load(Ordering::SeqCst), 2, "greeted and listed");

    let (other, other_ca, count) = private("elsewhere.example");
    for (server, ca) in [(&other, &other_ca), (&server, &other_ca), (&other, &ca)] {
        let (code, stderr) = lock(server, ca);
        assert_eq!(code, Some(6));
        assert!(stderr.contains("could not be reached: TLS with localhost:"), "{stderr}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "nothing was sent");
    let (code, stderr) = lock(&server, "no certificate");
    assert_eq!(code, Some(6));
    assert!(stderr.contains("`ca`"), "{stderr}");
}

#[test]
fn a_websocket_inside_tls_is_trusted_by_the_same_rules() {
    for (name, code) in [("localhost", 0), ("elsewhere.example", 6)] {
        let (acceptor, ca) = acceptor(name);
        let server = SocketServer::start_at(([127, 0, 0, 1], 0).into(), Some(acceptor), |request| {
            let result = match request.rpc() {
                "server/discover" => json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} } }),
                _ => json!({ "resultType": "complete", "tools": [] }),
            };
            vec![say(&result_body(&request.id(), &result))]
        });
        let (found, stderr) = lock_over("websocket", &server.url(), &ca);
        assert_eq!((found, server.connections()), (Some(code), usize::from(code == 0)), "{stderr}");
        assert_eq!(stderr.contains("could not be reached: TLS with"), code != 0, "{stderr}");
    }
}
