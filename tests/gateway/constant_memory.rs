//! What streams and long answers take of memory, whoever reads them and however slowly: next to nothing. The gateway is a
//! process of its own here, so that its memory can be read. What comes out of a stream is tested in `streams`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use only1mcp::Gateway;
use tokio::sync::mpsc;

use crate::legacy_sse_client::Stream;
use crate::stdio_client;
use crate::support::client::{Client, Event, META, PATIENCE, Request, within};
use crate::support::gateways::Recorded;
use crate::support::ledger::{Directory, Ledger};
use crate::support::recorder::{DONE, Post, Recorder, Wire};
use crate::support::scripted::{Children, Servers, eventually};
use crate::support::socket::SocketClient;

/// How much one call streams, unless this variable says it: `1024` for a gigabyte.
const STREAM_MIB: (&str, usize) = ("ONLY1MCP_STREAM_MIB", 64);
const EVENT_BYTES: usize = 64 << 10;
/// What a gateway may take beyond what it has when it is idle; far less than what is streamed.
const EXTRA_KIB_MAX: usize = 32 << 10;
/// What may be on its way to somebody who does not read: sockets hold it, on both sides of the gateway.
const AHEAD_BYTES_MAX: usize = 48 << 20;

/// A gateway, as a process.
pub(crate) struct Process {
    child: Child,
    /// The harness says after a minute that it still runs: with nobody there to read that, it would end.
    _said: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    /// Its peak when it was idle.
    idle_kib: usize,
}

/// A client that reads a stream when it is told to.
enum Reader {
    Http(Client),
    Events(Stream),
    Socket(SocketClient),
}

#[test]
#[ignore = "a role of this binary: other tests start it as a child"]
fn gateway_of_its_own() {
    let Ok(topology) = std::env::var("GATEWAY_TOPOLOGY") else { return };
    let gateway = match &*topology {
        "recorded" => Gateway::<Recorded>::builder().workers(2).start(),
        "servers" => Gateway::<Servers>::builder().workers(1).start(),
        _ => Gateway::<Children>::builder().workers(2).start(),
    };
    let gateway = gateway.expect("the gateway starts");
    writeln!(std::io::stdout(), "listening {}", gateway.address()).expect("a pipe");
    // The end of stdin is that of the test.
    std::io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
}

// === impl Process ===

impl Process {
    pub(crate) fn start(topology: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
        command.args(["gateway_of_its_own", "--ignored", "--nocapture", "-q"]);
        command.env("GATEWAY_TOPOLOGY", topology).envs(variables.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut lines = said.by_ref().lines().map(|line| line.expect("it has not ended"));
        let address = lines.find_map(|line| line.strip_prefix("listening ")?.parse().ok()).expect("it says where");
        let mut process = Self { child, _said: said, address, idle_kib: 0 };
        process.idle_kib = process.peak_kib();
        process
    }

    /// The most resident memory that it ever had.
    fn peak_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    fn assert_has_grown_little(&self, what: &str) {
        let grown = self.peak_kib() - self.idle_kib;
        assert!(grown <= EXTRA_KIB_MAX, "{what}: {grown} KiB more than when it was idle");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

// === impl Reader ===

impl Reader {
    /// Calls a tool and wants progress.
    async fn call(mut self, tool: &str) -> Self {
        let request = Request::call(tool, r#"{"text":"x"}"#).edit(META, &format!(r#"{META},"progressToken":1"#));
        let params = format!(r#"{{"name":"{tool}","arguments":{{"text":"x"}},"_meta":{{{META},"progressToken":1}}}}"#);
        let message = stdio_client::request("1", "tools/call", &params);
        match &mut self {
            Self::Http(client) => {
                client.write(&request.bytes()).await;
                assert_eq!(client.head().await.field("content-type"), Some("text/event-stream"));
            }
            Self::Events(stream) => stream.say(&message).await,
            Self::Socket(socket) => socket.say(message).await,
        }
        self
    }

    /// How many messages of progress come before the answer.
    async fn progress(&mut self) -> usize {
        let mut count = 0;
        loop {
            let event = match self {
                Self::Http(client) => client.event().await,
                Self::Events(stream) => stream.events.event().await,
                Self::Socket(socket) => Some(Event::Message(socket.hear_text().await)),
            };
            match event {
                Some(Event::Comment(_)) => {}
                Some(Event::Message(message)) if message.contains("notifications/progress") => count += 1,
                Some(Event::Message(message)) if message.contains(r#""result""#) => return count,
                other => unreachable!("no message of the call: {other:?}"),
            }
        }
    }
}

fn progress(token: &str, bytes: usize) -> String {
    let params = format!(r#"{{"progressToken":{token},"progress":1,"message":"{}"}}"#, "x".repeat(bytes));
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#)
}

/// Writes; says so once that takes long, because it is held back.
async fn patiently<T>(held_back: &mpsc::Sender<()>, writing: impl Future<Output = T>) -> T {
    let mut writing = std::pin::pin!(writing);
    match tokio::time::timeout(Duration::from_secs(1), &mut writing).await {
        Ok(written) => written,
        Err(_elapsed) => {
            held_back.try_send(()).unwrap_or_default();
            writing.await
        }
    }
}

#[tokio::test]
async fn a_stream_passes_in_constant_memory_and_one_that_nobody_reads_is_held_back() {
    let (variable, default) = STREAM_MIB;
    let mib = std::env::var(variable).map_or(default, |mib| mib.parse().expect("a number"));
    let events = (mib << 20) / EVENT_BYTES;
    let (tell, mut told) = mpsc::channel(1);
    let sent = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&sent);
    let upstream = Recorder::play(async move |post: Post, wire: &mut Wire<'_>| {
        let event = progress(&post.id, EVENT_BYTES);
        counter.store(0, Ordering::SeqCst);
        wire.stream().await?;
        for _ in 0..events {
            patiently(&tell, wire.event(&event)).await?;
            counter.fetch_add(EVENT_BYTES, Ordering::SeqCst);
        }
        let response = wire.response(DONE);
        wire.event(&response).await?;
        wire.end().await
    });
    let url = upstream.url();
    let gateway = Process::start("recorded", &[("ADMIN_URL", &url), ("DATA_URL", &url)]);
    let address = gateway.address;
    for what in ["HTTP", "HTTP+SSE", "WebSocket"] {
        // Begun only now: a client that says nothing while another one's turn lasts is let go.
        let reader = match what {
            "HTTP" => Reader::Http(Client::connect(address).await),
            "HTTP+SSE" => Reader::Events(Stream::open(address).await),
            _ => Reader::Socket(SocketClient::connect(address, "/ws").await),
        };
        // What was said of the one before: it may have been held back more than once.
        while told.try_recv().is_ok() {}
        let mut reader = reader.call("admin__echo").await;
        // Until then it goes on as fast as an unoptimised gateway scans.
        tokio::time::timeout(4 * PATIENCE, told.recv()).await.expect(what);
        let ahead = sent.load(Ordering::SeqCst);
        assert!(ahead < AHEAD_BYTES_MAX, "{what}: {ahead} bytes went on to nobody");
        gateway.assert_has_grown_little(what);
        // Others are served meanwhile, and nothing is lost of what was held back.
        assert_eq!(Client::ask(address, &Request::modern("tools/list", None, "")).await.status, 200);
        assert_eq!(reader.progress().await, events, "{what}");
        gateway.assert_has_grown_little(what);
    }
}

#[tokio::test]
async fn long_answers_that_nobody_reads_are_not_held() {
    const CLIENTS: usize = 8;
    // Held, they would take more than a hundred megabytes.
    let long =
        format!(r#"{{"resultType":"complete","content":[{{"type":"text","text":"{}"}}]}}"#, "x".repeat(15 << 20));
    let (tell, mut told) = mpsc::channel(CLIENTS);
    let upstream =
        Recorder::play(async move |_post: Post, wire: &mut Wire<'_>| patiently(&tell, wire.result(&long)).await);
    let url = upstream.url();
    let gateway = Process::start("recorded", &[("ADMIN_URL", &url), ("DATA_URL", &url)]);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Client::connect_narrow(gateway.address).await;
        client.write(&Request::call("admin__echo", "{}").bytes()).await;
        clients.push(client);
    }
    for _ in 0..CLIENTS {
        within("the backend to be held back", told.recv()).await;
    }
    gateway.assert_has_grown_little("answers");
}

/// Nothing can hold back a child that many share: what one client does not read is dropped, but for its answer.
#[tokio::test]
async fn progress_that_nobody_reads_is_dropped_before_it_piles_up() {
    let directory = Directory::new();
    let ledger = Ledger::at(directory.path("ledger"));
    let gateway = Process::start("children", &[("CHILD_START", "plain"), ("CHILD_LEDGER", ledger.path())]);
    let client = Reader::Http(Client::connect_narrow(gateway.address).await);
    let mut client = client.call("odd__floods_progress").await;
    eventually("the end of the flood", || !ledger.after("flooded").is_empty()).await;
    let sent: usize = ledger.after("flooded")[0].parse().expect("a count");
    let echo = Client::ask(gateway.address, &Request::call("good__echo", r#"{"text":"x"}"#)).await;
    assert_eq!(echo.json()["result"]["content"][0]["text"], "x");
    gateway.assert_has_grown_little("progress");
    let heard = client.progress().await;
    assert!((1..sent).contains(&heard), "{heard} of {sent}");
}
