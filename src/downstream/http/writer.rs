//! What is written to a client: whole answers with their length, or a stream of events; one write where it can be.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite as _;

use super::Peer;
use crate::http1::{Method, RequestHead};
use crate::limits;
use crate::mcp::sse;
use crate::proxy::{Answer, Downstream, Left};
use crate::upstream::Gone;

/// A body up to this size is copied behind its head; a larger one is written from where it lies.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// What was begun of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Nothing,
    /// An answer of known length: nothing else can stand in it.
    Sized,
    Stream,
}

/// The writing side of one request.
#[derive(Debug)]
pub(super) struct Writer<'p, 'a> {
    peer: &'p Peer<'a>,
    keep_alive: Cell<bool>,
    http10: bool,
    /// HEAD: whatever is answered has no body.
    head_only: bool,
    begun: Cell<Begun>,
    /// A write is under way: what would interrupt it has to wait.
    busy: Cell<bool>,
    went_on: bool,
}

impl<'p, 'a> Writer<'p, 'a> {
    pub(super) fn new(peer: &'p Peer<'a>) -> Self {
        Self {
            peer,
            keep_alive: Cell::new(true),
            http10: false,
            head_only: false,
            begun: Cell::new(Begun::Nothing),
            busy: Cell::new(false),
            went_on: false,
        }
    }

    /// Takes over what the request says of its connection.
    pub(super) fn adopt(&mut self, head: &RequestHead<'_>, draining: bool) {
        self.keep_alive.set(head.keep_alive && !draining);
        self.http10 = head.http10;
        self.head_only = head.method == Method::Head;
    }

    /// The connection is closed after the answer.
    pub(super) fn close_after(&mut self) {
        self.keep_alive.set(false);
    }

    /// Whether the connection can serve another request.
    pub(super) fn is_open(&self) -> bool {
        self.keep_alive.get()
    }

    /// `100 Continue`, once.
    pub(super) async fn go_on(&mut self) -> Result<(), Gone> {
        if std::mem::replace(&mut self.went_on, true) {
            return Ok(());
        }
        self.write(&mut [IoSlice::new(b"HTTP/1.1 100 Continue\r\n\r\n")]).await
    }

    /// `101 Switching Protocols`: the connection goes on as something else. `fields` each have their line end.
    #[cfg(feature = "websocket")]
    pub(super) async fn switch(&self, fields: &str) -> Result<(), Gone> {
        let head = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
        self.write(&mut [IoSlice::new(head.as_bytes())]).await
    }

    fn connection_field(&self) -> &'static str {
        match (self.keep_alive.get(), self.http10) {
            (false, _) => "connection: close\r\n",
            (true, true) => "connection: keep-alive\r\n",
            (true, false) => "",
        }
    }

    async fn write(&self, mut slices: &mut [IoSlice<'_>]) -> Result<(), Gone> {
        // A write that was dropped before its end leaves the client in the middle of something: nothing can follow.
        if self.busy.replace(true) {
            return Err(Gone);
        }
        self.peer.writing.set(limits::WRITE_TIMEOUT);
        let written = poll_fn(|cx| {
            let mut stream = self.peer.stream.borrow_mut();
            loop {
                while slices.first().is_some_and(|slice| slice.is_empty()) {
                    IoSlice::advance_slices(&mut slices, 0);
                }
                if slices.is_empty() {
                    match Pin::new(&mut *stream).poll_flush(cx) {
                        Poll::Ready(flushed) => return Poll::Ready(flushed.map_err(|_lost| Gone)),
                        Poll::Pending => break,
                    }
                }
                match stream.poll_write_some(cx, slices) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Gone)),
                    Poll::Ready(Ok(count)) => {
                        IoSlice::advance_slices(&mut slices, count);
                        self.peer.writing.set(limits::WRITE_TIMEOUT);
                    }
                    Poll::Pending => break,
                }
            }
            self.peer.writing.poll(cx).map(|()| Err(Gone))
        });
        let written = written.await;
        self.peer.writing.clear();
        self.busy.set(written.is_err());
        written
    }

    /// The head of an event stream, unless it was written.
    fn stream_head(&self) -> &'static [u8] {
        if self.begun.replace(Begun::Stream) == Begun::Stream {
            return b"";
        }
        if self.http10 {
            self.keep_alive.set(false);
            return b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
                x-accel-buffering: no\r\nconnection: close\r\n\r\n";
        }
        if self.keep_alive.get() {
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
                x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n"
        } else {
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
                x-accel-buffering: no\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        }
    }
}

impl Downstream for Writer<'_, '_> {
    async fn answer(&self, answer: &Answer<'_>) -> Result<(), Gone> {
        if answer.close {
            self.keep_alive.set(false);
        }
        self.begun.set(Begun::Sized);
        let length: usize = answer.body.iter().map(|slice| slice.len()).sum();
        let media = if length > 0 { "content-type: application/json\r\n" } else { "" };
        let version = u8::from(!self.http10);
        let mut out = Vec::with_capacity(256 + if length <= COPIED_BYTES_MAX { length } else { 0 });
        let _infallible = write!(
            out,
            "HTTP/1.{version} {} {}\r\n{media}content-length: {length}\r\n{}{}\r\n",
            answer.status,
            reason(answer.status),
            answer.fields,
            self.connection_field(),
        );
        if self.head_only {
            return self.write(&mut [IoSlice::new(&out)]).await;
        }
        if length <= COPIED_BYTES_MAX {
            answer.body.iter().for_each(|slice| out.extend_from_slice(slice));
            return self.write(&mut [IoSlice::new(&out)]).await;
        }
        let mut slices = smallvec::SmallVec::<[IoSlice<'_>; 20]>::new();
        slices.push(IoSlice::new(&out));
        slices.extend(answer.body.iter().map(|slice| IoSlice::new(slice)));
        self.write(&mut slices).await
    }

    async fn begin(&self, length: u64, parts: &[&[u8]]) -> Result<(), Gone> {
        self.begun.set(Begun::Sized);
        let version = u8::from(!self.http10);
        let connection = self.connection_field();
        let head = format!(
            "HTTP/1.{version} 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{connection}\r\n"
        );
        let mut slices: smallvec::SmallVec<[IoSlice<'_>; 8]> = smallvec::smallvec![IoSlice::new(head.as_bytes())];
        slices.extend(parts.iter().map(|part| IoSlice::new(part)));
        self.write(&mut slices).await
    }

    async fn part(&self, parts: &[&[u8]]) -> Result<(), Gone> {
        let mut slices: smallvec::SmallVec<[IoSlice<'_>; 4]> = parts.iter().map(|part| IoSlice::new(part)).collect();
        self.write(&mut slices).await
    }

    async fn event(&self, message: &[&[u8]]) -> Result<(), Gone> {
        self.raw(&sse::encoded(message)).await
    }

    async fn raw(&self, events: &[u8]) -> Result<(), Gone> {
        let head = self.stream_head();
        if self.http10 {
            return self.write(&mut [IoSlice::new(head), IoSlice::new(events)]).await;
        }
        let size = format!("{:x}\r\n", events.len());
        let slices =
            &mut [IoSlice::new(head), IoSlice::new(size.as_bytes()), IoSlice::new(events), IoSlice::new(b"\r\n")];
        self.write(slices).await
    }

    async fn keep_alive(&self) -> Result<(), Gone> {
        if self.busy.get() || self.begun.get() == Begun::Sized {
            return Ok(());
        }
        self.raw(b": keep-alive\n\n").await
    }

    async fn finish(&self) -> Result<(), Gone> {
        if self.http10 {
            return Ok(());
        }
        self.write(&mut [IoSlice::new(b"0\r\n\r\n")]).await
    }

    fn streaming(&self) -> bool {
        self.begun.get() == Begun::Stream
    }

    fn takes_parts(&self) -> bool {
        true
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        self.peer.poll_closed(cx).map(|()| Left::Away)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
