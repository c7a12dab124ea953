//! HTTP/2 towards one backend: one connection, which all calls of a worker share, made when the first one needs it and again
//! when it takes no more. Which version a connection has is found here; a connection is in `trunk`, a request in `exchange`.
//!
//! **Invariant:** a request is sent again only where the backend said that it did not look at it, and only once.

mod exchange;
mod trunk;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Rc;

use tokio::sync::watch;

use super::connection::Connection;
use super::pool::Pool;
use crate::clock::Clock;
use crate::upstream::endpoint::{Endpoint, Io, no_http2};
use crate::upstream::{Error, Kind};
pub(super) use exchange::Exchange;
use trunk::{Slot, Trunk};

/// See the module.
pub(super) struct Http2 {
    endpoint: Rc<Endpoint>,
    clock: Clock,
    state: RefCell<State>,
}

/// What is known of the backend.
enum State {
    /// Nothing, or nothing that still counts.
    Unknown,
    /// A connection is coming up: what it came to, for all who wait for it.
    Dialing(watch::Receiver<Option<Result<(), Error>>>),
    /// It takes requests here.
    Up(Rc<Trunk>),
    /// It chose HTTP/1.1 last.
    Http1,
}

// === impl Http2 ===

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2").field("endpoint", &self.endpoint.authority).finish_non_exhaustive()
    }
}

impl Http2 {
    /// Where the backend may speak HTTP/2.
    pub(super) fn at(endpoint: &Rc<Endpoint>, clock: &Clock) -> Option<Rc<Self>> {
        let (endpoint, clock) = (Rc::clone(endpoint), clock.clone());
        endpoint.may_speak_http2().then(|| Rc::new(Self { endpoint, clock, state: RefCell::new(State::Unknown) }))
    }

    /// What carries the next request: a stream, or a connection of HTTP/1.1 where the backend chose that.
    pub(super) async fn connection(self: &Rc<Self>, pool: &Rc<Pool>) -> Result<Connection, Error> {
        match self.slot(Some(pool)).await? {
            Some(slot) => return Ok(Connection::shared(Exchange::new(self, slot))),
            // The connection that showed it is not in use yet.
            None => {
                if let Some(connection) = pool.take() {
                    return Ok(connection);
                }
            }
        }
        let io = self.endpoint.connect().await?;
        if !io.speaks_http2() {
            return Ok(Connection::new(io));
        }
        let trunk = self.begin(io).await?;
        self.state.replace(State::Up(Rc::clone(&trunk)));
        let slot = trunk.slot().await?.ok_or_else(|| Error::unavailable("its connection ended"))?;
        Ok(Connection::shared(Exchange::new(self, slot)))
    }

    /// A place for one more stream; `None` where the backend speaks HTTP/1.1. Where a connection has to be made, one that is
    /// of HTTP/1.1 goes to the pool.
    async fn slot(self: &Rc<Self>, pool: Option<&Rc<Pool>>) -> Result<Option<Slot>, Error> {
        loop {
            let (trunk, mut dialing) = match &*self.state.borrow() {
                State::Up(trunk) if trunk.takes_requests() => (Some(Rc::clone(trunk)), None),
                State::Dialing(outcome) => (None, Some(outcome.clone())),
                State::Http1 => return Ok(None),
                State::Up(_) | State::Unknown => (None, None),
            };
            if let Some(trunk) = trunk {
                match trunk.slot().await? {
                    Some(slot) => return Ok(Some(slot)),
                    None => continue,
                }
            }
            let outcome = dialing.get_or_insert_with(|| self.dial(pool));
            let outcome = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
            outcome.unwrap_or_else(|| Err(Error::unavailable("the gateway stops")))?;
        }
    }

    /// Makes a connection aside: it outlives whoever asked first, whose call may be over before it is up.
    fn dial(self: &Rc<Self>, pool: Option<&Rc<Pool>>) -> watch::Receiver<Option<Result<(), Error>>> {
        let (sender, outcome) = watch::channel(None);
        // What it replaces takes no more requests; those under way on it go on to their end.
        self.state.replace(State::Dialing(outcome.clone()));
        let (own, pool) = (Rc::clone(self), pool.map(Rc::clone));
        tokio::task::spawn_local(async move {
            let dialed = async {
                let io = own.endpoint.connect().await?;
                if io.speaks_http2() || own.endpoint.insists_on_http2() {
                    return own.begin(io).await.map(State::Up);
                }
                if let Some(pool) = pool {
                    pool.keep(Connection::new(io));
                }
                Ok(State::Http1)
            };
            let (state, came_to) = match dialed.await {
                Ok(state) => (state, Ok(())),
                Err(error) => (State::Unknown, Err(error)),
            };
            own.state.replace(state);
            sender.send_replace(Some(came_to));
        });
        outcome
    }

    /// Begins HTTP/2 on a new connection.
    async fn begin(&self, io: Io) -> Result<Rc<Trunk>, Error> {
        let authority = &self.endpoint.authority;
        if io.is_tls() && !io.speaks_http2() {
            return Err(Error::new(Kind::Protocol, false, no_http2(authority)));
        }
        let timeout = self.endpoint.connect_timeout;
        let begun = tokio::time::timeout(timeout, Trunk::begin(io, &self.clock)).await;
        match begun {
            Ok(Ok(trunk)) => Ok(Rc::new(trunk)),
            Ok(Err(error)) if is_violation(&error) => {
                Err(Error::new(Kind::Protocol, false, format!("{} ({error})", no_http2(authority))))
            }
            Ok(Err(error)) => Err(Error::unavailable(format!("HTTP/2 with {authority}: {error}"))),
            Err(_elapsed) => Err(Error::unavailable(format!("HTTP/2 with {authority}: not up within {timeout:?}"))),
        }
    }

    /// A place on another connection than this one, which is left to those that are under way on it.
    async fn another(self: &Rc<Self>, refused: &Rc<Trunk>) -> Result<Option<Slot>, Error> {
        refused.retire();
        self.slot(None).await
    }
}

/// Whether an error is that the backend broke a rule of HTTP/2.
pub(super) fn is_violation(error: &io::Error) -> bool {
    of_h2(error).is_some_and(h2::Error::is_library)
}

/// Whether an error says that nobody looked at the request: its stream was refused, or is above the last one that a backend
/// saw which goes away (RFC 9113, section 8.7).
fn is_refusal(error: &io::Error) -> bool {
    let refused = |error: &h2::Error| error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
    of_h2(error).is_some_and(|error| error.is_remote() && refused(error))
}

fn of_h2(error: &io::Error) -> Option<&h2::Error> {
    error.get_ref()?.downcast_ref()
}

fn into_io(error: h2::Error) -> io::Error {
    if error.is_io() { error.into_io().unwrap_or_else(|| io::ErrorKind::Other.into()) } else { io::Error::other(error) }
}
