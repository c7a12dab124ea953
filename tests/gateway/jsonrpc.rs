//! JSON-RPC level: a table of hostile messages, and the property that arguments and results cross untouched.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::client::{Client, Event, META, Request};
use crate::support::gateways;
use crate::support::recorder::{DONE, Post, Recorder, Wire};
use crate::support::rows::{Row, error, refused, run, served};

/// A call of `admin__echo` with this body.
fn body(body: impl Into<Vec<u8>>) -> Request {
    Request::raw("tools/call", Some("admin__echo"), body)
}

fn call(arguments: &str) -> Request {
    Request::call("admin__echo", arguments)
}

/// A call with text replaced in its body.
fn edited(from: &str, to: &str) -> Request {
    call(r#"{"x":1}"#).edit(from, to)
}

fn not_json() -> Vec<Row> {
    let whole =
        || String::from_utf8(call("{}").bytes()).expect("ASCII").split_once("\r\n\r\n").expect("a head").1.to_owned();
    let utf16: Vec<u8> = whole().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let no_id: fn(&crate::support::client::Answer) -> bool = |answer| answer.json().get("id").is_none();
    vec![
        error("an empty body", body(""), &[400], -32700).also(no_id),
        error("an opening brace alone", body("{"), &[400], -32700).also(no_id),
        error("white space alone", body(" \r\n\t "), &[400], -32700),
        error("garbage after the message", body(format!("{}garbage", whole())), &[400], -32700),
        error("two messages in one body", body(whole().repeat(2)), &[400], -32700),
        error("a byte order mark", body(format!("\u{feff}{}", whole())), &[400], -32700),
        error("an id that is NaN", edited(r#""id":1"#, r#""id":NaN"#), &[400], -32700),
        error("a lone surrogate as id", edited(r#""id":1"#, r#""id":"\ud800""#), &[400], -32700),
        error("a lone surrogate as name", edited("admin__echo", r"\ud800"), &[400], -32700),
        error("a body in UTF-16", body(utf16), &[400], -32700),
        error("not UTF-8", body([whole().as_bytes(), b"\xff"].concat()), &[400], -32700),
        error("a comment", edited(r#""id":1"#, r#"/**/"id":1"#), &[400], -32700),
        error("a trailing comma", edited(r#"{"x":1}"#, r#"{"x":1,}"#), &[400], -32700),
    ]
}

fn not_one_message() -> Vec<Row> {
    let call_of =
        |id: u8| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"admin__echo"}}}}"#);
    vec![
        error("an empty array", body("[]"), &[400], -32600),
        error("a batch of two calls", body(format!("[{},{}]", call_of(1), call_of(2))), &[400], -32600),
        error("the members of a call in an array", body(r#"["2.0",1,"tools/call",{"name":"x"}]"#), &[400], -32600),
        error("a string as message", body(r#""tools/list""#), &[400], -32600),
        error("a response", body(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), &[400], -32600),
        error("a method and a result", edited(r#""params""#, r#""result":{},"params""#), &[400], -32600),
    ]
}

fn nested(depth: usize) -> String {
    // The message is level 1, `params` 2, `arguments` 3.
    let levels = depth - 3;
    format!(r#"{{"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
}

fn sizes() -> Vec<Row> {
    let members: String = (0..100_000).map(|n| format!(r#""k{n}":{n},"#)).collect();
    let empties = r#"{"":0},"#.repeat(580_000);
    let answers = format!(r#""inputResponses":{{"a":{{"x":"{}"}}}},"arguments""#, "x".repeat(10 << 20));
    vec![
        // The bound counts from the message itself, which is level 1.
        served("128 levels", call(&nested(128))),
        error("129 levels", call(&nested(129)), &[400], -32600).kind("json_depth"),
        error("100,000 levels", call(&nested(100_000)), &[400], -32600).kind("json_depth"),
        error("2,000,000 levels", call(&nested(2_000_000)), &[400], -32600).kind("json_depth"),
        served("100,000 members", call(&format!(r#"{{{members}"last":0}}"#))),
        served("4 MB of objects with an empty key", call(&format!(r#"{{"x":[{empties}0]}}"#))),
        error("10 MB of input responses", edited(r#""arguments""#, &answers), &[413], -32600).kind("payload_too_large"),
        error("one byte too many", body(" ".repeat((4 << 20) + 1)), &[413], -32600).kind("payload_too_large"),
    ]
}

fn envelopes() -> Vec<Row> {
    let id = |id: &str| edited(r#""id":1"#, &format!(r#""id":{id}"#));
    vec![
        error("a doubled method", edited(r#""params""#, r#""method":"tools/list","params""#), &[400], -32600)
            .kind("duplicate_key"),
        error("a doubled name", edited(r#""arguments""#, r#""name":"admin__wait","arguments""#), &[400], -32600)
            .kind("duplicate_key"),
        error(
            "a doubled name, once escaped",
            edited(r#""arguments""#, r#""n\u0061me":"admin__wait","arguments""#),
            &[400],
            -32600,
        )
        .kind("duplicate_key"),
        served("an escaped method", edited("tools/call", r"tools\u002fcall")),
        error("no `jsonrpc`", edited(r#""jsonrpc":"2.0","#, ""), &[400], -32600),
        error("`jsonrpc` is 1.0", edited(r#""2.0""#, r#""1.0""#), &[400], -32600),
        error("`jsonrpc` is a number", edited(r#""2.0""#, "2.0"), &[400], -32600),
        error("no method", edited(r#""method":"tools/call","#, ""), &[400], -32600),
        error("a method that is a number", edited(r#""tools/call""#, "7"), &[400], -32600),
        error("an empty method", edited("tools/call", "").with("Mcp-Method", ""), &[404], -32601),
        // A method of that size cannot stand in `Mcp-Method`, which is compared first.
        error("a method of 1 MB", edited("tools/call", &"m".repeat(1 << 20)), &[400], -32020)
            .also(|answer| answer.body.len() < 4096),
        error("an id that is null", id("null"), &[400], -32600),
        // Without an id it is a notification: taken, and executed by nobody.
        refused("a call without an id", edited(r#""id":1,"#, ""), &[202]),
        error("an id that is an object", id("{}"), &[400], -32600),
        error("an id that is an array", id("[1]"), &[400], -32600),
        error("an id that is a boolean", id("true"), &[400], -32600),
        error("an id with a fraction", id("1.5"), &[400], -32600),
        served("an id beyond 64 bits", id("18446744073709551616"))
            .also(|answer| answer.text().contains(r#""id":18446744073709551616"#)),
        served("an id as a fraction", id("1.0")).also(|answer| answer.text().contains(r#""id":1.0"#)),
        served("an escaped id", id(r#""\u0061\/""#)).also(|answer| answer.text().contains(r#""id":"\u0061\/""#)),
        served("an empty id", id(r#""""#)).also(|answer| answer.text().contains(r#""id":"""#)),
        error("an id of 1 MB", id(&format!(r#""{}""#, "i".repeat(1 << 20))), &[400], -32600)
            .also(|answer| answer.json().get("id").is_none()),
    ]
}

fn params() -> Vec<Row> {
    let params = |params: &str| body(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#));
    vec![
        error("params that are an array", params("[]"), &[400], -32602),
        // Parameters that are no object have no `_meta`, which is looked for first.
        error("params that are a string", params(r#""x""#), &[400], -32602),
        error("params that are null", params("null"), &[400], -32602),
        error("no params", body(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#), &[400], -32602),
        // Unknown members are the backend's to judge: they are forwarded byte for byte.
        served("an unknown member", edited(r#""params""#, r#""extra":{"a":1e2},"params""#)),
        served("a number beyond any float", call(r#"{"x":1e999}"#)),
        served("line separators in a string", call("{\"x\":\"a\u{2028}b\u{2029}c\"}")),
        // Unknown names are answered in 200.
        error(
            "a NUL in the name",
            edited("admin__echo", r"a\u0000b").with("Mcp-Name", "=?base64?YQBi?="),
            &[200],
            -32602,
        ),
        served("keys of prototypes", call(r#"{"__proto__":{"a":1},"constructor":null}"#)),
        refused(
            "an unknown notification",
            body(format!(r#"{{"jsonrpc":"2.0","method":"notifications/other","params":{{"_meta":{{{META}}}}}}}"#)),
            &[202],
        )
        .also(|answer| answer.body.is_empty()),
        refused(
            "a cancellation of another client's id",
            body(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#),
            &[202],
        ),
    ]
}

#[tokio::test]
async fn what_is_not_json_is_a_parse_error() {
    run(not_json()).await;
}

#[tokio::test]
async fn a_body_is_one_request_or_notification() {
    run(not_one_message()).await;
}

#[tokio::test]
async fn depth_and_length_have_bounds() {
    run(sizes()).await;
}

#[tokio::test]
async fn members_that_decide_are_read_one_way() {
    run(envelopes()).await;
}

#[tokio::test]
async fn parameters_are_objects_and_unknown_members_pass() {
    run(params()).await;
}

/// Unknown members, numbers beyond any float, line separators and keys of prototypes pass as they stand.
#[tokio::test]
async fn only_id_name_and_token_of_a_request_change_on_its_way() {
    let mut upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let arguments =
        "{\"__proto__\":1,\"x\":[1e999,1.0,-0,18446744073709551616],\"x\":\"\\u0041\u{2028}\",\t\"y\" : {} }";
    let request = call(arguments).edit(r#""params""#, r#""extra" : 1E2 ,"params""#);
    let sent = request.bytes();
    assert_eq!(Client::ask(gateway.address(), &request).await.status, 200);
    let post = upstream.post().await;
    let sent = String::from_utf8(sent).expect("UTF-8");
    let sent = sent.split_once("\r\n\r\n").expect("a head").1;
    let expected = sent.replacen(r#""id":1"#, &format!(r#""id":{}"#, post.id), 1).replacen("admin__echo", "echo", 1);
    assert_eq!(post.body, expected);
    assert!(post.head.contains("mcp-name: echo\r\n"), "{}", post.head);
}

#[tokio::test]
async fn calls_with_one_id_get_their_own_answers() {
    let gateway = gateways::demo();
    let mut clients = Vec::new();
    for n in 0..8 {
        let mut client = Client::connect(gateway.address()).await;
        client.write(&Request::call("admin__echo", &format!(r#"{{"n":{n}}}"#)).bytes()).await;
        clients.push(client);
    }
    for (n, mut client) in clients.into_iter().enumerate() {
        let answer = client.answer().await.json();
        assert_eq!(answer["result"]["content"][0]["text"], format!(r#"{{"n":{n}}}"#));
    }
}

/// What a child reads is one line, whatever line ends stood between the tokens.
#[tokio::test]
async fn line_ends_between_tokens_smuggle_no_message_into_a_child() {
    let gateway = gateways::demo();
    let smuggled =
        "{\"a\":\n{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{\"name\":\"status\"}}\n\r}";
    let answer = Client::ask(gateway.address(), &call(smuggled)).await;
    let echoed = answer.json()["result"]["content"][0]["text"].as_str().map(ToOwned::to_owned);
    assert_eq!(echoed.as_deref(), Some(smuggled.replace(['\n', '\r'], "").as_str()));
    let status = Client::ask(gateway.address(), &Request::call("admin__status", "{}")).await.json();
    assert_eq!(status["result"]["structuredContent"]["calls_served"], 1);
}

#[tokio::test]
async fn line_ends_between_tokens_of_an_answer_make_no_second_event() {
    let upstream = Recorder::play(async |_post: Post, wire: &mut Wire<'_>| {
        let response = wire.response(DONE).replacen(',', ",\n", 2);
        wire.stream().await?;
        wire.event(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#).await?;
        wire.event(&response).await?;
        wire.end().await
    });
    let gateway = gateways::recorded(&upstream);
    let mut client = Client::connect(gateway.address()).await;
    let logged = call("{}").edit(META, &format!(r#"{META},"io.modelcontextprotocol/logLevel":"info""#));
    client.write(&logged.bytes()).await;
    assert_eq!(client.head().await.status, 200);
    assert!(matches!(client.event().await, Some(Event::Message(log)) if log.contains("notifications/message")));
    assert_eq!(client.event().await, Some(Event::Message(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{DONE}}}"#))));
    assert_eq!(client.event().await, None);
}

/// JSON as text, not as a tree: what parsers fold together stays apart.
fn json() -> impl Strategy<Value = String> {
    const WRITTEN: [&str; 6] = [
        "1.0",
        "-0",
        "-0.0",
        "1E+2",
        "0.1000000000000000055511151231257827",
        "340282366920938463463374607431768211456",
    ];
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        prop::sample::select(&WRITTEN[..]).prop_map(str::to_owned),
    ];
    let text = prop_oneof![
        "[ -!#-\\[\\]-~\u{a0}-\u{ff}\u{2028}\u{1f600}]{0,12}",
        Just(r#"\" \\ \/ \b \f \n \r \t"#.to_owned()),
        Just(r"\u0041\u00e9\ud83d\ude00\u0000".to_owned()),
    ];
    let string = text.prop_map(|text| format!("\"{text}\""));
    let leaf = prop_oneof![number, string.clone(), Just("null".to_owned()), Just("true".to_owned())];
    let space = prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\t"), 1 => Just("\r\n"), 1 => Just("\n\n")];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        let items = prop::collection::vec((space.clone(), inner.clone()), 0..6);
        // Few keys, so that some stand twice.
        let key = prop_oneof![Just("\"a\"".to_owned()), Just(r#""name""#.to_owned()), string.clone()];
        let members = prop::collection::vec((space.clone(), key, space.clone(), inner), 0..6);
        prop_oneof![
            items.prop_map(|items| {
                let items: Vec<_> = items.into_iter().map(|(space, item)| format!("{space}{item}{space}")).collect();
                format!("[{}]", items.join(","))
            }),
            members.prop_map(|members| {
                let members =
                    members.into_iter().map(|(before, key, after, value)| format!("{before}{key}{after}:{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// An object, sometimes deep.
fn arguments() -> impl Strategy<Value = String> {
    (json(), 0..100_usize).prop_map(|(inner, depth)| {
        let depth = depth.saturating_sub(10).min(90);
        format!(r#"{{"x":{}{inner}{}}}"#, "[".repeat(depth), "]".repeat(depth))
    })
}

/// The demo server gives its arguments back as text, byte for byte as it read them.
#[test]
fn arguments_reach_a_child_byte_for_byte() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let gateway = gateways::demo();
    let mut client = runtime.block_on(Client::connect(gateway.address()));
    let client = std::cell::RefCell::new(&mut client);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(200) });
    let outcome = runner.run(&arguments(), |arguments| {
        let answer = runtime.block_on(client.borrow_mut().exchange(&call(&arguments)));
        // Line ends between tokens go, because a child reads lines.
        let expected = arguments.replace(['\r', '\n'], "");
        let echoed = answer.json()["result"]["content"][0]["text"].as_str().map(ToOwned::to_owned);
        prop_assert_eq!(echoed, Some(expected), "{}", answer.text());
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The played server puts its arguments into its result as they came, so both ways are seen at once. Numbers that no
/// parser can hold are part of it, because nothing here parses them.
#[test]
fn arguments_and_results_cross_byte_for_byte() {
    let upstream = Recorder::play(async |post: Post, wire: &mut Wire<'_>| {
        let (_, rest) = post.body.split_once(r#""arguments":"#).expect("arguments");
        let (arguments, _) = rest.rsplit_once(r#","_meta""#).expect("metadata");
        wire.result(&format!(r#"{{"resultType":"complete","content":[],"structuredContent":{arguments}}}"#)).await
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let gateway = gateways::recorded(&upstream);
    let mut client = runtime.block_on(Client::connect(gateway.address()));
    let client = std::cell::RefCell::new(&mut client);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(200) });
    let outcome = runner.run(&arguments(), |arguments| {
        let arguments = arguments.replace("1E+2", "1e999");
        let answer = runtime.block_on(client.borrow_mut().exchange(&call(&arguments)));
        let expected = format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"complete","content":[],"structuredContent":{arguments}}}}}"#
        );
        prop_assert_eq!(answer.text(), expected);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
