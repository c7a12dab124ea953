//! An HTTP/1.1 client that writes exactly the bytes it is given and reads what comes back, and the requests that most
//! tests begin with. Every step has a deadline: a hang is a failure.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// How long any one step may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The members of `_meta` that make a request modern.
pub(crate) const META: &str =
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Box<dyn Duplex>,
    /// Read and not yet taken.
    buffer: Vec<u8>,
    /// Decoded of a stream of events and not yet taken.
    events: Vec<u8>,
    /// Of the events so far.
    last_event_id: Option<String>,
}

/// Whatever bytes go both ways on.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + Debug {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Debug> Duplex for S {}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// One block of an event stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Comment(String),
    Message(String),
    /// Nothing but an id, and how long to wait with it.
    Primed {
        retry_ms: u64,
    },
    /// `endpoint` of HTTP+SSE.
    Endpoint(String),
}

/// A request before it is bytes.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    line: String,
    fields: Fields,
    body: Vec<u8>,
}

/// Fields with values that need not be text.
pub(crate) type Fields = Vec<(String, Vec<u8>)>;

/// Awaits a step.
pub(crate) async fn within<F: Future>(what: &str, step: F) -> F::Output {
    tokio::time::timeout(PATIENCE, step).await.expect(what)
}

// === impl Client ===

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = within("connect", TcpStream::connect(address)).await.expect("the gateway listens");
        stream.set_nodelay(true).expect("a socket");
        Self::over(stream)
    }

    /// A client on this connection.
    pub(crate) fn over(stream: impl Duplex + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new(), events: Vec::new(), last_event_id: None }
    }

    /// A client whose socket takes in little while nobody reads from it.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 << 10).expect("a socket");
        Self::over(within("connect", socket.connect(address)).await.expect("the gateway listens"))
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(address: SocketAddr, request: &Request) -> Answer {
        Self::connect(address).await.exchange(request).await
    }

    pub(crate) async fn exchange(&mut self, request: &Request) -> Answer {
        self.write(&request.bytes()).await;
        self.answer().await
    }

    /// Writes; a peer that has refused and gone is no error here, because its answer is what counts.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = within("write", self.stream.write_all(bytes)).await {
            use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
            assert!(matches!(error.kind(), BrokenPipe | ConnectionReset), "{error}");
        }
    }

    /// No more will be written.
    pub(crate) async fn half_close(&mut self) {
        within("half close", self.stream.shutdown()).await.expect("the socket stands");
    }

    /// Reads a whole response.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        self.body_of(head).await
    }

    /// The same; `None` where the connection ended before anything came.
    pub(crate) async fn answer_if_any(&mut self) -> Option<Answer> {
        if self.buffer.is_empty() && !self.fill().await {
            return None;
        }
        Some(self.answer().await)
    }

    /// Reads what follows a head.
    pub(crate) async fn body_of(&mut self, mut answer: Answer) -> Answer {
        answer.body = match (answer.field("content-length"), answer.field("transfer-encoding")) {
            (Some(length), _) => {
                let length = length.parse().expect("a length");
                while self.buffer.len() < length {
                    assert!(self.fill().await, "body ended after {} of {length} bytes", self.buffer.len());
                }
                self.buffer.drain(..length).collect()
            }
            (None, Some("chunked")) => {
                let mut body = Vec::new();
                while let Some(mut chunk) = self.chunk().await {
                    body.append(&mut chunk);
                }
                body
            }
            _ => {
                while self.fill().await {}
                std::mem::take(&mut self.buffer)
            }
        };
        answer
    }

    /// Reads the head of a response.
    pub(crate) async fn head(&mut self) -> Answer {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            assert!(self.fill().await, "ended within a head: {:?}", String::from_utf8_lossy(&self.buffer));
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("heads of the gateway are ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(':').expect("a field has a colon");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        Answer { status: status.expect("a status line"), fields: fields.collect(), body: Vec::new() }
    }

    /// The next block of an event stream whose head was read; `None` at its end.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        let end = loop {
            if let Some(end) = find(&self.events, b"\n\n") {
                break end;
            }
            let mut chunk = self.chunk().await?;
            self.events.append(&mut chunk);
        };
        let block: Vec<u8> = self.events.drain(..end + 2).collect();
        let block = String::from_utf8(block).expect("event streams are UTF-8");
        let mut lines: Vec<&str> = block.trim_end_matches('\n').split(['\n', '\r']).collect();
        if let [comment] = lines[..]
            && let Some(comment) = comment.strip_prefix(':')
        {
            return Some(Event::Comment(comment.trim().to_owned()));
        }
        if let ["event: endpoint", data] = lines[..] {
            return Some(Event::Endpoint(data.strip_prefix("data: ").expect("it has data").to_owned()));
        }
        if let Some(id) = lines[0].strip_prefix("id: ") {
            self.last_event_id = Some(id.to_owned());
            lines.remove(0);
        }
        if let [retry, "data: "] = lines[..] {
            let retry_ms = retry.strip_prefix("retry: ").and_then(|retry| retry.parse().ok());
            return Some(Event::Primed { retry_ms: retry_ms.expect("what primes says when to come back") });
        }
        let data = lines.iter().filter_map(|line| line.strip_prefix("data: "));
        let unexpected = lines.iter().find(|line| !line.starts_with("data: ") && **line != "event: message");
        assert_eq!(unexpected, None, "{block:?}");
        Some(Event::Message(data.collect::<Vec<_>>().join("\n")))
    }

    /// The next message of an event stream; comments are passed over.
    pub(crate) async fn message(&mut self) -> Option<Value> {
        loop {
            match self.event().await? {
                Event::Comment(_) | Event::Endpoint(_) | Event::Primed { .. } => {}
                Event::Message(data) => return Some(serde_json::from_str(&data).expect("messages are JSON")),
            }
        }
    }

    /// Asserts that its connection to the demo servers carries more than is sent at once, both ways, and then a stream.
    pub(crate) async fn assert_carries(&mut self) {
        let big = format!(r#"{{"own":"{}"}}"#, "x".repeat(2 << 20));
        let answer = self.exchange(&Request::call("admin__echo", &big)).await;
        assert_eq!(answer.json()["result"]["content"][0]["text"], big);
        self.write(&Request::bare("GET /sse HTTP/1.1").bytes()).await;
        assert_eq!(self.head().await.field("content-type"), Some("text/event-stream"));
        assert!(matches!(self.event().await, Some(Event::Endpoint(_))));
    }

    /// The id of the last event that had one.
    pub(crate) fn last_event_id(&self) -> &str {
        self.last_event_id.as_deref().expect("an event with an id")
    }

    /// Reads to the end of the connection and returns what still came.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    /// So many bytes as they come; `None` where the connection ends before.
    pub(crate) async fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                break self.buffer.drain(..end + 2).collect::<Vec<_>>();
            }
            if !self.fill().await {
                return None;
            }
        };
        let size = std::str::from_utf8(&line).ok().and_then(|line| usize::from_str_radix(line.trim_end(), 16).ok());
        let size = size.expect("a chunk begins with its size");
        while self.buffer.len() < size + 2 {
            assert!(self.fill().await, "ended within a chunk");
        }
        let chunk: Vec<u8> = self.buffer.drain(..size).collect();
        assert_eq!(self.buffer.drain(..2).collect::<Vec<_>>(), b"\r\n");
        (size > 0).then_some(chunk)
    }

    /// Reads more; `false` at the end of the connection.
    async fn fill(&mut self) -> bool {
        match within("read", self.stream.read_buf(&mut self.buffer)).await {
            Ok(count) => count > 0,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
                false
            }
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The field with this name, in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The answer, whether it is the body or the last event of a stream.
    pub(crate) fn message(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        let last = text.lines().rev().find_map(|line| line.strip_prefix("data: {"));
        last.map_or_else(|| self.json(), |rest| serde_json::from_str(&format!("{{{rest}")).unwrap_or_default())
    }

    pub(crate) fn code(&self) -> Option<i64> {
        self.message()["error"]["code"].as_i64()
    }

    pub(crate) fn kind(&self) -> Option<String> {
        self.message()["error"]["data"]["kind"].as_str().map(ToOwned::to_owned)
    }
}

// === impl Request ===

impl Request {
    /// A request without body, with `Host`.
    pub(crate) fn bare(line: &str) -> Self {
        let request = Self { line: line.to_owned(), fields: Vec::new(), body: Vec::new() };
        request.field("Host", "localhost")
    }

    /// A POST of a message, without any field of MCP.
    pub(crate) fn post(body: impl Into<Vec<u8>>) -> Self {
        let request = Self::bare("POST /mcp HTTP/1.1")
            .field("Content-Type", "application/json")
            .field("Accept", "application/json, text/event-stream");
        request.with_body(body)
    }

    /// A modern request of `method` whose body is given.
    pub(crate) fn raw(method: &str, name: Option<&str>, body: impl Into<Vec<u8>>) -> Self {
        let request = Self::post(body).field("MCP-Protocol-Version", "2026-07-28").field("Mcp-Method", method);
        match name {
            Some(name) => request.field("Mcp-Name", name),
            None => request,
        }
    }

    /// A modern request. `params` are members, such as `"cursor":"x"`; `_meta` is added.
    pub(crate) fn modern(method: &str, name: Option<&str>, params: &str) -> Self {
        let comma = if params.is_empty() { "" } else { "," };
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{comma}"_meta":{{{META}}}}}}}"#);
        Self::raw(method, name, body)
    }

    /// A modern call of a tool.
    pub(crate) fn call(tool: &str, arguments: &str) -> Self {
        Self::modern("tools/call", Some(tool), &format!(r#""name":"{tool}","arguments":{arguments}"#))
    }

    /// A request within a legacy session.
    pub(crate) fn legacy(session_id: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::post(body).field("Mcp-Session-Id", session_id)
    }

    /// Adds a field.
    pub(crate) fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Takes a field away.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// Gives a field another value.
    pub(crate) fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).field(name, value)
    }

    /// Replaces the request line.
    pub(crate) fn line(mut self, line: &str) -> Self {
        line.clone_into(&mut self.line);
        self
    }

    /// Gives it this body.
    pub(crate) fn with_body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Replaces text of the body.
    pub(crate) fn edit(mut self, from: &str, to: &str) -> Self {
        let body = String::from_utf8(self.body).expect("the body is text");
        assert!(body.contains(from), "{from} in {body}");
        self.body = body.replacen(from, to, 1).into_bytes();
        self
    }

    /// Its first line, its fields and its body.
    pub(crate) fn parts(&self) -> (&str, &Fields, &[u8]) {
        (&self.line, &self.fields, &self.body)
    }

    /// As it is sent: framed by `Content-Length` unless it says otherwise.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.line).into_bytes();
        for (name, value) in &self.fields {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        let framed = |name: &str| self.fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if (self.line.starts_with("POST") || !self.body.is_empty())
            && !framed("content-length")
            && !framed("transfer-encoding")
        {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}
