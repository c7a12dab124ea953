//! Streams on which nothing is said for long: each shows that it lives, and asks proxies not to hold it back.

use only1mcp::{Running, limits};
use tokio::net::TcpStream;

use crate::legacy;
use crate::support::client::{Client, Event, Request};
use crate::support::gateways;
use crate::support::http2::{Http2, part};

/// Reads the head of a stream and so many comments, of which the last came by itself.
async fn is_shown_to_live(mut client: Client, request: Request, comments: usize) {
    client.write(&request.bytes()).await;
    // Longer than any one step of a test may take.
    tokio::time::sleep(limits::KEEP_ALIVE).await;
    let head = client.head().await;
    let fields = ["content-type", "cache-control", "x-accel-buffering"].map(|name| head.field(name));
    assert_eq!(fields, [Some("text/event-stream"), Some("no-store"), Some("no")], "{request:?}");
    let mut seen = 0;
    while seen < comments {
        match client.event().await.expect("the stream stands") {
            Event::Endpoint(_) | Event::Primed { .. } => {}
            Event::Comment(said) => {
                assert_eq!(said, "keep-alive", "{request:?}");
                seen += 1;
            }
            said @ Event::Message(_) => assert_eq!(said, Event::Comment(String::new()), "{request:?}"),
        }
    }
}

/// The same of a stream of HTTP/2.
async fn is_shown_to_live_over_http2(gateway: &Running, request: &Request) {
    let mut client = Http2::over(TcpStream::connect(gateway.address()).await.expect("the gateway listens")).await;
    let asked = client.ask(request, true).await.expect("the connection stands");
    tokio::time::sleep(limits::KEEP_ALIVE).await;
    let (head, mut body) = asked.head().await.expect("a head");
    assert_eq!(head.field("x-accel-buffering"), Some("no"), "{request:?}");
    let mut read = Vec::new();
    while !read.ends_with(b": keep-alive\n\n") {
        read.extend_from_slice(&part(&mut body).await.expect("the stream stands").expect("it goes on"));
    }
}

#[tokio::test]
async fn every_stream_that_is_quiet_carries_comments() {
    let gateway = gateways::demo();
    let session = legacy::session(gateway.address()).await;
    let long = format!(r#"{{"milliseconds":{}}}"#, limits::KEEP_ALIVE.as_millis() * 3 / 2);
    let own = Request::bare("GET /mcp HTTP/1.1").field("Accept", "text/event-stream").field("Mcp-Session-Id", &session);
    let posted = legacy::message("tools/call", &format!(r#"{{"name":"admin__wait","arguments":{long}}}"#));
    let connect = || Client::connect(gateway.address());
    tokio::join!(
        async { is_shown_to_live(connect().await, Request::call("admin__wait", &long), 1).await },
        async { is_shown_to_live(connect().await, Request::legacy(&session, posted), 1).await },
        async { is_shown_to_live(connect().await, own, 1).await },
        async { is_shown_to_live(connect().await, Request::bare("GET /sse HTTP/1.1"), 1).await },
        async { is_shown_to_live_over_http2(&gateway, &Request::call("admin__wait", &long)).await },
        async { is_shown_to_live_over_http2(&gateway, &Request::bare("GET /sse HTTP/1.1")).await },
    );
}
