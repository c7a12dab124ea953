//! HTTP level: a table of hostile inputs over HTTP/1.1, without TLS. Rows about parsing alone are tested beside the
//! parser as well; here they pass through a gateway whose backend counts.

use std::time::{Duration, Instant};

use crate::support::client::{Client, Request, within};
use crate::support::gateways;
use crate::support::recorder::Recorder;
use crate::support::rows::{Row, error, refused, run, served};

/// A valid call.
fn call() -> Request {
    Request::call("admin__echo", r#"{"x":1}"#)
}

/// A valid call whose body is chunked as given, with one of the body for `{}`.
fn chunked(chunks: &str) -> Vec<u8> {
    let whole = call().bytes();
    let text = String::from_utf8(whole).expect("ASCII");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let head = head.lines().filter(|line| !line.starts_with("Content-Length")).collect::<Vec<_>>().join("\r\n");
    let size = format!("{:x}", body.len());
    let chunks = chunks.replace("{size}", &size).replace("{}", body);
    format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes()
}

fn host_and_framing() -> Vec<Row> {
    let length = |value: &str| call().with("Content-Length", value);
    let coding = |value: &str| call().field("Transfer-Encoding", value);
    vec![
        refused("no host", call().without("Host"), &[400]).closes(),
        refused("two host fields", call().field("Host", "localhost"), &[400]).closes(),
        refused("two hosts in one field", call().with("Host", "localhost,localhost"), &[400]).closes(),
        refused("an absolute target of another host", call().line("POST http://evil/mcp HTTP/1.1"), &[400]).closes(),
        refused(
            "a length and chunks",
            call().field("Content-Length", "4").field("Transfer-Encoding", "chunked"),
            &[400],
        )
        .closes(),
        refused("two lengths that differ", length("4").field("Content-Length", "5"), &[400]).closes(),
        refused("two equal lengths", length("4").field("Content-Length", "4"), &[400]).closes(),
        refused("two lengths in one field", length("2, 2"), &[400]).closes(),
        refused("a length with a sign", length("+2"), &[400]).closes(),
        refused("a length in hexadecimal", length("0x2"), &[400]).closes(),
        refused("a negative length", length("-1"), &[400]).closes(),
        refused("a length beyond 64 bits", length("18446744073709551616"), &[400]).closes(),
        refused("the largest length of 64 bits", length("18446744073709551615"), &[413]).closes(),
        refused("a body compressed in transfer", coding("gzip, chunked"), &[501]).closes(),
        refused("chunks that are not the last coding", coding("chunked, identity"), &[400]).closes(),
        refused("an unknown transfer coding", coding("xchunked"), &[501]).closes(),
        refused("two transfer codings in two fields", coding("chunked").field("Transfer-Encoding", "chunked"), &[400])
            .closes(),
        refused("a space before the colon", call().field("Transfer-Encoding ", "chunked"), &[400]).closes(),
        refused("a vertical tab before the coding", coding("\u{b}chunked"), &[400]).closes(),
        served("a transfer coding spelt with an underscore", call().field("Transfer_Encoding", "chunked")),
        refused("a body shorter than its length", length("9999"), &[400]).half_closed().closes(),
        error("a length of 1 GiB without a body", length("1073741824"), &[413], -32600)
            .kind("payload_too_large")
            .closes(),
    ]
}

fn chunks() -> Vec<Row> {
    let extension = format!("{{size}};{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(20 << 10));
    let trailers = format!("{{size}}\r\n{{}}\r\n0\r\n{}\r\n", "T: 1\r\n".repeat(200));
    let named = String::from_utf8(chunked("{size}\r\n{}\r\n0\r\nMcp-Name: admin__echo\r\n\r\n")).expect("ASCII");
    vec![
        served("a chunked call", chunked("{size}\r\n{}\r\n0\r\n\r\n")),
        served("a trailer", chunked("{size};a=b\r\n{}\r\n0\r\nT: 1\r\n\r\n")),
        refused("a chunk size with 0x", chunked("0x{size}\r\n{}\r\n0\r\n\r\n"), &[400]).closes(),
        refused("a chunk size beyond 64 bits", chunked("ffffffffffffffff1\r\n{}\r\n0\r\n\r\n"), &[400]).closes(),
        refused("a chunk extension of 20 KB", chunked(&extension), &[400]).closes(),
        refused("a chunk line that ends in LF alone", chunked("{size}\n{}\r\n0\r\n\r\n"), &[400]).closes(),
        refused("a chunk without its line end", chunked("{size}\r\n{}0\r\n\r\n"), &[400]).closes(),
        refused("200 trailers", chunked(&trailers), &[400]).closes(),
        // As would be a token in a trailer: no field that decides is taken from there.
        error(
            "a trailer that a header should have been",
            named.replacen("Mcp-Name: admin__echo\r\n", "", 1),
            &[400],
            -32020,
        ),
    ]
}

fn heads() -> Vec<Row> {
    let bare = String::from_utf8(call().bytes()).expect("ASCII").replace("\r\n", "\n");
    let many = (0..101).fold(call(), |call, n| call.field(&format!("X-{n}"), "1"));
    vec![
        refused("a folded line", call().field("X", "1\r\n folded"), &[400]).closes(),
        // 200 would do as well; the gateway is the strict one.
        refused("a head with LF alone", bare, &[400]).closes(),
        refused("a NUL in a value", call().field("X", "a\0b"), &[400]).closes(),
        refused("a space in a field name", call().field("X Y", "1"), &[400]).closes(),
        refused("an empty field name", call().field("", "1"), &[400]).closes(),
        error("raw UTF-8 in a name", call().with("Mcp-Name", b"admin__ech\xc3\xb6"), &[400], -32020)
            .kind("header_mismatch"),
        refused("101 fields", many, &[431]).closes(),
        refused("a field of 300 KB", call().field("X", "a".repeat(300 << 10)), &[431]).closes(),
        refused(
            "a body too long, announced first",
            call().with("Content-Length", "9999999").field("Expect", "100-continue"),
            &[413],
        )
        .closes(),
        refused("an unknown expectation", call().field("Expect", "200-ok"), &[417]).closes(),
        served("an upgrade to HTTP/2", call().field("Connection", "Upgrade").field("Upgrade", "h2c")),
        refused(
            "a call that asks for a WebSocket",
            call().field("Connection", "Upgrade").field("Upgrade", "websocket"),
            &[400],
        ),
        refused("a TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &[400]).closes(),
        served(
            "fields of a proxy nobody trusts",
            call().field("X-Forwarded-For", "192.0.2.1").field("Forwarded", "for=192.0.2.1"),
        ),
        served("`Authorization` as a field of the connection", call().field("Connection", "Authorization")),
        refused(
            "a PROXY preamble",
            [b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(), call().bytes()].concat(),
            &[400],
        )
        .closes(),
    ]
}

fn targets_and_methods() -> Vec<Row> {
    let to = |target: &str| call().line(&format!("POST {target} HTTP/1.1"));
    let version = |version: &str| call().line(&format!("POST /mcp {version}"));
    let modern = |line: &str| Request::bare(line).field("MCP-Protocol-Version", "2026-07-28");
    vec![
        refused("a control byte in the path", to("/m\u{1}cp"), &[400]).closes(),
        refused("raw UTF-8 in the path", to("/mcp\u{e9}"), &[400]).closes(),
        refused("a fragment", to("/mcp#x"), &[400]).closes(),
        refused("dot segments", to("/mcp/../admin/overlay"), &[404]),
        refused("escaped dot segments", to("/mcp%2f..%2fadmin%2foverlay"), &[404]),
        refused("a doubled slash", to("//mcp"), &[404]),
        refused("a slash at the end", to("/mcp/"), &[404]),
        refused("a path in upper case", to("/MCP"), &[404]),
        served("a query", to("/mcp?x=1")),
        refused("HTTP/1.2", version("HTTP/1.2"), &[505, 400]).closes(),
        refused("HTTP/2.0 in text", version("HTTP/2.0"), &[505, 400]).closes(),
        refused("HTTP/0.9", b"GET /mcp\r\n\r\n".to_vec(), &[505, 400]).closes(),
        refused("a method in lower case", call().line("post /mcp HTTP/1.1").without("Content-Length"), &[405])
            .also(|answer| answer.field("allow").is_some()),
        refused("TRACE", Request::bare("TRACE /mcp HTTP/1.1").field("X-Secret", "s3cret"), &[405])
            .also(|answer| !answer.text().contains("s3cret")),
        refused(
            "a preflight of a foreign origin",
            Request::bare("OPTIONS /mcp HTTP/1.1").field("Origin", "https://evil.example"),
            &[403],
        )
        .also(|answer| !answer.fields.iter().any(|(name, _)| name.starts_with("access-control"))),
        // The listener serves both eras; a request that says it is modern is answered as one that is modern only.
        refused("GET, modern", modern("GET /mcp HTTP/1.1"), &[405])
            .also(|answer| answer.field("allow") == Some("POST")),
        refused("DELETE, modern", modern("DELETE /mcp HTTP/1.1"), &[405])
            .also(|answer| answer.field("allow") == Some("POST")),
    ]
}

fn media_types_and_origins() -> Vec<Row> {
    let media = |media: &str| call().with("Content-Type", media);
    let origin = |origin: &str| call().field("Origin", origin);
    vec![
        refused("a compressed body", call().field("Content-Encoding", "gzip"), &[415]),
        refused("a body compressed three times", call().field("Content-Encoding", "gzip, gzip, gzip"), &[415]),
        refused("JSON as plain text", media("text/plain"), &[415]),
        refused("no content type", call().without("Content-Type"), &[415]),
        refused("a charset of UTF-16", media("application/json; charset=utf-16"), &[415]),
        served("a charset", media("Application/JSON; charset=UTF-8")),
        refused("a form", media("multipart/form-data; boundary=x"), &[415]),
        error("a client that takes HTML alone", call().with("Accept", "text/html"), &[406], -32600),
        served("a wildcard", call().with("Accept", "*/*;q=0.1")),
        refused("a foreign origin", origin("https://evil.example"), &[403]),
        refused("the origin null", origin("null"), &[403]),
        refused(
            "two origins, one allowed",
            origin("https://app.example").field("Origin", "https://evil.example"),
            &[403],
        ),
        refused(
            "an allowed origin, a foreign host",
            origin("https://app.example").with("Host", "evil.example"),
            &[403],
        ),
        refused("a host that begins like an allowed one", call().with("Host", "gw.example.evil"), &[403]),
        served("an allowed origin and host", origin("https://app.example").with("Host", "gw.example:8080")),
        served("a page on this machine", origin("http://localhost:3000")),
        refused("a foreign page without an origin", media("text/plain").field("Sec-Fetch-Site", "cross-site"), &[403]),
    ]
}

#[tokio::test]
async fn a_message_has_one_framing_or_none() {
    run(host_and_framing()).await;
}

#[tokio::test]
async fn chunked_bodies_are_read_strictly() {
    run(chunks()).await;
}

#[tokio::test]
async fn malformed_heads_and_foreign_protocols_are_refused() {
    run(heads()).await;
}

#[tokio::test]
async fn paths_match_exactly_and_methods_by_name() {
    run(targets_and_methods()).await;
}

#[tokio::test]
async fn media_types_hosts_and_origins_are_checked() {
    run(media_types_and_origins()).await;
}

#[tokio::test]
async fn fields_of_a_client_do_not_reach_the_backend() {
    let mut upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let request = call().field("Transfer_Encoding", "chunked").field("X-Custom", "1").field("Cookie", "a=b");
    assert_eq!(Client::ask(gateway.address(), &request).await.status, 200);
    let head = upstream.post().await.head;
    for name in ["transfer_encoding", "x-custom", "cookie", "accept-encoding"] {
        assert!(!head.contains(name), "{name} in {head}");
    }
}

#[tokio::test]
async fn a_body_of_a_refused_request_is_not_read_as_the_next_request() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let get = Request::bare("GET /mcp HTTP/1.1").field("MCP-Protocol-Version", "2026-07-28");
    let smuggled = call().bytes();
    let get = get.field("Content-Length", smuggled.len().to_string());
    client.write(&[get.bytes(), smuggled, call().bytes()].concat()).await;
    assert_eq!(client.answer().await.status, 405);
    assert_eq!(client.answer().await.status, 200);
    client.half_close().await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let requests = (0..100).map(|n| call().edit(r#""id":1"#, &format!(r#""id":{n}"#)).bytes());
    client.write(&requests.collect::<Vec<_>>().concat()).await;
    for n in 0..100 {
        assert_eq!(client.answer().await.json()["id"], n);
    }
    assert_eq!(upstream.calls(), 100);
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let request = call().field("Expect", "100-continue").bytes();
    let body = request.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    client.write(&request[..body]).await;
    assert_eq!(client.head().await.status, 100);
    client.write(&request[body..]).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_request_in_single_bytes_is_a_request() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    for request in [call().bytes(), chunked("{size}\r\n{}\r\n0\r\n\r\n")] {
        for byte in request {
            client.write(&[byte]).await;
        }
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed_unless_it_asks_otherwise() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let old = call().line("POST /mcp HTTP/1.0").without("Host");
    let mut client = Client::connect(gateway.address()).await;
    let kept = client.exchange(&old.clone().field("Connection", "keep-alive")).await;
    assert_eq!((kept.status, kept.field("connection")), (200, Some("keep-alive")));
    let closed = client.exchange(&old).await;
    assert_eq!((closed.status, closed.field("connection")), (200, Some("close")));
    assert_eq!(client.rest().await, b"");
}

/// The deadline counts from the first byte, so dripping gains nothing.
#[tokio::test]
async fn a_head_that_drips_is_given_up_in_time() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let began = Instant::now();
    let mut drip = tokio::time::interval(Duration::from_secs(1));
    let mut head = call().bytes().into_iter();
    let answer = within("an answer to a slow head", async {
        loop {
            let byte = head.next().expect("the head is longer than the deadline");
            client.write(&[byte]).await;
            tokio::select! {
                biased;
                answer = client.answer() => break answer,
                _ = drip.tick() => {}
            }
        }
    });
    assert_eq!(answer.await.status, 408);
    assert!(began.elapsed() <= Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(upstream.calls(), 0);
}
