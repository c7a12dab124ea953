//! What calls go by, set otherwise by an overlay while the gateway runs: bounds, retries, circuit breakers, health checks.
//! What each of them does is tested elsewhere.

use only1mcp::Running;

use crate::support::client::within;
use crate::support::held::Held;
use crate::support::scripted::{Outcome, call};
use crate::support::server::{Counted, head, json_answer, nowhere, text_body};
use crate::traffic::{answered, checking, gateway, losing, sample, three, until_found};

/// Sets something of one backend.
pub(crate) fn set(gateway: &Running, backend: &str, settings: &str) {
    gateway.overlay().apply(&format!("backends: {{ {backend}: {{ {settings} }} }}")).expect("a good overlay");
}

/// Calls until a call comes to this: workers are told of a change.
async fn until(gateway: &Running, tool: &str, expected: &Outcome) {
    within("that calls are led by it", async { while call(gateway.address(), tool, "x").await != *expected {} }).await;
}

#[tokio::test]
async fn a_circuit_breaker_is_switched_on_and_off() {
    let (a, b, c) = (losing(), losing(), losing());
    let gateway = gateway([&a.server.url(), &b.server.url(), &c.server.url()]);
    let lost = Outcome::failed("outcome_unknown", true);
    assert_eq!(call(gateway.address(), "turns__write", "x").await, lost);
    set(&gateway, "turns", "circuit_breaker: { failures: 1, open: 10m }");
    until(&gateway, "turns__write", &Outcome::failed("circuit_open", false)).await;
    let before = [&a, &b, &c].map(Counted::calls);
    assert_eq!(call(gateway.address(), "turns__write", "x").await, Outcome::failed("circuit_open", false));
    assert_eq!([&a, &b, &c].map(Counted::calls), before);
    set(&gateway, "turns", "circuit_breaker: off");
    until(&gateway, "turns__write", &lost).await;
}

#[tokio::test]
async fn calls_are_made_again_as_the_overlay_says() {
    let places = three();
    let gateway = gateway([&places[0].server.url(), &nowhere(), &places[2].server.url()]);
    let missed = Outcome::failed("upstream_unavailable", false);
    // The topology makes none of them again, and all of these.
    until(&gateway, "turns__write", &missed).await;
    let names = answered(&gateway, "again__write", ["x"; 6]).await;
    assert!(names.len() == 6, "{names}");
    let overlay = "backends: { turns: { retry: { attempts: 2, budget: 100% } }, again: { retry: off } }";
    gateway.overlay().apply(overlay).expect("a good overlay");
    until(&gateway, "again__write", &missed).await;
    let names = answered(&gateway, "turns__write", ["x"; 8]).await;
    assert!(names.chars().all(|name| "ac".contains(name)), "{names}");
    gateway.overlay().apply("{}").expect("a good overlay");
    until(&gateway, "turns__write", &missed).await;
}

#[tokio::test]
async fn a_lower_bound_holds_for_the_next_call_and_whoever_waits_is_let_in_when_it_is_raised() {
    let mut held = Held::start();
    let gateway = gateway([&held.recorder.url(), &nowhere(), &nowhere()]);
    let address = gateway.address();
    let begin = || tokio::spawn(async move { call(address, "narrow__write", "x").await });
    let mut calls = vec![begin()];
    held.recorder.post().await;
    set(&gateway, "narrow", "concurrency: { max: 1, queue: 1, queue_timeout: 1m }");
    let waiting = r#"only1mcp_upstream_calls_waiting{backend="narrow"}"#;
    loop {
        calls.push(begin());
        let waits = async {
            loop {
                if sample(&gateway, waiting).await == Some(1.0) {
                    break true;
                }
                if held.recorder.try_post().is_some() {
                    break false;
                }
            }
        };
        if within("that a call waits, or is sent by a worker that does not know better yet", waits).await {
            break;
        }
        held.release(1);
    }
    assert_eq!(begin().await.expect("a call"), Outcome::failed("overloaded", false));
    gateway.overlay().apply("{}").expect("a good overlay");
    held.recorder.post().await;
    held.release(2);
    for call in calls {
        assert_eq!(call.await.expect("a call"), Outcome::Text("done".to_owned()));
    }
    let raised = gateway.overlay().apply("backends: { narrow: { concurrency: { max: 3 } } }").expect_err("it loosens");
    assert!(format!("{raised:?}").contains("more than the 2 that are compiled"), "{raised:?}");
}

#[tokio::test]
async fn endpoints_are_asked_as_the_overlay_says_or_not_at_all() {
    let place = |name: &'static str, path: &'static str| {
        Counted::start(move |request| match request.method.as_str() {
            "GET" if request.target == path => vec![head(204, "")],
            "GET" => vec![head(404, "content-length: 0\r\n")],
            _ => vec![json_answer(200, &text_body(&request.id(), name))],
        })
    };
    let (a, b) = (place("a", "/other"), place("b", "/health"));
    let gateway = checking([&a.server.url(), &b.server.url(), &nowhere()]);
    until_found(&gateway, "asked", "env:P_URL", "unhealthy").await;
    assert_eq!(answered(&gateway, "asked__write", ["x"; 4]).await, "bbbb");
    set(
        &gateway,
        "asked",
        "health: { interval: 100ms, timeout: 30s, healthy: 1, unhealthy: 1, http: { path: /other, status: 204 } }",
    );
    until_found(&gateway, "asked", "env:P_URL", "healthy").await;
    until_found(&gateway, "asked", "env:Q_URL", "unhealthy").await;
    assert_eq!(answered(&gateway, "asked__write", ["x"; 4]).await, "aaaa");
    set(&gateway, "asked", "health: off");
    until(&gateway, "asked__write", &Outcome::Text("b".to_owned())).await;
    let names = answered(&gateway, "asked__write", ["x"; 4]).await;
    assert_eq!((names.matches('a').count(), names.matches('b').count()), (2, 2), "{names}");
}
