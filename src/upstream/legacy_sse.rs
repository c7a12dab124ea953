//! HTTP+SSE towards a backend (MCP 2024-11-05): one stream a worker, and profile of clients, on which everything comes,
//! and a POST for everything that is said. Answers are matched by minted id; who opens the stream, and opens it again, is in `stream`.

mod reference;
mod stream;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt;
use std::rc::Rc;

use tokio::sync::{Notify, mpsc, watch};

use super::greeting::Collected;
use super::heard::{Audience, Hearer};
use super::http::connection::Connection;
use super::http::{self, Client};
use super::multiplex::{Asked, Calls, Errand, Waiting};
use super::outbound::{self, Ids, Scratch};
use super::profiles::{self, ByProfile};
use super::status::Status;
use super::verbosity::{self, Verbosity, Wanted};
use super::{Call, Context, Error, Greeting, Kind, OpenError, Relay, Transport, greeting, plan};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::method::Level;

/// The links of one worker to one backend.
#[derive(Debug)]
pub struct LegacySse {
    links: ByProfile<Link>,
}

/// One stream. Shared with the task that keeps it.
struct Link {
    backend: String,
    /// For clients of which profile it is.
    profile: Profile,
    /// The URL of the stream.
    url: String,
    client: Rc<Client>,
    ids: Ids,
    calls: Calls,
    asked: RefCell<Asked>,
    status: watch::Sender<Status>,
    /// What the server was told to log.
    verbosity: RefCell<Verbosity>,
    audience: Rc<Audience>,
    /// Where the stream's server wants messages: request line and fields, but for the length.
    post_head: RefCell<Rc<[u8]>>,
    /// Messages that no answer comes to, each for the stream of a generation.
    errands: mpsc::Sender<(u64, Errand)>,
    /// The other end, until the stream is first needed.
    idle: RefCell<Option<mpsc::Receiver<(u64, Errand)>>>,
    /// A call was refused for want of a stream.
    wanted: Notify,
    /// The server knows the stream of this generation no more.
    over: Cell<u64>,
    is_over: Notify,
    closing: Notify,
}

/// A call that is given up on the way out, whatever way that is.
struct InFlight<'a> {
    link: &'a Link,
    id: u64,
    generation: u64,
    waiting: Rc<Waiting>,
    /// All of it was written.
    written: bool,
}

// === impl Transport ===

impl Transport for LegacySse {
    fn carries(transport: &plan::Transport) -> bool {
        matches!(transport, plan::Transport::LegacySse(_))
    }

    fn open(context: &Context, backend: &plan::Backend) -> Result<Self, OpenError> {
        let url = context.shared.resolve(backend, context.url(&backend.transport))?;
        let client = Rc::new(Client::open(context, backend)?);
        let ids = Ids::new(context.worker, context.workers);
        let audience = Rc::new(Audience::new(context.shared.account(backend)));
        let none = Link::new((backend.name.to_string(), url), client, ids, Profile::NONE, audience);
        Ok(Self { links: ByProfile::new(Rc::new(none)) })
    }

    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        let profile = profiles::of(call);
        let none = self.links.none();
        let link = self.links.of(profile, || Ok::<_, Infallible>(Rc::new(none.like(profile))));
        let outcome = link.unwrap_or_else(|never| match never {}).exchange(call, relay).await;
        if let Some(rest) = outcome.as_ref().err().and_then(Error::rest) {
            call.rest.set(Some(rest));
        }
        outcome
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        Ok(Greeting::clone(&*self.links.none().ready().await?.1))
    }

    fn era(&self) -> Option<Era> {
        Some(Era::Legacy)
    }

    async fn hear<H: Hearer>(&self, hearer: Rc<H>) -> Result<(), Error> {
        self.links.none().hear(hearer).await
    }

    async fn close(&self) {
        let links = self.links.all();
        links.iter().for_each(|link| link.begin_close());
        for link in links {
            // Ending with an error means that the link is gone: the same.
            drop(link.status.subscribe().wait_for(|status| matches!(status, Status::Closed)).await);
        }
    }
}

// === impl Link ===

impl fmt::Debug for Link {
    /// Without what its requests hold: credentials, the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("backend", &self.backend).finish_non_exhaustive()
    }
}

impl Link {
    /// One that opens no stream yet.
    fn new(
        (backend, url): (String, String),
        client: Rc<Client>,
        ids: Ids,
        profile: Profile,
        audience: Rc<Audience>,
    ) -> Self {
        let (errands, idle) = mpsc::channel(limits::BACKEND_QUEUE_MAX);
        Self {
            backend,
            profile,
            url,
            client,
            ids,
            calls: Calls::default(),
            asked: RefCell::default(),
            status: watch::Sender::new(Status::Starting),
            verbosity: RefCell::default(),
            audience,
            post_head: RefCell::new(Rc::from([])),
            errands,
            idle: RefCell::new(Some(idle)),
            wanted: Notify::new(),
            over: Cell::new(0),
            is_over: Notify::new(),
            closing: Notify::new(),
        }
    }

    /// Another one to the same backend.
    fn like(&self, profile: Profile) -> Self {
        let (place, client) = ((self.backend.clone(), self.url.clone()), Rc::clone(&self.client));
        Self::new(place, client, self.ids.anew(), profile, Rc::clone(&self.audience))
    }

    fn begin_close(&self) {
        if self.idle.borrow_mut().take().is_some() {
            self.status.send_replace(Status::Closed);
        }
        self.closing.notify_one();
    }

    async fn exchange<R: Relay>(self: &Rc<Self>, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        let (generation, _greeting) = self.ready().await?;
        if self.asked.borrow().len() >= limits::BACKEND_CALLS_MAX {
            return Err(Error::full("it has as many calls in flight as it may"));
        }
        let level = self.verbosity.borrow().lower(Wanted::by(call));
        if let Some(level) = level {
            self.set_level(generation, level).await;
            // Whoever left meanwhile has the next one tell it.
            self.verbosity.borrow().told(level);
        }
        let id = self.ids.mint();
        let mut scratch = Scratch::default();
        scratch.prepare(call, Era::Legacy, id);
        let splice = scratch.splice(call, Era::Legacy);
        let mut request = self.post_head.borrow().to_vec();
        outbound::push_fields(call, Era::Legacy, &mut request);
        http::end_head(&mut request, splice.len());
        splice.write(&mut request);
        self.carry(id, generation, &request, &call.sent, relay).await
    }

    /// Tells the server to log more. One that does not is not worth a call.
    async fn set_level(self: &Rc<Self>, generation: u64, level: Level) {
        let id = self.ids.mint();
        let message = verbosity::set_level(id, level);
        let mut request = self.post_head.borrow().to_vec();
        http::end_head(&mut request, message.len());
        request.extend_from_slice(message.as_bytes());
        let (sent, mut answered) = (Cell::new(false), Collected::default());
        let carried = self.carry(id, generation, &request, &sent, &mut answered);
        match tokio::time::timeout(limits::PROBE_TIMEOUT, carried).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(backend = self.backend, %error, "it was not told to log more"),
            Err(_elapsed) => tracing::debug!(backend = self.backend, "it does not say whether it logs more"),
        }
    }

    /// Waits while the stream comes up, which begins with whoever asks first; fails at once while it is down.
    async fn ready(self: &Rc<Self>) -> Result<(u64, std::sync::Arc<Greeting>), Error> {
        if let Some(errands) = self.idle.borrow_mut().take() {
            tokio::task::spawn_local(Rc::clone(self).run(errands));
        }
        if matches!(*self.status.borrow(), Status::Down(_)) {
            self.wanted.notify_one();
        }
        // Nothing ends a stream that is idle: it is never asleep.
        Status::ready(&self.status.subscribe(), || {}).await
    }

    /// See [`Transport::hear`].
    async fn hear(self: &Rc<Self>, hearer: Rc<dyn Hearer>) -> Result<(), Error> {
        let over = async {
            let (generation, greeting) = self.ready().await?;
            hearer.begin(&greeting);
            Err(Status::gone(self.status.subscribe(), generation).await)
        };
        self.audience.admit(&hearer, over).await
    }

    /// Posts a request and relays what comes on the stream for it.
    async fn carry<R: Relay>(
        self: &Rc<Self>,
        id: u64,
        generation: u64,
        request: &[u8],
        sent: &Cell<bool>,
        relay: &mut R,
    ) -> Result<(), Error> {
        let mut in_flight = InFlight::begin(self, id, generation);
        let (waiting, dropped) = (Rc::clone(&in_flight.waiting), &self.audience.dropped);
        let say = |message| {
            let unsaid = |_full| Error::lost(true, "what its client answered cannot be posted to it");
            self.errands.try_send((generation, Errand::of(&waiting, message))).map_err(unsaid)
        };
        let connection = tokio::select! {
            biased;
            // Nothing comes for a call that was not made but the end of its stream, after which it is not to be made.
            outcome = waiting.relay(Era::Legacy, relay, (say, dropped)) => return outcome.map_err(|error| match error.kind {
                Kind::ClientGone => error,
                _ => Error::lost(sent.get(), error.detail),
            }),
            connection = self.client.send(request, sent) => connection?,
        };
        in_flight.written = true;
        let (link, refused) = (Rc::clone(self), Rc::clone(&waiting));
        // Aside: the answer may come before it, and a connection whose response was read serves another request.
        tokio::task::spawn_local(async move {
            link.finish(connection, generation, |error| refused.fail(error)).await;
        });
        let outcome = waiting.relay(Era::Legacy, relay, (say, dropped)).await;
        if let Err(error) = &outcome {
            sent.set(error.sent);
        }
        outcome
    }

    /// Reads the response to a POST to its end; tells why the server did not take the message.
    async fn finish(&self, mut connection: Connection, generation: u64, refused: impl FnOnce(Error)) {
        let finished = async move {
            let response = match connection.response().await {
                Ok(response) => response,
                Err(error) => return refused(self.client.read_error(error)),
            };
            if let Err(error) = self.judge(response.status, generation) {
                // Who asks to be left alone may be a proxy that has lost a request which the server is at.
                let sent = error.sent || response.rest.is_some();
                refused(Error { sent, retry_after: response.rest, ..error });
            }
            if connection.whole_body(response.framing).await.is_ok() {
                self.client.give_back(connection);
            }
        };
        // What the server is slow to accept may still be answered; the call has a deadline of its own.
        drop(tokio::time::timeout(limits::WRITE_TIMEOUT, finished).await);
    }

    /// What a status says of the message that was posted.
    fn judge(&self, status: u16, generation: u64) -> Result<(), Error> {
        let (kind, sent) = match status {
            200..=299 => return Ok(()),
            401 | 403 => (Kind::Auth, false),
            // It has no such session (any more), or cannot take it now: the call was not dispatched.
            404 | 503 => (Kind::Unavailable, false),
            300..=499 => (Kind::Protocol, false),
            // Whatever stands before the server may have lost track of what the server does.
            _ => (Kind::Protocol, true),
        };
        if status == 404 {
            self.over.set(self.over.get().max(generation));
            self.is_over.notify_one();
        }
        Err(Error::new(kind, sent, format!("it answered a message with status {status}")))
    }
}

// === impl InFlight ===

impl<'a> InFlight<'a> {
    fn begin(link: &'a Link, id: u64, generation: u64) -> Self {
        link.asked.borrow_mut().insert(id);
        Self { link, id, generation, waiting: link.calls.begin(id, generation), written: false }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.link.calls.end(self.id);
        if self.waiting.is_settled() || !self.written {
            // What was refused is not answered either.
            self.link.asked.borrow_mut().forget(self.id);
        } else if self.link.asked.borrow_mut().abandon(self.id) {
            // A full queue loses the cancellation, never the call's end: a late answer finds nobody and is dropped.
            let cancellation = Errand::new(greeting::cancelled(self.id));
            drop(self.link.errands.try_send((self.generation, cancellation)));
        }
    }
}
