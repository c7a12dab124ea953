//! The gateway inside another program: `examples/embed.rs` as it runs, and what of the gateway is linked into it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use object::{Object as _, ObjectSymbol as _};
use only1mcp::Gateway;
use rustix::process::Signal;

use crate::support::client::{Client, Request};
use crate::support::gateways::Demo;
use crate::support::scripted::signal;
use crate::support::serving::bind;

const GATEWAY: &str = env!("CARGO_BIN_EXE_only1mcp");

const ALL_BUT_AMENDMENTS: &str =
    "transport-stdio,transport-http,transport-sse,transport-ws,websocket,http2,tls,authoring,demo,admin";

/// The example as the tree has it: `cargo test --test gateway` alone builds none, and may find that of an earlier tree.
fn example() -> &'static Path {
    static EXAMPLE: LazyLock<PathBuf> = LazyLock::new(|| {
        let profile = Path::new(GATEWAY).parent().expect("a directory for each profile");
        let directory = profile.parent().expect("the target directory");
        let profile = match profile.file_name().and_then(|name| name.to_str()).expect("text") {
            "debug" => "dev",
            profile => profile,
        };
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "embed", "--message-format", "json", "--profile", profile]);
        // Overlays that add backends reach them over any transport.
        build.args(["--no-default-features", "--features", ALL_BUT_AMENDMENTS]);
        build.arg("--target-dir").arg(directory).current_dir(env!("CARGO_MANIFEST_DIR"));
        // What cargo says to tests: build scripts that watch it would find it changed, and dependencies be built anew.
        let of_cargo =
            |name: &str| name == "OUT_DIR" || name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_");
        let said = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| of_cargo(name));
        for name in said {
            build.env_remove(name);
        }
        let built = build.stderr(Stdio::inherit()).output().expect("cargo starts");
        assert!(built.status.success());
        let messages = String::from_utf8(built.stdout).expect("text");
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut executables = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
        executables.next().expect("cargo says what it built")
    });
    &EXAMPLE
}

/// Killed when dropped: whoever waits for the output of a test that failed waits for its processes too.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone where the test ended it.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn a_program_serves_on_its_own_socket_until_it_decides_to_stop() {
    let mut program = Command::new(example());
    let mut process = Process(program.arg(GATEWAY).stdout(Stdio::piped()).spawn().expect("the example starts"));
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says something");
    let address = line.trim().strip_prefix("listening  http://").and_then(|url| url.strip_suffix("/mcp"));
    let address: SocketAddr = address.and_then(|address| address.parse().ok()).expect(&line);
    let answer = Client::ask(address, &Request::call("math__add", r#"{"a":2,"b":40}"#)).await;
    assert!(answer.status == 200 && answer.text().contains(r#""text":"42""#), "{}", answer.text());
    signal(process.0.id(), Signal::INT);
    assert!(process.0.wait().expect("it ended").success());
}

#[tokio::test]
async fn the_workers_share_a_socket_that_is_handed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let gateway = Gateway::<Demo>::builder().program(GATEWAY).workers(3).listener(listener).start();
    let gateway = gateway.expect("the gateway starts");
    assert_eq!(gateway.address(), address);
    for _ in 0..20 {
        // A connection each, under the name that its address gives the gateway.
        let answer = Client::ask(address, &Request::modern("tools/list", None, "")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    gateway.stop();
    // Nobody holds the socket any more.
    drop(bind(address).await);
}

/// What is linked into a program, of these: each is part of the mangled name of everything in a module or crate.
fn linked(program: &Path) -> BTreeSet<&'static str> {
    let parts = ["8upstream5stdio", "8upstream15streamable_http", "8upstream9websocket", "6rustls"];
    let bytes = fs::read(program).expect("the program is there");
    let program = object::File::parse(&*bytes).expect("it is an executable");
    let names: Vec<&str> = program.symbols().filter_map(|symbol| symbol.name().ok()).collect();
    assert!(names.len() > 1000, "{} symbols: stripped?", names.len());
    parts.into_iter().filter(|part| names.iter().any(|name| name.contains(part))).collect()
}

#[test]
fn a_transport_that_the_topology_does_not_use_is_not_linked() {
    // The example knows one topology, whose backends are all children; every transport is compiled.
    assert_eq!(linked(example()), ["8upstream5stdio"].into());
    // Of this very program the same question has another answer: it has topologies of every kind.
    let all = ["8upstream5stdio", "8upstream15streamable_http", "8upstream9websocket", "6rustls"];
    assert_eq!(linked(&std::env::current_exe().expect("it has a path")), all.into());
}
