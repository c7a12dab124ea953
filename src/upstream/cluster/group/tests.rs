//! Which endpoints calls may go to while some of them are not as they were.

use only1mcp_model::{Source, load};

use super::*;
use crate::catalog;

/// A backend of two endpoints, and how much of the calls each gets.
fn two(settings: &str, weights: [usize; 2]) -> Group {
    let endpoints = "endpoints: [{ url: 'http://127.0.0.1:1/mcp' }, { url: 'http://127.0.0.1:2/mcp' }]";
    let settings = format!("transport: {{ streamable_http: {{}} }}, {endpoints}, {settings}");
    let text = format!("name: test\nbackends:\n  extra: {{ {settings} }}\n");
    let topology = Source { path: "test.yaml".to_owned(), text };
    let (plan, _warnings) = load(&topology, None, &catalog::features()).expect("a topology");
    let backend = plan.backends.first().expect("a backend");
    let tuning = Tuning::new(backend);
    tuning.weights.set(backend, Some(&weights));
    let group = Group::new(backend, tuning);
    group.reconsider();
    group
}

/// One of which the second endpoint was away and is back.
fn back(settings: &str) -> Group {
    let group = two(settings, [1, 1]);
    group.asked(1, Some("it is away"));
    assert_eq!(group.among(), 0b01);
    group.asked(1, None);
    group
}

/// As it is so much later.
fn later(mut group: Group, by: Duration) -> Group {
    group.since = group.since.checked_sub(by).expect("a time");
    group
}

/// Of ten thousand calls, to how many the second endpoint is open; the first one is to all.
fn open_to(group: &Group) -> u32 {
    let chance = Chance::new(0);
    let among: Vec<u64> = (0..10_000).map(|_| group.among_by(|| Some(&chance))).collect();
    assert!(among.iter().all(|among| among & 0b01 != 0));
    among.into_iter().map(|among| among.count_ones() - 1).sum()
}

#[test]
fn an_endpoint_that_is_back_gets_its_calls_little_by_little() {
    let group = back("slow_start: 1m, health: { healthy: 1, unhealthy: 1 }");
    // A tenth at first, by chance within five standard deviations, and some seconds.
    let first = open_to(&group);
    assert!((850..2500).contains(&first), "{first}");
    // A call that is to find it again finds it.
    assert_eq!(group.among(), 0b11);
    let group = later(group, Duration::from_secs(30));
    let half = open_to(&group);
    assert!((4750..7000).contains(&half), "{half}");
    let group = later(group, Duration::from_secs(30));
    assert_eq!((open_to(&group), group.well.load(Relaxed)), (10_000, 0b11));
}

#[test]
fn without_slow_start_it_gets_them_at_once() {
    assert_eq!(open_to(&back("health: { healthy: 1, unhealthy: 1 }")), 10_000);
}

#[test]
fn where_all_others_are_away_it_gets_all_calls() {
    let group = back("slow_start: 1m, health: { healthy: 1, unhealthy: 1 }");
    group.asked(0, Some("it is away"));
    let chance = Chance::new(0);
    assert!((0..100).all(|_| group.among_by(|| Some(&chance)) == 0b10));
}

#[test]
fn why_no_endpoint_takes_a_call_those_say_that_are_to_get_some() {
    let settings = "health: { healthy: 1, unhealthy: 1 }, circuit_breaker: { failures: 1, open: 1m }";
    let sick: fn(&Group) = |group| group.asked(0, Some("it is away"));
    let rests: fn(&Group) = |group| group.take(0).expect("it is well").rests(Duration::from_secs(30));
    let fails: fn(&Group) = |group| group.failed((0, 0), Kind::Timeout);
    for (becomes, kind, detail) in [
        (sick, Kind::Unavailable, "its endpoint with a weight above 0 is unhealthy, by its answers to health checks"),
        (rests, Kind::Overloaded, "its endpoint with a weight above 0 asks to be left alone (`Retry-After`)"),
        (fails, Kind::CircuitOpen, "its endpoint with a weight above 0 failed too often: its circuit is open"),
    ] {
        let group = two(settings, [1, 0]);
        becomes(&group);
        assert_eq!(group.among(), 0);
        let refusal = group.refusal();
        assert_eq!((refusal.kind, &*refusal.detail, refusal.sent), (kind, detail, false));
        assert_eq!(refusal.retry_after.is_some(), kind != Kind::Unavailable, "{detail}");
    }
    // Of two that are to get some, each says its own.
    let group = two(settings, [1, 1]);
    sick(&group);
    assert_eq!(group.among(), 0b10);
    group.failed((1, 0), Kind::Timeout);
    let refusal = group.refusal();
    let detail = "its 2 endpoints are unhealthy, or failed too often: their circuits are open";
    assert_eq!((refusal.kind, &*refusal.detail), (Kind::CircuitOpen, detail));
}
