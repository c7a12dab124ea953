//! HTTP/1.1 towards clients: one task a connection, requests in order, one write an answer.

pub(super) mod events;
mod writer;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};

#[cfg(feature = "websocket")]
use crate::catalog::View;
use crate::catalog::{Era, Topology};
use crate::clock::Deadline;
use crate::http1::{BodyDecoder, Framing, Parsed, RequestHead};
use crate::limits;
#[cfg(feature = "websocket")]
use crate::proxy::Admitted;
use crate::proxy::{self, Downstream, Drain, Refusal, RequestKind, Worker, header_keys};
use crate::upstream::Gone;
#[cfg(feature = "websocket")]
use crate::upstream::balance::HeaderKeys;
use writer::Writer;

#[cfg(feature = "http2")]
use super::http2;
use super::stream::Stream;
#[cfg(feature = "websocket")]
use super::websocket;

const READ_BYTES: usize = 16 << 10;
/// What a client may send ahead while its request is being answered.
const AHEAD_BYTES_MAX: usize = 64 << 10;
/// A buffer that grew past this for one request is given back after it.
const KEPT_BYTES: usize = 64 << 10;
/// How long a client has to read why it was refused.
const LINGER: Duration = Duration::from_secs(1);

/// What is read of a connection.
#[derive(Debug)]
struct Reader<'a> {
    stream: &'a RefCell<Stream>,
    deadline: &'a Deadline,
    buffer: Vec<u8>,
    /// The deadline of the head in hand is running.
    began: bool,
    /// Nothing was served on it before.
    first: bool,
}

/// The client's end of a connection, as the request in hand uses it.
#[derive(Debug)]
struct Peer<'a> {
    stream: &'a RefCell<Stream>,
    writing: &'a Deadline,
    /// What it sent while its request was being answered.
    ahead: RefCell<Vec<u8>>,
}

/// A connection may serve another request, or is over.
#[derive(Debug)]
enum Next {
    Request,
    Close,
    /// It goes on as a WebSocket of this view, on which these keys stand for every call.
    #[cfg(feature = "websocket")]
    WebSocket(&'static View, HeaderKeys),
    /// It is one of HTTP/2 from its beginning.
    #[cfg(feature = "http2")]
    Http2,
}

/// How requests on a connection came to an end, and what was read of it beyond them.
#[derive(Debug)]
enum Last {
    End,
    #[cfg(feature = "websocket")]
    WebSocket(&'static View, HeaderKeys, Vec<u8>),
    #[cfg(feature = "http2")]
    Http2(Vec<u8>),
}

/// Serves one connection until it ends.
pub(super) async fn serve<T: Topology>(worker: Rc<Worker<T>>, stream: Stream) {
    let stream = RefCell::new(stream);
    match requests(&worker, &stream).await {
        #[cfg(feature = "websocket")]
        Last::WebSocket(view, keys, ahead) => {
            Box::pin(websocket::serve(worker, (view, keys), stream.into_inner(), ahead)).await;
        }
        #[cfg(feature = "http2")]
        Last::Http2(ahead) => Box::pin(http2::serve(worker, stream.into_inner(), ahead)).await,
        Last::End => stream.into_inner().part(),
    }
}

/// Says why nothing is served on this connection.
#[cfg(feature = "tls")]
pub(super) async fn turn_away<T: Topology>(worker: &Worker<T>, stream: Stream, refusal: &Refusal<'_>) {
    let stream = RefCell::new(stream);
    let (reading, writing) = (worker.clock.deadline(), worker.clock.deadline());
    let peer = Peer { stream: &stream, writing: &writing, ahead: RefCell::default() };
    if refuse(&mut Writer::new(&peer), refusal).await.is_ok() {
        linger(&mut Reader { stream: &stream, deadline: &reading, buffer: Vec::new(), began: false, first: true })
            .await;
    }
}

/// Serves requests until there are no more.
async fn requests<T: Topology>(worker: &Rc<Worker<T>>, stream: &RefCell<Stream>) -> Last {
    let (reading, writing) = (worker.clock.deadline(), worker.clock.deadline());
    let peer = Peer { stream, writing: &writing, ahead: RefCell::default() };
    let mut reader = Reader { stream, deadline: &reading, buffer: Vec::new(), began: false, first: true };
    loop {
        reader.began = false;
        let next = request(worker, &mut reader, &peer).await;
        reader.buffer.append(&mut peer.ahead.borrow_mut());
        match next {
            Ok(Next::Request) => reader.first = false,
            Ok(Next::Close) => break,
            #[cfg(feature = "websocket")]
            Ok(Next::WebSocket(view, keys)) => return Last::WebSocket(view, keys, reader.buffer),
            #[cfg(feature = "http2")]
            Ok(Next::Http2) => return Last::Http2(reader.buffer),
            Err(Gone) => return Last::End,
        }
    }
    linger(&mut reader).await;
    Last::End
}

/// Serves one request.
async fn request<T: Topology>(worker: &Rc<Worker<T>>, reader: &mut Reader<'_>, peer: &Peer<'_>) -> Result<Next, Gone> {
    let mut writer = Writer::new(peer);
    let mut chunked = Vec::new();
    let mut chunked_end = None;
    reader.begin(&worker.drain).await?;
    // Most requests are whole after one read and parsed once. A parsed head borrows the buffer, so one that needs more
    // bytes is parsed again when they are there.
    let end = loop {
        let missing = match RequestHead::parse(&reader.buffer, T::KEY_HEADERS) {
            Ok(Parsed::Head(head, start)) => {
                writer.adopt(&head, worker.drain.has_begun());
                let end = chunked_end.or_else(|| end_of_body(head.framing, start, reader.buffer.len()));
                match (worker.admit(&head), end) {
                    #[cfg(feature = "websocket")]
                    (Ok(Admitted { view, kind: RequestKind::WebSocket }), Some(end)) => {
                        let keys = header_keys::<T>(&head);
                        writer.switch(&websocket::greeting(&head)).await?;
                        reader.buffer.drain(..end);
                        return Ok(Next::WebSocket(view, keys));
                    }
                    (Ok(admitted), Some(end)) => {
                        let body = if chunked_end.is_some() { &chunked[..] } else { &reader.buffer[start..end] };
                        match admitted.kind {
                            // Boxed: it is rare, and would make every connection as large as a conversation.
                            RequestKind::Events => {
                                let keys = header_keys::<T>(&head);
                                Box::pin(events::stream(worker, (admitted.view, keys), &writer)).await?;
                            }
                            RequestKind::Message => events::post(worker, &head, body, &writer).await?,
                            _ => proxy::handle(worker, admitted, &head, body, &writer).await?,
                        }
                        break end;
                    }
                    (Err(refusal), Some(end)) => {
                        write_refusal(&writer, &refusal).await?;
                        break end;
                    }
                    // Nothing more is read on behalf of someone who is refused.
                    (Err(refusal), None) => return refuse(&mut writer, &refusal).await,
                    (Ok(_), None) if is_too_long(head.framing) => {
                        return refuse(&mut writer, &Refusal::PayloadTooLarge).await;
                    }
                    (Ok(_), None) => Some((start, head.framing, head.expects_continue)),
                }
            }
            Ok(Parsed::Partial) => None,
            #[cfg(feature = "http2")]
            Err(_) if reader.first && http2::begins(&reader.buffer) => return Ok(Next::Http2),
            Err(error) => return refuse(&mut writer, &Refusal::Head(error)).await,
        };
        let read = match missing {
            None => reader.more(limits::HEAD_TIMEOUT).await?,
            Some((start, framing, expects_continue)) => {
                if expects_continue {
                    writer.go_on().await?;
                }
                reader.body(start, framing, &mut chunked).await?.map(|end| chunked_end = end)
            }
        };
        if let Err(refusal) = read {
            return refuse(&mut writer, &refusal).await;
        }
    };
    reader.buffer.drain(..end);
    reader.buffer.shrink_to(KEPT_BYTES);
    Ok(if writer.is_open() { Next::Request } else { Next::Close })
}

/// Where a body ends in the buffer, if all of it is there.
fn end_of_body(framing: Framing, start: usize, length: usize) -> Option<usize> {
    match framing {
        Framing::None => Some(start),
        Framing::Length(body) => start
            .checked_add(usize::try_from(body).ok()?)
            .filter(|end| *end <= length && *end - start <= limits::BODY_BYTES_MAX),
        Framing::Chunked | Framing::UntilClose => None,
    }
}

fn is_too_long(framing: Framing) -> bool {
    matches!(framing, Framing::Length(length) if length > limits::BODY_BYTES_MAX as u64)
}

/// Refuses and closes.
async fn refuse(writer: &mut Writer<'_, '_>, refusal: &Refusal<'_>) -> Result<Next, Gone> {
    writer.close_after();
    write_refusal(writer, refusal).await?;
    Ok(Next::Close)
}

pub(super) async fn write_refusal(writer: &impl Downstream, refusal: &Refusal<'_>) -> Result<(), Gone> {
    let verdict = refusal.verdict(Era::Modern);
    let body = verdict.body(None);
    let answer =
        proxy::Answer { status: verdict.status, fields: &verdict.fields, body: &[&body], close: verdict.close };
    writer.answer(&answer).await
}

// === impl Reader ===

impl Reader<'_> {
    /// Waits for the first byte of a request.
    async fn begin(&mut self, drain: &Drain) -> Result<(), Gone> {
        if !self.buffer.is_empty() {
            return Ok(());
        }
        self.deadline.set(limits::IDLE_TIMEOUT);
        tokio::select! {
            biased;
            read = self.read() => return read.map_err(|_ended_or_idle| Gone),
            () = drain.begun() => {}
        }
        // The gateway stops. A request that is on its way is still served: its client has seen the connection accepted.
        self.deadline.set(limits::LAST_CALL);
        self.read().await.map_err(|_ended_or_idle| Gone)
    }

    /// Reads more of a head.
    async fn more(&mut self, timeout: Duration) -> Result<Result<(), Refusal<'static>>, Gone> {
        // Counted from the first byte: a client that sends one at a time gains nothing.
        if !self.began {
            self.began = true;
            self.deadline.set(timeout);
        }
        match self.read().await {
            Ok(()) => Ok(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(Err(Refusal::RequestTimeout)),
            Err(_) => Err(Gone),
        }
    }

    /// Reads until the body is whole. A chunked one goes to `chunked`, and the place where it ended comes back.
    async fn body(
        &mut self,
        start: usize,
        framing: Framing,
        chunked: &mut Vec<u8>,
    ) -> Result<Result<Option<usize>, Refusal<'static>>, Gone> {
        self.deadline.set(limits::BODY_TIMEOUT);
        let mut decoder = BodyDecoder::new(framing);
        loop {
            if framing == Framing::Chunked {
                match decoder.decode(&self.buffer[start..], chunked) {
                    // What was decoded is not kept twice.
                    Ok(taken) => drop(self.buffer.drain(start..start + taken)),
                    Err(error) => return Ok(Err(Refusal::Body(error))),
                }
                if decoder.is_done() {
                    return Ok(Ok(Some(start)));
                }
                if chunked.len() > limits::BODY_BYTES_MAX {
                    return Ok(Err(Refusal::PayloadTooLarge));
                }
            } else if end_of_body(framing, start, self.buffer.len()).is_some() {
                return Ok(Ok(None));
            }
            match self.read().await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(Err(Refusal::RequestTimeout)),
                // Whoever half-closed may still read why.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err(Refusal::BodyCutShort)),
                Err(_) => return Err(Gone),
            }
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        self.buffer.reserve(READ_BYTES);
        let (stream, deadline, buffer) = (self.stream, self.deadline, &mut self.buffer);
        poll_fn(|cx| match poll_read(stream, buffer, cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(read) => Poll::Ready(read.map(drop)),
            Poll::Pending => deadline.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        })
        .await
    }
}

/// Reads through `AsyncRead` and not `try_read`: after a read that did not fill the buffer it knows, without asking the
/// kernel, that there is nothing more.
fn poll_read(stream: &RefCell<Stream>, buffer: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    pin!(stream.borrow_mut().read_buf(buffer)).poll(cx)
}

// === impl Peer ===

impl Peer<'_> {
    /// Ready once the peer has closed; what it sends ahead meanwhile is kept, up to a bound.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ahead = self.ahead.borrow_mut();
        // At the bound it goes on being read once the request in hand is answered.
        while ahead.len() < AHEAD_BYTES_MAX {
            // Reserved only when something arrives: most requests are answered before anything does.
            let mut part = [0; 1024];
            let mut part = ReadBuf::new(&mut part);
            match Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, &mut part) {
                Poll::Ready(Ok(())) if !part.filled().is_empty() => ahead.extend_from_slice(part.filled()),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }
}

/// Reads a little of what a refused client still sends: closing at once would reset the connection before it has read
/// its answer.
async fn linger(reader: &mut Reader<'_>) {
    reader.deadline.set(LINGER);
    let shut = poll_fn(|cx| match Pin::new(&mut *reader.stream.borrow_mut()).poll_shutdown(cx) {
        Poll::Pending => reader.deadline.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        shut => shut,
    });
    if shut.await.is_err() {
        return;
    }
    let mut left = limits::HEAD_BYTES_MAX;
    while left > 0 {
        reader.buffer.clear();
        if reader.read().await.is_err() {
            return;
        }
        left = left.saturating_sub(reader.buffer.len());
    }
}

#[cfg(test)]
mod tests;
