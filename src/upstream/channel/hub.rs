//! The owner of one channel: makes it and greets its backend, carries messages both ways, makes it again when it ends.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

use super::greet::{Running, StartError};
use super::subscribed::{self, Subscribed, Subscribing};
use super::{Channel, Delivery, Event, Hearers, HubEnd, Life};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::{Outgoing, Shape};
use crate::mcp::subscription::Filter;
use crate::upstream::multiplex::{Asked, Inbound};
use crate::upstream::outbound::Ids;
use crate::upstream::status::{Backoff, Status};
use crate::upstream::verbosity::{self, Verbosity, Wanted};
use crate::upstream::{Error, Kind, Upkeep, greeting, plan};

/// Bytes waiting for the backend to read: above it no further calls are taken off the queue.
const PENDING_BYTES_MAX: usize = 1 << 20;
/// Calls taken off the queue at once.
const BATCH: usize = 64;

/// What workers ask of a hub.
#[derive(Debug)]
pub(super) enum ToHub {
    /// Deliver to this worker from now on.
    Attach { worker: usize, workers: usize, inbox: mpsc::Sender<Delivery> },
    /// Write this message and expect an answer with this id.
    Call {
        id: u64,
        generation: u64,
        wanted: Option<Wanted>,
        listens: bool,
        subscribing: Option<Box<Subscribing>>,
        message: Bytes,
    },
    /// Nobody waits for this id any more.
    Cancel { id: u64 },
    /// Write this message, which no answer comes to.
    Say { generation: u64, message: String },
    /// Make the channel if it is asleep: a call waits for it.
    Wake,
    /// Nobody will call the channel of this generation any more.
    Retire { generation: u64 },
    /// Whether it is to be kept up may have changed.
    Nudge,
}

/// See the module.
pub(super) struct Hub<C: Channel> {
    backend: String,
    recipe: C::Recipe,
    pinned_era: Option<Era>,
    /// What it was greeted in last, or was locked in: asked for first, and verified.
    assumed_era: Option<Era>,
    life: Life,
    calls: mpsc::Receiver<ToHub>,
    /// Apart from the calls: a backend that reads no more also holds up their queue.
    closing: Arc<Notify>,
    hearers: Hearers,
    /// While it is not due, no call has the channel made, and it ends as soon as it has none in flight.
    upkeep: Upkeep,
    status: watch::Sender<Status>,
    generation: u64,
    /// What its backend was told of its clients, if it is a legacy one.
    profile: Profile,
    verbosity: Verbosity,
    inboxes: Vec<Option<mpsc::Sender<Delivery>>>,
    outbox: Vec<Vec<(u64, Inbound)>>,
    /// Resources that changed, for every worker.
    told: Filter,
    asked: Asked,
    subscribed: Subscribed,
    /// Where in all that was queued each call begins of which nothing was written, as far as that is known.
    unwritten: VecDeque<(u64, u64)>,
    /// When a call began or ended last.
    used: Instant,
    /// Nobody will call this channel any more.
    retired: bool,
}

/// Notices a backend that has stopped reading: a call that cannot be written would only ever time out, and so would the
/// next one.
struct Stall {
    interval: tokio::time::Interval,
    taken: u64,
    ticks: u32,
}

/// Why a channel is served no longer.
enum End {
    /// The gateway stops.
    Closed,
    /// Nobody has called for a while.
    Idle,
    /// It broke off.
    Lost(String),
}

// === impl Hub ===

impl<C: Channel> Hub<C> {
    pub(super) fn new(
        backend: &plan::Backend,
        recipe: C::Recipe,
        (calls, status): HubEnd,
        closing: &Arc<Notify>,
        hearers: Hearers,
    ) -> Self {
        let hub = Self {
            backend: backend.name.to_string(),
            life: C::life(&recipe),
            recipe,
            pinned_era: backend.era,
            assumed_era: backend.locked_era,
            calls,
            closing: Arc::clone(closing),
            upkeep: hearers.account.upkeep.clone(),
            hearers,
            status,
            generation: 0,
            profile: Profile::NONE,
            verbosity: Verbosity::default(),
            inboxes: Vec::new(),
            outbox: Vec::new(),
            told: Filter::default(),
            asked: Asked::default(),
            subscribed: Subscribed::default(),
            unwritten: VecDeque::new(),
            used: Instant::now(),
            retired: false,
        };
        // Now, and not once it runs: by then somebody may have taken the place of a child that is asleep.
        if hub.life.lazy {
            hub.tell(hub.at_rest());
        }
        hub
    }

    /// Keeps a channel up until the gateway stops.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(C::BACKOFF);
        let mut on_demand = self.life.lazy;
        // The era is assumed for want of an answer.
        let mut guessed = false;
        loop {
            if (on_demand || !self.upkeep.is_due()) && self.sleep(on_demand).await.is_none() {
                break;
            }
            self.generation += 1;
            self.tell(Status::Starting);
            let start = self.start().await;
            let silent = matches!(start, Err(StartError::Silent(_))) && !guessed;
            (guessed, self.assumed_era) = match &start {
                Ok(running) => (false, Some(running.greeting.era)),
                Err(StartError::Silent(_)) if silent => (true, Some(Era::Legacy)),
                Err(_) if guessed => (false, None),
                Err(_) => (false, self.assumed_era),
            };
            let (error, served) = match start {
                Ok(running) => {
                    let ready = Instant::now();
                    match self.serve(running).await {
                        End::Closed => break,
                        End::Idle => {
                            backoff = Backoff::new(C::BACKOFF);
                            // One that is disabled comes up by itself once it is enabled.
                            on_demand = self.life.lazy || self.upkeep.is_due();
                            continue;
                        }
                        End::Lost(detail) => (Error::unavailable(detail), ready.elapsed()),
                    }
                }
                Err(StartError::Closed) => break,
                Err(StartError::Failed(error) | StartError::Silent(error)) => (error, Duration::ZERO),
            };
            tracing::warn!(backend = self.backend, why = error.detail, "{} is gone", C::NOUN);
            let delay = backoff.after(served);
            on_demand = self.life.lazy || backoff.failures() > self.life.restarts;
            // The other greeting is tried at once, in place of the first attempt after a pause.
            let at_once = delay.is_zero() || silent && backoff.failures() == 1;
            if !at_once {
                self.tell(Status::Down(error));
                if self.rest(delay).await.is_none() {
                    break;
                }
            }
        }
        self.tell(Status::Closed);
    }

    fn tell(&self, status: Status) {
        C::observe(&self.recipe, &status, self.generation);
        self.status.send_replace(status);
    }

    /// Makes a channel, while calls that were meant for an earlier one are given back.
    async fn start(&mut self) -> Result<Running<C>, StartError> {
        let Self { backend, recipe, pinned_era, assumed_era, life, calls, closing, hearers, inboxes, outbox, .. } =
            self;
        let (side, eras) = ((&**backend, &hearers.account.dropped), (*pinned_era, *assumed_era));
        let mut starting = pin!(Running::<C>::start(side, recipe, eras, life.patience));
        loop {
            tokio::select! {
                running = &mut starting => break running,
                () = closing.notified() => return Err(StartError::Closed),
                request = calls.recv() => match request {
                    None => return Err(StartError::Closed),
                    Some(ToHub::Attach { worker, workers, inbox }) => attach(inboxes, outbox, worker, workers, inbox),
                    Some(ToHub::Call { id, .. }) => give_back(inboxes, id).await,
                    Some(_) => {}
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
                        refuse(&self.inboxes, id, Error::unavailable("it ended and is not up again")).await;
                    }
                    Some(_) => {}
                },
            }
        }
    }

    /// Waits until a call needs the channel, where it is made `on_demand`, and until it is to be kept up; `None` when the
    /// gateway stops meanwhile.
    async fn sleep(&mut self, on_demand: bool) -> Option<()> {
        // That it is asleep is told once: whoever took the place of a child since then would lose it.
        let mut told = matches!(*self.status.borrow(), Status::Asleep).then_some(true);
        loop {
            let due = self.upkeep.is_due();
            if due && !on_demand {
                return Some(());
            }
            if told.replace(due) != Some(due) {
                self.tell(self.at_rest());
            }
            tokio::select! {
                () = self.closing.notified() => return None,
                request = self.calls.recv() => match request? {
                    ToHub::Attach { worker, workers, inbox } => {
                        attach(&mut self.inboxes, &mut self.outbox, worker, workers, inbox);
                    }
                    ToHub::Call { id, .. } => {
                        // Whoever sent it hears why from the status.
                        give_back(&self.inboxes, id).await;
                        if due {
                            return Some(());
                        }
                    }
                    ToHub::Wake if due => return Some(()),
                    _ => {}
                },
            }
        }
    }

    /// What is known of a channel that is not there.
    fn at_rest(&self) -> Status {
        if self.upkeep.is_due() { Status::Asleep } else { Status::Down(Upkeep::disabled()) }
    }

    /// Carries messages until the channel or the gateway ends.
    async fn serve(&mut self, running: Running<C>) -> End {
        let Running { greeting, profile, mut channel } = running;
        self.profile = profile;
        self.verbosity = Verbosity::new(&greeting);
        let greeting = Arc::new(greeting);
        tracing::info!(backend = self.backend, revision = %greeting.revision, "{} is ready", C::NOUN);
        self.tell(Status::Ready { generation: self.generation, greeting });
        let mut batch = Vec::with_capacity(BATCH);
        let mut stall = Stall::new();
        (self.used, self.retired, self.subscribed) = (Instant::now(), false, Subscribed::default());
        loop {
            let room = channel.pending() < PENDING_BYTES_MAX;
            let rest = self.rest_begins();
            // In random order: a backend that never stops talking must not keep calls from it.
            let event = tokio::select! {
                event = channel.turn() => event,
                taken = self.calls.recv_many(&mut batch, BATCH), if room => {
                    if taken == 0 {
                        channel.end().await;
                        return End::Closed;
                    }
                    self.take(&mut batch, &mut channel).await;
                    continue;
                }
                () = self.closing.notified() => {
                    channel.end().await;
                    return End::Closed;
                }
                () = until(rest), if self.asked.len() == 0 => {
                    if !self.calls.is_empty() || self.is_heard() && self.upkeep.is_due() {
                        self.used = Instant::now();
                        continue;
                    }
                    tracing::info!(backend = self.backend, "{} is idle", C::NOUN);
                    // Before its end, which takes a while: calls that come meanwhile have it made again.
                    self.tell(self.at_rest());
                    channel.end().await;
                    return End::Idle;
                }
                () = stall.tick() => {
                    if !stall.is_reached(channel.backlog()) {
                        continue;
                    }
                    Event::Ended(Kind::OutcomeUnknown, "it reads no more".to_owned())
                }
            };
            let more = match event {
                Event::Wrote => {
                    let begun = channel.begun();
                    while self.unwritten.front().is_some_and(|(at, _)| *at < begun) {
                        self.unwritten.pop_front();
                    }
                    Ok(())
                }
                Event::Read => self.read(&mut channel).await,
                Event::Ended(kind, detail) => {
                    // What it wrote before it ended still counts.
                    drop(self.read(&mut channel).await);
                    Err((kind, detail))
                }
            };
            if let Err((kind, detail)) = more {
                let begun = channel.begun();
                let detail = channel.end_now(detail).await;
                self.lose(begun, kind, &detail).await;
                return End::Lost(detail);
            }
        }
    }

    /// Whether some worker hears what the backend tells by itself.
    fn is_heard(&self) -> bool {
        self.hearers.count.load(Ordering::Relaxed) > 0
    }

    /// When the channel is ended, if no call begins before.
    fn rest_begins(&self) -> Option<Instant> {
        if self.retired || !self.upkeep.is_due() {
            Some(self.used)
        } else {
            self.life.idle.map(|idle| self.used + idle)
        }
    }

    /// Takes what workers asked for.
    async fn take(&mut self, batch: &mut Vec<ToHub>, channel: &mut C) {
        for request in batch.drain(..) {
            match request {
                ToHub::Attach { worker, workers, inbox } => {
                    attach(&mut self.inboxes, &mut self.outbox, worker, workers, inbox);
                }
                ToHub::Call { id, generation, .. } if generation != self.generation => {
                    give_back(&self.inboxes, id).await;
                }
                ToHub::Call { id, .. } if self.asked.len() >= limits::BACKEND_CALLS_MAX => {
                    refuse(&self.inboxes, id, Error::full("it has as many calls in flight as it may")).await;
                }
                ToHub::Call { id, subscribing: Some(subscribing), .. }
                    if !self.subscribed.take(id, self.outbox.len(), &subscribing) =>
                {
                    tell(&self.inboxes, id, subscribed::done(id)).await;
                }
                ToHub::Call { id, wanted, listens, message, .. } => {
                    if let Some(level) = self.verbosity.lower(wanted) {
                        self.verbosity.told(level);
                        channel.push(&verbosity::set_level_once(level).into());
                    }
                    if listens {
                        self.asked.listen(id);
                    } else {
                        self.asked.insert(id);
                    }
                    self.used = Instant::now();
                    self.unwritten.push_back((channel.begun() + channel.pending() as u64, id));
                    channel.push(&message);
                }
                ToHub::Cancel { id } => {
                    self.subscribed.forget(id);
                    if self.asked.abandon(id) {
                        channel.push(&greeting::cancelled(id).into());
                        self.used = Instant::now();
                    }
                }
                // What is said to a channel that is gone is said on behalf of a call that is lost.
                ToHub::Say { generation, message } => {
                    if generation == self.generation {
                        channel.push(&message.into());
                    }
                }
                ToHub::Retire { generation } => self.retired |= generation == self.generation,
                ToHub::Wake | ToHub::Nudge => {}
            }
        }
    }

    /// Sorts every whole message that was read, and delivers.
    async fn read(&mut self, channel: &mut C) -> Result<(), (Kind, String)> {
        let outcome = loop {
            match channel.next(&self.backend, &self.hearers.account.dropped) {
                Ok(Some((message, head))) => self.sort(message, &head, channel),
                Ok(None) => break Ok(()),
                Err(error) => break Err((Kind::Protocol, error)),
            }
        };
        for (inbox, messages) in self.inboxes.iter().zip(&mut self.outbox) {
            if !messages.is_empty() {
                self.used = Instant::now();
            }
            if let (Some(inbox), false) = (inbox, messages.is_empty()) {
                // A worker that is gone has no calls left to deliver to.
                let messages = std::mem::take(messages);
                drop(inbox.send(Delivery::To { generation: self.generation, messages }).await);
            }
        }
        if !self.told.is_empty() {
            let told = std::mem::take(&mut self.told);
            for inbox in self.inboxes.iter().flatten() {
                drop(inbox.send(Delivery::Told(told.clone())).await);
            }
        }
        outcome
    }

    fn sort(&mut self, message: Bytes, head: &Outgoing, channel: &mut C) {
        let id = match head.shape {
            Shape::Request => self.asked.owner_of_request(&message, head, self.profile),
            _ => self.asked.owner(&message, head),
        };
        let worker = id.and_then(|id| Some((id, Ids::worker(id, self.outbox.len())?)));
        match worker.and_then(|(id, worker)| Some((id, self.outbox.get_mut(worker)?))) {
            Some((id, messages)) => {
                if head.method.is_none() {
                    self.subscribed.answered(id, head.result.is_some());
                }
                messages.push((id, Inbound::new(message, head)));
            }
            None if head.shape == Shape::Request => {
                let nobody = (self.profile, greeting::UNASKED);
                let reply = greeting::reply(&message, head, nobody, &self.hearers.account.dropped);
                // A backend that asks and does not read what it is answered is not answered any more.
                if let Some(reply) = reply.filter(|_| channel.pending() < PENDING_BYTES_MAX) {
                    channel.push(&reply.into());
                }
            }
            None => match self.hearers.account.lists.take(&message, head) {
                Some(updated) if self.is_heard() => self.told.merge(&updated),
                Some(_) => {}
                None => self.hearers.account.dropped.stray(&self.backend, head),
            },
        }
    }

    /// Tells every worker that the calls of this channel are lost, on which so many bytes may have been sent.
    async fn lose(&mut self, begun: u64, kind: Kind, detail: &str) {
        let mut sent = self.asked.clear();
        for (at, id) in self.unwritten.drain(..) {
            if at >= begun {
                sent.remove(&id);
            }
        }
        let sent = Arc::new(sent);
        let kind = if kind == Kind::Protocol { kind } else { Kind::OutcomeUnknown };
        let error = Error::new(kind, true, detail);
        for inbox in self.inboxes.iter().flatten() {
            let (generation, sent, error) = (self.generation, Arc::clone(&sent), error.clone());
            drop(inbox.send(Delivery::Lost { generation, sent, error }).await);
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

    /// Whether the backend has taken nothing for [`limits::WRITE_TIMEOUT`] although something waits for it.
    fn is_reached(&mut self, backlog: Option<u64>) -> bool {
        self.ticks = if backlog.is_some_and(|taken| taken == self.taken) { self.ticks + 1 } else { 0 };
        self.taken = backlog.unwrap_or_default();
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

async fn refuse(inboxes: &[Option<mpsc::Sender<Delivery>>], id: u64, error: Error) {
    tell(inboxes, id, Inbound::Failed(error)).await;
}

/// Has whoever sent a call decide anew: nothing of it was written.
async fn give_back(inboxes: &[Option<mpsc::Sender<Delivery>>], id: u64) {
    tell(inboxes, id, Inbound::NotTaken).await;
}

async fn tell(inboxes: &[Option<mpsc::Sender<Delivery>>], id: u64, inbound: Inbound) {
    let inbox = Ids::worker(id, inboxes.len()).and_then(|worker| inboxes.get(worker)?.as_ref());
    if let Some(inbox) = inbox {
        // Of no generation: it is no request, which alone is answered.
        drop(inbox.send(Delivery::To { generation: 0, messages: vec![(id, inbound)] }).await);
    }
}

/// At this time; never without one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
