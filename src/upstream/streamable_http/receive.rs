//! What an HTTP backend answers to a POST: one JSON message, a long one in parts, or an event stream.

use std::cell::Cell;
use std::io::Write as _;

use super::{Link, Peer, Posted};
use crate::catalog::Era;
use crate::http1::Framing;
use crate::limits;
use crate::mcp::envelope::{self, Id, Outgoing, Shape};
use crate::mcp::{parts, sse};
use crate::upstream::greeting::Collected;
use crate::upstream::http::connection::{Connection, Media, Response};
use crate::upstream::outbound::id_span;
use crate::upstream::{Error, Kind, Message, Relay, greeting};

/// A JSON answer of this length or more is relayed as it comes, and not held.
const PARTS_BYTES_MIN: u64 = 128 << 10;
/// One above this is refused before anything of it was relayed.
const PARTS_BYTES_MAX: u64 = limits::ANSWER_BYTES_MAX as u64;

impl Link {
    /// Reads the response to a request with this id (`None`: to a notification).
    pub(super) async fn receive<R: Relay>(
        &self,
        mut connection: Connection,
        id: Option<u64>,
        era: Era,
        session_may_be_over: bool,
        peer: Option<&Peer>,
        relay: &mut R,
    ) -> Result<Posted, Error> {
        let response = connection.response().await.map_err(|error| self.client.read_error(error))?;
        let posted = match (response.status, response.media, id) {
            (404, _, Some(_)) if session_may_be_over => Posted::NotFound,
            (401 | 403, ..) => {
                let detail = format!("`{}` answered with status {}", self.client.endpoint.shown, response.status);
                return Err(Error::new(Kind::Auth, true, detail));
            }
            (200, Media::EventStream, Some(id)) => {
                self.relay_stream(&mut connection, id, era, peer, relay).await?;
                Posted::Answered { session_id: response.session_id }
            }
            (200 | 400..=599, Media::Json, Some(id)) => {
                let status = response.status;
                if self.relay_body(&mut connection, &response, id, era, session_may_be_over, relay).await? {
                    Posted::Answered { session_id: response.session_id }
                } else if status == 404 || session_may_be_over && status == 400 {
                    Posted::NotFound
                } else {
                    Posted::Refused(status)
                }
            }
            (200..=299, _, None) => {
                connection.whole_body(response.framing).await.map_err(|error| self.client.read_error(error))?;
                Posted::Accepted
            }
            (404, ..) => Posted::NotFound,
            (status, ..) => Posted::Refused(status),
        };
        self.client.give_back(connection);
        Ok(posted)
    }

    /// Relays a JSON answer; `false` when the body of an HTTP error is no answer to this request.
    async fn relay_body<R: Relay>(
        &self,
        connection: &mut Connection,
        response: &Response,
        id: u64,
        era: Era,
        session_may_be_over: bool,
        relay: &mut R,
    ) -> Result<bool, Error> {
        if let Framing::Length(length @ PARTS_BYTES_MIN..=PARTS_BYTES_MAX) = response.framing
            && response.status == 200
            && relay.takes_parts(era)
            && self.relay_parts(connection, length, id, era, relay).await?
        {
            return Ok(true);
        }
        let source = connection.whole_body(response.framing).await.map_err(|error| self.client.read_error(error))?;
        let head = match envelope::outgoing(source) {
            Ok(head) => head,
            Err(_) if response.status != 200 => return Ok(false),
            Err(error) => return Err(Error::protocol(format!("its answer is no JSON-RPC message: {:?}", error.kind))),
        };
        // A request refused before its id was read is answered without one (MCP 2026-07-28, streamable HTTP).
        let refusal = response.status != 200 && head.error.is_some() && id_span(head.id).is_none();
        // Many servers say so of a session they do not know any more, instead of 404: a new one settles it.
        if refusal && session_may_be_over {
            return Ok(false);
        }
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
        era: Era,
        relay: &mut R,
    ) -> Result<bool, Error> {
        let first = connection.first_part().await.map_err(|error| self.client.read_error(error))?;
        // Asked again: a stream towards the client may have begun while the first part was waited for.
        if !relay.takes_parts(era) {
            return Ok(false);
        }
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
            let part = connection.take_part(&mut left).await.map_err(|error| self.client.read_error(error))?;
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
            after.extend_from_slice(
                connection.take_part(&mut left).await.map_err(|error| self.client.read_error(error))?,
            );
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
        while let Some(mut part) = connection.next_part().await.map_err(|error| self.client.read_error(error))? {
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
        let posted = Box::pin(self.post_to(&peer.head, body.as_bytes(), Era::Legacy, None, &sent, &mut nothing));
        if let Err(error) = posted.await {
            tracing::warn!(backend = self.backend, %error, "its request could not be answered");
        }
    }
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
