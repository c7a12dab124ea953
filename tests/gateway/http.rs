//! HTTP level: the H rows of the hostile inputs that apply to HTTP/1.1 without TLS and authentication. Rows about
//! parsing alone are tested beside the parser as well; here they pass through a gateway whose backend counts.

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
        refused("H01", call().without("Host"), &[400]).closes(),
        refused("H02", call().field("Host", "localhost"), &[400]).closes(),
        refused("H03", call().with("Host", "localhost,localhost"), &[400]).closes(),
        refused("H05", call().line("POST http://evil/mcp HTTP/1.1"), &[400]).closes(),
        refused("H06", call().field("Content-Length", "4").field("Transfer-Encoding", "chunked"), &[400]).closes(),
        refused("H07", length("4").field("Content-Length", "5"), &[400]).closes(),
        refused("H08", length("4").field("Content-Length", "4"), &[400]).closes(),
        refused("H09", length("2, 2"), &[400]).closes(),
        refused("H10", length("+2"), &[400]).closes(),
        refused("H11", length("0x2"), &[400]).closes(),
        refused("H12", length("-1"), &[400]).closes(),
        refused("H14", length("18446744073709551616"), &[400]).closes(),
        refused("H15", length("18446744073709551615"), &[413]).closes(),
        refused("H16", coding("gzip, chunked"), &[501]).closes(),
        refused("H17", coding("chunked, identity"), &[400]).closes(),
        refused("H18", coding("xchunked"), &[501]).closes(),
        refused("H19", coding("chunked").field("Transfer-Encoding", "chunked"), &[400]).closes(),
        refused("H20", call().field("Transfer-Encoding ", "chunked"), &[400]).closes(),
        refused("H21", coding("\u{b}chunked"), &[400]).closes(),
        served("H36", call().field("Transfer_Encoding", "chunked")),
        refused("H63", length("9999"), &[400]).half_closed().closes(),
        error("H68", length("1073741824"), &[413], -32600).kind("payload_too_large").closes(),
    ]
}

fn chunks() -> Vec<Row> {
    let extension = format!("{{size}};{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(20 << 10));
    let trailers = format!("{{size}}\r\n{{}}\r\n0\r\n{}\r\n", "T: 1\r\n".repeat(200));
    let named = String::from_utf8(chunked("{size}\r\n{}\r\n0\r\nMcp-Name: admin__echo\r\n\r\n")).expect("ASCII");
    vec![
        served("a chunked call", chunked("{size}\r\n{}\r\n0\r\n\r\n")),
        served("a trailer", chunked("{size};a=b\r\n{}\r\n0\r\nT: 1\r\n\r\n")),
        refused("H23", chunked("0x{size}\r\n{}\r\n0\r\n\r\n"), &[400]).closes(),
        refused("H24", chunked("ffffffffffffffff1\r\n{}\r\n0\r\n\r\n"), &[400]).closes(),
        refused("H25", chunked(&extension), &[400]).closes(),
        refused("H26", chunked("{size}\n{}\r\n0\r\n\r\n"), &[400]).closes(),
        refused("H27", chunked("{size}\r\n{}0\r\n\r\n"), &[400]).closes(),
        refused("H28", chunked(&trailers), &[400]).closes(),
        // H29 speaks of a token in a trailer; without authentication, of any other field that decides.
        error("H29", named.replacen("Mcp-Name: admin__echo\r\n", "", 1), &[400], -32020),
    ]
}

fn heads() -> Vec<Row> {
    let bare = String::from_utf8(call().bytes()).expect("ASCII").replace("\r\n", "\n");
    let many = (0..101).fold(call(), |call, n| call.field(&format!("X-{n}"), "1"));
    vec![
        refused("H30", call().field("X", "1\r\n folded"), &[400]).closes(),
        // 200 would do as well; the gateway is the strict one.
        refused("H32", bare, &[400]).closes(),
        refused("H33", call().field("X", "a\0b"), &[400]).closes(),
        refused("H34", call().field("X Y", "1"), &[400]).closes(),
        refused("H35", call().field("", "1"), &[400]).closes(),
        error("H37", call().with("Mcp-Name", b"admin__ech\xc3\xb6"), &[400], -32020).kind("header_mismatch"),
        refused("H38", many, &[431]).closes(),
        refused("H39", call().field("X", "a".repeat(300 << 10)), &[431]).closes(),
        refused("H54", call().with("Content-Length", "9999999").field("Expect", "100-continue"), &[413]).closes(),
        refused("H55", call().field("Expect", "200-ok"), &[417]).closes(),
        served("H56", call().field("Connection", "Upgrade").field("Upgrade", "h2c")),
        refused("H57", call().field("Connection", "Upgrade").field("Upgrade", "websocket"), &[400]),
        refused("H59", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &[400]).closes(),
        served("H82", call().field("X-Forwarded-For", "192.0.2.1").field("Forwarded", "for=192.0.2.1")),
        served("H84", call().field("Connection", "Authorization")),
        refused("H100", [b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(), call().bytes()].concat(), &[400]).closes(),
    ]
}

fn targets_and_methods() -> Vec<Row> {
    let to = |target: &str| call().line(&format!("POST {target} HTTP/1.1"));
    let version = |version: &str| call().line(&format!("POST /mcp {version}"));
    let modern = |line: &str| Request::bare(line).field("MCP-Protocol-Version", "2026-07-28");
    vec![
        refused("H41", to("/m\u{1}cp"), &[400]).closes(),
        refused("H42", to("/mcp\u{e9}"), &[400]).closes(),
        refused("H43", to("/mcp#x"), &[400]).closes(),
        refused("H44", to("/mcp/../admin/overlay"), &[404]),
        refused("H45", to("/mcp%2f..%2fadmin%2foverlay"), &[404]),
        refused("H46 //mcp", to("//mcp"), &[404]),
        refused("H46 /mcp/", to("/mcp/"), &[404]),
        refused("H46 /MCP", to("/MCP"), &[404]),
        served("a query", to("/mcp?x=1")),
        refused("H47 1.2", version("HTTP/1.2"), &[505, 400]).closes(),
        refused("H47 2.0", version("HTTP/2.0"), &[505, 400]).closes(),
        refused("H47 0.9", b"GET /mcp\r\n\r\n".to_vec(), &[505, 400]).closes(),
        refused("H48", call().line("post /mcp HTTP/1.1").without("Content-Length"), &[405])
            .also(|answer| answer.field("allow").is_some()),
        refused("H50", Request::bare("TRACE /mcp HTTP/1.1").field("X-Secret", "s3cret"), &[405])
            .also(|answer| !answer.text().contains("s3cret")),
        refused("H51", Request::bare("OPTIONS /mcp HTTP/1.1").field("Origin", "https://evil.example"), &[403])
            .also(|answer| !answer.fields.iter().any(|(name, _)| name.starts_with("access-control"))),
        // The listener serves both eras; a request that says it is modern is answered as one that is modern only.
        refused("H52", modern("GET /mcp HTTP/1.1"), &[405]).also(|answer| answer.field("allow") == Some("POST")),
        refused("H53", modern("DELETE /mcp HTTP/1.1"), &[405]).also(|answer| answer.field("allow") == Some("POST")),
    ]
}

fn media_types_and_origins() -> Vec<Row> {
    let media = |media: &str| call().with("Content-Type", media);
    let origin = |origin: &str| call().field("Origin", origin);
    vec![
        refused("H69", call().field("Content-Encoding", "gzip"), &[415]),
        refused("H70", call().field("Content-Encoding", "gzip, gzip, gzip"), &[415]),
        refused("H71", media("text/plain"), &[415]),
        refused("H72", call().without("Content-Type"), &[415]),
        refused("H73", media("application/json; charset=utf-16"), &[415]),
        served("a charset", media("Application/JSON; charset=UTF-8")),
        refused("H74", media("multipart/form-data; boundary=x"), &[415]),
        error("H75", call().with("Accept", "text/html"), &[406], -32600),
        served("a wildcard", call().with("Accept", "*/*;q=0.1")),
        refused("H77", origin("https://evil.example"), &[403]),
        refused("H78", origin("null"), &[403]),
        refused("H79", origin("https://app.example").field("Origin", "https://evil.example"), &[403]),
        refused("H80", origin("https://app.example").with("Host", "evil.example"), &[403]),
        refused("H80 a host that begins like an allowed one", call().with("Host", "gw.example.evil"), &[403]),
        served("an allowed origin and host", origin("https://app.example").with("Host", "gw.example:8080")),
        served("a page on this machine", origin("http://localhost:3000")),
        refused("H81", media("text/plain").field("Sec-Fetch-Site", "cross-site"), &[403]),
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

/// H36.
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

/// H61 and the connection's order in general.
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

/// H62.
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

/// H64: the deadline counts from the first byte, so dripping gains nothing.
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
