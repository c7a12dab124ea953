//! Backends that an overlay adds are asked whether they are well, for as long as it has them, though nobody of the topology is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use only1mcp::{Gateway, Running, limits};
use serde_json::json;

use crate::support::client::{Client, Request};
use crate::support::gateways::Recorded;
use crate::support::ledger::Directory;
use crate::support::recorder::Recorder;
use crate::support::scripted::{Outcome, call, eventually};
use crate::support::server::{self, Server, head, json_answer, legacy, modern, nowhere, result_body, text_body};
use crate::traffic::{answered, sample, until_found};

/// In front of a topology without health checks.
fn gateway(upstream: &Recorder) -> Running {
    let builder = Gateway::<Recorded>::builder().workers(2).admin_address("127.0.0.1:0");
    let builder = builder.reference("ADMIN_URL", upstream.url()).reference("DATA_URL", upstream.url());
    builder.start().expect("the gateway starts")
}

/// An overlay that adds backends with these endpoints and further settings.
fn adds(backends: &[(&str, &[&str], &str)]) -> String {
    let one = |(name, urls, settings): &(&str, &[&str], &str)| {
        let endpoints: Vec<String> = urls.iter().map(|url| format!("{{ url: \"{url}\" }}")).collect();
        let endpoints = endpoints.join(", ");
        format!("  {name}: {{ transport: {{ streamable_http: {{}} }}, endpoints: [{endpoints}], {settings} }}\n")
    };
    "backends:\n".to_owned() + &backends.iter().map(one).collect::<String>()
}

/// A server with one tool, which says so as `name`.
fn who(request: &server::Request, name: &str) -> server::Script {
    let result = match request.rpc() {
        "tools/list" => {
            result_body(&request.id(), &json!({ "tools": [{ "name": "who", "inputSchema": { "type": "object" } }] }))
        }
        _ => text_body(&request.id(), name),
    };
    vec![json_answer(200, &result)]
}

/// The same, which is asked by plain requests how it is, and counts them.
struct Asked {
    server: Server,
    sick: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Asked {
    fn start(name: &'static str) -> Self {
        let (sick, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (is_sick, counter) = (Arc::clone(&sick), Arc::clone(&asked));
        let server = Server::start(modern(move |request| match request.method.as_str() {
            "GET" if request.target == "/health" => {
                counter.fetch_add(1, Ordering::SeqCst);
                let status = if is_sick.load(Ordering::SeqCst) { 503 } else { 204 };
                vec![head(status, if status == 204 { "" } else { "content-length: 0\r\n" })]
            }
            _ => who(request, name),
        }));
        Self { server, sick, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until it was asked some more times.
    async fn is_asked_on(&self) {
        let before = self.asked();
        eventually("health checks", || self.asked() >= before + 4).await;
    }
}

const BY_HTTP: &str =
    "health: { interval: 100ms, timeout: 10s, healthy: 1, unhealthy: 1, http: { path: /health, status: 204 } }";
const BY_MCP: &str = "health: { interval: 100ms, timeout: 10s, healthy: 1, unhealthy: 1 }";

#[tokio::test]
async fn an_endpoint_of_an_added_backend_that_turns_unhealthy_gets_no_calls_until_it_is_well() {
    let (upstream, a, b) = (Recorder::start(), Asked::start("a"), Asked::start("b"));
    let gateway = gateway(&upstream);
    let urls = [a.server.url(), b.server.url()];
    gateway.overlay().apply(&adds(&[("extra", &[&urls[0], &urls[1]], BY_HTTP)])).expect("it is taken");
    for url in &urls {
        until_found(&gateway, "extra", url, "healthy").await;
    }
    a.sick.store(true, Ordering::SeqCst);
    until_found(&gateway, "extra", &urls[0], "unhealthy").await;
    assert_eq!(answered(&gateway, "extra__who", ["x"; 6]).await, "bbbbbb");
    a.sick.store(false, Ordering::SeqCst);
    until_found(&gateway, "extra", &urls[0], "healthy").await;
    let names = answered(&gateway, "extra__who", ["x"; 8]).await;
    assert!(names.contains('a') && names.contains('b'), "{names}");
}

#[tokio::test]
async fn added_backends_are_asked_while_the_overlay_has_them_and_no_longer() {
    let (upstream, one, other) = (Recorder::start(), Asked::start("1"), Asked::start("2"));
    let gateway = gateway(&upstream);
    let urls = [one.server.url(), other.server.url()];
    let both = adds(&[("one", &[&urls[0]], BY_HTTP), ("other", &[&urls[1]], BY_HTTP)]);
    let series = format!(r#"only1mcp_endpoint_health{{backend="one",endpoint="{}",state="healthy"}}"#, urls[0]);
    for _ in 0..2 {
        gateway.overlay().apply(&both).expect("it is taken");
        one.is_asked_on().await;
        gateway.overlay().apply(&adds(&[("other", &[&urls[1]], BY_HTTP)])).expect("it is taken");
        assert_eq!(sample(&gateway, &series).await, None);
        // What was on its way is over once the other one was asked a few times.
        other.is_asked_on().await;
        let before = one.asked();
        other.is_asked_on().await;
        assert_eq!(one.asked(), before);
    }
    // Neither is one that is disabled, nor one whose checks are off.
    for settings in [format!("{BY_HTTP}, disabled: true"), "health: off".to_owned()] {
        gateway.overlay().apply(&both).expect("it is taken");
        one.is_asked_on().await;
        let changed = adds(&[("one", &[&urls[0]], &settings), ("other", &[&urls[1]], BY_HTTP)]);
        gateway.overlay().apply(&changed).expect("it is taken");
        other.is_asked_on().await;
        let before = one.asked();
        other.is_asked_on().await;
        assert_eq!(one.asked(), before, "{settings}");
    }
}

#[tokio::test]
async fn who_lacks_what_it_is_shown_is_asked_once_that_is_there() {
    let (upstream, one) = (Recorder::start(), Asked::start("one"));
    let (gateway, directory) = (gateway(&upstream), Directory::new());
    let secret = directory.path("secret");
    let with = |settings: &str| {
        format!(
            "backends: {{ one: {{ transport: {{ streamable_http: {{ auth: {{ bearer: \"file:{}\" }} }} }}, \
             endpoints: [{{ url: \"{}\" }}], {BY_HTTP}{settings} }} }}",
            secret.display(),
            one.server.url()
        )
    };
    gateway.overlay().apply(&with(", disabled: true")).expect("it is taken");
    gateway.overlay().apply(&with("")).expect("it is taken");
    std::fs::write(&secret, "secret").expect("a file");
    gateway.overlay().apply(&with(", timeout: 20s")).expect("it is taken");
    one.is_asked_on().await;
}

#[tokio::test]
async fn an_added_server_that_is_down_is_found_out_in_the_words_of_its_era_and_its_calls_are_refused_at_once() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let admin = gateway.admin_address().expect("there is an admin listener");
    let state = async |name: &str| {
        let path = format!("GET /api/v1/admin/servers/{name} HTTP/1.1");
        Client::ask(admin, &Request::bare(&path)).await.json()["state"].clone()
    };
    let (pings, counter) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (pinged, discovered) = (Arc::clone(&pings), Arc::clone(&counter));
    let old = Server::start(legacy(
        || "s".to_owned(),
        move |request| {
            pinged.fetch_add(usize::from(request.rpc() == "ping"), Ordering::SeqCst);
            who(request, "old")
        },
    ));
    let new = Server::start(move |request: &server::Request| {
        discovered.fetch_add(usize::from(request.rpc() == "server/discover"), Ordering::SeqCst);
        modern(|request: &server::Request| who(request, "new"))(request)
    });
    let (urls, dead) = ([old.url(), new.url()], nowhere());
    let added = [("old", &[&*urls[0]][..], BY_MCP), ("new", &[&*urls[1]][..], BY_MCP), ("dead", &[&*dead][..], BY_MCP)];
    gateway.overlay().apply(&adds(&added)).expect("it is taken");
    // Beside the greetings of those who list and ask.
    eventually("checks", || pings.load(Ordering::SeqCst) > 2 && counter.load(Ordering::SeqCst) > 4).await;
    until_found(&gateway, "dead", &dead, "unhealthy").await;
    assert_eq!(
        (state("old").await, state("new").await, state("dead").await),
        ("up".into(), "up".into(), "down".into())
    );
    assert_eq!(answered(&gateway, "new__who", ["x"]).await, "new");
    drop(new);
    until_found(&gateway, "new", &urls[1], "unhealthy").await;
    assert_eq!(call(gateway.address(), "new__who", "x").await, Outcome::failed("upstream_unavailable", false));
    assert_eq!((state("old").await, state("new").await), ("up".into(), "down".into()));
}

#[tokio::test]
async fn what_calls_of_an_added_backend_go_by_is_changed_as_often_as_anybody_likes() {
    let (upstream, server) = (Recorder::start(), Asked::start("a"));
    let gateway = gateway(&upstream);
    let url = server.server.url();
    let set = |settings: &str| gateway.overlay().apply(&adds(&[("extra", &[&url], settings)]));
    // Each of them would be another backend, of which there may only be so many.
    for most in 1..=limits::ADDED_BACKENDS_EVER_MAX + 8 {
        set(&format!("disabled: true, concurrency: {{ max: {most} }}")).expect("it is taken");
    }
    for settings in [BY_MCP, BY_HTTP, "health: off", "retry: off", "circuit_breaker: { failures: 1 }"] {
        set(settings).expect("it is taken");
    }
    // Without checks it is well, and asked again as soon as it is to be.
    server.sick.store(true, Ordering::SeqCst);
    assert_eq!(answered(&gateway, "extra__who", ["x"]).await, "a");
    set(BY_HTTP).expect("it is taken");
    until_found(&gateway, "extra", &url, "unhealthy").await;
    assert_eq!(call(gateway.address(), "extra__who", "x").await, Outcome::failed("upstream_unavailable", false));
    set("health: off").expect("it is taken");
    assert_eq!(answered(&gateway, "extra__who", ["x"]).await, "a");
}
