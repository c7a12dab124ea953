//! A client that starts the gateway and talks to it on its pipes.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::client::{META, within};
use crate::support::ledger::Directory;
use crate::support::scripted::signal;

/// The gateway as a child of the test, compiled from the default topology.
pub(crate) struct Gateway {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// It is this test binary, whose harness says after a minute that it still runs.
    in_role: bool,
}

// === impl Gateway ===

impl Gateway {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
        command.arg("stdio").args(arguments).stderr(Stdio::piped());
        Self::spawn(command)
    }

    /// What any command starts. Where it is this test binary in a role of its own, the harness says so first.
    pub(crate) async fn of(command: Command) -> Self {
        let in_role = command.as_std().get_program() == std::env::current_exe().expect("a path").as_os_str();
        let mut gateway = Self::spawn(command);
        while in_role
            && within("a role", gateway.output.next_line()).await.expect("a pipe").expect("it has not ended")
                != "running 1 test"
        {}
        gateway.in_role = in_role;
        gateway
    }

    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("it starts");
        let (input, output) = (process.stdin.take().expect("a pipe"), process.stdout.take().expect("a pipe"));
        Self { process, input, output: BufReader::new(output).lines(), in_role: false }
    }

    /// Its id.
    pub(crate) fn process(&self) -> Option<u32> {
        self.process.id()
    }

    pub(crate) async fn say(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.expect("it reads");
    }

    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            let line = within("a message", self.output.next_line()).await.expect("a pipe").expect("it has not ended");
            if !self.in_role || !line.starts_with("test ") {
                return serde_json::from_str(&line).expect("nothing but JSON stands on stdout");
            }
        }
    }

    pub(crate) async fn ask(&mut self, line: &str) -> Value {
        self.say(line).await;
        self.hear().await
    }

    /// Closes our end: what it still says, its exit code, and its log.
    pub(crate) async fn close(self) -> (Vec<Value>, Option<i32>, String) {
        let Self { mut process, input, mut output, .. } = self;
        drop(input);
        let mut rest = Vec::new();
        while let Some(line) = within("the end", output.next_line()).await.expect("a pipe") {
            rest.push(serde_json::from_str(&line).expect("nothing but JSON stands on stdout"));
        }
        let code = within("its end", process.wait()).await.expect("it can be waited for").code();
        let mut log = String::new();
        process.stderr.take().expect("a pipe").read_to_string(&mut log).await.expect("UTF-8");
        (rest, code, log)
    }
}

pub(crate) fn request(id: &str, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

pub(crate) fn initialize(version: &str) -> String {
    let client = r#""capabilities":{},"clientInfo":{"name":"test","version":"1"}"#;
    request("0", "initialize", &format!(r#"{{"protocolVersion":"{version}",{client}}}"#))
}

pub(crate) fn call(id: &str, tool: &str, arguments: &str) -> String {
    request(id, "tools/call", &format!(r#"{{"name":"{tool}","arguments":{arguments},"_meta":{{{META}}}}}"#))
}

pub(crate) fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or("no text")
}

#[tokio::test]
async fn both_eras_are_spoken_on_one_connection() {
    let mut gateway = Gateway::start(&[]);
    let before = gateway.ask(&request("1", "tools/list", "{}")).await;
    assert_eq!((&before["id"], &before["error"]["code"]), (&json!(1), &json!(-32600)), "{before}");
    let discovered = gateway.ask(&request(r#""d""#, "server/discover", &format!(r#"{{"_meta":{{{META}}}}}"#))).await;
    assert_eq!(discovered["id"], "d");
    assert_eq!(discovered["result"]["supportedVersions"], json!(["2026-07-28"]), "{discovered}");
    let modern = gateway.ask(&call("2", "math__add", r#"{"a":1,"b":2}"#)).await;
    assert_eq!((text(&modern), &modern["result"]["resultType"]), ("3", &json!("complete")), "{modern}");
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let greeted = gateway.ask(&initialize(version)).await;
        assert_eq!(greeted["result"]["protocolVersion"], version, "{greeted}");
        gateway.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        let listed = gateway.ask(&request("3", "tools/list", "{}")).await;
        assert_eq!(listed["result"]["tools"].as_array().map(Vec::len), Some(13), "{listed}");
        let legacy =
            gateway.ask(&request("4", "tools/call", r#"{"name":"math__add","arguments":{"a":2,"b":2}}"#)).await;
        assert_eq!((text(&legacy), &legacy["result"]["resultType"]), ("4", &Value::Null), "{legacy}");
    }
    let (rest, code, _) = gateway.close().await;
    assert_eq!((rest, code), (vec![], Some(0)));
}

#[tokio::test]
async fn calls_run_side_by_side_and_are_answered_after_the_client_closed_its_end() {
    let mut gateway = Gateway::start(&[]);
    gateway.say(&call("1", "admin__wait", r#"{"milliseconds":500}"#)).await;
    for id in 2..50 {
        gateway.say(&call(&id.to_string(), "admin__echo", &format!(r#"{{"own":{id}}}"#))).await;
    }
    for _ in 2..50 {
        let answer = gateway.hear().await;
        assert_eq!(text(&answer), format!(r#"{{"own":{}}}"#, answer["id"]), "{answer}");
    }
    let (rest, code, _) = gateway.close().await;
    assert_eq!((rest.len(), &rest[0]["id"], code), (1, &json!(1), Some(0)), "{rest:?}");
}

#[tokio::test]
async fn progress_goes_before_its_answer_and_a_cancelled_call_has_none() {
    let mut gateway = Gateway::start(&[]);
    let wait = |id: &str, milliseconds: u32| {
        let params = format!(
            r#"{{"name":"admin__wait","arguments":{{"milliseconds":{milliseconds},"steps":2}},"_meta":{{{META},"progressToken":{id}}}}}"#
        );
        request(id, "tools/call", &params)
    };
    gateway.say(&wait(r#""mine""#, 20)).await;
    let heard = [gateway.hear().await, gateway.hear().await, gateway.hear().await];
    assert_eq!([&heard[0], &heard[1]].map(|step| &step["params"]["progressToken"]), [&json!("mine"); 2], "{heard:?}");
    assert_eq!(heard[2]["id"], "mine");
    gateway.say(&wait("7", 60_000)).await;
    let doubled = gateway.ask(&call("7", "admin__echo", "{}")).await;
    assert_eq!((&doubled["id"], &doubled["error"]["code"]), (&json!(7), &json!(-32600)), "{doubled}");
    gateway.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"7"}}"#).await;
    gateway.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#).await;
    // Nothing is left to wait for, and the id is free again.
    let again = loop {
        let answer = gateway.ask(&call("7", "admin__echo", "{}")).await;
        if answer["error"].is_null() {
            break answer;
        }
    };
    assert_eq!(text(&again), "{}");
    let (rest, code, log) = gateway.close().await;
    assert_eq!((rest, code), (vec![], Some(0)), "{log}");
    assert!(!log.contains("calls are left"), "{log}");
}

#[tokio::test]
async fn a_connection_is_full_by_bytes_before_it_is_by_calls_and_has_room_again_later() {
    let mut gateway = Gateway::start(&[]);
    // Eight of them fit into 32 MiB, a ninth does not.
    let padding = "x".repeat((4 << 20) - 1024);
    let large = |id: u32, milliseconds: u32| {
        let meta = format!(r#"{{{META},"padding":"{padding}"}}"#);
        let arguments = format!(r#"{{"milliseconds":{milliseconds}}}"#);
        request(
            &id.to_string(),
            "tools/call",
            &format!(r#"{{"name":"admin__wait","arguments":{arguments},"_meta":{meta}}}"#),
        )
    };
    for id in 1..=8 {
        gateway.say(&large(id, 60_000)).await;
    }
    let refused = gateway.ask(&large(9, 0)).await;
    assert_eq!((&refused["id"], &refused["error"]["data"]["kind"]), (&json!(9), &json!("overloaded")), "{refused}");
    assert_eq!(text(&gateway.ask(&call("10", "admin__echo", "{}")).await), "{}");
    gateway.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#).await;
    let again = loop {
        let answer = gateway.ask(&large(9, 0)).await;
        if answer["error"].is_null() {
            break answer;
        }
    };
    assert_eq!(again["id"], 9);
    for id in (1..=8).filter(|id| *id != 3) {
        gateway
            .say(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#))
            .await;
    }
    assert_eq!(gateway.close().await.1, Some(0));
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_nothing_else_is_disturbed() {
    let mut gateway = Gateway::start(&[]);
    let long = "x".repeat(only1mcp::limits::BODY_BYTES_MAX + 1);
    let long = request("1", "tools/call", &format!(r#"{{"name":"{long}"}}"#));
    for (line, code) in [
        ("garbage", -32700),
        ("[]", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\ud800"}}"#, -32700),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{}}"#, -32600),
        (&long, -32600),
    ] {
        let refused = gateway.ask(line).await;
        assert_eq!(refused["error"]["code"], code, "{}: {refused}", &line[..line.len().min(80)]);
    }
    gateway.say("\n \t\r").await;
    gateway.say(r#"{"jsonrpc":"2.0","id":5,"result":{}}"#).await;
    let refused = gateway.ask(&call("6", "math__ad", "{}")).await;
    assert_eq!(refused["error"]["message"], "Unknown tool: math__ad", "{refused}");
    let served = gateway.ask(&call("7", "math__add", r#"{"a":1,"b":1}"#)).await;
    assert_eq!(text(&served), "2");
    let (rest, code, _) = gateway.close().await;
    assert_eq!((rest, code), (vec![], Some(0)));
}

#[tokio::test]
async fn a_client_that_reads_no_more_is_an_error_and_the_end() {
    let Gateway { mut process, mut input, output, .. } = Gateway::start(&[]);
    drop(output);
    let asked = format!("{}\n", call("1", "admin__echo", "{}"));
    input.write_all(asked.as_bytes()).await.expect("it reads");
    let code = within("its end", process.wait()).await.expect("it can be waited for").code();
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn a_view_is_all_that_its_client_sees() {
    let mut gateway = Gateway::start(&["--view", "tables"]);
    let hidden = gateway.ask(&call("1", "math__add", r#"{"a":1,"b":1}"#)).await;
    assert_eq!(hidden["error"]["code"], -32602, "{hidden}");
    let listed = gateway.ask(&request("2", "tools/list", &format!(r#"{{"_meta":{{{META}}}}}"#))).await;
    assert_eq!(listed["result"]["tools"].as_array().map(Vec::len), Some(3), "{listed}");
    let (_, code, _) = gateway.close().await;
    assert_eq!(code, Some(0));
    let (rest, code, log) = Gateway::start(&["--view", "absent"]).close().await;
    assert_eq!((rest, code), (vec![], Some(1)));
    assert!(log.contains("view `absent` is not compiled in"), "{log}");
}

#[tokio::test]
async fn a_call_in_flight_is_answered_when_the_gateway_is_told_to_stop() {
    let mut gateway = Gateway::start(&[]);
    let ready = gateway.ask(&call("1", "admin__echo", "{}")).await;
    assert_eq!(text(&ready), "{}");
    gateway.say(&call("2", "admin__wait", r#"{"milliseconds":500}"#)).await;
    let refused = gateway.ask(&call("2", "admin__echo", "{}")).await;
    assert_eq!(refused["error"]["code"], -32600, "the call is in flight: {refused}");
    signal(gateway.process.id().expect("it runs"), Signal::TERM);
    let answer = gateway.hear().await;
    assert_eq!((&answer["id"], text(&answer)), (&json!(2), "waited 500 ms"), "{answer}");
    // It does not wait for our end to close.
    let code = within("its end", gateway.process.wait()).await.expect("it can be waited for").code();
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn a_backend_that_the_overlay_disables_is_not_even_started() {
    let directory = Directory::new();
    let overlay = directory.path("overlay.yaml");
    std::fs::write(&overlay, "backends: { math: { disabled: true } }\n").expect("a file");
    let mut gateway = Gateway::start(&["--overlay", overlay.to_str().expect("UTF-8")]);
    let refused = gateway.ask(&call("1", "math__add", r#"{"a":1,"b":1}"#)).await;
    assert_eq!(refused["error"]["message"], "backend `math`: it is disabled by the overlay", "{refused}");
    let served = gateway.ask(&call("2", "admin__echo", "{}")).await;
    assert_eq!(text(&served), "{}");
    let (_, code, log) = gateway.close().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("demo-admin") && !log.contains("demo-math"), "{log}");
}

#[tokio::test]
async fn a_client_that_listens_for_changes_is_not_waited_for_at_its_end() {
    let mut gateway = Gateway::start(&[]);
    let params = format!(r#"{{"notifications":{{"toolsListChanged":true}},"_meta":{{{META}}}}}"#);
    let first = gateway.ask(&request("1", "subscriptions/listen", &params)).await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    let began = Instant::now();
    let (rest, code, _) = gateway.close().await;
    assert_eq!((rest, code), (vec![], Some(0)));
    assert!(began.elapsed() < Duration::from_secs(8), "it takes as long as calls may have");
}
