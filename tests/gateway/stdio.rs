//! What a stdio backend may do wrong, and what that costs: its own call, never another's. One row a misdeed.

use std::time::{Duration, Instant};

use only1mcp::limits;
use serde_json::{Value, json};

use crate::support::client::{Client, Request};
use crate::support::scripted::{Outcome, UNHURRIED, WithChildren, assert_serves, call, call_odd, eventually};

/// Asserts that `odd` comes to an outcome, and that both backends serve afterwards.
async fn check(rig: &WithChildren, tool: &str, expected: &Outcome) {
    assert_eq!(&call_odd(&rig.gateway, tool, expected).await, expected, "{tool}");
    assert_serves(rig.address(), "good").await;
    assert_serves(rig.address(), "odd").await;
}

fn text(text: &str) -> Outcome {
    Outcome::Text(text.to_owned())
}

#[tokio::test]
async fn an_odd_answer_costs_only_the_call_it_was_for() {
    let rig = WithChildren::start("plain");
    assert_serves(rig.address(), "odd").await;
    let timeout = Outcome::failed("upstream_timeout", true);
    let protocol = Outcome::failed("upstream_protocol_error", true);
    for (tool, expected) in [
        ("never", &timeout),
        ("wrong_id", &timeout),
        // Ids are compared with their type.
        ("text_id", &timeout),
        ("no_message", &timeout),
        ("fraction_code", &protocol),
        ("text_code", &protocol),
        ("huge_code", &protocol),
        ("not_utf8", &protocol),
        ("neither", &protocol),
        ("too_deep", &protocol),
        ("tool_error", &Outcome::Error(-32602)),
        ("two_answers", &text("first")),
        ("strays", &text("after strays")),
        ("crlf", &text("crlf")),
        ("nuls", &text("nuls")),
        ("unknown_progress", &text("after progress")),
        ("stderr", &text("after stderr")),
    ] {
        check(&rig, tool, expected).await;
    }
    assert_eq!(rig.ledger.spawned().len(), 1, "one child did all of this");
}

#[tokio::test]
async fn a_modern_child_may_not_invent_result_types() {
    let rig = WithChildren::start("modern");
    assert_serves(rig.address(), "odd").await;
    check(&rig, "unknown_type", &Outcome::failed("upstream_protocol_error", true)).await;
}

#[tokio::test]
async fn a_child_that_breaks_off_loses_its_calls_and_is_started_again() {
    let lost = Outcome::failed("outcome_unknown", true);
    for (tool, expected) in [
        ("exits", &lost),
        ("half_line", &lost),
        ("closes_stdout", &lost),
        ("line_without_end", &Outcome::failed("upstream_protocol_error", true)),
    ] {
        let rig = WithChildren::start("plain");
        assert_serves(rig.address(), "odd").await;
        check(&rig, tool, expected).await;
        assert_eq!(rig.ledger.spawned().len(), 2, "{tool}");
    }
}

#[tokio::test]
async fn a_child_that_closes_its_stdin_is_started_again() {
    let rig = WithChildren::start("plain");
    assert_serves(rig.address(), "odd").await;
    check(&rig, "closes_stdin", &text("stdin is closed")).await;
    assert_eq!(rig.ledger.spawned().len(), 2);
}

#[tokio::test]
async fn a_child_that_does_not_come_up_is_unavailable_and_nothing_was_sent() {
    let unavailable = Outcome::failed("upstream_unavailable", false);
    // The test harness has written one line before the child does.
    let too_many = format!("banner:{}", limits::BANNER_LINES_MAX);
    for start in ["exit", "silent", "endless_line", &too_many] {
        let rig = WithChildren::start(start);
        assert_eq!(call(rig.address(), "odd__echo", "x").await, unavailable, "{start}");
        assert_serves(rig.address(), "good").await;
        let list = Client::ask(rig.address(), &Request::modern("tools/list", None, "")).await;
        assert!(list.json()["result"]["tools"].is_array(), "{start}: {}", list.text());
        assert!(rig.ledger.after("read").iter().all(|line| !line.contains("tools/call")), "{start}");
    }
}

#[tokio::test]
async fn a_child_may_say_something_else_first_and_take_its_time() {
    let banner = format!("banner:{}", limits::BANNER_LINES_MAX - 1);
    for start in [&banner, "slow:300"] {
        let rig = WithChildren::unhurried(start);
        assert_eq!(call(rig.address(), "odd__echo", "x").await, text("x"), "{start}");
        assert_eq!(rig.ledger.spawned().len(), 1, "{start}");
    }
}

#[tokio::test]
async fn a_call_that_was_given_up_is_cancelled_at_the_child() {
    let rig = WithChildren::start("plain");
    assert_serves(rig.address(), "odd").await;
    assert_eq!(call(rig.address(), "odd__never", "x").await, Outcome::failed("upstream_timeout", true));
    let messages = || -> Vec<Value> {
        rig.ledger.after("read").iter().map(|line| serde_json::from_str(line).expect("a message")).collect()
    };
    let of = |method: &str| {
        messages().into_iter().find(|message| message["method"] == method && message["params"]["name"] != "echo")
    };
    eventually("a cancellation", || of("notifications/cancelled").is_some()).await;
    let (call, cancelled) = (of("tools/call").expect("a call"), of("notifications/cancelled").expect("a cancellation"));
    assert_eq!(cancelled["params"]["requestId"], call["id"]);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_goes_to_nobody() {
    let rig = WithChildren::start("plain");
    assert_serves(rig.address(), "odd").await;
    assert_eq!(call(rig.address(), "odd__held", "x").await, Outcome::failed("upstream_timeout", true));
    rig.gateway.overlay().apply(UNHURRIED).expect("a sound overlay");
    // In the midst of these it arrives, and before the last one.
    rig.ledger.note(format_args!("go on"));
    let mut said = false;
    while !said {
        said = !rig.ledger.after("said").is_empty();
        assert_eq!(call(rig.address(), "odd__echo", "own").await, text("own"));
    }
    assert_eq!(rig.ledger.spawned().len(), 1);
}

#[tokio::test]
async fn requests_of_a_child_are_answered_by_the_gateway() {
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    let Outcome::Text(answers) = call(rig.address(), "odd__asks", "x").await else { unreachable!("it got answers") };
    let answers: Value = serde_json::from_str(&answers).expect("what it got");
    let answer = |id: Value| answers.as_array().and_then(|all| all.iter().find(|answer| answer["id"] == id).cloned());
    assert_eq!(answer(json!("s-1")).expect("ping")["result"], json!({}));
    for id in [2, 3] {
        assert_eq!(answer(json!(id)).expect("an answer")["error"]["code"], -32601);
    }
}

#[tokio::test]
async fn a_child_that_never_stops_talking_is_still_heard_and_talked_to() {
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    assert_eq!(call(rig.address(), "odd__floods_notifications", "x").await, text("flooding"));
    for own in 0..20 {
        let own = own.to_string();
        assert_eq!(call(rig.address(), "odd__echo", &own).await, text(&own));
    }
    assert_serves(rig.address(), "good").await;
}

#[tokio::test]
async fn a_child_that_stops_reading_holds_up_nobody_else() {
    let rig = WithChildren::start("plain");
    assert_serves(rig.address(), "odd").await;
    let long = "x".repeat(128 << 10);
    let mut calls = tokio::task::JoinSet::new();
    let address = rig.address();
    calls.spawn(async move { call(address, "odd__reads_no_more", "x").await });
    let reached = || rig.ledger.after("read").iter().any(|line| line.contains("reads_no_more"));
    eventually("the call at the child", reached).await;
    for _ in 0..24 {
        let long = long.clone();
        calls.spawn(async move { call(address, "odd__echo", &long).await });
    }
    while let Some(outcome) = calls.join_next().await {
        assert!(outcome.expect("a call") == Outcome::failed("upstream_timeout", true));
        assert_serves(rig.address(), "good").await;
    }
    let began = Instant::now();
    drop(rig.stop());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn calls_in_flight_together_never_get_each_others_answers() {
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..64 {
        let address = rig.address();
        clients.spawn(async move {
            let mut connection = Client::connect(address).await;
            for turn in 0..20 {
                let own = format!("{client}-{turn}");
                let request = Request::call("odd__echo", &json!({ "text": own }).to_string());
                assert_eq!(Outcome::of(&connection.exchange(&request).await), Outcome::Text(own));
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("every call got its own answer");
    }
    assert_eq!(rig.ledger.spawned().len(), 1);
}
