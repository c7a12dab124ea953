//! Many calls on one connection: which of them a message belongs to, and how it gets to whoever waits. How the bytes move,
//! and who owns the connection, is the transport's.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;

use super::{Error, Message, Relay};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::envelope::{self, Id, Outgoing, Shape};
use crate::mcp::json::{Kind as JsonKind, Value};

/// The calls of one worker that wait for a backend, by minted id.
#[derive(Debug, Default)]
pub(super) struct Calls(RefCell<HashMap<u64, Rc<Waiting>>>);

/// One call: what came for it, and who waits.
#[derive(Debug)]
pub(super) struct Waiting {
    generation: u64,
    queue: RefCell<VecDeque<Inbound>>,
    /// Bytes of notifications in `queue`.
    queued: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    /// Whether its last message was handed on: nothing is left to cancel.
    settled: Cell<bool>,
}

/// What there is for a call.
#[expect(clippy::large_enum_variant, reason = "nearly all are messages: boxing them would cost each an allocation")]
#[derive(Clone, Debug)]
pub(super) enum Inbound {
    /// A message of the backend, scanned.
    Message(Bytes, Outgoing),
    /// The call was not taken: what it was meant for is gone, and another may come.
    NotTaken,
    /// The call will get no answer.
    Failed(Error),
}

/// What came of handing a call over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// Its answer was relayed.
    Answered,
    /// Nothing of it was written anywhere.
    NotTaken,
}

/// What a connection was asked and has not answered.
#[derive(Debug, Default)]
pub(super) struct Asked {
    ids: HashSet<u64>,
    /// A call was given up that the backend may still be busy with: what it logs may belong to that one.
    abandoned: bool,
}

/// Counts what a backend says that is no message.
#[derive(Debug, Default)]
pub(super) struct Strays(u32);

/// The backend does not speak the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it wrote more than {} lines that are no JSON-RPC messages", limits::BANNER_LINES_MAX)]
pub(super) struct TooMany;

// === impl Calls ===

impl Calls {
    /// A call that waits from now on, for the connection of this generation.
    pub(super) fn begin(&self, id: u64, generation: u64) -> Rc<Waiting> {
        let (queue, queued, waker, settled) = Default::default();
        let waiting = Rc::new(Waiting { generation, queue, queued, waker, settled });
        self.0.borrow_mut().insert(id, Rc::clone(&waiting));
        waiting
    }

    /// Nobody waits any more.
    pub(super) fn end(&self, id: u64) {
        self.0.borrow_mut().remove(&id);
    }

    /// Hands something to a call; dropped where nobody waits.
    pub(super) fn push(&self, id: u64, inbound: Inbound) {
        if let Some(waiting) = self.0.borrow().get(&id) {
            waiting.push(inbound);
        }
    }

    /// The connection of this generation is gone: every call it had is lost, each with its error.
    pub(super) fn lose(&self, generation: u64, error: impl Fn(u64) -> Error) {
        let calls = self.0.borrow();
        for (id, waiting) in calls.iter().filter(|(_, waiting)| waiting.generation == generation) {
            waiting.push(Inbound::Failed(error(*id)));
        }
    }
}

// === impl Waiting ===

impl Waiting {
    /// Hands on what comes, up to the answer, where every call is taken.
    #[cfg(feature = "transport-sse")]
    pub(super) async fn relay<R: Relay>(&self, era: Era, relay: &mut R) -> Result<(), Error> {
        self.carry(era, relay, || ()).await.map(|_answered| ())
    }

    /// Hands on what comes, up to the answer; `answered` is called when that is there, before the client has it.
    pub(super) async fn carry<R: Relay>(
        &self,
        era: Era,
        relay: &mut R,
        answered: impl FnOnce(),
    ) -> Result<Carried, Error> {
        loop {
            match self.next().await {
                Inbound::NotTaken => {
                    self.settled.set(true);
                    return Ok(Carried::NotTaken);
                }
                Inbound::Failed(error) => {
                    self.settled.set(true);
                    return Err(error);
                }
                Inbound::Message(source, head) => {
                    let message = Message { source: &source, head: &head, era };
                    if head.method.is_some() {
                        relay.notification(message).await?;
                    } else {
                        self.settled.set(true);
                        answered();
                        return relay.answer(message).await.map(|()| Carried::Answered);
                    }
                }
            }
        }
    }

    /// The next thing that comes. Cancel safe.
    pub(super) async fn next(&self) -> Inbound {
        poll_fn(|cx| self.poll_next(cx.waker())).await
    }

    /// Whether its last message was handed on.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.get()
    }

    pub(super) fn push(&self, inbound: Inbound) {
        let mut queue = self.queue.borrow_mut();
        let queued = self.queued.get() + inbound.notification_bytes();
        // One that is longer than all of them may be is taken where none waits.
        let full = queue.len() >= limits::CALL_MESSAGES_MAX || queued > limits::CALL_BYTES_MAX;
        if full && !queue.is_empty() && inbound.notification_bytes() > 0 {
            return;
        }
        self.queued.set(queued);
        let inbound = if queue.is_empty() { inbound } else { inbound.alone() };
        queue.push_back(inbound);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn poll_next(&self, waker: &Waker) -> Poll<Inbound> {
        match self.queue.borrow_mut().pop_front() {
            Some(inbound) => {
                self.queued.update(|queued| queued - inbound.notification_bytes());
                Poll::Ready(inbound)
            }
            None => {
                self.waker.replace(Some(waker.clone()));
                Poll::Pending
            }
        }
    }
}

// === impl Inbound ===

impl Inbound {
    /// A message of the backend for a call.
    pub(super) fn new(source: Bytes, head: &Outgoing) -> Self {
        // Its answer, but none that can be relayed: no better one will come.
        if head.shape == Shape::Invalid || !head.version_ok {
            return Self::Failed(Error::protocol("its answer is no JSON-RPC message"));
        }
        Self::Message(source, *head)
    }

    /// Without what it was read with: a short notification that waits must not keep a long answer in memory.
    fn alone(self) -> Self {
        match self {
            Self::Message(source, head) if head.method.is_some() => {
                Self::Message(Bytes::copy_from_slice(&source), head)
            }
            other => other,
        }
    }

    /// How long it is, if it is no answer.
    fn notification_bytes(&self) -> usize {
        match self {
            Self::Message(source, head) if head.method.is_some() => source.len(),
            _ => 0,
        }
    }
}

// === impl Asked ===

impl Asked {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn insert(&mut self, id: u64) {
        self.ids.insert(id);
    }

    /// Nobody waits for this answer any more; whether one was to come.
    pub(super) fn abandon(&mut self, id: u64) -> bool {
        let asked = self.ids.remove(&id);
        self.abandoned |= asked;
        asked
    }

    /// Nothing is to come for this call: it was answered, or never made.
    #[cfg(any(feature = "transport-http", feature = "transport-sse"))]
    pub(super) fn forget(&mut self, id: u64) {
        self.ids.remove(&id);
    }

    /// The connection is a new one; what the old one was asked and did not answer.
    pub(super) fn clear(&mut self) -> HashSet<u64> {
        self.abandoned = false;
        std::mem::take(&mut self.ids)
    }

    /// The call that a message belongs to, if it is one of these. An answer settles it.
    pub(super) fn owner(&mut self, source: &[u8], head: &Outgoing) -> Option<u64> {
        match (head.shape, head.id) {
            (Shape::Response | Shape::Invalid, Id::Number(span)) => {
                decimal(span.of(source)).filter(|id| self.ids.remove(id))
            }
            (Shape::Notification, _) => self.owner_of_notification(source, head),
            _ => None,
        }
    }

    /// By its progress token, which is the call's minted id; a log message belongs to a call only if there is just one,
    /// and none before it that the backend may not have let go of.
    fn owner_of_notification(&self, source: &[u8], head: &Outgoing) -> Option<u64> {
        match head.progress_token {
            Some(Value { kind: JsonKind::Number, span, .. }) => {
                decimal(span.of(source)).filter(|id| self.ids.contains(id))
            }
            Some(_) => None,
            None if !self.abandoned
                && self.ids.len() == 1
                && head.method.is_some_and(|method| method.is(source, "notifications/message")) =>
            {
                self.ids.iter().next().copied()
            }
            None => None,
        }
    }
}

// === impl Strays ===

impl Strays {
    /// Scans what should be a message. Of one that is none but begins like one, only the id is there.
    pub(super) fn scan(&mut self, backend: &str, source: &[u8]) -> Result<Option<Outgoing>, TooMany> {
        let error = match envelope::outgoing(source) {
            Ok(head) => return Ok(Some(head)),
            Err(error) => error,
        };
        self.0 += 1;
        if self.0 > limits::BANNER_LINES_MAX {
            return Err(TooMany);
        }
        let text = crate::telemetry::one_line(source);
        tracing::warn!(backend, at = error.at, line = text, "what it wrote is no JSON-RPC message");
        Ok((error.id != Id::Absent).then(|| Outgoing { id: error.id, ..Outgoing::default() }))
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
