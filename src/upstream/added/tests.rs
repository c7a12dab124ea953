//! Who has which place, and for how long; and what is kept up meanwhile.

use only1mcp_model::{Source, load};

use super::*;
use crate::catalog;

/// A backend by what a topology says of it.
fn backend(settings: &str) -> Backend {
    let text = format!("name: test\nbackends:\n  extra: {{ {settings} }}\n");
    let topology = Source { path: "test.yaml".to_owned(), text };
    let (plan, _warnings) = load(&topology, None, &catalog::features()).expect("a topology");
    plan.backends.first().expect("a backend").clone()
}

const REACHED: &str = "transport: { streamable_http: {} }, \
                       endpoints: [{ url: 'http://127.0.0.1:1/mcp' }, { url: 'http://127.0.0.1:2/mcp' }]";

#[cfg(feature = "transport-stdio")]
fn started() -> Backend {
    backend("transport: { stdio: { command: cat } }")
}

fn entered(additions: &Arc<Additions>, backend: &Backend) -> Addition {
    additions.enter(backend).expect("there is a place")
}

#[test]
fn what_calls_go_by_is_changed_at_the_same_place() {
    let additions = Arc::<Additions>::default();
    let position = entered(&additions, &backend(REACHED)).position;
    for settings in [
        "timeout: 7s",
        "concurrency: { max: 3 }",
        "retry: { attempts: 3 }",
        "retry: off",
        "hedge: { after: 1s }",
        "circuit_breaker: { failures: 9 }",
        "circuit_breaker: off",
        "health: { interval: 1s }",
    ] {
        let changed = backend(&format!("{REACHED}, {settings}"));
        assert_ne!(changed, backend(REACHED), "{settings}");
        assert_eq!(additions.foresee(std::slice::from_ref(&changed)), Some(vec![position]), "{settings}");
        assert_eq!(entered(&additions, &changed).position, position, "{settings}");
    }
    for settings in ["era: legacy", "balance: { random: {} }", "slow_start: 1s"] {
        let other = entered(&additions, &backend(&format!("{REACHED}, {settings}")));
        assert_ne!(other.position, position, "{settings}");
    }
}

#[cfg(feature = "transport-stdio")]
#[test]
fn trials_keep_a_backend_up_whatever_is_decided_meanwhile_and_leave_what_was() {
    let additions = Arc::<Additions>::default();
    let upkeep = entered(&additions, &started()).tuning.upkeep;
    // In force, and disabled.
    additions.keep(&[0]);
    upkeep.set(false);
    let [mut first, mut second] = [Trial::new(&additions), Trial::new(&additions)];
    first.enter(&started()).expect("a place");
    second.enter(&started()).expect("a place");
    assert!(upkeep.is_due());
    // Somebody publishes something else.
    upkeep.set(false);
    assert!(upkeep.is_due(), "it is asked yet");
    // The second enables it, and the first comes to nothing.
    upkeep.set(true);
    drop(second);
    drop(first);
    assert!(upkeep.is_due(), "it is in force and enabled");

    let mut third = Trial::new(&additions);
    third.enter(&started()).expect("a place");
    upkeep.set(false);
    drop(third);
    assert!(!upkeep.is_due(), "it is disabled");
}

#[cfg(feature = "transport-stdio")]
#[test]
fn a_place_whose_links_were_closed_is_not_given_out_again_though_somebody_holds_it() {
    let additions = Arc::<Additions>::default();
    let mut trial = Trial::new(&additions);
    let first = trial.enter(&started()).expect("a place");
    // One that never was in force is the same for all who try it.
    assert_eq!(Trial::new(&additions).enter(&started()).expect("a place").position, first.position);
    additions.keep(&[first.position]);
    assert_eq!(entered(&additions, &started()).position, first.position);
    // It is taken out, which closes its links, while it is still on trial.
    additions.keep(&[]);
    let foreseen = additions.foresee(&[started()]).expect("there is a place");
    let second = entered(&additions, &started());
    assert_ne!(second.position, first.position);
    assert_eq!(foreseen, [second.position]);
    // The end of the trial takes no place away.
    drop((trial, first));
    assert_eq!(entered(&additions, &started()).position, second.position);

    // What opens again comes back where it was.
    let linked = entered(&additions, &backend(REACHED)).position;
    additions.keep(&[linked]);
    additions.keep(&[]);
    assert_eq!(entered(&additions, &backend(REACHED)).position, linked);
}
