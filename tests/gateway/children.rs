//! The life of child processes: how they are started, started again, and ended. Nobody is left behind.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use only1mcp::limits;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::child::inherited;
use crate::support::scripted::{
    Outcome, WithChildren, assert_serves, call, descendants_of, eventually, is_alive, signal, state,
};

#[tokio::test]
async fn a_killed_child_leaves_its_call_unknown_and_the_next_one_served() {
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    let address = rig.address();
    let pending = tokio::spawn(async move { call(address, "odd__never", "x").await });
    let reached = || rig.ledger.after("read").iter().any(|line| line.contains("never"));
    eventually("the call at the child", reached).await;
    signal(rig.ledger.spawned()[0], Signal::KILL);
    assert_eq!(pending.await.expect("a call"), Outcome::failed("outcome_unknown", true));
    assert_serves(address, "odd").await;
    assert_eq!(rig.ledger.spawned().len(), 2);
}

#[tokio::test]
async fn a_child_that_crashes_at_once_is_started_six_times_in_the_first_minute_at_most() {
    let rig = WithChildren::start("exit");
    eventually("four starts", || rig.ledger.spawned().len() >= 4).await;
    let starts: Vec<u64> = rig
        .ledger
        .after("spawn")
        .iter()
        .map(|line| line.split(' ').nth(1).and_then(|ms| ms.parse().ok()).expect("a time"))
        .collect();
    // The second may come at once, with the other greeting. A start takes its time as well, so that what is seen between
    // two of them is the pause at least.
    let (first, longest) = limits::RESPAWN_BACKOFF;
    let pauses = || std::iter::successors(Some(first), |pause| Some((*pause * 4).min(longest))).skip(1);
    for (pause, pair) in pauses().zip(starts.windows(2).skip(1)) {
        assert!(u128::from(pair[1] - pair[0]) >= pause.as_millis(), "{pause:?}: {starts:?}");
    }
    let mut at = Duration::ZERO;
    let further = pauses().take_while(|pause| {
        at += *pause;
        at <= Duration::from_secs(60)
    });
    assert_eq!(2 + further.count(), 6);
}

#[tokio::test]
async fn stopping_leaves_neither_children_nor_grandchildren() {
    // Catches SIGTERM and stays when its stdin ends.
    let rig = WithChildren::unhurried("stays");
    assert_serves(rig.address(), "odd").await;
    let Outcome::Text(grandchild) = call(rig.address(), "odd__grandchild", "x").await else { unreachable!("its pid") };
    let mut family = rig.ledger.spawned();
    family.push(grandchild.parse().expect("a process id"));
    assert!(family.iter().all(|pid| is_alive(*pid)), "{family:?}");
    let _directory = rig.stop();
    eventually("everyone's end", || !family.iter().any(|pid| is_alive(*pid))).await;
}

#[tokio::test]
async fn stopping_while_a_child_comes_up_leaves_nobody_either() {
    let rig = WithChildren::start("forks");
    eventually("child and grandchild", || rig.ledger.spawned().len() == 2).await;
    let family = rig.ledger.spawned();
    assert!(family.iter().all(|pid| is_alive(*pid)), "{family:?}");
    let _directory = rig.stop();
    eventually("everyone's end", || !family.iter().any(|pid| is_alive(*pid))).await;
}

#[tokio::test]
async fn a_child_that_stands_still_is_ended_all_the_same() {
    let rig = WithChildren::start("plain");
    assert_serves(rig.address(), "odd").await;
    let child = rig.ledger.spawned()[0];
    signal(child, Signal::STOP);
    eventually("its standstill", || state(child) == Some('T')).await;
    assert_eq!(call(rig.address(), "odd__echo", "x").await, Outcome::failed("upstream_timeout", true));
    assert_serves(rig.address(), "good").await;
    let _directory = rig.stop();
    eventually("the child's end", || !is_alive(child)).await;
}

#[tokio::test]
async fn a_grandchild_that_holds_stdout_does_not_hold_up_the_end_of_a_child() {
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    let Outcome::Text(grandchild) = call(rig.address(), "odd__grandchild", "x").await else { unreachable!("its pid") };
    assert_eq!(call(rig.address(), "odd__exits", "x").await, Outcome::failed("outcome_unknown", true));
    let grandchild = grandchild.parse().expect("a process id");
    eventually("the grandchild's end", || !is_alive(grandchild)).await;
    assert_serves(rig.address(), "odd").await;
}

#[tokio::test]
async fn a_child_is_given_no_descriptors_of_the_gateway_and_named_variables_only() {
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    let Outcome::Text(given) = call(rig.address(), "odd__surroundings", "x").await else { unreachable!("an answer") };
    let given: Value = serde_json::from_str(&given).expect("what it was given");
    // Its three pipes, and what whoever started this process left open for everybody.
    assert_eq!(given["descriptors"], json!(inherited()));
    let variables = given["variables"].as_array().expect("variables");
    for variable in variables.iter().filter_map(Value::as_str) {
        let own = ["CHILD_START", "CHILD_LEDGER"].contains(&variable);
        assert!(own || only1mcp::upstream::CHILD_VARIABLES.contains(&variable), "{variable}");
    }
}

#[tokio::test]
async fn children_die_with_a_gateway_that_is_killed() {
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
    let gateway = gateway.args(["start", "--port", "0", "--quiet"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut gateway = gateway.spawn().expect("the binary starts");
    eventually("three children, each with its keeper", || descendants_of(gateway.id()).len() == 6).await;
    let children = descendants_of(gateway.id());
    signal(gateway.id(), Signal::KILL);
    assert_eq!(gateway.wait().expect("it ended").signal(), Some(Signal::KILL.as_raw()));
    eventually("the children's end", || !children.iter().any(|pid| is_alive(*pid))).await;
}

#[test]
fn a_gateway_whose_child_lacks_a_variable_does_not_start() {
    let builder = only1mcp::Gateway::<crate::support::scripted::Children>::builder().workers(2);
    let refused = builder.reference("CHILD_START", "plain").start().expect_err("a variable is missing");
    assert_eq!(refused.to_string(), "backend `odd`: environment variable `CHILD_LEDGER` is not set");
}
