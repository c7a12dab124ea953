//! Servers that ask to be left alone for a while (`Retry-After`), and what becomes of the calls meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use only1mcp::{Gateway, Running};

use crate::support::client::{Client, Request, within};
use crate::support::openapi::Document;
use crate::support::scripted::{Outcome, call};
use crate::support::server::{self, Counted, Server, answer, json_answer, modern, nowhere, text_body};
use crate::traffic::sample;

only1mcp::topology!(Rests = "tests/gateway/topologies/rests.yaml");

fn gateway(one: &str, two: &str, spare: &str) -> Running {
    let builder = Gateway::<Rests>::builder().workers(1).admin_address("127.0.0.1:0");
    builder
        .reference("ONE_URL", one)
        .reference("TWO_URL", two)
        .reference("SPARE_URL", spare)
        .start()
        .expect("it starts")
}

/// A server that asks its first callers to come back after so long, with this status, and answers the others.
fn busy(first: usize, status: u16, after: &'static str, name: &'static str) -> Counted {
    let calls = AtomicUsize::new(0);
    Counted::start(move |request| {
        if calls.fetch_add(1, Ordering::SeqCst) < first {
            vec![answer(status, &format!("retry-after: {after}\r\n"), "busy")]
        } else {
            vec![json_answer(200, &text_body(&request.id(), name))]
        }
    })
}

/// What a call comes to, and what its client is told of when to come back: in the field, and in the error.
async fn told(gateway: &Running, tool: &str) -> (Outcome, Option<u64>, Option<u64>) {
    let answer = Client::ask(gateway.address(), &Request::call(tool, "{}")).await;
    let field = answer.field("retry-after").map(|after| after.parse().expect("a number"));
    (Outcome::of(&answer), field, answer.json()["error"]["data"]["retryAfter"].as_u64())
}

async fn answered(gateway: &Running, tool: &str, calls: usize) -> String {
    let mut names = String::new();
    for _ in 0..calls {
        match call(gateway.address(), tool, "x").await {
            Outcome::Text(name) => names.push_str(&name),
            other => names.push_str(&format!("{other:?}")),
        }
    }
    names
}

#[tokio::test]
async fn a_call_that_was_sent_is_not_made_again_and_its_client_hears_when_to_come_back() {
    for status in [429, 503] {
        let (one, spare) = (busy(usize::MAX, status, "30", "1"), Counted::answering("s"));
        let gateway = gateway(&one.server.url(), &nowhere(), &spare.server.url());
        // A status proves nothing of what was executed.
        let sent = Outcome::failed("upstream_protocol_error", true);
        assert_eq!(told(&gateway, "single__write").await, (sent, Some(30), Some(30)), "{status}");
        // From then on it is left alone: nothing is sent, and who comes is told the same.
        for _ in 0..3 {
            let (outcome, field, data) = told(&gateway, "single__write").await;
            assert_eq!(outcome, Outcome::failed("overloaded", false), "{status}");
            assert!(field == data && field.is_some_and(|after| (1..=30).contains(&after)), "{field:?} {data:?}");
        }
        assert_eq!((one.calls(), spare.calls()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn other_endpoints_have_its_calls_meanwhile() {
    let (one, two) = (busy(1, 503, "30", "1"), Counted::answering("2"));
    let gateway = gateway(&one.server.url(), &two.server.url(), &nowhere());
    // What may be made twice is made there at once, whatever else is not.
    assert_eq!(answered(&gateway, "both__read", 6).await, "222222");
    assert_eq!(answered(&gateway, "both__write", 6).await, "222222");
    assert_eq!(one.calls(), 1);
}

#[tokio::test]
async fn a_fallback_has_them_too() {
    let (one, two, spare) = (busy(1, 429, "30", "1"), Counted::answering("2"), Counted::answering("s"));
    let gateway = gateway(&one.server.url(), &two.server.url(), &spare.server.url());
    assert_eq!(told(&gateway, "backed__write").await.0, Outcome::failed("upstream_protocol_error", true));
    assert_eq!(answered(&gateway, "backed__write", 3).await, "sss");
    assert_eq!((one.calls(), two.calls()), (1, 0));
}

#[tokio::test]
async fn other_backends_of_a_route_have_them_too() {
    let (one, two) = (busy(1, 429, "30", "1"), Counted::answering("2"));
    let gateway = gateway(&one.server.url(), &two.server.url(), &nowhere());
    assert_eq!(answered(&gateway, "shared_read", 4).await, "2222");
    assert_eq!(answered(&gateway, "shared_write", 4).await, "2222");
    assert_eq!(one.calls(), 1);
}

#[tokio::test]
async fn at_the_same_endpoint_a_call_is_made_again_after_so_long_and_not_before() {
    let one = busy(1, 503, "1", "1");
    let gateway = gateway(&one.server.url(), &nowhere(), &nowhere());
    let began = Instant::now();
    assert_eq!(call(gateway.address(), "patient__read", "x").await, Outcome::Text("1".to_owned()));
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(one.calls(), 2);
    // It takes calls again, without a trial.
    assert_eq!(answered(&gateway, "patient__write", 3).await, "111");
}

#[tokio::test]
async fn what_does_not_fit_into_the_deadline_is_not_waited_for() {
    let one = busy(1, 503, "30", "1");
    let gateway = gateway(&one.server.url(), &nowhere(), &nowhere());
    let (outcome, _, after) = told(&gateway, "patient__read").await;
    assert_eq!((outcome, after), (Outcome::failed("upstream_protocol_error", true), Some(30)));
    assert_eq!(one.calls(), 1);
}

#[tokio::test]
async fn a_date_is_understood_and_nobody_is_left_alone_for_longer_than_a_minute() {
    let far = busy(usize::MAX, 503, "Fri, 31 Dec 2100 23:59:59 GMT", "1");
    let gateway_of_far = gateway(&far.server.url(), &nowhere(), &nowhere());
    let (_, field, after) = told(&gateway_of_far, "single__write").await;
    assert_eq!((field, after), (Some(60), Some(60)));
    // What has passed, or is none, is no reason to leave anybody alone.
    for value in ["Sat, 01 Jan 2000 00:00:00 GMT", "soon", "0"] {
        let one = busy(1, 503, value, "1");
        let gateway = gateway(&one.server.url(), &nowhere(), &nowhere());
        assert_eq!(told(&gateway, "single__write").await.2, None, "{value}");
        assert_eq!(answered(&gateway, "single__write", 1).await, "1", "{value}");
    }
}

#[tokio::test]
async fn of_another_status_the_field_says_nothing_of_calls() {
    let one = busy(1, 500, "30", "1");
    let gateway = gateway(&one.server.url(), &nowhere(), &nowhere());
    assert_eq!(told(&gateway, "single__write").await.2, None);
    assert_eq!(answered(&gateway, "single__write", 2).await, "11");
}

#[tokio::test]
async fn an_error_of_the_protocol_is_an_answer_and_its_server_is_left_alone_nevertheless() {
    let one = Counted::start(|request| {
        let body = server::error_body(&request.id(), -32050);
        vec![answer(429, "content-type: application/json\r\nretry-after: 30\r\n", &body)]
    });
    let two = Counted::answering("2");
    let gateway = gateway(&one.server.url(), &two.server.url(), &nowhere());
    // An answer is passed on: nobody else is asked.
    let error = Client::ask(gateway.address(), &Request::call("both__read", "{}")).await;
    assert_eq!((error.code(), two.calls()), (Some(-32050), 0), "{}", error.text());
    assert_eq!(answered(&gateway, "both__read", 4).await, "2222");
    assert_eq!(one.calls(), 1);
}

#[tokio::test]
async fn a_server_that_takes_no_greeting_now_is_not_taken_for_one_of_another_era() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let one = Server::start(move |request| {
        if request.rpc() == "server/discover" && counter.fetch_add(1, Ordering::SeqCst) == 0 {
            return vec![answer(503, "retry-after: 1\r\n", "not yet")];
        }
        modern(|request: &server::Request| vec![json_answer(200, &text_body(&request.id(), "1"))])(request)
    });
    let gateway = gateway(&one.url(), &nowhere(), &nowhere());
    // Nothing of the call was sent.
    let (outcome, _, after) = told(&gateway, "greeted__write").await;
    assert_eq!((outcome, after), (Outcome::failed("upstream_protocol_error", false), Some(1)));
    let again = async { while answered(&gateway, "greeted__write", 1).await != "1" {} };
    within("an answer", again).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_circuit_does_not_open_for_what_its_server_says_of_itself() {
    let one = busy(2, 503, "1", "1");
    let gateway = gateway(&one.server.url(), &nowhere(), &nowhere());
    // One failure would open it for a minute.
    let served = async { while answered(&gateway, "touchy__write", 1).await != "1" {} };
    within("an answer", served).await;
    assert_eq!(one.calls(), 3);
}

#[tokio::test]
async fn whoever_is_on_call_sees_which_endpoints_are_left_alone_and_for_how_long() {
    let told = async |gateway: &Running, name: &str| {
        let admin = gateway.admin_address().expect("there is an admin listener");
        let request = Request::bare(&format!("GET /api/v1/admin/servers/{name} HTTP/1.1"));
        let answer = Client::ask(admin, &request).await;
        Document::fetch(admin).await.check("get", "/api/v1/admin/servers/{name}", &answer);
        let endpoints = answer.json()["endpoints"].take();
        let rests = endpoints.as_array().expect("a list").iter().map(|endpoint| endpoint["rests_ms"].as_u64());
        rests.collect::<Vec<_>>()
    };
    let resting = async |gateway: &Running, backend: &str, endpoint: &str| {
        let series = format!(r#"only1mcp_endpoint_resting{{backend="{backend}",endpoint="env:{endpoint}_URL"}}"#);
        sample(gateway, &series).await
    };
    let (one, two) = (busy(usize::MAX, 503, "60", "1"), Counted::answering("2"));
    let for_long = gateway(&one.server.url(), &two.server.url(), &nowhere());
    assert_eq!(told(&for_long, "both").await, [None, None]);
    assert_eq!(answered(&for_long, "both__read", 6).await, "222222");
    assert_eq!(
        (resting(&for_long, "both", "ONE").await, resting(&for_long, "both", "TWO").await),
        (Some(1.0), Some(0.0))
    );
    let rests = told(&for_long, "both").await;
    assert!(matches!(rests[..], [Some(1..=60_000), None]), "{rests:?}");
    // Nobody else asked it.
    assert_eq!(resting(&for_long, "single", "ONE").await, Some(0.0));

    let one = busy(1, 503, "1", "1");
    let for_short = gateway(&one.server.url(), &two.server.url(), &nowhere());
    assert_eq!(call(for_short.address(), "single__write", "x").await, Outcome::failed("upstream_protocol_error", true));
    within("its end", async { while resting(&for_short, "single", "ONE").await != Some(0.0) {} }).await;
    assert_eq!(told(&for_short, "single").await, [None]);
}
