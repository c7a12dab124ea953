//! Ten servers, three of which do their worst: calls of the other seven all succeed, and the gateway, a process of its own
//! here, is left with nothing of what went wrong. How long calls take meanwhile is for `benches/isolation`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use only1mcp::Gateway;
use socket2::SockRef;
use tokio::task::JoinSet;

use crate::support::role::{self, Role};
use crate::support::scripted::{Outcome, call, eventually};
use crate::support::server::{Server, Step, json_answer, modern, text_body};
use crate::support::serving::Serving;

only1mcp::topology!(Isolated = "tests/gateway/topologies/isolation.yaml");

const GOOD: [&str; 7] = ["good-0", "good-1", "good-2", "good-3", "good-4", "good-5", "good-6"];
/// Clients of each server.
const CLIENTS: usize = 4;
/// Descriptors by which the gateway may differ: of connections to the seven, how many are kept for the next call is chance.
const KEPT: usize = 2 * CLIENTS * GOOD.len();
/// What its memory may grow by while the same happens once more.
const GROWTH_KIB_MAX: usize = 8 << 10;

#[test]
#[ignore = "a role of this binary: another test starts it"]
fn gateway() {
    let gateway = Gateway::<Isolated>::builder().workers(2).start().expect("the gateway starts");
    role::play(gateway.address());
}

/// The servers, and the gateway before them.
struct Rig {
    gateway: Role,
    _servers: [Server; 2],
    _faulty: [Serving; 2],
}

impl Rig {
    fn start() -> Self {
        let answering = |pause: u64| {
            Server::start(modern(move |request| {
                let answer = json_answer(200, &text_body(&request.id(), request.argument()));
                vec![Step::Pause(Duration::from_millis(pause)), answer]
            }))
        };
        let hole = Serving::listen(([127, 0, 0, 1], 0).into(), async |listener| {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        let reset = Serving::listen(([127, 0, 0, 1], 0).into(), async |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                // Closed with nothing to wait for: the other side is reset.
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
            }
        });
        let (good, slow) = (answering(0), answering(1000));
        let url = |serving: &Serving| format!("http://{}/mcp", serving.address);
        let gateway = Role::start("isolation::gateway", |command| {
            let command = command.env("GOOD_URL", good.url()).env("SLOW_URL", slow.url());
            command.env("HOLE_URL", url(&hole)).env("RESET_URL", url(&reset))
        });
        Self { gateway, _servers: [good, slow], _faulty: [hole, reset] }
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.gateway.pid())).expect("/proc").count()
    }

    fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.gateway.pid())).expect("/proc").count()
    }

    fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.gateway.pid())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Calls the seven until it is over, from several clients each.
    fn call_seven(&self, over: &Arc<AtomicBool>) -> JoinSet<usize> {
        let mut clients = JoinSet::new();
        for (name, client) in GOOD.into_iter().flat_map(|name| (0..CLIENTS).map(move |client| (name, client))) {
            let (address, over) = (self.gateway.address, Arc::clone(over));
            clients.spawn(async move {
                for number in 0.. {
                    let own = format!("{name} {client} {number}");
                    assert_eq!(call(address, &format!("{name}__echo"), &own).await, Outcome::Text(own));
                    if number >= 10 && over.load(Ordering::Relaxed) {
                        return number;
                    }
                }
                0
            });
        }
        clients
    }

    /// Calls the three so often that whatever is kept of a call would be seen.
    async fn call_three(&self) {
        let mut clients = JoinSet::new();
        for client in 0..2 * CLIENTS {
            clients.spawn(press(self.gateway.address, "hole", 10, client));
            clients.spawn(press(self.gateway.address, "reset", 40, client));
            clients.spawn(press(self.gateway.address, "slow", 2, client));
        }
        clients.join_all().await;
    }
}

/// Calls one of the three; what that comes to is known.
async fn press(gateway: SocketAddr, backend: &'static str, calls: usize, client: usize) {
    for number in 0..calls {
        let own = format!("{client} {number}");
        let outcome = call(gateway, &format!("{backend}__echo"), &own).await;
        match (backend, &outcome) {
            ("slow", Outcome::Text(text)) => assert_eq!(*text, own),
            ("hole" | "reset", Outcome::Failed(..)) => {}
            _ => unreachable!("{backend}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn servers_at_their_worst_cost_the_others_no_call_and_leave_nothing_behind() {
    let rig = Rig::start();
    let mut before = None;
    for _ in 0..3 {
        let over = Arc::new(AtomicBool::new(false));
        let seven = rig.call_seven(&over);
        rig.call_three().await;
        over.store(true, Ordering::Relaxed);
        assert_eq!(seven.join_all().await.len(), GOOD.len() * CLIENTS, "every call of the seven went well");
        let Some((descriptors, threads, resident)) = before else {
            before = Some((rig.descriptors(), rig.threads(), rig.resident_kib()));
            continue;
        };
        eventually("as many descriptors as before", || rig.descriptors() <= descriptors + KEPT).await;
        assert_eq!(rig.threads(), threads);
        let grown = rig.resident_kib().saturating_sub(resident);
        assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB more than after the same before");
    }
}
