//! How the era of a backend is found out, what is taken for granted, and what is not asked for.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::sync::{Arc, Mutex};

use only1mcp::Gateway;
use only1mcp::upstream::State;
use rustix::process::Signal;
use serde_json::json;

use crate::support::ledger::{Directory, Ledger};
use crate::support::scripted::{Outcome, Servers, WithChildren, assert_serves, call, eventually, signal};
use crate::support::server::{
    Request, Script, Server, answer, error_body, head, json_answer, legacy, modern, result_body, text_body,
};

only1mcp::topology!(Pinned = "tests/gateway/topologies/pinned.yaml");
only1mcp::topology!(Tended = "tests/gateway/topologies/tended.yaml");

type Heard = Arc<Mutex<Vec<String>>>;

/// A server that keeps the methods it was asked for.
fn heard(script: impl Fn(&Request) -> Script + Send + Sync + 'static) -> (Server, Heard) {
    let heard = Heard::default();
    let keeping = Arc::clone(&heard);
    let server = Server::start(move |request: &Request| {
        keeping.lock().expect("not poisoned").push(request.rpc().to_owned());
        script(request)
    });
    (server, heard)
}

fn count(heard: &Heard, method: &str) -> usize {
    heard.lock().expect("not poisoned").iter().filter(|other| *other == method).count()
}

fn echo(request: &Request) -> Script {
    vec![json_answer(200, &text_body(&request.id(), request.argument()))]
}

fn text(text: &str) -> Outcome {
    Outcome::Text(text.to_owned())
}

/// A gateway with one worker, so that each server is greeted once.
fn gateway(odd: &Server, good: &Server) -> only1mcp::Running {
    let builder = Gateway::<Servers>::builder().workers(1);
    builder.reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url()).start().expect("the gateway starts")
}

/// What servers of the legacy era answer a modern greeting with: none of it is an error of the modern era.
#[tokio::test]
async fn whatever_else_a_server_answers_the_modern_greeting_with_it_is_sent_the_legacy_one() {
    let refusals: [fn(&Request) -> Script; 7] = [
        |_| vec![json_answer(400, &error_body("null", -32000))],
        |_| vec![json_answer(400, &error_body("null", -32600))],
        |request| vec![json_answer(200, &error_body(&request.id(), -32601))],
        |request| vec![json_answer(200, &error_body(&request.id(), -32602))],
        |_| vec![answer(400, "content-type: text/plain\r\n", "no session")],
        |_| vec![head(404, "content-length: 0\r\n")],
        |request| {
            let versions = r#""data":{"supported":["2025-06-18","2025-11-25"],"requested":"2026-07-28"}"#;
            let error = format!(r#"{{"code":-32022,"message":"odd",{versions}}}"#);
            vec![json_answer(400, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, request.id()))]
        },
    ];
    let good = Server::start(modern(echo));
    for (index, refusal) in refusals.into_iter().enumerate() {
        let greets = legacy(|| "session".to_owned(), echo);
        let (odd, heard) = heard(move |request| match request.rpc() {
            "server/discover" => refusal(request),
            _ => greets(request),
        });
        let gateway = gateway(&odd, &good);
        assert_eq!(call(gateway.address(), "odd__echo", "x").await, text("x"), "{index}");
        assert_eq!((count(&heard, "server/discover"), count(&heard, "initialize")), (1, 1), "{index}");
    }
}

#[tokio::test]
async fn a_server_that_knows_the_modern_era_is_not_sent_the_legacy_greeting() {
    let refusals: [fn(&Request) -> Script; 4] = [
        |request| vec![json_answer(400, &error_body(&request.id(), -32020))],
        |request| vec![json_answer(400, &error_body(&request.id(), -32021))],
        |request| {
            let versions = r#""data":{"supported":["2027-01-01"],"requested":"2026-07-28"}"#;
            let error = format!(r#"{{"code":-32022,"message":"odd",{versions}}}"#);
            vec![json_answer(400, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, request.id()))]
        },
        |request| {
            let result = json!({ "supportedVersions": ["2027-01-01"], "capabilities": {} });
            vec![json_answer(200, &result_body(&request.id(), &result))]
        },
    ];
    let good = Server::start(modern(echo));
    for (index, refusal) in refusals.into_iter().enumerate() {
        let (odd, heard) = heard(refusal);
        let gateway = gateway(&odd, &good);
        let outcome = call(gateway.address(), "odd__echo", "x").await;
        assert_eq!(outcome, Outcome::failed("upstream_protocol_error", false), "{index}");
        assert_eq!(count(&heard, "initialize"), 0, "{index}");
    }
}

#[tokio::test]
async fn the_era_that_was_found_out_is_not_asked_for_again() {
    let sessions = Arc::new(Mutex::new(0));
    let (begun, known) = (Arc::clone(&sessions), Arc::clone(&sessions));
    let session = move || {
        let mut sessions = begun.lock().expect("not poisoned");
        *sessions += 1;
        format!("session-{sessions}")
    };
    let (odd, heard) = heard(legacy(session, move |request: &Request| {
        let current = format!("session-{}", known.lock().expect("not poisoned"));
        match request.field("mcp-session-id") {
            Some(session) if session == current => echo(request),
            _ => vec![head(404, "content-length: 0\r\n")],
        }
    }));
    let good = Server::start(modern(echo));
    let gateway = gateway(&odd, &good);
    for round in 1..=3 {
        assert_serves(gateway.address(), "odd").await;
        assert_eq!((count(&heard, "server/discover"), count(&heard, "initialize")), (1, round));
        *sessions.lock().expect("not poisoned") += 100;
    }

    let rig = WithChildren::start("plain");
    for round in 1..=3 {
        assert_serves(rig.address(), "odd").await;
        let asked = |method: &str| rig.ledger.after("read").iter().filter(|line| line.contains(method)).count();
        assert_eq!((asked("server/discover"), asked(r#""initialize""#)), (1, round));
        signal(*rig.ledger.spawned().last().expect("a child"), Signal::KILL);
        eventually("its successor", || rig.ledger.spawned().len() == round + 1).await;
        eventually("it is up", || rig.vitals("odd").state == State::Ready).await;
    }
}

/// It says that the request is for nobody, as servers of its era do, and not that it was looked at.
#[tokio::test]
async fn a_legacy_server_in_the_place_of_a_modern_one_is_greeted_and_gets_the_call() {
    for code in [-32000, -32600] {
        let odd = Server::start(modern(echo));
        let (address, good) = (odd.address(), Server::start(modern(echo)));
        let gateway = gateway(&odd, &good);
        assert_serves(gateway.address(), "odd").await;
        drop(odd);
        let greets = legacy(
            || "session".to_owned(),
            move |request: &Request| match request.field("mcp-session-id") {
                Some("session") => echo(request),
                _ => vec![json_answer(400, &error_body("null", code))],
            },
        );
        let _odd = Server::start_at(address, None, greets);
        assert_eq!(call(gateway.address(), "odd__echo", "x").await, text("x"), "{code}");
    }
}

#[tokio::test]
async fn a_modern_server_that_refuses_a_request_is_asked_once_more_at_most() {
    for (code, asked) in [(-32602, 1), (-32020, 1), (-32600, 2)] {
        let (odd, heard) = heard(modern(move |request: &Request| match request.name() {
            "echo" => echo(request),
            _ => vec![json_answer(400, &error_body("null", code))],
        }));
        let good = Server::start(modern(echo));
        let gateway = gateway(&odd, &good);
        let outcome = call(gateway.address(), "odd__refused", "x").await;
        assert!(matches!(outcome, Outcome::Error(_) | Outcome::Other(_)), "{code}: {outcome:?}");
        assert_eq!((count(&heard, "tools/call"), count(&heard, "initialize")), (asked, 0), "{code}");
        assert_serves(gateway.address(), "odd").await;
    }
}

#[tokio::test]
async fn a_child_that_the_modern_greeting_ends_or_locks_is_started_again_and_sent_the_legacy_one_first() {
    for start in ["dies_of_discover", "locked_by_discover"] {
        let rig = WithChildren::start_as::<Tended>(start, |builder| builder);
        assert_eq!(call(rig.address(), "odd__echo", "x").await, text("x"), "{start}");
        assert_eq!(rig.ledger.spawned().len(), 2, "{start}");
        let read = rig.ledger.after("read");
        let first = read.iter().position(|line| line.contains("server/discover"));
        let discovers = read.iter().filter(|line| line.contains("server/discover")).count();
        assert_eq!((first, discovers), (Some(0), 1), "{start}: {read:?}");
        // From then on that is known.
        eventually("its rest", || rig.vitals("odd").state == State::Asleep).await;
        assert_eq!(call(rig.address(), "odd__echo", "y").await, text("y"), "{start}");
        assert_eq!(rig.ledger.spawned().len(), 3, "{start}");
    }
}

#[tokio::test]
async fn an_era_that_the_topology_names_is_the_only_one_asked_for() {
    let (old, heard_by_old) = heard(legacy(|| "session".to_owned(), echo));
    let (new, heard_by_new) = heard(legacy(|| "session".to_owned(), echo));
    let directory = Directory::new();
    let ledger = Ledger::at(directory.path("ledger"));
    let program = std::env::current_exe().expect("this binary has a path");
    let builder = Gateway::<Pinned>::builder().program(program).workers(1).reference("CHILD_LEDGER", ledger.path());
    let gateway = builder.reference("OLD_URL", old.url()).reference("NEW_URL", new.url()).start().expect("it starts");
    assert_eq!(call(gateway.address(), "old__echo", "x").await, text("x"));
    assert_eq!(count(&heard_by_old, "server/discover"), 0);
    let refused = call(gateway.address(), "new__echo", "x").await;
    assert_eq!(refused, Outcome::failed("upstream_protocol_error", false));
    assert_eq!(count(&heard_by_new, "initialize"), 0);

    assert_eq!(call(gateway.address(), "oldchild__echo", "x").await, text("x"));
    let asked = |method: &str| ledger.after("read").iter().filter(|line| line.contains(method)).count();
    assert_eq!((asked("server/discover"), asked(r#""initialize""#)), (0, 1));
    // It knows nothing but the legacy era.
    let refused = call(gateway.address(), "newchild__echo", "x").await;
    assert_eq!(refused, Outcome::failed("upstream_unavailable", false));
    assert_eq!(asked(r#""initialize""#), 1);
}
