//! What is written to one stream of HTTP/2: the answers of HTTP/1.1 in other frames. A client that does not take them
//! holds up its own stream alone.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::clock::Deadline;
use crate::limits;
use crate::mcp::sse;
use crate::proxy::{Answer, Downstream, Left};
use crate::upstream::Gone;

/// The most that is asked for at once of what the client will take.
const PIECE_BYTES: usize = 16 << 10;
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The writing side of one request.
pub(super) struct Writer {
    stage: RefCell<Stage>,
    writing: Deadline,
    /// HEAD: whatever is answered has no body.
    head_only: bool,
    streaming: Cell<bool>,
    /// An answer of known length was begun: nothing else can stand in it.
    sized: Cell<bool>,
    /// What is still to come of it.
    left: Cell<u64>,
    /// A write is under way: what would interrupt it has to wait.
    busy: Cell<bool>,
}

enum Stage {
    Head(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(respond: SendResponse<Bytes>, writing: Deadline, head_only: bool) -> Self {
        Self {
            stage: RefCell::new(Stage::Head(respond)),
            writing,
            head_only,
            streaming: Cell::new(false),
            sized: Cell::new(false),
            left: Cell::new(0),
            busy: Cell::new(false),
        }
    }

    /// Answers nothing, for this reason.
    pub(super) fn refuse_stream(&self, reason: Reason) {
        match &mut *self.stage.borrow_mut() {
            Stage::Head(respond) => respond.send_reset(reason),
            Stage::Body(body) => body.send_reset(reason),
        }
    }

    /// Writes the head.
    fn begin_with(&self, status: u16, fields: HeaderMap, ends: bool) -> Result<(), Gone> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).map_err(|_out_of_range| Gone)?;
        *response.headers_mut() = fields;
        let mut stage = self.stage.borrow_mut();
        let Stage::Head(respond) = &mut *stage else { return Err(Gone) };
        let body = respond.send_response(response, ends).map_err(|_reset_or_gone| Gone)?;
        *stage = Stage::Body(body);
        Ok(())
    }

    /// Writes pieces of the body as the client takes them; with the last of them it may end.
    async fn write(&self, parts: &[&[u8]], ends: bool) -> Result<(), Gone> {
        // A write that was dropped before its end leaves the client in the middle of something: nothing can follow.
        if self.busy.replace(true) {
            return Err(Gone);
        }
        let mut left: usize = parts.iter().map(|part| part.len()).sum();
        let mut piece = Vec::new();
        for part in parts {
            let mut part = *part;
            while !part.is_empty() {
                let (now, later) = part.split_at(part.len().min(PIECE_BYTES - piece.len()));
                piece.extend_from_slice(now);
                part = later;
                left -= now.len();
                // Whole pieces: small parts do not become small frames.
                if piece.len() == PIECE_BYTES || left == 0 {
                    self.send(std::mem::take(&mut piece).into(), ends && left == 0).await?;
                }
            }
        }
        if ends && parts.iter().all(|part| part.is_empty()) {
            self.send(Bytes::new(), true).await?;
        }
        self.busy.set(false);
        Ok(())
    }

    async fn send(&self, mut piece: Bytes, ends: bool) -> Result<(), Gone> {
        while !piece.is_empty() {
            self.writing.set(limits::WRITE_TIMEOUT);
            let room = poll_fn(|cx| {
                let mut stage = self.stage.borrow_mut();
                let Stage::Body(body) = &mut *stage else { return Poll::Ready(Err(Gone)) };
                body.reserve_capacity(piece.len());
                loop {
                    if body.capacity() > 0 {
                        return Poll::Ready(Ok(body.capacity()));
                    }
                    match body.poll_capacity(cx) {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(_) => return Poll::Ready(Err(Gone)),
                        Poll::Pending => return self.writing.poll(cx).map(|()| Err(Gone)),
                    }
                }
            });
            let room = room.await?;
            self.writing.clear();
            let now = piece.split_to(piece.len().min(room));
            let last = ends && piece.is_empty();
            self.hand_over(now, last)?;
            if last {
                return Ok(());
            }
        }
        if ends { self.hand_over(piece, true) } else { Ok(()) }
    }

    fn hand_over(&self, piece: Bytes, ends: bool) -> Result<(), Gone> {
        match &mut *self.stage.borrow_mut() {
            Stage::Body(body) => body.send_data(piece, ends).map_err(|_reset_or_gone| Gone),
            Stage::Head(_) => Err(Gone),
        }
    }

    /// The head of an event stream, unless it was written.
    fn begin_stream(&self) -> Result<(), Gone> {
        if self.streaming.replace(true) {
            return Ok(());
        }
        let mut fields = HeaderMap::with_capacity(3);
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        fields.insert(CACHE_CONTROL, NO_STORE);
        fields.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        self.begin_with(200, fields, false)
    }
}

/// The fields of a JSON answer of this length, with those that `lines` hold.
fn fields_of(length: u64, lines: &str) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(4);
    if length > 0 {
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    fields.insert(CONTENT_LENGTH, length.into());
    for (name, value) in lines.split("\r\n").filter_map(|line| line.split_once(": ")) {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else { continue };
        // RFC 9113, section 8.2.2: what is said of a connection of HTTP/1.1 has no meaning here.
        if ![CONNECTION, UPGRADE].contains(&name) {
            fields.append(name, value);
        }
    }
    fields
}

impl Downstream for Writer {
    async fn answer(&self, answer: &Answer<'_>) -> Result<(), Gone> {
        self.sized.set(true);
        let length: usize = answer.body.iter().map(|slice| slice.len()).sum();
        let ends = self.head_only || length == 0;
        // What is wrong with a request says nothing of the others on its connection: that is not closed.
        self.begin_with(answer.status, fields_of(length as u64, answer.fields), ends)?;
        if ends { Ok(()) } else { self.write(answer.body, true).await }
    }

    async fn begin(&self, length: u64, parts: &[&[u8]]) -> Result<(), Gone> {
        self.sized.set(true);
        self.left.set(length);
        self.begin_with(200, fields_of(length, ""), length == 0)?;
        self.part(parts).await
    }

    async fn part(&self, parts: &[&[u8]]) -> Result<(), Gone> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length == 0 {
            return Ok(());
        }
        self.left.set(self.left.get().checked_sub(length as u64).ok_or(Gone)?);
        self.write(parts, self.left.get() == 0).await
    }

    async fn event(&self, message: &[&[u8]]) -> Result<(), Gone> {
        self.raw(&sse::encoded(message)).await
    }

    async fn raw(&self, events: &[u8]) -> Result<(), Gone> {
        self.begin_stream()?;
        self.write(&[events], false).await
    }

    async fn keep_alive(&self) -> Result<(), Gone> {
        if self.busy.get() || self.sized.get() {
            return Ok(());
        }
        self.raw(b": keep-alive\n\n").await
    }

    async fn finish(&self) -> Result<(), Gone> {
        self.write(&[], true).await
    }

    fn streaming(&self) -> bool {
        self.streaming.get()
    }

    fn takes_parts(&self) -> bool {
        true
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        let reset = match &mut *self.stage.borrow_mut() {
            Stage::Head(respond) => respond.poll_reset(cx),
            Stage::Body(body) => body.poll_reset(cx),
        };
        reset.map(|_reset_or_gone| Left::Away)
    }
}
