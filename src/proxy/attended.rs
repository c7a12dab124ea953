//! The client of a call in a session over HTTP, which is more than the connection that the call came on: it may cancel
//! the call from another one, and when its own breaks, come back on another one for what the call comes to.

use std::cell::{Cell, OnceCell, RefCell};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::bridge::Caller;
use super::error::Refusal;
use super::session::{Cancellation, Replay, Session, Sessions};
use super::{Answer, Carrier, Downstream, Erased, Left, Post, Request, Worker, respond};
use crate::catalog::{Revision, Topology};
use crate::limits;
use crate::mcp::sse;
use crate::upstream::Gone;

/// Such a client.
struct Attended<'a> {
    /// The connection that the call came on.
    downstream: &'a Erased<'a>,
    sessions: &'a Sessions,
    session: Session,
    cancellation: &'a Cancellation,
    /// Ready once it is said.
    cancelled: RefCell<Pin<&'a mut dyn Future<Output = ()>>>,
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

/// Routes a call of a session and sends it on.
pub(super) async fn call<'a, T: Topology>(
    worker: &Worker<T>,
    post: &Post<'a>,
    caller: &Caller<'a>,
    session: Session,
    downstream: &Erased<'_>,
) -> Result<Result<(), Gone>, Refusal<'a>> {
    let sessions = &worker.shared.sessions;
    let Some(in_flight) = sessions.calls.enter(session.key, caller.id) else {
        return Err(Refusal::Busy("as many calls of sessions are in flight as may be"));
    };
    let cancelled = pin!(in_flight.cancellation().cancelled());
    let attended = Attended {
        downstream,
        sessions,
        session,
        cancellation: in_flight.cancellation(),
        cancelled: RefCell::new(cancelled),
        away: Cell::new(false),
        stream: OnceCell::new(),
    };
    let outcome = super::call(worker, post, caller, &Erased::new(&attended)).await?;
    Ok(attended.close(outcome, caller.accepts_stream).await)
}

// === impl Attended ===

impl Attended<'_> {
    /// The stream, if a client may come back to it.
    fn replay(&self) -> Option<&Arc<Replay>> {
        self.stream.get().and_then(Option::as_ref)
    }

    /// Begins the stream, unless it began.
    async fn begin(&self) -> Option<&Arc<Replay>> {
        if self.stream.get().is_none() {
            let replay = self.stream.get_or_init(|| self.sessions.replays.open(self.session.key)).as_ref()?;
            if is_primed(self.session) {
                let mut event = Vec::new();
                sse::prime(&replay.first().to_string(), limits::RETRY, &mut event);
                self.write(replay, &event).await;
            }
        }
        self.replay()
    }

    /// Writes to the connection, unless the client is elsewhere by now.
    async fn write(&self, replay: &Replay, events: &[u8]) {
        if !self.away.get() && !replay.is_taken_over() && self.downstream.raw(events).await.is_err() {
            self.away.set(true);
        }
    }

    /// Leaves the connection as the next request may find it, whatever came of the call.
    async fn close(&self, outcome: Result<(), Gone>, accepts_stream: bool) -> Result<(), Gone> {
        if let Some(replay) = self.replay() {
            replay.end();
        }
        match outcome {
            _ if self.away.get() => Err(Gone),
            // MCP 2025-11-25, cancellation: no response. The stream ends without one.
            Err(Gone) if self.cancellation.is_cancelled() && accepts_stream => {
                if !self.downstream.streaming() {
                    self.downstream.keep_alive().await?;
                }
                self.downstream.finish().await
            }
            Err(Gone) if self.cancellation.is_cancelled() => respond::accepted(self.downstream).await,
            outcome => outcome,
        }
    }
}

impl Downstream for Attended<'_> {
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
        let Some(replay) = Self::begin(self).await else { return self.downstream.event(message).await };
        let event = self.sessions.replays.add(replay, message).await;
        self.write(replay, &event).await;
        Ok(())
    }

    async fn raw(&self, events: &[u8]) -> Result<(), Gone> {
        self.downstream.raw(events).await
    }

    async fn keep_alive(&self) -> Result<(), Gone> {
        let began = self.stream.get().is_some();
        match Self::begin(self).await {
            None => self.downstream.keep_alive().await,
            // The event that primes the stream says as much.
            Some(_) if !began && is_primed(self.session) => Ok(()),
            Some(replay) if self.away.get() || replay.is_taken_over() => Ok(()),
            Some(_) => {
                self.away.set(self.downstream.keep_alive().await.is_err());
                Ok(())
            }
        }
    }

    async fn finish(&self) -> Result<(), Gone> {
        if self.replay().is_some() && self.away.get() { Ok(()) } else { self.downstream.finish().await }
    }

    fn streaming(&self) -> bool {
        self.stream.get().is_some()
    }

    fn takes_parts(&self) -> bool {
        self.downstream.takes_parts()
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        if self.cancellation.is_cancelled() || self.cancelled.borrow_mut().as_mut().poll(cx).is_ready() {
            return Poll::Ready(Left::Cancelled);
        }
        if !self.away.get() {
            match self.downstream.poll_left(cx) {
                Poll::Ready(Left::Away) => self.away.set(true),
                other => return other,
            }
        }
        // Who can come back is not gone.
        if self.replay().is_some() { Poll::Pending } else { Poll::Ready(Left::Away) }
    }
}
