//! The gateway inside another program: `examples/embed.rs` as it runs, and what of the gateway is linked into it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use object::{Object as _, ObjectSymbol as _};
use only1mcp::Gateway;
use rustix::process::Signal;

use crate::support::client::{Client, Request};
use crate::support::gateways::Demo;
use crate::support::scripted::signal;

const GATEWAY: &str = env!("CARGO_BIN_EXE_only1mcp");

/// The example. `cargo test` builds it beside the gateway, `cargo test --test gateway` alone does not.
fn example() -> &'static Path {
    static EXAMPLE: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = Path::new(GATEWAY).with_file_name("examples").join("embed");
        if !path.is_file() {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--quiet", "--example", "embed"]).current_dir(env!("CARGO_MANIFEST_DIR"));
            assert!(build.status().expect("cargo starts").success());
        }
        path
    });
    &EXAMPLE
}

#[tokio::test]
async fn a_program_serves_on_its_own_socket_until_it_decides_to_stop() {
    let mut process = Command::new(example()).arg(GATEWAY).stdout(Stdio::piped()).spawn().expect("the example starts");
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says something");
    let address = line.trim().strip_prefix("listening  http://").and_then(|url| url.strip_suffix("/mcp"));
    let address: SocketAddr = address.and_then(|address| address.parse().ok()).expect(&line);
    let answer = Client::ask(address, &Request::call("math__add", r#"{"a":2,"b":40}"#)).await;
    assert!(answer.status == 200 && answer.text().contains(r#""text":"42""#), "{}", answer.text());
    signal(process.id(), Signal::INT);
    assert!(process.wait().expect("it ended").success());
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
    TcpListener::bind(address).expect("nobody holds the socket any more");
}

/// What is linked into a program, of these: each is part of the mangled name of everything in a module or crate.
fn linked(program: &Path) -> BTreeSet<&'static str> {
    let parts = ["8upstream5stdio", "8upstream15streamable_http", "6rustls"];
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
    let all = ["8upstream5stdio", "8upstream15streamable_http", "6rustls"];
    assert_eq!(linked(&std::env::current_exe().expect("it has a path")), all.into());
}
