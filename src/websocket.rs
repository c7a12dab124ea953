//! WebSocket (RFC 6455) as MCP uses it: the key of the greeting, and a socket that carries one message a text frame.
//!
//! The frames are tungstenite's. Whether a greeting is good enough is said by whoever is greeted or greets.

mod counted;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as FrameError};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

pub(crate) use tokio_tungstenite::tungstenite::protocol::Role;
pub(crate) use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::limits;
use counted::Counted;

/// The subprotocol of MCP.
pub(crate) const SUBPROTOCOL: &str = "mcp";
/// The version of WebSocket.
pub(crate) const VERSION: &str = "13";

/// What is appended to the key before it is hashed (RFC 6455, section 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES: usize = 16;
/// How long the other side has to take in why the connection ends, and to end it too.
const LINGER: Duration = Duration::from_secs(1);
/// How much of what it still sends meanwhile is read.
const LINGER_BYTES_MAX: u64 = limits::BODY_BYTES_MAX as u64;

/// A connection after its greeting. Reading and writing are apart from each other, so that one never waits for the other.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: RefCell<WebSocketStream<Counted<S>>>,
    /// When the last frame came.
    heard: Cell<Instant>,
    /// Pings that came since the last beat of the pulse.
    pings: Cell<u32>,
    pulse: RefCell<Interval>,
    /// Something that was handed over is still to be written.
    writing: Cell<bool>,
    /// What comes cannot be told apart into frames any more.
    garbled: Cell<bool>,
}

/// Why nothing more comes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ending {
    /// The other side said goodbye, as this says.
    #[error("it closed the connection{0}")]
    Closed(String),
    /// It broke a rule: the code that it is told, and why.
    #[error("{1}")]
    Broken(CloseCode, &'static str),
    /// The connection is gone.
    #[error("the connection is lost: {0}")]
    Lost(String),
}

/// What a server answers to the key of a client.
pub(crate) fn accept_key(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize())
}

/// Whether a client's key is one.
pub(crate) fn is_key(key: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|bits| bits.len() == KEY_BYTES)
}

// === impl Socket ===

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// One on a connection that was greeted, with what was read of it behind the greeting.
    pub(crate) async fn new(stream: S, ahead: Vec<u8>, role: Role, message_bytes_max: usize) -> Self {
        // Clients are many and say little at a time; backends are few.
        let read_bytes = if role == Role::Server { 8 << 10 } else { 64 << 10 };
        let config = WebSocketConfig::default()
            .read_buffer_size(read_bytes)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let stream = WebSocketStream::from_partially_read(Counted::new(stream), ahead, role, Some(config)).await;
        let now = Instant::now();
        let mut pulse = interval_at(now + limits::KEEP_ALIVE, limits::KEEP_ALIVE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            stream: RefCell::new(stream),
            heard: Cell::new(now),
            pings: Cell::new(0),
            pulse: RefCell::new(pulse),
            writing: Cell::new(false),
            garbled: Cell::new(false),
        }
    }

    /// The next message. Cancel safe.
    pub(crate) async fn message(&self) -> Result<Bytes, Ending> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    fn poll_message(&self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Ending>> {
        loop {
            let next = ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_next(cx));
            self.heard.set(Instant::now());
            return Poll::Ready(Err(match next {
                Some(Ok(Message::Text(text))) => return Poll::Ready(Ok(text.into())),
                Some(Ok(Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Ping(_))) => {
                    // Each is answered, and answers pile up where they are not read.
                    self.pings.set(self.pings.get() + 1);
                    if self.pings.get() <= limits::PINGS_MAX {
                        continue;
                    }
                    Ending::Broken(CloseCode::Policy, "too many pings")
                }
                Some(Ok(Message::Binary(_))) => Ending::Broken(CloseCode::Unsupported, "a message is text, not binary"),
                Some(Ok(Message::Close(frame))) => Ending::Closed(frame.map(farewell).unwrap_or_default()),
                Some(Err(error)) => self.ending(error),
                None => Ending::Closed(String::new()),
            }));
        }
    }

    fn ending(&self, error: FrameError) -> Ending {
        let broken = match error {
            FrameError::Capacity(CapacityError::MessageTooLong { .. }) => {
                Ending::Broken(CloseCode::Size, "message is too long")
            }
            FrameError::Utf8(_) => Ending::Broken(CloseCode::Invalid, "message is not UTF-8"),
            FrameError::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ) => return Ending::Lost("it ended without a goodbye".to_owned()),
            FrameError::Protocol(_) => Ending::Broken(CloseCode::Protocol, "frame is not as RFC 6455 has it"),
            other => return Ending::Lost(other.to_string()),
        };
        self.garbled.set(true);
        broken
    }

    /// Hands a message over to be written, which [`Socket::flush`] sees to.
    pub(crate) fn begin(&self, message: Bytes) -> Result<(), Ending> {
        self.writing.set(true);
        // As a frame, because its text was read as UTF-8 when it was scanned.
        let frame = Frame::message(message, OpCode::Data(Data::Text), true);
        let begun = Pin::new(&mut *self.stream.borrow_mut()).start_send(Message::Frame(frame));
        begun.map_err(|error| Ending::Lost(error.to_string()))
    }

    /// Writes what was handed over. Cancel safe.
    pub(crate) async fn flush(&self) -> Result<(), Ending> {
        let flushed = poll_fn(|cx| Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx)).await;
        self.writing.set(false);
        flushed.map_err(|error| Ending::Lost(error.to_string()))
    }

    /// Writes one message, for as long as the other side takes any of it within [`limits::WRITE_TIMEOUT`].
    pub(crate) async fn send(&self, message: Bytes) -> Result<(), Ending> {
        self.begin(message)?;
        loop {
            let taken = self.taken();
            match timeout(limits::WRITE_TIMEOUT, self.flush()).await {
                Ok(flushed) => return flushed,
                Err(_elapsed) if self.taken() > taken => {}
                Err(_elapsed) => return Err(Ending::Lost("it reads nothing".to_owned())),
            }
        }
    }

    /// Bytes that the connection has taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.stream.borrow().get_ref().taken()
    }

    /// Asks the other side every [`limits::KEEP_ALIVE`] whether it is there; ready once nothing came for two of them.
    /// Cancel safe.
    pub(crate) async fn silence(&self) {
        poll_fn(|cx| self.poll_silence(cx)).await;
    }

    fn poll_silence(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.pulse.borrow_mut().poll_tick(cx));
            self.pings.set(0);
            if self.writing.get() {
                // Who does not read is not heard from either: that is for whoever writes to judge.
                self.heard.set(Instant::now());
            } else if self.heard.get().elapsed() >= limits::KEEP_ALIVE * 2 {
                return Poll::Ready(());
            }
            let mut stream = self.stream.borrow_mut();
            let begun = Pin::new(&mut *stream).start_send(Message::Ping(Bytes::new()));
            // A connection that breaks here is found broken by whoever reads.
            if begun.is_ok() {
                drop(Pin::new(&mut *stream).poll_flush(cx));
            }
        }
    }

    /// Says why the connection ends, and waits a little for the other side to end it too: closing on what it still
    /// sends would take the words back.
    pub(crate) async fn close(&self, code: CloseCode, why: &'static str) {
        let said = async {
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(why) };
            let mut message = Some(Message::Close(Some(frame)));
            poll_fn(|cx| {
                let mut stream = self.stream.borrow_mut();
                if let Some(message) = message.take() {
                    // Who said goodbye first gets that back instead, and a connection that is gone does not flush.
                    drop(Pin::new(&mut *stream).start_send(message));
                }
                Pin::new(&mut *stream).poll_flush(cx)
            })
            .await
        };
        let ended = async {
            if said.await.is_err() {
                return;
            }
            if self.garbled.get() {
                self.discard().await;
            } else {
                while !matches!(self.message().await, Err(Ending::Closed(_) | Ending::Lost(_))) {}
                // The goodbye of the other side may be what is left to be acknowledged.
                drop(self.flush().await);
            }
        };
        drop(timeout(LINGER, ended).await);
    }

    /// Reads what cannot be understood.
    #[expect(clippy::await_holding_refcell_ref, reason = "nobody else uses a connection that is at its end")]
    async fn discard(&self) {
        let mut stream = self.stream.borrow_mut();
        let stream = stream.get_mut();
        if stream.shutdown().await.is_ok() {
            drop(tokio::io::copy(&mut stream.take(LINGER_BYTES_MAX), &mut tokio::io::sink()).await);
        }
    }
}

/// The code of a goodbye, and its reason.
fn farewell(frame: CloseFrame) -> String {
    let code = u16::from(frame.code);
    match crate::telemetry::one_line(frame.reason.as_bytes()) {
        reason if reason.is_empty() => format!(" with code {code}"),
        reason => format!(" with code {code}: {reason}"),
    }
}

#[cfg(test)]
mod tests;
