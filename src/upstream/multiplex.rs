//! Many calls on one connection: which of them a message belongs to, and how it gets to whoever waits. How the bytes move,
//! and who owns the connection, is the transport's.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use bytes::Bytes;

#[cfg(any(feature = "transport-http", feature = "transport-sse"))]
use super::Kind;
use super::outbound::id_span;
use super::{Error, Message, Relay, greeting};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::client::Profile;
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

/// What a connection was asked and has not answered.
#[derive(Debug, Default)]
pub(super) struct Asked {
    ids: HashSet<u64>,
    /// Those of them that listen: what the backend says beside them is about some other.
    listening: Vec<u64>,
    /// Calls that were given up, and when the last of them was. While the backend may still be busy with one, what it says
    /// may be about that.
    abandoned: Option<(Instant, HashSet<u64>)>,
    /// Requests of the backend that calls were handed last, by their ids as written: it may take them back.
    handed: VecDeque<(Box<[u8]>, u64)>,
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
    pub(super) fn push(&self, id: u64, inbound: Inbound) -> Option<Inbound> {
        match self.0.borrow().get(&id) {
            Some(waiting) => waiting.push(inbound),
            None => Some(inbound),
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
    /// Hands on what comes, up to the answer, where every call is taken. What the client is asked and answers goes to
    /// `say`.
    #[cfg(feature = "transport-sse")]
    pub(super) async fn relay<R: Relay>(
        &self,
        era: Era,
        relay: &mut R,
        say: impl Fn(String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.carry(era, relay, say, || ()).await.map(|_answered| ())
    }

    /// Hands on what comes, up to the answer; `answered` is called when that is there, before the client has it.
    pub(super) async fn carry<R: Relay>(
        &self,
        era: Era,
        relay: &mut R,
        say: impl Fn(String) -> Result<(), Error>,
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
                            if let Some(refusal) = self.ask(relay, message).await? {
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
    pub(super) async fn ask<R: Relay>(&self, relay: &mut R, message: Message<'_>) -> Result<Option<String>, Error> {
        if relay.request(message).await? {
            self.asked.set(true);
            return Ok(None);
        }
        Ok(refusal(&message, greeting::UNREACHED))
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

    /// What the backend is answered to a request that no call takes.
    pub(super) fn refusal(&self) -> Option<String> {
        match self {
            Self::Message(source, head) if head.shape == Shape::Request => {
                refusal(&Message { source, head, era: Era::Legacy }, greeting::UNASKED)
            }
            _ => None,
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

    /// The same for a call that listens: what the backend logs while it acknowledges that, or does not, is not about it.
    pub(super) fn listen(&mut self, id: u64) {
        self.insert(id);
        self.listening.push(id);
    }

    /// Nobody waits for this answer any more; whether one was to come.
    pub(super) fn abandon(&mut self, id: u64) -> bool {
        let listens = self.listening.contains(&id);
        let asked = self.remove(id);
        if asked && !listens {
            let (last, ids) = self.abandoned.get_or_insert_with(|| (Instant::now(), HashSet::new()));
            *last = Instant::now();
            // No call has the other id: it is never answered.
            ids.insert(if ids.len() < limits::ABANDONED_MAX { id } else { u64::MAX });
        }
        asked
    }

    /// Nothing is to come for this call: it was answered, or never made.
    #[cfg(any(feature = "transport-http", feature = "transport-sse"))]
    pub(super) fn forget(&mut self, id: u64) {
        self.remove(id);
    }

    fn remove(&mut self, id: u64) -> bool {
        self.listening.retain(|listening| *listening != id);
        self.ids.remove(&id)
    }

    /// The connection is a new one; what the old one was asked and did not answer.
    pub(super) fn clear(&mut self) -> HashSet<u64> {
        self.abandoned = None;
        self.handed.clear();
        self.listening.clear();
        std::mem::take(&mut self.ids)
    }

    /// The call that a message belongs to, if it is one of these. An answer settles it.
    pub(super) fn owner(&mut self, source: &[u8], head: &Outgoing) -> Option<u64> {
        match (head.shape, head.id) {
            (Shape::Response | Shape::Invalid, Id::Number(span)) => {
                let id = decimal(span.of(source))?;
                self.abandoned.take_if(|(_, ids)| ids.remove(&id) && ids.is_empty());
                self.remove(id).then_some(id)
            }
            (Shape::Notification, _) => self.owner_of_notification(source, head),
            _ => None,
        }
    }

    /// The call that a request of the backend belongs to, which was told that its client has this profile: one that it
    /// may make belongs to a call as a log message does.
    pub(super) fn owner_of_request(&mut self, source: &[u8], head: &Outgoing, declared: Profile) -> Option<u64> {
        let id = greeting::may_ask(source, head, declared).then(|| self.by_token(source, head, true)).flatten()?;
        self.hand(source, head, id);
        Some(id)
    }

    /// A request of the backend goes to this call.
    pub(super) fn hand(&mut self, source: &[u8], head: &Outgoing, id: u64) {
        if let Some(span) = id_span(head.id) {
            if self.handed.len() >= limits::CALL_MESSAGES_MAX {
                self.handed.pop_front();
            }
            self.handed.push_back((span.of(source).into(), id));
        }
    }

    /// By its progress token, which is the call's minted id; a log message belongs to a call only if there is just one,
    /// and none before it that the backend may not have let go of. What takes a request back goes where that went.
    fn owner_of_notification(&mut self, source: &[u8], head: &Outgoing) -> Option<u64> {
        if let Some(subscription) = head.subscription_id {
            return self.named(source, subscription).filter(|id| self.listening.contains(id));
        }
        let is = |name| head.method.is_some_and(|method| method.is(source, name));
        if is("notifications/cancelled") {
            let request = head.request_id?;
            if let Some(ended) = self.named(source, request).filter(|id| self.listening.contains(id)) {
                return Some(ended);
            }
            let request = request.span.of(source);
            let (_, call) = self.handed.iter().rev().find(|(id, _)| **id == *request)?;
            return self.ids.contains(call).then_some(*call);
        }
        self.by_token(source, head, is("notifications/message"))
    }

    /// By the progress token, else, for what any call may have caused, the only call there is.
    fn by_token(&self, source: &[u8], head: &Outgoing, any: bool) -> Option<u64> {
        match head.progress_token {
            Some(token) => self.named(source, token),
            None if any && !self.may_be_abandoned() && self.ids.len() == self.listening.len() + 1 => {
                self.ids.iter().find(|id| !self.listening.contains(id)).copied()
            }
            None => None,
        }
    }

    /// Whether what the backend says may be about a call that was given up.
    fn may_be_abandoned(&self) -> bool {
        self.abandoned.as_ref().is_some_and(|(last, _)| last.elapsed() < limits::ABANDONED_FOR)
    }

    /// The call whose minted id this is.
    fn named(&self, source: &[u8], id: Value) -> Option<u64> {
        let id = (id.kind == JsonKind::Number).then(|| decimal(id.span.of(source))).flatten();
        id.filter(|id| self.ids.contains(id))
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

/// What a backend is answered to a request that it may make, and that nobody is asked.
fn refusal(message: &Message<'_>, why: &str) -> Option<String> {
    let id = id_span(message.head.id)?.of(message.source);
    Some(greeting::reply(message.source, message.head, id, Profile::ALL, why))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(source: &str) -> Outgoing {
        envelope::outgoing(source.as_bytes()).expect("a message")
    }

    fn request(id: &str, method: &str, params: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    }

    /// The owner of a request of a backend that was told that its clients have roots and sampling.
    fn owner(asked: &mut Asked, source: &str) -> Option<u64> {
        asked.owner_of_request(source.as_bytes(), &head(source), Profile::ROOTS.or(Profile::SAMPLING))
    }

    fn cancelled(asked: &mut Asked, id: &str) -> Option<u64> {
        let source = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
        asked.owner(source.as_bytes(), &head(&source))
    }

    #[test]
    fn a_request_belongs_to_the_call_whose_token_it_has_or_to_the_only_one() {
        let mut asked = Asked::default();
        let (plain, token) = (request("0", "roots/list", "{}"), r#"{"_meta":{"progressToken":7}}"#);
        let tracked = request("\"a\"", "sampling/createMessage", token);
        assert_eq!((owner(&mut asked, &plain), owner(&mut asked, &tracked)), (None, None));
        asked.insert(7);
        assert_eq!((owner(&mut asked, &plain), owner(&mut asked, &tracked)), (Some(7), Some(7)));
        asked.insert(9);
        assert_eq!((owner(&mut asked, &plain), owner(&mut asked, &tracked)), (None, Some(7)));
        // Another's token is nobody's, even if there is just one call.
        asked.forget(7);
        assert_eq!((owner(&mut asked, &plain), owner(&mut asked, &tracked)), (Some(9), None));
        asked.insert(11);
        assert!(asked.abandon(11));
        assert_eq!(owner(&mut asked, &plain), None, "it may be about the call that was given up");
    }

    #[test]
    fn what_may_be_about_a_call_that_was_given_up_is_not_until_that_is_answered_or_a_while_ago() {
        let mut asked = Asked::default();
        let plain = request("0", "roots/list", "{}");
        (7..10).for_each(|id| asked.insert(id));
        assert!(asked.abandon(7) && asked.abandon(8));
        let late = |asked: &mut Asked, id: u64| {
            let source = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
            assert_eq!(asked.owner(source.as_bytes(), &head(&source)), None);
        };
        late(&mut asked, 7);
        assert_eq!(owner(&mut asked, &plain), None);
        late(&mut asked, 8);
        assert_eq!(owner(&mut asked, &plain), Some(9));
        asked.insert(10);
        assert!(asked.abandon(10));
        assert_eq!(owner(&mut asked, &plain), None);
        let (last, _) = asked.abandoned.as_mut().expect("one");
        *last = last.checked_sub(limits::ABANDONED_FOR).expect("the machine runs for longer");
        assert_eq!(owner(&mut asked, &plain), Some(9));
    }

    #[test]
    fn of_more_calls_that_were_given_up_than_are_kept_only_time_tells() {
        let mut asked = Asked::default();
        let given_up = 0..=limits::ABANDONED_MAX as u64;
        for id in given_up.clone() {
            asked.insert(id);
            assert!(asked.abandon(id));
        }
        asked.insert(1 << 20);
        for id in given_up {
            let source = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
            assert_eq!(asked.owner(source.as_bytes(), &head(&source)), None);
        }
        assert_eq!(owner(&mut asked, &request("0", "roots/list", "{}")), None);
    }

    #[test]
    fn only_what_was_declared_may_be_asked() {
        let mut asked = Asked::default();
        asked.insert(7);
        for method in ["elicitation/create", "ping", "tasks/get", "tools/call"] {
            assert_eq!(owner(&mut asked, &request("0", method, "{}")), None, "{method}");
        }
        assert_eq!(owner(&mut asked, &request("null", "roots/list", "{}")), None, "nobody could answer it");
    }

    #[test]
    fn what_takes_a_request_back_goes_where_that_went() {
        let mut asked = Asked::default();
        asked.insert(7);
        assert_eq!(cancelled(&mut asked, "0"), None);
        assert_eq!(owner(&mut asked, &request("0", "roots/list", "{}")), Some(7));
        asked.insert(9);
        assert_eq!((cancelled(&mut asked, "0"), cancelled(&mut asked, "\"0\"")), (Some(7), None));
        for id in 1..=limits::CALL_MESSAGES_MAX {
            let tracked = request(&id.to_string(), "roots/list", r#"{"_meta":{"progressToken":9}}"#);
            assert_eq!(owner(&mut asked, &tracked), Some(9));
        }
        assert_eq!(
            (cancelled(&mut asked, "0"), cancelled(&mut asked, "1")),
            (None, Some(9)),
            "the oldest is forgotten"
        );
        asked.forget(9);
        assert_eq!(cancelled(&mut asked, "1"), None);
    }

    #[test]
    fn a_call_that_listens_is_told_what_bears_its_id_and_nothing_else() {
        let mut asked = Asked::default();
        let told = |asked: &mut Asked, method: &str, meta: &str| {
            let source =
                format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{{"_meta":{meta}}}}}"#);
            asked.owner(source.as_bytes(), &head(&source))
        };
        let id = r#"{"io.modelcontextprotocol/subscriptionId":7}"#;
        assert_eq!(told(&mut asked, "subscriptions/acknowledged", id), None);
        asked.listen(7);
        asked.insert(8);
        assert_eq!(told(&mut asked, "message", "{}"), Some(8), "the other has not even answered");
        let answer = r#"{"jsonrpc":"2.0","id":8,"result":{}}"#;
        assert_eq!(asked.owner(answer.as_bytes(), &head(answer)), Some(8));
        assert_eq!(told(&mut asked, "subscriptions/acknowledged", id), Some(7));
        assert_eq!(told(&mut asked, "tools/list_changed", "{}"), None);
        assert_eq!(told(&mut asked, "message", "{}"), None, "it caused nothing");
        asked.insert(9);
        assert_eq!(told(&mut asked, "message", "{}"), Some(9));
        assert_eq!(told(&mut asked, "tools/list_changed", id), Some(7));
        assert_eq!((cancelled(&mut asked, "7"), cancelled(&mut asked, "9")), (Some(7), None));
        assert!(asked.abandon(7));
        assert_eq!(told(&mut asked, "message", "{}"), Some(9), "nothing of it goes on");
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
        let refusal = calls.push(7, inbound()).and_then(|turned_away| turned_away.refusal());
        assert_eq!(refusal.as_deref(), Some(r#"{"jsonrpc":"2.0","id":0,"result":{"roots":[]}}"#));
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
