//! Streamable HTTP towards a backend, both eras: a POST per call, answered by JSON or by an event stream.
//!
//! Every worker keeps its own connections and, with a legacy backend, its own session.

mod connection;
mod endpoint;

use std::cell::{Cell, RefCell};
use std::io::Write as _;
use std::rc::Rc;

use super::outbound::{Ids, Scratch, id_span};
use super::{Call, Context, Error, Greeting, Kind, Message, OpenError, Relay, Transport, greeting, plan};
use crate::catalog::{Era, Revision};
use crate::clock::Clock;
use crate::http1::Framing;
use crate::limits;
use crate::mcp::envelope::{self, Id, Outgoing, Shape};
use crate::mcp::sse;
use crate::mcp::{header, parts};
use connection::{Connection, Media, ReadError, Response};
use endpoint::Endpoint;

/// A JSON answer of this length or more is relayed as it comes, and not held.
const PARTS_BYTES_MIN: u64 = 128 << 10;
/// One above this is refused before anything of it was relayed.
const PARTS_BYTES_MAX: u64 = limits::ANSWER_BYTES_MAX as u64;

/// The link of one worker to one HTTP backend.
#[derive(Debug)]
pub struct StreamableHttp {
    backend: String,
    endpoint: Endpoint,
    assumed_era: Option<Era>,
    pinned_era: Option<Era>,
    peer: RefCell<Option<Rc<Peer>>>,
    /// Held while the backend is being greeted, so that it is greeted once.
    greeting: tokio::sync::Mutex<()>,
    /// How many greetings failed, and how the last one did.
    failures: RefCell<(u64, Option<Error>)>,
    ids: Ids,
    clock: Clock,
    /// Idle connections, the one used last at the end.
    idle: RefCell<Vec<Connection>>,
    /// One request's bytes; taken while it is written.
    buffer: RefCell<Vec<u8>>,
}

/// A backend that was greeted.
#[derive(Debug)]
struct Peer {
    greeting: Greeting,
    /// The session of this worker, with a legacy backend that has sessions.
    session_id: Option<String>,
    /// Request line and the fields that every request to it has.
    head: Vec<u8>,
}

/// What a POST came to when no answer was relayed and nothing broke.
#[derive(Debug, PartialEq, Eq)]
enum Posted {
    /// The answer went to the relay.
    Answered { session_id: Option<String> },
    /// 202: a notification or response was taken.
    Accepted,
    /// 404 without a meaning in JSON-RPC, or any 404 for a session: start over.
    NotFound,
    /// Another status whose body is no JSON-RPC message.
    Refused(u16),
}

/// Takes the answer of a greeting.
#[derive(Debug, Default)]
struct Collected(Option<(Vec<u8>, Outgoing)>);

// === impl Transport ===

impl Transport for StreamableHttp {
    fn carries(transport: &plan::Transport) -> bool {
        matches!(transport, plan::Transport::StreamableHttp(_))
    }

    fn open(context: &Context, backend: &plan::Backend) -> Result<Self, OpenError> {
        let plan::Transport::StreamableHttp(http) = &backend.transport else {
            return Err(OpenError::NotCompiled { backend: backend.name.to_string() });
        };
        Ok(Self {
            backend: backend.name.to_string(),
            endpoint: Endpoint::open(context, backend, http)?,
            assumed_era: backend.era.or(backend.locked_era),
            pinned_era: backend.era,
            peer: RefCell::new(None),
            greeting: tokio::sync::Mutex::new(()),
            failures: RefCell::default(),
            ids: Ids::new(context.worker, context.workers),
            clock: context.clock.clone(),
            idle: RefCell::default(),
            buffer: RefCell::default(),
        })
    }

    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        let peer = self.peer().await?;
        match self.carry(&peer, call, relay).await? {
            Posted::Answered { .. } => return Ok(()),
            // MCP 2025-11-25, session management: 404 means that the session is over and the request was not dispatched.
            Posted::NotFound if peer.session_id.is_some() => {}
            other => {
                // It may be another server by now, of another era: the next call finds out.
                if peer.session_id.is_none() {
                    self.forget(&peer);
                }
                return Err(self.unanswered(&other));
            }
        }
        tracing::info!(backend = self.backend, "session is over: greeting again");
        self.forget(&peer);
        call.sent.set(false);
        let peer = self.peer().await?;
        match self.carry(&peer, call, relay).await? {
            Posted::Answered { .. } => Ok(()),
            other => Err(self.unanswered(&other)),
        }
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        Ok(self.peer().await?.greeting.clone())
    }

    async fn close(&self) {
        let Some(peer) = self.peer.borrow_mut().take() else { return };
        let Some(session_id) = &peer.session_id else { return };
        let mut request = Vec::new();
        request.extend_from_slice(
            format!("DELETE {} HTTP/1.1\r\nhost: {}\r\n", self.endpoint.path, self.endpoint.authority).as_bytes(),
        );
        request.extend_from_slice(
            format!("mcp-session-id: {session_id}\r\nmcp-protocol-version: {}\r\n\r\n", peer.greeting.revision)
                .as_bytes(),
        );
        let ended = async {
            let mut connection = self.connection(true).await?;
            connection.write(&request).await.map_err(|(_, error)| Error::lost(true, error.to_string()))?;
            connection.response().await.map_err(|error| Error::lost(true, error.to_string()))
        };
        // The session would end by itself: nobody waits long for it.
        let ended = tokio::time::timeout(limits::CONNECT_TIMEOUT, ended).await;
        if let Err(error) = ended.unwrap_or_else(|_elapsed| Err(Error::unavailable("no answer in time"))) {
            tracing::debug!(backend = self.backend, %error, "session was not ended");
        }
    }
}

// === impl StreamableHttp ===

impl StreamableHttp {
    /// The backend as it was greeted; greets it first where that has not happened.
    async fn peer(&self) -> Result<Rc<Peer>, Error> {
        if let Some(peer) = &*self.peer.borrow() {
            return Ok(Rc::clone(peer));
        }
        let failures = self.failures.borrow().0;
        let _greeting = self.greeting.lock().await;
        if let Some(peer) = &*self.peer.borrow() {
            return Ok(Rc::clone(peer));
        }
        // Whoever waited while the greeting failed shares its outcome: each trying in turn would add up their waits.
        if let (count, Some(error)) = &*self.failures.borrow()
            && *count != failures
        {
            return Err(error.clone());
        }
        let introduced = tokio::time::timeout(limits::PROBE_TIMEOUT, self.introduce()).await;
        let introduced =
            introduced.unwrap_or_else(|_elapsed| Err(Error::unavailable("it answered no greeting in time")));
        let peer = Rc::new(introduced.map_err(nothing_sent).inspect_err(|error| {
            self.failures.replace_with(|(count, _)| (*count + 1, Some(error.clone())));
        })?);
        tracing::info!(backend = self.backend, revision = %peer.greeting.revision, "backend greeted");
        *self.peer.borrow_mut() = Some(Rc::clone(&peer));
        Ok(peer)
    }

    fn forget(&self, peer: &Rc<Peer>) {
        let mut current = self.peer.borrow_mut();
        if current.as_ref().is_some_and(|current| Rc::ptr_eq(current, peer)) {
            *current = None;
        }
    }

    /// Greets the backend in the era it is pinned to or was locked in, else in the modern one first.
    async fn introduce(&self) -> Result<Peer, Error> {
        if self.assumed_era != Some(Era::Legacy) {
            match self.discover().await? {
                greeting::Verdict::Modern(greeting) => return Ok(self.peer_of(greeting, None)),
                greeting::Verdict::Incompatible(detail) => return Err(Error::new(Kind::Protocol, false, detail)),
                greeting::Verdict::Legacy if self.pinned_era == Some(Era::Modern) => {
                    return Err(Error::new(
                        Kind::Protocol,
                        false,
                        "it is pinned to the modern era and does not speak it",
                    ));
                }
                greeting::Verdict::Legacy => {}
            }
        }
        match self.initialize().await {
            Err(error)
                if self.assumed_era == Some(Era::Legacy)
                    && self.pinned_era.is_none()
                    && error.kind == Kind::Protocol =>
            {
                // Locked as legacy, refused now: it may have become modern only.
                match self.discover().await? {
                    greeting::Verdict::Modern(greeting) => Ok(self.peer_of(greeting, None)),
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    async fn discover(&self) -> Result<greeting::Verdict, Error> {
        let id = self.ids.mint();
        let head = head_of(&self.endpoint, Revision::MODERN, None);
        let mut collected = Collected::default();
        let fields = b"mcp-method: server/discover\r\n";
        let posted =
            self.post(&[&head, fields], greeting::discover(id).as_bytes(), Era::Modern, id, &mut collected).await?;
        match (posted, collected.0) {
            (Posted::Answered { .. }, Some((source, head))) => Ok(greeting::verdict(&source, &head)),
            _ => Ok(greeting::Verdict::Legacy),
        }
    }

    async fn initialize(&self) -> Result<Peer, Error> {
        let id = self.ids.mint();
        let refused = |detail: String| Error::new(Kind::Protocol, false, detail);
        let mut collected = Collected::default();
        let head = format!("{}\r\n", request_line(&self.endpoint));
        let posted = self
            .post(
                &[head.trim_end_matches("\r\n").as_bytes(), b"\r\n"],
                greeting::initialize(id).as_bytes(),
                Era::Legacy,
                id,
                &mut collected,
            )
            .await?;
        let (Posted::Answered { session_id }, Some((source, outgoing))) = (&posted, collected.0) else {
            return Err(self.unanswered(&posted));
        };
        let greeting = greeting::initialized(&source, &outgoing).map_err(refused)?;
        let peer = self.peer_of(greeting, session_id.clone());
        let sent = Cell::new(false);
        match self
            .post_to(
                &peer.head,
                &[],
                greeting::INITIALIZED.as_bytes(),
                peer.greeting.era,
                None,
                &sent,
                &mut Collected::default(),
            )
            .await?
        {
            Posted::Refused(status) => {
                Err(refused(format!("`notifications/initialized` was answered with status {status}")))
            }
            Posted::NotFound => Err(refused("`notifications/initialized` was answered with status 404".to_owned())),
            Posted::Accepted | Posted::Answered { .. } => Ok(peer),
        }
    }

    fn peer_of(&self, greeting: Greeting, session_id: Option<String>) -> Peer {
        let head = head_of(&self.endpoint, greeting.revision, session_id.as_deref());
        Peer { greeting, session_id, head }
    }

    /// Sends one call and relays what comes back.
    async fn carry<R: Relay>(&self, peer: &Peer, call: &Call<'_>, relay: &mut R) -> Result<Posted, Error> {
        let era = peer.greeting.era;
        let id = self.ids.mint();
        let mut scratch = Scratch::default();
        scratch.prepare(call, era, id);
        let splice = scratch.splice(call, era);

        let mut request = self.buffer.take();
        request.clear();
        request.extend_from_slice(&peer.head);
        if era == Era::Modern {
            push_field(&mut request, b"mcp-method", call.method.as_bytes());
            if let Some(target) = call.target {
                request.extend_from_slice(b"mcp-name: ");
                header::encode(target.name, &mut request);
                request.extend_from_slice(b"\r\n");
            }
            for (name, value) in call.mcp_params {
                push_field(&mut request, name.as_bytes(), value);
            }
        }
        let _infallible = write!(request, "content-length: {}\r\n\r\n", splice.len());
        splice.write(&mut request);

        let sent = self.send(&request, &call.sent).await;
        self.buffer.replace(request);
        self.receive(sent?, Some(id), era, peer.session_id.is_some(), Some(peer), relay).await
    }

    async fn post(
        &self,
        head: &[&[u8]],
        body: &[u8],
        era: Era,
        id: u64,
        collected: &mut Collected,
    ) -> Result<Posted, Error> {
        let sent = Cell::new(false);
        self.post_to(&head.concat(), &[], body, era, Some(id), &sent, collected).await
    }

    #[expect(clippy::too_many_arguments, reason = "a request has this many parts, and only greetings are built so")]
    async fn post_to<R: Relay>(
        &self,
        head: &[u8],
        fields: &[u8],
        body: &[u8],
        era: Era,
        id: Option<u64>,
        sent: &Cell<bool>,
        relay: &mut R,
    ) -> Result<Posted, Error> {
        let mut request = [head, fields].concat();
        let _infallible = write!(request, "content-length: {}\r\n\r\n", body.len());
        request.extend_from_slice(body);
        let connection = self.send(&request, sent).await?;
        self.receive(connection, id, era, false, None, relay).await
    }

    /// Writes a request. A pooled connection that took nothing of it proves that nothing was sent: then a new one is used.
    async fn send(&self, request: &[u8], sent: &Cell<bool>) -> Result<Connection, Error> {
        for fresh in [false, true] {
            let mut connection = self.connection(fresh).await?;
            // Until the write says otherwise: a future dropped inside it must not claim that nothing left.
            sent.set(true);
            match connection.write(request).await {
                Ok(()) => return Ok(connection),
                Err((0, error)) => {
                    sent.set(false);
                    if fresh {
                        return Err(Error::unavailable(format!("write to {}: {error}", self.endpoint.authority)));
                    }
                }
                Err((_, error)) => {
                    return Err(Error::lost(true, format!("write to {}: {error}", self.endpoint.authority)));
                }
            }
        }
        Err(Error::unavailable("no connection took the request"))
    }

    async fn connection(&self, fresh: bool) -> Result<Connection, Error> {
        if !fresh {
            let now_ms = self.clock.now_ms();
            let idle_max = u64::try_from(limits::UPSTREAM_IDLE.as_millis()).unwrap_or(u64::MAX);
            loop {
                let Some(mut connection) = self.idle.borrow_mut().pop() else { break };
                if now_ms.saturating_sub(connection.idle_since_ms) <= idle_max && connection.is_quiet() {
                    return Ok(connection);
                }
            }
        }
        self.endpoint.connect().await
    }

    /// Reads the response to a request with this id (`None`: to a notification).
    async fn receive<R: Relay>(
        &self,
        mut connection: Connection,
        id: Option<u64>,
        era: Era,
        has_session: bool,
        peer: Option<&Peer>,
        relay: &mut R,
    ) -> Result<Posted, Error> {
        let response = connection.response().await.map_err(|error| self.read_error(error))?;
        let posted = match (response.status, response.media, id) {
            (404, _, Some(_)) if has_session => Posted::NotFound,
            (401 | 403, ..) => {
                return Err(Error::new(Kind::Auth, true, format!("it answered with status {}", response.status)));
            }
            (200, Media::EventStream, Some(id)) => {
                self.relay_stream(&mut connection, id, era, peer, relay).await?;
                Posted::Answered { session_id: response.session_id }
            }
            (200 | 400..=599, Media::Json, Some(id)) => {
                let status = response.status;
                if self.relay_body(&mut connection, &response, id, era, relay).await? {
                    Posted::Answered { session_id: response.session_id }
                } else if status == 404 {
                    Posted::NotFound
                } else {
                    Posted::Refused(status)
                }
            }
            (200..=299, _, None) => {
                connection.whole_body(response.framing).await.map_err(|error| self.read_error(error))?;
                Posted::Accepted
            }
            (404, ..) => Posted::NotFound,
            (status, ..) => Posted::Refused(status),
        };
        self.give_back(connection);
        Ok(posted)
    }

    /// Relays a JSON answer; `false` when the body of an HTTP error is no answer to this request.
    async fn relay_body<R: Relay>(
        &self,
        connection: &mut Connection,
        response: &Response,
        id: u64,
        era: Era,
        relay: &mut R,
    ) -> Result<bool, Error> {
        if let Framing::Length(length @ PARTS_BYTES_MIN..=PARTS_BYTES_MAX) = response.framing
            && response.status == 200
            && relay.takes_parts(era)
            && self.relay_parts(connection, length, id, relay).await?
        {
            return Ok(true);
        }
        let source = connection.whole_body(response.framing).await.map_err(|error| self.read_error(error))?;
        let head = match envelope::outgoing(source) {
            Ok(head) => head,
            Err(_) if response.status != 200 => return Ok(false),
            Err(error) => return Err(Error::protocol(format!("its answer is no JSON-RPC message: {:?}", error.kind))),
        };
        // A request refused before its id was read is answered without one (MCP 2026-07-28, streamable HTTP).
        let refusal = response.status != 200 && head.error.is_some() && id_span(head.id).is_none();
        if !refusal && !is_answer_to(source, &head, id) {
            if response.status != 200 {
                return Ok(false);
            }
            return Err(Error::protocol("its answer is to another request"));
        }
        relay.answer(Message { source, head: &head, era }).await?;
        Ok(true)
    }

    /// Relays a long answer as it comes; `false`, and nothing taken, when it does not begin as such answers do.
    async fn relay_parts<R: Relay>(
        &self,
        connection: &mut Connection,
        length: u64,
        id: u64,
        relay: &mut R,
    ) -> Result<bool, Error> {
        let first = connection.first_part().await.map_err(|error| self.read_error(error))?;
        let Some(before) = envelope::result_offset(first) else { return Ok(false) };
        let Ok(head) = parts::opening(&first[..before]) else { return Ok(false) };
        let minted = id.to_string();
        let answers = |id: Id, source: &[u8]| matches!(id, Id::Number(span) if span.of(source) == minted.as_bytes());
        if head.id != Id::Absent && !answers(head.id, first) {
            return Err(Error::protocol("its answer is to another request"));
        }
        let before = connection.take(before);
        let before = connection.taken(before).to_vec();
        relay.begin(&before, length, minted.len()).await?;
        let mut left = length - before.len() as u64;
        let mut follow = parts::Follow::default();
        let mut after = Vec::new();
        loop {
            let part = connection.take_part(&mut left).await.map_err(|error| self.read_error(error))?;
            match follow.take(part).map_err(|error| Error::protocol(error.to_string()))? {
                None if left == 0 => return Err(Error::protocol("its answer ends inside its result")),
                None => relay.part(part).await?,
                Some(end) => {
                    relay.part(&part[..end]).await?;
                    after.extend_from_slice(&part[end..]);
                    break;
                }
            }
        }
        while left > 0 && after.len() <= parts::AROUND_BYTES_MAX {
            after.extend_from_slice(connection.take_part(&mut left).await.map_err(|error| self.read_error(error))?);
        }
        let whole = parts::around(&before, &after).ok().filter(|_| left == 0);
        let whole = whole.filter(|whole| whole.shape == Shape::Response && whole.version_ok);
        let whole = whole.ok_or_else(|| Error::protocol("what follows its result ends no answer"))?;
        let place = id_span(whole.id).and_then(|span| parts::span_after(span, &before));
        if head.id == Id::Absent && place.is_none_or(|place| place.of(&after) != minted.as_bytes()) {
            return Err(Error::protocol("its answer is to another request"));
        }
        connection.finish_parts();
        relay.end(&after, place).await?;
        Ok(true)
    }

    async fn relay_stream<R: Relay>(
        &self,
        connection: &mut Connection,
        id: u64,
        era: Era,
        peer: Option<&Peer>,
        relay: &mut R,
    ) -> Result<(), Error> {
        let mut decoder = sse::Decoder::new(limits::EVENT_BYTES_MAX);
        while let Some(mut part) = connection.next_part().await.map_err(|error| self.read_error(error))? {
            while !part.is_empty() {
                let (taken, event) = decoder
                    .decode(part)
                    .map_err(|error| Error::new(Kind::ResponseTooLarge, true, error.to_string()))?;
                part = &part[taken..];
                let Some(event) = event.filter(|event| matches!(event.name, "" | "message") && !event.data.is_empty())
                else {
                    continue;
                };
                let head = envelope::outgoing(event.data)
                    .map_err(|error| Error::protocol(format!("an event is no JSON-RPC message: {:?}", error.kind)))?;
                match head.shape {
                    Shape::Response if is_answer_to(event.data, &head, id) => {
                        relay.answer(Message { source: event.data, head: &head, era }).await?;
                        return Ok(());
                    }
                    Shape::Notification => {
                        relay.notification(Message { source: event.data, head: &head, era }).await?;
                    }
                    // MCP 2026-07-28 has no requests of servers; a legacy one is answered, so that it does not wait.
                    Shape::Request if era == Era::Legacy => self.reply(peer, event.data, &head).await,
                    _ => tracing::debug!(backend = self.backend, "a message that belongs to no call was dropped"),
                }
            }
        }
        Err(Error::lost(true, "its stream ended without an answer"))
    }

    /// Answers a request that a legacy backend made of its client.
    async fn reply(&self, peer: Option<&Peer>, source: &[u8], head: &Outgoing) {
        let (Some(peer), Some(id)) = (peer, id_span(head.id)) else { return };
        let body = greeting::reply(source, head, id.of(source));
        let sent = Cell::new(false);
        // Boxed: a reply is rare, and would otherwise make every exchange as large as two.
        let mut nothing = Collected::default();
        let posted = Box::pin(self.post_to(&peer.head, &[], body.as_bytes(), Era::Legacy, None, &sent, &mut nothing));
        if let Err(error) = posted.await {
            tracing::warn!(backend = self.backend, %error, "its request could not be answered");
        }
    }

    fn give_back(&self, connection: Connection) {
        if let Some(connection) = connection.into_idle(self.clock.now_ms()) {
            let mut idle = self.idle.borrow_mut();
            if idle.len() < limits::IDLE_CONNECTIONS_MAX {
                idle.push(connection);
            }
        }
    }

    fn read_error(&self, error: ReadError) -> Error {
        let detail = format!("{}: {error}", self.endpoint.authority);
        match error {
            ReadError::Ended | ReadError::Io(_) => Error::lost(true, detail),
            ReadError::TooLarge => Error::new(Kind::ResponseTooLarge, true, detail),
            _ => Error::protocol(detail),
        }
    }

    fn unanswered(&self, posted: &Posted) -> Error {
        match posted {
            Posted::NotFound => Error::protocol("it answered with status 404"),
            Posted::Refused(status) => {
                Error::protocol(format!("it answered with status {status} and no JSON-RPC message"))
            }
            Posted::Accepted | Posted::Answered { .. } => Error::protocol("it took the request and gave no answer"),
        }
    }
}

impl Relay for Collected {
    async fn notification(&mut self, _message: Message<'_>) -> Result<(), Error> {
        Ok(())
    }

    async fn answer(&mut self, message: Message<'_>) -> Result<(), Error> {
        self.0 = Some((message.source.to_vec(), *message.head));
        Ok(())
    }
}

/// An error of a greeting, as it concerns the call that waited for it.
fn nothing_sent(error: Error) -> Error {
    let kind = if error.kind == Kind::OutcomeUnknown { Kind::Unavailable } else { error.kind };
    Error { kind, sent: false, ..error }
}

fn is_answer_to(source: &[u8], head: &Outgoing, id: u64) -> bool {
    let mut digits = [0; 20];
    let mut cursor = std::io::Cursor::new(&mut digits[..]);
    let _infallible = write!(cursor, "{id}");
    let length = usize::try_from(cursor.position()).unwrap_or_default();
    head.shape == Shape::Response
        && head.version_ok
        && matches!(head.id, Id::Number(span) if span.of(source) == &digits[..length])
}

fn request_line(endpoint: &Endpoint) -> String {
    format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\nuser-agent: only1mcp/{}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream",
        endpoint.path,
        endpoint.authority,
        env!("CARGO_PKG_VERSION"),
    )
}

fn head_of(endpoint: &Endpoint, revision: Revision, session_id: Option<&str>) -> Vec<u8> {
    let mut head = format!("{}\r\n", request_line(endpoint));
    // The field exists since 2025-06-18; older servers may refuse a version they do not know.
    if revision >= Revision::V2025_06_18 {
        head.push_str(&format!("mcp-protocol-version: {revision}\r\n"));
    }
    if let Some(session_id) = session_id {
        head.push_str(&format!("mcp-session-id: {session_id}\r\n"));
    }
    head.into_bytes()
}

fn push_field(request: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    request.extend_from_slice(name);
    request.extend_from_slice(b": ");
    request.extend_from_slice(value);
    request.extend_from_slice(b"\r\n");
}
