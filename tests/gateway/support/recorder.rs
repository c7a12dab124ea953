//! A modern server over HTTP that a test plays: it counts what it is asked, keeps it, and answers as the test says.
//!
//! It runs on a thread of its own, because stopping a gateway blocks the test's.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::client::within;

/// The server.
#[derive(Debug)]
pub(crate) struct Recorder {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    posts: mpsc::Receiver<Post>,
    /// Dropped with the recorder: then its thread ends.
    _stop: oneshot::Sender<()>,
}

/// A call that was received.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    /// Request line and fields, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
    /// As written.
    pub(crate) id: String,
}

/// Where the answer to one call goes.
#[derive(Debug)]
pub(crate) struct Wire<'a> {
    stream: &'a mut TcpStream,
    id: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    method: String,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// The result that most tests are content with.
pub(crate) const DONE: &str = r#"{"resultType":"complete","content":[{"type":"text","text":"done"}]}"#;

// === impl Recorder ===

impl Recorder {
    /// One that answers every call with [`DONE`].
    pub(crate) fn start() -> Self {
        Self::play(async |_post: Post, wire: &mut Wire<'_>| wire.result(DONE).await)
    }

    /// One that answers calls by `script`.
    pub(crate) fn play(script: impl AsyncFn(Post, &mut Wire<'_>) -> io::Result<()> + Send + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let calls = Arc::new(AtomicUsize::new(0));
        let (record, posts) = mpsc::channel(4096);
        let (stop, stopped) = oneshot::channel();
        let counted = Arc::clone(&calls);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::from_std(listener).expect("a socket");
                let script = Rc::new(script);
                let accepting = async {
                    loop {
                        let (stream, _) = listener.accept().await.expect("a connection");
                        let (script, counted, record) = (Rc::clone(&script), Arc::clone(&counted), record.clone());
                        // A gateway that hangs up on a call is what some tests are about.
                        tokio::task::spawn_local(async move { drop(serve(stream, &*script, &counted, &record).await) });
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, calls, posts, _stop: stop }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Calls received so far; greetings are none.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The oldest call that was not looked at yet.
    pub(crate) async fn post(&mut self) -> Post {
        within("a call at the backend", self.posts.recv()).await.expect("the recorder runs")
    }

    /// The next call, if it was received by now.
    pub(crate) fn try_post(&mut self) -> Option<Post> {
        self.posts.try_recv().ok()
    }
}

async fn serve(
    mut stream: TcpStream,
    script: &impl AsyncFn(Post, &mut Wire<'_>) -> io::Result<()>,
    calls: &AtomicUsize,
    record: &mpsc::Sender<Post>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let (head, body) = read(&mut stream, &mut buffer).await?;
        // GET and DELETE have no body.
        let text = if body.is_empty() { r#"{"method":""}"# } else { &body };
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(io::Error::other)?;
        let id = envelope.id.map(|id| id.get().to_owned()).unwrap_or_default();
        let mut wire = Wire { stream: &mut stream, id: id.clone() };
        if envelope.method == "server/discover" {
            wire.result(r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"ttlMs":0,"cacheScope":"public"}"#).await?;
            continue;
        }
        let post = Post { head, id, body };
        calls.fetch_add(1, Ordering::SeqCst);
        // Tests that ask thousands of times do not look at each.
        drop(record.try_send(post.clone()));
        script(post, &mut wire).await?;
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<(String, String)> {
    let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(ended());
        }
    };
    let head: Vec<u8> = buffer.drain(..end).collect();
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(ended());
        }
    }
    let body = String::from_utf8(buffer.drain(..length).collect()).map_err(io::Error::other)?;
    Ok((head, body))
}

// === impl Wire ===

impl Wire<'_> {
    /// Answers with a result.
    pub(crate) async fn result(&mut self, result: &str) -> io::Result<()> {
        let body = self.response(result);
        self.answer(200, &body).await
    }

    /// The response with this result.
    pub(crate) fn response(&self, result: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id)
    }

    /// Answers with a whole body.
    pub(crate) async fn answer(&mut self, status: u16, body: &str) -> io::Result<()> {
        self.answer_with(status, "", body).await
    }

    /// Answers with further fields, each with its line end.
    pub(crate) async fn answer_with(&mut self, status: u16, fields: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{fields}content-length: {length}\r\n\r\n"
        );
        self.stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await
    }

    /// Begins an event stream.
    pub(crate) async fn stream(&mut self) -> io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        self.stream.write_all(head.as_bytes()).await
    }

    /// Writes one event; a line end in `data` makes it two `data` lines.
    pub(crate) async fn event(&mut self, data: &str) -> io::Result<()> {
        self.chunk(&format!("event: message\ndata: {}\n\n", data.replace('\n', "\ndata: "))).await
    }

    /// Writes one chunk of the stream as it is.
    pub(crate) async fn chunk(&mut self, text: &str) -> io::Result<()> {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        self.stream.write_all(chunk.as_bytes()).await
    }

    /// Ends the stream.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        self.stream.write_all(b"0\r\n\r\n").await
    }

    /// Ready once the gateway hung up.
    pub(crate) async fn hung_up(&mut self) {
        let mut byte = [0];
        // A reset is an end too.
        while matches!(self.stream.read(&mut byte).await, Ok(1)) {}
    }
}
