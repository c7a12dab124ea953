//! Beats of a connection that nobody would wait for, and bodies that come at once.

use super::*;

fn pulse() -> (Pulse, Rc<Cell<u64>>) {
    let taken = Rc::new(Cell::new(0));
    (Pulse { ping_pong: None, taken: Rc::clone(&taken), heard: 0, silent: 0, idle: 0 }, taken)
}

/// H91: whoever sends and does not read is not read from either, and so is silent.
#[test]
fn a_client_that_is_silent_for_two_beats_is_let_go() {
    let (mut pulse, taken) = pulse();
    for _ in 0..100 {
        taken.set(taken.get() + 17);
        assert!(pulse.beat(false), "it is heard");
    }
    assert!(pulse.beat(false), "it may be slow");
    assert!(!pulse.beat(false));
}

#[test]
fn a_client_that_asks_for_nothing_is_told_to_go_and_then_let_go() {
    let (mut pulse, taken) = pulse();
    let mut beat = |idle| {
        // It answers pings.
        taken.set(taken.get() + 17);
        (pulse.beat(idle), pulse.is_idle())
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

/// What a connection holds of bodies that are not whole, and when it takes no more.
#[tokio::test]
async fn bodies_that_come_at_once_have_a_bound_together() {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (client, server) = tokio::join!(h2::client::handshake(theirs), h2::server::handshake::<_>(ours));
    let ((mut client, driver), mut server) = (client.expect("a client"), server.expect("a server"));
    let request = Request::post("http://localhost/mcp").body(()).expect("a request");
    let (_answer, mut sender) = client.send_request(request, false).expect("room for one");
    sender.send_data(Bytes::from_static(b"{}"), true).expect("it stands");
    let clock = crate::clock::Clock::default();
    let (shared, deadline) = (Shared::default(), clock.deadline());
    let served = async {
        let (request, _respond) = server.accept().await.expect("a request").expect("it stands");
        let body = |held| {
            shared.held.set(held);
            &shared
        };
        let stream = request.into_body();
        let read = Body { stream, shared: body(limits::HTTP2_BODIES_BYTES_MAX - 1), held: 0 };
        assert!(matches!(read.read(Framing::UntilClose, &deadline).await, Err(Unread::NotNow)));
        assert_eq!(shared.held.get(), limits::HTTP2_BODIES_BYTES_MAX - 1, "it gives back what it took");
    };
    tokio::select! {
        () = served => {}
        ended = driver => unreachable!("the server lives: {ended:?}"),
    }
}
