//! The event stream that answers a call, and how a legacy server breaks one off and goes on with it on another connection
//! (MCP 2025-11-25, streamable HTTP, resumability).
//!
//! **Invariant:** a call whose stream broke off is never posted again: its stream is gone on with, or its outcome unknown.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use super::receive::is_answer_to;
use super::{InFlight, Link, Peer};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::envelope::{Outgoing, Shape};
use crate::mcp::json::Kind as JsonKind;
use crate::mcp::{parts, sse};
use crate::upstream::heard::is_told;
use crate::upstream::http::connection::{Connection, Media};
use crate::upstream::status::Backoff;
use crate::upstream::{Error, Kind, Message, Relay};

/// A longer id of an event cannot be sent back.
const EVENT_ID_BYTES_MAX: usize = 1024;
/// Delay before a stream that broke off without a word is gone on with: grows fourfold from the first to the second.
const RESUME_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Where a stream that breaks off is gone on with.
#[derive(Debug)]
pub(super) struct Resume {
    /// The id of its last event.
    id: Option<String>,
    /// How long the server wants to be left alone.
    retry_ms: Option<u64>,
    backoff: Backoff,
}

/// What a request for a stream came to.
#[derive(Debug)]
pub(super) enum Opened {
    Stream(Connection),
    /// A status, and no stream.
    Refused(u16),
}

impl Link {
    /// Relays the events of a call's stream up to its answer.
    pub(super) async fn relay_stream<R: Relay>(
        &self,
        connection: &mut Connection,
        (id, era): (u64, Era),
        in_flight: Option<&InFlight<'_>>,
        relay: &mut R,
    ) -> Result<(), Error> {
        let mut resume = Resume::default();
        loop {
            let error = match self.relay_events(connection, (id, era), in_flight, &mut resume, relay).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match in_flight {
                Some(in_flight) if error.kind == Kind::OutcomeUnknown && resume.id.is_some() => {
                    *connection = self.go_on(in_flight, &mut resume, &error, relay).await?;
                }
                _ => return Err(error),
            }
        }
    }

    async fn relay_events<R: Relay>(
        &self,
        connection: &mut Connection,
        (id, era): (u64, Era),
        in_flight: Option<&InFlight<'_>>,
        resume: &mut Resume,
        relay: &mut R,
    ) -> Result<(), Error> {
        let mut decoder = sse::Decoder::new(limits::EVENT_BYTES_MAX);
        loop {
            let part = attend(in_flight, relay, connection.next_part()).await?;
            let Some(mut part) =
                part.map_err(|error| self.client.read_error(error)).inspect_err(|_| resume.ended(&decoder))?
            else {
                resume.ended(&decoder);
                return Err(Error::lost(true, "its stream ended without an answer"));
            };
            while !part.is_empty() {
                let (taken, event) = decoder
                    .decode(part)
                    .map_err(|error| Error::new(Kind::ResponseTooLarge, true, error.to_string()))?;
                part = &part[taken..];
                let Some(event) = event else { continue };
                resume.saw(&event);
                if !event.is_message() {
                    continue;
                }
                let head = parts::outgoing(event.data)
                    .map_err(|error| Error::protocol(format!("an event is no JSON-RPC message: {:?}", error.kind)))?;
                match head.shape {
                    Shape::Response if is_answer_to(event.data, &head, id) => {
                        relay.answer(Message { source: event.data, head: &head, era }).await?;
                        return Ok(());
                    }
                    Shape::Notification if concerns(event.data, &head, id, in_flight.is_some()) => {
                        relay.notification(Message { source: event.data, head: &head, era }).await?;
                    }
                    _ => match in_flight {
                        // MCP 2026-07-28 has no requests of servers; those of a legacy one on this stream are about this call.
                        Some(call) if head.shape == Shape::Request => call.take(relay, event.data, &head).await?,
                        Some(call) => call.peer.sort(&self.backend, event.data, &head),
                        None => self.audience.dropped.stray(&self.backend, &head),
                    },
                }
            }
        }
    }

    /// Asks for the rest of a stream, until it is given or refused.
    async fn go_on<R: Relay>(
        &self,
        in_flight: &InFlight<'_>,
        resume: &mut Resume,
        lost: &Error,
        relay: &mut R,
    ) -> Result<Connection, Error> {
        let mut pause = resume.retry().unwrap_or_else(|| resume.backoff.after(Duration::ZERO));
        loop {
            attend(Some(in_flight), relay, tokio::time::sleep(pause)).await?;
            tracing::debug!(backend = self.backend, "a stream that broke off is gone on with");
            match attend(Some(in_flight), relay, self.open_stream(in_flight.peer, resume.last_id())).await? {
                Ok(Opened::Stream(connection)) => return Ok(connection),
                // The server may be on its way back.
                Ok(Opened::Refused(409 | 429 | 500..))
                | Err(Error { kind: Kind::Unavailable | Kind::OutcomeUnknown, .. }) => {}
                Ok(Opened::Refused(status)) => {
                    if status == 404 {
                        self.forget(in_flight.peer);
                    }
                    let detail = format!("{}, and it does not go on with it: status {status}", lost.detail);
                    return Err(Error::lost(true, detail));
                }
                Err(error) => return Err(Error { sent: true, ..error }),
            }
            pause = resume.backoff.after(Duration::ZERO).max(resume.retry().unwrap_or_default());
        }
    }

    /// Opens a stream of a session: that which had the event with this id, or the session's own.
    async fn open_stream(&self, peer: &Peer, last_id: Option<&str>) -> Result<Opened, Error> {
        self.opened(self.ask_for_stream(peer, last_id).await?).await
    }

    /// Asks for one. What it comes to is [`Self::opened`].
    pub(super) async fn ask_for_stream(&self, peer: &Peer, last_id: Option<&str>) -> Result<Connection, Error> {
        let endpoint = &self.client.endpoint;
        let mut request = endpoint.head("GET", &endpoint.path) + "accept: text/event-stream\r\n" + &peer.fields;
        if let Some(last_id) = last_id {
            request.extend(["last-event-id: ", last_id, "\r\n"]);
        }
        request.push_str("\r\n");
        self.client.send(request.as_bytes(), &Cell::new(false)).await
    }

    pub(super) async fn opened(&self, mut connection: Connection) -> Result<Opened, Error> {
        let response = connection.response().await.map_err(|error| self.client.read_error(error))?;
        Ok(match (response.status, response.media) {
            (200, Media::EventStream) => Opened::Stream(connection),
            (status, _) => Opened::Refused(status),
        })
    }
}

/// Awaits a step of a call's own response; what comes for the call elsewhere meanwhile is relayed, and what its client has
/// to say to the backend posted.
pub(super) async fn attend<T, R: Relay>(
    in_flight: Option<&InFlight<'_>>,
    relay: &mut R,
    step: impl Future<Output = T>,
) -> Result<T, Error> {
    let Some(in_flight) = in_flight else { return Ok(step.await) };
    let mut step = pin!(step);
    loop {
        let turn = tokio::select! {
            biased;
            turn = in_flight.turn(relay) => turn,
            done = &mut step => return Ok(done),
        };
        in_flight.attend_to(turn, relay).await?;
    }
}

/// Whether a notification on the stream of a call is about that call: progress says which one it is about, and what a
/// legacy server tells by itself is about none.
fn concerns(source: &[u8], head: &Outgoing, id: u64, legacy: bool) -> bool {
    if legacy && is_told(source, head) {
        return false;
    }
    head.progress_token.is_none_or(|token| {
        token.kind == JsonKind::Number
            && std::str::from_utf8(token.span.of(source)).is_ok_and(|text| text.parse() == Ok(id))
    })
}

// === impl Resume ===

impl Default for Resume {
    fn default() -> Self {
        Self { id: None, retry_ms: None, backoff: Backoff::new(RESUME_BACKOFF) }
    }
}

impl Resume {
    /// The id of the last event, where there is one to go on behind.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// How long the server wants to be left alone.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry_ms.map(Duration::from_millis)
    }

    /// An event came.
    pub(super) fn saw(&mut self, event: &sse::Event<'_>) {
        self.backoff = Backoff::new(RESUME_BACKOFF);
        self.take(event.id, event.retry_ms);
    }

    /// The stream ended: what it said behind its last event.
    pub(super) fn ended(&mut self, decoder: &sse::Decoder) {
        let (id, retry_ms) = decoder.left();
        self.take(id, retry_ms);
    }

    fn take(&mut self, id: Option<&str>, retry_ms: Option<u64>) {
        if let Some(id) = id {
            // What cannot stand in a field cannot be sent back, and nothing stands for no id.
            let valid =
                (1..=EVENT_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            self.id = valid.then(|| id.to_owned());
        }
        self.retry_ms = retry_ms.or(self.retry_ms);
    }
}
