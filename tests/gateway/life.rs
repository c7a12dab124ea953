//! When children are started, when they are left alone, and when they are ended because nobody needs them.

use std::time::Duration;

use only1mcp::upstream::State;
use serde_json::json;

use crate::last_words::message;
use crate::support::scripted::{
    Outcome, WithChildren, assert_ended, assert_serves, call, call_with, eventually, is_alive,
};

only1mcp::topology!(pub(crate) Tended = "tests/gateway/topologies/tended.yaml");
only1mcp::topology!(Stubborn = "tests/gateway/topologies/stubborn.yaml");

fn tended(start: &str) -> WithChildren {
    WithChildren::start_as::<Tended>(start, |builder| builder)
}

fn text(text: &str) -> Outcome {
    Outcome::Text(text.to_owned())
}

#[tokio::test]
async fn a_lazy_child_is_started_by_its_first_call_which_waits_for_it() {
    let rig = tended("slow:200");
    eventually("its rest", || rig.vitals("calm").state == State::Asleep).await;
    assert_eq!((rig.vitals("calm").generation, rig.ledger.spawned().len()), (0, 0));
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let address = rig.address();
            tokio::spawn(async move { (number, call(address, "calm__echo", &number.to_string()).await) })
        })
        .collect();
    for call in calls {
        let (number, outcome) = call.await.expect("a call");
        assert_eq!(outcome, text(&number.to_string()));
    }
    assert_eq!(rig.ledger.spawned().len(), 1, "all of them waited for the same child");
}

#[tokio::test]
async fn an_idle_child_is_ended_in_order_and_started_again_by_the_next_call() {
    let rig = tended("plain");
    for generation in 1..=3 {
        assert_eq!(call(rig.address(), "odd__echo", "x").await, text("x"));
        let pids = rig.ledger.spawned();
        assert_eq!(pids.len(), generation);
        eventually("its rest", || rig.vitals("odd").state == State::Asleep).await;
        eventually("its end", || pids.iter().all(|pid| !is_alive(*pid))).await;
    }
    assert_eq!(rig.vitals("odd").last_end, None, "none broke off");
}

#[tokio::test]
async fn a_child_with_a_call_in_flight_is_not_idle() {
    let rig = tended("plain");
    let late = call_with(rig.address(), "odd__late", &json!({ "ms": 900 })).await;
    assert_eq!((late, rig.ledger.spawned().len()), (text("late"), 1));
}

#[tokio::test]
async fn calls_that_come_while_an_idle_child_is_ended_are_served_by_the_next() {
    let rig = tended("plain");
    for round in 0..40 {
        let calls: Vec<_> = (0..4)
            .map(|own| {
                let (address, own) = (rig.address(), format!("{round} {own}"));
                tokio::spawn(async move { (call(address, "brief__echo", &own).await, own) })
            })
            .collect();
        for call in calls {
            let (outcome, own) = call.await.expect("a call");
            assert_eq!(outcome, text(&own));
        }
        tokio::time::sleep(Duration::from_micros(round * 100)).await;
    }
    assert!(rig.ledger.spawned().len() > 1, "it was idle at times");
}

#[tokio::test]
async fn a_child_has_its_start_timeout_to_come_up() {
    let rig = tended("silent");
    assert_eq!(message(&rig, "odd__echo").await, "backend `odd`: it answered no greeting within 3s");
    let rig = tended("silent_about_discover");
    assert_eq!(call(rig.address(), "odd__echo", "x").await, text("x"), "half of it is left for `initialize`");
}

#[tokio::test]
async fn a_child_that_never_lasts_is_left_alone_until_a_call_asks_for_it() {
    let rig = WithChildren::start_as::<Stubborn>("exit", |builder| builder);
    eventually("its rest", || rig.vitals("odd").state == State::Asleep).await;
    assert_eq!(rig.ledger.spawned().len(), 2);
    let told = message(&rig, "odd__echo").await;
    assert_ended(told.strip_prefix("backend `odd`: ").expect(&told), "exit status: 3");
    assert_eq!(rig.ledger.spawned().len(), 3);
}

#[tokio::test]
async fn a_child_that_nobody_called_does_not_hold_up_the_end_of_the_gateway() {
    let rig = tended("plain");
    let ledger = rig.ledger.clone();
    let _directory = rig.stop();
    assert_eq!(ledger.spawned().len(), 0);
    let rig = tended("plain");
    assert_serves(rig.address(), "odd").await;
    let pid = rig.ledger.spawned()[0];
    let _directory = rig.stop();
    eventually("its end", || !is_alive(pid)).await;
}
