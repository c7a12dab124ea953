//! The scripted HTTP backend: a raw server that reads requests properly and answers with whatever bytes, pauses and
//! endings its script says. What the gateway makes of it is tested elsewhere.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::TlsAcceptor;

use super::serving::Serving;

/// A request as the gateway made it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// POST, DELETE, …
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// The head's fields, names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    /// The message; null if there is none.
    pub(crate) body: Value,
    /// The message as it was written.
    pub(crate) text: String,
}

/// One thing that a server does towards its client.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Writes one byte after the other, each after a pause.
    Drip(Vec<u8>, Duration),
    /// Lets time pass.
    Pause(Duration),
    /// Does whatever comes in there, until nobody can say more.
    Follow(Arc<Mutex<mpsc::Receiver<Step>>>),
    /// Closes its own direction and reads on.
    HalfClose,
    /// Closes the connection.
    Close,
}

/// How one request is answered. Without [`Step::Close`] the connection serves the next request.
pub(crate) type Script = Vec<Step>;

/// A server that runs until it is dropped; its connections end with it.
#[derive(Debug)]
pub(crate) struct Server {
    serving: Serving,
    tls: bool,
}

// === impl Server ===

impl Server {
    /// Serves on a port that the system chooses.
    pub(crate) fn start(script: impl Fn(&Request) -> Script + Send + Sync + 'static) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), None, script)
    }

    /// Serves on this address, inside TLS if there is an acceptor.
    pub(crate) fn start_at(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Request) -> Script + Send + Sync + 'static,
    ) -> Self {
        let script: Arc<dyn Fn(&Request) -> Script + Send + Sync> = Arc::new(script);
        let secure = tls.is_some();
        let serving = Serving::listen(address, async move |listener| accept(&listener, tls, script).await);
        Self { serving, tls: secure }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// The URL of its endpoint.
    pub(crate) fn url(&self) -> String {
        let (scheme, host) = if self.tls { ("https", "localhost") } else { ("http", "127.0.0.1") };
        format!("{scheme}://{host}:{}/mcp", self.address().port())
    }
}

async fn accept(
    listener: &TcpListener,
    tls: Option<TlsAcceptor>,
    script: Arc<dyn Fn(&Request) -> Script + Send + Sync>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, script) = (tls.clone(), Arc::clone(&script));
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            match tls {
                Some(tls) => serve(tls.accept(stream).await?, &*script).await,
                None => serve(stream, &*script).await,
            }
        });
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: &(dyn Fn(&Request) -> Script + Send + Sync),
) -> io::Result<()> {
    let mut read = Vec::new();
    while let Some(request) = request(&mut stream, &mut read).await? {
        for step in script(&request) {
            match step {
                Step::Follow(steps) => {
                    while let Some(step) = steps.lock().await.recv().await {
                        if !perform(&mut stream, step).await? {
                            return Ok(());
                        }
                    }
                }
                step => {
                    if !perform(&mut stream, step).await? {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

/// Does one thing; `false` once the connection is to be closed.
pub(crate) async fn perform(stream: &mut (impl AsyncWrite + Unpin), step: Step) -> io::Result<bool> {
    match step {
        Step::Write(bytes) => stream.write_all(&bytes).await?,
        Step::Drip(bytes, pause) => {
            for byte in bytes {
                stream.write_all(&[byte]).await?;
                stream.flush().await?;
                tokio::time::sleep(pause).await;
            }
        }
        Step::Pause(time) => tokio::time::sleep(time).await,
        Step::HalfClose => stream.shutdown().await?,
        Step::Follow(_) => unreachable!("what is followed does not follow"),
        Step::Close => return Ok(false),
    }
    stream.flush().await?;
    Ok(true)
}

/// The next request; `None` at the end of the connection.
async fn request(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some((request, length)) = parse(read) {
            read.drain(..length);
            return Ok(Some(request));
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

/// A whole request and its length. The gateway frames with `Content-Length` only.
fn parse(read: &[u8]) -> Option<(Request, usize)> {
    let head_length = read.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&read[..head_length]).expect("a head in ASCII");
    let mut lines = head.lines();
    let mut line = lines.next()?.split(' ').map(ToOwned::to_owned);
    let (method, target) = (line.next()?, line.next()?);
    let field = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let fields: Vec<_> = lines.filter_map(field).collect();
    let length = fields.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, length)| length.parse().expect("a length"));
    let body = read.get(head_length..head_length + length)?;
    let text = String::from_utf8(body.to_vec()).expect("a message in UTF-8");
    let body = serde_json::from_str(&text).unwrap_or_default();
    Some((Request { method, target, fields, body, text }, head_length + length))
}

// === impl Request ===

impl Request {
    /// The value of a field, by its name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The method of the message, empty for none.
    pub(crate) fn rpc(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    /// The name that the message is about, empty for none.
    pub(crate) fn name(&self) -> &str {
        self.body["params"]["name"].as_str().unwrap_or_default()
    }

    /// The id of the message as text.
    pub(crate) fn id(&self) -> String {
        self.body["id"].to_string()
    }

    /// The member `text` of the call's arguments.
    pub(crate) fn argument(&self) -> &str {
        self.body["params"]["arguments"]["text"].as_str().unwrap_or_default()
    }
}

/// A modern server that counts what it is asked beside greetings and plain requests.
pub(crate) struct Counted {
    pub(crate) server: Server,
    calls: Arc<AtomicUsize>,
}

// === impl Counted ===

impl Counted {
    pub(crate) fn start(script: impl Fn(&Request) -> Script + Send + Sync + 'static) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let counting = move |request: &Request| {
            counter.fetch_add(usize::from(!request.rpc().is_empty()), Ordering::SeqCst);
            script(request)
        };
        Self { server: Server::start(modern(counting)), calls }
    }

    /// One whose answers name it.
    pub(crate) fn answering(name: &'static str) -> Self {
        Self::start(move |request| vec![json_answer(200, &text_body(&request.id(), name))])
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// The URL of a server that is down: its port is nobody else's for as long as the tests run.
pub(crate) fn nowhere() -> String {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let address = socket.local_addr().expect("bound").as_socket().expect("an address of IP");
    // Bound and not listening: whoever connects is refused.
    std::mem::forget(socket);
    format!("http://{address}/mcp")
}

// === scripts ===

/// A modern server: greets by itself and leaves everything else to `calls`.
pub(crate) fn modern(calls: impl Fn(&Request) -> Script + Send + Sync) -> impl Fn(&Request) -> Script + Send + Sync {
    move |request| match request.rpc() {
        "server/discover" => {
            let result = json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} } });
            vec![json_answer(200, &result_body(&request.id(), &result))]
        }
        _ => calls(request),
    }
}

/// A legacy server with one session after the other: `session` names the one that now begins, or is asked for.
pub(crate) fn legacy(
    session: impl Fn() -> String + Send + Sync,
    calls: impl Fn(&Request) -> Script + Send + Sync,
) -> impl Fn(&Request) -> Script + Send + Sync {
    move |request| match (request.method.as_str(), request.rpc()) {
        ("DELETE", _) => vec![head(204, "")],
        ("GET", _) => vec![head(405, "content-length: 0\r\n")],
        (_, "server/discover") => {
            vec![json_answer(400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no session"}}"#)]
        }
        (_, "initialize") => {
            let result = json!({
                "protocolVersion": "2025-11-25",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "scripted", "version": "1" },
            });
            let body = result_body(&request.id(), &result);
            let fields = format!("content-type: application/json\r\nmcp-session-id: {}\r\n", session());
            vec![answer(200, &fields, &body)]
        }
        (_, method) if method.starts_with("notifications/") => vec![head(202, "content-length: 0\r\n")],
        _ => calls(request),
    }
}

/// The capabilities of a server that tells by itself what changed, but not of its prompts.
pub(crate) fn telling() -> Value {
    json!({ "tools": { "listChanged": true }, "prompts": {}, "resources": { "subscribe": true, "listChanged": true } })
}

/// The result of a tool call that says `text`.
pub(crate) fn text_body(id: &str, text: &str) -> String {
    result_body(id, &json!({ "content": [{ "type": "text", "text": text }] }))
}

/// A response with this result.
pub(crate) fn result_body(id: &str, result: &Value) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// A response with an error of this code.
pub(crate) fn error_body(id: &str, code: impl Display) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"odd"}}}}"#)
}

/// A head alone. `fields` each end their line.
pub(crate) fn head(status: u16, fields: &str) -> Step {
    Step::Write(format!("HTTP/1.1 {status} Scripted\r\n{fields}\r\n").into())
}

/// A whole response with `Content-Length`.
pub(crate) fn answer(status: u16, fields: &str, body: &str) -> Step {
    let length = body.len();
    Step::Write(format!("HTTP/1.1 {status} Scripted\r\n{fields}content-length: {length}\r\n\r\n{body}").into())
}

/// A whole JSON response.
pub(crate) fn json_answer(status: u16, body: &str) -> Step {
    answer(status, "content-type: application/json\r\n", body)
}

/// The head of an event stream in chunks.
pub(crate) fn stream_head() -> Step {
    head(200, "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n")
}

/// One chunk.
pub(crate) fn chunk(data: impl AsRef<[u8]>) -> Step {
    let data = data.as_ref();
    Step::Write([format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat())
}

/// The end of a body in chunks.
pub(crate) fn last_chunk() -> Step {
    Step::Write(b"0\r\n\r\n".to_vec())
}

/// A message as an event.
pub(crate) fn event(message: &str) -> String {
    format!("event: message\ndata: {message}\n\n")
}

/// A whole event stream of these messages.
pub(crate) fn event_stream(messages: &[&str]) -> Script {
    let events = messages.iter().map(|message| chunk(event(message)));
    [stream_head()].into_iter().chain(events).chain([last_chunk()]).collect()
}
