//! Children that one session has to itself: who gets which, when they end, and how many there are.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use only1mcp::upstream::State;
use rustix::process::Signal;
use serde_json::json;

use crate::support::client::{Client, Request, within};
use crate::support::scripted::{Outcome, WithChildren, call_with, eventually, is_alive, signal};
use crate::support::socket::SocketClient;
use crate::{legacy, profiles};

only1mcp::topology!(PerSession = "tests/gateway/topologies/per_session.yaml");

fn rig() -> WithChildren {
    WithChildren::start_as::<PerSession>("plain", |builder| builder)
}

/// A client of the legacy era that asks which child serves it.
pub(crate) struct Session {
    address: SocketAddr,
    id: String,
}

// === impl Session ===

impl Session {
    pub(crate) async fn begin(address: SocketAddr) -> Self {
        Self { address, id: legacy::session(address).await }
    }

    /// The child that takes a call, on a connection of its own: any worker.
    async fn child(&self, backend: &str, ms: u64) -> Outcome {
        let params = format!(r#"{{"name":"{backend}__pid","arguments":{{"ms":{ms}}}}}"#);
        let request = Request::legacy(&self.id, legacy::message("tools/call", &params));
        Outcome::of(&Client::ask(self.address, &request).await)
    }

    pub(crate) async fn pid(&self, backend: &str) -> u32 {
        pid(&self.child(backend, 0).await)
    }

    pub(crate) async fn end(self) {
        let request = Request::bare("DELETE /mcp HTTP/1.1").field("Mcp-Session-Id", &self.id);
        assert_eq!(Client::ask(self.address, &request).await.status, 200);
    }
}

fn pid(outcome: &Outcome) -> u32 {
    let Outcome::Text(pid) = outcome else { unreachable!("{outcome:?}") };
    pid.parse().expect("a process id")
}

fn alive(rig: &WithChildren, backend: &str) -> usize {
    let children = rig.gateway.children().filter(|child| child.backend() == backend);
    children.filter(|child| child.vitals().state != State::Asleep).count()
}

#[tokio::test]
async fn each_session_has_a_child_and_whoever_has_none_shares_one() {
    let rig = rig();
    let address = rig.address();
    eventually("their rest", || alive(&rig, "odd") == 0).await;
    assert_eq!(rig.ledger.spawned().len(), 0, "none before its first call");
    let sessions = [Session::begin(address).await, Session::begin(address).await, Session::begin(address).await];
    let mut pids = Vec::new();
    for session in &sessions {
        pids.push(session.pid("odd").await);
    }
    for _ in 0..8 {
        for (session, own) in sessions.iter().zip(&pids) {
            assert_eq!(session.pid("odd").await, *own);
        }
    }
    let modern = || async { pid(&call_with(address, "odd__pid", &json!({ "ms": 0 })).await) };
    let shared = modern().await;
    assert_eq!(modern().await, shared);
    pids.push(shared);
    let mut spawned = rig.ledger.spawned();
    pids.sort_unstable();
    spawned.sort_unstable();
    assert_eq!(pids, spawned, "four children, and each is another one");
}

#[tokio::test]
async fn beyond_the_bound_a_session_has_none_until_another_ends() {
    let rig = rig();
    let address = rig.address();
    let first = Session::begin(address).await;
    let others = [Session::begin(address).await, Session::begin(address).await];
    let ended = first.pid("odd").await;
    for session in &others {
        session.pid("odd").await;
    }
    let late = Session::begin(address).await;
    assert_eq!(late.child("odd", 0).await, Outcome::failed("overloaded", false));
    assert!(matches!(late.child("brief", 0).await, Outcome::Text(_)), "another backend has room");
    first.end().await;
    eventually("the end of its child", || !is_alive(ended)).await;
    eventually("its rest", || alive(&rig, "odd") == 2).await;
    let own = late.pid("odd").await;
    assert_ne!(own, ended);
    assert_eq!(late.pid("odd").await, own);
}

#[tokio::test]
async fn whoever_takes_the_place_of_a_child_that_is_slow_to_end_keeps_it() {
    let rig = WithChildren::start_as::<PerSession>("stays", |builder| builder);
    let first = Session::begin(rig.address()).await;
    let ended = first.pid("odd").await;
    first.end().await;
    eventually("its rest", || alive(&rig, "odd") == 0).await;
    // Of a client that can do something: a child that comes up for nobody is not told so, and would be no child for it.
    let profiles::Session { address, id } = profiles::Session::begin(rig.address(), r#"{"roots":{}}"#).await;
    let late = Session { address, id };
    let own = late.pid("odd").await;
    assert_eq!(late.pid("odd").await, own);
    assert_eq!(rig.ledger.spawned(), [ended, own]);
}

#[tokio::test]
async fn a_session_that_ends_ends_its_call_in_flight_and_its_child() {
    let rig = rig();
    let session = Session::begin(rig.address()).await;
    let own = session.pid("odd").await;
    let (address, id) = (session.address, session.id.clone());
    let busy = tokio::spawn(async move { Session { address, id }.child("odd", 60_000).await });
    let reached = || rig.ledger.after("read").iter().filter(|line| line.contains("\"pid\"")).count() == 2;
    eventually("the call at the child", reached).await;
    session.end().await;
    // Nobody is told anything: the client said that it is done. What began the stream says when it ended.
    let cut = busy.await.expect("a call");
    assert!(matches!(&cut, Outcome::Other(said) if said.starts_with("200 ") && !said.contains('{')), "{cut:?}");
    eventually("the end of its child", || !is_alive(own)).await;
}

#[tokio::test]
async fn an_idle_child_leaves_its_place_and_its_session_gets_another() {
    let rig = rig();
    let session = Session::begin(rig.address()).await;
    let first = session.pid("brief").await;
    eventually("its end", || !is_alive(first)).await;
    eventually("its rest", || alive(&rig, "brief") == 0).await;
    assert_ne!(session.pid("brief").await, first);
}

#[tokio::test]
async fn a_child_that_is_lost_costs_its_session_alone() {
    let rig = rig();
    let (one, other) = (Session::begin(rig.address()).await, Session::begin(rig.address()).await);
    let (lost, kept) = (one.pid("odd").await, other.pid("odd").await);
    signal(lost, Signal::KILL);
    eventually("its end", || alive(&rig, "odd") == 1).await;
    assert_eq!(other.pid("odd").await, kept);
    assert!(![lost, kept].contains(&one.pid("odd").await));
}

#[tokio::test]
async fn a_connection_is_a_session_and_its_child_ends_with_it() {
    let rig = rig();
    let mut client = SocketClient::connect(rig.address(), "/ws").await;
    let own = r#""protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}"#;
    client.ask(legacy::message("initialize", &format!("{{{own}}}"))).await;
    let ask = legacy::message("tools/call", r#"{"name":"odd__pid","arguments":{"ms":0}}"#);
    let answer = client.ask(ask.clone()).await;
    let text = answer["result"]["content"][0]["text"].as_str().expect("a process id").to_owned();
    assert_eq!(client.ask(ask).await["result"]["content"][0]["text"], text);
    let child = text.parse().expect("a process id");
    assert!(is_alive(child));
    drop(client);
    eventually("the end of its child", || !is_alive(child)).await;
    eventually("its rest", || alive(&rig, "odd") == 0).await;
}

/// More sessions than places, which change hands all the time.
#[tokio::test]
async fn no_child_ever_serves_two_sessions() {
    let rig = rig();
    let address = rig.address();
    let client = |number: u64| {
        tokio::spawn(async move {
            let session = Session::begin(address).await;
            let (mut served, mut round) = (Vec::new(), 0);
            // Whoever was served often enough goes: everybody is served in the end, however long children take.
            while served.len() < 6 {
                match session.child("brief", 0).await {
                    Outcome::Text(pid) => served.push(pid),
                    outcome => assert_eq!(outcome, Outcome::failed("overloaded", false)),
                }
                // About as long as a child may be idle: some go on, some lose it.
                tokio::time::sleep(Duration::from_millis(150 + (number * 37 + round * 53) % 120)).await;
                round += 1;
            }
            (number, served)
        })
    };
    let clients: Vec<_> = (0..24).map(client).collect();
    let mut owners = HashMap::new();
    for client in clients {
        let (number, served) = within("a client that is served", client).await.expect("a client");
        for pid in served {
            assert_eq!(*owners.entry(pid.clone()).or_insert(number), number, "{pid} serves two sessions");
        }
    }
    assert!(owners.len() > 24, "places changed hands: {}", owners.len());
}
