//! Backends that an overlay adds and the gateway starts, where whoever started the gateway lets it: children like those of
//! compiled backends, until the overlay has them no more. The compiled topology has none.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use only1mcp::{Builder, Gateway, OverlayError, Running};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::additions::{lists, refused};
use crate::admin_overlay::Operated;
use crate::legacy;
use crate::per_session::Session;
use crate::stdio_client;
use crate::support::client::{Client, Request, within};
use crate::support::gateways::{self, Recorded};
use crate::support::ledger::{Directory, Ledger};
use crate::support::log;
use crate::support::program::run;
use crate::support::recorder::Recorder;
use crate::support::scripted::{
    Outcome, assert_ended, assert_serves, call, call_with, descendants_of, eventually, signal, state,
};

/// A gateway that starts what its overlay adds.
struct Rig {
    gateway: Running,
    ledger: Ledger,
    directory: Directory,
    _upstream: Recorder,
}

// === impl Rig ===

impl Rig {
    fn start() -> Self {
        Self::start_with(None)
    }

    /// One that begins with this overlay, in a file.
    fn start_with(overlay: Option<&str>) -> Self {
        let (directory, upstream) = (Directory::new(), Recorder::start());
        let ledger = Ledger::at(directory.path("ledger"));
        let program = std::env::current_exe().expect("this binary has a path");
        let builder = Gateway::<Recorded>::builder().address("127.0.0.1:0").workers(2).program(program);
        let builder = builder.reference("ADMIN_URL", upstream.url()).reference("DATA_URL", upstream.url());
        let builder = builder.reference("CHILD_LEDGER", ledger.path()).overlay_commands();
        let file = directory.path("overlay.yaml");
        let builder = match overlay {
            Some(overlay) => {
                fs::write(&file, overlay).expect("a file");
                builder.overlay_file(file)
            }
            None => builder,
        };
        let gateway = builder.start().expect("the gateway starts");
        Self { gateway, ledger, directory, _upstream: upstream }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    fn apply(&self, overlay: &str) {
        self.gateway.overlay().apply(overlay).expect("it is taken");
    }

    /// The child that was started so many starts ago.
    fn spawned(&self, before: usize) -> u32 {
        let spawned = self.ledger.spawned();
        spawned[spawned.len() - 1 - before]
    }
}

/// A backend that is the scripted child, with more settings of its transport, and of itself.
fn backend(name: &str, transport: &str, more: &str) -> String {
    format!(
        "  {name}:\n    transport:\n      stdio:\n        command: self\n        \
         args: [scripted_child, --ignored, --nocapture, -q]\n        \
         env: {{ CHILD_START: plain, CHILD_LEDGER: env:CHILD_LEDGER }}\n{transport}{more}"
    )
}

fn adds(transport: &str, more: &str) -> String {
    format!("backends:\n{}", backend("extra", transport, more))
}

/// Once a process is gone, and nobody has to collect it any more.
async fn gone(pid: u32) {
    eventually("the end of the child", || state(pid).is_none()).await;
}

async fn pid(address: SocketAddr) -> u32 {
    match call_with(address, "extra__pid", &json!({ "ms": 0 })).await {
        Outcome::Text(pid) => pid.parse().expect("a process id"),
        outcome => unreachable!("{outcome:?}"),
    }
}

#[tokio::test]
async fn nothing_is_started_unless_whoever_starts_the_gateway_lets_it() {
    let upstream = Recorder::start();
    let gateway = gateways::recorded(&upstream);
    let overlay = adds("", "");
    let (message, labels) = refused(&gateway, &overlay);
    assert_eq!(message, "backend `extra` would be started");
    assert_eq!(labels, ["this gateway starts no command of an overlay"]);
    let Err(OverlayError::Refused { problems, .. }) = gateway.overlay().check(&overlay) else {
        unreachable!("it is refused")
    };
    assert_eq!(
        problems[0].help.as_deref(),
        Some(
            "start the gateway with `--overlay-commands` if whoever writes its overlay may run programs as its user; or compile the \
             backend"
        )
    );
    assert_eq!(gateway.children().count(), 0);
}

#[tokio::test]
async fn a_command_is_started_once_asked_and_served_and_ended_when_it_is_taken_out() {
    let rig = Rig::start();
    let before = lists(rig.address(), "/mcp").await;
    rig.apply(&adds("", ""));
    let tools = ["confinement", "echo", "grandchild", "late", "never", "pid"];
    assert_eq!(lists(rig.address(), "/mcp/extra").await[0], tools);
    let mut expected = before.clone();
    expected[0].extend(tools.map(|tool| format!("extra__{tool}")));
    expected[2].push("child://one".to_owned());
    assert_eq!(lists(rig.address(), "/mcp").await, expected);
    // From several connections: of either worker.
    for text in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(call(rig.address(), "extra__echo", text).await, Outcome::Text(text.to_owned()));
    }
    let child = pid(rig.address()).await;
    assert_eq!(rig.ledger.spawned(), [child], "the one that was asked serves");
    let Outcome::Text(grandchild) = call(rig.address(), "extra__grandchild", "x").await else { unreachable!("a pid") };
    // Its settings change, and it stays.
    rig.apply(&adds("", "    timeout: 7s\n    tools: { rename: { echo: say } }\n"));
    assert_eq!(call(rig.address(), "extra__say", "x").await, Outcome::Text("x".to_owned()));
    assert_eq!((pid(rig.address()).await, rig.ledger.spawned().len()), (child, 1));

    rig.apply("{}");
    assert_eq!(lists(rig.address(), "/mcp").await, before);
    gone(child).await;
    gone(grandchild.parse().expect("a process id")).await;
    assert_eq!(rig.gateway.children().count(), 0);
    assert_eq!(Client::ask(rig.address(), &Request::call("extra__echo", "{}")).await.code(), Some(-32602));
    // As another one.
    rig.apply(&adds("", ""));
    assert_serves(rig.address(), "extra").await;
    assert_eq!(rig.ledger.spawned().len(), 2);
}

#[tokio::test]
async fn an_overlay_that_is_there_at_the_start_has_its_commands_started_and_ended_with_the_gateway() {
    let rig = Rig::start_with(Some(&adds("", "")));
    let child = rig.spawned(0);
    assert_eq!(pid(rig.address()).await, child);
    let Rig { gateway, directory: _directory, .. } = rig;
    gateway.stop();
    assert_eq!(state(child), None, "it is gone and was collected");
}

#[tokio::test]
async fn a_child_that_nobody_has_called_ends_with_the_gateway() {
    let rig = Rig::start();
    rig.apply(&adds("", ""));
    let child = rig.spawned(0);
    let Rig { gateway, directory: _directory, .. } = rig;
    gateway.stop();
    assert_eq!(state(child), None, "it is gone and was collected");
}

#[tokio::test]
async fn a_child_that_is_killed_is_started_again() {
    let rig = Rig::start();
    rig.apply(&adds("", ""));
    let child = pid(rig.address()).await;
    signal(child, Signal::KILL);
    assert_serves(rig.address(), "extra").await;
    assert_ne!(pid(rig.address()).await, child);
    let vitals = rig.gateway.children().find(|own| own.backend() == "extra").expect("it is there").vitals();
    assert_eq!(vitals.generation, 2);
    assert_ended(vitals.last_end.as_deref().expect("it was killed"), "signal: 9 (SIGKILL)");
}

#[tokio::test]
async fn the_sandbox_of_an_added_command_is_the_one_that_is_written() {
    let rig = Rig::start();
    let account = async || match call_with(rig.address(), "extra__confinement", &json!({})).await {
        Outcome::Text(account) => serde_json::from_str::<Value>(&account).expect("an account"),
        outcome => unreachable!("{outcome:?}"),
    };
    for (sandbox, files, no_new_privs) in [("default", "1024", "1"), ("{ files: 77 }", "77", "1"), ("off", "", "0")] {
        rig.apply(&adds(&format!("        sandbox: {sandbox}\n"), ""));
        let account = account().await;
        assert_eq!(account["no_new_privs"], no_new_privs, "{sandbox}");
        assert!(files.is_empty() || account["limits"]["files"] == files, "{sandbox}: {account}");
    }
    let (other, before) = (rig.spawned(0), rig.spawned(1));
    gone(before).await;
    assert!(state(other).is_some());
}

#[tokio::test]
async fn a_command_that_is_not_there_is_added_without_tools_and_asked_again() {
    let log = log::kept();
    let rig = Rig::start();
    let before = lists(rig.address(), "/mcp").await;
    let program = rig.directory.path("late-comer");
    let overlay = adds("", "").replace("command: self", &format!("command: {}", program.display()));
    rig.apply(&overlay);
    assert_eq!(lists(rig.address(), "/mcp").await, before);
    let name = program.display().to_string();
    let said = log.lines_with("added backend does not say what it offers");
    let said = said.iter().find(|line| line.contains(&name)).expect("the log says why");
    assert!(said.contains("does not start: No such file or directory"), "{said}");
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", std::env::current_exe().expect("a path").display());
    let unfinished = rig.directory.path("unfinished");
    fs::write(&unfinished, script).expect("a file");
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755)).expect("a file of our own");
    fs::rename(&unfinished, &program).expect("a file");
    eventually("its start", || !rig.ledger.spawned().is_empty()).await;
    let address = rig.address();
    let answered = Outcome::Text("x".to_owned());
    within("its tools", async { while call(address, "extra__echo", "x").await != answered {} }).await;
    assert_eq!(rig.ledger.spawned().len(), 1);
}

#[tokio::test]
async fn what_does_not_come_to_be_in_force_leaves_no_child() {
    let rig = Rig::start();
    rig.gateway.overlay().check(&adds("", "")).expect("it would be taken");
    gone(rig.spawned(0)).await;
    // Both have a resource of one URI, which is known only once they were asked.
    let both = format!("backends:\n{}{}", backend("extra", "", ""), backend("other", "", ""));
    let refused = rig.gateway.overlay().apply(&both).expect_err("it is refused");
    assert!(matches!(&refused, OverlayError::Refused { problems, .. } if problems[0].message.contains("child://one")));
    assert_eq!(rig.ledger.spawned().len(), 3);
    gone(rig.spawned(0)).await;
    gone(rig.spawned(1)).await;
    // One that is in force stays through all of that.
    rig.apply(&adds("", ""));
    let child = pid(rig.address()).await;
    rig.gateway.overlay().apply(&both).expect_err("it is refused");
    gone(rig.spawned(0)).await;
    assert_eq!(pid(rig.address()).await, child);
}

#[tokio::test]
async fn a_command_that_takes_its_time_is_started_once_beside_what_others_change() {
    let directory = Directory::new();
    let ledger = Ledger::at(directory.path("ledger"));
    let program = std::env::current_exe().expect("this binary has a path");
    let settings =
        |builder: Builder<_>| builder.overlay_commands().program(program).reference("CHILD_LEDGER", ledger.path());
    let operated = Operated::start_with("{}\n", true, settings).await;
    let stdio = json!({
        "command": "self",
        "args": ["scripted_child", "--ignored", "--nocapture", "-q"],
        "env": { "CHILD_START": "waits", "CHILD_LEDGER": "env:CHILD_LEDGER" },
    });
    let body = json!({ "name": "extra", "transport": { "stdio": stdio } }).to_string();
    let meanwhile = async {
        eventually("the child that is asked", || ledger.spawned().len() == 1).await;
        let patched = operated.patch("odd", r#"{"timeout":"7s"}"#).await;
        assert_eq!((patched.status, &patched.json()["generation"]), (200, &json!(1)), "{}", patched.text());
        ledger.note(format_args!("go on"));
    };
    let (added, ()) = tokio::join!(operated.change("POST", "/servers", "/servers", &body), meanwhile);
    assert_eq!((added.status, &added.json()["generation"]), (200, &json!(2)), "{}", added.text());
    assert_eq!(ledger.spawned(), [pid(operated.gateway.address()).await], "the one that was asked serves");
}

#[tokio::test]
async fn a_call_under_way_at_a_command_that_is_taken_out_is_answered() {
    let rig = Rig::start();
    rig.apply(&adds("", ""));
    let (address, child) = (rig.address(), pid(rig.address()).await);
    let pending = tokio::spawn(async move { call_with(address, "extra__late", &json!({ "ms": 300 })).await });
    let reached = || rig.ledger.after("read").iter().any(|line| line.contains(r#""name":"late""#));
    eventually("the call at the child", reached).await;
    rig.apply("{}");
    assert_eq!(pending.await.expect("a call"), Outcome::Text("late".to_owned()));
    gone(child).await;
}

#[tokio::test]
async fn a_command_that_is_disabled_ends_and_comes_up_again_once_it_is_enabled() {
    let rig = Rig::start();
    rig.apply(&adds("", "    disabled: true\n"));
    assert!(rig.ledger.spawned().is_empty(), "what is disabled is not started");
    rig.apply(&adds("", ""));
    let child = rig.spawned(0);
    // Nobody has called it: no worker knows of it.
    rig.apply(&adds("", "    disabled: true\n"));
    gone(child).await;
    assert_eq!(call(rig.address(), "extra__echo", "x").await, Outcome::failed("upstream_unavailable", false));
    rig.apply(&adds("", "    drain: true\n"));
    eventually("another child", || rig.ledger.spawned().len() == 2).await;
    assert_eq!(call(rig.address(), "extra__echo", "x").await, Outcome::failed("upstream_unavailable", false));
    rig.apply(&adds("", ""));
    assert_serves(rig.address(), "extra").await;
    assert_eq!(rig.ledger.spawned().len(), 2);
}

#[tokio::test]
async fn several_children_run_behind_one_added_backend() {
    let rig = Rig::start();
    rig.apply(&adds("        instances: { pool: 3 }\n", ""));
    eventually("three children", || rig.ledger.spawned().len() == 3).await;
    assert_eq!(rig.gateway.children().filter(|child| child.backend() == "extra").count(), 3);
    assert_serves(rig.address(), "extra").await;
    let pool = rig.ledger.spawned();
    rig.apply(&adds("        instances: { per_session: 2 }\n", ""));
    for child in pool {
        gone(child).await;
    }
    let sessions = [Session::begin(rig.address()).await, Session::begin(rig.address()).await];
    let pids = [sessions[0].pid("extra").await, sessions[1].pid("extra").await];
    assert_ne!(pids[0], pids[1]);
    assert_eq!(sessions[0].pid("extra").await, pids[0]);
    let [first, _second] = sessions;
    first.end().await;
    gone(pids[0]).await;
    assert!(state(pids[1]).is_some());
    let third = legacy::session(rig.address()).await;
    let params = r#"{"name":"extra__pid","arguments":{"ms":0}}"#;
    let request = Request::legacy(&third, legacy::message("tools/call", params));
    assert!(matches!(Outcome::of(&Client::ask(rig.address(), &request).await), Outcome::Text(_)));
}

#[tokio::test]
async fn the_command_line_says_whether_an_overlay_may_add_commands() {
    let directory = Directory::new();
    let file = directory.path("overlay.yaml").display().to_string();
    let text = concat!(
        "backends: { more: { transport: { stdio: { command: self, args: [demo-server, math] } }, ",
        "resources: { uris: rewrite } } }\n"
    );
    fs::write(&file, text).expect("a file");
    for (arguments, code) in [
        (&["stdio", "--overlay", &file][..], 3),
        (&["validate", "default", "--overlay", &file], 3),
        (&["validate", "default", "--overlay", &file, "--overlay-commands"], 0),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert_eq!(ran.stderr.contains("start the gateway with `--overlay-commands`"), code != 0, "{ran:?}");
    }
    let mut client = stdio_client::Gateway::start(&["--overlay", &file, "--overlay-commands"]);
    let sum = client.ask(&stdio_client::call("1", "more__add", r#"{"a":20,"b":22}"#)).await;
    assert_eq!(stdio_client::text(&sum), "42", "{sum}");
    let children = descendants_of(client.process().expect("it runs"));
    assert!(children.len() >= 4, "three of the topology, one of the overlay, and their keepers");
    let (rest, code, log) = client.close().await;
    assert_eq!((rest, code), (vec![], Some(0)), "{log}");
    for child in children {
        gone(child).await;
    }
    let variable = |value: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_only1mcp"));
        let command = command.args(["stdio", "--overlay", &file]).env("ONLY1MCP_OVERLAY_COMMANDS", value);
        command.stdin(std::process::Stdio::null()).output().expect("the binary starts").status.code()
    };
    assert_eq!(["true", "1", "false", "0", "perhaps"].map(variable), [Some(0), Some(0), Some(3), Some(3), Some(2)]);
}
