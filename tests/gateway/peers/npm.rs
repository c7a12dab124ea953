//! Four reference servers from npm, children of the gateway as `topologies/npm.yaml` starts them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use only1mcp::catalog::{Topology as _, plan};
use only1mcp::{Gateway, Running};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::sse::hears_updates;
use super::{Peer, peers, skipped};
use crate::support::client::Request;

only1mcp::topology!(Npm = "topologies/npm.yaml");

/// How long four runtimes may take to start on a machine that does much else.
const START_PATIENCE: Duration = Duration::from_secs(180);

/// A harmless call of each server.
const CALLS: [(&str, &str); 4] = [
    ("memory__read_graph", "{}"),
    (
        "thinking__sequentialthinking",
        r#"{"thought":"a","nextThoughtNeeded":false,"thoughtNumber":1,"totalThoughts":1}"#,
    ),
    ("files__list_directory", r#"{"path":"/tmp"}"#),
    ("everything__echo", r#"{"message":"a"}"#),
];

/// Has npx fetch what the topology starts; says whether it could.
fn fetched() -> bool {
    let packages = Npm::SPEC.backends.iter().map(|backend| match &backend.transport {
        plan::Transport::Stdio(stdio) => &*stdio.args[1],
        _ => unreachable!("every server of this topology is a child"),
    });
    #[expect(clippy::needless_collect, reason = "all begin before the first is waited for")]
    let fetching: Vec<_> = packages
        .map(|package| {
            let mut npx = Command::new("npx");
            npx.args(["--yes", "--package", package, "--call", "true"]).stdout(Stdio::null()).stderr(Stdio::piped());
            (package, npx.spawn())
        })
        .collect();
    let problems = fetching.into_iter().filter_map(|(package, npx)| match npx.and_then(Child::wait_with_output) {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("npx cannot fetch {package}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Some(format!("npx does not start: {error}")),
    });
    let problems: Vec<_> = problems.collect();
    problems.iter().for_each(|problem| skipped(problem));
    problems.is_empty()
}

async fn started() -> Option<Running> {
    if peers().is_none() || !fetched() {
        return None;
    }
    let gateway = Gateway::<Npm>::builder().address("127.0.0.1:0").workers(2).start().expect("the gateway starts");
    let address = gateway.address();
    let answered = CALLS.map(|(tool, arguments)| tokio::spawn(answered(address, Request::call(tool, arguments))));
    for answered in answered {
        answered.await.expect("every server answers");
    }
    Some(gateway)
}

/// Waits for the first byte of an answer, whatever it is.
async fn answered(gateway: SocketAddr, request: Request) {
    let mut stream = TcpStream::connect(gateway).await.expect("the gateway listens");
    stream.write_all(&request.bytes()).await.expect("the gateway reads");
    tokio::time::timeout(START_PATIENCE, stream.readable()).await.expect("an answer").expect("the socket stands");
}

/// A directory in the one that the topology lets a server see.
struct Seen(String);

// === impl Seen ===

impl Seen {
    fn new() -> Self {
        let name = format!("only1mcp-{}", std::process::id());
        fs::create_dir(Path::new("/tmp").join(&name)).expect("`/tmp` can be written");
        Self(name)
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        // An empty directory that stays behind harms nobody.
        drop(fs::remove_dir(Path::new("/tmp").join(&self.0)));
    }
}

#[tokio::test]
async fn npm_servers_serve_clients_of_both_eras() {
    let Some(gateway) = started().await else { return };
    hears_updates(&gateway, "everything", "demo://resource/static/document/features.md").await;
    let seen = Seen::new();
    for mut peer in Peer::of_both_eras(&gateway).await {
        assert!(peer.call("memory__read_graph", "{}").await.contains("entities"));
        let thought = peer.call("thinking__sequentialthinking", CALLS[1].1).await;
        assert!(thought.contains("thoughtHistoryLength"), "{thought}");
        let files = peer.call("files__list_directory", CALLS[2].1).await;
        assert!(files.contains(&format!("[DIR] {}", seen.0)), "{files}");
        assert_eq!(peer.call("everything__echo", r#"{"message":"hé\n\"q\""}"#).await, "Echo: hé\n\"q\"");
        assert!(peer.call("everything__get-sum", r#"{"a":2,"b":40}"#).await.contains("42"));

        assert_eq!(peer.list("tools/list", "tools").await.len(), 37);
        let resources = peer.list("resources/list", "resources").await;
        let uri = resources[0]["uri"].as_str().expect("a URI");
        let read = peer.result("resources/read", Some(uri), &format!(r#""uri":"{uri}""#)).await;
        assert!(read["contents"][0]["text"].as_str().is_some_and(|text| !text.is_empty()), "{read}");
        let name = "everything__args-prompt";
        let params = format!(r#""name":"{name}","arguments":{{"city":"Lyon"}}"#);
        let prompt = peer.result("prompts/get", Some(name), &params).await;
        assert!(
            prompt["messages"][0]["content"]["text"].as_str().is_some_and(|text| text.contains("Lyon")),
            "{prompt}"
        );
    }
}

#[tokio::test]
async fn a_published_tool_that_runs_as_a_task_alone_serves_clients_of_both_eras() {
    let Some(gateway) = started().await else { return };
    let [mut modern, mut legacy] = Peer::of_both_eras(&gateway).await;
    let (tool, arguments) = ("everything__simulate-research-query", r#"{"topic":"tasks"}"#);
    let report = modern.call(tool, arguments).await;
    assert!(report.contains("# Research Report: tasks"), "{report}");
    let params = format!(r#""name":"{tool}","arguments":{arguments},"task":{{"ttl":60000}}"#);
    let task = legacy.result("tools/call", Some(tool), &params).await["task"].take();
    let params = format!(r#""taskId":{}"#, task["taskId"]);
    let known = legacy.result("tasks/get", None, &params).await;
    assert_eq!((&known["taskId"], &known["status"]), (&task["taskId"], &task["status"]), "{known}");
    let result = legacy.result("tasks/result", None, &params).await;
    assert_eq!(result["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], task["taskId"], "{result}");
    assert!(
        result["content"][0]["text"].as_str().is_some_and(|text| text.contains("# Research Report: tasks")),
        "{result}"
    );
}
