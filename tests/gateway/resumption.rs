//! Event streams of legacy HTTP backends that break off before their answer: gone on with, and the call never posted
//! again.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use only1mcp::Gateway;

use crate::support::client::{Client, META, Request as Asked};
use crate::support::scripted::{Outcome, Servers, UNHURRIED, assert_serves, call, call_odd, with_servers};
use crate::support::server::{
    Request, Script, Server, Step, chunk, event, head, json_answer, last_chunk, legacy, modern, stream_head, text_body,
};

/// One tool of the server: how its POST is answered, and how each request for the rest of its stream.
struct Row {
    tool: &'static str,
    post: fn(&str) -> Script,
    /// By how many came before it.
    get: fn(&str, usize) -> Script,
    expected: Outcome,
    /// The ids behind which the stream was asked for.
    behind: &'static [&'static str],
}

#[derive(Default)]
struct Played {
    /// The id of the call in hand and its tool.
    call: (String, String),
    posts: usize,
    gets: Vec<(Instant, String)>,
}

fn status(status: u16) -> Script {
    vec![head(status, "content-length: 0\r\n")]
}

/// An event with an id.
fn identified(id: &str, message: &str) -> String {
    format!("id: {id}\n{}", event(message))
}

/// The first event of a stream, without data, and a wish for peace.
fn primed(id: &str, retry_ms: u32) -> Step {
    chunk(format!("id: {id}\nretry: {retry_ms}\ndata: \n\n"))
}

fn ok(id: &str) -> String {
    text_body(id, "ok")
}

fn text() -> Outcome {
    Outcome::Text("ok".to_owned())
}

fn unknown() -> Outcome {
    Outcome::failed("outcome_unknown", true)
}

fn row(
    tool: &'static str,
    expected: Outcome,
    behind: &'static [&'static str],
    post: fn(&str) -> Script,
    get: fn(&str, usize) -> Script,
) -> Row {
    Row { tool, post, get, expected, behind }
}

fn rows() -> impl Iterator<Item = Row> {
    gone_on_with().into_iter().chain(lost())
}

fn gone_on_with() -> Vec<Row> {
    vec![
        row(
            "polled",
            text(),
            &["a-1"],
            |_| vec![stream_head(), primed("a-1", 200), last_chunk()],
            |id, _| vec![stream_head(), chunk(identified("a-2", &ok(id))), last_chunk()],
        ),
        row(
            "polled_often",
            text(),
            &["a-1", "a-2", "a-2", "a-3"],
            |_| vec![stream_head(), primed("a-1", 20), last_chunk()],
            |id, before| match before {
                0 => vec![stream_head(), primed("a-2", 20), last_chunk()],
                1 => vec![stream_head(), last_chunk()],
                2 => vec![stream_head(), primed("a-3", 20), Step::Close],
                _ => vec![stream_head(), chunk(event(&ok(id))), last_chunk()],
            },
        ),
        // An event that was cut off did not come: it is asked for again.
        row(
            "cut",
            text(),
            &["a-1"],
            |id| {
                let cut = &identified("a-2", &ok(id))[..40];
                vec![stream_head(), primed("a-1", 0), chunk(cut), Step::Close]
            },
            |id, _| vec![stream_head(), chunk(identified("a-2", &ok(id))), last_chunk()],
        ),
        row(
            "without_data",
            text(),
            &["a-1"],
            |_| vec![stream_head(), chunk("id: a-1\n\nretry: 10\n\n"), Step::Close],
            |id, _| vec![stream_head(), chunk(event(&ok(id))), last_chunk()],
        ),
        row(
            "not_yet",
            text(),
            &["a-1", "a-1", "a-1"],
            |_| vec![stream_head(), primed("a-1", 0), last_chunk()],
            |id, before| match before {
                0 => status(503),
                1 => vec![Step::Close],
                _ => vec![stream_head(), chunk(event(&ok(id))), last_chunk()],
            },
        ),
    ]
}

fn lost() -> Vec<Row> {
    vec![
        row("no_ids", unknown(), &[], |_| vec![stream_head(), chunk(": hello\n\n"), last_chunk()], |_, _| status(500)),
        row(
            "no_id_any_more",
            unknown(),
            &[],
            |_| vec![stream_head(), primed("a-1", 0), primed("", 0), last_chunk()],
            |_, _| status(500),
        ),
        row(
            "id_for_no_field",
            unknown(),
            &[],
            |_| vec![stream_head(), primed("ä", 0), last_chunk()],
            |_, _| status(500),
        ),
        row(
            "refused",
            unknown(),
            &["a-1"],
            |_| vec![stream_head(), primed("a-1", 0), last_chunk()],
            |_, _| status(400),
        ),
        row(
            "no_stream",
            unknown(),
            &["a-1"],
            |_| vec![stream_head(), primed("a-1", 0), last_chunk()],
            |_, _| status(405),
        ),
        row(
            "moved",
            unknown(),
            &["a-1"],
            |_| vec![stream_head(), primed("a-1", 0), last_chunk()],
            |_, _| vec![head(307, "location: /elsewhere\r\ncontent-length: 0\r\n")],
        ),
        row(
            "not_allowed",
            Outcome::failed("outcome_unknown", true),
            &["a-1"],
            |_| vec![stream_head(), primed("a-1", 0), last_chunk()],
            |_, _| status(401),
        ),
        row(
            "never",
            Outcome::failed("upstream_timeout", true),
            &["a-1"],
            |_| vec![stream_head(), primed("a-1", 0), last_chunk()],
            |_, _| vec![stream_head(), Step::Pause(Duration::from_secs(5))],
        ),
        // It is in no hurry.
        row(
            "later",
            Outcome::failed("upstream_timeout", true),
            &[],
            |_| vec![stream_head(), primed("a-1", 60_000), last_chunk()],
            |_, _| status(500),
        ),
        row("over", unknown(), &["a-1"], |_| vec![stream_head(), primed("a-1", 0), last_chunk()], |_, _| status(404)),
    ]
}

/// A server that plays the rows; the stream of its sessions is none.
fn played() -> (Server, Arc<Mutex<Played>>) {
    let played = Arc::<Mutex<Played>>::default();
    let (kept, called) = (Arc::clone(&played), Arc::clone(&played));
    let greets = legacy(
        || "session".to_owned(),
        move |request: &Request| {
            let Some(row) = rows().find(|row| row.tool == request.name()) else {
                return vec![json_answer(200, &text_body(&request.id(), request.argument()))];
            };
            let mut played = called.lock().expect("not poisoned");
            (played.call, played.posts) = ((request.id(), row.tool.to_owned()), played.posts + 1);
            (row.post)(&request.id())
        },
    );
    let server =
        Server::start(move |request: &Request| match (request.method.as_str(), request.field("last-event-id")) {
            ("GET", Some(behind)) => {
                assert_eq!(request.field("mcp-session-id"), Some("session"));
                let mut played = kept.lock().expect("not poisoned");
                let before = played.gets.len();
                played.gets.push((Instant::now(), behind.to_owned()));
                let row = rows().find(|row| row.tool == played.call.1).expect("a row");
                (row.get)(&played.call.0, before)
            }
            _ => greets(request),
        });
    (server, played)
}

fn good() -> Server {
    Server::start(modern(|request: &Request| vec![json_answer(200, &text_body(&request.id(), request.argument()))]))
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_gone_on_with_or_its_outcome_unknown() {
    let ((odd, played), good) = (played(), good());
    let builder = Gateway::<Servers>::builder().workers(1).reference("ODD_URL", odd.url());
    let gateway = builder.reference("GOOD_URL", good.url()).start().expect("the gateway starts");
    let mut failures = Vec::new();
    for row in rows() {
        *played.lock().expect("not poisoned") = Played::default();
        let outcome = call_odd(&gateway, row.tool, &row.expected).await;
        let played = std::mem::take(&mut *played.lock().expect("not poisoned"));
        let behind: Vec<&str> = played.gets.iter().map(|(_, id)| id.as_str()).collect();
        if (&outcome, &behind[..], played.posts) != (&row.expected, row.behind, 1) {
            failures.push(format!("{}: {outcome:?}, behind {behind:?}, {} posts", row.tool, played.posts));
        }
        assert_serves(gateway.address(), "odd").await;
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test]
async fn a_server_is_left_alone_as_long_as_it_asks_and_progress_goes_on() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let posted = Arc::new(Mutex::new((Instant::now(), String::new())));
    let greets = legacy(|| "session".to_owned(), {
        let posted = Arc::clone(&posted);
        move |request: &Request| {
            *posted.lock().expect("not poisoned") = (Instant::now(), request.id());
            let progress = progress(&request.id(), 1);
            vec![stream_head(), primed("a-1", 400), chunk(identified("a-2", &progress)), last_chunk()]
        }
    });
    let odd = Server::start(move |request: &Request| match (request.method.as_str(), request.field("last-event-id")) {
        ("GET", Some(behind)) => {
            let (at, id) = posted.lock().expect("not poisoned").clone();
            kept.lock().expect("not poisoned").push((at.elapsed(), behind.to_owned()));
            let events = [identified("a-3", &progress(&id, 2)), identified("a-4", &ok(&id))];
            [stream_head()].into_iter().chain(events.map(chunk)).chain([last_chunk()]).collect()
        }
        _ => greets(request),
    });
    let good = good();
    let builder = Gateway::<Servers>::builder().workers(1).reference("ODD_URL", odd.url());
    let gateway = builder.reference("GOOD_URL", good.url()).start().expect("the gateway starts");
    gateway.overlay().apply(UNHURRIED).expect("a sound overlay");
    let mut client = Client::connect(gateway.address()).await;
    let tracked = Asked::call("odd__work", "{}").edit(META, &format!(r#"{META},"progressToken":"mine""#));
    client.write(&tracked.bytes()).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.message().await.expect("progress")["params"]["progress"], 1);
    assert_eq!(client.message().await.expect("progress")["params"]["progress"], 2);
    assert_eq!(client.message().await.expect("an answer")["result"]["content"][0]["text"], "ok");
    let asked = asked.lock().expect("not poisoned");
    assert_eq!((asked.len(), asked[0].1.as_str()), (1, "a-2"));
    // Counted from before it asked for that.
    let pause = asked[0].0;
    assert!(pause >= Duration::from_millis(400), "{pause:?}");
}

fn progress(token: &str, step: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step}}}}}"#
    )
}

/// MCP 2026-07-28 has no resumption: a stream that broke off has lost its request.
#[tokio::test]
async fn a_modern_server_is_not_asked_to_go_on() {
    let gets = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&gets);
    let greets = modern(|_: &Request| vec![stream_head(), primed("a-1", 0), last_chunk()]);
    let odd = Server::start(move |request: &Request| {
        if request.method == "GET" {
            *counted.lock().expect("not poisoned") += 1;
        }
        greets(request)
    });
    let good = good();
    let gateway = with_servers(&odd, &good);
    assert_eq!(call(gateway.address(), "odd__work", "x").await, unknown());
    assert_eq!(*gets.lock().expect("not poisoned"), 0);
}
