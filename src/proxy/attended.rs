//! The client of a call: the connection that the call came on, and in a session over HTTP more than that. There it may
//! cancel the call from another connection, and when its own breaks, come back on another one for what the call comes to.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::bridge::Caller;
use super::cancellation::Cancellation;
use super::error::Refusal;
use super::route::Route;
use super::session::{Replay, Session, Sessions};
use super::{Answer, Carrier, Downstream, Erased, Left, Post, Request, Worker, dispatch, respond};
use crate::catalog::{Revision, Topology};
use crate::limits;
use crate::mcp::json::Value;
use crate::mcp::sse;
use crate::upstream::Gone;

/// Such a client. What only sessions do is boxed where it is rare: it would make every connection larger.
struct Attended<'a, D> {
    /// The connection that the call came on.
    downstream: &'a D,
    /// `None` for a client that is its connection.
    session: Option<InSession<'a>>,
}

/// What a client in a session over HTTP is beside the connection.
struct InSession<'a> {
    sessions: &'a Sessions,
    session: Session,
    cancellation: &'a Cancellation,
    /// Nobody is at the other end of the connection any more.
    away: Cell<bool>,
    /// Set once the stream began; none of a stream that nobody can come back to.
    stream: OnceCell<Option<Arc<Replay>>>,
}

/// After which time without an answer the stream of a call begins. Where a client may come back to it, that is soon.
pub(super) fn quiet(request: &Request<'_>, carrier: Carrier<'_>) -> Duration {
    match carrier {
        Carrier::Http(_) if request.session.is_some_and(is_primed) => limits::STREAM_AFTER,
        _ => limits::KEEP_ALIVE,
    }
}

/// Whether streams of a session begin with an event that has nothing but an id. Older clients take it for a message.
pub(super) fn is_primed(session: Session) -> bool {
    session.revision >= Revision::V2025_11_25
}

/// Routes a call and sends it on. `session` is the one that it is in, where its client is more than its connection.
pub(super) async fn call<'a, T: Topology, D: Downstream>(
    worker: &Worker<T>,
    post: &Post<'a>,
    caller: &Caller<'a>,
    session: Option<Session>,
    downstream: &D,
) -> Result<Result<(), Gone>, Refusal<'a>> {
    let in_flight = match session {
        None => None,
        Some(session) => match worker.calls.enter(session.key, caller.id) {
            Some(in_flight) => Some((session, in_flight)),
            None => return Err(Refusal::Busy("as many calls of sessions are in flight as may be")),
        },
    };
    let attended = Attended {
        downstream,
        session: in_flight.as_ref().map(|(session, in_flight)| InSession {
            sessions: &worker.shared.sessions,
            session: *session,
            cancellation: in_flight.cancellation(),
            away: Cell::new(false),
            stream: OnceCell::new(),
        }),
    };
    let outcome = super::call(worker, post, caller, &attended).await?;
    Ok(attended.close(outcome, caller.accepts_stream).await)
}

/// Sends a call on that needs no connection: the data plane is not compiled once more for it.
pub(super) async fn dispatch_detached<T: Topology>(
    worker: &Worker<T>,
    caller: &Caller<'_>,
    name: (Value, &str),
    route: &Route<'_>,
    passed_on: &[(&str, &[u8])],
    downstream: &Erased<'_>,
) -> Result<(), Gone> {
    let attended = Attended { downstream, session: None };
    dispatch::dispatch(worker, caller, name, route, passed_on, &attended).await
}

// === impl InSession ===

impl InSession<'_> {
    /// The stream, if a client may come back to it.
    fn replay(&self) -> Option<&Arc<Replay>> {
        self.stream.get().and_then(Option::as_ref)
    }

    /// Begins the stream, unless it began.
    async fn begin(&self, downstream: &impl Downstream) -> Option<&Arc<Replay>> {
        if self.stream.get().is_none() {
            let replay = self.stream.get_or_init(|| self.sessions.replays.open(self.session.key)).as_ref()?;
            if is_primed(self.session) {
                let mut event = Vec::new();
                sse::prime(&replay.first().to_string(), limits::RETRY, &mut event);
                self.write(downstream, replay, &event).await;
            }
        }
        self.replay()
    }

    /// Writes to the connection, unless the client is elsewhere by now.
    async fn write(&self, downstream: &impl Downstream, replay: &Replay, events: &[u8]) {
        if !self.away.get() && !replay.is_taken_over() && downstream.raw(events).await.is_err() {
            self.away.set(true);
        }
    }

    async fn event(&self, downstream: &impl Downstream, message: &[&[u8]]) -> Result<(), Gone> {
        let Some(replay) = self.begin(downstream).await else { return downstream.event(message).await };
        let event = self.sessions.replays.add(replay, message).await;
        self.write(downstream, replay, &event).await;
        Ok(())
    }

    async fn keep_alive(&self, downstream: &impl Downstream) -> Result<(), Gone> {
        let began = self.stream.get().is_some();
        match self.begin(downstream).await {
            None => downstream.keep_alive().await,
            // The event that primes the stream says as much.
            Some(_) if !began && is_primed(self.session) => Ok(()),
            Some(replay) if self.away.get() || replay.is_taken_over() => Ok(()),
            Some(_) => {
                self.away.set(downstream.keep_alive().await.is_err());
                Ok(())
            }
        }
    }

    /// Leaves the connection as the next request may find it, whatever came of the call.
    async fn close(
        &self,
        downstream: &impl Downstream,
        outcome: Result<(), Gone>,
        accepts_stream: bool,
    ) -> Result<(), Gone> {
        match outcome {
            _ if self.away.get() => Err(Gone),
            // MCP 2025-11-25, cancellation: no response. The stream ends without one.
            Err(Gone) if self.cancellation.is_cancelled() && accepts_stream => {
                if !downstream.streaming() {
                    downstream.keep_alive().await?;
                }
                downstream.finish().await
            }
            Err(Gone) if self.cancellation.is_cancelled() => respond::accepted(downstream).await,
            outcome => outcome,
        }
    }

    fn poll_left(&self, downstream: &impl Downstream, cx: &mut Context<'_>) -> Poll<Left> {
        if self.cancellation.poll(cx).is_ready() {
            return Poll::Ready(Left::Cancelled);
        }
        if !self.away.get() {
            match downstream.poll_left(cx) {
                Poll::Ready(Left::Away) => self.away.set(true),
                other => return other,
            }
        }
        // Who can come back is not gone.
        if self.replay().is_some() { Poll::Pending } else { Poll::Ready(Left::Away) }
    }
}

// === impl Attended ===

impl<D: Downstream> Attended<'_, D> {
    async fn close(&self, outcome: Result<(), Gone>, accepts_stream: bool) -> Result<(), Gone> {
        let Some(session) = &self.session else { return outcome };
        if let Some(replay) = session.replay() {
            replay.end();
        }
        match outcome {
            Ok(()) if !session.away.get() => Ok(()),
            outcome => Box::pin(session.close(self.downstream, outcome, accepts_stream)).await,
        }
    }
}

impl<D: Downstream> Downstream for Attended<'_, D> {
    const DETACHED: bool = D::DETACHED;

    async fn answer(&self, answer: &Answer<'_>) -> Result<(), Gone> {
        self.downstream.answer(answer).await
    }

    async fn begin(&self, length: u64, parts: &[&[u8]]) -> Result<(), Gone> {
        self.downstream.begin(length, parts).await
    }

    async fn part(&self, parts: &[&[u8]]) -> Result<(), Gone> {
        self.downstream.part(parts).await
    }

    async fn event(&self, message: &[&[u8]]) -> Result<(), Gone> {
        match &self.session {
            None => self.downstream.event(message).await,
            Some(session) => Box::pin(session.event(self.downstream, message)).await,
        }
    }

    async fn raw(&self, events: &[u8]) -> Result<(), Gone> {
        self.downstream.raw(events).await
    }

    async fn keep_alive(&self) -> Result<(), Gone> {
        match &self.session {
            None => self.downstream.keep_alive().await,
            Some(session) => Box::pin(session.keep_alive(self.downstream)).await,
        }
    }

    async fn finish(&self) -> Result<(), Gone> {
        match &self.session {
            Some(session) if session.replay().is_some() && session.away.get() => Ok(()),
            _ => self.downstream.finish().await,
        }
    }

    fn streaming(&self) -> bool {
        match &self.session {
            None => self.downstream.streaming(),
            Some(session) => session.stream.get().is_some(),
        }
    }

    fn takes_parts(&self) -> bool {
        self.downstream.takes_parts()
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        match &self.session {
            None => self.downstream.poll_left(cx),
            Some(session) => session.poll_left(self.downstream, cx),
        }
    }
}
