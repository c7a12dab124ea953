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

/// H65: what came in time does not move the deadline of the whole.
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
