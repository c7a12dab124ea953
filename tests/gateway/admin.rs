//! The admin listener: what it tells and counts, who may ask it, and how little it takes to refuse.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use only1mcp::upstream::Kind;
use only1mcp::{Gateway, Running, StartError};

use crate::command_line::Started;
use crate::legacy;
use crate::peers::skipped;
use crate::support::client::{Answer, Client, Request, within};
use crate::support::gateways::Demo;
use crate::support::held::Held;
use crate::support::program::run;
use crate::support::scripted::{Outcome, Servers, call};
use crate::support::server::{Server, Step, json_answer, modern, text_body};

only1mcp::topology!(Guarded = "tests/gateway/topologies/admin.yaml");

const SYSTEM: &str = "GET /api/v1/admin/system HTTP/1.1";
const METRICS: &str = "GET /metrics HTTP/1.1";

fn get(line: &str) -> Request {
    Request::bare(line).with("Host", "localhost")
}

/// A gateway with an admin listener; its backends are not called.
fn gateway() -> (Running, SocketAddr) {
    let builder = Gateway::<Demo>::builder().address("127.0.0.1:0").program(env!("CARGO_BIN_EXE_only1mcp"));
    let gateway = builder.workers(1).admin_address("127.0.0.1:0").start().expect("the gateway starts");
    let admin = gateway.admin_address().expect("there is an admin listener");
    (gateway, admin)
}

fn guarded(address: &str, token: &str) -> Result<Running, StartError> {
    let builder = Gateway::<Guarded>::builder().program(env!("CARGO_BIN_EXE_only1mcp")).workers(1);
    builder.reference("ADMIN_ADDRESS", address).reference("ADMIN_TOKEN", token).start()
}

/// Every sample by its name and labels.
pub(crate) async fn samples(admin: SocketAddr) -> BTreeMap<String, f64> {
    let answer = Client::ask(admin, &get(METRICS)).await;
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
    let text = answer.text();
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    });
    samples.collect()
}

fn kind(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["kind"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_digests_told_are_those_the_program_prints() {
    let printed = run(&["--version", "--verbose"]).stdout;
    let mut gateway = Started::with(&["--port", "0", "--admin-port", "0"]);
    let admin = gateway.admin_address();
    let system = Client::ask(admin, &get(SYSTEM)).await.json();
    let told = |path: &str| system.pointer(path).and_then(|value| value.as_str()).expect(path).to_owned();
    let (topology, lock) = (told("/topology/digest"), told("/lock/digest"));
    let lines: Vec<String> =
        printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        format!("only1mcp {}", told("/version")),
        format!("topology {} {topology}", told("/topology/name")),
        format!("lock {lock}"),
        format!("backends {}", system["backends"]),
        format!("tools {}", system["tools"]),
    ] {
        assert!(lines.contains(&line), "{line} in {printed}");
    }
    assert_eq!(told("/listeners/admin"), format!("http://{admin}"));
    let samples = samples(admin).await;
    let build = samples.keys().find(|name| name.starts_with("only1mcp_build_info")).expect("it says what it is");
    for label in [format!("topology_digest=\"{topology}\""), format!("lock_digest=\"{lock}\"")] {
        assert!(build.contains(&label), "{label} in {build}");
    }
}

#[tokio::test]
async fn calls_and_connections_are_counted_as_they_happen() {
    let odd = Server::start(modern(|_| vec![Step::Close]));
    let good = Server::start(modern(|request| vec![json_answer(200, &text_body(&request.id(), request.argument()))]));
    let builder = Gateway::<Servers>::builder().workers(2).admin_address("127.0.0.1:0");
    let builder = builder.reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url());
    let gateway = builder.start().expect("the gateway starts");
    let admin = gateway.admin_address().expect("there is an admin listener");
    let count = |samples: &BTreeMap<String, f64>, name: &str| samples.get(name).copied();
    let answered = "only1mcp_calls_total{backend=\"good\",outcome=\"answered\"}";
    let failed = "only1mcp_calls_total{backend=\"odd\",outcome=\"outcome_unknown\"}";
    let durations = "only1mcp_call_duration_seconds_count{backend=\"good\"}";
    let connections = "only1mcp_client_connections_total";

    let before = samples(admin).await;
    assert_eq!(
        [answered, failed, durations, connections].map(|name| count(&before, name)),
        [Some(0.0), Some(0.0), Some(0.0), Some(0.0)]
    );
    let series = before.keys().filter(|name| name.starts_with("only1mcp_calls_total{backend=\"odd\"")).count();
    assert_eq!(series, 1 + Kind::ALL.len(), "every outcome there is has a series before anything happened");
    for _ in 0..3 {
        assert_eq!(call(gateway.address(), "good__echo", "x").await, Outcome::Text("x".to_owned()));
    }
    assert_eq!(call(gateway.address(), "odd__echo", "x").await, Outcome::failed("outcome_unknown", true));
    let open = Client::connect(gateway.address()).await;
    // Accepted by a worker, and not only by the kernel, once a call on a later connection is answered.
    let after = within("the connection is counted", async {
        loop {
            let now = samples(admin).await;
            if count(&now, connections) == Some(5.0) && count(&now, "only1mcp_client_connections_open") == Some(1.0) {
                break now;
            }
        }
    })
    .await;
    assert_eq!([answered, failed, durations].map(|name| count(&after, name)), [Some(3.0), Some(1.0), Some(3.0)]);
    let within_a_minute = count(&after, "only1mcp_call_duration_seconds_bucket{backend=\"good\",le=\"60\"}");
    assert_eq!(within_a_minute, Some(3.0));
    assert!(count(&after, "only1mcp_call_duration_seconds_sum{backend=\"good\"}").is_some_and(|sum| sum > 0.0));
    drop(open);
    within("the connection is let go", async {
        while count(&samples(admin).await, "only1mcp_client_connections_open") != Some(0.0) {}
    })
    .await;
}

#[tokio::test]
async fn a_call_is_answered_by_its_backend_whether_or_not_its_client_stays() {
    let mut held = Held::start();
    let builder = Gateway::<Servers>::builder().workers(1).admin_address("127.0.0.1:0");
    let builder = builder.reference("ODD_URL", held.recorder.url()).reference("GOOD_URL", held.recorder.url());
    let gateway = builder.start().expect("the gateway starts");
    let admin = gateway.admin_address().expect("there is an admin listener");
    let session = legacy::session(gateway.address()).await;
    let body = legacy::message("tools/call", r#"{"name":"good__echo","arguments":{}}"#);
    // A legacy client that leaves has not cancelled; a modern one has, and there is no answer.
    for (turn, request) in [Request::legacy(&session, body), Request::call("good__echo", "{}")].into_iter().enumerate()
    {
        let mut leaving = Client::connect(gateway.address()).await;
        leaving.write(&request.bytes()).await;
        held.recorder.post().await;
        drop(leaving);
        held.release(1 - turn);
        let counts = within("the end of the call", async {
            loop {
                let now = samples(admin).await;
                let counts = ["answered", "client_gone"].map(|outcome| {
                    now.get(&format!("only1mcp_calls_total{{backend=\"good\",outcome=\"{outcome}\"}}")).copied()
                });
                if counts.iter().flatten().sum::<f64>() > turn as f64 {
                    break counts;
                }
            }
        })
        .await;
        assert_eq!(counts, [Some(1.0), Some([0.0, 1.0][turn])]);
    }
}

#[tokio::test]
async fn only_what_is_there_is_served_and_only_to_read() {
    let (_gateway, admin) = gateway();
    for (line, expected) in [
        ("GET / HTTP/1.1", (404, "not_found")),
        ("GET /api/v1/admin/system/ HTTP/1.1", (404, "not_found")),
        ("GET /api/v1/admin/../admin/system HTTP/1.1", (404, "not_found")),
        ("POST /nothing HTTP/1.1", (404, "not_found")),
        ("POST /api/v1/admin/system HTTP/1.1", (405, "method_not_allowed")),
        ("DELETE /metrics HTTP/1.1", (405, "method_not_allowed")),
        ("GET http://evil.example/metrics HTTP/1.1", (400, "invalid_request")),
    ] {
        let answer = Client::ask(admin, &get(line)).await;
        assert_eq!(kind(&answer), (expected.0, expected.1.to_owned()), "{line}");
        assert_eq!(answer.field("allow"), (answer.status == 405).then_some("GET, HEAD"), "{line}");
    }
    assert_eq!(Client::ask(admin, &get("GET /metrics?x=1 HTTP/1.1")).await.status, 200);
    let with_body = get(METRICS).field("Content-Length", "1000000000");
    assert_eq!(kind(&Client::ask(admin, &with_body).await), (413, "payload_too_large".to_owned()));
    let long = get(METRICS).field("X-Long", "x".repeat(20 << 10));
    assert_eq!(Client::ask(admin, &long).await.status, 431);
}

#[tokio::test]
async fn pages_and_names_of_others_are_refused() {
    let (_gateway, admin) = gateway();
    for (request, status) in [
        (get(SYSTEM), 200),
        (get(SYSTEM).with("Host", admin.to_string()), 200),
        (get(SYSTEM).with("Host", "evil.example"), 403),
        (get(SYSTEM).with("Host", "evil.example").field("Authorization", "Bearer x"), 403),
        (get(METRICS).field("Origin", "https://evil.example"), 403),
        (get(METRICS).field("Sec-Fetch-Site", "cross-site"), 403),
        (get(METRICS).field("Host", "localhost"), 400),
        (get(METRICS).without("Host"), 400),
    ] {
        let answer = Client::ask(admin, &request).await;
        assert_eq!(answer.status, status, "{request:?}: {}", answer.text());
    }
}

/// This machine's own address in its network, where it has one: no packet is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[tokio::test]
async fn other_machines_need_the_token() {
    let gateway = guarded("0.0.0.0:0", "a-long-token").expect("the gateway starts");
    let port = gateway.admin_address().expect("there is an admin listener").port();
    let local = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(Client::ask(local, &get(SYSTEM)).await.status, 200);
    let Some(ip) = own_address() else { return skipped("the machine has no address of its own") };
    let request = get(METRICS).with("Host", "gateway.example.com");
    for (request, status) in [
        (request.clone(), 401),
        (request.clone().field("Authorization", "Bearer a-long-tokem"), 401),
        (request.clone().field("Authorization", "Bearer a-long-token"), 200),
        (request.with("Host", ip.to_string()).field("Authorization", "Bearer a-long-token"), 403),
    ] {
        let answer = Client::ask(SocketAddr::new(ip, port), &request).await;
        assert_eq!(answer.status, status, "{request:?}");
        let challenge = (status == 401).then_some("Bearer realm=\"only1mcp\"");
        assert_eq!(answer.field("www-authenticate"), challenge);
    }
}

#[test]
fn an_open_listener_does_not_start_without_a_token() {
    let open = Gateway::<Demo>::builder().address("127.0.0.1:0").admin_address("0.0.0.0:0").start();
    assert!(matches!(open, Err(StartError::OpenAdmin(_))), "{open:?}");
    for token in ["", "a token"] {
        let refused = guarded("127.0.0.1:0", token);
        assert!(matches!(refused, Err(StartError::AdminTokenForm)), "{refused:?}");
    }
    let refused = guarded("nowhere", "a-long-token").expect_err("no port").to_string();
    assert_eq!(refused, "admin address `nowhere` is not `host:port`");
    let refused = Gateway::<Guarded>::builder().start().expect_err("no address").to_string();
    assert_eq!(refused, "admin address does not resolve");
    let refused = Gateway::<Demo>::builder().address("nowhere").start().expect_err("no port").to_string();
    assert_eq!(refused, "MCP address `nowhere` is not `host:port`");
    let unset = Gateway::<Guarded>::builder().reference("ADMIN_ADDRESS", "127.0.0.1:0").start();
    assert!(matches!(unset, Err(StartError::AdminToken(_))), "{unset:?}");
}

#[tokio::test]
async fn two_listeners_on_one_port_do_not_start() {
    let (_gateway, admin) = gateway();
    let second = Gateway::<Demo>::builder().address("127.0.0.1:0").admin_address(admin.to_string()).start();
    assert!(matches!(second, Err(StartError::Listen { address, .. }) if address == admin), "{second:?}");
}

#[tokio::test]
async fn it_stops_with_the_gateway_although_connections_are_open() {
    let (gateway, admin) = gateway();
    let mut idle = Client::connect(admin).await;
    let mut used = Client::connect(admin).await;
    assert_eq!(used.exchange(&get(SYSTEM)).await.status, 200);
    // Half a request keeps nothing from ending either.
    idle.write(b"GET /metrics HTTP/1.1\r\n").await;
    let began = std::time::Instant::now();
    within("the gateway stops", tokio::task::spawn_blocking(|| gateway.stop())).await.expect("it stopped");
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert!(std::net::TcpStream::connect(admin).is_err());
}
