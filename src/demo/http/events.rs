//! The body of an answer that takes time: server-sent events, one for every message of a call.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use crate::demo::playback::Playback;
use crate::limits::KEEP_ALIVE;

/// A call, sent as it goes. Dropped when the client closes the connection, and the call with it.
pub(super) struct Events {
    next: Pin<Box<dyn Future<Output = NextEvent> + Send>>,
}

/// An event and the call it is from; `None` at the end.
type NextEvent = Option<(Bytes, Playback)>;

impl Events {
    pub(super) fn new(call: Playback) -> Self {
        Self { next: Box::pin(next_event(call)) }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some((event, call)) = ready!(self.next.as_mut().poll(cx)) else { return Poll::Ready(None) };
        *self = Self::new(call);
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

/// The next message as an event, or a comment if the call has been quiet for long.
async fn next_event(mut call: Playback) -> NextEvent {
    let event = match tokio::time::timeout(KEEP_ALIVE, call.next()).await {
        // JSON text of one line: no line feed can end the field early.
        Ok(message) => format!("event: message\ndata: {}\n\n", message?).into(),
        Err(_) => Bytes::from_static(b":\n\n"),
    };
    Some((event, call))
}
