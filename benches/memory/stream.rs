//! A gigabyte in one stream, from a server that only streams, through the gateway, to one client after the other.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};

use anyhow::{Context as _, ensure};
use memchr::memmem::Finder;
use serde_json::Value;

use crate::client::{self, META, get, until};
use crate::gateway::Figures;

/// What a stream carries beside its framing.
pub(crate) const STREAM_BYTES: usize = 1 << 30;
const EVENT_BYTES: usize = 64 << 10;
const PROGRESS: &str = "notifications/progress";
/// Stands in the answer at the end of a stream, and nowhere else.
const ANSWER: &str = r#""text":"streamed""#;

/// Starts the server: its URL.
pub(crate) fn serve() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Ends with its connection. What is cut short is missed by the client that counts.
            std::thread::spawn(move || answer_all(stream));
        }
    });
    Ok(url)
}

/// Over Streamable HTTP.
pub(crate) fn over_http(gateway: &Figures) -> anyhow::Result<()> {
    let request = client::modern("tools/call", "Mcp-Name: http-00__stream\r\n", &call());
    let (stream, begun) = until(gateway, &request, "\r\n\r\n")?;
    ensure!(begun.contains("text/event-stream"), "{begun}");
    read_all(stream, begun)
}

/// Over HTTP+SSE.
pub(crate) fn over_events(gateway: &Figures) -> anyhow::Result<()> {
    let (stream, begun) = until(gateway, &get("/sse", "Accept: text/event-stream\r\n"), "\n\n\r\n")?;
    let path = begun.lines().find_map(|line| line.strip_prefix("data: ")).context("no path for messages")?;
    let (_taken, taken) = until(gateway, &client::post(path, "", &call()), "\r\n\r\n")?;
    ensure!(taken.starts_with("HTTP/1.1 202"), "{taken}");
    read_all(stream, String::new())
}

/// Over a WebSocket.
pub(crate) fn over_socket(gateway: &Figures) -> anyhow::Result<()> {
    let mut stream = client::socket(gateway)?.context("an open WebSocket")?;
    let call = call();
    // RFC 6455, section 5.2: a whole text, masked with nothing.
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend_from_slice(&u16::try_from(call.len())?.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(call.as_bytes());
    stream.write_all(&frame)?;
    read_all(stream, String::new())
}

/// A call that wants progress.
fn call() -> String {
    let meta = META.replace(r#""_meta":{"#, r#""_meta":{"progressToken":1,"#);
    let params = format!(r#""name":"http-00__stream","arguments":{{}},{meta}"#);
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{params}}}}}"#)
}

/// Reads up to the answer; every event has to come.
fn read_all(mut stream: impl Read, begun: String) -> anyhow::Result<()> {
    let (progress, answer) = (Finder::new(PROGRESS), Finder::new(ANSWER));
    let (mut seen, mut block, mut events) = (begun.into_bytes(), vec![0; 256 << 10], 0);
    loop {
        events += progress.find_iter(&seen).count();
        if answer.find(&seen).is_some() {
            break;
        }
        // What may be the beginning of either.
        seen.drain(..seen.len().saturating_sub(PROGRESS.len() - 1));
        let count = stream.read(&mut block)?;
        ensure!(count > 0, "the stream ends after {events} events");
        seen.extend_from_slice(block.get(..count).unwrap_or_default());
    }
    ensure!(events == STREAM_BYTES / EVENT_BYTES, "{events} events");
    Ok(())
}

/// Answers what comes on a connection.
fn answer_all(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 && line != "\r\n" {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let message: Value = serde_json::from_slice(&body)?;
        let id = &message["id"];
        if message["method"] == "server/discover" {
            let result = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#;
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )?;
        } else {
            stream_all(&mut stream, id, &message["params"]["_meta"]["progressToken"])?;
        }
    }
}

/// The stream of one call.
fn stream_all(stream: &mut TcpStream, id: &Value, token: &Value) -> anyhow::Result<()> {
    let text = "x".repeat(EVENT_BYTES);
    let params = format!(r#"{{"progressToken":{token},"progress":1,"message":"{text}"}}"#);
    let event = chunk(&format!(r#"{{"jsonrpc":"2.0","method":"{PROGRESS}","params":{params}}}"#));
    let result = format!(r#"{{"resultType":"complete","content":[{{"type":"text",{ANSWER}}}]}}"#);
    let answer = chunk(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#));
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for _ in 0..STREAM_BYTES / EVENT_BYTES {
        stream.write_all(event.as_bytes())?;
    }
    Ok(stream.write_all(format!("{answer}0\r\n\r\n").as_bytes())?)
}

/// One event in one chunk.
fn chunk(message: &str) -> String {
    let event = format!("data: {message}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}
