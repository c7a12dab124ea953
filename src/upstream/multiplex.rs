//! Many calls on one connection: how what is said to one gets to whoever waits for it. Which of them that is, is [`asked`]'s to say;
//! how the bytes move, and who owns the connection, the transport's.

mod asked;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;

#[cfg(any(feature = "transport-http", feature = "transport-sse"))]
use super::Kind;
use super::{Dropped, Error, Message, Reason, Relay, greeting};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::{Id, Outgoing, Shape};
use crate::mcp::parts;

pub(super) use asked::Asked;

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
    /// Whether its client was asked something: from then on there may be something to say to the backend.
    asked: Cell<bool>,
}

/// A message for a backend that no answer comes to. Where it does not get there, the call that it belongs to ends.
#[cfg(any(feature = "transport-http", feature = "transport-sse"))]
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) message: String,
    call: Option<Rc<Waiting>>,
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

/// Why a call does not take something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnedAway {
    /// As much waits for it as may.
    Full,
    /// It is over.
    Nobody,
}

/// What there is next for a call.
#[expect(clippy::large_enum_variant, reason = "as with what is inside")]
pub(super) enum Turn {
    /// Something came for it.
    Inbound(Inbound),
    /// Its client has this to say to the backend.
    Reply(String),
}

/// What came of handing a call over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// Its answer was relayed.
    Answered,
    /// Nothing of it was written anywhere.
    NotTaken,
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
        let (queue, queued, waker, settled, asked) = Default::default();
        let waiting = Rc::new(Waiting { generation, queue, queued, waker, settled, asked });
        self.0.borrow_mut().insert(id, Rc::clone(&waiting));
        waiting
    }

    /// Nobody waits any more.
    pub(super) fn end(&self, id: u64) {
        self.0.borrow_mut().remove(&id);
    }

    /// Hands something to a call; what is returned has no place there, or nobody waits.
    pub(super) fn push(&self, id: u64, inbound: Inbound) -> Option<(Inbound, TurnedAway)> {
        match self.0.borrow().get(&id) {
            Some(waiting) => waiting.push(inbound).map(|inbound| (inbound, TurnedAway::Full)),
            None => Some((inbound, TurnedAway::Nobody)),
        }
    }

    /// The connection of this generation is gone: every call it had is lost, each with its error.
    pub(super) fn lose(&self, generation: u64, error: impl Fn(u64) -> Error) {
        let calls = self.0.borrow();
        for (id, waiting) in calls.iter().filter(|(_, waiting)| waiting.generation == generation) {
            waiting.fail(error(*id));
        }
    }
}

// === impl Waiting ===

impl Waiting {
    /// Hands on what comes, up to the answer, where every call is taken. What the client answers goes to `say`, as what
    /// is said where it cannot be asked, which is counted.
    #[cfg(feature = "transport-sse")]
    pub(super) async fn relay<R: Relay>(
        &self,
        era: Era,
        relay: &mut R,
        reply: (impl Fn(String) -> Result<(), Error>, &Dropped),
    ) -> Result<(), Error> {
        self.carry(era, relay, reply, || ()).await.map(|_answered| ())
    }

    /// Hands on what comes, up to the answer; `answered` is called when that is there, before the client has it.
    pub(super) async fn carry<R: Relay>(
        &self,
        era: Era,
        relay: &mut R,
        (say, dropped): (impl Fn(String) -> Result<(), Error>, &Dropped),
        answered: impl FnOnce(),
    ) -> Result<Carried, Error> {
        loop {
            match self.turn(relay).await {
                Turn::Reply(reply) => say(reply)?,
                Turn::Inbound(Inbound::NotTaken) => {
                    self.settled.set(true);
                    return Ok(Carried::NotTaken);
                }
                Turn::Inbound(Inbound::Failed(error)) => {
                    self.settled.set(true);
                    return Err(error);
                }
                Turn::Inbound(Inbound::Message(source, head)) => {
                    let message = Message { source: &source, head: &head, era };
                    match head.shape {
                        Shape::Request => {
                            if let Some(refusal) = self.ask(relay, message, dropped).await? {
                                say(refusal)?;
                            }
                        }
                        _ if head.method.is_some() => relay.notification(message).await?,
                        _ => {
                            self.settled.set(true);
                            answered();
                            return relay.answer(message).await.map(|()| Carried::Answered);
                        }
                    }
                }
            }
        }
    }

    /// Puts a request of the backend to the client; where nobody can be asked, what the backend is answered instead.
    pub(super) async fn ask<R: Relay>(
        &self,
        relay: &mut R,
        message: Message<'_>,
        dropped: &Dropped,
    ) -> Result<Option<String>, Error> {
        if relay.request(message).await? {
            self.asked.set(true);
            return Ok(None);
        }
        Ok(refusal(&message, greeting::UNREACHED, dropped))
    }

    /// What there is next for the call. Cancel safe.
    pub(super) async fn turn<R: Relay>(&self, relay: &mut R) -> Turn {
        if !self.asked.get() {
            return Turn::Inbound(self.next().await);
        }
        tokio::select! {
            // First: a backend that never stops talking must not keep an answer from itself.
            biased;
            reply = relay.reply() => Turn::Reply(reply),
            inbound = self.next() => Turn::Inbound(inbound),
        }
    }

    /// The next thing that comes. Cancel safe.
    async fn next(&self) -> Inbound {
        poll_fn(|cx| self.poll_next(cx.waker())).await
    }

    /// Whether its last message was handed on.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.get()
    }

    /// It will get no answer.
    pub(super) fn fail(&self, error: Error) {
        let placed = self.push(Inbound::Failed(error));
        debug_assert!(placed.is_none(), "only notifications and requests are turned away");
    }

    /// Hands something to the call; what is returned has no place.
    pub(super) fn push(&self, inbound: Inbound) -> Option<Inbound> {
        let mut queue = self.queue.borrow_mut();
        let queued = self.queued.get() + inbound.notification_bytes();
        // One that is longer than all of them may be is taken where none waits.
        let full = queue.len() >= limits::CALL_MESSAGES_MAX || queued > limits::CALL_BYTES_MAX;
        if full && !queue.is_empty() && inbound.notification_bytes() > 0 {
            return Some(inbound);
        }
        self.queued.set(queued);
        let inbound = if queue.is_empty() { inbound } else { inbound.alone() };
        queue.push_back(inbound);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
        None
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

// === impl Errand ===

#[cfg(any(feature = "transport-http", feature = "transport-sse"))]
impl Errand {
    /// One that may get lost.
    pub(super) fn new(message: String) -> Self {
        Self { message, call: None }
    }

    /// One without which this call does not go on.
    pub(super) fn of(call: &Rc<Waiting>, message: String) -> Self {
        Self { message, call: Some(Rc::clone(call)) }
    }

    /// What came of it.
    pub(super) fn ended(mut self, outcome: Result<(), Error>) {
        if let (Some(call), Err(error)) = (self.call.take(), outcome) {
            // That the answer was not sent says nothing of the call.
            let kind = if error.kind == Kind::Unavailable { Kind::OutcomeUnknown } else { error.kind };
            call.fail(Error::new(kind, true, format!("it did not take its client's answer: {}", error.detail)));
        }
    }
}

#[cfg(any(feature = "transport-http", feature = "transport-sse"))]
impl Drop for Errand {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.fail(Error::lost(true, "what its client answered did not reach it"));
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

    /// Counts what no call takes. What comes out is what the backend is answered, where it asked something.
    pub(super) fn turned_away(&self, why: TurnedAway, dropped: &Dropped) -> Option<String> {
        let Self::Message(source, head) = self else { return None };
        match (head.shape, why) {
            (Shape::Request, _) => {
                return refusal(&Message { source, head, era: Era::Legacy }, greeting::UNASKED, dropped);
            }
            (Shape::Notification, TurnedAway::Full) => dropped.add(Reason::Unread),
            (Shape::Notification, TurnedAway::Nobody) => dropped.add(Reason::Notification),
            _ => dropped.add(Reason::Answer),
        }
        None
    }

    /// How long it is, if it is no answer.
    fn notification_bytes(&self) -> usize {
        match self {
            Self::Message(source, head) if head.method.is_some() => source.len(),
            _ => 0,
        }
    }
}

// === impl Strays ===

impl Strays {
    /// Scans what should be a message. Of one that is none but begins like one, only the id is there.
    pub(super) fn scan(
        &mut self,
        (backend, dropped): (&str, &Dropped),
        source: &[u8],
    ) -> Result<Option<Outgoing>, TooMany> {
        let error = match parts::outgoing(source) {
            Ok(head) => return Ok(Some(head)),
            Err(error) => error,
        };
        dropped.add(Reason::NoMessage);
        self.0 += 1;
        if self.0 > limits::BANNER_LINES_MAX {
            return Err(TooMany);
        }
        let text = crate::telemetry::one_line(source);
        tracing::warn!(backend, at = error.at, line = text, "what it wrote is no JSON-RPC message");
        Ok((error.id != Id::Absent).then(|| Outgoing { id: error.id, ..Outgoing::default() }))
    }
}

/// What a backend is answered to a request that it may make, and that nobody is asked.
fn refusal(message: &Message<'_>, why: &str, dropped: &Dropped) -> Option<String> {
    greeting::reply(message.source, message.head, (Profile::ALL, why), dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(source: &str) -> Outgoing {
        parts::outgoing(source.as_bytes()).expect("a message")
    }

    fn request(id: &str, method: &str, params: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    }

    #[test]
    fn a_request_that_finds_no_room_is_turned_away() {
        let calls = Calls::default();
        let source = request("0", "roots/list", "{}");
        let inbound = || Inbound::new(Bytes::copy_from_slice(source.as_bytes()), &head(&source));
        assert!(calls.push(7, inbound()).is_some(), "nobody waits");
        let _waiting = calls.begin(7, 1);
        for _ in 0..limits::CALL_MESSAGES_MAX {
            assert!(calls.push(7, inbound()).is_none());
        }
        let (turned_away, why) = calls.push(7, inbound()).expect("there is no room");
        let dropped = Dropped::default();
        let refusal = turned_away.turned_away(why, &dropped);
        assert_eq!(refusal.as_deref(), Some(r#"{"jsonrpc":"2.0","id":0,"result":{"roots":[]}}"#));
        assert_eq!(Reason::ALL.map(|reason| dropped.read(reason)), [0; 5], "it was answered");
    }

    #[test]
    fn what_a_call_does_not_take_is_counted_by_why() {
        let (calls, dropped) = (Calls::default(), Dropped::default());
        let push = |source: &str| {
            let inbound = Inbound::new(Bytes::copy_from_slice(source.as_bytes()), &head(source));
            calls.push(7, inbound).and_then(|(inbound, why)| inbound.turned_away(why, &dropped))
        };
        let (told, asked) = (r#"{"jsonrpc":"2.0","method":"m"}"#, request("0", "elicitation/create", "{}"));
        push(told);
        push(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
        assert_eq!(Reason::ALL.map(|reason| dropped.read(reason)), [1, 1, 0, 0, 0], "nobody waits");
        let _waiting = calls.begin(7, 1);
        (0..limits::CALL_MESSAGES_MAX).for_each(|_| assert_eq!(push(told), None));
        assert_eq!(Reason::ALL.map(|reason| dropped.read(reason)), [1, 1, 0, 0, 0], "there is room");
        push(told);
        assert!(push(&asked).is_some_and(|refusal| refusal.contains("-32600")));
        // The answer always finds room.
        push(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
        assert_eq!(Reason::ALL.map(|reason| dropped.read(reason)), [1, 1, 1, 1, 0]);
    }

    #[cfg(any(feature = "transport-http", feature = "transport-sse"))]
    #[test]
    fn an_errand_that_gets_lost_ends_its_call() {
        let calls = Calls::default();
        let waiting = calls.begin(7, 1);
        let next = || waiting.queue.borrow_mut().pop_front();
        Errand::of(&waiting, "{}".to_owned()).ended(Ok(()));
        drop(Errand::new("{}".to_owned()));
        assert!(next().is_none());
        drop(Errand::of(&waiting, "{}".to_owned()));
        Errand::of(&waiting, "{}".to_owned()).ended(Err(Error::unavailable("it refuses")));
        for detail in ["what its client answered did not reach it", "it did not take its client's answer: it refuses"] {
            let Some(Inbound::Failed(error)) = next() else { unreachable!("it fails") };
            assert_eq!((error.kind, error.sent, error.detail.as_str()), (Kind::OutcomeUnknown, true, detail));
        }
    }
}
