//! Many clients, many calls, many ends: nothing crosses, nobody is left behind, and nothing is used up.

use std::collections::BTreeSet;
use std::process::Command;

use only1mcp::upstream::State;
use rustix::process::Signal;
use serde_json::json;

use crate::last_words::message;
use crate::support::client::{Client, Request};
use crate::support::scripted::{Outcome, WithChildren, assert_serves, call, children_of, eventually, is_alive, signal};

only1mcp::topology!(Crowd = "tests/gateway/topologies/crowd.yaml");

/// How many children are killed, unless this variable says it.
const CYCLES: (&str, usize) = ("ONLY1MCP_KILL_CYCLES", 100);

#[tokio::test]
async fn one_child_serves_five_hundred_sessions() {
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    let mut sessions = BTreeSet::new();
    for number in 0..500 {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "many", "version": "1" },
        } });
        let begun = Client::ask(rig.address(), &Request::post(body.to_string())).await;
        let session = begun.field("mcp-session-id").expect("a session").to_owned();
        let own = format!("session {number}");
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": { "name": "odd__echo", "arguments": { "text": own } } });
        let answer = Client::ask(rig.address(), &Request::legacy(&session, body.to_string())).await;
        assert_eq!(answer.message()["result"]["content"][0]["text"], own, "{}", answer.text());
        sessions.insert(session);
    }
    assert_eq!((sessions.len(), rig.ledger.spawned().len()), (500, 1));
}

#[tokio::test]
async fn sixty_four_calls_at_once_never_cross() {
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    let address = rig.address();
    let clients: Vec<_> = (0..64)
        .map(|client| {
            tokio::spawn(async move {
                for round in 0..20 {
                    let own = format!("client {client} round {round}");
                    assert_eq!(call(address, "odd__echo", &own).await, Outcome::Text(own));
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("its own answers");
    }
    assert_eq!(rig.ledger.spawned().len(), 1);
}

#[tokio::test]
async fn a_child_that_floods_stderr_without_end_goes_on_serving() {
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    assert_eq!(call(rig.address(), "odd__floods_stderr", "x").await, Outcome::Text("flooding".to_owned()));
    for round in 0..50 {
        let own = round.to_string();
        assert_eq!(call(rig.address(), "odd__echo", &own).await, Outcome::Text(own));
        assert_serves(rig.address(), "good").await;
    }
    assert_eq!(rig.ledger.spawned().len(), 1);
    let _directory = rig.stop();
}

#[test]
fn children_that_are_killed_leave_no_process_and_no_descriptor() {
    // In a process of its own: what others open in this one would be counted too.
    let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
    let ran = command.args(["attrition::kill_and_start_again", "--exact", "--ignored", "--nocapture"]).output();
    let ran = ran.expect("this binary starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test]
#[ignore = "a role of this binary: another test starts it alone"]
async fn kill_and_start_again() {
    let (variable, usual) = CYCLES;
    let cycles = std::env::var(variable).map_or(usual, |text| text.parse().expect("a number"));
    let own = std::process::id();
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("/proc").count();
    let mut killed = 0;
    let mut before = None;
    while killed < cycles {
        let rig = WithChildren::start_as::<Crowd>("plain", |builder| builder);
        let ready = |generation: u64| {
            let mut children = rig.gateway.children().map(|child| child.vitals());
            children.all(|vitals| vitals.state == State::Ready && vitals.generation == generation)
        };
        for generation in 1..=3 {
            eventually("all children", || ready(generation)).await;
            assert_serves(rig.address(), "odd").await;
            if generation < 3 {
                for child in rig.gateway.children() {
                    signal(child.vitals().pid.expect("a process"), Signal::KILL);
                    killed += 1;
                }
            }
        }
        let spawned = rig.ledger.spawned();
        assert_eq!((spawned.len(), children_of(own).len()), (75, 25), "every one that was killed is collected");
        let directory = rig.stop();
        eventually("the end of all", || !spawned.iter().any(|pid| is_alive(*pid))).await;
        drop(directory);
        assert_eq!(children_of(own), [0; 0], "nobody is left, not even as a zombie");
        // The first gateway opens what the process keeps.
        let now = descriptors();
        assert_eq!(*before.get_or_insert(now), now, "descriptors after {killed} ends");
    }
    // What was forked for a program that is not there goes as well.
    let rig = WithChildren::start_as::<Crowd>("plain", |builder| builder.program("/nowhere/program"));
    let said = message(&rig, "odd__echo").await;
    assert!(said.contains("`/nowhere/program scripted_child"), "{said}");
    assert!(said.ends_with("does not start: No such file or directory (os error 2)"), "{said}");
    assert_eq!(children_of(own), [0; 0]);
    let _directory = rig.stop();
    // One that was just being forked lets go of its pipes when that has failed.
    eventually("as many descriptors as before", || before == Some(descriptors())).await;
}
