//! One request and its answer as a stream of HTTP/2: the head that was written for HTTP/1.1 in other frames, the body as the
//! backend takes it, and what comes back as it is asked for. A reader that stops holds up its own stream alone.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use tokio::io::ReadBuf;

use super::{Http2, Slot, into_io, is_refusal};
use crate::http1::{Framing, HeadError};
use crate::limits;
use crate::upstream::http::connection::{INTERIM_MAX, ReadError, Response, media, rest, session_id};

/// The most that is asked for at once of what the backend will take.
const PIECE_BYTES: usize = 16 << 10;
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// The fields that may be kept in the table which all requests of a connection share. Every other one may be a secret, or
/// be chosen by a client who would like to guess one (RFC 7541, section 7.1).
const INDEXED: [&str; 7] =
    ["accept", "cache-control", "content-length", "content-type", "mcp-method", "mcp-protocol-version", "user-agent"];

/// See the module.
pub(in crate::upstream) struct Exchange {
    place: Rc<Http2>,
    stage: Stage,
    /// The request, until nothing could have it sent again.
    request: Option<Bytes>,
    /// Held behind the stream: its place is free once the stream is gone.
    slot: Slot,
}

enum Stage {
    /// Nothing was said.
    Begun,
    /// The request was sent, as far as the backend took it.
    Asked {
        response: ResponseFuture,
        /// The answer, where it came before the backend had taken the request.
        early: Option<io::Result<http::Response<RecvStream>>>,
        /// Dropped before its end, it takes the request back.
        _body: SendStream<Bytes>,
    },
    /// The head of the answer came.
    Answered {
        body: RecvStream,
        /// What came of it and was not passed on.
        part: Bytes,
        ended: bool,
        _request: SendStream<Bytes>,
    },
}

// === impl Exchange ===

impl fmt::Debug for Exchange {
    /// Without the request: it holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) fn new(place: &Rc<Http2>, slot: Slot) -> Self {
        Self { place: Rc::clone(place), stage: Stage::Begun, request: None, slot }
    }

    /// Sends a request as it would be written in HTTP/1.1. When this fails, nothing was sent; what goes wrong later is told
    /// instead of the answer.
    pub(in crate::upstream::http) async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let request = Bytes::copy_from_slice(request);
        self.request = Some(request.clone());
        self.ask(request).await
    }

    async fn ask(&mut self, request: Bytes) -> io::Result<()> {
        let (head, mut body) = self.take_apart(request)?;
        let (mut response, mut sender) = self.slot.trunk.ask(head, body.is_empty())?;
        let mut early = None;
        while !body.is_empty() && early.is_none() {
            sender.reserve_capacity(body.len().min(PIECE_BYTES));
            let room = poll_fn(|cx| {
                // Who answers before it has taken the request may take no more of it.
                if let Poll::Ready(answer) = Pin::new(&mut response).poll(cx) {
                    early = Some(answer.map_err(into_io));
                    return Poll::Ready(0);
                }
                match sender.poll_capacity(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Some(Ok(room))) => Poll::Ready(room),
                    // The answer, or an error, is about to come in its place.
                    Poll::Ready(_) => Pin::new(&mut response).poll(cx).map(|answer| {
                        early = Some(answer.map_err(into_io));
                        0
                    }),
                }
            });
            let piece = body.split_to(room.await.min(body.len()));
            // What it does not take shows in the answer.
            if !piece.is_empty() && sender.send_data(piece, body.is_empty()).is_err() {
                break;
            }
        }
        self.stage = Stage::Asked { response, early, _body: sender };
        Ok(())
    }

    /// The head and the body of a request of HTTP/1.1 that the gateway wrote itself.
    fn take_apart(&self, request: Bytes) -> io::Result<(Request<()>, Bytes)> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "a head that cannot be said in HTTP/2");
        let end = memchr::memmem::find(&request, b"\r\n\r\n").ok_or_else(invalid)?;
        let head = std::str::from_utf8(&request[..end]).map_err(|_not_text| invalid())?;
        let mut lines = head.split("\r\n");
        let mut line = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
        let scheme = if self.place.endpoint.is_tls() { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(&*self.place.endpoint.authority).path_and_query(path);
        let mut asked = Request::builder().method(method).uri(uri.build().map_err(|_parts| invalid())?);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")).filter(|(name, _)| *name != "host") {
            let mut value = HeaderValue::from_str(value).map_err(|_value| invalid())?;
            value.set_sensitive(!INDEXED.contains(&name));
            asked = asked.header(name, value);
        }
        let asked = asked.body(()).map_err(|_parts| invalid())?;
        Ok((asked, request.slice(end + 4..)))
    }

    /// Reads the head of the answer. A request that nobody looked at is sent once more, on another connection.
    pub(in crate::upstream::http) async fn response(&mut self) -> Result<Response, ReadError> {
        loop {
            let error = match self.head().await {
                Ok(response) => {
                    self.request = None;
                    return response;
                }
                Err(error) if is_refusal(&error) => error,
                Err(error) => return Err(error.into()),
            };
            let refused = |why: String| ReadError::Refused(format!("{error}, and {why}"));
            let Some(request) = self.request.take() else {
                return Err(ReadError::Refused(format!("{error}, as on the connection before")));
            };
            tracing::debug!(%error, "a request that nobody looked at is sent again");
            let another = self.place.another(&self.slot.trunk).await.map_err(|error| refused(error.detail))?;
            self.stage = Stage::Begun;
            self.slot = another.ok_or_else(|| refused("it speaks HTTP/1.1 by now".to_owned()))?;
            self.ask(request).await.map_err(|error| refused(error.to_string()))?;
        }
    }

    /// The head of the answer; the outer error is that of the stream.
    async fn head(&mut self) -> io::Result<Result<Response, ReadError>> {
        let Stage::Asked { response, early, .. } = &mut self.stage else {
            return Ok(Err(ReadError::Ended));
        };
        let mut interim = 0;
        let answer = match early.take() {
            Some(answer) => answer?,
            None => {
                let answer = poll_fn(|cx| {
                    while let Poll::Ready(Some(Ok(_interim))) = response.poll_informational(cx) {
                        interim += 1;
                        if interim > INTERIM_MAX {
                            return Poll::Ready(None);
                        }
                    }
                    Pin::new(&mut *response).poll(cx).map(Some)
                });
                match answer.await {
                    Some(answer) => answer.map_err(into_io)?,
                    None => return Ok(Err(ReadError::Interim)),
                }
            }
        };
        let (head, body) = answer.into_parts();
        let response = judged(head.status.as_u16(), &head.headers, body.is_end_stream());
        if let Stage::Asked { _body: sender, .. } = std::mem::replace(&mut self.stage, Stage::Begun) {
            self.stage = Stage::Answered { body, part: Bytes::new(), ended: false, _request: sender };
        }
        Ok(response)
    }

    /// Reads more of the body; nothing at its end.
    pub(in crate::upstream::http) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Stage::Answered { body, part, ended, .. } = &mut self.stage else { return Poll::Ready(Ok(())) };
        while part.is_empty() && !*ended {
            match ready!(body.poll_data(cx)) {
                Some(data) => *part = data.map_err(into_io)?,
                None => *ended = true,
            }
        }
        let count = part.len().min(buffer.remaining());
        buffer.put_slice(&part[..count]);
        part.advance(count);
        // What was passed on makes room for as much.
        let released = if count > 0 { body.flow_control().release_capacity(count) } else { Ok(()) };
        Poll::Ready(released.map_err(into_io))
    }

    /// Whether the backend has said everything, and all of it was read.
    pub(in crate::upstream::http) fn is_over(&self) -> bool {
        match &self.stage {
            Stage::Answered { body, part, ended, .. } => part.is_empty() && (*ended || body.is_end_stream()),
            Stage::Begun | Stage::Asked { .. } => false,
        }
    }
}

/// What a head says, by the rules of HTTP/1.1.
fn judged(status: u16, fields: &HeaderMap, ended: bool) -> Result<Response, ReadError> {
    if fields.len() > limits::FIELDS_MAX {
        return Err(HeadError::TooLarge.into());
    }
    if fields.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(ReadError::ContentCoding);
    }
    let mut sessions = fields.get_all(SESSION_ID).iter();
    let session = sessions.next().filter(|_| sessions.next().is_none());
    // That it is a number, and the length of what comes, is seen to by whoever reads the frames.
    let length = fields.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let framing = match length {
        _ if ended || matches!(status, 204 | 304) => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    };
    let content_type = fields.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let session_id = session_id(session.map(HeaderValue::as_bytes))?;
    let mut rests = fields.get_all(RETRY_AFTER).iter().map(HeaderValue::as_bytes);
    let rest = rest(status, rests.next().filter(|_| rests.next().is_none()));
    Ok(Response { status, media: media(content_type), framing, session_id, rest })
}
