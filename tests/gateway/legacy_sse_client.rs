//! A client of HTTP+SSE: it reads everything from one stream, and posts everything it says.

use std::net::SocketAddr;
use std::time::Instant;

use only1mcp::limits;
use serde_json::{Value, json};

use crate::stdio_client::{call, initialize, request, text};
use crate::support::client::{Answer, Client, Event, META, PATIENCE, Request, within};
use crate::support::gateways;
use crate::support::recorder::Recorder;

/// A stream and where to post to it.
pub(crate) struct Stream {
    address: SocketAddr,
    pub(crate) events: Client,
    endpoint: String,
}

// === impl Stream ===

impl Stream {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::open_at(address, "/sse", Client::connect(address).await).await
    }

    async fn open_at(address: SocketAddr, path: &str, mut events: Client) -> Self {
        events.write(&Request::bare(&format!("GET {path} HTTP/1.1")).bytes()).await;
        let head = events.head().await;
        let fields = ["content-type", "cache-control", "x-accel-buffering"].map(|name| head.field(name));
        assert_eq!((head.status, fields), (200, [Some("text/event-stream"), Some("no-store"), Some("no")]));
        let first = events.event().await;
        let Some(Event::Endpoint(endpoint)) = first else { unreachable!("the first event is the endpoint: {first:?}") };
        let id = endpoint.strip_prefix("/messages?sessionId=").expect("a path of the gateway");
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{endpoint}");
        Self { address, events, endpoint }
    }

    pub(crate) fn request(&self, body: &str) -> Request {
        let line = format!("POST {} HTTP/1.1", self.endpoint);
        Request::bare(&line).field("Content-Type", "application/json").with_body(body)
    }

    /// Posts on a connection of its own, which any worker may have.
    async fn post(&self, body: &str) -> Answer {
        Client::ask(self.address, &self.request(body)).await
    }

    pub(crate) async fn say(&self, body: &str) {
        let answer = self.post(body).await;
        assert_eq!((answer.status, answer.body.len()), (202, 0), "{}", answer.text());
    }

    pub(crate) async fn hear(&mut self) -> Value {
        self.events.message().await.expect("a message")
    }

    async fn ask(&mut self, body: &str) -> Value {
        self.say(body).await;
        self.hear().await
    }
}

fn wait(id: u32, milliseconds: u32) -> String {
    let arguments = format!(r#"{{"milliseconds":{milliseconds},"steps":2}}"#);
    let params = format!(r#"{{"name":"admin__wait","arguments":{arguments},"_meta":{{"progressToken":"p{id}"}}}}"#);
    request(&id.to_string(), "tools/call", &params)
}

#[tokio::test]
async fn a_stream_is_a_session_of_every_legacy_revision_and_ends_with_it() {
    let gateway = gateways::demo();
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut stream = Stream::open(gateway.address()).await;
        let early = stream.ask(&request("1", "tools/list", "{}")).await;
        assert_eq!((&early["id"], &early["error"]["code"]), (&json!(1), &json!(-32600)), "{early}");
        let greeted = stream.ask(&initialize(version)).await;
        assert_eq!(greeted["result"]["protocolVersion"], version, "{greeted}");
        stream.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        let listed = stream.ask(&request("2", "tools/list", "{}")).await;
        assert_eq!(listed["result"]["tools"].as_array().map(Vec::len), Some(13), "{listed}");
        let legacy = stream.ask(&request("3", "tools/call", r#"{"name":"math__add","arguments":{"a":2,"b":2}}"#)).await;
        assert_eq!((text(&legacy), &legacy["result"]["resultType"]), ("4", &Value::Null), "{legacy}");
        let unknown = stream.ask(&request("4", "tools/call", r#"{"name":"math__ad","arguments":{}}"#)).await;
        assert_eq!((&unknown["id"], &unknown["error"]["code"]), (&json!(4), &json!(-32602)), "{unknown}");

        let endpoint = stream.request(&request("5", "ping", "{}"));
        drop(stream);
        let began = Instant::now();
        let over = loop {
            let answer = Client::ask(gateway.address(), &endpoint).await;
            if answer.status != 202 || began.elapsed() > PATIENCE {
                break answer;
            }
        };
        assert_eq!((over.status, over.code()), (404, Some(-32600)), "{}", over.text());
    }
}

#[tokio::test]
async fn modern_requests_are_served_on_a_stream_too() {
    let gateway = gateways::demo();
    let mut stream = Stream::open(gateway.address()).await;
    let modern = stream.ask(&call("2", "math__add", r#"{"a":1,"b":2}"#)).await;
    assert_eq!((text(&modern), &modern["result"]["resultType"]), ("3", &json!("complete")), "{modern}");
}

#[tokio::test]
async fn calls_of_many_streams_run_side_by_side_and_never_cross() {
    let gateway = gateways::demo();
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(Stream::open(gateway.address()).await);
    }
    for id in 0..24 {
        for (own, stream) in streams.iter().enumerate() {
            stream.say(&call(&id.to_string(), "admin__echo", &format!(r#"{{"own":{own},"id":{id}}}"#))).await;
        }
    }
    for (own, mut stream) in streams.into_iter().enumerate() {
        let mut ids = Vec::new();
        for _ in 0..24 {
            let answer = stream.hear().await;
            let id = answer["id"].as_u64().expect("an id");
            let echoed: Value = serde_json::from_str(text(&answer)).expect("JSON");
            assert_eq!(echoed, json!({ "own": own, "id": id }));
            ids.push(id);
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..24).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn progress_goes_before_its_answer_and_a_cancelled_call_has_none() {
    let gateway = gateways::demo();
    let mut stream = Stream::open(gateway.address()).await;
    stream.ask(&initialize("2024-11-05")).await;
    stream.say(&wait(7, 20)).await;
    let heard = [stream.hear().await, stream.hear().await, stream.hear().await];
    assert_eq!([&heard[0], &heard[1]].map(|step| &step["params"]["progressToken"]), [&json!("p7"); 2], "{heard:?}");
    assert_eq!((&heard[2]["id"], text(&heard[2])), (&json!(7), "waited 20 ms"), "{heard:?}");
    stream.say(&wait(8, 60_000)).await;
    stream.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":8}}"#).await;
    let next = stream.ask(&request("9", "ping", "{}")).await;
    assert_eq!((&next["id"], &next["result"]), (&json!(9), &json!({})), "{next}");
}

#[tokio::test]
async fn a_client_that_closes_its_stream_cancels_its_calls() {
    let gateway = gateways::demo();
    let mut stream = Stream::open(gateway.address()).await;
    stream.ask(&initialize("2025-11-25")).await;
    let mut observer = Stream::open(gateway.address()).await;
    let running = call("1", "admin__status", "{}");
    stream.say(&wait(1, 60_000)).await;
    stream.say(&wait(2, 60_000)).await;
    let state = |answer: Value| answer["result"]["structuredContent"].clone();
    within("calls", async { while state(observer.ask(&running).await)["calls_running"] != 2 {} }).await;
    drop(stream);
    within("no calls", async { while state(observer.ask(&running).await)["calls_running"] != 0 {} }).await;
    assert_eq!(state(observer.ask(&running).await)["calls_cancelled"], 2);
}

#[tokio::test]
async fn a_stream_below_the_path_shows_a_view() {
    let recorder = Recorder::start();
    let gateway = gateways::views(&recorder);
    let list = request("2", "tools/list", &format!(r#"{{"_meta":{{{META}}}}}"#));
    let mut counts = Vec::new();
    for path in ["/sse", "/sse/tables"] {
        let mut stream = Stream::open_at(gateway.address(), path, Client::connect(gateway.address()).await).await;
        let listed = stream.ask(&list).await;
        counts.push(listed["result"]["tools"].as_array().expect("a list").len());
        let hidden = stream.ask(&call("3", "admin__echo", "{}")).await;
        assert_eq!(hidden["error"]["code"] == -32602, path == "/sse/tables", "{hidden}");
    }
    assert!(counts[0] > counts[1], "{counts:?}");
    assert_eq!(Client::ask(gateway.address(), &Request::bare("GET /sse/absent HTTP/1.1")).await.status, 404);
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_by_status_and_the_stream_goes_on() {
    let gateway = gateways::demo();
    let mut stream = Stream::open(gateway.address()).await;
    let good = stream.request(&request("1", "ping", "{}"));
    let unknown = format!("POST /messages?sessionId={} HTTP/1.1", "0".repeat(32));
    let long = format!("[\"{}\"]", "x".repeat(limits::BODY_BYTES_MAX));
    for (refused, status, allow) in [
        (good.clone().line(&unknown), 404, None),
        (good.clone().line("POST /messages?sessionId=7 HTTP/1.1"), 404, None),
        (good.clone().line("POST /messages HTTP/1.1"), 400, None),
        (good.clone().with("Content-Type", "text/plain"), 415, None),
        (good.clone().field("Content-Encoding", "gzip"), 415, None),
        (good.clone().with("Host", "evil.example"), 403, None),
        (good.clone().field("Origin", "https://evil.example"), 403, None),
        (stream.request(&long), 413, None),
        (Request::bare("GET /messages HTTP/1.1"), 405, Some("POST")),
        (Request::bare("DELETE /sse HTTP/1.1"), 405, Some("GET")),
        (good.clone().line("POST /sse HTTP/1.1"), 405, Some("GET")),
        (Request::bare("GET /sse HTTP/1.1").with("Host", "evil.example"), 403, None),
        (Request::bare("GET /sse HTTP/1.1").field("Origin", "https://evil.example"), 403, None),
    ] {
        let answer = Client::ask(gateway.address(), &refused).await;
        assert_eq!((answer.status, answer.field("allow")), (status, allow), "{}", answer.text());
    }
    for (body, code) in [("garbage", -32700), ("[]", -32600), (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600)] {
        assert_eq!(stream.ask(body).await["error"]["code"], code, "{body}");
    }
    let served = stream.ask(&call("7", "math__add", r#"{"a":1,"b":1}"#)).await;
    assert_eq!(text(&served), "2");
}

/// RFC 9110, 9.3.2: what HEAD is answered with has no body, and the connection serves on.
#[tokio::test]
async fn head_is_refused_without_a_body() {
    let gateway = gateways::demo();
    let mut client = Client::connect(gateway.address()).await;
    for (path, allow) in [("/sse", "GET"), ("/messages", "POST"), ("/mcp", "POST, GET, DELETE")] {
        client.write(&Request::bare(&format!("HEAD {path} HTTP/1.1")).bytes()).await;
        let head = client.head().await;
        assert_eq!((head.status, head.field("allow")), (405, Some(allow)));
    }
    assert_eq!(client.exchange(&Request::modern("tools/list", None, "")).await.status, 200);
}

#[tokio::test]
async fn a_client_of_http_1_0_reads_its_stream_to_the_end_of_the_connection() {
    let gateway = gateways::demo();
    let mut client = Client::connect(gateway.address()).await;
    client.write(&Request::bare("GET /sse HTTP/1.0").bytes()).await;
    let head = client.head().await;
    assert_eq!((head.status, head.field("connection"), head.field("transfer-encoding")), (200, Some("close"), None));
    gateway.stop();
    let rest = client.rest().await;
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.starts_with("event: endpoint\ndata: /messages?sessionId=") && rest.ends_with("\n\n"), "{rest:?}");
}

#[tokio::test]
async fn a_stream_ends_after_the_calls_in_flight_when_the_gateway_stops() {
    let gateway = gateways::demo();
    let mut stream = Stream::open(gateway.address()).await;
    let mut quiet = Stream::open(gateway.address()).await;
    stream.ask(&initialize("2025-11-25")).await;
    stream.say(&wait(1, 500)).await;
    assert_eq!(stream.hear().await["params"]["progress"], 1);
    let stopping = tokio::task::spawn_blocking(move || gateway.stop());
    assert_eq!(quiet.events.event().await, None);
    assert_eq!(stream.hear().await["params"]["progress"], 2);
    let answer = stream.hear().await;
    assert_eq!((&answer["id"], text(&answer)), (&json!(1), "waited 500 ms"));
    assert_eq!(stream.events.event().await, None);
    within("the end", stopping).await.expect("it stops");
}

/// Answers wait for a client that reads slowly, and it loses none; whoever reads is not disturbed.
#[tokio::test]
async fn a_client_that_does_not_read_is_waited_for() {
    let gateway = gateways::demo();
    let narrow = Client::connect_narrow(gateway.address()).await;
    let mut stream = Stream::open_at(gateway.address(), "/sse", narrow).await;
    // More than sockets hold, less than may be posted ahead.
    const CALLS: usize = 70;
    let text_of = "0123456789".repeat(10_000);
    for id in 0..CALLS {
        stream.say(&call(&id.to_string(), "admin__echo", &format!(r#"{{"text":"{text_of}"}}"#))).await;
        // Answered by the gateway itself, before the next message is taken.
        stream.say(&request(&format!(r#""ping {id}""#), "resources/list", &format!(r#"{{"_meta":{{{META}}}}}"#))).await;
    }
    let mut other = Stream::open(gateway.address()).await;
    assert_eq!(text(&other.ask(&call("1", "math__add", r#"{"a":1,"b":1}"#)).await), "2");
    let (mut echoed, mut listed) = (0, 0);
    for _ in 0..2 * CALLS {
        let answer = stream.hear().await;
        if answer["id"].is_number() {
            assert_eq!(text(&answer).len(), text_of.len() + r#"{"text":""}"#.len(), "{}", answer["id"]);
            echoed += 1;
        } else {
            assert!(answer["result"]["resources"].is_array(), "{answer}");
            listed += 1;
        }
    }
    assert_eq!((echoed, listed), (CALLS, CALLS));
}

#[tokio::test]
async fn a_stream_that_takes_no_more_is_full_and_its_posts_are_told_so() {
    let gateway = gateways::demo();
    let narrow = Client::connect_narrow(gateway.address()).await;
    let stream = Stream::open_at(gateway.address(), "/sse", narrow).await;
    // Far more than sockets hold: its answers, which nobody reads, hold up the messages behind them.
    let list = request("1", "tools/list", &format!(r#"{{"_meta":{{{META}}},"pad":"{}"}}"#, "x".repeat(100_000)));
    let mut posts = Client::connect(gateway.address()).await;
    let began = Instant::now();
    let refused = loop {
        let answer = posts.exchange(&stream.request(&list)).await;
        if answer.status != 202 {
            break answer;
        }
        assert!(began.elapsed() < 4 * PATIENCE, "it takes whatever is posted");
    };
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    assert_eq!(refused.kind().as_deref(), Some("overloaded"));
    let mut other = Stream::open(gateway.address()).await;
    assert_eq!(text(&other.ask(&call("1", "math__add", r#"{"a":1,"b":1}"#)).await), "2");
}
