//! One HTTP/1.1 connection to a backend: writes a request in one piece, reads its response, knows whether it can serve
//! another. A stream of HTTP/2 goes by the same name and serves one request; what it is made of is in `http2`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

#[cfg(feature = "http2")]
use super::http2::Exchange;

use crate::http1::head::ResponseHead;
use crate::http1::{self, BodyDecoder, Framing, HeadError, Parsed};
use crate::limits;
use crate::upstream::endpoint::Io;

/// What may follow an answer in its stream before the connection is given up.
const TRAILING_BYTES_MAX: usize = 16 << 10;
/// Interim responses skipped before the real one.
pub(super) const INTERIM_MAX: u32 = 8;
const READ_BYTES: usize = 16 << 10;
/// How much of a long body is read at once: every read and write of loopback or a fast network costs far more than
/// the copy, so larger is cheaper up to about the size of the socket's own buffers.
const PART_BYTES: usize = 256 << 10;
/// How much of a long body is at hand before it is passed on.
const FIRST_PART_BYTES: usize = 16 << 10;
/// A buffer that grew past this for one answer is given back when the connection idles; one for parts is kept, because
/// fresh memory costs as much as the copy.
const KEPT_BYTES: usize = 2 * PART_BYTES;

/// A connection and what was read from it.
#[derive(Debug)]
pub(in crate::upstream) struct Connection {
    wire: Wire,
    /// Bytes read; those before `start` are used up.
    buffer: Vec<u8>,
    start: usize,
    decoder: BodyDecoder,
    /// Decoded bytes of a chunked body.
    body: Vec<u8>,
    keep_alive: bool,
    /// When it became idle, on the worker's clock.
    pub(in crate::upstream) idle_since_ms: u64,
}

/// What carries the bytes.
#[derive(Debug)]
enum Wire {
    /// Its own socket.
    Own(Io),
    /// A stream of a connection that is shared, for one request.
    #[cfg(feature = "http2")]
    Shared(Box<Exchange>),
}

/// What the response head says, without the borrow.
#[derive(Debug)]
pub(in crate::upstream) struct Response {
    pub(in crate::upstream) status: u16,
    pub(in crate::upstream) media: Media,
    pub(in crate::upstream) framing: Framing,
    pub(in crate::upstream) session_id: Option<String>,
    /// For how long the server asks to be left alone, if it does.
    pub(in crate::upstream) rest: Option<Duration>,
}

/// The media types an MCP server answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Media {
    Json,
    EventStream,
    Other,
}

/// Why a response could not be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::upstream) enum ReadError {
    #[error("the connection ended")]
    Ended,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error(transparent)]
    Body(#[from] crate::http1::BodyError),
    #[error("content coding was not offered")]
    ContentCoding,
    #[error("session id is not visible ASCII")]
    SessionId,
    #[error("answer is longer than {} bytes", limits::ANSWER_BYTES_MAX)]
    TooLarge,
    #[error("more than {INTERIM_MAX} interim responses")]
    Interim,
    /// It is proven that nobody looked at the request.
    #[cfg(feature = "http2")]
    #[error("{0}")]
    Refused(String),
}

/// For how long a server asks to be left alone: one that is asked too often, or has too much to do. Of other statuses the
/// field says something else (RFC 9110, section 10.2.3).
pub(super) fn rest(status: u16, retry_after: Option<&[u8]>) -> Option<Duration> {
    let value = retry_after.filter(|_| matches!(status, 429 | 503))?;
    Some(http1::retry_after(value, SystemTime::now())?.min(limits::RETRY_AFTER_MAX))
}

// === impl Connection ===

impl Connection {
    pub(in crate::upstream) fn new(io: Io) -> Self {
        Self::over(Wire::Own(io))
    }

    /// One request on a connection of HTTP/2.
    #[cfg(feature = "http2")]
    pub(super) fn shared(exchange: Exchange) -> Self {
        Self::over(Wire::Shared(Box::new(exchange)))
    }

    fn over(wire: Wire) -> Self {
        Self {
            wire,
            buffer: Vec::new(),
            start: 0,
            decoder: BodyDecoder::new(Framing::None),
            body: Vec::new(),
            keep_alive: true,
            idle_since_ms: 0,
        }
    }

    /// Whether an idle connection still stands: nothing may have arrived on it, least of all its end. The runtime knows
    /// that from its last poll, without asking the kernel.
    pub(in crate::upstream) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut self.wire).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Writes a whole request. The error says how many bytes had been taken: none proves that nothing was sent.
    pub(in crate::upstream) async fn write(&mut self, request: &[u8]) -> Result<(), (usize, io::Error)> {
        match &mut self.wire {
            Wire::Own(io) => write(io, request).await,
            #[cfg(feature = "http2")]
            Wire::Shared(exchange) => Box::pin(exchange.send(request)).await.map_err(|error| (0, error)),
        }
    }

    /// Reads the head of the response.
    pub(in crate::upstream) async fn response(&mut self) -> Result<Response, ReadError> {
        #[cfg(feature = "http2")]
        if let Wire::Shared(exchange) = &mut self.wire {
            let response = Box::pin(exchange.response()).await?;
            self.keep_alive = false;
            self.decoder = BodyDecoder::new(response.framing);
            return Ok(response);
        }
        let mut interim = 0;
        loop {
            match ResponseHead::parse(&self.buffer[self.start..])? {
                Parsed::Head(head, length) if matches!(head.status, 100..=199) && head.status != 101 => {
                    self.start += length;
                    interim += 1;
                    if interim > INTERIM_MAX {
                        return Err(ReadError::Interim);
                    }
                }
                Parsed::Head(head, length) => {
                    if head.content_encoding.count > 0 && !head.content_encoding.value.eq_ignore_ascii_case(b"identity")
                    {
                        return Err(ReadError::ContentCoding);
                    }
                    let response = Response {
                        status: head.status,
                        media: media(head.content_type.value),
                        framing: head.framing,
                        session_id: session_id(head.session_id.once())?,
                        rest: rest(head.status, head.retry_after.once()),
                    };
                    self.keep_alive = head.keep_alive;
                    self.start += length;
                    self.decoder = BodyDecoder::new(response.framing);
                    self.body.clear();
                    return Ok(response);
                }
                Parsed::Partial => self.fill().await?,
            }
        }
    }

    /// Reads the whole body.
    pub(in crate::upstream) async fn whole_body(&mut self, framing: Framing) -> Result<&[u8], ReadError> {
        if let Framing::Length(length) = framing {
            let length = usize::try_from(length).ok().filter(|length| *length <= limits::ANSWER_BYTES_MAX);
            let length = length.ok_or(ReadError::TooLarge)?;
            while self.buffer.len() - self.start < length {
                self.buffer.reserve(length - (self.buffer.len() - self.start));
                self.fill().await?;
            }
            self.decoder = BodyDecoder::new(Framing::None);
            let body = self.start..self.start + length;
            self.start += length;
            return Ok(&self.buffer[body]);
        }
        while self.decode_more().await? {
            if self.body.len() > limits::ANSWER_BYTES_MAX {
                return Err(ReadError::TooLarge);
            }
        }
        Ok(&self.body)
    }

    /// Buffers the first bytes of a body of known length: as many as fit one read.
    pub(in crate::upstream) async fn first_part(&mut self) -> Result<&[u8], ReadError> {
        self.buffer.reserve(PART_BYTES);
        while self.buffer.len() - self.start < FIRST_PART_BYTES {
            self.fill().await?;
        }
        Ok(&self.buffer[self.start..])
    }

    /// Takes what is buffered of a body of known length of which `left` bytes are still to come, reading first where
    /// nothing is.
    pub(in crate::upstream) async fn take_part(&mut self, left: &mut u64) -> Result<&[u8], ReadError> {
        if self.start == self.buffer.len() {
            self.fill().await?;
        }
        let part = self.take(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= part.len() as u64;
        Ok(&self.buffer[part])
    }

    /// Takes up to so many buffered bytes.
    pub(in crate::upstream) fn take(&mut self, count: usize) -> std::ops::Range<usize> {
        let part = self.start..self.buffer.len().min(self.start.saturating_add(count));
        self.start = part.end;
        part
    }

    /// The body was taken to its end.
    pub(in crate::upstream) fn finish_parts(&mut self) {
        self.decoder = BodyDecoder::new(Framing::None);
    }

    /// Bytes that [`Connection::take`] took.
    pub(in crate::upstream) fn taken(&self, part: std::ops::Range<usize>) -> &[u8] {
        &self.buffer[part]
    }

    /// The next bytes of the body as they come; `None` at its end.
    pub(in crate::upstream) async fn next_part(&mut self) -> Result<Option<&[u8]>, ReadError> {
        self.body.clear();
        while self.body.is_empty() {
            if !self.decode_more().await? {
                break;
            }
        }
        Ok((!self.body.is_empty()).then_some(&self.body[..]))
    }

    /// Decodes what is buffered, reading first where nothing is; `false` once the body has ended.
    async fn decode_more(&mut self) -> Result<bool, ReadError> {
        if self.decoder.is_done() {
            return Ok(false);
        }
        if self.start == self.buffer.len() {
            match self.fill().await {
                Err(ReadError::Ended) if self.decoder.ends_with_connection() => return Ok(false),
                filled => filled?,
            }
        }
        self.start += self.decoder.decode(&self.buffer[self.start..], &mut self.body)?;
        Ok(true)
    }

    async fn fill(&mut self) -> Result<(), ReadError> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > 0 && self.buffer.len() == self.buffer.capacity() {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        if self.buffer.capacity() - self.buffer.len() < 4 << 10 {
            self.buffer.reserve(READ_BYTES);
        }
        match self.wire.read_buf(&mut self.buffer).await? {
            0 => Err(ReadError::Ended),
            _ => Ok(()),
        }
    }

    /// Whether nothing of the response is left to come, or nothing would be gained by reading it.
    pub(in crate::upstream) fn is_finished(&mut self) -> bool {
        #[cfg(feature = "http2")]
        if let Wire::Shared(exchange) = &self.wire {
            return exchange.is_over();
        }
        if !self.decoder.is_done() {
            self.body.clear();
            match self.decoder.decode(&self.buffer[self.start..], &mut self.body) {
                Ok(taken) => self.start += taken,
                Err(_) => self.keep_alive = false,
            }
        }
        self.decoder.is_done() || !self.keep_alive || self.decoder.ends_with_connection()
    }

    /// Reads what is left of the response; `false` when it cannot be read, or more comes than an end.
    pub(in crate::upstream) async fn finish(&mut self) -> bool {
        #[cfg(feature = "http2")]
        if matches!(self.wire, Wire::Shared(_)) {
            // Its end is that of the stream, wherever that of its content was. Given up earlier, it would be taken back.
            self.decoder = BodyDecoder::new(Framing::UntilClose);
        }
        self.body.clear();
        while self.body.len() <= TRAILING_BYTES_MAX {
            match self.decode_more().await {
                Ok(true) => {}
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
        false
    }

    /// The connection as one that waits for its next request, if it can serve one.
    pub(in crate::upstream) fn into_idle(mut self, now_ms: u64) -> Option<Self> {
        if !self.keep_alive || !self.decoder.is_done() || self.start != self.buffer.len() {
            return None;
        }
        self.buffer.clear();
        self.start = 0;
        self.buffer.shrink_to(KEPT_BYTES);
        self.body.clear();
        self.body.shrink_to(KEPT_BYTES);
        self.idle_since_ms = now_ms;
        Some(self)
    }
}

async fn write(io: &mut Io, request: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < request.len() {
        match io.write(&request[written..]).await {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) => return Err((written, error)),
        }
    }
    io.flush().await.map_err(|error| (written, error))
}

// === impl Wire ===

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own(io) => Pin::new(io).poll_read(cx, buffer),
            #[cfg(feature = "http2")]
            Self::Shared(exchange) => exchange.poll_read(cx, buffer),
        }
    }
}

/// MCP servers name nothing but these two; parameters are allowed.
pub(super) fn media(content_type: &[u8]) -> Media {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        Media::Json
    } else if essence.eq_ignore_ascii_case(b"text/event-stream") {
        Media::EventStream
    } else {
        Media::Other
    }
}

/// MCP 2025-11-25, session management: visible ASCII. Anything else would be a way to inject fields.
pub(super) fn session_id(value: Option<&[u8]>) -> Result<Option<String>, ReadError> {
    let Some(value) = value else { return Ok(None) };
    if value.is_empty() || value.len() > 1024 || !value.iter().all(u8::is_ascii_graphic) {
        return Err(ReadError::SessionId);
    }
    Ok(Some(String::from_utf8_lossy(value).into_owned()))
}

#[cfg(all(test, feature = "http2"))]
mod tests {
    use super::*;

    #[test]
    fn a_connection_of_http_1_is_no_larger_for_those_of_http_2() {
        assert_eq!(size_of::<Wire>(), size_of::<Io>());
    }
}
