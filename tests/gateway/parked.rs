//! Legacy servers that ask while they work, and modern clients that come back with what was asked; clients of legacy
//! sessions, who are asked on the stream of their call.

use std::net::SocketAddr;

use only1mcp::limits::PARKED_CALLS_MAX;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::legacy;
use crate::profiles::Profiles;
use crate::support::client::{Answer, Client, Event, META, Request};
use crate::support::scripted::{WithChildren, eventually, is_alive, signal};
use crate::support::socket::SocketClient;

const DECLARED: &str = r#"{"roots":{},"sampling":{}}"#;

fn rig() -> WithChildren {
    WithChildren::start_as::<Profiles>("plain", |builder| builder)
}

/// How often the child was called.
fn calls(rig: &WithChildren) -> usize {
    rig.ledger.after("read").iter().filter(|line| line.contains("\"asks\"")).count()
}

/// A modern call of a tool that asks, with further parameters.
fn asks(arguments: &str, further: &str) -> Request {
    let (own, declared) = (r#"clientCapabilities":{}"#, format!(r#"clientCapabilities":{DECLARED}"#));
    let params = format!(r#""name":"odd__asks","arguments":{arguments}{further}"#);
    Request::modern("tools/call", Some("odd__asks"), &params).edit(own, &declared)
}

/// The state and the keys, by method, of an answer that asks.
fn asked(answer: &Answer) -> (String, Vec<(String, String)>) {
    let result = &answer.json()["result"];
    assert_eq!((answer.status, &result["resultType"]), (200, &json!("input_required")), "{answer:?}");
    let requests = result["inputRequests"].as_object().expect("questions");
    let methods = requests.iter().map(|(key, request)| {
        assert!(request["params"].is_object(), "{request}");
        (request["method"].as_str().expect("a method").to_owned(), key.clone())
    });
    let mut methods: Vec<_> = methods.collect();
    methods.sort();
    (result["requestState"].as_str().expect("a state").to_owned(), methods)
}

/// The parameters that answer some questions.
fn with(state: &str, responses: &[(&str, &str)]) -> String {
    let responses: Vec<_> = responses.iter().map(|(key, result)| format!(r#""{key}":{result}"#)).collect();
    format!(r#","requestState":"{state}","inputResponses":{{{}}}"#, responses.join(","))
}

const ROOTS: &str = r#"{"roots":[{"uri":"file:///own","x":1.0}]}"#;
const SAMPLE: &str = r#"{"role":"assistant","content":{"type":"text","text":"hm"},"model":"m"}"#;

/// What the child was answered, by the id of its request.
fn heard(answer: &Value) -> Vec<Value> {
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| unreachable!("{answer}"));
    let mut answers: Vec<Value> = serde_json::from_str(text).expect("what it got");
    answers.sort_by_key(|answer| answer["id"].to_string());
    answers
}

fn assert_heard(answer: &Value) {
    let [ping, roots, sampling] = &heard(answer)[..] else { unreachable!("three answers") };
    assert_eq!((&ping["id"], &ping["result"]), (&json!("s-1"), &json!({})));
    assert_eq!(
        *roots,
        json!({ "jsonrpc": "2.0", "id": 2, "result": { "roots": [{ "uri": "file:///own", "x": 1.0 }] } })
    );
    assert_eq!((&sampling["id"], &sampling["result"]["content"]["text"]), (&json!(3), &json!("hm")));
}

#[tokio::test]
async fn a_modern_client_is_asked_and_its_call_goes_on_when_it_is_back() {
    let rig = rig();
    for round in 1..=6 {
        let (state, keys) = asked(&Client::ask(rig.address(), &asks("{}", "")).await);
        let [(roots, roots_key), (sampling, sampling_key)] = &keys[..] else { unreachable!("{keys:?}") };
        assert_eq!((&**roots, &**sampling), ("roots/list", "sampling/createMessage"));
        let back = asks("{}", &with(&state, &[(roots_key, ROOTS), (sampling_key, SAMPLE), ("another", "{}")]));
        let answer = Client::ask(rig.address(), &back.edit(r#""id":1"#, r#""id":"again""#)).await;
        let message = answer.json();
        assert_eq!(
            (&message["id"], &message["result"]["resultType"]),
            (&json!("again"), &json!("complete")),
            "{message}"
        );
        assert_heard(&message);
        assert_eq!(calls(&rig), round);
    }
}

#[tokio::test]
async fn what_is_left_out_is_asked_again_under_another_state() {
    let rig = rig();
    let (state, keys) = asked(&Client::ask(rig.address(), &asks("{}", "")).await);
    let (again, rest) = asked(&Client::ask(rig.address(), &asks("{}", &with(&state, &[(&keys[0].1, ROOTS)]))).await);
    assert_ne!(again, state);
    assert_eq!(rest, keys[1..]);
    let used = Client::ask(rig.address(), &asks("{}", &with(&state, &[(&keys[1].1, SAMPLE)]))).await;
    assert_eq!(used.code(), Some(-32602), "{used:?}");
    let answer = Client::ask(rig.address(), &asks("{}", &with(&again, &[(&rest[0].1, SAMPLE)]))).await;
    assert_heard(&answer.json());
    assert_eq!(calls(&rig), 1);
}

#[tokio::test]
async fn a_state_is_good_once_and_for_the_request_that_it_was_given_for() {
    let rig = rig();
    let (state, keys) = asked(&Client::ask(rig.address(), &asks(r#"{"a":1,"b":[2]}"#, "")).await);
    let responses = [(&*keys[0].1, ROOTS), (&*keys[1].1, SAMPLE)];
    let mut tampered = state.clone();
    let last = tampered.pop().expect("a state");
    tampered.push(if last == 'A' { 'Q' } else { 'A' });
    let other = |from: &str, to: &str| asks(r#"{"a":1,"b":[2]}"#, &with(&state, &responses)).edit(from, to);
    for (what, request) in [
        ("tampered", asks(r#"{"a":1,"b":[2]}"#, &with(&tampered, &responses))),
        ("made up", asks(r#"{"a":1,"b":[2]}"#, &with("only1mcp-AAAAAAAAAAAAAAAAAAAAAA", &responses))),
        ("not even that", asks(r#"{"a":1,"b":[2]}"#, &with("only1mcp-", &responses))),
        ("other arguments", other(r#""a":1"#, r#""a":2"#)),
        ("another tool", other("odd__asks", "odd__pid").with("Mcp-Name", "odd__pid")),
        ("no result", asks(r#"{"a":1,"b":[2]}"#, &with(&state, &[(&keys[0].1, "[]")]))),
    ] {
        let answer = Client::ask(rig.address(), &request).await;
        assert_eq!((answer.status, answer.code()), (400, Some(-32602)), "{what}: {answer:?}");
    }
    // Members in another order are the same arguments.
    let answer = Client::ask(rig.address(), &asks(r#"{"b":[2], "a":1}"#, &with(&state, &responses))).await;
    assert_heard(&answer.json());
    let again = Client::ask(rig.address(), &asks(r#"{"a":1,"b":[2]}"#, &with(&state, &responses))).await;
    assert_eq!(again.code(), Some(-32602), "{again:?}");
    assert_eq!(calls(&rig), 1, "no tool runs a second time");
}

#[tokio::test]
async fn a_state_is_good_at_the_path_and_the_gateway_that_gave_it() {
    const VIEW: &str = "POST /mcp/odd-ones HTTP/1.1";
    const ALONE: &str = "POST /mcp/odd HTTP/1.1";
    let (rig, other) = (rig(), rig());
    for line in ["POST /mcp HTTP/1.1", VIEW, ALONE] {
        let own = |request: Request, at: &str| match at {
            ALONE => request.edit("odd__asks", "asks").with("Mcp-Name", "asks").line(at),
            _ => request.line(at),
        };
        let (state, keys) = asked(&Client::ask(rig.address(), &own(asks("{}", ""), line)).await);
        let responses = [(&*keys[0].1, ROOTS), (&*keys[1].1, SAMPLE)];
        let mut refused = vec![(own(asks("{}", &with(&state, &responses)), line), other.address())];
        for elsewhere in ["POST /mcp HTTP/1.1", VIEW, ALONE].into_iter().filter(|other| *other != line) {
            refused.push((own(asks("{}", &with(&state, &responses)), elsewhere), rig.address()));
        }
        let handle = state.strip_prefix("only1mcp-").expect("it says whose it is");
        for future in [handle.to_owned(), format!("only2mcp-{handle}"), format!("{state}{handle}"), "x".repeat(9 << 10)]
        {
            refused.push((own(asks("{}", &with(&future, &responses)), line), rig.address()));
        }
        for (request, address) in refused {
            let answer = Client::ask(address, &request).await;
            assert_eq!((answer.status, answer.code()), (400, Some(-32602)), "{line}: {answer:?}");
        }
        let answer = Client::ask(rig.address(), &own(asks("{}", &with(&state, &responses)), line)).await;
        assert_heard(&answer.json());
    }
    assert_eq!((calls(&rig), calls(&other)), (3, 0), "no tool runs a second time, or elsewhere");
}

/// A call whose child asks for roots and knows whom, of a client with one of two profiles: each has a child.
fn asks_own(n: usize, further: &str) -> Request {
    let declared = [r#"{"roots":{}}"#, DECLARED][n % 2];
    let meta = META.replace(r#"clientCapabilities":{}"#, &format!(r#"clientCapabilities":{declared}"#));
    let params = format!(r#""name":"odd__asks_own","arguments":{{"n":{n}}}{further}"#);
    let request = Request::modern("tools/call", Some("odd__asks_own"), &params);
    request.edit(META, &format!(r#"{meta},"progressToken":{n}"#))
}

#[tokio::test]
async fn more_calls_than_may_be_parked_are_told_so_and_cancelled_until_there_is_room() {
    const MORE: usize = 200;
    const AT_ONCE: usize = 32;
    // One worker, so that the bound is met exactly.
    let rig = WithChildren::start_as::<Profiles>("plain", |builder| builder.workers(1));
    let address = rig.address();
    let first = Client::ask(address, &asks_own(0, "")).await;
    let (state, keys) = asked(&first);
    let mut asking = JoinSet::new();
    for task in 0..AT_ONCE {
        asking.spawn(async move {
            let (mut client, mut refused) = (Client::connect(address).await, Vec::new());
            for n in (1..PARKED_CALLS_MAX + MORE).filter(|n| n % AT_ONCE == task) {
                let answer = client.exchange(&asks_own(n, "")).await;
                if answer.json()["result"]["resultType"] != "input_required" {
                    let data = &answer.json()["error"]["data"];
                    refused.push((answer.code(), data["kind"].clone(), data["sent"].clone()));
                }
            }
            refused
        });
    }
    let refused = asking.join_all().await.concat();
    assert_eq!(refused.len(), MORE);
    let overloaded = (Some(-32603), json!("overloaded"), json!(true));
    assert!(refused.iter().all(|outcome| *outcome == overloaded), "{:?}", refused[0]);
    let cancelled = || rig.ledger.after("read").iter().filter(|line| line.contains("notifications/cancelled")).count();
    eventually("that the child hears of it", || cancelled() == MORE).await;
    // Who comes back makes room.
    let mut back = Client::connect(address).await;
    back.write(&asks_own(0, &with(&state, &[(&keys[0].1, ROOTS)])).bytes()).await;
    eventually("that the child hears what it asked for", || {
        rig.ledger.after("read").iter().any(|line| line.contains("file:///own"))
    })
    .await;
    asked(&Client::ask(address, &asks_own(1, "")).await);
}

/// Where each line is a message, one in the midst of an answer would be a message of the client's choice.
#[tokio::test]
async fn what_a_client_says_in_several_lines_is_one_message_to_a_child() {
    let rig = rig();
    let (state, keys) = asked(&Client::ask(rig.address(), &asks("{}", "")).await);
    let call = legacy::message("tools/call", r#"{"name":"once","arguments":{"text":"smuggled"}}"#);
    let roots = format!("{{\"roots\":[{{\"uri\":\"file:///own\",\"x\":1.0,\"call\":\n{call}\n}}]\r\n}}");
    let back = asks("{}", &with(&state, &[(&keys[0].1, &roots), (&keys[1].1, SAMPLE)]));
    let answers = heard(&Client::ask(rig.address(), &back).await.json());
    assert_eq!(answers[1]["result"]["roots"][0]["call"]["method"], "tools/call");
    assert!(rig.ledger.after("ran").is_empty(), "nobody called it");
}

#[tokio::test]
async fn a_client_that_comes_back_after_its_server_died_hears_of_it() {
    let rig = rig();
    let (state, keys) = asked(&Client::ask(rig.address(), &asks("{}", "")).await);
    let children = rig.ledger.spawned();
    for child in &children {
        signal(*child, Signal::KILL);
    }
    eventually("their end", || children.iter().all(|child| !is_alive(*child))).await;
    let back = asks("{}", &with(&state, &[(&keys[0].1, ROOTS), (&keys[1].1, SAMPLE)]));
    let answer = Client::ask(rig.address(), &back).await;
    let data = &answer.json()["error"]["data"];
    assert_eq!((&data["kind"], &data["sent"]), (&json!("outcome_unknown"), &json!(true)), "{answer:?}");
    assert_eq!(Client::ask(rig.address(), &back).await.code(), Some(-32602), "its state was good once");
    assert_eq!(calls(&rig), 1);
}

#[tokio::test]
async fn a_parked_call_does_not_hold_up_the_end_of_the_gateway() {
    let rig = rig();
    asked(&Client::ask(rig.address(), &asks("{}", "")).await);
    let began = std::time::Instant::now();
    let _directory = rig.stop();
    assert!(began.elapsed() < only1mcp::limits::DRAIN_GRACE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_modern_client_that_declares_nothing_is_asked_nothing() {
    let rig = rig();
    let request = asks("{}", "").edit(DECLARED, "{}");
    let answers = heard(&Client::ask(rig.address(), &request).await.json());
    let codes: Vec<_> = answers.iter().map(|answer| answer["error"]["code"].as_i64()).collect();
    assert_eq!(codes, [None, Some(-32601), Some(-32601)]);
}

#[tokio::test]
async fn a_modern_client_on_a_connection_that_carries_messages_comes_back_there() {
    let rig = rig();
    let mut client = SocketClient::connect(rig.address(), "/ws").await;
    let meta = META.replace(r#"clientCapabilities":{}"#, &format!(r#"clientCapabilities":{DECLARED}"#));
    let call = |id: &str, further: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"odd__asks","arguments":{{}},"_meta":{{{meta}}}{further}}}}}"#
        )
    };
    let asked = client.ask(call("1", "")).await;
    let requests = asked["result"]["inputRequests"].as_object().expect("questions");
    let key = |method: &str| requests.iter().find(|(_, request)| request["method"] == method).expect("a question").0;
    let responses = [(&**key("roots/list"), ROOTS), (&**key("sampling/createMessage"), SAMPLE)];
    let state = asked["result"]["requestState"].as_str().expect("a state");
    let answer = client.ask(call("2", &with(state, &responses))).await;
    assert_eq!(answer["id"], 2);
    assert_heard(&answer);
}

/// Answers what a client of a legacy session is asked.
fn response(question: &Value) -> String {
    let result = match question["method"].as_str() {
        Some("roots/list") => ROOTS,
        Some("sampling/createMessage") => SAMPLE,
        _ => unreachable!("{question}"),
    };
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, question["id"])
}

async fn session(address: SocketAddr) -> String {
    let declared = format!(r#""capabilities":{DECLARED}"#);
    let request = legacy::initialize("2025-11-25").edit(r#""capabilities":{}"#, &declared);
    Client::ask(address, &request).await.field("mcp-session-id").expect("a session").to_owned()
}

#[tokio::test]
async fn a_legacy_client_is_asked_on_the_stream_of_its_call() {
    let rig = rig();
    let own = session(rig.address()).await;
    let other = session(rig.address()).await;
    for _ in 0..4 {
        let mut client = Client::connect(rig.address()).await;
        let call = legacy::message("tools/call", r#"{"name":"odd__asks","arguments":{}}"#);
        client.write(&Request::legacy(&own, call).bytes()).await;
        assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
        let mut answer = None;
        while let Some(event) = client.event().await {
            let Event::Message(message) = event else { continue };
            let message: Value = serde_json::from_str(&message).expect("JSON");
            if message["method"].is_null() {
                answer = Some(message);
                continue;
            }
            // Of another session it is none of that one's business.
            for session in [&other, &own] {
                let posted = Client::ask(rig.address(), &Request::legacy(session, response(&message))).await;
                assert_eq!(posted.status, 202);
            }
        }
        assert_heard(&answer.expect("an answer"));
    }
}

#[tokio::test]
async fn a_legacy_client_on_a_connection_that_carries_messages_is_asked_there() {
    let rig = rig();
    let mut client = SocketClient::connect(rig.address(), "/ws").await;
    let params = format!(
        r#"{{"protocolVersion":"2025-06-18","capabilities":{DECLARED},"clientInfo":{{"name":"test","version":"1"}}}}"#
    );
    client.ask(legacy::message("initialize", &params)).await;
    let mut message = client.ask(legacy::message("tools/call", r#"{"name":"odd__asks","arguments":{}}"#)).await;
    while !message["method"].is_null() {
        client.say(response(&message)).await;
        message = client.hear().await;
    }
    assert_heard(&message);
}
