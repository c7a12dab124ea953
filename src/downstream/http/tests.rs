//! Deadlines of a connection that are too long to be waited for through a gateway.

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::clock::Clock;

/// A connection: the gateway's end and the client's.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
    (listener.accept().await.expect("a client").0, client)
}

/// What came in time does not move the deadline of the whole.
#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_given_up() {
    for (framing, part) in [(Framing::Length(10), "ab"), (Framing::Chunked, "a\r\nab")] {
        let (stream, mut client) = connection().await;
        client.write_all(part.as_bytes()).await.expect("the gateway reads");
        let clock = Clock::late(limits::BODY_TIMEOUT + Duration::from_secs(1));
        let deadline = clock.deadline();
        let stream = RefCell::new(Stream::Tcp(stream));
        let mut reader = Reader { stream: &stream, deadline: &deadline, buffer: Vec::new(), began: false, first: true };
        let mut chunked = Vec::new();
        let read = tokio::select! {
            biased;
            read = reader.body(0, framing, &mut chunked) => read,
            () = clock.run() => unreachable!("the tick never ends"),
        };
        assert!(matches!(read, Ok(Err(Refusal::RequestTimeout))), "{framing:?}: {read:?}");
    }
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_let_go() {
    let (stream, _client) = connection().await;
    let clock = Clock::late(limits::IDLE_TIMEOUT + Duration::from_secs(1));
    let deadline = clock.deadline();
    let stream = RefCell::new(Stream::Tcp(stream));
    let mut reader = Reader { stream: &stream, deadline: &deadline, buffer: Vec::new(), began: false, first: true };
    let drain = Drain::default();
    let begun = tokio::select! {
        biased;
        begun = reader.begin(&drain) => begun,
        () = clock.run() => unreachable!("the tick never ends"),
    };
    assert_eq!(begun, Err(Gone));
}

/// Whoever takes some of an answer has the same time again, and whoever takes nothing has no more.
#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_let_go() {
    let (stream, _client) = connection().await;
    let clock = Clock::late(limits::WRITE_TIMEOUT + Duration::from_secs(1));
    let writing = clock.deadline();
    let stream = RefCell::new(Stream::Tcp(stream));
    let peer = Peer { stream: &stream, writing: &writing, ahead: RefCell::default() };
    let writer = Writer::new(&peer);
    // More than two sockets hold.
    let long = vec![b'x'; 64 << 20];
    let body = [&long[..]];
    let answer = proxy::Answer { status: 200, fields: "", body: &body, close: false };
    let written = tokio::select! {
        biased;
        written = writer.answer(&answer) => written,
        () = clock.run() => unreachable!("the tick never ends"),
    };
    assert_eq!(written, Err(Gone));
}
