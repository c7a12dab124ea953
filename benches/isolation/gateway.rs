//! The gateway that is measured, compiled from `topology.yaml` beside this file, the servers behind it, and what it holds.

use std::io::{BufRead as _, BufReader, PipeWriter, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use only1mcp::Running;
use socket2::SockRef;

use crate::client::ask;
use crate::process::{self, Process};

only1mcp::topology!(Isolated = "benches/isolation/topology.yaml");

/// The program, which has the demo servers.
const PROGRAM: &str = env!("CARGO_BIN_EXE_only1mcp");
/// Between two overlays.
const OVERLAY_EVERY: Duration = Duration::from_millis(20);

/// A gateway and the servers behind it.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    input: PipeWriter,
    process: Process,
    _servers: [Process; 2],
}

/// What a gateway holds at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holds {
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    pub(crate) under_way: usize,
}

/// The role: serves until its standard input ends, and has overlays come while that is asked for there.
pub(crate) fn serve() -> anyhow::Result<()> {
    process::end_with_parent()?;
    let gateway = only1mcp::Gateway::<Isolated>::builder().admin_address("127.0.0.1:0").start()?;
    let admin = gateway.admin_address().context("there is an admin listener")?;
    writeln!(std::io::stdout(), "{}\n{admin}", gateway.address())?;
    let coming = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let over = Arc::new(AtomicBool::new(false));
        let overlays = scope.spawn({
            let (gateway, coming, over) = (&gateway, Arc::clone(&coming), Arc::clone(&over));
            move || overlays(gateway, &coming, &over)
        });
        for line in std::io::stdin().lines().map_while(Result::ok) {
            coming.store(line == "overlays", Ordering::Relaxed);
        }
        over.store(true, Ordering::Relaxed);
        overlays.join().unwrap_or(Ok(()))
    })
}

/// Applies one overlay after the other while they are to come.
fn overlays(gateway: &Running, coming: &AtomicBool, over: &AtomicBool) -> anyhow::Result<()> {
    let texts =
        ["backends: { good-0: { timeout: 5s }, slow: { disabled: true } }", "backends: { good-1: { timeout: 9s } }"];
    for text in texts.into_iter().cycle() {
        thread::sleep(OVERLAY_EVERY);
        if over.load(Ordering::Relaxed) {
            break;
        }
        if coming.load(Ordering::Relaxed) {
            gateway.overlay().apply(text)?;
        }
    }
    Ok(())
}

// === impl Gateway ===

impl Gateway {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (math, good) = demo_server("math")?;
        let (admin, slow) = demo_server("admin")?;
        let (hole, reset) = (hole()?, reset()?);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("gateway").env("GOOD_URL", good).env("SLOW_URL", slow);
        command.env("HOLE_URL", format!("http://{hole}/mcp")).env("RESET_URL", format!("http://{reset}/mcp"));
        let (told, input) = std::io::pipe()?;
        let mut process = Process::spawn(command.stdin(told).stdout(Stdio::piped()).stderr(Stdio::null()))?;
        // With it goes the end that the role reads from.
        drop(command);
        let mut lines = BufReader::new(process.stdout()?).lines();
        let mut address = || anyhow::Ok(lines.next().context("it says where it listens")??.parse()?);
        let (address, admin_address) = (address()?, address()?);
        Ok(Self { address, admin: admin_address, input, process, _servers: [math, admin] })
    }

    /// Tells it something.
    pub(crate) fn say(&mut self, word: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.input, "{word}")?)
    }

    pub(crate) fn holds(&self) -> anyhow::Result<Holds> {
        let pid = self.process.id();
        let count = |what: &str| anyhow::Ok(std::fs::read_dir(format!("/proc/{pid}/{what}"))?.count());
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let metrics = ask(self.admin, request, Duration::from_secs(10))?;
        let under_way = metrics.lines().filter(|line| line.starts_with("only1mcp_upstream_calls_under_way{"));
        let under_way = under_way.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok()).sum();
        let resident_kib = process::resident_kib(&[pid])?;
        Ok(Holds { resident_kib, descriptors: count("fd")?, threads: count("task")?, under_way })
    }
}

/// A demo server, and its URL.
fn demo_server(kind: &str) -> anyhow::Result<(Process, String)> {
    let (said, says) = std::io::pipe()?;
    let mut command = Command::new(PROGRAM);
    let server = Process::spawn(command.args(["demo-server", kind, "--http", "127.0.0.1:0"]).stderr(says))?;
    drop(command);
    let mut line = String::new();
    let mut said = BufReader::new(said);
    said.read_line(&mut line)?;
    // What it goes on to say goes somewhere.
    thread::spawn(move || said.read_to_end(&mut Vec::new()));
    let url = line.trim().strip_prefix("listening ").context("the demo server says where it listens")?;
    Ok((server, url.to_owned()))
}

/// Accepts, and never answers.
fn hole() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Until the gateway has had enough.
            thread::spawn(move || {
                let mut stream = stream;
                std::io::copy(&mut stream, &mut std::io::sink()).ok();
            });
        }
    });
    Ok(address)
}

/// Resets whoever comes.
fn reset() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok();
        }
    });
    Ok(address)
}
