//! The owner of one child: starts and greets it, carries lines both ways, starts it again when it ends.

mod child;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

use super::Delivery;
use crate::catalog::Era;
use crate::limits;
use crate::mcp::envelope::{Outgoing, Shape};
use crate::upstream::children::Recipe;
use crate::upstream::multiplex::{Asked, Inbound};
use crate::upstream::outbound::{Ids, id_span};
use crate::upstream::status::{Backoff, Status};
use crate::upstream::{Error, Kind, greeting, plan};
use child::{Event, Running, StartError};

/// Lines waiting for the child to read: above it no further calls are taken off the queue.
const PENDING_BYTES_MAX: usize = 1 << 20;
/// Calls taken off the queue at once.
const BATCH: usize = 64;

/// What workers ask of a hub.
#[derive(Debug)]
pub(super) enum ToHub {
    /// Deliver to this worker from now on.
    Attach { worker: usize, workers: usize, inbox: mpsc::Sender<Delivery> },
    /// Write this line and expect an answer with this id.
    Call { id: u64, generation: u64, line: Bytes },
    /// Nobody waits for this id any more.
    Cancel { id: u64 },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Hub {
    backend: String,
    recipe: Recipe,
    pinned_era: Option<Era>,
    locked_era: Option<Era>,
    calls: mpsc::Receiver<ToHub>,
    /// Apart from the calls: a child that reads no more also holds up their queue.
    closing: Arc<Notify>,
    status: watch::Sender<Status>,
    generation: u64,
    inboxes: Vec<Option<mpsc::Sender<Delivery>>>,
    outbox: Vec<Vec<(u64, Inbound)>>,
    asked: Asked,
}

/// Notices a child that has stopped reading: a call that cannot be written would only ever time out, and so would the
/// next one.
struct Stall {
    interval: tokio::time::Interval,
    taken: u64,
    ticks: u32,
}

/// Why a child is served no longer.
enum End {
    /// The gateway stops.
    Closed,
    /// The child broke off.
    Lost(Kind, String),
}

// === impl Hub ===

impl Hub {
    pub(super) fn new(
        backend: &plan::Backend,
        recipe: Recipe,
        calls: mpsc::Receiver<ToHub>,
        closing: Arc<Notify>,
        status: watch::Sender<Status>,
    ) -> Self {
        Self {
            backend: backend.name.to_string(),
            recipe,
            pinned_era: backend.era,
            locked_era: backend.locked_era,
            calls,
            closing,
            status,
            generation: 0,
            inboxes: Vec::new(),
            outbox: Vec::new(),
            asked: Asked::default(),
        }
    }

    /// Keeps a child running until the gateway stops.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            self.generation += 1;
            self.status.send_replace(Status::Starting);
            let (why, served) = match self.start().await {
                Ok(running) => {
                    let ready = Instant::now();
                    match self.serve(running).await {
                        End::Closed => break,
                        End::Lost(kind, detail) => {
                            self.lose(kind, &detail).await;
                            (detail, ready.elapsed())
                        }
                    }
                }
                Err(StartError::Closed) => break,
                Err(StartError::Failed(detail)) => (detail, Duration::ZERO),
            };
            tracing::warn!(backend = self.backend, why, "child is gone");
            let delay = backoff.after(served);
            if !delay.is_zero() {
                self.status.send_replace(Status::Down(Error::unavailable(why)));
                if self.rest(delay).await.is_none() {
                    break;
                }
            }
        }
        self.status.send_replace(Status::Closed);
    }

    /// Starts and greets a child, while calls that were meant for an earlier one are refused.
    async fn start(&mut self) -> Result<Running, StartError> {
        let Self { backend, recipe, pinned_era, locked_era, calls, closing, inboxes, outbox, .. } = self;
        let mut starting = pin!(Running::start(backend, recipe, *pinned_era, *locked_era));
        loop {
            tokio::select! {
                running = &mut starting => break running,
                () = closing.notified() => return Err(StartError::Closed),
                request = calls.recv() => match request {
                    None => return Err(StartError::Closed),
                    Some(ToHub::Attach { worker, workers, inbox }) => attach(inboxes, outbox, worker, workers, inbox),
                    Some(ToHub::Call { id, .. }) => refuse(inboxes, id, Kind::Unavailable, "the child is being started").await,
                    Some(ToHub::Cancel { .. }) => {}
                },
            }
        }
    }

    /// Waits before the next start; `None` when the gateway stops meanwhile.
    async fn rest(&mut self, delay: Duration) -> Option<()> {
        let mut rested = pin!(tokio::time::sleep(delay));
        loop {
            tokio::select! {
                () = &mut rested => return Some(()),
                () = self.closing.notified() => return None,
                request = self.calls.recv() => match request {
                    None => return None,
                    Some(ToHub::Attach { worker, workers, inbox }) => {
                        attach(&mut self.inboxes, &mut self.outbox, worker, workers, inbox);
                    }
                    Some(ToHub::Call { id, .. }) => {
                        refuse(&self.inboxes, id, Kind::Unavailable, "the child ended and is not up again").await;
                    }
                    Some(ToHub::Cancel { .. }) => {}
                },
            }
        }
    }

    /// Carries lines until the child or the gateway ends.
    async fn serve(&mut self, mut running: Running) -> End {
        let greeting = Arc::new(running.greeting.clone());
        tracing::info!(backend = self.backend, revision = %greeting.revision, "child is ready");
        self.status.send_replace(Status::Ready { generation: self.generation, greeting });
        let mut batch = Vec::with_capacity(BATCH);
        let mut stall = Stall::new();
        loop {
            let room = running.pending() < PENDING_BYTES_MAX;
            // In random order: a child that never stops talking must not keep calls from it.
            let event = tokio::select! {
                event = running.turn() => event,
                taken = self.calls.recv_many(&mut batch, BATCH), if room => {
                    if taken == 0 {
                        running.end().await;
                        return End::Closed;
                    }
                    self.take(&mut batch, &mut running).await;
                    continue;
                }
                () = self.closing.notified() => {
                    running.end().await;
                    return End::Closed;
                }
                () = stall.tick() => {
                    if !stall.is_reached(&running) {
                        continue;
                    }
                    Event::Ended(Kind::OutcomeUnknown, "it reads no more".to_owned())
                }
            };
            let more = match event {
                Event::Wrote => Ok(()),
                Event::Read => self.read(&mut running).await,
                Event::Ended(kind, detail) => {
                    // What it wrote before it ended still counts.
                    drop(self.read(&mut running).await);
                    Err((kind, detail))
                }
            };
            if let Err((kind, detail)) = more {
                running.end_now().await;
                return End::Lost(kind, detail);
            }
        }
    }

    /// Takes what workers asked for.
    async fn take(&mut self, batch: &mut Vec<ToHub>, running: &mut Running) {
        for request in batch.drain(..) {
            match request {
                ToHub::Attach { worker, workers, inbox } => {
                    attach(&mut self.inboxes, &mut self.outbox, worker, workers, inbox);
                }
                ToHub::Call { id, generation, .. } if generation != self.generation => {
                    refuse(&self.inboxes, id, Kind::Unavailable, "the child was started anew").await;
                }
                ToHub::Call { id, .. } if self.asked.len() >= limits::BACKEND_CALLS_MAX => {
                    refuse(&self.inboxes, id, Kind::Overloaded, "it has as many calls in flight as it may").await;
                }
                ToHub::Call { id, line, .. } => {
                    self.asked.insert(id);
                    running.push(&line);
                }
                ToHub::Cancel { id } => {
                    if self.asked.abandon(id) {
                        running.push(greeting::cancelled(id).as_bytes());
                        running.push(b"\n");
                    }
                }
            }
        }
    }

    /// Sorts every whole line that was read, and delivers.
    async fn read(&mut self, running: &mut Running) -> Result<(), (Kind, String)> {
        let outcome = loop {
            match running.next(&self.backend) {
                Ok(Some((line, head))) => self.sort(line, &head, running),
                Ok(None) => break Ok(()),
                Err(error) => break Err((Kind::Protocol, error.to_string())),
            }
        };
        for (inbox, messages) in self.inboxes.iter().zip(&mut self.outbox) {
            if let (Some(inbox), false) = (inbox, messages.is_empty()) {
                // A worker that is gone has no calls left to deliver to.
                drop(inbox.send(Delivery::To(std::mem::take(messages))).await);
            }
        }
        outcome
    }

    fn sort(&mut self, line: Bytes, head: &Outgoing, running: &mut Running) {
        if head.shape == Shape::Request {
            // A child that asks and does not read what it is answered is not answered any more.
            if let Some(span) = id_span(head.id).filter(|_| running.pending() < PENDING_BYTES_MAX) {
                let mut reply = greeting::reply(&line, head, span.of(&line));
                reply.push('\n');
                running.push(reply.as_bytes());
            }
            return;
        }
        let id = self.asked.owner(&line, head);
        let worker = id.and_then(|id| Some((id, Ids::worker(id, self.outbox.len())?)));
        match worker.and_then(|(id, worker)| Some((id, self.outbox.get_mut(worker)?))) {
            Some((id, messages)) => messages.push((id, Inbound::new(line, head))),
            None => tracing::debug!(backend = self.backend, "a message that belongs to no call was dropped"),
        }
    }

    /// Tells every worker that the calls of this child are lost.
    async fn lose(&mut self, kind: Kind, detail: &str) {
        self.asked.clear();
        let kind = if kind == Kind::Protocol { kind } else { Kind::OutcomeUnknown };
        let error = Error::new(kind, true, detail);
        for inbox in self.inboxes.iter().flatten() {
            drop(inbox.send(Delivery::Lost(self.generation, error.clone())).await);
        }
    }
}

// === impl Stall ===

impl Stall {
    const TICKS: u32 = 4;

    fn new() -> Self {
        let mut interval = tokio::time::interval(limits::WRITE_TIMEOUT / Self::TICKS);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { interval, taken: 0, ticks: 0 }
    }

    async fn tick(&mut self) {
        self.interval.tick().await;
    }

    /// Whether the child has taken nothing for [`limits::WRITE_TIMEOUT`] although something is pending.
    fn is_reached(&mut self, running: &Running) -> bool {
        let stuck = running.pending() > 0 && running.taken() == self.taken;
        self.ticks = if stuck { self.ticks + 1 } else { 0 };
        self.taken = running.taken();
        self.ticks >= Self::TICKS
    }
}

fn attach(
    inboxes: &mut Vec<Option<mpsc::Sender<Delivery>>>,
    outbox: &mut Vec<Vec<(u64, Inbound)>>,
    worker: usize,
    workers: usize,
    inbox: mpsc::Sender<Delivery>,
) {
    inboxes.resize(workers, None);
    outbox.resize_with(workers, Vec::new);
    if let Some(place) = inboxes.get_mut(worker) {
        *place = Some(inbox);
    }
}

async fn refuse(inboxes: &[Option<mpsc::Sender<Delivery>>], id: u64, kind: Kind, why: &str) {
    let inbox = Ids::worker(id, inboxes.len()).and_then(|worker| inboxes.get(worker)?.as_ref());
    if let Some(inbox) = inbox {
        drop(inbox.send(Delivery::To(vec![(id, Inbound::Failed(Error::new(kind, false, why)))])).await);
    }
}
