//! What is told of a backend that cannot be used: what its child wrote to stderr, and where it was looked for.

use only1mcp::upstream::State;
use serde_json::Value;

use crate::support::client::{Client, Request};
use crate::support::ledger::Directory;
use crate::support::program::run;
use crate::support::scripted::{Children, WithChildren, assert_ended, assert_serves, eventually, unhurried};
use crate::support::server::{Server, answer};

/// The message of the error that a call comes to.
pub(crate) async fn message(rig: &WithChildren, tool: &str) -> String {
    let answer = Client::ask(rig.address(), &Request::call(tool, "{}")).await;
    answer.json()["error"]["message"].as_str().unwrap_or_else(|| unreachable!("an error: {}", answer.text())).to_owned()
}

/// The end of what a child that complains has said: masked, escaped, cut, and no blank lines.
fn complaint(text: &str, end: &str) {
    let (how, tail) = text.split_once("; its stderr ended with: ").expect(text);
    assert_ended(how.strip_prefix("backend `odd`: ").expect(how), &format!("exit status: {end}"));
    let lines: Vec<&str> = tail.split(" | ").collect();
    let [.., last_but_two, second, last] = lines[..] else { unreachable!("three lines: {tail}") };
    assert_eq!(last_but_two, "grievance 99");
    assert_eq!(second, "\\u{1b}[31mstarted as `***`");
    assert!(last.starts_with("xxx") && last.len() < 1000, "{last}");
    assert!(tail.len() < 1500 && !tail.contains("grievance 1 "), "{tail}");
}

#[tokio::test]
async fn a_call_is_told_why_a_child_did_not_come_up_or_ended() {
    let rig = WithChildren::unhurried("complains");
    complaint(&message(&rig, "odd__echo").await, "4");
    let rig = WithChildren::unhurried("plain");
    assert_serves(rig.address(), "odd").await;
    // Its `CHILD_START` is hidden also where the gateway could not have put it.
    let text = message(&rig, "odd__complains").await;
    complaint(&text, "7");
    // The one after it has nothing to complain of.
    assert_serves(rig.address(), "odd").await;
    let ended = message(&rig, "odd__exits").await;
    assert_ended(ended.strip_prefix("backend `odd`: ").expect(&ended), "exit status: 7");
}

#[tokio::test]
async fn administrators_see_how_each_child_fares() {
    let rig = WithChildren::start_as::<Children>("plain", |builder| builder.admin_address("127.0.0.1:0"));
    unhurried(&rig.gateway);
    assert_serves(rig.address(), "odd").await;
    assert_serves(rig.address(), "good").await;
    message(&rig, "odd__complains").await;
    assert_serves(rig.address(), "odd").await;
    let admin = rig.gateway.admin_address().expect("an admin listener");
    let request = Request::bare("GET /api/v1/admin/system HTTP/1.1");
    let system = Client::ask(admin, &request).await.json();
    let child = |name: &str| {
        let children = system["children"].as_array().expect("children");
        children.iter().find(|child| child["backend"] == name).expect(name).clone()
    };
    let (odd, good) = (child("odd"), child("good"));
    assert_eq!((&odd["state"], &odd["generation"]), (&"ready".into(), &2.into()), "{odd}");
    assert_eq!(odd["pid"].as_u64(), rig.ledger.spawned().last().map(|pid| u64::from(*pid)));
    complaint(&format!("backend `odd`: {}", odd["last_end"].as_str().expect("how it ended")), "7");
    assert_eq!((&good["generation"], &good["last_end"]), (&1.into(), &Value::Null), "{good}");
}

#[tokio::test]
async fn the_last_lines_of_stderr_stay_with_a_child_that_is_down() {
    let rig = WithChildren::start("complains");
    let mut vitals = rig.vitals("odd");
    let is_down = || {
        vitals = rig.vitals("odd");
        vitals.state == State::Down
    };
    eventually("a pause", is_down).await;
    assert_eq!((vitals.pid, vitals.stderr.len()), (None, only1mcp::limits::STDERR_LINES_KEPT));
    assert!(vitals.stderr.iter().all(|line| !line.contains("complains")), "{:?}", vitals.stderr);
}

#[test]
fn a_lock_that_is_not_written_says_why_of_each_backend() {
    let directory = Directory::new();
    let path = directory.path("some.yaml");
    let server = Server::start(|_| vec![answer(404, "", "no such path")]);
    let url = server.url();
    let text = format!(
        "name: some
backends:
  npm: {{ transport: {{ stdio: {{ command: sh, args: [-c, \"echo npm error 404 >&2; exit 1\"] }} }} }}
  unset: {{ transport: {{ stdio: {{ command: sh, env: {{ TOKEN: env:ONLY1MCP_TEST_UNSET }} }} }} }}
  wrong: {{ transport: {{ streamable_http: {{}} }}, endpoints: [{{ url: \"{url}\" }}] }}
"
    );
    std::fs::write(&path, text).expect("a topology");
    let said = run(&["topology", "lock", &path.display().to_string()]).stderr;
    for (backend, why) in [
        ("npm", "it ended with exit status: 1; its stderr ended with: npm error 404"),
        ("unset", "environment variable `ONLY1MCP_TEST_UNSET` is not set"),
        ("wrong", &format!("`{url}` answered with status 404")),
    ] {
        let line = format!("error: backend `{backend}` could not be reached: {why}; it has no section\n");
        assert!(said.contains(&line), "{line}{said}");
    }
}
