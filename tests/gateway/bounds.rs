//! Bounds that take many clients, or many names, to reach: what is told at them, and that they are left again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use only1mcp::{Gateway, limits};
use tokio::net::TcpStream;

use crate::params::Params;
use crate::support::client::{Client, META, Request, within};
use crate::support::gateways::Recorded;
use crate::support::http2::{Http2, part};
use crate::support::recorder::Recorder;
use crate::support::server::{Request as Received, Server, json_answer, modern};

/// A client that listens, for nothing that any server would have to be asked for.
fn listens() -> Request {
    let params = format!(r#""params":{{"notifications":{{}},"_meta":{{{META}}}}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen",{params}}}"#);
    Request::raw("subscriptions/listen", None, body)
}

#[tokio::test]
async fn a_client_that_listens_beyond_the_bound_is_told_so_until_another_one_leaves() {
    let upstream = Recorder::start();
    let builder = Gateway::<Recorded>::builder().address("127.0.0.1:0").workers(1);
    let builder = builder.reference("ADMIN_URL", upstream.url()).reference("DATA_URL", upstream.url());
    let gateway = builder.start().expect("the gateway starts");
    let mut streams = Vec::with_capacity(limits::LISTENERS_MAX);
    while streams.len() < limits::LISTENERS_MAX {
        let connected = within("a connection", TcpStream::connect(gateway.address())).await;
        let mut client = Http2::over(connected.expect("the gateway listens")).await;
        let more = (limits::HTTP2_STREAMS_MAX as usize).min(limits::LISTENERS_MAX - streams.len());
        for _ in 0..more {
            let asked = client.ask(&listens(), true).await.expect("the connection stands");
            let (head, mut body) = asked.head().await.expect("a head");
            assert_eq!(head.status, 200, "{}", streams.len());
            let first = part(&mut body).await.expect("the stream stands").expect("an acknowledgement");
            assert!(String::from_utf8_lossy(&first).contains("acknowledged"), "{first:?}");
            streams.push(body);
        }
    }
    let mut client = Client::connect(gateway.address()).await;
    let refused = client.exchange(&listens()).await;
    assert_eq!((refused.status, refused.code()), (503, Some(-32603)), "{}", refused.text());
    assert_eq!((refused.kind().as_deref(), refused.field("retry-after")), (Some("overloaded"), Some("1")));
    // Others are served meanwhile.
    assert_eq!(client.exchange(&Request::call("admin__echo", "{}")).await.status, 200);
    streams.pop();
    within("room for another", async {
        loop {
            let mut client = Client::connect(gateway.address()).await;
            client.write(&listens().bytes()).await;
            match client.head().await.status {
                200 => break,
                status => assert_eq!(status, 503),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn of_more_tools_than_a_worker_knows_the_headers_of_the_refusal_is_the_answer() {
    let [calls, lists] = [(); 2].map(|()| Arc::<AtomicUsize>::default());
    let (called, listed) = (Arc::clone(&calls), Arc::clone(&lists));
    let far = Server::start(modern(move |request: &Received| {
        let id = request.id();
        let body = if request.rpc() == "tools/list" {
            listed.fetch_add(1, Ordering::SeqCst);
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[],"resultType":"complete"}}}}"#)
        } else {
            called.fetch_add(1, Ordering::SeqCst);
            format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32020,"message":"m"}}}}"#)
        };
        vec![json_answer(200, &body)]
    }));
    let builder = Gateway::<Params>::builder().workers(1).reference("NEAR_URL", far.url());
    let gateway = builder.reference("FAR_URL", far.url()).start().expect("the gateway starts");
    let mut client = Client::connect(gateway.address()).await;
    for index in 0..=limits::RELISTED_TOOLS_MAX {
        let answer = client.exchange(&Request::call(&format!("de{index}"), "{}")).await;
        assert_eq!((answer.status, answer.code()), (400, Some(-32020)), "{index}: {}", answer.text());
        let asked = (calls.load(Ordering::SeqCst), lists.load(Ordering::SeqCst));
        assert_eq!(asked, (index + 1, (index + 1).min(limits::RELISTED_TOOLS_MAX)), "{index}");
    }
}
