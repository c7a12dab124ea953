//! Servers and clients that others published, with a gateway between them. `tests/peers/install` gets them; where it
//! cannot, the tests here say so and pass, except in CI.
//!
//! Here is what these tests share, and the clients; the rest is one module a kind of peer.

mod asking;
mod conformance;
mod editor;
mod fronts;
mod npm;
mod played;
mod python;
mod resuming;
mod sse;
mod supergateway;
mod told;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use only1mcp::{Gateway, Running};
use serde_json::Value;

use crate::legacy;
#[cfg(feature = "tls")]
use crate::support::authority::Authority;
use crate::support::client::{Answer, Client, Request};
#[cfg(feature = "tls")]
use crate::support::ledger::Directory;

only1mcp::topology!(Default = "topologies/default.yaml");

/// A client of one era.
enum Peer {
    Modern(Client),
    Legacy(Client, String),
}

/// Where the peers are installed; `None` where they cannot be, which is then said.
fn peers() -> Option<&'static Path> {
    static PEERS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let installed = PEERS.get_or_init(|| script("tests/peers/install", &[]).map(|_silent| target().join("peers")));
    installed.as_deref().map_err(|missing| skipped(missing)).ok()
}

/// Says what is not tested here, past the capture of the test harness; in CI everything is tested.
pub(crate) fn skipped(missing: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    writeln!(std::io::stderr(), "SKIPPED: {test}: {}", missing.trim()).expect("stderr is open");
}

/// The target directory of this build, where the scripts keep what they install.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target directory")
}

/// A program that knows where the peers are.
fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("CARGO_TARGET_DIR", target()).env("PEERS", target().join("peers"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs a script of the repository to its end; what it printed, as an error where it did not exit with 0.
fn script(path: &str, arguments: &[&OsStr]) -> Result<String, String> {
    script_with(path, arguments, &[])
}

/// The same with further variables.
fn script_with(path: &str, arguments: &[&OsStr], variables: &[(&str, &OsStr)]) -> Result<String, String> {
    let mut command = command(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    let output = command.args(arguments).envs(variables.iter().copied()).output();
    let output = output.map_err(|error| format!("{path}: {error}"))?;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if output.status.success() { Ok(printed) } else { Err(format!("{path}: {}\n{printed}", output.status)) }
}

fn default_gateway() -> Running {
    let builder = Gateway::<Default>::builder().address("127.0.0.1:0").program(env!("CARGO_BIN_EXE_only1mcp"));
    builder.start().expect("the gateway starts")
}

// === impl Peer ===

impl Peer {
    /// One of each era.
    async fn of_both_eras(gateway: &Running) -> [Self; 2] {
        let session_id = legacy::session(gateway.address()).await;
        let legacy = Self::Legacy(Client::connect(gateway.address()).await, session_id);
        [Self::Modern(Client::connect(gateway.address()).await), legacy]
    }

    /// The result of a request, whose `params` are members; `name` is what it is about.
    async fn result(&mut self, method: &str, name: Option<&str>, params: &str) -> Value {
        let answer = match self {
            Self::Modern(client) => client.exchange(&Request::modern(method, name, params)).await,
            Self::Legacy(client, session_id) => {
                let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
                client.exchange(&Request::legacy(session_id, body)).await
            }
        };
        let mut response = response(&answer);
        assert!(response["result"].is_object(), "{method} {params}: {} {response}", answer.status);
        response["result"].take()
    }

    /// The text that a tool returns first.
    async fn call(&mut self, tool: &str, arguments: &str) -> String {
        let params = format!(r#""name":"{tool}","arguments":{arguments}"#);
        let result = self.result("tools/call", Some(tool), &params).await;
        assert_ne!(result["isError"], true, "{tool}: {result}");
        result["content"][0]["text"].as_str().expect("text").to_owned()
    }

    /// Asks `everything` for a tool of each kind and a prompt.
    async fn check_everything(&mut self) {
        assert_eq!(self.call("everything__echo", r#"{"message":"hé\n\"q\""}"#).await, "Echo: hé\n\"q\"");
        assert!(self.call("everything__get-sum", r#"{"a":2,"b":40}"#).await.contains("42"));
        let name = "everything__args-prompt";
        let params = format!(r#""name":"{name}","arguments":{{"city":"Lyon"}}"#);
        let prompt = self.result("prompts/get", Some(name), &params).await;
        let text = prompt["messages"][0]["content"]["text"].as_str();
        assert!(text.is_some_and(|text| text.contains("Lyon")), "{prompt}");
    }

    /// Every item of a list.
    async fn list(&mut self, method: &str, member: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.result(method, None, &cursor).await;
            items.extend_from_slice(page[member].as_array().expect("a list"));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!(r#""cursor":"{next}""#),
                None => return items,
            }
        }
    }
}

/// The response in an answer, be it a body or the end of a stream of events.
fn response(answer: &Answer) -> Value {
    let text = answer.text();
    let last = match answer.field("content-type") {
        Some("text/event-stream") => text.lines().filter_map(|line| line.strip_prefix("data:")).next_back(),
        _ => Some(text.as_str()),
    };
    last.and_then(|json| serde_json::from_str(json).ok()).expect(&text)
}

#[test]
fn published_clients_find_what_they_expect_in_every_era() {
    if peers().is_none() {
        return;
    }
    let gateway = default_gateway();
    if let Err(printed) =
        script("tests/peers/clients/run", &[gateway.url().as_ref(), env!("CARGO_BIN_EXE_only1mcp").as_ref()])
    {
        panic!("{printed}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn published_clients_trust_the_certificate_of_their_authority() {
    if peers().is_none() {
        return;
    }
    let (directory, authority) = (Directory::new(), Authority::new());
    let (cert, key) = authority.write(&directory, "127.0.0.1");
    let builder = Gateway::<Default>::builder().address("127.0.0.1:0").program(env!("CARGO_BIN_EXE_only1mcp"));
    let gateway = builder.tls(cert, key).start().expect("the gateway starts");
    let ca = directory.path("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("a directory of this test");
    // Where those of Python and those of Node look.
    let variables = [("SSL_CERT_FILE", ca.as_os_str()), ("NODE_EXTRA_CA_CERTS", ca.as_os_str())];
    let url = gateway.url();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    if let Err(printed) = script_with("tests/peers/clients/run", &[url.as_ref()], &variables) {
        panic!("{printed}");
    }
}
