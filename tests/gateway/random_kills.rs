//! Processes behind the gateway that are killed and started again at random while calls go on: each call has one answer or
//! one error that says what is known, and what may not be executed twice is not, by the processes' own account.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use only1mcp::Gateway;
use rustix::process::Signal;

use crate::support::ledger::{Directory, Ledger};
use crate::support::role::{self, Role};
use crate::support::scripted::{Outcome, WithChildren, assert_serves, call, is_alive, signal};
use crate::support::server::{Server, Step, json_answer, modern, nowhere, text_body};
use crate::traffic::Traffic;

/// How many calls are made, and what decides who is killed when, unless these variables say it.
const CALLS: (&str, u64) = ("ONLY1MCP_RANDOM_KILLS_CALLS", 3000);
const SEED: (&str, u64) = ("ONLY1MCP_RANDOM_KILLS_SEED", 11);
const CLIENTS: u64 = 8;
/// Where an endpoint listens, and writes down what it executes.
const ADDRESS: &str = "ENDPOINT_ADDRESS";
const LEDGER: &str = "ENDPOINT_LEDGER";

fn setting((variable, usual): (&str, u64)) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number"))
}

/// Numbers that look like chance, and are the same for the same seed (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What clients were told, by the text of the call, which begins with the tool.
type Told = BTreeMap<String, Outcome>;

/// Clients that make calls, of one tool after the other, until so many were sent to somebody.
struct Drive {
    made: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    clients: tokio::task::JoinSet<Told>,
    /// Of a client that is at its end.
    told: Told,
}

// === impl Drive ===

impl Drive {
    fn start(gateway: SocketAddr, tools: &'static [&'static str]) -> Self {
        let [made, answered] = [(); 2].map(|()| Arc::<AtomicUsize>::default());
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let (made, answered) = (Arc::clone(&made), Arc::clone(&answered));
            clients.spawn(async move {
                let (mut told, mut sent) = (Told::new(), 0);
                for (number, tool) in tools.iter().cycle().enumerate() {
                    if sent == setting(CALLS) / CLIENTS {
                        break;
                    }
                    let own = format!("{tool} {client}-{number}");
                    let outcome = call(gateway, tool, &own).await;
                    if matches!(outcome, Outcome::Failed(_, false)) {
                        // Nobody is there: not to ask thousands of times meanwhile.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    } else {
                        sent += 1;
                    }
                    answered.fetch_add(usize::from(matches!(outcome, Outcome::Text(_))), Ordering::Relaxed);
                    made.fetch_add(1, Ordering::Relaxed);
                    told.insert(own, outcome);
                }
                told
            });
        }
        Self { made, answered, clients, told: Told::new() }
    }

    /// Waits until so many more are counted; `false` once a client is at its end.
    async fn goes_on(&mut self, count: impl Fn(&Self) -> &AtomicUsize, more: u64) -> bool {
        let goal = count(self).load(Ordering::Relaxed) + usize::try_from(more).expect("a few");
        while count(self).load(Ordering::Relaxed) < goal {
            match self.clients.try_join_next() {
                Some(told) => {
                    self.told.extend(told.expect("a client"));
                    return false;
                }
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        true
    }

    async fn end(self) -> Told {
        self.clients.join_all().await.into_iter().flatten().chain(self.told).collect()
    }
}

/// Holds what clients were told against what was executed. Tools whose name ends so may be executed again.
fn settle(told: &Told, ledger: &Ledger, repeatable: &str) {
    let mut executed: BTreeMap<String, usize> = BTreeMap::new();
    for own in ledger.after("ran") {
        *executed.entry(own).or_default() += 1;
    }
    let seed = setting(SEED);
    let (mut answered, mut unknown) = (0, 0);
    for (own, outcome) in told {
        let count = executed.get(own).copied().unwrap_or_default();
        let again = own.split(' ').next().is_some_and(|tool| tool.ends_with(repeatable));
        match outcome {
            Outcome::Text(text) => {
                assert_eq!(text, own, "seed {seed}");
                assert!(count == 1 || again && count > 1, "seed {seed}, {own}: answered, and executed {count} times");
                answered += 1;
            }
            Outcome::Failed(kind, false) => {
                assert_eq!(count, 0, "seed {seed}, {own}: {kind}, and told that nothing was sent");
            }
            Outcome::Failed(kind, true) => {
                assert!(count <= 1 || again, "seed {seed}, {own}: {kind}, and executed {count} times");
                unknown += 1;
            }
            other => unreachable!("seed {seed}, {own}: {other:?}"),
        }
    }
    let stray = executed.keys().find(|own| !told.contains_key(*own));
    assert_eq!(stray, None, "seed {seed}: executed, and nobody asked for it");
    // Else nothing was tried.
    assert!(answered > setting(CALLS) / 2 && unknown > 0, "seed {seed}: {answered} answered, {unknown} unknown");
}

#[test]
#[ignore = "a role of this binary: another test starts it"]
fn endpoint() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let ledger = Ledger::at(std::env::var_os(LEDGER).expect(LEDGER).into());
    let calls = modern(move |request| {
        ledger.note(format_args!("ran {}", request.argument()));
        let answer = json_answer(200, &text_body(&request.id(), request.argument()));
        // The window that matters: executed and not answered.
        vec![Step::Pause(Duration::from_millis(1)), answer]
    });
    let server = Server::start_at(address.parse().expect("an address"), None, calls);
    role::play(server.address());
}

/// Starts an endpoint, without holding up those that serve.
async fn start(address: SocketAddr, ledger: &Ledger) -> Role {
    let path = ledger.path().to_owned();
    let start = move || {
        Role::start("random_kills::endpoint", |command| command.env(ADDRESS, address.to_string()).env(LEDGER, path))
    };
    tokio::task::spawn_blocking(start).await.expect("it starts")
}

#[tokio::test]
async fn endpoints_that_are_killed_at_random_execute_no_call_twice() {
    let directory = Directory::new();
    let ledger = Ledger::at(directory.path("ledger"));
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.push(Some(start(([127, 0, 0, 1], 0).into(), &ledger).await));
    }
    let addresses: Vec<_> = endpoints.iter().flatten().map(|endpoint| endpoint.address).collect();
    let mut builder = Gateway::<Traffic>::builder().workers(2);
    for (name, address) in ["A_URL", "B_URL", "C_URL"].into_iter().zip(&addresses) {
        builder = builder.reference(name, format!("http://{address}/mcp"));
    }
    let down = nowhere();
    for name in ["P_URL", "Q_URL", "R_URL"] {
        builder = builder.reference(name, &down);
    }
    let gateway = builder.start().expect("the gateway starts");
    let mut drive = Drive::start(gateway.address(), &["again__write", "again__read", "least__write", "turns__write"]);
    let (mut chance, mut kills) = (Chance(setting(SEED)), 0);
    while drive.goes_on(|drive| &drive.made, 10 + chance.below(100)).await {
        let chosen = usize::try_from(chance.below(3)).expect("one of three");
        match endpoints.iter().position(Option::is_none) {
            // At times all of them are gone.
            Some(gone) if chance.below(3) > 0 => endpoints[gone] = Some(start(addresses[gone], &ledger).await),
            _ => kills += usize::from(endpoints[chosen].take().is_some()),
        }
    }
    settle(&drive.end().await, &ledger, "read");
    assert!(kills >= 5, "{kills} were killed");
}

#[tokio::test]
async fn a_child_that_is_killed_at_random_executes_no_call_twice() {
    let rig = WithChildren::start("plain");
    assert_serves(rig.address(), "odd").await;
    let mut drive = Drive::start(rig.address(), &["odd__once"]);
    let (mut chance, mut kills, part) = (Chance(setting(SEED)), 0, setting(CALLS) / 6);
    // Not as often as endpoints: one that does not last is started again later each time.
    while drive.goes_on(|drive| &drive.answered, part + chance.below(part)).await {
        // It may not have been started again yet.
        if let Some(child) = rig.ledger.spawned().last().copied().filter(|child| is_alive(*child)) {
            signal(child, Signal::KILL);
            kills += 1;
        }
    }
    settle(&drive.end().await, &rig.ledger, "never");
    assert!(kills >= 3, "{kills} were killed");
}
