//! stdio towards a backend: one child process shared by all workers and clients, many calls in flight on its pipes.
//!
//! The child and its pipes belong to a `hub` on one worker. Every worker has a link: calls go to the hub as finished
//! lines, what the child writes comes back scanned. Ids say which worker a message belongs to.

mod framer;
mod hub;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
#[expect(clippy::disallowed_types, reason = "taken once, when a worker starts")]
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

use super::children::Recipe;
use super::multiplex::{Calls, Inbound, Waiting};
use super::outbound::{Ids, Scratch};
use super::status::Status;
use super::{Call, Context, Error, Greeting, Kind, OpenError, Relay, Transport, plan};
use crate::limits;
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

/// A delivery to one worker.
#[derive(Debug)]
enum Delivery {
    /// For the calls with these ids.
    To(Vec<(u64, Inbound)>),
    /// The child of this generation is gone: every call it had is lost.
    Lost(u64, Error),
}

/// A call that is given up on the way out, whatever way that is.
struct InFlight<'a> {
    link: &'a Stdio,
    id: u64,
    waiting: Rc<Waiting>,
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
        let (generation, greeting) = Status::ready(&self.status).await?;
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

        let in_flight = InFlight { link: self, id, waiting: self.calls.begin(id, generation) };
        let call_line = ToHub::Call { id, generation, line: Bytes::from(line) };
        self.hub.try_send(call_line).map_err(|full| match full {
            mpsc::error::TrySendError::Full(_) => Error::new(Kind::Overloaded, false, "its queue is full"),
            mpsc::error::TrySendError::Closed(_) => Error::unavailable("the gateway stops"),
        })?;
        call.sent.set(true);
        in_flight.waiting.relay(era, relay).await
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        Ok(Greeting::clone(&*Status::ready(&self.status).await?.1))
    }

    async fn close(&self) {
        self.closing.notify_one();
        // Ending with an error means that the hub is gone: the same.
        drop(self.status.clone().wait_for(|status| matches!(status, Status::Closed)).await);
    }
}

// === impl InFlight ===

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.link.calls.end(self.id);
        if !self.waiting.is_settled() {
            // A full queue loses the cancellation, never the call's end: a late answer finds nobody and is dropped.
            drop(self.link.hub.try_send(ToHub::Cancel { id: self.id }));
        }
    }
}

/// Hands what the hub delivers to the calls of this worker.
async fn deliver(calls: Rc<Calls>, mut deliveries: mpsc::Receiver<Delivery>) {
    while let Some(delivery) = deliveries.recv().await {
        match delivery {
            Delivery::To(batch) => batch.into_iter().for_each(|(id, inbound)| calls.push(id, inbound)),
            Delivery::Lost(generation, error) => calls.lose(generation, &error),
        }
    }
}
