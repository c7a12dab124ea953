//! Routes that lead to several backends: which of them gets a call, what becomes of it where one fails or takes none, and
//! what stays with the backend that began it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use only1mcp::catalog::Topology as _;
use only1mcp::{Builder, Gateway, Running};
use serde_json::{Value, json};

use crate::legacy;
use crate::subscriptions::listen;
use crate::support::client::{Client, META, Request, within};
use crate::support::recorder::{DONE, Post, Recorder, Wire};
use crate::support::scripted::{Outcome, call};
use crate::support::server::{Counted, Server, Step, json_answer, nowhere, result_body, text_body};
#[cfg(feature = "websocket")]
use crate::support::socket::SocketClient;
use crate::support::telling::Telling;
use crate::traffic::{answered, assert_stays_open_for_ten_minutes, sample};

only1mcp::topology!(pub(crate) Teams = "tests/gateway/topologies/teams.yaml");

/// A server that takes calls and breaks off.
fn losing() -> Counted {
    Counted::start(|_| vec![Step::Close])
}

fn three() -> [Counted; 3] {
    ["1", "2", "3"].map(Counted::answering)
}

/// A gateway in front of these, with one worker.
pub(crate) fn builder(urls: [&str; 3]) -> Builder<Teams> {
    let builder = Gateway::<Teams>::builder().workers(1).admin_address("127.0.0.1:0").reference("SPARE_URL", nowhere());
    let references = ["ONE_URL", "TWO_URL", "THREE_URL"].into_iter().zip(urls);
    references.fold(builder, |builder, (name, url)| builder.reference(name, url))
}

fn gateway(urls: [&str; 3]) -> Running {
    builder(urls).start().expect("the gateway starts")
}

fn in_front_of(servers: &[Counted; 3]) -> Running {
    gateway(servers.each_ref().map(|own| own.server.url()).each_ref().map(String::as_str))
}

fn overlay(text: &str) -> only1mcp_model::overlay::Overlay {
    let source = only1mcp_model::Source { path: "overlay.yaml".to_owned(), text: text.to_owned() };
    only1mcp_model::overlay::load(&source, Teams::SPEC.compiled()).expect("sound")
}

fn shares(names: &str) -> [usize; 3] {
    ["1", "2", "3"].map(|name| names.matches(name).count())
}

async fn retries(gateway: &Running, backend: &str) -> Option<f64> {
    sample(gateway, &format!(r#"only1mcp_call_retries_total{{backend="{backend}"}}"#)).await
}

/// The names of the tools that clients at a path are shown.
async fn tools(gateway: &Running, path: &str) -> Vec<String> {
    let request = Request::modern("tools/list", None, "").line(&format!("POST {path} HTTP/1.1"));
    let answer = Client::ask(gateway.address(), &request).await.json();
    let tools = answer["result"]["tools"].as_array().expect("a list of tools");
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn a_tool_of_several_backends_is_listed_once_and_called_by_turns() {
    let servers = three();
    let gateway = in_front_of(&servers);
    let listed = tools(&gateway, "/mcp").await;
    assert_eq!(listed.iter().filter(|name| name.ends_with("turn_write")).collect::<Vec<_>>(), ["turn_write"]);
    // What no route is about is each backend's own.
    assert_eq!(listed.iter().filter(|name| name.ends_with("status_read")).count(), 3, "{listed:?}");
    let names = answered(&gateway, "turn_write", ["x"; 8]).await;
    assert_eq!((shares(&names), names.len()), ([4, 2, 2], 8), "{names}");
    // A name that no list holds goes the same way.
    let names = answered(&gateway, "free_hand", ["x"; 4]).await;
    assert_eq!(shares(&names), [2, 2, 0], "{names}");
}

#[tokio::test]
async fn each_of_the_backends_alone_has_its_own_tools_under_its_own_names() {
    let servers = three();
    let gateway = in_front_of(&servers);
    for (backend, name) in [("one", "1"), ("two", "2"), ("three", "3")] {
        let path = format!("/mcp/{backend}");
        let listed = tools(&gateway, &path).await;
        for tool in ["turn_write", "least_read", "status_read"] {
            assert!(listed.iter().any(|name| name == tool), "{tool} in {listed:?}");
            let request = Request::call(tool, "{}").line(&format!("POST {path} HTTP/1.1"));
            let outcome = Outcome::of(&Client::ask(gateway.address(), &request).await);
            assert_eq!(outcome, Outcome::Text(name.to_owned()), "{tool} of {backend}");
        }
    }
    let foreign = Request::call("spared_write", "{}").line("POST /mcp/one HTTP/1.1");
    assert_eq!(Client::ask(gateway.address(), &foreign).await.code(), Some(-32602));
}

#[tokio::test]
async fn a_busy_backend_gets_fewer_calls() {
    let mut held = Recorder::play(async move |_post: Post, wire: &mut Wire<'_>| {
        wire.hung_up().await;
        wire.result(DONE).await
    });
    let servers = three();
    let gateway = gateway([&held.url(), &servers[1].server.url(), &servers[2].server.url()]);
    let address = gateway.address();
    let mut waits = tokio::spawn(async move { call(address, "least_write", "x").await });
    // Calls are begun until one stays at the first, which is the worse of any two from then on.
    loop {
        tokio::select! {
            _post = held.post() => break,
            ended = &mut waits => drop(ended.expect("a call")),
        }
        waits = tokio::spawn(async move { call(address, "least_write", "x").await });
    }
    let before = servers.each_ref().map(Counted::calls).iter().sum::<usize>();
    let held_one = async {
        while servers[1].calls() + servers[2].calls() < before + 20 {
            assert!(matches!(call(address, "least_write", "x").await, Outcome::Text(_)));
        }
    };
    within("twenty calls elsewhere", held_one).await;
    waits.abort();
}

#[tokio::test]
async fn weights_on_routes_change_while_the_gateway_runs() {
    let servers = three();
    let gateway = in_front_of(&servers);
    let apply = |overlay: &str| gateway.overlay().apply(overlay);
    apply("backends: { one: { weight: 1 }, two: { weight: 0 }, three: { weight: 3 } }").expect("a good overlay");
    // It is read by every call.
    assert_eq!(shares(&answered(&gateway, "turn_write", ["x"; 8]).await), [2, 0, 6]);
    for tool in ["least_write", "once_write", "free_hand"] {
        assert_eq!(shares(&answered(&gateway, tool, ["x"; 8]).await)[1], 0, "{tool}");
    }
    let keys = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    assert_eq!(shares(&answered(&gateway, "keyed_read", keys).await)[1], 0);
    // By its own name it is called as before.
    let own = tools(&gateway, "/mcp").await.into_iter().find(|name| name.starts_with("two__")).expect("one of its own");
    assert_eq!(answered(&gateway, &own, ["x"; 2]).await, "22");
    apply("{}").expect("a good overlay");
    assert_eq!(shares(&answered(&gateway, "turn_write", ["x"; 8]).await), [4, 2, 2]);
    let refused =
        apply("backends: { one: { weight: 0 }, two: { weight: 0 } }").expect_err("nobody is left of one route");
    assert!(format!("{refused:?}").contains("the route to `one`, `two` no backend"), "{refused:?}");
    let refused = apply("backends: { spare: { weight: 1 } }").expect_err("there is nobody to share with");
    assert!(format!("{refused:?}").contains("on no compiled route to several"), "{refused:?}");
}

#[tokio::test]
async fn while_backends_take_turns_one_always_takes_calls() {
    let servers = three();
    let gateway = in_front_of(&servers);
    let (address, store) = (gateway.address(), Arc::clone(gateway.overlay()));
    let takes_turns = std::thread::spawn(move || {
        for turn in 0..500 {
            let [closed, open] = if turn % 2 == 0 { ["one", "two"] } else { ["two", "one"] };
            let how = ["disabled: true", "drain: true", "weight: 0"][turn % 3];
            let overlay = format!("backends: {{ {closed}: {{ {how} }}, {open}: {{ timeout: {}s }} }}", 1 + turn % 2);
            store.apply(&overlay).expect("a good overlay");
        }
    });
    let mut calls = 0;
    while calls < 200 || !takes_turns.is_finished() {
        // A route to these two alone.
        let outcome = call(address, "free_hand", "x").await;
        assert!(
            matches!(&outcome, Outcome::Text(name) if name == "1" || name == "2"),
            "{outcome:?} after {calls} calls"
        );
        calls += 1;
    }
    takes_turns.join().expect("it applied all of them");
}

#[tokio::test]
async fn who_has_no_weight_takes_no_call_where_the_others_are_gone() {
    let servers = three();
    let gateway = gateway([&servers[0].server.url(), &nowhere(), &nowhere()]);
    let overlay = "backends: { one: { weight: 0 }, two: { disabled: true } }";
    gateway.overlay().apply(overlay).expect("a good overlay");
    assert_eq!(call(gateway.address(), "turn_read", "x").await, Outcome::failed("upstream_unavailable", false));
    let overlay = "backends: { one: { weight: 0 }, two: { disabled: true }, three: { disabled: true } }";
    gateway.overlay().apply(overlay).expect("a good overlay");
    assert_eq!(call(gateway.address(), "turn_read", "x").await, Outcome::failed("upstream_unavailable", false));
    assert_eq!(servers[0].calls(), 0);
}

#[tokio::test]
async fn a_key_keeps_its_backend_until_that_is_gone() {
    let servers = three();
    let gateway = in_front_of(&servers);
    let keys = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    let first = answered(&gateway, "keyed_read", keys).await;
    assert_eq!(answered(&gateway, "keyed_read", keys).await, first);
    assert!(shares(&first).iter().all(|share| *share > 0), "{first}");
    let overlay = "backends: { two: { disabled: true } }";
    gateway.overlay().apply(overlay).expect("a good overlay");
    let moved = async {
        loop {
            let second = answered(&gateway, "keyed_read", keys).await;
            if !second.contains('2') {
                break second;
            }
        }
    };
    let second = within("that the second gets no calls", moved).await;
    for (before, after) in first.chars().zip(second.chars()) {
        assert!(before == '2' || after == before, "{first} {second}");
    }
}

/// Who answers calls of a tool for each of these tenants.
async fn for_tenants(gateway: &Running, tool: &str, field: &str, tenants: &[&str]) -> String {
    let mut names = String::new();
    for tenant in tenants {
        let request = Request::call(tool, "{}").field(field, tenant);
        match Outcome::of(&Client::ask(gateway.address(), &request).await) {
            Outcome::Text(name) => names.push_str(&name),
            other => names.push_str(&format!("{other:?}")),
        }
    }
    names
}

#[tokio::test]
async fn a_header_of_the_client_decides_which_backend_or_endpoint_it_finds() {
    let servers = three();
    let gateway = in_front_of(&servers);
    let tenants = ["blue", "green", "red", "white", "black", "grey", "pink", "teal", "lime", "navy"];
    for tool in ["tenant_write", "spread__many_write"] {
        let first = for_tenants(&gateway, tool, "X-Tenant", &tenants).await;
        assert_eq!(for_tenants(&gateway, tool, "x-tENANT", &tenants).await, first, "{tool}");
        assert!(shares(&first).iter().filter(|share| **share > 0).count() > 1, "{tool}: {first}");
        // Without it, calls go anywhere: of so many, not all to one.
        let anywhere = answered(&gateway, tool, ["x"; 60]).await;
        assert!(shares(&anywhere).iter().all(|share| *share > 0), "{tool}: {anywhere}");
        // No other header is one, and arguments are none.
        let others = for_tenants(&gateway, tool, "X-Tenants", &["blue"; 60]).await;
        assert!(shares(&others).iter().all(|share| *share > 0), "{tool}: {others}");
    }
}

#[cfg(feature = "websocket")]
#[tokio::test]
async fn on_a_websocket_the_header_of_its_first_request_stands_for_every_call() {
    let servers = three();
    let gateway = in_front_of(&servers);
    for tenant in ["blue", "green", "red", "white"] {
        let expected = for_tenants(&gateway, "tenant_write", "X-Tenant", &[tenant]).await;
        let mut socket = SocketClient::connect_with(gateway.address(), "/ws", &[("x-tenant", tenant)]).await;
        for _ in 0..4 {
            let request = Request::call("tenant_write", "{}");
            let answer = socket.ask(String::from_utf8_lossy(request.parts().2)).await;
            assert_eq!(answer["result"]["content"][0]["text"], *expected, "{answer}");
        }
    }
}

#[tokio::test]
async fn a_backend_that_is_down_has_its_calls_made_elsewhere_whatever_they_do() {
    let servers = three();
    let gateway = gateway([&servers[0].server.url(), &nowhere(), &servers[2].server.url()]);
    let names = answered(&gateway, "turn_write", ["x"; 12]).await;
    assert!(names.len() == 12 && !names.contains('2'), "{names}");
    assert!(retries(&gateway, "two").await.is_some_and(|retries| retries >= 2.0));
}

#[tokio::test]
async fn a_call_that_was_sent_is_made_elsewhere_only_where_that_does_no_harm() {
    let servers = [losing(), losing(), losing()];
    let gateway = in_front_of(&servers);
    let calls = || servers.each_ref().map(Counted::calls);
    assert_eq!(call(gateway.address(), "turn_write", "x").await, Outcome::failed("outcome_unknown", true));
    assert_eq!(calls().iter().sum::<usize>(), 1);
    assert_eq!(call(gateway.address(), "turn_read", "x").await, Outcome::failed("outcome_unknown", true));
    // Everywhere once, and no more often than is said.
    assert_eq!(calls().iter().sum::<usize>(), 4, "{:?}", calls());
    assert!(calls().iter().all(|calls| *calls > 0), "{:?}", calls());
}

#[tokio::test]
async fn who_makes_no_call_again_makes_none_elsewhere() {
    let servers = three();
    let gateway = gateway([&nowhere(), &servers[1].server.url(), &nowhere()]);
    let address = gateway.address();
    assert_eq!(call(address, "shut_write", "x").await, Outcome::failed("upstream_unavailable", false));
    assert_eq!(servers[1].calls(), 0);
    // Its circuit is open now: it is passed over, and that makes no call again.
    assert_eq!(answered(&gateway, "shut_write", ["x"; 4]).await, "2222");
    assert_eq!(retries(&gateway, "shut-one").await, Some(0.0));
}

#[tokio::test]
async fn where_every_backend_is_left_alone_a_call_is_refused_at_once_and_says_when_to_come_back() {
    let gateway = gateway([&nowhere(), &nowhere(), &nowhere()]);
    for _ in 0..2 {
        let outcome = call(gateway.address(), "shut_write", "x").await;
        assert_eq!(outcome, Outcome::failed("upstream_unavailable", false));
    }
    let answer = Client::ask(gateway.address(), &Request::call("shut_write", "{}")).await;
    assert_eq!(Outcome::of(&answer), Outcome::failed("circuit_open", false), "{}", answer.text());
    assert_stays_open_for_ten_minutes(&answer);
}

#[tokio::test]
async fn a_backend_that_is_disabled_or_drained_is_passed_over_and_after_all_of_them_the_fallback_has_its_turn() {
    let (servers, spare) = (three(), Counted::answering("s"));
    let urls = servers.each_ref().map(|own| own.server.url());
    let start = |text: &str| {
        let builder = builder(urls.each_ref().map(String::as_str)).reference("SPARE_URL", spare.server.url());
        builder.overlay(overlay(text)).start().expect("the gateway starts")
    };
    for setting in ["disabled", "drain"] {
        let gateway = start(&format!("backends: {{ two: {{ {setting}: true }} }}"));
        assert_eq!(answered(&gateway, "spared_write", ["x"; 4]).await, "3333", "{setting}");
        assert_eq!(retries(&gateway, "two").await, Some(0.0));
    }
    let gateway = start("backends: { two: { disabled: true }, three: { disabled: true } }");
    assert_eq!(answered(&gateway, "spared_write", ["x"; 2]).await, "ss");
    // Nobody stands in for the others.
    let none = start("backends: { one: { drain: true }, two: { drain: true } }");
    assert_eq!(call(none.address(), "free_hand", "x").await, Outcome::failed("upstream_unavailable", false));
}

#[tokio::test]
async fn a_fallback_follows_after_the_other_backends_of_the_route() {
    let (two, three, spare) = (losing(), losing(), Counted::answering("s"));
    let builder = builder([&nowhere(), &two.server.url(), &three.server.url()]);
    let gateway = builder.reference("SPARE_URL", spare.server.url()).start().expect("the gateway starts");
    assert_eq!(call(gateway.address(), "spared_read", "x").await, Outcome::Text("s".to_owned()));
    assert_eq!((two.calls(), three.calls(), spare.calls()), (1, 1, 1));
    assert_eq!(call(gateway.address(), "spared_write", "x").await, Outcome::failed("outcome_unknown", true));
    assert_eq!((two.calls() + three.calls(), spare.calls()), (3, 1));
}

#[tokio::test]
async fn calls_of_one_session_find_the_same_legacy_backend() {
    let servers = ["1", "2", "3"].map(legacy::answering);
    let urls = servers.each_ref().map(Server::url);
    let gateway = gateway(urls.each_ref().map(String::as_str));
    legacy::assert_sessions_stay(gateway.address(), "old_write").await;
    // A modern client has no session: its calls go round.
    let names = answered(&gateway, "old_write", ["x"; 6]).await;
    assert_eq!(shares(&names), [2, 2, 2], "{names}");
}

/// A server that asks what it has not been told, in so many bytes and more, and says what it was told with which state.
pub(crate) fn asking(name: &'static str, length: usize) -> Counted {
    Counted::start(move |request| {
        let params = &request.body["params"];
        let body = if params["inputResponses"].is_object() {
            text_body(&request.id(), &format!("{name} {}", params["requestState"].as_str().unwrap_or("none")))
        } else {
            let asked = json!({ "method": "roots/list", "params": { "_meta": { "x": "x".repeat(length) } } });
            let state = format!("of \"{name}\"");
            let mut result = json!({ "resultType": "input_required", "inputRequests": { "r": asked } });
            result["requestState"] = state.into();
            result_body(&request.id(), &result)
        };
        vec![json_answer(200, &body)]
    })
}

/// A call of a client that can be asked, with further parameters.
pub(crate) fn able(tool: &str, further: &str) -> Request {
    let request = Request::call(tool, &format!("{{}}{further}"));
    let can = r#""io.modelcontextprotocol/clientCapabilities":{"roots":{}}"#;
    request.edit(r#""io.modelcontextprotocol/clientCapabilities":{}"#, can)
}

#[tokio::test]
async fn what_answers_a_backends_question_goes_to_that_backend_with_its_own_state() {
    // Other answers of the second length pass through in parts.
    for length in [0, 256 << 10] {
        let servers = ["1", "2", "3"].map(|name| asking(name, length));
        let gateway = in_front_of(&servers);
        for _ in 0..6 {
            let asked = Client::ask(gateway.address(), &able("turn_write", "")).await.json();
            assert_eq!(asked["result"]["resultType"], "input_required", "{length}");
            let state = asked["result"]["requestState"].as_str().expect("a state");
            let name = state.chars().rev().find(char::is_ascii_digit).expect("the name of a server");
            // Others have their turn meanwhile.
            Client::ask(gateway.address(), &able("turn_write", "")).await;
            let further = format!(r#","inputResponses":{{"r":{{"roots":[]}}}},"requestState":{}"#, Value::from(state));
            let answer = Client::ask(gateway.address(), &able("turn_write", &further)).await;
            assert_eq!(Outcome::of(&answer), Outcome::Text(format!("{name} of \"{name}\"")), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_state_that_no_backend_gave_is_for_none_and_an_answer_without_one_for_any() {
    let servers = ["1", "2", "3"].map(|name| asking(name, 0));
    let gateway = in_front_of(&servers);
    let answer = Client::ask(gateway.address(), &able("turn_write", r#","inputResponses":{"r":{"roots":[]}}"#)).await;
    assert!(matches!(Outcome::of(&answer), Outcome::Text(text) if text.ends_with("none")), "{}", answer.text());
    let before = servers.each_ref().map(Counted::calls);
    for state in ["of \\\"1\\\"", "only1mcp@spare:x", "only1mcp@nobody:x", "only1mcp@one"] {
        let further = format!(r#","inputResponses":{{}},"requestState":"{state}""#);
        let answer = Client::ask(gateway.address(), &able("turn_write", &further)).await;
        assert_eq!(answer.code(), Some(-32602), "{state}: {}", answer.text());
    }
    assert_eq!(servers.each_ref().map(Counted::calls), before);
}

#[tokio::test]
async fn an_answer_to_a_question_is_not_made_elsewhere() {
    let (lost, other) = (Arc::new(AtomicUsize::new(0)), Counted::answering("2"));
    let counter = Arc::clone(&lost);
    let one = Counted::start(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        vec![Step::Close]
    });
    let gateway = gateway([&one.server.url(), &other.server.url(), &other.server.url()]);
    let further = r#","inputResponses":{},"requestState":"only1mcp@one:s""#;
    let read = able("turn_read", further);
    let outcome = Outcome::of(&Client::ask(gateway.address(), &read).await);
    assert_eq!(outcome, Outcome::failed("outcome_unknown", true));
    assert_eq!((lost.load(Ordering::SeqCst), other.calls()), (1, 0));
}

#[tokio::test]
async fn tasks_are_asked_about_where_they_were_begun() {
    let server = |name: &'static str| {
        Counted::start(move |request| {
            let id = request.body["params"]["taskId"].as_str().unwrap_or("t");
            let result = match request.rpc() {
                "tools/call" => {
                    json!({ "resultType": "task", "taskId": "t", "status": "working", "ttlMs": null, "createdAt": "2026-07-28T00:00:00Z", "lastUpdatedAt": "2026-07-28T00:00:00Z" })
                }
                _ => {
                    json!({ "resultType": "complete", "taskId": id, "status": "working", "statusMessage": name, "ttlMs": null, "createdAt": "2026-07-28T00:00:00Z", "lastUpdatedAt": "2026-07-28T00:00:00Z" })
                }
            };
            vec![json_answer(200, &result_body(&request.id(), &result))]
        })
    };
    let servers = ["1", "2", "3"].map(server);
    let gateway = in_front_of(&servers);
    let declared = META.replace(
        r#""io.modelcontextprotocol/clientCapabilities":{}"#,
        r#""io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
    );
    let declaring = |request: Request| request.edit(META, &declared);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let before = servers.each_ref().map(Counted::calls);
        let begun = Client::ask(gateway.address(), &declaring(Request::call("once_write", "{}"))).await.json();
        let task = begun["result"]["taskId"].as_str().unwrap_or_else(|| panic!("a task in {begun}")).to_owned();
        let after = servers.each_ref().map(Counted::calls);
        let at = (0..3).find(|index| after[*index] > before[*index]).expect("somebody has it");
        for _ in 0..3 {
            let asked = Request::modern("tasks/get", Some(&task), &format!(r#""taskId":"{task}""#));
            let answer = Client::ask(gateway.address(), &declaring(asked)).await.json();
            assert_eq!(answer["result"]["statusMessage"], ["1", "2", "3"][at], "{answer}");
        }
        seen.push(at);
    }
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_resource_is_heard_of_from_the_first_backend_that_takes_new_calls() {
    let (one, mut two) = (Counted::answering("1"), Telling::start());
    let builder = builder([&one.server.url(), &two.recorder.url(), &nowhere()]);
    let gateway = builder.overlay(overlay("backends: { one: { drain: true } }")).start().expect("the gateway starts");
    let wanted = json!({ "resourceSubscriptions": ["docs://one"] });
    let (_listening, acknowledged) = listen(gateway.address(), "/mcp", "1", &wanted.to_string()).await;
    assert_eq!(acknowledged, wanted);
    two.listened(&wanted).await;
}

#[tokio::test]
async fn administrators_see_every_backend_of_a_route() {
    let servers = three();
    let gateway = in_front_of(&servers);
    let admin = gateway.admin_address().expect("there is an admin listener");
    let get = async |path: &str| {
        let answer = Client::ask(admin, &Request::bare(&format!("GET /api/v1/admin{path} HTTP/1.1"))).await;
        answer.json()
    };
    let expected = json!({ "by": "round_robin", "servers": [
        { "server": "one", "weight": 2 }, { "server": "two", "weight": 1 }, { "server": "three", "weight": 1 },
    ] });
    let explained = get("/routes/turn_write").await;
    assert_eq!(explained["decisions"][0]["balanced"], expected, "{explained}");
    for server in ["one", "three"] {
        let routes = get(&format!("/routes?server={server}&limit=500")).await;
        let items = routes["items"].as_array().unwrap_or_else(|| panic!("routes in {routes}"));
        let turn = items.iter().find(|item| item["name"] == "turn_write").expect("the tool");
        assert_eq!((&turn["server"], &turn["balanced"]), (&json!("one"), &expected));
        assert_eq!(
            items.iter().find(|item| item["name"] == "one__status_read").map(|item| item["balanced"].clone()),
            (server == "one").then_some(Value::Null)
        );
    }
    gateway.overlay().apply("backends: { three: { weight: 9 } }").expect("a good overlay");
    let explained = get("/routes/turn_write").await;
    let weight = |index: usize| &explained["decisions"][0]["balanced"]["servers"][index]["weight"];
    assert_eq!([0, 1, 2].map(weight), [2, 1, 9]);
    let config = get("/config").await;
    let settings = config["settings"].as_array().expect("settings");
    let told =
        |path: &str| settings.iter().find(|setting| setting["path"] == path).map(|own| [&own["value"], &own["origin"]]);
    let to = json!([{ "backend": "one", "weight": 2 }, "two", { "backend": "three", "weight": 9 }]);
    assert_eq!(told("routes[0].to"), Some([&to, &json!("overlay")]));
    assert_eq!(told("routes[6].to"), Some([&json!(["shut-one", "shut-two"]), &json!("topology")]));
}
