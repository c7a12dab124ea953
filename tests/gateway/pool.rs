//! Several children behind one backend: who gets which call, and what the loss of one costs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use only1mcp::upstream::State;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::legacy;
use crate::support::client::{Client, Request};
use crate::support::scripted::{Outcome, WithChildren, call_with, eventually, signal};

only1mcp::topology!(Pooled = "tests/gateway/topologies/pooled.yaml");

/// A gateway whose `odd` children are all up.
async fn pooled() -> WithChildren {
    let rig = WithChildren::start_as::<Pooled>("plain", |builder| builder);
    eventually("all of the pool", || states(&rig, "odd") == [State::Ready; 3]).await;
    rig
}

fn states(rig: &WithChildren, backend: &str) -> Vec<State> {
    let children = rig.gateway.children().filter(|child| child.backend() == backend);
    children.map(|child| child.vitals().state).collect()
}

/// Which child takes a call, that it is busy with for so long.
async fn pid(gateway: SocketAddr, backend: &str, ms: u64) -> Outcome {
    call_with(gateway, &format!("{backend}__pid"), &json!({ "ms": ms })).await
}

/// So many calls at once, each by who took it.
async fn pids(rig: &WithChildren, backend: &'static str, count: usize) -> Vec<Outcome> {
    let address = rig.address();
    let calls: Vec<_> = (0..count).map(|_| tokio::spawn(pid(address, backend, 500))).collect();
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes.push(call.await.expect("a call"));
    }
    outcomes
}

#[tokio::test]
async fn calls_go_to_the_child_that_has_the_fewest() {
    let rig = pooled().await;
    let mut counts = BTreeMap::<String, usize>::new();
    for outcome in pids(&rig, "odd", 12).await {
        let Outcome::Text(pid) = outcome else { unreachable!("{outcome:?}") };
        *counts.entry(pid).or_default() += 1;
    }
    let mut spawned: Vec<String> = rig.ledger.spawned().iter().map(ToString::to_string).collect();
    spawned.sort();
    assert_eq!(counts.keys().cloned().collect::<Vec<_>>(), spawned);
    // Two workers may look at the same moment.
    assert!(counts.values().all(|count| (3..=5).contains(count)), "{counts:?}");
}

#[tokio::test]
async fn a_call_about_a_task_goes_to_the_child_that_began_it() {
    let rig = pooled().await;
    let (address, session) = (rig.address(), legacy::session(rig.address()).await);
    let ask = |id: usize, method: &str, params: &Value| {
        let message = legacy::message(method, &params.to_string()).replacen(r#""id":1"#, &format!(r#""id":{id}"#), 1);
        let request = Request::legacy(&session, message);
        tokio::spawn(async move { Client::ask(address, &request).await.message()["result"].take() })
    };
    let call = json!({ "name": "odd__task", "arguments": { "ms": 300 }, "task": {} });
    let calls: Vec<_> = (0..9).map(|id| ask(id, "tools/call", &call)).collect();
    let mut ids = BTreeMap::new();
    for call in calls {
        let begun = call.await.expect("a call");
        let id = begun["task"]["taskId"].as_str().expect("an id").to_owned();
        ids.insert(id.clone(), begun["pid"].clone());
        let known = ask(9, "tasks/get", &json!({ "taskId": id })).await.expect("a call");
        assert_eq!((known["taskId"].as_str(), &known["pid"]), (Some(&*id), &begun["pid"]), "{known}");
    }
    let children: BTreeSet<String> = ids.values().map(ToString::to_string).collect();
    assert_eq!(children.len(), 3, "all of them have begun some: {ids:?}");
}

#[tokio::test]
async fn the_loss_of_one_child_costs_only_its_calls() {
    let rig = pooled().await;
    let (address, doomed) = (rig.address(), rig.ledger.spawned()[1]);
    let calls: Vec<_> = (0..9).map(|_| tokio::spawn(pid(address, "odd", 1500))).collect();
    let reached = || rig.ledger.after("read").iter().filter(|line| line.contains("\"pid\"")).count() == 9;
    eventually("the calls at the children", reached).await;
    signal(doomed, Signal::KILL);
    let mut lost = 0;
    for call in calls {
        match call.await.expect("a call") {
            Outcome::Text(pid) => assert_ne!(pid, doomed.to_string()),
            outcome => {
                assert_eq!(outcome, Outcome::failed("outcome_unknown", true));
                lost += 1;
            }
        }
    }
    assert!((2..=4).contains(&lost), "{lost} of 9 calls were lost with one of three children");
    eventually("its successor", || states(&rig, "odd") == [State::Ready; 3]).await;
    let generations: u64 = rig.gateway.children().take(3).map(|child| child.vitals().generation).sum();
    assert_eq!((generations, rig.ledger.spawned().len()), (4, 4), "the others went on");
}

#[tokio::test]
async fn while_one_is_down_the_others_take_its_calls() {
    let rig = pooled().await;
    for round in 0..3 {
        // Down for longer each time.
        let all: Vec<_> = rig.gateway.children().collect();
        signal(all[0].vitals().pid.expect("a process"), Signal::KILL);
        eventually("its end", || all[0].vitals().state != State::Ready).await;
        for outcome in pids(&rig, "odd", 6).await {
            assert!(matches!(outcome, Outcome::Text(_)), "round {round}: {outcome:?}");
        }
        eventually("its successor", || states(&rig, "odd") == [State::Ready; 3]).await;
    }
}

#[tokio::test]
async fn a_lazy_pool_grows_with_what_it_has_to_do() {
    let rig = pooled().await;
    for _ in 0..3 {
        assert!(matches!(pid(rig.address(), "calm", 0).await, Outcome::Text(_)));
    }
    assert_eq!(states(&rig, "calm"), [State::Ready, State::Asleep]);
    let busy = pids(&rig, "calm", 4).await;
    assert!(busy.iter().all(|outcome| matches!(outcome, Outcome::Text(_))), "{busy:?}");
    eventually("the other", || states(&rig, "calm") == [State::Ready; 2]).await;
}
