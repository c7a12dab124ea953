//! The scripted stdio backend: this test binary itself, started as a child in a role of its own. `CHILD_START` says how
//! it begins, the name of a called tool how it answers. What it did stands in the ledger; what the gateway makes of it
//! is tested elsewhere.
//!
//! The test harness writes `running 1 test` before the role begins: one line of banner, which every gateway skips.

use std::fmt::Display;
use std::io::{BufRead as _, Write as _};
use std::process::exit;
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::ledger::Ledger;
use super::server::telling;

/// A text longer than any line that a child may write.
const TOO_LONG: usize = only1mcp::limits::LINE_BYTES_MAX + (1 << 20);
/// How many long messages of progress a flood of them has.
const PROGRESS: usize = 80;
/// Longer than any test waits.
const FOREVER: Duration = Duration::from_secs(600);

#[test]
#[ignore = "a role of this binary: other tests start it as a child"]
fn scripted_child() {
    let Ok(start) = std::env::var("CHILD_START") else { return };
    let ledger = Ledger::at(std::env::var_os("CHILD_LEDGER").expect("CHILD_LEDGER").into());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock past 1970");
    ledger.note(format_args!("spawn {} {}", std::process::id(), now.as_millis()));
    Child { ledger, start, asked: None, locked: false }.run();
    exit(0);
}

struct Child {
    ledger: Ledger,
    start: String,
    /// The call that waits for the answers to the child's own requests, and those that came.
    asked: Option<(Value, Vec<Value>)>,
    /// It was asked something before `initialize`, and is of no more use.
    locked: bool,
}

/// What a request is answered with.
enum Answer {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing, or nothing now.
    Later,
}

impl Child {
    fn run(mut self) {
        let start = self.start.clone();
        let (how, count) = start.split_once(':').unwrap_or((&start, "0"));
        match how {
            "exit" => exit(3),
            "complains" => self.complain(4),
            "banner" => (0..count.parse().expect("a count")).for_each(|line| say(format!("banner {line}\n"))),
            "slow" => thread::sleep(Duration::from_millis(count.parse().expect("milliseconds"))),
            "forks" => {
                self.ledger.note(format_args!("spawn {}", grandchild()));
                thread::sleep(FOREVER);
            }
            "silent" => thread::sleep(FOREVER),
            "waits" => wait_for_word(&self.ledger),
            "endless_line" => loop {
                say([b'x'; 1 << 16]);
            },
            "stays" => ignore_terminate(),
            _ => {}
        }
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            self.take(&line);
        }
        if how == "stays" {
            thread::sleep(FOREVER);
        }
    }

    /// Says why on stderr, in many lines, and ends.
    fn complain(&self, code: i32) -> ! {
        let mut stderr = std::io::stderr().lock();
        for line in 0..100 {
            writeln!(stderr, "grievance {line}").expect("stderr is drained");
        }
        writeln!(stderr, "\x1b[31mstarted as `{}`\r\n\n{}", self.start, "x".repeat(9000)).expect("stderr is drained");
        exit(code)
    }

    fn take(&mut self, line: &str) {
        let message: Value = serde_json::from_str(line).expect("the gateway writes one message a line");
        let (id, method) = (&message["id"], message["method"].as_str());
        self.ledger.note(format_args!("read {line}"));
        match method {
            None => self.answered(message),
            Some("server/discover") => match self.start.as_str() {
                // As some do with methods that they do not know.
                "silent_about_discover" => {}
                // As others do with whatever is not `initialize` first.
                "dies_of_discover" => exit(5),
                "locked_by_discover" => self.locked = true,
                "modern" => say(result(id, &discovered())),
                _ => say(error(id, "-32601", "no such method")),
            },
            Some("initialize") if self.locked => say(error(id, "-32600", "not the first request")),
            Some("initialize") => say(result(id, &initialized())),
            Some("tools/call") => {
                let name = message["params"]["name"].as_str().unwrap_or_default();
                match self.call(id, name, &message["params"]["arguments"]) {
                    Answer::Bytes(bytes) => say(bytes),
                    Answer::Later => {}
                }
            }
            Some(method) if method.ends_with("/list") => say(result(id, &listed(method))),
            Some("resources/subscribe")
                if message["params"]["uri"].as_str().is_some_and(|uri| uri.ends_with("refused")) =>
            {
                say(error(id, "-32602", "no such resource"));
            }
            Some("resources/subscribe" | "resources/unsubscribe") => say(result(id, &json!({}))),
            Some("tasks/get") => {
                let task = &message["params"]["taskId"];
                say(result(id, &json!({ "taskId": task, "status": "working", "pid": std::process::id() })));
            }
            Some(_) if id.is_null() => {}
            Some(_) => say(error(id, "-32601", "no such method")),
        }
    }

    /// Takes the answer to a request of the child.
    fn answered(&mut self, response: Value) {
        let Some((id, mut answers)) = self.asked.take() else { return };
        answers.push(response);
        if answers.len() < 3 {
            self.asked = Some((id, answers));
        } else {
            say(text(&id, &Value::from(answers).to_string()));
        }
    }

    /// Answers once a test says so, and notes that.
    fn hold(&self, id: &Value) -> Answer {
        let (id, ledger) = (id.clone(), self.ledger.clone());
        thread::spawn(move || {
            wait_for_word(&ledger);
            say(text(&id, "held"));
            ledger.note(format_args!("said held"));
        });
        Answer::Later
    }

    fn call(&mut self, id: &Value, name: &str, arguments: &Value) -> Answer {
        let own = arguments["text"].as_str().unwrap_or_default();
        match name {
            "echo" => Answer::Bytes(text(id, own)),
            "tells" => Answer::Bytes([own.as_bytes(), b"\n", &text(id, own)].concat()),
            "once" => {
                self.ledger.note(format_args!("ran {own}"));
                // The window that matters: executed and not answered.
                thread::sleep(Duration::from_millis(1));
                Answer::Bytes(text(id, own))
            }
            "late" | "pid" => {
                let (id, ms) = (id.clone(), arguments["ms"].as_u64().expect("ms"));
                let said = if name == "late" { name.to_owned() } else { std::process::id().to_string() };
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(ms));
                    say(text(&id, &said));
                });
                Answer::Later
            }
            "task" => {
                let (id, ms) = (id.clone(), arguments["ms"].as_u64().expect("ms"));
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(ms));
                    let task = json!({ "taskId": "the same for all", "status": "working" });
                    say(result(&id, &json!({ "task": task, "pid": std::process::id() })));
                });
                Answer::Later
            }
            "held" => self.hold(id),
            "asks" => {
                self.asked = Some((id.clone(), Vec::new()));
                let request = |id: &str, method: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#);
                let requests = [("\"s-1\"", "ping"), ("2", "roots/list"), ("3", "sampling/createMessage")];
                // In one write: on a machine that does much else, they would not come together otherwise.
                Answer::Bytes(requests.map(|(id, method)| request(id, method) + "\n").concat().into())
            }
            // Of its own client, who is known by the token; it is never answered.
            "asks_own" => {
                let params = json!({ "_meta": { "progressToken": id } });
                Answer::Bytes(
                    format!(
                        "{{\"jsonrpc\":\"2.0\",\"id\":\"own-{id}\",\"method\":\"roots/list\",\"params\":{params}}}\n"
                    )
                    .into(),
                )
            }
            "complains" => self.complain(7),
            "floods_progress" => {
                let params = json!({ "progressToken": id, "progress": 1, "message": "x".repeat(1 << 20) });
                let line = notification("notifications/progress", &params);
                (0..PROGRESS).for_each(|_| say(&line));
                self.ledger.note(format_args!("flooded {PROGRESS}"));
                Answer::Bytes(text(id, "flooded"))
            }
            "grandchild" => Answer::Bytes(text(id, &grandchild().to_string())),
            "daemon" => Answer::Bytes(text(id, &daemon("exec sleep 600", own))),
            "hopper" => Answer::Bytes(text(id, &daemon(HOPPER, own))),
            "confinement" => Answer::Bytes(text(id, &confinement(arguments).to_string())),
            "surroundings" => Answer::Bytes(text(id, &surroundings().to_string())),
            _ => breaks(id, name).unwrap_or_else(|| Answer::Bytes(misanswers(id, name))),
        }
    }
}

/// Waits until a test writes `go` and anything into the ledger.
fn wait_for_word(ledger: &Ledger) {
    while ledger.after("go").is_empty() {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Starts a process that inherits stdout and that nothing but a signal ends.
fn grandchild() -> u32 {
    std::process::Command::new("sleep").arg("600").spawn().expect("`sleep`").id()
}

/// Goes from one process to the next, each in a session of its own; the one before ends.
const HOPPER: &str = r#"sleep 0.01; setsid sh -c "$0" "$0" "$1" & exit"#;

/// Starts a script that leaves the child, its process group and its session, and keeps only its stderr. Returns its first
/// process; `$1` of it is `own`.
fn daemon(script: &str, own: &str) -> String {
    let leave = r#"setsid sh -c "$0" "$0" "$1" </dev/null >&2 & echo $!"#;
    let mut command = std::process::Command::new("sh");
    let left = command.args(["-c", leave, script, own]).stderr(std::process::Stdio::inherit()).output();
    String::from_utf8(left.expect("`sh`").stdout).expect("a number").trim().to_owned()
}

/// What the child was given: its variables and its descriptors.
fn surroundings() -> Value {
    let variables: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
    json!({ "variables": variables, "descriptors": inherited() })
}

/// What the child can do of what it is asked to try, and its bounds.
fn confinement(asked: &Value) -> Value {
    let tried = |outcome: std::io::Result<()>| match outcome {
        Ok(()) => "ok",
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => "denied",
        Err(_) => "failed",
    };
    let each = |key: &str, attempt: &dyn Fn(&Value) -> std::io::Result<()>| -> Vec<&str> {
        asked[key].as_array().into_iter().flatten().map(|value| tried(attempt(value))).collect()
    };
    let path = |value: &Value| value.as_str().expect("a path").to_owned();
    let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let limits = std::fs::read_to_string("/proc/self/limits").expect("/proc");
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.split_whitespace().next().map(str::to_owned)
    };
    let parent = rustix::process::getppid().expect("a parent");
    json!({
        "read": each("read", &|value| std::fs::File::open(path(value)).map(drop)),
        "write": each("write", &|value| std::fs::write(path(value), "text")),
        "connect": each("connect", &|value| std::net::TcpStream::connect(("127.0.0.1", port(value))).map(drop)),
        "bind": tried(std::net::TcpListener::bind("127.0.0.1:0").map(drop)),
        "signal": tried(rustix::process::test_kill_process(parent).map_err(Into::into)),
        "no_new_privs": status.lines().find_map(|line| line.strip_prefix("NoNewPrivs:")).map(str::trim),
        "limits": { "core": limit("Max core file size"), "data": limit("Max data size"), "files": limit("Max open files"), "file_size": limit("Max file size") },
        "system_calls": system_calls(),
        "user": user(&status),
        "cpu": limit("Max cpu time"),
    })
}

/// System calls that a filter refuses, and some that look like them and have to go on.
fn system_calls() -> Value {
    /// Sockets by which one asks the kernel to encrypt.
    const AF_ALG: u16 = 38;
    use rustix::net::{AddressFamily, SocketType, socket};
    let outcome = |outcome: rustix::io::Result<()>| match outcome {
        Ok(()) => "ok",
        Err(rustix::io::Errno::PERM) => "refused",
        Err(_) => "failed",
    };
    let of = |family, kind| outcome(socket(family, kind, None).map(drop));
    json!({
        "crypto_socket": of(AddressFamily::from_raw(AF_ALG), SocketType::SEQPACKET),
        "raw_socket": of(AddressFamily::INET, SocketType::RAW),
        "addresses_of_the_machine": of(AddressFamily::NETLINK, SocketType::RAW),
        "change_of_root": outcome(rustix::process::chroot("/")),
        "thread": thread::spawn(|| "ok").join().expect("a thread"),
        "process": std::process::Command::new("true").status().is_ok_and(|status| status.success()),
    })
}

/// Real, effective, saved and file system ids of user and group, and the other groups.
fn user(status: &str) -> Vec<String> {
    let lines = ["Uid:", "Gid:", "Groups:"].map(|name| status.lines().find_map(|line| line.strip_prefix(name)));
    lines.into_iter().flatten().map(|ids| ids.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The descriptors of this process that a process it starts would have too.
pub(crate) fn inherited() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fdinfo").expect("/proc").filter_map(Result::ok);
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let info = std::fs::read_to_string(entry.path()).ok()?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
            let flags = u32::from_str_radix(flags, 8).expect("flags are octal");
            (flags & rustix::fs::OFlags::CLOEXEC.bits() == 0).then(|| entry.file_name().into_string().ok())?
        })
        .collect();
    names.sort();
    names
}

/// Ends the child, or what it can do.
fn breaks(id: &Value, name: &str) -> Option<Answer> {
    match name {
        "never" => {}
        "exits" => exit(7),
        "half_line" => {
            let whole = text(id, "half of this");
            say(&whole[..whole.len() / 2]);
            exit(0);
        }
        "closes_stdout" => {
            rustix::stdio::dup2_stdout(null()).expect("a descriptor");
            thread::sleep(FOREVER);
        }
        "closes_stdin" => {
            say(text(id, "stdin is closed"));
            rustix::stdio::dup2_stdin(null()).expect("a descriptor");
            thread::sleep(FOREVER);
        }
        "reads_no_more" => thread::sleep(FOREVER),
        "line_without_end" => say(vec![b' '; TOO_LONG]),
        "floods_stderr" => {
            say(text(id, "flooding"));
            thread::spawn(|| while std::io::stderr().write_all(&[b"x".repeat(99), b"\n".to_vec()].concat()).is_ok() {});
        }
        "floods_notifications" => {
            say(text(id, "flooding"));
            let line = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":0}}\n";
            let lines = line.repeat(2000);
            thread::spawn(move || {
                loop {
                    say(&lines);
                    // Locks are not fair: the child's answers have to get in between.
                    thread::sleep(Duration::from_micros(100));
                }
            });
        }
        _ => return None,
    }
    Some(Answer::Later)
}

/// An answer, right or wrong in the way its name says.
fn misanswers(id: &Value, name: &str) -> Vec<u8> {
    let other = id.as_u64().unwrap_or_default() + 1_000_000;
    let with_code = |code: &str| error(id, code, "odd");
    let joined = |parts: &[&[u8]]| parts.concat();
    match name {
        "wrong_id" => text(&other.into(), "another's"),
        "text_id" => text(&id.to_string().into(), "no number"),
        "no_message" => b"{\"hello\":\"world\"}\n".to_vec(),
        "fraction_code" => with_code("1.5"),
        "text_code" => with_code("\"-32602\""),
        "huge_code" => with_code("1e99"),
        "tool_error" => with_code("-32602"),
        "neither" => format!("{{\"jsonrpc\":\"2.0\",\"id\":{id}}}\n").into(),
        "not_utf8" => {
            joined(&[b"{\"jsonrpc\":\"2.0\",\"id\":", id.to_string().as_bytes(), b",\"result\":{\"x\":\"\xff\"}}\n"])
        }
        // What decides stands behind it.
        "too_deep" => {
            let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
            format!("{{\"result\":{{\"content\":{deep}}},\"jsonrpc\":\"2.0\",\"id\":{id}}}\n").into()
        }
        "unknown_type" => result(id, &json!({ "resultType": "surprise", "content": [] })),
        "two_answers" => joined(&[&text(id, "first"), &text(id, "second")]),
        "strays" => joined(&[&text(&other.into(), "another's"), b"{\"hello\":\"world\"}\n", &text(id, "after strays")]),
        "crlf" => text(id, "crlf").strip_suffix(b"\n").map(|line| joined(&[line, b"\r\n"])).unwrap_or_default(),
        "nuls" => joined(&[b"\0\0\n\0\n", &text(id, "nuls")]),
        "unknown_progress" => {
            let progress = json!({ "progressToken": "nobody's", "progress": 1 });
            joined(&[&notification("notifications/progress", &progress), &text(id, "after progress")])
        }
        "stderr" => {
            let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
            (0..8 << 10).for_each(|_| std::io::stderr().write_all(&line).expect("stderr is drained"));
            text(id, "after stderr")
        }
        _ => error(id, "-32602", "no such tool"),
    }
}

/// What whoever asks is told that there is: of the tools those that tests of added backends call.
fn listed(method: &str) -> Value {
    let tools = ["confinement", "echo", "grandchild", "late", "never", "pid"];
    let tools = tools.map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }));
    match method {
        "tools/list" => json!({ "tools": tools }),
        "prompts/list" => json!({ "prompts": [] }),
        "resources/list" => json!({ "resources": [{ "uri": "child://one", "name": "one" }] }),
        _ => json!({ "resourceTemplates": [] }),
    }
}

fn discovered() -> Value {
    json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "private" })
}

fn initialized() -> Value {
    json!({
        "protocolVersion": "2025-11-25",
        "capabilities": telling(),
        "serverInfo": { "name": "scripted", "version": "1" },
    })
}

fn text(id: &Value, text: &str) -> Vec<u8> {
    result(id, &json!({ "content": [{ "type": "text", "text": text }] }))
}

fn result(id: &Value, result: &Value) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n").into()
}

fn error(id: &Value, code: impl Display, message: &str) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":\"{message}\"}}}}\n").into()
}

fn notification(method: &str, params: &Value) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{params}}}\n").into()
}

/// Writes to stdout; a gateway that reads no more ends the child.
fn say(bytes: impl AsRef<[u8]>) {
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(bytes.as_ref()).and_then(|()| stdout.flush()).is_err() {
        exit(1);
    }
}

fn null() -> std::fs::File {
    std::fs::File::options().read(true).write(true).open("/dev/null").expect("/dev/null")
}

/// From now on SIGTERM is caught, and nothing follows from it.
fn ignore_terminate() {
    thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let kind = tokio::signal::unix::SignalKind::terminate();
            let mut signals = tokio::signal::unix::signal(kind).expect("a signal handler");
            while signals.recv().await.is_some() {}
        });
    });
}
