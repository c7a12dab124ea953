//! What an HTTP backend may do wrong, and what that costs: its own call, never another's. One row a misdeed; the rows
//! are tools of one scripted server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use only1mcp::limits;
use serde_json::json;

use crate::support::client::{Client, META, Request as Asked};
use crate::support::scripted::{Outcome, UNHURRIED, assert_serves, call, call_odd, with_servers, with_servers_under};
use crate::support::server::{
    Request, Script, Server, Step, answer, chunk, error_body, event, event_stream, head, json_answer, last_chunk,
    legacy, modern, result_body, stream_head, text_body,
};

/// One tool of the scripted server.
struct Row {
    tool: &'static str,
    script: fn(&str) -> Script,
    expected: Expected,
}

#[derive(Clone, Copy)]
enum Expected {
    Text(&'static str),
    Error(i64),
    Protocol,
    TooLarge,
    Auth,
    Unknown,
    Timeout,
}

impl From<Expected> for Outcome {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Text(text) => Self::Text(text.to_owned()),
            Expected::Error(code) => Self::Error(code),
            Expected::Protocol => Self::failed("upstream_protocol_error", true),
            Expected::TooLarge => Self::failed("upstream_response_too_large", true),
            Expected::Auth => Self::failed("upstream_auth", true),
            Expected::Unknown => Self::failed("outcome_unknown", true),
            Expected::Timeout => Self::failed("upstream_timeout", true),
        }
    }
}

const fn row(tool: &'static str, expected: Expected, script: fn(&str) -> Script) -> Row {
    Row { tool, script, expected }
}

/// A server that echoes, and plays the rows.
fn played(rows: &'static [Row], calls: Arc<AtomicUsize>) -> Server {
    Server::start(modern(move |request: &Request| {
        if request.name() == "echo" {
            return echo(request);
        }
        calls.fetch_add(1, Ordering::SeqCst);
        let row = rows.iter().find(|row| row.tool == request.name()).expect("a row");
        (row.script)(&request.id())
    }))
}

fn echo(request: &Request) -> Script {
    vec![json_answer(200, &text_body(&request.id(), request.argument()))]
}

/// Runs every row: what it comes to, that it was carried once, and that both backends serve afterwards.
async fn run(rows: &'static [Row]) {
    let calls = Arc::new(AtomicUsize::new(0));
    let (odd, good) = (played(rows, Arc::clone(&calls)), Server::start(modern(echo)));
    let gateway = with_servers(&odd, &good);
    let mut failures = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let expected = Outcome::from(row.expected);
        let outcome = call_odd(&gateway, row.tool, &expected).await;
        if outcome != expected {
            failures.push(format!("{}: {outcome:?}", row.tool));
        }
        assert_serves(gateway.address(), "good").await;
        assert_serves(gateway.address(), "odd").await;
        assert_eq!(calls.load(Ordering::SeqCst), index + 1, "{} was carried once", row.tool);
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

fn ok(id: &str) -> String {
    text_body(id, "ok")
}

fn too_deep(id: &str) -> String {
    let content = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":{content}}}}}"#)
}

#[tokio::test]
async fn answers_that_are_none_are_protocol_errors() {
    static ROWS: &[Row] = &[
        row("wrong_id", Expected::Protocol, |_| vec![json_answer(200, &ok("1000000"))]),
        row("text_id", Expected::Protocol, |id| vec![json_answer(200, &ok(&format!("\"{id}\"")))]),
        row("array", Expected::Protocol, |id| vec![json_answer(200, &format!("[{}]", ok(id)))]),
        row("html", Expected::Protocol, |_| vec![answer(200, "content-type: text/html\r\n", "<p>hello</p>")]),
        row("empty", Expected::Protocol, |_| vec![json_answer(200, "")]),
        row("accepted", Expected::Protocol, |_| vec![head(202, "content-length: 0\r\n")]),
        row("no_content", Expected::Protocol, |_| vec![head(204, "")]),
        row("too_deep", Expected::Protocol, |id| vec![json_answer(200, &too_deep(id))]),
        row("cut_json", Expected::Protocol, |id| vec![json_answer(200, &ok(id)[..20])]),
        row("no_result", Expected::Protocol, |id| vec![json_answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{id}}}"#))]),
        row("no_object", Expected::Protocol, |id| vec![json_answer(200, &result_body(id, &json!(7)))]),
        row("fraction_code", Expected::Protocol, |id| vec![json_answer(200, &error_body(id, "1.5"))]),
        row("text_code", Expected::Protocol, |id| vec![json_answer(200, &error_body(id, "\"-32602\""))]),
        row("huge_code", Expected::Protocol, |id| vec![json_answer(200, &error_body(id, "1e99"))]),
        row("unknown_type", Expected::Protocol, |id| {
            vec![json_answer(200, &result_body(id, &json!({ "resultType": "odd" })))]
        }),
        row("moved", Expected::Protocol, |_| vec![head(301, "location: /mcp\r\ncontent-length: 0\r\n")]),
        row("redirect", Expected::Protocol, |_| {
            vec![head(307, "location: http://127.0.0.1:9/\r\ncontent-length: 0\r\n")]
        }),
        row("permanent", Expected::Protocol, |_| vec![head(308, "location: /mcp\r\ncontent-length: 0\r\n")]),
        row("unauthorized", Expected::Auth, |_| vec![head(401, "www-authenticate: Bearer\r\ncontent-length: 0\r\n")]),
        row("forbidden", Expected::Auth, |_| vec![head(403, "content-length: 0\r\n")]),
        row("not_found", Expected::Protocol, |_| vec![head(404, "content-length: 0\r\n")]),
        row("broken", Expected::Protocol, |_| vec![head(500, "content-length: 0\r\n")]),
        row("tool_error", Expected::Error(-32602), |id| vec![json_answer(200, &error_body(id, -32602))]),
        row("bad_request", Expected::Error(-32602), |id| vec![json_answer(400, &error_body(id, -32602))]),
        row("lacks_capability", Expected::Error(-32021), |id| vec![json_answer(400, &error_body(id, -32021))]),
        row("other_version", Expected::Error(-32603), |id| vec![json_answer(400, &error_body(id, -32022))]),
        row("wants_a_page", Expected::Error(-32603), |id| vec![json_answer(200, &error_body(id, -32042))]),
    ];
    run(ROWS).await;
}

#[tokio::test]
async fn framing_that_breaks_or_deceives_costs_the_connection() {
    static ROWS: &[Row] = &[
        row("closes", Expected::Unknown, |_| vec![Step::Close]),
        row("half_closes", Expected::Unknown, |_| vec![Step::HalfClose]),
        row("half_head", Expected::Unknown, |_| vec![Step::Write(b"HTTP/1.1 200 O".to_vec()), Step::Close]),
        row("half_body", Expected::Unknown, |_| {
            vec![
                head(200, "content-type: application/json\r\ncontent-length: 99\r\n"),
                Step::Write(b"{".to_vec()),
                Step::Close,
            ]
        }),
        row("large_head", Expected::Protocol, |_| vec![head(200, &format!("x: {}\r\n", "x".repeat(1 << 20)))]),
        row("many_fields", Expected::Protocol, |_| vec![head(200, &"x: 1\r\n".repeat(10_000))]),
        row("two_framings", Expected::Protocol, |_| {
            vec![head(200, "content-type: application/json\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n")]
        }),
        row("return_in_field", Expected::Protocol, |id| {
            vec![answer(200, "content-type: application/json\r\nmcp-session-id: a\rb\r\n", &ok(id))]
        }),
        row("no_http", Expected::Protocol, |_| vec![Step::Write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec())]),
        row("interim", Expected::Text("ok"), |id| vec![head(103, ""), json_answer(200, &ok(id))]),
        row("many_interim", Expected::Protocol, |_| vec![Step::Write(b"HTTP/1.1 103 Early\r\n\r\n".repeat(10_000))]),
        row("bad_chunk", Expected::Protocol, |_| vec![stream_head(), Step::Write(b"0x5\r\n".to_vec())]),
        row("encoded", Expected::Protocol, |id| {
            vec![answer(200, "content-type: application/json\r\ncontent-encoding: gzip\r\n", &ok(id))]
        }),
        row("extra_bytes", Expected::Text("ok"), |id| {
            vec![json_answer(200, &ok(id)), Step::Write(b"HTTP/1.1 200".to_vec())]
        }),
        row("huge", Expected::TooLarge, |_| {
            vec![head(200, "content-type: application/json\r\ncontent-length: 1073741824\r\n")]
        }),
        row("huge_chunks", Expected::TooLarge, |_| {
            let json = head(200, "content-type: application/json\r\ntransfer-encoding: chunked\r\n");
            let part = chunk(vec![b' '; 1 << 20]);
            [json].into_iter().chain(vec![part; limits::ANSWER_BYTES_MAX / (1 << 20) + 1]).collect()
        }),
        row("slow", Expected::Timeout, |id| {
            let json = head(200, "content-type: application/json\r\ncontent-length: 100\r\n");
            vec![json, Step::Drip(ok(id).into(), Duration::from_millis(300))]
        }),
        row("never", Expected::Timeout, |_| vec![Step::Pause(Duration::from_secs(600))]),
    ];
    run(ROWS).await;
}

#[tokio::test]
async fn event_streams_give_the_call_its_one_answer() {
    static ROWS: &[Row] = &[
        row("streamed", Expected::Text("ok"), |id| event_stream(&[&ok(id)])),
        row("line_ends", Expected::Text("ok"), |id| {
            let body = format!("\u{feff}: hello\r\n\rid: 7\r\nevent: message\rdata: {}\r\n\n", ok(id));
            vec![stream_head(), chunk(body), last_chunk()]
        }),
        row("comments", Expected::Text("ok"), |id| {
            vec![stream_head(), chunk(": flood\n".repeat(100_000)), chunk(event(&ok(id))), last_chunk()]
        }),
        row("only_comments", Expected::Timeout, |_| {
            vec![stream_head(), Step::Drip(chunked(&":\n".repeat(100)), Duration::from_millis(20))]
        }),
        row("no_answer", Expected::Unknown, |_| event_stream(&[])),
        row("cut_off", Expected::Unknown, |_| vec![stream_head(), Step::Close]),
        row("no_json", Expected::Protocol, |_| event_stream(&["hello"])),
        row("too_deep", Expected::Protocol, |id| event_stream(&[&too_deep(id)])),
        row("two_answers", Expected::Text("ok"), |id| event_stream(&[&ok(id), &text_body(id, "second")])),
        row("another's", Expected::Text("ok"), |id| event_stream(&[&text_body("1000000", "another's"), &ok(id)])),
        row("asks", Expected::Text("ok"), |id| {
            event_stream(&[r#"{"jsonrpc":"2.0","id":9,"method":"roots/list"}"#, &ok(id)])
        }),
        row("strays", Expected::Text("ok"), |id| {
            let progress =
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":77,"progress":1}}"#;
            event_stream(&[
                progress,
                r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
                &ok(id),
                progress,
            ])
        }),
        row("nameless_event", Expected::Text("ok"), |id| {
            vec![stream_head(), chunk(format!("data: {}\n\n", ok(id))), last_chunk()]
        }),
        row("named_events", Expected::Text("ok"), |id| {
            let other = format!("event: other\ndata: {}\n\n", text_body(id, "of another name"));
            vec![stream_head(), chunk(other), chunk(event(&ok(id))), last_chunk()]
        }),
        row("long_event", Expected::TooLarge, |_| {
            let part = chunk(vec![b'x'; 1 << 20]);
            let parts = vec![part; limits::EVENT_BYTES_MAX / (1 << 20) + 1];
            [stream_head(), chunk("data: ")].into_iter().chain(parts).collect()
        }),
    ];
    run(ROWS).await;
}

/// The bytes of one chunk.
fn chunked(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into()
}

#[tokio::test]
async fn answers_are_the_same_in_any_order_of_members_and_any_framing() {
    static ROWS: &[Row] = &[
        row("id_first", Expected::Text("ok"), |id| vec![json_answer(200, &ok(id))]),
        row("id_last", Expected::Text("ok"), |id| vec![json_answer(200, &id_last(id))]),
        row("chunked_first", Expected::Text("ok"), |id| in_chunks(&ok(id))),
        row("chunked_last", Expected::Text("ok"), |id| in_chunks(&id_last(id))),
        row("until_close_first", Expected::Text("ok"), |id| until_close(&ok(id))),
        row("until_close_last", Expected::Text("ok"), |id| until_close(&id_last(id))),
        row("stream_last", Expected::Text("ok"), |id| event_stream(&[&id_last(id)])),
        row("stream_until_close", Expected::Text("ok"), |id| {
            let stream = head(200, "content-type: text/event-stream\r\n");
            vec![stream, Step::Write(event(&ok(id)).into()), Step::Close]
        }),
        row("two_lines", Expected::Text("ok"), |id| {
            vec![json_answer(200, &ok(id).replace(",\"result\"", ",\r\n\"result\""))]
        }),
    ];
    run(ROWS).await;
}

fn id_last(id: &str) -> String {
    format!(r#"{{"result":{{"content":[{{"type":"text","text":"ok"}}]}},"jsonrpc":"2.0","id":{id}}}"#)
}

fn in_chunks(body: &str) -> Script {
    let json = head(200, "content-type: application/json\r\ntransfer-encoding: chunked\r\n");
    let chunks = body.as_bytes().chunks(7).map(chunk);
    [json].into_iter().chain(chunks).chain([last_chunk()]).collect()
}

fn until_close(body: &str) -> Script {
    vec![head(200, "content-type: application/json\r\n"), Step::Write(body.as_bytes().to_vec()), Step::Close]
}

#[tokio::test]
async fn an_event_stream_may_be_cut_between_any_two_bytes() {
    let odd = Server::start(modern(|request: &Request| {
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
        let body = event(progress) + &event(&text_body(&request.id(), request.argument()));
        let at: usize = request.argument().parse().unwrap_or_default();
        let (before, after) = body.as_bytes().split_at(at.min(body.len()));
        let rest = Step::Write([after, b"\r\n", b"0\r\n\r\n"].concat());
        let begun = Step::Write([format!("{:x}\r\n", body.len()).as_bytes(), before].concat());
        vec![stream_head(), begun, Step::Pause(Duration::from_millis(1)), rest]
    }));
    let good = Server::start(modern(echo));
    let gateway = with_servers_under(UNHURRIED, &odd, &good);
    for at in 0..250 {
        let own = format!("{at:03}");
        assert_eq!(call(gateway.address(), "odd__cut", &own).await, Outcome::Text(own));
    }
}

/// Answers with as much text as the call asks for, its id where the tool says; `breaks_off` sends half of that.
fn at_length(request: &Request) -> Script {
    let text = "0123456789".repeat(request.argument().parse().unwrap_or_default());
    let body = match request.name() {
        "id_last" => {
            let result = json!({ "content": [{ "type": "text", "text": text }] });
            format!(r#"{{"result":{result},"jsonrpc":"2.0","id":{}}}"#, request.id())
        }
        "another's" => text_body("1000000", &text),
        _ => text_body(&request.id(), &text),
    };
    let head = head(200, &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    let parts = body.as_bytes().chunks(50_000).map(|part| Step::Write(part.to_vec()));
    match request.name() {
        "breaks_off" => [head].into_iter().chain(parts.take(body.len() / 100_000)).chain([Step::Close]).collect(),
        _ => [head].into_iter().chain(parts).collect(),
    }
}

#[tokio::test]
async fn long_answers_are_relayed_whole_or_seen_to_be_broken_off() {
    let (odd, good) = (Server::start(modern(at_length)), Server::start(modern(echo)));
    let gateway = with_servers_under(UNHURRIED, &odd, &good);
    for tool in ["id_first", "id_last"] {
        for tens in [1, 13_000, 13_108, 200_000] {
            let outcome = call(gateway.address(), &format!("odd__{tool}"), &tens.to_string()).await;
            assert!(outcome == Outcome::Text("0123456789".repeat(tens)), "{tool}, {tens}");
        }
    }
    let outcome = call(gateway.address(), "odd__another's", "100000").await;
    assert_eq!(outcome, Outcome::failed("upstream_protocol_error", true));

    let mut client = Client::connect(gateway.address()).await;
    client.write(&Asked::call("odd__breaks_off", r#"{"text":"100000"}"#).bytes()).await;
    let head = client.head().await;
    let length: usize = head.field("content-length").and_then(|length| length.parse().ok()).expect("a length");
    let body = client.rest().await;
    assert!(body.len() < length, "the connection ends before the answer does");
    assert_serves(gateway.address(), "good").await;
}

#[tokio::test]
async fn a_backend_that_refuses_connections_costs_only_its_own_calls() {
    let odd = Server::start(modern(echo));
    let (address, good) = (odd.address(), Server::start(modern(echo)));
    let gateway = with_servers(&odd, &good);
    drop(odd);
    for _ in 0..3 {
        assert_eq!(call(gateway.address(), "odd__echo", "x").await, Outcome::failed("upstream_unavailable", false));
        assert_serves(gateway.address(), "good").await;
    }
    let list = Client::ask(gateway.address(), &Asked::modern("tools/list", None, "")).await;
    assert!(list.json()["result"]["tools"].is_array(), "{}", list.text());
    let _odd = Server::start_at(address, None, modern(echo));
    assert_serves(gateway.address(), "odd").await;
}

#[tokio::test]
async fn a_backend_that_cannot_be_greeted_was_sent_nothing() {
    type Greeted = fn(&Request) -> Script;
    let scripts: [(Greeted, _); 4] = [
        (|_| vec![Step::Close], "upstream_unavailable"),
        (|_| vec![head(401, "content-length: 0\r\n")], "upstream_auth"),
        (|_| vec![head(500, "content-length: 0\r\n")], "upstream_protocol_error"),
        (|_| vec![Step::Pause(Duration::from_secs(600))], "upstream_unavailable"),
    ];
    for (script, kind) in scripts {
        let (odd, good) = (Server::start(script), Server::start(modern(echo)));
        let gateway = with_servers(&odd, &good);
        assert_eq!(call(gateway.address(), "odd__echo", "x").await, Outcome::failed(kind, false));
        assert_serves(gateway.address(), "good").await;
    }
}

#[tokio::test]
async fn a_session_that_is_over_is_begun_anew_and_the_call_carried_once_more() {
    let sessions = Arc::new(AtomicUsize::new(0));
    let (begun, known) = (Arc::clone(&sessions), Arc::clone(&sessions));
    let session = move || format!("session-{}", begun.fetch_add(1, Ordering::SeqCst) + 1);
    let echoed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&echoed);
    let odd = Server::start(legacy(session, move |request: &Request| {
        let current = format!("session-{}", known.load(Ordering::SeqCst));
        match (request.field("mcp-session-id"), request.name()) {
            // Over before it was of any use.
            (_, "refused") => vec![head(404, "content-length: 0\r\n")],
            (Some(session), _) if session == current => {
                counted.fetch_add(1, Ordering::SeqCst);
                echo(request)
            }
            _ => vec![json_answer(404, &error_body("null", -32600))],
        }
    }));
    let good = Server::start(modern(echo));
    // One worker, so that there is one session.
    let builder = only1mcp::Gateway::<crate::support::scripted::Servers>::builder().workers(1);
    let gateway = builder.reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url()).start().expect("it starts");
    // So many calls at once may take longer than a second.
    gateway.overlay().apply(UNHURRIED).expect("a sound overlay");
    let address = gateway.address();
    assert_eq!(call(address, "odd__echo", "first").await, Outcome::Text("first".to_owned()));
    // The server forgets it.
    sessions.fetch_add(1, Ordering::SeqCst);
    assert_eq!(call(address, "odd__echo", "second").await, Outcome::Text("second".to_owned()));
    assert_eq!(sessions.load(Ordering::SeqCst), 3);
    assert_eq!(call(address, "odd__refused", "x").await, Outcome::failed("upstream_protocol_error", false));
    assert_eq!(sessions.load(Ordering::SeqCst), 4, "it was tried once more, not again and again");
    // Many calls find out at once: one greeting serves them all, and each is carried once more.
    sessions.fetch_add(1, Ordering::SeqCst);
    let before = echoed.load(Ordering::SeqCst);
    let carried = |own: usize| tokio::spawn(async move { (own, call(address, "odd__echo", &own.to_string()).await) });
    let calls: Vec<_> = (0..64).map(carried).collect();
    for outcome in calls {
        let (own, outcome) = outcome.await.expect("it does not panic");
        assert_eq!(outcome, Outcome::Text(own.to_string()));
    }
    assert_eq!(sessions.load(Ordering::SeqCst), 6, "one session for all of them");
    assert_eq!(echoed.load(Ordering::SeqCst) - before, 64, "none was executed twice");
    assert_serves(address, "odd").await;
}

#[tokio::test]
async fn a_refusal_that_does_not_say_that_the_session_is_over_is_not_followed_by_another_attempt() {
    let (sessions, calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (begun, counted) = (Arc::clone(&sessions), Arc::clone(&calls));
    let session = move || format!("session-{}", begun.fetch_add(1, Ordering::SeqCst));
    let odd = Server::start(legacy(session, move |request: &Request| {
        if request.name() != "echo" {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        match request.name() {
            "other_json" => vec![json_answer(400, r#"{"error":"invalid session"}"#)],
            "another's" => vec![json_answer(400, &error_body("1000000", -32600))],
            "html" => vec![answer(400, "content-type: text/html\r\n", "<p>no session</p>")],
            "unavailable" => vec![json_answer(503, &error_body("null", -32000))],
            _ => echo(request),
        }
    }));
    let good = Server::start(modern(echo));
    let builder = only1mcp::Gateway::<crate::support::scripted::Servers>::builder().workers(1);
    let gateway = builder.reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url()).start().expect("it starts");
    for (tool, expected) in [
        ("other_json", Outcome::failed("upstream_protocol_error", true)),
        ("another's", Outcome::failed("upstream_protocol_error", true)),
        ("html", Outcome::failed("upstream_protocol_error", true)),
        ("unavailable", Outcome::Error(-32000)),
    ] {
        assert_eq!(call(gateway.address(), &format!("odd__{tool}"), "x").await, expected, "{tool}");
        assert_serves(gateway.address(), "odd").await;
    }
    assert_eq!((calls.load(Ordering::SeqCst), sessions.load(Ordering::SeqCst)), (4, 1));
}

#[tokio::test]
async fn a_legacy_backend_gives_modern_clients_no_errors_of_their_era() {
    let codes = [-32020, -32022, -32042];
    let odd = Server::start(legacy(
        || "session".to_owned(),
        move |request: &Request| vec![json_answer(200, &error_body(&request.id(), request.argument()))],
    ));
    let good = Server::start(modern(echo));
    let gateway = with_servers(&odd, &good);
    for code in codes {
        assert_eq!(call(gateway.address(), "odd__fails", &code.to_string()).await, Outcome::Error(-32603), "{code}");
    }
    // What its client lacks a server of either era may say.
    for code in [-32021, -32050] {
        assert_eq!(call(gateway.address(), "odd__fails", &code.to_string()).await, Outcome::Error(code));
    }
}

#[tokio::test]
async fn progress_of_another_call_is_not_taken_for_a_calls_own() {
    let odd = Server::start(modern(|request: &Request| {
        let progress = |token: String, step: u32| {
            let params = format!(r#"{{"progressToken":{token},"progress":{step}}}"#);
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#)
        };
        let id = request.id();
        let text = format!("\"{id}\"");
        let all = [progress("77".to_owned(), 1), progress(text, 2), progress(id.clone(), 3), ok(&id)];
        event_stream(&all.iter().map(String::as_str).collect::<Vec<_>>())
    }));
    let good = Server::start(modern(echo));
    let gateway = with_servers(&odd, &good);
    let mut client = Client::connect(gateway.address()).await;
    let tracked = Asked::call("odd__work", "{}").edit(META, &format!(r#"{META},"progressToken":"mine""#));
    client.write(&tracked.bytes()).await;
    assert_eq!(client.head().await.status, 200);
    let told = client.message().await.expect("progress");
    assert_eq!(told["params"], json!({ "progressToken": "mine", "progress": 3 }));
    assert_eq!(client.message().await.expect("an answer")["result"]["content"][0]["text"], "ok");
}

#[tokio::test]
async fn requests_of_a_legacy_backend_are_answered_by_the_gateway() {
    let (keep, kept) = std::sync::mpsc::channel();
    let odd = Server::start(legacy(
        || "session".to_owned(),
        move |request: &Request| match request.rpc() {
            // The answer to one of its own.
            "" => {
                keep.send(request.body.clone()).expect("it is waited for");
                vec![head(202, "content-length: 0\r\n")]
            }
            _ => event_stream(&[
                r#"{"jsonrpc":"2.0","id":"s-1","method":"ping"}"#,
                r#"{"jsonrpc":"2.0","id":2,"method":"roots/list"}"#,
                &ok(&request.id()),
            ]),
        },
    ));
    let good = Server::start(modern(echo));
    let gateway = with_servers(&odd, &good);
    assert_eq!(call(gateway.address(), "odd__asks", "x").await, Outcome::Text("ok".to_owned()));
    assert_eq!(kept.recv().expect("an answer"), json!({ "jsonrpc": "2.0", "id": "s-1", "result": {} }));
    let refused = kept.recv().expect("an answer");
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(2), &json!(-32601)));
}

#[tokio::test]
async fn a_backend_that_does_not_end_its_session_does_not_hold_up_the_gateways_end() {
    let greets = legacy(|| "session".to_owned(), echo);
    let odd = Server::start(move |request: &Request| match request.method.as_str() {
        "DELETE" => vec![Step::Pause(Duration::from_secs(600))],
        _ => greets(request),
    });
    let good = Server::start(modern(echo));
    let gateway = with_servers(&odd, &good);
    assert_serves(gateway.address(), "odd").await;
    let began = std::time::Instant::now();
    gateway.stop();
    assert!(began.elapsed() < limits::DRAIN_GRACE, "{:?}", began.elapsed());
}
