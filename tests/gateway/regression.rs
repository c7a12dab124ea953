//! One test for each bug that was found and fixed, where no topic's own tests would have shown it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use only1mcp::{Gateway, limits};
use rustix::process::Signal;

use crate::support::client::{Client, Event, META, PATIENCE, Request as Asked};
use crate::support::gateways;
use crate::support::recorder::{DONE, Post, Recorder, Wire};
use crate::support::scripted::{
    Outcome, Servers, assert_serves, call, eventually, signal, with_servers, with_servers_under,
};
use crate::support::server::{Request, Script, Server, Step, head, json_answer, last_chunk, legacy, modern, text_body};

only1mcp::topology!(Flooded = "tests/gateway/topologies/flooded.yaml");

/// The role in which this binary is a process of its own, whose memory is nobody else's.
const ROLE: &str = "FLOODED_GATEWAY";

fn echo(request: &Request) -> Script {
    vec![json_answer(200, &text_body(&request.id(), request.argument()))]
}

/// A process that is ended with the test.
struct Process(Child);

// === impl Process ===

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"))
    }

    fn has_ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("it can be waited for")
    }

    /// Its memory in RAM.
    fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it runs");
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.trim().parse::<usize>().ok()).expect("a size") << 10
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Most have ended before.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A keep-alive comment was written into the middle of an answer whose length was announced.
#[tokio::test]
async fn an_answer_of_known_length_is_not_interrupted_while_its_rest_is_waited_for() {
    const TEXT_BYTES: usize = 200_000;
    let text = "x".repeat(TEXT_BYTES);
    let own = text.clone();
    let good = Server::start(modern(move |request: &Request| {
        let body = text_body(&request.id(), if request.argument() == "next" { "next" } else { &own });
        let fields = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        let (first, rest) = body.split_at(body.len() / 2);
        let pause = if request.argument() == "next" { Duration::ZERO } else { limits::KEEP_ALIVE * 11 / 10 };
        vec![head(200, &fields), Step::Write(first.into()), Step::Pause(pause), Step::Write(rest.into())]
    }));
    let odd = Server::start(modern(echo));
    let gateway = with_servers(&odd, &good);
    let mut client = Client::connect(gateway.address()).await;
    client.write(&Asked::call("good__echo", r#"{"text":"long"}"#).bytes()).await;
    // The silence is the subject.
    tokio::time::sleep(limits::KEEP_ALIVE).await;
    let long = client.answer().await;
    assert!(long.field("content-length").is_some(), "it came in parts: {:?}", long.fields);
    assert!(Outcome::of(&long) == Outcome::Text(text), "{} bytes", long.body.len());
    // Nothing else lies between it and the next answer.
    let next = client.exchange(&Asked::call("good__echo", r#"{"text":"next"}"#)).await;
    assert_eq!(Outcome::of(&next), Outcome::Text("next".to_owned()));
}

/// The deadline of the backend went on while its answer was being written to a client that reads slowly.
#[tokio::test]
async fn the_deadline_of_a_backend_does_not_cut_the_answer_to_a_slow_client() {
    // More than the gateway's socket takes in, 4 MiB as Linux comes, while nobody reads.
    const TEXT_BYTES: usize = 5 << 20;
    let text = "x".repeat(TEXT_BYTES);
    // Made beforehand: what the test takes to write JSON is not the backend's time.
    let body = text_body("ID", &text);
    let odd = Server::start(modern(move |request: &Request| {
        let body = body.replacen("ID", &request.id(), 1);
        if request.name() == "whole" {
            return vec![json_answer(200, &body)];
        }
        let json = head(200, "content-type: application/json\r\ntransfer-encoding: chunked\r\n");
        let chunk = format!("{:x}\r\n{body}\r\n", body.len());
        vec![json, Step::Write(chunk.into()), last_chunk()]
    }));
    let good = Server::start(modern(echo));
    let gateway = with_servers_under("backends: { odd: { timeout: 4s } }", &odd, &good);
    let slow = |tool: &'static str| {
        let (address, text) = (gateway.address(), &text);
        async move {
            let mut client = Client::connect_narrow(address).await;
            client.write(&Asked::call(tool, r#"{"text":"x"}"#).bytes()).await;
            // Longer than the backend has.
            tokio::time::sleep(Duration::from_secs(6)).await;
            let answer = client.answer().await;
            let start = answer.text().chars().take(200).collect::<String>();
            assert!(
                Outcome::of(&answer) == Outcome::Text(text.clone()),
                "{tool}: {} bytes: {start}",
                answer.body.len()
            );
        }
    };
    tokio::join!(slow("odd__whole"), slow("odd__chunked"));
}

/// A worker that could not start left the others, and so the start, waiting for it for ever.
#[tokio::test]
async fn a_gateway_short_of_descriptors_serves_or_says_that_it_cannot_and_ends_when_told() {
    let limits = [9, 11, 13, 15, 16, 17, 18, 19, 21, 24];
    let mut served = Vec::new();
    for limit in limits {
        let script = format!("ulimit -n {limit}; exec \"$0\" start --port 0");
        let mut gateway = Process::start(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_only1mcp")]));
        let says_where = Arc::new(AtomicBool::new(false));
        let (stdout, said) = (gateway.0.stdout.take().expect("a pipe"), Arc::clone(&says_where));
        let reading = std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.filter(|line| line.starts_with("listening")).for_each(|_line| said.store(true, Ordering::SeqCst));
        });
        let settled = || gateway.has_ended().is_some() || says_where.load(Ordering::SeqCst);
        eventually(&format!("a start, or its end, with {limit} descriptors"), settled).await;
        if let Some(status) = gateway.has_ended() {
            assert!(!status.success(), "{limit}: {status}");
        } else {
            served.push(limit);
            signal(gateway.0.id(), Signal::TERM);
            eventually(&format!("the end with {limit} descriptors"), || gateway.has_ended().is_some()).await;
        }
        reading.join().expect("stdout ended with it");
    }
    assert!(served.len() < limits.len(), "none of the limits was too low");
}

/// Connections that waited to be accepted, and those without a request yet, were reset when the gateway stopped.
#[test]
fn whoever_was_connected_when_the_gateway_stops_is_answered() {
    const CLIENTS: usize = 16;
    const ROUNDS: usize = 10;
    let request = Asked::call("admin__echo", "{}").bytes();
    let upstream = Recorder::start();
    let mut in_time = 0;
    for round in 0..ROUNDS {
        let gateway = gateways::recorded(&upstream);
        let address = gateway.address();
        // These have asked already and may not even be accepted.
        let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(address)).collect();
        let mut late: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(address)).collect();
        for client in &mut clients {
            client.write_all(&request).expect("connected");
        }
        let began = Instant::now();
        let stopping = std::thread::spawn(move || gateway.stop());
        // These ask once nobody is accepted any more.
        while TcpStream::connect(address).is_ok() {}
        let written = late.iter_mut().all(|client| client.write_all(&request).is_ok());
        // A test that was not given the processor in time has shown nothing of these.
        if began.elapsed() < Duration::from_millis(50) {
            in_time += 1;
            assert!(written, "round {round}: they were reset");
            for client in late {
                let answer = rest(client);
                assert!(answer.contains(r#""text":"done""#), "round {round}: {answer:?}");
                assert!(answer.contains("\r\nconnection: close\r\n"), "round {round}: {answer:?}");
            }
        }
        for client in clients {
            let answer = rest(client);
            assert!(answer.contains(r#""text":"done""#), "round {round}: {answer:?}");
        }
        stopping.join().expect("it stops");
    }
    assert!(in_time > 0, "no round was in time");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// What comes until the end of the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let ended = stream.read_to_end(&mut text);
    format!("{}{}", String::from_utf8_lossy(&text), ended.map_or_else(|error| error.to_string(), |_| String::new()))
}

/// Many servers answer a session they do not know with 400 where the specification has 404: it was never begun anew.
#[tokio::test]
async fn a_session_refused_with_400_is_begun_anew_and_the_call_carried_once_more() {
    const UNKNOWN: &str = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"no valid session ID provided"}}"#;
    let sessions = Arc::new(AtomicUsize::new(0));
    let (begun, known) = (Arc::clone(&sessions), Arc::clone(&sessions));
    let session = move || format!("session-{}", begun.fetch_add(1, Ordering::SeqCst) + 1);
    let refusals = Arc::new(AtomicUsize::new(0));
    let refused = Arc::clone(&refusals);
    let odd = Server::start(legacy(session, move |request: &Request| {
        let current = format!("session-{}", known.load(Ordering::SeqCst));
        match (request.field("mcp-session-id"), request.name()) {
            (Some(session), "echo") if session == current => echo(request),
            (_, name) => {
                if name == "refused" {
                    refused.fetch_add(1, Ordering::SeqCst);
                }
                vec![json_answer(400, UNKNOWN)]
            }
        }
    }));
    let good = Server::start(modern(echo));
    // One worker, so that there is one session.
    let builder = Gateway::<Servers>::builder().workers(1).reference("ODD_URL", odd.url());
    let gateway = builder.reference("GOOD_URL", good.url()).start().expect("the gateway starts");
    let address = gateway.address();
    assert_eq!(call(address, "odd__echo", "first").await, Outcome::Text("first".to_owned()));
    // The server forgets it.
    sessions.fetch_add(1, Ordering::SeqCst);
    assert_eq!(call(address, "odd__echo", "second").await, Outcome::Text("second".to_owned()));
    assert_eq!(sessions.load(Ordering::SeqCst), 3);
    // An error that a new session does not settle is the call's own.
    assert_eq!(call(address, "odd__refused", "x").await, Outcome::Error(-32000));
    assert_eq!((refusals.load(Ordering::SeqCst), sessions.load(Ordering::SeqCst)), (2, 4));
    assert_serves(address, "odd").await;
}

/// What a child was answered piled up when it asked and did not read.
#[tokio::test]
async fn a_child_that_asks_without_end_and_does_not_read_costs_no_memory() {
    const GROWTH_BYTES_MAX: usize = 12 << 20;
    let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
    let command = command.args(["regression::flooded_gateway", "--exact", "--ignored", "--nocapture", "-q"]);
    let mut gateway = Process::start(command.env(ROLE, "1").stdin(Stdio::piped()));
    // Open to the end: the harness says how its test went.
    let mut lines = BufReader::new(gateway.0.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("serves ")?.parse().ok());
    let address = address.expect("it says where it serves");
    assert_serves(address, "good").await;
    let before = gateway.resident_bytes();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(call(address, "good__echo", "own").await, Outcome::Text("own".to_owned()));
    }
    let growth = gateway.resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes");
    drop(gateway.0.stdin.take());
    assert!(lines.any(|line| line.contains("1 passed")), "it stops as it should");
    eventually("the gateway's end", || gateway.has_ended().is_some()).await;
    assert!(gateway.has_ended().is_some_and(|status| status.success()));
}

#[test]
#[ignore = "a role of this binary: another test starts it as a process"]
fn flooded_gateway() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let program = std::env::current_exe().expect("this binary has a path");
    let gateway = Gateway::<Flooded>::builder().program(program).workers(2).start().expect("the gateway starts");
    // Past the harness, which leaves its own line open.
    write!(std::io::stdout(), "\nserves {}\n", gateway.address()).expect("the test reads");
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
    gateway.stop();
}

/// The type of a result was added to some answers of modern backends, by their length.
#[tokio::test]
async fn a_result_of_a_modern_backend_reaches_a_modern_client_as_it_was_written() {
    for text_bytes in [100, 200_000] {
        let result = format!(r#"{{ "content":[{{"text":"{}","type":"text"}}],"own" : 1.0 }}"#, "x".repeat(text_bytes));
        let written = result.clone();
        let upstream = Recorder::play(async move |_post: Post, wire: &mut Wire<'_>| wire.result(&written).await);
        let gateway = gateways::recorded(&upstream);
        let answer = Client::ask(gateway.address(), &Asked::call("admin__echo", "{}")).await;
        let expected = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        assert!(answer.text() == expected, "{text_bytes}: {} of {} bytes", answer.body.len(), expected.len());
    }
}

/// Of several lines only one counted. RFC 9110, 5.3: they are one list.
#[tokio::test]
async fn accept_may_be_written_in_two_lines() {
    let upstream = Recorder::play(async |post: Post, wire: &mut Wire<'_>| {
        let progress = format!(r#"{{"progressToken":{},"progress":1}}"#, post.id);
        wire.stream().await?;
        wire.event(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{progress}}}"#)).await?;
        let response = wire.response(DONE);
        wire.event(&response).await?;
        wire.end().await
    });
    let gateway = gateways::recorded(&upstream);
    let tracked = Asked::call("admin__echo", "{}").edit(META, &format!(r#"{META},"progressToken":1"#));
    let (json, stream) = ("application/json", "text/event-stream");
    for (first, second) in [(json, stream), (stream, json)] {
        let request = tracked.clone().with("Accept", first).field("Accept", second);
        let mut client = Client::connect(gateway.address()).await;
        client.write(&request.bytes()).await;
        let head = client.head().await;
        assert_eq!((head.status, head.field("content-type")), (200, Some(stream)), "{first}, {second}");
        assert!(matches!(client.event().await, Some(Event::Message(message)) if message.contains("progress")));
        let done = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{DONE}}}"#);
        assert_eq!(client.event().await, Some(Event::Message(done)));
    }
}
