//! What an HTTP backend answers to a POST: one JSON message, a long one in parts, or an event stream.

use std::io::Write as _;

use super::stream::attend;
use super::{InFlight, Link, Posted};
use crate::catalog::Era;
use crate::http1::Framing;
use crate::limits;
use crate::mcp::envelope::{self, Id, Outgoing, Shape};
use crate::mcp::json::Kind as JsonKind;
use crate::mcp::parts;
use crate::upstream::http::connection::{Connection, Media, Response};
use crate::upstream::outbound::id_span;
use crate::upstream::{Error, Kind, Message, Relay, greeting};

/// A JSON answer of this length or more is relayed as it comes, and not held.
const PARTS_BYTES_MIN: u64 = 128 << 10;
/// One above this is refused before anything of it was relayed.
const PARTS_BYTES_MAX: u64 = limits::ANSWER_BYTES_MAX as u64;

/// What may have become of a server since it was greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Staleness {
    /// Nothing: it was greeted just now.
    None,
    /// It may know the session no more.
    SessionOver,
    /// A legacy server may have taken the place of a modern one.
    Legacy,
}

/// What a JSON body was.
enum Body {
    /// The answer to the request.
    Answer,
    /// The server knows the session no more, or is of another era, and has not looked at the request.
    Over,
    /// Of an HTTP error, and no answer to the request.
    Other,
}

impl Link {
    /// Reads the response to a request with this id (`None`: to a notification).
    pub(super) async fn receive<R: Relay>(
        &self,
        mut connection: Connection,
        id: Option<u64>,
        era: Era,
        may_be: Staleness,
        in_flight: Option<&InFlight<'_>>,
        relay: &mut R,
    ) -> Result<Posted, Error> {
        let response = attend(in_flight, relay, connection.response()).await?;
        let response = response.map_err(|error| self.client.read_error(error))?;
        let posted = match (response.status, response.media, id) {
            (404, _, Some(_)) if may_be == Staleness::SessionOver => Posted::Over,
            (401 | 403, ..) => {
                let detail = format!("`{}` answered with status {}", self.client.endpoint.shown, response.status);
                return Err(Error::new(Kind::Auth, true, detail));
            }
            (200, Media::EventStream, Some(id)) => {
                // Boxed: it may have to come back for the rest, and would make every client's connection larger.
                Box::pin(self.relay_stream(&mut connection, (id, era), in_flight, relay)).await?;
                Posted::Answered { session_id: response.session_id, rest: None }
            }
            (200 | 400..=599, Media::Json, Some(id)) => {
                match self.relay_body(&mut connection, &response, (id, era), may_be, in_flight, relay).await? {
                    Body::Answer => Posted::Answered { session_id: response.session_id, rest: response.rest },
                    Body::Over => Posted::Over,
                    Body::Other if response.status == 404 => Posted::NotFound,
                    Body::Other => refused(&response),
                }
            }
            (200..=299, _, None) => {
                connection.whole_body(response.framing).await.map_err(|error| self.client.read_error(error))?;
                Posted::Accepted
            }
            (404, ..) => Posted::NotFound,
            _ => refused(&response),
        };
        self.client.give_back(connection);
        Ok(posted)
    }

    /// Relays a JSON answer.
    async fn relay_body<R: Relay>(
        &self,
        connection: &mut Connection,
        response: &Response,
        (id, era): (u64, Era),
        may_be: Staleness,
        in_flight: Option<&InFlight<'_>>,
        relay: &mut R,
    ) -> Result<Body, Error> {
        if let Framing::Length(length @ PARTS_BYTES_MIN..=PARTS_BYTES_MAX) = response.framing
            && response.status == 200
            && relay.takes_parts(era)
            && self.relay_parts(connection, length, id, era, relay).await?
        {
            return Ok(Body::Answer);
        }
        let source = attend(in_flight, relay, connection.whole_body(response.framing)).await?;
        let source = source.map_err(|error| self.client.read_error(error))?;
        let head = match parts::outgoing(source) {
            Ok(head) => head,
            Err(_) if response.status != 200 => return Ok(Body::Other),
            Err(error) => return Err(Error::protocol(format!("its answer is no JSON-RPC message: {:?}", error.kind))),
        };
        // A request refused before its id was read is answered without one (MCP 2026-07-28, streamable HTTP).
        let is_error = head.version_ok && head.error.is_some_and(|error| error.kind == JsonKind::Object);
        let refusal = response.status != 200 && is_error && id_span(head.id).is_none();
        // Many servers say so of a session they do not know any more, instead of 404: a new one settles it. Without an
        // id it was not dispatched; a 400 of any other form proves nothing.
        if refusal && response.status == 400 && may_be.shows_in(source, &head) {
            return Ok(Body::Over);
        }
        if !refusal && !is_answer_to(source, &head, id) {
            if response.status != 200 {
                return Ok(Body::Other);
            }
            return Err(Error::protocol("its answer is to another request"));
        }
        relay.answer(Message { source, head: &head, era }).await?;
        Ok(Body::Answer)
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
}

/// A status whose body says nothing.
fn refused(response: &Response) -> Posted {
    response.rest.map_or(Posted::Refused(response.status), |rest| Posted::Busy(response.status, rest))
}

// === impl Staleness ===

impl Staleness {
    /// Whether a 400 without an id shows it. Modern servers answer so too, with codes of their era or of JSON-RPC for what
    /// is in the request: those that legacy ones have for a request outside of a session are neither.
    fn shows_in(self, source: &[u8], head: &Outgoing) -> bool {
        match self {
            Self::None => false,
            Self::SessionOver => true,
            Self::Legacy => matches!(greeting::error_code(source, head), Some(-32600 | -32019..=-32000)),
        }
    }
}

/// Whether a message is the answer to the request with this id.
pub(super) fn is_answer_to(source: &[u8], head: &Outgoing, id: u64) -> bool {
    let mut digits = [0; 20];
    let mut cursor = std::io::Cursor::new(&mut digits[..]);
    let _infallible = write!(cursor, "{id}");
    let length = usize::try_from(cursor.position()).unwrap_or_default();
    head.shape == Shape::Response
        && head.version_ok
        && matches!(head.id, Id::Number(span) if span.of(source) == &digits[..length])
}
