//! Beats of a connection that nobody would wait for.

use super::*;

fn pulse() -> (Pulse, Rc<Cell<u64>>) {
    let taken = Rc::new(Cell::new(0));
    (Pulse::new(None, Rc::clone(&taken)), taken)
}

/// Whoever sends and does not read is not read from either, and so is silent.
#[test]
fn who_is_silent_for_two_beats_is_let_go() {
    let (mut pulse, taken) = pulse();
    for _ in 0..100 {
        taken.set(taken.get() + 17);
        assert!(pulse.beat(false, true), "it is heard");
    }
    assert!(pulse.beat(false, true), "it may be slow");
    assert!(!pulse.beat(false, true));
}

#[test]
fn a_connection_without_requests_is_told_to_go_and_then_let_go() {
    let (mut pulse, taken) = pulse();
    let mut beat = |idle| {
        // It answers pings.
        taken.set(taken.get() + 17);
        (pulse.beat(idle, true), pulse.is_idle())
    };
    let beats = limits::IDLE_TIMEOUT.as_secs() / limits::KEEP_ALIVE.as_secs();
    for _ in 1..beats {
        assert_eq!(beat(true), (true, false));
    }
    assert_eq!(beat(false), (true, false), "a request begins it anew");
    for _ in 1..beats {
        assert_eq!(beat(true), (true, false));
    }
    assert_eq!(beat(true), (true, true));
    assert_eq!(beat(true), (false, false));
}

#[test]
fn who_is_not_asked_is_not_expected_to_say_anything() {
    let (mut pulse, _taken) = pulse();
    let beats = limits::IDLE_TIMEOUT.as_secs() / limits::KEEP_ALIVE.as_secs();
    for _ in 1..beats {
        assert!(pulse.beat(true, false) && !pulse.is_idle());
    }
    assert!(pulse.beat(true, false) && pulse.is_idle());
    // From here on it is asked: what was not heard before counts for nothing.
    assert!(pulse.beat(false, true));
    assert!(!pulse.beat(false, true));
}
