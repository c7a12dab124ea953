//! Clients of the seven servers that answer: each calls one of them on a connection of its own, and notes what it takes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// Between two calls of a client.
const PAUSE: Duration = Duration::from_millis(2);
/// More than any call of the seven takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);
const SERVERS: usize = 7;
/// The metadata of a modern request.
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// What calls took, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    all: Vec<f64>,
}

/// The clients. They end when this is dropped.
pub(crate) struct Seven {
    taken: Receiver<anyhow::Result<f64>>,
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

// === impl Latencies ===

impl Latencies {
    pub(crate) fn extend(&mut self, others: Self) {
        self.all.extend(others.all);
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// That which so many per cent stay below.
    pub(crate) fn at(&mut self, percent: f64) -> f64 {
        self.all.sort_by(f64::total_cmp);
        let last = self.all.len().saturating_sub(1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is an index")]
        let index = (last as f64 * percent / 100.0).round() as usize;
        self.all.get(index).copied().unwrap_or_default()
    }
}

// === impl Seven ===

impl Seven {
    pub(crate) fn start(gateway: SocketAddr) -> Self {
        let (sender, taken) = sync_channel(100_000);
        let over = Arc::new(AtomicBool::new(false));
        let clients = (0..SERVERS).map(|server| {
            let (sender, over) = (sender.clone(), Arc::clone(&over));
            thread::spawn(move || {
                if let Err(error) = client(gateway, server, &sender, &over) {
                    sender.send(Err(error)).ok();
                }
            })
        });
        let clients = clients.collect();
        Self { taken, over, clients }
    }

    /// What calls take for so long. An error where one did not go well.
    pub(crate) fn during(&self, time: Duration) -> anyhow::Result<Latencies> {
        for taken in self.taken.try_iter() {
            taken?;
        }
        let (end, mut all) = (Instant::now() + time, Vec::new());
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(50));
            for taken in self.taken.try_iter() {
                all.push(taken?);
            }
        }
        Ok(Latencies { all })
    }
}

impl Drop for Seven {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().ok();
        }
    }
}

fn client(
    gateway: SocketAddr,
    server: usize,
    taken: &SyncSender<anyhow::Result<f64>>,
    over: &AtomicBool,
) -> anyhow::Result<()> {
    let mut stream = connect(gateway, PATIENCE)?;
    for number in 0_u64.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let request = call(&format!("good-{server}__add"), &format!(r#"{{"a":{number},"b":1}}"#), "keep-alive");
        let began = Instant::now();
        stream.write_all(request.as_bytes())?;
        let body = body(&mut stream)?;
        let took = began.elapsed().as_secs_f64() * 1e6;
        ensure!(body.contains(&format!(r#""text":"{}""#, number + 1)), "a call of the seven came to {body}");
        taken.try_send(Ok(took)).context("nobody takes what is measured")?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// A modern call.
pub(crate) fn call(tool: &str, arguments: &str, connection: &str) -> String {
    let params = format!(r#""name":"{tool}","arguments":{arguments},{META}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{params}}}}}"#);
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\n\
         Mcp-Name: {tool}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One request on a connection that ends with the answer: all of that.
pub(crate) fn ask(gateway: SocketAddr, request: &str, patience: Duration) -> anyhow::Result<String> {
    let mut stream = connect(gateway, patience)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8(answer)?)
}

fn connect(gateway: SocketAddr, patience: Duration) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(gateway)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    Ok(stream)
}

/// The body of an answer whose head says how long it is.
fn body(stream: &mut TcpStream) -> anyhow::Result<String> {
    let (mut read, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut part)?;
        ensure!(count > 0, "the connection ended");
        read.extend_from_slice(&part[..count]);
        let text = std::str::from_utf8(&read)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.context("an answer says how long it is")? {
            return Ok(body.to_owned());
        }
    }
}
