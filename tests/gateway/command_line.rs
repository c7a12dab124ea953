//! The program as people and scripts run it: what it prints where, and which exit code says how it went.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{Client, Request};
use crate::support::ledger::Directory;
use crate::support::program::run;
use crate::support::scripted::signal;
use crate::support::server::{Request as Received, Script, Server, json_answer, modern, result_body};

/// A gateway started from the command line; killed when dropped.
pub(crate) struct Started {
    process: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Started {
    pub(crate) fn new(port: u16) -> Self {
        Self::with(&["--port", &port.to_string()])
    }

    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self::of(|command| command.args(arguments))
    }

    /// One that is started as `settings` say.
    pub(crate) fn of(settings: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
        Self::run(settings(command.args(["start", "--quiet"])))
    }

    /// One that is started by this command, whatever it is.
    pub(crate) fn run(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let url = line(&mut stdout, "listening");
        let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix("/mcp"));
        Self { address: address.and_then(|address| address.parse().ok()).expect(&url), process, stdout }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for its end; how it went.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.process.wait().expect("it ended").code()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where it says that it serves administrators: behind where it listens.
    pub(crate) fn admin_address(&mut self) -> SocketAddr {
        let url = line(&mut self.stdout, "admin");
        url.strip_prefix("http://").and_then(|address| address.parse().ok()).expect(&url)
    }
}

/// What follows a word at the beginning of the next line that begins so.
fn line(stdout: &mut BufReader<ChildStdout>, word: &str) -> String {
    let line = stdout.lines().find_map(|line| Some(line.ok()?.strip_prefix(word)?.trim().to_owned()));
    line.expect(word)
}

impl Drop for Started {
    fn drop(&mut self) {
        // Already gone where the test ended it.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test]
async fn start_says_where_it_listens_and_ends_in_order_on_a_signal() {
    // That of a terminal that closes asks for nothing else where there is no certificate to be read anew.
    for end in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut gateway = Started::new(0);
        let answer = Client::ask(gateway.address, &Request::modern("tools/list", None, "")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        signal(gateway.process.id(), end);
        assert_eq!(gateway.process.wait().expect("it ended").code(), Some(0), "{end:?}");
    }
}

#[test]
fn start_says_what_the_views_show_and_where() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
    let command = command.args(["start", "--quiet", "--port", "0"]).stdout(Stdio::piped());
    let mut process = command.spawn().expect("the binary starts");
    let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
    let line = stdout.lines().map_while(Result::ok).find(|line| line.starts_with("view "));
    process.kill().expect("it runs");
    process.wait().expect("it ended");
    let line = line.expect("a view");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!((words[1], words[2], words[3], words[5]), ("tables", "3", "tools", "tokens"), "{line}");
    assert!(words[4].starts_with('~') && words[6].ends_with("/mcp/tables"), "{line}");
}

#[test]
fn a_second_gateway_on_a_port_says_that_it_is_taken() {
    let gateway = Started::new(0);
    let second = run(&["start", "--port", &gateway.address.port().to_string()]);
    assert_eq!(second.code, Some(1));
    let expected = format!("address {} cannot be listened on", gateway.address);
    assert!(second.stderr.contains(&expected) && second.stdout.is_empty(), "{second:?}");
}

#[test]
fn what_is_not_understood_exits_with_2() {
    for arguments in [&["--nonsense"][..], &["start", "--port", "many"], &["nonsense"], &["list", "nonsense"]] {
        let ran = run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ran.stderr.starts_with("error: "), "{ran:?}");
    }
}

#[test]
fn a_reader_that_has_read_enough_is_no_error_and_a_full_disk_is() {
    let with = |arguments: &[&str], stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
        let output = command.args(arguments).stdout(stdout).output().expect("the binary starts");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    for arguments in [&["explain"][..], &["list", "-o", "json"], &["topology", "schema"], &["--version"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(with(arguments, writer.into()), (Some(0), String::new()), "{arguments:?}");
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device of Linux");
        let (code, stderr) = with(arguments, full.into());
        assert!(code == Some(1) && stderr.starts_with("error: stdout cannot be written: "), "{arguments:?}: {stderr}");
    }
}

#[test]
fn the_version_says_more_when_asked_for_more() {
    let version = format!("only1mcp {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]).stdout, version);
    let verbose = run(&["--version", "--verbose"]);
    assert_eq!(verbose.code, Some(0));
    assert!(verbose.stdout.starts_with(&version), "{}", verbose.stdout);
    for line in ["topology  default sha256:", "lock      ", "backends  3", "tools     "] {
        assert!(verbose.stdout.lines().any(|found| found.starts_with(line)), "{line} in {}", verbose.stdout);
    }
}

#[test]
fn list_prints_for_people_and_for_programs() {
    assert_eq!(run(&["list", "backends", "--output", "name"]).stdout, "math\ndata\nadmin\n");
    let json: Value = serde_json::from_str(&run(&["list", "backends", "-o", "json"]).stdout).expect("JSON");
    assert_eq!(json[0]["name"], "math");
    let tools = run(&["list", "tools", "--view", "tables", "--output", "name"]);
    assert_eq!(tools.stdout, "data__describe_table\ndata__list_tables\ndata__query\n");
    let views: Value = serde_json::from_str(&run(&["list", "views", "-o", "json"]).stdout).expect("JSON");
    assert_eq!(
        (&views[0]["name"], &views[0]["tools"], &views[0]["path"]),
        (&json!("tables"), &json!(3), &json!("/mcp/tables"))
    );
    assert!(views[0]["tokens"].is_u64(), "{views:#}");
    let unknown = run(&["list", "--view", "nothing"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(1), ""));
    assert!(unknown.stderr.contains("view `nothing` is not compiled in"), "{}", unknown.stderr);
    let shown = run(&["list", "backends", "--view", "tables", "--output", "name"]);
    assert_eq!(shown.stdout, "data\n", "of the others it shows nothing");
    assert_eq!(run(&["list", "views", "--view", "tables", "--output", "name"]).stdout, "tables\n");
    let table = run(&["list", "backends"]);
    assert!(table.stdout.starts_with("name   tools  place                          path\nmath   "), "{}", table.stdout);
}

fn write(path: impl AsRef<Path>, text: &str) {
    std::fs::write(path, text).expect("a directory of this test");
}

/// A server with one tool, whose description and schema are those of the version at hand.
fn versioned(version: Arc<AtomicU8>) -> Server {
    Server::start(modern(move |request: &Received| {
        let version = version.load(Ordering::SeqCst);
        let properties = if version == 0 { json!({ "a": {} }) } else { json!({ "a": {}, "b": {} }) };
        list(
            request,
            &json!([{
                "name": "tool",
                "description": format!("version {version}"),
                "inputSchema": { "type": "object", "properties": properties },
            }]),
        )
    }))
}

fn list(request: &Received, tools: &Value) -> Script {
    assert_eq!(request.rpc(), "tools/list", "only what was offered is asked for");
    vec![json_answer(200, &result_body(&request.id(), &json!({ "resultType": "complete", "tools": tools })))]
}

/// A topology of a demo server as a child and a server at this URL.
fn topology(directory: &Directory, url: &str) -> (String, std::path::PathBuf) {
    let path = directory.path("some.yaml");
    let math = "transport: { stdio: { command: self, args: [demo-server, math] } }";
    let web = format!("transport: {{ streamable_http: {{}} }}\n    endpoints: [{{ url: \"{url}\" }}]");
    write(&path, &format!("name: some\nbackends:\n  math:\n    {math}\n  web:\n    {web}\n"));
    (path.display().to_string(), directory.path("some.lock.json"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the lock")
}

#[test]
fn a_lock_is_canonical_and_a_backend_that_is_down_keeps_its_section() {
    let (directory, version) = (Directory::new(), Arc::<AtomicU8>::default());
    let server = versioned(Arc::clone(&version));
    let (topology, lock) = topology(&directory, &server.url());

    let first = run(&["topology", "lock", &topology]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first.stdout.contains("math: 2026-07-28 · 6 tools · 1 prompt · 2 resources · 0 templates · new"),
        "{first:?}"
    );
    let text = read(&lock);
    assert_eq!(run(&["topology", "lock", &topology]).code, Some(0));
    assert_eq!(read(&lock), text, "the second run writes the same bytes");
    assert_eq!(run(&["validate", &topology]).code, Some(0));

    drop(server);
    let down = run(&["topology", "lock", &topology]);
    assert_eq!(down.code, Some(6));
    assert!(down.stdout.contains("math: ") && !down.stdout.contains("web: "), "only who answered: {}", down.stdout);
    assert!(
        down.stderr.contains("backend `web` could not be reached") && down.stderr.contains("its section is as it was")
    );
    assert_eq!(read(&lock), text);
    let left = std::fs::read_dir(lock.parent().expect("a directory")).expect("a directory").count();
    assert_eq!(left, 2, "topology and lock, no temporary file");
}

#[test]
fn a_damaged_lock_is_written_anew_if_every_backend_answers() {
    let directory = Directory::new();
    let server = versioned(Arc::default());
    let (topology, lock) = topology(&directory, &server.url());
    assert_eq!(run(&["topology", "lock", &topology]).code, Some(0));
    let text = read(&lock);
    let edited = text.replace("\"name\": \"tool\"", "\"name\": \"other\"");
    assert_ne!(edited, text);
    let damaged = [edited.into_bytes(), text.as_bytes()[..text.len() / 2].to_vec(), b"{ \"\xc3".to_vec()];
    for damaged in &damaged {
        std::fs::write(&lock, damaged).expect("a directory of this test");
        for refuses in [&["topology", "lock", "--check"][..], &["topology", "diff"], &["topology", "diff", "--json"]] {
            let ran = run(&[refuses, &[&topology]].concat());
            assert!(matches!(ran.code, Some(1 | 3)), "{refuses:?}: {ran:?}");
            assert_eq!(std::fs::read(&lock).expect("it is there"), *damaged);
        }
        let written = run(&["topology", "lock", &topology]);
        assert_eq!(written.code, Some(0), "{written:?}");
        let said = written.stderr.starts_with("warning: ") && written.stderr.contains("some.lock.json");
        assert!(said && written.stderr.ends_with("the lock is written anew if every backend answers\n"), "{written:?}");
        assert_eq!(read(&lock), text);
    }
    let later = text.replacen("\"version\": ", "\"version\": 9", 1);
    write(&lock, &later);
    let refused = run(&["topology", "lock", &topology]);
    assert!(refused.code == Some(3) && refused.stderr.contains("error[E0506]"), "{refused:?}");
    assert_eq!(read(&lock), later);

    drop(server);
    for damaged in &damaged {
        std::fs::write(&lock, damaged).expect("a directory of this test");
        let down = run(&["topology", "lock", &topology]);
        assert!(down.code == Some(6) && down.stderr.contains("some.lock.json` stays as it is"), "{down:?}");
        assert_eq!(std::fs::read(&lock).expect("it is there"), *damaged, "it may hold what `web` once offered");
    }
}

#[test]
fn a_lock_that_is_a_link_stays_one() {
    let (directory, elsewhere) = (Directory::new(), Directory::new());
    let server = versioned(Arc::default());
    let (topology, lock) = topology(&directory, &server.url());
    let target = elsewhere.path("real.json");
    std::os::unix::fs::symlink(&target, &lock).expect("a directory of this test");
    for _ in ["where there is nothing yet", "over what is there"] {
        assert_eq!(run(&["topology", "lock", &topology]).code, Some(0));
        assert!(lock.is_symlink() && read(&target).contains("\"web\""));
        write(&target, "{}");
    }
}

#[test]
fn a_diff_names_every_field_that_changed() {
    let (directory, version) = (Directory::new(), Arc::<AtomicU8>::default());
    let server = versioned(Arc::clone(&version));
    let (topology, lock) = topology(&directory, &server.url());
    assert_eq!(run(&["topology", "diff", &topology]).code, Some(4), "nothing is locked yet");
    assert_eq!(run(&["topology", "lock", &topology]).code, Some(0));
    let text = read(&lock);

    let same = run(&["topology", "diff", &topology]);
    assert_eq!((same.code, same.stdout.as_str()), (Some(0), "every backend offers what the lock says\n"));
    version.store(1, Ordering::SeqCst);
    let differs = run(&["topology", "diff", &topology]);
    assert_eq!(differs.code, Some(4), "{differs:?}");
    assert!(!differs.stdout.contains("math"), "{}", differs.stdout);
    for part in ["web:\n", "tool", "description", "inputSchema"] {
        assert!(differs.stdout.contains(part), "{part} in {}", differs.stdout);
    }
    let json: Value = serde_json::from_str(&run(&["topology", "diff", "--json", &topology]).stdout).expect("JSON");
    assert_eq!((&json["math"]["changes"], json["web"]["changes"].as_array().map(Vec::len)), (&json!([]), Some(2)));

    let web = &json["web"]["changes"][0];
    let expected = json!({
        "kind": "changed", "subject": "tool", "name": "tool", "path": "description",
        "old": "\"version 0\"", "new": "\"version 1\"",
    });
    assert_eq!(web, &expected);
    let line = "  ~ tool tool  description: \"version 0\" → \"version 1\"\n";
    assert!(differs.stdout.contains(line), "{}", differs.stdout);

    drop(server);
    let down = run(&["topology", "diff", &topology]);
    assert_eq!(down.code, Some(6));
    assert!(down.stderr.contains("backend `web` could not be reached"), "{}", down.stderr);
    assert_eq!(read(&lock), text, "comparing writes nothing");
}

#[test]
fn a_check_of_the_lock_writes_nothing_and_says_which_backend_differs() {
    let (directory, version) = (Directory::new(), Arc::<AtomicU8>::default());
    let server = versioned(Arc::clone(&version));
    let (topology, lock) = topology(&directory, &server.url());
    let check = || run(&["topology", "lock", "--check", &topology]);
    let missing = check();
    assert_eq!((missing.code, lock.exists()), (Some(4), false), "{missing:?}");
    assert!(missing.stderr.contains("some.lock.json` does not exist"), "{}", missing.stderr);

    assert_eq!(run(&["topology", "lock", &topology]).code, Some(0));
    let text = read(&lock);
    let same = check();
    assert_eq!((same.code, same.stderr.as_str()), (Some(0), ""));
    write(&lock, &text.replace("  ", "   "));
    let form = check();
    assert_eq!(form.code, Some(4));
    assert!(form.stderr.contains("says the same in another form"), "{}", form.stderr);
    write(&lock, &text.replace("127.0.0.1", "localhost"));
    let elsewhere = check();
    assert_eq!(elsewhere.code, Some(4));
    assert!(elsewhere.stderr.contains("it was reached by another command or URL"), "{}", elsewhere.stderr);
    write(&lock, &text);

    version.store(1, Ordering::SeqCst);
    let differs = check();
    assert_eq!(differs.code, Some(4));
    let expected = "error: backend `web` differs from the lock: ~ tool tool  description: ";
    assert!(differs.stderr.starts_with(expected) && differs.stderr.contains(", and 1 more"), "{}", differs.stderr);
    assert!(!differs.stderr.contains("`math`"), "{}", differs.stderr);

    drop(server);
    let down = check();
    assert_eq!(down.code, Some(6));
    assert!(down.stderr.contains("backend `web` could not be reached"), "{}", down.stderr);
    assert_eq!(read(&lock), text);
}

#[test]
fn a_backend_that_left_the_topology_is_a_difference() {
    let directory = Directory::new();
    let server = versioned(Arc::default());
    let (topology, _) = topology(&directory, &server.url());
    assert_eq!(run(&["topology", "lock", &topology]).code, Some(0));
    let text = std::fs::read_to_string(&topology).expect("the topology");
    write(&topology, text.split("  web:").next().expect("text"));
    let diff = run(&["topology", "diff", &topology]);
    assert_eq!((diff.code, diff.stdout.as_str()), (Some(4), "web: is in the lock, and no more in the topology\n"));
    let check = run(&["topology", "lock", "--check", &topology]);
    assert_eq!(check.code, Some(4));
    assert!(check.stderr.contains("backend `web` differs from the lock: the topology has it no more"), "{check:?}");
}

#[test]
fn endless_lists_are_not_followed_to_the_end() {
    let cursors: [fn(&str) -> String; 2] = [|_| "again".to_owned(), |cursor| format!("{cursor}x")];
    for (next, why) in
        cursors.into_iter().zip(["`tools/list` repeats a cursor", "`tools/list` has more than 100 pages"])
    {
        let directory = Directory::new();
        let server = Server::start(modern(move |request: &Received| {
            let cursor = request.body["params"]["cursor"].as_str().unwrap_or_default();
            let result = json!({ "resultType": "complete", "tools": [], "nextCursor": next(cursor) });
            vec![json_answer(200, &result_body(&request.id(), &result))]
        }));
        let (topology, lock) = topology(&directory, &server.url());
        let ran = run(&["topology", "lock", &topology]);
        assert_eq!(ran.code, Some(6));
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        assert!(read(&lock).contains("\"math\""), "the others are locked");
    }
}

#[test]
fn a_demo_server_serves_until_its_input_ends() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
    let command =
        command.args(["demo-server", "math"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = command.spawn().expect("the binary starts");
    drop(server.stdin.take());
    assert_eq!(server.wait().expect("it ended").code(), Some(0));
    let mut said = String::new();
    server.stdout.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!(said, "");
}
