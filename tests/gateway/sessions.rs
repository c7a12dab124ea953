//! Sessions of legacy clients that outlive the gateway: a token is good wherever its key is, and nowhere else.

use std::error::Error as _;
use std::net::SocketAddr;

use only1mcp::StartError;

use crate::legacy::{delete, initialize, message};
use crate::support::client::{Answer, Client, Request};
use crate::support::gateways::{self, SEAL_KEY};
use crate::support::recorder::Recorder;

/// In base64, as `openssl rand -base64 32` writes it.
const OTHER_KEY: &str = "7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u4=";
const CALL: &str = r#"{"name":"admin__echo","arguments":{}}"#;

/// A session begun at a path.
async fn begin(address: SocketAddr, path: &str) -> String {
    let greeted = Client::ask(address, &initialize("2025-11-25").line(&format!("POST {path} HTTP/1.1"))).await;
    greeted.field("mcp-session-id").expect("a session").to_owned()
}

async fn call(address: SocketAddr, path: &str, session: &str) -> Answer {
    let request = Request::legacy(session, message("tools/call", CALL)).line(&format!("POST {path} HTTP/1.1"));
    Client::ask(address, &request).await
}

/// What somebody is answered whom nobody knows.
async fn stranger(address: SocketAddr) -> Answer {
    call(address, "/mcp", "0123456789abcdef0123456789abcdef").await
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart_and_at_another_gateway_with_the_key() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let session = begin(gateway.address(), "/mcp").await;
    let replica = gateways::views(&upstream);
    for address in [gateway.address(), replica.address()] {
        assert_eq!(call(address, "/mcp", &session).await.status, 200);
    }
    tokio::task::spawn_blocking(move || drop(gateway)).await.expect("the gateway stops");
    let restarted = gateways::views(&upstream);
    let answer = call(restarted.address(), "/mcp", &session).await;
    assert_eq!((answer.status, answer.message()["result"]["content"][0]["text"].as_str()), (200, Some("done")));
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test]
async fn a_token_is_unknown_at_any_other_path() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let paths = ["/mcp", "/mcp/operations", "/mcp/tables"];
    for own in paths {
        let session = begin(gateway.address(), own).await;
        for path in paths {
            let request = Request::legacy(&session, message("ping", "{}")).line(&format!("POST {path} HTTP/1.1"));
            let answer = Client::ask(gateway.address(), &request).await;
            assert_eq!(answer.status, if path == own { 200 } else { 404 }, "{own} {path}");
            if path != own {
                assert_eq!(answer.body, stranger(gateway.address()).await.body);
            }
        }
    }
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_unknown() {
    let upstream = Recorder::start();
    let gateway = gateways::views(&upstream);
    let session = begin(gateway.address(), "/mcp").await;
    let unknown = stranger(gateway.address()).await;
    assert_eq!(unknown.status, 404);
    let mut client = Client::connect(gateway.address()).await;
    for index in 0..session.len() {
        let mut tampered = session.clone().into_bytes();
        tampered[index] = if tampered[index] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).expect("ASCII");
        let answer = client.exchange(&Request::legacy(&tampered, message("tools/call", CALL))).await;
        assert_eq!((answer.status, &answer.body), (404, &unknown.body), "{index}");
    }
    assert_eq!(upstream.calls(), 0);
    assert_eq!(call(gateway.address(), "/mcp", &session).await.status, 200);
}

#[tokio::test]
async fn keys_are_taken_over_from_one_to_the_next() {
    let upstream = Recorder::start();
    let sealed = |keys: &str| gateways::sealed(&upstream, keys).expect("the gateway starts");
    let [old, both, new] = [SEAL_KEY, &format!("{OTHER_KEY},{SEAL_KEY}"), OTHER_KEY].map(sealed);
    let before = begin(old.address(), "/mcp").await;
    let after = begin(both.address(), "/mcp").await;
    for (gateway, statuses) in [(&old, [200, 404]), (&both, [200, 200]), (&new, [404, 200])] {
        for (session, status) in [&before, &after].into_iter().zip(statuses) {
            assert_eq!(call(gateway.address(), "/mcp", session).await.status, status);
        }
    }
}

#[tokio::test]
async fn a_session_that_was_ended_stays_ended_where_that_was_said() {
    let upstream = Recorder::start();
    let (gateway, replica) = (gateways::views(&upstream), gateways::views(&upstream));
    let session = begin(gateway.address(), "/mcp").await;
    assert_eq!(Client::ask(gateway.address(), &delete(&session)).await.status, 200);
    assert_eq!(call(gateway.address(), "/mcp", &session).await.status, 404);
    // Nobody told the other one.
    assert_eq!(call(replica.address(), "/mcp", &session).await.status, 200);
}

#[test]
fn keys_of_another_form_are_refused_at_the_start() {
    let upstream = Recorder::start();
    let expected = "key of the sessions cannot seal: a key is not 32 bytes in hex or base64; write 32 bytes in hex or \
        base64, several separated by commas";
    for keys in ["0123456789abcdef", &format!("{SEAL_KEY},hunter2"), &SEAL_KEY[1..]] {
        let error = gateways::sealed(&upstream, keys).expect_err("it is no key");
        assert_eq!(error.to_string(), expected);
    }
    let error = gateways::sealed(&upstream, "").expect_err("it is no key");
    assert!(matches!(error, StartError::SealKeyForm("it is empty")), "{error}");
    let error = only1mcp::Gateway::<gateways::Views>::builder().workers(1).start().expect_err("nothing is set");
    assert_eq!(error.to_string(), "key of the sessions does not resolve");
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("environment variable `SEAL_KEY` is not set"));
}
