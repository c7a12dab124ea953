//! One connection of HTTP/2: begun, driven to its end, and how many requests may be under way on it. What they are is not
//! here.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Ping, SendStream};
use http::Request;
use tokio::sync::Notify;

use super::into_io;
use crate::clock::Clock;
use crate::http2::{Counted, Pulse};
use crate::limits;
use crate::upstream::Error;
use crate::upstream::endpoint::Io;

/// The connection, as those see it who ask for something on it. It ends by itself once nobody holds it, and what is under
/// way on it has ended.
pub(super) struct Trunk {
    sender: SendRequest<Bytes>,
    load: Rc<Load>,
}

/// How many requests are under way, and how many may be.
#[derive(Debug, Default)]
struct Load {
    streams: Cell<usize>,
    streams_max: Cell<usize>,
    /// Calls that wait for a place.
    waiting: Cell<usize>,
    /// A place is free, or there will be none any more.
    freed: Notify,
    /// It takes no more requests.
    closed: Cell<bool>,
}

/// A place for one stream, as long as it is held.
pub(super) struct Slot {
    pub(super) trunk: Rc<Trunk>,
}

/// A call that waits for a place.
struct Waiting<'a>(&'a Load);

// === impl Trunk ===

impl fmt::Debug for Trunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trunk").field("load", &self.load).finish_non_exhaustive()
    }
}

impl Trunk {
    /// Begins a connection; up once the backend's settings are there.
    pub(super) async fn begin(io: Io, clock: &Clock) -> io::Result<Self> {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .max_header_list_size(u32::try_from(limits::HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .initial_window_size(limits::UPSTREAM_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(limits::UPSTREAM_WINDOW_BYTES)
            .max_local_error_reset_streams(Some(limits::UPSTREAM_BROKEN_MAX));
        let counted = Counted::new(io, Vec::new());
        let taken = counted.taken();
        let (sender, mut connection) = builder.handshake::<_, Bytes>(counted).await.map_err(into_io)?;
        let mut ping_pong = connection.ping_pong();
        if let Some(ping_pong) = &mut ping_pong {
            // Settings come before any answer: with this one it is known how many streams there may be, and that the other
            // side speaks HTTP/2 at all, before a call is trusted to it.
            tokio::select! {
                biased;
                ended = &mut connection => {
                    ended.map_err(into_io)?;
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended the connection"));
                }
                answered = ping_pong.ping(Ping::opaque()) => {
                    let _pong = answered.map_err(into_io)?;
                }
            }
        }
        let load = Rc::new(Load::default());
        load.allow(connection.max_concurrent_send_streams());
        let pulse = Pulse::new(ping_pong, taken);
        tokio::task::spawn_local(drive(connection, pulse, Rc::clone(&load), clock.clone()));
        Ok(Self { sender, load })
    }

    /// Whether it takes requests, as far as the backend has said.
    pub(super) fn takes_requests(&self) -> bool {
        if !self.load.closed.get() && !self.is_open() {
            self.retire();
        }
        !self.load.closed.get()
    }

    fn is_open(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(self.sender.clone().poll_ready(&mut cx), Poll::Ready(Ok(())))
    }

    /// It takes no more requests: whoever waits looks for another one.
    pub(super) fn retire(&self) {
        self.load.close();
    }

    /// A place for one more stream, waited for where all are taken; `None` where it takes no more.
    pub(super) async fn slot(self: &Rc<Self>) -> Result<Option<Slot>, Error> {
        let load = &self.load;
        if load.waiting.get() > 0 || !load.has_room() {
            if load.waiting.get() >= limits::BACKEND_QUEUE_MAX {
                return Err(Error::full("as many calls wait for its connection as may"));
            }
            let _waiting = Waiting::begin(load);
            loop {
                if load.closed.get() {
                    return Ok(None);
                }
                load.freed.notified().await;
                if self.takes_requests() && load.has_room() {
                    break;
                }
            }
        }
        load.streams.set(load.streams.get() + 1);
        load.pass_on();
        Ok(Some(Slot { trunk: Rc::clone(self) }))
    }

    /// Sends the head of a request. When this fails, nothing was sent.
    pub(super) fn ask(&self, head: Request<()>, ends: bool) -> io::Result<(ResponseFuture, SendStream<Bytes>)> {
        self.sender.clone().send_request(head, ends).map_err(into_io)
    }
}

/// Reads and writes what there is until the connection ends.
async fn drive(mut connection: Connection<Counted<Io>, Bytes>, mut pulse: Pulse, load: Rc<Load>, clock: Clock) {
    let beat = clock.deadline();
    beat.set(limits::KEEP_ALIVE);
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(ended.map_err(into_io));
        }
        load.allow(connection.max_concurrent_send_streams());
        if beat.poll(cx).is_pending() {
            return Poll::Pending;
        }
        beat.set(limits::KEEP_ALIVE);
        let idle = load.streams.get() == 0;
        if !pulse.beat(idle, !idle) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing is heard of it")));
        }
        if pulse.is_idle() {
            return Poll::Ready(Ok(()));
        }
        // Sends the ping, and waits for the next beat.
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    let ended = ended.await;
    load.close();
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of HTTP/2 to a backend ends");
    }
}

// === impl Load ===

impl Load {
    fn has_room(&self) -> bool {
        self.streams.get() < self.streams_max.get()
    }

    /// The backend allows so many streams.
    fn allow(&self, streams_max: usize) {
        let own = usize::try_from(limits::UPSTREAM_STREAMS_MAX).unwrap_or(usize::MAX);
        self.streams_max.set(streams_max.min(own));
        self.pass_on();
    }

    /// Wakes the first who waits, if there is a place; who takes it wakes the next.
    fn pass_on(&self) {
        if self.waiting.get() > 0 && self.has_room() {
            self.freed.notify_one();
        }
    }

    fn close(&self) {
        self.closed.set(true);
        self.freed.notify_waiters();
    }
}

// === impl Slot ===

impl Drop for Slot {
    fn drop(&mut self) {
        let load = &self.trunk.load;
        load.streams.set(load.streams.get() - 1);
        load.pass_on();
    }
}

// === impl Waiting ===

impl<'a> Waiting<'a> {
    fn begin(load: &'a Load) -> Self {
        load.waiting.set(load.waiting.get() + 1);
        Self(load)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}
