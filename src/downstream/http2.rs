//! HTTP/2 towards clients, in plain after its preface or as a handshake of TLS chose: many requests on a connection, each
//! a task. The frames are h2's; heads are held to the rules of HTTP/1.1, and the answers are the same.

mod writer;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use http::request::Parts;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Stream;
use super::http::{events, write_refusal};
use crate::catalog::Topology;
use crate::clock::Deadline;
use crate::http1::{Framing, HeadError, RequestHead};
use crate::http2::{Counted, Pulse};
use crate::limits;
use crate::proxy::{self, Erased, Refusal, RequestKind, Worker, header_keys};
use crate::upstream::Gone;
use writer::Writer;

/// What a connection begins with (RFC 9113, section 3.4), as far as HTTP/1.1 reads it: to the first digit of a version that
/// is another.
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// What the requests of one connection share.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes of bodies that are not whole yet.
    held: Cell<usize>,
}

/// Whether what came on a connection begins one of HTTP/2.
pub(super) fn begins(buffer: &[u8]) -> bool {
    buffer.starts_with(PREFACE)
}

/// Serves one connection until it ends. `ahead` was read of it already.
pub(super) async fn serve<T: Topology>(worker: Rc<Worker<T>>, stream: Stream, ahead: Vec<u8>) {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits::HTTP2_STREAMS_MAX.min(T::SPEC.limits.connection_calls_max))
        .max_header_list_size(u32::try_from(limits::HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .initial_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_WINDOW_BYTES)
        .max_send_buffer_size(limits::HTTP2_ANSWER_BYTES_MAX)
        .max_pending_accept_reset_streams(limits::HTTP2_TAKEN_BACK_MAX)
        .max_local_error_reset_streams(Some(limits::HTTP2_BROKEN_MAX));
    let counted = Counted::new(stream, ahead);
    let taken = counted.taken();
    let mut requests = JoinSet::new();
    // A handshake that goes wrong has said so itself.
    if let Ok(Ok(mut connection)) = timeout(limits::HEAD_TIMEOUT, builder.handshake(counted)).await {
        let pulse = Pulse::new(connection.ping_pong(), taken);
        accept(&worker, &mut connection, pulse, &mut requests).await;
    }
    // The client is gone: calls of a legacy one still run to their end.
    while requests.join_next().await.is_some() {}
}

/// Takes requests until there can be no more.
async fn accept<T: Topology>(
    worker: &Rc<Worker<T>>,
    connection: &mut Connection<Counted<Stream>, Bytes>,
    mut pulse: Pulse,
    requests: &mut JoinSet<()>,
) {
    let shared = Rc::new(Shared::default());
    let (beat, last_call) = (worker.clock.deadline(), worker.clock.deadline());
    beat.set(limits::KEEP_ALIVE);
    let mut draining = false;
    loop {
        tokio::select! {
            biased;
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let (worker, shared) = (Rc::clone(worker), Rc::clone(&shared));
                    requests.spawn_local(async move {
                        // Who is gone gets nothing.
                        let _gone = serve_one(&worker, &shared, request, respond).await;
                    });
                }
                Some(Err(error)) => return tracing::debug!(%error, "a connection of HTTP/2 ends"),
                None => return,
            },
            Some(_done) = requests.join_next() => {}
            () = worker.drain.begun(), if !draining => {
                draining = true;
                connection.graceful_shutdown();
                last_call.set(limits::LAST_CALL);
            }
            // Who says no more need not acknowledge that the gateway stops.
            () = passed(&last_call), if draining && requests.is_empty() && !connection.has_streams() => return,
            () = passed(&beat) => {
                beat.set(limits::KEEP_ALIVE);
                let idle = requests.is_empty() && !connection.has_streams();
                if !pulse.beat(idle, true) {
                    return tracing::info!("a client of HTTP/2 is heard of no more, or asks for nothing: let go");
                }
                if pulse.is_idle() {
                    connection.graceful_shutdown();
                }
            }
        }
    }
}

async fn passed(deadline: &Deadline) {
    poll_fn(|cx| deadline.poll(cx)).await;
}

/// Serves one request.
async fn serve_one<T: Topology>(
    worker: &Rc<Worker<T>>,
    shared: &Shared,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) -> Result<(), Gone> {
    let (parts, body) = request.into_parts();
    let writer = Writer::new(respond, worker.clock.deadline(), parts.method == http::Method::HEAD);
    let head = match head(&parts, &body, T::KEY_HEADERS) {
        Ok(head) => head,
        Err(error) => return write_refusal(&writer, &Refusal::Head(error)).await,
    };
    let admitted = match worker.admit(&head) {
        Ok(admitted) => admitted,
        // Nothing more is read on behalf of someone who is refused.
        Err(refusal) => return write_refusal(&writer, &refusal).await,
    };
    let deadline = worker.clock.deadline();
    let body = match (Body { stream: body, shared, held: 0 }).read(head.framing, &deadline).await {
        Ok(body) => body,
        Err(Unread::Refused(refusal)) => return write_refusal(&writer, &refusal).await,
        Err(Unread::NotNow) => {
            writer.refuse_stream(Reason::REFUSED_STREAM);
            return Ok(());
        }
        Err(Unread::Gone) => return Err(Gone),
    };
    drop(deadline);
    match admitted.kind {
        RequestKind::Events => {
            Box::pin(events::stream(worker, (admitted.view, header_keys::<T>(&head)), &writer)).await
        }
        RequestKind::Message => events::post(worker, &head, &body, &writer).await,
        _ => proxy::handle(worker, admitted, &head, &body, &Erased::new(&writer)).await,
    }
}

fn head<'a>(parts: &'a Parts, body: &RecvStream, names: &'static [&'static str]) -> Result<RequestHead<'a>, HeadError> {
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    let fields = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    RequestHead::of_http2((parts.method.as_str(), authority, target), fields, !body.is_end_stream(), names)
}

/// A body on its way.
struct Body<'a> {
    stream: RecvStream,
    shared: &'a Shared,
    /// What of [`Shared::held`] is its.
    held: usize,
}

/// Why a body is not read to its end.
enum Unread {
    Refused(Refusal<'static>),
    /// The connection sends more at once than it may; nothing was done, so it may be sent again.
    NotNow,
    /// The client took the request back, or is gone.
    Gone,
}

// === impl Body ===

impl Body<'_> {
    /// Reads it to its end.
    async fn read(mut self, framing: Framing, deadline: &Deadline) -> Result<Vec<u8>, Unread> {
        if matches!(framing, Framing::Length(length) if length > limits::BODY_BYTES_MAX as u64) {
            return Err(Unread::Refused(Refusal::PayloadTooLarge));
        }
        deadline.set(limits::BODY_TIMEOUT);
        let mut body = Vec::new();
        loop {
            let part = poll_fn(|cx| match self.stream.poll_data(cx) {
                Poll::Pending => deadline.poll(cx).map(|()| Err(Unread::Refused(Refusal::RequestTimeout))),
                Poll::Ready(part) => Poll::Ready(Ok(part)),
            });
            let part = match part.await? {
                None => return Ok(body),
                Some(part) => part.map_err(|_reset_or_gone| Unread::Gone)?,
            };
            if body.len() + part.len() > limits::BODY_BYTES_MAX {
                return Err(Unread::Refused(Refusal::PayloadTooLarge));
            }
            if self.shared.held.get() + part.len() > limits::HTTP2_BODIES_BYTES_MAX {
                return Err(Unread::NotNow);
            }
            self.held += part.len();
            self.shared.held.set(self.shared.held.get() + part.len());
            body.extend_from_slice(&part);
            // What is dropped unread would narrow the window for good.
            self.stream.flow_control().release_capacity(part.len()).map_err(|_gone| Unread::Gone)?;
        }
    }
}

impl Drop for Body<'_> {
    fn drop(&mut self) {
        self.shared.held.set(self.shared.held.get() - self.held);
    }
}

#[cfg(test)]
mod tests;
