//! Streamable HTTP towards a backend, both eras: a POST per call, answered by JSON or by an event stream.
//!
//! Every worker keeps its own connections and, with a legacy backend, a session with its stream for each profile of
//! clients.

mod greet;
mod peer;
mod receive;
mod remote;
mod standing;
mod stream;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use super::heard::{Audience, Hearer};
use super::http::{self, Client};
use super::outbound::{self, Ids, Scratch, push_field};
use super::profiles::ByProfile;
use super::verbosity::Wanted;
use super::{Call, Context, Error, Greeting, Kind, OpenError, Relay, Transport, plan, seconds};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::header;
use peer::{InFlight, Peer};
use receive::Staleness;
pub(crate) use remote::{Remote, Reply};

/// A request buffer that grew past this is given back.
const REQUEST_KEPT_BYTES: usize = 64 << 10;

/// The link of one worker to one HTTP backend.
#[derive(Debug)]
pub struct StreamableHttp(Rc<Link>);

/// Shared with the task that greets the backend, which goes on when the call that began it gives up.
struct Link {
    backend: String,
    client: Client,
    /// What it was greeted in last, or was locked in: asked for first, and verified.
    assumed_era: Cell<Option<Era>>,
    pinned_era: Option<Era>,
    berths: ByProfile<Berth>,
    audience: Rc<Audience>,
    ids: Ids,
    /// One request's bytes; taken while it is written.
    buffer: RefCell<Vec<u8>>,
}

/// Where what is known of it is kept for the clients of one profile; a modern one is in that of no capabilities.
struct Berth {
    profile: Profile,
    peer: RefCell<Option<Rc<Peer>>>,
    /// The outcome of the greeting that is under way.
    greeting: RefCell<Option<watch::Receiver<Option<Greeted>>>>,
}

/// What a greeting came to.
type Greeted = Result<Rc<Peer>, Error>;

/// What a POST came to when no answer was relayed and nothing broke.
#[derive(Debug, PartialEq, Eq)]
enum Posted {
    /// The answer went to the relay; for how long the server asks to be left alone, if it does.
    Answered { session_id: Option<String>, rest: Option<Duration> },
    /// 202: a notification or response was taken.
    Accepted,
    /// It has no such session, or is a server of another era by now, and has not looked at the request: start over.
    Over,
    /// 404 without a meaning in JSON-RPC.
    NotFound,
    /// Another status whose body is no JSON-RPC message.
    Refused(u16),
    /// The same of a server that asks to be left alone for so long.
    Busy(u16, Duration),
}

// === impl Transport ===

impl Transport for StreamableHttp {
    fn carries(transport: &plan::Transport) -> bool {
        matches!(transport, plan::Transport::StreamableHttp(_))
    }

    fn open(context: &Context, backend: &plan::Backend) -> Result<Self, OpenError> {
        Ok(Self(Rc::new(Link {
            backend: backend.name.to_string(),
            client: Client::open(context, backend)?,
            assumed_era: Cell::new(backend.era.or(backend.locked_era)),
            pinned_era: backend.era,
            berths: ByProfile::new(Rc::new(Berth::new(Profile::NONE))),
            audience: Rc::new(Audience::new(context.shared.account(backend))),
            ids: Ids::new(context.worker, context.workers),
            buffer: RefCell::default(),
        })))
    }

    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        let outcome = self.0.exchange(call, relay).await;
        if let Some(rest) = outcome.as_ref().err().and_then(Error::rest) {
            call.rest.set(Some(rest));
        }
        outcome
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        Ok(self.0.peer(self.0.berths.none()).await?.greeting.clone())
    }

    fn era(&self) -> Option<Era> {
        self.0.berths.none().peer.borrow().as_ref().map(|peer| peer.greeting.era)
    }

    async fn hear<H: Hearer>(&self, hearer: Rc<H>) -> Result<(), Error> {
        self.0.peer(self.0.berths.none()).await?.hear(hearer).await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

// === impl Berth ===

impl Berth {
    fn new(profile: Profile) -> Self {
        Self { profile, peer: RefCell::default(), greeting: RefCell::default() }
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
    async fn exchange<R: Relay>(self: &Rc<Self>, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        let peer = self.peer_for(call).await?;
        match self.carry(&peer, call, peer.staleness(), relay).await? {
            Posted::Answered { rest, .. } => {
                call.rest.set(rest);
                return Ok(());
            }
            // MCP 2025-11-25, session management: 404 means that the session is over and the request was not dispatched.
            Posted::Over => {}
            other => {
                // It may be another server by now, of another era: the next call finds out.
                if peer.session_id.is_none() && !matches!(other, Posted::Busy(..)) {
                    self.forget(&peer);
                }
                return Err(self.unanswered(&other));
            }
        }
        tracing::info!(backend = self.backend, "it knows the gateway no more: greeting again");
        self.forget(&peer);
        call.sent.set(false);
        let peer = self.peer_for(call).await?;
        match self.carry(&peer, call, Staleness::None, relay).await? {
            Posted::Answered { rest, .. } => {
                call.rest.set(rest);
                Ok(())
            }
            // Not dispatched either: somebody else may take it.
            Posted::NotFound if peer.session_id.is_some() => {
                Err(Error::new(Kind::Protocol, false, "it knows a session no more that it has just begun"))
            }
            other => Err(self.unanswered(&other)),
        }
    }

    async fn close(&self) {
        let peers: Vec<_> = self.berths.all().iter().filter_map(|berth| berth.peer.take()).collect();
        peers.iter().for_each(|peer| peer.end());
        let ended = async {
            for peer in peers.iter().filter(|peer| peer.session_id.is_some()) {
                if let Err(error) = self.end_session(peer).await {
                    tracing::debug!(backend = self.backend, %error, "session was not ended");
                }
            }
        };
        // The sessions would end by themselves: nobody waits long for it.
        if tokio::time::timeout(limits::CONNECT_TIMEOUT, ended).await.is_err() {
            tracing::debug!(backend = self.backend, "sessions were not ended in time");
        }
    }

    async fn end_session(&self, peer: &Peer) -> Result<(), Error> {
        let endpoint = &self.client.endpoint;
        let mut request = endpoint.head("DELETE", &endpoint.path).into_bytes();
        request.extend_from_slice(peer.fields.as_bytes());
        request.extend_from_slice(b"\r\n");
        let mut connection = self.client.connection(true).await?;
        connection.write(&request).await.map_err(|(_, error)| Error::lost(true, error.to_string()))?;
        connection.response().await.map_err(|error| Error::lost(true, error.to_string()))?;
        Ok(())
    }

    /// Sends one call and relays what comes back.
    async fn carry<R: Relay>(
        &self,
        peer: &Rc<Peer>,
        call: &Call<'_>,
        may_be: Staleness,
        relay: &mut R,
    ) -> Result<Posted, Error> {
        let era = peer.greeting.era;
        if let Some(level) = peer.verbosity.lower(Wanted::by(call)) {
            self.set_level(peer, level).await;
            // Whoever left meanwhile has the next one tell it.
            peer.verbosity.told(level);
        }
        let id = self.ids.mint();
        let mut scratch = Scratch::default();
        scratch.prepare(call, era, id);
        let splice = scratch.splice(call, era);

        let mut request = self.buffer.take();
        request.clear();
        request.extend_from_slice(&peer.head);
        if era == Era::Modern {
            push_field(&mut request, b"mcp-method", call.method.as_bytes());
            if let Some(target) = call.target.filter(|target| target.mirrored) {
                request.extend_from_slice(b"mcp-name: ");
                header::encode(target.name, &mut request);
                request.extend_from_slice(b"\r\n");
            }
        }
        outbound::push_fields(call, era, &mut request);
        http::end_head(&mut request, splice.len());
        splice.write(&mut request);

        let in_flight = peer.begin(id);
        let sent = self.client.send(&request, &call.sent).await;
        request.shrink_to(REQUEST_KEPT_BYTES);
        self.buffer.replace(request);
        let outcome = match sent {
            Ok(connection) => self.receive(connection, Some(id), era, may_be, in_flight.as_ref(), relay).await,
            Err(error) => Err(error),
        };
        if let Some(in_flight) = in_flight {
            in_flight.ended(outcome.as_ref().map(|_posted| ()));
        }
        outcome
    }

    fn unanswered(&self, posted: &Posted) -> Error {
        match posted {
            Posted::Over | Posted::NotFound => {
                Error::protocol(format!("`{}` answered with status 404", self.client.endpoint.shown))
            }
            Posted::Refused(status) => {
                let url = &self.client.endpoint.shown;
                Error::protocol(format!("`{url}` answered with status {status} and no JSON-RPC message"))
            }
            Posted::Busy(status, rest) => {
                // Sent all the same, and a gateway in front of a server answers so too when it has lost a request on its way:
                // that status proves nothing of what was executed.
                let (url, seconds) = (&self.client.endpoint.shown, seconds(*rest));
                let detail = format!("`{url}` answered with status {status} and asks to be left alone for {seconds} s");
                Error::protocol(detail).retry_after(*rest)
            }
            Posted::Accepted | Posted::Answered { .. } => Error::protocol("it took the request and gave no answer"),
        }
    }
}
