//! Several endpoints of one backend: which of them a call goes to, what becomes of it where one fails, which are left alone
//! and when they are tried again, and how many calls there are at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use only1mcp::{Gateway, Running};
use serde_json::json;

use crate::admin;
use crate::legacy;
use crate::subscriptions::listen;
use crate::support::client::{Answer, Client, Request, within};
use crate::support::held::Held;
use crate::support::scripted::{Outcome, call, eventually};
use crate::support::server::{self, Counted, Server, Step, head, json_answer, modern, nowhere, text_body};
use crate::support::telling::Telling;
use crate::tuning::set;

only1mcp::topology!(pub(crate) Traffic = "tests/gateway/topologies/traffic.yaml");

/// A server that takes calls and breaks off.
pub(crate) fn losing() -> Counted {
    Counted::start(|_| vec![Step::Close])
}

pub(crate) fn three() -> [Counted; 3] {
    ["a", "b", "c"].map(Counted::answering)
}

pub(crate) fn gateway(urls: [&str; 3]) -> Running {
    let down = nowhere();
    start(urls, [&down; 3])
}

/// One whose endpoints are asked whether they are well.
pub(crate) fn checking(urls: [&str; 3]) -> Running {
    let down = nowhere();
    start([&down; 3], urls)
}

fn start(urls: [&str; 3], checked: [&str; 3]) -> Running {
    let builder = Gateway::<Traffic>::builder().workers(1).admin_address("127.0.0.1:0");
    let names = ["A_URL", "B_URL", "C_URL", "P_URL", "Q_URL", "R_URL"];
    let references = names.into_iter().zip(urls.into_iter().chain(checked));
    let builder = references.fold(builder, |builder, (name, url)| builder.reference(name, url));
    builder.start().expect("the gateway starts")
}

fn in_front_of([a, b, c]: &[Counted; 3]) -> Running {
    gateway([&a.server.url(), &b.server.url(), &c.server.url()])
}

/// Which servers answer so many calls.
pub(crate) async fn answered(gateway: &Running, tool: &str, texts: impl IntoIterator<Item = &str>) -> String {
    let mut names = String::new();
    for text in texts {
        match call(gateway.address(), tool, text).await {
            Outcome::Text(name) => names.push_str(&name),
            other => names.push_str(&format!("{other:?}")),
        }
    }
    names
}

pub(crate) async fn sample(gateway: &Running, series: &str) -> Option<f64> {
    admin::samples(gateway.admin_address().expect("there is an admin listener")).await.get(series).copied()
}

#[tokio::test]
async fn calls_go_round_by_weight() {
    let places = three();
    let gateway = in_front_of(&places);
    assert_eq!(answered(&gateway, "turns__write", ["x"; 8]).await, "abcaabca");
    assert_eq!(places.each_ref().map(Counted::calls), [4, 2, 2]);
}

#[tokio::test]
async fn weights_change_while_the_gateway_runs() {
    let places = three();
    let gateway = in_front_of(&places);
    let overlay =
        |weights: &str| format!("backends: {{ turns: {{ weights: {weights} }}, keyed: {{ weights: {weights} }} }}");
    gateway.overlay().apply(&overlay("[0, 3, 1]")).expect("a good overlay");
    // Workers are told.
    within("that `a` gets no calls", async {
        while answered(&gateway, "turns__write", ["x"; 8]).await.contains('a') {}
    })
    .await;
    let names = answered(&gateway, "turns__write", ["x"; 8]).await;
    assert_eq!((names.matches('b').count(), names.matches('c').count()), (6, 2), "{names}");
    let keys = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    assert!(!answered(&gateway, "keyed__read", keys).await.contains('a'));
    let refused = gateway.overlay().apply(&overlay("[0, 0, 0]")).expect_err("nobody is left");
    assert!(format!("{refused:?}").contains("no endpoint"), "{refused:?}");
    gateway.overlay().apply("{}").expect("a good overlay");
    within("that `a` gets calls", async { while !answered(&gateway, "turns__write", ["x"; 8]).await.contains('a') {} })
        .await;
    let names = answered(&gateway, "turns__write", ["x"; 8]).await;
    assert_eq!(["a", "b", "c"].map(|name| names.matches(name).count()), [4, 2, 2], "{names}");
}

#[tokio::test]
async fn a_busy_endpoint_gets_fewer_calls() {
    let (mut held, places) = (Held::start(), three());
    let gateway = gateway([&held.recorder.url(), &places[1].server.url(), &places[2].server.url()]);
    let address = gateway.address();
    // Calls are begun until one stays at `a`, which is the worse of any two from then on.
    let mut waits = tokio::spawn(async move { call(address, "least__write", "x").await });
    loop {
        tokio::select! {
            _post = held.recorder.post() => break,
            ended = &mut waits => drop(ended.expect("a call")),
        }
        waits = tokio::spawn(async move { call(address, "least__write", "x").await });
    }
    let names = answered(&gateway, "least__write", ["x"; 20]).await;
    assert!(names.len() == 20 && !names.contains('a'), "{names}");
    held.release(1);
    assert_eq!(waits.await.expect("a call"), Outcome::Text("done".to_owned()));
}

#[tokio::test]
async fn a_key_keeps_its_endpoint_until_that_is_gone() {
    let places = three();
    let gateway = in_front_of(&places);
    let keys = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    let first = answered(&gateway, "keyed__read", keys).await;
    assert_eq!(answered(&gateway, "keyed__read", keys).await, first);
    assert!(["a", "b", "c"].iter().all(|name| first.contains(name)), "{first}");
    let [a, b, c] = places;
    drop(b);
    let second = answered(&gateway, "keyed__read", keys).await;
    for (before, after) in first.chars().zip(second.chars()) {
        assert!(if before == 'b' { after != 'b' } else { after == before }, "{first} {second}");
    }
    drop((a, c));
}

#[tokio::test]
async fn an_endpoint_that_is_down_has_its_calls_made_elsewhere_whatever_they_do() {
    let places = three();
    let gateway = gateway([&places[0].server.url(), &nowhere(), &places[2].server.url()]);
    let names = answered(&gateway, "again__write", ["x"; 12]).await;
    assert!(names.len() == 12 && names.chars().all(|name| "ac".contains(name)), "{names}");
    let retries = sample(&gateway, r#"only1mcp_call_retries_total{backend="again"}"#).await;
    assert!(retries.is_some_and(|retries| retries >= 4.0), "{retries:?}");
    // One that says nothing of it makes no call again.
    let outcomes = answered(&gateway, "turns__write", ["x"; 4]).await;
    assert!(outcomes.contains("upstream_unavailable"), "{outcomes}");
}

#[tokio::test]
async fn a_call_that_was_sent_is_made_again_only_where_that_does_no_harm() {
    let places = [losing(), losing(), losing()];
    let gateway = in_front_of(&places);
    let calls = || places.iter().map(Counted::calls).sum::<usize>();
    assert_eq!(call(gateway.address(), "again__write", "x").await, Outcome::failed("outcome_unknown", true));
    assert_eq!(calls(), 1);
    assert_eq!(call(gateway.address(), "again__read", "x").await, Outcome::failed("outcome_unknown", true));
    // Everywhere once, and no more often than is said.
    assert_eq!(places.each_ref().map(Counted::calls).into_iter().filter(|calls| *calls > 0).count(), 3);
    assert_eq!(calls(), 4);
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_alone_until_a_trial_shows_that_it_is_well() {
    let broken = Arc::new(AtomicUsize::new(1));
    let is_broken = Arc::clone(&broken);
    let a = Counted::start(move |request| match is_broken.load(Ordering::SeqCst) {
        0 => vec![json_answer(200, &text_body(&request.id(), "a"))],
        _ => vec![head(500, "content-length: 0\r\n")],
    });
    let b = Counted::answering("b");
    let gateway = gateway([&a.server.url(), &b.server.url(), &nowhere()]);
    let state =
        |state: &str| format!(r#"only1mcp_breaker_state{{backend="broken",endpoint="env:A_URL",state="{state}"}}"#);
    let names = answered(&gateway, "broken__write", ["x"; 6]).await;
    assert_eq!((a.calls(), names.matches('b').count()), (3, 3), "{names}");
    assert_eq!(answered(&gateway, "broken__write", ["x"; 6]).await, "bbbbbb");
    assert_eq!(
        (sample(&gateway, &state("open")).await, sample(&gateway, &state("closed")).await),
        (Some(1.0), Some(0.0))
    );
    // An open circuit stays so for as long as it was to be, unless it is switched off.
    set(&gateway, "broken", "circuit_breaker: off");
    within("no circuit", async { while sample(&gateway, &state("open")).await == Some(1.0) {} }).await;
    set(&gateway, "broken", "circuit_breaker: { failures: 3, window: 1m, open: 300ms, half_open: 1 }");
    within("a circuit", async { while sample(&gateway, &state("closed")).await != Some(1.0) {} }).await;
    // Three open it, and every trial that fails costs one call, and opens it again.
    within("a trial", async {
        while a.calls() < 3 + 3 + 2 {
            call(gateway.address(), "broken__write", "x").await;
        }
    })
    .await;
    broken.store(0, Ordering::SeqCst);
    within("an answer", async {
        while call(gateway.address(), "broken__write", "x").await != Outcome::Text("a".to_owned()) {}
    })
    .await;
    // A trial ends once its answer is written.
    within("the trial ends", async { while sample(&gateway, &state("closed")).await != Some(1.0) {} }).await;
    let names = answered(&gateway, "broken__write", ["x"; 6]).await;
    assert_eq!(names.matches('a').count(), 3, "{names}");
}

#[tokio::test]
async fn a_backend_whose_endpoints_all_fail_is_refused_at_once_and_says_when_to_come_back() {
    let place = |name: &'static str| {
        Counted::start(move |request| match request.argument() {
            "first" => vec![json_answer(200, &text_body(&request.id(), name))],
            _ => vec![Step::Pause(crate::support::client::PATIENCE)],
        })
    };
    let (a, b) = (place("a"), place("b"));
    let gateway = gateway([&a.server.url(), &b.server.url(), &nowhere()]);
    // They are greeted in time, however long that takes.
    assert_eq!(answered(&gateway, "shut__write", ["first"; 2]).await, "ab");
    gateway.overlay().apply("backends: { shut: { timeout: 500ms } }").expect("a good overlay");
    for _ in 0..6 {
        assert_eq!(call(gateway.address(), "shut__write", "x").await, Outcome::failed("upstream_timeout", true));
    }
    let answer = Client::ask(gateway.address(), &Request::call("shut__write", r#"{"text":"x"}"#)).await;
    assert_eq!(Outcome::of(&answer), Outcome::failed("circuit_open", false), "{}", answer.text());
    assert_stays_open_for_ten_minutes(&answer);
    assert_eq!((a.calls(), b.calls()), (4, 4));
}

/// Asserts that a refusal says in both places when to come back. The circuit may have been open for a while.
pub(crate) fn assert_stays_open_for_ten_minutes(refusal: &Answer) {
    let rest = refusal.json()["error"]["data"]["retryAfter"].as_u64().expect("whole seconds");
    assert!((300..=600).contains(&rest), "{rest}");
    assert_eq!(refusal.field("retry-after"), Some(&*rest.to_string()));
}

#[tokio::test]
async fn mistakes_of_clients_and_errors_of_tools_open_no_circuit() {
    let place = || {
        Counted::start(|request| match request.argument() {
            "error" => vec![json_answer(200, &server::error_body(&request.id(), -32050))],
            _ => vec![json_answer(400, &server::error_body(&request.id(), -32602))],
        })
    };
    let (a, b) = (place(), place());
    let gateway = gateway([&a.server.url(), &b.server.url(), &nowhere()]);
    for turn in 0..12 {
        let text = if turn % 2 == 0 { "error" } else { "invalid" };
        assert!(matches!(call(gateway.address(), "broken__write", text).await, Outcome::Error(_)));
    }
    assert_eq!((a.calls(), b.calls()), (6, 6));
}

/// Waits until a health check has found this of an endpoint of a backend.
pub(crate) async fn until_found(gateway: &Running, backend: &str, endpoint: &str, state: &str) {
    let series = format!(r#"only1mcp_endpoint_health{{backend="{backend}",endpoint="{endpoint}",state="{state}"}}"#);
    within(state, async { while sample(gateway, &series).await != Some(1.0) {} }).await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_health_checks_gets_no_calls_until_it_does() {
    let sick = Arc::new(AtomicBool::new(true));
    let is_sick = Arc::clone(&sick);
    let a = Counted::start(move |request| match request.method.as_str() {
        "GET" if is_sick.load(Ordering::SeqCst) => vec![head(200, "content-length: 0\r\n")],
        "GET" => vec![head(204, "")],
        _ => vec![json_answer(200, &text_body(&request.id(), "a"))],
    });
    let b = Counted::start(|request| match request.method.as_str() {
        "GET" => vec![head(204, "")],
        _ => vec![json_answer(200, &text_body(&request.id(), "b"))],
    });
    let gateway = checking([&a.server.url(), &b.server.url(), &nowhere()]);
    until_found(&gateway, "asked", "env:P_URL", "unhealthy").await;
    until_found(&gateway, "asked", "env:Q_URL", "healthy").await;
    assert_eq!(answered(&gateway, "asked__write", ["x"; 6]).await, "bbbbbb");
    sick.store(false, Ordering::SeqCst);
    until_found(&gateway, "asked", "env:P_URL", "healthy").await;
    let names = answered(&gateway, "asked__write", ["x"; 6]).await;
    assert_eq!(names.matches('a').count(), 3, "{names}");
}

/// Whether a server that is asked by a plain `GET` says that it is well.
fn tell(is_sick: &AtomicBool) -> Vec<Step> {
    match is_sick.load(Ordering::SeqCst) {
        true => vec![head(503, "content-length: 0\r\n")],
        false => vec![head(204, "")],
    }
}

/// That it is taken for sick, and for well again.
async fn away_and_back(gateway: &Running, backend: &str, sick: &AtomicBool) {
    sick.store(true, Ordering::SeqCst);
    until_found(gateway, backend, "env:P_URL", "unhealthy").await;
    sick.store(false, Ordering::SeqCst);
    until_found(gateway, backend, "env:P_URL", "healthy").await;
}

#[tokio::test]
async fn keys_find_an_endpoint_that_is_back_at_once_although_it_starts_slowly() {
    let sick = Arc::<AtomicBool>::default();
    let places = ["a", "b", "c"].map(|name| {
        let sick = Arc::clone(&sick);
        Counted::start(move |request| match request.method.as_str() {
            "GET" if name == "a" => tell(&sick),
            "GET" => vec![head(204, "")],
            _ => vec![json_answer(200, &text_body(&request.id(), name))],
        })
    });
    let urls = places.each_ref().map(|place| place.server.url());
    let gateway = checking(urls.each_ref().map(String::as_str));
    let keys = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    let first = answered(&gateway, "returning__read", keys).await;
    assert!(first.len() == 8 && first.contains('a'), "{first}");
    away_and_back(&gateway, "returning", &sick).await;
    for _ in 0..3 {
        assert_eq!(answered(&gateway, "returning__read", keys).await, first);
    }
}

#[tokio::test]
async fn legacy_sessions_find_it_too() {
    let sick = Arc::<AtomicBool>::default();
    let servers = ["a", "b", "c"].map(|name| {
        let sick = Arc::clone(&sick);
        let answer = move |request: &server::Request| vec![json_answer(200, &text_body(&request.id(), name))];
        let served = server::legacy(move || format!("session-of-{name}"), answer);
        Server::start(move |request| match request.target.as_str() {
            "/health" if name == "a" => tell(&sick),
            "/health" => vec![head(204, "")],
            _ => served(request),
        })
    });
    let urls = servers.each_ref().map(Server::url);
    let gateway = checking(urls.each_ref().map(String::as_str));
    away_and_back(&gateway, "returning-legacy", &sick).await;
    legacy::assert_sessions_stay(gateway.address(), "returning-legacy__write").await;
}

#[tokio::test]
async fn servers_of_both_eras_are_asked_in_their_own_words_and_one_that_is_down_is_found_out() {
    let (discovers, pings) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let discovered = Arc::clone(&discovers);
    let a = Server::start(move |request| {
        discovered.fetch_add(usize::from(request.rpc() == "server/discover"), Ordering::SeqCst);
        modern(|request: &server::Request| vec![json_answer(200, &text_body(&request.id(), "a"))])(request)
    });
    let pinged = Arc::clone(&pings);
    let answer = move |request: &server::Request| {
        pinged.fetch_add(usize::from(request.rpc() == "ping"), Ordering::SeqCst);
        vec![json_answer(200, &text_body(&request.id(), "b"))]
    };
    let b = Server::start(server::legacy(|| "s".to_owned(), answer));
    let gateway = checking([&a.url(), &b.url(), &nowhere()]);
    until_found(&gateway, "spoken-to", "env:R_URL", "unhealthy").await;
    // Beside the greetings of two links.
    eventually("checks", || discovers.load(Ordering::SeqCst) > 4 && pings.load(Ordering::SeqCst) > 1).await;
    let names = answered(&gateway, "spoken-to__write", ["x"; 4]).await;
    assert_eq!((names.matches('a').count(), names.matches('b').count()), (2, 2), "{names}");
}

#[tokio::test]
async fn a_backend_of_which_no_endpoint_is_healthy_is_refused_at_once() {
    let gateway = checking([&nowhere(), &nowhere(), &nowhere()]);
    for endpoint in ["env:P_URL", "env:Q_URL"] {
        until_found(&gateway, "asked", endpoint, "unhealthy").await;
    }
    let answer = Client::ask(gateway.address(), &Request::call("asked__write", "{}")).await;
    assert_eq!(Outcome::of(&answer), Outcome::failed("upstream_unavailable", false));
    assert!(answer.text().contains("its 2 endpoints are unhealthy"), "{}", answer.text());
}

#[tokio::test]
async fn an_endpoint_that_is_to_get_no_calls_says_nothing_of_its_backend() {
    let well = Counted::start(|request| match request.method.as_str() {
        "GET" => vec![head(204, "")],
        _ => vec![json_answer(200, &text_body(&request.id(), "b"))],
    });
    let gateway = checking([&nowhere(), &well.server.url(), &nowhere()]);
    until_found(&gateway, "asked", "env:P_URL", "unhealthy").await;
    until_found(&gateway, "asked", "env:Q_URL", "healthy").await;
    assert_eq!(
        (answered(&gateway, "asked__write", ["x"]).await, state(&gateway, "asked").await),
        ("b".into(), json!("up"))
    );
    gateway.overlay().apply("backends: { asked: { weights: [1, 0] } }").expect("a good overlay");
    let refused = Outcome::failed("upstream_unavailable", false);
    within("that it is refused", async { while call(gateway.address(), "asked__write", "x").await != refused {} })
        .await;
    assert_eq!(state(&gateway, "asked").await, "down");
}

/// What the admin listener says that a server is.
async fn state(gateway: &Running, backend: &str) -> serde_json::Value {
    let request = Request::bare(&format!("GET /api/v1/admin/servers/{backend} HTTP/1.1"));
    let admin = gateway.admin_address().expect("there is an admin listener");
    Client::ask(admin, &request).await.json()["state"].take()
}

/// A call is refused for want of a place, and its client is told when to come back.
async fn assert_full(address: SocketAddr, tool: &str) {
    let answer = Client::ask(address, &Request::call(tool, "{}")).await;
    assert_eq!(Outcome::of(&answer), Outcome::failed("overloaded", false), "{}", answer.text());
    assert_eq!((answer.field("retry-after"), &answer.json()["error"]["data"]["retryAfter"]), (Some("1"), &json!(1)));
}

#[tokio::test]
async fn as_many_calls_are_under_way_as_may_be_and_others_wait_in_turn() {
    let mut held = Held::start();
    let gateway = gateway([&held.recorder.url(), &nowhere(), &nowhere()]);
    let address = gateway.address();
    let begin = || tokio::spawn(async move { call(address, "narrow__write", "x").await });
    let waiting = r#"only1mcp_upstream_calls_waiting{backend="narrow"}"#;
    let (one, two) = (begin(), begin());
    held.recorder.post().await;
    held.recorder.post().await;
    let three = begin();
    within("the third waits", async { while sample(&gateway, waiting).await != Some(1.0) {} }).await;
    assert_full(address, "narrow__write").await;
    let under_way = r#"only1mcp_upstream_calls_under_way{backend="narrow",endpoint="env:A_URL"}"#;
    assert_eq!(sample(&gateway, under_way).await, Some(2.0));
    held.release(1);
    held.recorder.post().await;
    held.release(2);
    for client in [one, two, three] {
        assert_eq!(client.await.expect("a call"), Outcome::Text("done".to_owned()));
    }
    // A place is free once the answer is written.
    within("all places are free", async { while sample(&gateway, under_way).await != Some(0.0) {} }).await;
    assert_eq!(sample(&gateway, waiting).await, Some(0.0));
}

#[tokio::test]
async fn who_is_listened_to_has_all_its_places_for_calls() {
    let mut upstream = Telling::start();
    let gateway = gateway([&upstream.recorder.url(), &nowhere(), &nowhere()]);
    let wanted = json!({ "toolsListChanged": true });
    let (_listening, acknowledged) = listen(gateway.address(), "/mcp/telling", "1", &wanted.to_string()).await;
    assert_eq!(acknowledged, wanted);
    upstream.listened(&wanted).await;
    assert_eq!(call(gateway.address(), "telling__write", "x").await, Outcome::Text("done".to_owned()));
}

#[tokio::test]
async fn a_call_whose_turn_does_not_come_is_refused_and_one_that_is_given_up_leaves_its_place() {
    let mut held = Held::start();
    let gateway = gateway([&held.recorder.url(), &nowhere(), &nowhere()]);
    let mut client = Client::connect(gateway.address()).await;
    client.write(&Request::call("strict__write", "{}").bytes()).await;
    held.recorder.post().await;
    assert_full(gateway.address(), "strict__write").await;
    // A modern client that leaves has cancelled.
    drop(client);
    held.release(2);
    let freed =
        async { while call(gateway.address(), "strict__write", "x").await != Outcome::Text("done".to_owned()) {} };
    within("a place is free", freed).await;
}

#[tokio::test]
async fn calls_of_one_session_find_the_same_endpoint_of_a_legacy_server() {
    let servers = ["a", "b", "c"].map(legacy::answering);
    let urls = servers.each_ref().map(Server::url);
    let gateway = gateway(urls.each_ref().map(String::as_str));
    legacy::assert_sessions_stay(gateway.address(), "legacy__write").await;
}
