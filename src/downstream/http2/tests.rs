//! Bodies that come at once, and answers that nobody takes.

use std::time::Duration;

use super::*;

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

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_loses_its_stream() {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (client, server) = tokio::join!(h2::client::handshake(theirs), h2::server::handshake::<_>(ours));
    let ((mut client, driver), mut server) = (client.expect("a client"), server.expect("a server"));
    let request = Request::get("http://localhost/mcp").body(()).expect("a request");
    // It gives back nothing of its window.
    let (_answer, _sender) = client.send_request(request, true).expect("room for one");
    let clock = crate::clock::Clock::late(limits::WRITE_TIMEOUT + Duration::from_secs(1));
    let mut driver = std::pin::pin!(driver);
    let (_request, respond) = tokio::select! {
        accepted = server.accept() => accepted.expect("a request").expect("it stands"),
        ended = &mut driver => unreachable!("the server lives: {ended:?}"),
    };
    let writer = Writer::new(respond, clock.deadline(), false);
    let long = vec![b'x'; 1 << 20];
    let body = [&long[..]];
    let answer = proxy::Answer { status: 200, fields: "", body: &body, close: false };
    let written = tokio::select! {
        biased;
        written = proxy::Downstream::answer(&writer, &answer) => written,
        _ = server.accept() => unreachable!("there is one request"),
        ended = &mut driver => unreachable!("the server lives: {ended:?}"),
        () = clock.run() => unreachable!("the tick never ends"),
    };
    assert_eq!(written, Err(Gone));
}
