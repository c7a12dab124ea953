//! Gateways in front of scripted backends, `odd` and `good`, and what a call through them came to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use only1mcp::catalog::Topology;
use only1mcp::upstream::Vitals;
use only1mcp::{Builder, Gateway, Running};
use only1mcp_model::{Source, overlay};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::client::{Answer, Client, PATIENCE, Request};
use super::ledger::{Directory, Ledger};
use super::server::Server;

only1mcp::topology!(pub(crate) Children = "tests/gateway/topologies/children.yaml");
only1mcp::topology!(pub(crate) Servers = "tests/gateway/topologies/servers.yaml");

/// The overlay under which calls of `odd` have as long as a test may take, and not as its topology has it.
pub(crate) const UNHURRIED: &str = "backends: { odd: { timeout: 10m } }";

/// How often something is looked at that will soon be so.
const LOOK: Duration = Duration::from_millis(10);

/// A gateway whose backends are two children of this binary.
#[derive(Debug)]
pub(crate) struct WithChildren {
    pub(crate) gateway: Running,
    /// What `odd` does.
    pub(crate) ledger: Ledger,
    directory: Directory,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A result with this text.
    Text(String),
    /// An error of the backend, with this code.
    Error(i64),
    /// The gateway got no answer from the backend: the kind, and whether the call may have been executed.
    Failed(String, bool),
    /// Anything else, and an answer that contradicts itself.
    Other(String),
}

// === impl WithChildren ===

impl WithChildren {
    /// One whose child `odd` begins as `start` says.
    pub(crate) fn start(start: &str) -> Self {
        Self::start_as::<Children>(start, |builder| builder)
    }

    /// The same of another topology, with further settings.
    pub(crate) fn start_as<T: Topology>(start: &str, settings: impl FnOnce(Builder<T>) -> Builder<T>) -> Self {
        let directory = Directory::new();
        let ledger = Ledger::at(directory.path("ledger"));
        let program = std::env::current_exe().expect("this binary has a path");
        let builder = Gateway::<T>::builder().program(program).workers(2);
        let builder = builder.reference("CHILD_START", start).reference("CHILD_LEDGER", ledger.path());
        Self { gateway: settings(builder).start().expect("the gateway starts"), ledger, directory }
    }

    /// The same, but that calls of `odd` have as long as the test may take.
    pub(crate) fn unhurried(start: &str) -> Self {
        let rig = Self::start(start);
        unhurried(&rig.gateway);
        rig
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// How the first child of a backend fares.
    pub(crate) fn vitals(&self, backend: &str) -> Arc<Vitals> {
        let child = self.gateway.children().find(|child| child.backend() == backend);
        child.expect("a child of the topology").vitals()
    }

    /// Stops the gateway; the directory stays as long as the returned handle.
    pub(crate) fn stop(self) -> Directory {
        self.gateway.stop();
        self.directory
    }
}

/// From now on calls of `odd` have as long as the test may take.
pub(crate) fn unhurried(gateway: &Running) {
    gateway.overlay().apply(UNHURRIED).expect("a sound overlay");
}

/// A gateway in front of two servers.
pub(crate) fn with_servers(odd: &Server, good: &Server) -> Running {
    with_servers_under("backends: {}", odd, good)
}

/// The same with an overlay.
pub(crate) fn with_servers_under(overlay: &str, odd: &Server, good: &Server) -> Running {
    let source = Source { path: "overlay.yaml".to_owned(), text: overlay.to_owned() };
    let overlay = overlay::load(&source, Servers::SPEC.compiled()).expect("a sound overlay");
    let builder = Gateway::<Servers>::builder().workers(2).overlay(overlay);
    builder.reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url()).start().expect("the gateway starts")
}

/// Asserts what is told of a child that has ended so. That its pipes were closed may be seen long before its end is.
pub(crate) fn assert_ended(told: &str, how: &str) {
    let is_closed = told == "it closed its stdout" || told.starts_with("it reads no more: ");
    assert!(is_closed || told == format!("it ended with {how}"), "{told}");
}

/// Calls a tool with `text` as its argument.
pub(crate) async fn call(gateway: SocketAddr, tool: &str, text: &str) -> Outcome {
    call_with(gateway, tool, &json!({ "text": text })).await
}

/// Calls a tool with these arguments.
pub(crate) async fn call_with(gateway: SocketAddr, tool: &str, arguments: &Value) -> Outcome {
    Outcome::of(&Client::ask(gateway, &Request::call(tool, &arguments.to_string())).await)
}

/// Calls a tool of `odd`, which is given as long as the test may take, unless it is its deadline that is expected.
pub(crate) async fn call_odd(gateway: &Running, tool: &str, expected: &Outcome) -> Outcome {
    let overlay = if *expected == Outcome::failed("upstream_timeout", true) { "{}" } else { UNHURRIED };
    gateway.overlay().apply(overlay).expect("a sound overlay");
    let outcome = call(gateway.address(), &format!("odd__{tool}"), "x").await;
    gateway.overlay().apply("{}").expect("a sound overlay");
    outcome
}

/// Asserts that a backend still, or again, answers: each call gets its own answer.
pub(crate) async fn assert_serves(gateway: SocketAddr, backend: &str) {
    let began = Instant::now();
    for attempt in 0.. {
        let own = format!("{backend} {attempt}");
        let outcome = call(gateway, &format!("{backend}__echo"), &own).await;
        if outcome == Outcome::Text(own) {
            return;
        }
        assert!(matches!(outcome, Outcome::Failed(..)) && began.elapsed() < PATIENCE, "{backend}: {outcome:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a process is there; one that was ended and not collected yet is not.
pub(crate) fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// What a process does, by the letters of proc(5).
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The children of a process, also those that ended and were not collected.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let processes =
        std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let pids = processes.filter_map(|name| name.parse::<u32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// All that descend from a process, keepers among them.
pub(crate) fn descendants_of(ancestor: u32) -> Vec<u32> {
    let children = children_of(ancestor);
    let further: Vec<u32> = children.iter().copied().flat_map(descendants_of).collect();
    [children, further].concat()
}

/// The parent of a process.
pub(crate) fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in parentheses: state, then parent.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// Signals one process.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("the process is there");
}

// === impl Outcome ===

impl Outcome {
    /// A failure of this kind, before or after the call was sent.
    pub(crate) fn failed(kind: &str, sent: bool) -> Self {
        Self::Failed(kind.to_owned(), sent)
    }

    /// What a modern client is told.
    pub(crate) fn of(answer: &Answer) -> Self {
        let body = answer.message();
        let other = || Self::Other(format!("{} {}", answer.status, answer.text()));
        if body["id"] != 1 || body["jsonrpc"] != "2.0" {
            return other();
        }
        if let Some(text) = body["result"]["content"][0]["text"].as_str() {
            return if answer.status == 200 { Self::Text(text.to_owned()) } else { other() };
        }
        let data = &body["error"]["data"];
        match (body["error"]["code"].as_i64(), data["kind"].as_str(), data["sent"].as_bool()) {
            (Some(-32603), Some(kind), Some(sent)) => {
                let consistent = answer.status == 200 && data["retryable"] == !sent && data["backend"].is_string();
                if consistent { Self::failed(kind, sent) } else { other() }
            }
            (Some(code), None, None) => Self::Error(code),
            _ => other(),
        }
    }
}
