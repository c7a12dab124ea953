//! A backend that was greeted, and the calls that are in flight with it: which of them a message belongs to that did not
//! come on a call's own stream.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::Staleness;
use crate::catalog::Era;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::{Outgoing, Shape};
use crate::upstream::heard::{Audience, Hearer};
use crate::upstream::multiplex::{Asked, Calls, Errand, Inbound, Turn, Waiting};
use crate::upstream::verbosity::Verbosity;
use crate::upstream::{Error, Greeting, Kind, Message, Reason, Relay, greeting};

/// See the module.
pub(super) struct Peer {
    pub(super) greeting: Greeting,
    /// What it was told of its clients, if it is a legacy one.
    profile: Profile,
    /// The session of this worker for clients of that profile, with a legacy backend that has sessions.
    pub(super) session_id: Option<String>,
    /// The beginning of every POST to it.
    pub(super) head: Vec<u8>,
    /// The fields of its session, which every request has.
    pub(super) fields: String,
    /// What it was told to log, if it is a legacy one.
    pub(super) verbosity: Verbosity,
    /// What only a legacy backend has.
    aside: Option<Aside>,
}

/// What goes on with a legacy backend beside the answers to its calls.
#[derive(Debug)]
struct Aside {
    calls: Calls,
    asked: RefCell<Asked>,
    /// Messages for it that no answer comes to.
    errands: mpsc::Sender<Errand>,
    /// The other end, until somebody runs them.
    idle: RefCell<Option<mpsc::Receiver<Errand>>>,
    /// Whoever runs them and keeps the session's stream.
    keeper: RefCell<Option<AbortHandle>>,
    /// What is known of that stream.
    stream: watch::Sender<SessionStream>,
    audience: Rc<Audience>,
}

/// The stream of a session, by which a server tells what belongs to no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionStream {
    /// It was not opened yet.
    Coming,
    /// It was opened: anew, or not where it had ended.
    Opened,
    /// There is none.
    Absent,
    /// Its session is over.
    Over,
}

/// A call that a legacy backend is told to give up, unless it came to its end.
#[derive(Debug)]
pub(super) struct InFlight<'a> {
    pub(super) peer: &'a Rc<Peer>,
    aside: &'a Aside,
    id: u64,
    waiting: Rc<Waiting>,
    /// Nothing is left to give up.
    over: bool,
}

// === impl Peer ===

impl fmt::Debug for Peer {
    /// Without what its requests hold: credentials, the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("greeting", &self.greeting).finish_non_exhaustive()
    }
}

impl Peer {
    /// A modern backend.
    pub(super) fn modern(greeting: Greeting, head: Vec<u8>) -> Self {
        let verbosity = Verbosity::default();
        Self { greeting, profile: Profile::NONE, session_id: None, head, fields: String::new(), verbosity, aside: None }
    }

    /// A legacy one, as it was greeted for clients of this profile; `post` is the beginning of every POST without the
    /// fields of the session.
    pub(super) fn legacy(
        (greeting, profile): (Greeting, Profile),
        session_id: Option<String>,
        post: String,
        fields: String,
        audience: &Rc<Audience>,
    ) -> Self {
        let (errands, idle) = mpsc::channel(limits::BACKEND_QUEUE_MAX);
        let (idle, keeper) = (RefCell::new(Some(idle)), RefCell::default());
        let ((calls, asked), audience) = (Default::default(), Rc::clone(audience));
        let stream = watch::Sender::new(SessionStream::Coming);
        let aside = Aside { calls, asked, errands, idle, keeper, stream, audience };
        let (head, verbosity) = ((post + &fields).into_bytes(), Verbosity::new(&greeting));
        Self { greeting, profile, session_id, head, fields, verbosity, aside: Some(aside) }
    }

    /// What may have become of it since it was greeted.
    pub(super) fn staleness(&self) -> Staleness {
        match (&self.session_id, self.greeting.era) {
            (Some(_), _) => Staleness::SessionOver,
            (None, Era::Modern) => Staleness::Legacy,
            (None, Era::Legacy) => Staleness::None,
        }
    }

    /// Registers a call with a legacy backend; nothing to register with a modern one, which says everything on the
    /// call's own stream.
    pub(super) fn begin(self: &Rc<Self>, id: u64) -> Option<InFlight<'_>> {
        let aside = self.aside.as_ref()?;
        aside.asked.borrow_mut().insert(id);
        Some(InFlight { peer: self, aside, id, waiting: aside.calls.begin(id, 0), over: false })
    }

    /// Takes a message of the backend that did not come on the stream of the call that it belongs to, if any.
    pub(super) fn sort(&self, backend: &str, source: &[u8], head: &Outgoing) {
        let Some(aside) = &self.aside else { return };
        let owner = match head.shape {
            Shape::Request => aside.asked.borrow_mut().owner_of_request(source, head, self.profile),
            Shape::Notification => aside.asked.borrow_mut().owner(source, head),
            _ => None,
        };
        let placed = owner.map(|id| aside.calls.push(id, Inbound::new(Bytes::copy_from_slice(source), head)));
        match placed {
            Some(None) => {}
            // Its id is of this worker: the call is there, and its client does not read.
            Some(Some(_)) if head.shape == Shape::Notification => aside.audience.dropped.add(Reason::Unread),
            _ if head.shape == Shape::Request => self.reply(source, head, greeting::UNASKED),
            _ if aside.audience.takes(source, head) => {}
            _ => aside.audience.dropped.stray(backend, head),
        }
    }

    /// Answers a request of a legacy backend that nobody else does. One that asks and does not take what it is answered
    /// is not answered any more.
    fn reply(&self, source: &[u8], head: &Outgoing, why: &str) {
        let Some(aside) = &self.aside else { return };
        if let Some(reply) = greeting::reply(source, head, (self.profile, why), &aside.audience.dropped) {
            drop(aside.errands.try_send(Errand::new(reply)));
        }
    }

    /// Hands the errands to whoever runs them, once.
    pub(super) fn errands(&self) -> Option<mpsc::Receiver<Errand>> {
        self.aside.as_ref()?.idle.borrow_mut().take()
    }

    /// From now on there is somebody who runs them.
    pub(super) fn kept_by(&self, keeper: AbortHandle) {
        if let Some(aside) = &self.aside {
            aside.keeper.replace(Some(keeper));
        }
    }

    /// What became of the session's stream.
    pub(super) fn stream_is(&self, stream: SessionStream) {
        if let Some(aside) = &self.aside {
            aside.stream.send_if_modified(|known| {
                let open = *known != SessionStream::Over;
                if open {
                    *known = stream;
                }
                open
            });
        }
    }

    /// See [`crate::upstream::Transport::hear`].
    pub(super) async fn hear(&self, hearer: Rc<dyn Hearer>) -> Result<(), Error> {
        let Some(aside) = &self.aside else { return Err(Error::unavailable("it speaks the modern era by now")) };
        let over = async {
            let mut stream = aside.stream.subscribe();
            loop {
                match *stream.borrow_and_update() {
                    SessionStream::Coming => {}
                    SessionStream::Opened => hearer.begin(&self.greeting),
                    SessionStream::Absent => return Ok(()),
                    SessionStream::Over => return Err(Error::unavailable("its session is over")),
                }
                stream.changed().await.map_err(|_closed| Error::unavailable("its session is over"))?;
            }
        };
        aside.audience.admit(&hearer, over).await
    }

    /// Its session is over, or of no more use.
    pub(super) fn end(&self) {
        self.stream_is(SessionStream::Over);
        if let Some(keeper) = self.aside.as_ref().and_then(|aside| aside.keeper.borrow_mut().take()) {
            keeper.abort();
        }
    }
}

// === impl InFlight ===

impl InFlight<'_> {
    /// What there is next for the call elsewhere than on its own stream. Cancel safe.
    pub(super) async fn turn<R: Relay>(&self, relay: &mut R) -> Turn {
        self.waiting.turn(relay).await
    }

    /// Takes that.
    pub(super) async fn attend_to<R: Relay>(&self, turn: Turn, relay: &mut R) -> Result<(), Error> {
        match turn {
            Turn::Inbound(Inbound::Message(source, head)) => self.take(relay, &source, &head).await,
            Turn::Inbound(Inbound::Failed(error)) => Err(error),
            Turn::Inbound(Inbound::NotTaken) => Ok(()),
            Turn::Reply(reply) => self.say(reply),
        }
    }

    /// Takes a request or notification of the backend that belongs to the call.
    pub(super) async fn take<R: Relay>(&self, relay: &mut R, source: &[u8], head: &Outgoing) -> Result<(), Error> {
        let message = Message { source, head, era: Era::Legacy };
        if head.shape != Shape::Request {
            return relay.notification(message).await;
        }
        if !greeting::may_ask(source, head, self.peer.profile) {
            self.peer.reply(source, head, greeting::UNASKED);
            return Ok(());
        }
        self.aside.asked.borrow_mut().hand(source, head, self.id);
        self.waiting
            .ask(relay, message, &self.aside.audience.dropped)
            .await?
            .map_or(Ok(()), |refusal| self.say(refusal))
    }

    /// Has a message posted without which the call does not go on.
    fn say(&self, message: String) -> Result<(), Error> {
        let unsaid = |_full| Error::lost(true, "what its client answered cannot be posted to it");
        self.aside.errands.try_send(Errand::of(&self.waiting, message)).map_err(unsaid)
    }

    /// The exchange came to an end of its own.
    pub(super) fn ended(mut self, outcome: Result<(), &Error>) {
        self.over = outcome.err().is_none_or(|error| !error.sent || error.kind != Kind::ClientGone);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let Self { aside, id, .. } = *self;
        aside.calls.end(id);
        if self.over {
            aside.asked.borrow_mut().forget(id);
        } else if aside.asked.borrow_mut().abandon(id) {
            // MCP 2025-11-25, streamable HTTP: that nobody reads any more cancels nothing. A full queue loses the
            // cancellation, never the call's end.
            drop(aside.errands.try_send(Errand::new(greeting::cancelled(id))));
        }
    }
}
