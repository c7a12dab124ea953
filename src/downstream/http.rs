//! HTTP/1.1 towards clients: one task a connection, requests in order, one write an answer.

mod writer;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::catalog::{Era, Topology};
use crate::clock::Deadline;
use crate::http1::{BodyDecoder, Framing, Parsed, RequestHead};
use crate::limits;
use crate::proxy::{self, Downstream as _, Refusal, Worker};
use crate::upstream::Gone;
use writer::Writer;

const READ_BYTES: usize = 16 << 10;
/// What a client may send ahead while its request is being answered.
const AHEAD_BYTES_MAX: usize = 64 << 10;
/// A buffer that grew past this for one request is given back after it.
const KEPT_BYTES: usize = 64 << 10;

/// What is read of a connection.
#[derive(Debug)]
struct Reader<'a> {
    stream: &'a TcpStream,
    deadline: &'a Deadline,
    buffer: Vec<u8>,
    /// The deadline of the head in hand is running.
    began: bool,
}

/// A connection may serve another request, or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

/// Serves one connection until it ends.
pub(crate) async fn serve<T: Topology>(worker: Rc<Worker<T>>, stream: TcpStream) {
    // Answers leave in one write; waiting to fill a segment only adds latency. A socket that refuses is gone.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (reading, writing) = (worker.clock.deadline(), worker.clock.deadline());
    let ahead = RefCell::new(Vec::new());
    let mut reader = Reader { stream: &stream, deadline: &reading, buffer: Vec::new(), began: false };
    loop {
        reader.began = false;
        let next = request(&worker, &mut reader, &writing, &ahead).await;
        reader.buffer.append(&mut ahead.borrow_mut());
        match next {
            Ok(Next::Request) if !*worker.shared.draining.borrow() => {}
            Ok(_) => break,
            Err(Gone) => return,
        }
    }
    linger(&stream, &reading).await;
}

/// Serves one request.
async fn request<T: Topology>(
    worker: &Worker<T>,
    reader: &mut Reader<'_>,
    writing: &Deadline,
    ahead: &RefCell<Vec<u8>>,
) -> Result<Next, Gone> {
    let mut writer = Writer::new(reader.stream, writing, ahead);
    let mut chunked = Vec::new();
    let mut chunked_end = None;
    reader.begin(worker).await?;
    // Most requests are whole after one read and parsed once. A parsed head borrows the buffer, so one that needs more
    // bytes is parsed again when they are there.
    let end = loop {
        let missing = match RequestHead::parse(&reader.buffer) {
            Ok(Parsed::Head(head, start)) => {
                writer.begin(head.keep_alive, head.http10);
                let end = chunked_end.or_else(|| end_of_body(head.framing, start, reader.buffer.len()));
                match (worker.admit(&head), end) {
                    (Ok(admitted), Some(end)) => {
                        let body = if chunked_end.is_some() { &chunked[..] } else { &reader.buffer[start..end] };
                        proxy::handle(worker, admitted, &head, body, &writer).await?;
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
        Framing::Length(body) => {
            start.checked_add(usize::try_from(body).ok()?).filter(|end| *end <= length && *end - start <= limits::BODY_BYTES_MAX)
        }
        Framing::Chunked | Framing::UntilClose => None,
    }
}

fn is_too_long(framing: Framing) -> bool {
    matches!(framing, Framing::Length(length) if length > limits::BODY_BYTES_MAX as u64)
}

/// Refuses and closes.
async fn refuse(writer: &mut Writer<'_>, refusal: &Refusal<'_>) -> Result<Next, Gone> {
    writer.close_after();
    write_refusal(writer, refusal).await?;
    Ok(Next::Close)
}

async fn write_refusal(writer: &Writer<'_>, refusal: &Refusal<'_>) -> Result<(), Gone> {
    let verdict = refusal.verdict(Era::Modern);
    let body = verdict.body(None);
    let answer = proxy::Answer {
        status: verdict.status,
        fields: &verdict.fields,
        body: &[&body],
        close: verdict.close,
    };
    writer.answer(&answer).await
}

// === impl Reader ===

impl Reader<'_> {
    /// Waits for the first byte of a request.
    async fn begin<T: Topology>(&mut self, worker: &Worker<T>) -> Result<(), Gone> {
        if !self.buffer.is_empty() {
            return Ok(());
        }
        self.deadline.set(limits::IDLE_TIMEOUT);
        let mut draining = worker.shared.draining.clone();
        // An idle connection is closed when the gateway stops; one with a request under way is not.
        tokio::select! {
            biased;
            read = self.read() => read.map_err(|_ended_or_idle| Gone),
            _ = draining.wait_for(|draining| *draining) => Err(Gone),
        }
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
        poll_fn(|cx| {
            loop {
                match stream.try_read_buf(buffer) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Ok(_) => return Poll::Ready(Ok(())),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
                match stream.poll_read_ready(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => break,
                }
            }
            deadline.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }
}

/// Ready once the peer has closed; what it sends ahead meanwhile is kept, up to a bound.
fn poll_closed(stream: &TcpStream, ahead: &RefCell<Vec<u8>>, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        match stream.poll_read_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Pending => return Poll::Pending,
        }
        let mut ahead = ahead.borrow_mut();
        if ahead.len() >= AHEAD_BYTES_MAX {
            // It goes on being read once the request in hand is answered.
            return Poll::Pending;
        }
        ahead.reserve(READ_BYTES);
        match stream.try_read_buf(&mut *ahead) {
            Ok(0) => return Poll::Ready(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Poll::Ready(()),
        }
    }
}

/// Reads a little of what a refused client still sends: closing at once would reset the connection before it has read
/// its answer.
async fn linger(stream: &TcpStream, deadline: &Deadline) {
    deadline.set(Duration::from_secs(1));
    let mut scratch = [0; 4096];
    let mut left = limits::HEAD_BYTES_MAX;
    if socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write).is_err() {
        return;
    }
    loop {
        let read = poll_fn(|cx| {
            if deadline.poll(cx).is_ready() {
                return Poll::Ready(Ok(0));
            }
            stream.poll_read_ready(cx).map_ok(|()| 1)
        });
        match read.await {
            Ok(1) => {}
            _ => return,
        }
        match stream.try_read(&mut scratch) {
            Ok(0) => return,
            Ok(count) if count < left => left -= count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}
