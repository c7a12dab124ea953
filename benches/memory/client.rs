//! Clients that do one thing and then stay.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::gateway::Figures;

/// What is open: nothing more where it is the gateway that holds it.
pub(crate) type Open = Option<TcpStream>;

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The metadata of a modern request.
pub(crate) const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// Calls a tool of each backend.
pub(crate) fn call_every_backend(gateway: &Figures) -> anyhow::Result<()> {
    for backend in (0..50).flat_map(|index| [format!("child-{index:02}"), format!("http-{index:02}")]) {
        call(gateway, &backend)?;
    }
    Ok(())
}

/// A connection that was answered a list.
pub(crate) fn listed(gateway: &Figures) -> anyhow::Result<Open> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{META}}}}}"#);
    let (stream, answer) = ask(gateway, &modern("tools/list", "", &body))?;
    ensure!(answer.contains(r#""tools":["#), "{answer}");
    Ok(Some(stream))
}

/// A connection that was answered a call.
pub(crate) fn called(gateway: &Figures) -> anyhow::Result<Open> {
    call(gateway, "http-00").map(Some)
}

/// A stream of HTTP+SSE.
pub(crate) fn events(gateway: &Figures) -> anyhow::Result<Open> {
    let (stream, answer) = until(gateway, &get("/sse", "Accept: text/event-stream\r\n"), "\n\n\r\n")?;
    ensure!(answer.contains("event: endpoint"), "{answer}");
    Ok(Some(stream))
}

/// A session of Streamable HTTP.
pub(crate) fn session(gateway: &Figures) -> anyhow::Result<Open> {
    begin(gateway).map(|_id| None)
}

/// The stream of such a session.
pub(crate) fn session_stream(gateway: &Figures) -> anyhow::Result<Open> {
    let fields = format!("Accept: text/event-stream\r\nMcp-Session-Id: {}\r\n", begin(gateway)?);
    let (stream, answer) = until(gateway, &get("/mcp", &fields), "\n\n\r\n")?;
    ensure!(answer.contains("text/event-stream"), "{answer}");
    Ok(Some(stream))
}

/// A WebSocket.
pub(crate) fn socket(gateway: &Figures) -> anyhow::Result<Open> {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let fields = format!("Upgrade: websocket\r\nConnection: Upgrade\r\n{key}");
    let (stream, answer) = until(gateway, &get("/ws", &fields), "\r\n\r\n")?;
    ensure!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    Ok(Some(stream))
}

fn call(gateway: &Figures, backend: &str) -> anyhow::Result<TcpStream> {
    let tool = format!("{backend}__add");
    let params = format!(r#""name":"{tool}","arguments":{{"a":2,"b":40}},{META}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{params}}}}}"#);
    let (stream, answer) = ask(gateway, &modern("tools/call", &format!("Mcp-Name: {tool}\r\n"), &body))?;
    ensure!(answer.contains(r#""text":"42""#), "{answer}");
    Ok(stream)
}

/// Begins a session: its id.
fn begin(gateway: &Figures) -> anyhow::Result<String> {
    let client = r#""capabilities":{},"clientInfo":{"name":"memory","version":"1"}"#;
    let params = format!(r#""protocolVersion":"2025-11-25",{client}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{{params}}}}}"#);
    let (_closed, answer) = ask(gateway, &post("/mcp", "", &body))?;
    let id = answer.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
    Ok(id.with_context(|| format!("no session: {answer}"))?.to_owned())
}

pub(crate) fn modern(method: &str, fields: &str, body: &str) -> String {
    post("/mcp", &format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{fields}"), body)
}

pub(crate) fn post(path: &str, fields: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// One request and its answer of known length.
fn ask(gateway: &Figures, request: &str) -> anyhow::Result<(TcpStream, String)> {
    let (mut stream, mut answer) = until(gateway, request, "\r\n\r\n")?;
    let (head, rest) = answer.split_once("\r\n\r\n").context("a head")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).context("a length")?;
    let length: usize = length.parse()?;
    let mut missing = vec![0; length.saturating_sub(rest.len())];
    stream.read_exact(&mut missing)?;
    answer.push_str(std::str::from_utf8(&missing)?);
    Ok((stream, answer))
}

/// One request, and what comes until that has come.
pub(crate) fn until(gateway: &Figures, request: &str, end: &str) -> anyhow::Result<(TcpStream, String)> {
    let mut stream = TcpStream::connect(gateway.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut block = [0; 4096];
    while memchr::memmem::find(&answer, end.as_bytes()).is_none() {
        let count = stream.read(&mut block)?;
        ensure!(count > 0 && answer.len() < ANSWER_BYTES_MAX, "`{}`", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(block.get(..count).unwrap_or_default());
    }
    Ok((stream, String::from_utf8(answer)?))
}
