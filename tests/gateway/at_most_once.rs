//! No call is executed twice, whatever breaks: every call carries an id of its own, a backend notes it when it executes
//! the call, and at the end what clients were told is held against what was done.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::http2_backends;
use crate::support::http2_server::{self, Http2Server};
use crate::support::ledger::{Directory, Ledger};
use crate::support::scripted::{Outcome, WithChildren, assert_serves, call, eventually, signal, with_servers};
use crate::support::server::{Request, Script, Server, Step, json_answer, modern, text_body};
use crate::support::socket_server::{SocketServer, said};
use crate::websocket;

const CLIENTS: usize = 8;
/// Calls of each client that reach the backend.
const CALLS: usize = 250;

/// Calls `odd__once` until enough calls have been sent; what each of them came to.
async fn drive(gateway: SocketAddr) -> BTreeMap<String, Outcome> {
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(async move {
            let (mut outcomes, mut sent) = (Vec::new(), 0);
            while sent < CALLS {
                let id = format!("{client}-{}", outcomes.len());
                let outcome = call(gateway, "odd__once", &id).await;
                if matches!(outcome, Outcome::Failed(_, false)) {
                    // It is down: not to ask thousands of times meanwhile.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                } else {
                    sent += 1;
                }
                outcomes.push((id, outcome));
            }
            outcomes
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

/// Holds what clients were told against what was done.
fn settle(outcomes: &BTreeMap<String, Outcome>, ledger: &Ledger) {
    let mut executed: BTreeMap<String, usize> = BTreeMap::new();
    for id in ledger.after("ran") {
        *executed.entry(id).or_default() += 1;
    }
    let (mut answered, mut unknown) = (0, 0);
    for (id, outcome) in outcomes {
        let count = executed.get(id).copied().unwrap_or_default();
        match outcome {
            Outcome::Text(own) => {
                assert_eq!((own, count), (id, 1));
                answered += 1;
            }
            Outcome::Failed(_, false) => assert_eq!(count, 0, "{id}: {outcome:?}"),
            Outcome::Failed(_, true) => {
                assert!(count <= 1, "{id}: executed {count} times");
                unknown += 1;
            }
            _ => unreachable!("{id}: {outcome:?}"),
        }
    }
    assert!(executed.keys().all(|id| outcomes.contains_key(id)), "something was executed that nobody asked for");
    // Else nothing was tried.
    assert!(answered > CLIENTS * CALLS / 2 && unknown > 0, "{answered} answered, {unknown} unknown");
}

#[tokio::test]
async fn a_child_that_is_killed_again_and_again_executes_no_call_twice() {
    let rig = WithChildren::start("plain");
    assert_serves(rig.address(), "odd").await;
    let (ledger, address) = (rig.ledger.clone(), rig.address());
    let driven = tokio::spawn(drive(address));
    for executed in [300, 800, 1500] {
        eventually("some calls", || ledger.after("ran").len() >= executed).await;
        signal(*ledger.spawned().last().expect("a child"), Signal::KILL);
    }
    settle(&driven.await.expect("the clients"), &ledger);
    assert_eq!(ledger.spawned().len(), 4);
}

#[tokio::test]
async fn a_server_that_breaks_off_anywhere_executes_no_call_twice() {
    let directory = Directory::new();
    let ledger = Ledger::at(directory.path("ledger"));
    let start = |address: SocketAddr| {
        let ledger = ledger.clone();
        let framed = |answer: &str| match json_answer(200, answer) {
            Step::Write(answer) => answer,
            _ => Vec::new(),
        };
        Server::start_at(address, None, modern(move |request: &Request| breaking_off(request, &ledger, 20, framed)))
    };
    let odd = start(([127, 0, 0, 1], 0).into());
    let good = Server::start(modern(|_| Vec::new()));
    let (gateway, address) = (with_servers(&odd, &good), odd.address());
    restarted_again_and_again(odd, start, address, gateway.address(), &ledger).await;
}

#[tokio::test]
async fn a_websocket_that_breaks_off_anywhere_executes_no_call_twice() {
    let directory = Directory::new();
    let ledger = Ledger::at(directory.path("ledger"));
    let start = |address: SocketAddr| {
        let ledger = ledger.clone();
        let calls = move |request: &Request| {
            // Rarer, because each time takes all calls on the connection with it.
            breaking_off(request, &ledger, 100, |answer| said(0x81, answer.as_bytes()))
        };
        SocketServer::start_at(address, None, websocket::greeted(calls))
    };
    let odd = start(([127, 0, 0, 1], 0).into());
    let good = SocketServer::start(websocket::greeted(|_| Vec::new()));
    let (gateway, address) = (websocket::gateway(&odd.url(), &good.url()), odd.address());
    restarted_again_and_again(odd, start, address, gateway.address(), &ledger).await;
}

#[tokio::test]
async fn a_server_of_http_2_that_breaks_off_anywhere_executes_no_call_twice() {
    let directory = Directory::new();
    let ledger = Ledger::at(directory.path("ledger"));
    let start = |address: SocketAddr| {
        let ledger = ledger.clone();
        let calls = move |request: &Request| {
            let ran = || ledger.note(format_args!("ran {}", request.argument()));
            http2_backends::breaking_off(request, ran)
        };
        Http2Server::start_at(address, None, h2::server::Builder::new(), http2_server::modern(calls))
    };
    let odd = start(([127, 0, 0, 1], 0).into());
    let (gateway, address) = (http2_backends::in_front_of(&odd.url()), odd.address());
    restarted_again_and_again(odd, start, address, gateway.address(), &ledger).await;
}

/// Drives calls while their server is dropped and started anew at the same address, and settles them.
async fn restarted_again_and_again<S>(
    odd: S,
    start: impl Fn(SocketAddr) -> S,
    address: SocketAddr,
    gateway: SocketAddr,
    ledger: &Ledger,
) {
    let over = Arc::new(AtomicBool::new(false));
    let driven = {
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            let outcomes = drive(gateway).await;
            over.store(true, Ordering::Relaxed);
            outcomes
        })
    };
    let mut restarts = 0;
    let mut odd = Some(odd);
    while !over.load(Ordering::Relaxed) {
        let before = ledger.after("ran").len();
        eventually("some calls", || over.load(Ordering::Relaxed) || ledger.after("ran").len() > before + 100).await;
        drop(odd.take());
        odd = Some(start(address));
        restarts += 1;
    }
    settle(&driven.await.expect("the clients"), ledger);
    assert!(restarts > 5, "{restarts}");
}

/// Executes a call, or not, and answers it, or not, as its id has it: four of so many go wrong.
fn breaking_off(request: &Request, ledger: &Ledger, cycle: usize, framed: impl Fn(&str) -> Vec<u8>) -> Script {
    let id = request.argument();
    let turn = id.rsplit('-').next().and_then(|turn| turn.parse::<usize>().ok()).unwrap_or_default();
    if turn % cycle == 7 {
        return vec![Step::Close];
    }
    ledger.note(format_args!("ran {id}"));
    let answer = framed(&text_body(&request.id(), id));
    match turn % cycle {
        11 => vec![Step::Close],
        13 => vec![Step::Write(answer[..answer.len() / 2].to_vec()), Step::Close],
        17 => vec![Step::Write(answer), Step::Close],
        pause => vec![Step::Pause(Duration::from_millis(pause as u64 % 3)), Step::Write(answer)],
    }
}
