//! The backends' side: `exchange(call)` is the one place where a transport is chosen, and it is chosen at build time.
//!
//! A transport owns the links of one worker to one backend. It knows how to carry a call and its answer, which era the
//! other side speaks, and what is proven when something breaks. It knows nothing of clients.
//!
//! **Invariant:** a call is written to a backend at most once, unless it is proven that nothing of it was sent.

#[cfg(feature = "amendments")]
mod added;
pub mod any;
pub mod balance;
#[cfg(any(feature = "transport-stdio", feature = "transport-ws"))]
mod channel;
#[cfg(feature = "transport-stdio")]
mod children;
mod cluster;
mod context;
#[cfg(any(feature = "authoring", feature = "amendments"))]
mod contract;
#[cfg(any(feature = "transport-http", feature = "transport-sse", feature = "transport-ws"))]
mod credentials;
mod dropped;
#[cfg(any(feature = "transport-http", feature = "transport-sse", feature = "transport-ws"))]
mod endpoint;
mod error;
mod greeting;
mod heard;
#[cfg(any(feature = "transport-http", feature = "transport-sse"))]
mod http;
#[cfg(feature = "transport-sse")]
pub mod legacy_sse;
mod multiplex;
#[cfg(all(feature = "amendments", not(feature = "transport-stdio")))]
mod no_ward;
mod outbound;
mod probe;
mod profiles;
mod rules;
mod status;
#[cfg(feature = "transport-stdio")]
pub mod stdio;
#[cfg(feature = "transport-http")]
pub mod streamable_http;
#[cfg(feature = "tls")]
mod tls;
#[cfg(any(feature = "transport-http", feature = "transport-sse", feature = "transport-ws"))]
mod tunnel;
mod upkeep;
mod verbosity;
mod vitals;
#[cfg(feature = "transport-ws")]
pub mod websocket;
mod weights;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

#[cfg(feature = "amendments")]
pub(crate) use added::{Addition, Additions, Chosen, Reached, Trial};
#[cfg(feature = "transport-stdio")]
pub use children::{CHILD_VARIABLES, Children};
pub use cluster::Cluster;
#[cfg(feature = "admin")]
pub(crate) use cluster::{Breaking, HealthState, Standing};
pub(crate) use cluster::{Group, Others, seconds};
pub(crate) use context::Tuning;
pub use context::{Context, Shared};
#[cfg(feature = "amendments")]
pub(crate) use contract::Told;
#[cfg(any(feature = "authoring", feature = "amendments"))]
pub(crate) use contract::contract;
pub(crate) use dropped::{Dropped, Reason};
pub use error::{Error, Kind, OpenError};
pub use greeting::Greeting;
pub(crate) use greeting::{Collected, subscriptions_listen, tools_list};
pub use heard::Hearer;
pub(crate) use heard::Subscription;
pub(crate) use probe::Probe;
pub(crate) use profiles::asks;
pub(crate) use rules::Rules;
pub(crate) use status::Backoff;
pub(crate) use upkeep::Upkeep;
pub use vitals::{Patient, State, Vitals};
pub(crate) use weights::Weights;

use crate::catalog::{Era, plan};
pub use crate::mcp::client::SessionKey;
use balance::HeaderKey;

use crate::mcp::client::Profile;
use crate::mcp::envelope::{Incoming, Outgoing};
use crate::mcp::json::Span;
use crate::mcp::method::Level;

/// How bytes move to one backend, from one worker. Generated enums implement it by `#[derive(Dispatch)]`.
#[expect(async_fn_in_trait, reason = "a worker is one thread: its futures never need to be Send")]
pub trait Transport: Sized + 'static {
    /// Whether this transport carries backends of that kind.
    fn carries(transport: &plan::Transport) -> bool;

    /// Prepares the link of this worker to a backend; connects nothing yet.
    ///
    /// # Errors
    /// When the topology's references (an address, a certificate) do not resolve.
    fn open(context: &Context, backend: &plan::Backend) -> Result<Self, OpenError>;

    /// Carries one call. Every message the backend sends on behalf of it goes to `relay` in order; the last is the
    /// answer.
    ///
    /// # Errors
    /// When no answer came; says on which side of "provably not sent" the call stands.
    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error>;

    /// What the backend said of itself when it was greeted; greets it if that has not happened yet.
    ///
    /// # Errors
    /// When it cannot be reached or answers no greeting of either era.
    async fn greet(&self) -> Result<Greeting, Error>;

    /// The era that it was greeted in; `None` while it is not.
    fn era(&self) -> Option<Era>;

    /// Hears what a legacy backend tells by itself, for as long as the session lasts that this worker's calls for clients
    /// without capabilities share; begins it where there is none, and keeps it from ending for want of calls. Calls of
    /// `resources/subscribe` and `resources/unsubscribe` go to the same session. What is told over other sessions
    /// meanwhile is heard too. Comes back when there is nothing by which the backend could tell.
    ///
    /// # Errors
    /// When the session is over, or none comes to be.
    async fn hear<H: Hearer>(&self, hearer: Rc<H>) -> Result<(), Error>;

    /// The session is over: what is kept for it alone may go.
    fn leave(&self, session: SessionKey) {
        let _ = session;
    }

    /// Whether the backend is to be kept up may have changed: what is kept up for want of a decision is ended once no call
    /// needs it, or comes up again.
    fn reconsider(&self) {}

    /// Ends what this worker holds open at the backend.
    async fn close(&self);
}

/// Where the messages of one call go.
#[expect(async_fn_in_trait, reason = "a worker is one thread: its futures never need to be Send")]
pub trait Relay {
    /// The call goes to this one of several children, or endpoints.
    fn taken_by(&mut self, child: u16) {
        let _ = child;
    }

    /// A notification that belongs to the call.
    ///
    /// # Errors
    /// The client is gone.
    async fn notification(&mut self, message: Message<'_>) -> Result<(), Error>;

    /// A request that the backend makes on behalf of the call. What is answered to it comes out of [`Relay::reply`].
    /// `false` when nobody is there to be asked: then the transport refuses it.
    ///
    /// # Errors
    /// The client is gone.
    async fn request(&mut self, message: Message<'_>) -> Result<bool, Error> {
        let _ = message;
        Ok(false)
    }

    /// The next message for the backend: the answer to a request that it made, under the id that it chose. Pending for as
    /// long as there is none. Cancel safe.
    async fn reply(&mut self) -> String {
        std::future::pending().await
    }

    /// The answer: the last message of the call.
    ///
    /// # Errors
    /// The client is gone, or the answer is none that a backend may give.
    async fn answer(&mut self, message: Message<'_>) -> Result<(), Error>;

    /// Whether a long answer may come in parts, from a backend that speaks this era: none of it may need to change
    /// inside its result.
    fn takes_parts(&self, era: Era) -> bool {
        let _ = era;
        false
    }

    /// The beginning of an answer in parts, up to where its result begins. `length` is that of the whole message,
    /// and `minted` the length of the id that the backend has to echo.
    ///
    /// # Errors
    /// As [`Relay::answer`].
    async fn begin(&mut self, before: &[u8], length: u64, minted: usize) -> Result<(), Error> {
        let _ = (before, length, minted);
        Err(Error::protocol("its answer is too long"))
    }

    /// More of its result.
    ///
    /// # Errors
    /// The client is gone.
    async fn part(&mut self, part: &[u8]) -> Result<(), Error> {
        let _ = part;
        Err(Error::protocol("its answer is too long"))
    }

    /// Its end, behind its result. The id of the call stands at `id` in it, unless it stood before the result.
    ///
    /// # Errors
    /// The client is gone.
    async fn end(&mut self, after: &[u8], id: Option<Span>) -> Result<(), Error> {
        let _ = (after, id);
        Err(Error::protocol("its answer is too long"))
    }
}

/// A message from a backend, as it came and scanned.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its bytes.
    pub source: &'a [u8],
    /// Where its parts stand.
    pub head: &'a Outgoing,
    /// The era in which the backend spoke.
    pub era: Era,
}

/// Nobody is left to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;

/// One request on its way to a backend.
#[derive(Debug)]
pub struct Call<'a> {
    /// The client's message.
    pub source: &'a [u8],
    /// Where its parts stand.
    pub head: &'a Incoming,
    /// Its method, decoded.
    pub method: &'a str,
    /// The name or URI it is about, if its method has one.
    pub target: Option<Target<'a>>,
    /// The era in which the client spoke.
    pub era: Era,
    /// The least severity of log messages that the client wants with it.
    pub log_level: Option<Level>,
    /// Fields that came with it, for servers over HTTP: `Mcp-Param-*`, and the context of a trace.
    pub passed_on: &'a [(&'a str, &'a [u8])],
    /// The arguments that the backend wants to see in such fields: these are written from the message, whatever came.
    pub headers: &'a [plan::ParamHeader],
    /// The session of a legacy client. What a backend keeps for one session, it keeps under this.
    pub session: Option<SessionKey>,
    /// What of its headers decides where it goes.
    pub header_keys: &'a [HeaderKey],
    /// What a legacy client said it can do. A modern one says it with each message, in its `_meta`.
    pub profile: Profile,
    /// What the backend may ask of clients, by its topology: it is not told that they can do anything else.
    pub asks: Profile,
    /// The one of several children, or endpoints, that has to take it; `None` for any.
    pub child: Option<u16>,
    /// The bits of the endpoints that it was tried at.
    pub tried: Cell<u64>,
    /// For how long the endpoint that had it asks to be left alone, if it does.
    pub rest: Cell<Option<Duration>>,
    /// The endpoint that has it, and which trial of this one it is.
    pub taken: Cell<Option<(u16, u32)>>,
    /// Set as soon as any byte of it may have reached the backend.
    pub sent: Cell<bool>,
}

impl<'a> Call<'a> {
    /// A request that the gateway makes by itself: nobody's, and about nothing in particular.
    #[must_use]
    pub const fn own(source: &'a [u8], head: &'a Incoming, method: &'a str, era: Era) -> Self {
        Self {
            source,
            head,
            method,
            target: None,
            era,
            log_level: None,
            passed_on: &[],
            headers: &[],
            session: None,
            header_keys: &[],
            profile: Profile::NONE,
            asks: Profile::NONE,
            child: None,
            tried: Cell::new(0),
            rest: Cell::new(None),
            taken: Cell::new(None),
            sent: Cell::new(false),
        }
    }

    /// What decides where it goes, where something of it does.
    pub(crate) fn keys(&self) -> balance::Keys<'a> {
        let Self { source, head, session, header_keys, .. } = *self;
        balance::Keys { source, head, name: self.target.map(|target| target.name), session, header_keys }
    }
}

/// What a call is about, under the backend's own name for it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The value in the client's message, with its quotes.
    pub span: Span,
    /// The name or URI the backend knows.
    pub name: &'a str,
    /// Whether that differs from what the client wrote.
    pub renamed: bool,
    /// Whether the field `Mcp-Name` repeats it towards a modern server over HTTP.
    pub mirrored: bool,
}
