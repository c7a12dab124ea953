//! Every way for clients to come, and every way to reach a server, in both eras on each side: each client does the same
//! things with each server, and loses none when it is started again.
//!
//! What is not in the tables: modern servers over HTTP+SSE, which is a transport of the legacy era (one that speaks both is
//! greeted in it), and what is particular to one transport, which has a topic of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use only1mcp::demo::Eras;
use only1mcp::{Builder, Gateway, Running};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::PATIENCE;
use crate::support::demo::{over_events, over_http, over_socket};
use crate::support::front::{self, Ask, Era, Front, Way};
use crate::support::scripted::{descendants_of, signal};

only1mcp::topology!(Matrix = "tests/gateway/topologies/matrix.yaml");

const BIN: &str = env!("CARGO_BIN_EXE_only1mcp");
/// The servers that run by themselves.
const SERVERS: [Served; 5] = [
    Served {
        backend: "http-legacy",
        variable: "HTTP_LEGACY_URL",
        url: |at| format!("http://{at}/mcp"),
        start: |at| {
            let serving = over_http(Eras::Legacy, at);
            (serving.address, Box::new(serving))
        },
    },
    Served {
        backend: "http-modern",
        variable: "HTTP_MODERN_URL",
        url: |at| format!("http://{at}/mcp"),
        start: |at| {
            let serving = over_http(Eras::Modern, at);
            (serving.address, Box::new(serving))
        },
    },
    Served {
        backend: "sse-legacy",
        variable: "SSE_LEGACY_URL",
        url: |at| format!("http://{at}/sse"),
        start: |at| {
            let server = over_events("legacy", at);
            (server.address(), Box::new(server))
        },
    },
    Served {
        backend: "socket-legacy",
        variable: "SOCKET_LEGACY_URL",
        url: |at| format!("ws://{at}/"),
        start: |at| {
            let serving = over_socket("legacy", at);
            (serving.address, Box::new(serving))
        },
    },
    Served {
        backend: "socket-modern",
        variable: "SOCKET_MODERN_URL",
        url: |at| format!("ws://{at}/"),
        start: |at| {
            let serving = over_socket("modern", at);
            (serving.address, Box::new(serving))
        },
    },
];
/// The servers that are children of the gateway.
const CHILDREN: [&str; 2] = ["stdio-legacy", "stdio-modern"];
/// All of them.
const BACKENDS: [&str; 7] = [
    CHILDREN[0],
    CHILDREN[1],
    SERVERS[0].backend,
    SERVERS[1].backend,
    SERVERS[2].backend,
    SERVERS[3].backend,
    SERVERS[4].backend,
];
/// One of each transport.
const LONG: [&str; 4] = ["stdio-modern", "http-legacy", "sse-legacy", "socket-modern"];

/// Starts a server at an address, whose port may be 0; it stops when what comes back is dropped.
type Start = fn(SocketAddr) -> (SocketAddr, Box<dyn Send>);

/// How a server runs by itself.
struct Served {
    backend: &'static str,
    /// Where the topology finds its URL.
    variable: &'static str,
    url: fn(SocketAddr) -> String,
    start: Start,
}

/// A server that runs by itself.
struct Upstream {
    backend: &'static str,
    variable: &'static str,
    url: String,
    address: SocketAddr,
    start: Start,
    /// Until it is stopped.
    serving: Option<Box<dyn Send>>,
}

/// A client, and what it is called where something goes wrong.
struct Client {
    name: String,
    era: Era,
    front: Front,
}

#[test]
#[ignore = "a role of this binary: another test starts it as a child"]
fn matrix_on_pipes() {
    if std::env::var_os("HTTP_LEGACY_URL").is_some() {
        Gateway::<Matrix>::builder().program(BIN).serve_stdio(None, std::future::pending()).expect("it serves");
    }
}

#[tokio::test]
async fn every_client_reaches_every_server() {
    let (gateway, upstreams) = started();
    for era in [Era::Modern, Era::Legacy] {
        for (at, (name, way)) in ways(&gateway, &upstreams).into_iter().enumerate() {
            let mut client = Client::open(name, way, era).await;
            for backend in BACKENDS {
                client.check(backend).await;
                // What is long takes its time without optimisation: each pair of transports has it once.
                if LONG.contains(&backend) && (era == Era::Modern) == at.is_multiple_of(2) {
                    client.gets_much(backend).await;
                }
            }
        }
    }
    // Behind a call that was given up, log messages on a channel that others share may be about that for a while.
    for era in [Era::Modern, Era::Legacy] {
        for (name, way) in ways(&gateway, &upstreams) {
            let mut client = Client::open(name, way, era).await;
            for backend in BACKENDS {
                client.cancels(backend).await;
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_is_started_again_is_found_by_every_client() {
    let (gateway, mut upstreams) = started();
    let mut clients = Vec::new();
    for era in [Era::Modern, Era::Legacy] {
        for (name, way) in ways(&gateway, &upstreams) {
            let mut client = Client::open(name, way, era).await;
            for backend in BACKENDS {
                client.calls(backend).await;
            }
            clients.push(client);
        }
    }
    for upstream in &mut upstreams {
        restart(upstream, &mut clients).await;
    }
    for backend in CHILDREN {
        kill(backend, &gateway, &mut clients).await;
    }
}

/// A gateway in front of all servers.
fn started() -> (Running, Vec<Upstream>) {
    let upstreams: Vec<Upstream> = SERVERS.map(Upstream::start).into();
    // One worker: what is counted at a server is counted on one connection.
    let builder = Gateway::<Matrix>::builder().program(BIN).workers(1);
    let given = |builder: Builder<_>, upstream: &Upstream| builder.reference(upstream.variable, &upstream.url);
    let gateway = upstreams.iter().fold(builder, given).start().expect("the gateway starts");
    (gateway, upstreams)
}

/// Every way for a client to come.
fn ways(gateway: &Running, upstreams: &[Upstream]) -> [(&'static str, Way); 5] {
    let urls = upstreams.iter().map(|upstream| (upstream.variable, upstream.url.clone()));
    front::ways(gateway, "matrix_on_pipes", urls)
}

// === impl Upstream ===

impl Upstream {
    fn start(Served { backend, variable, url, start }: Served) -> Self {
        let (address, serving) = start(([127, 0, 0, 1], 0).into());
        Self { backend, variable, url: url(address), address, start, serving: Some(serving) }
    }
}

/// A server goes and comes back: every client is told that nothing was sent meanwhile, and then served.
async fn restart(upstream: &mut Upstream, clients: &mut [Client]) {
    let backend = upstream.backend;
    drop(upstream.serving.take());
    let went = Instant::now();
    for client in clients.iter_mut() {
        let refused = client.call(backend, "echo", &json!({})).await;
        let data = &refused["error"]["data"];
        let found = (&refused["error"]["code"], &data["kind"], &data["sent"], &data["backend"]);
        let expected = (&json!(-32603), &json!("upstream_unavailable"), &json!(false), &json!(backend));
        assert_eq!(found, expected, "{}: {refused}", client.cell(backend));
    }
    upstream.serving = Some((upstream.start)(upstream.address).1);
    for client in clients {
        client.finds_again(backend, went, &["upstream_unavailable"]).await;
    }
}

/// The same with children, which come back by themselves.
async fn kill(backend: &str, gateway: &Running, clients: &mut [Client]) {
    let child = gateway.children().find(|child| child.backend() == backend).expect("a child");
    let of_gateway = child.vitals().pid.expect("it runs");
    let of_clients = clients.iter().filter_map(|client| client.front.process()).flat_map(descendants_of);
    let killed: Vec<_> = of_clients.filter(|pid| is_of(*pid, backend)).chain([of_gateway]).collect();
    // The gateway's, and those of two clients that have it in their process.
    assert_eq!(killed.len(), 3, "{killed:?}");
    let went = Instant::now();
    killed.into_iter().for_each(|pid| signal(pid, Signal::KILL));
    for client in clients {
        // The first call may come before the end is noticed.
        client.finds_again(backend, went, &["upstream_unavailable", "outcome_unknown"]).await;
    }
}

/// Whether a process is the child of this backend.
fn is_of(pid: u32, backend: &str) -> bool {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    backend.strip_prefix("stdio-").is_some_and(|era| line.split('\0').any(|argument| argument == era))
}

// === impl Client ===

impl Client {
    async fn open(name: &str, way: Way, era: Era) -> Self {
        Self { name: format!("{era:?} {name}"), era, front: Front::open(way, era).await }
    }

    /// Does everything with one backend that does not take long.
    async fn check(&mut self, backend: &str) {
        self.lists(backend).await;
        self.calls(backend).await;
        self.is_told_of_errors(backend).await;
        self.hears_progress(backend).await;
        self.hears_log(backend).await;
    }

    /// What stands in front of a complaint.
    fn cell(&self, backend: &str) -> String {
        format!("{} to {backend}", self.name)
    }

    async fn call(&mut self, backend: &str, tool: &str, arguments: &Value) -> Value {
        self.front.ask(Ask::call(1, &format!("{backend}__{tool}"), arguments)).await
    }

    /// The text that a tool returns. How far a result is complete is told to modern clients only.
    async fn text(&mut self, backend: &str, tool: &str, arguments: &Value) -> String {
        let answer = self.call(backend, tool, arguments).await;
        let complete = if self.era == Era::Modern { json!("complete") } else { Value::Null };
        assert_eq!(answer["result"]["resultType"], complete, "{}: {answer}", self.cell(backend));
        answer["result"]["content"][0]["text"].as_str().expect("a text").to_owned()
    }

    async fn lists(&mut self, backend: &str) {
        let cell = self.cell(backend);
        let mut names = Vec::new();
        let mut params = json!({});
        loop {
            let page = self.front.ask(Ask::new("list", "tools/list", params)).await;
            names.extend(page["result"]["tools"].as_array().expect(&cell).iter().map(|tool| tool["name"].clone()));
            match &page["result"]["nextCursor"] {
                Value::Null => break,
                cursor => params = json!({ "cursor": cursor }),
            }
        }
        let of = |name: &&Value| name.as_str().is_some_and(|name| name.starts_with(&format!("{backend}__")));
        let found: Vec<_> = names.iter().filter(of).map(|name| name.as_str().unwrap_or_default()).collect();
        let expected = ["echo", "gone", "log", "status", "wait"].map(|tool| format!("{backend}__{tool}"));
        assert_eq!(found, expected, "{cell}");
    }

    async fn calls(&mut self, backend: &str) {
        let cell = self.cell(backend);
        let arguments = json!({ "text": "hé\u{2028}\n\"q\"\\", "n": 1.0, "cell": cell });
        let echoed = self.text(backend, "echo", &arguments).await;
        assert_eq!(echoed, arguments.to_string(), "{cell}");
    }

    async fn is_told_of_errors(&mut self, backend: &str) {
        let cell = self.cell(backend);
        let failed = self.call(backend, "wait", &json!({ "milliseconds": -1 })).await;
        assert_eq!((&failed["result"]["isError"], &failed["error"]), (&json!(true), &Value::Null), "{cell}: {failed}");
        // From the backend, as it said it; and from the gateway.
        for (tool, message) in [("gone", "tool `gone` is not known"), ("nothing", "Unknown tool")] {
            let refused = self.call(backend, tool, &json!({})).await;
            let said = refused["error"]["message"].as_str().unwrap_or_default();
            assert!(refused["error"]["code"] == -32602 && said.contains(message), "{cell}: {refused}");
        }
    }

    /// Of two calls at once, each hears of its own steps, under its own token, before its own answer.
    async fn hears_progress(&mut self, backend: &str) {
        let cell = self.cell(backend);
        let tool = format!("{backend}__wait");
        let wait = |id: Value, steps: u32| Ask::call(id, &tool, &json!({ "milliseconds": 12 * steps, "steps": steps }));
        let asked = [(json!("a"), json!(7), 2), (json!(18_446_744_073_709_551_615_u64), json!("7"), 3)];
        let asks = asked.clone().map(|(id, token, steps)| wait(id, steps).tracked(token));
        let heard = self.front.ask_all(&asks).await;
        for (heard, (_, token, steps)) in heard.iter().zip(&asked) {
            let (answer, progress) = heard.split_last().expect("an answer");
            let params = |step: u32| {
                let message = format!("step {step} of {steps}");
                json!({ "progressToken": token, "progress": step, "total": steps, "message": message })
            };
            let found: Vec<_> = progress.iter().map(|message| message["params"].clone()).collect();
            assert_eq!(found, (1..=*steps).map(params).collect::<Vec<_>>(), "{cell}");
            assert_eq!(answer["result"]["structuredContent"]["steps"], *steps, "{cell}: {answer}");
        }
    }

    /// A backend logs as much as a client wants, which is more than it logs by itself.
    async fn hears_log(&mut self, backend: &str) {
        let cell = self.cell(backend);
        if self.era == Era::Legacy {
            let level = json!({ "level": "debug" });
            assert_eq!(
                self.front.ask(Ask::new("level", "logging/setLevel", level)).await["result"],
                json!({}),
                "{cell}"
            );
        }
        let ask = |level: &str| {
            let arguments = json!({ "level": level, "message": cell });
            Ask::call(level, &format!("{backend}__log"), &arguments).logged("debug")
        };
        for level in ["debug", "error"] {
            let heard = self.front.ask_all(&[ask(level)]).await.remove(0);
            let params = json!({ "level": level, "logger": "demo", "data": cell });
            assert_eq!((heard.len(), &heard[0]["params"]), (2, &params), "{heard:?}");
        }
    }

    /// The backend stops what a client has cancelled, and the client hears no more of it.
    async fn cancels(&mut self, backend: &str) {
        let cell = self.cell(backend);
        let before = self.status(backend).await;
        let count = |status: &Value, name: &str| status[name].as_u64().expect("a number");
        let long = json!({ "milliseconds": 60_000, "steps": 1000 });
        let ask = Ask::call("long", &format!("{backend}__wait"), &long).tracked("long");
        let (begun, first) = self.front.begin(ask).await;
        assert_eq!(first["params"]["progressToken"], "long", "{cell}: {first}");
        let running = count(&before, "calls_running");
        self.front.cancel(begun).await;
        let began = Instant::now();
        loop {
            let now = self.status(backend).await;
            if count(&now, "calls_cancelled") == count(&before, "calls_cancelled") + 1 {
                break assert_eq!(count(&now, "calls_running"), running, "{cell}: {now}");
            }
            assert!(began.elapsed() < PATIENCE, "{cell}: it was not cancelled: {now}");
        }
    }

    /// A call of four megabytes, and an answer of five: quotes are twice as long in it.
    async fn gets_much(&mut self, backend: &str) {
        let cell = self.cell(backend);
        let arguments = json!({ "text": "\"".repeat(410_000) + &"x".repeat(3_370_000) });
        let answer = self.text(backend, "echo", &arguments).await;
        let expected = arguments.to_string();
        assert!(answer == expected, "{cell}: {} bytes", answer.len());
    }

    async fn status(&mut self, backend: &str) -> Value {
        self.call(backend, "status", &json!({})).await["result"]["structuredContent"].take()
    }

    /// Asks until a server answers that was not there before. On the way it is told of nothing but these.
    async fn finds_again(&mut self, backend: &str, went: Instant, told: &[&str]) {
        loop {
            let answer = self.call(backend, "status", &json!({})).await;
            if let Some(uptime_ms) = answer["result"]["structuredContent"]["uptime_ms"].as_u64() {
                let before = went.elapsed() < Duration::from_millis(uptime_ms);
                return assert!(!before, "{}: it never went: {answer}", self.cell(backend));
            }
            let kind = answer["error"]["data"]["kind"].as_str().unwrap_or_default();
            assert!(told.contains(&kind), "{}: {answer}", self.cell(backend));
            assert!(went.elapsed() < 2 * PATIENCE, "{}: it is not found: {answer}", self.cell(backend));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
