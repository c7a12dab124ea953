//! Servers that are added at run time, as administrators see and change them: told, counted and bounded like compiled ones,
//! and gone without a trace.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use only1mcp::{OverlayStore, limits};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::admin::samples;
use crate::admin_overlay::{Operated, kind};
use crate::support::client::{Answer, within};
use crate::support::scripted::{Outcome, call};
use crate::support::server::{Request, Script, Server, Step, json_answer, modern, nowhere, result_body, text_body};

/// What a server with one tool answers, which says so as `name`; the argument `lost` breaks the connection.
fn who(request: &Request, name: &str) -> Script {
    let tools = json!({ "tools": [{ "name": "who", "inputSchema": { "type": "object" } }] });
    match (request.rpc(), request.argument()) {
        ("tools/list", _) => vec![json_answer(200, &result_body(&request.id(), &tools))],
        (_, "lost") => vec![Step::Close],
        _ => vec![json_answer(200, &text_body(&request.id(), name))],
    }
}

fn named(name: &'static str) -> Server {
    Server::start(modern(move |request| who(request, name)))
}

/// The body that adds a server.
fn adds(name: &str, urls: &[&str], settings: &Value) -> String {
    let endpoints: Vec<Value> = urls.iter().map(|url| json!({ "url": url })).collect();
    let mut server = json!({ "name": name, "transport": { "streamable_http": {} }, "endpoints": endpoints });
    let members = settings.as_object().cloned().unwrap_or_default();
    server.as_object_mut().expect("an object").extend(members);
    server.to_string()
}

async fn add(operated: &Operated, body: &str) -> Answer {
    operated.change("POST", "/servers", "/servers", body).await
}

async fn try_adding(operated: &Operated, body: &str) -> Answer {
    operated.change("POST", "/servers", "/servers?dry_run=1", body).await
}

/// The names of the families with a series of this backend, and the backends that there are series of.
async fn series(operated: &Operated, backend: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let all = samples(operated.admin).await;
    let of = |name: &str| Some(name.split_once("backend=\"")?.1.split_once('"')?.0.to_owned());
    let own = all.keys().filter(|name| of(name).is_some_and(|own| own == backend));
    let families = own.filter_map(|name| Some(name.split_once('{')?.0.to_owned())).collect();
    (families, all.keys().filter_map(|name| of(name)).collect())
}

/// Settings of a server that is added with two endpoints.
fn settings() -> Value {
    let breaker = json!({ "failures": 1, "open": "10m" });
    json!({ "timeout": "5s", "balance": "random", "retry": "off", "circuit_breaker": breaker })
}

#[tokio::test]
async fn an_added_server_is_told_and_counted_like_a_compiled_one_and_gone_when_it_is_taken_out() {
    let (operated, one, two) = (Operated::start("{}\n").await, named("one"), named("two"));
    let before = samples(operated.admin).await.into_keys().collect::<BTreeSet<_>>();
    let settings = settings();
    let body = adds("extra", &[&one.url(), &two.url()], &settings);
    let added = add(&operated, &body).await;
    assert_eq!((added.status, &added.json()["result"]), (200, &json!("applied")), "{}", added.text());

    let told = operated.read("/servers/{name}", "/servers/extra").await;
    assert_eq!((&told["from"], &told["transport"]), (&json!("overlay"), &json!("streamable_http")), "{told}");
    assert_eq!((&told["state"], &told["disabled"]), (&json!("unknown"), &json!(false)), "{told}");
    assert_eq!(told["timeout"], json!({ "ms": 5_000, "origin": "overlay", "line": null }));
    assert_eq!(told["offers"], json!({ "tools": 1, "prompts": 0, "resources": 0, "templates": 0 }));
    let endpoint = |url: String| {
        let state =
            json!({ "calls_under_way": 0, "breaker": "closed", "open_ms": null, "health": null, "rests_ms": null });
        let mut endpoint = json!({ "name": url });
        endpoint.as_object_mut().expect("an object").extend(state.as_object().cloned().expect("an object"));
        endpoint
    };
    assert_eq!(told["endpoints"], json!([endpoint(one.url()), endpoint(two.url())]));
    let all = operated.get("/servers").await;
    let names: Vec<&Value> = all["items"].as_array().expect("a list").iter().map(|server| &server["name"]).collect();
    assert_eq!((names, &all["total"]), (vec![&json!("odd"), &json!("good"), &json!("extra")], &json!(3)));
    let tools = operated.read("/tools", "/tools?server=extra").await;
    let tool = &tools["items"][0];
    assert_eq!((&tools["total"], &tool["name"], &tool["upstream"]), (&json!(1), &json!("extra__who"), &json!("who")));
    assert_eq!(
        (&tool["from"], &tool["server"], &tool["origin"]),
        (&json!("overlay"), &json!("extra"), &json!("extra"))
    );
    let led = operated.read("/routes/{name}", "/routes/extra__who").await["decisions"][0].take();
    assert_eq!((&led["rule"], &led["from"], &led["server"]), (&json!("exact"), &json!("overlay"), &json!("extra")));

    // Every family that a compiled backend has a series in has one of it, and some further ones of its breaker.
    let ((of_extra, _), (of_good, _)) = (series(&operated, "extra").await, series(&operated, "good").await);
    let more: Vec<&String> = of_extra.difference(&of_good).collect();
    assert!(of_extra.is_superset(&of_good), "{of_good:?}\n{of_extra:?}");
    assert_eq!(more, ["only1mcp_breaker_state"]);

    assert_eq!(operated.change("DELETE", "/servers/{name}", "/servers/extra", "").await.status, 200);
    for (template, path) in [
        ("/servers/{name}", "/servers/extra"),
        ("/routes/{name}", "/routes/extra__who"),
        ("/tools", "/tools?server=extra"),
        ("/breakers", "/breakers?server=extra"),
    ] {
        assert_eq!(kind(&operated.ask(template, path).await), (404, "not_found".to_owned()), "{path}");
    }
    assert_eq!(samples(operated.admin).await.into_keys().collect::<BTreeSet<_>>(), before);
}

/// What is told of `extra` once so many of its calls were answered and so many have failed.
async fn until_counted(operated: &Operated, answered: u64, failed: u64) -> Value {
    let told = async {
        loop {
            let told = operated.read("/servers/{name}", "/servers/extra").await;
            if told["calls"]["answered"] == answered && told["calls"]["failed"] == failed {
                break told;
            }
        }
    };
    within("its calls are counted", told).await
}

#[tokio::test]
async fn what_an_added_server_is_set_to_holds_and_its_circuits_are_closed_by_hand() {
    let (operated, one, two) = (Operated::start("{}\n").await, named("one"), named("two"));
    let address = operated.gateway.address();
    let body = adds("extra", &[&one.url(), &two.url()], &settings());
    assert_eq!(add(&operated, &body).await.status, 200);
    for (weights, name) in [("[0,1]", "two"), ("[1,0]", "one")] {
        let patched = operated.patch("extra", &format!(r#"{{"weights":{weights}}}"#)).await;
        assert_eq!(patched.status, 200, "{}", patched.text());
        for _ in 0..4 {
            assert_eq!(call(address, "extra__who", "x").await, Outcome::Text(name.to_owned()), "{weights}");
        }
    }
    assert_eq!(call(address, "extra__who", "lost").await, Outcome::failed("outcome_unknown", true));
    assert_eq!(call(address, "extra__who", "x").await, Outcome::failed("circuit_open", false));
    let breakers = operated.read("/breakers", "/breakers?server=extra").await["items"].take();
    let states: Vec<_> =
        breakers.as_array().expect("a list").iter().map(|own| (&own["server"], &own["breaker"])).collect();
    assert_eq!(states, [(&json!("extra"), &json!("open")), (&json!("extra"), &json!("closed"))]);
    let told = until_counted(&operated, 8, 2).await;
    assert_eq!(told["calls"]["failed_by_kind"]["circuit_open"], 1);
    let counted = samples(operated.admin).await;
    let count = |outcome: &str| counted[&format!(r#"only1mcp_calls_total{{backend="extra",outcome="{outcome}"}}"#)];
    assert_eq!((count("answered"), count("outcome_unknown"), count("circuit_open")), (8.0, 1.0, 1.0));
    let reset = operated.change("POST", "/breakers/reset", "/breakers/reset?server=extra", "").await;
    assert_eq!(reset.json(), json!({ "closed": 1 }));
    assert_eq!(call(address, "extra__who", "x").await, Outcome::Text("one".to_owned()));

    // Taken out and added as it was, it goes on counting where it was.
    assert_eq!(operated.change("DELETE", "/servers/{name}", "/servers/extra", "").await.status, 200);
    add(&operated, &body).await;
    until_counted(&operated, 9, 2).await;
}

#[tokio::test]
async fn as_many_servers_are_added_as_may_be_and_a_dry_run_says_so_and_takes_no_place() {
    let operated = Operated::start_as("", false).await;
    let (dead, before) = (nowhere(), samples(operated.admin).await.len());
    let disabled = json!({ "disabled": true });
    let server = |name: &str| adds(name, &[&dead], &disabled);
    let overlay = |name: &str, count: usize| {
        let one = |index| {
            format!(
                "  {name}-{index}: {{ transport: {{ streamable_http: {{}} }}, endpoints: [{{ url: \"{dead}\" }}], disabled: true }}\n"
            )
        };
        "backends:\n".to_owned() + &(0..count).map(one).collect::<String>()
    };
    let conflict = (409, "conflict".to_owned());
    let store = operated.gateway.overlay();
    let most = limits::ADDED_BACKENDS_MAX;
    for round in 0..limits::ADDED_BACKENDS_EVER_MAX / most {
        let last = round == limits::ADDED_BACKENDS_EVER_MAX / most - 1;
        let count = if last { most - 1 } else { most };
        store.apply(&overlay(&format!("round{round}"), count)).expect("it is taken");
        // No label is left of the round before.
        let (_, backends) = series(&operated, "").await;
        assert_eq!(backends.len(), 2 + count, "{backends:?}");
        if !last {
            // As many as may be at once.
            assert_eq!(kind(&try_adding(&operated, &server("more")).await), conflict);
            assert_eq!(kind(&add(&operated, &server("more")).await), conflict);
        }
    }
    // One more in all: trying takes no place.
    for name in ["one", "another", "third"] {
        let tried = try_adding(&operated, &server(name)).await;
        assert_eq!((tried.status, &tried.json()["result"]), (200, &json!("applied")), "{}", tried.text());
    }
    assert_eq!(add(&operated, &server("third")).await.status, 200);
    store.apply("{}").expect("it is taken");
    for name in ["one", "another"] {
        assert_eq!(kind(&try_adding(&operated, &server(name)).await), conflict, "{name}");
        assert_eq!(kind(&add(&operated, &server(name)).await), conflict, "{name}");
    }
    // What was there before finds its place.
    assert_eq!(try_adding(&operated, &server("third")).await.json()["result"], "applied");
    store.apply(&overlay("round0", most)).expect("it is taken");
    store.apply("{}").expect("it is taken");
    assert_eq!(samples(operated.admin).await.len(), before);
}

#[tokio::test]
async fn as_many_catalogs_are_made_as_may_be_and_a_dry_run_says_so() {
    let operated = Operated::start_as("", false).await;
    let view = |index: usize| format!("views: {{ added: {{ include: [\"tool-{index}\"] }} }}");
    for index in 0..limits::AMENDMENTS_MAX {
        operated.gateway.overlay().apply(&view(index)).expect("it is taken");
    }
    let put = async |query: &str, index: usize| {
        let path = format!("/overlay{query}");
        operated.change_as("PUT", ("/overlay", &path), ("application/yaml", &view(index))).await
    };
    for query in ["?dry_run=1", ""] {
        let refused = put(query, limits::AMENDMENTS_MAX).await;
        assert_eq!(kind(&refused), (409, "conflict".to_owned()), "{query}: {}", refused.text());
        let known = put(query, 7).await;
        assert_eq!((known.status, &known.json()["result"]), (200, &json!("applied")), "{query}");
    }
    let refused = operated.gateway.overlay().check(&view(limits::AMENDMENTS_MAX)).expect_err("it finds no place");
    assert!(matches!(refused, only1mcp::OverlayError::Exhausted), "{refused}");
}

/// A server whose greetings are told and wait until they may go on; then as `answer` says.
struct Reluctant {
    // Before the server, which waits for it.
    release: std::sync::mpsc::Sender<()>,
    server: Server,
    begun: mpsc::Receiver<()>,
    /// Of each greeting, whether the overlay in force had the server already.
    greeted: Arc<Mutex<Vec<bool>>>,
    store: Arc<OnceLock<Arc<OverlayStore>>>,
    listed: Arc<AtomicUsize>,
}

impl Reluctant {
    fn start(answers: bool) -> Self {
        let (began, begun) = mpsc::channel(16);
        let (release, released) = std::sync::mpsc::channel();
        let released = Mutex::new(released);
        let (greeted, listed) = (Arc::<Mutex<Vec<bool>>>::default(), Arc::new(AtomicUsize::new(0)));
        let store = Arc::new(OnceLock::<Arc<OverlayStore>>::new());
        let (greetings, lists, overlay) = (Arc::clone(&greeted), Arc::clone(&listed), Arc::clone(&store));
        let server = Server::start(move |request: &Request| {
            lists.fetch_add(usize::from(request.rpc() == "tools/list"), Ordering::SeqCst);
            if request.rpc() == "server/discover" {
                let is_there = overlay.get().is_some_and(|own| own.current().overlay.added.get("extra").is_some());
                greetings.lock().expect("not poisoned").push(is_there);
                // Nobody listens who does not care, and whoever releases may be gone.
                let _told = began.try_send(());
                let _released = released.lock().expect("not poisoned").recv();
            }
            if answers { modern(|request: &Request| who(request, "extra"))(request) } else { vec![Step::Close] }
        });
        Self { release, server, begun, greeted, store, listed }
    }

    /// Adds it while another administrator takes a server out of service.
    async fn is_added_meanwhile(&mut self, operated: &Operated) -> Answer {
        self.store.set(Arc::clone(operated.gateway.overlay())).expect("once");
        let body = adds("extra", &[&self.server.url()], &json!({ "era": "modern" }));
        let meanwhile = async {
            within("the greeting", self.begun.recv()).await.expect("it is told");
            let patched = operated.patch("odd", r#"{"disabled":true}"#).await;
            assert_eq!((patched.status, &patched.json()["generation"]), (200, &json!(1)), "{}", patched.text());
            assert_eq!(
                operated.get("/overlay").await["settings"],
                json!({ "backends": { "odd": { "disabled": true } } })
            );
            self.release.send(()).expect("the server waits");
        };
        let (added, ()) = tokio::join!(add(operated, &body), meanwhile);
        let told = operated.get("/overlay").await;
        assert_eq!((added.status, &added.json()["generation"]), (200, &json!(2)), "{}", added.text());
        let names: Vec<&String> = told["settings"]["backends"].as_object().expect("an object").keys().collect();
        assert_eq!(names, ["extra", "odd"], "{told}");
        assert!(!operated.is_served().await, "it is disabled");
        added
    }
}

#[tokio::test]
async fn a_server_that_takes_its_time_is_added_beside_what_others_change_and_asked_once() {
    let (operated, mut reluctant) = (Operated::start("{}\n").await, Reluctant::start(true));
    reluctant.is_added_meanwhile(&operated).await;
    assert_eq!(reluctant.listed.load(Ordering::SeqCst), 1, "it is asked once what it offers");
    // Its links greet it too.
    drop(reluctant.release);
    let told = call(operated.gateway.address(), "extra__who", "x").await;
    assert_eq!(told, Outcome::Text("extra".to_owned()));
}

#[tokio::test]
async fn of_two_servers_of_one_name_that_are_added_at_once_the_first_to_be_known_stays_as_it_is() {
    let (operated, mut reluctant) = (Operated::start("{}\n").await, Reluctant::start(true));
    let (late, early) = (reluctant.server.url(), named("early"));
    let body = adds("extra", &[&late], &json!({ "era": "modern", "timeout": "7s" }));
    let meanwhile = async {
        within("the greeting", reluctant.begun.recv()).await.expect("it is told");
        let added = add(&operated, &adds("extra", &[&early.url()], &Value::Null)).await;
        assert_eq!((added.status, &added.json()["generation"]), (200, &json!(1)), "{}", added.text());
        reluctant.release.send(()).expect("the server waits");
    };
    let (refused, ()) = tokio::join!(add(&operated, &body), meanwhile);
    assert_eq!(kind(&refused), (409, "conflict".to_owned()), "{}", refused.text());
    let told = operated.get("/overlay").await;
    let own = &told["settings"]["backends"]["extra"];
    assert_eq!((&told["generation"], &own["timeout"], &own["era"]), (&json!(1), &Value::Null, &Value::Null), "{told}");
    assert_eq!(own["endpoints"], json!([{ "url": early.url() }]), "{told}");
    assert_eq!(call(operated.gateway.address(), "extra__who", "x").await, Outcome::Text("early".to_owned()));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_asked_once_before_it_is_added_without_its_tools() {
    let (operated, mut silent) = (Operated::start("{}\n").await, Reluctant::start(false));
    silent.is_added_meanwhile(&operated).await;
    // Then it is asked again, for it may be well by then.
    within("another greeting", silent.begun.recv()).await.expect("it is told");
    let greeted = silent.greeted.lock().expect("not poisoned").clone();
    assert_eq!(greeted[..2], [false, true], "{greeted:?}");
    drop(silent.release);
}
