//! A client on lines whose server is elsewhere, over Streamable HTTP: each message is posted with the fields that its era
//! asks for, and what comes back becomes lines. Nothing is routed here, and no message is changed but a refusal without
//! an id, which gets that of its request. What of arguments goes along as fields is in [`params`].

mod params;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::stdio;
use crate::catalog::Era;
use crate::clock::Clock;
use crate::limits;
use crate::mcp::envelope::{self, Id, Incoming, Shape};
use crate::mcp::header;
use crate::mcp::json::{Kind, Value};
use crate::mcp::lines::TooLong;
use crate::proxy::{Refusal, is_header_mismatch};
use crate::upstream::streamable_http::{Remote, Reply};
use crate::upstream::{Error, Gone};
use params::Params;

/// How long a session's stream rests after it ended.
const STREAM_REST: Duration = Duration::from_secs(1);

/// Fields of a request.
type Fields = Vec<(Cow<'static, str>, Vec<u8>)>;

/// One client and its server.
#[derive(Debug)]
struct Bridge {
    remote: Remote,
    outbox: mpsc::Sender<Vec<u8>>,
    session: RefCell<Option<Agreed>>,
    /// Requests in flight by their id as written.
    in_flight: RefCell<HashMap<Box<[u8]>, InFlight>>,
    /// What tools want to see in fields.
    params: Params,
    /// Whether the server was ever reached.
    reached: Cell<bool>,
    /// Why it was not, at the first request.
    unreachable: RefCell<Option<Error>>,
    over: Notify,
}

/// What posting a message came to: the refusal that was kept back, or why there is no answer.
type Posted = Result<Option<Vec<u8>>, Error>;

/// What `initialize` came to.
#[derive(Clone, Debug)]
struct Agreed {
    /// Servers without sessions give none.
    id: Option<String>,
    version: String,
}

#[derive(Debug)]
struct InFlight {
    era: Era,
    task: AbortHandle,
    /// Its client wants no answer, and the server was told so.
    cancelled: bool,
}

/// The server cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BridgeError {
    /// The URL is none.
    #[error("{0}")]
    Url(String),
    /// It could not be reached at the first request.
    #[error("the server is not reached")]
    Unreachable(#[source] Error),
    /// There is no runtime.
    #[error("no thread for it")]
    Thread(#[source] std::io::Error),
}

/// Passes on what is read from stdin and what the server at `url` answers, until the client closes its end or `stop`.
pub(crate) fn bridge(url: &str, stop: impl Future<Output = ()>) -> Result<(), BridgeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BridgeError::Thread)?;
    let local = tokio::task::LocalSet::new();
    let bridged = local.block_on(&runtime, async {
        let clock = Clock::default();
        tokio::task::spawn_local(clock.clone().run());
        serve(Remote::open(url, clock).map_err(BridgeError::Url)?, stop).await.map_err(BridgeError::Unreachable)
    });
    drop(local);
    // A read of stdin cannot be taken back: whoever holds its other end may never write or close.
    runtime.shutdown_background();
    bridged
}

async fn serve(remote: Remote, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let (outbox, messages) = mpsc::channel(limits::CONNECTION_MESSAGES_MAX);
    let bridge = Rc::new(Bridge {
        remote,
        outbox,
        session: RefCell::default(),
        in_flight: RefCell::default(),
        params: Params::default(),
        reached: Cell::new(false),
        unreachable: RefCell::default(),
        over: Notify::new(),
    });
    let mut writing = tokio::task::spawn_local(stdio::write(messages, tokio::io::stdout()));
    // What waits for answers, and the stream of a session, which waits for the end.
    let (mut calls, mut streams) = (JoinSet::new(), JoinSet::new());
    let reading = stdio::lines(tokio::io::stdin(), std::future::pending, async |line| {
        while calls.try_join_next().is_some() {}
        bridge.take(line, &mut calls, &mut streams).await
    });
    tokio::select! {
        // Whether the client closed its end or reads no more: the end is the same.
        _ended = reading => {}
        () = stop => {}
        () = bridge.over.notified() => {}
        _ended = &mut writing => return Ok(()),
    }
    let finished = async { while calls.join_next().await.is_some() {} };
    if tokio::time::timeout(limits::DRAIN_GRACE, finished).await.is_err() {
        tracing::warn!("calls are left at the end of the grace period");
    }
    drop((calls, streams));
    bridge.end().await;
    let unreachable = bridge.unreachable.take();
    drop(bridge);
    drop(writing.await);
    unreachable.map_or(Ok(()), Err)
}

fn borrowed(fields: &Fields) -> Vec<(&str, &[u8])> {
    fields.iter().map(|(name, value)| (&**name, &value[..])).collect()
}

/// An error with the id of its request, where it has none.
fn with_id(message: Vec<u8>, id: &[u8]) -> Vec<u8> {
    let head = envelope::outgoing(&message).ok();
    match head.and_then(|head| Some((head.error?, head.id))) {
        Some((error, Id::Absent | Id::Null)) => {
            [br#"{"jsonrpc":"2.0","id":"#, id, br#","error":"#, error.span.of(&message), b"}"].concat()
        }
        _ => message,
    }
}

// === impl Bridge ===

impl Bridge {
    /// Takes one line. Requests go on by themselves but for `initialize`, before whose answer nothing else makes sense.
    async fn take(
        self: &Rc<Self>,
        line: Result<Bytes, TooLong>,
        calls: &mut JoinSet<()>,
        streams: &mut JoinSet<()>,
    ) -> Result<(), Gone> {
        let line = match line {
            Ok(line) => line,
            Err(TooLong) => return self.refuse(&Refusal::PayloadTooLarge, Era::Modern, None).await,
        };
        let message = match envelope::incoming(&line) {
            Ok(message) => message,
            Err(error) => return self.refuse(&Refusal::Scan(error), Era::Modern, None).await,
        };
        let method = message.method.map(|method| method.decode(&line).into_owned()).unwrap_or_default();
        let (era, fields) = self.fields(&message, &line, &method);
        let id = match (message.shape, message.id) {
            (Shape::Request, Id::Number(span) | Id::String(span)) => span.of(&line),
            // It is told so by the server.
            _ if method == "notifications/cancelled" && self.cancel(&message, &line) => return Ok(()),
            _ => {
                self.exchange(&line, None, era, &fields).await?;
                if method == "notifications/initialized" && era == Era::Legacy && streams.is_empty() {
                    let bridge = Rc::clone(self);
                    streams.spawn_local(async move { bridge.listen().await });
                }
                return Ok(());
            }
        };
        if method == "initialize" {
            return self.exchange(&line, Some(id), era, &fields).await;
        }
        let key: Box<[u8]> = id.into();
        if self.in_flight.borrow().contains_key(&key) {
            let refusal = Refusal::InvalidRequest("`id` is that of a request in flight".into());
            return self.refuse(&refusal, era, Some(id)).await;
        }
        if calls.len() >= limits::CONNECTION_CALLS_MAX {
            return self.refuse(&Refusal::TooManyCalls(limits::CONNECTION_CALLS_MAX), era, Some(id)).await;
        }
        let (bridge, own, line) = (Rc::clone(self), key.clone(), line.clone());
        let task = calls.spawn_local(async move {
            // Who is gone gets nothing; whether anybody is left is seen by whoever reads.
            let _gone = bridge.exchange(&line, Some(&own), era, &fields).await;
            bridge.in_flight.borrow_mut().remove(&own);
        });
        self.in_flight.borrow_mut().insert(key, InFlight { era, task, cancelled: false });
        Ok(())
    }

    /// The fields that a message has beside the usual ones (MCP 2026-07-28, streamable HTTP; MCP 2025-11-25, sessions).
    fn fields(&self, message: &Incoming, line: &[u8], method: &str) -> (Era, Fields) {
        let text = |value: Option<Value>| Some(value?.text()?.decode(line).into_owned());
        let version = message.meta.and_then(|meta| text(meta.protocol_version));
        let Some(version) = version.filter(|version| version.bytes().all(|byte| byte.is_ascii_graphic())) else {
            return (Era::Legacy, if method == "initialize" { Fields::new() } else { self.session_fields() });
        };
        let mut fields = vec![("mcp-protocol-version".into(), version.into_bytes())];
        let mut encoded = |name: Cow<'static, str>, value: &str| {
            let mut field = Vec::new();
            header::encode(value, &mut field);
            fields.push((name, field));
        };
        encoded("mcp-method".into(), method);
        let name = match method {
            "tools/call" | "prompts/get" => text(message.name),
            "resources/read" => text(message.uri),
            "tasks/get" | "tasks/update" | "tasks/cancel" => text(message.task_id),
            _ => None,
        };
        if let Some(name) = name {
            encoded("mcp-name".into(), &name);
            let wanted = self.params.of(&name).filter(|_| method == "tools/call").unwrap_or_default();
            for (name, value) in header::arguments(&wanted, line, message.arguments) {
                encoded(format!("mcp-param-{name}").into(), &value);
            }
        }
        (Era::Modern, fields)
    }

    fn session_fields(&self) -> Fields {
        let Some(Agreed { id, version }) = self.session.borrow().clone() else { return Fields::new() };
        let id = id.map(|id| ("mcp-session-id".into(), id.into_bytes()));
        id.into_iter().chain([("mcp-protocol-version".into(), version.into_bytes())]).collect()
    }

    /// Whether a cancellation is settled by ending the request that it names, which is how the modern era does it.
    fn cancel(&self, message: &Incoming, line: &[u8]) -> bool {
        let id = message.request_id.filter(|id| matches!(id.kind, Kind::Number | Kind::String));
        let Some(id) = id.map(|id| id.span.of(line)) else { return false };
        let mut in_flight = self.in_flight.borrow_mut();
        if let Some(call) = in_flight.get_mut(id).filter(|call| call.era == Era::Legacy) {
            call.cancelled = true;
            return false;
        }
        in_flight.remove(id).is_some_and(|call| {
            call.task.abort();
            true
        })
    }

    /// Posts one message and passes on what comes back.
    async fn exchange(&self, line: &[u8], id: Option<&[u8]>, era: Era, fields: &Fields) -> Result<(), Gone> {
        let mut relisted: Option<Fields> = None;
        let outcome = loop {
            let fields = relisted.as_ref().unwrap_or(fields);
            let posted = match self.remote.ask("POST", &borrowed(fields), line).await {
                Ok(reply) => {
                    self.reached.set(true);
                    self.pass_on(reply, id, line, relisted.is_none()).await?
                }
                Err(error) => Err(error),
            };
            let (refusal, id) = match (posted, id) {
                (Ok(Some(refusal)), Some(id)) => (refusal, id),
                (posted, _) => break posted,
            };
            // Boxed: hardly any is refused for its fields.
            match Box::pin(self.other_fields(line, fields)).await {
                Some(wanted) => relisted = Some(wanted),
                None => return self.write(with_id(refusal, id)).await,
            }
        };
        let error = match outcome {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if id.is_some_and(|id| self.in_flight.borrow().get(id).is_some_and(|call| call.cancelled)) {
            return Ok(());
        }
        tracing::warn!(%error, "message got no answer");
        if let Some(id) = id {
            self.refuse(&Refusal::Upstream("remote", &error), era, Some(id)).await?;
        }
        if !self.reached.get() {
            self.unreachable.replace(Some(error));
            self.over.notify_one();
            return Err(Gone);
        }
        Ok(())
    }

    /// The fields of a call that was refused with `had`, where the server lists its tool with others by now: it has not
    /// executed it (MCP 2026-07-28, server validation). `None` where the refusal is the answer.
    async fn other_fields(&self, line: &[u8], had: &Fields) -> Option<Fields> {
        let call = envelope::incoming(line).ok()?;
        let mut fields = self.fields(&call, line, "tools/call").1;
        // Another call may have learned it meanwhile.
        if fields == *had {
            self.params.relist(&self.remote, &call.name?.text()?.decode(line)).await;
            fields = self.fields(&call, line, "tools/call").1;
        }
        (fields != *had).then_some(fields)
    }

    /// Writes the messages of a reply. To a request one of them has to be the answer. That by which a modern server refuses
    /// the fields of a tool's call comes back, if it is `kept`.
    async fn pass_on(&self, mut reply: Reply, id: Option<&[u8]>, line: &[u8], kept: bool) -> Result<Posted, Gone> {
        let asked = envelope::incoming(line).unwrap_or_default();
        let is = |name| asked.method.is_some_and(|method| method.is(line, name));
        let (greets, calls) = (is("initialize"), is("tools/call") && kept);
        let mut answered = id.is_none();
        loop {
            let message = match reply.next().await {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) if answered => {
                    tracing::debug!(%error, "stream broke off behind its answer");
                    break;
                }
                Err(error) => return Ok(Err(error)),
            };
            let Ok(head) = envelope::outgoing(&message) else {
                return Ok(Err(Error::protocol(format!(
                    "its answer with status {} is no JSON-RPC message",
                    reply.status
                ))));
            };
            if calls && is_header_mismatch(&message, &head) {
                return Ok(Ok(Some(message)));
            }
            answered |= head.shape == Shape::Response;
            match (id, head.error, head.id) {
                (Some(id), Some(_), Id::Absent | Id::Null) => self.write(with_id(message, id)).await?,
                // Of a notification that was refused a client on lines hears nothing.
                (None, Some(error), Id::Absent | Id::Null)
                    if matches!(asked.shape, Shape::Notification | Shape::Response) =>
                {
                    let error = String::from_utf8_lossy(error.span.of(&message));
                    tracing::warn!(%error, "message was refused");
                }
                _ => {
                    if greets && head.result.is_some() {
                        self.begin(reply.session_id.clone(), &message);
                    }
                    self.write(message).await?;
                }
            }
        }
        match answered {
            true => Ok(Ok(None)),
            false => Ok(Err(Error::protocol(format!("it answered with status {} and no message", reply.status)))),
        }
    }

    /// Takes note of the session that `initialize` began.
    fn begin(&self, id: Option<String>, answer: &[u8]) {
        #[derive(Deserialize)]
        struct Initialized {
            result: Greeted,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Greeted {
            protocol_version: String,
        }
        let greeted = serde_json::from_slice::<Initialized>(answer).ok().map(|answer| answer.result.protocol_version);
        let version = greeted.filter(|version| version.bytes().all(|byte| byte.is_ascii_graphic()));
        self.session.replace(version.map(|version| Agreed { id, version }));
    }

    /// Passes on what the server says of itself, for as long as it offers a stream for that.
    async fn listen(&self) {
        loop {
            let fields = self.session_fields();
            match self.remote.ask("GET", &borrowed(&fields), b"").await {
                Ok(mut reply) if reply.status == 200 && reply.is_stream() => {
                    while let Ok(Some(message)) = reply.next().await {
                        if self.write(message).await.is_err() {
                            return;
                        }
                    }
                }
                Ok(reply) => return tracing::debug!(status = reply.status, "the server offers no stream of its own"),
                Err(error) => tracing::debug!(%error, "the server's own stream is not reached"),
            }
            tokio::time::sleep(STREAM_REST).await;
        }
    }

    /// Ends the session, if there is one.
    async fn end(&self) {
        let fields = self.session_fields();
        if !fields.iter().any(|(name, _)| *name == "mcp-session-id") {
            return;
        }
        let fields = borrowed(&fields);
        let ended = tokio::time::timeout(limits::CONNECT_TIMEOUT, self.remote.ask("DELETE", &fields, b"")).await;
        if !matches!(ended, Ok(Ok(_))) {
            tracing::debug!("session was not ended");
        }
    }

    async fn refuse(&self, refusal: &Refusal<'_>, era: Era, id: Option<&[u8]>) -> Result<(), Gone> {
        self.write(refusal.verdict(era).body(id)).await
    }

    async fn write(&self, message: Vec<u8>) -> Result<(), Gone> {
        self.outbox.send(message).await.map_err(|_closed| Gone)
    }
}
