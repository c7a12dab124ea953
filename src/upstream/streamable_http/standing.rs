//! What goes on with a legacy backend beside its calls: the stream of its session, on which it may speak at any time, and
//! what it is told that no answer comes to.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::peer::SessionStream;
use super::stream::{Opened, Resume};
use super::{Link, Peer, Posted};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::sse;
use crate::upstream::greeting::Collected;
use crate::upstream::http::connection::Connection;
use crate::upstream::multiplex::{Errand, Strays};
use crate::upstream::status::Backoff;
use crate::upstream::{Error, Kind};

impl Link {
    /// Begins what goes on beside the calls of a backend that was just greeted; it ends with the peer's use.
    pub(super) fn attend_to(self: &Rc<Self>, peer: &Rc<Peer>) {
        let Some(errands) = peer.errands() else { return };
        let (link, kept) = (Rc::clone(self), Rc::clone(peer));
        let keeper = tokio::task::spawn_local(async move {
            let listening = async {
                link.listen(&kept).await;
                kept.stream_is(SessionStream::Absent);
            };
            tokio::join!(listening, link.run_errands(&kept, errands));
        });
        peer.kept_by(keeper.abort_handle());
    }

    /// Keeps the stream of a session open, where the server has one; comes back when it has none.
    async fn listen(&self, peer: &Rc<Peer>) {
        // Without a session, a server cannot know whose stream it would be.
        if peer.session_id.is_none() {
            return;
        }
        let (mut resume, mut backoff) = (Resume::default(), Backoff::default());
        loop {
            let opened = Instant::now();
            match self.open_own_stream(peer, resume.last_id()).await {
                Ok(Opened::Stream(connection)) => {
                    tracing::debug!(backend = self.backend, "the session's stream is open");
                    let why = self.hear(peer, connection, &mut resume).await;
                    tracing::debug!(backend = self.backend, %why, "the session's stream ended");
                    if why.kind != Kind::OutcomeUnknown {
                        return;
                    }
                }
                Ok(Opened::Refused(404)) => return self.forget(peer),
                // Another stream of this session is not known to be gone yet, or the server is at its limits.
                Ok(Opened::Refused(409 | 429 | 500..)) => {}
                Ok(Opened::Refused(_)) if resume.last_id().is_some() => resume = Resume::default(),
                // 405 is how a server says that it has none (MCP 2025-11-25, listening for messages).
                Ok(Opened::Refused(status)) => {
                    tracing::debug!(backend = self.backend, status, "the session has no stream");
                    return;
                }
                Err(error) => tracing::debug!(backend = self.backend, %error, "the session's stream is not open"),
            }
            let (_, longest) = limits::RESPAWN_BACKOFF;
            let asked = resume.retry().unwrap_or_default().min(longest);
            tokio::time::sleep(backoff.after(opened.elapsed()).max(asked)).await;
        }
    }

    /// Opens the stream of a session. Some servers send its head with the first that they have to tell: it counts as open
    /// once they had time to refuse it.
    async fn open_own_stream(&self, peer: &Peer, last_id: Option<&str>) -> Result<Opened, Error> {
        let asked = self.ask_for_stream(peer, last_id).await?;
        let mut opened = pin!(self.opened(asked));
        let answer = tokio::time::timeout(limits::STREAM_REFUSED_WITHIN, &mut opened).await;
        // Behind an event that it gave an id, a server goes on without a gap.
        if last_id.is_none() && matches!(answer, Ok(Ok(Opened::Stream(_))) | Err(_)) {
            peer.stream_is(SessionStream::Opened);
        }
        match answer {
            Ok(answer) => answer,
            Err(_elapsed) => opened.await,
        }
    }

    /// Reads the stream of a session until it ends; says why it did.
    async fn hear(&self, peer: &Peer, mut connection: Connection, resume: &mut Resume) -> Error {
        let mut decoder = sse::Decoder::new(limits::EVENT_BYTES_MAX);
        let mut strays = Strays::default();
        loop {
            let mut part = match connection.next_part().await {
                Ok(Some(part)) => part,
                Ok(None) => {
                    resume.ended(&decoder);
                    return Error::lost(true, "it was closed");
                }
                Err(error) => {
                    resume.ended(&decoder);
                    return self.client.read_error(error);
                }
            };
            while !part.is_empty() {
                let (taken, event) = match decoder.decode(part) {
                    Ok(decoded) => decoded,
                    Err(error) => return Error::new(Kind::ResponseTooLarge, true, error.to_string()),
                };
                part = &part[taken..];
                let Some(event) = event else { continue };
                resume.saw(&event);
                if !event.is_message() {
                    continue;
                }
                match strays.scan((&self.backend, &self.audience.dropped), event.data) {
                    Ok(Some(head)) => peer.sort(&self.backend, event.data, &head),
                    Ok(None) => {}
                    Err(error) => return Error::protocol(error.to_string()),
                }
            }
        }
    }

    /// Posts errands, one after the other.
    async fn run_errands(&self, peer: &Peer, mut errands: mpsc::Receiver<Errand>) {
        while let Some(errand) = errands.recv().await {
            let posted = self.run_errand(peer, &errand.message);
            let late = |_elapsed| Err(Error::lost(true, "it takes no messages"));
            let outcome = tokio::time::timeout(limits::PROBE_TIMEOUT, posted).await.unwrap_or_else(late);
            if let Err(error) = &outcome {
                tracing::warn!(backend = self.backend, %error, "a message could not be posted");
            }
            errand.ended(outcome);
        }
    }

    async fn run_errand(&self, peer: &Peer, message: &str) -> Result<(), Error> {
        let (sent, mut nothing) = (Cell::new(false), Collected::default());
        match self.post_to(&peer.head, message.as_bytes(), Era::Legacy, None, &sent, &mut nothing).await? {
            Posted::Accepted | Posted::Answered { .. } => Ok(()),
            refused => Err(self.unanswered(&refused)),
        }
    }
}
