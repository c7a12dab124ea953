//! GET: a stream on which a session hears of what belongs to no request, or on which a client comes back to the stream of
//! a call.

use std::future::poll_fn;

use super::super::attended::is_primed;
use super::super::error::Refusal;
use super::super::session::{EventId, Found, Reader, Session};
use super::super::subscriptions::OwnStream;
use super::super::{Downstream, Worker, respond};
use super::{is_modern, session_of};
use crate::catalog::{Era, Topology, View};
use crate::http1::{Field, RequestHead};
use crate::limits;
use crate::mcp::sse;
use crate::upstream::Gone;

/// Serves one.
pub(crate) async fn stream<T: Topology, D: Downstream>(
    worker: &Worker<T>,
    view: &'static View,
    head: &RequestHead<'_>,
    downstream: &D,
) -> Result<(), Gone> {
    if is_modern(head) {
        return respond::refuse(downstream, &Refusal::MethodNotAllowed("POST"), Era::Modern, None).await;
    }
    let sessions = &worker.shared.sessions;
    let refusal = match session_of(worker, view, head) {
        Err(refusal) => refusal,
        Ok(session) => match last_event(head.last_event_id) {
            Err(refusal) => refusal,
            Ok(None | Some(EventId::Session(_))) => return listen(worker, view, session, downstream).await,
            Ok(Some(last @ EventId::Call(stream, after))) => {
                match sessions.replays.resume(session.key, stream, after) {
                    Some(reader) => return resume(worker, session, last, reader, downstream).await,
                    None => {
                        Refusal::InvalidRequest("`Last-Event-ID` names no stream on which something follows".into())
                    }
                }
            }
        },
    };
    respond::refuse(downstream, &refusal, Era::Legacy, None).await
}

/// The event after which a client wants to go on.
fn last_event(field: Field<'_>) -> Result<Option<EventId>, Refusal<'static>> {
    match field.count {
        // An empty one is none (WHATWG HTML, 9.2.6).
        0 => Ok(None),
        1 if field.value.is_empty() => Ok(None),
        1 => EventId::parse(field.value)
            .map(Some)
            .ok_or(Refusal::InvalidRequest("`Last-Event-ID` is none that was given".into())),
        _ => Err(Refusal::InvalidRequest("`Last-Event-ID` stands there more than once".into())),
    }
}

/// The stream of the session itself: it says what the session hears of, comments while there is nothing to say, and ends
/// with the session, or with the gateway once all is told. It has no past: a client that comes back to it gets a new one, and what was not written yet.
async fn listen<T: Topology, D: Downstream>(
    worker: &Worker<T>,
    view: &'static View,
    session: Session,
    downstream: &D,
) -> Result<(), Gone> {
    let mut over = worker.shared.sessions.watch(session.key);
    let mut own = OwnStream::open(worker, view, &worker.shared.sessions.hearing(session.key));
    let quiet = worker.clock.deadline();
    match EventId::of_session() {
        Ok(id) => begin(session, id, downstream).await?,
        Err(_no_random_bits) => downstream.keep_alive().await?,
    }
    loop {
        quiet.set(limits::KEEP_ALIVE);
        tokio::select! {
            _left = poll_fn(|cx| downstream.poll_left(cx)) => return Err(Gone),
            () = poll_fn(|cx| quiet.poll(cx)) => downstream.keep_alive().await?,
            // Boxed: every connection would be larger for what happens rarely.
            telling = own.next() => Box::pin(telling.write(downstream)).await?,
            // Ending with an error means that the sender is gone: the same to a stream.
            _ = over.wait_for(|over| *over) => return downstream.finish().await,
            () = worker.drain.begun() => {
                Box::pin(own.rest().write(downstream)).await?;
                return downstream.finish().await;
            }
        }
    }
}

/// The stream of a call, from behind the event that the client has. When the gateway stops it goes on until the call is
/// answered, like every stream of a call.
async fn resume<T: Topology, D: Downstream>(
    worker: &Worker<T>,
    session: Session,
    last: EventId,
    mut reader: Reader,
    downstream: &D,
) -> Result<(), Gone> {
    let mut over = worker.shared.sessions.watch(session.key);
    let quiet = worker.clock.deadline();
    // Its id once more: a client that loses this connection too, before anything new came, has it to come back by.
    begin(session, last, downstream).await?;
    loop {
        quiet.set(limits::KEEP_ALIVE);
        tokio::select! {
            found = reader.next() => match found {
                Found::Events(events) => {
                    for event in events {
                        downstream.raw(&event).await?;
                    }
                }
                Found::End => return downstream.finish().await,
            },
            _left = poll_fn(|cx| downstream.poll_left(cx)) => return Err(Gone),
            () = poll_fn(|cx| quiet.poll(cx)) => downstream.keep_alive().await?,
            _ = over.wait_for(|over| *over) => return downstream.finish().await,
        }
    }
}

/// Begins a stream: with an event that tells its client by which id to come back and how soon, where it knows such, else
/// with a comment.
async fn begin<D: Downstream>(session: Session, id: EventId, downstream: &D) -> Result<(), Gone> {
    if !is_primed(session) {
        return downstream.keep_alive().await;
    }
    let mut event = Vec::new();
    sse::prime(&id.to_string(), limits::RETRY, &mut event);
    downstream.raw(&event).await
}
