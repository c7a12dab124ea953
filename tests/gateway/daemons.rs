//! Processes that a server started and that left it, its process group and its session: they end with it all the same.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use only1mcp::upstream::State;
use rustix::process::Signal;

use crate::last_words::message;
use crate::life::Tended;
use crate::sandbox::Confined;
use crate::support::ledger::{Directory, Ledger};
use crate::support::scripted::{
    Outcome, WithChildren, assert_ended, assert_serves, call, descendants_of, eventually, is_alive, parent_of, signal,
    state,
};

/// Where the gateway that is killed writes its family down.
const FAMILY: &str = "GATEWAY_FAMILY";

/// A daemon of a backend's child, which is alive and has left its parent.
async fn daemon(rig: &WithChildren, backend: &str) -> u32 {
    let pid = daemon_of(rig, backend).await;
    assert!(is_alive(pid));
    pid
}

/// The same, whatever became of it since.
async fn daemon_of(rig: &WithChildren, backend: &str) -> u32 {
    let Outcome::Text(pid) = call(rig.address(), &format!("{backend}__daemon"), "x").await else {
        unreachable!("its pid")
    };
    pid.parse().expect("a process id")
}

/// The child of `odd`, and the keeper between it and the gateway.
fn kept(rig: &WithChildren) -> (u32, u32) {
    let server = rig.vitals("odd").pid.expect("it runs");
    assert_eq!(rig.ledger.spawned().last(), Some(&server), "administrators see the server");
    let keeper = parent_of(server).expect("its parent");
    assert_eq!(parent_of(keeper), Some(std::process::id()));
    (server, keeper)
}

async fn kept_once_up(rig: &WithChildren) -> (u32, u32) {
    assert_serves(rig.address(), "odd").await;
    kept(rig)
}

#[tokio::test]
async fn a_daemon_ends_when_the_gateway_stops() {
    let rig = WithChildren::unhurried("plain");
    let (mut daemons, (_, keeper)) = (Vec::new(), kept_once_up(&rig).await);
    for _ in 0..50 {
        daemons.push(daemon(&rig, "odd").await);
    }
    assert!(
        daemons.iter().all(|daemon| parent_of(*daemon) == Some(keeper)),
        "whoever loses its parent is the keeper's"
    );
    let _directory = rig.stop();
    assert!(!daemons.iter().any(|daemon| is_alive(*daemon)), "the gateway waits for their end");
}

#[tokio::test]
async fn a_daemon_ends_when_its_server_breaks_off() {
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    let one = daemon(&rig, "odd").await;
    let told = message(&rig, "odd__exits").await;
    assert_ended(told.strip_prefix("backend `odd`: ").expect(&told), "exit status: 7");
    eventually("its end", || !is_alive(one)).await;
    assert_serves(rig.address(), "odd").await;
    let other = daemon(&rig, "odd").await;
    signal(*rig.ledger.spawned().last().expect("a child"), Signal::KILL);
    eventually("its end", || !is_alive(other)).await;
    assert_serves(rig.address(), "odd").await;
    let last_end = rig.vitals("odd").last_end.clone();
    assert_ended(&last_end.expect("it was killed"), "signal: 9 (SIGKILL)");
}

#[tokio::test]
async fn a_daemon_ends_with_a_server_that_is_idle() {
    let rig = WithChildren::start_as::<Tended>("plain", |builder| builder);
    // It may be at rest by the time that its answer is read.
    let daemon = daemon_of(&rig, "odd").await;
    eventually("its rest", || rig.vitals("odd").state == State::Asleep).await;
    eventually("its end", || !is_alive(daemon)).await;
    assert_eq!(rig.vitals("odd").last_end, None, "it did not break off");
}

#[tokio::test]
async fn a_daemon_ends_in_a_sandbox_of_any_kind_and_goes_on_without_one() {
    let (read, write) = (Directory::new(), Directory::new());
    let text = |directory: &Directory| directory.path("").display().to_string();
    let rig = WithChildren::start_as::<Confined>("plain", |builder| {
        builder.reference("READ_DIRECTORY", text(&read)).reference("WRITE_DIRECTORY", text(&write))
    });
    let confined = [daemon(&rig, "usual").await, daemon(&rig, "strict").await, daemon(&rig, "bounded").await];
    let free = daemon(&rig, "free").await;
    let _directory = rig.stop();
    assert!(!confined.into_iter().any(is_alive));
    assert!(is_alive(free));
    signal(free, Signal::KILL);
}

#[tokio::test]
async fn a_daemon_that_never_stays_the_same_process_ends() {
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    let own = format!("hopper-of-{}", std::process::id());
    let Outcome::Text(first) = call(rig.address(), "odd__hopper", &own).await else { unreachable!("its pid") };
    let processes = || {
        let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
        let lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
        lines.filter(|line| line.contains(&own)).count()
    };
    let first = first.parse().expect("a process id");
    eventually("another process", || !is_alive(first) && processes() > 0).await;
    let _directory = rig.stop();
    for _ in 0..20 {
        assert_eq!(processes(), 0);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_daemon_ends_with_a_gateway_that_is_killed() {
    let directory = Directory::new();
    let family = Ledger::at(directory.path("family"));
    let mut gateway = Command::new(std::env::current_exe().expect("this binary has a path"));
    gateway.args(["daemons::gateway_to_be_killed", "--exact", "--ignored"]).env(FAMILY, family.path());
    let mut gateway = gateway.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("this binary starts");
    eventually("a daemon", || !family.spawned().is_empty()).await;
    let descendants = descendants_of(gateway.id());
    // Two children, as many keepers, and the daemon.
    assert!(descendants.len() >= 5 && descendants.contains(&family.spawned()[0]), "{descendants:?}");
    signal(gateway.id(), Signal::KILL);
    assert_eq!(gateway.wait().expect("it ended").signal(), Some(Signal::KILL.as_raw()));
    eventually("the end of all", || !descendants.iter().any(|pid| is_alive(*pid))).await;
}

#[tokio::test]
#[ignore = "a role of this binary: another test starts it and kills it"]
async fn gateway_to_be_killed() {
    let Some(family) = std::env::var_os(FAMILY) else { return };
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    assert_serves(rig.address(), "good").await;
    Ledger::at(family.into()).note(format_args!("spawn {}", daemon(&rig, "odd").await));
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_keeper_that_is_killed_takes_its_server_along_and_both_are_replaced() {
    let rig = WithChildren::unhurried("plain");
    let (server, keeper) = kept_once_up(&rig).await;
    let Outcome::Text(grandchild) = call(rig.address(), "odd__grandchild", "x").await else { unreachable!("its pid") };
    let address = rig.address();
    let pending = tokio::spawn(async move { call(address, "odd__never", "x").await });
    let reached = || rig.ledger.after("read").iter().any(|line| line.contains("never"));
    eventually("the call at the child", reached).await;
    signal(keeper, Signal::KILL);
    assert_eq!(pending.await.expect("a call"), Outcome::failed("outcome_unknown", true));
    let grandchild = grandchild.parse().expect("a process id");
    eventually("the end of the group", || !is_alive(server) && !is_alive(grandchild)).await;
    let (other, _) = kept_once_up(&rig).await;
    assert_ne!(other, server);
}

#[tokio::test]
async fn a_keeper_that_stands_still_holds_up_nobody_for_long() {
    let rig = WithChildren::start("plain");
    let (server, keeper) = kept_once_up(&rig).await;
    signal(keeper, Signal::STOP);
    eventually("its standstill", || state(keeper) == Some('T')).await;
    let outcome = call(rig.address(), "odd__exits", "x").await;
    assert!(matches!(outcome, Outcome::Failed(_, true)), "{outcome:?}");
    eventually("the end of both", || !is_alive(server) && !is_alive(keeper)).await;
    assert_serves(rig.address(), "odd").await;
}

#[tokio::test]
async fn other_signals_are_nothing_to_a_keeper() {
    let rig = WithChildren::unhurried("plain");
    let (server, keeper) = kept_once_up(&rig).await;
    for other in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::PIPE, Signal::ALARM] {
        signal(keeper, other);
    }
    assert_serves(rig.address(), "odd").await;
    assert_eq!(kept(&rig), (server, keeper));
}

#[tokio::test]
async fn a_keeper_keeps_nothing_of_the_gateway() {
    // As much as a gateway may well have; that of a keeper is what the program came with, and not even its own.
    let ballast = vec![1_u8; 64 << 20];
    let rig = WithChildren::unhurried("plain");
    let (_, keeper) = kept_once_up(&rig).await;
    let of = |name: &str| std::fs::read_to_string(format!("/proc/{keeper}/{name}")).expect("/proc");
    let resident = || -> usize {
        let status = of("status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    eventually("what little it needs", || resident() < 16 << 10).await;
    assert_eq!((of("comm").trim(), ballast[ballast.len() / 2]), ("only1mcp-keeper", 1));
    // Others than root see no more of it.
    if rustix::process::geteuid().is_root() {
        let open = std::fs::read_dir(format!("/proc/{keeper}/fd")).expect("/proc").count();
        assert_eq!((open, &*of("cmdline"), &*of("environ")), (1, "", ""));
    }
}
