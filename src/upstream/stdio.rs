//! stdio towards a backend: one child process shared by all workers and clients, many calls in flight on its pipes.
//!
//! The child and its pipes belong to a `hub` on one worker. Every worker has a link: calls go to the hub as finished
//! lines, what the child writes comes back scanned. Ids say which worker a message belongs to.

mod framer;
mod hub;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
#[expect(clippy::disallowed_types, reason = "taken once, when a worker starts")]
use std::sync::Mutex;
use std::task::{Poll, Waker};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

use super::children::Recipe;
use super::outbound::{Ids, Scratch};
use super::{Call, Context, Error, Greeting, Kind, Message, OpenError, Relay, Transport, plan};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::envelope::Outgoing;
use hub::{Hub, ToHub};

/// The link of one worker to one child.
#[derive(Debug)]
pub struct Stdio {
    hub: mpsc::Sender<ToHub>,
    closing: Arc<Notify>,
    status: watch::Receiver<Status>,
    ids: Ids,
    calls: Rc<Calls>,
}

/// What is known of the child.
#[derive(Clone, Debug)]
enum Status {
    /// It is being started and greeted.
    Starting,
    /// It takes calls. The generation counts its starts.
    Ready { generation: u64, greeting: Arc<Greeting> },
    /// It ended or never came up; it will be started again.
    Down(Arc<str>),
    /// The gateway stops.
    Closed,
}

/// The doors of the hubs of one gateway, by backend.
#[derive(Debug)]
pub(super) struct Hubs {
    doors: HashMap<String, Door>,
}

/// How a hub is reached, and where it will run.
#[derive(Debug)]
struct Door {
    /// Position among the hubs: they are dealt out to the workers in turn.
    index: usize,
    hub: mpsc::Sender<ToHub>,
    closing: Arc<Notify>,
    status: watch::Receiver<Status>,
    #[expect(clippy::disallowed_types, reason = "taken once, when a worker starts")]
    end: Mutex<Option<HubEnd>>,
}

/// The hub's end of its channels, until its worker takes it.
type HubEnd = (mpsc::Receiver<ToHub>, watch::Sender<Status>);

/// The calls of one worker that wait for the child, by minted id.
#[derive(Debug, Default)]
struct Calls(RefCell<HashMap<u64, Rc<Waiting>>>);

/// One call: what came for it, and who waits.
#[derive(Debug, Default)]
struct Waiting {
    generation: u64,
    queue: RefCell<VecDeque<Inbound>>,
    waker: RefCell<Option<Waker>>,
}

/// What a hub has for the workers.
#[expect(clippy::large_enum_variant, reason = "nearly all are messages: boxing them would cost each an allocation")]
#[derive(Clone, Debug)]
enum Inbound {
    /// A message of the child, scanned.
    Message(Bytes, Outgoing),
    /// The call will get no answer.
    Failed(Kind, Arc<str>),
}

/// A delivery to one worker.
#[derive(Debug)]
enum Delivery {
    /// For the calls with these ids.
    To(Vec<(u64, Inbound)>),
    /// The child of this generation is gone: every call it had is lost.
    Lost(u64, Kind, Arc<str>),
}

/// A call that is given up on the way out, whatever way that is.
struct InFlight<'a> {
    link: &'a Stdio,
    id: u64,
    waiting: Rc<Waiting>,
    answered: bool,
}

// === impl Hubs ===

impl Hubs {
    #[expect(clippy::disallowed_types, reason = "taken once, when a worker starts")]
    pub(super) fn new(backends: &[plan::Backend]) -> Self {
        let stdio = backends.iter().filter(|backend| matches!(backend.transport, plan::Transport::Stdio(_)));
        let doors = stdio.enumerate().map(|(index, backend)| {
            let (to_hub, calls) = mpsc::channel(limits::BACKEND_QUEUE_MAX);
            let (status, statuses) = watch::channel(Status::Starting);
            let end = Mutex::new(Some((calls, status)));
            let door = Door { index, hub: to_hub, closing: Arc::default(), status: statuses, end };
            (backend.name.to_string(), door)
        });
        Self { doors: doors.collect() }
    }
}

// === impl Transport ===

impl Transport for Stdio {
    fn carries(transport: &plan::Transport) -> bool {
        matches!(transport, plan::Transport::Stdio(_))
    }

    fn open(context: &Context, backend: &plan::Backend) -> Result<Self, OpenError> {
        let invalid =
            |detail: &str| OpenError::Invalid { backend: backend.name.to_string(), detail: detail.to_owned() };
        let plan::Transport::Stdio(stdio) = &backend.transport else {
            return Err(OpenError::NotCompiled { backend: backend.name.to_string() });
        };
        let door = context.shared.hubs.doors.get(&*backend.name);
        let door = door.ok_or_else(|| invalid("it was not there when the gateway started"))?;
        // On every worker, though one alone needs it: a gateway starts on all of its workers or on none.
        let recipe = Recipe::new(&context.shared, backend, stdio)?;
        if door.index % context.workers == context.worker {
            let end = door.end.lock().ok().and_then(|mut end| end.take());
            let (calls, status) = end.ok_or_else(|| invalid("its hub has been taken"))?;
            tokio::task::spawn_local(Hub::new(backend, recipe, calls, Arc::clone(&door.closing), status).run());
        }
        let calls = Rc::<Calls>::default();
        let (inbox, deliveries) = mpsc::channel(limits::BACKEND_QUEUE_MAX);
        let attach = ToHub::Attach { worker: context.worker, workers: context.workers, inbox };
        door.hub.try_send(attach).map_err(|_full| invalid("its hub takes no more workers"))?;
        tokio::task::spawn_local(deliver(Rc::clone(&calls), deliveries));
        Ok(Self {
            hub: door.hub.clone(),
            closing: Arc::clone(&door.closing),
            status: door.status.clone(),
            ids: Ids::new(context.worker, context.workers),
            calls,
        })
    }

    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        let (generation, greeting) = self.ready().await?;
        let era = greeting.era;
        let id = self.ids.mint();
        let mut scratch = Scratch::default();
        scratch.prepare(call, era, id);
        let splice = scratch.splice(call, era);
        let mut line = Vec::with_capacity(splice.len() + 1);
        if call.head.multiline {
            splice.write_line(&mut line)
        } else {
            splice.write(&mut line)
        }
        line.push(b'\n');

        let mut in_flight = InFlight::new(self, id, generation);
        let call_line = ToHub::Call { id, generation, line: Bytes::from(line) };
        self.hub.try_send(call_line).map_err(|full| match full {
            mpsc::error::TrySendError::Full(_) => Error::new(Kind::Overloaded, false, "its queue is full"),
            mpsc::error::TrySendError::Closed(_) => Error::unavailable("the gateway stops"),
        })?;
        call.sent.set(true);
        in_flight.relay_all(era, relay).await
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        Ok(Greeting::clone(&*self.ready().await?.1))
    }

    async fn close(&self) {
        self.closing.notify_one();
        // Ending with an error means that the hub is gone: the same.
        drop(self.status.clone().wait_for(|status| matches!(status, Status::Closed)).await);
    }
}

// === impl Stdio ===

impl Stdio {
    /// Waits while the child is being started; fails at once while it is down.
    async fn ready(&self) -> Result<(u64, Arc<Greeting>), Error> {
        let look = |status: &Status| match status {
            Status::Ready { generation, greeting } => Some(Ok((*generation, Arc::clone(greeting)))),
            Status::Down(why) => Some(Err(Error::unavailable(&**why))),
            Status::Closed => Some(Err(Error::unavailable("the gateway stops"))),
            Status::Starting => None,
        };
        if let Some(known) = look(&self.status.borrow()) {
            return known;
        }
        let mut status = self.status.clone();
        let settled = status.wait_for(|status| !matches!(status, Status::Starting)).await;
        settled.ok().and_then(|status| look(&status)).unwrap_or_else(|| Err(Error::unavailable("the gateway stops")))
    }
}

// === impl InFlight ===

impl<'a> InFlight<'a> {
    fn new(link: &'a Stdio, id: u64, generation: u64) -> Self {
        let waiting = Rc::new(Waiting { generation, ..Waiting::default() });
        link.calls.0.borrow_mut().insert(id, Rc::clone(&waiting));
        Self { link, id, waiting, answered: false }
    }

    async fn relay_all<R: Relay>(&mut self, era: Era, relay: &mut R) -> Result<(), Error> {
        loop {
            let next = poll_fn(|cx| match self.waiting.queue.borrow_mut().pop_front() {
                Some(inbound) => Poll::Ready(inbound),
                None => {
                    self.waiting.waker.replace(Some(cx.waker().clone()));
                    Poll::Pending
                }
            });
            match next.await {
                Inbound::Failed(kind, detail) => {
                    self.answered = true;
                    let sent = !matches!(kind, Kind::Unavailable | Kind::Overloaded);
                    return Err(Error::new(kind, sent, &*detail));
                }
                Inbound::Message(source, head) => {
                    let message = Message { source: &source, head: &head, era };
                    if head.method.is_some() {
                        relay.notification(message).await?;
                    } else {
                        self.answered = true;
                        return relay.answer(message).await;
                    }
                }
            }
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.link.calls.0.borrow_mut().remove(&self.id);
        if !self.answered {
            // A full queue loses the cancellation, never the call's end: a late answer finds nobody and is dropped.
            drop(self.link.hub.try_send(ToHub::Cancel { id: self.id }));
        }
    }
}

/// Hands what the hub delivers to the calls of this worker.
async fn deliver(calls: Rc<Calls>, mut deliveries: mpsc::Receiver<Delivery>) {
    while let Some(delivery) = deliveries.recv().await {
        match delivery {
            Delivery::To(batch) => {
                for (id, inbound) in batch {
                    if let Some(waiting) = calls.0.borrow().get(&id) {
                        waiting.push(inbound);
                    }
                }
            }
            Delivery::Lost(generation, kind, detail) => {
                for waiting in calls.0.borrow().values().filter(|waiting| waiting.generation == generation) {
                    waiting.push(Inbound::Failed(kind, Arc::clone(&detail)));
                }
            }
        }
    }
}

impl Waiting {
    fn push(&self, inbound: Inbound) {
        let mut queue = self.queue.borrow_mut();
        let notification = matches!(&inbound, Inbound::Message(_, head) if head.method.is_some());
        if notification && queue.len() >= limits::CALL_MESSAGES_MAX {
            return;
        }
        queue.push_back(inbound);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}
