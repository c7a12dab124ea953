//! Servers whose tools want other arguments in headers than was locked: a call that one refuses for that is made once more
//! as the server wants it by now, and what cannot be settled like that stays its answer.

use only1mcp::{Gateway, Running};

use crate::legacy::{message, session, session_of};
use crate::params::Params;
use crate::support::client::{Client, Request};
use crate::support::log;
use crate::support::recorder::{DONE, Post, Recorder, Wire};

/// A page that names another one, and a tool that is no other's.
const FIRST: &str = r#"{"tools":[{"name":"plain2","inputSchema":{}}],"nextCursor":"2 \"","ttlMs":0,"cacheScope":"public","resultType":"complete"}"#;
const REFUSED: &str = r#"{"code":-32020,"message":"m","data":[1.0]}"#;

/// A schema of one argument that is wanted in a header.
fn wants(kind: &str, header: &str) -> String {
    format!(r#"{{"type":"object","properties":{{"region":{{"type":"{kind}","x-mcp-header":"{header}"}}}}}}"#)
}

/// The same in a schema that nests too deep.
fn wants_deep(kind: &str, header: &str) -> String {
    let (schema, open, close) = (wants(kind, header), "[".repeat(10_000), "]".repeat(10_000));
    format!(r#"{},"allOf":{open}{close}}}"#, schema.strip_suffix('}').expect("an object"))
}

/// The page that has the tool.
fn page(schema: &str) -> String {
    format!(r#"{{"tools":[{{"name":"plain","inputSchema":{schema}}}],"resultType":"complete"}}"#)
}

/// A server that takes calls with the field alone, and lists this on its last page.
fn server(field: &'static str, last: String) -> Recorder {
    Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
        if post.body.contains("tools/list") {
            return wire.result(if post.body.contains(r#""cursor":"2 \"""#) { &last } else { FIRST }).await;
        }
        if post.head.contains(field) {
            return wire.result(DONE).await;
        }
        wire.answer(400, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{REFUSED}}}"#, post.id)).await
    })
}

fn gateway(near: &Recorder) -> Running {
    let builder = Gateway::<Params>::builder().workers(1).reference("NEAR_URL", near.url());
    builder.reference("FAR_URL", near.url()).start().expect("the gateway starts")
}

/// What a server was asked since it was looked at last: calls and lists.
async fn asked(server: &mut Recorder, before: usize) -> [usize; 2] {
    let mut asked = [0, 0];
    for _ in before..server.calls() {
        asked[usize::from(server.post().await.body.contains("tools/list"))] += 1;
    }
    asked
}

const ARGUMENTS: &str = r#"{"region":"eu"}"#;

#[tokio::test]
async fn a_call_that_is_refused_for_its_headers_is_made_again_as_the_server_lists_it_by_now() {
    let mut near = server("mcp-param-region: eu\r\n", page(&wants("string", "Region")));
    let gateway = gateway(&near);
    let modern = Request::call("near__plain", ARGUMENTS);
    let says_otherwise = modern.clone().field("Mcp-Param-Region", "us").field("Mcp-Param-Other", "x");
    let body = message("tools/call", &format!(r#"{{"name":"near__plain","arguments":{ARGUMENTS}}}"#));
    let legacy = Request::legacy(&session(gateway.address()).await, body);
    let plain = Request::post(format!(r#"{{"name":"near__plain","arguments":{ARGUMENTS}}}"#));
    let requests = [modern, says_otherwise, legacy, plain.line("POST /tools/call HTTP/1.1")];
    for (request, expected) in requests.iter().zip([[2, 2], [1, 0], [1, 0], [1, 0]]) {
        let before = near.calls();
        let answer = Client::ask(gateway.address(), request).await;
        assert!(answer.status == 200 && answer.text().contains("done"), "{}", answer.text());
        assert_eq!(asked(&mut near, before).await, expected);
    }
}

#[tokio::test]
async fn a_tool_that_nests_too_deep_hides_no_other_on_its_page() {
    let (deep, plain) = (wants_deep("string", "Region"), wants("string", "Region"));
    let tool = |name: &str, schema: &str| format!(r#"{{"name":"{name}","inputSchema":{schema}}}"#);
    let tools = [tool("deep", &deep), tool("plain", &plain), tool("abyss", &deep)].join(",");
    let mut near = server("mcp-param-region: eu\r\n", format!(r#"{{"tools":[{tools}],"resultType":"complete"}}"#));
    let gateway = gateway(&near);
    let answer = Client::ask(gateway.address(), &Request::call("near__plain", ARGUMENTS)).await;
    assert!(answer.status == 200 && answer.text().contains("done"), "{}", answer.text());
    assert_eq!(asked(&mut near, 0).await, [2, 2]);
}

#[tokio::test]
async fn calls_that_are_refused_at_once_ask_the_server_once() {
    let mut near = server("mcp-param-region: eu\r\n", page(&wants("string", "Region")));
    let gateway = gateway(&near);
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(gateway.address()).await;
        client.write(&Request::call("near__plain", ARGUMENTS).bytes()).await;
        clients.push(client);
    }
    for mut client in clients {
        assert_eq!(client.answer().await.json()["result"]["content"][0]["text"], "done");
    }
    let [calls, lists] = asked(&mut near, 0).await;
    assert!((9..=16).contains(&calls) && lists == 2, "{calls} calls, {lists} lists");
}

#[tokio::test]
async fn a_refusal_that_no_other_header_settles_is_the_answer() {
    for (last, expected) in [
        // Nothing else, nothing, and what it may not want.
        (page(r#"{"type":"object"}"#), [1, 2]),
        (r#"{"tools":[],"resultType":"complete"}"#.to_owned(), [1, 2]),
        (page(&wants("number", "Region")), [1, 2]),
        (page(&wants("string", "a b")), [1, 2]),
        // No list, one without an end, and one of another kind.
        (r#"{"tools":{},"resultType":"complete"}"#.to_owned(), [1, 2]),
        (FIRST.to_owned(), [1, 2]),
        (r#"{"tools":[],"resultType":"input_required","inputRequests":{}}"#.to_owned(), [1, 2]),
        // Once more, and no more.
        (page(&wants("string", "Zone")), [2, 2]),
    ] {
        let mut near = server("mcp-param-region: eu\r\n", last.clone());
        let gateway = gateway(&near);
        let refused = async |request: &Request, status: u16| {
            let answer = Client::ask(gateway.address(), request).await;
            let expected = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{REFUSED}}}"#);
            assert_eq!((answer.status, answer.text()), (status, expected), "{last}");
        };
        refused(&Request::call("near__plain", ARGUMENTS), 400).await;
        assert_eq!(asked(&mut near, 0).await, expected, "{last}");
        // It was asked just now.
        let before = near.calls();
        let body = message("tools/call", &format!(r#"{{"name":"near__plain","arguments":{ARGUMENTS}}}"#));
        let session = session_of(gateway.address(), "2025-06-18").await;
        refused(&Request::legacy(&session, body), 200).await;
        assert_eq!(asked(&mut near, before).await, [1, 0], "{last}");
    }
}

#[tokio::test]
async fn a_server_that_goes_away_meanwhile_leaves_its_refusal() {
    let near = Recorder::play(async |post: Post, wire: &mut Wire<'_>| {
        if post.body.contains("tools/list") {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        wire.answer(400, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{REFUSED}}}"#, post.id)).await
    });
    let gateway = gateway(&near);
    let answer = Client::ask(gateway.address(), &Request::call("near__plain", ARGUMENTS)).await;
    assert_eq!((answer.status, answer.code()), (400, Some(-32020)), "{}", answer.text());
}

#[tokio::test]
async fn a_tool_that_is_listed_as_it_may_not_be_is_told_of_in_the_log() {
    let log = log::kept();
    for (schema, why) in [
        (
            wants("string", "Of\\r\\nForged"),
            r"property `region` asks for a header with `\\r` in its name, which no header has",
        ),
        (wants_deep("string", "Zone"), "it nests deeper than 120 levels"),
    ] {
        let near = server("mcp-param-region: eu\r\n", page(&schema));
        let gateway = gateway(&near);
        for _ in 0..2 {
            let answer = Client::ask(gateway.address(), &Request::call("near__plain", ARGUMENTS)).await;
            assert_eq!((answer.status, answer.code()), (400, Some(-32020)), "{}", answer.text());
        }
        let told = log.lines_with(why);
        let [line] = &told[..] else { unreachable!("once, not with each call: {told:?}") };
        let expected = r#"WARN it is listed as no client may be shown it backend="near" tool="plain" why="#;
        assert!(line.contains(expected), "{line}");
    }
}
