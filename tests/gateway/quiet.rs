//! Streams on which nothing is said for long: each shows that it lives, and asks proxies not to hold it back.

use only1mcp::limits;

use crate::legacy;
use crate::support::client::{Client, Event, Request};
use crate::support::gateways;

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
    );
}
