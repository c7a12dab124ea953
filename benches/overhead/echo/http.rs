//! The backend over Streamable HTTP: one thread, one task a connection, HTTP/1.1 with keep-alive.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::answer::{Answer, Answers, Question, TEXT_BYTES_MAX, has_meta};
use crate::mcp::{Era, MODERN};
use crate::wire::RequestHead;

/// The longest request body.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Texts up to this length are copied next to their head, so that an answer is one piece.
const COPY_BYTES_MAX: usize = 16 * 1024;
/// The session every client gets: nothing here depends on who calls.
const SESSION: &str = "5f1c7a9e0b3d4826";

/// Serves until the process ends; writes the address to standard output first.
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let answers = Arc::new(Answers::new());
        let filler = Bytes::from(vec![b'x'; TEXT_BYTES_MAX]);
        loop {
            let (stream, _) = listener.accept().await?;
            let connection = Connection::new(stream, Arc::clone(&answers), filler.clone())?;
            tokio::spawn(async move {
                if let Err(error) = connection.serve().await {
                    // A client that goes away in the middle is its own affair; what it sent wrong is worth a line.
                    writeln!(std::io::stderr(), "echo: {error:#}").ok();
                }
            });
        }
    })
}

struct Connection {
    stream: TcpStream,
    answers: Arc<Answers>,
    filler: Bytes,
    read: Vec<u8>,
    write: Vec<u8>,
}

/// What goes out for one request: the bytes in `Connection::write`, then these.
struct Rest {
    fill: usize,
    end: &'static [u8],
}

impl Connection {
    fn new(stream: TcpStream, answers: Arc<Answers>, filler: Bytes) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, answers, filler, read: Vec::with_capacity(16 * 1024), write: Vec::with_capacity(32 * 1024) })
    }

    async fn serve(mut self) -> anyhow::Result<()> {
        loop {
            let Some((consumed, rest)) = self.next_request().await? else { return Ok(()) };
            if rest.fill > 0 {
                let text = self.filler.slice(..rest.fill);
                let mut pieces = Buf::chain(Buf::chain(self.write.as_slice(), text), rest.end);
                while pieces.has_remaining() {
                    self.stream.write_buf(&mut pieces).await?;
                }
            } else {
                self.stream.write_all(&self.write).await?;
            }
            self.read.drain(..consumed);
        }
    }

    /// Reads one request and writes the start of its answer; `None` when the client is gone.
    async fn next_request(&mut self) -> anyhow::Result<Option<(usize, Rest)>> {
        loop {
            if let Some(head) = RequestHead::parse(&self.read)? {
                anyhow::ensure!(head.length <= BODY_BYTES_MAX, "the request is too long");
                let end = head.bytes + head.length;
                if let Some(body) = self.read.get(head.bytes..end) {
                    self.write.clear();
                    let rest = respond(&self.answers, &self.filler, &head, body, &mut self.write)?;
                    return Ok(Some((end, rest)));
                }
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Writes the answer to one request, but for a long text, which is left to the caller.
fn respond(
    answers: &Answers,
    filler: &Bytes,
    head: &RequestHead<'_>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> anyhow::Result<Rest> {
    const DONE: Rest = Rest { fill: 0, end: b"" };
    match head.method {
        "POST" => {}
        "DELETE" => return empty(out, "200 OK").map(|()| DONE),
        _ => return empty(out, "405 Method Not Allowed\r\nAllow: POST, DELETE").map(|()| DONE),
    }
    let era = if head.version == Some(MODERN.as_bytes()) { Era::Modern } else { Era::Legacy };
    let question = answers.read(body).context("the request has no method")?;
    if let Some(refusal) = refuse(era, head, &question, body) {
        return empty(out, refusal).map(|()| DONE);
    }
    if question.id.is_none() {
        return empty(out, "202 Accepted").map(|()| DONE);
    }
    let answer = answers.answer(&question, era);
    write_head(&answer, era, &question, out)?;
    answer.write_start(out);
    if answer.fill > COPY_BYTES_MAX {
        return Ok(Rest { fill: answer.fill, end: answer.end });
    }
    out.extend_from_slice(filler.get(..answer.fill).context("the filler is as long as the longest text")?);
    out.extend_from_slice(answer.end);
    Ok(DONE)
}

fn write_head(answer: &Answer<'_>, era: Era, question: &Question<'_>, out: &mut Vec<u8>) -> anyhow::Result<()> {
    // MCP 2026-07-28, streamable HTTP: an unknown method is a 404.
    let missing = era == Era::Modern && answer.is_error() && question.method != b"tools/call";
    let status = if missing { "404 Not Found" } else { "200 OK" };
    write!(out, "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", answer.len())?;
    if question.method == b"initialize" && !answer.is_error() {
        write!(out, "Mcp-Session-Id: {SESSION}\r\n")?;
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn empty(out: &mut Vec<u8>, status: &str) -> anyhow::Result<()> {
    Ok(write!(out, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?)
}

/// What a real server would not accept either.
fn refuse(era: Era, head: &RequestHead<'_>, question: &Question<'_>, body: &[u8]) -> Option<&'static str> {
    match era {
        Era::Modern => {
            // MCP 2026-07-28, streamable HTTP, server validation: the fields mirror the body.
            let mirrored = head.mcp_method == Some(question.method)
                && (question.name.is_none() || head.mcp_name == question.name)
                && has_meta(body);
            (question.id.is_some() && !mirrored).then_some("400 Bad Request")
        }
        Era::Legacy if question.method == b"initialize" => None,
        Era::Legacy => match head.session {
            None => Some("400 Bad Request"),
            Some(session) => (session != SESSION.as_bytes()).then_some("404 Not Found"),
        },
    }
}
