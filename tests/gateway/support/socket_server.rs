//! The scripted WebSocket backend: it greets as another implementation does, reads frames properly, and writes whatever
//! bytes its script says. Messages are answered side by side.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Greeting, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::server::{Request, Script, Step, perform};
use super::serving::Serving;

/// What happens to a message.
type Scripts = Arc<dyn Fn(&Request) -> Script + Send + Sync>;

/// A server that runs until it is dropped; its connections end with it.
#[derive(Debug)]
pub(crate) struct SocketServer {
    serving: Serving,
    tls: bool,
    seen: Seen,
}

/// What a server saw of its clients.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Connections that were greeted.
    connections: Arc<AtomicUsize>,
    /// Messages, in the order in which they came.
    messages: Log<Value>,
    /// The codes of goodbyes.
    codes: Log<u16>,
}

/// A list that threads append to.
#[derive(Debug)]
struct Log<T>(Arc<std::sync::Mutex<Vec<T>>>);

// === impl SocketServer ===

impl SocketServer {
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
        let script: Scripts = Arc::new(script);
        let seen = Seen::default();
        let (secure, seeing) = (tls.is_some(), seen.clone());
        let serving = Serving::listen(address, async move |listener| accept(&listener, tls, script, seeing).await);
        Self { serving, tls: secure, seen }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        let (scheme, host) = if self.tls { ("wss", "localhost") } else { ("ws", "127.0.0.1") };
        format!("{scheme}://{host}:{}/message?x=1", self.address().port())
    }

    /// Connections that were greeted.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Messages with this method, in the order in which they came.
    pub(crate) fn heard(&self, method: &str) -> Vec<Value> {
        self.seen.messages.all().into_iter().filter(|message| message["method"] == method).collect()
    }

    /// All messages, in the order in which they came.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.seen.messages.all()
    }

    /// Messages without a method.
    pub(crate) fn answers(&self) -> Vec<Value> {
        self.seen.messages.all().into_iter().filter(|message| message["method"].is_null()).collect()
    }

    /// The codes of goodbyes.
    pub(crate) fn codes(&self) -> Vec<u16> {
        self.seen.codes.all()
    }
}

// === impl Log ===

impl<T: Clone> Log<T> {
    fn push(&self, item: T) {
        self.0.lock().expect("nobody panics with it").push(item);
    }

    fn all(&self) -> Vec<T> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

async fn accept(listener: &TcpListener, tls: Option<TlsAcceptor>, script: Scripts, seen: Seen) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, script, seen) = (tls.clone(), Arc::clone(&script), seen.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            match tls {
                Some(tls) => serve(tls.accept(stream).await?, script, &seen).await,
                None => serve(stream, script, &seen).await,
            }
        });
    }
}

async fn serve<S>(stream: S, script: Scripts, seen: &Seen) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    #[expect(clippy::result_large_err, reason = "the signature is the library's")]
    let greet = |greeting: &Greeting, mut answer: Response| {
        assert_eq!(greeting.uri().to_string(), "/message?x=1");
        assert_eq!(greeting.headers()["sec-websocket-protocol"], "mcp");
        answer.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("mcp"));
        Ok(answer)
    };
    let Ok(greeted) = tokio_tungstenite::accept_hdr_async(stream, greet).await else { return Ok(()) };
    seen.connections.fetch_add(1, Ordering::SeqCst);
    let (mut reader, writer) = tokio::io::split(greeted.into_inner());
    let (writer, ended) = (Arc::new(Mutex::new(writer)), Arc::new(Notify::new()));
    loop {
        let (kind, payload) = tokio::select! {
            frame = frame(&mut reader) => frame?,
            () = ended.notified() => return Ok(()),
        };
        match kind {
            1 => {
                let text = String::from_utf8(payload).expect("a message in UTF-8");
                let body: Value = serde_json::from_str(&text).expect("a message in JSON");
                seen.messages.push(body.clone());
                let request =
                    Request { method: "TEXT".to_owned(), target: String::new(), fields: Vec::new(), body, text };
                let steps = script(&request);
                // A server that stops reading does so at once, until nobody holds the other end of this.
                if let [Step::Follow(held), Step::Close] = &steps[..] {
                    while held.lock().await.recv().await.is_some() {}
                    return Ok(());
                }
                let (writer, ended) = (Arc::clone(&writer), Arc::clone(&ended));
                tokio::spawn(async move { play(steps, &writer, &ended).await });
            }
            8 => {
                seen.codes.push(payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]])));
                writer.lock().await.write_all(&said(0x88, &payload)).await?;
                return Ok(());
            }
            9 => writer.lock().await.write_all(&said(0x8a, &payload)).await?,
            _ => {}
        }
    }
}

async fn play(steps: Script, writer: &Mutex<impl AsyncWrite + Unpin>, ended: &Notify) -> io::Result<()> {
    for step in steps {
        match step {
            // Others have the writer meanwhile.
            Step::Pause(time) => tokio::time::sleep(time).await,
            Step::Close => ended.notify_one(),
            step => {
                perform(&mut *writer.lock().await, step).await?;
            }
        }
    }
    Ok(())
}

/// The next frame of a client: what it is, and its payload. They have to be whole and masked.
async fn frame(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let (first, second) = (reader.read_u8().await?, reader.read_u8().await?);
    assert_eq!((first & 0xf0, second & 0x80), (0x80, 0x80), "whole and masked");
    let length = match second & 0x7f {
        126 => reader.read_u16().await?.into(),
        127 => reader.read_u64().await?,
        length => length.into(),
    };
    let mut mask = [0; 4];
    reader.read_exact(&mut mask).await?;
    let mut payload = vec![0; usize::try_from(length).expect("a length")];
    reader.read_exact(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((first & 0xf, payload))
}

// === scripts ===

/// A frame of a server: `first` is the first byte of its head.
pub(crate) fn said(first: u8, payload: &[u8]) -> Vec<u8> {
    let head = match payload.len() {
        length @ ..126 => vec![first, u8::try_from(length).expect("below 126")],
        length => [&[first, 127][..], &(length as u64).to_be_bytes()].concat(),
    };
    [&head[..], payload].concat()
}

/// A message.
pub(crate) fn say(message: &str) -> Step {
    Step::Write(said(0x81, message.as_bytes()))
}
