//! Clients over HTTP/2: the answers of HTTP/1.1 in other frames, and what becomes of those who break its rules.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use only1mcp::{Running, limits};
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

use crate::legacy;
use crate::peers::skipped;
use crate::support::client::{Client, PATIENCE, Request, within};
use crate::support::gateways;
use crate::support::http2::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, Frame, GOAWAY, HEADERS,
    Http2, PING, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, frames, opening,
    part,
};
use crate::support::recorder::{DONE, Post, Recorder, Wire};

async fn connect(gateway: &Running) -> Http2 {
    Http2::over(within("connect", TcpStream::connect(gateway.address())).await.expect("the gateway listens")).await
}

fn sum() -> Request {
    Request::call("math__add", r#"{"a":1,"b":2}"#)
}

#[tokio::test]
async fn every_answer_is_that_of_http1() {
    let gateway = gateways::demo();
    let mut http1 = Client::connect(gateway.address()).await;
    let mut http2 = connect(&gateway).await;
    let session = legacy::session(gateway.address()).await;
    let big = format!(r#"{{"own":"{}"}}"#, "x".repeat(2 << 20));
    for request in [
        sum(),
        Request::modern("tools/list", None, ""),
        Request::modern("server/discover", None, ""),
        Request::legacy(&session, legacy::message("ping", "{}")),
        // More than a window, both ways.
        Request::call("admin__echo", &big),
        Request::call("no_such_tool", "{}"),
        Request::post("{"),
        Request::bare("GET /nowhere HTTP/1.1"),
        Request::bare("PUT /mcp HTTP/1.1"),
        Request::bare("GET /ws HTTP/1.1"),
        Request::bare("HEAD /mcp HTTP/1.1"),
        sum().with("Content-Type", "text/plain"),
        sum().with("Host", "evil.example"),
        sum().field("Origin", "https://evil.example"),
        sum().with("Accept", "text/html"),
        Request::legacy(&session, legacy::message("tools/list", "{}")).line("POST /mcp/math HTTP/1.1"),
        Request::post(r#"{"name":"math__add","arguments":{"a":1,"b":2}}"#).line("POST /tools/call HTTP/1.1"),
    ] {
        let told = format!("{:?}", request.parts().0);
        let expected = if request.parts().0.starts_with("HEAD") {
            // Without the body that the client would wait for.
            let mut client = Client::connect(gateway.address()).await;
            client.write(&request.bytes()).await;
            client.head().await
        } else {
            http1.exchange(&request).await
        };
        if expected.field("connection") == Some("close") {
            http1 = Client::connect(gateway.address()).await;
        }
        let found = http2.exchange(&request).await;
        assert_eq!(found.status, expected.status, "{told}");
        assert_eq!(found.body, expected.body, "{told}");
        let fields = |fields: &[(String, String)]| {
            let own =
                |(name, _): &&(String, String)| !["connection", "transfer-encoding", "upgrade"].contains(&&**name);
            let mut fields: Vec<(String, String)> = fields.iter().filter(own).cloned().collect();
            fields.sort();
            fields
        };
        assert_eq!(fields(&found.fields), fields(&expected.fields), "{told}");
    }
}

#[tokio::test]
async fn requests_on_one_connection_run_side_by_side_and_never_cross() {
    let gateway = gateways::demo();
    let mut client = connect(&gateway).await;
    let slow = client.ask(&Request::call("admin__wait", r#"{"milliseconds":500}"#), true).await.expect("it stands");
    let began = Instant::now();
    let mut asked = Vec::new();
    for own in 0..90 {
        let request = Request::call("admin__echo", &format!(r#"{{"own":{own}}}"#));
        asked.push((own, client.ask(&request, true).await.expect("it stands")));
    }
    for (own, asked) in asked.into_iter().rev() {
        let answer = asked.answer().await.expect("an answer");
        assert_eq!(answer.json()["result"]["content"][0]["text"], format!(r#"{{"own":{own}}}"#));
    }
    assert!(began.elapsed() < PATIENCE / 2);
    assert_eq!(slow.answer().await.expect("an answer").json()["result"]["content"][0]["text"], "waited 500 ms");
}

/// The next block of an event stream.
async fn event(body: &mut h2::RecvStream, read: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = read.windows(2).position(|pair| pair == b"\n\n") {
            let block = read.drain(..end + 2).collect();
            return Some(String::from_utf8(block).expect("event streams are UTF-8"));
        }
        read.extend_from_slice(&part(body).await.expect("the stream stands")?);
    }
}

#[tokio::test]
async fn a_stream_of_events_comes_as_it_is_said() {
    let seen = Arc::new(Notify::new());
    let gate = Arc::clone(&seen);
    let upstream = Recorder::play(async move |_post: Post, wire: &mut Wire<'_>| {
        wire.stream().await?;
        wire.event(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":1}}"#).await?;
        // The answer waits for the client to have read the notification.
        gate.notified().await;
        let response = wire.response(DONE);
        wire.event(&response).await?;
        wire.end().await
    });
    let gateway = gateways::recorded(&upstream);
    let mut client = connect(&gateway).await;
    let meta = r#""io.modelcontextprotocol/logLevel":"debug","#;
    let request =
        Request::call("admin__wait", r#"{"milliseconds":0}"#).edit(r#""_meta":{"#, &format!(r#""_meta":{{{meta}"#));
    let (head, mut body) = client.ask(&request, true).await.expect("it stands").head().await.expect("a head");
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")));
    assert_eq!((head.field("cache-control"), head.field("x-accel-buffering")), (Some("no-store"), Some("no")));
    let mut read = Vec::new();
    assert!(event(&mut body, &mut read).await.expect("an event").contains("notifications/message"));
    seen.notify_one();
    assert!(event(&mut body, &mut read).await.expect("an event").contains(DONE));
    assert_eq!(event(&mut body, &mut read).await, None);
}

#[tokio::test]
async fn http_with_sse_is_served_on_one_connection() {
    let gateway = gateways::demo();
    let mut client = connect(&gateway).await;
    let asked = client.ask(&Request::bare("GET /sse HTTP/1.1"), true).await.expect("it stands");
    let (head, mut body) = asked.head().await.expect("a head");
    assert_eq!((head.status, head.field("x-accel-buffering")), (200, Some("no")));
    let mut read = Vec::new();
    let endpoint = event(&mut body, &mut read).await.expect("an event");
    let path = endpoint.lines().find_map(|line| line.strip_prefix("data: ")).expect("a path").to_owned();
    let call = sum().line(&format!("POST {path} HTTP/1.1"));
    assert_eq!(client.exchange(&call).await.status, 202);
    let answer = event(&mut body, &mut read).await.expect("an event");
    let data = answer.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    let answer: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(answer["result"]["content"][0]["text"], "3");
}

#[tokio::test]
async fn a_request_that_is_taken_back_is_cancelled_and_its_neighbours_are_not() {
    let (left, entered) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (leaving, entering) = (Arc::clone(&left), Arc::clone(&entered));
    let upstream = Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
        if post.body.contains("\"milliseconds\":1,") || post.body.contains("\"milliseconds\":1}") {
            entering.notify_one();
            wire.hung_up().await;
            leaving.notify_one();
            return Ok(());
        }
        wire.result(DONE).await
    });
    let gateway = gateways::recorded(&upstream);
    let mut client = connect(&gateway).await;
    let hanging = Request::call("admin__wait", r#"{"milliseconds":1}"#);
    let mut asked = client.ask(&hanging, true).await.expect("it stands");
    within("the call", entered.notified()).await;
    asked.body.send_reset(h2::Reason::CANCEL);
    within("the end of the call", left.notified()).await;
    let answer = client.exchange(&Request::call("admin__wait", r#"{"milliseconds":2}"#)).await;
    assert_eq!(answer.json()["result"]["content"][0]["text"], "done");
    // And when the whole connection goes.
    let _asked = client.ask(&hanging, true).await.expect("it stands");
    within("the call", entered.notified()).await;
    drop((client, _asked));
    within("the end of the call", left.notified()).await;
}

#[tokio::test]
async fn a_body_has_a_bound_however_it_comes() {
    let gateway = gateways::demo();
    let mut client = connect(&gateway).await;
    let long = "x".repeat((4 << 20) + 1);
    let said = client.exchange(&sum().with_body("").field("Content-Length", "4194305").with_body(long.clone())).await;
    assert_eq!(said.status, 413, "{}", said.text());
    let mut asked = client.ask(&sum(), false).await.expect("it stands");
    asked.body.send_data(Bytes::from(long), true).expect("it stands");
    assert_eq!(asked.answer().await.expect("an answer").status, 413);
    assert_eq!(client.exchange(&sum()).await.status, 200, "its neighbours are served");
}

#[tokio::test]
async fn a_gateway_that_stops_answers_what_it_has_and_says_goodbye() {
    let gateway = gateways::demo();
    let mut client = connect(&gateway).await;
    let slow = client.ask(&Request::call("admin__wait", r#"{"milliseconds":500}"#), true).await.expect("it stands");
    assert_eq!(client.exchange(&sum()).await.status, 200);
    let stopping = tokio::task::spawn_blocking(move || gateway.stop());
    assert_eq!(slow.answer().await.expect("an answer").json()["result"]["content"][0]["text"], "waited 500 ms");
    within("the stop", stopping).await.expect("it stops");
    let refused = client.ask(&sum(), true).await;
    assert!(refused.is_err() || refused.expect("a request").answer().await.is_err());
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_stop() {
    let gateway = gateways::demo();
    let mut raw = Client::connect(gateway.address()).await;
    raw.write(&opening(&[])).await;
    let stopping = Instant::now();
    within("the stop", tokio::task::spawn_blocking(move || gateway.stop())).await.expect("it stops");
    assert!(stopping.elapsed() < limits::DRAIN_GRACE, "{:?}", stopping.elapsed());
    let last = frames(&mut raw).await;
    assert!(last.iter().any(|frame| frame.kind == GOAWAY && frame.code() == 0), "{last:?}");
}

#[tokio::test]
async fn http2_leads_over_a_unix_socket_and_over_tls() {
    use crate::support::authority::Authority;
    use crate::support::gateways::Demo;
    use crate::support::ledger::Directory;

    let (directory, authority) = (Directory::new(), Authority::new());
    let builder = || only1mcp::Gateway::<Demo>::builder().program(env!("CARGO_BIN_EXE_only1mcp")).workers(2);
    let gateway = builder().address(format!("unix:{}", directory.path("gateway.sock").display())).start();
    let gateway = gateway.expect("the gateway starts");
    let path = gateway.socket_path().expect("a socket");
    let mut client = Http2::over(UnixStream::connect(path).await.expect("it listens")).await;
    assert_eq!(client.exchange(&sum().with("Host", "any.example")).await.status, 200);

    let (cert, key) = authority.write(&directory, "localhost");
    let gateway = builder().address("127.0.0.1:0").tls(cert, key).start().expect("the gateway starts");
    let protocols: [&[u8]; 2] = [b"h2", b"http/1.1"];
    let tls = authority.connect(gateway.address(), "localhost", &protocols).await.expect("it is trusted");
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = Http2::over(tls).await;
    let big = format!(r#"{{"own":"{}"}}"#, "x".repeat(2 << 20));
    let answer = client.exchange(&Request::call("admin__echo", &big)).await;
    assert_eq!(answer.json()["result"]["content"][0]["text"], big);
}

/// curl with these arguments: what it printed, with the version of HTTP behind it.
fn curl(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "15", "--write-out", " HTTP/%{http_version}"]);
    let body = r#"{"name":"math__add","arguments":{"a":1,"b":2}}"#;
    let output = command.args(["--data", body, "--header", "content-type: application/json"]).args(arguments).output();
    match output {
        Ok(output) if output.status.code() != Some(2) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => {
            skipped("curl with HTTP/2 is not installed");
            None
        }
    }
}

#[tokio::test]
async fn curl_speaks_it_in_plain_and_over_tls() {
    use crate::support::authority::Authority;
    use crate::support::gateways::Demo;
    use crate::support::ledger::Directory;

    let gateway = gateways::demo();
    let plain = format!("http://{}/tools/call", gateway.address());
    let (directory, authority) = (Directory::new(), Authority::new());
    let (cert, key) = authority.write(&directory, "127.0.0.1");
    let builder = only1mcp::Gateway::<Demo>::builder().program(env!("CARGO_BIN_EXE_only1mcp")).workers(1);
    let secure = builder.address("127.0.0.1:0").tls(cert, key).start().expect("the gateway starts");
    let ca = directory.path("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("a directory of this test");
    let ca = ca.to_str().expect("paths of tests are text");
    let tls = format!("https://{}/tools/call", secure.address());
    for (arguments, version) in [
        (vec!["--http2-prior-knowledge", &plain], "HTTP/2"),
        // `Upgrade: h2c` is not followed: it goes on as it began.
        (vec!["--http2", &plain], "HTTP/1.1"),
        (vec!["--cacert", ca, "--http2", &tls], "HTTP/2"),
        (vec!["--cacert", ca, "--http1.1", &tls], "HTTP/1.1"),
    ] {
        let Some(said) = curl(&arguments) else { return };
        assert!(said.contains(r#""text":"3""#) && said.ends_with(version), "{arguments:?}: {said}");
    }
}

/// A head that is served, but for what a row adds.
fn fields<'a>(authority: &'a [(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let line = [(":method", "GET"), (":scheme", "http"), (":path", "/nowhere")];
    line.into_iter().chain(authority.iter().copied()).collect()
}

/// The first frame on stream 1, or that ends the connection, after these frames.
async fn verdict(gateway: &Running, written: &[Vec<u8>]) -> Frame {
    let mut client = Client::connect(gateway.address()).await;
    client.write(&opening(&[])).await;
    for bytes in written {
        client.write(bytes).await;
    }
    loop {
        let frame = frame(&mut client).await.expect("it says why");
        if frame.stream == 1 || frame.kind == GOAWAY {
            return frame;
        }
    }
}

#[tokio::test]
async fn a_site_is_named_in_one_way() {
    let gateway = gateways::demo();
    let host = "localhost";
    // 404 is the answer to who is let in.
    for (authority, status) in [
        (vec![(":authority", host)], b"404"),
        (vec![("host", host)], b"404"),
        (vec![(":authority", host), ("host", host)], b"404"),
        (vec![(":authority", host), ("host", "evil.example")], b"400"),
        (vec![(":authority", "evil.example"), ("host", host)], b"400"),
        (vec![(":authority", host), ("host", host), ("host", host)], b"400"),
        (vec![], b"400"),
        (vec![(":authority", "evil.example")], b"403"),
        (vec![(":authority", "user@localhost")], b"400"),
    ] {
        let frame = verdict(&gateway, &[Frame::headers(1, END_STREAM, &fields(&authority)).bytes()]).await;
        assert_eq!(frame.kind, HEADERS, "{authority:?}: {frame:?}");
        // The status stands first, from the static table or as a literal of its own.
        let found: &[u8] = match frame.payload[0] {
            0x8c => b"400",
            0x8d => b"404",
            _ => &frame.payload[2..5],
        };
        assert!(found == status || status == b"403" && frame.payload[0] == 0x48, "{authority:?}: {frame:?}");
    }
}

#[tokio::test]
async fn what_breaks_the_rules_ends_its_stream_or_its_connection() {
    let gateway = gateways::demo();
    let served = || fields(&[(":authority", "localhost")]);
    let with = |field: (&'static str, &'static str)| {
        let fields: Vec<_> = served().into_iter().chain([field]).collect();
        Frame::headers(1, END_STREAM, &fields).bytes()
    };
    let post = [(":method", "POST"), (":scheme", "http"), (":path", "/mcp"), (":authority", "localhost")];
    // Whose body is waited for: without its type, what it is would already have been refused.
    let short: Vec<_> =
        post.into_iter().chain([("content-type", "application/json"), ("content-length", "10")]).collect();
    let path = [(":method", "GET"), (":scheme", "http"), (":path", "/a\r\nb: c"), (":authority", "localhost")];
    let window = [&[0x7f_u8, 0xff, 0xff, 0xff][..]].concat();
    for (what, written, kind, code) in [
        ("a field of the connection", vec![with(("connection", "close"))], RST_STREAM, PROTOCOL_ERROR),
        ("a transfer coding", vec![with(("transfer-encoding", "chunked"))], RST_STREAM, PROTOCOL_ERROR),
        ("a field name in upper case", vec![with(("Upper", "case"))], GOAWAY, PROTOCOL_ERROR),
        (
            "a body shorter than its length",
            vec![Frame::headers(1, 0, &short).bytes(), Frame::new(DATA, END_STREAM, 1, *b"ab").bytes()],
            RST_STREAM,
            PROTOCOL_ERROR,
        ),
        ("a line end in the path", vec![Frame::headers(1, END_STREAM, &path).bytes()], RST_STREAM, PROTOCOL_ERROR),
        ("a window that overflows", vec![Frame::new(WINDOW_UPDATE, 0, 0, window).bytes()], GOAWAY, FLOW_CONTROL_ERROR),
    ] {
        let frame = verdict(&gateway, &written).await;
        assert_eq!((frame.kind, frame.code()), (kind, code), "{what}: {frame:?}");
    }
    assert_eq!(connect(&gateway).await.exchange(&sum()).await.status, 200);
}

/// What ends a connection on which this is written, again and again.
async fn flood(gateway: &Running, first: Vec<u8>, mut again: impl FnMut(u32) -> Vec<u8>, times: u32) -> Frame {
    let mut client = Client::connect(gateway.address()).await;
    client.write(&[opening(&[]), first].concat()).await;
    for batch in 0..times.div_ceil(1000) {
        let bytes: Vec<u8> = (batch * 1000..(batch + 1) * 1000).flat_map(&mut again).collect();
        client.write(&bytes).await;
    }
    let frames = frames(&mut client).await;
    frames.iter().find(|frame| frame.kind == GOAWAY).cloned().expect("it is told to go")
}

#[tokio::test]
async fn floods_end_their_connection_and_nothing_else() {
    let gateway = gateways::demo();
    let mut neighbour = connect(&gateway).await;
    let head = || fields(&[(":authority", "localhost")]);
    let post = [(":method", "POST"), (":scheme", "http"), (":path", "/mcp"), (":authority", "localhost")];
    let taken_back = |number: u32| {
        let reset = Frame::new(RST_STREAM, 0, number * 2 + 1, CANCEL.to_be_bytes()).bytes();
        [Frame::headers(number * 2 + 1, END_STREAM, &head()).bytes(), reset].concat()
    };
    let long = "x".repeat(3000);
    let begun = Frame::new(HEADERS, END_STREAM, 1, block(&head())).bytes();
    let goes_on = Frame::new(CONTINUATION, 0, 1, block(&[("a", &long)])).bytes();
    let unended =
        Frame::headers(1, 0, &post.into_iter().chain([("content-type", "application/json")]).collect::<Vec<_>>());
    let empty = Frame::new(DATA, 0, 1, []).bytes();
    for (what, ended) in [
        ("streams taken back at once", flood(&gateway, Vec::new(), taken_back, 20_000).await),
        ("a head that never ends", flood(&gateway, begun, |_| goes_on.clone(), 7000).await),
        ("empty data without end", flood(&gateway, unended.bytes(), |_| empty.clone(), 200_000).await),
    ] {
        assert_eq!(ended.code(), ENHANCE_YOUR_CALM, "{what}: {ended:?}");
        assert_eq!(neighbour.exchange(&sum()).await.status, 200, "{what}");
    }
}

#[tokio::test]
async fn more_requests_at_once_than_there_may_be_are_refused_one_by_one() {
    let gateway = gateways::demo();
    let mut client = Client::connect(gateway.address()).await;
    client.write(&opening(&[])).await;
    let settings = frame(&mut client).await.expect("settings come first");
    assert_eq!(settings.kind, SETTINGS);
    let streams = settings.payload.chunks(6).find(|setting| setting[..2] == [0, 3]).expect("a bound");
    assert_eq!(streams[2..], 100_u32.to_be_bytes());
    let post = [(":method", "POST"), (":scheme", "http"), (":path", "/mcp"), (":authority", "localhost")];
    let open: Vec<_> = post.into_iter().chain([("content-type", "application/json"), ("accept", "*/*")]).collect();
    // Their bodies never come.
    let opened: Vec<u8> = (0..150).flat_map(|number| Frame::headers(number * 2 + 1, 0, &open).bytes()).collect();
    client.write(&opened).await;
    let mut refused = Vec::new();
    while refused.len() < 50 {
        let frame = frame(&mut client).await.expect("the connection stands");
        if frame.kind == RST_STREAM {
            assert_eq!(frame.code(), REFUSED_STREAM);
            refused.push(frame.stream);
        }
    }
    assert_eq!(refused, (100..150).map(|number| number * 2 + 1).collect::<Vec<u32>>());
    client.write(&Frame::new(PING, 0, 0, *b"12345678").bytes()).await;
    loop {
        let frame = frame(&mut client).await.expect("the connection stands");
        if frame.kind == PING && frame.payload == b"12345678" {
            break;
        }
    }
}

/// A field of 3500 bytes that the table remembers, repeated by its number.
#[tokio::test]
async fn a_head_that_unfolds_beyond_its_bound_is_refused() {
    let gateway = gateways::demo();
    let mut head = block(&fields(&[(":authority", "localhost")]));
    let value = "v".repeat(3500);
    // With incremental indexing: it becomes entry 62.
    let mut remembered = block(&[("x", &value)]);
    remembered[0] = 0x40;
    head.extend_from_slice(&remembered);
    head.extend(std::iter::repeat_n(0xbe, 4000));
    let frame = verdict(&gateway, &[Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, head).bytes()]).await;
    // 431, or the end of the connection.
    assert!(
        frame.kind == GOAWAY || frame.kind == HEADERS && frame.payload.windows(3).any(|part| part == b"431"),
        "{frame:?}"
    );
}

#[tokio::test]
async fn the_preface_comes_first_or_never() {
    let gateway = gateways::demo();
    let mut client = Client::connect(gateway.address()).await;
    assert_eq!(client.exchange(&sum()).await.status, 200);
    client.write(&opening(&[])).await;
    assert_eq!(client.answer().await.status, 505);
    // In pieces it is still one.
    let mut client = Client::connect(gateway.address()).await;
    for byte in opening(&[]) {
        client.write(&[byte]).await;
    }
    assert_eq!(frame(&mut client).await.expect("settings").kind, SETTINGS);
}
