//! A client whose connection carries messages and nothing else: its requests run side by side, answers leave in the order
//! in which they are ready, and a cancellation names the id of its request. How messages are framed is the transport's.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::catalog::{Topology, View};
use crate::limits;
use crate::mcp::envelope::{self, Id, Incoming, Shape};
use crate::mcp::json::{ScanError, ScanErrorKind};
use crate::mcp::method::Method;
use crate::proxy::{
    self, Agreement, Answer, Batch, Cancellation, Carrier, Downstream, Erased, Left, Post, Refusal, Worker,
};
use crate::upstream::balance::HeaderKeys;
use crate::upstream::{Gone, SessionKey};

/// Messages for the client, whole and unframed, in the order in which they are to be written.
pub(crate) type Outbox = mpsc::Receiver<Vec<u8>>;

/// What one client says, message after message.
pub(crate) struct Conversation<T: Topology> {
    worker: Rc<Worker<T>>,
    peer: Rc<Peer>,
    /// Ended with the conversation: nobody is left to read what they come to.
    calls: JoinSet<()>,
    /// The session that is told what it hears of, and what tells it.
    told: Option<(SessionKey, JoinSet<()>)>,
}

/// The client, as its calls see it.
#[derive(Debug)]
struct Peer {
    view: &'static View,
    agreement: Agreement,
    outbox: mpsc::Sender<Vec<u8>>,
    /// Bytes of requests in flight and of messages that wait for room in the outbox.
    held_bytes: Cell<usize>,
    /// By the id as written.
    in_flight: RefCell<HashMap<Box<[u8]>, InFlight>>,
}

/// A call of the client.
#[derive(Debug)]
struct InFlight {
    cancellation: Rc<Cancellation>,
    /// It is never answered by itself: nobody waits for that at the end.
    standing: bool,
}

/// So many bytes, which count until it is dropped.
#[derive(Debug)]
struct Held<'a> {
    all: &'a Cell<usize>,
    own: usize,
}

/// Where the answer to one message goes.
#[derive(Debug)]
struct Answers<'a> {
    peer: &'a Peer,
    cancellation: Option<&'a Cancellation>,
}

// === impl Conversation ===

impl<T: Topology> Conversation<T> {
    const CALLS_MAX: usize = T::SPEC.limits.connection_calls_max as usize;

    /// One that is about to begin, and where its answers come out. The keys stand for every call on it.
    pub(crate) fn new(worker: Rc<Worker<T>>, view: &'static View, keys: HeaderKeys) -> (Self, Outbox) {
        let (outbox, messages) = mpsc::channel(limits::CONNECTION_MESSAGES_MAX);
        let peer = Peer {
            view,
            agreement: Agreement::with(keys),
            outbox,
            held_bytes: Cell::default(),
            in_flight: RefCell::default(),
        };
        (Self { worker, peer: Rc::new(peer), calls: JoinSet::new(), told: None }, messages)
    }

    /// Takes one message. Calls go on by themselves; everything else is answered before the next message is taken.
    ///
    /// # Errors
    /// Nobody reads the answers.
    pub(crate) async fn take(&mut self, body: Bytes) -> Result<(), Gone> {
        while self.calls.try_join_next().is_some() {}
        let answers = Answers { peer: &self.peer, cancellation: None };
        let message = match envelope::incoming(&body) {
            Ok(message) => message,
            Err(ScanError { kind: ScanErrorKind::NotObject, .. }) if !self.is_full(body.len()) => {
                return self.batch(body).await;
            }
            Err(error) => return proxy::unreadable(error, &body, &Erased::new(&answers)).await,
        };
        match call_id(&message, &body) {
            Some((id, _)) if self.peer.in_flight.borrow().contains_key(&*id) => {
                let refusal = Refusal::InvalidRequest("`id` is that of a request in flight".into());
                answers.refuse(&refusal, Some(&id)).await
            }
            Some((id, _)) if self.is_full(body.len()) => {
                answers.refuse(&Refusal::TooManyCalls(Self::CALLS_MAX), Some(&id)).await
            }
            Some((id, standing)) => {
                self.call(id, standing, body, message);
                Ok(())
            }
            None => {
                self.cancel(&message, &body);
                proxy::answer(&self.worker, &answers.post(&body, &message), true, &Erased::new(&answers)).await?;
                self.tell();
                Ok(())
            }
        }
    }

    /// Refuses what could not be read as a message.
    ///
    /// # Errors
    /// Nobody reads the answers.
    pub(crate) async fn refuse(&self, refusal: &Refusal<'_>) -> Result<(), Gone> {
        Answers { peer: &self.peer, cancellation: None }.refuse(refusal, None).await
    }

    /// Whether there is no room for another call of so many bytes.
    fn is_full(&self, bytes: usize) -> bool {
        self.calls.len() >= Self::CALLS_MAX || self.peer.held_bytes.get() + bytes > limits::CONNECTION_BYTES_MAX
    }

    /// Waits for the calls in flight, and where the gateway stops, until its session is told of what was collected for it.
    pub(crate) async fn finish(&mut self) {
        let standing = |call: &&InFlight| call.standing;
        self.peer.in_flight.borrow().values().filter(standing).for_each(|call| call.cancellation.cancel());
        while self.calls.join_next().await.is_some() {}
        // Otherwise it is told until somebody hangs up.
        if let Some((_, telling)) = self.told.as_mut().filter(|_| self.worker.drain.has_begun()) {
            while telling.join_next().await.is_some() {}
        }
    }

    /// Takes a batch, where this client may send one; its calls cannot be cancelled one by one.
    async fn batch(&mut self, body: Bytes) -> Result<(), Gone> {
        let (worker, peer) = (Rc::clone(&self.worker), Rc::clone(&self.peer));
        let carrier = Carrier::Connection(&self.peer.agreement);
        if Batch::of(&worker, peer.view, carrier, &body).is_none() {
            return self.refuse(&Refusal::InvalidRequest("body is not a JSON object".into())).await;
        }
        peer.hold(body.len());
        self.calls.spawn_local(async move {
            let _held = Held { all: &peer.held_bytes, own: body.len() };
            let answers = Answers { peer: &peer, cancellation: None };
            if let Some(batch) = Batch::of(&worker, peer.view, Carrier::Connection(&peer.agreement), &body) {
                let _gone = batch.serve(&worker, &Erased::new(&answers)).await;
            }
        });
        Ok(())
    }

    fn call(&mut self, id: Box<[u8]>, standing: bool, body: Bytes, message: Incoming) {
        let (worker, peer) = (Rc::clone(&self.worker), Rc::clone(&self.peer));
        let cancellation = Rc::<Cancellation>::default();
        let in_flight = InFlight { cancellation: Rc::clone(&cancellation), standing };
        peer.in_flight.borrow_mut().insert(id.clone(), in_flight);
        peer.hold(body.len());
        self.calls.spawn_local(async move {
            let _held = Held { all: &peer.held_bytes, own: body.len() };
            let answers = Answers { peer: &peer, cancellation: Some(&cancellation) };
            // Who is gone, or cancelled, gets nothing; whether anybody is left is seen by whoever reads.
            let _gone = proxy::answer(&worker, &answers.post(&body, &message), true, &Erased::new(&answers)).await;
            peer.in_flight.borrow_mut().remove(&id);
        });
    }

    /// Sees to it that a session that was begun is told what it hears of.
    fn tell(&mut self) {
        let begun = self.peer.agreement.session().map(|session| session.key);
        let Some(key) = begun.filter(|key| self.told.as_ref().is_none_or(|(told, _)| told != key)) else { return };
        let (worker, peer) = (Rc::clone(&self.worker), Rc::clone(&self.peer));
        let mut telling = JoinSet::new();
        telling.spawn_local(async move {
            let answers = Answers { peer: &peer, cancellation: None };
            let hearing = peer.agreement.hearing();
            // Whether anybody is left is seen by whoever reads.
            let _gone = proxy::tell(&worker, peer.view, &hearing, &Erased::new(&answers)).await;
        });
        self.told = Some((key, telling));
    }

    /// Takes note of `notifications/cancelled`. A request that is unknown was answered meanwhile.
    fn cancel(&self, message: &Incoming, body: &[u8]) {
        let id = proxy::cancelled(message, body);
        if let Some(call) =
            id.and_then(|id| self.peer.in_flight.borrow().get(id).map(|call| Rc::clone(&call.cancellation)))
        {
            call.cancel();
        }
    }
}

impl<T: Topology> Drop for Conversation<T> {
    fn drop(&mut self) {
        if let Some(session) = self.peer.agreement.session() {
            self.worker.leave(session.key);
        }
    }
}

/// The id of a message whose answer takes a while, as written, and whether it is never answered by itself.
fn call_id(message: &Incoming, body: &[u8]) -> Option<(Box<[u8]>, bool)> {
    let method = message.method.filter(|_| message.shape == Shape::Request)?.decode(body);
    let standing = match Method::parse(&method)? {
        Method::Call(_) | Method::Subscribe => false,
        Method::Listen => true,
        _ => return None,
    };
    match message.id {
        Id::Number(span) | Id::String(span) => Some((span.of(body).into(), standing)),
        _ => None,
    }
}

// === impl Peer ===

impl Peer {
    /// Counts so many bytes more, until what is [`Held`] is dropped.
    fn hold(&self, bytes: usize) {
        self.held_bytes.set(self.held_bytes.get() + bytes);
    }
}

// === impl Held ===

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.own);
    }
}

// === impl Answers ===

impl<'a> Answers<'a> {
    fn post<'m>(&self, body: &'m [u8], message: &'m Incoming) -> Post<'m>
    where
        'a: 'm,
    {
        Post::new(self.peer.view, Carrier::Connection(&self.peer.agreement), body, message)
    }

    async fn refuse(&self, refusal: &Refusal<'_>, id: Option<&[u8]>) -> Result<(), Gone> {
        let body = refusal.verdict(self.peer.agreement.era()).body(id);
        self.event(&[&body]).await
    }
}

impl Downstream for Answers<'_> {
    async fn answer(&self, answer: &Answer<'_>) -> Result<(), Gone> {
        // What HTTP says by its status alone needs no message.
        if answer.body.iter().all(|slice| slice.is_empty()) {
            return Ok(());
        }
        self.event(answer.body).await
    }

    async fn event(&self, message: &[&[u8]]) -> Result<(), Gone> {
        let message = message.concat();
        self.peer.hold(message.len());
        let _held = Held { all: &self.peer.held_bytes, own: message.len() };
        self.peer.outbox.send(message).await.map_err(|_closed| Gone)
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        match self.cancellation {
            Some(cancellation) => cancellation.poll(cx).map(|()| Left::Cancelled),
            None => Poll::Pending,
        }
    }
}
