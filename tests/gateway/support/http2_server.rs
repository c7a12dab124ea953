//! The scripted backend of HTTP/2: one of h2 that keeps all rules and does what its script says of each stream, and one that
//! writes the very frames it is given.
#![expect(clippy::disallowed_types, reason = "a server that is played is no data plane")]

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::client::Client;
use super::http2::{DATA, END_STREAM, Frame, HEADERS, PING, SETTINGS, frame};
use super::server::{Request, result_body};
use super::serving::Serving;

/// One thing that a server does on a stream, or to its whole connection.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    /// The head: status, fields.
    Head(u16, Vec<(&'static str, String)>),
    /// Some of the body, as fast as it is taken.
    Data(Vec<u8>),
    /// The end of the body.
    End,
    /// Breaks the stream off.
    Reset(Reason),
    /// Lets time pass.
    Pause(Duration),
    /// Does whatever comes in there, until nobody can say more.
    Follow(Arc<tokio::sync::Mutex<mpsc::Receiver<Turn>>>),
    /// Waits until somebody opens this.
    Gate(Arc<tokio::sync::Semaphore>),
    /// Takes no more requests on this connection.
    GoAway,
    /// Drops the connection.
    Drop,
}

/// How one request is answered.
pub(crate) type Turns = Vec<Turn>;

type Scripts = Arc<dyn Fn(&Request) -> Turns + Send + Sync>;

/// A server that runs until it is dropped; its connections end with it.
#[derive(Debug)]
pub(crate) struct Http2Server {
    serving: Serving,
    tls: bool,
    pub(crate) seen: Arc<Seen>,
}

/// What a server saw of its clients.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    connections: AtomicUsize,
    /// Streams that are open.
    open: AtomicUsize,
    /// The most of them at once.
    at_once: AtomicUsize,
    /// With the number of its connection, from 1.
    requests: Mutex<Vec<(usize, Request)>>,
}

// === impl Seen ===

impl Seen {
    /// Connections on which HTTP/2 began.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The most streams that were open at once.
    pub(crate) fn at_once(&self) -> usize {
        self.at_once.load(Ordering::SeqCst)
    }

    /// Streams that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Requests with this method of MCP, each with the number of its connection.
    pub(crate) fn heard(&self, method: &str) -> Vec<(usize, Request)> {
        let requests = self.requests.lock().expect("not poisoned");
        requests.iter().filter(|(_, request)| request.rpc() == method).cloned().collect()
    }
}

// === impl Http2Server ===

impl Http2Server {
    /// Serves on a port that the system chooses.
    pub(crate) fn start(script: impl Fn(&Request) -> Turns + Send + Sync + 'static) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), None, Builder::new(), script)
    }

    /// Serves on this address, inside TLS if there is an acceptor.
    pub(crate) fn start_at(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        settings: Builder,
        script: impl Fn(&Request) -> Turns + Send + Sync + 'static,
    ) -> Self {
        let (script, seen): (Scripts, _) = (Arc::new(script), Arc::<Seen>::default());
        let (secure, seeing) = (tls.is_some(), Arc::clone(&seen));
        let serving = Serving::listen(address, async move |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, settings, script, seen) =
                    (tls.clone(), settings.clone(), Arc::clone(&script), Arc::clone(&seeing));
                tokio::spawn(async move {
                    stream.set_nodelay(true).expect("a socket");
                    match tls {
                        // Who does not trust it is gone.
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &settings, script, seen).await,
                            Err(_refused) => {}
                        },
                        None => serve(stream, &settings, script, seen).await,
                    }
                });
            }
        });
        Self { serving, tls: secure, seen }
    }

    /// A server that says `opening` first, answers settings and pings, and to each request the frames that `answer` has for
    /// the number of its connection, its stream and its message; after none it ends the connection.
    pub(crate) fn raw(answer: impl Fn(usize, u32, &Request) -> Vec<Frame> + Send + Sync + 'static) -> Self {
        let (answer, seen) = (Arc::new(answer), Arc::<Seen>::default());
        let seeing = Arc::clone(&seen);
        let serving = Serving::listen(([127, 0, 0, 1], 0).into(), async move |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seeing));
                tokio::spawn(async move { serve_raw(Client::over(stream), &*answer, &seen).await });
            }
        });
        Self { serving, tls: false, seen }
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

async fn serve<S>(stream: S, settings: &Builder, script: Scripts, seen: Arc<Seen>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // What speaks another protocol is gone.
    let Ok(mut connection) = settings.handshake::<_, Bytes>(stream).await else { return };
    let number = seen.connections.fetch_add(1, Ordering::SeqCst) + 1;
    let (tell, mut told) = mpsc::channel(64);
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let (script, seen, tell) = (Arc::clone(&script), Arc::clone(&seen), tell.clone());
                    let now = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
                    seen.at_once.fetch_max(now, Ordering::SeqCst);
                    tokio::spawn(async move {
                        let request = read(request).await;
                        if let Some(request) = request {
                            seen.requests.lock().expect("not poisoned").push((number, request.clone()));
                            play(script(&request), respond, &tell).await;
                        }
                        seen.open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
                _ => return,
            },
            Some(turn) = told.recv() => match turn {
                Turn::GoAway => connection.graceful_shutdown(),
                _ => return,
            },
        }
    }
}

async fn read(request: http::Request<RecvStream>) -> Option<Request> {
    let (parts, mut body) = request.into_parts();
    let mut text = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.ok()?;
        body.flow_control().release_capacity(part.len()).ok()?;
        text.extend_from_slice(&part);
    }
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.to_str().expect("a field in ASCII").to_owned())
    };
    let mut fields: Vec<_> = parts.headers.iter().map(field).collect();
    fields.push((":authority".to_owned(), parts.uri.authority()?.to_string()));
    fields.push((":scheme".to_owned(), parts.uri.scheme_str()?.to_owned()));
    let text = String::from_utf8(text).expect("a message in UTF-8");
    let body = serde_json::from_str(&text).unwrap_or_default();
    let target = parts.uri.path_and_query()?.to_string();
    Some(Request { method: parts.method.to_string(), target, fields, body, text })
}

async fn play(turns: Turns, respond: SendResponse<Bytes>, connection: &mpsc::Sender<Turn>) {
    let mut stream = Stream { respond, body: None, connection };
    for turn in turns {
        if let Turn::Follow(turns) = turn {
            while let Some(turn) = turns.lock().await.recv().await {
                if !stream.perform(turn).await {
                    return;
                }
            }
        } else if !stream.perform(turn).await {
            return;
        }
    }
}

/// One stream as its script sees it.
struct Stream<'a> {
    respond: SendResponse<Bytes>,
    body: Option<SendStream<Bytes>>,
    connection: &'a mpsc::Sender<Turn>,
}

impl Stream<'_> {
    /// Does one thing; `false` once nobody takes it any more.
    async fn perform(&mut self, turn: Turn) -> bool {
        match turn {
            Turn::Head(status, fields) => {
                let mut head = http::Response::builder().status(status);
                for (name, value) in fields {
                    head = head.header(name, value);
                }
                let head = head.body(()).expect("a head");
                self.body = self.respond.send_response(head, false).ok();
                self.body.is_some()
            }
            Turn::Data(data) => send(self.body.as_mut().expect("a head before it"), data.into()).await,
            Turn::End => self.body.as_mut().expect("a head before it").send_data(Bytes::new(), true).is_ok(),
            Turn::Reset(reason) => {
                match &mut self.body {
                    Some(sender) => sender.send_reset(reason),
                    None => self.respond.send_reset(reason),
                }
                false
            }
            Turn::Pause(time) => {
                tokio::time::sleep(time).await;
                true
            }
            Turn::Gate(gate) => {
                drop(gate.acquire().await.expect("nobody closes it"));
                true
            }
            Turn::GoAway | Turn::Drop => self.connection.send(turn).await.is_ok(),
            Turn::Follow(_) => unreachable!("what is followed does not follow"),
        }
    }
}

async fn send(sender: &mut SendStream<Bytes>, mut data: Bytes) -> bool {
    while !data.is_empty() {
        sender.reserve_capacity(data.len());
        let Some(Ok(room)) = poll_fn(|cx| sender.poll_capacity(cx)).await else { return false };
        if sender.send_data(data.split_to(room.min(data.len())), false).is_err() {
            return false;
        }
    }
    true
}

async fn serve_raw(
    mut client: Client,
    answer: &(dyn Fn(usize, u32, &Request) -> Vec<Frame> + Send + Sync),
    seen: &Seen,
) {
    let preface = client.bytes(24).await;
    assert_eq!(preface.as_deref(), Some(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]));
    let number = seen.connections.fetch_add(1, Ordering::SeqCst) + 1;
    client.write(&Frame::new(SETTINGS, 0, 0, []).bytes()).await;
    let mut bodies = std::collections::HashMap::<u32, Vec<u8>>::new();
    while let Some(frame) = frame(&mut client).await {
        match (frame.kind, frame.flags) {
            (SETTINGS | PING, flags) if flags & 1 == 0 => {
                client
                    .write(
                        &Frame::new(frame.kind, 1, 0, if frame.kind == PING { frame.payload } else { Vec::new() })
                            .bytes(),
                    )
                    .await;
            }
            (DATA | HEADERS, flags) => {
                let body = bodies.entry(frame.stream).or_default();
                if frame.kind == DATA {
                    body.extend_from_slice(&frame.payload);
                }
                if flags & END_STREAM == 0 {
                    continue;
                }
                let text = String::from_utf8(std::mem::take(body)).expect("a message in UTF-8");
                let body = serde_json::from_str(&text).unwrap_or_default();
                let request = Request { method: String::new(), target: String::new(), fields: Vec::new(), body, text };
                seen.requests.lock().expect("not poisoned").push((number, request.clone()));
                let frames = answer(number, frame.stream, &request);
                if frames.is_empty() {
                    return;
                }
                client.write(&frames.iter().flat_map(Frame::bytes).collect::<Vec<_>>()).await;
            }
            _ => {}
        }
    }
}

// === scripts ===

/// A modern server: greets by itself and leaves everything else to `calls`.
pub(crate) fn modern(calls: impl Fn(&Request) -> Turns + Send + Sync) -> impl Fn(&Request) -> Turns + Send + Sync {
    move |request| match request.rpc() {
        "server/discover" => json(200, &discovered(request)),
        _ => calls(request),
    }
}

/// The answer of a modern server to `server/discover`.
pub(crate) fn discovered(request: &Request) -> String {
    let result = serde_json::json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} } });
    result_body(&request.id(), &result)
}

/// A head of this media type.
pub(crate) fn head(status: u16, media: &str) -> Turn {
    Turn::Head(status, vec![("content-type", media.to_owned())])
}

/// A whole JSON answer.
pub(crate) fn json(status: u16, body: &str) -> Turns {
    vec![head(status, "application/json"), Turn::Data(body.as_bytes().to_vec()), Turn::End]
}
