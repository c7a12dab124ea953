//! `only1mcp status`, run against gateways that run and against others.

use std::net::SocketAddr;
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::command_line::Started;
use crate::support::client::{Client, Request, within};
use crate::support::program::run;
use crate::support::scripted::signal;
use crate::support::server::{Server, Step, answer};

fn status(address: SocketAddr, more: &[&str]) -> crate::support::program::Ran {
    run(&[&["status", "--admin", &address.to_string()], more].concat())
}

fn status_with(variable: (&str, &str), arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
    let command = command.arg("status").args(arguments).env(variable.0, variable.1);
    command.output().expect("the binary starts")
}

/// A started gateway whose first child is in this generation, and its process.
async fn started(gateway: &mut Started, admin: Option<SocketAddr>, generation: u64) -> (SocketAddr, u32) {
    let admin = admin.unwrap_or_else(|| gateway.admin_address());
    let pid = within("the child is ready", async {
        loop {
            let path = "GET /api/v1/admin/servers/math HTTP/1.1";
            let child = Client::ask(admin, &Request::bare(path)).await.json()["children"][0].take();
            if child["state"] == "ready" && child["generation"] == generation {
                break child["pid"].as_u64();
            }
        }
    })
    .await;
    (admin, pid.and_then(|pid| pid.try_into().ok()).expect("a process"))
}

#[tokio::test]
async fn a_gateway_that_runs_is_shown_for_people_and_for_programs() {
    let mut gateway = Started::with(&["--port", "0", "--admin-port", "0"]);
    let (admin, pid) = started(&mut gateway, None, 1).await;
    let shown = status(admin, &[]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""), "{}", shown.stdout);
    let has =
        |line: &str| shown.stdout.lines().any(|known| known.split_whitespace().collect::<Vec<_>>().join(" ") == line);
    for line in [&format!("admin http://{admin}"), "math stdio up 6 0 0 0 -"] {
        assert!(has(line), "{line} in\n{}", shown.stdout);
    }
    assert!(shown.stdout.contains(" · ready · up ") && !shown.stdout.contains("\nchild "), "{}", shown.stdout);

    let json = status(admin, &["--output", "json"]);
    let told: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((json.code, &told["running"], &told["ready"]), (Some(0), &json!(true), &json!(true)));
    assert_eq!((&told["system"]["topology"]["name"], &told["admin"]), (&json!("default"), &json!(admin.to_string())));
    assert_eq!((&told["servers"][0]["name"], &told["reasons"]), (&json!("math"), &json!([])));
    assert_eq!(status(admin, &["-o", "name"]).stdout, "math\ndata\nadmin\n");
    let by_variable = status_with(("ONLY1MCP_ADMIN", &format!("http://{admin}/")), &[]);
    assert_eq!(by_variable.status.code(), Some(0), "{by_variable:?}");

    signal(pid, Signal::KILL);
    started(&mut gateway, Some(admin), 2).await;
    let shown = status(admin, &[]).stdout;
    assert!(shown.lines().any(|line| line.starts_with("child math/0: ready, start 2, ended before: ")), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("math ") && line.contains(" 1  ")), "{shown}");
}

#[test]
fn where_no_gateway_answers_the_exit_code_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let nobody = status(address, &[]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (Some(5), ""));
    assert!(nobody.stderr.starts_with(&format!("error: no gateway answers at {address}: ")), "{}", nobody.stderr);
    let json = status(address, &["-o", "json"]);
    let told: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((json.code, &told["running"], &told["admin"]), (Some(5), &json!(false), &json!(address.to_string())));
    let unknown = run(&["status"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("give `--admin HOST:PORT` or set `ONLY1MCP_ADMIN`"), "{}", unknown.stderr);
}

#[test]
fn what_is_no_gateway_is_not_taken_for_one() {
    for body in ["<html>", "{}", "[]"] {
        let other = Server::start(move |_| vec![answer(200, "", body), Step::Close]);
        let shown = status(other.address(), &[]);
        assert_eq!(shown.code, Some(1), "{body}: {shown:?}");
        assert!(shown.stderr.contains("is no gateway"), "{body}: {}", shown.stderr);
    }
}

#[test]
fn the_token_is_shown_and_a_refusal_is_told() {
    let guard = Server::start(|request| {
        let known = request.field("authorization") == Some("Bearer a-long-token");
        let kind = if known { "internal" } else { "unauthorized" };
        let body = json!({ "error": { "kind": kind, "message": format!("it is {kind}") } }).to_string();
        vec![answer(if known { 500 } else { 401 }, "", &body), Step::Close]
    });
    let address = guard.address().to_string();
    let refused = run(&["status", "--admin", &address]);
    assert_eq!(refused.code, Some(1));
    for part in ["refuses with 401: it is unauthorized", "`--token env:NAME`"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    let shown = status_with(("OPS_TOKEN", "a-long-token"), &["--admin", &address, "--token", "env:OPS_TOKEN"]);
    let stderr = String::from_utf8_lossy(&shown.stderr);
    assert!(stderr.contains("refuses with 500: it is internal"), "{stderr}");
    let unset = run(&["status", "--admin", &address, "--token", "env:OPS_TOKEN_THAT_IS_NOT_SET"]);
    assert!(unset.code == Some(1) && unset.stderr.contains("token does not resolve"), "{unset:?}");
    assert_eq!(run(&["status", "--admin", &address, "--token", "a-long-token"]).code, Some(2));
}
