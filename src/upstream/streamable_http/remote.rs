//! An MCP server over Streamable HTTP as a bridge uses it: requests whose fields and bodies are somebody else's, and the
//! messages that come back, as they come. What they mean is not here.

use std::cell::Cell;
use std::rc::Rc;

use super::push_field;
use crate::clock::Clock;
use crate::limits;
use crate::mcp::sse;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::http::Client;
use crate::upstream::http::connection::{Connection, Media, Response};
use crate::upstream::{Error, Kind};

/// The server.
#[derive(Debug)]
pub(crate) struct Remote {
    client: Rc<Client>,
}

/// What it answers to one request.
#[derive(Debug)]
pub(crate) struct Reply {
    /// HTTP status.
    pub(crate) status: u16,
    /// `Mcp-Session-Id`.
    pub(crate) session_id: Option<String>,
    /// Where its messages come from; taken once they have ended.
    body: Option<(Connection, Response)>,
    decoder: sse::Decoder,
    /// Read of an event stream and not yet decoded.
    part: Vec<u8>,
    client: Rc<Client>,
}

// === impl Remote ===

impl Remote {
    /// The server at a URL. The error says what is wrong with the URL.
    pub(crate) fn open(url: &str, clock: Clock) -> Result<Self, String> {
        Ok(Self { client: Rc::new(Client::at(url, &clock)?) })
    }

    /// Makes one request. A stream that is given up is closed by dropping what it answers.
    pub(crate) async fn ask(&self, method: &str, fields: &[(&str, &[u8])], body: &[u8]) -> Result<Reply, Error> {
        let Endpoint { path, authority, .. } = &*self.client.endpoint;
        let mut request = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        push_field(&mut request, b"host", authority.as_bytes());
        push_field(&mut request, b"accept", b"application/json, text/event-stream");
        if method == "POST" {
            push_field(&mut request, b"content-type", b"application/json");
            push_field(&mut request, b"content-length", body.len().to_string().as_bytes());
        }
        fields.iter().for_each(|(name, value)| push_field(&mut request, name.as_bytes(), value));
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        let mut connection = self.client.send(&request, &Cell::new(false)).await?;
        let response = connection.response().await.map_err(|error| self.client.read_error(error))?;
        Ok(Reply {
            status: response.status,
            session_id: response.session_id.clone(),
            body: Some((connection, response)),
            decoder: sse::Decoder::new(limits::EVENT_BYTES_MAX),
            part: Vec::new(),
            client: Rc::clone(&self.client),
        })
    }
}

// === impl Reply ===

impl Reply {
    /// Whether it is a stream of events.
    pub(crate) fn is_stream(&self) -> bool {
        self.body.as_ref().is_some_and(|(_, response)| response.media == Media::EventStream)
    }

    /// The next message; `None` once there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let Some((connection, response)) = &mut self.body else { return Ok(None) };
        let client = &self.client;
        if response.media != Media::EventStream {
            let body =
                connection.whole_body(response.framing).await.map_err(|error| client.read_error(error))?.to_vec();
            let is_message = response.media == Media::Json && !body.is_empty();
            self.end();
            return Ok(is_message.then_some(body));
        }
        loop {
            while !self.part.is_empty() {
                let too_long = |error: sse::EventTooLong| Error::new(Kind::ResponseTooLarge, true, error.to_string());
                let (taken, event) = self.decoder.decode(&self.part).map_err(too_long)?;
                let event = event.filter(sse::Event::is_message);
                let message = event.map(|event| event.data.to_vec());
                self.part.drain(..taken);
                if message.is_some() {
                    return Ok(message);
                }
            }
            match connection.next_part().await.map_err(|error| client.read_error(error))? {
                Some(part) => self.part.extend_from_slice(part),
                None => break,
            }
        }
        self.end();
        Ok(None)
    }

    fn end(&mut self) {
        if let Some((connection, _)) = self.body.take() {
            self.client.give_back(connection);
        }
    }
}
